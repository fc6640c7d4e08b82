//! What happened to a run, and what the run wants done about it: the two vocabularies of [`advance`](super::RunState::advance).
//!
//! Events are journalled, so their JSON form is a file format: additions only, every new field with a default.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::PluginRef;
use crate::problem::Problem;

/// The ordinal of a step in its run: 0, 1, 2 … in the order in which tasks were entered.
pub type StepId = u32;
/// The ordinal of a timer in its run.
pub type TimerId = u32;
/// The ordinal of an evaluation in its run.
pub type EvaluationId = u32;

/// What an expression sees beside its input. Shared, as several questions of one run may be open.
pub type Variables = Arc<[(String, Arc<Value>)]>;

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The run began. Always the first entry.
    Started {
        /// The raw input.
        input: Value,
        /// What the callback addresses of its steps began with then: expressions see the same in every fold, whatever
        /// the host is called by now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base_url: Option<Arc<str>>,
        /// Which edition of its limits the run began with: what is computed here and what a guest is asked for is the same
        /// in every fold.
        #[serde(default)]
        edition: u8,
    },
    /// The expression guest answered an [`Effect::Evaluate`], or the schema guest an [`Effect::Validate`].
    Evaluated {
        /// Which one.
        id: EvaluationId,
        /// The value, or a sentence for the author of the expression. Of a schema: what is wrong with the value, a list of
        /// `{path, message}`, or a sentence for the author of the schema.
        result: Result<Value, String>,
    },
    /// A plugin answered an [`Effect::Call`].
    Answered {
        /// Which step.
        step: StepId,
        /// Which attempt of it, from 1.
        attempt: u32,
        /// How it ended.
        outcome: Outcome,
    },
    /// The host died while this attempt was under way, to carry a step out or to undo it; what it did to the world is
    /// unknown.
    Interrupted {
        /// Which step.
        step: StepId,
        /// Which attempt of it.
        attempt: u32,
    },
    /// A request came to the callback address of a step, and was acknowledged.
    CalledBack {
        /// Which step.
        step: StepId,
        /// What came: `{method, query, headers, body}`.
        request: Arc<Value>,
    },
    /// A plugin answered an [`Effect::Undo`].
    Undone {
        /// Which step.
        step: StepId,
        /// Which attempt of it, from 1.
        attempt: u32,
        /// Why it failed; none when it succeeded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<Problem>,
    },
    /// A timer is due.
    Fired {
        /// Which one.
        timer: TimerId,
    },
    /// Somebody asked for the end of the run.
    Cancelled {
        /// Who and why, for people.
        reason: String,
    },
    /// The caller who waited for the run's answer is gone: an answer from now on is a conflict of its step.
    CallerLeft {
        /// Why, for people.
        reason: String,
    },
}

impl Event {
    /// The value that it brings, if it brings one.
    pub(crate) fn value(&self) -> Option<&Value> {
        match self {
            Self::Started { input, .. } => Some(input),
            Self::Evaluated { result, .. } => result.as_ref().ok(),
            Self::Answered { outcome: Outcome::Done(output), .. } => Some(output),
            Self::CalledBack { request, .. } => Some(request),
            _ => None,
        }
    }
}

/// How one attempt of a call ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Finished, with its output.
    Done(Value),
    /// Failed. With `retry_after_ms` the plugin asks for another attempt; without, the problem is final for the step.
    Failed(Problem),
    /// The same, but it was the host that ended it: what the step left behind, the plugin could not tidy up.
    CutOff(Problem),
    /// Waiting for the world. Nothing of the step is in memory meanwhile.
    Suspended(Suspension),
}

/// What a waiting step left behind, and what wakes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Suspension {
    /// Bytes of the plugin's own, in base64.
    pub state: Arc<str>,
    /// Whether a request to its callback address wakes it.
    #[serde(default)]
    pub callback: bool,
    /// After how many milliseconds it is woken anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer_ms: Option<u64>,
    /// After how many milliseconds it has taken too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// Whether it has taken too long when the deadline of its last wait is over, instead.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub same_deadline: bool,
    /// Whether the plugin's `cancel` is called however the step ends; otherwise only when it is cut off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cleanup: bool,
}

/// What a plugin is asked for in one attempt.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// `start`, with this input.
    Start {
        /// The step's evaluated `with`.
        input: Arc<Value>,
    },
    /// `resume`, with what it left behind and what woke it.
    Resume {
        /// Base64.
        state: Arc<str>,
        /// With a `kind`: `callback` or `timer`.
        event: Arc<Value>,
    },
}

