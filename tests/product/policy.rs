//! The rules of egress one by one: hosts, ports, methods, paths, networks; decided, denied and explained alike.

use flowcell_tests::{Server, Stub};
use serde_json::{Value, json};

use crate::FLOWCELL;
use crate::documents::{flow, local};

/// Public addresses that nobody needs to answer at: these tests ask what is decided, and send nothing.
const RULES: &str = r#"
[[tenant]]
name = "default"
[[tenant.allow]]
host = "1.1.1.1"
methods = ["GET", "HEAD"]
paths = ["/v1/*", "/status"]
[[tenant.allow]]
host = "9.9.9.9"
ports = [8080, 8443]
"#;

async fn explain(server: &Server, method: &str, url: &str) -> Value {
    server.get(&format!("/api/v1/policy/explain?method={method}&url={url}")).await.is(200).json()
}

#[tokio::test]
async fn a_rule_is_a_host_its_ports_methods_and_paths() {
    let server = FLOWCELL.serve().config(RULES).start().await;
    for (method, url, allowed, word) in [
        ("GET", "https://1.1.1.1/v1/orders", true, "1.1.1.1"),
        ("HEAD", "https://1.1.1.1/status", true, "1.1.1.1"),
        ("POST", "https://1.1.1.1/v1/orders", false, "GET"),
        ("GET", "https://1.1.1.1/v2/orders", false, "/v1/*"),
        ("GET", "https://1.1.1.1/v1/../admin", false, "/admin"),
        ("GET", "https://1.1.1.1/v1/%2e%2e/admin", false, "/"),
        ("GET", "http://1.1.1.1/v1/orders", false, "443"),
        ("GET", "https://1.1.1.1:8443/v1/orders", false, "443"),
        ("DELETE", "http://9.9.9.9:8080/any/thing", true, "9.9.9.9"),
        ("GET", "https://9.9.9.9/any", false, "8080"),
        ("GET", "https://8.8.8.8/", false, "8.8.8.8"),
    ] {
        let explained = explain(&server, method, url).await;
        assert_eq!(explained["allowed"], allowed, "{method} {url}: {explained}");
        assert!(
            explained["reason"].as_str().is_some_and(|reason| reason.contains(word)),
            "{method} {url}: {explained}"
        );
        let names_a_line = explained["add"].as_str().is_some_and(|add| add.contains("[[tenant.allow]]"));
        assert_eq!(names_a_line, !allowed, "{method} {url}: {explained}");
    }
}

#[tokio::test]
async fn a_step_is_denied_with_the_words_of_the_explanation() {
    let tasks =
        "- send: { call: http-request:1.0.0@default, with: { url: 'https://1.1.1.1/v1/x', method: POST } }";
    let server = FLOWCELL.serve().config(RULES).file("send.yaml", flow("send", tasks)).start().await;
    let reason = explain(&server, "POST", "https://1.1.1.1/v1/x").await["reason"].clone();
    let run = server.run("shop/send", &json!({})).await;
    assert_eq!(run["problem"]["data"]["code"], "blocked", "{run}");
    let detail = run["problem"]["detail"].as_str().unwrap_or_default();
    assert!(detail.contains(reason.as_str().unwrap()), "{reason} is not in {detail}");
}

#[tokio::test]
async fn a_network_rule_opens_its_addresses_under_any_name_and_no_others() {
    let stub = Stub::start().await;
    let server = FLOWCELL.serve().config(local("").replace("127.0.0.0/8", "127.0.0.1/32")).start().await;
    let port = stub.port();
    assert_eq!(explain(&server, "DELETE", &format!("http://127.0.0.1:{port}/any")).await["allowed"], true);
    assert_eq!(explain(&server, "GET", &format!("http://127.0.0.2:{port}/any")).await["allowed"], false);
    assert_eq!(explain(&server, "GET", "http://192.168.1.7/").await["allowed"], false);
    assert_eq!(stub.connections(), 0, "explaining sends nothing");
}

#[tokio::test]
async fn the_command_explains_what_the_api_explains() {
    let server = FLOWCELL.serve().config(RULES).start().await;
    let data = server.setup().data();
    let command = FLOWCELL.command(["policy", "explain", "https://8.8.8.8/", "--data"]).arg(data);
    command.output().await.says(&["8.8.8.8", "[[tenant.allow]]"]);
}
