//! The branches of a run: its own line of tasks, which is the trunk, and one line to each branch of a `fork` that is under
//! way. One branch takes an event. A turn moves that branch until it waits, then the branches that it has begun.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::flow::definition::ListIndex;
use crate::flow::event::{EvaluationId, Status, StepId};
use crate::flow::task::{Body, BranchEnd};
use crate::problem::{Problem, kind};

use super::frame::Frame;
use super::scope::{GuestAnswer, GuestQuestion, VALUE_BYTES, admit, too_large};
use super::{RunState, Stop, Turn};

/// The ordinal of a branch in its run.
pub(super) type BranchId = u32;

/// The run's own line of tasks.
pub(super) const TRUNK: BranchId = 0;
/// About how many bytes of JSON text the branches of one run may hold at the same time. One value may have half of that.
const HELD_BYTES: usize = 2 * VALUE_BYTES;

/// A line of tasks: one frame to each that was entered and not left.
#[derive(Debug, Default)]
pub(super) struct Branch {
    /// None for the trunk.
    of: Option<Parent>,
    pub frames: Vec<Frame>,
    pub pending: Option<GuestQuestion>,
    /// The answer to what was pending, until the stage that asked takes it.
    pub answer: Option<GuestAnswer>,
    /// Whether its last task was skipped.
    pub was_skipped: bool,
}

impl Branch {
    /// Whether the branch waits for the answer to this question.
    pub fn asks(&self, id: EvaluationId) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.id == id)
    }
}

/// The fork that a branch is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parent {
    branch: BranchId,
    fork: StepId,
    /// The branch's position among its siblings.
    position: usize,
}

/// The branches of one run. The trunk is always there.
#[derive(Debug)]
pub(super) struct Branches {
    all: BTreeMap<BranchId, Branch>,
    next: BranchId,
    /// About how many bytes of JSON text they hold.
    held: usize,
}

impl Branches {
    pub fn new() -> Self {
        Self { all: BTreeMap::from([(TRUNK, Branch::default())]), next: TRUNK + 1, held: 0 }
    }

    /// In the order in which they began.
    pub fn iter(&self) -> impl Iterator<Item = &Branch> {
        self.all.values()
    }

    /// The tops of the stacks, but for tasks that wait for branches of their own.
    pub fn leaves(&self) -> impl Iterator<Item = &Frame> {
        self.iter().filter_map(|branch| branch.frames.last()).filter(|top| !top.body.waits_for_branches())
    }

    pub fn get(&self, id: BranchId) -> &Branch {
        self.all
            .get(&id)
            .expect("a turn stands in a branch that is there: a turn that ends one moves on to its fork")
    }

    fn get_mut(&mut self, id: BranchId) -> &mut Branch {
        self.all
            .get_mut(&id)
            .expect("a turn stands in a branch that is there: a turn that ends one moves on to its fork")
    }

    /// From a branch outwards to the trunk.
    pub fn outwards(&self, from: BranchId) -> impl Iterator<Item = &Branch> {
        let of = |id: &BranchId| self.get(*id).of.map(|parent| parent.branch);
        std::iter::successors(Some(from), of).map(|id| self.get(id))
    }

    fn find(&self, wanted: impl Fn(&Branch) -> bool) -> Option<BranchId> {
        self.all.iter().find_map(|(id, branch)| wanted(branch).then_some(*id))
    }
}

impl RunState {
    /// The frame of a step that is at the top of a branch.
    pub(super) fn leaf(&self, step: StepId) -> Option<&Frame> {
        self.branches.leaves().find(|frame| frame.step == step)
    }
}

