//! The schedules of flows: rows with a due time, in the lane of the flow's runs. Here the rows are made what the flows
//! say; the scheduler of the runs' room begins the runs.
//!
//! A run and the row's next time are one commit: a time starts one run, however many hosts look at it, and a host that
//! dies has either done both or nothing.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Mutex;

use super::{Deployed, ScheduleView};
use crate::engine::Runtime;
use crate::engine::journals::{Lane, storage_problem};
use crate::flow::{Flow, Schedule};
use crate::id::{RunId, TenantId};
use crate::journal::{Batch, RunRow, ScheduleRow, StorageError, Write};
use crate::problem::Problem;

/// What stands in the place of a trigger's name at the runs that a schedule has started.
pub(in crate::engine) const STARTED_BY: &str = "schedule";

/// What a host knows of schedules beside their rows.
pub(in crate::engine) struct Book {
    /// Whether flows start by themselves here.
    is_kept: bool,
    /// Of this journal: nobody guesses the run of a time, and the same flow elsewhere has other runs.
    key: [u8; 32],
    /// One at a time makes the rows what the flows say.
    settling: Mutex<()>,
}

impl Book {
    pub fn new(is_kept: bool, key: [u8; 32]) -> Self {
        Self { is_kept, key, settling: Mutex::default() }
    }

    /// The run of this time, whichever host starts it.
    pub fn run_of(&self, row: &ScheduleRow, due: Timestamp) -> RunId {
        let [tenant, namespace, name] = [row.tenant.as_str(), &row.namespace, &row.name].map(str::as_bytes);
        RunId::of(&self.key, due, &[tenant, namespace, name, &row.revision.to_le_bytes()])
    }
}

/// A flow's tenant, namespace and name.
pub(in crate::engine) type Name = (TenantId, String, String);

pub(in crate::engine) fn name_of(row: &ScheduleRow) -> Name {
    (row.tenant.clone(), row.namespace.clone(), row.name.clone())
}

/// Whether the rows are what the flows say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Settled {
    Yes,
    /// The journal failed: it is to be tried again.
    NotYet,
}

impl Runtime {
    /// When a tenant's flows start by themselves.
    pub async fn schedules(&self, tenant: &TenantId) -> Result<Vec<ScheduleView>, Problem> {
        let mut views = vec![];
        for lane in self.rooms.journals.lanes() {
            let rows = lane.journal.ask(|storage| storage.list::<ScheduleRow>()).await;
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
}

/// Makes the rows what the flows say, where flows were deployed or removed. What fails is tried again by the schedulers.
pub(super) async fn settle(deployed: &Deployed) {
    for lane in deployed.journals.lanes() {
        lane.set_settled(false);
        settle_if_needed(deployed, lane).await;
    }
    deployed.journals.ring();
}

/// The same in one lane, where that has not succeeded yet: after a start too.
pub(in crate::engine) async fn settle_if_needed(deployed: &Deployed, lane: &Lane) -> Settled {
    if !deployed.schedules.is_kept || lane.is_settled() {
        return Settled::Yes;
    }
    let _turn = deployed.schedules.settling.lock().await;
    // Before the flows are looked at: what is deployed from now on is looked at again.
    lane.set_settled(true);
    loop {
        let settled = async {
            let writes = changes(deployed, lane).await?;
            if writes.is_empty() { Ok(()) } else { lane.journal.commit(Batch::of(writes)).await }
        };
        match settled.await {
            Ok(()) => return Settled::Yes,
            // A time has come, or a run has ended, in between: that is looked at once more.
            Err(StorageError::Conflict(_)) => {}
            Err(error) => {
                tracing::error!(%error, "schedules cannot be read or written; trying again");
                lane.set_settled(false);
                return Settled::NotYet;
            }
        }
    }
}

/// What the rows lack to be what the flows say. A schedule that is the same keeps its next time.
async fn changes(deployed: &Deployed, lane: &Lane) -> Result<Vec<Write>, StorageError> {
    let flows: Vec<(Name, Arc<Flow>)> = {
        let catalog = deployed.catalog();
        let scheduled =
            |(_, flow): &(_, &Arc<Flow>)| flow.durability == lane.durability && flow.schedule.is_some();
        let named = |(tenant, flow): (&TenantId, &Arc<Flow>)| {
            ((tenant.clone(), flow.id.namespace.clone(), flow.id.name.clone()), flow.clone())
        };
        catalog.current_flows().filter(scheduled).map(named).collect()
    };
    let rows = lane.journal.ask(|storage| storage.list::<ScheduleRow>()).await?;
    let mut writes = vec![];
    for row in &rows {
        let is_its = |(name, _): &(Name, _)| *name == name_of(row);
        // Another host may know the tenant.
        if deployed.tenants.has(&row.tenant) && !flows.iter().any(is_its) {
            writes.push(Write::remove::<ScheduleRow>(name_of(row)));
        }
    }
    let now = deployed.lifecycle.clock.now();
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

/// The flow that a schedule is of, as it is now.
pub(in crate::engine) fn current(deployed: &Deployed, row: &ScheduleRow) -> Option<(Arc<Flow>, Schedule)> {
    let catalog = deployed.catalog();
    let flow = &catalog.flow(&row.tenant, &row.namespace, &row.name, None)?.flow;
    Some((flow.clone(), flow.schedule.clone()?))
}

/// What the end of a run means to the schedule that has started it: when that is due next, and the change that says so.
pub(in crate::engine) fn when_over(
    deployed: &Deployed,
    row: &RunRow,
    ended: Timestamp,
) -> Option<(Timestamp, Write)> {
    if row.trigger.as_deref() != Some(STARTED_BY) {
        return None;
    }
    let (tenant, namespace, name) =
        (row.key.tenant.clone(), row.flow.namespace.clone(), row.flow.name.clone());
    let due = {
        let catalog = deployed.catalog();
        catalog.flow(&tenant, &namespace, &name, None)?.flow.schedule.as_ref()?.after(ended)?
    };
    Some((due, ScheduleRow::run_over((tenant, namespace, name), row.key.run, due)))
}
