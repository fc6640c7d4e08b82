//! Where a step may not go: nothing private, loopback or of the host itself, in any spelling, by any detour.

use flowcell_tests::{Call, Given, Server, Stub};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::FLOWCELL;
use crate::documents::{flow, hook, local, together};

const FETCH: &str =
    "- fetch: { call: http-request:1.0.0@default, with: { url: '${ .url }', timeout: PT10S } }";
const ALLOWING: &str = "- fetch: { call: http-request:1.0.0@default, with: { url: '${ .url }', allowFailure: true, timeout: PT10S } }";

/// Every public host on these ports, and no network.
fn every_name(ports: &str) -> String {
    format!("[[tenant]]\nname = \"default\"\n[[tenant.allow]]\nhost = \"*\"\nports = [{ports}]\n")
}

async fn serve(config: Option<&str>) -> Server {
    let mut setup = FLOWCELL.serve();
    setup = setup.file("fetch.yaml", flow("fetch", FETCH)).file("allowing.yaml", flow("allowing", ALLOWING));
    if let Some(config) = config {
        setup = setup.config(config);
    }
    setup.start().await
}

/// The problem of a run that could not fetch this.
async fn problem(server: &Server, url: &str) -> Value {
    let run = server.run("shop/fetch", &json!({ "url": url })).await;
    assert_eq!(run["status"], "faulted", "{url} was fetched: {run}");
    run["problem"].clone()
}

#[tokio::test]
async fn no_spelling_of_a_forbidden_address_reaches_it() {
    let stub = Stub::start().await;
    let port = stub.port();
    let server = serve(Some(&every_name(&format!("80, {port}")))).await;
    let loopback = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "0177.0.0.01",
        "017700000001",
        "127.255.255.254",
        "0.0.0.0",
        "0",
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "localhost",
        "LOCALHOST",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "%31%32%37.0.0.1",
    ];
    let elsewhere = [
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.2.1",
        "224.0.0.1",
        "255.255.255.255",
        "[fe80::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "[2002:7f00:1::]",
        "[2001:db8::1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b:1::1]",
    ];
    let urls = loopback.iter().map(|host| format!("http://{host}:{port}/"));
    let urls = urls.chain(elsewhere.iter().map(|host| format!("http://{host}/latest/meta-data/")));
    for url in urls {
        let problem = problem(&server, &url).await;
        assert_eq!(problem["data"]["code"], "blocked", "{url}: {problem}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("network = \""), "the line to add is missing for {url}: {problem}");
    }
    assert_eq!(stub.connections(), 0);
}

#[tokio::test]
async fn the_line_that_a_denial_names_allows_it() {
    let stub = Stub::start().await;
    let closed = every_name(&stub.port().to_string());
    let server = serve(Some(&closed)).await;
    let problem = problem(&server, &stub.url()).await;
    let detail = problem["detail"].as_str().unwrap_or_default();
    let (_, rest) = detail.split_once("network = \"").unwrap_or_else(|| panic!("no line to add: {problem}"));
    let network = rest.split('"').next().unwrap_or_default();
    drop(server);

    let server = serve(Some(&format!("{closed}[[tenant.allow]]\nnetwork = \"{network}\"\n"))).await;
    assert_eq!(server.run("shop/fetch", &json!({ "url": stub.url() })).await["status"], "completed");
    assert_eq!(stub.all().len(), 1);
}

#[tokio::test]
async fn a_block_is_visible_where_failure_is_allowed() {
    let stub = Stub::start().await;
    let server = serve(Some(&every_name(&stub.port().to_string()))).await;
    let run = server.run("shop/allowing", &json!({ "url": stub.url() })).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(
        (&run["output"]["success"], &run["output"]["error"]["code"]),
        (&json!(false), &json!("blocked")),
        "{run}"
    );
    assert_eq!(stub.connections(), 0);
}

#[tokio::test]
async fn a_redirect_to_a_forbidden_address_is_stopped_before_the_request() {
    let (open, closed) = (Stub::start().await, Stub::start_on("127.0.0.2").await);
    open.always("/first", Given::status(302).header("location", "/second"));
    open.always("/second", Given::status(302).header("location", &closed.url()));
    let config = every_name(&closed.port().to_string()) + "[[tenant.allow]]\nnetwork = \"127.0.0.1/32\"\n";
    let server = serve(Some(&config)).await;
    let problem = problem(&server, &format!("{}/first", open.url())).await;
    assert_eq!(problem["data"]["code"], "blocked", "{problem}");
    assert_eq!((open.seen("/first").len(), open.seen("/second").len(), closed.connections()), (1, 1, 0));
}

