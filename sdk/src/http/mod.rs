//! The HTTP client of a plugin: a builder over the host's one call.
//!
//! It frames nothing, follows nothing and decides nothing: the host does, under the tenant's policy.

mod error;
mod headers;
mod response;

use std::time::Duration;

use serde::Serialize;

pub use error::{BegunAnswer, HttpError};
pub use headers::HeaderMap;
pub use response::{Redirect, Response};

use crate::host::{Here, Host};
use crate::urlencoded;

/// A request as it crosses the border.
#[derive(Clone, Debug)]
pub(crate) struct RawRequest {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
    pub options: String,
}

/// An answer as it crosses the border.
#[derive(Clone, Debug)]
pub(crate) struct RawResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub info: String,
}

/// What becomes of a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Redirects {
    /// Followed, up to the host's maximum; each hop passes the policy.
    Follow,
    /// The 3xx is the answer.
    Manual,
    /// A 3xx is an error.
    Error,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirects: Option<Redirects>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_redirects: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_response_bytes: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cookies: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    basic: Option<Basic>,
}

/// Encoded by the host, which knows what a placeholder in it stands for.
#[derive(Clone, Debug, Serialize)]
struct Basic {
    username: String,
    password: String,
}

/// Makes requests; see [`Context::http`](crate::Context::http).
///
/// ```
/// use flowcell_sdk::prelude::*;
/// use flowcell_sdk::testing::{MockHost, answer, request};
///
/// fn order(ctx: &mut Context) -> Result<u64, Problem> {
///     let response = ctx.http().post("https://api.example.com/orders").json(&json!({ "sku": "A" })).send()?;
///     Ok(response.error_for_status()?.json::<u64>()?)
/// }
///
/// let host = MockHost::new().expect(
///     request("POST", "https://api.example.com/orders").with_json(json!({ "sku": "A" })),
///     answer(201).json(json!(7)),
/// );
/// assert_eq!(order(&mut host.context()).unwrap(), 7);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    pub(crate) host: &'a Here,
}

impl<'a> Client<'a> {
    /// A request with any method, upper case.
    pub fn request(self, method: impl Into<String>, url: impl Into<String>) -> Request<'a> {
        let raw = RawRequest {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: None,
            options: String::new(),
        };
        Request { host: self.host, raw, options: Options::default(), refused: None }
    }

    /// GET.
    pub fn get(self, url: impl Into<String>) -> Request<'a> {
        self.request("GET", url)
    }

    /// POST.
    pub fn post(self, url: impl Into<String>) -> Request<'a> {
        self.request("POST", url)
    }

    /// PUT.
    pub fn put(self, url: impl Into<String>) -> Request<'a> {
        self.request("PUT", url)
    }

    /// PATCH.
    pub fn patch(self, url: impl Into<String>) -> Request<'a> {
        self.request("PATCH", url)
    }

    /// DELETE.
    pub fn delete(self, url: impl Into<String>) -> Request<'a> {
        self.request("DELETE", url)
    }
}

/// A request in the making; nothing happens before [`send`](Request::send).
#[derive(Debug)]
#[must_use = "a request does nothing until `send` is called"]
pub struct Request<'a> {
    host: &'a Here,
    raw: RawRequest,
    options: Options,
    refused: Option<HttpError>,
}

impl Request<'_> {
    /// Adds a header; a name may repeat.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.raw.headers.push((name.into(), value.into()));
        self
    }

    /// Adds a query parameter to what the URL has, percent-encoded.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        urlencoded::add_to_url(&mut self.raw.url, name, value);
        self
    }

    /// `Authorization: Basic …`.
    pub fn basic(mut self, username: &str, password: &str) -> Self {
        self.options.basic = Some(Basic { username: username.to_owned(), password: password.to_owned() });
        self
    }

    /// Lets the cookies that an answer sets go along with the redirects that follow it.
    pub fn cookies(mut self) -> Self {
        self.options.cookies = true;
        self
    }

    /// Authenticates with a connection of the tenant, whose name stands in the step's input. The schema of that parameter
    /// has the format `connection`: a step may use the connections that its flow names at such places, and no others. The
    /// plugin does not see what is sent for it.
    ///
    /// ```
    /// use flowcell_sdk::prelude::*;
    ///
    /// #[derive(Deserialize, JsonSchema)]
    /// struct Input {
    ///     /// The name of a connection, which authenticates the request
    ///     #[schemars(extend("format" = "connection"))]
    ///     account: String,
    /// }
    ///
    /// fn ask(input: &Input, ctx: &Context) -> Result<u16, Problem> {
    ///     Ok(ctx.http().get("https://api.example.com/").connection(&input.account).send()?.status())
    /// }
    /// ```
    pub fn connection(mut self, name: &str) -> Self {
        self.options.connection = Some(name.to_owned());
        self
    }

    /// `Authorization: Bearer …`.
    pub fn bearer(self, token: &str) -> Self {
        let mut value = String::from("Bearer ");
        value.push_str(token);
        self.header("authorization", value)
    }

    /// The body as JSON, with its content type unless one was set.
    pub fn json(mut self, value: &(impl Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.body(body).content_type("application/json"),
            Err(error) => {
                let why = format!("the body cannot be written as JSON: {error}");
                self.refused = Some(HttpError::new("invalid-request", why));
                self
            }
        }
    }

    /// The body as a form, with its content type unless one was set.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let mut body = String::new();
        for (name, value) in fields {
            urlencoded::push_form(&mut body, name, value);
        }
        self.body(body).content_type("application/x-www-form-urlencoded")
    }

    /// The body's bytes.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.raw.body = Some(bytes.into());
        self
    }

    /// The time for the whole exchange.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout_ms = Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1));
        self
    }

    /// What becomes of a redirect; the host follows without this.
    pub fn redirects(mut self, redirects: Redirects) -> Self {
        self.options.redirects = Some(redirects);
        self
    }

    /// How many redirects are followed.
    pub fn max_redirects(mut self, maximum: u32) -> Self {
        self.options.max_redirects = Some(maximum);
        self
    }

    /// How large an answer may be, after decompression.
    pub fn max_response_bytes(mut self, maximum: u64) -> Self {
        self.options.max_response_bytes = Some(maximum);
        self
    }

    /// Sends it and reads the whole answer. An error status is an answer: see [`Response::error_for_status`].
    pub fn send(mut self) -> Result<Response, HttpError> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        self.raw.options = serde_json::to_string(&self.options).unwrap_or_default();
        self.host.send(self.raw).map(Response::new)
    }

    fn content_type(mut self, value: &str) -> Self {
        if !self.raw.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            self.raw.headers.push(("content-type".into(), value.into()));
        }
        self
    }
}
