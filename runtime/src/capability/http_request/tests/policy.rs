//! The wall, seen from both sides: what is blocked never reaches a socket.

use std::net::IpAddr;
use std::sync::Mutex;

use super::super::connect::Names;
use super::*;

fn names(answers: &[&[&str]]) -> Shared {
    let parse = |ips: &&[&str]| ips.iter().map(|ip| ip.parse::<IpAddr>().unwrap()).collect();
    Shared { names: Names::Scripted(Mutex::new(answers.iter().map(parse).collect())), ..Shared::default() }
}

#[tokio::test]
async fn a_blocked_server_sees_no_connection() {
    let server = Server::start(|_| ok("")).await;
    let port = server.address.port();
    let egress = egress(&format!("- host = \"*\"\nports = [{port}]"));
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST.",
        "0x7f000001",
        "127.1",
        "2130706433",
        "0",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "[::]",
    ] {
        let error = send(&egress, get(format!("http://{host}:{port}/"))).await.unwrap_err();
        assert_eq!((error.code, error.sent, error.retryable), (Code::Blocked, Sent::No, false), "{host}");
        assert!(error.detail.contains("[[tenant.allow]] network = "), "{host}: {error}");
    }
    assert_eq!(server.connections(), 0);
    assert_eq!(egress.counters().blocked, 10);
}

#[tokio::test]
async fn a_name_that_resolves_to_loopback_is_told_with_its_address() {
    let egress = egress_on("- host = \"*\"", names(&[&["127.0.0.1"]]));
    let error = send(&egress, get("https://innocent.example/")).await.unwrap_err();
    assert_eq!(
        error.detail,
        "blocked: innocent.example resolves to 127.0.0.1, a loopback address; to allow it add  [[tenant.allow]] \
         network = \"127.0.0.1/32\""
    );
}

#[tokio::test]
async fn without_a_rule_nothing_is_even_looked_up() {
    // An empty script would panic if it were asked.
    let error = send(&egress_on("", names(&[])), get("https://api.example.com/v1")).await.unwrap_err();
    assert_eq!((error.code, error.sent), (Code::Blocked, Sent::No));
    assert!(error.detail.contains("host = \"api.example.com\""), "{error}");
}

#[tokio::test]
async fn a_public_address_without_a_host_rule_is_answered_with_the_host_rule() {
    let egress = egress_on("- network = \"10.0.0.0/8\"", names(&[&["93.184.216.34"]]));
    let error = send(&egress, get("https://api.example.com/v1")).await.unwrap_err();
    assert_eq!(error.code, Code::Blocked);
    assert!(error.detail.contains("host = \"api.example.com\""), "{error}");
}

#[tokio::test]
async fn a_network_opens_an_address_under_any_name() {
    let server = Server::start(|_| ok("in")).await;
    let egress = egress_on("- network = \"127.0.0.1/32\"", names(&[&["127.0.0.1"]]));
    let response =
        send(&egress, get(format!("http://anything.example:{}/", server.address.port()))).await.unwrap();
    assert_eq!(response.body, "in");
    assert_eq!(
        server.seen()[0].header("host"),
        Some(format!("anything.example:{}", server.address.port()).as_str())
    );
}

