//! The REST API of runs: started, waited for, listed, cancelled, started again, and their events.

use flowcell_tests::{Gate, Given, Stub};
use serde_json::{Value, json};

use crate::documents::{at, echo, flow, serve};

#[tokio::test]
async fn a_run_is_started_and_followed_by_its_location() {
    let server = serve(&[&echo()]).await;
    let started = server.post("/api/v1/flows/shop/echo/runs", &json!({ "a": 1 })).await.is(202);
    let id = started.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(started.header("location"), format!("/api/v1/runs/{id}"));
    let run = server.wait_for(&id, "completed").await;
    assert_eq!(
        (&run["id"], &run["tenant"], &run["input"]),
        (&json!(id), &json!("default"), &json!({ "a": 1 }))
    );
    assert_eq!(run["output"], json!({ "got": { "a": 1 } }));
    assert!(run["flow"].as_str().is_some_and(|flow| flow.starts_with("shop/echo")), "{run}");
    let [step] = &run["steps"].as_array().cloned().unwrap_or_default()[..] else { panic!("one step: {run}") };
    assert_eq!(
        (&step["name"], &step["reference"], &step["status"]),
        (&json!("give"), &json!("/do/0/give"), &json!("completed"))
    );
    assert!(run["startedAt"].is_string() && run["endedAt"].is_string(), "{run}");
}

#[tokio::test]
async fn waiting_for_a_run_ends_with_the_run_or_with_the_time() {
    let (stub, gate) = (Stub::start().await, Gate::new());
    stub.always("/slow", Given::status(200).behind(&gate));
    let slow =
        flow("slow", &at(&stub, "- slow: { call: http-request:1.0.0@default, with: { url: STUB/slow } }"));
    let server = serve(&[&echo(), &slow]).await;
    let done = server.post("/api/v1/flows/shop/echo/runs?wait=PT30S", &json!({})).await.is(200).json();
    assert_eq!(done["status"], "completed");
    let late = server.post("/api/v1/flows/shop/slow/runs?wait=PT0.2S", &json!({})).await.is(202).json();
    assert!(late["id"].is_string() && late["status"] != "completed", "{late}");
    gate.open();
    server.wait_for(late["id"].as_str().unwrap(), "completed").await;
}

#[tokio::test]
async fn the_attempts_of_a_step_are_listed() {
    let stub = Stub::start().await;
    stub.next("/flaky", Given::status(503));
    let tasks = "
- attempt:
    try:
      - ask: { call: http-request:1.0.0@default, with: { url: STUB/flaky, method: POST } }
    catch:
      retry: { delay: PT0.01S }
";
    let server = serve(&[&flow("flaky", &at(&stub, tasks))]).await;
    let run = server.run("shop/flaky", &json!({})).await;
    let steps = run["steps"].as_array().cloned().unwrap_or_default();
    let asks: Vec<_> = steps.iter().filter(|step| step["name"] == "ask").collect();
    assert!(asks.iter().all(|step| step["plugin"] == "http-request:1.0.0"), "{run}");
    let [first, second] = &asks.iter().map(|step| step["attempts"][0].clone()).collect::<Vec<_>>()[..] else {
        panic!("two steps with an attempt each: {run}")
    };
    assert_eq!((&first["problem"]["status"], &second["problem"]), (&json!(503), &Value::Null), "{run}");
    assert!(first["startedAt"].is_string() && first["endedAt"].is_string(), "{run}");
}

