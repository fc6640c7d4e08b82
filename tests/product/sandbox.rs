//! Guests that break every rule: each is ended within its limits, says why, and the next request is served as ever.

use flowcell_tests::{
    Call, Folder, Output, Server, bare_probe, component_importing, core_module, probe, until,
};
use serde_json::{Value, json};

use crate::FLOWCELL;
use crate::documents::{flow, hook, local, together};

/// A flow that calls one action of the probe with its own input.
fn probing(action: &str) -> String {
    flow(action, &format!("- probe: {{ call: flowcell-probe.{action}:1.0.0@default, with: '${{ . }}' }}"))
}

async fn serve(quota: &str, actions: &[&str]) -> Server {
    serve_guest(probe(), quota, actions).await
}

async fn serve_guest(guest: &std::path::Path, quota: &str, actions: &[&str]) -> Server {
    let wasm = std::fs::read(guest).unwrap_or_else(|error| panic!("the probe is not built: {error}"));
    let setup =
        FLOWCELL.serve().config(local(quota)).file("probe.wasm", wasm).file("echo.yaml", probing("echo"));
    let setup =
        actions.iter().fold(setup, |setup, action| setup.file(&format!("{action}.yaml"), probing(action)));
    setup.start().await
}

async fn problem(server: &Server, action: &str, input: &Value) -> Value {
    let run = server.run(&format!("shop/{action}"), input).await;
    assert_eq!(run["status"], "faulted", "{action}: {run}");
    run["problem"].clone()
}

/// The host is as it was: a call to a well-behaved action is answered.
async fn still_serves(server: &Server) {
    let run = server.run("shop/echo", &json!({ "still": "there" })).await;
    assert_eq!(run["output"], json!({ "still": "there" }), "{run}");
}

fn says(problem: &Value, words: &[&str]) {
    for word in words {
        assert!(problem.to_string().contains(word), "`{word}` is missing: {problem}");
    }
}

#[tokio::test]
async fn a_guest_that_never_ends_is_ended_by_its_cpu_quota() {
    let server = serve("cpu = \"100ms\"", &["spin"]).await;
    says(&problem(&server, "spin", &json!({})).await, &["CPU", "tenant.quota.cpu", "100 ms"]);
    still_serves(&server).await;
}

#[tokio::test]
async fn a_guest_that_takes_memory_without_end_is_ended_by_its_memory_quota() {
    let server = serve("memory = \"16MiB\"\ncpu = \"5s\"", &["grow"]).await;
    says(&problem(&server, "grow", &json!({})).await, &["memory", "tenant.quota.memory", "16.0 MiB"]);
    still_serves(&server).await;
}

#[tokio::test]
async fn a_guest_that_sleeps_is_ended_by_its_step_time() {
    let server = serve("step_time = \"300ms\"", &["sleep-until"]).await;
    let problem = problem(&server, "sleep-until", &json!({ "millis": 3_600_000 })).await;
    says(&problem, &["tenant.quota.step_time", "errors/timeout"]);
    still_serves(&server).await;
}

/// The pool gives back many small pieces of memory together; a large one does not wait for others.
#[tokio::test]
async fn the_memory_of_a_large_guest_is_given_back_when_its_call_is_over() {
    let mut server = serve("", &["sleep-until"]).await;
    still_serves(&server).await;
    let before = server.process().memory_mib();
    let run = server.run("shop/sleep-until", &json!({ "millis": 0, "holding": 50 })).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert!(server.process().peak_memory_mib() > before + 45, "it never held the memory");
    until("the memory is given back", async || (server.process().memory_mib() < before + 25).then_some(()))
        .await;
}

#[tokio::test]
async fn a_recursion_without_end_is_the_guests_fault_alone() {
    let server = serve("cpu = \"5s\"", &["recurse"]).await;
    says(&problem(&server, "recurse", &json!({})).await, &["stack"]);
    still_serves(&server).await;
}

