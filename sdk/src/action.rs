//! Actions: what `#[action]` makes of a function, and how a step ends or waits.
//!
//! The attribute writes the implementation of [`Action`]; nobody writes one by hand.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::checks::{Draft, Finding};
use crate::context::Context;
use crate::descriptor::ActionDescriptor;
use crate::problem::Problem;

/// A step of a flow, as `#[action]` makes it of a function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an action",
    label = "write `#[flowcell_sdk::action]` over the function of this name",
    note = "triggers are listed apart: `plugin! {{ actions: [..], triggers: [..] }}`"
)]
pub trait Action {
    /// The name by which flows call it.
    const NAME: &'static str;

    /// What the descriptor says of it.
    fn describe() -> ActionDescriptor;

    /// What is to be said about an input as it was written; nothing where no function was named for it.
    fn check(draft: &Draft, ctx: &mut Context) -> Vec<Finding> {
        let _ = (draft, ctx);
        vec![]
    }

    /// Carries out the step. `input` is JSON text.
    fn start(input: &str, ctx: &mut Context) -> Result<Outcome, Problem>;

    /// Continues a suspended step. `event` is JSON text.
    fn resume(state: &[u8], event: &str, ctx: &mut Context) -> Result<Outcome, Problem> {
        let _ = (state, event, ctx);
        Err(never_waits(Self::NAME))
    }

    /// Undoes what a suspended step left in the world; nothing where no function was named for it.
    fn cancel(state: &[u8], reason: &str, ctx: &mut Context) -> Result<(), Problem> {
        let _ = (state, reason, ctx);
        Ok(())
    }
}

fn never_waits(name: &str) -> Problem {
    Problem::runtime(format!("`{name}` never waits, so there is nothing to resume"))
}

/// How a step ended for this time, as it crosses the border.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Finished; the output as JSON text.
    Done(String),
    /// Waiting; the sandbox is dropped meanwhile.
    Suspend {
        /// Bytes for `resume` and `cancel`.
        state: Vec<u8>,
        /// What wakes the step, JSON text.
        wake: String,
    },
}

/// What an action that may wait returns: an output, or a wait.
///
/// ```
/// use flowcell_sdk::prelude::*;
/// use flowcell_sdk::testing::MockHost;
///
/// #[derive(Deserialize, JsonSchema)] struct Input { who: String }
/// #[derive(Serialize, JsonSchema)] struct Output { approved: bool }
/// #[derive(Serialize, Deserialize)] struct Asked { who: String }
///
/// /// Ask somebody for approval.
/// #[flowcell_sdk::action(resume = answered)]
/// fn approve(input: Input, ctx: &mut Context) -> Result<Next<Output, Asked>, Problem> {
///     ctx.info("asking");
///     Ok(Wait::for_callback(Asked { who: input.who }).at_most(Duration::from_secs(3600)).into())
/// }
///
/// fn answered(asked: Asked, wake: Wake, _ctx: &mut Context) -> Result<Next<Output, Asked>, Problem> {
///     Ok(Next::Done(Output { approved: wake.is_callback() && asked.who == "Ada" }))
/// }
///
/// flowcell_sdk::plugin!(approve);
///
/// # fn main() {
/// let host = MockHost::new();
/// let waiting = host.start::<Plugin>("approve", json!({ "who": "Ada" })).unwrap();
/// let done = host.resume::<Plugin>("approve", waiting, json!({ "kind": "callback" })).unwrap();
/// assert_eq!(done, flowcell_sdk::Outcome::Done(r#"{"approved":true}"#.into()));
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Next<O, S> {
    /// Finished, with this output.
    Done(O),
    /// Waiting for the world.
    Wait(Wait<S>),
}

/// A wait: a state of the author's own, and what ends the wait.
#[derive(Clone, Debug, PartialEq)]
pub struct Wait<S> {
    state: S,
    callback: bool,
    timer: Option<Duration>,
    deadline: Option<Duration>,
    same_deadline: bool,
    cleanup: bool,
}

