//! Whether a request starts a run, and the event that it makes.
//!
//! The cheap questions come first, and the body is fetched from the host only when all of them are answered.

use flowcell_plugin_http::body::{essence, is_json};
use flowcell_sdk::http::HeaderMap;
use flowcell_sdk::json::Broken;
use flowcell_sdk::prelude::*;
use flowcell_sdk::{json, urlencoded};
use serde_json::value::RawValue;

use crate::config::Config;

/// What starts a run: the flow's input.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Event {
    /// The method.
    method: String,
    /// The path below the trigger's address; `/` for the address itself.
    path: String,
    /// The query, decoded; a list where a name repeats.
    query: HeaderMap,
    /// By lower-case name; without `authorization` where the trigger has checked it.
    headers: HeaderMap,
    /// The JSON body; null where there was none.
    #[schemars(with = "Value")]
    body: Option<Box<RawValue>>,
    /// `namespace/name` of the trigger.
    trigger: String,
}

/// What becomes of a request.
pub enum Judgement {
    /// It starts a run.
    Event(Event),
    /// It is answered, and starts nothing.
    Refused(Refusal),
}

/// Why a request starts nothing.
pub struct Refusal {
    status: u16,
    title: &'static str,
    detail: String,
    header: Option<(&'static str, String)>,
}

impl Refusal {
    fn new(status: u16, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, title, detail: detail.into(), header: None }
    }

    /// The answer, as RFC 9457 has it.
    pub fn into_verdict(self) -> Verdict {
        let body = json!({ "type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail });
        let mut headers = vec![("content-type", "application/problem+json".to_owned())];
        headers.extend(self.header);
        Verdict::answer(self.status, headers, body)
    }
}

/// Judges one request.
pub fn judge(config: &Config, request: Inbound) -> Judgement {
    if !config.methods.iter().any(|method| method == request.method()) {
        let allowed = config.methods.join(", ");
        let detail = format!("this address takes {allowed}");
        let refusal = Refusal::new(405, "Method not allowed", detail);
        return Judgement::Refused(Refusal { header: Some(("allow", allowed)), ..refusal });
    }
    if !config.auth.admits(request.header("authorization")) {
        let refusal = Refusal::new(401, "Not authenticated", "the credentials are missing or wrong");
        let challenge = "Basic realm=\"webhook\", charset=\"UTF-8\"".to_owned();
        return Judgement::Refused(Refusal { header: Some(("www-authenticate", challenge)), ..refusal });
    }
    match body(&request) {
        Ok(body) => Judgement::Event(event(config, request, body)),
        Err(refusal) => Judgement::Refused(refusal),
    }
}

fn event(config: &Config, request: Inbound, body: Option<Box<RawValue>>) -> Event {
    // Credentials that were checked here have done their work: the event is journalled, and they need not be.
    let shown = |name: &str| !(config.auth.is_needed() && name == "authorization");
    Event {
        method: request.method().to_owned(),
        path: request.path().to_owned(),
        query: HeaderMap(urlencoded::pairs(request.query()).collect()),
        headers: HeaderMap(request.headers().iter().filter(|(name, _)| shown(name)).cloned().collect()),
        body,
        trigger: request.trigger(),
    }
}

/// The body as JSON; none where there is none and none was announced.
fn body(request: &Inbound) -> Result<Option<Box<RawValue>>, Refusal> {
    let content_type = request.header("content-type").map(essence).filter(|essence| !essence.is_empty());
    if let Some(essence) = &content_type
        && !is_json(essence)
    {
        let bytes = request.body();
        if bytes.is_empty() && !carries_a_body(request.method()) {
            return Ok(None);
        }
        let detail = format!("the body is {essence}; this address takes application/json");
        return Err(Refusal::new(415, "Unsupported media type", detail));
    }
    let bytes = request.body();
    if bytes.is_empty() {
        return match content_type.is_some() && carries_a_body(request.method()) {
            true => {
                Err(Refusal::new(400, "Bad request", "the body is empty, but its content type says JSON"))
            }
            false => Ok(None),
        };
    }
    json::pass(bytes).map(Some).map_err(|(broken, _)| not_json(&broken))
}

fn not_json(broken: &Broken) -> Refusal {
    let Broken { reason, line, column } = broken;
    Refusal::new(
        400,
        "Bad request",
        format!("the body is not JSON: {reason} at line {line}, column {column}"),
    )
}

/// Whether an empty body is worth a word: GET, HEAD, DELETE and OPTIONS seldom have one, whatever their headers say.
fn carries_a_body(method: &str) -> bool {
    matches!(method, "POST" | "PUT" | "PATCH")
}
