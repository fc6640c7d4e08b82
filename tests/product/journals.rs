//! Journals of earlier versions of the file format, as their hosts left them: each opens, and what was under way goes on.
//!
//! `journals/VERSION.db` is never changed. Each holds the flows `shop/done` and `shop/rest`, their triggers `shop/in` and
//! `shop/later`, a run that completed, and one that waits for a time that is over by now.

use flowcell_tests::Call;
use serde_json::json;

use crate::FLOWCELL;
use crate::documents::{flow, hook, local, together};

/// A kept journal and the token of its trigger `shop/in`.
const KEPT: &[(&str, &[u8], &str)] =
    &[("1", include_bytes!("journals/1.db"), "Tb3H1g5uMUyDOcplCO28Lel3Zi-HjZEO")];

#[tokio::test]
async fn what_was_under_way_in_an_earlier_version_goes_on() {
    for (version, journal, token) in KEPT {
        let setup = FLOWCELL.serve();
        std::fs::create_dir_all(setup.data()).expect("a data folder can be made");
        std::fs::write(setup.data().join("journal.db"), journal).expect("a file");
        let mut server = setup.start().await;

        let hook = server.hook("shop/in").await;
        assert!(hook.ends_with(token), "version {version}: {hook}");
        let runs = server.runs("").await;
        assert_eq!(runs.len(), 2, "version {version}: {runs:?}");
        for (flow, number) in [("shop/rest", 2), ("shop/done", 1)] {
            let run = server.runs(&format!("flow={flow}")).await.remove(0);
            let run = server.wait_for(run["id"].as_str().unwrap_or_default(), "completed").await;
            assert_eq!(run["input"]["body"], json!({ "n": number }), "version {version}");
        }
        let answer = Call::post(&hook, &json!({ "n": 3 })).send().await.is(200);
        assert_eq!(answer.json(), json!({ "got": { "n": 3 } }), "version {version}");
    }
}

#[tokio::test]
async fn a_host_whose_journal_another_one_has_opened_leaves_it_alone_and_says_so() {
    let folder = flowcell_tests::Folder::new();
    let journal = folder.path().join("shared.db");
    let config = format!("journal = \"sqlite:{}\"\n{}", journal.display(), local(""));
    let documents = together(&[&flow("work", "- rest: { wait: PT1H }"), &hook("in", "work", "{}")]);
    let setup = || FLOWCELL.serve().config(&config).file("work.yaml", &documents);
    let mut first = setup().start().await;
    let hook = first.hook("shop/in").await;
    Call::post(&hook, &json!({ "n": 1 })).send().await.is(200);

    let second = setup().start().await;
    Call::post(&hook, &json!({ "n": 2 })).send().await.problem(503);
    let ready = first.get("/readyz").await.is(503);
    assert!(ready.text().contains("another host has taken over"), "{ready}");
    // What was acknowledged is the second one's, once.
    let runs = second.runs("").await;
    assert_eq!(runs.len(), 1, "{runs:?}");
    let token = hook.rsplit('/').next().unwrap_or_default();
    Call::post(format!("{}/hooks/{token}", second.url()), &json!({ "n": 2 })).send().await.is(200);
    second.get("/readyz").await.is(200);
}
