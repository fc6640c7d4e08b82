//! `fork`: branches that run side by side. Each begins with the task's input; the output is the list of theirs, in the
//! order in which they are written. With `compete` it is the output of the first one that completes, and the others
//! are cancelled.
//!
//! Where the language is silent: without `compete` the first error of a branch is the fork's, and cancels the others. A
//! branch that fails in a race is out of it, and so is one that is skipped; when none is left, the race has the last
//! error, or the input where all were skipped. What branches export to `$context` counts in the order in which they do.

use std::sync::Arc;

use serde_json::Value;

use crate::flow::definition::{Builder, ListIndex};
use crate::flow::node::Node;
use crate::flow::reader::Keys;
use crate::flow::state::{Body, Next, Stop, Turn};
use crate::problem::Problem;

use super::Kind;
use super::kind::{BranchEnd, Syntax, TaskKind, TaskParts, WayOn};

#[derive(Debug)]
pub(crate) struct Fork {
    /// One list of one task to each branch.
    branches: Vec<ListIndex>,
    compete: bool,
}

/// How far a fork is.
#[derive(Debug, Default)]
pub(crate) struct ForkProgress {
    has_begun: bool,
    compete: bool,
    /// What the branches came to, in their order. None while one is under way, and where one was skipped or failed in a
    /// race.
    outputs: Vec<Option<Arc<Value>>>,
    under_way: usize,
    /// The last error in a race.
    problem: Option<Problem>,
}

const FORK: Keys<'_> = Keys { known: &["branches", "compete"], later: &[] };

impl TaskKind for Fork {
    const NAME: &'static str = "fork";
    const SYNTAX: Option<Syntax> = Some(Syntax { key: Self::NAME, with: &[], read });
    type Progress = ForkProgress;

    fn step(&self, turn: &mut Turn<'_>) -> Result<Next, Stop> {
        let Body::Fork(progress @ ForkProgress { has_begun: true, .. }) = turn.body() else {
            return self.begin(turn);
        };
        if progress.compete {
            match progress.outputs.iter_mut().find_map(Option::take) {
                Some(winner) => {
                    turn.cancel_branches();
                    return Ok(Next::Done(winner));
                }
                None if progress.under_way > 0 => return Err(Stop::Park),
                None => {}
            }
            return match progress.problem.take() {
                Some(problem) => Err(problem.into()),
                None => Ok(Next::Done(turn.input())),
            };
        }
        if progress.under_way > 0 {
            return Err(Stop::Park);
        }
        let outputs = std::mem::take(&mut progress.outputs);
        Ok(Next::Done(turn.gather(outputs.into_iter().flatten().collect())?))
    }
}

impl Fork {
    fn begin(&self, turn: &mut Turn<'_>) -> Result<Next, Stop> {
        let under_way = self.branches.len();
        let outputs = vec![None; under_way];
        let compete = self.compete;
        *turn.body() =
            Body::Fork(ForkProgress { has_begun: true, compete, outputs, under_way, problem: None });
        turn.fork(&self.branches)?;
        Err(Stop::Park)
    }
}

impl WayOn for ForkProgress {
    fn woken(_: &mut Turn<'_>) {}

    fn list_done(_: &mut Turn<'_>) {}

    fn caught(_: &mut Turn<'_>, problem: Problem) -> Option<Problem> {
        Some(problem)
    }

    /// The fork looks at what it came to when it steps next.
    fn branch_ended(turn: &mut Turn<'_>, position: usize, end: BranchEnd) -> bool {
        let Body::Fork(progress) = turn.body() else { return true };
        progress.under_way -= 1;
        match end {
            BranchEnd::Failed(_) if !progress.compete => return false,
            BranchEnd::Failed(problem) => progress.problem = Some(problem),
            BranchEnd::Skipped(_) if progress.compete => {}
            BranchEnd::Completed(output) | BranchEnd::Skipped(output) => {
                progress.outputs[position] = Some(output);
            }
        }
        true
    }

    fn waits_for_branches(&self) -> bool {
        self.has_begun
    }
}

fn read(builder: &mut Builder<'_>, node: &Node, parts: &TaskParts<'_>) -> Option<Kind> {
    let fields = builder.reader.map(node, "`fork`", &FORK)?;
    let compete = fields.get("compete").map(|node| builder.reader.boolean(node, "`compete`"));
    let Some(branches) = fields.get("branches") else {
        builder.reader.error(node.at, "`fork` needs `branches`: the tasks that run side by side");
        return None;
    };
    let branches = builder.branches(branches, &format!("{}/fork/branches", parts.reference))?;
    Some(Fork { branches, compete: super::optional(compete)?.unwrap_or_default() }.into())
}