impl Turn<'_> {
    /// The branch that is moved.
    pub(super) fn here(&self) -> &Branch {
        self.run.branches.get(self.branch)
    }

    pub(super) fn here_mut(&mut self) -> &mut Branch {
        self.run.branches.get_mut(self.branch)
    }

    /// From now on the turn moves the branch at whose top the step is. Returns false when there is none.
    pub(super) fn go_to_top(&mut self, step: StepId) -> bool {
        self.go_to(|branch| branch.frames.last().is_some_and(|top| top.step == step))
    }

    /// From now on the turn moves the branch in which the step is. Returns false when there is none.
    pub(super) fn go_to_step(&mut self, step: StepId) -> bool {
        self.go_to(|branch| branch.frames.iter().any(|frame| frame.step == step))
    }

    pub(super) fn go_to(&mut self, wanted: impl Fn(&Branch) -> bool) -> bool {
        let found = self.run.branches.find(wanted);
        self.branch = found.unwrap_or(self.branch);
        found.is_some()
    }

    /// Goes on with a branch that was begun and not moved yet. Returns false when there is none.
    pub(super) fn go_to_next(&mut self) -> bool {
        while let Some(next) = self.begun.pop_front() {
            if self.run.branches.all.contains_key(&next) {
                self.branch = next;
                return true;
            }
        }
        false
    }

    /// The task around the next one of this branch.
    pub(super) fn around(&self) -> Option<&Frame> {
        let branch = self.here();
        branch.frames.last().or_else(|| self.run.branches.get(branch.of?.branch).frames.last())
    }

    /// The outputs of branches as one value, which is a copy of them.
    pub(crate) fn gather(&mut self, outputs: Vec<Arc<Value>>) -> Result<Arc<Value>, Box<Problem>> {
        let bytes = outputs.iter().map(|output| self.measure(output)).sum();
        self.budget.charge(bytes);
        if bytes > VALUE_BYTES {
            return Err(Box::new(too_large()));
        }
        let output = Value::Array(outputs.into_iter().map(Arc::unwrap_or_clone).collect());
        admit(&output)?;
        Ok(Arc::new(output))
    }

    /// Begins one branch for each of these lists, with the input of the task at the top.
    pub(crate) fn fork(&mut self, lists: &[ListIndex]) -> Result<(), Stop> {
        let input = self.input();
        let (branch, fork) = (self.branch, self.frame().step);
        for (position, list) in lists.iter().enumerate() {
            let branches = &mut self.run.branches;
            let id = branches.next;
            branches.next += 1;
            let of = Some(Parent { branch, fork, position });
            branches.all.insert(id, Branch { of, ..Branch::default() });
            self.begun.push_back(id);
            self.branch = id;
            self.enter(*list, 0, Arc::clone(&input))?;
        }
        self.branch = branch;
        Ok(())
    }

    /// The list of this branch is done: goes on with the task that the branch is of. Returns false for the trunk.
    pub(super) fn end_branch(&mut self, output: &Arc<Value>) -> Result<bool, Stop> {
        let was_skipped = self.here().was_skipped;
        let Some(parent) = self.leave_branch() else { return Ok(false) };
        let is_handed_on = Arc::ptr_eq(&self.frame().input, output);
        if !is_handed_on {
            self.hold(Holder::Fork, |turn| turn.measure(output));
            self.check_held()?;
        }
        let output = Arc::clone(output);
        let end = if was_skipped { BranchEnd::Skipped(output) } else { BranchEnd::Completed(output) };
        Body::branch_ended(self, parent.position, end);
        Ok(true)
    }

    /// An error has left the last task of this branch.
    pub(super) fn fail_branch(&mut self, problem: &Problem) -> ErrorReach {
        match self.leave_branch() {
            None => ErrorReach::Run,
            Some(parent) if Body::branch_ended(self, parent.position, BranchEnd::Failed(problem.clone())) => {
                ErrorReach::Branch
            }
            Some(_) => ErrorReach::Fork,
        }
    }

    /// Goes on with the fork that this branch is of, and forgets the branch. None when this is the trunk.
    pub(super) fn leave_branch(&mut self) -> Option<Parent> {
        let parent = self.here().of?;
        self.run.branches.all.remove(&self.branch);
        self.branch = parent.branch;
        Some(parent)
    }

    /// Cancels what is left of the branches of the task at the top.
    pub(crate) fn cancel_branches(&mut self) {
        let fork = self.frame().step;
        self.cancel_branches_of(fork);
    }

    pub(super) fn cancel_branches_of(&mut self, fork: StepId) {
        let here = self.branch;
        while self.go_to(|branch| branch.of.is_some_and(|parent| parent.fork == fork)) {
            while !self.here().frames.is_empty() {
                self.close_top(Status::Cancelled, None);
            }
            self.leave_branch();
        }
        self.branch = here;
    }

    /// Counts what the task at the top holds, until the task is left or lets go of it. Returns how much was counted. What is
    /// too much is refused by [`Turn::check_held`], as soon as something can be refused.
    pub(crate) fn hold(&mut self, holder: Holder, bytes: impl FnOnce(&mut Self) -> usize) -> usize {
        let is_counted = match holder {
            Holder::Task => self.here().of.is_some(),
            Holder::Fork => true,
        };
        if !is_counted {
            return 0;
        }
        let bytes = bytes(self);
        self.frame().held += bytes;
        self.run.branches.held += bytes;
        bytes
    }

    /// Refuses more than the branches may hold.
    pub(crate) fn check_held(&self) -> Result<(), Box<Problem>> {
        if self.run.branches.held <= HELD_BYTES {
            return Ok(());
        }
        let problem = Problem::new(kind::RUNTIME, "the branches of a run hold too much", 413)
            .detail(format!(
                "what the branches of this run hold at the same time has more than {HELD_BYTES} bytes as JSON: keep \
                 less of it, or run fewer side by side"
            ))
            .data(serde_json::json!({ "code": "too-large" }));
        Err(Box::new(problem))
    }

    /// The task at the top lets go of what [`Turn::hold`] counted as so many bytes.
    pub(crate) fn let_go_of(&mut self, bytes: usize) {
        self.frame().held -= bytes;
        self.run.branches.held -= bytes;
    }

    /// A task is left.
    pub(super) fn let_go(&mut self, frame: &Frame) {
        self.run.branches.held -= frame.held;
    }
}

/// Which task holds a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Any task, for what it works on. It is counted in branches alone: the trunk holds as many values as tasks are nested.
    Task,
    /// The task that branches are of, for what they gave it. It is counted in the trunk as well.
    Fork,
}

/// How far an error reaches that has left the last task of a branch.
pub(super) enum ErrorReach {
    /// It ends the branch, and nothing else.
    Branch,
    /// It ends the fork that the branch is of.
    Fork,
    /// It ends the run.
    Run,
}
