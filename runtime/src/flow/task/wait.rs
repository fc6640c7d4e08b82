//! `wait`: the run rests for a while; nothing of it is kept alive meanwhile. The output is the input.

use std::time::Duration;

use serde_json::Value;

use crate::flow::definition::Builder;
use crate::flow::duration;
use crate::flow::node::Node;
use crate::flow::reader::INSIDE;
use crate::flow::state::{Body, Next, Stop, Turn};
use crate::flow::template::Template;
use crate::problem::{Problem, kind};

use super::Kind;
use super::kind::{BranchEnd, Syntax, TaskKind, TaskParts, WayOn};

#[derive(Debug)]
pub(crate) enum Wait {
    Fixed(Duration),
    Computed(Template),
}

/// How far a wait is.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    is_over: bool,
}

impl TaskKind for Wait {
    const NAME: &'static str = "wait";
    const SYNTAX: Option<Syntax> = Some(Syntax { key: Self::NAME, with: &[], read });
    type Progress = Pause;

    fn step(&self, turn: &mut Turn<'_>) -> Result<Next, Stop> {
        if matches!(turn.body(), Body::Wait(Pause { is_over: true })) {
            return Ok(Next::Done(turn.input()));
        }
        let length = match self {
            Self::Fixed(length) => *length,
            Self::Computed(template) => {
                let input = turn.input();
                computed(&turn.evaluate(template, &input)?)?
            }
        };
        turn.sleep(length);
        Err(Stop::Park)
    }
}

impl WayOn for Pause {
    fn woken(turn: &mut Turn<'_>) {
        *turn.body() = Body::Wait(Self { is_over: true });
    }

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

fn read(builder: &mut Builder<'_>, node: &Node, _: &TaskParts<'_>) -> Option<Kind> {
    if !Template::compile(&node.to_value()).is_literal() {
        return Some(Wait::Computed(builder.reader.template(node, INSIDE)).into());
    }
    builder.reader.duration(node, "`wait`").map(Wait::Fixed).map(Kind::from)
}

fn computed(value: &Value) -> Result<Duration, Stop> {
    duration::parse(value).map_err(|message| {
        let problem = Problem::new(kind::VALIDATION, "a value is not what the task needs", 400);
        Stop::from(problem.detail(format!("`wait`: {message}")))
    })
}
