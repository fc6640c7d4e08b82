//! The one error that crosses a border: from a plugin (WIT), to a flow's `try`, in the REST API and in the log.
//!
//! Its fields are those of RFC 9457 and of the Open Workflow DSL's `error`. Errors inside a module are enums of that
//! module (thiserror) and become a Problem where they leave it.

use std::time::Duration;

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
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// A URI that names the kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// One sentence, the same for every occurrence of the kind.
    #[serde(default)]
    pub title: String,
    /// An HTTP status that fits.
    pub status: u16,
    /// What happened this time, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Where: the JSON pointer of the task in its flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Milliseconds until another attempt is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// More for machines: an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
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

    /// `data.code` where there is one, such as `blocked` or `timeout`.
    pub fn code(&self) -> Option<&str> {
        self.data.as_ref()?.get("code")?.as_str()
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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
