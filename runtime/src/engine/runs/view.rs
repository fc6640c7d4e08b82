//! What the outside sees of runs: the shapes of the REST API, and how they are made of a run's head and state.

use serde::Serialize;
use serde_json::Value;

use crate::engine::observers::RunSummary;
use crate::flow::{End, RunState, Status, StepRecord};
use crate::journal::RunRow;
use crate::problem::Problem;

/// A run with its steps.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    /// What lists show of it.
    #[serde(flatten)]
    pub summary: RunSummary,
    /// Its raw input.
    pub input: Value,
    /// Its output; null until it has completed.
    pub output: Value,
    /// Why it faulted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// Its steps in the order in which they were entered.
    pub steps: Vec<StepRecord>,
}

/// A part of a list, and where the next part begins.
#[derive(Clone, Debug)]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
    /// What to ask for the next part with; none at the end.
    pub cursor: Option<String>,
}

/// The journal's spelling of a status.
pub(in crate::engine) fn spell(status: Status) -> &'static str {
    match status {
        Status::Pending => "pending",
        Status::Running => "running",
        Status::Waiting => "waiting",
        Status::Suspended => "suspended",
        Status::Cancelled => "cancelled",
        Status::Faulted => "faulted",
        Status::Completed => "completed",
        Status::Skipped => "skipped",
    }
}

pub(super) fn status_from(text: &str) -> Option<Status> {
    serde_json::from_value(Value::from(text)).ok()
}

pub(super) fn summary(row: &RunRow) -> RunSummary {
    RunSummary {
        id: row.key.run,
        tenant: row.key.tenant.clone(),
        flow: row.flow.to_string(),
        trigger: row.trigger.clone(),
        status: status_from(&row.status).unwrap_or(Status::Running),
        started_at: row.started_at,
        ended_at: row.ended_at,
    }
}

/// A run from its head and its folded state.
pub(super) fn run(row: &RunRow, state: &RunState) -> RunView {
    let (output, problem) = match state.end() {
        Some(End::Completed(output)) => (Value::clone(output), None),
        Some(End::Faulted(problem)) => (Value::Null, Some(problem.clone())),
        Some(End::Cancelled { .. }) | None => (Value::Null, None),
    };
    let hidden = state.hidden();
    let all = 0..u32::try_from(state.steps().len()).unwrap_or(u32::MAX);
    let mut view = RunView {
        summary: summary(row),
        input: state.input().cloned().unwrap_or_default(),
        output,
        problem,
        steps: all.filter_map(|step| state.shown(step)).collect(),
    };
    if !hidden.is_empty() {
        hidden.value(&mut view.input);
        hidden.value(&mut view.output);
        view.problem.iter_mut().for_each(|problem| hidden.problem(problem));
    }
    view
}
