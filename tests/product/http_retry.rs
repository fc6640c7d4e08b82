//! A request that fails is sent again as its policy says: the attempts are in the run, and the waits are in the journal.

use std::time::{Duration, Instant};

use flowcell_tests::{Given, Stub};
use serde_json::{Value, json};

use crate::documents::{at, flow, serve};

fn ask(with: &str) -> String {
    format!("- ask: {{ call: http-request:1.0.0@default, with: {{ url: STUB/orders, {with} }} }}")
}

async fn run(stub: &Stub, with: &str) -> Value {
    let server = serve(&[&flow("ask", &at(stub, &ask(with)))]).await;
    server.run("shop/ask", &json!({})).await
}

/// The status of each attempt's problem, in order.
fn attempts(run: &Value) -> Vec<Value> {
    let attempts = run["steps"][0]["attempts"].as_array().cloned().unwrap_or_default();
    attempts.into_iter().map(|attempt| attempt["problem"]["status"].clone()).collect()
}

#[tokio::test]
async fn what_repeats_without_harm_is_sent_again_until_it_succeeds() {
    let stub = Stub::start().await;
    stub.next("/orders", Given::status(503)).next("/orders", Given::status(502));
    let run = run(&stub, "method: PUT, body: { n: 1 }, retry: { delay: PT0.05S }").await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(attempts(&run), [json!(503), json!(502), Value::Null]);
    assert_eq!(stub.seen("/orders").len(), 3);
}

#[tokio::test]
async fn a_post_is_sent_again_when_asked_for_under_one_key() {
    let stub = Stub::start().await;
    stub.next("/orders", Given::status(503)).next("/orders", Given::status(503));
    let run = run(&stub, "method: POST, body: { n: 1 }, retry: { delay: PT0.05S }").await;
    assert_eq!(run["status"], "completed", "{run}");
    let seen = stub.seen("/orders");
    let key = |at: usize| seen[at].header("idempotency-key").to_owned();
    assert!(seen.len() == 3 && !key(0).is_empty() && key(0) == key(1) && key(1) == key(2));
}

#[tokio::test]
async fn when_all_attempts_are_made_the_last_answer_counts() {
    let stub = Stub::start().await;
    stub.always("/orders", Given::status(503));
    let policy = "retry: { delay: PT0.05S, backoff: constant, limit: { attempt: { count: 2 } } }";
    let failed = run(&stub, policy).await;
    assert_eq!((&failed["status"], &failed["problem"]["status"]), (&json!("faulted"), &json!(503)));
    assert_eq!(attempts(&failed), [503, 503, 503]);
    let allowed = run(&stub, &format!("{policy}, allowFailure: true")).await;
    assert_eq!((&allowed["status"], &allowed["output"]["success"]), (&json!("completed"), &json!(false)));
    assert_eq!(stub.seen("/orders").len(), 6);
}

#[tokio::test]
async fn the_other_side_may_ask_for_a_longer_pause() {
    let stub = Stub::start().await;
    stub.next("/orders", Given::status(429).header("retry-after", "2"));
    let began = Instant::now();
    let run = run(&stub, "retry: { delay: PT0.05S }").await;
    assert_eq!(attempts(&run), [json!(429), Value::Null]);
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_another_attempt_cannot_mend_is_not_sent_again() {
    let stub = Stub::start().await;
    for status in [400, 404, 500] {
        stub.next("/orders", Given::status(status));
        let run = run(&stub, "retry: { delay: PT0.05S }").await;
        assert_eq!(attempts(&run), [status], "{run}");
    }
}

#[tokio::test]
async fn a_policy_that_is_out_of_range_is_refused_when_it_is_deployed() {
    let stub = Stub::start().await;
    let server = serve(&[&flow("other", "- one: { set: { a: 1 } }")]).await;
    let text = flow("ask", &at(&stub, &ask("retry: { limit: { attempt: { count: 51 } } }")));
    let answer = server.call("PUT", "/api/v1/flows/shop/ask").body("application/yaml", text).send().await;
    let problem = answer.problem(400);
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("`with.retry.limit.attempt.count`") && detail.contains("50"), "{problem}");
}

#[tokio::test]
async fn what_is_not_ready_is_asked_for_again_through_kill_9() {
    let stub = Stub::start().await;
    stub.next("/orders", Given::status(202).header("location", "/status"));
    stub.next("/status", Given::status(202).header("location", "/status").header("retry-after", "1"));
    stub.next("/status", Given::json(200, &json!({ "done": true })));
    let server = serve(&[&flow("ask", &at(&stub, &ask("method: POST, poll: { interval: PT0.1S }")))]).await;
    let run = server.begin("shop/ask", &json!({})).await;
    stub.wait_for("/status", 1).await;
    let server = server.kill9().await.start().await;
    let run = server.wait_for(&run, "completed").await;
    assert_eq!(run["output"]["body"], json!({ "done": true }));
    assert_eq!((stub.seen("/orders").len(), stub.seen("/status").len() >= 2), (1, true), "{run}");
}

#[tokio::test]
async fn a_policy_may_have_a_name() {
    let stub = Stub::start().await;
    stub.next("/orders", Given::status(503)).next("/orders", Given::status(503));
    let uses = "use: { retries: { gently: { delay: PT0.05S, backoff: { constant: {} }, limit: { attempt: { count: 2 } } } } }";
    let text = crate::documents::flow_with(
        "ask",
        uses,
        &at(&stub, &ask("method: POST, body: { n: 1 }, retry: gently")),
    );
    let server = serve(&[&text]).await;
    let run = server.run("shop/ask", &json!({})).await;
    assert_eq!(
        (&run["status"], attempts(&run)),
        (&json!("completed"), vec![json!(503), json!(503), Value::Null])
    );
    // By way of a function that says nothing of it itself.
    stub.next("/orders", Given::status(503));
    let text = crate::documents::flow_with(
        "ask",
        &uses.replace("use: {", "use: { functions: { order: { call: 'http-request:1.0.0@default' } },"),
        &at(
            &stub,
            "- ask: { call: order, with: { url: STUB/orders, method: POST, body: { n: 1 }, retry: gently } }",
        ),
    );
    let server = serve(&[&text]).await;
    let run = server.run("shop/ask", &json!({})).await;
    assert_eq!(attempts(&run), vec![json!(503), Value::Null], "{run}");
    let wrong = text.replace("retry: gently", "retry: gentle");
    let put = server.call("PUT", "/api/v1/flows/shop/ask").body("application/yaml", wrong).send().await;
    let problem = put.problem(400);
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("`use.retries` has no `gentle`: did you mean `gently`?"), "{problem}");
}
