//! Triggers: what `#[trigger]` makes of a function, the request it judges, and the verdict.
//!
//! The attribute writes the implementation of [`Trigger`]; nobody writes one by hand.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::checks::{Draft, Finding};
use crate::context::Context;
use crate::descriptor::TriggerDescriptor;
use crate::host::{Head, Here, Host};
use crate::http::HeaderMap;
use crate::problem::Problem;

/// What starts runs, as `#[trigger]` makes it of a function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a trigger",
    label = "write `#[flowcell_sdk::trigger]` over the function of this name",
    note = "actions are listed apart: `plugin! {{ actions: [..], triggers: [..] }}`"
)]
pub trait Trigger {
    /// The name by which trigger documents use it.
    const NAME: &'static str;
    /// Whether it reads samples; see [`Sampling`](crate::Sampling).
    const SAMPLES: bool = false;

    /// What the descriptor says of it.
    fn describe() -> TriggerDescriptor;

    /// What is to be said about a configuration as it was written: what the function says that was named for it, and what
    /// the configuration's type refuses.
    fn check(draft: &Draft, ctx: &mut Context) -> Vec<Finding>;

    /// The trigger was switched on. Refuses a configuration that is not valid; leaves no state unless an `enable`
    /// function was named.
    fn enable(config: &str, ctx: &mut Context) -> Result<Vec<u8>, Problem>;

    /// The trigger was switched off. Does nothing unless a `disable` function was named.
    fn disable(config: &str, state: &[u8], ctx: &mut Context) -> Result<(), Problem> {
        let _ = (config, state, ctx);
        Ok(())
    }

    /// Judges the inbound request; the verdict as JSON text.
    fn receive(config: &str, ctx: &mut Context) -> Result<String, Problem>;
}

/// The request that a trigger must judge.
///
/// The body is fetched from the host when it is asked for, so a refused request costs no copy of it.
#[derive(Debug)]
pub struct Inbound {
    head: Head,
    host: Here,
}

impl Inbound {
    pub(crate) fn of(ctx: &Context) -> Self {
        Self { head: ctx.host.head(), host: ctx.host.clone() }
    }

    /// The method as received.
    pub fn method(&self) -> &str {
        &self.head.method
    }

    /// The path below the trigger's address; `/` for the address itself.
    pub fn path(&self) -> &str {
        &self.head.path
    }

    /// The query as received, without `?`; see [`urlencoded::pairs`](crate::urlencoded::pairs).
    pub fn query(&self) -> &str {
        &self.head.query
    }

    /// All headers in the order received, names in lower case.
    pub fn headers(&self) -> &[(String, String)] {
        &self.head.headers
    }

    /// The first header of this name; names are lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Address and port of the caller.
    pub fn remote(&self) -> &str {
        &self.head.remote
    }

    /// The body's bytes as received.
    pub fn body(&self) -> Vec<u8> {
        self.host.body()
    }

    /// When it had arrived, since 1970: what the age of a signature is measured by.
    pub fn received(&self) -> Duration {
        Duration::from_millis(self.host.received_ms())
    }

    /// `namespace/name` of the trigger.
    pub fn trigger(&self) -> String {
        self.host.trigger_name()
    }
}

/// What becomes of an inbound request: it starts a run, or it is answered and starts nothing.
///
/// ```
/// use flowcell_sdk::prelude::*;
///
/// let start = Verdict::start(json!({ "id": 7 })).respond_at_once(202, [("x-a", "b")], "ok");
/// assert_eq!(start.to_json().unwrap(), concat!(
///     r#"{"start":{"event":{"id":7}},"#,
///     r#""respond":{"from":"at-once","status":202,"headers":{"x-a":"b"},"body":"ok"}}"#));
///
/// let refuse = Verdict::answer(405, [("allow", "POST")], Value::Null);
/// assert_eq!(refuse.to_json().unwrap(), r#"{"answer":{"status":405,"headers":{"allow":"POST"},"body":null}}"#);
/// ```
///
/// A body that is a string is sent as it is, null sends none, any other value is sent as JSON. A header is a string,
/// or a list of strings where its name repeats.
#[derive(Debug)]
pub struct Verdict(Result<Judged, Problem>);

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Judged {
    Start {
        start: Start,
        respond: Respond,
        #[serde(skip_serializing_if = "HeaderMap::is_empty")]
        headers: HeaderMap,
    },
    Answer {
        answer: Reply,
    },
}

