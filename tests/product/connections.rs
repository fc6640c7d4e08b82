//! Connections: credentials that steps name and never see.

use flowcell_tests::{Given, Server, Stub};
use serde_json::{Value, json};

use crate::FLOWCELL;
use crate::documents::{at, flow, serve};

async fn connect(server: &Server, document: Value) {
    let put = server.call("PUT", "/api/v1/connections/shop-api").json(&document).send().await;
    assert!(put.status < 300, "{}", put.text());
}

fn ask() -> String {
    flow("ask", "- ask: { call: http-request:1.0.0@default, with: { url: STUB/in, connection: shop-api } }")
}

#[tokio::test]
async fn an_edited_connection_changes_the_next_run_without_an_edit_of_the_flow() {
    let stub = Stub::start().await;
    let server = serve(&[&at(&stub, &ask())]).await;
    for token in ["t0k3n-of-shop", "an0ther-token"] {
        connect(&server, json!({ "hosts": ["127.0.0.1"], "bearer": { "token": token } })).await;
        assert_eq!(server.run("shop/ask", &json!({})).await["status"], "completed");
    }
    let sent: Vec<_> = stub.seen("/in").iter().map(|seen| seen.header("authorization").to_owned()).collect();
    assert_eq!(sent, ["Bearer t0k3n-of-shop", "Bearer an0ther-token"]);
    let shown = server.get("/api/v1/connections/shop-api").await.is(200);
    assert_eq!(shown.json()["document"], json!({ "hosts": ["127.0.0.1"], "bearer": { "token": "***" } }));
    let server = server.kill9().await.start().await;
    server.run("shop/ask", &json!({})).await;
    assert_eq!(stub.seen("/in")[2].header("authorization"), "Bearer an0ther-token");
}

#[tokio::test]
async fn an_api_key_arrives_in_its_place_and_nowhere_else() {
    let stub = Stub::start().await;
    let server = serve(&[&at(&stub, &ask())]).await;
    let key = |place: &str| {
        let key = json!({ "in": place, "name": "x-shop-key", "value": "k3y-of-shop" });
        json!({ "hosts": [format!("127.0.0.1:{}", stub.port())], "apiKey": key })
    };
    for place in ["header", "query"] {
        connect(&server, key(place)).await;
        let run = server.run("shop/ask", &json!({})).await;
        assert_eq!(run["output"]["url"], format!("{}/in", stub.url()), "{run}");
    }
    let seen = stub.seen("/in");
    assert_eq!((seen[0].header("x-shop-key"), seen[0].query.as_str()), ("k3y-of-shop", ""));
    assert_eq!((seen[1].header("x-shop-key"), seen[1].query.as_str()), ("", "x-shop-key=k3y-of-shop"));
    // A link of theirs has it without what it was.
    let linked = serve(&[&at(&stub, &ask().replace("STUB/in", "STUB/in?a=1&x-shop-key=***&b=2"))]).await;
    connect(&linked, key("query")).await;
    linked.run("shop/ask", &json!({})).await;
    assert_eq!(stub.seen("/in")[2].query, "a=1&b=2&x-shop-key=k3y-of-shop");
}

/// Three runs ask for one token; after its end, or where it is refused, for one more.
#[tokio::test]
async fn a_token_is_fetched_once_and_renewed_when_it_is_over_or_refused() {
    let stub = Stub::start().await;
    for number in 1..5 {
        let token =
            json!({ "access_token": format!("t0k3n-{number}"), "token_type": "Bearer", "expires_in": 3600 });
        stub.next("/token", Given::json(200, &token));
    }
    let server = serve(&[&at(&stub, &ask())]).await;
    let oauth2 = json!({ "tokenUrl": format!("{}/token", stub.url()), "clientId": "c", "clientSecret": "s" });
    connect(&server, json!({ "hosts": ["127.0.0.1"], "oauth2": oauth2 })).await;
    for _ in 0..3 {
        assert_eq!(server.run("shop/ask", &json!({})).await["status"], "completed");
    }
    assert_eq!((stub.seen("/token").len(), stub.seen("/in").len()), (1, 3));
    stub.next("/in", Given::status(401));
    assert_eq!(server.run("shop/ask", &json!({})).await["status"], "completed");
    assert_eq!((stub.seen("/token").len(), stub.seen("/in").len()), (2, 5));
    assert_eq!(stub.seen("/in")[4].header("authorization"), "Bearer t0k3n-2");
}

