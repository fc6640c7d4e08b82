//! Steps that wait for the world: what wakes them, what their address answers, and what is undone when they are left.

use std::time::Duration;

use flowcell_tests::{Answer, Call, Gate, Given, Server, Setup, Stub, probe, until};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::FLOWCELL;
use crate::documents::{at, flow, flow_with, local, together};

/// Flows that call the probe's `wait` with their own input: `shop/wait`, and `shop/volatile` which is not durable.
fn setup(quota: &str) -> Setup {
    let wasm = std::fs::read(probe()).unwrap_or_else(|error| panic!("the probe is not built: {error}"));
    let tasks = "- probe: { call: flowcell-probe.wait:1.0.0@default, with: '${ . }' }";
    let volatile = flow_with("volatile", "", tasks)
        .replace("version: '1.0.0' }", "version: '1.0.0', metadata: { durable: false } }");
    let flows = together(&[&flow("wait", tasks), &volatile]);
    FLOWCELL.serve().config(local(quota)).file("probe.wasm", wasm).file("flows.yaml", flows)
}

/// What a step told the stub, one word each: the event, with the reason where there is one.
fn told(stub: &Stub) -> Vec<String> {
    let word = |told: Value| match told["reason"].as_str() {
        Some(reason) => format!("cancel {reason}"),
        None => told["event"].as_str().unwrap_or_default().to_owned(),
    };
    stub.seen("/told").iter().map(|seen| word(seen.json())).collect()
}

/// The callback address that the first step told the stub, at this server: the port is another one after a restart.
async fn address(server: &Server, stub: &Stub) -> String {
    let seen = stub.wait_for("/told", 1).await;
    let url = seen[0].json()["callback"].as_str().unwrap_or_default().to_owned();
    let token = url.rsplit('/').next().unwrap_or_default();
    format!("{}/callbacks/{token}", server.url())
}

async fn call_back(url: &str, body: &Value) -> Answer {
    Call::post(url, body).send().await
}

/// Begins a run that is to wait for a callback and to tell the stub, with more of an input.
async fn begin(server: &Server, stub: &Stub, flow: &str, more: &Value) -> String {
    let mut input = json!({ "callback": true, "tell": format!("{}/told", stub.url()) });
    for (key, value) in more.as_object().into_iter().flatten() {
        input[key] = value.clone();
    }
    server.begin(flow, &input).await
}

/// A run of `shop/wait` that waits for a callback, and its address.
async fn suspended(server: &Server, stub: &Stub, more: &Value) -> (String, String) {
    let run = begin(server, stub, "shop/wait", more).await;
    server.wait_for(&run, "suspended").await;
    (run, address(server, stub).await)
}

#[tokio::test]
async fn a_callback_resumes_the_step_it_was_minted_for() {
    let stub = Stub::start().await;
    let server = setup("").start().await;
    let (run, url) = suspended(&server, &stub, &json!({})).await;
    let looked = Call::get(&url).send().await.is(405);
    assert!(looked.text().contains("waiting step") && looked.header("allow") == "POST");
    // Whichever character is another one.
    let nowhere = server.call("POST", "/callbacks/AAAA").send().await.is(404).text();
    let token = url.rfind('/').expect("an address has a path") + 1;
    for at in token..url.len() {
        let other = if url.as_bytes()[at] == b'A' { "B" } else { "A" };
        let altered = format!("{}{other}{}", &url[..at], &url[at + 1..]);
        assert_eq!(call_back(&altered, &json!({})).await.is(404).text(), nowhere, "{altered}");
    }
    assert_eq!(server.look(&run).await["status"], "suspended");
    call_back(&format!("{url}?from=bank&n=1"), &json!({ "paid": true })).await.is(202);
    let run = server.wait_for(&run, "completed").await;
    let expected =
        json!([{ "kind": "callback", "body": { "paid": true }, "query": { "from": "bank", "n": "1" } }]);
    assert_eq!(run["output"], expected);
    assert_eq!(run["steps"][0]["attempts"].as_array().map(Vec::len), Some(1), "{run}");

    let gone = call_back(&url, &json!({})).await.is(410);
    assert!(gone.text().contains("does not wait any more"), "{}", gone.text());
}

