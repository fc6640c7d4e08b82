//! What a flow writes under `with` for `http-request`.

use std::borrow::Cow;

use flowcell_sdk::TimeSpan;
use flowcell_sdk::prelude::*;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer};
use serde_json::value::RawValue;

use crate::pages::Pages;
use crate::poll::Poll;
use crate::retry::Retry;
use crate::rows::Rows;
use crate::success::Statuses;

/// The parameters of a request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Input<'a> {
    /// Where to: http or https, at most 8 KiB. Spaces around it are trimmed.
    #[serde(borrow)]
    pub url: Cow<'a, str>,
    /// GET unless said otherwise.
    #[serde(default)]
    pub method: Method,
    /// Added to the query that the URL has, percent-encoded: a number or boolean as text, null left out, a list
    /// repeats the name.
    #[serde(default)]
    #[schemars(extend("format" = "opaque"))]
    pub query: Rows,
    /// Names and values; rows with an empty name are left out.
    #[serde(default)]
    #[schemars(extend("format" = "opaque"))]
    pub headers: Rows,
    /// `json`, `text`, `form`, `xml`, `multipart`, `binary`, or a media type such as `text/csv`.
    #[serde(default)]
    pub content_type: Option<ContentType>,
    /// An object or a list is sent as JSON, a string as it is; `form` takes a map or rows; `multipart` takes a map, or
    /// parts {name, value or base64, filename, contentType}; `binary` takes base64.
    #[serde(borrow, default)]
    #[schemars(with = "Option<Value>", extend("format" = "opaque"))]
    pub body: Option<&'a RawValue>,
    /// Credentials for `Authorization: Basic`.
    #[serde(default)]
    pub basic: Option<Basic>,
    /// The name of a connection of the tenant, which authenticates the request: its credentials go to the hosts that it
    /// is bound to, and are not seen by the flow.
    #[serde(default)]
    #[schemars(extend("format" = "connection"))]
    pub connection: Option<String>,
    /// The time for the whole exchange; PT30S unless said otherwise.
    #[serde(default)]
    pub timeout: Option<TimeSpan>,
    /// What the body of the answer becomes: by its content type unless said otherwise.
    #[serde(default)]
    pub response: As,
    /// The most bytes that the body of the answer may have, decompressed; as many as the tenant may read unless fewer.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub max_response_bytes: Option<u64>,
    /// The statuses that are a success: 200 to 299 unless said otherwise.
    #[serde(default)]
    pub success: Option<Statuses>,
    /// When a request that failed is sent again: on 408, 429, 502, 503, 504 and connection faults. Without it the usual
    /// policy holds for what repeats without harm and for what was not sent: 4 times, after 1, 2, 4 and 8 seconds, or
    /// when the other side says. POST and PATCH are repeated only with it, under an `idempotency-key`.
    #[serde(default)]
    #[schemars(extend("format" = "retry-policy"))]
    pub retry: Option<Retry>,
    /// What becomes of a redirect; followed unless said otherwise.
    #[serde(default, deserialize_with = "redirects")]
    #[schemars(with = "Option<Redirect>")]
    pub redirects: Option<Redirects>,
    /// Whether cookies that an answer sets go along with the redirects that follow it.
    #[serde(default)]
    pub cookies: bool,
    /// A list that comes in pages, of which all are asked for: the output has the items of all in `body`.
    #[serde(default)]
    pub pages: Option<Pages>,
    /// Whether an answer 202 with a `Location` is asked for there, until it is something else: `true`, or `{ interval }`. The
    /// step waits in between, as long as its `timeout`; the other side may ask for a pause by `Retry-After`.
    #[serde(default)]
    pub poll: Poll,
    /// The flow goes on after a failure, with `success: false` and an `error`.
    #[serde(default)]
    pub allow_failure: bool,
}

/// What the body of an answer becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum As {
    /// What its content type says: JSON decoded, text, or base64.
    #[default]
    Auto,
    /// JSON decoded, whatever its content type says.
    Json,
    /// Text.
    Text,
    /// Base64.
    Binary,
}

/// A user name and a password.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The user name, without a colon.
    pub username: String,
    /// The password.
    pub password: String,
}

/// The methods that can be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads; without a body.
    #[default]
    Get,
    /// Reads the headers alone.
    Head,
    /// Hands something over.
    Post,
    /// Puts something in its place.
    Put,
    /// Changes a part.
    Patch,
    /// Removes.
    Delete,
    /// Asks what may be asked.
    Options,
}

impl Method {
    /// All of them, for the language's `call: http`, which writes them in any case.
    pub const ALL: [Method; 7] =
        [Self::Get, Self::Head, Self::Post, Self::Put, Self::Patch, Self::Delete, Self::Options];

    /// As it stands in the request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

/// The SDK's word for redirects, as flows spell it.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Redirect {
    /// Up to 20 hops; each passes the policy.
    Follow,
    /// The 3xx is the answer.
    Manual,
    /// A 3xx is an error.
    Error,
}

fn redirects<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Redirects>, D::Error> {
    let read = Option::<Redirect>::deserialize(deserializer)?;
    Ok(read.map(|redirect| match redirect {
        Redirect::Follow => Redirects::Follow,
        Redirect::Manual => Redirects::Manual,
        Redirect::Error => Redirects::Error,
    }))
}

/// How a body is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// JSON.
    Json,
    /// Plain text, in UTF-8.
    Text,
    /// Names and values, as browsers send forms.
    Form,
    /// XML that the author wrote.
    Xml,
    /// Several parts, as browsers send forms with files.
    Multipart,
    /// Bytes, written in base64.
    Binary,
    /// A media type, with its parameters.
    Media(String),
}

impl ContentType {
    /// Reads one of the names, or a media type.
    pub fn read(text: &str) -> Option<Self> {
        Some(match text.trim() {
            "json" => Self::Json,
            "text" => Self::Text,
            "form" => Self::Form,
            "xml" => Self::Xml,
            "multipart" => Self::Multipart,
            "binary" => Self::Binary,
            media if is_media_type(media) => Self::Media(media.to_owned()),
            _ => return None,
        })
    }

    /// As it stands in the header.
    pub fn header(&self) -> &str {
        match self {
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
            Self::Form => "application/x-www-form-urlencoded",
            Self::Xml => "application/xml",
            // With a boundary, which the body knows.
            Self::Multipart => "multipart/form-data",
            Self::Binary => "application/octet-stream",
            Self::Media(media) => media,
        }
    }
}

impl<'de> Deserialize<'de> for ContentType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const ACCEPTED: &str = "json, text, form, xml, multipart, binary and media types such as text/csv";
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::read(&text).ok_or_else(|| {
            de::Error::custom(format!("`{}` is not accepted; accepted are {ACCEPTED}", text.trim()))
        })
    }
}

/// `type/subtype`, and whatever parameters in visible ASCII.
pub fn is_media_type(text: &str) -> bool {
    let (essence, _) = text.split_once(';').unwrap_or((text, ""));
    let is_token = |part: &str| !part.is_empty() && part.bytes().all(is_token_byte);
    let visible = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    visible && essence.trim_end().split_once('/').is_some_and(|(main, sub)| is_token(main) && is_token(sub))
}

/// The characters of header names and media types.
pub fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl JsonSchema for ContentType {
    fn schema_name() -> Cow<'static, str> {
        "ContentType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^ *((json|text|form|xml|multipart|binary)|[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+ *(;.*)?) *$",
        })
    }
}
