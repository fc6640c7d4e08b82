//! What arrives at the server, and over which connection.

use super::*;

#[tokio::test]
async fn a_plain_get_arrives_as_it_was_asked_for() {
    let server = Server::start(|_| ok("hello")).await;
    let egress = local();
    let response =
        send(&egress, request("GET", server.url("/a?b=c#d"), &[("X-One", "1"), ("x-one", "2")], None))
            .await
            .unwrap();
    assert_eq!((response.status, &response.body[..]), (200, &b"hello"[..]));
    assert_eq!(response.headers, [("content-length".to_owned(), "5".to_owned())]);
    assert_eq!(response.info.url, server.url("/a?b=c#d"));
    assert!(response.info.redirects.is_empty());
    let seen = &server.seen()[0];
    assert_eq!(seen.line(), "GET /a?b=c HTTP/1.1");
    assert_eq!(seen.header("host"), Some(server.address.to_string().as_str()));
    assert_eq!(seen.header("user-agent"), Some(concat!("flowcell/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(seen.header("accept-encoding"), Some("gzip, br, deflate, zstd"));
    assert_eq!(seen.head.matches("x-one: ").count(), 2);
    assert_eq!(seen.header("content-length"), None);
    let counts = egress.counters();
    assert_eq!((counts.requests, counts.blocked), (1, 0));
    assert!(counts.bytes > 5);
}

#[tokio::test]
async fn every_method_arrives_with_the_framing_that_it_needs() {
    let server = Server::start(|_| ok("")).await;
    let egress = local();
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        send(&egress, request(method, server.url("/"), &[], None)).await.unwrap();
        send(&egress, request(method, server.url("/"), &[], Some("body"))).await.unwrap();
    }
    let seen = server.seen();
    for (pair, method) in seen.chunks(2).zip(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
        let empty = matches!(method, "POST" | "PUT" | "PATCH").then_some("0");
        assert_eq!(pair[0].line(), format!("{method} / HTTP/1.1"));
        assert_eq!(pair[0].header("content-length"), empty, "{method}");
        assert_eq!(
            (pair[1].header("content-length"), &pair[1].body[..]),
            (Some("4"), &b"body"[..]),
            "{method}"
        );
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_found_before_any_socket() {
    let server = Server::start(|_| ok("")).await;
    let egress = local();
    let url = || server.url("/");
    let cases = [
        request("get", url(), &[], None),
        request("CONNECT", url(), &[], None),
        request("TRACE", url(), &[], None),
        request("GET /x HTTP/1.1\r\n", url(), &[], None),
        request("GET", url(), &[("host", "other")], None),
        request("GET", url(), &[("x", "a\r\nb: c")], None),
        request("GET", url(), &[("x\r\ny", "a")], None),
        request("POST", url(), &[("Transfer-Encoding", "chunked")], Some("x")),
        request("POST", url(), &[("Content-Length", "99")], Some("x")),
        get(format!("http://user:secret@{}/", server.address)),
        get(format!("http://{}/\r\nx: y", server.address)),
        get("ftp://example.com/"),
    ];
    for request in cases {
        let shown = format!("{request:?}");
        assert_eq!(fault(send(&egress, request).await), (Code::InvalidRequest, Sent::No), "{shown}");
    }
    let options = SendOptions { max_redirects: Some(21), ..SendOptions::default() };
    assert_eq!(fault(send_with(&egress, get(url()), options).await), (Code::InvalidRequest, Sent::No));
    let options = SendOptions { timeout_ms: Some(0), ..SendOptions::default() };
    assert_eq!(fault(send_with(&egress, get(url()), options).await), (Code::InvalidRequest, Sent::No));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn connections_are_reused() {
    let server = Server::start(|seen| ok(&seen.turn.to_string())).await;
    let egress = local();
    for turn in ["1", "2", "3"] {
        assert_eq!(send(&egress, post(server.url("/"), "x")).await.unwrap().body, turn);
    }
    assert_eq!(server.connections(), 1);
}

/// Answers the first request of a connection and closes it, without a word, upon the second.
async fn forgetful() -> Server {
    Server::start(|seen| if seen.turn == 1 { ok("") } else { vec![Act::Close] }).await
}

#[tokio::test]
async fn a_request_that_may_be_repeated_is_sent_again_when_a_pooled_connection_closes() {
    let server = forgetful().await;
    let egress = local();
    for _ in 0..2 {
        assert_eq!(send(&egress, get(server.url("/"))).await.unwrap().status, 200);
    }
    assert_eq!((server.connections(), server.seen().len()), (2, 3));
}

#[tokio::test]
async fn a_post_is_never_sent_again() {
    let server = forgetful().await;
    let egress = local();
    assert!(send(&egress, post(server.url("/"), "1")).await.is_ok());
    assert_eq!(fault(send(&egress, post(server.url("/"), "2")).await), (Code::Reset, Sent::Unknown));
    assert_eq!((server.connections(), server.seen().len()), (1, 2));
}

#[tokio::test]
async fn a_request_on_a_new_connection_is_never_sent_again() {
    let server = Server::start(|_| vec![Act::Close]).await;
    let egress = local();
    assert_eq!(fault(send(&egress, get(server.url("/"))).await), (Code::Reset, Sent::Unknown));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn nobody_at_the_address_is_a_connect_failure() {
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = send(&local(), get(format!("http://{free}/"))).await.unwrap_err();
    assert_eq!((error.code, error.sent, error.retryable), (Code::Connect, Sent::No, true));
    assert!(error.detail.contains(&free.to_string()), "{error}");
}

#[tokio::test]
async fn a_request_body_over_the_quota_is_not_sent() {
    let server = Server::start(|_| ok("")).await;
    let quota = Quota { body: 3, ..Quota::default() };
    let egress = Egress::new(
        TenantId::default_tenant(),
        &rules("- network = \"127.0.0.1/32\""),
        &quota,
        Shared::new(vec![], None),
        [].into(),
    );
    let error = send(&egress, post(server.url("/"), "four")).await.unwrap_err();
    assert_eq!((error.code, error.sent), (Code::TooLarge, Sent::No));
    assert_eq!(server.connections(), 0);
}
