//! What must hold, read from the journal alone: the entries of a run are folded again, one by one, and looked at on the
//! way.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::deployed::schedule::Book;
use crate::engine::runs::{entries, view};
use crate::flow::{CallbackNow, Effect, End, Event, Flow, Outcome, RunState, Status};
use crate::id::{CallbackAddress, CallbackKey, RunId, TenantId};
use crate::journal::{
    Entry, Lease, MemoryStorage, Phase, RunKey, RunLog as _, RunQuery, RunRow, ScheduleRow, Storage, TimerRow,
};

use super::disk::Late;
use super::host::SCHEDULE_KEY;
use super::world::World;

#[derive(Clone)]
pub(super) struct Checker {
    pub store: Arc<MemoryStorage>,
    pub late: Late,
    pub flows: Vec<Arc<Flow>>,
    pub callback_key: CallbackKey,
    pub base_url: Arc<str>,
}

/// A run as the journal has it.
pub(super) struct Told {
    pub row: RunRow,
    pub entries: Vec<Entry>,
    pub state: RunState,
}

impl Checker {
    fn begun(&self, row: &RunRow) -> RunState {
        let flow = self.flows.iter().find(|flow| flow.id == row.flow).unwrap();
        RunState::new(flow.clone(), row.key.run).called_back_at(CallbackAddress {
            base_url: self.base_url.clone(),
            key: self.callback_key.clone(),
            tenant: row.key.tenant.clone(),
            run: row.key.run,
        })
    }

    pub fn run(&self, key: &RunKey) -> Option<Told> {
        let row = self.store.run(key).unwrap()?;
        let entries = self.store.entries(key, 0).unwrap();
        let mut state = self.begun(&row);
        for entry in &entries {
            state.advance(entry.at, entries::parse(entry).unwrap());
        }
        Some(Told { row, entries, state })
    }

    pub fn has_callback(&self, key: &RunKey, step: u32, number: u64) -> bool {
        let entries = self.store.entries(key, 0).unwrap();
        entries.iter().any(|entry| {
            matches!(
                serde_json::from_str(&entry.body),
                Ok(Event::CalledBack { step: called, request }) if called == step && request["body"]["number"] == number
            )
        })
    }

    /// Whether the journal holds the reason for an attempt to carry a step out or to undo it. Another host may have
    /// appended since.
    pub fn wanted(&self, key: &RunKey, step: u32, attempt: u32) -> Result<(), String> {
        let row = self.store.run(key).unwrap().ok_or("it has no such run")?;
        let (mut state, mut last) = (self.begun(&row), String::new());
        for entry in self.store.entries(key, 0).unwrap() {
            state.advance(entry.at, serde_json::from_str(&entry.body).unwrap());
            let wanted = state.outstanding().into_iter().any(|effect| match effect {
                Effect::Call { step: called, attempt: number, .. }
                | Effect::Undo { step: called, attempt: number, .. } => (called, number) == (step, attempt),
                _ => false,
            });
            if wanted && self.late.lock().unwrap().contains(&(key.clone(), entry.seq)) {
                return Err(format!(
                    "what asks for it was written after its lease had ended: {}",
                    entry.body
                ));
            }
            if wanted {
                return Ok(());
            }
            last = entry.body;
        }
        Err(format!("attempt {attempt} of step {step}, after {last}"))
    }

    /// A run that nobody is at work on is woken by something outside of itself.
    pub fn sleeps_soundly(&self, key: &RunKey, timers: &[TimerRow]) -> Result<(), String> {
        let Some(told) = self.run(key) else { return Ok(()) };
        let suspended = || {
            let steps = told.state.steps().iter();
            let mut steps = steps.filter(|step| step.status == Status::Suspended);
            steps.any(|step| told.state.callback(step.id) == CallbackNow::Wanted)
        };
        let timed = || timers.iter().any(|timer| timer.key == *key);
        if told.row.phase != Phase::Parked || timed() || suspended() {
            return Ok(());
        }
        Err(format!("{} is parked, and nothing will ever wake it", key.run))
    }

