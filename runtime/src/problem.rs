//! The one error that crosses a border: from a plugin (WIT), to a flow's `try`, in the REST API and in the log.
//!
//! Its fields are those of RFC 9457 and of the Open Workflow DSL's `error`. Errors inside a module are enums of that
//! module (thiserror) and become a Problem where they leave it.
//!
//! `data` is for machines. What the host itself reads of it has a name in wit/types.wit, and is read here and nowhere else.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kinds of error that the DSL standardises.
pub mod kind {
    /// What we emit; other spellings are canonicalised to it, see [`super::canonical`].
    pub const BASE: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/";

    /// The flow or the host is set up wrongly.
    pub const CONFIGURATION: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/configuration";
    /// A value does not satisfy its schema.
    pub const VALIDATION: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/validation";
    /// An expression failed.
    pub const EXPRESSION: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/expression";
    /// Credentials were refused.
    pub const AUTHENTICATION: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/authentication";
    /// A policy forbids it.
    pub const AUTHORIZATION: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/authorization";
    /// It took too long.
    pub const TIMEOUT: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/timeout";
    /// The other side could not be reached, or answered with an error.
    pub const COMMUNICATION: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/communication";
    /// The step itself failed: a trap, a limit, a bug of ours.
    pub const RUNTIME: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/runtime";
}

/// An error as a value.
///
/// ```
/// use flowcell::Problem;
/// let problem = Problem::new(flowcell::problem::kind::TIMEOUT, "the step took too long", 408)
///     .detail("no answer within 30 s; raise `timeout` or look at the other side");
/// assert_eq!(serde_json::to_value(&problem).unwrap()["status"], 408);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "ProblemJson")]
pub struct Problem {
    /// A URI that names the kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// One sentence, the same for every occurrence of the kind.
    pub title: String,
    /// An HTTP status that fits.
    pub status: u16,
    /// What happened this time, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Where: the JSON pointer of the task in its flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Milliseconds until another attempt is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// More for machines: an object. [`Problem::data`] sets it, and `sent` with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Whether a request went out, where `data.sent` says it. JSON has it there only.
    #[serde(skip_serializing)]
    pub sent: Option<Sent>,
}

/// Whether a request left this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sent {
    /// Nothing of it can have left.
    No,
    /// It left as a whole.
    Yes,
    /// Some of it may have left.
    Unknown,
}

/// A problem as JSON has it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProblemJson {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    title: String,
    status: u16,
    detail: Option<String>,
    instance: Option<String>,
    retry_after_ms: Option<u64>,
    data: Option<Value>,
}

impl From<ProblemJson> for Problem {
    fn from(json: ProblemJson) -> Self {
        let ProblemJson { kind, title, status, detail, instance, retry_after_ms, data } = json;
        let problem = Self { detail, instance, retry_after_ms, ..Self::new(kind, title, status) };
        match data {
            Some(data) => problem.data(data),
            None => problem,
        }
    }
}

impl Problem {
    /// A problem with the fields that every problem has.
    pub fn new(kind: impl Into<String>, title: impl Into<String>, status: u16) -> Self {
        Self {
            kind: kind.into(),
            title: title.into(),
            status,
            detail: None,
            instance: None,
            retry_after_ms: None,
            data: None,
            sent: None,
        }
    }

    /// What happened this time.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Where it happened; the innermost place wins.
    #[must_use]
    pub fn at(mut self, instance: &str) -> Self {
        self.instance.get_or_insert_with(|| instance.to_owned());
        self
    }

    /// More for machines.
    #[must_use]
    pub fn data(mut self, data: Value) -> Self {
        self.sent = data.get("sent").and_then(|sent| Sent::deserialize(sent).ok());
        self.data = Some(data);
        self
    }

    /// How long what failed so often is left alone, where it must succeed in the end: one second, twice as long with each
    /// attempt up to an hour; longer where the problem asks for it.
    pub(crate) fn pause_after(&self, attempt: u32) -> Duration {
        const LONGEST: Duration = Duration::from_secs(3600);
        let own = Duration::from_secs(1 << attempt.saturating_sub(1).min(12)).min(LONGEST);
        own.max(self.retry_after().unwrap_or_default())
    }

    /// The pause that the plugin asks for before another attempt; a longer one than a day is cut to that.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        const LONGEST: Duration = Duration::from_secs(24 * 3600);
        self.retry_after_ms.map(|pause| Duration::from_millis(pause).min(LONGEST))
    }

    /// The pause that the other side asked for: `retry_after_ms`, or the header `retry-after` of an HTTP answer in `data`.
    pub(crate) fn asked_pause(&self, now: Timestamp) -> Option<Duration> {
        if let Some(pause) = self.retry_after_ms {
            return Some(Duration::from_millis(pause));
        }
        let header = self.data.as_ref()?.get("headers")?.get("retry-after")?;
        if let Some(seconds) = header.as_u64() {
            return Some(Duration::from_secs(seconds));
        }
        let text = header.as_str()?.trim();
        if let Ok(seconds) = text.parse::<u64>() {
            return Some(Duration::from_secs(seconds));
        }
        let due = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        Duration::try_from(due.duration_since(now)).ok()
    }

    /// `data.code` where there is one, such as `blocked` or `timeout`.
    pub fn code(&self) -> Option<&str> {
        self.data.as_ref()?.get("code")?.as_str()
    }

    /// Whether a request that failed may have done what it asked for. The request went out, and the answer to it, if there
    /// was one, is not that of whoever should have done it.
    pub(crate) fn may_have_arrived(&self) -> bool {
        match self.code() {
            Some(ANSWERED) => matches!(self.status, 500 | 502 | 504),
            _ => matches!(self.sent, Some(Sent::Yes | Sent::Unknown)),
        }
    }
}

