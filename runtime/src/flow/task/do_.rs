//! `do`: a list of tasks as one task.

use crate::flow::definition::{Builder, ListIndex};
use crate::flow::node::Node;
use crate::flow::state::{Next, Stop, Turn};

#[derive(Debug)]
pub(crate) struct Do {
    list: ListIndex,
}

pub(super) fn read(builder: &mut Builder<'_>, node: &Node, reference: &str) -> Option<Do> {
    let list = builder.task_list(node, &format!("{reference}/do"))?;
    Some(Do { list })
}

impl Do {
    pub(super) fn step(&self, turn: &mut Turn<'_>) -> Result<Next, Stop> {
        Ok(Next::Enter(self.list, turn.input()))
    }
}