#[tokio::test]
async fn a_callback_inside_the_request_that_asks_for_it_is_kept() {
    let stub = Stub::start().await;
    let gate = Gate::new();
    stub.next("/told", Given::status(200).behind(&gate));
    let server = setup("").start().await;
    let run = begin(&server, &stub, "shop/wait", &json!({})).await;
    let url = address(&server, &stub).await;
    call_back(&url, &json!(1)).await.is(202);
    let busy = call_back(&url, &json!(2)).await.is(409);
    assert!(busy.text().contains("another callback"), "{}", busy.text());
    gate.open();
    let run = server.wait_for(&run, "completed").await;
    assert_eq!(run["output"][0]["body"], 1);
}

#[tokio::test]
async fn of_twenty_callbacks_at_once_one_resumes_the_step() {
    let stub = Stub::start().await;
    let server = setup("").start().await;
    let (run, url) = suspended(&server, &stub, &json!({})).await;
    let mut calls = JoinSet::new();
    for number in 0..20 {
        let url = url.clone();
        calls.spawn(async move { (number, call_back(&url, &json!(number)).await.status) });
    }
    let answers = calls.join_all().await;
    let taken: Vec<_> = answers.iter().filter(|(_, status)| *status == 202).collect();
    assert!(answers.iter().all(|(_, status)| [202, 409, 410].contains(status)), "{answers:?}");
    assert_eq!(taken.len(), 1, "{answers:?}");
    let run = server.wait_for(&run, "completed").await;
    assert_eq!(run["output"][0]["body"], taken[0].0);
    assert_eq!(told(&stub), ["start", "resume"]);
}

#[tokio::test]
async fn a_waiting_step_survives_kill_9() {
    let stub = Stub::start().await;
    let server = setup("").start().await;
    let (run, _) = suspended(&server, &stub, &json!({})).await;
    let server = server.kill9().await.start().await;
    assert_eq!(server.look(&run).await["status"], "suspended");
    call_back(&address(&server, &stub).await, &json!("after")).await.is(202);
    assert_eq!(server.wait_for(&run, "completed").await["output"][0]["body"], "after");
}

#[tokio::test]
async fn an_acknowledged_callback_survives_kill_9() {
    let stub = Stub::start().await;
    let server = setup("").start().await;
    let (run, url) = suspended(&server, &stub, &json!({})).await;
    stub.next("/told", Given::status(200).behind(&Gate::new()));
    call_back(&url, &json!("before")).await.is(202);
    stub.wait_for("/told", 2).await;
    let server = server.kill9().await.start().await;
    let run = server.wait_for(&run, "completed").await;
    assert_eq!(run["output"][0]["body"], "before");
    assert_eq!(run["steps"][0]["attempts"].as_array().map(Vec::len), Some(2), "{run}");
    assert_eq!(told(&stub), ["start", "resume", "resume"]);
}

#[tokio::test]
async fn a_step_that_waits_too_long_times_out_and_is_undone() {
    let stub = Stub::start().await;
    let server = setup("").start().await;
    let run = begin(&server, &stub, "shop/wait", &json!({ "deadlineMs": 300 })).await;
    let url = address(&server, &stub).await;
    let faulted = server.wait_for(&run, "faulted").await;
    assert!(faulted["problem"]["type"].as_str().is_some_and(|kind| kind.ends_with("/timeout")), "{faulted}");
    call_back(&url, &json!({})).await.is(410);
    stub.wait_for("/told", 2).await;
    assert_eq!(told(&stub), ["start", "cancel timeout"]);
}

#[tokio::test]
async fn a_cancelled_step_is_undone_and_a_failure_of_that_is_tried_again_and_shown() {
    let stub = Stub::start().await;
    let server = setup("").start().await;
    let (run, url) = suspended(&server, &stub, &json!({})).await;
    stub.next("/told", Given::status(503));
    let cancelled = server.post(&format!("/api/v1/runs/{run}/cancel"), &json!({})).await.is(200);
    assert_eq!(cancelled.json()["status"], "cancelled");
    call_back(&url, &json!({})).await.is(410);
    let step = until("the step to be undone", async || {
        let step = server.look(&run).await["steps"][0].clone();
        (step["cleanup"]["status"] == "completed").then_some(step)
    })
    .await;
    assert_eq!(step["cleanup"]["attempts"], 2, "{step}");
    assert_eq!(told(&stub), ["start", "cancel cancelled", "cancel cancelled"]);
    // What is over is over: a second cancel changes nothing and does not wait.
    let again = server.post(&format!("/api/v1/runs/{run}/cancel"), &json!({})).await.is(200);
    assert_eq!(again.json()["status"], "cancelled");
}

