//! What authors try before they have a flow: an action on trial, a command line of curl, a sample of a request.

use flowcell_tests::{Given, Stub};
use serde_json::json;

use crate::FLOWCELL;
use crate::documents::serve;

#[tokio::test]
async fn an_action_on_trial_makes_one_real_call_under_the_policy_and_no_run() {
    let stub = Stub::start().await;
    stub.always("/x", Given::json(200, &json!({ "items": [{ "id": 7 }] })));
    let server = serve(&[]).await;
    let trial = async |action: &str, with: serde_json::Value| {
        server.post(&format!("/api/v1/actions/{action}/try"), &json!({ "with": with })).await
    };
    for action in ["http-request", "http-request.http-request", "http-request:1.0.0"] {
        let tried = trial(action, json!({ "url": format!("{}/x", stub.url()) })).await.is(200).json();
        assert_eq!((&tried["status"], &tried["plugin"]), (&json!("completed"), &tried["plugin"]), "{tried}");
        assert_eq!(tried["output"]["body"], json!({ "items": [{ "id": 7 }] }));
        let places = tried["paths"].as_array().unwrap();
        let place = places.iter().find(|place| place["path"] == ".body.items[0].id").expect("a place");
        assert_eq!((&place["type"], &place["value"]), (&json!("number"), &json!(7)));
    }
    assert_eq!(stub.seen("/x").len(), 3);
    let blocked = trial("http-request", json!({ "url": "http://169.254.169.254/" })).await.is(200).json();
    assert_eq!(
        (&blocked["status"], &blocked["problem"]["data"]["code"]),
        (&json!("faulted"), &json!("blocked"))
    );
    let wrong = trial("http-request", json!({ "urll": "x" })).await.is(200).json();
    assert!(wrong["problem"]["detail"].as_str().unwrap().contains("did you mean `url`?"), "{wrong}");
    let unknown = trial("http-requst", json!({})).await.is(200).json();
    assert!(
        unknown["problem"]["detail"].as_str().unwrap().contains("did you mean `http-request"),
        "{unknown}"
    );
    assert!(server.runs("").await.is_empty());
}

/// What it has begun in the world is undone.
#[tokio::test]
async fn an_action_that_would_wait_is_told_that_it_is_over() {
    let stub = Stub::start().await;
    stub.next("/subs", Given::json(201, &json!({ "id": 1 })));
    let server = serve(&[]).await;
    let with = json!({
        "subscribe": { "method": "POST", "url": format!("{}/subs", stub.url()) },
        "unsubscribe": { "method": "DELETE", "url": format!("{}/subs/{{{{ subscribe.body.id }}}}", stub.url()) },
    });
    let tried =
        server.post("/api/v1/actions/http-webhook/try", &json!({ "with": with })).await.is(200).json();
    assert_eq!((&tried["status"], &tried["callback"]), (&json!("suspended"), &json!(true)), "{tried}");
    assert_eq!(stub.seen("/subs/1")[0].method, "DELETE");
}

#[tokio::test]
async fn commands_try_actions_on_a_host() {
    let stub = Stub::start().await;
    stub.always("/x", Given::json(200, &json!({ "id": 7 })));
    let server = serve(&[]).await;
    let trial = |with: serde_json::Value| {
        FLOWCELL
            .command(["plugin", "try", "http-request", "--with", &with.to_string()])
            .env("FLOWCELL_SERVER", server.url())
            .env("FLOWCELL_TOKEN", server.token().unwrap())
    };
    let url = format!("{}/x", stub.url());
    let output = trial(json!({ "url": url })).output().await.exited(0).says(&[".body.id", "7"]);
    assert_eq!(output.json()["body"]["id"], 7);
    let refused = trial(json!({ "url": "http://10.0.0.1/" })).output().await.exited(1);
    assert_eq!(refused.problem()["data"]["code"], "blocked");
}

#[tokio::test]
async fn a_command_line_of_curl_becomes_a_step_that_runs() {
    let stub = Stub::start().await;
    let server = serve(&[]).await;
    let command = format!(
        "curl -L -X PUT {}/x -H 'x-a: 1' -H 'content-type: application/json' -d '{{\"text\": \"it'\\''s\"}}'",
        stub.url()
    );
    let imported = server.post("/api/v1/import/curl", &json!({ "command": command })).await.is(200).json();
    let yaml = FLOWCELL.command(["import", "curl", &command]).output().await.exited(0).stdout;
    let text = crate::documents::flow("imported", &yaml);
    server.call("PUT", "/api/v1/flows/shop/imported").body("application/yaml", text).send().await.is(201);
    assert_eq!(server.run("shop/imported", &json!({})).await["status"], "completed");
    let seen = &stub.seen("/x")[0];
    assert_eq!((seen.method.as_str(), seen.header("x-a")), ("PUT", "1"));
    assert_eq!(seen.json(), json!({ "text": "it's" }));
    assert_eq!(imported["step"]["request"]["with"]["method"], "PUT");
    let refused =
        server.post("/api/v1/import/curl", &json!({ "command": "curl -d @file a" })).await.problem(400);
    assert!(refused["detail"].as_str().unwrap().contains("reads a file"), "{refused}");
    let expression = json!({ "command": "curl -H 'a: ${ .b }' a.example" });
    let refused = server.post("/api/v1/import/curl", &expression).await.problem(400);
    assert!(refused["detail"].as_str().unwrap().starts_with("`headers.a` is `${ … }`"), "{refused}");
    FLOWCELL.command(["import", "curl", "wget x"]).output().await.exited(2).says(&["command line of `wget`"]);
}

#[tokio::test]
async fn a_sample_becomes_variables() {
    let server = serve(&[]).await;
    let sample = json!({ "url": "https://x.example/in?order=7", "body": { "b": { "c": 1 } } });
    let answer = server.post("/api/v1/triggers/sample", &sample).await.is(200).json();
    assert_eq!(
        answer["variables"],
        json!([
            { "from": "query", "path": "order", "as": "order", "value": "7" },
            { "from": "body", "path": "b.c", "as": "c", "value": 1 },
        ])
    );
    let listed = FLOWCELL
        .command(["triggers", "sample", r#"{"b": {"c": 1}}"#, "--json"])
        .output()
        .await
        .exited(0)
        .json();
    assert_eq!(listed[0]["path"], "b.c");
    let table = FLOWCELL.command(["triggers", "sample", "https://x.example/in?order=7"]).output().await;
    table.exited(0).says(&["query", "order", "7"]);
    server.post("/api/v1/triggers/sample", &json!({ "url": "nowhere" })).await.problem(400);
    // What is not installed becomes no label of a metric.
    server.post("/api/v1/actions/never-heard-of:1.0.0/try", &json!({ "with": {} })).await.is(200);
    for action in ["n".repeat(4_000), format!("{}:1.0.0", "n".repeat(4_000))] {
        let path = format!("/api/v1/actions/{action}/try");
        let problem = server.post(&path, &json!({ "with": {} })).await.problem(404);
        assert!(problem["detail"].as_str().is_some_and(|why| why.len() < 600), "{problem}");
    }
    assert!(!server.get("/metrics").await.is(200).text().contains("never-heard-of"));
}
