//! An answer as the output of a step: one shape, whatever happened.

use flowcell_sdk::http::{HeaderMap, HttpError};
use flowcell_sdk::prelude::*;
use flowcell_sdk::problem::kind;
use serde::ser::Serializer;
use serde_json::value::RawValue;

use crate::base;
use crate::body::{essence, is_json};
use crate::charset;
use crate::input::{As, Input, Method};
use crate::location::origin;
use crate::request::without_secrets;

/// The output of `http-request`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// The status; 0 where there was no answer.
    pub status: u16,
    /// By lower-case name.
    pub headers: HeaderMap,
    /// JSON decoded, text, base64 (see `encoding`), or null where it was empty.
    #[schemars(with = "Value")]
    pub body: Body,
    /// Whether the request did what was asked: a status of 200 to 299 or one that `success` lists, or a redirect with
    /// `redirects: manual`.
    pub success: bool,
    /// The URL that answered.
    pub url: String,
    /// The redirects that were followed: `{status, url}`.
    #[schemars(with = "Vec<flowcell_sdk::http::Redirect>")]
    pub redirects: Box<RawValue>,
    /// `base64` where the body is bytes, `invalid-json` where it should have been JSON and is its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<&'static str>,
    /// How many pages there were; only with `pages`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pages: Option<u32>,
    /// Whether the last page was the end of the list, and not `pages.max`; only with `pages`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// Why there is no success; only with `allowFailure`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// Why there is no success.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Failure {
    /// `http-status`, or what kept the answer away: `timeout`, `dns`, `connect`, `tls`, `reset`, `blocked`,
    /// `too-large`, `too-many-redirects`, `invalid-request`, `rate-limited`, `quota`, `credentials`.
    pub code: String,
    /// In words.
    pub detail: String,
    /// Whether the request left the host: `no`, `yes` or `unknown`.
    pub sent: String,
}

impl Failure {
    /// What the host said.
    pub fn of(error: HttpError) -> Self {
        Self { code: error.code, detail: error.detail, sent: error.sent }
    }
}

/// A body as it stands in the output.
#[derive(Debug)]
pub enum Body {
    /// There was none.
    Null,
    /// JSON, handed on as it came.
    Json(Box<RawValue>),
    /// Text, or base64.
    Text(String),
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Body::Null => serializer.serialize_none(),
            Body::Json(raw) => raw.serialize(serializer),
            Body::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl Body {
    /// Decodes the body by its content type; the second value is the output's `encoding`.
    pub fn decode(status: u16, content_type: Option<&str>, bytes: Vec<u8>) -> (Self, Option<&'static str>) {
        Self::decode_as(As::Auto, status, content_type, bytes)
    }

    /// Decodes the body as somebody wants it.
    pub fn decode_as(
        wanted: As,
        status: u16,
        content_type: Option<&str>,
        bytes: Vec<u8>,
    ) -> (Self, Option<&'static str>) {
        if bytes.is_empty() || status == 204 {
            return (Self::Null, None);
        }
        let wanted = match (wanted, content_type.map(essence)) {
            (As::Auto, Some(essence)) if is_json(&essence) => As::Json,
            (As::Auto, Some(essence)) if !is_text(&essence) => As::Binary,
            (As::Auto, _) => As::Text,
            (wanted, _) => wanted,
        };
        match wanted {
            As::Json => match flowcell_sdk::json::pass(bytes) {
                Ok(raw) => (Self::Json(raw), None),
                // It may be JSON once it is read by its charset, or behind a byte order mark.
                Err((_, bytes)) => match Self::text(bytes, content_type, Some("invalid-json")) {
                    (Self::Text(text), Some("invalid-json")) => {
                        match flowcell_sdk::json::pass(text.into_bytes()) {
                            Ok(raw) => (Self::Json(raw), None),
                            Err((_, bytes)) => (
                                Self::Text(String::from_utf8_lossy(&bytes).into_owned()),
                                Some("invalid-json"),
                            ),
                        }
                    }
                    other => other,
                },
            },
            As::Binary => (Self::Text(base::encode(&bytes)), Some("base64")),
            As::Auto | As::Text => Self::text(bytes, content_type, None),
        }
    }

    fn text(
        bytes: Vec<u8>,
        content_type: Option<&str>,
        mark: Option<&'static str>,
    ) -> (Self, Option<&'static str>) {
        match charset::decode(bytes, content_type.and_then(charset::parameter)) {
            Ok(text) => (Self::Text(text), mark),
            Err(bytes) => (Self::Text(base::encode(&bytes)), Some("base64")),
        }
    }
}

/// Text by its name: `text/*`, XML, and forms. An answer without a content type is text as well where it is UTF-8.
fn is_text(essence: &str) -> bool {
    essence.starts_with("text/")
        || essence == "application/xml"
        || essence.ends_with("+xml")
        || essence == "application/x-www-form-urlencoded"
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    url: String,
    redirects: Option<Box<RawValue>>,
}

impl Output {
    /// The origin that was asked, written as the host writes it where it answered itself.
    pub fn asked(&self, input: &Input<'_>) -> Option<String> {
        let has_answered_itself = self.redirects.get().trim() == "[]";
        origin(if has_answered_itself { &self.url } else { input.url.trim() })
    }

