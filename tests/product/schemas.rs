//! JSON Schemas that strangers write: those that would take the host's time or memory are ended by their tenant's quotas,
//! and the host answers all the while.

use std::pin::pin;
use std::time::Duration;

use flowcell_tests::{Call, Server, probe};
use serde_json::{Value, json};

use crate::FLOWCELL;
use crate::documents::{echo, flow, flow_with, hook, local, serve};

/// Each looks at a text of a and b anew for every place in it.
pub fn patterns(count: usize) -> Value {
    let pattern = |n| json!({ "pattern": format!("a[ab]{{900}}[^ab{n}]") });
    json!({ "allOf": (0..count).map(pattern).collect::<Vec<_>>() })
}

/// A schema that refers to each definition twice.
pub fn doubling(levels: usize) -> Value {
    let level = |n: usize| {
        let next = json!({ "$ref": format!("#/$defs/d{}", n + 1) });
        (format!("d{n}"), json!({ "allOf": [next, next] }))
    };
    let mut definitions: serde_json::Map<String, Value> = (0..levels).map(level).collect();
    definitions.insert(format!("d{levels}"), json!({ "type": "string" }));
    json!({ "$ref": "#/$defs/d0", "$defs": definitions })
}

/// 300 KB of a and b, in which no part repeats another one.
pub fn text_of_a_and_b() -> Value {
    let next = |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    let states = std::iter::successors(Some(1), next).take(300_000);
    json!(states.map(|state| if state >> 63 == 0 { 'a' } else { 'b' }).collect::<String>())
}

/// A flow whose input is compared with this schema.
pub fn with_input(name: &str, schema: &Value) -> String {
    let keys = format!("input: {{ schema: {{ format: json, document: {schema} }} }}");
    flow_with(name, &keys, "- one: { set: { a: 1 } }")
}

/// What `work` comes to. The host says meanwhile that it is well.
async fn while_it_answers<T>(server: &Server, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        let asked = tokio::time::timeout(Duration::from_secs(5), server.get("/healthz"));
        let answer = asked.await.expect("the host answers within seconds");
        answer.is(200);
        let next = tokio::time::timeout(Duration::from_millis(20), &mut work);
        if let Ok(came) = next.await {
            return came;
        }
    }
}

async fn faulted(server: &Server, flow: &str, input: &Value) -> String {
    let run = server.run(flow, input).await;
    assert_eq!(run["status"], "faulted", "{run}");
    assert!(run["problem"]["type"].as_str().is_some_and(|kind| kind.ends_with("errors/validation")), "{run}");
    run["problem"]["detail"].as_str().expect("a validation error has a detail").to_owned()
}

#[tokio::test]
async fn schemas_of_a_flow_that_would_not_end_are_ended_by_the_cpu_quota() {
    let task = format!("- one: {{ input: {{ schema: {{ document: {} }} }}, set: {{ a: 1 }} }}", patterns(20));
    let server = serve(&[
        &with_input("input", &patterns(20)),
        &flow("task", &task),
        &with_input("doubling", &doubling(24)),
        &with_input("fine", &json!({ "properties": { "id": { "pattern": "^[a-z]+$" } } })),
    ])
    .await;
    let text = text_of_a_and_b();
    let both =
        async { tokio::join!(faulted(&server, "shop/input", &text), faulted(&server, "shop/input", &text)) };
    let (one, other) = while_it_answers(&server, Box::pin(both)).await;
    let expected = "the run's input: the schema used up its CPU time of 250 ms (`tenant.quota.cpu`): write it with smaller";
    assert!(one.starts_with(expected) && other == one, "{one}\n{other}");
    let task = while_it_answers(&server, faulted(&server, "shop/task", &text)).await;
    assert!(task.starts_with("the task's input: the schema used up its CPU time"), "{task}");
    let doubling = while_it_answers(&server, faulted(&server, "shop/doubling", &json!("x"))).await;
    assert!(doubling.starts_with("the run's input: the schema used up its CPU time"), "{doubling}");
    assert_eq!(server.run("shop/fine", &json!({ "id": "a" })).await["status"], "completed");
    let wrong = faulted(&server, "shop/fine", &json!({ "id": "7" })).await;
    assert_eq!(wrong, "the run's input: `/id`: \"7\" does not match \"^[a-z]+$\"");
}

