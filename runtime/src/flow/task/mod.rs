//! Tasks. One file per kind holds how a task of that kind is read, how it steps and how it goes on; its row stands here.
//! What every kind must say is in [`kind`], what every task has beside its kind in [`read`]. How a run moves from task to
//! task is in [`state`](super::state).

use std::time::Duration;

use super::definition::{Input, ListIndex, Output};
use super::mask::Mask;
use super::node::Place;
use super::state::{Next, Stop, Turn};
use super::template::Template;
use crate::problem::Problem;

mod kind;
mod read;
pub(crate) mod reply;
pub(crate) mod retry;
mod uri;

pub(crate) mod call;
pub(crate) mod do_;
pub(crate) mod fork;
pub(crate) mod raise;
pub(crate) mod respond;
pub(crate) mod set;
pub(crate) mod switch;
pub(crate) mod try_;
pub(crate) mod wait;

pub(crate) use kind::BranchEnd;
use kind::{Syntax, TaskKind, WayOn, kinds};
use read::ListNames;

kinds! {
    Call in call,
    Do in do_,
    Fork in fork,
    Raise in raise,
    Respond in respond,
    Set in set,
    Switch in switch,
    Try in try_,
    Wait in wait,
}

/// One task of a flow.
#[derive(Debug)]
pub(crate) struct Task {
    pub name: String,
    /// Its JSON pointer in the document.
    pub reference: String,
    /// Where its name stands.
    pub at: Place,
    pub list: ListIndex,
    /// Its position in its list.
    pub position: usize,
    /// The switch beside the condition: off, the task is skipped.
    pub is_enabled: bool,
    /// What the history does not show of it.
    pub mask: Option<Mask>,
    pub condition: Option<Template>,
    pub input: Input,
    pub output: Output,
    pub export: Output,
    pub timeout: Option<Duration>,
    pub then: Then,
    pub kind: Kind,
}

/// Where a run goes after a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Then {
    /// To the next task of the list.
    #[default]
    Continue,
    /// Out of the list.
    Exit,
    /// To the end of the run.
    End,
    /// To the task at this position of the list.
    Task(usize),
}

/// A field that is there must have been readable.
fn optional<T>(field: Option<Option<T>>) -> Option<Option<T>> {
    match field {
        None => Some(None),
        Some(None) => None,
        Some(some) => Some(some),
    }
}