#[tokio::test]
async fn a_panic_reaches_the_author_with_its_text_and_function() {
    let server = serve("", &["trap"]).await;
    let problem = problem(&server, "trap", &json!({ "message": "no city called Atlantis" })).await;
    says(&problem, &["no city called Atlantis", "greed.rs", "trap"]);
    let trace = problem["data"]["trace"].as_array().cloned().unwrap_or_default();
    assert!(
        trace.iter().any(|function| function.as_str().is_some_and(|name| name.contains("flowcell_probe"))),
        "{problem}"
    );
    still_serves(&server).await;
}

#[tokio::test]
async fn a_guest_without_wasi_is_held_to_the_same() {
    let actions = ["grow", "recurse", "trap"];
    let server = serve_guest(bare_probe(), "memory = \"16MiB\"\ncpu = \"5s\"", &actions).await;
    says(&problem(&server, "grow", &json!({})).await, &["memory", "tenant.quota.memory", "16.0 MiB"]);
    says(&problem(&server, "recurse", &json!({})).await, &["stack"]);
    let panicked = problem(&server, "trap", &json!({ "message": "no city called Atlantis" })).await;
    says(&panicked, &["panicked at", "no city called Atlantis", "greed.rs", "trap"]);
    still_serves(&server).await;
}

#[tokio::test]
async fn values_of_every_size_pass_through_the_allocator_of_a_guest_without_wasi() {
    let server = serve_guest(bare_probe(), "cpu = \"5s\"", &[]).await;
    let rows = |count: usize| -> Vec<Value> {
        (0..count).map(|n| json!({ "n": n, "text": "é".repeat(n % 97), "list": vec![n; n % 7] })).collect()
    };
    for count in [0, 1, 10, 300, 5000] {
        let input = json!({ "rows": rows(count), "long": "x".repeat(count * 200) });
        let run = server.run("shop/echo", &input).await;
        assert_eq!(run["output"], input, "{count} rows came back changed");
    }
}

#[tokio::test]
async fn an_expression_that_doubles_without_end_is_its_runs_fault_alone() {
    let doubled = " | . + .".repeat(44);
    let task = format!("- a: {{ set: {{ n: '${{ \"0123456789abcdef\"{doubled} | length }}' }} }}");
    let setup = FLOWCELL.serve().config(local("")).file("bomb.yaml", flow("bomb", &task));
    let server = setup.file("fine.yaml", flow("fine", "- a: { set: { n: '${ .n + 1 }' } }")).start().await;
    says(&problem(&server, "bomb", &json!({})).await, &["expression", "tenant.quota.memory"]);
    assert_eq!(server.run("shop/fine", &json!({ "n": 1 })).await["output"], json!({ "n": 2 }));
}

#[tokio::test]
async fn floods_end_in_a_problem_or_are_cut() {
    let server = serve(
        "cpu = \"2s\"\nstep_time = \"5s\"",
        &["log-flood", "stdout-flood", "huge-output", "huge-problem", "headers-flood", "error-flood"],
    )
    .await;
    let url = json!({ "url": "http://127.0.0.1:9/" });
    for (action, input) in [
        ("log-flood", json!({})),
        ("stdout-flood", json!({})),
        ("huge-output", json!({})),
        ("huge-problem", json!({})),
        ("headers-flood", url),
        ("error-flood", json!({})),
    ] {
        let run = server.run(&format!("shop/{action}"), &input).await;
        let size = run.to_string().len();
        assert!(size < 4 << 20, "{action} left {size} bytes in the history");
        still_serves(&server).await;
    }
}

#[tokio::test]
async fn a_guest_sees_nothing_of_the_machine() {
    let server = serve("", &["about"]).await;
    let run = server.run("shop/about", &json!({})).await;
    let about = &run["output"];
    assert_eq!(
        (&about["environment"], &about["run"], &about["attempt"]),
        (&json!([]), &run["id"], &json!(1)),
        "{run}"
    );
    assert_ne!(about["root"], "readable", "{run}");
    assert!(about["idempotency_key"].as_str().is_some_and(|key| !key.is_empty()), "{run}");
}

