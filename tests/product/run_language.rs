//! The language through the command line: one short flow per construct, its input and its output.

use flowcell_tests::{Folder, Output};
use serde_json::{Value, json};

use crate::FLOWCELL;
use crate::documents::{flow, flow_with};

async fn run(document: &str, input: &Value) -> Output {
    let folder = Folder::new();
    folder.write("flow.yaml", document);
    let command = FLOWCELL.command(["run", "flow.yaml", "--input"]).arg(input.to_string());
    command.in_folder(folder.path()).output().await
}

async fn output_of(tasks: &str, input: Value) -> Value {
    run(&flow("language", tasks), &input).await.exited(0).json()
}

async fn problem_of(tasks: &str, input: Value) -> Value {
    run(&flow("language", tasks), &input).await.exited(1).problem()
}

#[tokio::test]
async fn set_builds_a_value_from_its_input() {
    let tasks =
        "- build: { set: { sum: '${ .a + .b }', list: [ '${ .a }', plain ], deep: { b: '${ .b }' } } }";
    let output = output_of(tasks, json!({ "a": 1, "b": 2 })).await;
    assert_eq!(output, json!({ "sum": 3, "list": [1, "plain"], "deep": { "b": 2 } }));
}

#[tokio::test]
async fn an_expression_may_be_any_jq() {
    let tasks = "- build: { set: { names: '${ [ .people[] | select(.age >= 18) | .name ] | sort | join(\", \") }' } }";
    let people = json!({ "people": [{ "name": "b", "age": 30 }, { "name": "c", "age": 3 }, { "name": "a", "age": 18 }] });
    assert_eq!(output_of(tasks, people).await, json!({ "names": "a, b" }));
}

#[tokio::test]
async fn a_false_condition_skips_the_task() {
    let tasks = "- one: { if: '${ .a > 5 }', set: { never: true } }";
    assert_eq!(output_of(tasks, json!({ "a": 1 })).await, json!({ "a": 1 }));
    assert_eq!(output_of(tasks, json!({ "a": 9 })).await, json!({ "never": true }));
}

#[tokio::test]
async fn then_jumps_and_ends() {
    let tasks = "
- first: { set: { at: first }, then: third }
- second: { set: { at: second } }
- third: { set: { at: '${ .at + \" third\" }' }, then: end }
- fourth: { set: { at: fourth } }
";
    assert_eq!(output_of(tasks, json!({})).await, json!({ "at": "first third" }));
}

#[tokio::test]
async fn exit_leaves_the_inner_list_only() {
    let tasks = "
- inner:
    do:
      - one: { set: { n: 1 }, then: exit }
      - two: { set: { n: 2 } }
- after: { set: { n: '${ .n + 10 }' } }
";
    assert_eq!(output_of(tasks, json!({})).await, json!({ "n": 11 }));
}

#[tokio::test]
async fn input_output_and_export_shape_what_flows_on() {
    let tasks = "
- pick:
    input: { from: '${ .order }' }
    set: { id: '${ .id }', price: '${ .price }' }
    export: { as: '${ $context + { id: $input.id } }' }
    output: { as: '${ { price } }' }
- double: { set: { price: '${ .price * 2 }', id: '${ $context.id }' } }
";
    let output = output_of(tasks, json!({ "order": { "id": 7, "price": 21 } })).await;
    assert_eq!(output, json!({ "price": 42, "id": 7 }));
}

#[tokio::test]
async fn a_raised_error_faults_the_run_with_its_own_fields() {
    let tasks = "
- stop:
    raise:
      error:
        type: https://example.com/errors/out-of-stock
        status: 409
        title: out of stock
        detail: '${ \"none of \\(.item)\" }'
";
    let problem = problem_of(tasks, json!({ "item": "tea" })).await;
    assert_eq!(problem["type"], "https://example.com/errors/out-of-stock");
    assert_eq!(problem["status"], 409);
    assert_eq!(problem["title"], "out of stock");
    assert_eq!(problem["detail"], "none of tea");
    assert_eq!(problem["instance"], "/do/0/stop");
}

