//! What every kind of task says of itself, in its own file: how it is read, how it steps, and how it goes on when what it
//! waited for has happened. The rows of [`task`](super) make [`Kind`](super::Kind) and [`Body`](super::Body) of it.
//!
//! How a run goes on has no answer that fits every kind, so none stands here: a kind without one does not compile.

use std::fmt::Debug;
use std::sync::Arc;

use serde_json::Value;

use crate::flow::definition::Builder;
use crate::flow::node::Node;
use crate::flow::reader::Fields;
use crate::flow::state::{Next, Stop, Turn};
use crate::problem::Problem;

use super::{Kind, ListNames, Then};

/// A kind of task.
pub(crate) trait TaskKind {
    /// As the history shows it.
    const NAME: &'static str;
    /// How a task of this kind is written. None where the reading of another kind gives it.
    const SYNTAX: Option<Syntax>;
    /// How far the work of such a task is. A task that is entered begins with the default.
    type Progress: WayOn;

    /// Does the task's own work, as far as it goes without an answer from outside. It is called again whenever something
    /// has happened that the task waited for.
    fn step(&self, turn: &mut Turn<'_>) -> Result<Next, Stop>;

    /// `name:version` of what it calls. What such a task is given is its `with`, not its input.
    fn plugin(&self) -> Option<String> {
        None
    }

    /// Where the run may go after such a task, beside which `then` stands.
    fn leads_to(&self, then: Then) -> Vec<Then> {
        vec![then]
    }
}

/// How a kind of task is written.
#[derive(Clone, Copy)]
pub(crate) struct Syntax {
    /// The key that says the kind.
    pub key: &'static str,
    /// The keys that come with it.
    pub with: &'static [&'static str],
    /// Reads the value of the key. None when something is wrong with it, which the builder has then reported.
    pub read: fn(&mut Builder<'_>, &Node, &TaskParts<'_>) -> Option<Kind>,
}

/// What a task has beside the value of its key.
pub(crate) struct TaskParts<'w> {
    pub fields: Fields<'w>,
    /// The task's JSON pointer in the document.
    pub reference: &'w str,
    pub names: ListNames<'w>,
}

/// How far the work of a task is, and how it goes on.
pub(crate) trait WayOn: Debug + Default {
    /// The time has come until which the task slept.
    fn woken(turn: &mut Turn<'_>);

    /// The list that the task entered is done. Its output becomes the task's.
    fn list_done(turn: &mut Turn<'_>);

    /// An error has left the list that the task entered. Gives it back where it is not the task's to judge.
    fn caught(turn: &mut Turn<'_>, problem: Problem) -> Option<Problem>;

    /// A branch of the task has ended. Returns false where its error is the task's.
    fn branch_ended(turn: &mut Turn<'_>, position: usize, end: BranchEnd) -> bool;

    /// Whether the task has begun branches, and waits for nothing else.
    fn waits_for_branches(&self) -> bool;
}

/// How a branch ended.
pub(crate) enum BranchEnd {
    Completed(Arc<Value>),
    Skipped(Arc<Value>),
    Failed(Problem),
}

/// The progress of a task that waits for nothing but expressions and perhaps one list, whose errors are not its own: what
/// it remembers between two of them.
#[derive(Debug, Default)]
pub(crate) struct Memory<T>(pub T);

impl<T: Debug + Default> WayOn for Memory<T> {
    fn woken(_: &mut Turn<'_>) {}

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

/// Makes the kinds of task of their rows.
macro_rules! kinds {
    ($($kind:ident in $module:ident,)*) => {
        /// The work of a task.
        #[derive(Debug)]
        pub(crate) enum Kind {
            $($kind(Box<$module::$kind>),)*
        }

        /// How far a task's own work is.
        #[derive(Debug)]
        pub(crate) enum Body {
            $($kind(<$module::$kind as TaskKind>::Progress),)*
        }

        /// How each kind is written.
        const SYNTAXES: &[Option<Syntax>] = &[$(<$module::$kind as TaskKind>::SYNTAX,)*];

        $(impl From<$module::$kind> for Kind {
            fn from(kind: $module::$kind) -> Self {
                Self::$kind(Box::new(kind))
            }
        })*

        impl Kind {
            /// As the history shows it.
            pub(crate) fn name(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => <$module::$kind as TaskKind>::NAME,)*
                }
            }

            /// `name:version` of what it calls.
            pub(crate) fn plugin(&self) -> Option<String> {
                match self {
                    $(Self::$kind(kind) => kind.plugin(),)*
                }
            }

            /// Where the run may go after the task, beside which `then` stands.
            pub(crate) fn leads_to(&self, then: Then) -> Vec<Then> {
                match self {
                    $(Self::$kind(kind) => kind.leads_to(then),)*
                }
            }

            /// Does the task's own work, as far as it goes without an answer from outside.
            pub(crate) fn step(&self, turn: &mut Turn<'_>) -> Result<Next, Stop> {
                match self {
                    $(Self::$kind(kind) => kind.step(turn),)*
                }
            }

            /// The progress of a task that is entered.
            pub(crate) fn body(&self) -> Body {
                match self {
                    $(Self::$kind(_) => Body::$kind(Default::default()),)*
                }
            }
        }

        /// How the task at the top goes on: as its kind says.
        impl Body {
            /// The time has come until which it slept.
            pub(crate) fn woken(turn: &mut Turn<'_>) {
                match turn.body() {
                    $(Self::$kind(_) => <$module::$kind as TaskKind>::Progress::woken(turn),)*
                }
            }

            /// The list that it entered is done.
            pub(crate) fn list_done(turn: &mut Turn<'_>) {
                match turn.body() {
                    $(Self::$kind(_) => <$module::$kind as TaskKind>::Progress::list_done(turn),)*
                }
            }

            /// An error has left the list that it entered. Gives it back where it goes on outwards.
            pub(crate) fn caught(turn: &mut Turn<'_>, problem: Problem) -> Option<Problem> {
                match turn.body() {
                    $(Self::$kind(_) => <$module::$kind as TaskKind>::Progress::caught(turn, problem),)*
                }
            }

            /// One of its branches has ended. Returns false where the error of the branch is the task's.
            pub(crate) fn branch_ended(turn: &mut Turn<'_>, position: usize, end: BranchEnd) -> bool {
                match turn.body() {
                    $(Self::$kind(_) => {
                        <$module::$kind as TaskKind>::Progress::branch_ended(turn, position, end)
                    })*
                }
            }

            /// Whether it has begun branches, and waits for nothing else.
            pub(crate) fn waits_for_branches(&self) -> bool {
                match self {
                    $(Self::$kind(progress) => progress.waits_for_branches(),)*
                }
            }
        }
    };
}
pub(super) use kinds;