#[derive(Debug, Serialize)]
struct Start {
    event: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dedupe: Option<Dedupe>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Dedupe {
    key: String,
    window_ms: u64,
}

#[derive(Debug, Serialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
enum Respond {
    AtOnce(Reply),
    #[serde(rename_all = "camelCase")]
    Flow {
        within_ms: u64,
    },
}

#[derive(Debug, Serialize)]
struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Verdict {
    /// Starts a run with this event. The caller gets 200 `ok` unless one of the `respond_…` methods says otherwise.
    pub fn start(event: impl Serialize) -> Self {
        let event = serde_json::value::to_raw_value(&event)
            .map_err(|error| Problem::runtime(format!("the event cannot be written as JSON: {error}")));
        let ok = Reply { status: 200, headers: HeaderMap::default(), body: Value::from("ok") };
        Self(event.map(|event| Judged::Start {
            start: Start { event, dedupe: None },
            respond: Respond::AtOnce(ok),
            headers: HeaderMap::default(),
        }))
    }

    /// Answers the caller, and starts nothing.
    pub fn answer<N: Into<String>, V: Into<String>>(
        status: u16,
        headers: impl IntoIterator<Item = (N, V)>,
        body: impl Into<Value>,
    ) -> Self {
        Self(Ok(Judged::Answer { answer: Reply::new(status, headers, body) }))
    }

    /// The caller gets this as soon as the event is safe. Of no effect on [`answer`](Self::answer).
    #[must_use]
    pub fn respond_at_once<N: Into<String>, V: Into<String>>(
        self,
        status: u16,
        headers: impl IntoIterator<Item = (N, V)>,
        body: impl Into<Value>,
    ) -> Self {
        self.respond(Respond::AtOnce(Reply::new(status, headers, body)))
    }

    /// The caller waits this long for an answer of the flow's. Of no effect on [`answer`](Self::answer).
    #[must_use]
    pub fn respond_from_flow(self, within: Duration) -> Self {
        self.respond(Respond::Flow { within_ms: u64::try_from(within.as_millis()).unwrap_or(u64::MAX) })
    }

    /// While the window lasts, another event of this trigger with the same key starts nothing, and its caller gets what the
    /// first one got. Of no effect on [`answer`](Self::answer).
    #[must_use]
    pub fn once_in(mut self, window: Duration, key: impl Into<String>) -> Self {
        if let Ok(Judged::Start { start, .. }) = &mut self.0 {
            let window_ms = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
            start.dedupe = Some(Dedupe { key: key.into(), window_ms });
        }
        self
    }

    /// A header of the answer, whatever that is, unless it has it itself.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        match &mut self.0 {
            Ok(Judged::Start { headers, .. } | Judged::Answer { answer: Reply { headers, .. } }) => {
                headers.0.push((name.into(), value.into()));
            }
            Err(_) => {}
        }
        self
    }

    /// The verdict as JSON text, as the host reads it.
    pub fn to_json(self) -> Result<String, Problem> {
        serde_json::to_string(&self.0?)
            .map_err(|error| Problem::runtime(format!("the verdict cannot be written as JSON: {error}")))
    }

    fn respond(mut self, with: Respond) -> Self {
        if let Ok(Judged::Start { respond, .. }) = &mut self.0 {
            *respond = with;
        }
        self
    }
}

impl Reply {
    fn new<N: Into<String>, V: Into<String>>(
        status: u16,
        headers: impl IntoIterator<Item = (N, V)>,
        body: impl Into<Value>,
    ) -> Self {
        let headers = headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { status, headers: HeaderMap(headers), body: body.into() }
    }
}
