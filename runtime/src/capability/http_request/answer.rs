//! From the head of the last hop's answer to the whole of it, within the limits.

use std::time::{Instant, SystemTime};

use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, DATE, HeaderValue, RETRY_AFTER};

use super::account::Account;
use super::body::{BodyError, CountedBody};
use super::decode;
use super::error::{self, Code, Failure};
use super::headers;
use super::message::{Hop, Info, Response, Timing};
use super::target::Target;
use crate::config::{Limits, show_size};

/// Counts an answer's headers. The connection has a limit of its own, but that is a buffer's, and comes into force only
/// when the buffer is full.
pub(super) fn check_head(
    answer: &hyper::Response<Incoming>,
    from: &Target,
    limits: &Limits,
    account: &Account,
) -> Result<(), Failure> {
    let size = headers::size(answer.headers());
    if size > limits.header_bytes {
        return Err(error::headers_too_large(from.authority()));
    }
    match account.received(size as u64) {
        true => Ok(()),
        false => Err(account.used_up()),
    }
}

/// Reads the rest of the answer.
pub(super) async fn read(
    answer: hyper::Response<Incoming>,
    limit: u64,
    limits: &Limits,
    account: &Account,
    (target, redirects, begun): (Target, Vec<Hop>, Instant),
) -> Result<Response, Failure> {
    let (mut parts, body) = answer.into_parts();
    let encodings = match parts.headers.contains_key(CONTENT_ENCODING) {
        true => decode::encodings(&parts.headers).unwrap_or_default(),
        false => Vec::new(),
    };
    let mut body = CountedBody::new(body, limit, account);
    let read = if encodings.is_empty() {
        body.read().await
    } else if encodings.len() > limits.encodings {
        Err(BodyError::Garbled(format!("it is compressed {} times over", encodings.len())))
    } else {
        decode::read(&mut body, &encodings, limit).await
    };
    let body = read.map_err(|error| {
        let failure = match error {
            BodyError::Quota => account.used_up(),
            error => failure(&error, limit, target.authority()),
        };
        failure.of_answer(parts.status.as_u16(), headers::read(&parts.headers))
    })?;
    // What they say of the compressed body would be wrong of this one. An empty one (HEAD) keeps what it is told.
    if !encodings.is_empty() && !body.is_empty() {
        parts.headers.remove(CONTENT_ENCODING);
        parts.headers.remove(CONTENT_LENGTH);
    }
    // The recipient of an answer without a date adds one (RFC 9110, section 6.6.1); a `retry-after` may count from it.
    if parts.headers.contains_key(RETRY_AFTER) && !parts.headers.contains_key(DATE) {
        #[expect(
            clippy::disallowed_methods,
            reason = "the date of an answer from the world is the machine's"
        )]
        let now = httpdate::fmt_http_date(SystemTime::now());
        parts.headers.insert(DATE, HeaderValue::try_from(now).expect("a date is a legal header"));
    }
    Ok(Response {
        status: parts.status.as_u16(),
        headers: headers::read(&parts.headers),
        body,
        info: Info {
            url: target.into_string(),
            redirects,
            timing: Timing { total_ms: begun.elapsed().as_millis() as u64 },
        },
    })
}

fn failure(error: &BodyError, limit: u64, from: &str) -> Failure {
    match error {
        BodyError::TooLarge => Failure::new(
            Code::TooLarge,
            format!(
                "the body of the answer from {from} is over {} (the option maxResponseBytes or the tenant's quota `body`)",
                show_size(limit)
            ),
        ),
        BodyError::Cut(_) => {
            Failure::new(Code::Reset, format!("{from} closed the connection amid the body of its answer"))
        }
        // The same bytes would come again.
        _ => Failure { retryable: false, ..Failure::new(Code::Reset, format!("{from}: {error}")) },
    }
}
