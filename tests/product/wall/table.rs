//! The long form of the wall's tests: every attack against a host with two tenants at the default quotas, measured.
//!
//! It asserts times, so it needs a machine that does nothing else, and runs only when it is asked for:
//! `cargo test -p flowcell-tests --test product -- wall::table --ignored --nocapture`.

use std::time::{Duration, Instant};

use flowcell_tests::{Call, laborious_component};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::{House, Limits, sample_of};
use crate::documents::{flow, hook};
use crate::schemas::{doubling, patterns, text_of_a_and_b, with_input};

/// How long each is measured at least.
const ROUND: Duration = Duration::from_secs(5);
/// Between two requests of the other tenant, and between two questions for the host's health.
const PAUSE: Duration = Duration::from_millis(50);
/// Within which the host says that it is well.
const WELL: Duration = Duration::from_millis(100);
/// By how much the other tenant may be slower where it is quick.
const SLOWER: Duration = Duration::from_millis(20);
/// How much more memory the host may have, at the highest.
const MORE_MIB: u64 = 1024;

struct Attack {
    name: &'static str,
    /// What ends it.
    limit: &'static str,
    how: How,
}

enum How {
    /// So many runs at once, with this input, of a flow that calls this action of the misbehaving guest.
    Guests { action: &'static str, input: fn() -> Value, count: usize },
    /// Does it, and says what the attacker was told.
    By(for<'a> fn(&'a House) -> BoxFuture<'a, String>),
}

impl How {
    async fn told(&self, house: &House) -> String {
        match *self {
            Self::Guests { action, input, count } => runs(house, action, &input(), count).await,
            Self::By(run) => run(house).await,
        }
    }
}

const ATTACKS: &[Attack] = &[
    Attack {
        name: "20 patterns in a flow's input",
        limit: "cpu, in a sandbox",
        how: How::By(|house| Box::pin(schema(house, patterns(20), text_of_a_and_b()))),
    },
    Attack {
        name: "24 levels of doubled $ref",
        limit: "cpu, in a sandbox",
        how: How::By(|house| Box::pin(schema(house, doubling(24), json!("x")))),
    },
    Attack {
        name: "100 patterns in a flow",
        limit: "memory, in a sandbox",
        how: How::By(|house| Box::pin(schema(house, patterns(100), text_of_a_and_b()))),
    },
    Attack {
        name: "20 patterns in a hook's schema",
        limit: "cpu, in a sandbox",
        how: How::By(|house| Box::pin(hook_schema(house))),
    },
    Attack {
        name: "a sample of 2,000 parameters",
        limit: "cpu",
        how: How::By(|house| Box::pin(sample(house))),
    },
    Attack {
        name: "120 bodies of 9.9 MB, slowly",
        limit: "memory",
        how: How::By(|house| Box::pin(slow_bodies(house))),
    },
    Attack {
        name: "JSON bodies of {\"\":0}",
        limit: "weight of JSON",
        how: How::By(|house| Box::pin(bombs(house))),
    },
    Attack {
        name: "40 guests that hold 50 MiB",
        limit: "guest_memory",
        how: How::Guests {
            action: "sleep-until",
            input: || json!({ "millis": 5_000, "holding": 50 }),
            count: 40,
        },
    },
    Attack {
        name: "200 guests that spin",
        limit: "turns, cpu",
        how: How::Guests { action: "spin", input: || json!({}), count: 200 },
    },
    Attack {
        name: "1,000 guests that sleep",
        limit: "shares of places",
        how: How::Guests { action: "sleep-until", input: || json!({ "millis": 60_000 }), count: 1_000 },
    },
    Attack {
        name: "40 guests that grow",
        limit: "memory",
        how: How::Guests { action: "grow", input: || json!({}), count: 40 },
    },
    Attack {
        name: "40 guests that flood the log",
        limit: "lines of a call",
        how: How::Guests { action: "log-flood", input: || json!({}), count: 40 },
    },
    Attack {
        name: "40 guests whose requests are denied",
        limit: "cpu, lines of a kind",
        how: How::Guests {
            action: "fetches",
            input: || json!({ "urls": ["http://169.254.169.254/"], "times": 100_000 }),
            count: 40,
        },
    },
    Attack {
        name: "200 endless expressions",
        limit: "turns, cpu",
        how: How::By(|house| Box::pin(expressions(house))),
    },
    Attack {
        name: "a component that is work to compile",
        limit: "a child with limits",
        how: How::By(|house| Box::pin(compiling(house))),
    },
    Attack {
        name: "1,100 connections that say nothing",
        limit: "shares of connections",
        how: How::By(|house| Box::pin(idle(house))),
    },
];

/// The last thing that the attacker was told.
fn told(run: &Value) -> String {
    let problem = &run["problem"];
    problem["detail"].as_str().or(problem["title"].as_str()).unwrap_or("nothing").to_owned()
}

async fn deploy(house: &House, kind: &str, name: &str, text: String) -> Value {
    let put = house.as_mallory("PUT", &format!("/api/v1/{kind}/shop/{name}"));
    put.body("application/yaml", text).send().await.json()
}

/// So many runs at once, each until it is over; what the last one was told.
async fn runs(house: &House, flow: &str, input: &Value, count: usize) -> String {
    let mut begun = JoinSet::new();
    for _ in 0..count {
        let path = format!("/api/v1/flows/shop/{flow}/runs?wait=PT10S");
        begun.spawn(house.as_mallory("POST", &path).json(input).try_send());
    }
    let mut last = "nothing".to_owned();
    while let Some(ended) = begun.join_next().await {
        if let Ok(Ok(answer)) = ended
            && let Ok(run) = serde_json::from_str::<Value>(&answer.text())
            && (run["problem"].is_object() || answer.status >= 400)
        {
            last = if answer.status >= 400 { told(&json!({ "problem": run })) } else { told(&run) };
        }
    }
    last
}

async fn schema(house: &House, schema: Value, input: Value) -> String {
    deploy(house, "flows", "schema", with_input("schema", &schema)).await;
    runs(house, "schema", &input, 8).await
}

async fn hook_schema(house: &House) -> String {
    deploy(house, "flows", "take", flow("take", "- one: { set: { a: 1 } }")).await;
    let with = format!("{{ schema: {} }}", patterns(20));
    let trigger = deploy(house, "triggers", "in", hook("in", "take", &with)).await;
    let url = trigger["url"].as_str().expect("a trigger has an address").to_owned();
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        calls.spawn(Call::post(&url, &text_of_a_and_b()).send());
    }
    calls.join_all().await.last().map(|answer| told(&json!({ "problem": answer.json() }))).unwrap_or_default()
}

