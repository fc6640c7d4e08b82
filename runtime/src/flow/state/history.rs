//! Step records: what the history shows of a run. They are bounded in bytes, because a loop may carry a large value round.

use std::sync::Arc;

use serde_json::Value;

use crate::flow::event::{Status, StepId, StepRecord};
use crate::problem::Problem;

use super::branch::Holder;
use super::scope::size;
use super::{Stop, Turn};

/// About how many bytes of JSON text the records of one run keep.
const HISTORY_BYTES: usize = 16 * 1024 * 1024;
/// What stands in a record instead of a value that no longer fits.
const LEFT_OUT: &str = "(left out: the history of this run is full)";

impl Turn<'_> {
    /// The record of the step at the top of the stack.
    pub(crate) fn record(&mut self) -> &mut StepRecord {
        let step = self.frame().step;
        self.record_of(step).expect("a frame has a record: both are made together in enter")
    }

    pub(crate) fn record_of(&mut self, step: StepId) -> Option<&mut StepRecord> {
        let record = self.run.steps.get_mut(step as usize)?;
        if self.run.changed.last() != Some(&step) {
            self.run.changed.push(step);
        }
        Some(record)
    }

    pub(super) fn record_input(&mut self, input: &Arc<Value>) {
        let input = self.kept(input);
        self.record().input = input;
    }

    pub(super) fn record_output(&mut self, output: &Arc<Value>) {
        let output = self.kept(output);
        self.record().output = output;
    }

    /// Records the evaluated `with` of a call. It is kept even when the history is full: another attempt is made with it.
    pub(crate) fn record_call(&mut self, with: Value) -> Result<StepId, Stop> {
        self.mask_input(&with);
        let bytes = bytes(&with);
        self.run.history_bytes = self.run.history_bytes.saturating_add(bytes);
        let record = self.record();
        record.input = Arc::new(with);
        let step = record.id;
        self.hold(Holder::Task, |_| bytes);
        self.check_held()?;
        Ok(step)
    }

    pub(super) fn close_record(&mut self, step: StepId, status: Status, problem: Option<Problem>) {
        let at = self.at;
        let full = self.run.history_bytes > HISTORY_BYTES;
        if let Some(problem) = &problem {
            self.mask_problem(step, problem);
        }
        let Some(record) = self.record_of(step) else {
            return;
        };
        record.status = status;
        record.ended_at = Some(at);
        record.due_at = None;
        if problem.is_some() {
            record.problem = problem;
        }
        if let Some(attempt) = record.attempts.last_mut() {
            attempt.ended_at.get_or_insert(at);
        }
        if full && record.plugin.is_some() && !record.input.is_null() {
            record.input = left_out();
        }
    }

    /// From here on the masked parts of an input are hidden, in errors about it as well.
    pub(super) fn mask_input(&mut self, input: &Value) {
        if let Some(mask) = &self.task().mask {
            mask.of_input(input, &mut self.run.hidden);
        }
    }

    /// From here on the masked parts of an output are hidden.
    pub(super) fn mask_output(&mut self, output: &Value) {
        if let Some(mask) = &self.task().mask {
            mask.of_output(output, &mut self.run.hidden);
        }
    }

    /// The data of a problem came instead of an output, and is masked like one.
    pub(crate) fn mask_problem(&mut self, step: StepId, problem: &Problem) {
        let Some(data) = &problem.data else { return };
        let Some(mask) = self.run.mask(step).cloned() else { return };
        mask.of_output(data, &mut self.run.hidden);
    }

    /// About how long the value is as JSON text. To find out is charged to the event.
    pub(crate) fn measure(&mut self, value: &Arc<Value>) -> usize {
        match &self.measured {
            Some((known, bytes)) if Arc::ptr_eq(known, value) => *bytes,
            _ => {
                let bytes = bytes(value);
                self.budget.charge(bytes);
                self.measured = Some((Arc::clone(value), bytes));
                bytes
            }
        }
    }

    fn kept(&mut self, value: &Arc<Value>) -> Arc<Value> {
        let bytes = self.measure(value);
        if self.run.history_bytes.saturating_add(bytes) > HISTORY_BYTES && bytes > LEFT_OUT.len() {
            return left_out();
        }
        self.run.history_bytes += bytes;
        Arc::clone(value)
    }
}

fn left_out() -> Arc<Value> {
    Arc::new(Value::String(LEFT_OUT.to_owned()))
}

fn bytes(value: &Value) -> usize {
    size(value, usize::MAX).unwrap_or_default()
}
