//! Flows that start by themselves. A schedule is a row with a due time, in the journal of the flow's runs; the scheduler
//! sleeps until the earliest. The run and the row's next time are one commit: a time starts one run, however many hosts
//! look at it, and a host that dies has either done both or nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Mutex;

use super::core::{Core, Lifetime};
use super::runs::{self, Beginning, Start, storage_problem};
use super::view::ScheduleView;
use crate::clock::after;
use crate::flow::{Flow, Schedule};
use crate::id::{RunId, TenantId};
use crate::journal::{Batch, RunKey, RunRow, ScheduleRow, StorageError, Write};
use crate::problem::Problem;

/// What stands in the place of a trigger's name at the runs that a schedule has started.
pub(super) const STARTED_BY: &str = "schedule";

/// How many schedules are looked at, beside those that are held, and started at a time.
const ROWS: usize = 200;
/// How long a schedule is left alone whose run could not be started.
const PAUSE: Duration = Duration::from_secs(1);

/// What a host knows of schedules beside their rows.
pub(super) struct Book {
    /// Whether flows start by themselves here.
    pub is_kept: bool,
    /// Of this journal: nobody guesses the run of a time, and the same flow elsewhere has other runs.
    pub key: [u8; 32],
    /// One at a time makes the rows what the flows say.
    settling: Mutex<()>,
    /// Whether they are, in the durable journal and in the other one.
    is_settled: [AtomicBool; 2],
}

impl Book {
    pub fn new(is_kept: bool, key: [u8; 32]) -> Self {
        Self { is_kept, key, settling: Mutex::default(), is_settled: Default::default() }
    }

    fn is_settled(&self, durable: bool) -> &AtomicBool {
        &self.is_settled[usize::from(!durable)]
    }
}

/// A flow's tenant, namespace and name.
type Name = (TenantId, String, String);

/// Schedules whose run could not be started, and until when each is left alone.
pub(super) type Held = HashMap<Name, Timestamp>;

fn name_of(row: &ScheduleRow) -> Name {
    (row.tenant.clone(), row.namespace.clone(), row.name.clone())
}

/// Makes the rows what the flows say, where flows were deployed or removed. What fails is tried again by the schedulers.
pub(super) async fn settle(core: &Core) {
    for durable in [true, false] {
        core.schedules.is_settled(durable).store(false, Ordering::Release);
        settle_if_needed(core, durable).await;
    }
    core.ring();
}

/// The same in one journal, where that has not succeeded yet: after a start too. False: it has not.
async fn settle_if_needed(core: &Core, durable: bool) -> bool {
    if !core.schedules.is_kept || core.schedules.is_settled(durable).load(Ordering::Acquire) {
        return true;
    }
    let _turn = core.schedules.settling.lock().await;
    // Before the flows are looked at: what is deployed from now on is looked at again.
    core.schedules.is_settled(durable).store(true, Ordering::Release);
    loop {
        let settled = async {
            let writes = changes(core, durable).await?;
            if writes.is_empty() { Ok(()) } else { core.journal(durable).commit(Batch::of(writes)).await }
        };
        match settled.await {
            Ok(()) => return true,
            // A time has come, or a run has ended, in between: that is looked at once more.
            Err(StorageError::Conflict(_)) => {}
            Err(error) => {
                tracing::error!(%error, "schedules cannot be read or written; trying again");
                core.schedules.is_settled(durable).store(false, Ordering::Release);
                return false;
            }
        }
    }
}

/// What the rows lack to be what the flows say. A schedule that is the same keeps its next time.
async fn changes(core: &Core, durable: bool) -> Result<Vec<Write>, StorageError> {
    let flows: Vec<(Name, Arc<Flow>)> = {
        let catalog = core.catalog.read().expect("no panic while held");
        let scheduled = |(_, flow): &(_, &Arc<Flow>)| flow.durable == durable && flow.schedule.is_some();
        let named = |(tenant, flow): (&TenantId, &Arc<Flow>)| {
            ((tenant.clone(), flow.id.namespace.clone(), flow.id.name.clone()), flow.clone())
        };
        catalog.current_flows().filter(scheduled).map(named).collect()
    };
    let rows = core.journal(durable).ask(|storage| storage.list::<ScheduleRow>()).await?;
    let mut writes = vec![];
    for row in &rows {
        let is_its = |(name, _): &(Name, _)| *name == name_of(row);
        // Another host may know the tenant.
        if core.tenants.contains_key(&row.tenant) && !flows.iter().any(is_its) {
            writes.push(Write::remove::<ScheduleRow>(name_of(row)));
        }
    }
    let now = core.clock.now();
    for (name, flow) in flows {
        let Some(schedule) = &flow.schedule else { continue };
        let stored = rows.iter().find(|row| name_of(row) == name);
        let (due, run) = match stored {
            // A time that is further away than the next one comes from a clock that was set back since.
            Some(row) if row.schedule == schedule.source => match (row.due, schedule.latest(now)) {
                (Some(due), Some(latest)) if due > latest => (Some(latest), None),
                _ => continue,
            },
            // One run at a time: the one that is under way is waited for, whatever comes after it.
            Some(row) if row.run.is_some() && schedule.waits_for_the_end() => (None, row.run),
            _ => (schedule.first(now), None),
        };
        let (tenant, namespace, name) = name;
        writes.push(Write::put(ScheduleRow {
            tenant,
            namespace,
            name,
            schedule: schedule.source.clone(),
            due,
            run,
            revision: stored.map_or(0, |row| row.revision + 1),
        }));
    }
    Ok(writes)
}