#[tokio::test]
async fn a_guest_is_asked_again_when_it_asks_for_it() {
    let server = serve("", &["fail"]).await;
    let run = server.run("shop/fail", &json!({ "until_attempt": 3, "retry_after_ms": 10 })).await;
    assert_eq!(
        (&run["output"], run["steps"][0]["attempts"].as_array().map(Vec::len)),
        (&json!(3), Some(3)),
        "{run}"
    );
    let problem = problem(&server, "fail", &json!({})).await;
    assert_eq!((&problem["status"], &problem["data"]["code"]), (&json!(418), &json!("told-to")), "{problem}");
}

#[tokio::test]
async fn a_spinning_guest_does_not_keep_others_from_being_answered() {
    let documents = together(&[
        &flow("quick", "- one: { set: { a: 1 } }"),
        &hook("in", "quick", "{ respond: { from: flow } }"),
    ]);
    let wasm = std::fs::read(probe()).unwrap();
    let setup = FLOWCELL
        .serve()
        .config(local("cpu = \"3s\""))
        .file("probe.wasm", wasm)
        .file("spin.yaml", probing("spin"));
    let mut server = setup.file("quick.yaml", documents).start().await;
    let hook = server.hook("shop/in").await;
    let mut spinning = vec![];
    for _ in 0..4 {
        spinning.push(server.begin("shop/spin", &json!({})).await);
    }
    Call::post(&hook, &json!({})).send().await.is(200);
    for run in &spinning {
        server.wait_for(run, "faulted").await;
    }
}

async fn run_with(plugin: &[u8]) -> Output {
    let folder = Folder::new();
    folder.write("guest.wasm", plugin);
    folder.write("flow.yaml", flow("one", "- one: { set: { a: 1 } }"));
    let command = FLOWCELL.command(["run", "flow.yaml", "--plugin", "guest.wasm"]);
    command.in_folder(folder.path()).output().await
}

#[tokio::test]
async fn run_takes_a_plugin_from_a_file() {
    let folder = Folder::new();
    folder.write("flow.yaml", probing("echo"));
    let command = FLOWCELL.command(["run", "flow.yaml", "--input", r#"{ "a": 1 }"#, "--plugin"]).arg(probe());
    let output = command.in_folder(folder.path()).output().await.exited(0);
    assert_eq!(output.json(), json!({ "a": 1 }));
}

#[tokio::test]
async fn a_component_that_wants_what_is_not_offered_is_refused_by_name() {
    let sockets = run_with(&component_importing("wasi:sockets/tcp@0.2.0")).await.exited(2);
    sockets.says(&["guest.wasm", "wasi:sockets/tcp@0.2.0", "flowcell:plugin/http-request"]);
    let files = run_with(&component_importing("wasi:filesystem/types@0.2.0")).await;
    assert_ne!(files.code, Some(0), "{files}");
    let unknown = run_with(&component_importing("acme:database/store@1.0.0")).await.exited(2);
    unknown.says(&["guest.wasm", "acme:database/store@1.0.0"]);
}

#[tokio::test]
async fn files_that_are_no_component_are_refused_each_in_its_own_words() {
    run_with(b"#!/bin/sh\n").await.exited(2).says(&["guest.wasm", "not a WebAssembly file"]);
    run_with(&core_module()).await.exited(2).says(&[
        "guest.wasm",
        "core WebAssembly module",
        "wasm32-wasip2",
    ]);
    let mut broken = std::fs::read(probe()).unwrap();
    broken.truncate(broken.len() / 2);
    run_with(&broken).await.exited(2).says(&["guest.wasm", "broken"]);
}

#[tokio::test]
async fn a_folder_with_a_broken_component_is_not_served() {
    let setup = FLOWCELL
        .serve()
        .file("guest.wasm", core_module())
        .file("one.yaml", flow("one", "- one: { set: { a: 1 } }"));
    setup.refused().await.says(&["guest.wasm", "wasm32-wasip2"]);
}

#[tokio::test]
async fn a_plugin_is_inspected_without_being_run() {
    let command = FLOWCELL.command(["plugin", "inspect"]).arg(probe());
    command.output().await.exited(0).says(&["flowcell-probe", "1.0.0", "sleep-until"]);
}