    /// What the entries of a run tell of how it was treated.
    pub fn history(&self, key: &RunKey, world: &World) -> Result<(), String> {
        let told = self.run(key).ok_or_else(|| format!("{} is not in the journal", key.run))?;
        let mut state = self.begun(&told.row);
        let mut applied = HashSet::new();
        for entry in &told.entries {
            let event: Event = serde_json::from_str(&entry.body).unwrap();
            let place = || format!("{} entry {}: {}", key.run, entry.seq, entry.body);
            match &event {
                Event::CalledBack { step, .. } if state.callback(*step) != CallbackNow::Wanted => {
                    return Err(format!("a callback was taken that the step did not want: {}", place()));
                }
                Event::Answered { step, outcome, .. } => {
                    if let Some(serial) = serial(outcome) {
                        if world.answered(serial) != Some((key.run, *step)) {
                            return Err(format!("nobody gave this answer: {}", place()));
                        }
                        if !applied.insert(serial) {
                            return Err(format!("an answer was applied twice: {}", place()));
                        }
                    }
                }
                Event::Fired { .. } => {
                    self.on_time(&state, entry).map_err(|why| format!("{why}: {}", place()))?;
                }
                _ => {}
            }
            state.advance(entry.at, event);
        }
        Ok(())
    }

    fn on_time(&self, state: &RunState, entry: &Entry) -> Result<(), String> {
        let Ok(Event::Fired { timer: fired }) = serde_json::from_str(&entry.body) else { return Ok(()) };
        let due = state.outstanding().into_iter().find_map(|effect| match effect {
            Effect::Timer { timer, due } if timer == fired => Some(due),
            _ => None,
        });
        match due {
            Some(due) if due > entry.at => Err(format!("a timer fired before {due}")),
            _ => Ok(()),
        }
    }

    /// What is left of a run when the world has been kind for long enough.
    pub fn over(&self, key: &RunKey, world: &World) -> Result<(), String> {
        self.history(key, world)?;
        let told = self.run(key).ok_or_else(|| format!("{} is not in the journal", key.run))?;
        let last = || told.entries.last().map(|entry| entry.body.clone()).unwrap_or_default();
        if !told.state.is_over() || told.row.phase != Phase::Ended {
            return Err(format!(
                "{} does not end: {} ({:?}) after {}",
                key.run,
                told.row.status,
                told.row.phase,
                last()
            ));
        }
        if told.row.status != view::spell(told.state.status()) || told.row.ended_at.is_none() {
            return Err(format!("{}: its head says {:?}", key.run, told.row));
        }
        for step in told.state.steps().iter().filter(|step| step.cleanup.is_some()) {
            let ended = step.cleanup.as_ref().is_some_and(|cleanup| cleanup.status == Status::Completed);
            if !ended || !world.was_undone((key.run, step.id)) {
                return Err(format!("{}: step {} was not undone: {:?}", key.run, step.id, step.cleanup));
            }
        }
        for step in told.state.steps().iter().filter(|step| step.kind == "set") {
            let mark = step.output.get("mark").and_then(serde_json::Value::as_str);
            if mark.is_some_and(|mark| mark != step.name) {
                return Err(format!(
                    "{}: step {} has the answer to another's question: {}",
                    key.run, step.name, step.output
                ));
            }
        }
        self.output(&told)
    }

    /// Every answer that a run lists was given to it, and none is listed twice.
    fn output(&self, told: &Told) -> Result<(), String> {
        let Some(End::Completed(output)) = told.state.end() else { return Ok(()) };
        let listed: Vec<u64> =
            output["list"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_u64).collect();
        let done = |serial: &u64| {
            told.entries.iter().any(|entry| {
                matches!(
                    serde_json::from_str(&entry.body),
                    Ok(Event::Answered { outcome: Outcome::Done(output), .. }) if output["serial"] == *serial
                )
            })
        };
        let once: HashSet<_> = listed.iter().collect();
        if once.len() != listed.len() || !listed.iter().all(done) {
            return Err(format!("{}: its output is {output}", told.row.key.run));
        }
        Ok(())
    }

