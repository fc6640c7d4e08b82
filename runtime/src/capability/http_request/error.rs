//! Why there is no answer, for the guest: a code, a sentence, and whether the request went out.
//!
//! Retries depend on `sent`, so it claims no more than is known: `no` where nothing can have left, `yes` where an answer
//! began, `unknown` in between.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use serde::Serialize;

use super::connect::ConnectError;
use super::policy::Denial;
use crate::problem::Sent;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// It took too long.
    Timeout,
    /// The name does not resolve.
    Dns,
    /// No connection came about.
    Connect,
    /// No trust came about.
    Tls,
    /// The connection ended before the answer did, or what came was not HTTP.
    Reset,
    /// The tenant's rules do not allow it.
    Blocked,
    /// The answer, or the request, is over a limit.
    TooLarge,
    /// More redirects than are followed.
    TooManyRedirects,
    /// There is something wrong with the request itself.
    InvalidRequest,
    /// The tenant sends more requests than it may, and this one's turn would come too late.
    RateLimited,
    /// The tenant's bytes for this minute are used up.
    Quota,
    /// What the request was to be authenticated with is not there, or not to be had.
    Credentials,
}

#[cfg(test)]
impl Code {
    const ALL: [Self; 12] = [
        Self::Timeout,
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Reset,
        Self::Blocked,
        Self::TooLarge,
        Self::TooManyRedirects,
        Self::InvalidRequest,
        Self::RateLimited,
        Self::Quota,
        Self::Credentials,
    ];
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Reset => "reset",
            Self::Blocked => "blocked",
            Self::TooLarge => "too-large",
            Self::TooManyRedirects => "too-many-redirects",
            Self::InvalidRequest => "invalid-request",
            Self::RateLimited => "rate-limited",
            Self::Quota => "quota",
            Self::Credentials => "credentials",
        })
    }
}

/// The error that a guest gets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub(crate) struct HttpError {
    pub code: Code,
    pub detail: String,
    /// Whether another try may help.
    pub retryable: bool,
    pub sent: Sent,
    /// The beginning of an answer that could not be had as a whole.
    pub answer: Option<AnswerHead>,
}

/// What had come of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct AnswerHead {
    pub status: u16,
    pub headers: Vec<(String, String)>,
}

/// What went wrong, before it is known how far the request had come.
#[derive(Debug)]
pub(super) struct Failure {
    pub code: Code,
    pub detail: String,
    pub retryable: bool,
    pub answer: Option<AnswerHead>,
}

impl Failure {
    /// A failure of a kind for which the code alone tells whether another try may help.
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        let retryable = matches!(
            code,
            Code::Timeout | Code::Dns | Code::Connect | Code::Reset | Code::RateLimited | Code::Quota
        );
        Self { code, detail: detail.into(), retryable, answer: None }
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, detail)
    }

    /// The same of an answer that had begun so.
    pub(super) fn of_answer(self, status: u16, headers: Vec<(String, String)>) -> Self {
        Self { answer: Some(AnswerHead { status, headers }), ..self }
    }

    pub(super) fn sent(self, sent: Sent) -> HttpError {
        let Self { code, detail, retryable, answer } = self;
        HttpError { code, detail, retryable, sent, answer }
    }
}

impl From<Denial> for Failure {
    fn from(denial: Denial) -> Self {
        Self::new(Code::Blocked, denial.to_string())
    }
}

impl From<&ConnectError> for Failure {
    fn from(error: &ConnectError) -> Self {
        match error {
            ConnectError::Blocked(denial) => denial.clone().into(),
            ConnectError::Dns { .. } => Self::new(Code::Dns, error.to_string()),
            ConnectError::Refused { .. } | ConnectError::Proxy { .. } => {
                Self::new(Code::Connect, error.to_string())
            }
            // A handshake that is cut short may go well the next time; a certificate does not change.
            ConnectError::Tls { cut, .. } => {
                Self { retryable: *cut, ..Self::new(Code::Tls, error.to_string()) }
            }
        }
    }
}

/// What the client's error means. `to` is the authority that was asked.
pub(super) fn of_client(error: &(dyn StdError + 'static), to: &str) -> Failure {
    if let Some(error) = find::<ConnectError>(error) {
        return error.into();
    }
    if let Some(error) = find::<rustls::Error>(error) {
        return Failure::new(Code::Tls, format!("the TLS connection with {to} failed: {error}"));
    }
    match find::<hyper::Error>(error) {
        Some(error) if error.is_parse_too_large() => {
            Failure::new(Code::TooLarge, format!("the headers of the answer from {to} are over the limit"))
        }
        Some(error) if error.is_parse() => {
            Failure::new(Code::Reset, format!("{to} did not answer in HTTP: {}", innermost(error)))
        }
        Some(error) if error.is_incomplete_message() || error.is_canceled() => {
            Failure::new(Code::Reset, format!("{to} closed the connection before it answered"))
        }
        _ => Failure::new(Code::Reset, format!("the connection with {to} broke: {}", innermost(error))),
    }
}

pub(super) fn headers_too_large(from: &str) -> Failure {
    Failure::new(Code::TooLarge, format!("the headers of the answer from {from} are over the limit"))
}

/// The first cause of that type; errors that I/O wraps are looked into.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|error| find(error)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The last cause, which is the one that says something.
fn innermost<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The interface, the SDK and the reference list what there is.
    #[test]
    fn every_code_is_in_the_documents() {
        let documents = [
            include_str!("../../../../wit/http-request.wit"),
            include_str!("../../../../sdk/src/http/error.rs"),
            include_str!("../../../../plugins/REFERENCE.md"),
        ];
        for code in Code::ALL {
            for document in documents {
                assert!(document.contains(&format!("`{code}`")), "{code}");
            }
        }
    }
}
