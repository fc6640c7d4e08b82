//! Leaving tasks otherwise than by their end: errors on their way out, timeouts, cancellation; and the end of the run.

use crate::flow::event::{Effect, End, Status, StepId};
use crate::flow::task::try_;
use crate::problem::Problem;

use super::{Body, Phase, Turn};

impl Turn<'_> {
    /// An error of the task at the top, named as its own.
    pub(crate) fn raise_here(&mut self, mut problem: Problem) {
        problem.instance = Some(self.task().reference.clone());
        self.raise(problem);
    }

    /// Takes an error outwards, to the first `try` whose list it comes from; that one judges it when it steps next.
    pub(super) fn raise(&mut self, problem: Problem) {
        self.run.answer = None;
        let problem = match self.run.frames.last() {
            Some(frame) => problem.at(&self.flow.tasks[frame.task].reference),
            None => problem,
        };
        while !self.run.frames.is_empty() {
            self.close_top(Status::Faulted, Some(problem.clone()));
            if self.tries() {
                try_::caught(self, problem);
                return;
            }
        }
        self.finish(End::Faulted(problem));
    }

    /// Whether the top of the stack runs the list of a `try`.
    fn tries(&self) -> bool {
        self.run.frames.last().is_some_and(
            |frame| matches!(&frame.body, Body::Try(progress) if progress.phase == try_::Phase::Trying),
        )
    }

    /// Ends the run with an error that nothing may catch.
    pub(super) fn fault(&mut self, problem: Problem) {
        let problem = match self.run.frames.last() {
            Some(frame) => problem.at(&self.flow.tasks[frame.task].reference),
            None => problem,
        };
        while !self.run.frames.is_empty() {
            self.close_top(Status::Faulted, Some(problem.clone()));
        }
        self.finish(End::Faulted(problem));
    }

    pub(super) fn cancel(&mut self, reason: String) {
        while !self.run.frames.is_empty() {
            self.close_top(Status::Cancelled, None);
        }
        self.finish(End::Cancelled { reason });
    }

    /// Cancels everything inside of a step, which is then the top of the stack, and what it waits for itself.
    pub(super) fn cut_down_to(&mut self, step: StepId) {
        while self.top_step().is_some_and(|top| top != step) {
            self.close_top(Status::Cancelled, None);
        }
        self.drop_question();
    }

    /// Takes the top off the stack. What it waits for is no longer wanted.
    pub(super) fn close_top(&mut self, status: Status, problem: Option<Problem>) {
        let Some(frame) = self.run.frames.pop() else {
            return;
        };
        self.drop_question();
        if matches!(&frame.body, Body::Call(progress) if progress.is_running) {
            self.effect(Effect::Abort { step: frame.step });
        }
        self.disarm_step(frame.step);
        self.undo(frame.task, frame.step, &frame.body, (status, problem.as_ref()));
        self.close_record(frame.step, status, problem);
    }

    /// Only the top of the stack asks the expression guest.
    fn drop_question(&mut self) {
        self.run.pending = None;
        self.run.answer = None;
    }

    pub(super) fn finish(&mut self, end: End) {
        self.drop_question();
        self.disarm_all();
        self.run.phase = Phase::Over;
        self.run.end = Some(end.clone());
        self.effect(Effect::Finish(end));
    }
}
