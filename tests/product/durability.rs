//! What an acknowledged event survives: kill -9 under load, in a back-off, in a wait; and a drain that loses nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flowcell_tests::{Call, Gate, Given, Server, Setup, Stub, until};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::FLOWCELL;
use crate::documents::{at, flow, hook, local, together};

const EVENTS: u64 = 500;
const SENDERS: usize = 32;
/// Answers after which the host is killed, in the middle of the rest.
const KILL_AFTER: usize = 150;

fn setup(document: &str, with: &str) -> Setup {
    let documents = together(&[document, &hook("in", "work", with)]);
    FLOWCELL.serve().config(local("requests_per_second = 100000")).file("work.yaml", documents)
}

/// The last part of an address: what must be the same although the port is another one.
fn token(hook: &str) -> &str {
    hook.rsplit('/').next().unwrap_or_default()
}

/// Sends events of these numbers from many senders at once until the host is gone or all are sent; gives those that were
/// answered with 200, and tells their count as it grows.
async fn send(hook: &str, numbers: Arc<AtomicU64>, answered: watch::Sender<usize>) -> Vec<u64> {
    let mut senders = JoinSet::new();
    let gone = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(answered);
    for _ in 0..SENDERS {
        let (hook, numbers, answered, gone) =
            (hook.to_owned(), numbers.clone(), answered.clone(), gone.clone());
        senders.spawn(async move {
            let mut acknowledged = vec![];
            while !gone.load(Ordering::Relaxed) {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                if number >= EVENTS {
                    break;
                }
                match Call::post(&hook, &json!({ "number": number })).try_send().await {
                    Ok(answer) => {
                        answer.is(200);
                        acknowledged.push(number);
                        answered.send_modify(|count| *count += 1);
                    }
                    Err(_) => gone.store(true, Ordering::Relaxed),
                }
            }
            acknowledged
        });
    }
    senders.join_all().await.concat()
}

