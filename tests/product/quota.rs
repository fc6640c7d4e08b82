//! Every key of `[tenant.quota]` changes something that can be seen. Memory, CPU and step time of a guest: `sandbox`.

use std::time::Duration;

use flowcell_tests::{Call, Gate, Given, Server, Stub, probe, until};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::FLOWCELL;
use crate::documents::{at, flow, hook, local, together};

async fn serve(quota: &str, tasks: &str) -> Server {
    let documents = together(&[&flow("work", tasks), &hook("in", "work", "{}")]);
    FLOWCELL.serve().config(local(quota)).file("work.yaml", documents).start().await
}

fn calls(stub: &Stub) -> String {
    at(stub, "- call: { call: http-request:1.0.0@default, with: { url: STUB/work } }")
}

/// The problem of a 429, which says when to come again.
fn too_many(answer: flowcell_tests::Answer) -> Value {
    let seconds: u64 =
        answer.header("retry-after").parse().unwrap_or_else(|_| panic!("no Retry-After: {answer}"));
    assert!(seconds >= 1, "{answer}");
    answer.problem(429)
}

#[tokio::test]
async fn a_step_that_waits_for_the_world_too_long_is_ended_by_step_time() {
    let (stub, gate) = (Stub::start().await, Gate::new());
    stub.always("/work", Given::status(200).behind(&gate));
    let server = serve("step_time = \"300ms\"", &calls(&stub)).await;
    let run = server.run("shop/work", &json!({})).await;
    assert_eq!(run["status"], "faulted", "{run}");
    assert!(run["problem"]["type"].as_str().is_some_and(|kind| kind.ends_with("/timeout")), "{run}");
}

#[tokio::test]
async fn a_single_run_at_a_time_makes_a_single_request_at_a_time() {
    let stub = Stub::start().await;
    stub.always("/work", Given::status(200).after(Duration::from_millis(50)));
    let server = serve("concurrent_runs = 1", &calls(&stub)).await;
    let mut runs = vec![];
    for _ in 0..6 {
        runs.push(server.begin("shop/work", &json!({})).await);
    }
    for run in &runs {
        server.wait_for(run, "completed").await;
    }
    assert_eq!((stub.seen("/work").len(), stub.most_at_once()), (6, 1));
}

#[tokio::test]
async fn many_runs_at_a_time_are_the_default() {
    let (stub, gate) = (Stub::start().await, Gate::new());
    stub.always("/work", Given::status(200).behind(&gate));
    let server = serve("", &calls(&stub)).await;
    let mut runs = vec![];
    for _ in 0..6 {
        runs.push(server.begin("shop/work", &json!({})).await);
    }
    until("six requests at once", async || (stub.most_at_once() == 6).then_some(())).await;
    gate.open();
    for run in &runs {
        server.wait_for(run, "completed").await;
    }
}