#[tokio::test]
async fn of_several_addresses_only_the_allowed_ones_are_dialled() {
    let hidden = Server::start_at("127.0.0.2:0", |_| ok("hidden")).await;
    let port = hidden.address.port();
    let open = Server::start_at(&format!("127.0.0.3:{port}"), |_| ok("open")).await;
    let egress = egress_on(
        "- network = \"127.0.0.3/32\"\n- network = \"127.0.0.4/32\"",
        names(&[&["127.0.0.2", "127.0.0.4", "127.0.0.3"]]),
    );
    let response = send(&egress, get(format!("http://several.example:{port}/"))).await.unwrap();
    assert_eq!(response.body, "open");
    assert_eq!((hidden.connections(), open.connections()), (0, 1));
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_judged_for_each_connection() {
    let hidden = Server::start_at("127.0.0.2:0", |_| ok("hidden")).await;
    let port = hidden.address.port();
    let open = Server::start_at(&format!("127.0.0.3:{port}"), |_| {
        let mut acts = answer("200 OK", "connection: close\r\n", "open");
        acts.push(Act::Close);
        acts
    })
    .await;
    let egress = egress_on("- network = \"127.0.0.3/32\"", names(&[&["127.0.0.3"], &["127.0.0.2"]]));
    let url = format!("http://fickle.example:{port}/");
    assert_eq!(send(&egress, get(&url)).await.unwrap().body, "open");
    assert_eq!(fault(send(&egress, get(&url)).await), (Code::Blocked, Sent::No));
    assert_eq!((hidden.connections(), open.connections()), (0, 1));
}

#[tokio::test]
async fn a_name_without_an_address_is_a_dns_failure() {
    let egress = egress_on("- host = \"*\"", names(&[&[]]));
    let error = send(&egress, get("https://nowhere.example/")).await.unwrap_err();
    assert_eq!((error.code, error.sent, error.retryable), (Code::Dns, Sent::No, true));
}

#[tokio::test]
async fn new_rules_close_open_connections_to_what_they_deny() {
    let server = Server::start(|_| ok("")).await;
    let egress = local();
    assert!(send(&egress, get(server.url("/"))).await.is_ok());
    egress.set_rules(&[]);
    assert_eq!(fault(send(&egress, get(server.url("/"))).await), (Code::Blocked, Sent::No));
    egress.set_rules(&rules("- network = \"127.0.0.1/32\""));
    assert!(send(&egress, get(server.url("/"))).await.is_ok());
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn own_listeners_are_reached_by_hooks_alone_and_not_over_their_connections() {
    let server = Server::start(|_| ok("")).await;
    let egress = egress_on("- network = \"127.0.0.0/8\"", listening_on(server.address));
    assert!(send(&egress, post(server.url("/hooks/token"), "{}")).await.is_ok());
    assert!(send(&egress, post(server.url("/callbacks/token"), "{}")).await.is_ok());
    for path in ["/api/v1/flows", "/hooks/../api/v1/flows", "/hooks/..%2fapi/v1/flows", "/metrics"] {
        let error = send(&egress, get(server.url(path))).await.unwrap_err();
        assert_eq!((error.code, error.sent), (Code::Blocked, Sent::No), "{path}");
        assert!(error.detail.contains("own listener"), "{error}");
    }
    assert_eq!((server.connections(), server.seen().len()), (1, 2));
}

#[tokio::test]
async fn explain_tells_what_send_does() {
    let explain = async |lines: &str, answers: &[&[&str]], method: &str, url: &str| {
        egress_on(lines, names(answers)).explain(method, url).await
    };
    let told = explain(
        "- host = \"api.example.com\"",
        &[&["93.184.216.34", "10.0.0.1"]],
        "GET",
        "https://api.example.com/",
    )
    .await;
    assert_eq!((told.allowed, told.rule.as_deref()), (true, Some("host = \"api.example.com\"")));
    assert_eq!(told.addresses.iter().map(|judged| judged.allowed).collect::<Vec<_>>(), [true, false]);

    let told = explain("- network = \"10.0.0.0/8\"", &[&["10.0.0.1"]], "PUT", "http://nas.lan:5000/").await;
    assert_eq!((told.allowed, told.rule.as_deref()), (true, Some("network = \"10.0.0.0/8\"")));

    let told = explain("- host = \"*\"", &[&["10.0.0.1"]], "GET", "https://nas.lan/").await;
    assert!(!told.allowed);
    assert_eq!(told.add.as_deref(), Some("[[tenant.allow]]\nnetwork = \"10.0.0.1/32\""));

    let told =
        explain("- network = \"10.0.0.0/8\"", &[&["93.184.216.34"]], "GET", "https://a.example/").await;
    assert_eq!((told.allowed, told.add.as_deref()), (false, Some("[[tenant.allow]]\nhost = \"a.example\"")));

    let told = explain("", &[], "GET", "https://a.example/").await;
    assert_eq!((told.allowed, told.addresses.len()), (false, 0));

    let told = explain("- host = \"a.example\"", &[&[]], "GET", "https://a.example/").await;
    assert!(told.allowed && told.reason.contains("does not resolve"), "{}", told.reason);

    assert!(explain("", &[], "get", "https://a.example/").await.reason.contains("not a method"));
    assert!(explain("", &[], "GET", "a.example").await.reason.contains("not an absolute URL"));
}