#[tokio::test]
async fn undoing_goes_on_after_kill_9() {
    let stub = Stub::start().await;
    let server = setup("").start().await;
    let (run, _) = suspended(&server, &stub, &json!({})).await;
    stub.next("/told", Given::status(200).behind(&Gate::new()));
    server.post(&format!("/api/v1/runs/{run}/cancel"), &json!({})).await.is(200);
    stub.wait_for("/told", 2).await;
    let server = server.kill9().await.start().await;
    until("the step to be undone", async || {
        let run = server.look(&run).await;
        assert_eq!(run["status"], "cancelled");
        (run["steps"][0]["cleanup"]["status"] == "completed").then_some(())
    })
    .await;
    assert_eq!(told(&stub), ["start", "cancel cancelled", "cancel cancelled"]);
}

#[tokio::test]
async fn a_step_may_be_tidied_up_after_its_own_end_too() {
    let stub = Stub::start().await;
    let server = setup("").start().await;
    let (run, url) = suspended(&server, &stub, &json!({ "cleanup": true })).await;
    call_back(&url, &json!({})).await.is(202);
    server.wait_for(&run, "completed").await;
    stub.wait_for("/told", 3).await;
    assert_eq!(told(&stub), ["start", "resume", "cancel completed"]);
}

#[tokio::test]
async fn time_wakes_a_step_and_a_step_may_wait_again() {
    let server = setup("").start().await;
    let run = server.run("shop/wait", &json!({ "timerMs": 50, "times": 3 })).await;
    assert_eq!(run["status"], "completed", "{run}");
    let kinds: Vec<_> = run["output"].as_array().into_iter().flatten().map(|seen| &seen["kind"]).collect();
    assert_eq!(kinds, ["timer", "timer", "timer"]);
}

#[tokio::test]
async fn a_flow_that_is_not_durable_waits_in_memory() {
    let stub = Stub::start().await;
    let server = setup("").start().await;
    let run = begin(&server, &stub, "shop/volatile", &json!({})).await;
    server.wait_for(&run, "suspended").await;
    call_back(&address(&server, &stub).await, &json!("there")).await.is(202);
    assert_eq!(server.wait_for(&run, "completed").await["output"][0]["body"], "there");
}

#[tokio::test]
async fn a_callback_that_cannot_be_read_is_refused_and_the_step_waits_on() {
    let stub = Stub::start().await;
    let server = setup("body = \"1KiB\"").start().await;
    let (run, url) = suspended(&server, &stub, &json!({})).await;
    let broken = Call::new("POST", &url).body("application/json", "{\"a\": }").send().await.is(400);
    assert!(broken.text().contains("not JSON: expected value at line 1 column 7"), "{}", broken.text());
    Call::new("POST", &url).body("text/plain", "x".repeat(2000)).send().await.is(413);
    assert_eq!(server.look(&run).await["status"], "suspended");
    Call::new("POST", &url).body("text/plain", "done").send().await.is(202);
    assert_eq!(server.wait_for(&run, "completed").await["output"][0]["body"], "done");
}

#[tokio::test]
async fn a_drain_leaves_waiting_steps_and_takes_no_callback() {
    let stub = Stub::start().await;
    let server = setup("").start().await;
    let (run, _) = suspended(&server, &stub, &json!({})).await;
    let (setup, output) =
        tokio::time::timeout(Duration::from_secs(5), server.terminate()).await.expect("nothing is under way");
    assert_eq!(output.code, Some(0));
    let server = setup.start().await;
    call_back(&address(&server, &stub).await, &json!(7)).await.is(202);
    assert_eq!(server.wait_for(&run, "completed").await["output"][0]["body"], 7);
}

#[tokio::test]
async fn run_says_that_nobody_can_call_back_and_undoes_what_the_step_began() {
    let stub = Stub::start().await;
    let folder = flowcell_tests::Folder::new();
    std::fs::copy(probe(), folder.path().join("probe.wasm")).expect("the probe is built");
    let tasks =
        "- probe: { call: flowcell-probe.wait:1.0.0@default, with: { callback: true, tell: STUB/told } }";
    std::fs::write(folder.path().join("wait.yaml"), flow("wait", &at(&stub, tasks))).expect("a file");
    let output = FLOWCELL.command(["run", "wait.yaml"]).in_folder(folder.path()).output().await;
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("serves none: try the flow with `flowcell dev`"), "{output}");
    assert_eq!(told(&stub), ["start", "cancel cancelled"]);
}