impl<S> Wait<S> {
    /// Waits for a request to the step's callback address.
    pub fn for_callback(state: S) -> Self {
        Self { state, callback: true, timer: None, deadline: None, same_deadline: false, cleanup: false }
    }

    /// Waits for this time to pass.
    pub fn for_time(state: S, time: Duration) -> Self {
        Self { callback: false, timer: Some(time), ..Self::for_callback(state) }
    }

    /// Wakes the step after this time as well; it may go on waiting then.
    #[must_use]
    pub fn or_after(mut self, time: Duration) -> Self {
        self.timer = Some(time);
        self
    }

    /// Ends the step with a time-out after this time.
    #[must_use]
    pub fn at_most(mut self, time: Duration) -> Self {
        self.deadline = Some(time);
        self
    }

    /// Ends the step with a time-out at the deadline of its last wait: waiting on does not make the time longer. Instead of
    /// [`at_most`](Self::at_most).
    #[must_use]
    pub fn within_the_same_deadline(mut self) -> Self {
        self.same_deadline = true;
        self
    }

    /// Has the host call `cancel` however the step ends, with what it was: `completed`, `failed`, `timeout` or
    /// `cancelled`. Otherwise `cancel` is called only when the step is cut off while it waits or is resumed. The host
    /// tries again until it succeeds, beside the run, whose result stands.
    #[must_use]
    pub fn with_cleanup(mut self) -> Self {
        self.cleanup = true;
        self
    }
}

impl<O, S> From<Wait<S>> for Next<O, S> {
    fn from(wait: Wait<S>) -> Self {
        Next::Wait(wait)
    }
}

/// What woke a step.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Wake {
    kind: String,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

impl Wake {
    /// `callback`, `timer`, or what later hosts know.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Whether a request to the callback address woke it.
    pub fn is_callback(&self) -> bool {
        self.kind == "callback"
    }

    /// Whether time woke it.
    pub fn is_timer(&self) -> bool {
        self.kind == "timer"
    }

    /// What else the event tells, such as `headers` and `body` of a callback; null where it does not.
    pub fn get(&self, key: &str) -> &Value {
        self.rest.get(key).unwrap_or(&Value::Null)
    }
}

/// What an action's function may return.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "an action cannot return `{Self}`",
    label = "expected `Result<Output, Problem>` or `Result<Next<Output, State>, Problem>`",
    note = "the output derives `Serialize` and `JsonSchema`"
)]
pub trait Answer {
    type Output: JsonSchema;
    fn into_outcome(self) -> Result<Outcome, Problem>;
}

impl<O: Serialize + JsonSchema> Answer for Result<O, Problem> {
    type Output = O;
    fn into_outcome(self) -> Result<Outcome, Problem> {
        done(&self?)
    }
}

impl<O: Serialize + JsonSchema, S: Serialize> Answer for Result<Next<O, S>, Problem> {
    type Output = O;
    fn into_outcome(self) -> Result<Outcome, Problem> {
        match self? {
            Next::Done(output) => done(&output),
            Next::Wait(wait) => suspend(&wait),
        }
    }
}

fn done(output: &impl Serialize) -> Result<Outcome, Problem> {
    match serde_json::to_string(output) {
        Ok(text) => Ok(Outcome::Done(text)),
        Err(error) => Err(Problem::runtime(format!("the output cannot be written as JSON: {error}"))),
    }
}

fn suspend(wait: &Wait<impl Serialize>) -> Result<Outcome, Problem> {
    let state = serde_json::to_vec(&wait.state)
        .map_err(|error| Problem::runtime(format!("the state cannot be written as JSON: {error}")))?;
    let mut wake = json!({ "callback": wait.callback });
    if wait.cleanup {
        wake["cleanup"] = true.into();
    }
    if wait.same_deadline {
        wake["sameDeadline"] = true.into();
    }
    for (key, time) in [("timerMs", wait.timer), ("deadlineMs", wait.deadline)] {
        if let Some(time) = time {
            wake[key] = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).into();
        }
    }
    Ok(Outcome::Suspend { state, wake: wake.to_string() })
}
