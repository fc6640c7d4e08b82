//! A run as a value: [`RunState::advance`] takes what happened and says what to do next, and nothing else.
//!
//! No clock, no chance, no input or output: the same events give the same state, which is how a run is found again
//! after a crash. An event that does not fit (a late answer, a timer that was disarmed) changes nothing.
//!
//! - `branch`: the lines of tasks that are under way; a run has one, and one more to each branch of a `fork`
//! - `frame`: the stack of a branch, one frame to each task that was entered and not left
//! - `stage`: moving the top of the stack forward
//! - `unwind`: errors, timeouts, the end
//! - `scope`: expressions and the variables they see
//! - `undo`: what suspended steps left in the world
//! - `timer`, `history`: due times, step records
//!
//! What a kind of task does in its frame is in [`task`](super::task).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use flowcell_plugin_json_schema::MEETINGS;
use jiff::Timestamp;
use serde_json::Value;

use crate::id::{CallbackAddress, RunId};
use crate::problem::Problem;

use super::definition::{Flow, ListIndex};
use super::event::{Effect, End, EvaluationId, Event, Status, StepId, StepRecord, TimerId};
use super::expression::Budget;
use super::mask::{Mask, MaskedTexts};
use super::needs::Needs;
pub(crate) use super::task::Body;
use super::task::{Kind, Then, call};

mod branch;
mod frame;
mod history;
mod scope;
mod stage;
mod timer;
mod undo;
mod unwind;

#[cfg(test)]
mod tests;

pub(crate) use branch::Holder;
use branch::{BranchId, Branches, TRUNK};
use frame::Frame;
use scope::GuestQuestion;
use scope::size;
pub(crate) use scope::{admit, truthy};
use timer::Timer;
pub(crate) use timer::timeout;
use undo::Undoing;

pub(crate) use super::task::call::CallbackNow;

/// The most tasks that one event may enter: a loop of jumps in which nothing waits ends here.
const TASKS_PER_EVENT: u32 = 10_000;
/// How many bytes the native evaluator may copy and make for one event of a small run, about: some milliseconds. Then the
/// expression guest evaluates, under the tenant's quotas and off this thread.
const BYTES_PER_SMALL_EVENT: i64 = 4 * 1024 * 1024;
/// The same of a large run: what it takes to build the largest values that a run may hold. Whoever moves a large run does it
/// where nobody waits for it.
const BYTES_PER_LARGE_EVENT: i64 = 256 * 1024 * 1024;
/// How far one event may overdraw that, in times of it. Schemas, records and variables charge it as well, and are not
/// refused.
const OVERDRAFT_PER_EVENT: i64 = 16;
/// A run is large once its events have brought more bytes than this, as JSON text, about; or once one of them has used up what
/// the evaluator has for a small run.
const SMALL_RUN: usize = 256 * 1024;
/// The edition of these limits that runs begin with. In the edition before every run was a large one.
pub(crate) const EDITION: u8 = 1;
/// How often parts of plain schemas may meet parts of values for one event. Then the schema guest compares.
const MEETINGS_PER_EVENT: usize = 8 * MEETINGS;
/// The most tasks that a run may enter.
const TASKS_PER_RUN: u32 = 100_000;

/// One run, as far as its events tell.
#[derive(Debug)]
pub struct RunState {
    flow: Arc<Flow>,
    run: RunId,
    /// Where the world answers. None on a host that nobody can call.
    callbacks: Option<CallbackAddress>,
    phase: Phase,
    end: Option<End>,
    started_at: Timestamp,
    /// As it came.
    raw: Arc<Value>,
    /// After `input.from`.
    input: Arc<Value>,
    context: Arc<Value>,
    /// What stands in a record where there is nothing yet.
    null: Arc<Value>,
    branches: Branches,
    timers: BTreeMap<TimerId, Timer>,
    next_timer: TimerId,
    undoing: BTreeMap<StepId, Undoing>,
    next_evaluation: EvaluationId,
    steps: Vec<StepRecord>,
    changed: Vec<StepId>,
    history_bytes: usize,
    /// The masked texts among the values that have passed.
    hidden: MaskedTexts,
    /// Why the run can give no answer any more, once it cannot.
    answered: Option<String>,
    entered: u32,
    /// About how many bytes of JSON text its events have brought.
    brought: usize,
    is_large: bool,
}

/// Where the run stands outside of its tasks.
#[derive(Debug)]
enum Phase {
    Pending,
    /// Its raw input is compared with its schema.
    Schema,
    Input,
    Tasks,
    Output(Arc<Value>),
    Over,
}