#[tokio::test]
async fn the_hosts_own_api_is_out_of_reach_even_in_a_granted_network() {
    let config = local("") + "[[tenant]]\nname = \"other\"\n";
    let server = serve(Some(&config)).await;
    let port = server.url().rsplit(':').next().unwrap_or_default().to_owned();
    for host in ["127.0.0.1", "127.0.0.7", "localhost", "0.0.0.0", "2130706433"] {
        for path in
            ["/api/v1/flows", "/healthz", "/metrics", "/hooks/../api/v1/flows", "/hooks/%2e%2e/api/v1/flows"]
        {
            let problem = problem(&server, &format!("http://{host}:{port}{path}")).await;
            assert_eq!(problem["data"]["code"], "blocked", "{host}{path}: {problem}");
        }
    }
}

#[tokio::test]
async fn serve_without_a_config_denies_everything() {
    let stub = Stub::start().await;
    let server = serve(None).await;
    for url in [stub.url(), "http://192.0.2.1/".into(), "https://example.com/v1/orders".into()] {
        let problem = problem(&server, &url).await;
        assert_eq!(problem["data"]["code"], "blocked", "{url}: {problem}");
        assert!(
            problem["detail"].as_str().is_some_and(|detail| detail.contains("[[tenant.allow]]")),
            "{problem}"
        );
    }
    assert_eq!(stub.connections(), 0);
}

#[tokio::test]
async fn one_tenants_grant_is_not_anothers() {
    let stub = Stub::start().await;
    let config = local("") + "[[tenant]]\nname = \"other\"\n";
    let server = serve(Some(&config)).await;
    let as_other = |method: &str, path: &str| server.call(method, path).header("flowcell-tenant", "other");
    let put = as_other("PUT", "/api/v1/flows/shop/fetch").body("application/yaml", flow("fetch", FETCH));
    put.send().await.is(201);
    let start =
        as_other("POST", "/api/v1/flows/shop/fetch/runs?wait=PT30S").json(&json!({ "url": stub.url() }));
    let run = start.send().await.is(200).json();
    assert_eq!(
        (&run["tenant"], &run["problem"]["data"]["code"]),
        (&json!("other"), &json!("blocked")),
        "{run}"
    );
    assert_eq!(stub.connections(), 0);
    let own = server.run("shop/fetch", &json!({ "url": stub.url() })).await;
    assert_eq!(own["status"], "completed");
    assert_eq!(server.runs("").await.len(), 1, "the other tenant's run is listed");
}

#[tokio::test]
async fn proxy_variables_of_the_environment_are_ignored() {
    let (stub, proxy) = (Stub::start().await, Stub::start().await);
    let folder = flowcell_tests::Folder::new();
    folder.write("flow.yaml", flow("fetch", FETCH));
    let mut command =
        FLOWCELL.command(["run", "flow.yaml", "--input"]).arg(json!({ "url": stub.url() }).to_string());
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command = command.env(name, &proxy.url());
    }
    command.in_folder(folder.path()).output().await.exited(0);
    assert_eq!((stub.all().len(), proxy.connections()), (1, 0));
}

#[tokio::test]
async fn run_and_dev_deny_private_networks_and_allow_loopback() {
    let stub = Stub::start().await;
    let folder = flowcell_tests::Folder::new();
    folder.write("flow.yaml", flow("fetch", FETCH));
    let fetch = async |url: &str| {
        let command =
            FLOWCELL.command(["run", "flow.yaml", "--input"]).arg(json!({ "url": url }).to_string());
        command.in_folder(folder.path()).output().await
    };
    fetch(&stub.url()).await.exited(0);
    for url in ["http://10.0.0.1/", "http://169.254.169.254/", "http://192.168.0.1/"] {
        assert_eq!(fetch(url).await.exited(1).problem()["data"]["code"], "blocked", "{url}");
    }

    let documents = together(&[
        &flow("fetch", &FETCH.replace(".url", ".body.url")),
        &hook("in", "fetch", "{ respond: { from: flow } }"),
    ]);
    let mut dev = FLOWCELL.dev().file("fetch.yaml", documents).start().await;
    let hook = dev.hook("shop/in").await;
    Call::post(&hook, &json!({ "url": stub.url() })).send().await.is(200);
    Call::post(&hook, &json!({ "url": "http://10.0.0.1/" })).send().await.is(500);
    assert!(dev.printed().contains("loopback"), "{dev}");
}

#[tokio::test]
async fn many_denials_at_once_are_each_decided() {
    let stub = Stub::start().await;
    let server = serve(Some(&every_name(&stub.port().to_string()))).await;
    let mut asked = JoinSet::new();
    for _ in 0..40 {
        let call = server
            .call("POST", "/api/v1/flows/shop/fetch/runs?wait=PT30S")
            .json(&json!({ "url": stub.url() }));
        asked.spawn(call.send());
    }
    for answer in asked.join_all().await {
        assert_eq!(answer.is(200).json()["problem"]["data"]["code"], "blocked");
    }
    assert_eq!(stub.connections(), 0);
}
