//! Runs from outside: begin one, look at it, wait for it, end it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::oneshot;

use super::carried::Carried;
use super::core::{Core, LoadError};
use super::driver::Driver;
use super::restart;
use super::tenant::Tenant;
use super::view::{self, List, RunChange, RunFilter, RunSummary, RunView};
use crate::flow::{Event, Flow};
use crate::id::{RunId, TenantId};
use crate::journal::{OriginalRow, Phase, RunKey, RunQuery, RunRow, ScheduleRow, StorageError};
use crate::problem::{Problem, kind};

/// The longest and the usual page of a list.
const PAGE: (u32, u32) = (500, 50);

/// The status of the problem of a run that there is already.
pub(super) const BEGUN: u16 = 409;

/// What a run begins with.
pub(super) struct Start {
    pub id: RunId,
    pub flow: Arc<Flow>,
    pub trigger: Option<String>,
    pub beginning: Beginning,
}

/// The first events of a run.
pub(super) enum Beginning {
    /// One, with this input.
    Input(Value),
    /// Those of another run, up to where it goes on from.
    Copy(Vec<(Timestamp, Event)>),
    /// One, with this input, unless an event with the same key has begun a run.
    Once { input: Value, original: OriginalRow },
    /// One, with this input, together with the next time of the schedule that starts it.
    Scheduled { input: Value, next: ScheduleRow },
}

/// A run that is being begun: polled by whoever waits for it, finished in any case.
pub(super) struct Begun {
    work: Carried,
    journalled: oneshot::Receiver<Result<(), Problem>>,
    /// Whether its journal is the durable one.
    pub durable: bool,
}

