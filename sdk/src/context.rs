//! What a step knows about itself, and its ways to the world: the second parameter of every action and trigger.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::host::{Here, Host};
use crate::http::Client;

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For whoever looks for a fault.
    Debug,
    /// What happened.
    Info,
    /// Odd, but the step goes on.
    Warn,
    /// It went wrong.
    Error,
}

impl Level {
    /// The word that crosses the border.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

/// What a step knows about itself, and its ways to the world.
///
/// ```
/// use flowcell_sdk::prelude::*;
/// use flowcell_sdk::testing::MockHost;
///
/// let host = MockHost::new().with_run("run-1").with_attempt(2);
/// let ctx = host.context();
/// ctx.info("looking the city up");
/// assert_eq!((ctx.run().as_str(), ctx.attempt()), ("run-1", 2));
/// assert_eq!(host.logs()[0].message, "looking the city up");
/// ```
#[derive(Debug)]
pub struct Context {
    pub(crate) host: Here,
}

impl Context {
    /// The id of the run.
    pub fn run(&self) -> String {
        self.host.run_id()
    }

    /// The id of the step in its run.
    pub fn step(&self) -> String {
        self.host.step_id()
    }

    /// The number of this attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.host.attempt()
    }

    /// The same for every attempt of one step: give it to the other side, so that a repeat is recognised.
    pub fn idempotency_key(&self) -> String {
        self.host.idempotency_key()
    }

    /// When the host will end the step.
    pub fn deadline(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.host.deadline_ms())
    }

    /// W3C `traceparent` of the step.
    pub fn trace_parent(&self) -> String {
        self.host.trace_parent()
    }

    /// Where the world may answer this step: a POST to it resumes the step once it waits for a callback, or at once when
    /// it came before. Unguessable, and this step's alone.
    pub fn callback_url(&self) -> String {
        self.host.callback_url()
    }

    /// The HTTP client. Requests pass the tenant's policy.
    pub fn http(&self) -> Client<'_> {
        Client { host: &self.host }
    }

    /// A line for whoever looks for a fault. Lines are shown at the step and capped per step.
    pub fn debug(&self, message: &str) {
        self.host.log(Level::Debug.as_str(), message, "");
    }

    /// A line that says what happened.
    pub fn info(&self, message: &str) {
        self.host.log(Level::Info.as_str(), message, "");
    }

    /// A line that says what is odd.
    pub fn warn(&self, message: &str) {
        self.host.log(Level::Warn.as_str(), message, "");
    }

    /// A line that says what went wrong.
    pub fn error(&self, message: &str) {
        self.host.log(Level::Error.as_str(), message, "");
    }

    /// A line with fields: something that serialises as a JSON object.
    pub fn log(&self, level: Level, message: &str, fields: &impl Serialize) {
        let fields = serde_json::to_string(fields).unwrap_or_default();
        self.host.log(level.as_str(), message, &fields);
    }
}
