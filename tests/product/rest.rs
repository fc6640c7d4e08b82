//! The REST API: flows, triggers and plugins, errors, and who may ask. Runs: `rest_runs`.

use flowcell_tests::{Call, Server};
use serde_json::{Value, json};

use crate::documents::{echo, flow, hook, serve};

async fn put(server: &Server, path: &str, document: &str) -> flowcell_tests::Answer {
    server.call("PUT", path).body("application/yaml", document.to_owned()).send().await
}

#[tokio::test]
async fn the_api_wants_the_operators_token() {
    let server = serve(&[&echo()]).await;
    for path in ["/api/v1/flows", "/api/v1/triggers", "/api/v1/runs", "/api/v1/plugins", "/api/v1/tenants"] {
        let without = Call::get(format!("{}{path}", server.url()));
        let answer = without.clone().send().await;
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{answer}");
        answer.problem(401);
        without.header("authorization", "Bearer wrong").send().await.problem(401);
        server.get(path).await.is(200);
    }
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        Call::get(format!("{}{path}", server.url())).send().await.is(200);
    }
}

#[tokio::test]
async fn a_flow_is_put_shown_listed_changed_and_deleted() {
    let server = serve(&[&echo()]).await;
    let path = "/api/v1/flows/shop/order";
    server.get(path).await.problem(404);
    let made = put(&server, path, &flow("order", "- one: { set: { a: 1 } }")).await.is(201).json();
    assert_eq!(
        (&made["namespace"], &made["name"], &made["version"]),
        (&json!("shop"), &json!("order"), &json!("1.0.0"))
    );
    assert_eq!(server.run("shop/order", &json!({})).await["output"], json!({ "a": 1 }));

    put(&server, path, &flow("order", "- one: { set: { a: 2 } }")).await.is(200);
    assert_eq!(server.run("shop/order", &json!({})).await["output"], json!({ "a": 2 }));
    assert_eq!(server.get(path).await.is(200).json()["document"]["document"]["name"], "order");
    let names = |list: &Value| {
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|item| item["name"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let listed = server.get("/api/v1/flows").await.is(200).json();
    assert!(
        names(&listed).contains(&"order".to_owned()) && names(&listed).contains(&"echo".to_owned()),
        "{listed}"
    );

    server.call("DELETE", path).send().await.is(204);
    server.get(path).await.problem(404);
    server.call("DELETE", path).send().await.problem(404);
    server.post(&format!("{path}/runs"), &json!({})).await.problem(404);
}

#[tokio::test]
async fn a_flow_that_is_wrong_is_refused_whole_with_every_finding() {
    let server = serve(&[&echo()]).await;
    let path = "/api/v1/flows/shop/order";
    for (tasks, word) in [
        ("- one: { st: { a: 1 } }", "`set`"),
        ("- one: { set: { a: 1 }, then: nowhere }", "`nowhere`"),
        (
            "- one: { call: http-request:1.0.0@default, with: { url: 'http://a.example', method: INVALID } }",
            "method",
        ),
        ("- one: { call: nowhere:1.0.0@default }", "nowhere"),
        ("- one: { set: { a: 1 } }\n- one: { set: { a: 2 } }", "`one`"),
    ] {
        let problem = put(&server, path, &flow("order", tasks)).await.problem(400);
        let finding = &problem["data"]["findings"][0];
        assert!(finding["line"].is_u64() && finding["column"].is_u64(), "{problem}");
        assert!(problem.to_string().contains(word), "`{word}` is missing: {problem}");
    }
    put(&server, path, "not: a flow").await.problem(400);
    let elsewhere = put(&server, path, &echo()).await.problem(400);
    assert!(elsewhere["detail"].as_str().is_some_and(|detail| detail.contains("shop/order")), "{elsewhere}");
    server.get(path).await.problem(404);
}

#[tokio::test]
async fn a_trigger_is_put_disabled_enabled_and_deleted_under_one_address() {
    let server = serve(&[&echo()]).await;
    let path = "/api/v1/triggers/shop/in";
    let made = put(&server, path, &hook("in", "echo", "{}")).await.is(201).json();
    assert_eq!((&made["uses"], &made["enabled"]), (&json!("webhook:1.0.0@default"), &json!(true)), "{made}");
    let url = made["url"].as_str().unwrap().to_owned();
    let ring = async || Call::post(&url, &json!({})).send().await.status;
    assert_eq!(ring().await, 200);

    let disabled = server.post(&format!("{path}/disable"), &json!(null)).await.is(200).json();
    assert_eq!((&disabled["enabled"], ring().await), (&json!(false), 404));
    let enabled = server.post(&format!("{path}/enable"), &json!(null)).await.is(200).json();
    assert_eq!((&enabled["url"], ring().await), (&json!(url), 200));

    let changed = put(&server, path, &hook("in", "echo", "{ respond: { from: at-once, status: 202 } }"))
        .await
        .is(200)
        .json();
    assert_eq!((&changed["url"], ring().await), (&json!(url), 202));
    let listed = server.get("/api/v1/triggers").await.is(200).json();
    assert_eq!(listed["items"][0], changed);
    assert_eq!(listed["cursor"], Value::Null);

    server.call("DELETE", path).send().await.is(204);
    assert_eq!(ring().await, 404);
    server.post(&format!("{path}/enable"), &json!(null)).await.problem(404);
}

#[tokio::test]
async fn plugins_are_listed_with_what_they_take() {
    let server = serve(&[&echo()]).await;
    let list = server.get("/api/v1/plugins").await.is(200).json();
    for name in ["http-request", "webhook", "curl"] {
        let plugin =
            list["items"].as_array().and_then(|items| items.iter().find(|item| item["name"] == name));
        let plugin = plugin.unwrap_or_else(|| panic!("no {name}: {list}"));
        assert_eq!(plugin["version"], "1.0.0");
        assert!(plugin["descriptor"].is_object(), "{plugin}");
    }
}

#[tokio::test]
async fn an_installed_plugin_is_there_after_a_restart() {
    let server = serve(&[&echo()]).await;
    let wasm = std::fs::read(flowcell_tests::probe()).unwrap();
    let answer = server.call("POST", "/api/v1/plugins").body("application/wasm", wasm).send().await;
    assert!(matches!(answer.status, 200 | 201), "{answer}");
    let calling = flow("probe", "- probe: { call: flowcell-probe.echo:1.0.0@default, with: '${ . }' }");
    put(&server, "/api/v1/flows/shop/probe", &calling).await.is(201);
    let server = server.kill9().await.start().await;
    assert_eq!(server.run("shop/probe", &json!({ "a": 1 })).await["output"], json!({ "a": 1 }));
    let refused =
        server.call("POST", "/api/v1/plugins").body("application/wasm", flowcell_tests::core_module());
    refused.send().await.problem(400);
}

#[tokio::test]
async fn every_route_of_the_contract_is_in_the_openapi_document() {
    let server = serve(&[&echo()]).await;
    let document = server.get("/openapi.json").await.is(200).json();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{document}");
    for (path, method) in [
        ("/hooks/{token}", "post"),
        ("/callbacks/{token}", "post"),
        ("/healthz", "get"),
        ("/readyz", "get"),
        ("/metrics", "get"),
        ("/api/v1/flows", "get"),
        ("/api/v1/flows/{namespace}/{name}", "put"),
        ("/api/v1/flows/{namespace}/{name}", "get"),
        ("/api/v1/flows/{namespace}/{name}", "delete"),
        ("/api/v1/flows/{namespace}/{name}/runs", "post"),
        ("/api/v1/triggers", "get"),
        ("/api/v1/triggers/{namespace}/{name}", "put"),
        ("/api/v1/triggers/{namespace}/{name}/enable", "post"),
        ("/api/v1/triggers/{namespace}/{name}/disable", "post"),
        ("/api/v1/runs", "get"),
        ("/api/v1/runs/{id}", "get"),
        ("/api/v1/runs/{id}/cancel", "post"),
        ("/api/v1/runs/{id}/restart", "post"),
        ("/api/v1/runs/{id}/events", "get"),
        ("/api/v1/plugins", "get"),
        ("/api/v1/policy/explain", "get"),
    ] {
        assert!(document["paths"][path][method].is_object(), "{method} {path} is missing");
    }
}

#[tokio::test]
async fn health_readiness_and_figures_are_open() {
    let mut server = serve(&[&echo(), &hook("in", "echo", "{}")]).await;
    let hook = server.hook("shop/in").await;
    Call::post(&hook, &json!({})).send().await.is(200);
    server.get("/healthz").await.is(200);
    server.get("/readyz").await.is(200);
    let metrics = server.get("/metrics").await.is(200);
    assert!(
        metrics.header("content-type").starts_with("text/plain")
            || metrics.header("content-type").starts_with("application/openmetrics-text"),
        "{metrics}"
    );
    let text = metrics.text();
    assert!(
        text.contains("# TYPE flowcell_") && text.lines().any(|line| line.starts_with("flowcell_")),
        "{text}"
    );
}

#[tokio::test]
async fn what_does_not_exist_and_what_is_not_taken_are_problems() {
    let server = serve(&[&echo()]).await;
    server.get("/api/v1/nothing").await.problem(404);
    let answer = server.call("PATCH", "/api/v1/flows/shop/echo").send().await;
    assert!(answer.header("allow").contains("PUT"), "{answer}");
    answer.problem(405);
    let broken = server.call("POST", "/api/v1/flows/shop/echo/runs").body("application/json", "{ \"a\": ");
    broken.send().await.problem(400);
    server.call("GET", "/api/v1/flows").header("flowcell-tenant", "nobody").send().await.problem(404);
}

#[tokio::test]
async fn a_callback_address_is_no_place_to_browse() {
    let server = serve(&[&echo()]).await;
    let path = format!("{}/callbacks/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", server.url());
    for method in ["GET", "HEAD"] {
        assert_eq!(Call::new(method, &path).send().await.is(405).header("allow"), "POST");
    }
    Call::post(&path, &json!({})).send().await.is(404);
}