impl Begun {
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

/// Begins a run; the error is about a run too many. Dropping what is returned leaves the run to itself.
pub(super) fn begin(core: &Arc<Core>, tenant: &Arc<Tenant>, start: Start) -> Result<Begun, Problem> {
    tenant.admit_run()?;
    let key = RunKey { tenant: tenant.id.clone(), run: start.id };
    let row = RunRow {
        key,
        flow: start.flow.id.clone(),
        trigger: start.trigger,
        status: String::new(),
        phase: Phase::Active,
        owner: None,
        started_at: core.clock.now(),
        ended_at: None,
    };
    let durable = start.flow.durable;
    let (tell, journalled) = oneshot::channel();
    let work = carry(core.clone(), tenant.clone(), (row, start.flow, start.beginning), tell);
    let work = Carried::new(work);
    Ok(Begun { work, journalled, durable })
}

async fn carry(
    core: Arc<Core>,
    tenant: Arc<Tenant>,
    (row, flow, beginning): (RunRow, Arc<Flow>, Beginning),
    tell: oneshot::Sender<Result<(), Problem>>,
) {
    let (durable, key) = (flow.durable, row.key.clone());
    let (inbox, lease) = core.enter(durable, &key);
    let state = core.new_state(flow, &key);
    let mut driver = Driver::new(core.clone(), tenant.clone(), lease, row, state, 0);
    match driver.create(beginning).await {
        Ok(effects) => {
            core.metrics.run_started(&tenant.id);
            let _ = tell.send(Ok(()));
            let _slot = tenant.slot().await;
            driver.drive(effects, inbox).await;
        }
        // A time of a schedule for which there is a run already, and counted: another host was quicker, or this one was not
        // told that it had begun it.
        Err(StorageError::Conflict(_)) => {
            let _ = tell.send(Err(Problem::new(kind::RUNTIME, "the run has begun already", BEGUN)));
            tenant.run_is_over();
            drop(driver);
            core.wake(durable, key, lease, inbox).await;
        }
        Err(error) => {
            core.metrics.journal_failed();
            if matches!(error, StorageError::Fenced) && core.journal(durable).lease() == lease {
                core.set_fenced(true);
            }
            let _ = tell.send(Err(storage_problem(&error)));
            // The journal may have it all the same: then it goes on.
            drop(driver);
            if !core.wake(durable, key, lease, inbox).await {
                tenant.run_is_over();
            }
        }
    }
}

/// Begins a run and leaves it to itself. The journal has it when this returns.
pub(super) async fn start(core: &Arc<Core>, tenant: &Arc<Tenant>, start: Start) -> Result<(), Problem> {
    begin(core, tenant, start)?.journalled().await
}

pub(super) async fn get(core: &Core, tenant: &TenantId, run: RunId) -> Result<Option<RunView>, Problem> {
    let key = RunKey { tenant: tenant.clone(), run };
    for durable in [false, true] {
        match core.load(durable, &key).await {
            Ok((row, state, _)) => return Ok(Some(view::run(&row, &state))),
            Err(LoadError::NoRun) => {}
            Err(error) => return Err(load_problem(&error)),
        }
    }
    Ok(None)
}

/// The head of the run, and whether it is in the durable journal.
pub(super) async fn head(core: &Core, key: &RunKey) -> Result<Option<(RunRow, bool)>, Problem> {
    for durable in [false, true] {
        let wanted = key.clone();
        let row = core.journal(durable).ask(move |storage| storage.run(&wanted)).await;
        if let Some(row) = row.map_err(|error| storage_problem(&error))? {
            return Ok(Some((row, durable)));
        }
    }
    Ok(None)
}

/// Both journals' runs as one list, newest first.
pub(super) async fn list(
    core: &Core,
    tenant: &TenantId,
    filter: RunFilter,
) -> Result<List<RunSummary>, Problem> {
    let wrong = |detail: &str| Problem::new(kind::VALIDATION, "a parameter is wrong", 400).detail(detail);
    if filter.limit == Some(0) {
        return Err(wrong("`limit` is 0: ask for at least one run, or leave it out"));
    }
    if filter.flow.as_deref().is_some_and(|flow| flow.contains(':')) {
        return Err(wrong("`flow` is `namespace/name`, without a version"));
    }
    let limit = filter.limit.unwrap_or(PAGE.1).min(PAGE.0);
    let query = RunQuery {
        flow: filter.flow,
        status: filter.status.map(|status| view::spell(status).to_owned()),
        since: filter.since,
        cursor: None,
        limit,
    };
    // A cursor holds where each of the two lists goes on; a list that is over has none.
    let cursors = match filter.cursor.as_deref() {
        None => [Some(None), Some(None)],
        Some(cursor) => read_cursors(cursor)?,
    };
    let mut items = vec![];
    let mut next = [None, None];
    for (place, durable) in [true, false].into_iter().enumerate() {
        let Some(cursor) = cursors[place].clone() else { continue };
        let (owner, query) = (tenant.clone(), RunQuery { cursor, ..query.clone() });
        let page = core.journal(durable).ask(move |storage| storage.runs(&owner, &query)).await;
        let page = page.map_err(|error| storage_problem(&error))?;
        next[place] = page.cursor;
        items.extend(page.items.iter().map(view::summary));
    }
    items.sort_by_key(|run| std::cmp::Reverse((run.started_at, run.id)));
    Ok(List { items, cursor: write_cursors(&next) })
}

fn read_cursors(text: &str) -> Result<[Option<Option<String>>; 2], Problem> {
    let wrong = || {
        Problem::new(kind::VALIDATION, "the cursor is not one of this list", 400)
            .detail("leave `cursor` out, or pass the `cursor` of the page before")
    };
    let (durable, volatile) = text.split_once('~').ok_or_else(wrong)?;
    let one = |text: &str| (!text.is_empty()).then(|| Some(text.to_owned()));
    Ok([one(durable), one(volatile)])
}

fn write_cursors(next: &[Option<String>; 2]) -> Option<String> {
    let [durable, volatile] = next;
    (durable.is_some() || volatile.is_some()).then(|| {
        format!("{}~{}", durable.as_deref().unwrap_or_default(), volatile.as_deref().unwrap_or_default())
    })
}

/// The run when it is over, or as it stands after `within`.
pub(super) async fn wait(
    core: &Core,
    tenant: &TenantId,
    run: RunId,
    within: Duration,
) -> Result<Option<RunView>, Problem> {
    let over = core.waiters.watcher(run);
    // Registered first: a run that ends between the look and the wait is not missed.
    let view = get(core, tenant, run).await?;
    let waits = view.as_ref().is_some_and(|view| !view.summary.status.is_final());
    let deadline = crate::clock::after(core.clock.now(), within);
    if waits {
        tokio::select! {
            biased;
            _ = over => {}
            () = core.clock.sleep_until(deadline) => {}
        }
    } else {
        drop(over);
    }
    core.waiters.forget_gone(run);
    if waits { get(core, tenant, run).await } else { Ok(view) }
}

/// Asks for the end of a run and waits until it is over. One that is over stays as it is.
pub(super) async fn cancel(
    core: &Arc<Core>,
    tenant: &TenantId,
    run: RunId,
    reason: &str,
) -> Result<Option<RunSummary>, Problem> {
    let key = RunKey { tenant: tenant.clone(), run };
    let over = core.waiters.watcher(run);
    let Some((row, durable)) = head(core, &key).await? else {
        drop(over);
        core.waiters.forget_gone(run);
        return Ok(None);
    };
    if row.ended_at.is_some() {
        drop(over);
        core.waiters.forget_gone(run);
        return Ok(Some(view::summary(&row)));
    }
    core.deliver(durable, key.clone(), Event::Cancelled { reason: reason.to_owned() });
    let deadline = crate::clock::after(core.clock.now(), Duration::from_secs(10));
    tokio::select! {
        biased;
        _ = over => {}
        () = core.clock.sleep_until(deadline) => {}
    }
    Ok(head(core, &key).await?.map(|(row, _)| view::summary(&row)))
}

/// A new run of the same text: with the same input, or from the step at which the run failed.
pub(super) async fn restart(
    core: &Arc<Core>,
    tenant: &Arc<Tenant>,
    run: RunId,
    from_failed_step: bool,
) -> Result<Option<RunId>, Problem> {
    let key = RunKey { tenant: tenant.id.clone(), run };
    let Some((_, durable)) = head(core, &key).await? else { return Ok(None) };
    let (row, state, entries) = core.load(durable, &key).await.map_err(|error| load_problem(&error))?;
    let id = RunId::mint();
    let flow = state.flow().clone();
    let beginning = if from_failed_step {
        let new = RunKey { tenant: tenant.id.clone(), run: id };
        let fresh = core.new_state(flow.clone(), &new);
        Beginning::Copy(restart::up_to_the_failed_step(fresh, &state, &entries, core.clock.now())?)
    } else {
        Beginning::Input(state.input().cloned().unwrap_or_default())
    };
    start(core, tenant, Start { id, flow, trigger: row.trigger, beginning }).await?;
    Ok(Some(id))
}

/// What the journal holds of the run, as changes, oldest first.
pub(super) async fn history(
    core: &Core,
    tenant: &TenantId,
    run: RunId,
) -> Result<Option<Vec<RunChange>>, Problem> {
    let key = RunKey { tenant: tenant.clone(), run };
    let Some((row, durable)) = head(core, &key).await? else { return Ok(None) };
    let flow = core.flow_text(tenant, &row.flow).await.map_err(|error| load_problem(&error))?;
    let entries = core.journal(durable).ask(move |storage| storage.entries(&key, 0)).await;
    let entries = entries.map_err(|error| storage_problem(&error))?;
    let changes = view::changes(&row, core.new_state(flow, &row.key), &entries);
    changes.map(Some).map_err(|reason| load_problem(&LoadError::Unreadable(reason)))
}

pub(super) fn storage_problem(error: &StorageError) -> Problem {
    tracing::error!(%error, "the journal failed");
    let mut problem = Problem::new(kind::RUNTIME, "the journal cannot be written or read now", 503)
        .detail("nothing was accepted; send it again in a moment");
    problem.retry_after_ms = Some(1000);
    problem
}

fn load_problem(error: &LoadError) -> Problem {
    match error {
        LoadError::Storage(error) => storage_problem(error),
        other => {
            tracing::error!(error = %other, "a run cannot be read");
            Problem::new(kind::RUNTIME, "the run cannot be read", 500).detail(other.to_string())
        }
    }
}
