//! Why there is no answer.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::http::HeaderMap;
use crate::problem::{Problem, kind};

/// Why there is no answer.
///
/// It becomes a [`Problem`] with `?`: kind authorization for `blocked`, authentication for `credentials`, timeout for `timeout`, validation for
/// `invalid-request`, communication for the rest, with `{code, sent, retryable}` as data, and where an answer had begun its
/// `{status, headers}`.
///
/// ```
/// use flowcell_sdk::prelude::*;
/// let problem = Problem::from(HttpError::new("blocked", "no rule allows 10.0.0.1"));
/// assert_eq!((problem.status(), problem.code().as_deref()), (403, Some("blocked")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HttpError {
    /// `timeout`, `dns`, `connect`, `tls`, `reset`, `blocked`, `too-large`, `too-many-redirects`, `invalid-request`,
    /// `rate-limited`, `quota`, `credentials`.
    pub code: String,
    /// What happened and, for `blocked`, which rule decided and which line would allow it.
    pub detail: String,
    /// Whether another try may help.
    pub retryable: bool,
    /// Whether the request left the machine: `no`, `yes` or `unknown`.
    pub sent: String,
    /// What had come of an answer that could not be had as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<BegunAnswer>,
}

/// The beginning of an answer: of one that is too large, for instance.
///
/// ```
/// use flowcell_sdk::http::{BegunAnswer, HttpError};
/// let begun = BegunAnswer { status: 200, headers: vec![("content-length".into(), "99999999".into())] };
/// let error = HttpError { answer: Some(begun), ..HttpError::new("too-large", "more than 10 MiB") };
/// assert_eq!(error.answer.unwrap().status, 200);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BegunAnswer {
    /// Its status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

impl HttpError {
    /// An error of a request that was not sent.
    pub fn new(code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { code: code.into(), detail: detail.into(), retryable: false, sent: "no".into(), answer: None }
    }

    /// Says whether the request left the machine: `no`, `yes` or `unknown`.
    #[must_use]
    pub fn sent(mut self, sent: &str) -> Self {
        sent.clone_into(&mut self.sent);
        self
    }

    /// Says that another try may help.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.retryable = true;
        self
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl std::error::Error for HttpError {}

impl From<HttpError> for Problem {
    fn from(error: HttpError) -> Self {
        let mut data = json!({ "code": error.code, "sent": error.sent, "retryable": error.retryable });
        if let Some(BegunAnswer { status, headers }) = &error.answer {
            data["status"] = json!(status);
            data["headers"] = serde_json::to_value(HeaderMap(headers.clone())).unwrap_or_default();
        }
        let problem = match error.code.as_str() {
            "blocked" => Problem::authorization(error.detail),
            "credentials" => Problem::authentication(error.detail),
            "timeout" => Problem::timeout(error.detail),
            "invalid-request" => Problem::validation(error.detail),
            "too-large" | "too-many-redirects" => {
                Problem::new(kind::COMMUNICATION, "The answer is not acceptable", 502).detail(error.detail)
            }
            _ => Problem::communication(error.detail),
        };
        problem.data(&data)
    }
}
