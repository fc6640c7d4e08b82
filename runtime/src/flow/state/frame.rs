//! The stack of a branch: a frame to each task that was entered and not left.

use std::sync::Arc;

use serde_json::Value;

use crate::flow::definition::TaskIndex;
use crate::flow::event::StepId;
use crate::flow::task::{Body, Task, Then};

use super::Turn;

/// One task under way.
#[derive(Debug)]
pub(super) struct Frame {
    pub task: TaskIndex,
    pub step: StepId,
    pub stage: Stage,
    /// What the task was given.
    pub raw: Arc<Value>,
    /// After `input.from`.
    pub input: Arc<Value>,
    /// Raw until [`Stage::Export`], then after `output.as`.
    pub output: Arc<Value>,
    /// Where the task itself says the run goes.
    pub then: Option<Then>,
    /// About how many bytes of JSON text it holds beside what the task around it holds. See [`Turn::hold`].
    pub held: usize,
    pub body: Body,
}

/// What comes next for a task. A stage may ask the expression guest once, and then the schema guest. It starts over with
/// each answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Condition,
    /// The raw input is compared with its schema.
    Schema,
    Input,
    Body,
    Output,
    Export,
}

impl<'a> Turn<'a> {
    pub(super) fn frame(&mut self) -> &mut Frame {
        self.here_mut().frames.last_mut().expect("stages run with a task on the stack: go_on looks first")
    }

    /// What comes next for the task at the top, if there is one.
    pub(super) fn frame_stage(&self) -> Option<Stage> {
        self.here().frames.last().map(|frame| frame.stage)
    }

    /// The task at the top of the stack.
    pub(crate) fn task(&mut self) -> &'a Task {
        let flow = self.flow;
        &flow.tasks[self.frame().task]
    }

    /// Its transformed input.
    pub(crate) fn input(&mut self) -> Arc<Value> {
        Arc::clone(&self.frame().input)
    }

    /// How far its work is.
    pub(crate) fn body(&mut self) -> &mut Body {
        &mut self.frame().body
    }

    /// Its step, while there is one.
    pub(crate) fn top_step(&self) -> Option<StepId> {
        self.here().frames.last().map(|frame| frame.step)
    }
}
