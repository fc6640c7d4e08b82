//! The import http-request: a guest's request to the tenant's egress, with the credentials that it may use, and its answer
//! back.
//!
//! Nothing is decided here. Policy, addresses, redirects and limits are those of the capability.

use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::bindings::{HttpError, Request, Response};
use crate::capability::http_request::{self, Egress, SendOptions};
use crate::capability::vault::Credentials;

/// Sends the request, for a call that ends at `deadline`.
pub(super) async fn send(
    egress: Arc<Egress>,
    credentials: Option<Credentials>,
    request: Request,
    deadline: Instant,
) -> Result<Response, HttpError> {
    let options = options(&request.options)?;
    let request = http_request::Request {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: request.body.map(Bytes::from),
    };
    let response =
        egress.send(request, options, credentials.as_ref(), deadline.into_std()).await.map_err(refused)?;
    Ok(Response {
        status: response.status,
        headers: response.headers,
        body: response.body.into(),
        info: serde_json::to_string(&response.info).unwrap_or_default(),
    })
}

/// What a call is told from which nothing is sent.
pub(super) fn nowhere() -> HttpError {
    unsent("blocked", "requests are sent by steps: a trigger only judges the one it was given".to_owned())
}

fn options(text: &str) -> Result<SendOptions, HttpError> {
    if text.is_empty() {
        return Ok(SendOptions::default());
    }
    serde_json::from_str(text).map_err(|error| {
        unsent("invalid-request", format!("the options are not what wit/http-request.wit lists: {error}"))
    })
}

fn refused(error: http_request::HttpError) -> HttpError {
    HttpError {
        code: error.code.to_string(),
        detail: error.detail,
        retryable: error.retryable,
        sent: error.sent.to_string(),
        answer: error.answer.and_then(|answer| serde_json::to_string(&answer).ok()).unwrap_or_default(),
    }
}

fn unsent(code: &str, detail: String) -> HttpError {
    HttpError {
        code: code.to_owned(),
        detail,
        retryable: false,
        sent: "no".to_owned(),
        answer: String::new(),
    }
}
