//! Around a step: its switch, its condition, and what the history does not show of it.

use flowcell_tests::{Given, Stub};
use serde_json::json;

use crate::documents::{at, flow, serve};

#[tokio::test]
async fn a_step_that_is_off_or_whose_condition_is_false_is_skipped_and_the_run_goes_on() {
    let stub = Stub::start().await;
    let tasks = "- off: { call: http-request:1.0.0@default, with: { url: STUB/off }, metadata: { enabled: false } }\n\
                 - no: { if: .never, call: http-request:1.0.0@default, with: { url: STUB/no } }\n\
                 - last: { set: { done: true } }";
    let server = serve(&[&flow("skips", &at(&stub, tasks))]).await;
    let run = server.run("shop/skips", &json!({})).await;
    assert_eq!((&run["status"], &run["output"]), (&json!("completed"), &json!({ "done": true })));
    let statuses: Vec<_> = run["steps"].as_array().unwrap().iter().map(|step| &step["status"]).collect();
    assert_eq!(statuses, ["skipped", "skipped", "completed"]);
    assert_eq!(stub.connections(), 0);
}

#[tokio::test]
async fn what_is_masked_is_sent_and_not_shown_anywhere_of_the_run() {
    let stub = Stub::start().await;
    let answer = Given::json(500, &json!({ "said": "wrong key k3y-of-ifttt", "token": "t0k3n-of-theirs" }));
    stub.always("/trigger/x/with/key/k3y-of-ifttt", answer);
    let tasks = "- send:\n    call: http-request:1.0.0@default\n    with: { url: '${ \"STUB/trigger/x/with/key/\\(.key)\" }', headers: { x-key: '${ .key }' }, allowFailure: true }\n\
                 \x20   metadata: { mask: [input.url, input.headers.x-key, output.body.token] }\n\
                 - give: { set: { again: '${ .body }' } }";
    let server = serve(&[&flow("masks", &at(&stub, tasks))]).await;
    let run = server.run("shop/masks", &json!({ "key": "k3y-of-ifttt" })).await;
    assert_eq!(stub.seen("/trigger/x/with/key/k3y-of-ifttt")[0].header("x-key"), "k3y-of-ifttt");
    let send = &run["steps"][0];
    assert_eq!((&send["input"]["url"], &send["input"]["headers"]["x-key"]), (&json!("***"), &json!("***")));
    assert_eq!(send["output"]["body"], json!({ "said": "wrong key ***", "token": "***" }));
    assert_eq!(run["output"]["again"]["token"], "***");
    assert_eq!(run["input"]["key"], "***");
    let id = run["id"].as_str().unwrap();
    let events = server.get(&format!("/api/v1/runs/{id}/events")).await.text();
    for text in [run.to_string(), events, server.printed()] {
        assert!(!text.contains("k3y-of-ifttt") && !text.contains("t0k3n-of-theirs"), "{text}");
    }
}

/// What is made of an output, and fails, tells of it as well.
#[tokio::test]
async fn what_is_masked_of_an_output_is_hidden_in_errors_about_it() {
    let stub = Stub::start().await;
    stub.always("/login", Given::json(200, &json!({ "token": "t0k3n-of-theirs" })));
    for failing in [
        "output: { as: '${ error(.body.token) }' }",
        "export: { as: '${ error(.body.token) }' }",
        "output: { as: '${ .body.token }', schema: { format: json, document: { type: integer } } }",
    ] {
        let tasks = format!(
            "- send:\n    call: http-request:1.0.0@default\n    with: {{ url: STUB/login }}\n    {failing}\n\
             \x20   metadata: {{ mask: [output.body.token] }}"
        );
        let server = serve(&[&flow("masks", &at(&stub, &tasks))]).await;
        let run = server.run("shop/masks", &json!({})).await;
        assert_eq!(run["status"], "faulted", "{failing}: {run}");
        assert!(!run.to_string().contains("t0k3n-of-theirs"), "{failing}: {run}");
        assert!(run["problem"].to_string().contains("***"), "{failing}: {run}");
    }
}

/// The answer stands in the error, in the step, its attempts and the run.
#[tokio::test]
async fn what_is_masked_of_an_output_is_masked_in_the_error_that_came_instead() {
    let stub = Stub::start().await;
    stub.always("/login", Given::json(403, &json!({ "token": "t0k3n-of-theirs", "pin": "1234" })));
    let tasks = "- first: { set: { seen: t0k3n-of-theirs } }\n\
                 - send:\n    call: http-request:1.0.0@default\n    with: { url: STUB/login }\n\
                 \x20   metadata: { mask: [output.body.token, output.body.pin] }";
    let server = serve(&[&flow("masks", &at(&stub, tasks))]).await;
    let run = server.run("shop/masks", &json!({})).await;
    let step = &run["steps"][1];
    assert_eq!((&run["status"], &step["status"]), (&json!("faulted"), &json!("faulted")), "{run}");
    assert!(step["problem"]["detail"].as_str().is_some(), "{run}");
    let id = run["id"].as_str().unwrap();
    let events = server.get(&format!("/api/v1/runs/{id}/events")).await.text();
    for text in [run.to_string(), events] {
        assert!(text.contains("***") && !text.contains("t0k3n-of-theirs"), "{text}");
    }
    assert!(!step.to_string().contains("1234"), "{step}");
}

#[tokio::test]
async fn a_place_that_is_none_is_refused_when_it_is_deployed() {
    let server = serve(&[]).await;
    for (metadata, says) in [
        ("{ mask: [headers.x-key] }", "`headers.x-key` is no place: it begins with `input` or `output`"),
        ("{ mask: input }", "`mask` is a list of places"),
        ("{ enabled: no way }", "`enabled`"),
    ] {
        let text = flow("wrong", &format!("- a: {{ set: {{ x: 1 }}, metadata: {metadata} }}"));
        let put = server.call("PUT", "/api/v1/flows/shop/wrong").body("application/yaml", text).send().await;
        let problem = put.problem(400);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{metadata}: {problem}");
    }
}