/// How many runs there are for each event, when all are over and completed.
async fn completed(server: &Server) -> HashMap<u64, usize> {
    until("the end of every run", async || {
        let open =
            server.runs("limit=500").await.into_iter().filter(|run| !run["endedAt"].is_string()).count();
        (open == 0).then_some(())
    })
    .await;
    let mut runs = HashMap::new();
    for summary in server.runs("limit=500").await {
        assert_eq!(summary["status"], "completed", "{summary}");
        let run = server.look(summary["id"].as_str().unwrap_or_default()).await;
        let number = run["input"]["body"]["number"].as_u64().unwrap_or_else(|| panic!("no number: {run}"));
        *runs.entry(number).or_default() += 1;
    }
    runs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_events_survive_kill_9_under_load_exactly_once() {
    let stub = Stub::start().await;
    let tasks = "- tell: { call: http-request:1.0.0@default, with: { url: STUB/events, method: POST, body: '${ .body }' } }";
    let mut server = setup(&flow("work", &at(&stub, tasks)), "{}").start().await;
    let first_hook = server.hook("shop/in").await;

    let numbers = Arc::new(AtomicU64::new(0));
    let (answered, mut count) = watch::channel(0);
    let sending = tokio::spawn({
        let (hook, numbers) = (first_hook.clone(), numbers.clone());
        async move { send(&hook, numbers, answered).await }
    });
    count.wait_for(|count| *count >= KILL_AFTER).await.expect("the senders are at work");
    let setup = server.kill9().await;
    let mut acknowledged = sending.await.expect("no sender panics");
    assert!(acknowledged.len() < EVENTS as usize, "the host was killed before the last event");

    let mut server = setup.start().await;
    let hook = server.hook("shop/in").await;
    assert_eq!(token(&hook), token(&first_hook), "the address is another one after the restart");
    acknowledged.extend(send(&hook, numbers, watch::Sender::new(0)).await);

    let runs = completed(&server).await;
    for number in &acknowledged {
        assert_eq!(runs.get(number), Some(&1), "event {number} was acknowledged");
    }
    assert!(runs.values().all(|count| *count == 1), "{runs:?}");

    let mut calls: HashMap<u64, Vec<String>> = HashMap::new();
    for seen in stub.seen("/events") {
        let number = seen.json()["number"].as_u64().expect("the stub gets the event");
        calls.entry(number).or_default().push(seen.header("idempotency-key").to_owned());
    }
    for number in runs.keys() {
        let keys = calls.get(number).map(Vec::as_slice).unwrap_or_default();
        assert!(matches!(keys.len(), 1 | 2), "event {number} was told {} times", keys.len());
        assert!(!keys[0].is_empty() && keys.iter().all(|key| *key == keys[0]), "event {number}: {keys:?}");
    }
}

#[tokio::test]
async fn an_event_is_in_the_journal_when_its_answer_is_seen() {
    let mut server = setup(&flow("work", "- rest: { wait: PT1H }"), "{}").start().await;
    for round in 1..=3 {
        let hook = server.hook("shop/in").await;
        Call::post(&hook, &json!({ "round": round })).send().await.is(200);
        server = server.kill9().await.start().await;
        let runs = server.runs("").await;
        assert_eq!(runs.len(), round, "{runs:?}");
    }
}

#[tokio::test]
async fn a_retry_in_its_back_off_survives_kill_9() {
    let stub = Stub::start().await;
    stub.next("/orders", Given::status(503));
    let tasks = "
- attempt:
    try:
      - order: { call: http-request:1.0.0@default, with: { url: STUB/orders, method: POST } }
    catch:
      retry: { delay: PT2S, limit: { attempt: { count: 4 } } }
";
    let server = setup(&flow("work", &at(&stub, tasks)), "{}").start().await;
    let run = server.begin("shop/work", &json!({})).await;
    server.wait_for(&run, "waiting").await;
    let server = server.kill9().await.start().await;
    let run = server.wait_for(&run, "completed").await;

    assert_eq!(stub.seen("/orders").len(), 2);
    let steps = run["steps"].as_array().cloned().unwrap_or_default();
    let orders: Vec<_> = steps.iter().filter(|step| step["name"] == "order").collect();
    assert_eq!(orders.len(), 2, "{run}");
    assert_eq!(orders[0]["attempts"][0]["problem"]["status"], 503, "{run}");
    assert_eq!(orders[1]["attempts"][0]["problem"], Value::Null, "{run}");
}

#[tokio::test]
async fn a_wait_survives_kill_9_and_keeps_its_time() {
    let stub = Stub::start().await;
    let tasks =
        "- rest: { wait: PT2S }\n- tell: { call: http-request:1.0.0@default, with: { url: STUB/rested } }";
    let server = setup(&flow("work", &at(&stub, tasks)), "{}").start().await;
    let run = server.begin("shop/work", &json!({})).await;
    server.wait_for(&run, "waiting").await;
    let server = server.kill9().await.start().await;
    let run = server.wait_for(&run, "completed").await;
    assert_eq!(stub.seen("/rested").len(), 1);
    let rest = &run["steps"][0];
    assert!(seconds_between(&rest["startedAt"], &rest["endedAt"]) >= 1.99, "{run}");
}

/// Between two times of one day or two adjacent ones.
fn seconds_between(from: &Value, to: &Value) -> f64 {
    let of_day = |time: &Value| {
        let text = time.as_str().unwrap_or_else(|| panic!("no time: {time}"));
        let clock = text.split_once('T').map_or("", |(_, clock)| clock).trim_end_matches('Z');
        let parts: Vec<f64> = clock.split(':').filter_map(|part| part.parse().ok()).collect();
        let [hours, minutes, seconds] = parts[..] else { panic!("no time: {text}") };
        hours * 3600.0 + minutes * 60.0 + seconds
    };
    (of_day(to) - of_day(from)).rem_euclid(86_400.0)
}

#[tokio::test]
async fn a_step_in_flight_at_kill_9_is_repeated_once_under_the_same_key() {
    let (stub, gate) = (Stub::start().await, Gate::new());
    stub.next("/orders", Given::status(200).behind(&gate));
    let tasks = "- order: { call: http-request:1.0.0@default, with: { url: STUB/orders, method: POST } }";
    let server = setup(&flow("work", &at(&stub, tasks)), "{}").start().await;
    let run = server.begin("shop/work", &json!({})).await;
    stub.wait_for("/orders", 1).await;
    let server = server.kill9().await.start().await;
    server.wait_for(&run, "completed").await;
    let seen = stub.seen("/orders");
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].header("idempotency-key"), seen[1].header("idempotency-key"));
}

#[tokio::test]
async fn a_run_ends_on_the_text_it_began_on() {
    let server =
        setup(&flow("work", "- rest: { wait: PT2S }\n- tell: { set: { text: old } }"), "{}").start().await;
    let run = server.begin("shop/work", &json!({})).await;
    server.wait_for(&run, "waiting").await;
    let new = flow("work", "- tell: { set: { text: new } }");
    server.call("PUT", "/api/v1/flows/shop/work").body("application/yaml", new).send().await.is(200);
    assert_eq!(server.run("shop/work", &json!({})).await["output"], json!({ "text": "new" }));
    assert_eq!(server.wait_for(&run, "completed").await["output"], json!({ "text": "old" }));
}

