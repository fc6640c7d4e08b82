//! Pages of other origins that may call a webhook, as browsers ask it (CORS, Fetch standard).

use flowcell_plugin_http::input::is_token_byte;
use flowcell_sdk::prelude::*;

/// How long a browser may remember what it was told.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Whose pages may call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Cors {
    /// Origins such as `https://shop.example.com`, or `*` for all.
    origins: Vec<String>,
    /// The headers that a page may send beside the few that it always may; `content-type` and `authorization` unless said
    /// otherwise.
    #[serde(default)]
    headers: Option<Vec<String>>,
    /// How long a browser may remember it: PT10M unless said otherwise.
    #[serde(default)]
    max_age: Option<TimeSpan>,
}

impl Cors {
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if self.origins.is_empty() {
            return Err("`cors.origins` is empty: list an origin, such as https://shop.example.com, or leave `cors` out".into());
        }
        let mut headers = self.headers.iter().flatten();
        if let Some(name) = headers.find(|name| name.is_empty() || !name.bytes().all(is_token_byte)) {
            return Err(format!("`cors.headers`: {name:?} is no name of a header"));
        }
        match self.origins.iter().find(|origin| !is_origin(origin)) {
            Some(origin) => Err(format!(
                "`cors.origins`: `{origin}` is no origin: write scheme, host and port alone, such as https://shop.example.com, or `*`"
            )),
            None => Ok(()),
        }
    }

    /// The headers by which a browser lets a page of the caller's origin read the answer.
    pub fn headers(&self, request: &Inbound) -> Vec<(&'static str, String)> {
        if self.origins.iter().any(|listed| listed == "*") {
            return vec![("access-control-allow-origin", "*".to_owned())];
        }
        // Said to everybody: what is kept of an answer to one origin is not for another.
        let mut headers = vec![("vary", "origin".to_owned())];
        let listed = |origin: &&str| self.origins.iter().any(|listed| listed.eq_ignore_ascii_case(origin));
        if let Some(origin) = request.header("origin").filter(listed) {
            headers.push(("access-control-allow-origin", origin.to_owned()));
        }
        headers
    }

    /// The answer to a browser that asks before it sends.
    pub fn preflight(&self, request: &Inbound, methods: &[String]) -> Verdict {
        let mut headers = vec![("allow", methods.join(", "))];
        let allowed = self.headers(request);
        let is_allowed = allowed.iter().any(|(name, _)| *name == "access-control-allow-origin");
        headers.extend(allowed);
        if is_allowed {
            headers.push(("access-control-allow-methods", methods.join(", ")));
            let usual = || vec!["content-type".to_owned(), "authorization".to_owned()];
            headers.push((
                "access-control-allow-headers",
                self.headers.clone().unwrap_or_else(usual).join(", "),
            ));
            let age = self.max_age.map_or(MAX_AGE, TimeSpan::as_duration).as_secs();
            headers.push(("access-control-max-age", age.to_string()));
        }
        Verdict::answer(204, headers, Value::Null)
    }
}

fn is_origin(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    ["http", "https"].contains(&scheme)
        && !authority.is_empty()
        && authority.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@\\".contains(&byte))
}
