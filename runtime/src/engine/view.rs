//! What the outside sees of flows, triggers, plugins and runs: the shapes of the REST API.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::flow::{Effect, End, Event, Place, RunState, Status, StepRecord};
use crate::id::{RunId, TenantId};
use crate::journal::{Entry, RunRow, SubscriptionPhase as SubscriptionStatus};
pub use crate::journal::{Role, VaultKind};
use crate::problem::Problem;

/// A deployed flow.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowView {
    /// Its namespace.
    pub namespace: String,
    /// Its name, unique in tenant and namespace.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What its author calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Whether its runs are journalled on disk.
    pub durable: bool,
    /// When this text was deployed.
    pub installed_at: Timestamp,
    /// The document.
    pub document: Value,
}

/// A deployed trigger.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerView {
    /// Its namespace.
    pub namespace: String,
    /// Its name, unique in tenant and namespace.
    pub name: String,
    /// The plugin that judges its requests.
    pub uses: String,
    /// The flow that it starts, as its document names it.
    pub flow: String,
    /// Whether it takes requests.
    pub enabled: bool,
    /// Where it takes them.
    pub url: String,
}

/// What a trigger has subscribed to, is subscribing to, or is to end.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionView {
    /// Its id; the plugin gives it to the other side as idempotency key.
    pub id: String,
    /// `namespace/name` of the trigger, which may be gone by now.
    pub trigger: String,
    /// The plugin that was switched on.
    pub uses: String,
    /// The address that was given to the other side.
    pub url: String,
    /// Where it stands.
    pub status: SubscriptionStatus,
    /// Calls of the plugin to bring it from there to the next status.
    pub attempts: u32,
    /// When the next one is made; none: it rests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// Why the last one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// A secret or a connection, without what is secret in it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VaultView {
    /// What flows call it.
    pub name: String,
    /// The hosts that it may be sent to.
    pub hosts: Vec<String>,
    /// Of a connection: whether nobody has put credentials in yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_empty: Option<bool>,
    /// Of a connection: how it authenticates, with `***` for what is secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<Value>,
    /// When it was set; none: the host's configuration says it.
    pub updated_at: Option<Timestamp>,
}

/// What one call of an action came to.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// What was called, `name:version`.
    pub plugin: String,
    /// How it ended.
    #[serde(flatten)]
    pub end: TrialEnd,
}

/// How a call on trial ended.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "status", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum TrialEnd {
    /// With an output.
    Completed {
        /// As a flow would have it.
        output: Value,
        /// The places of it, as expressions write them.
        paths: Vec<Place>,
    },
    /// With a problem, which a flow could catch.
    Faulted {
        /// Why.
        problem: Problem,
    },
    /// It would wait for the world. What it had begun there was undone.
    Suspended {
        /// Whether a request to its callback address would wake it.
        callback: bool,
        /// After how many milliseconds it would be woken.
        #[serde(skip_serializing_if = "Option::is_none")]
        timer_ms: Option<u64>,
        /// Why what it had begun could not be undone.
        #[serde(skip_serializing_if = "Option::is_none")]
        problem: Option<Problem>,
    },
}

/// When a flow starts by itself.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleView {
    /// `namespace/name`.
    pub flow: String,
    /// `schedule` of its document, and the time zone that `cron` is read in.
    #[serde(flatten)]
    pub definition: Value,
    /// The next time; none while it waits for the end of a run, or when no time is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// The run that it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

/// An installed plugin.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginView {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line of what it does.
    pub title: String,
    /// More of it.
    pub summary: String,
    /// BLAKE3 of the component, hexadecimal.
    pub digest: String,
    /// What its `describe` said.
    pub descriptor: Value,
}

/// A run in a list.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSummary {
    /// Its id.
    pub id: RunId,
    /// Whose it is.
    pub tenant: TenantId,
    /// `namespace/name:version`.
    pub flow: String,
    /// `namespace/name` of the trigger that started it; `schedule` where its flow started by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// When it was accepted.
    pub started_at: Timestamp,
    /// When it was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

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

