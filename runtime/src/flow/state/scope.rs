//! Expressions of a run, and the variables that they see. An expression is evaluated here where that is possible; else the
//! guest is asked, one program at a time. A variable is made only when an expression names it. Schemas of a run are judged
//! alike.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::flow::event::{Effect, EvaluationId, Variables};
use crate::flow::needs;
use crate::flow::schema::{self, Schema};
use crate::flow::task::{Kind, try_};
use crate::flow::template::{Evaluation, Scope, Template};
use crate::problem::{Problem, kind};

use super::frame::{Frame, Stage};
use super::{Body, Phase, Stop, Turn};

/// The largest value that a run may hold, as JSON text, about.
pub(super) const VALUE_BYTES: usize = 32 * 1024 * 1024;
/// The deepest value. The journal is JSON text, whose readers stop at 128 levels; an event adds some of its own.
const VALUE_DEPTH: usize = 100;

/// What a guest was asked for.
#[derive(Debug)]
pub(super) struct GuestQuestion {
    pub id: EvaluationId,
    about: About,
    /// The context that an export was asked over. None for every other question.
    context: Option<Arc<Value>>,
}

#[derive(Debug)]
enum About {
    Expression { program: String, input: Arc<Value>, variables: Variables },
    Schema { schema: Arc<str>, value: Arc<Value> },
}

/// What a guest said, until the stage that asked takes it.
#[derive(Debug)]
pub(super) enum GuestAnswer {
    Evaluated(Result<Value, String>),
    /// Of this value.
    Validated(Arc<Value>, Result<Value, String>),
}

impl GuestQuestion {
    pub(super) fn effect(&self) -> Effect {
        let id = self.id;
        match &self.about {
            About::Expression { program, input, variables } => Effect::Evaluate {
                id,
                program: program.clone(),
                input: Arc::clone(input),
                variables: Arc::clone(variables),
            },
            About::Schema { schema, value } => {
                Effect::Validate { id, schema: Arc::clone(schema), value: Arc::clone(value) }
            }
        }
    }
}

