//! `[tenant.retention]`: whose history is forgotten, and whose never.

use flowcell_tests::{Call, until};
use serde_json::json;

use crate::FLOWCELL;
use crate::documents::{flow, local, together};

#[tokio::test]
async fn runs_that_are_over_are_forgotten_by_age_and_status_and_no_other() {
    let wait = "- rest: { wait: PT1H }";
    let fail = "- fail: { raise: { error: { type: 'https://example.com/e', status: 500, title: no } } }";
    let done = "- done: { set: { ok: true } }";
    let flows = together(&[&flow("wait", wait), &flow("fail", fail), &flow("done", done)]);
    let keeps = |retention: &str| format!("{}[tenant.retention]\n{retention}\n", local(""));
    let setup = FLOWCELL.serve().config(keeps("completed = \"1d\"")).file("flows.yaml", flows);
    let server = setup.start().await;
    let (waiting, done) =
        (server.begin("shop/wait", &json!({})).await, server.begin("shop/done", &json!({})).await);
    let failed = server.begin("shop/fail", &json!({})).await;
    server.wait_for(&waiting, "waiting").await;
    server.wait_for(&done, "completed").await;
    server.wait_for(&failed, "faulted").await;

    // It is looked for at the start: with a day to live the run stays, with none it goes.
    let server = server.kill9().await.start().await;
    assert_eq!(server.look(&done).await["status"], "completed");
    let server = server.kill9().await.config(keeps("completed = \"0s\"")).start().await;
    until("the run to be forgotten", async || {
        let answer = server.get(&format!("/api/v1/runs/{done}")).await;
        (answer.status == 404).then_some(())
    })
    .await;
    let left: Vec<_> = server.runs("").await.into_iter().map(|run| run["id"].clone()).collect();
    assert_eq!(left, [json!(failed), json!(waiting)]);
    let woken = Call::new("POST", format!("{}/api/v1/runs/{waiting}/cancel", server.url()));
    let token = server.token().unwrap_or_default();
    woken.header("authorization", &format!("Bearer {token}")).send().await.is(200);
}

#[tokio::test]
async fn a_retention_that_is_written_wrong_is_named() {
    for (line, says) in [
        ("done = \"1d\"", "unknown key `done` in `tenant.retention`"),
        ("completed = \"1w\"", "`1w` is not a duration"),
        ("completed = 30", "completed"),
    ] {
        let config = format!("[[tenant]]\nname = \"default\"\n[tenant.retention]\n{line}\n");
        let output = FLOWCELL.serve().config(config).refused().await;
        output.exited(2).says(&["flowcell.toml:4:", says]);
    }
}
