//! One request from its headers to its answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response};

use super::body::Payload;
use super::metrics::Kind;
use super::response::{self, Body, HandlerResult};
use super::router::{self, Destination};
use super::{State, api, callback, webhook};

/// Answers; never fails.
///
/// A panic is an answer like any other error. A request of the API is a task of its own: what it began is finished although
/// its caller hangs up. A hook sees to that itself, and is not handed to another thread.
pub(super) async fn answer(
    state: Arc<State>,
    remote: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let began = Instant::now();
    let kind = Kind::of(request.uri().path());
    let work = carry_out(state.clone(), remote, request);
    let response = if matches!(kind, Kind::Hook) {
        let done = AssertUnwindSafe(work).catch_unwind().await;
        done.unwrap_or_else(|_| response::problem(response::internal(&"a panic in the path of a hook")))
    } else {
        tokio::spawn(work).await.unwrap_or_else(|panic| response::problem(response::internal(&panic)))
    };
    state.metrics.answered(kind, response.status(), began.elapsed());
    Ok(response)
}

async fn carry_out(state: Arc<State>, remote: SocketAddr, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let mut payload = Payload::new(body);
    let response = dispatch(&state, remote, &head, &mut payload).await.unwrap_or_else(response::problem);
    payload.discard();
    if head.method == Method::HEAD { response::without_body(response) } else { response }
}

async fn dispatch(
    state: &Arc<State>,
    remote: SocketAddr,
    head: &Parts,
    payload: &mut Payload<Incoming>,
) -> HandlerResult {
    match router::find(head.method.as_str(), head.uri.path()) {
        Destination::Hook { first, below } => {
            webhook::receive(state, remote, head, payload, first, below).await
        }
        Destination::Callback { token } => callback::receive(state, remote, head, payload, token).await,
        Destination::Api(route, places) => api::answer(state, remote, head, payload, route, places).await,
        Destination::OtherMethod(allow) if head.method == Method::OPTIONS => Ok(response::options(&allow)),
        Destination::OtherMethod(allow) => Ok(response::not_allowed(&allow)),
        Destination::Nothing => Err(response::not_found()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::site;

    #[tokio::test]
    async fn unknown_route_token_path_and_callback_answer_the_same_bytes() {
        let site = site();
        let mut answers = vec![];
        for request in
            ["GET /nothing", "POST /hooks/AAAA", "POST /hooks/default/orders", "POST /callbacks/AAAA"]
        {
            answers
                .push(site.raw(&format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await);
        }
        let without_date = |text: &str| {
            text.lines().filter(|line| !line.starts_with("date:")).collect::<Vec<_>>().join("\n")
        };
        assert!(answers[0].starts_with("HTTP/1.1 404 "), "{}", answers[0]);
        for other in &answers {
            assert_eq!(without_date(other), without_date(&answers[0]));
        }
    }

    #[tokio::test]
    async fn a_callback_address_that_is_opened_says_what_it_is_and_takes_no_get() {
        let site = site();
        let answer = site.raw("GET /callbacks/AAAA HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: POST"), "{answer}");
        assert!(answer.contains("waiting step"), "{answer}");
    }

    #[tokio::test]
    async fn head_and_options_are_answered() {
        let site = site();
        let head = site.raw("HEAD /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-length: 18"), "{head}");
        assert!(head.ends_with("\r\n\r\n"), "{head}");
        let options = site.raw("OPTIONS /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(options.starts_with("HTTP/1.1 204 ") && options.contains("allow: GET, HEAD, OPTIONS"));
    }

    #[tokio::test]
    async fn the_sender_of_a_body_over_the_limit_sees_413() {
        let site = site();
        let length = 8 * 1024 * 1024;
        let head = format!(
            "PUT /api/v1/flows/a/b HTTP/1.1\r\nhost: x\r\nauthorization: Bearer operator\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        let answer = site.raw(&(head + &"x".repeat(length))).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
}
