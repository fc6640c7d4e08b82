//! Whether a request starts a run, and the event that it makes.
//!
//! The cheap questions come first, and the body is fetched from the host only when all of them are answered.

use flowcell_plugin_http::body::{essence, is_json};
use flowcell_plugin_http::charset;
use flowcell_sdk::http::HeaderMap;
use flowcell_sdk::json::Broken;
use flowcell_sdk::prelude::*;
use flowcell_sdk::{json, urlencoded};
use serde_json::value::{RawValue, to_raw_value};

use crate::config::{Accept, Config};

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
    /// The body: JSON decoded, a form as names and values, other text as it is; null where there was none.
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
pub fn judge(config: &Config, request: &Inbound, ctx: &Context) -> Result<Judgement, Problem> {
    if !config.methods.iter().any(|method| method == request.method()) {
        let allowed = config.methods.join(", ");
        let detail = format!("this address takes {allowed}");
        let refusal = Refusal::new(405, "Method not allowed", detail);
        return Ok(Judgement::Refused(Refusal { header: Some(("allow", allowed)), ..refusal }));
    }
    let bytes = request.body();
    if !config.auth.admits(request, &bytes, ctx)? {
        let refusal = Refusal::new(401, "Not authenticated", "the credentials are missing or wrong");
        let header = config.auth.challenge().map(|challenge| ("www-authenticate", challenge.to_owned()));
        return Ok(Judgement::Refused(Refusal { header, ..refusal }));
    }
    let body = match body(request, bytes, &config.accepts) {
        Ok(body) => body,
        Err(refusal) => return Ok(Judgement::Refused(refusal)),
    };
    if let Some(schema) = &config.schema {
        let findings = schema.findings(&body, ctx).map_err(|problem| {
            ctx.error(&format!("`schema`: {}", problem.detail_text()));
            Problem::runtime("whether the body is a right one cannot be said")
        })?;
        if !findings.is_empty() {
            let detail = format!("the body does not fit: {}", findings.join("; "));
            return Ok(Judgement::Refused(Refusal::new(400, "Bad request", detail)));
        }
    }
    Ok(Judgement::Event(event(config, request, body)))
}

fn event(config: &Config, request: &Inbound, body: Option<Box<RawValue>>) -> Event {
    // Credentials that were checked here have done their work: the event is journalled, and they need not be.
    let checked = config.auth.header();
    let shown = |name: &str| checked.as_deref() != Some(name);
    Event {
        method: request.method().to_owned(),
        path: request.path().to_owned(),
        query: HeaderMap(urlencoded::pairs(request.query()).collect()),
        headers: HeaderMap(request.headers().iter().filter(|(name, _)| shown(name)).cloned().collect()),
        body,
        trigger: request.trigger(),
    }
}

/// The body by its kind; none where there is none and none was announced.
fn body(request: &Inbound, bytes: Vec<u8>, accepts: &[Accept]) -> Result<Option<Box<RawValue>>, Refusal> {
    let content_type = request.header("content-type").map(essence).filter(|essence| !essence.is_empty());
    // What says nothing of itself is taken for the first that is accepted.
    let kind = content_type.as_deref().map_or(accepts.first().copied(), kind_of);
    if bytes.is_empty() && !(content_type.is_some() && carries_a_body(request.method())) {
        return Ok(None);
    }
    let Some(kind) = kind.filter(|kind| accepts.contains(kind)) else {
        let taken: Vec<_> = accepts.iter().map(|kind| kind.media_type()).collect();
        let (is, taken) = (content_type.unwrap_or_default(), taken.join(", "));
        let detail = format!("the body is {is}; this address takes {taken}");
        return Err(Refusal::new(415, "Unsupported media type", detail));
    };
    match kind {
        Accept::Json if bytes.is_empty() => {
            Err(Refusal::new(400, "Bad request", "the body is empty, but its content type says JSON"))
        }
        Accept::Json => json::pass(bytes).map(Some).map_err(|(broken, _)| not_json(&broken)),
        Accept::Form => {
            let text = String::from_utf8(bytes).map_err(|_| not_text("the form is not UTF-8"))?;
            Ok(to_raw_value(&HeaderMap(urlencoded::pairs(&text).collect())).ok())
        }
        Accept::Xml | Accept::Text => {
            let charset = request.header("content-type").and_then(charset::parameter);
            let text = charset::decode(bytes, charset).map_err(|_| {
                not_text("the body is not text in the character set that it names, or in UTF-8")
            })?;
            Ok(to_raw_value(&text).ok())
        }
    }
}

fn kind_of(essence: &str) -> Option<Accept> {
    match essence {
        "application/x-www-form-urlencoded" => Some(Accept::Form),
        "application/xml" | "text/xml" => Some(Accept::Xml),
        essence if is_json(essence) => Some(Accept::Json),
        essence if essence.ends_with("+xml") => Some(Accept::Xml),
        essence if essence.starts_with("text/") => Some(Accept::Text),
        _ => None,
    }
}

fn not_text(detail: &str) -> Refusal {
    Refusal::new(400, "Bad request", detail)
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