#[tokio::test]
async fn a_host_starts_again_whose_runs_were_at_such_schemas() {
    let schema = patterns(20);
    let tasks = format!(
        "- one: {{ set: {{ a: '${{ . }}' }}, output: {{ as: '${{ .a }}' }} }}\n\
         - two: {{ input: {{ schema: {{ document: {schema} }} }}, set: {{ a: 1 }} }}"
    );
    let server = serve(&[&flow("work", &tasks)]).await;
    let mut runs = vec![];
    for _ in 0..4 {
        runs.push(server.begin("shop/work", &text_of_a_and_b()).await);
    }
    let server = server.kill9().await.start().await;
    let ended = async {
        for run in &runs {
            let run = server.wait_for(run, "faulted").await;
            let detail = run["problem"]["detail"].as_str().unwrap();
            assert!(detail.starts_with("the task's input: the schema used up its CPU time"), "{detail}");
        }
    };
    while_it_answers(&server, Box::pin(ended)).await;
}

#[tokio::test]
async fn a_schema_of_a_hook_is_on_the_account_of_the_request() {
    let with = format!("{{ schema: {}, respond: {{ from: flow }} }}", patterns(20));
    let mut server = serve(&[&echo(), &hook("in", "echo", &with)]).await;
    let url = server.hook("shop/in").await;
    let text = text_of_a_and_b();
    let call = || async { Call::post(&url, &text).send().await };
    let both = async { tokio::join!(call(), call()) };
    let (one, other) = while_it_answers(&server, Box::pin(both)).await;
    for answer in [one, other] {
        let problem = answer.problem(500);
        assert!(problem["detail"].as_str().unwrap().contains("the host's log says why"), "{problem}");
    }
    assert!(server.runs("").await.is_empty());
    Call::post(&url, &json!("short")).send().await.problem(400);
}

#[tokio::test]
async fn a_schema_of_a_plugin_that_would_not_end_is_a_finding() {
    let lists = (0..20).fold(json!(1), |inside, _| json!([inside]));
    let task =
        |with: &str| format!("- probe: {{ call: flowcell-probe.entangled:1.0.0@default, with: {with} }}");
    let wasm = std::fs::read(probe()).unwrap();
    let setup = FLOWCELL.serve().config(local("")).file("probe.wasm", wasm);
    let server = setup.file("flow.yaml", flow("given", &task("'${ . }'"))).start().await;
    let written = flow("written", &task(&json!({ "lists": lists }).to_string()));
    let put = async {
        server.call("PUT", "/api/v1/flows/shop/written").body("application/yaml", written).send().await
    };
    let problem = while_it_answers(&server, put).await.problem(400);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("`with`: the schema used up its CPU time of 250 ms"), "{problem}");
    let run = while_it_answers(&server, server.run("shop/given", &json!({ "lists": lists }))).await;
    assert!(run["problem"].to_string().contains("the schema used up its CPU time"), "{run}");
    let run = server.run("shop/given", &json!({ "lists": [[], [[]]] })).await;
    assert_eq!(run["output"], json!([[], [[]]]), "{run}");
}

#[tokio::test]
async fn what_is_wrong_with_a_schema_is_found_where_it_is_deployed() {
    let server = serve(&[&echo()]).await;
    for (schema, expected) in [
        (json!({ "pattern": "(" }), "this is not a usable JSON Schema"),
        (json!({ "$ref": "https://example.com/x.json" }), "this is not a usable JSON Schema"),
    ] {
        let text = with_input("wrong", &schema);
        let put = server.call("PUT", "/api/v1/flows/shop/wrong").body("application/yaml", text).send().await;
        let problem = put.problem(400);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("line 2, ") && detail.contains(expected), "{problem}");
    }
    let keys = "output: { schema: { document: { type: object, pattern: '^a$' } } }";
    let text = flow_with("right", keys, "- one: { set: { a: 1 } }");
    let put = server.call("PUT", "/api/v1/flows/shop/right").body("application/yaml", text).send().await;
    put.is(201);
    assert_eq!(server.run("shop/right", &json!({})).await["output"], json!({ "a": 1 }));
}

/// Where the host compiled a hundred of these, it held 1.5 GiB for as long as the flow was known.
#[tokio::test]
async fn a_hundred_patterns_cost_the_host_no_memory() {
    let many = with_input("many", &patterns(100));
    let mut server = serve(&[&echo(), &many]).await;
    let before = server.process().peak_memory_mib();
    for edition in ["1.0.1", "1.0.2"] {
        let text = many.replace("1.0.0", edition);
        server.call("PUT", "/api/v1/flows/shop/many").body("application/yaml", text).send().await;
        let detail = faulted(&server, "shop/many", &text_of_a_and_b()).await;
        assert!(
            detail.starts_with("the run's input: the schema ") && detail.contains("tenant.quota"),
            "{detail}"
        );
    }
    let after = server.process().peak_memory_mib();
    assert!(after < before + 200, "{before} MiB before, {after} MiB after");
}
