//! `flowcell backup`: what it holds, while the host is at work and when it is not.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flowcell_tests::{Call, Folder, Output, Server, Setup, probe};
use serde_json::json;
use tokio::sync::watch;

use crate::FLOWCELL;
use crate::documents::{flow, hook, local, together};

fn setup() -> Setup {
    let wasm = std::fs::read(probe()).unwrap_or_else(|error| panic!("the probe is not built: {error}"));
    let tasks = "- echo: { call: flowcell-probe.wait:1.0.0@default, with: { timerMs: 1 } }";
    let documents = together(&[&flow("work", tasks), &hook("in", "work", "{}")]);
    FLOWCELL
        .serve()
        .config(local("requests_per_second = 100000"))
        .file("probe.wasm", wasm)
        .file("work.yaml", documents)
}

async fn backup(data: &Path, to: &Path) -> Output {
    let arguments = ["backup".as_ref(), to.as_os_str(), "--data".as_ref(), data.as_os_str()];
    FLOWCELL.command(arguments).output().await
}

/// A host on a copy of a journal, which knows nothing but what is in it.
async fn started_on(copy: &Path) -> Server {
    let setup = FLOWCELL.serve().config(local("requests_per_second = 100000"));
    std::fs::create_dir_all(setup.data()).expect("a data folder can be made");
    std::fs::copy(copy, setup.data().join("journal.db")).expect("the copy is a file");
    setup.start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_holds_every_event_acknowledged_before_it_began() {
    let mut server = setup().start().await;
    let hook = server.hook("shop/in").await;
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (count, mut acknowledged) = watch::channel(0_u64);
    let senders: Vec<_> = (0..8)
        .map(|_| {
            let (hook, stop, sent, count) = (hook.clone(), stop.clone(), sent.clone(), count.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let number = sent.fetch_add(1, Ordering::Relaxed);
                    Call::post(&hook, &json!({ "number": number })).send().await.is(200);
                    count.send_modify(|count| *count += 1);
                }
            })
        })
        .collect();
    acknowledged.wait_for(|count| *count >= 300).await.expect("the senders are at work");

    let folder = Folder::new();
    let copy = folder.path().join("backup.db");
    // What is acknowledged by now is in it; how much of the rest is, nobody knows.
    let before = *acknowledged.borrow();
    backup(server.setup().data().as_path(), &copy).await.exited(0).says(&["backup.db", "bytes"]);
    stop.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.expect("no sender panics");
    }
    let (at_the_end, _) = (sent.load(Ordering::Relaxed), server.kill9().await);

    let mut restored = started_on(&copy).await;
    let runs = flowcell_tests::until("the end of every run", async || {
        let runs = restored.runs("limit=500").await;
        runs.iter().all(|run| run["status"] == "completed").then_some(runs)
    })
    .await;
    let held = runs.len() as u64;
    assert!(before <= held && held <= at_the_end, "{before} before, {held} held, {at_the_end} in all");
    // The trigger has the address of before, and the plugin came along.
    let again = restored.hook("shop/in").await;
    assert_eq!(again.rsplit('/').next(), hook.rsplit('/').next());
    Call::post(&again, &json!({})).send().await.is(200);
}

#[tokio::test]
async fn a_host_that_does_not_run_is_copied_as_well() {
    let mut server = setup().start().await;
    let hook = server.hook("shop/in").await;
    Call::post(&hook, &json!({ "number": 1 })).send().await.is(200);
    let setup = server.kill9().await;
    let folder = Folder::new();
    let copy = folder.path().join("backup.db");
    backup(&setup.data(), &copy).await.exited(0);
    assert_eq!(started_on(&copy).await.runs("").await.len(), 1);
}

#[tokio::test]
async fn what_is_there_is_not_overwritten_and_what_is_not_there_is_named() {
    let folder = Folder::new();
    let copy = folder.path().join("backup.db");
    let missing = backup(&folder.path().join("nowhere"), &copy).await;
    missing.exited(2).says(&["there is no journal at", "nowhere/journal.db", "--data"]);
    assert!(!copy.exists());

    let setup = setup().start().await.kill9().await;
    std::fs::write(&copy, "the last backup").expect("a file");
    backup(&setup.data(), &copy).await.exited(2).says(&["backup.db", "there is a file of that name"]);
    assert_eq!(std::fs::read_to_string(&copy).expect("a file"), "the last backup");
    let nowhere = folder.path().join("nowhere/backup.db");
    std::fs::write(folder.path().join("nowhere"), "").expect("a file");
    backup(&setup.data(), &nowhere).await.exited(2).says(&["cannot write", "nowhere"]);
    let foreign = folder.path().join("data");
    std::fs::create_dir(&foreign).expect("a folder");
    std::fs::write(foreign.join("journal.db"), "not a journal ".repeat(1000)).expect("a file");
    backup(&foreign, &folder.path().join("b.db")).await.exited(2).says(&["is damaged", "journal.db"]);
    assert!(!folder.path().join("b.db").exists());
    let left = std::fs::read_dir(folder.path()).expect("a folder");
    let partial = left.flatten().any(|file| file.file_name().to_string_lossy().contains("partial"));
    assert!(!partial, "a part of a backup is left");
}
