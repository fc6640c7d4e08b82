//! Flows that start by themselves: begins the run of each schedule whose time has come. The rows are made what the flows
//! say in [`crate::engine::deployed::schedule`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::json;

use super::Runs;
use super::begin::{BEGUN, FirstEvents, Start};
use crate::clock::after;
use crate::engine::deployed::schedule::{self, Name, Settled};
use crate::engine::journals::Lane;
use crate::journal::{Batch, RunKey, ScheduleRow, Write};

/// How many schedules are looked at, beside those that are held, and started at a time.
const ROWS: usize = 200;
/// How long a schedule is left alone whose run could not be started.
const PAUSE: Duration = Duration::from_secs(1);

/// Schedules whose run could not be started, and until when each is left alone.
pub(super) type Held = HashMap<Name, Timestamp>;

/// Starts what is due, and says when to look again: at once, where there may be more.
pub(super) async fn start_due(runs: &Arc<Runs>, lane: &Arc<Lane>, held: &mut Held) -> Timestamp {
    let settled = schedule::settle_if_needed(&runs.deployed, lane).await;
    let limit = held.len() + ROWS;
    let wanted = u32::try_from(limit).unwrap_or(u32::MAX);
    let rows = lane.journal.ask(move |storage| storage.rows(ScheduleRow::next(wanted))).await;
    let now = runs.lifecycle.clock.now();
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => {
            tracing::error!(%error, "schedules cannot be read; trying again");
            return after(now, PAUSE);
        }
    };
    let is_due = |row: &&ScheduleRow| row.due.is_some_and(|due| due <= now);
    held.retain(|name, _| rows.iter().filter(is_due).any(|row| schedule::name_of(row) == *name));
    let is_held = |row: &&ScheduleRow| held.get(&schedule::name_of(row)).is_some_and(|until| *until > now);
    let later = rows.iter().find(|row| !is_due(row)).and_then(|row| row.due);
    let is_full = rows.len() >= limit;
    let due: Vec<&ScheduleRow> = rows.iter().filter(is_due).filter(|row| !is_held(row)).take(ROWS).collect();
    let started = join_all(
        due.iter().map(|row| start(runs, lane, (*row).clone(), !held.contains_key(&schedule::name_of(row)))),
    )
    .await;
    for (row, started) in due.iter().zip(&started) {
        match started {
            true => held.remove(&schedule::name_of(row)),
            false => held.insert(schedule::name_of(row), after(now, PAUSE)),
        };
    }
    let mut next =
        later.unwrap_or(Timestamp::MAX).min(held.values().min().copied().unwrap_or(Timestamp::MAX));
    if settled == Settled::NotYet {
        next = next.min(after(now, PAUSE));
    }
    if started.contains(&true) || is_full && !due.is_empty() { now } else { next }
}

/// Returns whether a run was begun; where not, the log says why, if `tells`.
async fn start(runs: &Arc<Runs>, lane: &Lane, row: ScheduleRow, tells: bool) -> bool {
    let (Some(due), Some(tenant)) = (row.due, runs.tenants.get(&row.tenant)) else { return false };
    let Some((flow, current)) =
        schedule::current(&runs.deployed, &row).filter(|_| runs.lifecycle.is_serving())
    else {
        return false;
    };
    // Not settled yet.
    if current.source != row.schedule {
        return false;
    }
    let id = runs.deployed.schedules.run_of(&row, due);
    let key = RunKey { tenant: row.tenant.clone(), run: id };
    if runs.registry.is_active(&key) {
        // The journal has it, and the row's next time with it, whatever this host was told.
        return false;
    }
    let now = runs.lifecycle.clock.now();
    let next = ScheduleRow {
        due: current.next(due, now),
        run: current.waits_for_the_end().then_some(id),
        revision: row.revision + 1,
        ..row.clone()
    };
    let first = FirstEvents::Scheduled { input: json!({ "scheduledAt": due }), next: next.clone() };
    let trigger = Some(schedule::STARTED_BY.to_owned());
    match runs.start_run(tenant, Start { id, flow, trigger, first }).await {
        Ok(()) => true,
        // There is such a run, or the row is another one by now. A row that is still the same has come to a time that it
        // had before, by a clock that was set back: it goes on from there.
        Err(problem) if problem.status == BEGUN => {
            let due = next.due.or_else(|| current.after(now));
            let moved = Write::put(ScheduleRow { due, run: None, ..next });
            lane.journal.commit(Batch::of(vec![moved])).await.is_ok()
        }
        Err(problem) => {
            let (tenant, flow) = (&row.tenant, format!("{}/{}", row.namespace, row.name));
            if tells {
                tracing::warn!(%tenant, flow, %problem, "the flow could not be started at its time; trying again");
            }
            false
        }
    }
}
