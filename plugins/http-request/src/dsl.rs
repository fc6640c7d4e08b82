//! `http`: what the language's `call: http` writes under `with`.

use std::borrow::Cow;
use std::fmt;

use flowcell_plugin_http::answer::{Body, http_status, refusal};
use flowcell_plugin_http::input::{Basic, Method};
use flowcell_plugin_http::request::{self, header};
use flowcell_plugin_http::rows::Rows;
use flowcell_plugin_http::{base, body};
use flowcell_sdk::http::HeaderMap;
use flowcell_sdk::prelude::*;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The parameters of `call: http`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Input<'a> {
    /// The method, in any case.
    #[serde(borrow)]
    method: Cow<'a, str>,
    /// The URL, or `{uri, authentication}`.
    #[serde(deserialize_with = "endpoint")]
    #[schemars(with = "WrittenEndpoint")]
    endpoint: Endpoint,
    /// Names and values.
    #[serde(default)]
    #[schemars(extend("format" = "opaque"))]
    headers: Rows,
    /// Added to the query that the URL has.
    #[serde(default)]
    #[schemars(extend("format" = "opaque"))]
    query: Rows,
    /// An object or a list is sent as JSON, a string as it is.
    #[serde(borrow, default)]
    #[schemars(with = "Option<Value>", extend("format" = "opaque"))]
    body: Option<&'a RawValue>,
    /// What the output is: the body decoded, its bytes as base64, or the whole answer.
    #[serde(default)]
    output: Form,
    /// Whether redirects are followed; otherwise a 3xx is an error.
    #[serde(default)]
    redirect: bool,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Form {
    #[default]
    Content,
    Raw,
    Response,
}

/// A URL, or an object: what the language allows for `endpoint`.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the schema of what is read; reading makes an `Endpoint` of either form")]
enum WrittenEndpoint {
    Url(String),
    Object(Endpoint),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Endpoint {
    uri: String,
    #[serde(default)]
    authentication: Option<Authentication>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Authentication {
    Basic(Basic),
    Bearer(Bearer),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Bearer {
    token: String,
}

/// Reads either form of an endpoint.
fn endpoint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Endpoint, D::Error> {
    struct Read;
    impl<'de> Visitor<'de> for Read {
        type Value = Endpoint;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a URL, or { uri, authentication }")
        }
        fn visit_str<E>(self, url: &str) -> Result<Endpoint, E> {
            Ok(Endpoint { uri: url.to_owned(), authentication: None })
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Endpoint, A::Error> {
            Endpoint::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_any(Read)
}

/// The output, in one of three forms.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Output {
    /// The body decoded: JSON, text or base64.
    Content(#[schemars(with = "Value")] Body),
    /// The body's bytes as base64.
    Raw(String),
    /// The whole answer.
    #[serde(rename_all = "camelCase")]
    Response {
        request: Request,
        status_code: u16,
        headers: HeaderMap,
        #[schemars(with = "Value")]
        content: Body,
    },
}

/// What was sent.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Request {
    method: &'static str,
    uri: String,
    headers: HeaderMap,
}

/// The language's HTTP call.
///
/// Sends one request; the output is the answer's content, its bytes, or the whole answer, as `output` says.
#[flowcell_sdk::action(
    wants(http = "the hosts that the flow names: sends the flow's requests"),
    example = r#"{"method": "get", "endpoint": "https://petstore.example.com/pets/7"}"#
)]
pub fn http(input: Input<'_>, ctx: &mut Context) -> Result<Output, Problem> {
    let method = method(&input.method)?;
    let Endpoint { uri, authentication } = &input.endpoint;
    let url = request::url(uri, &input.query.0)?;
    let mut headers = request::headers(&input.headers.0)?;
    let body = match input.body {
        Some(value) => Some(body::encode(value, None, header(&headers, "content-type"))?),
        None => None,
    };
    if let (Some(body), None) = (&body, header(&headers, "content-type")) {
        headers.push(("content-type".into(), body.content_type.clone().into_owned()));
    }
    request::identify(&mut headers, method, ctx);
    let redirects = if input.redirect { Redirects::Follow } else { Redirects::Manual };
    let mut request = ctx.http().request(method.as_str(), url).redirects(redirects);
    for (name, value) in &headers {
        request = request.header(name, value);
    }
    request = match authentication {
        Some(Authentication::Basic(basic)) => request.basic(&basic.username, &basic.password),
        Some(Authentication::Bearer(bearer)) => request.bearer(&bearer.token),
        None => request,
    };
    if let Some(body) = body {
        request = request.body(body.bytes);
    }
    let shown = request::without_secrets(uri.trim());
    let sent = Request { method: method.as_str(), uri: shown, headers: HeaderMap(headers) };
    output(request.send()?, &input, method, sent)
}

fn output(response: Response, input: &Input<'_>, method: Method, sent: Request) -> Result<Output, Problem> {
    let status = response.status();
    let accepted = response.is_success() || input.redirect && (300..400).contains(&status);
    let (headers, bytes) = response.into_parts();
    if accepted && matches!(input.output, Form::Raw) {
        return Ok(Output::Raw(base::encode(&bytes)));
    }
    let (content, encoding) = Body::decode(status, header(&headers, "content-type"), bytes);
    let headers = HeaderMap(headers);
    if !accepted {
        let detail = refusal(method, &sent.uri, status);
        return Err(http_status(status, &headers, &content, encoding).detail(detail));
    }
    match input.output {
        Form::Response => Ok(Output::Response { request: sent, status_code: status, headers, content }),
        _ => Ok(Output::Content(content)),
    }
}

fn method(written: &str) -> Result<Method, Problem> {
    let found = Method::ALL.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(written.trim()));
    found.ok_or_else(|| {
        let known = Method::ALL.map(Method::as_str).join(", ");
        Problem::validation(format!(
            "`method`: `{written}` is not a method that can be sent; known are {known}"
        ))
    })
}
