//! `flowcell run` as a command: its arguments, its streams, its exit codes.

use flowcell_tests::{Folder, Given, Output, Stub};
use serde_json::json;

use crate::FLOWCELL;
use crate::documents::{at, flow, hook};

const ECHO: &str = "- give: { set: { got: '${ . }' } }";

async fn run_with_input(input: &str, stdin: Option<&str>) -> Output {
    let folder = Folder::new();
    folder.write("flow.yaml", flow("echo", ECHO));
    folder.write("input.json", r#"{ "from": "file" }"#);
    let mut command = FLOWCELL.command(["run", "flow.yaml", "--input", input]).in_folder(folder.path());
    if let Some(text) = stdin {
        command = command.input(text);
    }
    command.output().await
}

#[tokio::test]
async fn the_output_is_json_on_stdout_and_nothing_else_is() {
    let output = run_with_input(r#"{ "from": "argument" }"#, None).await.exited(0);
    assert_eq!(output.json(), json!({ "got": { "from": "argument" } }));
}

#[tokio::test]
async fn the_input_may_come_from_a_file_or_from_stdin() {
    assert_eq!(
        run_with_input("@input.json", None).await.exited(0).json(),
        json!({ "got": { "from": "file" } })
    );
    let piped = run_with_input("-", Some(r#"{ "from": "pipe" }"#)).await.exited(0);
    assert_eq!(piped.json(), json!({ "got": { "from": "pipe" } }));
}

#[tokio::test]
async fn an_input_that_is_no_json_is_refused_before_anything_runs() {
    for (input, stdin, named) in
        [("{ \"a\": ", None, "--input"), ("@flow.yaml", None, "flow.yaml"), ("-", Some("tomorrow"), "stdin")]
    {
        let output = run_with_input(input, stdin).await.exited(2).says(&[named]);
        assert_eq!(output.stdout, "", "{output}");
    }
}

#[tokio::test]
async fn an_input_file_that_is_not_there_is_named() {
    run_with_input("@absent.json", None).await.exited(2).says(&["absent.json"]);
}

#[tokio::test]
async fn a_flow_file_that_is_not_there_is_named() {
    FLOWCELL.command(["run", "absent.yaml"]).output().await.exited(2).says(&["absent.yaml"]);
}

#[tokio::test]
async fn a_file_without_a_flow_is_refused() {
    let folder = Folder::new();
    folder.write("none.yaml", "");
    folder.write("trigger.yaml", hook("in", "elsewhere", "{}"));
    for file in ["none.yaml", "trigger.yaml"] {
        let output = FLOWCELL.command(["run", file]).in_folder(folder.path()).output().await;
        output.exited(2).says(&[file]);
    }
}

#[tokio::test]
async fn a_misspelt_key_exits_2_with_its_place_and_the_right_key() {
    let folder = Folder::new();
    let text = flow(
        "misspelt",
        "- ask:\n    call: http-request:1.0.0@default\n    wiht: { url: http://127.0.0.1/ }",
    );
    let line = text.lines().position(|line| line.contains("wiht")).map(|line| line + 1);
    let place = format!("flow.yaml:{}:5: ", line.unwrap_or_default());
    folder.write("flow.yaml", &text);
    let output = FLOWCELL.command(["run", "flow.yaml"]).in_folder(folder.path()).output().await.exited(2);
    assert_eq!(output.says(&[&place, "`wiht`", "`with`"]).stdout, "");
}

#[tokio::test]
async fn a_failing_server_exits_1_with_the_problem_as_the_last_line() {
    let stub = Stub::start().await;
    stub.always("/orders", Given::json(500, &json!({ "why": "no stock" })));
    let folder = Folder::new();
    let tasks =
        at(&stub, "- order: { call: http-request:1.0.0@default, with: { url: STUB/orders, method: POST } }");
    folder.write("flow.yaml", flow("order", &tasks));
    let output = FLOWCELL.command(["run", "flow.yaml"]).in_folder(folder.path()).output().await.exited(1);
    let problem = output.problem();
    assert_eq!(output.stdout, "");
    assert_eq!(problem["type"], "https://serverlessworkflow.io/spec/1.0.0/errors/communication");
    assert_eq!(problem["status"], 500);
    assert_eq!(problem["instance"], "/do/0/order");
    assert_eq!(problem["data"]["code"], "http-status");
    assert_eq!(problem["data"]["body"]["why"], "no stock", "{problem}");
    assert_eq!(stub.seen("/orders").len(), 1);
}

#[tokio::test]
async fn the_timeline_on_stderr_names_every_step() {
    let folder = Folder::new();
    folder
        .write("flow.yaml", flow("two", "- first-step: { set: { a: 1 } }\n- second-step: { set: { b: 2 } }"));
    let output = FLOWCELL.command(["run", "flow.yaml"]).in_folder(folder.path()).output().await.exited(0);
    assert!(output.stderr.contains("first-step") && output.stderr.contains("second-step"), "{output}");
}

#[tokio::test]
async fn without_a_config_one_line_says_what_may_be_reached() {
    let folder = Folder::new();
    folder.write("flow.yaml", flow("echo", ECHO));
    let output = FLOWCELL.command(["run", "flow.yaml"]).in_folder(folder.path()).output().await.exited(0);
    let said: Vec<_> = output.stderr.lines().filter(|line| line.contains("loopback")).collect();
    assert!(matches!(said[..], [line] if line.contains("private")), "{output}");
}

#[tokio::test]
async fn ctrl_c_exits_130() {
    let stub = Stub::start().await;
    let folder = Folder::new();
    let tasks =
        "- tell: { call: http-request:1.0.0@default, with: { url: STUB/started } }\n- rest: { wait: PT1H }";
    folder.write("flow.yaml", flow("long", &at(&stub, tasks)));
    let process = FLOWCELL.command(["run", "flow.yaml"]).in_folder(folder.path()).start().await;
    stub.wait_for("/started", 1).await;
    process.interrupt();
    process.output().await.exited(130);
}

#[tokio::test]
async fn arguments_that_make_no_sense_exit_2_with_the_usage() {
    FLOWCELL.command(["run"]).output().await.exited(2).says(&["Usage"]);
    FLOWCELL.command(["rnu", "flow.yaml"]).output().await.exited(2).says(&["run"]);
    FLOWCELL.command(["--help"]).output().await.exited(0).says(&["run", "check", "dev", "serve", "demo"]);
}
