//! Undoing what a suspended step left in the world: its plugin's `cancel`, called after the step is over, tried again
//! until it succeeds, and shown at the step. The run goes on meanwhile, and its end does not wait for it.

use std::sync::Arc;

use crate::flow::event::{ATTEMPTS_TO_UNDO, CleanupRecord, Effect, Status, StepId};
use crate::id::PluginRef;
use crate::problem::{Problem, kind};

use super::timer::Why;
use super::{Body, Kind, Turn};

/// A `cancel` that has not succeeded yet.
#[derive(Debug)]
pub(super) struct Undoing {
    plugin: PluginRef,
    state: Arc<str>,
    reason: &'static str,
    attempt: u32,
    is_running: bool,
}

impl Undoing {
    pub fn is_running(&self) -> bool {
        self.is_running
    }

    pub fn awaits(&self, attempt: u32) -> bool {
        self.is_running && self.attempt == attempt
    }

    /// The call of the plugin's `cancel` that is under way. None while the undoing rests.
    pub fn effect(&self, step: StepId) -> Option<Effect> {
        self.is_running.then(|| Effect::Undo {
            step,
            attempt: self.attempt,
            plugin: self.plugin.clone(),
            state: Arc::clone(&self.state),
            reason: self.reason,
        })
    }
}

impl Turn<'_> {
    /// A step is left, with this end. What it left behind in the world is undone.
    pub(super) fn undo(&mut self, task: usize, step: StepId, body: &Body, end: (Status, Option<&Problem>)) {
        let (Body::Call(progress), Kind::Call(call)) = (body, &self.flow.tasks[task].kind) else { return };
        let Some(state) = progress.left_behind() else { return };
        let reason = match end {
            (Status::Completed, _) => "completed",
            (Status::Faulted, Some(problem)) if problem.kind == kind::TIMEOUT => "timeout",
            (Status::Faulted, _) => "failed",
            _ => "cancelled",
        };
        let (plugin, state) = (call.plugin.clone(), Arc::clone(state));
        self.run.undoing.insert(step, Undoing { plugin, state, reason, attempt: 0, is_running: false });
        self.undo_again(step);
    }

    /// Begins the next attempt.
    pub(super) fn undo_again(&mut self, step: StepId) {
        let Some(undoing) = self.run.undoing.get_mut(&step) else { return };
        undoing.attempt += 1;
        undoing.is_running = true;
        let (attempts, effect) = (undoing.attempt, undoing.effect(step));
        self.effects.extend(effect);
        self.show(step, CleanupRecord { status: Status::Running, attempts, problem: None, due_at: None });
    }

    /// The plugin answered to an attempt.
    pub(super) fn undone(&mut self, step: StepId, attempt: u32, problem: Option<Problem>) {
        let Some(undoing) = self.run.undoing.get_mut(&step) else { return };
        if !undoing.awaits(attempt) {
            return;
        }
        undoing.is_running = false;
        let (status, due_at) = match &problem {
            // What is written wrong does not get better.
            Some(problem) if attempt < ATTEMPTS_TO_UNDO && problem.kind != kind::VALIDATION => {
                (Status::Waiting, Some(self.arm(Some(step), Why::Undo, problem.pause_after(attempt))))
            }
            Some(_) => (Status::Faulted, None),
            None => (Status::Completed, None),
        };
        if due_at.is_none() {
            self.run.undoing.remove(&step);
        }
        self.show(step, CleanupRecord { status, attempts: attempt, problem, due_at });
    }

    fn show(&mut self, step: StepId, cleanup: CleanupRecord) {
        if let Some(record) = self.record_of(step) {
            record.cleanup = Some(Box::new(cleanup));
        }
    }
}