#[tokio::test]
async fn a_run_over_the_waiting_quota_is_refused_before_it_is_acknowledged() {
    let mut server = serve("waiting_runs = 2", "- rest: { wait: PT1H }").await;
    let hook = server.hook("shop/in").await;
    for _ in 0..2 {
        Call::post(&hook, &json!({})).send().await.is(200);
    }
    let problem = too_many(Call::post(&hook, &json!({})).send().await);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("waiting_runs")), "{problem}");
    let by_api = server.post("/api/v1/flows/shop/work/runs", &json!({})).await;
    too_many(by_api);
    let runs = server.runs("").await;
    assert_eq!(runs.len(), 2, "nothing was begun for the refused ones");

    server
        .post(&format!("/api/v1/runs/{}/cancel", runs[0]["id"].as_str().unwrap()), &json!(null))
        .await
        .is(200);
    until("room for one more", async || {
        (Call::post(&hook, &json!({})).send().await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn requests_over_the_rate_are_refused_with_a_time_to_come_again() {
    let mut server = serve("requests_per_second = 2", "- one: { set: { a: 1 } }").await;
    let hook = server.hook("shop/in").await;
    let mut senders = JoinSet::new();
    for _ in 0..40 {
        senders.spawn(Call::post(&hook, &json!({})).send());
    }
    let (mut taken, mut refused) = (0, 0);
    for answer in senders.join_all().await {
        if answer.status == 200 {
            taken += 1;
        } else {
            let problem = too_many(answer);
            assert!(
                problem["detail"].as_str().is_some_and(|detail| detail.contains("requests_per_second")),
                "{problem}"
            );
            refused += 1;
        }
    }
    assert!(taken >= 2 && refused >= 1, "{taken} taken, {refused} refused");
    // The API counts as well: it answers when the second is over.
    let runs = until("the list of runs", async || {
        let answer = server.get("/api/v1/runs?limit=500").await;
        (answer.status == 200).then(|| answer.json())
    });
    assert_eq!(runs.await["items"].as_array().map(Vec::len), Some(taken));
}

#[tokio::test]
async fn bytes_out_of_the_minutes_quota_are_not_sent() {
    let stub = Stub::start().await;
    stub.always("/work", Given::body(200, "text/plain", "x".repeat(6 << 10)));
    let server = serve("egress_bytes_per_minute = \"8KiB\"", &calls(&stub)).await;
    assert_eq!(server.run("shop/work", &json!({})).await["status"], "completed");
    let (mut last, mut calls) = (Value::Null, 1);
    while last["status"] != "faulted" {
        assert!(calls < 5, "the quota changes nothing: {last}");
        last = server.run("shop/work", &json!({})).await;
        calls += 1;
    }
    assert!(
        last["problem"]["detail"].as_str().is_some_and(|detail| detail.contains("egress_bytes_per_minute")),
        "{last}"
    );
}

#[tokio::test]
async fn a_body_over_the_quota_is_413_and_within_it_is_not() {
    let mut server = serve("body = \"2KiB\"", "- one: { set: { a: 1 } }").await;
    let hook = server.hook("shop/in").await;
    let send = async |size: usize| Call::post(&hook, &json!("x".repeat(size))).send().await;
    send(2000).await.is(200);
    let problem = send(3000).await.problem(413);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("2048")), "{problem}");
    send(3 << 20).await.is(413);
}

#[tokio::test]
async fn an_answer_over_the_body_quota_is_too_large() {
    let stub = Stub::start().await;
    stub.always("/work", Given::body(200, "text/plain", "x".repeat(100 << 10)));
    let server = serve("body = \"2KiB\"", &calls(&stub)).await;
    let run = server.run("shop/work", &json!({})).await;
    assert_eq!(run["problem"]["data"]["code"], "too-large", "{run}");
}

/// Whether the problem names the quota, and the metrics count it.
async fn names(server: &Server, problem: &Value, quota: &str) {
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(quota), "{problem}");
    let metrics = server.get("/metrics").await.is(200).text();
    let counted = format!("flowcell_quota_refusals_total{{tenant=\"default\",quota=\"{quota}\"}} ");
    assert!(metrics.contains(&counted), "no {counted} in {metrics}");
}

/// The problem of a run's first attempt at its first step, which is refused for more than half a minute. The run goes on then.
async fn refused_attempt(server: &Server, run: &str) -> Value {
    let problem = until("a refused attempt", async || {
        let run = server.look(run).await;
        let problem = run["steps"][0]["attempts"][0]["problem"].clone();
        (problem["status"] == 429 && run["status"] == "waiting").then_some(problem)
    })
    .await;
    assert!(problem["retryAfterMs"].as_u64().is_some_and(|after| after > 30_000), "{problem}");
    problem
}

async fn install_probe(server: &Server) -> flowcell_tests::Answer {
    let wasm = std::fs::read(probe()).expect("the probe is built");
    server.call("POST", "/api/v1/plugins").body("application/wasm", wasm).send().await
}

#[tokio::test]
async fn cpu_time_beyond_the_minutes_quota_is_not_given() {
    let quota = "cpu = \"50ms\"\ncpu_per_minute = \"10ms\"";
    let server = FLOWCELL.serve().config(local(quota)).start().await;
    install_probe(&server).await;
    let spin = flow("work", "- spin: { call: flowcell-probe.spin:1.0.0@default, with: {} }");
    server.call("PUT", "/api/v1/flows/shop/work").body("application/yaml", spin).send().await.is(201);
    let first = server.run("shop/work", &json!({})).await;
    assert_eq!(first["problem"]["data"]["code"], "cpu-limit", "{first}");
    let second = server.begin("shop/work", &json!({})).await;
    let refused = refused_attempt(&server, &second).await;
    names(&server, &refused, "cpu_per_minute").await;
}

