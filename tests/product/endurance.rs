//! Durability at length: round after round of kill -9 under load against the clients' own log, and as many waiting runs
//! as a busy host has. `FLOWCELL_ROUNDS=100` is the longer mode of the rounds.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flowcell_tests::{Call, Server, Setup, Stub, probe, until};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::FLOWCELL;
use crate::documents::{at, flow, hook, local, together};

const ROUNDS: u64 = 10;
/// What each round acknowledges at the least before the host is killed.
const ACKNOWLEDGED: usize = 1_000;
const SENDERS: usize = 32;
/// Runs that wait at the same time.
const WAITING: usize = 10_000;

/// Sends events until the host is gone; gives the numbers of those that were answered with 200.
async fn send_until_it_is_gone(
    hook: String,
    numbers: Arc<AtomicU64>,
    acknowledged: Arc<watch::Sender<usize>>,
) -> Vec<u64> {
    let mut senders = JoinSet::new();
    let gone = Arc::new(AtomicBool::new(false));
    for _ in 0..SENDERS {
        let (hook, numbers, acknowledged, gone) =
            (hook.clone(), numbers.clone(), acknowledged.clone(), gone.clone());
        senders.spawn(async move {
            let mut mine = vec![];
            while !gone.load(Ordering::Relaxed) {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                match Call::post(&hook, &json!({ "number": number })).try_send().await {
                    Ok(answer) => {
                        answer.is(200);
                        mine.push(number);
                        acknowledged.send_modify(|count| *count += 1);
                    }
                    Err(_) => gone.store(true, Ordering::Relaxed),
                }
            }
            mine
        });
    }
    senders.join_all().await.concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_all_rounds_of_kill_9_under_load_each_acknowledged_event_is_one_run() {
    let rounds = std::env::var("FLOWCELL_ROUNDS").map_or(ROUNDS, |text| text.parse().expect("a number"));
    let stub = Stub::start().await;
    let tasks = "- tell: { call: http-request:1.0.0@default, with: { url: STUB/events, method: POST, body: '${ .body }' } }";
    let documents = together(&[&flow("work", &at(&stub, tasks)), &hook("in", "work", "{}")]);
    let mut setup =
        FLOWCELL.serve().config(local("requests_per_second = 100000")).file("work.yaml", documents);
    let numbers = Arc::new(AtomicU64::new(0));
    let mut acknowledged = vec![];
    for round in 0..rounds {
        let mut server = setup.start().await;
        // Any point will do, as long as it is another one each time.
        let more = RandomState::new().hash_one(round) as usize % 300;
        let (count, mut counted) = watch::channel(0);
        let hook = server.hook("shop/in").await;
        let sending = tokio::spawn(send_until_it_is_gone(hook, numbers.clone(), Arc::new(count)));
        counted.wait_for(|count| *count >= ACKNOWLEDGED + more).await.expect("the senders are at work");
        setup = server.kill9().await;
        acknowledged.extend(sending.await.expect("no sender panics"));
    }
    let server = setup.start().await;
    every_run_is_over(&server).await;
    let runs = server.runs("limit=500&status=completed").await.len();

    // A run has one idempotency key for its step, so the keys of an event are its runs.
    let mut keys: HashMap<u64, HashSet<String>> = HashMap::new();
    let mut calls: HashMap<String, u64> = HashMap::new();
    for seen in stub.seen("/events") {
        let number = seen.json()["number"].as_u64().expect("the stub gets the event");
        let key = seen.header("idempotency-key").to_owned();
        *calls.entry(key.clone()).or_default() += 1;
        keys.entry(number).or_default().insert(key);
    }
    for number in &acknowledged {
        assert_eq!(keys.get(number).map(HashSet::len), Some(1), "event {number} was acknowledged");
    }
    assert!(acknowledged.len() as u64 >= rounds * ACKNOWLEDGED as u64);
    assert_eq!(runs, keys.len(), "runs that completed, and events that reached the other side");
    assert!(keys.values().all(|keys| keys.len() == 1), "an event became two runs");
    // Repeated at most by each death of the host while it was under way.
    assert!(calls.values().all(|count| *count <= 3), "a step was repeated for no reason");
}

async fn every_run_is_over(server: &Server) {
    until("the end of every run", async || {
        let mut open = 0;
        for status in ["pending", "running", "waiting"] {
            let page = server.get(&format!("/api/v1/runs?limit=1&status={status}")).await.is(200).json();
            open += page["items"].as_array().map_or(0, Vec::len);
        }
        (open == 0).then_some(())
    })
    .await;
}

fn waiting() -> Setup {
    let wasm = std::fs::read(probe()).unwrap_or_else(|error| panic!("the probe is not built: {error}"));
    let tasks = "
- probe:
    call: flowcell-probe.wait:1.0.0@default
    with: { callback: true, note: '${ $task.callback.url }' }
    output: { as: '.[0].body' }";
    let documents = together(&[&flow("wait", tasks), &hook("in", "wait", "{}")]);
    FLOWCELL
        .serve()
        .config(local("requests_per_second = 100000"))
        .file("probe.wasm", wasm)
        .file("wait.yaml", documents)
}

/// Does it for each of them, as many at a time as there are senders.
async fn for_each<T: Send + 'static, F: Future<Output = ()> + Send + 'static>(
    all: Vec<T>,
    act: impl Fn(T) -> F + Clone + Send + 'static,
) {
    let left = Arc::new(std::sync::Mutex::new(all));
    let mut workers = JoinSet::new();
    for _ in 0..SENDERS {
        let (left, act) = (left.clone(), act.clone());
        workers.spawn(async move {
            loop {
                let next = left.lock().expect("no panic while held").pop();
                let Some(one) = next else { return };
                act(one).await;
            }
        });
    }
    workers.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_ten_thousand_waiting_runs_is_resumed_by_its_own_address_after_kill_9() {
    let mut server = waiting().start().await;
    let hook = server.hook("shop/in").await;
    for_each((0..WAITING).collect(), move |number| {
        let hook = hook.clone();
        async move { drop(Call::post(&hook, &json!({ "number": number })).send().await.is(200)) }
    })
    .await;
    let suspended = until("every run to wait", async || {
        let runs = server.runs("limit=500&status=suspended").await;
        (runs.len() == WAITING).then_some(runs)
    })
    .await;

    let server = Arc::new(server.kill9().await.start().await);
    let ids: Vec<String> = suspended.iter().filter_map(|run| Some(run["id"].as_str()?.to_owned())).collect();
    assert_eq!(ids.len(), WAITING);
    for_each(ids.clone(), {
        let server = server.clone();
        move |id| {
            let server = server.clone();
            async move {
                let run = server.look(&id).await;
                let url = run["steps"][0]["input"]["note"].as_str().unwrap_or_default().to_owned();
                let token = url.rsplit('/').next().unwrap_or_default();
                let url = format!("{}/callbacks/{token}", server.url());
                Call::post(&url, &json!({ "for": id })).send().await.is(202);
            }
        }
    })
    .await;
    every_run_is_over(&server).await;
    assert_eq!(server.runs("limit=500&status=completed").await.len(), WAITING);
    for_each(ids, {
        let server = server.clone();
        move |id| {
            let server = server.clone();
            async move { assert_eq!(server.look(&id).await["output"], json!({ "for": id })) }
        }
    })
    .await;
}
