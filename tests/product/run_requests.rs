//! Flows that call an HTTP server: what arrives there, and what comes of its answers.

use flowcell_tests::{Folder, Given, Output, Stub};
use serde_json::{Value, json};

use crate::FLOWCELL;
use crate::documents::{at, flow};

async fn run(stub: &Stub, tasks: &str, input: &Value) -> Output {
    let folder = Folder::new();
    folder.write("flow.yaml", flow("request", &at(stub, tasks)));
    let command = FLOWCELL.command(["run", "flow.yaml", "--input"]).arg(input.to_string());
    command.in_folder(folder.path()).output().await
}

#[tokio::test]
async fn a_flow_calls_a_server_and_goes_on_by_its_answer() {
    let stub = Stub::start().await;
    stub.next("/stock/7", Given::json(200, &json!({ "left": 9 })));
    stub.next("/stock/7", Given::json(200, &json!({ "left": 2 })));
    let tasks = "
- ask: { call: http-request:1.0.0@default, with: { url: 'STUB/stock/7' } }
- decide:
    switch:
      - plenty: { when: '${ .body.left > 5 }', then: sell }
      - otherwise: { then: refuse }
- refuse: { set: { answer: refused }, then: end }
- sell: { set: { answer: '${ \"sell \\(.body.left)\" }' } }
";
    assert_eq!(run(&stub, tasks, &json!({})).await.exited(0).json(), json!({ "answer": "sell 9" }));
    assert_eq!(run(&stub, tasks, &json!({})).await.exited(0).json(), json!({ "answer": "refused" }));
}

#[tokio::test]
async fn the_output_of_a_request_has_one_shape() {
    let stub = Stub::start().await;
    stub.next("/a", Given::json(201, &json!({ "id": 1 })).header("x-made-by", "stub"));
    let output =
        run(&stub, "- ask: { call: http-request:1.0.0@default, with: { url: STUB/a } }", &json!({})).await;
    let output = output.exited(0).json();
    assert_eq!(output["status"], 201);
    assert_eq!(output["success"], true);
    assert_eq!(output["body"], json!({ "id": 1 }));
    assert_eq!(output["headers"]["x-made-by"], "stub");
    assert_eq!(output["url"], format!("{}/a", stub.url()));
    assert_eq!(output["redirects"], json!([]));
}

#[tokio::test]
async fn a_server_sees_exactly_what_the_step_says() {
    let stub = Stub::start().await;
    let tasks = "
- send:
    call: http-request:1.0.0@default
    with:
      url: STUB/orders?kept=1
      method: PUT
      query: { dry: true, tag: [a, b], left-out: null, space: 'a b&c' }
      headers: { x-order: '${ .id }' }
      body: { id: '${ .id }', note: '${ .note }' }
      basic: { username: u, password: p }
";
    run(&stub, tasks, &json!({ "id": 17, "note": "a \"quote\"\nand a line" })).await.exited(0);
    let [seen] = &stub.seen("/orders")[..] else { panic!("one request") };
    assert_eq!(seen.method, "PUT");
    assert_eq!(
        seen.query,
        "kept=1&dry=true&space=a%20b%26c&tag=a&tag=b".replace("%20", seen_space(&seen.query))
    );
    assert_eq!(seen.header("x-order"), "17");
    assert_eq!(seen.header("authorization"), "Basic dTpw");
    assert_eq!(seen.header("content-type"), "application/json");
    assert_eq!(seen.json(), json!({ "id": 17, "note": "a \"quote\"\nand a line" }));
}

/// Both spellings of a space in a query mean a space.
fn seen_space(query: &str) -> &'static str {
    if query.contains('+') { "+" } else { "%20" }
}

#[tokio::test]
async fn each_method_arrives_as_itself() {
    let stub = Stub::start().await;
    let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let task = |method: &&str| {
        format!(
            "- by-{method}: {{ call: http-request:1.0.0@default, with: {{ url: STUB/m, method: {method} }} }}\n"
        )
    };
    run(&stub, &methods.iter().map(task).collect::<String>(), &json!({})).await.exited(0);
    let seen: Vec<_> = stub.seen("/m").into_iter().map(|seen| seen.method).collect();
    assert_eq!(seen, methods);
}