#[tokio::test]
async fn what_the_host_computes_for_a_large_run_is_on_the_minutes_quota() {
    let server = FLOWCELL.serve().config(local("cpu_per_minute = \"10ms\"")).start().await;
    install_probe(&server).await;
    let double = |task| format!("- t{task}: {{ set: '${{ [., .] }}' }}\n");
    let grow = flow("grow", &format!("{}- last: {{ set: {{}} }}", (0..4).map(double).collect::<String>()));
    let echo = flow("work", "- echo: { call: flowcell-probe.echo:1.0.0@default, with: {} }");
    for (name, text) in [("grow", grow), ("work", echo)] {
        let path = format!("/api/v1/flows/shop/{name}");
        server.call("PUT", &path).body("application/yaml", text).send().await.is(201);
    }
    let run = server.run("shop/grow", &json!(vec![0; 150_000])).await;
    assert_eq!(run["status"], "completed", "{}", run["problem"]);
    let second = server.begin("shop/work", &json!({})).await;
    let refused = refused_attempt(&server, &second).await;
    names(&server, &refused, "cpu_per_minute").await;
}

#[tokio::test]
async fn runs_that_write_too_much_are_slowed_down() {
    let mut server = serve("journal_bytes_per_minute = \"16KiB\"", "- one: { set: { a: 1 } }").await;
    let hook = server.hook("shop/in").await;
    Call::post(&hook, &json!("x".repeat(40 << 10))).send().await.is(200);
    let problem = too_many(Call::post(&hook, &json!({})).send().await);
    names(&server, &problem, "journal_bytes_per_minute").await;
    too_many(server.post("/api/v1/flows/shop/work/runs", &json!({})).await);
    assert_eq!(server.runs("").await.len(), 1, "nothing was begun for the refused ones");
}

#[tokio::test]
async fn a_step_of_a_run_that_writes_too_much_waits() {
    let stub = Stub::start().await;
    let server = serve("journal_bytes_per_minute = \"16KiB\"", &calls(&stub)).await;
    let run = server.begin("shop/work", &json!("x".repeat(40 << 10))).await;
    let refused = refused_attempt(&server, &run).await;
    names(&server, &refused, "journal_bytes_per_minute").await;
    assert!(stub.seen("/work").is_empty());
}

#[tokio::test]
async fn components_with_more_code_than_the_quota_are_not_installed() {
    let server = serve("components = \"64KiB\"", "- one: { set: { a: 1 } }").await;
    let problem = install_probe(&server).await.problem(429);
    names(&server, &problem, "components").await;
}

#[tokio::test]
async fn more_flows_than_the_quota_are_not_deployed() {
    let server = serve("flows = 1", "- one: { set: { a: 1 } }").await;
    let deploy = async |name: &str, text: String| {
        let path = format!("/api/v1/flows/shop/{name}");
        server.call("PUT", &path).body("application/yaml", text).send().await
    };
    let problem = too_many(deploy("other", flow("other", "- one: { set: { a: 1 } }")).await);
    names(&server, &problem, "flows").await;
    let newer = flow("work", "- one: { set: { a: 1 } }").replace("version: '1.0.0'", "version: '1.0.1'");
    too_many(deploy("work", newer).await);
    // Another text of the same version takes the place of the first.
    let edited = deploy("work", flow("work", "- one: { set: { a: 2 } }")).await;
    assert!([200, 201].contains(&edited.status), "{edited}");
    assert_eq!(server.run("shop/work", &json!({})).await["output"], json!({ "a": 2 }));
    let trigger = server.call("PUT", "/api/v1/triggers/shop/other");
    let trigger = trigger.body("application/yaml", hook("other", "work", "{}")).send().await;
    names(&server, &too_many(trigger), "flows").await;
}

#[tokio::test]
async fn more_credentials_than_the_quota_are_not_kept() {
    let server = serve("credentials = 1", "- one: { set: { a: 1 } }").await;
    let secret = async |name: &str| {
        let document = json!({ "value": "a value of some length", "hosts": ["api.example.com"] });
        server.call("PUT", &format!("/api/v1/secrets/{name}")).json(&document).send().await
    };
    let token =
        async |name: &str| server.post("/api/v1/tokens", &json!({ "name": name, "role": "viewer" })).await;
    secret("one").await.is(201);
    let problem = too_many(secret("two").await);
    names(&server, &problem, "credentials").await;
    secret("one").await.is(200);
    token("one").await.is(201);
    names(&server, &too_many(token("two").await), "credentials").await;
}

#[tokio::test]
async fn more_streams_of_events_than_the_quota_are_not_opened() {
    let server = serve("event_readers = 1", "- rest: { wait: PT1H }").await;
    let run = server.begin("shop/work", &json!({})).await;
    let path = format!("/api/v1/runs/{run}/events");
    let read = || server.call("GET", &path).header("accept", "text/event-stream");
    let first = read().stream().await;
    let problem = too_many(read().send().await);
    names(&server, &problem, "event_readers").await;
    drop(first);
    until("a place for another", async || (read().stream().await.status == 200).then_some(())).await;
}