/// What a task's own work came to.
pub(crate) enum Next {
    /// Done, with the raw output.
    Done(Arc<Value>),
    /// Done, and the task itself says where the run goes.
    Jump(Arc<Value>, Then),
    /// A list is to be run, with this input.
    Enter(ListIndex, Arc<Value>),
}

/// Why a stage did not come to its end.
pub(crate) enum Stop {
    /// It waits for an event.
    Park,
    /// An error that a `try` may catch.
    Fault(Box<Problem>),
    /// An error that ends the run.
    Fatal(Box<Problem>),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Self::Fault(Box::new(problem))
    }
}

impl From<Box<Problem>> for Stop {
    fn from(problem: Box<Problem>) -> Self {
        Self::Fault(problem)
    }
}

/// One event being taken.
pub(crate) struct Turn<'a> {
    run: &'a mut RunState,
    flow: &'a Flow,
    at: Timestamp,
    /// The branch that is moved.
    branch: BranchId,
    /// The branches that a fork has begun and that were not moved yet.
    begun: VecDeque<BranchId>,
    effects: Vec<Effect>,
    entered: u32,
    budget: Budget,
    /// How far the budget may be overdrawn.
    overdraft: i64,
    /// How many are left of [`MEETINGS_PER_EVENT`].
    meetings: usize,
    /// The value that was measured last, which the next task often hands on.
    measured: Option<(Arc<Value>, usize)>,
}

impl RunState {
    /// A run that has not begun.
    pub fn new(flow: Arc<Flow>, run: RunId) -> Self {
        let null = Arc::new(Value::Null);
        Self {
            flow,
            run,
            callbacks: None,
            phase: Phase::Pending,
            end: None,
            started_at: Timestamp::UNIX_EPOCH,
            raw: Arc::clone(&null),
            input: Arc::clone(&null),
            context: Arc::clone(&null),
            null,
            branches: Branches::new(),
            timers: BTreeMap::new(),
            next_timer: 0,
            undoing: BTreeMap::new(),
            next_evaluation: 0,
            steps: Vec::new(),
            changed: Vec::new(),
            history_bytes: 0,
            hidden: MaskedTexts::default(),
            answered: None,
            entered: 0,
            brought: 0,
            is_large: false,
        }
    }

    /// The same, with addresses under which its steps can be called back.
    pub(crate) fn called_back_at(mut self, callbacks: CallbackAddress) -> Self {
        self.callbacks = Some(callbacks);
        self
    }

    /// Takes an event that happened at that time, and says what is to be done about it.
    pub fn advance(&mut self, at: Timestamp, event: Event) -> Vec<Effect> {
        let flow = Arc::clone(&self.flow);
        self.is_large = self.is_large_with(&event);
        self.brought = self.brought.saturating_add(brought(&event));
        let bytes = if self.is_large { BYTES_PER_LARGE_EVENT } else { BYTES_PER_SMALL_EVENT };
        let mut turn = Turn {
            run: self,
            flow: &flow,
            at,
            branch: TRUNK,
            begun: VecDeque::new(),
            effects: Vec::new(),
            entered: 0,
            budget: Budget::new(bytes),
            overdraft: OVERDRAFT_PER_EVENT * bytes,
            meetings: MEETINGS_PER_EVENT,
            measured: None,
        };
        if turn.take(event) {
            turn.go_on();
        }
        let has_used_it_up = turn.budget.is_used_up();
        let mut effects = turn.effects;
        self.is_large |= has_used_it_up;
        // A branch may have asked something before another branch cancelled it.
        effects.retain(|effect| effect.evaluation().is_none() || self.awaits(effect));
        effects
    }

    /// Whether the event makes this a run that is moved on where nobody waits for it: to take the event may be much work.
    pub(crate) fn is_large_with(&self, event: &Event) -> bool {
        matches!(event, Event::Started { edition: 0, .. }) || self.is_large_after(brought(event))
    }

    /// The same of an event that brings so many bytes.
    pub(crate) fn is_large_after(&self, bytes: usize) -> bool {
        self.is_large || self.brought.saturating_add(bytes) > SMALL_RUN
    }

    /// The evaluations, the calls and the timers that have no answer yet, to be issued again after a fold.
    pub fn outstanding(&self) -> Vec<Effect> {
        let evaluations =
            self.branches.iter().filter_map(|branch| branch.pending.as_ref().map(GuestQuestion::effect));
        let calls = self.branches.leaves().filter_map(|frame| self.running_call(frame));
        let undoing = self.undoing.iter().filter_map(|(step, undoing)| undoing.effect(*step));
        let timers = self.timers.iter().map(|(timer, armed)| Effect::Timer { timer: *timer, due: armed.due });
        evaluations.chain(calls).chain(undoing).chain(timers).collect()
    }

