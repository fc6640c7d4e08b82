//! A call under way: its attempts, its waits for the world, and what wakes it.
//!
//! One attempt is one try of the step. It begins with `start`; where the plugin suspends, the attempt goes on with
//! `resume` when the world answers, however long that takes. A host that dies in the middle ends the attempt, and the
//! next one asks for the same again: `start` with the same input, or `resume` with the same state and event.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::flow::event::{
    ATTEMPTS_PER_STEP, Ask, AttemptRecord, Effect, HOST_DEATHS_PER_STEP, LEFT_BYTES_PER_STEP, Outcome,
    SUSPENSIONS_PER_STEP, Status, Suspension,
};
use crate::flow::state::{Body, Holder, Turn, timeout};
use crate::flow::task::Kind;
use crate::flow::task::kind::{BranchEnd, WayOn};
use crate::id::PluginRef;
use crate::problem::{Problem, kind};

/// How far a call is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// What `with` is evaluated over, where that is not the task's input.
    pub arguments: Option<Arc<Value>>,
    /// The attempt that is under way or was the last, from 1; 0 before the first.
    pub attempt: u32,
    pub is_running: bool,
    deaths: u32,
    suspensions: u32,
    left_bytes: usize,
    /// Of what the last wait left and was woken by.
    held_bytes: usize,
    /// Of the callback that came early.
    early_bytes: usize,
    /// Attempts since the step began or was suspended.
    tries: u32,
    /// The step's own end is known.
    has_ended: bool,
    held: Option<Held>,
    /// A callback that came before the step waited for it.
    early: Option<Arc<Value>>,
    /// When the wait that is, or was the last, has taken too long.
    deadline: Option<Timestamp>,
}

/// A step that was suspended.
#[derive(Debug)]
struct Held {
    suspension: Suspension,
    /// What woke it. None while it waits.
    woken_by: Option<Arc<Value>>,
}

/// What a request to the callback address of a step comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallbackNow {
    /// The step takes it.
    Wanted,
    /// The step is at work on another one.
    Busy,
    /// The step takes none any more.
    Over,
}

impl Progress {
    /// What a callback comes to now. One that comes before the step waits for it is kept for that; it is dropped where
    /// the step ends without.
    pub(crate) fn callback(&self) -> CallbackNow {
        if self.has_ended {
            return CallbackNow::Over;
        }
        let handled = self.held.as_ref().and_then(|held| held.woken_by.as_ref());
        let busy =
            self.attempt == 0 || self.early.is_some() || handled.is_some_and(|event| is_callback(event));
        if busy { CallbackNow::Busy } else { CallbackNow::Wanted }
    }

    /// What is asked of the plugin, by an attempt that starts over too.
    pub(crate) fn ask(&self, input: &Arc<Value>) -> Ask {
        match &self.held {
            Some(Held { suspension, woken_by: Some(event) }) => {
                Ask::Resume { state: Arc::clone(&suspension.state), event: Arc::clone(event) }
            }
            _ => Ask::Start { input: Arc::clone(input) },
        }
    }

    /// What must be undone when the step is left.
    pub(crate) fn left_behind(&self) -> Option<&Arc<str>> {
        self.held.as_ref().map(|held| &held.suspension.state)
    }

    /// The step comes to its own end: what it left behind is its own to tidy up, unless it asked for help.
    fn ends(&mut self) {
        self.has_ended = true;
        self.held.take_if(|held| !held.suspension.cleanup);
    }

    /// Why it cannot be suspended so.
    fn refusal(&self, suspension: &Suspension) -> Option<String> {
        if !suspension.callback && suspension.timer_ms.is_none() {
            let detail = "the plugin waits for neither a callback nor a time: nothing would ever wake it";
            return Some(detail.to_owned());
        }
        if self.suspensions > SUSPENSIONS_PER_STEP {
            return Some(format!("the plugin suspended this step more than {SUSPENSIONS_PER_STEP} times"));
        }
        (self.left_bytes > LEFT_BYTES_PER_STEP).then(|| {
            format!(
                "what the plugin left in all its waits has more than {LEFT_BYTES_PER_STEP} bytes in base64"
            )
        })
    }