#[tokio::test]
async fn a_caught_error_is_a_value_and_the_flow_goes_on() {
    let tasks = "
- attempt:
    try:
      - stop: { raise: { error: { type: https://example.com/errors/out-of-stock, status: 409, title: out of stock } } }
    catch:
      errors: { with: { type: https://example.com/errors/out-of-stock } }
      as: problem
      do:
        - tell: { set: { caught: '${ $problem.status }' } }
- after: { set: { caught: '${ .caught }', and: on } }
";
    assert_eq!(output_of(tasks, json!({})).await, json!({ "caught": 409, "and": "on" }));
}

#[tokio::test]
async fn an_error_that_no_catch_is_for_goes_through() {
    let tasks = "
- attempt:
    try:
      - stop: { raise: { error: { type: https://example.com/errors/out-of-stock, status: 409, title: out of stock } } }
    catch:
      errors: { with: { status: 503 } }
";
    assert_eq!(problem_of(tasks, json!({})).await["status"], 409);
}

#[tokio::test]
async fn a_wait_passes_its_input_on() {
    assert_eq!(output_of("- rest: { wait: PT0.05S }", json!({ "a": 1 })).await, json!({ "a": 1 }));
    assert_eq!(
        output_of("- rest: { wait: { milliseconds: 20 } }", json!({ "a": 1 })).await,
        json!({ "a": 1 })
    );
}

#[tokio::test]
async fn a_task_that_takes_too_long_is_a_timeout() {
    let problem = problem_of("- rest: { wait: PT1H, timeout: { after: PT0.05S } }", json!({})).await;
    assert_eq!(problem["type"], "https://serverlessworkflow.io/spec/1.0.0/errors/timeout");
    assert_eq!((&problem["status"], &problem["instance"]), (&json!(408), &json!("/do/0/rest")));
}

#[tokio::test]
async fn a_flow_that_takes_too_long_is_a_timeout() {
    let document = flow_with("late", "timeout: { after: PT0.05S }", "- rest: { wait: PT1H }");
    let problem = run(&document, &json!({})).await.exited(1).problem();
    assert_eq!(problem["type"], "https://serverlessworkflow.io/spec/1.0.0/errors/timeout");
}

#[tokio::test]
async fn an_input_that_does_not_satisfy_the_schema_is_a_validation_error() {
    let keys = "input: { schema: { format: json, document: { type: object, required: [ id ] } } }";
    let document = flow_with("strict", keys, "- one: { set: { id: '${ .id }' } }");
    assert_eq!(run(&document, &json!({ "id": 1 })).await.exited(0).json(), json!({ "id": 1 }));
    let problem = run(&document, &json!({ "name": 1 })).await.exited(1).problem();
    assert_eq!(problem["type"], "https://serverlessworkflow.io/spec/1.0.0/errors/validation");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("id")), "{problem}");
}

#[tokio::test]
async fn an_expression_that_fails_names_itself() {
    let problem = problem_of("- one: { set: { n: '${ .a.b.c }' } }", json!({ "a": 1 })).await;
    assert_eq!(problem["type"], "https://serverlessworkflow.io/spec/1.0.0/errors/expression");
    assert_eq!(problem["instance"], "/do/0/one");
}

#[tokio::test]
async fn an_expression_that_never_ends_is_ended() {
    for endless in ["def f: 1 + f; f", "[ range(1e9) ] | length", "[ repeat(1) ] | length"] {
        let problem = problem_of(&format!("- one: {{ set: {{ n: '${{ {endless} }}' }} }}"), json!({})).await;
        assert_eq!(
            problem["type"], "https://serverlessworkflow.io/spec/1.0.0/errors/expression",
            "{endless}"
        );
    }
}

#[tokio::test]
async fn a_document_may_be_json() {
    let document = json!({
        "document": { "dsl": "1.0.3", "namespace": "shop", "name": "json", "version": "1.0.0" },
        "do": [{ "one": { "set": { "a": "${ .a }" } } }]
    });
    assert_eq!(run(&document.to_string(), &json!({ "a": 1 })).await.exited(0).json(), json!({ "a": 1 }));
}
