//! What a tenant, a viewer or a stranger may do to the host and to other tenants: nothing. Each test names the limit that
//! ends the attack. While it lasts, the host says that it is well and another tenant's webhook is answered.
//!
//! What that costs the other tenant in time is measured by the benchmark, case G: a test that asserts a time fails on a busy
//! machine.

mod table;

use flowcell_tests::{Answer, Call, Server, Setup, component_importing, laborious_component, probe, until};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::FLOWCELL;
use crate::documents::{flow, hook, together};
use crate::schemas::{patterns, text_of_a_and_b, with_input};

/// Two tenants: `default`, whose webhook must be answered whatever happens, and `mallory`.
struct House {
    server: Server,
    honest: String,
}

/// What the configuration says beside the tenants' names.
#[derive(Default)]
struct Limits<'a> {
    host: &'a str,
    mallory: &'a str,
}

impl House {
    async fn open(Limits { host, mallory }: Limits<'_>) -> Self {
        let config = format!(
            "{host}\n[[tenant]]\nname = \"default\"\n[[tenant]]\nname = \"mallory\"\n[tenant.quota]\n{mallory}\n"
        );
        let documents = together(&[
            &flow("honest", "- give: { set: { got: '${ .body }' } }"),
            &hook("in", "honest", "{ respond: { from: flow, within: PT60S } }"),
        ]);
        let setup: Setup = FLOWCELL.serve().config(config).file("honest.yaml", documents);
        let mut server = setup.start().await;
        let honest = server.hook("shop/in").await;
        Self { server, honest }
    }

    fn as_mallory(&self, method: &str, path: &str) -> Call {
        self.server.call(method, path).header("flowcell-tenant", "mallory")
    }

    /// Mallory has the misbehaving guest, and a flow for one of its actions.
    async fn give_guest(&self, action: &str) {
        let wasm = std::fs::read(probe()).expect("the probe is built");
        let install = self.as_mallory("POST", "/api/v1/plugins").body("application/wasm", wasm);
        assert!([200, 201].contains(&install.send().await.status), "the guest is not installed");
        let tasks = format!("- probe: {{ call: flowcell-probe.{action}:1.0.0@default, with: '${{ . }}' }}");
        let deploy = self.as_mallory("PUT", &format!("/api/v1/flows/shop/{action}"));
        deploy.body("application/yaml", flow(action, &tasks)).send().await.is(201);
    }

    /// The address of a webhook of Mallory's that starts a run with what is sent.
    async fn give_hook(&self) -> String {
        let deploy = self.as_mallory("PUT", "/api/v1/flows/shop/take");
        deploy.body("application/yaml", flow("take", "- rest: { wait: PT1H }")).send().await.is(201);
        let deploy = self.as_mallory("PUT", "/api/v1/triggers/shop/in");
        let trigger = deploy.body("application/yaml", hook("in", "take", "{}")).send().await.is(201).json();
        trigger["url"].as_str().unwrap_or_else(|| panic!("a trigger has an address: {trigger}")).to_owned()
    }

    /// The host says that it is well, and the other tenant is served.
    async fn is_well(&self) {
        Call::get(format!("{}/healthz", self.server.url())).send().await.is(200);
        let answer = Call::post(&self.honest, &json!({ "n": 7 })).send().await.is(200);
        assert_eq!(answer.json(), json!({ "got": { "n": 7 } }));
    }

    /// How many bytes the host holds for Mallory.
    async fn held(&self) -> u64 {
        self.of_mallory("flowcell_memory_held_bytes").await
    }

