//! Moving a run forward: the stages of a flow and of its tasks, until something must be waited for.

use std::sync::Arc;

use serde_json::Value;

use crate::flow::definition::{ListIndex, Output};
use crate::flow::event::{End, Status, StepRecord};
use crate::flow::task::Then;
use crate::flow::template::Template;
use crate::problem::{Problem, kind};

use super::branch::Holder;
use super::frame::{Frame, Stage};
use super::scope::admit;
use super::timer::Why;
use super::{Body, Next, Phase, Stop, TASKS_PER_EVENT, TASKS_PER_RUN, Turn, truthy};

impl Turn<'_> {
    pub(super) fn start(&mut self, input: Value) {
        self.run.phase = Phase::Schema;
        self.run.started_at = self.at;
        self.run.raw = Arc::new(input);
        self.run.input = Arc::clone(&self.run.raw);
        if let Some(timeout) = self.flow.timeout {
            self.arm(None, Why::Timeout, timeout);
        }
    }

    /// Runs stages until the run is over or waits for an event.
    pub(super) fn go_on(&mut self) {
        self.go_on_here();
        while self.go_to_next() {
            self.go_on_here();
        }
    }

    /// Runs stages of this branch, and of what is around it when it ends, until something must be waited for.
    fn go_on_here(&mut self) {
        while !matches!(self.run.phase, Phase::Over) {
            let result = if self.here().frames.is_empty() { self.step_flow() } else { self.step_task() };
            match result {
                Ok(()) => {}
                Err(Stop::Park) => return,
                Err(Stop::Fault(problem)) => self.raise(*problem),
                Err(Stop::Fatal(problem)) => self.fault(*problem),
            }
        }
    }

    fn step_flow(&mut self) -> Result<(), Stop> {
        let flow = self.flow;
        match &self.run.phase {
            Phase::Schema => {
                let raw = Arc::clone(&self.run.raw);
                admit(&raw).map_err(|problem| problem.at("/input"))?;
                let fits = self.validate(flow.input.schema.as_ref(), &raw, "the run's input");
                fits.map_err(|stop| located(stop, "/input"))?;
                self.run.phase = Phase::Input;
                Ok(())
            }
            Phase::Input => {
                let raw = Arc::clone(&self.run.raw);
                let input =
                    self.transform(flow.input.from.as_ref(), &raw).map_err(|stop| located(stop, "/input"))?;
                self.run.input = Arc::clone(&input);
                self.run.phase = Phase::Tasks;
                self.enter(flow.root, 0, input)
            }
            Phase::Output(raw) => {
                let raw = Arc::clone(raw);
                let output = self
                    .transform_output(&flow.output, &raw, "the run's output")
                    .map_err(|stop| located(stop, "/output"))?;
                self.finish(End::Completed(output));
                Ok(())
            }
            Phase::Pending | Phase::Tasks | Phase::Over => Err(Stop::Park),
        }
    }

    fn step_task(&mut self) -> Result<(), Stop> {
        let task = self.task();
        match self.frame().stage {
            Stage::Condition => {
                if !task.is_enabled {
                    return self.skip();
                }
                let raw = Arc::clone(&self.frame().raw);
                if let Some(condition) = &task.condition
                    && !truthy(&self.evaluate(condition, &raw)?)
                {
                    return self.skip();
                }
                if let Some(timeout) = task.timeout {
                    let step = self.top_step();
                    self.arm(step, Why::Timeout, timeout);
                }
                self.frame().stage = Stage::Schema;
            }
            Stage::Schema => {
                let raw = Arc::clone(&self.frame().raw);
                if task.kind.plugin().is_none() {
                    self.mask_input(&raw);
                }
                self.validate(task.input.schema.as_ref(), &raw, "the task's input")?;
                self.frame().stage = Stage::Input;
            }
            Stage::Input => {
                let raw = Arc::clone(&self.frame().raw);
                let input = self.transform(task.input.from.as_ref(), &raw)?;
                self.frame().input = Arc::clone(&input);
                self.frame().stage = Stage::Body;
                if !Arc::ptr_eq(&raw, &input) {
                    self.hold(Holder::Task, |turn| turn.measure(&input));
                    self.check_held()?;
                }
                // The record of a call shows its `with` as its input.
                if task.kind.plugin().is_none() {
                    self.mask_input(&input);
                    self.record_input(&input);
                }
            }
            Stage::Body => match task.kind.step(self)? {
                Next::Done(output) => self.set_output(output),
                Next::Jump(output, then) => {
                    self.frame().then = Some(then);
                    self.set_output(output);
                }
                Next::Enter(list, input) => return self.enter(list, 0, input),
            },
            Stage::Output => {
                let raw = Arc::clone(&self.frame().output);
                self.check_held()?;
                self.mask_output(&raw);
                let output = self.transform_output(&task.output, &raw, "the task's output")?;
                self.mask_output(&output);
                self.frame().output = output;
                self.frame().stage = Stage::Export;
            }
            Stage::Export => {
                if task.export.as_.is_some() || task.export.schema.is_some() {
                    let output = Arc::clone(&self.frame().output);
                    let before = Arc::clone(&self.run.context);
                    let context = match (self.validated(), &task.export.as_) {
                        (Some(context), _) => context,
                        (None, Some(template)) => Arc::new(self.evaluate(template, &output)?),
                        (None, None) => before,
                    };
                    self.validate(task.export.schema.as_ref(), &context, "the context")?;
                    self.run.context = context;
                }
                return self.leave(Status::Completed);
            }
        }
        Ok(())
    }

    /// Enters the task at a position of a list. Past its end the list is done.
    pub(super) fn enter(&mut self, list: ListIndex, position: usize, raw: Arc<Value>) -> Result<(), Stop> {
        let flow = self.flow;
        let Some(index) = flow.lists[list].get(position).copied() else {
            return self.list_done(raw);
        };
        self.count_task()?;
        let task = &flow.tasks[index];
        let step = u32::try_from(self.run.steps.len()).expect("steps are bounded by TASKS_PER_RUN");
        self.run.steps.push(StepRecord {
            id: step,
            name: task.name.clone(),
            reference: task.reference.clone(),
            kind: task.kind.name(),
            plugin: task.kind.plugin(),
            status: Status::Running,
            attempts: Vec::new(),
            input: Arc::clone(&self.run.null),
            output: Arc::clone(&self.run.null),
            started_at: self.at,
            ended_at: None,
            problem: None,
            due_at: None,
            cleanup: None,
        });
        self.run.changed.push(step);
        let is_handed_on = self.around().is_some_and(|around| Arc::ptr_eq(&around.input, &raw));
        self.here_mut().frames.push(Frame {
            task: index,
            step,
            stage: Stage::Condition,
            input: Arc::clone(&raw),
            output: Arc::clone(&raw),
            raw: Arc::clone(&raw),
            then: None,
            held: 0,
            body: task.kind.body(),
        });
        if !is_handed_on {
            self.hold(Holder::Task, |turn| turn.measure(&raw));
            self.check_held()?;
        }
        Ok(())
    }

    fn count_task(&mut self) -> Result<(), Stop> {
        self.entered += 1;
        self.run.entered += 1;
        let detail = if self.entered > TASKS_PER_EVENT {
            format!(
                "{TASKS_PER_EVENT} tasks were entered in a row without a call or a wait: does a `then` loop?"
            )
        } else if self.run.entered > TASKS_PER_RUN {
            format!("the run entered {TASKS_PER_RUN} tasks: split the work into several runs")
        } else if self.budget.overdraft() > self.overdraft {
            "too much data was moved without a call or a wait: does a `then` loop over a large value?"
                .to_owned()
        } else {
            return Ok(());
        };
        let problem = Problem::new(kind::RUNTIME, "the run has too many steps", 500).detail(detail);
        let problem = problem.data(serde_json::json!({ "code": "too-many-steps" }));
        Err(Stop::Fatal(Box::new(problem)))
    }

    fn skip(&mut self) -> Result<(), Stop> {
        let frame = self.frame();
        frame.output = Arc::clone(&frame.raw);
        frame.then = Some(Then::Continue);
        let raw = Arc::clone(&frame.raw);
        self.record_input(&raw);
        self.leave(Status::Skipped)
    }

    fn set_output(&mut self, output: Arc<Value>) {
        let frame = self.frame();
        let is_handed_on = Arc::ptr_eq(&frame.input, &output);
        frame.output = Arc::clone(&output);
        frame.stage = Stage::Output;
        if !is_handed_on {
            self.hold(Holder::Task, |turn| turn.measure(&output));
        }
    }

    /// An answer from outside is the raw output of the task.
    pub(crate) fn done(&mut self, output: Value) {
        match admit(&output) {
            Ok(()) => self.set_output(Arc::new(output)),
            Err(problem) => self.raise_here(*problem),
        }
    }

    /// Leaves the task at the top and goes where it says.
    fn leave(&mut self, status: Status) -> Result<(), Stop> {
        let task = self.task();
        let frame = self.frame();
        let output = Arc::clone(&frame.output);
        let then = frame.then.unwrap_or(task.then);
        self.record_output(&output);
        self.close_top(status, None);
        self.here_mut().was_skipped = status == Status::Skipped;
        match then {
            Then::Continue => self.enter(task.list, task.position + 1, output),
            Then::Task(position) => self.enter(task.list, position, output),
            Then::Exit => self.list_done(output),
            Then::End => {
                self.end_tasks(output);
                Ok(())
            }
        }
    }

    /// The list that the top of the stack runs is done, or that of the whole branch.
    fn list_done(&mut self, output: Arc<Value>) -> Result<(), Stop> {
        if self.here().frames.is_empty() {
            if !self.end_branch(&output)? {
                self.run.phase = Phase::Output(output);
            }
            return Ok(());
        }
        Body::list_done(self);
        self.set_output(output);
        Ok(())
    }

    /// `then: end`: everything around ends well, with the output of the task that said so.
    fn end_tasks(&mut self, output: Arc<Value>) {
        self.leave_all(|turn| {
            turn.record_output(&output);
            turn.close_top(Status::Completed, None);
        });
        self.run.phase = Phase::Output(output);
    }

    fn transform_output(
        &mut self,
        output: &Output,
        raw: &Arc<Value>,
        what: &str,
    ) -> Result<Arc<Value>, Stop> {
        let value = match self.validated() {
            Some(value) => value,
            None => self.transform(output.as_.as_ref(), raw)?,
        };
        self.validate(output.schema.as_ref(), &value, what)?;
        Ok(value)
    }

    fn transform(&mut self, template: Option<&Template>, value: &Arc<Value>) -> Result<Arc<Value>, Stop> {
        match template {
            Some(template) => Ok(Arc::new(self.evaluate(template, value)?)),
            None => Ok(Arc::clone(value)),
        }
    }
}

fn located(stop: Stop, place: &str) -> Stop {
    match stop {
        Stop::Fault(problem) => problem.at(place).into(),
        other => other,
    }
}
