//! Answers. [`problem`] is the one place where an error becomes one.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Body as _;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::api::EventStream;
use crate::json::ReadError;
use crate::{Answer, Problem, RunId};

/// The body of an answer: bytes, or events as they happen.
pub(super) type Body = Either<Full<Bytes>, EventStream>;
/// What a handler returns: an answer, or the error that becomes one.
pub(super) type HandlerResult = Result<Response<Body>, Problem>;

/// The type of problems whose status says it all (RFC 9457, 4.2.1).
const BLANK: &str = "about:blank";

/// An answer with bytes.
pub(super) fn bytes(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(body.into())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An answer of the API. It is of this moment and for this caller: nothing on the way may keep it.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> HandlerResult {
    let text = serde_json::to_vec(value).map_err(|error| internal(&error))?;
    let mut response = bytes(status, "application/json", text);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A list of the API.
pub(super) fn list<T: Serialize>(items: &[T], cursor: Option<&str>) -> HandlerResult {
    json(StatusCode::OK, &json!({ "items": items, "cursor": cursor }))
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = status;
    response
}

/// The same answer as `HEAD` gives it: the length of the body, not the body.
pub(super) fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        head.headers.insert(header::CONTENT_LENGTH, length.into());
    }
    Response::from_parts(head, Either::Left(Full::default()))
}

/// The answer of a hook. It was checked before, so a status or header that HTTP does not have is an error of the host.
pub(super) fn answer(answer: Answer) -> HandlerResult {
    let status = StatusCode::from_u16(answer.status).map_err(|error| internal(&error))?;
    let mut response = empty(status);
    for (name, value) in &answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| internal(&error))?;
        if is_framing(&name) {
            continue;
        }
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|error| internal(&error))?;
        response.headers_mut().append(name, value);
    }
    *response.body_mut() = Either::Left(Full::new(answer.body));
    Ok(response)
}

/// Headers that say where a message ends: the server writes them itself.
fn is_framing(name: &HeaderName) -> bool {
    [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::UPGRADE, header::TRAILER]
        .contains(name)
}

/// The method is not one of this address.
pub(super) fn not_allowed(allow: &str) -> Response<Body> {
    let wrong = Problem::new(BLANK, "Method Not Allowed", 405).detail(format!("this address takes {allow}"));
    with_allow(problem(wrong), allow)
}

/// What `OPTIONS` says of an address.
pub(super) fn options(allow: &str) -> Response<Body> {
    with_allow(empty(StatusCode::NO_CONTENT), allow)
}

pub(super) fn with_allow(mut response: Response<Body>, allow: &str) -> Response<Body> {
    let allow = HeaderValue::from_str(allow).expect("a list of method names is a legal header");
    response.headers_mut().insert(header::ALLOW, allow);
    response
}

/// An error as an answer, `application/problem+json`. Status 500 is an error of the host: its text goes to the log under
/// an id, and only the id goes out.
pub(super) fn problem(problem: Problem) -> Response<Body> {
    let problem = if problem.status == 500 { concealed(&problem) } else { problem };
    let status = StatusCode::from_u16(problem.status)
        .ok()
        .filter(|status| status.is_client_error() || status.is_server_error())
        .unwrap_or(StatusCode::BAD_GATEWAY);
    let text = serde_json::to_vec(&problem).expect("a problem is strings, numbers and JSON");
    let mut response = bytes(status, "application/problem+json", text);
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"flowcell\""));
    }
    if let Some(ms) = problem.retry_after_ms {
        headers.insert(header::RETRY_AFTER, ms.div_ceil(1000).max(1).into());
    }
    response
}

fn concealed(problem: &Problem) -> Problem {
    if let Some(Value::String(_)) = problem.data.as_ref().and_then(|data| data.get("id")) {
        // Made by `internal`, which has logged it.
        return problem.clone();
    }
    let data = problem.data.as_ref().map(ToString::to_string).unwrap_or_default();
    internal(&format!("{problem} {data}"))
}

/// An error of the host. Its text goes to the log.
pub(super) fn internal(error: &dyn std::fmt::Display) -> Problem {
    let id = RunId::mint().to_string();
    tracing::error!(%id, %error, "a request failed inside the host");
    Problem::new(BLANK, "Internal Server Error", 500)
        .detail(format!("the host could not do this; its log says why under the id {id}"))
        .data(json!({ "id": id }))
}

/// The one answer for an address that does not exist, whatever the reason: nothing of the request is in it.
pub(super) fn not_found() -> Problem {
    Problem::new(BLANK, "Not Found", 404)
}

/// Something of the API that does not exist, for a caller who may know.
pub(super) fn no_such(what: impl Into<String>) -> Problem {
    not_found().detail(format!("there is no {}", what.into()))
}

/// The request is wrong.
pub(super) fn bad_request(detail: impl Into<String>) -> Problem {
    Problem::new(BLANK, "Bad Request", 400).detail(detail)
}

/// The body is no JSON, or more of it than is read.
pub(super) fn not_json(error: &ReadError) -> Problem {
    match error {
        ReadError::TooHeavy(_) => {
            Problem::new(BLANK, "Content Too Large", 413).detail(format!("the body as JSON: {error}"))
        }
        ReadError::Syntax(_) => bad_request(format!("the body is not JSON: {error}")),
    }
}

/// The caller may not do this.
pub(super) fn forbidden(detail: impl Into<String>) -> Problem {
    Problem::new(BLANK, "Forbidden", 403).detail(detail)
}

/// The caller did not say who it is.
pub(super) fn unauthorized(detail: impl Into<String>) -> Problem {
    Problem::new(BLANK, "Unauthorized", 401).detail(detail)
}

pub(super) fn too_large(limit: u64) -> Problem {
    Problem::new(BLANK, "Content Too Large", 413).detail(format!("the body may have at most {limit} bytes"))
}

pub(super) fn too_slow(within: Duration) -> Problem {
    Problem::new(BLANK, "Request Timeout", 408)
        .detail(format!("the body did not arrive within {} s", within.as_secs()))
}

pub(super) fn unavailable(detail: impl Into<String>) -> Problem {
    Problem::new(BLANK, "Service Unavailable", 503).detail(detail)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn text(response: Response<Body>) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn an_internal_error_shows_an_id_and_nothing_else() {
        let secret = Problem::new("x", "y", 500).detail("/var/lib/flowcell/journal.db: I/O error");
        let response = problem(secret);
        assert_eq!(response.status(), 500);
        let text = text(response).await;
        assert!(!text.contains("journal.db") && text.contains("its log says why under the id"), "{text}");
    }

    #[tokio::test]
    async fn a_problem_keeps_its_status_and_its_wish_to_be_asked_again() {
        let mut busy = Problem::new("about:blank", "Too Many Requests", 429);
        busy.retry_after_ms = Some(1500);
        let response = problem(busy);
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }

    #[test]
    fn a_flow_cannot_set_the_framing_of_its_answer() {
        let headers = vec![("content-length".into(), "1".into()), ("x-a".into(), "b".into())];
        let response = answer(Answer { status: 201, headers, body: "hello".into() }).unwrap();
        assert_eq!(response.headers().len(), 1);
        assert_eq!(response.headers()["x-a"], "b");
    }

    #[tokio::test]
    async fn head_tells_the_length_and_leaves_the_body_out() {
        let response = without_body(bytes(StatusCode::OK, "text/plain", "hello"));
        assert_eq!(response.headers()["content-length"], "5");
        assert_eq!(text(response).await, "");
    }
}