    /// A metric of Mallory's.
    async fn of_mallory(&self, metric: &str) -> u64 {
        let metrics = self.server.get("/metrics").await.is(200).text();
        let name = format!("{metric}{{tenant=\"mallory\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(name.as_str()));
        line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().expect("a number")
    }
}

/// The problem of a refusal that says when to come again.
fn refused(answer: Answer, status: u16) -> Value {
    assert!(answer.header("retry-after").parse::<u64>().is_ok(), "{answer}");
    answer.problem(status)
}

/// H7. Limit: turns. Guests compute in as many places as there are cores, and tenants take turns by what they used.
#[tokio::test]
async fn two_hundred_guests_that_spin_stop_nobody_else() {
    let house =
        House::open(Limits { mallory: "cpu = \"1m\"\nstep_time = \"10m\"", ..Limits::default() }).await;
    house.give_guest("spin").await;
    for _ in 0..200 {
        let begin = house.as_mallory("POST", "/api/v1/flows/shop/spin/runs").json(&json!({}));
        begin.send().await.is(202);
    }
    for _ in 0..20 {
        house.is_well().await;
    }
    let spinning =
        house.as_mallory("GET", "/api/v1/runs?status=running&limit=200").send().await.is(200).json();
    assert_eq!(spinning["items"].as_array().map(Vec::len), Some(200), "the attack is over");
}

/// H4. Limit: places are shares. Quota `concurrent_runs` is above the host's places here.
#[tokio::test]
async fn guests_that_sleep_leave_places_for_others() {
    let mallory = "concurrent_runs = 5000\nstep_time = \"10m\"\nrequests_per_second = 100000";
    let house = House::open(Limits { mallory, ..Limits::default() }).await;
    house.give_guest("sleep-until").await;
    let hour = json!({ "millis": 3_600_000 });
    for _ in 0..50 {
        let mut begins = JoinSet::new();
        for _ in 0..44 {
            let begin = house.as_mallory("POST", "/api/v1/flows/shop/sleep-until/runs").json(&hour);
            begins.spawn(begin.send());
        }
        for begun in begins.join_all().await {
            begun.is(202);
        }
    }
    for _ in 0..5 {
        house.is_well().await;
    }
}

/// H3. Limit: `memory`. A body is read when its announced length has room in the share of its tenant.
#[tokio::test]
async fn bodies_that_come_slowly_take_a_share_and_give_it_back() {
    let house = House::open(Limits { host: "memory = \"64MiB\"", ..Limits::default() }).await;
    let hook = house.give_hook().await;
    let address = hook.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    let path = &hook[hook.find("/hooks/").unwrap()..];
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9900000\r\n\r\n["
    );
    let mut connections = vec![];
    for _ in 0..120 {
        let mut connection = TcpStream::connect(&address).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        connections.push(connection);
    }
    // Three have room in half of 64 MiB; the others are refused.
    let mut waiting = vec![];
    let mut refusals = 0;
    until("117 refusals", async || {
        for connection in std::mem::take(&mut connections) {
            let mut start = [0; 12];
            match connection.try_read(&mut start) {
                Ok(12) => {
                    assert_eq!(&start, b"HTTP/1.1 429");
                    refusals += 1;
                    waiting.push(connection);
                }
                _ => connections.push(connection),
            }
        }
        (refusals == 117).then_some(())
    })
    .await;
    assert_eq!(house.held().await, 3 * 9_900_000);
    house.is_well().await;
    drop((connections, waiting));
    until("the memory back", async || (house.held().await == 0).then_some(())).await;
}

/// H3. Limits: JSON is weighed before it is read; the trigger's guest has its `cpu`.
#[tokio::test]
async fn json_that_is_small_as_text_and_large_as_a_value_is_not_read() {
    let mut house = House::open(Limits::default()).await;
    let hook = house.give_hook().await;
    let before = house.server.process().peak_memory_mib();
    let bomb = format!("[{}0]", r#"{"":0},"#.repeat(1_400_000));
    let mut senders = JoinSet::new();
    for _ in 0..5 {
        let begin = house.as_mallory("POST", "/api/v1/flows/shop/take/runs");
        senders.spawn(begin.body("application/json", bomb.clone()).send());
        senders.spawn(Call::new("POST", &hook).body("application/json", bomb.clone()).send());
    }
    house.is_well().await;
    for answer in senders.join_all().await {
        assert!(answer.status >= 400, "{answer}");
        // The trigger's guest may come to its end before the host looks at what it made.
        let text = answer.text();
        assert!(text.contains("memory") || text.contains("tenant.quota.cpu"), "{text}");
    }
    until("the memory back", async || (house.held().await == 0).then_some(())).await;
    let more = house.server.process().peak_memory_mib() - before;
    assert!(more < 300, "{more} MiB more");
}

/// Limit: `memory`. Runs that are kept in memory alone are on the account of their tenant, also while they wait.
#[tokio::test]
async fn runs_that_wait_in_memory_alone_take_a_share_and_give_it_back() {
    let house = House::open(Limits { host: "memory = \"64MiB\"", ..Limits::default() }).await;
    let rest = flow("rest", "- rest: { wait: PT1H }")
        .replace("version: '1.0.0'", "version: '1.0.0', metadata: { durable: false }");
    house.as_mallory("PUT", "/api/v1/flows/shop/rest").body("application/yaml", rest).send().await.is(201);
    let mut runs = vec![];
    let refusal = loop {
        let begin = house.as_mallory("POST", "/api/v1/flows/shop/rest/runs");
        let answer = begin.json(&json!("x".repeat(8 << 20))).send().await;
        if answer.status != 202 {
            break refused(answer, 429);
        }
        runs.push(answer.json()["id"].as_str().expect("a run has an id").to_owned());
        assert!(runs.len() < 5, "more than a share of 32 MiB is taken");
    };
    assert!(refusal.to_string().contains("which is its share"), "{refusal}");
    assert!(house.held().await > 16 << 20);
    house.is_well().await;
    for run in &runs {
        house.as_mallory("POST", &format!("/api/v1/runs/{run}/cancel")).send().await.is(200);
    }
    until("the memory back", async || (house.held().await == 0).then_some(())).await;
}

/// H3. Limit: `guest_memory`, of which a tenant has as much as is free for everyone.
#[tokio::test]
async fn guests_that_hold_memory_take_a_share_and_give_it_back() {
    let mallory = "step_time = \"10m\"";
    let house = House::open(Limits { host: "guest_memory = \"200MiB\"", mallory }).await;
    house.give_guest("sleep-until").await;
    let mut runs = vec![];
    for _ in 0..20 {
        let begin = house.as_mallory("POST", "/api/v1/flows/shop/sleep-until/runs");
        let begun = begin.json(&json!({ "millis": 3_600_000, "holding": 40 })).send().await.is(202).json();
        runs.push(begun["id"].as_str().expect("a run has an id").to_owned());
    }
    // Two have room in the half that one tenant may hold; the others are told so, and tried again.
    let path = format!("/api/v1/runs/{}", runs[19]);
    let problem = until("a refused attempt", async || {
        let run = house.as_mallory("GET", &path).send().await.is(200).json();
        let problem = run["steps"][0]["attempts"][0]["problem"].clone();
        (problem["status"] == 429).then_some(problem)
    });
    let problem = problem.await;
    assert!(problem["detail"].as_str().is_some_and(|why| why.contains("`guest_memory`")), "{problem}");
    let held = house.of_mallory("flowcell_guest_memory_held_bytes").await >> 20;
    assert!((76..=100).contains(&held), "{held} MiB");
    house.is_well().await;
    for run in &runs {
        house.as_mallory("POST", &format!("/api/v1/runs/{run}/cancel")).send().await.is(200);
    }
    // What is left is of sandboxes that are kept for the tenant's expressions and schemas.
    until("the memory back", async || {
        (house.of_mallory("flowcell_guest_memory_held_bytes").await < 10 << 20).then_some(())
    })
    .await;
}

/// C1c. A host that is killed amid attacks serves as soon as it has started again, and the runs that attack end with a problem.
#[tokio::test]
async fn a_host_that_is_killed_amid_attacks_starts_again() {
    let house = House::open(Limits { mallory: "step_time = \"2s\"", ..Limits::default() }).await;
    house.give_guest("spin").await;
    house.give_guest("sleep-until").await;
    let deploy = house.as_mallory("PUT", "/api/v1/flows/shop/schema");
    let schema = with_input("schema", &patterns(20));
    deploy.body("application/yaml", schema).send().await.is(201);
    let hour = json!({ "millis": 3_600_000 });
    let attacks = [("spin", json!({})), ("sleep-until", hour), ("schema", text_of_a_and_b())];
    for _ in 0..5 {
        for (flow, input) in &attacks {
            let begin = house.as_mallory("POST", &format!("/api/v1/flows/shop/{flow}/runs"));
            begin.json(input).send().await.is(202);
        }
    }
    let mut server = house.server.kill9().await.start().await;
    let honest = server.hook("shop/in").await;
    let house = House { server, honest };
    house.is_well().await;
    until("the end of the attacks", async || {
        let ended = house.as_mallory("GET", "/api/v1/runs?status=faulted").send().await.is(200).json();
        (ended["items"].as_array().map(Vec::len) == Some(15)).then_some(())
    })
    .await;
    house.is_well().await;
}

/// Medium. Limit: `requests_per_second` counts the API as well.
#[tokio::test]
async fn runs_that_are_started_by_the_api_count_as_requests() {
    let house = House::open(Limits { mallory: "requests_per_second = 5", ..Limits::default() }).await;
    let mut senders = JoinSet::new();
    for _ in 0..40 {
        senders.spawn(house.as_mallory("GET", "/api/v1/flows").send());
    }
    let answers = senders.join_all().await;
    let too_many: Vec<_> = answers.into_iter().filter(|answer| answer.status != 200).collect();
    assert!(!too_many.is_empty());
    for answer in too_many {
        let problem = refused(answer, 429);
        assert!(problem.to_string().contains("requests_per_second"), "{problem}");
    }
    house.is_well().await;
}

/// Medium. Limit: `cpu`, of the plugin that reads samples.
#[tokio::test]
async fn a_sample_that_is_much_work_is_refused_by_the_name_of_the_quota() {
    let house = House::open(Limits { mallory: "cpu = \"5ms\"", ..Limits::default() }).await;
    let read = house.as_mallory("POST", "/api/v1/triggers/sample").json(&sample_of(2_000));
    let problem = read.send().await.problem(422);
    assert!(problem["detail"].as_str().is_some_and(|why| why.contains("`tenant.quota.cpu`")), "{problem}");
    house.is_well().await;
}

/// A sample of a request with so many parameters.
fn sample_of(parameters: usize) -> Value {
    let query: Vec<String> = (0..parameters).map(|number| format!("a{number}.name=1")).collect();
    json!({ "url": format!("https://x.example/?{}", query.join("&")) })
}

/// H6. Limit: a component is compiled in a child with limits, which stands back behind the host; a tenant has one at a time.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn components_that_take_long_to_compile_keep_nobody_waiting() {
    let mut house = House::open(Limits::default()).await;
    let mut installs = JoinSet::new();
    for more in 0..3 {
        let wasm = laborious_component(12 + more);
        let install = house.as_mallory("POST", "/api/v1/plugins").body("application/wasm", wasm);
        installs.spawn(install.send());
    }
    let child = until("the child", async || house.server.process().children().first().copied()).await;
    until("its limits", async || {
        let limits = std::fs::read_to_string(format!("/proc/{child}/limits")).ok()?;
        let words = limits.split_whitespace().collect::<Vec<_>>().join(" ");
        let wanted = ["Max cpu time 60 60 seconds", "Max address space 3221225472 3221225472 bytes"];
        wanted.iter().all(|limit| words.contains(limit)).then_some(())
    })
    .await;
    assert_eq!(house.server.process().children(), [child], "one at a time");
    // The other tenant is served, and has a child of its own beside it.
    house.is_well().await;
    let small = component_importing("wasi:sockets/tcp@0.2.0");
    let install = house.server.call("POST", "/api/v1/plugins").body("application/wasm", small);
    let problem = install.send().await.problem(400);
    assert!(problem["detail"].as_str().is_some_and(|why| why.contains("is not offered")), "{problem}");
    assert!(!house.server.process().children().is_empty(), "the attack was over before");
    // Who leaves takes its children along, those that wait as well.
    installs.shutdown().await;
    until("the end of the children", async || house.server.process().children().is_empty().then_some(()))
        .await;
}
