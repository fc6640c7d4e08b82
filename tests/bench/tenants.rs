//! Case G: what a tenant that spins costs the others.
//!
//! Nine tenants are asked twenty times a second each, whether the answer before has come or not, so that a slow answer slows
//! nothing down that is measured. A tenth has twenty guests that compute without end, at default quotas: as one is ended,
//! another begins.

use std::process::Command;
use std::time::{Duration, Instant};

use flowcell_tests::{Call, Product, Server, probe};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const FLOWCELL: Product =
    Product::new(env!("CARGO_BIN_EXE_flowcell-under-test"), env!("CARGO_TARGET_TMPDIR"));

const OTHERS: usize = 9;
const SPINNING: usize = 20;
/// Between two requests of one tenant.
const PAUSE: Duration = Duration::from_millis(50);

/// The 99th percentile of the answers to nine tenants, in milliseconds.
pub struct Tenants {
    pub alone_ms: f64,
    pub beside_ms: f64,
}

/// Prints `alone beside`.
pub async fn tell(round: Duration) {
    let seen = measure(round).await;
    println!("{} {}", seen.alone_ms, seen.beside_ms);
}

/// The case in a process of its own, with the usual scheduling.
pub fn in_child(seconds: u64) -> Tenants {
    let program = std::env::current_exe().expect("this program");
    let seconds = seconds.to_string();
    let usual =
        Command::new("chrt").args(["--other", "0"]).arg(&program).args(["tenants", &seconds]).output();
    // Where there is no `chrt`, nothing is under another scheduling.
    let output = usual.or_else(|_| Command::new(&program).args(["tenants", &seconds]).output());
    let output = output.expect("a process");
    let text = String::from_utf8(output.stdout).expect("text");
    let (alone, beside) = text.trim().split_once(' ').unwrap_or_else(|| {
        panic!("the case of the tenants failed: {}", String::from_utf8_lossy(&output.stderr));
    });
    Tenants { alone_ms: alone.parse().expect("a number"), beside_ms: beside.parse().expect("a number") }
}

/// Measures for so long each.
async fn measure(round: Duration) -> Tenants {
    let names: Vec<String> = (0..=OTHERS).map(|number| format!("t{number}")).collect();
    let config: String = names.iter().map(|name| format!("[[tenant]]\nname = \"{name}\"\n")).collect();
    let server = FLOWCELL.serve().config(config).arg("--tenant").arg("t0").start().await;
    let mut hooks = vec![];
    for name in &names[1..] {
        put(&server, name, "flows/bench/answer", ANSWER).await;
        let trigger = put(&server, name, "triggers/bench/in", TRIGGER).await;
        hooks.push(trigger["url"].as_str().expect("a trigger has an address").to_owned());
    }
    let wasm = std::fs::read(probe()).expect("the probe is built");
    let install = server.call("POST", "/api/v1/plugins").header("flowcell-tenant", "t0");
    install.body("application/wasm", wasm).send().await;
    put(&server, "t0", "flows/bench/spin", SPIN).await;

    // The first answers of each are slower than any later one.
    p99(&hooks, round / 8).await;
    let alone_ms = p99(&hooks, round).await;
    let mut guests = JoinSet::new();
    for _ in 0..SPINNING {
        let begin = || {
            let call = server.call("POST", "/api/v1/flows/bench/spin/runs?wait=PT60S");
            call.header("flowcell-tenant", "t0").json(&json!({}))
        };
        let calls: Vec<Call> = (0..1000).map(|_| begin()).collect();
        guests.spawn(async move {
            for call in calls {
                let _ = call.try_send().await;
            }
        });
    }
    p99(&hooks, round / 8).await;
    let beside_ms = p99(&hooks, round).await;
    Tenants { alone_ms, beside_ms }
}

async fn put(server: &Server, tenant: &str, what: &str, document: &'static str) -> Value {
    let call = server.call("PUT", &format!("/api/v1/{what}")).header("flowcell-tenant", tenant);
    call.body("application/yaml", document).send().await.is(201).json()
}

async fn p99(hooks: &[String], round: Duration) -> f64 {
    let (mut answers, begin) = (JoinSet::new(), tokio::time::Instant::now());
    let mut ticks = tokio::time::interval(PAUSE / OTHERS as u32);
    let mut next = 0;
    while begin.elapsed() < round {
        ticks.tick().await;
        let call = Call::post(&hooks[next % hooks.len()], &json!({ "order": 4711 }));
        next += 1;
        answers.spawn(async move {
            let begun = Instant::now();
            call.send().await.is(200);
            begun.elapsed().as_secs_f64() * 1e3
        });
    }
    let mut times = answers.join_all().await;
    times.sort_by(f64::total_cmp);
    times[(times.len() - 1) * 99 / 100]
}

const ANSWER: &str = "
document: { dsl: 1.0.3, namespace: bench, name: answer, version: 1.0.0 }
do:
  - answer: { call: 'respond:1.0.0@default', with: { status: 200, body: '${ .body }' } }
";

const TRIGGER: &str = "
trigger: in
namespace: bench
uses: webhook:1.0.0@default
with: { respond: { from: flow, within: PT30S } }
flow: answer
";

const SPIN: &str = "
document: { dsl: 1.0.3, namespace: bench, name: spin, version: 1.0.0 }
do:
  - spin: { call: 'flowcell-probe.spin:1.0.0@default', with: {} }
";
