//! A disk that takes nothing any more: what is refused, what is kept, and that the host goes on by itself.
//!
//! A limit on the size of files stands in for the full disk. It is set on the host as it runs, and every write fails.

use flowcell_tests::{Call, Gate, Given, Server, Stub, until};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::json;

use crate::FLOWCELL;
use crate::documents::{at, flow, hook, local, together};

/// No file of the host may be written from here on, or any may.
fn set_full(server: &mut Server, full: bool) {
    let pid = Pid::from_raw(server.process().id() as i32).expect("it runs");
    let limit = Rlimit { current: full.then_some(0), maximum: None };
    prlimit(Some(pid), Resource::Fsize, limit).expect("a process of the same user");
}

#[tokio::test]
async fn a_full_disk_refuses_events_loses_nothing_and_passes() {
    let stub = Stub::start().await;
    let tasks = "- tell: { call: http-request:1.0.0@default, with: { url: STUB/events, method: POST, body: '${ .body }' } }";
    let documents = together(&[&flow("work", &at(&stub, tasks)), &hook("in", "work", "{}")]);
    let mut server = FLOWCELL.serve().config(local("")).file("work.yaml", documents).start().await;
    let hook = server.hook("shop/in").await;
    let gate = Gate::new();
    stub.next("/events", Given::status(200).behind(&gate));
    Call::post(&hook, &json!({ "number": 1 })).send().await.is(200);
    stub.wait_for("/events", 1).await;

    set_full(&mut server, true);
    for number in 2..5 {
        let problem = Call::post(&hook, &json!({ "number": number })).send().await.problem(503);
        assert!(
            problem["detail"].as_str().is_some_and(|text| text.contains("nothing was accepted")),
            "{problem}"
        );
    }
    server.get("/readyz").await.is(503);
    server.get("/healthz").await.is(200);
    // What the step did meanwhile cannot be written down yet, and is kept.
    gate.open();
    until("the host to try in vain", async || {
        let metrics = server.get("/metrics").await.is(200).text();
        let failures =
            metrics.lines().find_map(|line| line.strip_prefix("flowcell_journal_commit_failures_total "));
        failures.and_then(|count| count.trim().parse::<u32>().ok()).filter(|count| *count > 3)
    })
    .await;

    set_full(&mut server, false);
    until("the host to take events again", async || {
        (server.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    Call::post(&hook, &json!({ "number": 5 })).send().await.is(200);
    let runs = until("both runs to end", async || {
        let runs = server.runs("status=completed").await;
        (runs.len() == 2).then_some(runs)
    })
    .await;
    assert_eq!(server.runs("").await.len(), runs.len(), "what was refused is not there");
    let told: Vec<_> = stub.seen("/events").iter().map(|seen| seen.json()["number"].clone()).collect();
    assert_eq!(told, [json!(1), json!(5)], "no step was repeated");
}
