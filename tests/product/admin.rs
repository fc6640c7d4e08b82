//! The commands that administer a running host over its REST API.

use flowcell_tests::Call;
use serde_json::json;

use crate::FLOWCELL;
use crate::documents::{echo, hook, serve};

#[tokio::test]
async fn the_command_finds_a_running_host_by_its_data_folder() {
    let mut server = serve(&[&echo(), &hook("in", "echo", "{}")]).await;
    let hook = server.hook("shop/in").await;
    let data = server.setup().data();
    let ask = async |arguments: &[&str]| FLOWCELL.command(arguments).arg("--data").arg(&data).output().await;
    let triggers = ask(&["triggers", "list", "--json"]).await.exited(0).json();
    let flow = triggers[0]["flow"].clone();
    assert!(matches!(flow.as_str(), Some("echo" | "shop/echo")), "{triggers}");
    let uses = "webhook:1.0.0@default";
    let expected = json!([{ "namespace": "shop", "name": "in", "uses": uses, "flow": flow, "enabled": true, "url": hook }]);
    assert_eq!(triggers, expected);

    let id = server.run("shop/echo", &json!({ "a": 1 })).await["id"].as_str().unwrap().to_owned();
    ask(&["runs", "list"]).await.exited(0).says(&[&id, "completed"]);
    assert_eq!(ask(&["runs", "show", &id, "--json"]).await.exited(0).json()["input"], json!({ "a": 1 }));
    ask(&["flows", "list"]).await.exited(0).says(&["echo"]);
    ask(&["triggers", "disable", "shop/in"]).await.exited(0);
    Call::post(&hook, &json!({})).send().await.is(404);
}

#[tokio::test]
async fn the_command_takes_address_and_token_from_arguments_or_environment() {
    let server = serve(&[&echo()]).await;
    let token = server.token().unwrap().to_owned();
    let by_arguments = FLOWCELL.command(["flows", "list", "--server", server.url(), "--token", &token]);
    by_arguments.output().await.exited(0).says(&["echo"]);
    let by_environment = FLOWCELL.command(["flows", "list", "--json"]);
    let by_environment = by_environment.env("FLOWCELL_SERVER", server.url()).env("FLOWCELL_TOKEN", &token);
    assert_eq!(by_environment.output().await.exited(0).json()[0]["name"], "echo");
    let refused =
        FLOWCELL.command(["flows", "list", "--server", server.url(), "--token", "wrong"]).output().await;
    assert!(!matches!(refused.code, Some(0)), "{refused}");
    assert_eq!(refused.stdout, "", "{refused}");
}

#[tokio::test]
async fn a_command_without_a_host_says_so() {
    let folder = flowcell_tests::Folder::new();
    let output = FLOWCELL.command(["runs", "list", "--data"]).arg(folder.path()).output().await;
    assert!(!matches!(output.code, Some(0)), "{output}");
    assert!(!output.stderr.is_empty() && !output.stderr.contains("panicked"), "{output}");
}
