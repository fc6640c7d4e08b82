//! Answers to a webhook's caller: at once, from the flow, by a response step, or too late.

use flowcell_tests::{Call, Gate, Given, Server, Stub, until};
use serde_json::{Value, json};

use crate::FLOWCELL;
use crate::documents::{at, flow, flow_with, hook, local, together};

/// `serve` with one flow and one hook to it.
async fn serve(document: &str, with: &str) -> (Server, String) {
    let documents = together(&[document, &hook("in", "answer", with)]);
    let mut server = FLOWCELL.serve().config(local("")).file("answer.yaml", documents).start().await;
    let hook = server.hook("shop/in").await;
    (server, hook)
}

async fn from_flow(document: &str) -> (Server, String) {
    serve(document, "{ respond: { from: flow, within: PT30S } }").await
}

async fn only_run(server: &Server) -> Value {
    let runs = server.runs("").await;
    assert_eq!(runs.len(), 1, "{runs:?}");
    server.look(runs[0]["id"].as_str().unwrap_or_default()).await
}

#[tokio::test]
async fn an_at_once_answer_is_exactly_what_the_trigger_says() {
    let with = "{ respond: { from: at-once, status: 202, headers: { x-a: b }, body: taken } }";
    let (server, hook) = serve(&flow("answer", "- rest: { wait: PT1H }"), with).await;
    let answer = Call::post(&hook, &json!({})).send().await.is(202);
    assert_eq!((answer.header("x-a"), answer.text().as_str()), ("b", "taken"));
    assert!(!only_run(&server).await["endedAt"].is_string());
}

#[tokio::test]
async fn the_default_answer_is_ok() {
    let (_server, hook) = serve(&flow("answer", "- one: { set: { a: 1 } }"), "{}").await;
    assert_eq!(Call::post(&hook, &json!({})).send().await.is(200).text(), "ok");
}

#[tokio::test]
async fn a_response_step_answers_with_status_headers_and_body() {
    let tasks = "
- decide:
    switch:
      - good: { when: '${ .body.good }', then: yes }
      - bad: { then: no }
- 'yes': { call: respond:1.0.0@default, with: { status: 201, headers: { location: /orders/1 }, body: { made: '${ .body.id }' } }, then: end }
- 'no': { call: respond:1.0.0@default, with: { status: 422, body: { made: null } } }
";
    let (_server, hook) = from_flow(&flow(
        "answer",
        &tasks.replace("then: yes", "then: 'yes'").replace("then: no", "then: 'no'"),
    ))
    .await;
    let good = Call::post(&hook, &json!({ "good": true, "id": 7 })).send().await.is(201);
    assert_eq!((good.header("location"), good.json()), ("/orders/1", json!({ "made": 7 })));
    assert!(good.header("content-type").starts_with("application/json"), "{good}");
    let bad = Call::post(&hook, &json!({ "good": false })).send().await.is(422);
    assert_eq!(bad.json(), json!({ "made": null }));
}

#[tokio::test]
async fn the_flow_goes_on_after_it_has_answered() {
    let (stub, gate) = (Stub::start().await, Gate::new());
    stub.always("/after", Given::status(200).behind(&gate));
    let tasks = "
- answer: { call: respond:1.0.0@default, with: { body: { early: true } } }
- after: { call: http-request:1.0.0@default, with: { url: STUB/after } }
";
    let (server, hook) = from_flow(&flow("answer", &at(&stub, tasks))).await;
    assert_eq!(Call::post(&hook, &json!({})).send().await.is(200).json(), json!({ "early": true }));
    stub.wait_for("/after", 1).await;
    let run = only_run(&server).await;
    assert!(!run["endedAt"].is_string(), "{run}");
    gate.open();
    server.wait_for(run["id"].as_str().unwrap(), "completed").await;
}

#[tokio::test]
async fn a_second_answer_is_a_recorded_conflict() {
    let tasks = "
- first: { call: respond:1.0.0@default, with: { body: one } }
- second: { call: respond:1.0.0@default, with: { body: two } }
";
    let (server, hook) = from_flow(&flow("answer", tasks)).await;
    assert_eq!(Call::post(&hook, &json!({})).send().await.is(200).text(), "one");
    let run = until("the end of the run", async || {
        Some(only_run(&server).await).filter(|run| run["endedAt"].is_string())
    })
    .await;
    assert_eq!(run["steps"][0]["problem"], Value::Null, "{run}");
    assert!(run["steps"][1]["problem"]["detail"].is_string(), "{run}");
    assert_eq!(run["steps"][1]["name"], "second");
}

#[tokio::test]
async fn without_a_response_step_the_output_is_the_answer() {
    let (_server, hook) = from_flow(&flow("answer", "- one: { set: { total: 3 } }")).await;
    let answer = Call::post(&hook, &json!({})).send().await.is(200);
    assert_eq!(answer.json(), json!({ "total": 3 }));
    assert_eq!(answer.header("content-type"), "application/json");
}