/// Whether a condition with this value holds. As in jq, all but false and null does.
pub(crate) fn truthy(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

impl Turn<'_> {
    /// Evaluates a template with `input` as `.`, and parks the run where the guest must be asked. A stage that asked starts
    /// over and gets the answer here: a stage evaluates once.
    pub(crate) fn evaluate(&mut self, template: &Template, input: &Arc<Value>) -> Result<Value, Stop> {
        let value = match self.here_mut().answer.take() {
            Some(GuestAnswer::Evaluated(answer)) => answer.map_err(failed)?,
            _ => self.evaluate_or_ask(template, input)?,
        };
        admit(&value)?;
        Ok(value)
    }

    fn evaluate_or_ask(&mut self, template: &Template, input: &Arc<Value>) -> Result<Value, Stop> {
        let bindings: Vec<(&str, Arc<Value>)> = template
            .variables()
            .iter()
            .filter_map(|name| Some((name.as_str(), self.variable(name)?)))
            .collect();
        let variables: Vec<(&str, &Value)> = bindings.iter().map(|(name, value)| (*name, &**value)).collect();
        let scope = Scope { input, variables: &variables, budget: &self.budget };
        match template.evaluate(&scope) {
            Evaluation::Value(value) => Ok(value),
            Evaluation::Failed(reason) => Err(failed(reason).into()),
            Evaluation::Guest => {
                let variables = bindings.iter().map(|(name, value)| ((*name).to_owned(), Arc::clone(value)));
                let variables = variables.collect();
                let (program, input) = (template.program(), Arc::clone(input));
                Err(self.ask(About::Expression { program, input, variables }))
            }
        }
    }

    /// Compares a value with its schema, and parks the run where the guest must be asked; `what` names the value, as in `the
    /// input`. A stage that made the value and starts over has it from [`Turn::validated`].
    pub(crate) fn validate(
        &mut self,
        schema: Option<&Schema>,
        value: &Arc<Value>,
        what: &str,
    ) -> Result<(), Stop> {
        let Some(schema) = schema else { return Ok(()) };
        let answer = self.here_mut().answer.take_if(|answer| matches!(answer, GuestAnswer::Validated(..)));
        let violations = match answer {
            Some(GuestAnswer::Validated(_, answer)) => {
                answer.map_err(|reason| schema::not_judged(what, &reason))?
            }
            _ => match self.violations(schema, value) {
                Some(violations) => violations,
                None => {
                    let (schema, value) = (Arc::clone(schema.text()), Arc::clone(value));
                    return Err(self.ask(About::Schema { schema, value }));
                }
            },
        };
        Ok(schema::satisfied(what, violations)?)
    }

    /// What the guest has compared with a schema for the stage that starts over.
    pub(crate) fn validated(&self) -> Option<Arc<Value>> {
        match &self.here().answer {
            Some(GuestAnswer::Validated(value, _)) => Some(Arc::clone(value)),
            _ => None,
        }
    }

    /// A schema looks at the whole of a value each time, which is charged to the event.
    fn violations(&mut self, schema: &Schema, value: &Arc<Value>) -> Option<Value> {
        let bytes = self.measure(value);
        self.budget.charge(bytes);
        schema.violations(value, &mut self.meetings)
    }

    fn ask(&mut self, about: About) -> Stop {
        let is_export = self.frame_stage() == Some(Stage::Export);
        let context = is_export.then(|| Arc::clone(&self.run.context));
        let pending = GuestQuestion { id: self.run.next_evaluation, about, context };
        self.run.next_evaluation += 1;
        self.effect(pending.effect());
        self.here_mut().pending = Some(pending);
        Stop::Park
    }

    /// The guest answered. Returns false when no branch asks that question.
    pub(super) fn evaluated(&mut self, id: EvaluationId, result: Result<Value, String>) -> bool {
        if !self.go_to(|branch| branch.asks(id)) {
            return false;
        }
        let context = Arc::clone(&self.run.context);
        let branch = self.here_mut();
        let Some(GuestQuestion { about, context: asked_over, .. }) = branch.pending.take() else {
            return false;
        };
        // Another branch has exported meanwhile. This export must not undo that one: the guest is asked anew.
        if asked_over.is_none_or(|asked_over| Arc::ptr_eq(&asked_over, &context)) {
            branch.answer = Some(match about {
                About::Expression { .. } => GuestAnswer::Evaluated(result),
                About::Schema { value, .. } => GuestAnswer::Validated(value, result),
            });
        }
        true
    }

    fn variable(&self, name: &str) -> Option<Arc<Value>> {
        let frame = self.here().frames.last();
        match name {
            "context" => Some(Arc::clone(&self.run.context)),
            "input" => Some(self.input_variable(frame)),
            "output" => self.output_variable(frame),
            "runtime" => Some(Arc::new(runtime())),
            "secrets" => Some(Arc::new(self.secrets_variable())),
            "workflow" => Some(self.made(self.workflow())),
            "task" => frame.map(|frame| self.made(self.task_variable(frame))),
            _ => self.caught(name),
        }
    }

    /// A variable that holds copies.
    fn made(&self, value: Value) -> Arc<Value> {
        self.budget.copy(&value);
        Arc::new(value)
    }

    fn input_variable(&self, frame: Option<&Frame>) -> Arc<Value> {
        let Some(frame) = frame else {
            return Arc::clone(&self.run.input);
        };
        match &frame.body {
            Body::Call(progress) if frame.stage == Stage::Body => {
                Arc::clone(progress.arguments.as_ref().unwrap_or(&frame.input))
            }
            _ => Arc::clone(&frame.input),
        }
    }

    fn output_variable(&self, frame: Option<&Frame>) -> Option<Arc<Value>> {
        match (frame, &self.run.phase) {
            (Some(frame), _) if matches!(frame.stage, Stage::Output | Stage::Export) => {
                Some(Arc::clone(&frame.output))
            }
            (None, Phase::Output(output)) => Some(Arc::clone(output)),
            _ => None,
        }
    }

    /// The innermost caught error of that name.
    fn caught(&self, name: &str) -> Option<Arc<Value>> {
        let around = self.run.branches.outwards(self.branch).flat_map(|branch| branch.frames.iter().rev());
        around.into_iter().find_map(|frame| {
            let (Body::Try(progress), Kind::Try(task)) = (&frame.body, &self.flow.tasks[frame.task].kind)
            else {
                return None;
            };
            // A policy that several `catch` share knows the error by its usual name.
            let judging =
                matches!(progress.phase, try_::TryPhase::RetryWhen | try_::TryPhase::RetryExceptWhen);
            let named = task.name == name || (judging && name == "error");
            progress.error.as_ref().filter(|_| named).map(Arc::clone)
        })
    }

    fn secrets_variable(&self) -> Value {
        let callbacks = self.run.callbacks.as_ref();
        let placeholder = |name: &str| callbacks.map(|run| run.placeholder(name)).unwrap_or_default();
        needs::variable(&self.flow.needs, placeholder)
    }

    fn workflow(&self) -> Value {
        json!({
            "id": self.run.run.to_string(),
            "definition": self.flow.definition,
            "startedAt": moment(self.run.started_at),
            "input": *self.run.raw,
        })
    }

    fn task_variable(&self, frame: &Frame) -> Value {
        let task = &self.flow.tasks[frame.task];
        let mut value = json!({
            "name": task.name,
            "reference": task.reference,
            "startedAt": moment(self.run.steps[frame.step as usize].started_at),
            "input": *frame.raw,
        });
        if let (Kind::Call(_), Some(callbacks)) = (&task.kind, &self.run.callbacks) {
            value["callback"] = json!({ "url": callbacks.url(frame.step) });
        }
        if matches!(frame.stage, Stage::Output | Stage::Export) {
            value["output"] = Value::clone(&frame.output);
        }
        value
    }
}