/// Which runs a list is asked for; newest first.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// `namespace/name`, or a name in the namespace `default`.
    pub flow: Option<String>,
    /// Only those that stand so.
    pub status: Option<Status>,
    /// Only those that were accepted at this time or later.
    pub since: Option<Timestamp>,
    /// What the part before gave.
    pub cursor: Option<String>,
    /// At most so many; 50 unless told, 500 at most.
    pub limit: Option<u32>,
}

/// A change of a run as it happens.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum RunChange {
    /// The run began or ended.
    Run {
        /// When.
        at: Timestamp,
        /// How it stands now.
        run: RunSummary,
        /// Why it faulted.
        #[serde(skip_serializing_if = "Option::is_none")]
        problem: Option<Problem>,
    },
    /// A step changed.
    Step {
        /// When.
        at: Timestamp,
        /// Whose run.
        tenant: TenantId,
        /// Which run.
        run: RunId,
        /// How the step stands now.
        step: StepRecord,
    },
    /// A step's plugin logged a line.
    Log {
        /// When its step answered.
        at: Timestamp,
        /// Whose run.
        tenant: TenantId,
        /// Which run.
        run: RunId,
        /// Which step.
        step: u32,
        /// `debug`, `info`, `warn` or `error`.
        level: String,
        /// The line.
        message: String,
        /// What else the plugin said with it.
        fields: Value,
    },
}

impl RunChange {
    /// Which run it is about.
    pub fn run(&self) -> RunId {
        match self {
            Self::Run { run, .. } => run.id,
            Self::Step { run, .. } | Self::Log { run, .. } => *run,
        }
    }

    /// Whose run it is about.
    pub fn tenant(&self) -> &TenantId {
        match self {
            Self::Run { run, .. } => &run.tenant,
            Self::Step { tenant, .. } | Self::Log { tenant, .. } => tenant,
        }
    }
}

/// The journal's spelling of a status.
pub(super) fn spell(status: Status) -> &'static str {
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

/// `advance` folded over the entries of a run. The error is a sentence about an entry that cannot be read.
pub(super) fn fold(state: &mut RunState, entries: &[Entry]) -> Result<(), String> {
    for entry in entries {
        state.advance(entry.at, parse(entry)?);
    }
    Ok(())
}

/// Everything that these entries of a run asked for, of its first state.
pub(super) fn effects(
    mut state: RunState,
    entries: &[Entry],
    counts: impl Fn(&Event) -> bool,
) -> Result<Vec<Effect>, String> {
    let mut effects = vec![];
    for entry in entries {
        let event = parse(entry)?;
        if counts(&event) {
            effects.extend(state.advance(entry.at, event));
        }
    }
    Ok(effects)
}

/// The changes that the entries of a run made to its first state, oldest first.
pub(super) fn changes(
    row: &RunRow,
    mut state: RunState,
    entries: &[Entry],
) -> Result<Vec<RunChange>, String> {
    let mut records = vec![];
    for entry in entries {
        state.advance(entry.at, parse(entry)?);
        let changed = state.take_changed().into_iter();
        records
            .extend(changed.filter_map(|step| Some((entry.at, state.steps().get(step as usize)?.clone()))));
    }
    // What is masked is not shown of the time before it was either.
    let mut changes: Vec<_> = records
        .into_iter()
        .map(|(at, record)| {
            let (tenant, run) = (row.key.tenant.clone(), row.key.run);
            RunChange::Step { at, tenant, run, step: state.as_shown(record) }
        })
        .collect();
    if let Some(ended_at) = row.ended_at {
        let problem = run(row, &state).problem;
        changes.push(RunChange::Run { at: ended_at, run: summary(row), problem });
    }
    Ok(changes)
}

pub(super) fn parse(entry: &Entry) -> Result<Event, String> {
    serde_json::from_str(&entry.body).map_err(|error| format!("entry {} cannot be read: {error}", entry.seq))
}