/// The `data.code` of a problem that tells of an answer: `status` is the answer's.
const ANSWERED: &str = "http-status";

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "no",
            Self::Yes => "yes",
            Self::Unknown => "unknown",
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Some(detail) => write!(f, "{}: {detail}", self.title),
            None => f.write_str(&self.title),
        }
    }
}

/// The one spelling of a standard error type.
///
/// The language's documents spell them in several ways (two hosts, a misspelt one, two paths); the last path segment
/// is the same in all. A type that is not a standard one is left as it is.
///
/// ```
/// let there = flowcell::problem::canonical("https://open-workflow-specification.org/dsl/errors/types/timeout");
/// assert_eq!(there, flowcell::problem::kind::TIMEOUT);
/// assert_eq!(flowcell::problem::canonical("https://example.com/errors/out-of-stock"), "https://example.com/errors/out-of-stock");
/// ```
pub fn canonical(kind: &str) -> String {
    const HOSTS: [&str; 3] =
        ["serverlessworkflow.io", "open-workflow-specification.org", "serverlessworkflow.io.io"];
    const PATHS: [&str; 2] = ["spec/1.0.0/errors/", "dsl/errors/types/"];
    let rest = kind.strip_prefix("https://").or_else(|| kind.strip_prefix("http://"));
    let name = rest.and_then(|rest| rest.split_once('/')).and_then(|(host, path)| {
        HOSTS.contains(&host).then(|| PATHS.iter().find_map(|prefix| path.strip_prefix(prefix))).flatten()
    });
    match name {
        Some(name) if !name.is_empty() && !name.contains('/') => format!("{}{name}", kind::BASE),
        _ => kind.to_owned(),
    }
}

/// The longest sentence that is passed on of those that plugins say, in bytes.
const SENTENCE: usize = 500;

/// What a plugin says, for whoever reads it: it may hold a text of any length, in which nobody finds what is wrong.
pub(crate) fn sentence(mut said: String) -> String {
    if said.len() > SENTENCE {
        said.truncate(said.floor_char_boundary(SENTENCE));
        said.push('…');
    }
    said
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sentence_of_somebody_else_is_no_longer_than_anybody_reads() {
        assert_eq!(sentence("it is `ü`".to_owned()), "it is `ü`");
        let long = sentence("ü".repeat(1_000));
        assert_eq!((long.chars().count(), long.chars().last()), (251, Some('…')));
    }

    #[test]
    fn what_was_sent_is_read_of_data_and_stays_there() {
        let written = json!({ "type": "urn:x", "title": "x", "status": 502, "data": { "code": "reset", "sent": "unknown" } });
        let problem: Problem = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(problem.sent, Some(Sent::Unknown));
        assert_eq!(serde_json::to_value(&problem).unwrap(), written);
        assert_eq!(problem.data(json!({ "sent": "perhaps" })).sent, None);
    }

    #[test]
    fn a_request_may_have_arrived_that_went_out_and_was_not_refused() {
        let problem = |status: u16, code: &str, sent: &str| {
            Problem::new("urn:x", "x", status).data(json!({ "code": code, "sent": sent }))
        };
        for (arrived, problem) in [
            (true, problem(502, "reset", "unknown")),
            (true, problem(502, "too-large", "yes")),
            (true, problem(504, "http-status", "yes")),
            (false, problem(404, "http-status", "yes")),
            (false, problem(502, "connect", "no")),
            (false, Problem::new("urn:x", "x", 502)),
        ] {
            assert_eq!(problem.may_have_arrived(), arrived, "{problem:?}");
        }
    }

    #[test]
    fn the_pause_that_was_asked_for_is_read_from_seconds_and_dates() {
        let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let with = |header: Value| {
            let problem = Problem::new("x", "x", 503).data(json!({"headers": {"retry-after": header}}));
            problem.asked_pause(at).map(|pause| pause.as_secs())
        };
        assert_eq!(with(json!("7")), Some(7));
        assert_eq!(with(json!(7)), Some(7));
        assert_eq!(with(json!("Thu, 01 Jan 2026 00:01:00 GMT")), Some(60));
        assert_eq!(with(json!("soon")), None);
        assert_eq!(with(json!("Thu, 01 Jan 2015 00:01:00 GMT")), None);
    }
}
