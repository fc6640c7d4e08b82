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

#[derive(Debug)]
pub(crate) enum Wait {
    Fixed(Duration),
    Computed(Template),
}

pub(super) fn read(builder: &mut Builder<'_>, node: &Node) -> Option<Wait> {
    if !Template::compile(&node.to_value()).is_literal() {
        return Some(Wait::Computed(builder.reader.template(node, INSIDE)));
    }
    builder.reader.duration(node, "`wait`").map(Wait::Fixed)
}

impl Wait {
    pub(super) fn step(&self, turn: &mut Turn<'_>) -> Result<Next, Stop> {
        if matches!(turn.body(), Body::Woken) {
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

fn computed(value: &Value) -> Result<Duration, Stop> {
    duration::parse(value).map_err(|message| {
        let problem = Problem::new(kind::VALIDATION, "a value is not what the task needs", 400);
        Stop::from(problem.detail(format!("`wait`: {message}")))
    })
}
