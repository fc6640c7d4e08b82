//! Schemas: which are judged here and which in the schema guest, and what ends those that would not end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::guest::{self, DESCRIPTOR, Guest};
use super::{host, plugin};
use crate::host::{Account, CallLimits, Host, Plugin, Schemas};
use crate::id::TenantId;

/// As a tenant has them by default.
fn limits() -> CallLimits {
    CallLimits {
        memory_bytes: 64 * 1024 * 1024,
        cpu: Duration::from_millis(250),
        cpu_per_minute: Duration::MAX,
        wall: Duration::from_secs(60),
        hand_over: 32 * 1024 * 1024,
    }
}

fn account(schemas: &Schemas) -> Account {
    Account { schemas: schemas.clone(), tenant: TenantId::default_tenant(), limits: limits() }
}

async fn bundled(host: &Host) -> Schemas {
    let part = flowcell_plugins::bundled().iter().find(|part| part.name == flowcell_plugins::SCHEMAS);
    host.schemas(part.unwrap().wasm).await.unwrap_or_else(|error| panic!("{error}"))
}

/// A plugin whose action takes what this schema says.
async fn taking(host: &Host, schema: &Value) -> std::sync::Arc<Plugin> {
    let descriptor = DESCRIPTOR.replace(r#"{"type":"object"}"#, &schema.to_string());
    plugin(host, &Guest { descriptor, ..Guest::action("unreachable") }.wasm()).await
}

async fn said(plugin: &Plugin, account: &Account, input: &Value) -> String {
    let findings = plugin.action(None).unwrap().validate(account, input).await;
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn patterns(count: usize) -> Value {
    (0..count).map(|n| json!({ "pattern": format!("a[ab]{{900}}[^ab{n}]") })).collect()
}

/// A text in which no part repeats another one.
fn a_and_b(length: usize) -> String {
    let next = |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    let states = std::iter::successors(Some(1), next).take(length);
    states.map(|state| if state >> 63 == 0 { 'a' } else { 'b' }).collect()
}

fn doubling(levels: usize) -> Value {
    let level = |n: usize| {
        let next = json!({ "$ref": format!("#/$defs/d{}", n + 1) });
        (format!("d{n}"), json!({ "allOf": [next, next] }))
    };
    let mut definitions: serde_json::Map<String, Value> = (0..levels).map(level).collect();
    definitions.insert(format!("d{levels}"), json!({ "type": "string" }));
    json!({ "$ref": "#/$defs/d0", "$defs": definitions })
}

#[tokio::test]
async fn schemas_that_would_not_end_are_ended_by_the_tenants_quotas() {
    let host = host();
    let account = account(&bundled(&host).await);
    let text = json!(a_and_b(300_000));
    let itself = json!({ "type": "array", "items": { "anyOf": vec![json!({ "$ref": "#" }); 60] } });
    let deep = (0..20).fold(json!(1), |inside, _| json!([inside]));
    let cases = [
        (
            json!({ "allOf": patterns(20) }),
            text,
            "the schema used up its CPU time of 250 ms (`tenant.quota.cpu`)",
        ),
        (doubling(24), json!("x"), "the schema used up its CPU time"),
        (itself, deep, "the schema used up its CPU time"),
    ];
    for (schema, input, expected) in cases {
        let plugin = taking(&host, &schema).await;
        let said = said(&plugin, &account, &input).await;
        assert!(said.contains(expected), "{said}");
        // Another one is judged as ever.
        let plugin = taking(&host, &json!({ "pattern": "^a+$" })).await;
        assert_eq!(self::said(&plugin, &account, &json!("aa")).await, "");
        assert!(self::said(&plugin, &account, &json!("b")).await.contains("does not match"));
    }
}

#[tokio::test]
async fn a_plugin_with_a_schema_that_cannot_be_judged_is_told_when_it_is_installed() {
    let host = host();
    let account = account(&bundled(&host).await);
    for (schema, expected) in [
        (
            json!({ "pattern": "(" }),
            "the input schema of `act` cannot be used: this is not a usable JSON Schema",
        ),
        (json!({ "$ref": "https://example.com/x.json" }), "this is not a usable JSON Schema"),
        (json!({ "allOf": patterns(1000) }), "the schema "),
    ] {
        let plugin = taking(&host, &schema).await;
        let error = plugin.check_schemas(&account).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let plugin = taking(&host, &json!({ "pattern": "a" })).await;
    plugin.check_schemas(&account).await.unwrap();
}

#[tokio::test]
async fn what_is_plain_is_judged_here_and_any_other_schema_in_the_guest() {
    let host = host();
    // Finds nothing wrong: what is found is found here.
    let account = account(&host.schemas(&guest::schema()).await.unwrap());
    let plain = taking(&host, &json!({ "items": { "type": "integer" } })).await;
    assert_eq!(said(&plain, &account, &json!([1])).await, "");
    let patterned = taking(&host, &json!({ "pattern": "^b$" })).await;
    assert_eq!(said(&patterned, &account, &json!("a")).await, "");
    assert_eq!(said(&plain, &account, &json!(["x"])).await, "`/0`: \"x\" is not of type \"integer\"");
    assert_eq!(said(&plain, &account, &json!(vec!["x"; 1_000_000])).await, "", "too much for here");
    let descriptor = DESCRIPTOR.replace(r#"{"type":"object"}"#, r#"{"pattern":"^b$"}"#);
    let bundled = Guest { descriptor, ..Guest::action("unreachable") }.wasm();
    let bundled = host.install_bundled(&bundled).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(said(&bundled, &account, &json!("a")).await.contains("does not match"));
}

/// What a schema of the bundle costs beside the call that it guards.
#[tokio::test]
#[ignore = "measures"]
async fn measure() {
    let host = host();
    let account = account(&bundled(&host).await);
    let part = flowcell_plugins::bundled().iter().find(|part| part.name == "http-request").unwrap();
    let input = json!({ "url": "https://example.com/a", "method": "POST", "headers": { "a": "b" }, "body": { "id": 1 } });
    for plugin in
        [host.install_bundled(part.wasm).await.unwrap(), super::install(&host, part.wasm).await.unwrap()]
    {
        assert_eq!(said(&plugin, &account, &input).await, "");
        let action = plugin.action(None).unwrap();
        let started = Instant::now();
        for _ in 0..1000 {
            action.validate(&account, &input).await;
        }
        eprintln!("{:?} a validation", started.elapsed() / 1000);
    }
}
