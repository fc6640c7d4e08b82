//! The request that an input describes: checked, then sent.
//!
//! What is refused here is the flow's mistake, and fails the step whatever `allowFailure` says.

use flowcell_sdk::http::HttpError;
use flowcell_sdk::prelude::*;
use flowcell_sdk::urlencoded;

use crate::body;
use crate::input::{ContentType, Input, Method, is_token_byte};
use crate::rules;

const MAX_URL_BYTES: usize = 8 * 1024;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Checks the input, sends the request, and gives the answer or the reason why there is none.
pub fn send(
    input: &Input<'_>,
    redirects: Redirects,
    ctx: &Context,
) -> Result<Result<Response, HttpError>, Problem> {
    let timeout = timeout(input.timeout)?;
    let url = url(&input.url, &input.query.0)?;
    let mut headers = headers(&input.headers.0)?;
    if let (Some(said), Some(header)) = (&input.content_type, header(&headers, "content-type")) {
        rules::content_type(said, header)?;
    }
    let body = match input.body {
        Some(body) => {
            Some(body::encode(body, input.content_type.as_ref(), header(&headers, "content-type"))?)
        }
        None if input.content_type == Some(ContentType::Multipart) => {
            return Err(Problem::validation("`contentType: multipart` needs a `body`: the parts"));
        }
        None => None,
    };
    let content_type = match (&body, &input.content_type) {
        (Some(body), _) => Some(body.content_type.as_ref()),
        (None, said) => said.as_ref().map(ContentType::header),
    };
    if let (Some(content_type), None) = (content_type, header(&headers, "content-type")) {
        headers.push(("content-type".into(), content_type.to_owned()));
    }
    identify(&mut headers, input.method, ctx);
    let mut request = ctx.http().request(input.method.as_str(), url).timeout(timeout).redirects(redirects);
    if let Some(most) = input.max_response_bytes {
        request = request.max_response_bytes(most);
    }
    if input.cookies {
        request = request.cookies();
    }
    if let Some(connection) = &input.connection {
        request = request.connection(connection);
    }
    if let Some(basic) = &input.basic {
        check_basic(&basic.username, &headers)?;
        request = request.basic(&basic.username, &basic.password);
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    if let Some(body) = body {
        request = request.body(body.bytes);
    }
    Ok(request.send())
}

/// Adds the step's idempotency key to what a repeat may harm, unless the author has set one.
pub fn identify(headers: &mut Vec<(String, String)>, method: Method, ctx: &Context) {
    if matches!(method, Method::Post | Method::Patch) && header(headers, "idempotency-key").is_none() {
        headers.push(("idempotency-key".into(), ctx.idempotency_key()));
    }
}

/// The URL with the parameters added.
pub fn url(written: &str, query: &[(String, String)]) -> Result<String, Problem> {
    let mut url = written.trim().to_owned();
    check_url(&url)?;
    for (name, value) in query.iter().filter(|(name, _)| !name.is_empty()) {
        urlencoded::add_to_url(&mut url, name, value);
    }
    check_url(&url)?;
    Ok(url)
}

fn check_url(url: &str) -> Result<(), Problem> {
    rules::scheme(url)?;
    if url.len() > MAX_URL_BYTES {
        let why = format!("`url` has {} bytes with its query; at most {MAX_URL_BYTES} are sent", url.len());
        return Err(Problem::validation(why));
    }
    match url.chars().any(char::is_control) {
        true => Err(Problem::validation("`url` holds a line break or another control character")),
        false => Ok(()),
    }
}

/// The headers without rows that have no name, names in lower case.
pub fn headers(rows: &[(String, String)]) -> Result<Vec<(String, String)>, Problem> {
    let mut headers = Vec::with_capacity(rows.len() + 3);
    for (name, value) in rows.iter().filter(|(name, _)| !name.trim().is_empty()) {
        let name = name.to_ascii_lowercase();
        if !name.bytes().all(is_token_byte) {
            let why = format!(
                "`headers`: {name:?} is no name of a header: it holds a space or an illegal character"
            );
            return Err(Problem::validation(why));
        }
        rules::framing(&name)?;
        if value.chars().any(|c| c.is_control() && c != '\t') {
            let why =
                format!("`headers`: the value of `{name}` holds a line break or another control character");
            return Err(Problem::validation(why));
        }
        headers.push((name, value.clone()));
    }
    Ok(headers)
}

/// The first header of a name.
pub fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

fn check_basic(username: &str, headers: &[(String, String)]) -> Result<(), Problem> {
    if username.contains(':') {
        return Err(Problem::validation(
            "`basic.username` holds a colon, which Basic authentication cannot carry",
        ));
    }
    // What a connection writes, the host knows.
    Ok(rules::authorization(true, headers.iter().map(|(name, _)| name.as_str()))?)
}

fn timeout(said: Option<TimeSpan>) -> Result<Duration, Problem> {
    let Some(timeout) = said else { return Ok(DEFAULT_TIMEOUT) };
    rules::timeout(timeout, "PT10S")?;
    Ok(timeout.as_duration())
}

/// A URL as it may be shown in an error: without user, password and query.
pub fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (authority, path) =
        rest.split_once('/').map_or((rest, None), |(authority, path)| (authority, Some(path)));
    let host = authority.rsplit('@').next().unwrap_or_default();
    match path {
        Some(path) => [scheme, "://", host, "/", path].concat(),
        None => [scheme, "://", host].concat(),
    }
}
