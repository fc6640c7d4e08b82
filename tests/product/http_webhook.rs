//! The step `http-webhook`: it subscribes with its own address, waits without holding anything, and unsubscribes.

use flowcell_tests::{Call, Given, Server, Stub, until};
use serde_json::json;

use crate::FLOWCELL;
use crate::documents::{at, flow, local};

const TASKS: &str = "
- approve:
    call: http-webhook:1.0.0@default
    with:
      subscribe: { method: POST, url: STUB/subs, body: { callback: '${ $task.callback.url }', for: '${ .order }' } }
      unsubscribe: { method: DELETE, url: 'STUB/subs/{{ subscribe.body.id }}', headers: { x-key: '{{ subscribe.body.key }}' } }
- done: { set: { got: '${ .body }' } }
";

async fn serve(stub: &Stub, tasks: &str) -> Server {
    stub.always("/subs", Given::json(201, &json!({ "id": "s 7", "key": "k" })));
    let document = flow("approval", &at(stub, tasks));
    FLOWCELL.serve().config(local("")).file("approval.yaml", document).start().await
}

/// Begins a run that waits, and gives its callback address as the stub was told it.
async fn waiting(server: &Server, stub: &Stub) -> (String, String) {
    let run = server.begin("shop/approval", &json!({ "order": 7 })).await;
    server.wait_for(&run, "suspended").await;
    let subscribed = stub.seen("/subs").remove(0).json();
    assert_eq!(subscribed["for"], 7);
    (run, subscribed["callback"].as_str().unwrap_or_default().to_owned())
}

async fn unsubscribed(stub: &Stub) {
    let seen = stub.wait_for("/subs/s%207", 1).await;
    assert_eq!((seen[0].method.as_str(), seen[0].header("x-key")), ("DELETE", "k"));
}

#[tokio::test]
async fn a_step_subscribes_waits_is_called_back_and_unsubscribes() {
    let stub = Stub::start().await;
    let server = serve(&stub, TASKS).await;
    let (run, url) = waiting(&server, &stub).await;
    assert!(url.starts_with(&format!("{}/callbacks/", server.url())), "{url}");
    Call::post(&url, &json!({ "approved": true })).header("x-from", "boss").send().await.is(202);
    let run = server.wait_for(&run, "completed").await;
    assert_eq!(run["output"], json!({ "got": { "approved": true } }));
    let step = &run["steps"][0]["output"];
    assert_eq!((&step["status"], &step["headers"]["x-from"]), (&json!(202), &json!("boss")));
    unsubscribed(&stub).await;
    Call::post(&url, &json!({})).send().await.is(410);
}

#[tokio::test]
async fn a_deadline_times_the_step_out_unsubscribes_and_leaves_the_address_dead() {
    let stub = Stub::start().await;
    let timed = TASKS.replace("- done:", "    timeout: { after: PT1S }\n- done:");
    let server = serve(&stub, &timed).await;
    let run = server.begin("shop/approval", &json!({ "order": 7 })).await;
    let told = stub.wait_for("/subs", 1).await.remove(0).json();
    let url = told["callback"].as_str().unwrap_or_default();
    let run = server.wait_for(&run, "faulted").await;
    assert!(run["problem"]["type"].as_str().is_some_and(|kind| kind.ends_with("/timeout")), "{run}");
    unsubscribed(&stub).await;
    Call::post(url, &json!({})).send().await.is(410);
}

/// The step judges what calls back.
fn judged() -> String {
    let keys = "      failWhen: '.body.status == \"failed\"'\n      progressWhen: '.body.percent? < 100'\n    timeout: { after: PT3S }\n";
    TASKS.replace("- done:", &format!("{keys}- done:"))
}

#[tokio::test]
async fn progress_leaves_the_step_waiting_within_the_same_time() {
    let stub = Stub::start().await;
    let server = serve(&stub, &judged()).await;
    let (run, url) = waiting(&server, &stub).await;
    for percent in [10, 50] {
        until("the step to wait", async || {
            let answer = Call::post(&url, &json!({ "percent": percent })).send().await;
            // The one before may be under way.
            (answer.status == 202).then_some(())
        })
        .await;
        server.wait_for(&run, "suspended").await;
    }
    until("the step to wait", async || {
        (Call::post(&url, &json!({ "percent": 100 })).send().await.status == 202).then_some(())
    })
    .await;
    let run = server.wait_for(&run, "completed").await;
    assert_eq!(run["output"], json!({ "got": { "percent": 100 } }));
    unsubscribed(&stub).await;

    // Progress does not make the time longer.
    let run = server.begin("shop/approval", &json!({ "order": 7 })).await;
    let told = stub.wait_for("/subs", 2).await.remove(1).json();
    server.wait_for(&run, "suspended").await;
    Call::post(told["callback"].as_str().unwrap_or_default(), &json!({ "percent": 1 })).send().await.is(202);
    let run = server.wait_for(&run, "faulted").await;
    assert!(run["problem"]["type"].as_str().is_some_and(|kind| kind.ends_with("/timeout")), "{run}");
}

