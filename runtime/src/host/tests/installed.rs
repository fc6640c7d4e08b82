//! Installation: every way in which a component may be wrong is told to its author.

use super::guest::{self, DESCRIPTOR, Guest};
use super::{host, plugin};
use crate::host::Host;

const ANY: &str = "unreachable";

async fn refusal(host: &Host, wasm: &[u8]) -> String {
    super::install(host, wasm)
        .await
        .err()
        .map(|error| error.to_string())
        .unwrap_or_else(|| panic!("it was installed"))
}

#[tokio::test]
async fn a_plugin_is_known_by_its_descriptor() {
    let host = host();
    let plugin = plugin(&host, &Guest::action(ANY).wasm()).await;
    assert_eq!((plugin.name.as_str(), plugin.version.to_string().as_str()), ("probe", "1.0.0"));
    assert_eq!(plugin.digest.len(), 64);
    let action = plugin.action(None).unwrap();
    assert_eq!(action.name, "act");
    assert!(plugin.action(Some("other")).unwrap_err().contains("it has `probe.act`"));
    assert_eq!(plugin.trigger(Some("hook")).unwrap().name, "hook");
}

#[tokio::test]
async fn what_is_no_component_is_refused() {
    let host = host();
    let module = wat::parse_str("(module)").unwrap();
    let broken = &Guest::action(ANY).wasm()[..200];
    let threads = wat::parse_str("(component (core module (memory 1 1 shared)))").unwrap();
    let cases: [(&[u8], &str); 6] = [
        (b"", "not a WebAssembly file"),
        (b"#!/bin/sh", "not a WebAssembly file"),
        (&module, "wasm32-wasip2"),
        (broken, "is broken"),
        (&threads, "switched off: "),
        (&vec![0; 40 * 1024 * 1024], "--release"),
    ];
    for (wasm, expected) in cases {
        let error = refusal(&host, wasm).await;
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn an_import_that_is_not_offered_is_named_with_what_to_use() {
    let host = host();
    let importing = |name: &str| {
        wat::parse_str(format!(r#"(component (import "{name}" (instance (export "f" (func)))))"#)).unwrap()
    };
    let cases = [
        ("wasi:sockets/tcp@0.2.3", "reaches the network through `flowcell:plugin/http-request` alone"),
        (
            "wasi:http/outgoing-handler@0.2.3",
            "reaches the network through `flowcell:plugin/http-request` alone",
        ),
        ("wasi:keyvalue/store@0.2.0", "not give that part of WASI"),
        ("acme:tools/thing", "nothing of that name"),
    ];
    for (import, expected) in cases {
        let error = refusal(&host, &importing(import)).await;
        assert!(
            error.contains(import)
                && error.contains(expected)
                && error.contains("Offered are flowcell:plugin/context"),
            "{error}"
        );
    }
    let error = refusal(&host, &importing("flowcell:plugin/context@0.1.0")).await;
    assert!(error.contains("does not fit what this host offers") && error.contains("context"), "{error}");
}

#[tokio::test]
async fn an_export_that_is_missing_or_of_another_type_is_named() {
    let host = host();
    let error = refusal(&host, &wat::parse_str("(component)").unwrap()).await;
    assert!(error.contains("exports neither") && error.contains("`plugin!`"), "{error}");
    let half = r#"(component
        (core module $m (func (export "f") (result i32) unreachable) (memory (export "m") 1))
        (core instance $i (instantiate $m))
        (func $f (result string) (canon lift (core func $i "f") (memory (core memory $i "m"))))
        (instance $action (export "describe" (func $f)) EXTRA)
        (export "flowcell:plugin/action@0.1.0" (instance $action)))"#;
    let error = refusal(&host, &wat::parse_str(half.replace("EXTRA", "")).unwrap()).await;
    assert!(error.contains("no function `start`"), "{error}");
    let extra = r#"(export "start" (func $f)) (export "resume" (func $f)) (export "cancel" (func $f))"#;
    let error = refusal(&host, &wat::parse_str(half.replace("EXTRA", extra)).unwrap()).await;
    assert!(error.contains("`start` has another type"), "{error}");
}

#[tokio::test]
async fn describe_runs_alone_and_within_bounds() {
    let host = host();
    let described = |items: &str| Guest { items: items.to_owned(), ..Guest::action(ANY) }.wasm();
    let spins = described("(func $init (loop $for_ever (br $for_ever))) (start $init)");
    assert!(refusal(&host, &spins).await.contains("CPU limit"));
    let grows = described(
        "(func $init (br_if 0 (i32.ne (i32.const -1) (memory.grow (i32.const 400)))) unreachable) (start $init)",
    );
    assert!(refusal(&host, &grows).await.contains("memory limit"));
    let mut calls = Guest::action(ANY);
    calls.imports = r#"(import "flowcell:plugin/context@0.1.0" "attempt" (func $attempt (result i32)))"#;
    calls.items = "(func $init (drop (call $attempt))) (start $init)".to_owned();
    let error = refusal(&host, &calls.wasm()).await;
    assert!(
        error.contains("flowcell:plugin/context@0.1.0") && error.contains("nothing to call but WASI"),
        "{error}"
    );
}

#[tokio::test]
async fn a_descriptor_that_is_wrong_is_told_why() {
    let host = host();
    let cases = [
        (DESCRIPTOR.replace("1.0.0", "one"), "such as 1.0.0"),
        ("{".to_owned(), "not JSON"),
        (
            DESCRIPTOR.replace(r#""object""#, r#""thing""#),
            "the input schema of `act` cannot be used: this is not a usable JSON Schema",
        ),
    ];
    for (descriptor, expected) in cases {
        let error = refusal(&host, &Guest { descriptor, ..Guest::action(ANY) }.wasm()).await;
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn an_expression_guest_is_no_plugin_and_a_plugin_no_expression_guest() {
    let host = host();
    assert!(refusal(&host, &guest::expression()).await.contains("exports neither"));
    let error = host.evaluator(&Guest::action(ANY).wasm()).await.err().unwrap();
    assert!(error.to_string().contains("flowcell:plugin/expression"), "{error}");
}