async fn sample(house: &House) -> String {
    let sample = sample_of(2_000);
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        calls.spawn(house.as_mallory("POST", "/api/v1/triggers/sample").json(&sample).send());
    }
    let answers = calls.join_all().await;
    let refused = answers.iter().find(|answer| answer.status >= 400);
    refused.map_or("an answer".to_owned(), |answer| told(&json!({ "problem": answer.json() })))
}

async fn slow_bodies(house: &House) -> String {
    let hook = house.give_hook().await;
    let address = hook.trim_start_matches("http://").split('/').next().expect("it has a host").to_owned();
    let path = &hook[hook.find("/hooks/").expect("it is a hook")..];
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9900000\r\n\r\n["
    );
    let mut connections = vec![];
    for _ in 0..120 {
        let mut connection = TcpStream::connect(&address).await.expect("it listens");
        connection.write_all(head.as_bytes()).await.expect("it reads");
        connections.push(connection);
    }
    for _ in 0..40 {
        for connection in &mut connections {
            // Those that were refused are closed by now.
            let _ = connection.write_all(&[b'1'; 4_096]).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let refused = Call::new("POST", &hook).body("application/json", vec![b'1'; 9_900_000]).send().await;
    told(&json!({ "problem": refused.json() }))
}

async fn bombs(house: &House) -> String {
    let hook = house.give_hook().await;
    let bomb = format!("[{}0]", r#"{"":0},"#.repeat(1_400_000));
    let mut senders = JoinSet::new();
    for _ in 0..5 {
        senders.spawn(Call::new("POST", &hook).body("application/json", bomb.clone()).send());
    }
    senders
        .join_all()
        .await
        .last()
        .map(|answer| told(&json!({ "problem": answer.json() })))
        .unwrap_or_default()
}

async fn expressions(house: &House) -> String {
    let task = "- one: { set: { a: '${ last(range(1e12)) }' } }";
    deploy(house, "flows", "endless", flow("endless", task)).await;
    runs(house, "endless", &json!({}), 200).await
}

async fn compiling(house: &House) -> String {
    let install =
        house.as_mallory("POST", "/api/v1/plugins").body("application/wasm", laborious_component(12));
    told(&json!({ "problem": install.send().await.json() }))
}

async fn idle(house: &House) -> String {
    let address = house.honest.trim_start_matches("http://").split('/').next().expect("it has a host");
    let mut connections = vec![];
    for _ in 0..1_100 {
        connections.push(TcpStream::connect(address).await.expect("it listens"));
    }
    tokio::time::sleep(ROUND).await;
    "nothing: those over the share are closed".to_owned()
}

/// The 99th percentiles of the other tenant's webhook and of the host's health.
#[derive(Clone, Copy)]
struct Seen {
    other: Duration,
    health: Duration,
}

/// What the other tenant and a probe see while `work` is done, and for so long at least. They ask whether the answer before has
/// come or not, from a thread of their own: what they wait for is the host, and not the attacker beside them.
async fn beside<T>(house: &House, work: impl Future<Output = T>) -> (T, Seen) {
    let (hook, health) = (house.honest.clone(), format!("{}/healthz", house.server.url()));
    let (done, is_done) = oneshot::channel();
    let asking = std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("there is a runtime");
        runtime.block_on(ask(hook, health, is_done))
    });
    let worked = tokio::join!(work, tokio::time::sleep(ROUND)).0;
    drop(done);
    (worked, asking.join().expect("it asks to the end"))
}

async fn ask(hook: String, url: String, mut is_done: oneshot::Receiver<()>) -> Seen {
    let (mut other, mut health) = (JoinSet::new(), JoinSet::new());
    let mut every = tokio::time::interval(PAUSE);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            _ = &mut is_done => break,
        }
        other.spawn(timed(Call::post(&hook, &json!({ "n": 7 }))));
        health.spawn(timed(Call::get(url.clone())));
    }
    Seen { other: p99(other.join_all().await), health: p99(health.join_all().await) }
}

