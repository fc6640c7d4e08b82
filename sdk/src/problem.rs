//! The one error that leaves a plugin.
//!
//! A flow's `try` may catch it, the REST API shows it. Its kinds are those of the Open Workflow DSL; a plugin may use
//! a URI of its own. What the host makes of a trap or a limit is not made here.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

/// The kinds of error that the flow language standardises.
pub mod kind {
    /// The flow or the plugin is set up wrongly.
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
    /// The step itself failed.
    pub const RUNTIME: &str = "https://serverlessworkflow.io/spec/1.0.0/errors/runtime";
}

/// Why a step or a trigger failed.
///
/// ```
/// use flowcell_sdk::prelude::*;
/// let problem = Problem::validation("`city` is empty; name one, such as `Delft`");
/// assert_eq!(problem.status(), 400);
/// assert_eq!(problem.to_string(), "The input is not valid: `city` is empty; name one, such as `Delft`");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    kind: Cow<'static, str>,
    title: Cow<'static, str>,
    status: u16,
    detail: Option<String>,
    retry_after_ms: Option<u64>,
    data: Option<String>,
}

impl Problem {
    /// A problem of any kind: a URI that names it, one sentence that is the same for every occurrence, and an HTTP
    /// status that fits.
    pub fn new(kind: impl Into<Cow<'static, str>>, title: impl Into<Cow<'static, str>>, status: u16) -> Self {
        Self {
            kind: kind.into(),
            title: title.into(),
            status,
            detail: None,
            retry_after_ms: None,
            data: None,
        }
    }

    /// The input is wrong (400).
    pub fn validation(detail: impl Into<String>) -> Self {
        Self::new(kind::VALIDATION, "The input is not valid", 400).detail(detail)
    }

    /// The flow or the plugin is set up wrongly (400).
    pub fn configuration(detail: impl Into<String>) -> Self {
        Self::new(kind::CONFIGURATION, "The configuration is not valid", 400).detail(detail)
    }

    /// Credentials were refused (401).
    pub fn authentication(detail: impl Into<String>) -> Self {
        Self::new(kind::AUTHENTICATION, "The credentials were refused", 401).detail(detail)
    }

    /// A policy forbids it (403).
    pub fn authorization(detail: impl Into<String>) -> Self {
        Self::new(kind::AUTHORIZATION, "A policy forbids it", 403).detail(detail)
    }

    /// It took too long (408).
    pub fn timeout(detail: impl Into<String>) -> Self {
        Self::new(kind::TIMEOUT, "It took too long", 408).detail(detail)
    }

    /// The other side could not be reached, or answered with an error (502).
    pub fn communication(detail: impl Into<String>) -> Self {
        Self::new(kind::COMMUNICATION, "The other side could not be reached", 502).detail(detail)
    }

    /// The step itself failed (500).
    pub fn runtime(detail: impl Into<String>) -> Self {
        Self::new(kind::RUNTIME, "The step failed", 500).detail(detail)
    }

    /// What happened this time, and what to do about it.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// More for machines: something that serialises as a JSON object.
    ///
    /// ```
    /// # use flowcell_sdk::prelude::*;
    /// let problem = Problem::runtime("no stock").data(&json!({ "code": "out-of-stock" }));
    /// assert_eq!(problem.code().as_deref(), Some("out-of-stock"));
    /// ```
    #[must_use]
    pub fn data(mut self, data: &impl Serialize) -> Self {
        self.data = serde_json::to_string(data).ok();
        self
    }

    /// Asks to be started again for the same step, after this time, with the next attempt number and the same
    /// idempotency key. Without it the problem is final. The host caps how often.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// The URI that names the kind.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The sentence that is the same for every occurrence of the kind.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What happened, as far as it was said.
    pub fn detail_text(&self) -> &str {
        self.detail.as_deref().unwrap_or_default()
    }

    /// The time after which another try is asked for.
    pub fn retry_after_time(&self) -> Option<Duration> {
        self.retry_after_ms.map(Duration::from_millis)
    }

    /// What stands in it for machines; null where there is nothing.
    pub fn data_value(&self) -> Value {
        self.data.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// `data.code` where there is one, such as `blocked` or `timeout`.
    pub fn code(&self) -> Option<String> {
        self.data_value().get("code")?.as_str().map(str::to_owned)
    }

    /// The fields as they cross the border: kind, title, detail, status, retry-after, data.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn into_wit(self) -> crate::bindings::action::flowcell::plugin::types::Problem {
        crate::bindings::action::flowcell::plugin::types::Problem {
            type_: self.kind.into_owned(),
            title: self.title.into_owned(),
            detail: self.detail,
            status: self.status,
            retry_after_ms: self.retry_after_ms,
            data: self.data,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}
