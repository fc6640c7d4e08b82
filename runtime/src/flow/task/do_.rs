//! `do`: a list of tasks as one task.

use crate::flow::definition::{Builder, ListIndex};
use crate::flow::node::Node;
use crate::flow::state::{Next, Stop, Turn};

use super::Kind;
use super::kind::{Memory, Syntax, TaskKind, TaskParts};

#[derive(Debug)]
pub(crate) struct Do {
    list: ListIndex,
}

impl TaskKind for Do {
    const NAME: &'static str = "do";
    const SYNTAX: Option<Syntax> = Some(Syntax { key: Self::NAME, with: &[], read });
    type Progress = Memory<()>;

    fn step(&self, turn: &mut Turn<'_>) -> Result<Next, Stop> {
        Ok(Next::Enter(self.list, turn.input()))
    }
}

fn read(builder: &mut Builder<'_>, node: &Node, parts: &TaskParts<'_>) -> Option<Kind> {
    let list = builder.task_list(node, &format!("{}/do", parts.reference))?;
    Some(Do { list }.into())
}
