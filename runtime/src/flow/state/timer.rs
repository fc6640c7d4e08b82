//! The due times of a run. A timer is armed once, fires once or is disarmed, and its number is never used again.

use std::time::Duration;

use jiff::Timestamp;

use crate::flow::event::{Effect, Status, StepId, TimerId};
use crate::problem::{Problem, kind};

use super::{Body, Turn};

/// A timer that has not fired.
#[derive(Debug)]
pub(super) struct Timer {
    pub due: Timestamp,
    /// None for the timer of the run.
    step: Option<StepId>,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The step, or the run, takes too long.
    Timeout,
    /// One attempt of a `try` takes too long.
    Attempt,
    /// The step goes on.
    Wake,
    /// A suspended step is given up.
    Deadline,
    /// What the step left in the world is to be undone, once more.
    Undo,
}

impl Turn<'_> {
    pub(super) fn arm(&mut self, step: Option<StepId>, why: Why, after: Duration) -> Timestamp {
        let due = self.at.checked_add(after).unwrap_or(Timestamp::MAX);
        let timer = self.run.next_timer;
        self.run.next_timer += 1;
        self.run.timers.insert(timer, Timer { due, step, why });
        self.effect(Effect::Timer { timer, due });
        due
    }

    /// The task at the top goes on after a while.
    pub(crate) fn sleep(&mut self, length: Duration) {
        let step = self.top_step();
        let due = self.arm(step, Why::Wake, length);
        let record = self.record();
        record.status = Status::Waiting;
        record.due_at = Some(due);
    }

    /// The call at the top waits for the world. At `timer` it goes on if nothing has woken it; at `deadline` it is given up.
    pub(crate) fn suspend(&mut self, timer: Option<Duration>, deadline: Option<Duration>) {
        let step = self.top_step();
        let timer = timer.map(|after| self.arm(step, Why::Wake, after));
        let deadline = deadline.map(|after| self.arm(step, Why::Deadline, after));
        let record = self.record();
        record.status = Status::Suspended;
        record.due_at = [timer, deadline].into_iter().flatten().min();
    }

    /// The world has answered.
    pub(crate) fn end_wait(&mut self) {
        let step = self.top_step();
        self.disarm(|armed| armed.step == step && matches!(armed.why, Why::Wake | Why::Deadline));
    }

    /// The attempt of the `try` at the top must end within this time.
    pub(crate) fn arm_attempt(&mut self, limit: Duration) {
        let step = self.top_step();
        self.arm(step, Why::Attempt, limit);
    }

    pub(crate) fn disarm_own_attempt(&mut self) {
        let step = self.top_step();
        self.disarm(|armed| armed.step == step && armed.why == Why::Attempt);
    }

    pub(super) fn disarm_step(&mut self, step: StepId) {
        self.disarm(|armed| armed.step == Some(step) && armed.why != Why::Undo);
    }

    pub(super) fn disarm_all(&mut self) {
        self.disarm(|armed| armed.why != Why::Undo);
    }

    fn disarm(&mut self, unwanted: impl Fn(&Timer) -> bool) {
        let effects = &mut self.effects;
        self.run.timers.retain(|timer, armed| {
            let gone = unwanted(armed);
            if gone {
                effects.push(Effect::Disarm { timer: *timer });
            }
            !gone
        });
    }

    /// A timer is due. Returns false when the run has nothing to go on with.
    pub(super) fn fired(&mut self, timer: TimerId) -> bool {
        let Some(armed) = self.run.timers.remove(&timer) else {
            return false;
        };
        if let (Some(step), true) = (armed.step, armed.why != Why::Undo)
            && !self.go_to_step(step)
        {
            debug_assert!(false, "the timers of a step go when it is left");
            return false;
        }
        match (armed.step, armed.why) {
            (None, _) => self.fault(timeout("the run")),
            (Some(step), Why::Wake) => self.wake(step),
            (Some(step), Why::Timeout) => {
                self.cut_down_to(step);
                self.raise_here(timeout("the task"));
            }
            (Some(step), Why::Deadline) => {
                debug_assert_eq!(self.top_step(), Some(step), "only the top of a stack waits");
                self.raise_here(timeout("the step"));
            }
            (Some(step), Why::Undo) => {
                self.undo_again(step);
                return false;
            }
            (Some(step), Why::Attempt) => {
                self.cut_down_to(step);
                let reference = &self.task().reference;
                let problem = timeout("an attempt").at(reference);
                let uncaught = Body::caught(self, problem);
                debug_assert_eq!(uncaught, None, "the timer of an attempt goes when the attempt ends");
            }
        }
        true
    }

    fn wake(&mut self, step: StepId) {
        debug_assert_eq!(self.top_step(), Some(step), "only the top of a stack sleeps");
        let record = self.record();
        record.status = Status::Running;
        record.due_at = None;
        Body::woken(self);
    }
}

/// What took longer than it may.
pub(crate) fn timeout(what: &str) -> Problem {
    Problem::new(kind::TIMEOUT, "it took too long", 408)
        .detail(format!("{what} took longer than it may"))
        .data(serde_json::json!({ "code": "timeout" }))
}