async fn timed(call: Call) -> Duration {
    let began = Instant::now();
    call.send().await.is(200);
    began.elapsed()
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() * 99 / 100]
}

/// How far the attacker stands back behind the host, as `nice` counts: it stands for another machine.
const NICE: i32 = 10;

#[test]
#[ignore = "the long form: minutes, on a machine that does nothing else"]
fn every_attack_is_ended_and_costs_the_other_tenant_little() {
    let stands_back = || {
        rustix::process::nice(NICE).expect("a thread may stand back");
    };
    let runtime = Builder::new_multi_thread().enable_all().on_thread_start(stands_back).build();
    // The host is started from this thread, which does not stand back.
    runtime.expect("there is a runtime").block_on(table());
}

/// FLOWCELL_ATTACKS: only those whose names have this in them.
#[expect(clippy::print_stdout, reason = "the table is what it is run for")]
async fn table() {
    let wanted = std::env::var("FLOWCELL_ATTACKS").unwrap_or_default();
    println!(
        "| attack | ended by | time | more memory, highest / after 10 s | other tenant's p99, alone / beside | health p99 | told |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut failures = vec![];
    for attack in ATTACKS.iter().filter(|attack| attack.name.contains(&wanted)) {
        let mut house = House::open(Limits::default()).await;
        // To install a guest is an attack of its own.
        if let How::Guests { action, .. } = attack.how {
            house.give_guest(action).await;
        }
        // The first answers are slower than any later one.
        beside(&house, async {}).await;
        let ((), alone) = beside(&house, async {}).await;
        let before = house.server.process().memory_mib();
        let began = Instant::now();
        let ((told, took), seen) =
            beside(&house, async { (attack.how.told(&house).await, began.elapsed()) }).await;
        let highest = house.server.process().peak_memory_mib().saturating_sub(before);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let after = house.server.process().memory_mib().saturating_sub(before);
        let told: String = told.chars().take(90).collect();
        println!(
            "| {} | {} | {:.1} s | {highest} / {after} MiB | {:.1} / {:.1} ms | {:.1} ms | {told} |",
            attack.name,
            attack.limit,
            took.as_secs_f64(),
            alone.other.as_secs_f64() * 1e3,
            seen.other.as_secs_f64() * 1e3,
            seen.health.as_secs_f64() * 1e3,
        );
        let most = (alone.other.mul_f64(1.5)).max(alone.other + SLOWER);
        if seen.health > WELL || seen.other > most || highest > MORE_MIB || told.is_empty() {
            failures.push(attack.name);
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}