#[tokio::test]
async fn an_output_of_null_is_204() {
    let document = flow_with("answer", "output: { as: '${ null }' }", "- one: { set: { a: 1 } }");
    let (_server, hook) = from_flow(&document).await;
    assert_eq!(Call::post(&hook, &json!({})).send().await.is(204).text(), "");
}

#[tokio::test]
async fn a_faulted_run_answers_500_with_its_problem() {
    let tasks = "- stop: { raise: { error: { type: https://example.com/errors/out-of-stock, status: 409, title: out of stock } } }";
    let (server, hook) = from_flow(&flow("answer", tasks)).await;
    let problem = Call::post(&hook, &json!({})).send().await.problem(500);
    assert_eq!(
        (&problem["type"], &problem["title"]),
        (&json!("https://example.com/errors/out-of-stock"), &json!("out of stock"))
    );
    assert_eq!(only_run(&server).await["status"], "faulted");
}

#[tokio::test]
async fn an_input_that_the_flow_refuses_answers_400() {
    let keys = "input: { schema: { format: json, document: { type: object, properties: { body: { required: [ id ] } } } } }";
    let (_server, hook) = from_flow(&flow_with("answer", keys, "- one: { set: { a: 1 } }")).await;
    Call::post(&hook, &json!({ "id": 1 })).send().await.is(200);
    let problem = Call::post(&hook, &json!({ "name": 1 })).send().await.problem(400);
    assert!(problem.to_string().contains("id"), "{problem}");
}

#[tokio::test]
async fn a_flow_that_is_too_late_answers_504_and_goes_on() {
    let (stub, gate) = (Stub::start().await, Gate::new());
    stub.always("/slow", Given::status(200).behind(&gate));
    let document =
        flow("answer", &at(&stub, "- slow: { call: http-request:1.0.0@default, with: { url: STUB/slow } }"));
    let (server, hook) = serve(&document, "{ respond: { from: flow, within: PT0.3S } }").await;
    let problem = Call::post(&hook, &json!({})).send().await.problem(504);
    let run = only_run(&server).await;
    let id = run["id"].as_str().unwrap();
    assert!(problem.to_string().contains(id), "the run's id is missing: {problem}");
    assert!(!run["endedAt"].is_string(), "{run}");
    stub.wait_for("/slow", 1).await;
    gate.open();
    server.wait_for(id, "completed").await;
}

#[tokio::test]
async fn an_answer_after_the_deadline_is_a_recorded_conflict() {
    let (stub, gate) = (Stub::start().await, Gate::new());
    stub.always("/slow", Given::status(200).behind(&gate));
    let tasks = "
- slow: { call: http-request:1.0.0@default, with: { url: STUB/slow } }
- answer: { call: respond:1.0.0@default, with: { body: late } }
";
    let (server, hook) =
        serve(&flow("answer", &at(&stub, tasks)), "{ respond: { from: flow, within: PT0.3S } }").await;
    Call::post(&hook, &json!({})).send().await.is(504);
    gate.open();
    let run = until("the end of the run", async || {
        Some(only_run(&server).await).filter(|run| run["endedAt"].is_string())
    })
    .await;
    assert!(run["steps"][1]["problem"]["detail"].is_string(), "{run}");
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_end_the_run() {
    let (stub, gate) = (Stub::start().await, Gate::new());
    stub.always("/slow", Given::status(200).behind(&gate));
    let document =
        flow("answer", &at(&stub, "- slow: { call: http-request:1.0.0@default, with: { url: STUB/slow } }"));
    let (server, hook) = from_flow(&document).await;
    let caller = tokio::spawn(Call::post(&hook, &json!({})).try_send());
    stub.wait_for("/slow", 1).await;
    caller.abort();
    gate.open();
    let run = only_run(&server).await;
    server.wait_for(run["id"].as_str().unwrap(), "completed").await;
}

/// As a problem, whose status is 400 unless said otherwise.
#[tokio::test]
async fn an_error_to_show_is_a_problem() {
    for (with, status, shown) in [
        (
            "{ error: the order is closed }",
            400,
            json!({ "type": "about:blank", "title": "the order is closed", "status": 400 }),
        ),
        (
            "{ status: 409, error: { title: closed, detail: '${ .body.id }', type: 'urn:closed' } }",
            409,
            json!({ "type": "urn:closed", "title": "closed", "detail": 7, "status": 409 }),
        ),
    ] {
        let tasks = format!("- show: {{ call: respond:1.0.0@default, with: {with} }}");
        let (_server, hook) = from_flow(&flow("answer", &tasks)).await;
        let answer = Call::post(&hook, &json!({ "id": 7 })).send().await.is(status);
        assert_eq!((answer.header("content-type"), answer.json()), ("application/problem+json", shown));
    }
}
