//! Leaving tasks before they are done: by an error, a timeout or a cancellation. And the end of the run.

use crate::flow::event::{Effect, End, Status, StepId};
use crate::problem::Problem;

use super::branch::ErrorReach;
use super::{Body, Branches, Phase, Turn};

impl Turn<'_> {
    /// Raises an error of the task at the top, under that task's name.
    pub(crate) fn raise_here(&mut self, mut problem: Problem) {
        problem.instance = Some(self.task().reference.clone());
        self.raise(problem);
    }

    /// Takes an error outwards, to the first task that catches it. That one judges it when it steps next.
    pub(super) fn raise(&mut self, problem: Problem) {
        self.here_mut().answer = None;
        let mut problem = self.at_top(problem);
        loop {
            while !self.here().frames.is_empty() {
                self.close_top(Status::Faulted, Some(problem.clone()));
                if self.top_step().is_none() {
                    break;
                }
                match Body::caught(self, problem) {
                    None => return,
                    Some(uncaught) => problem = uncaught,
                }
            }
            match self.fail_branch(&problem) {
                ErrorReach::Branch => return,
                ErrorReach::Fork => {}
                ErrorReach::Run => return self.finish(End::Faulted(problem)),
            }
        }
    }

    /// Ends the run with an error that nothing may catch.
    pub(super) fn fault(&mut self, problem: Problem) {
        let problem = self.at_top(problem);
        self.leave_all(|turn| turn.close_top(Status::Faulted, Some(problem.clone())));
        self.finish(End::Faulted(problem));
    }

    fn at_top(&self, problem: Problem) -> Problem {
        match self.here().frames.last() {
            Some(frame) => problem.at(&self.flow.tasks[frame.task].reference),
            None => problem,
        }
    }

    /// Leaves every task of this branch and every task around it. Other branches are cancelled with their forks.
    pub(super) fn leave_all(&mut self, mut close_top: impl FnMut(&mut Self)) {
        loop {
            while !self.here().frames.is_empty() {
                close_top(self);
            }
            if self.leave_branch().is_none() {
                return;
            }
        }
    }

    pub(super) fn cancel(&mut self, reason: String) {
        self.leave_all(|turn| turn.close_top(Status::Cancelled, None));
        self.finish(End::Cancelled { reason });
    }

    /// Cancels everything inside of a step of this branch, and the question of that step. The step is then at the top.
    pub(super) fn cut_down_to(&mut self, step: StepId) {
        while self.top_step().is_some_and(|top| top != step) {
            self.close_top(Status::Cancelled, None);
        }
        self.drop_question();
    }

    /// Takes the top off the stack. Its call, its timers, its question and its branches end with it.
    pub(super) fn close_top(&mut self, status: Status, problem: Option<Problem>) {
        let Some(frame) = self.here_mut().frames.pop() else {
            return;
        };
        self.let_go(&frame);
        if frame.body.waits_for_branches() {
            self.cancel_branches_of(frame.step);
        }
        self.drop_question();
        if matches!(&frame.body, Body::Call(progress) if progress.is_running) {
            self.effect(Effect::Abort { step: frame.step });
        }
        self.disarm_step(frame.step);
        self.undo(frame.task, frame.step, &frame.body, (status, problem.as_ref()));
        self.close_record(frame.step, status, problem);
    }

    /// Only the top of a stack asks the expression guest.
    fn drop_question(&mut self) {
        let branch = self.here_mut();
        branch.pending = None;
        branch.answer = None;
    }

    pub(super) fn finish(&mut self, end: End) {
        self.run.branches = Branches::new();
        self.disarm_all();
        self.run.phase = Phase::Over;
        self.run.end = Some(end.clone());
        self.effect(Effect::Finish(end));
    }
}