    fn waits(&self) -> bool {
        !self.is_running && self.held.as_ref().is_some_and(|held| held.woken_by.is_none())
    }
}

fn is_callback(event: &Value) -> bool {
    event["kind"] == "callback"
}

/// Starts the next attempt.
pub(crate) fn attempt(turn: &mut Turn<'_>, plugin: &PluginRef) {
    let Body::Call(progress) = turn.body() else { return };
    progress.attempt += 1;
    progress.tries += 1;
    let started_at = turn.at();
    turn.record().attempts.push(AttemptRecord { started_at, ended_at: None, problem: None });
    ask(turn, plugin);
}

fn ask(turn: &mut Turn<'_>, plugin: &PluginRef) {
    let record = turn.record();
    record.status = Status::Running;
    record.due_at = None;
    let (step, input) = (record.id, Arc::clone(&record.input));
    let Body::Call(progress) = turn.body() else { return };
    progress.is_running = true;
    let (attempt, ask) = (progress.attempt, progress.ask(&input));
    turn.effect(Effect::Call { step, attempt, plugin: plugin.clone(), ask });
}

/// A plugin answered. Returns false when nothing waits for that answer, or the run waits on.
pub(crate) fn answered(turn: &mut Turn<'_>, attempt: u32, outcome: Outcome) -> bool {
    let Some(progress) = running(turn, attempt) else {
        return false;
    };
    progress.is_running = false;
    match outcome {
        Outcome::Done(output) => {
            progress.ends();
            close_attempt(turn, None);
            turn.done(output);
            true
        }
        Outcome::Failed(problem) | Outcome::CutOff(problem) if may_try_again(progress, &problem) => {
            let pause = problem.retry_after().unwrap_or_default();
            close_attempt(turn, Some(problem));
            turn.sleep(pause);
            false
        }
        Outcome::Failed(problem) => {
            progress.ends();
            close_attempt(turn, Some(problem.clone()));
            turn.raise_here(problem);
            true
        }
        // The plugin had no chance to tidy up.
        Outcome::CutOff(problem) => {
            close_attempt(turn, Some(problem.clone()));
            turn.raise_here(problem);
            true
        }
        Outcome::Suspended(suspension) => suspended(turn, suspension),
    }
}

fn may_try_again(progress: &Progress, problem: &Problem) -> bool {
    problem.retry_after_ms.is_some() && progress.tries < ATTEMPTS_PER_STEP
}

fn suspended(turn: &mut Turn<'_>, suspension: Suspension) -> bool {
    let at = turn.at();
    let Body::Call(progress) = turn.body() else { return false };
    progress.suspensions += 1;
    let left = suspension.state.len();
    let before = std::mem::take(&mut progress.held_bytes);
    progress.left_bytes = progress.left_bytes.saturating_add(left);
    let refused = progress.refusal(&suspension);
    let timer = suspension.timer_ms.map(Duration::from_millis);
    if !suspension.same_deadline {
        progress.deadline =
            suspension.deadline_ms.and_then(|after| at.checked_add(Duration::from_millis(after)).ok());
    }
    let deadline =
        progress.deadline.map(|deadline| Duration::try_from(deadline.duration_since(at)).unwrap_or_default());
    let is_over = suspension.same_deadline && deadline.is_some_and(|left| left.is_zero());
    progress.held = Some(Held { suspension, woken_by: None });
    (progress.tries, progress.deaths) = (0, 0);
    let refused =
        refused.map(|detail| Problem::new(kind::RUNTIME, "the step cannot be suspended", 500).detail(detail));
    turn.let_go_of(before);
    let held_bytes = turn.hold(Holder::Task, |_| left);
    if let Body::Call(progress) = turn.body() {
        progress.held_bytes = held_bytes;
    }
    let refused = refused.or(turn.check_held().err().map(|problem| *problem));
    // However much calls back: it had no more time than that.
    if let Some(problem) = refused.or_else(|| is_over.then(|| timeout("the step"))) {
        close_attempt(turn, Some(problem.clone()));
        turn.raise_here(problem);
        return true;
    }
    if !take_early(turn) {
        turn.suspend(timer, deadline);
    }
    false
}