    /// Runs that no client asked for.
    pub fn scheduled(&self) -> Vec<RunId> {
        let query = RunQuery { limit: 100_000, ..RunQuery::default() };
        let rows = self.store.runs(&TenantId::default_tenant(), &query).unwrap().items;
        rows.into_iter().filter(|row| row.trigger.is_some()).map(|row| row.key.run).collect()
    }

    /// When every run is over: each time that a schedule has had and has no more is a run, there is no other run, and each
    /// schedule has a next time.
    pub fn started_on_time(&self, schedules: &[ScheduleRow]) -> Result<(), String> {
        let current: Vec<ScheduleRow> = (&*self.store as &dyn Storage).list().unwrap();
        if let Some(row) = current.iter().find(|row| row.due.is_none()) {
            return Err(format!("a schedule waits for a run that is over: {row:?}"));
        }
        let passed = schedules.iter().filter(|row| !current.contains(row));
        let expected: BTreeSet<RunId> =
            passed.filter_map(|row| Some(Book::new(true, SCHEDULE_KEY).run_of(row, row.due?))).collect();
        let started: BTreeSet<RunId> = self.scheduled().into_iter().collect();
        match expected.symmetric_difference(&started).next() {
            Some(run) => Err(format!(
                "{run}: {} times have passed, and {} runs were started",
                expected.len(),
                started.len()
            )),
            None => Ok(()),
        }
    }

    /// What a run has come through, of what may happen to one.
    pub fn corners(&self, key: &RunKey) -> Vec<&'static str> {
        let Some(told) = self.run(key) else { return vec![] };
        let mut corners = vec![];
        let mut state = self.begun(&told.row);
        for entry in &told.entries {
            let event: Event = serde_json::from_str(&entry.body).unwrap();
            let status = state.status();
            corners.push(match &event {
                Event::Interrupted { .. } => "an attempt was interrupted",
                Event::CalledBack { .. } if status == Status::Suspended => "a callback woke a step",
                Event::CalledBack { .. } => "a callback came early",
                Event::Cancelled { .. } if status == Status::Suspended => "a suspended run was cancelled",
                Event::Cancelled { .. } if status == Status::Waiting => "a waiting run was cancelled",
                Event::Cancelled { .. } if status == Status::Running => "a run at work was cancelled",
                Event::Undone { problem: Some(_), .. } => "an undoing failed",
                Event::Undone { problem: None, .. } if state.end().is_some() => "an ended run was undone",
                Event::Undone { problem: None, .. } => "a step was undone",
                Event::Fired { .. } if status == Status::Suspended => "a time woke or ended a suspended step",
                Event::Fired { .. } => "a time passed",
                Event::Evaluated { .. } => "the guest evaluated",
                _ => "a run moved on",
            });
            state.advance(entry.at, event);
        }
        let problems = told.state.steps().iter().filter_map(|step| step.problem.as_ref());
        corners.extend(problems.map(|problem| match problem.title.as_str() {
            "quarantined" => "a step was quarantined",
            _ => "a step faulted",
        }));
        corners.push(match told.state.end() {
            Some(End::Completed(_)) => "a run completed",
            Some(End::Faulted(_)) => "a run faulted",
            _ => "a run was cancelled",
        });
        corners
    }

    /// Those of runs that nobody is at work on.
    pub fn timers(&self) -> Vec<TimerRow> {
        self.store.due(Lease(0), Timestamp::MAX, u32::MAX).unwrap()
    }
}

/// The number of an answer, where it has one.
fn serial(outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::Done(output) => output["serial"].as_u64(),
        Outcome::Suspended(suspension) => suspension.state.parse().ok(),
        Outcome::Failed(_) | Outcome::CutOff(_) => None,
    }
}
