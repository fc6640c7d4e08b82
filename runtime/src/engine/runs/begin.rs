//! Beginning a run: it is counted against the tenant's quota, journalled, and moved on by its caller while that waits.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::oneshot;

use super::Runs;
use super::driver::Driver;
use super::ledger::Ledger;
use super::wake::Woken;
use crate::engine::Runtime;
use crate::engine::carried::Carried;
use crate::engine::journals::{Lane, storage_problem};
use crate::engine::tenant::Tenant;
use crate::flow::{Event, Flow};
use crate::id::{RunId, TenantId};
use crate::journal::{OriginalRow, Phase, RunKey, RunRow, ScheduleRow, StorageError};
use crate::problem::{Problem, kind};

/// The status of the problem of a run that there is already.
pub(in crate::engine) const BEGUN: u16 = 409;

/// What a run begins with.
pub(in crate::engine) struct Start {
    pub id: RunId,
    pub flow: Arc<Flow>,
    pub trigger: Option<String>,
    pub first: FirstEvents,
}

/// The first events of a run.
pub(in crate::engine) enum FirstEvents {
    /// One, with this input.
    Input(Value),
    /// Those of another run, up to where it goes on from.
    Copy(Vec<(Timestamp, Event)>),
    /// One, with this input, unless an event with the same key has begun a run.
    Once { input: Value, original: OriginalRow },
    /// One, with this input, together with the next time of the schedule that starts it.
    Scheduled { input: Value, next: ScheduleRow },
}

/// A run that is being begun. Its caller polls it; it goes on when the caller leaves.
pub(in crate::engine) struct NewRun {
    work: Carried,
    journalled: oneshot::Receiver<Result<(), Problem>>,
    pub lane: Arc<Lane>,
}

impl NewRun {
    /// The journal has the run when this returns without an error.
    pub async fn journalled(&mut self) -> Result<(), Problem> {
        let journalled = tokio::select! {
            biased;
            journalled = &mut self.journalled => journalled.ok(),
            () = &mut self.work => self.journalled.try_recv().ok(),
        };
        journalled.expect("work tells what became of the run before it ends")
    }

    /// Moves the run on until it is over or waits for the world.
    pub async fn moves(&mut self) {
        (&mut self.work).await;
    }
}

impl Runtime {
    /// Begins a run; it is in the journal when this returns.
    pub async fn start_run(
        &self,
        tenant: &TenantId,
        namespace: &str,
        name: &str,
        version: Option<&str>,
        input: Value,
    ) -> Result<RunId, Problem> {
        let runs = &self.rooms.runs;
        if !runs.lifecycle.is_serving() {
            return Err(Problem::new(kind::RUNTIME, "the host is shutting down", 503));
        }
        let flow = {
            let catalog = runs.deployed.catalog();
            catalog.flow(tenant, namespace, name, version).map(|deployed| deployed.flow.clone())
        };
        let flow = flow.ok_or_else(|| {
            let version = version.map(|version| format!(":{version}")).unwrap_or_default();
            Problem::new(kind::CONFIGURATION, "no such flow", 404)
                .detail(format!("the flow {namespace}/{name}{version} is not deployed for this tenant"))
        })?;
        let id = RunId::mint();
        let start = Start { id, flow, trigger: None, first: FirstEvents::Input(input) };
        runs.start_run(self.tenant(tenant)?, start).await?;
        Ok(id)
    }
}

impl Runs {
    /// Begins a run and leaves it to itself. The journal has it when this returns.
    pub async fn start_run(self: &Arc<Self>, tenant: &Arc<Tenant>, start: Start) -> Result<(), Problem> {
        self.begin(tenant, start)?.journalled().await
    }

    /// Begins a run; the error is about a run too many. Dropping what is returned leaves the run to itself.
    pub fn begin(self: &Arc<Self>, tenant: &Arc<Tenant>, start: Start) -> Result<NewRun, Problem> {
        tenant.memory.admit()?;
        tenant.admit_run()?;
        let row = RunRow {
            key: RunKey { tenant: tenant.id.clone(), run: start.id },
            flow: start.flow.id.clone(),
            trigger: start.trigger,
            status: String::new(),
            phase: Phase::Active,
            owner: None,
            started_at: self.lifecycle.clock.now(),
            ended_at: None,
        };
        let lane = self.journals.of(&start.flow).clone();
        let (tell, journalled) = oneshot::channel();
        let new = (row, start.flow, start.first);
        let work = carry(self.clone(), lane.clone(), tenant.clone(), new, tell);
        Ok(NewRun { work: Carried::new(work), journalled, lane })
    }
}

async fn carry(
    runs: Arc<Runs>,
    lane: Arc<Lane>,
    tenant: Arc<Tenant>,
    (row, flow, first): (RunRow, Arc<Flow>, FirstEvents),
    tell: oneshot::Sender<Result<(), Problem>>,
) {
    let key = row.key.clone();
    let (inbox, lease) = runs.registry.enter(&key, &lane);
    let state = runs.new_state(flow, &key);
    let ledger = Ledger::new(runs.clone(), lane.clone(), lease, row, state, &[], &tenant);
    let mut driver = Driver::new(runs.clone(), tenant.clone(), ledger);
    match driver.create(first).await {
        Ok(effects) => {
            runs.observers.metrics.run_started(&tenant.id);
            let _ = tell.send(Ok(()));
            let _slot = tenant.slot().await;
            driver.drive(effects, inbox).await;
        }
        // There is such a run already, and it is counted: another host was quicker with a time of a schedule, or this
        // host was not told that it had begun it.
        Err(StorageError::Conflict(_)) => {
            let _ = tell.send(Err(Problem::new(kind::RUNTIME, "the run has begun already", BEGUN)));
            tenant.run_is_over();
            drop(driver);
            runs.wake(lane, key, lease, inbox).await;
        }
        Err(error) => {
            runs.observers.metrics.journal_failed();
            if matches!(error, StorageError::Fenced) && lane.journal.lease() == lease {
                runs.lifecycle.set_fenced(true);
            }
            let _ = tell.send(Err(storage_problem(&error)));
            // The journal may have it all the same: then it goes on.
            drop(driver);
            if runs.wake(lane, key, lease, inbox).await == Woken::Nothing {
                tenant.run_is_over();
            }
        }
    }
}