#[tokio::test]
async fn runs_are_listed_newest_first_filtered_and_page_by_page() {
    let failing = flow(
        "failing",
        "- stop: { raise: { error: { type: https://example.com/e, status: 409, title: no } } }",
    );
    let server = serve(&[&echo(), &failing]).await;
    let mut ids = vec![];
    for n in 0..5 {
        ids.push(server.run("shop/echo", &json!({ "n": n })).await["id"].clone());
    }
    let since = server.run("shop/failing", &json!({})).await["startedAt"].clone();

    ids.reverse();
    let listed = async |filter: &str| -> Vec<Value> {
        server.runs(filter).await.into_iter().map(|run| run["id"].clone()).collect()
    };
    assert_eq!(listed("flow=shop/echo&limit=2").await, ids);
    assert_eq!(listed("status=completed").await, ids);
    assert_eq!(listed("status=faulted").await.len(), 1);
    assert_eq!(listed("flow=shop/failing&status=completed").await.len(), 0);
    assert_eq!(listed(&format!("since={}", since.as_str().unwrap())).await.len(), 1);
    let page = server.get("/api/v1/runs?limit=2").await.is(200).json();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(2));
    assert!(page["cursor"].is_string(), "{page}");
    for wrong in ["status=done", "since=yesterday", "limit=many", "limit=0", "flow=shop/echo:1.0.0", "flwo=a"]
    {
        server.get(&format!("/api/v1/runs?{wrong}")).await.problem(400);
    }
}

#[tokio::test]
async fn a_run_is_cancelled_and_started_again() {
    let server = serve(&[&flow("long", "- rest: { wait: PT1H }")]).await;
    let run = server.begin("shop/long", &json!({ "a": 1 })).await;
    server.wait_for(&run, "waiting").await;
    server.post(&format!("/api/v1/runs/{run}/cancel"), &json!(null)).await.is(200);
    let cancelled = server.wait_for(&run, "cancelled").await;
    assert!(cancelled["endedAt"].is_string(), "{cancelled}");

    let again = server.post(&format!("/api/v1/runs/{run}/restart"), &json!(null)).await.is(202).json();
    let again = again["id"].as_str().unwrap();
    assert_ne!(again, run);
    assert_eq!(server.wait_for(again, "waiting").await["input"], json!({ "a": 1 }));
    let nobody = "00000000000000000000000000000000";
    server.get(&format!("/api/v1/runs/{nobody}")).await.problem(404);
    server.post(&format!("/api/v1/runs/{nobody}/cancel"), &json!(null)).await.problem(404);
    server.post("/api/v1/runs/not-an-id/restart", &json!(null)).await.problem(404);
}

#[tokio::test]
async fn cancelling_stops_a_request_that_is_under_way() {
    let (stub, gate) = (Stub::start().await, Gate::new());
    stub.always("/slow", Given::status(200).behind(&gate));
    let server = serve(&[&flow(
        "slow",
        &at(&stub, "- slow: { call: http-request:1.0.0@default, with: { url: STUB/slow } }"),
    )])
    .await;
    let run = server.begin("shop/slow", &json!({})).await;
    stub.wait_for("/slow", 1).await;
    server.post(&format!("/api/v1/runs/{run}/cancel"), &json!(null)).await.is(200);
    server.wait_for(&run, "cancelled").await;
    gate.open();
    assert_eq!(server.look(&run).await["status"], "cancelled");
}

#[tokio::test]
async fn the_events_of_a_run_are_a_list_and_a_stream() {
    let (stub, gate) = (Stub::start().await, Gate::new());
    stub.always("/slow", Given::status(200).behind(&gate));
    let tasks = "- first-step: { set: { a: 1 } }\n- slow-step: { call: http-request:1.0.0@default, with: { url: STUB/slow } }";
    let server = serve(&[&flow("slow", &at(&stub, tasks))]).await;
    let run = server.begin("shop/slow", &json!({})).await;
    stub.wait_for("/slow", 1).await;

    let path = format!("/api/v1/runs/{run}/events");
    let mut stream = server.call("GET", &path).header("accept", "text/event-stream").stream().await;
    assert_eq!(stream.status, 200);
    assert_eq!(
        stream.headers.get("content-type").map(|value| value.as_bytes()),
        Some(&b"text/event-stream"[..])
    );
    stream.until("what happened before", |text| text.contains("first-step").then_some(())).await;
    gate.open();
    stream.until("the end of the run", |text| text.contains("\"status\":\"completed\"").then_some(())).await;

    server.wait_for(&run, "completed").await;
    let list = server.get(&path).await.is(200).json();
    let items = list["items"].as_array().cloned().unwrap_or_default();
    assert!(items.iter().any(|item| item["step"]["name"] == "first-step"), "{list}");
    assert!(items.iter().any(|item| item["step"]["name"] == "slow-step"), "{list}");
}

