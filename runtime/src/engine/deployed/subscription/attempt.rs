//! One call of a plugin that subscribes or unsubscribes, and as many as somebody waits for.

use std::sync::Arc;
use std::time::Duration;

use super::{commit, ending, gone, name, next, taken};
use crate::clock::after;
use crate::engine::deployed::Deployed;
use crate::engine::journals::storage_problem;
use crate::engine::lifecycle::{PauseEnd, unavailable};
use crate::engine::steps::SubscribeError;
use crate::engine::tenant::Tenant;
use crate::flow::ATTEMPTS_TO_UNDO;
use crate::journal::{Batch, StorageError, SubscriptionPhase, SubscriptionRow, Write};
use crate::problem::{Problem, kind};

/// How long a caller waits for a trigger to be switched on, pauses between attempts included.
const IN_SIGHT: Duration = Duration::from_secs(60);
/// How long after the longest call another host may take the row up.
const GRACE: Duration = Duration::from_secs(1);

/// What came of a call.
pub(super) enum AttemptEnd {
    /// It succeeded.
    Done,
    /// The plugin failed, and the row rests until it is due.
    Failed(Box<(SubscriptionRow, Problem)>),
    /// Another host is at it.
    Taken,
}

/// Calls the plugin until it has subscribed, or says that it will not.
pub(super) async fn subscribe(
    deployed: &Deployed,
    tenant: &Arc<Tenant>,
    mut row: SubscriptionRow,
) -> Result<(), Problem> {
    let give_up = after(deployed.lifecycle.clock.now(), IN_SIGHT);
    loop {
        let (failed, problem) = match attempt(deployed, tenant, row).await {
            Ok(AttemptEnd::Done) => return Ok(()),
            Ok(AttemptEnd::Failed(failed)) => *failed,
            Ok(AttemptEnd::Taken) => return Err(taken()),
            Err(error) => return Err(storage_problem(&error)),
        };
        match problem.retry_after() {
            Some(pause) if after(deployed.lifecycle.clock.now(), pause) < give_up => {
                if deployed.lifecycle.pause(pause).await == PauseEnd::CutShort {
                    return Err(unavailable("the host is shutting down; switch the trigger on again then"));
                }
                row = failed;
            }
            _ => {
                // What certainly was not done needs no undoing; what may have been done, does.
                let left = match failed.doubtful {
                    true => Write::put(ending(deployed, failed)),
                    false => gone(failed),
                };
                commit(deployed, vec![left]).await?;
                deployed.subscriptions.ring();
                return Err(refused(problem));
            }
        }
    }
}

fn refused(problem: Problem) -> Problem {
    let status = match problem.kind.as_str() {
        kind::VALIDATION => 400,
        kind::CONFIGURATION | kind::AUTHORIZATION => 409,
        _ => 502,
    };
    let detail = problem.to_string();
    let title = "the trigger could not be switched on".to_owned();
    Problem { status, retry_after_ms: None, title, ..problem }.detail(detail)
}

/// One call of the plugin, counted before and told after.
pub(super) async fn attempt(
    deployed: &Deployed,
    tenant: &Arc<Tenant>,
    mut row: SubscriptionRow,
) -> Result<AttemptEnd, StorageError> {
    let is_to_end = row.phase == SubscriptionPhase::Unsubscribing;
    if is_to_end && row.state.is_none() && !row.doubtful {
        return told(deployed, gone(row), AttemptEnd::Done).await;
    }
    let was_doubtful = row.doubtful;
    row.attempts += 1;
    row.revision += 1;
    // Until this time the row is this host's. A host that dies meanwhile leaves the row to the others, and its state in doubt.
    row.due = Some(after(deployed.lifecycle.clock.now(), tenant.quota.step_time.saturating_add(GRACE)));
    row.doubtful |= row.state.is_none();
    match deployed.journals.durable.journal.commit(Batch::of(vec![Write::put(row.clone())])).await {
        Ok(()) => {}
        Err(StorageError::Conflict(_)) => return Ok(AttemptEnd::Taken),
        Err(error) => return Err(error),
    }
    let called = match &row.state {
        // It is not known whether it was subscribed. A call under the same key finds out, and it can then be ended.
        None => match deployed.steps.clone().subscribe(tenant.clone(), row.clone()).await {
            Ok(state) => Ok(Some(state)),
            Err(SubscribeError { problem, is_doubtful }) => {
                row.doubtful = was_doubtful || is_doubtful;
                Err(problem)
            }
        },
        Some(_) => deployed.steps.clone().unsubscribe(tenant.clone(), row.clone()).await.map(|()| None),
    };
    let (write, end) = match called {
        Ok(Some(state)) => {
            (row.state, row.doubtful) = (Some(state.into()), false);
            (row.due, row.problem) = (None, None);
            if is_to_end {
                (row.due, row.attempts) = (Some(deployed.lifecycle.clock.now()), 0);
            } else {
                row.phase = SubscriptionPhase::Subscribed;
            }
            (Write::put(next(row)), AttemptEnd::Done)
        }
        Ok(None) => (gone(row), AttemptEnd::Done),
        Err(problem) => {
            let is_final =
                is_to_end && (problem.kind == kind::VALIDATION || row.attempts >= ATTEMPTS_TO_UNDO);
            row.due =
                (!is_final).then(|| after(deployed.lifecycle.clock.now(), problem.pause_after(row.attempts)));
            // Not with what the other side answered, which may be large.
            row.problem = serde_json::to_string(&Problem { data: None, ..problem.clone() }).ok();
            let what = if is_to_end { "ended" } else { "made" };
            let (attempt, again_at) = (row.attempts, row.due);
            tracing::warn!(trigger = name(&row), attempt, ?again_at, %problem, "a subscription could not be {what}");
            let row = next(row);
            (Write::put(row.clone()), AttemptEnd::Failed(Box::new((row, problem))))
        }
    };
    told(deployed, write, end).await
}

async fn told(deployed: &Deployed, write: Write, end: AttemptEnd) -> Result<AttemptEnd, StorageError> {
    match deployed.journals.durable.journal.commit(Batch::of(vec![write])).await {
        Ok(()) => Ok(end),
        // Another host has taken it up meanwhile: what comes of it is that host's.
        Err(StorageError::Conflict(_)) => Ok(AttemptEnd::Taken),
        Err(error) => Err(error),
    }
}
