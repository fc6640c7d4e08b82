//! An answer, whatever its status.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::RawResponse;
use crate::problem::{Problem, kind};

/// One redirect that was followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Redirect {
    /// The status that redirected.
    pub status: u16,
    /// Where it led to.
    pub url: String,
}

#[derive(Default, Deserialize)]
struct Info {
    #[serde(default)]
    url: String,
    #[serde(default)]
    redirects: Vec<Redirect>,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Response {
    raw: RawResponse,
}

impl Response {
    pub(crate) fn new(raw: RawResponse) -> Self {
        Self { raw }
    }

    /// The status of the last hop.
    pub fn status(&self) -> u16 {
        self.raw.status
    }

    /// Whether the status is 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.raw.status)
    }

    /// The first header of this name; names are lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.raw.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// All headers in the order received, names in lower case.
    pub fn headers(&self) -> &[(String, String)] {
        &self.raw.headers
    }

    /// The body, decompressed.
    pub fn body(&self) -> &[u8] {
        &self.raw.body
    }

    /// Headers and body as values of their own.
    pub fn into_parts(self) -> (Vec<(String, String)>, Vec<u8>) {
        (self.raw.headers, self.raw.body)
    }

    /// The body as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.raw.body).into_owned()
    }

    /// The body read as JSON.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Problem> {
        serde_json::from_slice(&self.raw.body).map_err(|error| {
            Problem::new(kind::COMMUNICATION, "The answer is not what was expected", 502)
                .detail(format!("the answer (status {}) is not the expected JSON: {error}", self.raw.status))
                .data(&json!({ "code": "unexpected-answer", "sent": "yes", "status": self.raw.status }))
        })
    }

    /// The URL that answered, after redirects.
    pub fn url(&self) -> String {
        self.info().url
    }

    /// The redirects that were followed.
    pub fn redirects(&self) -> Vec<Redirect> {
        self.info().redirects
    }

    /// What the host tells about the exchange, JSON text: `url`, `redirects`, `timing`.
    pub fn info_text(&self) -> &str {
        &self.raw.info
    }

    /// The answer where its status is 200 to 299; otherwise a problem with that status.
    pub fn error_for_status(self) -> Result<Self, Problem> {
        if self.is_success() {
            return Ok(self);
        }
        let status = self.raw.status;
        Err(Problem::new(kind::COMMUNICATION, "The other side answered with an error", status)
            .detail(format!("the answer has status {status}"))
            .data(&json!({ "code": "http-status", "sent": "yes", "status": status, "body": self.text() })))
    }

    fn info(&self) -> Info {
        serde_json::from_str(&self.raw.info).unwrap_or_default()
    }
}