#[tokio::test]
async fn a_drain_answers_what_is_in_flight_and_exits_0() {
    let (stub, gate) = (Stub::start().await, Gate::new());
    stub.always("/slow", Given::status(200).behind(&gate));
    let tasks = "- slow: { call: http-request:1.0.0@default, with: { url: STUB/slow } }\n- tell: { set: { done: true } }";
    let mut server = setup(&flow("work", &at(&stub, tasks)), "{ respond: { from: flow } }").start().await;
    let hook = server.hook("shop/in").await;
    let asked = tokio::spawn(Call::post(&hook, &json!({})).try_send());
    stub.wait_for("/slow", 1).await;

    server.process().terminate();
    let address = server.url().trim_start_matches("http://").to_owned();
    until("a closed door", async || TcpStream::connect(&address).await.err()).await;
    gate.open();
    let answer = asked.await.expect("the caller does not panic").expect("the answer comes whole").is(200);
    assert_eq!(answer.json(), json!({ "done": true }));
    let (_, output) = server.ended().await;
    output.exited(0);
}

#[tokio::test]
async fn a_drain_leaves_waiting_runs_in_the_journal() {
    let server =
        setup(&flow("work", "- rest: { wait: PT1S }\n- tell: { set: { done: true } }"), "{}").start().await;
    let run = server.begin("shop/work", &json!({})).await;
    let (setup, output) = server.terminate().await;
    output.exited(0);
    let server = setup.start().await;
    assert_eq!(server.wait_for(&run, "completed").await["output"], json!({ "done": true }));
}

#[tokio::test]
async fn a_caller_whose_run_outlives_the_drain_learns_that_it_goes_on() {
    let mut server = setup(
        &flow("work", "- rest: { wait: PT2S }\n- tell: { set: { done: true } }"),
        "{ respond: { from: flow } }",
    )
    .start()
    .await;
    let hook = server.hook("shop/in").await;
    let asked = tokio::spawn(Call::post(&hook, &json!({})).try_send());
    until("the run", async || server.runs("limit=1").await.pop()).await;
    let (setup, output) = server.terminate().await;
    let output = output.exited(0);
    assert!(!output.text().contains("ERROR"), "{output}");
    let problem = asked.await.expect("no panic").expect("the answer comes whole").problem(503);
    assert!(problem["detail"].as_str().unwrap().contains("do not send this a second time"), "{problem}");
    let run = problem["data"]["run"].as_str().unwrap().to_owned();
    let server = setup.start().await;
    assert_eq!(server.wait_for(&run, "completed").await["output"], json!({ "done": true }));
}

#[tokio::test]
async fn a_trigger_that_was_switched_off_stays_off_until_its_document_changes() {
    let mut server = setup(&flow("work", "- one: { set: { a: 1 } }"), "{}").start().await;
    let hook = server.hook("shop/in").await;
    Call::post(&hook, &json!({})).send().await.is(200);
    server.post("/api/v1/triggers/shop/in/disable", &json!(null)).await.is(200);
    let (setup, _) = server.terminate().await;
    let server = setup.start().await;
    let again = format!("{}/hooks/{}", server.url(), token(&hook));
    Call::post(&again, &json!({})).send().await.is(404);
}

#[tokio::test]
async fn ctrl_c_drains_like_sigterm() {
    let mut server = setup(&flow("work", "- one: { set: { a: 1 } }"), "{}").start().await;
    server.process().interrupt();
    let (_, output) = server.ended().await;
    output.exited(0);
}

#[tokio::test]
async fn a_run_that_cannot_be_read_is_told_of_once_and_left_alone() {
    let two = local("") + "[[tenant]]\nname = \"other\"\n";
    let resting = flow("work", "- rest: { wait: PT0.2S }");
    let setup = FLOWCELL.serve().config(two).file("work.yaml", resting).arg("--tenant").arg("other");
    let server = setup.start().await;
    let begin = server.call("POST", "/api/v1/flows/shop/work/runs").header("flowcell-tenant", "other");
    begin.json(&json!({})).send().await.is(202);
    let before = server.kill9().await;

    // The tenant is not configured any more when its run is due.
    let after = FLOWCELL.serve().config(local(""));
    std::fs::create_dir_all(after.data()).expect("a data folder can be made");
    for entry in std::fs::read_dir(before.data()).expect("the data folder is there").flatten() {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), after.data().join(entry.file_name())).expect("a file can be copied");
        }
    }
    let server = after.start().await;
    let said = || server.printed().matches("is not configured on this host").count();
    until("the complaint", async || (said() > 0).then_some(())).await;
    for _ in 0..200 {
        server.get("/healthz").await.is(200);
    }
    assert_eq!(said(), 1, "{}", server.printed());
}
