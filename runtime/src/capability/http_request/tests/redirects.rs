//! Redirects, followed and not.

use super::*;

fn to(status: &str, location: &str) -> Vec<Act> {
    answer(status, &format!("location: {location}\r\n"), "")
}

/// `/` leads to `/b` by this status, and `/b` is the end.
async fn one_redirect(status: &'static str) -> Server {
    Server::start(move |seen| if seen.path() == "/" { to(status, "/b") } else { ok("end") }).await
}

fn options(redirects: Redirects) -> SendOptions {
    SendOptions { redirects, ..SendOptions::default() }
}

#[tokio::test]
async fn a_redirect_is_followed_and_told() {
    let server = one_redirect("302 Found").await;
    let response = send(&local(), get(server.url("/#part"))).await.unwrap();
    assert_eq!(response.body, "end");
    assert_eq!(response.info.url, server.url("/b#part"));
    let hop = &response.info.redirects[0];
    assert_eq!((hop.status, hop.url.as_str()), (302, server.url("/#part").as_str()));
}

#[tokio::test]
async fn a_post_becomes_a_get_without_its_body_or_stays_a_post_with_it() {
    for (status, line, body) in [
        ("301 Moved", "GET /b HTTP/1.1", ""),
        ("302 Found", "GET /b HTTP/1.1", ""),
        ("303 See Other", "GET /b HTTP/1.1", ""),
        ("307 Temporary", "POST /b HTTP/1.1", "body"),
        ("308 Permanent", "POST /b HTTP/1.1", "body"),
    ] {
        let server = one_redirect(status).await;
        send(&local(), post(server.url("/"), "body")).await.unwrap();
        let seen = &server.seen()[1];
        assert_eq!((seen.line(), seen.body.as_slice()), (line, body.as_bytes()), "{status}");
        let kept = (!body.is_empty()).then_some(("text/plain", "4"));
        assert_eq!(seen.header("content-type").zip(seen.header("content-length")), kept, "{status}");
    }
}

#[tokio::test]
async fn credentials_stay_at_their_origin() {
    let other = Server::start(|_| ok("")).await;
    let elsewhere = other.url("/");
    let server =
        Server::start(
            move |seen| {
                if seen.path() == "/" { to("307 T", "/again") } else { to("307 T", &elsewhere) }
            },
        )
        .await;
    let headers =
        [("authorization", "Bearer x"), ("cookie", "a=b"), ("proxy-authorization", "y"), ("x-kept", "z")];
    send(&local(), request("POST", server.url("/"), &headers, Some("body"))).await.unwrap();
    let (here, there) = (&server.seen()[1], &other.seen()[0]);
    assert!(headers.iter().all(|(name, value)| here.header(name) == Some(value)));
    assert_eq!(headers.map(|(name, _)| there.header(name)), [None, None, None, Some("z")]);
    assert_eq!(there.body, b"body");
}

#[tokio::test]
async fn redirect_to_private_address_is_denied() {
    let secret = Server::start_at("127.0.0.2:0", |_| ok("secret")).await;
    let target = secret.url("/");
    let server = Server::start(move |seen| match seen.path() {
        "/" => to("302 Found", "/hop2"),
        _ => to("302 Found", &target),
    })
    .await;
    let egress = local();
    let error = send(&egress, get(server.url("/"))).await.unwrap_err();
    // The first request did leave.
    assert_eq!((error.code, error.sent, error.retryable), (Code::Blocked, Sent::Yes, false));
    assert!(error.detail.contains("network = \"127.0.0.2/32\"") && error.detail.contains("/hop2"), "{error}");
    assert_eq!(secret.connections(), 0);
    assert_eq!(egress.counters().blocked, 1);
}

#[tokio::test]
async fn there_is_an_end_to_redirects() {
    let server = Server::start(|seen| {
        let number: u32 = seen.path()[1..].parse().unwrap();
        to("302 Found", &format!("/{}", number + 1))
    })
    .await;
    let egress = local();
    assert_eq!(fault(send(&egress, get(server.url("/0"))).await), (Code::TooManyRedirects, Sent::Yes));
    assert_eq!(server.seen().len(), 21);
    let one = SendOptions { max_redirects: Some(1), ..SendOptions::default() };
    assert_eq!(
        fault(send_with(&egress, get(server.url("/0")), one).await),
        (Code::TooManyRedirects, Sent::Yes)
    );
    assert_eq!(server.seen().len(), 23);
}

#[tokio::test]
async fn redirects_are_the_answer_or_an_error_on_request() {
    let server = one_redirect("302 Found").await;
    let egress = local();
    let response = send_with(&egress, get(server.url("/")), options(Redirects::Manual)).await.unwrap();
    assert_eq!(response.status, 302);
    let error = send_with(&egress, get(server.url("/")), options(Redirects::Error)).await.unwrap_err();
    assert_eq!((error.code, error.sent), (Code::TooManyRedirects, Sent::Yes));
    let response = send_with(&egress, get(server.url("/b")), options(Redirects::Error)).await.unwrap();
    assert_eq!(response.status, 200);
}

#[tokio::test]
async fn a_redirect_that_leads_nowhere_is_the_answer() {
    for location in ["mailto:a@b", "http://[", "http://u:p@127.0.0.1/", "ftp://127.0.0.1/"] {
        let server = Server::start(move |_| to("302 Found", location)).await;
        let response = send(&local(), get(server.url("/"))).await.unwrap();
        assert_eq!(response.status, 302, "{location}");
        assert!(response.headers.iter().any(|(_, value)| value == location));
    }
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_redirect() {
    let server = one_redirect("302 Found").await;
    send(&local(), get(server.url("/"))).await.unwrap();
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn cookies_of_an_answer_go_along_with_the_redirects_where_that_is_asked_for() {
    for asked in [true, false] {
        let server = Server::start(|seen| match seen.path() {
            "/" => answer(
                "302 Found",
                "location: /b\r\nset-cookie: session=s1; HttpOnly\r\nset-cookie: x=1; Path=/other\r\n",
                "",
            ),
            _ => ok("end"),
        })
        .await;
        let options = SendOptions { cookies: asked, ..SendOptions::default() };
        let request = request("GET", server.url("/"), &[("cookie", "own=1")], None);
        send_with(&local(), request, options).await.unwrap();
        let sent: Vec<_> = server.seen()[1]
            .head
            .lines()
            .filter(|line| line.starts_with("cookie:"))
            .map(str::to_owned)
            .collect();
        let expected: &[&str] =
            if asked { &["cookie: own=1", "cookie: session=s1"] } else { &["cookie: own=1"] };
        assert_eq!(sent, expected);
    }
}