#[tokio::test]
async fn an_empty_connection_is_flagged_when_it_is_deployed_and_named_when_it_is_used() {
    let stub = Stub::start().await;
    let server = serve(&[]).await;
    let put = async || {
        let put = server.call("PUT", "/api/v1/flows/shop/ask").body("application/yaml", at(&stub, &ask()));
        let answer = put.send().await;
        assert!(answer.status < 300, "{}", answer.text());
        answer.json()["warnings"].clone()
    };
    let advice = "set it with `flowcell connections set shop-api FILE`";
    assert_eq!(put().await[0]["message"], format!("there is no connection `shop-api` yet: {advice}"));
    connect(&server, json!({ "hosts": ["127.0.0.1"] })).await;
    let warned = put().await;
    assert_eq!(warned[0]["message"], format!("the connection `shop-api` is empty: {advice}"));
    assert_eq!((&warned[0]["line"], &warned[0]["column"]), (&json!(4), &json!(96)));
    let run = server.run("shop/ask", &json!({})).await;
    let detail = "the connection `shop-api` is empty: put credentials in with `flowcell connections set shop-api FILE`";
    assert_eq!(
        (&run["problem"]["detail"], &run["problem"]["data"]["code"]),
        (&json!(detail), &json!("credentials"))
    );
    connect(&server, json!({ "hosts": ["127.0.0.1"], "bearer": { "token": "t" } })).await;
    assert_eq!(put().await, Value::Null);
    assert_eq!(stub.connections(), 0);
}

#[tokio::test]
async fn a_wrong_document_is_refused_and_not_quoted() {
    let server = serve(&[]).await;
    for (document, says) in [
        (json!({ "bearer": { "token": "s3cr3t" } }), "`hosts` is missing"),
        (json!({ "hosts": ["*"], "bearer": { "token": "s3cr3t" } }), "would let it be sent to anybody"),
        (
            json!({ "hosts": ["a.example"], "bearer": "s3cr3t" }),
            "`bearer`: it is of another type than it may be: expected is an object",
        ),
        (json!({ "hosts": ["a.example"], "barer": { "token": "s3cr3t" } }), "unknown field `barer`"),
        (
            json!({ "hosts": ["a.example"], "clientCertificate": { "certificate": "s3cr3t", "key": "s3cr3t" } }),
            "`clientCertificate.certificate`: it holds no certificate",
        ),
    ] {
        let problem = server.call("PUT", "/api/v1/connections/x").json(&document).send().await.problem(400);
        let text = problem.to_string();
        assert!(text.contains(says) && !text.contains("s3cr3t"), "{text}");
    }
    assert_eq!(server.get("/api/v1/connections").await.json()["items"], json!([]));
}

#[tokio::test]
async fn commands_set_show_and_remove_connections() {
    let server = serve(&[]).await;
    let connections = |arguments: &[&str]| {
        let all = ["connections"].iter().chain(arguments).copied().collect::<Vec<_>>();
        FLOWCELL
            .command(all)
            .env("FLOWCELL_SERVER", server.url())
            .env("FLOWCELL_TOKEN", server.token().unwrap())
    };
    let document = r#"{"hosts": ["api.example.com"], "basic": {"username": "u", "password": "s3cr3t"}}"#;
    connections(&["set", "shop"]).input(document).output().await.exited(0).says(&["set shop"]);
    connections(&["list"]).output().await.exited(0).says(&["shop", "api.example.com", "no"]);
    let shown = connections(&["show", "shop"]).output().await.exited(0).json();
    assert_eq!(shown["document"]["basic"], json!({ "username": "u", "password": "***" }));
    connections(&["set", "shop"]).input("nonsense").output().await.exited(1).says(&["it is not JSON"]);
    connections(&["delete", "shop"]).output().await.exited(0);
    connections(&["show", "shop"]).output().await.exited(1).says(&["connection shop"]);
}

/// The credentials are given with each question, and with the request that unsubscribes.
#[tokio::test]
async fn polling_and_webhook_steps_authenticate_with_a_connection() {
    let stub = Stub::start().await;
    stub.next("/in", Given::status(202).header("location", "/status").header("retry-after", "0"));
    stub.next("/subs", Given::json(201, &json!({ "id": 7 })));
    let poll = flow(
        "poll",
        "- ask: { call: http-request:1.0.0@default, with: { url: STUB/in, connection: shop-api, poll: { interval: PT0.05S } } }",
    );
    let wait = flow(
        "wait",
        "- wait:\n    call: http-webhook:1.0.0@default\n    with:\n      subscribe: { method: POST, url: STUB/subs, connection: shop-api, body: { at: '${ $task.callback.url }' } }\n      unsubscribe: { method: DELETE, url: 'STUB/subs/{{ subscribe.body.id }}', connection: shop-api }\n",
    );
    let server = serve(&[&at(&stub, &poll), &at(&stub, &wait)]).await;
    connect(&server, json!({ "hosts": ["127.0.0.1"], "bearer": { "token": "t0k3n-of-shop" } })).await;
    assert_eq!(server.run("shop/poll", &json!({})).await["status"], "completed");
    let run = server.begin("shop/wait", &json!({})).await;
    let subscribed = stub.wait_for("/subs", 1).await;
    let callback = subscribed[0].json()["at"].as_str().unwrap().to_owned();
    server.wait_for(&run, "suspended").await;
    flowcell_tests::Call::post(&callback, &json!({})).send().await.is(202);
    stub.wait_for("/subs/7", 1).await;
    for seen in stub.all() {
        assert_eq!(seen.header("authorization"), "Bearer t0k3n-of-shop", "{seen:?}");
    }
    assert_eq!(stub.all().len(), 4);
}
