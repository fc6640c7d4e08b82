//! What an event is known by, so that it starts one run however often it is sent.

use flowcell_plugin_http::input::is_token_byte;
use flowcell_sdk::prelude::*;

use crate::auth::Auth;

/// How long an event is known, where nothing says otherwise: senders try again for hours.
const WINDOW: Duration = Duration::from_secs(24 * 3600);

/// When an event is one that came before.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dedupe {
    /// What it is known by: `{ header: NAME }`, or an expression over the event, without `${ }`.
    key: Key,
    /// How long: P1D unless said otherwise.
    #[serde(default)]
    window: Option<TimeSpan>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Key {
    Header(Header),
    Expression(Expression),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Header {
    /// In any case.
    header: String,
}

impl Dedupe {
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if self.window.is_some_and(|window| window.as_duration().is_zero()) {
            return Err("`dedupe.window` is zero; give a time such as PT10M".into());
        }
        match &self.key {
            Key::Header(Header { header }) if header.is_empty() || !header.bytes().all(is_token_byte) => {
                Err(format!("`dedupe.key.header`: {header:?} is no name of a header"))
            }
            _ => Ok(()),
        }
    }

    /// The expression, for what judges it before it is used.
    pub fn expression(&self) -> Option<&Expression> {
        match &self.key {
            Key::Expression(expression) => Some(expression),
            Key::Header(_) => None,
        }
    }
}

/// Lets an event that is known start nothing; `known_by` is its name where a header gives one, `event` what a run would have.
pub fn once(
    verdict: Verdict,
    (dedupe, auth): (Option<&Dedupe>, &Auth),
    known_by: Option<&str>,
    event: &Value,
    ctx: &Context,
) -> Result<Verdict, Problem> {
    let Some(dedupe) = dedupe else {
        // A signed name of the event says enough.
        return Ok(match (auth, known_by) {
            (Auth::Signature(_), Some(id)) => verdict.once_in(WINDOW, id),
            _ => verdict,
        });
    };
    let window = dedupe.window.map_or(WINDOW, TimeSpan::as_duration);
    let key = match &dedupe.key {
        Key::Header(_) => known_by.map(str::to_owned),
        Key::Expression(expression) => {
            let value = expression.value(event, ctx).map_err(|problem| {
                ctx.error(&format!("`dedupe.key`: {}", problem.detail_text()));
                Problem::runtime("whether this request came before cannot be said")
            })?;
            match value {
                Value::Null => None,
                Value::String(text) if text.is_empty() => None,
                Value::String(text) => Some(text),
                other => Some(other.to_string()),
            }
        }
    };
    // What has no key is like nothing else.
    Ok(match key {
        Some(key) => verdict.once_in(window, key),
        None => verdict,
    })
}

/// The name of the event that the request gives, where a header does.
pub fn named<'r>(dedupe: Option<&Dedupe>, auth: &Auth, request: &'r Inbound) -> Option<&'r str> {
    match (dedupe, auth) {
        (Some(Dedupe { key: Key::Header(Header { header }), .. }), _) => {
            request.header(&header.to_ascii_lowercase()).filter(|value| !value.is_empty())
        }
        (None, Auth::Signature(signature)) => signature.event_id(request),
        _ => None,
    }
}