    /// The question of that number, while it has no answer.
    pub(crate) fn question(&self, id: EvaluationId) -> Option<Effect> {
        let asking = self.branches.iter().find(|branch| branch.asks(id))?;
        asking.pending.as_ref().map(GuestQuestion::effect)
    }

    /// Whether a call of another step is begun and has not ended.
    pub(crate) fn is_busy_beside(&self, step: StepId) -> bool {
        let begun = |leaf: &Frame| matches!(&leaf.body, Body::Call(call) if call.attempt > 0);
        self.branches.leaves().any(|leaf| leaf.step != step && begun(leaf))
    }

    /// Whether the run still waits for the answer to an effect.
    pub(crate) fn awaits(&self, effect: &Effect) -> bool {
        match effect {
            Effect::Evaluate { id, .. } | Effect::Validate { id, .. } => {
                self.branches.iter().any(|branch| branch.asks(*id))
            }
            // One attempt may ask several times: each time that its step is resumed.
            Effect::Call { step, .. } => {
                self.leaf(*step).and_then(|leaf| self.running_call(leaf)).as_ref() == Some(effect)
            }
            Effect::Undo { step, attempt, .. } => {
                self.undoing.get(step).is_some_and(|undoing| undoing.awaits(*attempt))
            }
            _ => false,
        }
    }

    fn running_call(&self, frame: &Frame) -> Option<Effect> {
        let (Body::Call(progress), Kind::Call(call)) = (&frame.body, &self.flow.tasks[frame.task].kind)
        else {
            return None;
        };
        progress.is_running.then(|| Effect::Call {
            step: frame.step,
            attempt: progress.attempt,
            plugin: call.plugin.clone(),
            ask: progress.ask(&self.steps[frame.step as usize].input),
        })
    }

    /// What a request to the callback address of a step comes to now.
    pub(crate) fn callback(&self, step: StepId) -> CallbackNow {
        match self.leaf(step) {
            Some(Frame { body: Body::Call(progress), .. }) => progress.callback(),
            _ => CallbackNow::Over,
        }
    }

    /// Where the run stands.
    pub fn status(&self) -> Status {
        match &self.end {
            Some(End::Completed(_)) => Status::Completed,
            Some(End::Faulted(_)) => Status::Faulted,
            Some(End::Cancelled { .. }) => Status::Cancelled,
            None if matches!(self.phase, Phase::Pending) => Status::Pending,
            None => self.status_under_way(),
        }
    }

    /// Of several branches the busiest counts: a working one before one that the world must wake, that before one that sleeps.
    fn status_under_way(&self) -> Status {
        if self.branches.iter().any(|branch| branch.pending.is_some()) {
            return Status::Running;
        }
        let mut waits = None;
        for leaf in self.branches.leaves() {
            match self.steps[leaf.step as usize].status {
                Status::Suspended => waits = Some(Status::Suspended),
                Status::Waiting => waits = waits.or(Some(Status::Waiting)),
                _ => return Status::Running,
            }
        }
        waits.unwrap_or(Status::Running)
    }

    /// How it ended.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// Whether something is asked of a guest that has not answered.
    pub(crate) fn has_work(&self) -> bool {
        self.branches.iter().any(|branch| branch.pending.is_some())
            || self.branches.leaves().any(|leaf| matches!(&leaf.body, Body::Call(call) if call.is_running))
            || self.undoing.values().any(Undoing::is_running)
    }

    /// Whether nothing more will happen: it has ended, and nothing is left to be undone.
    pub(crate) fn is_over(&self) -> bool {
        self.end.is_some() && self.undoing.is_empty()
    }

    /// The raw input, once the run has begun.
    pub fn input(&self) -> Option<&Value> {
        (!matches!(self.phase, Phase::Pending)).then_some(&self.raw)
    }

    /// One record to each task that was entered, in that order.
    pub fn steps(&self) -> &[StepRecord] {
        &self.steps
    }

    /// A text of another run of the same flow, with the placeholders of that run's secrets replaced by those of this run.
    pub(crate) fn with_placeholders_of(&self, other: &Self, text: &str) -> String {
        let mut text = text.to_owned();
        if let (Some(own), Some(others)) = (&self.callbacks, &other.callbacks) {
            for name in self.flow.needs.secrets.iter() {
                text = text.replace(&others.placeholder(name), &own.placeholder(name));
            }
        }
        text
    }

