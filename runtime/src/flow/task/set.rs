//! `set`: the output is a value made of expressions.

use std::sync::Arc;

use crate::flow::definition::Builder;
use crate::flow::node::{Data, Node};
use crate::flow::reader::INSIDE;
use crate::flow::state::{Next, Stop, Turn};
use crate::flow::template::Template;

use super::Kind;
use super::kind::{Memory, Syntax, TaskKind, TaskParts};

#[derive(Debug)]
pub(crate) struct Set {
    value: Template,
}

impl TaskKind for Set {
    const NAME: &'static str = "set";
    const SYNTAX: Option<Syntax> = Some(Syntax { key: Self::NAME, with: &[], read });
    type Progress = Memory<()>;

    fn step(&self, turn: &mut Turn<'_>) -> Result<Next, Stop> {
        let input = turn.input();
        let value = turn.evaluate(&self.value, &input)?;
        Ok(Next::Done(Arc::new(value)))
    }
}

fn read(builder: &mut Builder<'_>, node: &Node, _: &TaskParts<'_>) -> Option<Kind> {
    if !matches!(node.data, Data::Map(_) | Data::Text(_)) {
        let message = format!("`set` is a map or an expression, here is {}", node.describe());
        builder.reader.error(node.at, message);
        return None;
    }
    let value = builder.reader.transform(node, "`set`", INSIDE)?;
    Some(Set { value }.into())
}