/// A request came to the step's callback address. Returns false when the step does not want it, or the run waits on.
pub(crate) fn called_back(turn: &mut Turn<'_>, request: &Value) -> bool {
    if let Body::Call(progress) = turn.body()
        && progress.callback() == CallbackNow::Wanted
    {
        let mut event = request.clone();
        event["kind"] = json!("callback");
        let event = Arc::new(event);
        progress.early = Some(Arc::clone(&event));
        if let Err(problem) = hold_event(turn, &event) {
            turn.raise_here(*problem);
            return true;
        }
        take_early(turn);
    }
    false
}

fn hold_event(turn: &mut Turn<'_>, event: &Arc<Value>) -> Result<(), Box<Problem>> {
    let bytes = turn.hold(Holder::Task, |turn| turn.measure(event));
    turn.check_held()?;
    if let Body::Call(progress) = turn.body() {
        progress.early_bytes = bytes;
    }
    Ok(())
}

/// Resumes a step that waits for a callback with one that is there.
fn take_early(turn: &mut Turn<'_>) -> bool {
    let Body::Call(progress) = turn.body() else { return false };
    let wanted = progress.waits() && progress.held.as_ref().is_some_and(|held| held.suspension.callback);
    match progress.early.take_if(|_| wanted) {
        Some(event) => {
            progress.held_bytes += std::mem::take(&mut progress.early_bytes);
            resume(turn, event);
            true
        }
        None => false,
    }
}

fn resume(turn: &mut Turn<'_>, event: Arc<Value>) {
    if let Body::Call(Progress { held: Some(held), .. }) = turn.body() {
        held.woken_by = Some(event);
    }
    turn.end_wait();
    if let Kind::Call(call) = &turn.task().kind {
        ask(turn, &call.plugin);
    }
}

impl WayOn for Progress {
    /// A suspended step has waited long enough, or the pause between two attempts is over.
    fn woken(turn: &mut Turn<'_>) {
        match turn.body() {
            Body::Call(progress) if progress.waits() => resume(turn, Arc::new(json!({ "kind": "timer" }))),
            _ => again(turn),
        }
    }

    fn list_done(_: &mut Turn<'_>) {}

    fn caught(_: &mut Turn<'_>, problem: Problem) -> Option<Problem> {
        Some(problem)
    }

    fn branch_ended(_: &mut Turn<'_>, _: usize, _: BranchEnd) -> bool {
        true
    }

    fn waits_for_branches(&self) -> bool {
        false
    }
}

/// What an attempt came to in which the host died.
pub(crate) fn host_stopped() -> Problem {
    Problem::new(kind::RUNTIME, "the host stopped during this attempt", 500)
}

/// The host died during an attempt. Returns false when nothing waits for that attempt, or the next one is begun.
pub(crate) fn interrupted(turn: &mut Turn<'_>, attempt: u32) -> bool {
    let Some(progress) = running(turn, attempt) else {
        return false;
    };
    progress.is_running = false;
    progress.deaths += 1;
    let deaths = progress.deaths;
    close_attempt(turn, Some(host_stopped()));
    if deaths < HOST_DEATHS_PER_STEP {
        again(turn);
        return false;
    }
    let detail = format!(
        "the host stopped {deaths} times while this step was under way: it is taken for the cause and not started again"
    );
    let problem =
        Problem::new(kind::RUNTIME, "quarantined", 500).detail(detail).data(json!({ "code": "quarantined" }));
    turn.raise_here(problem);
    true
}

/// Asks once more for what the last attempt was asked for.
fn again(turn: &mut Turn<'_>) {
    if let Kind::Call(call) = &turn.task().kind {
        attempt(turn, &call.plugin);
    }
}

fn running<'t>(turn: &'t mut Turn<'_>, attempt: u32) -> Option<&'t mut Progress> {
    match turn.body() {
        Body::Call(progress) if progress.is_running && progress.attempt == attempt => Some(progress),
        _ => None,
    }
}

fn close_attempt(turn: &mut Turn<'_>, problem: Option<Problem>) {
    let at = turn.at();
    if let Some(problem) = &problem {
        let step = turn.record().id;
        turn.mask_problem(step, problem);
    }
    if let Some(attempt) = turn.record().attempts.last_mut() {
        attempt.ended_at = Some(at);
        attempt.problem = problem;
    }
}
