//! Exchanges that break off at every byte, bodies that are large, and what the host makes of both.

use flowcell_tests::{ANSWER, Cut, Fault, Given, Stub};
use serde_json::{Value, json};

use crate::documents::{at, flow, serve};

/// Bytes of a request of these tests, about; more does no harm.
const REQUEST: usize = 260;

fn ask(with: &str) -> String {
    flow(
        "ask",
        &format!("- ask: {{ call: http-request:1.0.0@default, with: {{ url: '${{ .url }}', {with} }} }}"),
    )
}

/// Every byte of the request, then every byte of the answer.
fn cuts() -> Vec<Cut> {
    (0..REQUEST).map(Cut::Request).chain((0..=ANSWER.len()).map(Cut::Answer)).collect()
}

/// Runs `ask` for every cut, some at a time.
async fn run_all(server: &flowcell_tests::Server, fault: &Fault, count: usize) -> Vec<Value> {
    let mut runs = vec![];
    let numbers: Vec<usize> = (0..count).collect();
    for some in numbers.chunks(32) {
        let all = some.iter().map(|number| {
            let input = json!({ "url": fault.url(*number) });
            async move { server.run("shop/ask", &input).await }
        });
        runs.extend(futures_util::future::join_all(all).await);
    }
    runs
}

/// Nobody asked for a repetition: what has begun to arrive does not come again.
#[tokio::test]
async fn a_post_that_is_cut_at_any_byte_is_not_sent_a_second_time() {
    let cuts = cuts();
    let (fault, count) = (Fault::start(cuts.clone(), false).await, cuts.len());
    let server = serve(&[&ask("method: POST, body: { n: 1 }")]).await;
    let runs = run_all(&server, &fault, count).await;
    for (number, run) in runs.iter().enumerate() {
        let (came, cut) = (fault.came(number), cuts[number]);
        assert_eq!(came.begun, 1, "{cut:?}: {came:?}");
        let is_whole = matches!(cut, Cut::Answer(at) if at >= ANSWER.len());
        assert_eq!(run["status"] == "completed", is_whole, "{cut:?}: {run}");
        if !is_whole {
            let data = &run["problem"]["data"];
            assert!(data["code"] == "reset" && data["sent"] != "no", "{cut:?}: {run}");
        }
        assert_eq!(run["steps"][0]["attempts"].as_array().map(Vec::len), Some(1), "{cut:?}");
    }
}

/// A repetition was asked for, or does no harm: it comes until there is an answer, and not once more.
#[tokio::test]
async fn what_may_be_repeated_is_repeated_until_one_answer_is_whole_and_not_after_it() {
    for with in [
        "method: POST, body: { n: 1 }, retry: { delay: PT0.01S, backoff: constant }",
        "method: PUT, body: { n: 1 }, retry: { delay: PT0.01S, backoff: constant }",
    ] {
        let cuts = cuts();
        let (fault, count) = (Fault::start(cuts.clone(), true).await, cuts.len());
        let server = serve(&[&ask(with)]).await;
        let runs = run_all(&server, &fault, count).await;
        for (number, run) in runs.iter().enumerate() {
            let (came, cut) = (fault.came(number), cuts[number]);
            assert_eq!(run["status"], "completed", "{cut:?}: {run}");
            assert_eq!(came.answered, 1, "{cut:?}: {came:?}");
            assert_eq!(
                came.begun,
                if matches!(cut, Cut::Answer(at) if at >= ANSWER.len()) { 1 } else { 2 },
                "{cut:?}"
            );
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn ten_mebibytes_go_through_a_step_both_ways_and_more_is_too_large_with_the_memory_flat() {
    let stub = Stub::start().await;
    let text: String = ('a'..='z').cycle().take(10 << 20).collect();
    stub.always("/large", Given::body(200, "text/plain", text.clone()));
    stub.always("/larger", Given::body(200, "text/plain", "x".repeat(200 << 20)));
    let tasks = "- read: { call: http-request:1.0.0@default, with: { url: STUB/large } }\n\
                 - write: { call: http-request:1.0.0@default, with: { url: STUB/sink, method: POST, contentType: text, body: '${ .body }' } }";
    let more = "- read: { call: http-request:1.0.0@default, with: { url: STUB/larger } }";
    let mut server = serve(&[&flow("through", &at(&stub, tasks)), &flow("more", &at(&stub, more))]).await;
    // The first call of a plugin makes room that stays.
    assert_eq!(server.run("shop/more", &json!({})).await["status"], "faulted");
    let before = server.process().peak_memory_mib();
    for _ in 0..3 {
        let run = server.run("shop/more", &json!({})).await;
        assert_eq!(run["problem"]["data"]["code"], "too-large", "{run}");
    }
    let after = server.process().peak_memory_mib();
    assert!(after - before < 16, "too large an answer costs nothing: {before} MiB before, {after} MiB after");
    let run = server.run("shop/through", &json!({})).await;
    assert_eq!(run["status"], "completed", "{}", run["problem"]);
    let sent = &stub.seen("/sink")[0];
    assert!(sent.body == text.as_bytes(), "{} bytes arrived", sent.body.len());
    let most = server.process().peak_memory_mib();
    assert!(most - before < 400, "a body of 10 MiB costs {} MiB", most - before);
}