/// Starts what is due, and says when to look again: at once, where there may be more.
pub(super) async fn start_due(core: &Arc<Core>, durable: bool, held: &mut Held) -> Timestamp {
    let is_settled = settle_if_needed(core, durable).await;
    let limit = held.len() + ROWS;
    let wanted = u32::try_from(limit).unwrap_or(u32::MAX);
    let rows = core.journal(durable).ask(move |storage| storage.rows(ScheduleRow::next(wanted))).await;
    let now = core.clock.now();
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => {
            tracing::error!(%error, "schedules cannot be read; trying again");
            return after(now, PAUSE);
        }
    };
    let is_due = |row: &&ScheduleRow| row.due.is_some_and(|due| due <= now);
    held.retain(|name, _| rows.iter().filter(is_due).any(|row| name_of(row) == *name));
    let is_held = |row: &&ScheduleRow| held.get(&name_of(row)).is_some_and(|until| *until > now);
    let later = rows.iter().find(|row| !is_due(row)).and_then(|row| row.due);
    let is_full = rows.len() >= limit;
    let due: Vec<&ScheduleRow> = rows.iter().filter(is_due).filter(|row| !is_held(row)).take(ROWS).collect();
    let started =
        join_all(due.iter().map(|row| start(core, (*row).clone(), !held.contains_key(&name_of(row))))).await;
    for (row, started) in due.iter().zip(&started) {
        match started {
            true => held.remove(&name_of(row)),
            false => held.insert(name_of(row), after(now, PAUSE)),
        };
    }
    let mut next =
        later.unwrap_or(Timestamp::MAX).min(held.values().min().copied().unwrap_or(Timestamp::MAX));
    if !is_settled {
        next = next.min(after(now, PAUSE));
    }
    if started.contains(&true) || is_full && !due.is_empty() { now } else { next }
}

/// False: it could not be started now, which is told where it was not told before.
async fn start(core: &Arc<Core>, row: ScheduleRow, tells: bool) -> bool {
    let (Some(due), Some(tenant)) = (row.due, core.tenants.get(&row.tenant)) else { return false };
    let Some((flow, schedule)) = current(core, &row).filter(|_| core.lifetime() == Lifetime::Serving) else {
        return false;
    };
    // Not settled yet.
    if schedule.source != row.schedule {
        return false;
    }
    let id = run_of(&core.schedules.key, &row, due);
    let key = RunKey { tenant: row.tenant.clone(), run: id };
    if core.is_active(&key) {
        // The journal has it, and the row's next time with it, whatever this host was told.
        return false;
    }
    let now = core.clock.now();
    let next = ScheduleRow {
        due: schedule.next(due, now),
        run: schedule.waits_for_the_end().then_some(id),
        revision: row.revision + 1,
        ..row.clone()
    };
    let beginning = Beginning::Scheduled { input: json!({ "scheduledAt": due }), next: next.clone() };
    let durable = flow.durable;
    let trigger = Some(STARTED_BY.to_owned());
    match runs::start(core, tenant, Start { id, flow, trigger, beginning }).await {
        Ok(()) => true,
        // There is such a run, or the row is another one by now. A row that is still the same has come to a time that it
        // had before, by a clock that was set back: it goes on from there.
        Err(problem) if problem.status == runs::BEGUN => {
            let due = next.due.or_else(|| schedule.after(now));
            let moved = Write::put(ScheduleRow { due, run: None, ..next });
            core.journal(durable).commit(Batch::of(vec![moved])).await.is_ok()
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

/// The flow that a schedule is of, as it is now.
fn current(core: &Core, row: &ScheduleRow) -> Option<(Arc<Flow>, Schedule)> {
    let catalog = core.catalog.read().expect("no panic while held");
    let flow = &catalog.flow(&row.tenant, &row.namespace, &row.name, None)?.flow;
    Some((flow.clone(), flow.schedule.clone()?))
}

/// The run of this time, whoever starts it.
pub(super) fn run_of(key: &[u8; 32], row: &ScheduleRow, due: Timestamp) -> RunId {
    let [tenant, namespace, name] = [row.tenant.as_str(), &row.namespace, &row.name].map(str::as_bytes);
    RunId::of(key, due, &[tenant, namespace, name, &row.revision.to_le_bytes()])
}

/// What the end of a run means to the schedule that has started it: when that is due next, and the change that says so.
pub(super) fn when_over(core: &Core, row: &RunRow, ended: Timestamp) -> Option<(Timestamp, Write)> {
    if row.trigger.as_deref() != Some(STARTED_BY) {
        return None;
    }
    let (tenant, namespace, name) =
        (row.key.tenant.clone(), row.flow.namespace.clone(), row.flow.name.clone());
    let due = {
        let catalog = core.catalog.read().expect("no panic while held");
        catalog.flow(&tenant, &namespace, &name, None)?.flow.schedule.as_ref()?.after(ended)?
    };
    Some((due, ScheduleRow::run_over((tenant, namespace, name), row.key.run, due)))
}

/// The schedules of a tenant's flows.
pub(super) async fn list(core: &Core, tenant: &TenantId) -> Result<Vec<ScheduleView>, Problem> {
    let mut views = vec![];
    for durable in [true, false] {
        let rows = core.journal(durable).ask(|storage| storage.list::<ScheduleRow>()).await;
        let rows = rows.map_err(|error| storage_problem(&error))?;
        views.extend(rows.iter().filter(|row| row.tenant == *tenant).map(|row| ScheduleView {
            flow: format!("{}/{}", row.namespace, row.name),
            definition: serde_json::from_str(&row.schedule).unwrap_or_default(),
            due_at: row.due,
            run: row.run,
        }));
    }
    views.sort_by(|a, b| a.flow.cmp(&b.flow));
    Ok(views)
}