#[tokio::test]
async fn form_rows_arrive_as_a_form() {
    let stub = Stub::start().await;
    let tasks = "
- send:
    call: http-request:1.0.0@default
    with: { url: STUB/form, method: POST, contentType: form, body: [ { name: a, value: t1 }, { name: a, value: '&=1' } ] }
";
    run(&stub, tasks, &json!({})).await.exited(0);
    let [seen] = &stub.seen("/form")[..] else { panic!("one request") };
    assert_eq!(seen.header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(seen.body, "a=t1&a=%26%3D1");
}

#[tokio::test]
async fn a_post_is_not_repeated_unasked() {
    let stub = Stub::start().await;
    stub.always("/orders", Given::status(503));
    let tasks = "- order: { call: http-request:1.0.0@default, with: { url: STUB/orders, method: POST } }";
    assert_eq!(run(&stub, tasks, &json!({})).await.exited(1).problem()["status"], 503);
    assert_eq!(stub.seen("/orders").len(), 1);
}

#[tokio::test]
async fn a_flow_repeats_by_its_own_try() {
    let stub = Stub::start().await;
    stub.next("/orders", Given::status(503)).next("/orders", Given::status(503));
    let tasks = "
- attempt:
    try:
      - order: { call: http-request:1.0.0@default, with: { url: STUB/orders, method: POST } }
    catch:
      errors: { with: { status: 503 } }
      retry: { delay: PT0.01S, backoff: { constant: {} }, limit: { attempt: { count: 3 } } }
";
    assert_eq!(run(&stub, tasks, &json!({})).await.exited(0).json()["status"], 200);
    assert_eq!(stub.seen("/orders").len(), 3);
}

#[tokio::test]
async fn a_failed_answer_stays_readable_where_failure_is_allowed() {
    let stub = Stub::start().await;
    stub.always("/gone", Given::json(404, &json!({ "why": "sold" })));
    let tasks = "- ask: { call: http-request:1.0.0@default, with: { url: STUB/gone, allowFailure: true } }";
    let output = run(&stub, tasks, &json!({})).await.exited(0).json();
    assert_eq!((&output["success"], &output["status"]), (&json!(false), &json!(404)));
    assert_eq!(output["body"]["why"], "sold");
    assert_eq!(output["error"]["code"], "http-status");
}

#[tokio::test]
async fn a_slow_answer_is_a_timeout_that_a_flow_can_catch() {
    let (stub, gate) = (Stub::start().await, flowcell_tests::Gate::new());
    stub.always("/slow", Given::status(200).behind(&gate));
    let tasks = "
- attempt:
    try:
      - ask: { call: http-request:1.0.0@default, with: { url: STUB/slow, method: POST, timeout: PT0.25S } }
    catch:
      as: caught
      do:
        - tell: { set: { code: '${ $caught.data.code }', status: '${ $caught.status }' } }
";
    let output = run(&stub, tasks, &json!({})).await.exited(0).json();
    assert_eq!(output["code"], "timeout", "{output}");
}

#[tokio::test]
async fn bytes_of_any_value_come_back_as_base64() {
    let stub = Stub::start().await;
    let every: Vec<u8> = (0..=255).collect();
    stub.always("/bytes", Given::body(200, "application/octet-stream", every));
    let output =
        run(&stub, "- ask: { call: http-request:1.0.0@default, with: { url: STUB/bytes } }", &json!({}))
            .await;
    let output = output.exited(0).json();
    assert_eq!(output["encoding"], "base64");
    let body = output["body"].as_str().unwrap();
    assert!(
        body.starts_with("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g") && body.ends_with("+fr7/P3+/w=="),
        "{body}"
    );
    assert_eq!(body.len(), 344);
}

#[tokio::test]
async fn a_redirect_is_followed_and_shown() {
    let stub = Stub::start().await;
    stub.always("/old", Given::status(302).header("location", "/new"));
    stub.always("/new", Given::body(200, "text/html", "<p>here</p>"));
    let output =
        run(&stub, "- ask: { call: http-request:1.0.0@default, with: { url: STUB/old } }", &json!({})).await;
    let output = output.exited(0).json();
    assert_eq!(output["body"], "<p>here</p>");
    assert_eq!(output["url"], format!("{}/new", stub.url()));
    assert_eq!(output["redirects"].as_array().map(Vec::len), Some(1), "{output}");
}
