//! Flows that start by themselves. A schedule is a row with a due time, in the journal of the flow's runs; the scheduler
//! sleeps until the earliest. The run and the row's next time are one commit: a time starts one run, however many hosts
//! look at it, and a host that dies has either done both or nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::json;

use super::core::Core;
use super::runs::{self, Beginning, Start, storage_problem};
use super::view::ScheduleView;
use crate::clock::after;
use crate::flow::Flow;
use crate::id::{RunId, TenantId};
use crate::journal::{Batch, RunKey, RunRow, ScheduleRow, StorageError, Write};
use crate::problem::Problem;

/// What stands in the place of a trigger's name at the runs that a schedule has started.
pub(super) const STARTED_BY: &str = "schedule";

/// How many schedules are looked at, and started, at a time.
const ROWS: u32 = 200;
/// How long a schedule is left alone whose run could not be started.
const PAUSE: Duration = Duration::from_secs(1);

/// A flow's tenant, namespace and name.
type Name = (TenantId, String, String);

fn name_of(row: &ScheduleRow) -> Name {
    (row.tenant.clone(), row.namespace.clone(), row.name.clone())
}

/// Makes the rows what the flows say, where flows were deployed or removed.
pub(super) async fn settle(core: &Core) -> Result<(), StorageError> {
    for durable in [true, false] {
        settle_in(core, durable).await?;
    }
    Ok(())
}

/// The same in one journal, as it is done after a start. A schedule that is the same keeps its next time.
pub(super) async fn settle_in(core: &Core, durable: bool) -> Result<(), StorageError> {
    if !core.keeps_schedules {
        return Ok(());
    }
    loop {
        let writes = changes(core, durable).await?;
        if writes.is_empty() {
            return Ok(());
        }
        match core.journal(durable).commit(Batch::of(writes)).await {
            Ok(()) => {
                core.ring();
                return Ok(());
            }
            // A time has come, or a run has ended, in between: that is looked at once more.
            Err(StorageError::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
    }
}

/// What the rows lack to be what the flows say.
async fn changes(core: &Core, durable: bool) -> Result<Vec<Write>, StorageError> {
    let flows: Vec<(Name, Arc<Flow>)> = {
        let catalog = core.catalog.read().expect("no panic while held");
        let scheduled = |(_, flow): &(_, &Arc<Flow>)| flow.durable == durable && flow.schedule.is_some();
        let named = |(tenant, flow): (&TenantId, &Arc<Flow>)| {
            ((tenant.clone(), flow.id.namespace.clone(), flow.id.name.clone()), flow.clone())
        };
        catalog.current_flows().filter(scheduled).map(named).collect()
    };
    let rows = core.journal(durable).ask(|storage| storage.schedules()).await?;
    let mut writes = vec![];
    for row in &rows {
        let is_its = |(name, _): &(Name, _)| *name == name_of(row);
        // Another host may know the tenant.
        if core.tenants.contains_key(&row.tenant) && !flows.iter().any(is_its) {
            let (tenant, namespace, name) = name_of(row);
            writes.push(Write::RemoveSchedule { tenant, namespace, name });
        }
    }
    for (name, flow) in flows {
        let Some(schedule) = &flow.schedule else { continue };
        let stored = rows.iter().find(|row| name_of(row) == name);
        if stored.is_some_and(|row| row.schedule == schedule.source) {
            continue;
        }
        let (tenant, namespace, name) = name;
        writes.push(Write::PutSchedule(ScheduleRow {
            tenant,
            namespace,
            name,
            schedule: schedule.source.clone(),
            due: schedule.first(core.clock.now()),
            run: None,
            revision: stored.map_or(0, |row| row.revision + 1),
        }));
    }
    Ok(writes)
}

/// Starts what is due, and says when to look again.
pub(super) async fn start_due(core: &Arc<Core>, durable: bool) -> Timestamp {
    loop {
        let rows = core.journal(durable).ask(|storage| storage.next_schedules(ROWS)).await;
        let now = core.clock.now();
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                tracing::error!(%error, "schedules cannot be read; trying again");
                return after(now, PAUSE);
            }
        };
        let mut later = None;
        let mut due = vec![];
        for row in rows {
            match row.due {
                Some(at) if at <= now => due.push(start(core, row, at)),
                at => {
                    later = at;
                    break;
                }
            }
        }
        if due.is_empty() {
            return later.unwrap_or(Timestamp::MAX);
        }
        if join_all(due).await.contains(&false) {
            return after(now, PAUSE);
        }
    }
}

/// False: it could not be started now.
async fn start(core: &Arc<Core>, row: ScheduleRow, due: Timestamp) -> bool {
    let flow = {
        let catalog = core.catalog.read().expect("no panic while held");
        catalog.flow(&row.tenant, &row.namespace, &row.name, None).map(|deployed| deployed.flow.clone())
    };
    let (Some(flow), Some(tenant)) = (flow, core.tenants.get(&row.tenant)) else { return false };
    let Some(schedule) = flow.schedule.as_ref().filter(|schedule| schedule.source == row.schedule) else {
        return false;
    };
    let id = run_of(&row, due);
    if core.is_active(&RunKey { tenant: row.tenant.clone(), run: id }) {
        // The journal has it, and the row's next time with it, whatever this host was told.
        return false;
    }
    let next = ScheduleRow {
        due: schedule.next(due, core.clock.now()),
        run: schedule.waits_for_the_end().then_some(id),
        revision: row.revision + 1,
        ..row.clone()
    };
    let beginning = Beginning::Scheduled { input: json!({ "scheduledAt": due }), next };
    let trigger = Some(STARTED_BY.to_owned());
    match runs::start(core, tenant, Start { id, flow, trigger, beginning }).await {
        Ok(()) => true,
        // The row is another one by now.
        Err(problem) if problem.status == 409 => false,
        Err(problem) => {
            let (tenant, flow) = (&row.tenant, format!("{}/{}", row.namespace, row.name));
            tracing::warn!(%tenant, flow, %problem, "the flow could not be started at its time; trying again");
            false
        }
    }
}

/// The run of this time, whoever starts it.
pub(super) fn run_of(row: &ScheduleRow, due: Timestamp) -> RunId {
    let parts = [row.tenant.as_str(), &row.namespace, &row.name].map(str::as_bytes);
    RunId::of(due, &[parts[0], parts[1], parts[2], &row.revision.to_le_bytes()])
}

/// What the end of a run means to the schedule that has started it.
pub(super) fn when_over(row: &RunRow, flow: &Flow, ended: Timestamp) -> Option<Write> {
    let by_schedule = row.trigger.as_deref() == Some(STARTED_BY);
    let due = flow.schedule.as_ref().filter(|_| by_schedule)?.after(ended)?;
    let (tenant, namespace, name) =
        (row.key.tenant.clone(), row.flow.namespace.clone(), row.flow.name.clone());
    Some(Write::ScheduleNext { tenant, namespace, name, run: row.key.run, due })
}

/// The schedules of a tenant's flows.
pub(super) async fn list(core: &Core, tenant: &TenantId) -> Result<Vec<ScheduleView>, Problem> {
    let mut views = vec![];
    for durable in [true, false] {
        let rows = core.journal(durable).ask(|storage| storage.schedules()).await;
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