/// What became of the steps of a run: name and status.
fn steps(run: &Value) -> Vec<(&str, &str)> {
    fn text(value: &Value) -> &str {
        value.as_str().unwrap_or_default()
    }
    run["steps"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|step| (text(&step["name"]), text(&step["status"])))
        .collect()
}

#[tokio::test]
async fn a_run_goes_on_at_the_step_that_failed() {
    let stub = Stub::start().await;
    let tasks = "
- order: { call: http-request:1.0.0@default, with: { url: STUB/orders, method: POST }, output: { as: .body } }
- bill: { call: http-request:1.0.0@default, with: { url: STUB/bills, method: POST, body: '${ . }' }, timeout: { after: PT5S } }";
    let server = serve(&[&flow("work", &at(&stub, tasks))]).await;
    stub.always("/orders", Given::json(200, &json!({ "order": 7 })));
    stub.next("/bills", Given::status(500));
    let run = server.run("shop/work", &json!({})).await;
    assert_eq!(steps(&run), [("order", "completed"), ("bill", "faulted")], "{run}");

    let id = run["id"].as_str().unwrap_or_default();
    let restart = |from: &str| format!("/api/v1/runs/{id}/restart?from={from}");
    let again = server.post(&restart("failed-step"), &json!(null)).await.is(202).json();
    let again = server.wait_for(again["id"].as_str().unwrap_or_default(), "completed").await;
    assert_eq!(steps(&again), [("order", "completed"), ("bill", "completed")], "{again}");
    assert_eq!(again["steps"][1]["attempts"].as_array().map(Vec::len), Some(1), "{again}");
    let seen = (stub.seen("/orders"), stub.seen("/bills"));
    assert_eq!((seen.0.len(), seen.1.len()), (1, 2), "what was done is not done again");
    assert_eq!(seen.1[1].json(), json!({ "order": 7 }));
    assert_ne!(seen.1[0].header("idempotency-key"), seen.1[1].header("idempotency-key"));
    // The one that failed stays as it is, and one that did not fail has no such step.
    assert_eq!(server.look(id).await["status"], "faulted");
    let fine = again["id"].as_str().unwrap_or_default();
    let refused = server.post(&format!("/api/v1/runs/{fine}/restart?from=failed-step"), &json!(null)).await;
    assert!(refused.problem(409)["detail"].as_str().is_some_and(|text| text.contains("it did not fail")));
    let unknown = server.post(&restart("the-middle"), &json!(null)).await.problem(400);
    assert!(unknown["detail"].as_str().is_some_and(|text| text.contains("failed-step")), "{unknown}");
}

#[tokio::test]
async fn a_step_that_took_too_long_has_its_time_anew() {
    let stub = Stub::start().await;
    let gate = Gate::new();
    stub.next("/slow", Given::status(200).behind(&gate));
    let tasks = "
- slow: { call: http-request:1.0.0@default, with: { url: STUB/slow }, timeout: { after: PT0.2S } }";
    let server = serve(&[&flow("work", &at(&stub, tasks))]).await;
    let run = server.run("shop/work", &json!({})).await;
    assert_eq!(run["problem"]["status"], 408, "{run}");
    let id = run["id"].as_str().unwrap_or_default();
    let again = server
        .post(&format!("/api/v1/runs/{id}/restart?from=failed-step"), &json!(null))
        .await
        .is(202)
        .json();
    server.wait_for(again["id"].as_str().unwrap_or_default(), "completed").await;
}

#[tokio::test]
async fn a_run_that_failed_outside_of_a_step_says_that_it_begins_at_its_input() {
    let tasks = "- no: { raise: { error: { type: 'https://example.com/e', status: 500, title: no } } }";
    let server = serve(&[&flow("work", tasks)]).await;
    let run = server.run("shop/work", &json!({})).await;
    let id = run["id"].as_str().unwrap_or_default();
    let refused =
        server.post(&format!("/api/v1/runs/{id}/restart?from=failed-step"), &json!(null)).await.problem(409);
    let detail = refused["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("outside of any step") && detail.contains("from its input"), "{refused}");
}
