//! The evaluator: kept sandboxes, and programs that do not end.

use super::{guest, host, limits};
use crate::host::Evaluator;
use crate::host::kept::Key;
use crate::id::TenantId;

fn key(digest: &str) -> Key {
    (TenantId::default_tenant(), digest.to_owned())
}

async fn evaluator() -> Evaluator {
    host().evaluator(&guest::expression()).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn evaluate(evaluator: &Evaluator, digest: &str, program: &str) -> Result<String, String> {
    evaluator.evaluate(&key(digest), program, "[1]", "{}", limits()).await
}

#[tokio::test]
async fn a_program_has_a_value_or_an_error() {
    let evaluator = evaluator().await;
    assert_eq!(evaluate(&evaluator, "a", ".").await, Ok("[1]".into()));
    assert_eq!(evaluate(&evaluator, "a", "error").await, Err("error".into()));
    assert_eq!(evaluator.check(&key("a"), ".", &["x".into()], limits()).await, Ok(()));
    assert_eq!(evaluator.check(&key("a"), "error", &[], limits()).await, Err("error".into()));
}

#[tokio::test]
async fn a_sandbox_is_kept_for_its_tenant_and_flow_only() {
    let evaluator = evaluator().await;
    assert_eq!(evaluate(&evaluator, "a", "count").await, Ok("1".into()));
    assert_eq!(evaluate(&evaluator, "a", "count").await, Ok("2".into()));
    assert_eq!(evaluate(&evaluator, "b", "count").await, Ok("1".into()));
    let other = (TenantId::from("other"), "a".to_owned());
    assert_eq!(evaluator.evaluate(&other, "count", "1", "{}", limits()).await, Ok("1".into()));
}

#[tokio::test]
async fn the_one_that_was_used_longest_ago_makes_room() {
    let evaluator = evaluator().await;
    for digest in ["a", "b", "a", "c"] {
        evaluate(&evaluator, digest, "count").await.unwrap();
    }
    assert_eq!(evaluate(&evaluator, "b", "count").await, Ok("1".into()), "dropped for `c`");
    assert_eq!(evaluate(&evaluator, "c", "count").await, Ok("2".into()), "kept");
}

#[tokio::test]
async fn a_program_that_does_not_end_is_an_error_that_says_which_limit() {
    let evaluator = evaluator().await;
    let cases = [
        ("loop", "CPU time of 20 ms (`tenant.quota.cpu`)"),
        ("memory", "more than its 4 MiB of memory (`tenant.quota.memory`"),
        ("stack", "calls itself too deeply"),
        ("huge", "could not be evaluated"),
    ];
    for (program, expected) in cases {
        assert_eq!(evaluate(&evaluator, "a", "count").await, Ok("1".into()));
        let error = evaluate(&evaluator, "a", program).await.unwrap_err();
        assert!(error.contains(expected), "{program}: {error}");
        // The next one has a sandbox of its own: the count begins at one again in the next round.
    }
}

#[tokio::test]
async fn every_evaluation_has_an_account_of_its_own() {
    let evaluator = evaluator().await;
    for _ in 0..1000 {
        evaluate(&evaluator, "a", ".").await.unwrap();
    }
}

#[tokio::test]
async fn callers_at_the_same_time_have_different_sandboxes() {
    let evaluator = evaluator().await;
    let spinning = tokio::spawn({
        let evaluator = evaluator.clone();
        async move { evaluate(&evaluator, "a", "loop").await }
    });
    tokio::task::yield_now().await;
    assert_eq!(evaluate(&evaluator, "a", ".").await, Ok("[1]".into()));
    assert!(spinning.await.unwrap().is_err());
}

#[tokio::test]
async fn the_bundled_jq_survives_programs_that_do_not_end() {
    let jq = flowcell_plugins::bundled().iter().find(|plugin| plugin.name == "jq").unwrap();
    let evaluator = host().evaluator(jq.wasm).await.unwrap_or_else(|error| panic!("{error}"));
    let cases = [
        ("def f: 1+f; f", "calls itself too deeply"),
        ("def f: [f]; f", "calls itself too deeply"),
        ("[range(1e8)]", "MiB of memory (`tenant.quota.memory`"),
        ("last(repeat(1))", "CPU time of 20 ms (`tenant.quota.cpu`)"),
        ("reduce range(1e9) as $i (0; . + $i)", "CPU time of 20 ms (`tenant.quota.cpu`)"),
    ];
    for (program, expected) in cases {
        let error = evaluate(&evaluator, "a", program).await.unwrap_err();
        assert!(error.contains(expected), "{program}: {error}");
        assert_eq!(evaluate(&evaluator, "a", ".[0] + 1").await, Ok("2".into()));
    }
}
