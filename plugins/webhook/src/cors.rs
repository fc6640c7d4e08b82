//! Pages of other origins that may call a webhook, as browsers ask it (CORS, Fetch standard).

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
        match self.origins.iter().find(|origin| !is_origin(origin)) {
            Some(origin) => Err(format!(
                "`cors.origins`: `{origin}` is no origin: write scheme, host and port alone, such as https://shop.example.com, or `*`"
            )),
            None => Ok(()),
        }
    }

    /// The headers by which a browser lets a page of the caller's origin read the answer; none where it may not.
    pub fn headers(&self, request: &Inbound) -> Option<Vec<(&'static str, String)>> {
        let origin = request.header("origin")?;
        if self.origins.iter().any(|listed| listed == "*") {
            return Some(vec![("access-control-allow-origin", "*".to_owned())]);
        }
        self.origins
            .iter()
            .any(|listed| listed.eq_ignore_ascii_case(origin))
            .then(|| vec![("access-control-allow-origin", origin.to_owned()), ("vary", "origin".to_owned())])
    }

    /// The answer to a browser that asks before it sends.
    pub fn preflight(&self, request: &Inbound, methods: &[String]) -> Verdict {
        let mut headers = vec![("allow", methods.join(", "))];
        if let Some(allowed) = self.headers(request) {
            headers.extend(allowed);
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