/// What the flow wants done. Carried out by the engine, in order, after the events that caused it are committed.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Evaluate a jq program and come back with [`Event::Evaluated`].
    Evaluate {
        /// Names it in the answer.
        id: EvaluationId,
        /// One jq program for everything that is needed at this point.
        program: String,
        /// The value of `.`.
        input: Arc<Value>,
        /// Variable names without `$`, and their values.
        variables: Variables,
    },
    /// Compare a value with a JSON Schema and come back with [`Event::Evaluated`].
    Validate {
        /// Names it in the answer, as an evaluation.
        id: EvaluationId,
        /// JSON text.
        schema: Arc<str>,
        /// What is compared with it.
        value: Arc<Value>,
    },
    /// Call a plugin's action and come back with [`Event::Answered`].
    Call {
        /// The step.
        step: StepId,
        /// The attempt, from 1.
        attempt: u32,
        /// What to call.
        plugin: PluginRef,
        /// What is asked of it.
        ask: Ask,
    },
    /// Call a plugin's `cancel` for a step that is over and come back with [`Event::Undone`].
    Undo {
        /// The step.
        step: StepId,
        /// The attempt, from 1.
        attempt: u32,
        /// What to call.
        plugin: PluginRef,
        /// What the step left behind, in base64.
        state: Arc<str>,
        /// Why, one word: `completed`, `failed`, `timeout` or `cancelled`.
        reason: &'static str,
    },
    /// Stop a call that is under way; its answer is no longer wanted.
    Abort {
        /// The step.
        step: StepId,
    },
    /// Come back with [`Event::Fired`] at this time.
    Timer {
        /// Names it.
        timer: TimerId,
        /// When.
        due: Timestamp,
    },
    /// The timer is no longer wanted.
    Disarm {
        /// Which one.
        timer: TimerId,
    },
    /// Answer the caller who waits for this run, if one does.
    Reply {
        /// The step that answers.
        step: StepId,
        /// The answer.
        reply: Reply,
    },
    /// The run is over. Always the last effect of its event; what may still follow are attempts to undo what its steps left in the world.
    Finish(End),
}

impl Effect {
    /// Whether it is under way until it comes back with an event of its own.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self, Self::Call { .. } | Self::Undo { .. }) || self.evaluation().is_some()
    }

    /// The question that a guest of the host's own is asked. It touches nothing outside.
    pub(crate) fn evaluation(&self) -> Option<EvaluationId> {
        match self {
            Self::Evaluate { id, .. } | Self::Validate { id, .. } => Some(*id),
            _ => None,
        }
    }
}

/// An HTTP answer that a flow gives. Statuses and headers are legal: they were checked when the value was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// 200 to 599.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body's bytes; a `content-type` stands in the headers where there is a body.
    pub body: Vec<u8>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// With an output.
    Completed(Arc<Value>),
    /// With an error that nothing caught.
    Faulted(Problem),
    /// On request.
    Cancelled {
        /// Who and why, for people.
        reason: String,
    },
}

/// Where a run or a step stands, spelt as the REST API spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Accepted, not begun.
    Pending,
    /// Something of it is under way.
    Running,
    /// Until a time: a `wait`, a back-off.
    Waiting,
    /// Until the world answers.
    Suspended,
    /// Ended on request.
    Cancelled,
    /// Ended with an error.
    Faulted,
    /// Ended well.
    Completed,
    /// A step whose condition was false.
    Skipped,
}

impl Status {
    /// Whether it is over.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Cancelled | Self::Faulted | Self::Completed | Self::Skipped)
    }
}

/// What the history shows of one step.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepRecord {
    /// Its ordinal in the run.
    pub id: StepId,
    /// The task's name.
    pub name: String,
    /// The task's JSON pointer in the document.
    pub reference: String,
    /// The kind of task: `call`, `set`, `switch` …
    pub kind: &'static str,
    /// `name:version` of what it calls; tasks without a plugin have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// Its attempts in order; a task without a plugin has none.
    pub attempts: Vec<AttemptRecord>,
    /// What it was given: a call's evaluated `with`, any other task's input.
    pub input: Arc<Value>,
    /// What it gave: after `output.as`. Null until it ends well.
    pub output: Arc<Value>,
    /// When the task was entered.
    pub started_at: Timestamp,
    /// When it was left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why it did not end well, or what was wrong with a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// When it goes on or is given up, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// How its plugin's `cancel` came along, once that was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanup: Option<Box<CleanupRecord>>,
}

/// What became of undoing what a step left in the world.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CleanupRecord {
    /// `running`, `waiting` for the next attempt, `completed`, or `faulted` when it was given up.
    pub status: Status,
    /// How often it was tried.
    pub attempts: u32,
    /// Why the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
}

/// One try of a step.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptRecord {
    /// When the host was asked for it.
    pub started_at: Timestamp,
    /// When its answer was journalled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// How often a step is started again after the host died in the middle of it, before it is taken for the cause.
pub const HOST_DEATHS_PER_STEP: u32 = 3;
/// The most attempts that a plugin may ask for by `retry-after` for one step; then its last problem is final.
pub const ATTEMPTS_PER_STEP: u32 = 100;
/// How often a plugin may suspend one step: each time is an entry of the journal.
pub const SUSPENSIONS_PER_STEP: u32 = 10_000;
/// How many bytes a plugin may leave in all the waits of one step, in base64: they are read when the run wakes.
pub const LEFT_BYTES_PER_STEP: usize = 64 << 20;
/// The most attempts to undo what a step left in the world: with the pauses between them some two days.
pub const ATTEMPTS_TO_UNDO: u32 = 60;