    /// The answer to a request.
    pub fn of(response: Response, redirects: Redirects, input: &Input<'_>) -> Self {
        let info: Option<Info> = serde_json::from_str(response.info_text()).ok();
        let (url, hops) = info.map_or_else(Default::default, |info| (info.url, info.redirects));
        let status = response.status();
        let success = match &input.success {
            Some(statuses) => statuses.has(status),
            None => {
                let asked_for = redirects == Redirects::Manual && (300..400).contains(&status);
                response.is_success() || asked_for
            }
        };
        let (headers, bytes) = response.into_parts();
        let content_type =
            headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.as_str());
        let (body, encoding) = Body::decode_as(input.response, status, content_type, bytes);
        Self {
            status,
            body,
            encoding,
            headers: HeaderMap(headers),
            success,
            url,
            redirects: hops.unwrap_or_else(no_redirects),
            pages: None,
            complete: None,
            error: None,
        }
    }

    /// No answer, or the beginning of one.
    pub fn unanswered(url: &str, error: HttpError) -> Self {
        let begun = error.answer.clone();
        Self {
            status: begun.as_ref().map_or(0, |begun| begun.status),
            headers: HeaderMap(begun.map(|begun| begun.headers).unwrap_or_default()),
            body: Body::Null,
            success: false,
            url: url.to_owned(),
            redirects: no_redirects(),
            encoding: None,
            pages: None,
            complete: None,
            error: Some(Failure::of(error)),
        }
    }

    /// The output with its `error` where there is no success.
    pub fn or_failed(mut self, method: Method, url: &str) -> Self {
        if !self.success {
            let detail = refusal(method, url, self.status);
            self.error = Some(Failure { code: "http-status".into(), detail, sent: "yes".into() });
        }
        self
    }

    /// The answer as the error of a step; it stays readable in `data`.
    pub fn into_problem(self, method: Method, url: &str) -> Problem {
        let detail = refusal(method, url, self.status);
        http_status(self.status, &self.headers, &self.body, self.encoding).detail(detail)
    }
}

/// The error of a step whose answer is not a success; the answer stays readable in `data`.
pub fn http_status(status: u16, headers: &HeaderMap, body: &Body, encoding: Option<&'static str>) -> Problem {
    #[derive(Serialize)]
    struct Data<'a> {
        code: &'static str,
        sent: &'static str,
        retryable: bool,
        status: u16,
        headers: &'a HeaderMap,
        body: &'a Body,
        #[serde(skip_serializing_if = "Option::is_none")]
        encoding: Option<&'static str>,
    }
    let retryable = matches!(status, 408 | 429 | 502 | 503 | 504);
    Problem::new(kind::COMMUNICATION, "The other side answered with an error", status).data(&Data {
        code: "http-status",
        sent: "yes",
        retryable,
        status,
        headers,
        body,
        encoding,
    })
}

/// What happened, in words.
pub fn refusal(method: Method, url: &str, status: u16) -> String {
    format!("{} {} answered with status {status}", method.as_str(), without_secrets(url.trim()))
}

fn no_redirects() -> Box<RawValue> {
    RawValue::from_string("[]".into()).unwrap_or_default()
}