    /// What a step may use of the vault: the secrets of its flow, and the connections that it names itself.
    pub(crate) fn needs(&self, step: StepId) -> Arc<Needs> {
        let all = &self.flow.needs;
        if all.connections.is_empty() {
            return Arc::clone(all);
        }
        let reference = self.steps.get(step as usize).map(|record| record.reference.as_str());
        let task = self.flow.tasks.iter().find(|task| Some(task.reference.as_str()) == reference);
        match task.map(|task| &task.kind) {
            Some(Kind::Call(call)) => Arc::new(all.of_step(&call.connections)),
            _ => Arc::new(all.of_step(&[].into())),
        }
    }

    /// What the history does not show of the run, as far as it has come.
    pub(crate) fn hidden(&self) -> &MaskedTexts {
        &self.hidden
    }

    /// The mask of a step's task.
    pub(crate) fn mask(&self, step: StepId) -> Option<&Mask> {
        let record = self.steps.get(step as usize)?;
        let task =
            self.flow.tasks.iter().find(|task| task.mask.is_some() && task.reference == record.reference);
        task?.mask.as_ref()
    }

    /// A step as the history shows it.
    pub(crate) fn shown(&self, step: StepId) -> Option<StepRecord> {
        let record = self.steps.get(step as usize)?;
        Some(self.as_shown(record.clone()))
    }

    /// One of its records, perhaps of an earlier time, as the history shows it now.
    pub(crate) fn as_shown(&self, record: StepRecord) -> StepRecord {
        let mask = self.mask(record.id);
        self.hidden.step(record, mask)
    }

    /// The steps whose records have changed since the last call, each once, in order.
    pub fn take_changed(&mut self) -> Vec<StepId> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// The definition that it runs.
    pub fn flow(&self) -> &Arc<Flow> {
        &self.flow
    }
}

/// About how many bytes of JSON text the value has that an event brings.
fn brought(event: &Event) -> usize {
    event.value().and_then(|value| size(value, usize::MAX)).unwrap_or_default()
}

impl<'a> Turn<'a> {
    /// Whether the run can be moved on after the event.
    fn take(&mut self, event: Event) -> bool {
        match (&self.run.phase, event) {
            (_, Event::Undone { step, attempt, problem }) => {
                self.undone(step, attempt, problem);
                false
            }
            // A step that is over has no attempt of its own: the interrupted attempt was one to undo it.
            (_, Event::Interrupted { step, attempt }) if self.run.undoing.contains_key(&step) => {
                self.undone(step, attempt, Some(call::host_stopped()));
                false
            }
            // A run that is over takes timers too: those of its undoings.
            (_, Event::Fired { timer }) => self.fired(timer),
            (Phase::Over, _) => false,
            (Phase::Pending, Event::Started { input, base_url, .. }) => {
                if let (Some(base_url), Some(callbacks)) = (base_url, &mut self.run.callbacks) {
                    callbacks.base_url = base_url;
                }
                self.start(input);
                true
            }
            (_, Event::Cancelled { reason }) => {
                self.cancel(reason);
                false
            }
            (Phase::Pending, _) => false,
            (_, Event::Evaluated { id, result }) => self.evaluated(id, result),
            (_, Event::Answered { step, attempt, outcome }) => {
                self.go_to_top(step) && call::answered(self, attempt, outcome)
            }
            (_, Event::Interrupted { step, attempt }) => {
                self.go_to_top(step) && call::interrupted(self, attempt)
            }
            (_, Event::CalledBack { step, request }) => {
                self.go_to_top(step) && call::called_back(self, &request)
            }
            (_, Event::CallerLeft { reason }) => {
                self.run.answered.get_or_insert(reason);
                false
            }
            (_, Event::Started { .. }) => false,
        }
    }

    /// When the event happened.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Takes the run's one chance to answer. The error says why it is gone.
    pub(crate) fn take_reply(&mut self) -> Result<(), String> {
        match &self.run.answered {
            Some(reason) => Err(reason.clone()),
            None => {
                self.run.answered = Some("this run has given its answer already".to_owned());
                Ok(())
            }
        }
    }

    /// A number that belongs to this step of this run: chance that comes out the same in every fold.
    pub(crate) fn seed(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.run.run.as_bytes());
        hasher.update(&self.top_step().unwrap_or_default().to_le_bytes());
        let digest = hasher.finalize();
        let mut word = [0; 8];
        word.copy_from_slice(&digest.as_bytes()[..8]);
        u64::from_le_bytes(word)
    }
}
