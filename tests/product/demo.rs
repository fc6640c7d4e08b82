//! `flowcell demo`: the first thing that a newcomer runs.

use flowcell_tests::{Command, Folder};

use crate::FLOWCELL;

/// What the demo keeps among the temporary files is this test's own.
fn demo(folder: &Folder) -> Command {
    let (here, temporary) = (folder.at("here"), folder.at("temporary"));
    for path in [&here, &temporary] {
        std::fs::create_dir(path).expect("a folder can be made in a temporary folder");
    }
    FLOWCELL.command(["demo"]).in_folder(&here).env("TMPDIR", &temporary.display().to_string())
}

#[tokio::test]
async fn the_demo_shows_a_call_its_steps_and_its_answer_and_exits_0() {
    let folder = Folder::new();
    let output = demo(&folder).arg("--once").output().await.exited(0);
    let output = output.says(&[
        "listening on http://",
        "/hooks/",
        "curl -X POST ",
        "http-request",
        "completed",
        "Hello, Ada",
    ]);
    let left = std::fs::read_dir(folder.at("here")).map(Iterator::count);
    assert_eq!(left.ok(), Some(0), "something was left in the folder it was started in\n{output}");
}

#[tokio::test]
async fn the_demo_stays_and_can_be_repeated_until_ctrl_c() {
    let folder = Folder::new();
    let mut demo = demo(&folder).start().await;
    let hook = |line: &str| line.split_whitespace().find(|word| word.contains("/hooks/")).map(str::to_owned);
    let url = demo.stdout_line("the address of the demo's hook", hook).await;
    demo.stdout_line("the line to send it again", |line| line.contains("curl -X POST ").then_some(())).await;
    let answer =
        flowcell_tests::Call::post(url, &serde_json::json!({ "name": "Grace" })).send().await.is(200);
    assert!(answer.text().contains("Hello, Grace"), "{answer}");
    demo.interrupt();
    demo.output().await.exited(0);
}