#[tokio::test]
async fn what_calls_back_may_say_that_it_failed() {
    let stub = Stub::start().await;
    let server = serve(&stub, &judged()).await;
    let (run, url) = waiting(&server, &stub).await;
    Call::post(&url, &json!({ "status": "failed", "why": "no stock" })).send().await.is(202);
    let run = server.wait_for(&run, "faulted").await;
    assert_eq!(run["problem"]["data"]["code"], "callback-failed");
    assert_eq!(run["problem"]["data"]["callback"]["body"]["why"], "no stock");
    unsubscribed(&stub).await;
}

#[tokio::test]
async fn cancelling_a_run_unsubscribes() {
    let stub = Stub::start().await;
    let server = serve(&stub, TASKS).await;
    let (run, url) = waiting(&server, &stub).await;
    server.post(&format!("/api/v1/runs/{run}/cancel"), &json!({})).await.is(200);
    unsubscribed(&stub).await;
    Call::post(&url, &json!({})).send().await.is(410);
}

#[tokio::test]
async fn an_unsubscribe_that_fails_is_tried_again_and_the_result_stays() {
    let stub = Stub::start().await;
    stub.next("/subs/s%207", Given::status(503));
    let server = serve(&stub, TASKS).await;
    let (run, url) = waiting(&server, &stub).await;
    Call::post(&url, &json!(1)).send().await.is(202);
    server.wait_for(&run, "completed").await;
    stub.wait_for("/subs/s%207", 2).await;
    let step = until("the end of the clean-up", async || {
        let run = server.look(&run).await;
        assert_eq!(run["status"], "completed");
        let step = run["steps"][0].clone();
        (step["cleanup"]["status"] == "completed").then_some(step)
    })
    .await;
    assert_eq!((&step["status"], &step["cleanup"]["attempts"]), (&json!("completed"), &json!(2)));
}

#[tokio::test]
async fn each_of_many_waiting_runs_is_resumed_by_its_own_address_after_kill_9() {
    const RUNS: usize = 200;
    let stub = Stub::start().await;
    let server = serve(&stub, TASKS).await;
    let mut runs = vec![];
    for order in 0..RUNS {
        runs.push(server.begin("shop/approval", &json!({ "order": order })).await);
    }
    let subscribed = stub.wait_for("/subs", RUNS).await;
    for run in &runs {
        server.wait_for(run, "suspended").await;
    }
    let server = server.kill9().await.start().await;
    for seen in &subscribed {
        let told = seen.json();
        let token = told["callback"].as_str().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
        let url = format!("{}/callbacks/{token}", server.url());
        Call::post(&url, &json!({ "for": told["for"] })).send().await.is(202);
    }
    for (order, run) in runs.iter().enumerate() {
        let run = server.wait_for(run, "completed").await;
        assert_eq!(run["output"]["got"], json!({ "for": order }));
    }
}

#[tokio::test]
async fn what_is_written_wrong_is_found_by_check() {
    let stub = Stub::start().await;
    let wrong = at(&stub, &TASKS.replace("unsubscribe:", "unsubscribed:"));
    let folder = flowcell_tests::Folder::new();
    let file = folder.path().join("approval.yaml");
    std::fs::write(&file, flow("approval", &wrong)).expect("a file");
    let output = FLOWCELL.command([std::ffi::OsStr::new("check"), file.as_os_str()]).output().await;
    assert_eq!(output.code, Some(2), "{output}");
    assert!(output.stderr.contains("unsubscribe") || output.stdout.contains("unsubscribe"), "{output}");

    std::fs::write(
        &file,
        flow("approval", &at(&stub, &judged()).replace(".body.status ==", ".body.status =!")),
    )
    .expect("a file");
    let output = FLOWCELL.command([std::ffi::OsStr::new("check"), file.as_os_str()]).output().await;
    output
        .exited(2)
        .says(&["approval.yaml:9:17: `with.failWhen`: the expression `.body.status =! \"failed\"` is wrong"]);
    assert_eq!(stub.all().len(), 0);
}
