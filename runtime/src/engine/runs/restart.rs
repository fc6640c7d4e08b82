//! Restarting a run: a new run of the same text, with the same input or from the step at which the old one failed.
//!
//! The log of a run that begins at the failed step is that of the old run up to where the step was first asked for, as if
//! that had been now. What came before is not done again; the step begins anew, with its own time, its retries, and
//! another idempotency key.

use std::ops::ControlFlow;

use jiff::Timestamp;

use super::begin::{FirstEvents, Start};
use super::entries::Reader;
use crate::engine::Runtime;
use crate::flow::{End, Event, RunState, Status, StepId, StepRecord};
use crate::id::{RunId, TenantId};
use crate::journal::{Entry, RunKey};
use crate::problem::{Problem, kind};

/// Where a restarted run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RestartFrom {
    Input,
    FailedStep,
}

impl Runtime {
    /// Begins a new run of the same flow text with the same input. Returns nothing when there is no such run.
    pub async fn restart(&self, tenant: &TenantId, run: RunId) -> Result<Option<RunId>, Problem> {
        self.restart_from(tenant, run, RestartFrom::Input).await
    }

    /// Begins a new run at the step that a run failed at: what that one did before counts as done. The error says why
    /// there is no such step. Returns nothing when there is no such run.
    pub async fn restart_from_failed_step(
        &self,
        tenant: &TenantId,
        run: RunId,
    ) -> Result<Option<RunId>, Problem> {
        self.restart_from(tenant, run, RestartFrom::FailedStep).await
    }

    async fn restart_from(
        &self,
        tenant: &TenantId,
        run: RunId,
        from: RestartFrom,
    ) -> Result<Option<RunId>, Problem> {
        let (runs, tenant) = (&self.rooms.runs, self.tenant(tenant)?);
        let key = |run| RunKey { tenant: tenant.id.clone(), run };
        let Some((_, lane)) = runs.head(&key(run)).await? else { return Ok(None) };
        let loaded = runs.load(&lane, &key(run)).await;
        let (row, state, entries) = loaded.map_err(|error| error.problem())?;
        let id = RunId::mint();
        let flow = state.flow().clone();
        let first = match from {
            RestartFrom::Input => FirstEvents::Input(state.input().cloned().unwrap_or_default()),
            RestartFrom::FailedStep => {
                let fresh = runs.new_state(flow.clone(), &key(id));
                let now = runs.lifecycle.clock.now();
                let reader = runs.reader(tenant);
                FirstEvents::Copy(up_to_the_failed_step(reader, fresh, &state, &entries, now).await?)
            }
        };
        runs.start_run(tenant, Start { id, flow, trigger: row.trigger, first }).await?;
        Ok(Some(id))
    }
}

/// What the new run begins with. `fresh` is its state before any event, `old` the run that failed, after all of `entries`.
async fn up_to_the_failed_step(
    reader: Reader<'_>,
    mut fresh: RunState,
    old: &RunState,
    entries: &[Entry],
    now: Timestamp,
) -> Result<Vec<(Timestamp, Event)>, Problem> {
    let failed = failed_step(old)?.id as usize;
    let mut events = vec![];
    // What stood for a secret in the old run means nothing in the new one.
    let renamed =
        |entry: &Entry| Entry { body: fresh.with_placeholders_of(old, &entry.body), ..entry.clone() };
    let entries: Vec<Entry> = entries.iter().map(renamed).collect();
    let read = reader.each(&mut fresh, &entries, |fresh, entry, event| {
        fresh.advance(entry.at, event.clone());
        events.push((entry.at, event));
        match fresh.steps().get(failed) {
            Some(step) if !step.attempts.is_empty() => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    let unreadable = |reason| Problem::new(kind::RUNTIME, "the run cannot be read", 500).detail(reason);
    read.await.map_err(unreadable)?;
    // What the other branches had begun by then, the old run has carried on with: it cannot be both done and begun again.
    if fresh.is_busy_beside(failed as StepId) {
        return Err(not_from_there("other branches of its `fork` were at work when the step began"));
    }
    let last = events.last().map_or(now, |(at, _)| *at);
    for (at, _) in &mut events {
        *at = at.checked_add(now.duration_since(last)).unwrap_or(now);
    }
    Ok(events)
}

/// The step whose problem ended the run.
fn failed_step(old: &RunState) -> Result<&StepRecord, Problem> {
    let Some(End::Faulted(problem)) = old.end() else {
        return Err(not_from_there("it did not fail"));
    };
    let same = |other: &Problem| {
        (&other.kind, &other.title, other.status, &other.detail)
            == (&problem.kind, &problem.title, problem.status, &problem.detail)
    };
    // Another step may have failed in the same words, and been caught.
    let here = |step: &StepRecord| problem.instance.as_ref().is_none_or(|place| *place == step.reference);
    let ended_it = |step: &&StepRecord| {
        step.status == Status::Faulted
            && !step.attempts.is_empty()
            && step.problem.as_ref().is_some_and(same)
            && here(step)
    };
    old.steps()
        .iter()
        .rev()
        .find(ended_it)
        .ok_or_else(|| not_from_there("it failed outside of any step that calls a plugin"))
}

fn not_from_there(why: &str) -> Problem {
    Problem::new("about:blank", "the run has no failed step to begin again at", 409)
        .detail(format!("{why}: restart it from its input, without `from`"))
}
