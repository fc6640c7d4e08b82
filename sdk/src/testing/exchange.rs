//! One expected request, and what the test answers it with.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::http::{HttpError, RawRequest, RawResponse};

/// A request as a plugin sent it.
#[derive(Clone, Debug, PartialEq)]
pub struct SentRequest {
    /// The method.
    pub method: String,
    /// The URL with its query.
    pub url: String,
    /// Names and values in order.
    pub headers: Vec<(String, String)>,
    /// The body, where one was sent.
    pub body: Option<Vec<u8>>,
    /// The options, such as `timeoutMs`.
    pub options: Value,
}

impl SentRequest {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text; empty where there is none.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.body.as_deref().unwrap_or_default()).into_owned()
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(self.body.as_deref().unwrap_or_default()).unwrap_or_default()
    }
}

impl From<RawRequest> for SentRequest {
    fn from(raw: RawRequest) -> Self {
        let options: Value = serde_json::from_str(&raw.options).unwrap_or_default();
        let mut raw = raw;
        // As the host does it.
        if let Some(basic) = options.get("basic") {
            let text = |key: &str| basic[key].as_str().unwrap_or_default();
            let encoded = STANDARD.encode(format!("{}:{}", text("username"), text("password")));
            raw.headers.push(("authorization".into(), format!("Basic {encoded}")));
        }
        Self { method: raw.method, url: raw.url, headers: raw.headers, body: raw.body, options }
    }
}

/// A request that a test expects; see [`request`].
#[derive(Clone, Debug)]
pub struct ExpectedRequest {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    json: Option<Value>,
}

/// Expects a request with this method and URL; what else it has is compared only where the test says so.
pub fn request(method: &str, url: &str) -> ExpectedRequest {
    ExpectedRequest { method: method.into(), url: url.into(), headers: Vec::new(), body: None, json: None }
}

impl ExpectedRequest {
    /// It has this header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Its body is exactly this.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Its body is JSON equal to this.
    #[must_use]
    pub fn with_json(mut self, body: Value) -> Self {
        self.json = Some(body);
        self
    }

    pub(super) fn compare(&self, sent: &SentRequest) {
        assert_eq!((sent.method.as_str(), sent.url.as_str()), (self.method.as_str(), self.url.as_str()));
        for (name, value) in &self.headers {
            assert_eq!(sent.header(name), Some(value.as_str()), "header `{name}` of {self}");
        }
        if let Some(body) = &self.body {
            assert_eq!(sent.text(), String::from_utf8_lossy(body), "body of {self}");
        }
        if let Some(json) = &self.json {
            assert_eq!(&sent.json(), json, "body of {self}");
        }
    }
}

impl fmt::Display for ExpectedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

/// What the host tells about an exchange.
pub(super) fn info(url: &str, redirects: &[(u16, &str)]) -> String {
    let hops: Vec<Value> =
        redirects.iter().map(|(status, url)| json!({ "status": status, "url": url })).collect();
    json!({ "url": url, "redirects": hops, "timing": { "totalMs": 1 } }).to_string()
}

/// What a test answers a request with; see [`answer`]. An [`HttpError`] is one as well.
#[derive(Clone, Debug)]
pub struct Answer(pub(super) Result<RawResponse, HttpError>);

/// Answers with this status and an empty body.
pub fn answer(status: u16) -> Answer {
    Answer(Ok(RawResponse { status, headers: Vec::new(), body: Vec::new(), info: String::new() }))
}

impl Answer {
    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Ok(response) = &mut self.0 {
            response.headers.push((name.to_ascii_lowercase(), value.into()));
        }
        self
    }

    /// The body's bytes.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        if let Ok(response) = &mut self.0 {
            response.body = body.into();
        }
        self
    }

    /// The body as JSON, with its content type.
    #[must_use]
    pub fn json(self, body: Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// The URL that answered, and the redirects that led there: statuses and URLs.
    #[must_use]
    pub fn redirected_to(mut self, url: &str, redirects: &[(u16, &str)]) -> Self {
        if let Ok(response) = &mut self.0 {
            response.info = info(url, redirects);
        }
        self
    }
}

impl From<HttpError> for Answer {
    fn from(error: HttpError) -> Self {
        Self(Err(error))
    }
}