fn runtime() -> Value {
    json!({ "name": "flowcell", "version": env!("CARGO_PKG_VERSION") })
}

fn moment(at: Timestamp) -> Value {
    json!({
        "iso8601": at.to_string(),
        "epoch": { "seconds": at.as_second(), "milliseconds": at.as_millisecond() },
    })
}

fn failed(reason: String) -> Problem {
    Problem::new(kind::EXPRESSION, "an expression failed", 400).detail(reason)
}

/// Refuses a value that a run may not hold: expressions and answers can make ever larger and deeper ones.
pub(crate) fn admit(value: &Value) -> Result<(), Box<Problem>> {
    let detail = match size(value, VALUE_DEPTH) {
        None => format!("a value is nested more than {VALUE_DEPTH} levels deep"),
        Some(bytes) if bytes > VALUE_BYTES => return Err(Box::new(too_large())),
        Some(_) => return Ok(()),
    };
    Err(Box::new(Problem::new(kind::RUNTIME, TOO_LARGE, 413).detail(detail)))
}

const TOO_LARGE: &str = "a value is too large";

pub(super) fn too_large() -> Problem {
    let detail = format!("a value has more than {VALUE_BYTES} bytes as JSON");
    Problem::new(kind::RUNTIME, TOO_LARGE, 413).detail(detail)
}

/// About how long the value is as JSON text. None where it is nested deeper than `depth`.
pub(super) fn size(value: &Value, depth: usize) -> Option<usize> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::Null | Value::Bool(_) => Some(5),
        Value::Number(_) => Some(10),
        Value::String(text) => Some(text.len() + 3),
        Value::Array(items) => items.iter().try_fold(2, |sum, item| Some(sum + size(item, depth)?)),
        Value::Object(fields) => {
            fields.iter().try_fold(2, |sum, (key, field)| Some(sum + key.len() + 4 + size(field, depth)?))
        }
    }
}
