//! What triggers subscribe to in the world. Some plugins must ask somebody to call their trigger, and take that back
//! later: `enable` and `disable` in wit/trigger.wit.
//!
//! A subscription is a row from before its plugin is asked until it has unsubscribed, so that a host that dies in between
//! leaves none behind: what was begun is finished under the same idempotency key, and ended where nobody wants it any
//! more. Who deploys, enables or disables a trigger waits for the first attempt; what must be tried again after that is
//! done by [`run`], and what stands or fails is shown by [`list`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::Runtime;
use super::call;
use super::catalog::Trigger;
use super::core::Core;
use super::runs::storage_problem;
use super::tenant::Tenant;
use super::view::SubscriptionView;
use crate::clock::after;
use crate::flow::ATTEMPTS_TO_UNDO;
use crate::id::{TenantId, mint_id};
use crate::journal::{Batch, StorageError, SubscriptionPhase, SubscriptionRow, Write};
use crate::problem::{Problem, kind};

/// The most attempts to subscribe that somebody waits for, and the longest pause between two of them.
const ATTEMPTS_IN_SIGHT: u32 = 10;
const LONGEST_IN_SIGHT: Duration = Duration::from_secs(30);
/// How long a journal that fails, or is another host's, is left alone.
const PAUSE: Duration = Duration::from_secs(1);
/// How many plugins are called at a time by [`run`].
const AT_ONCE: usize = 16;

/// Wakes [`run`], once there is somebody to wake.
#[derive(Default)]
pub(super) struct Bell {
    rung: Notify,
    is_heard: AtomicBool,
}

impl Bell {
    fn ring(&self) {
        self.rung.notify_one();
    }

    /// Before the host is started nobody could call its triggers yet: who is asked to, might try at once.
    fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::Acquire)
    }
}

/// What came of a call.
enum Attempted {
    /// It succeeded.
    Done,
    /// The plugin failed, and the row rests until it is due.
    Failed(Box<(SubscriptionRow, Problem)>),
    /// Another host is at it.
    Taken,
}

/// Subscribes where `trigger` is to be on and is not yet; ends what else stands for it. What is returned is to be
/// committed with the trigger itself.
pub(super) async fn switch_on(
    runtime: &Runtime,
    tenant: &Tenant,
    trigger: &Arc<Trigger>,
) -> Result<Vec<Write>, Problem> {
    let core = &runtime.core;
    let standing = standing(core, trigger).await?;
    let is_ours = |row: &SubscriptionRow| trigger.subscribes && is_of(row, core, trigger);
    let (ours, others): (Vec<_>, Vec<_>) = standing.into_iter().partition(is_ours);
    let others: Vec<_> = others.into_iter().map(|row| ending(core, row)).collect();
    if !trigger.subscribes || !core.subscriptions.is_heard() {
        let ours = (trigger.subscribes && ours.is_empty()).then(|| new(core, trigger));
        return Ok(others.into_iter().chain(ours).map(Write::PutSubscription).collect());
    }
    // The old one first: both may be known to the other side under the trigger's address.
    commit(core, others.iter().cloned().map(Write::PutSubscription).collect()).await?;
    attempt_now(runtime, tenant, others).await;
    let row = match ours.into_iter().next() {
        Some(row) if row.phase == SubscriptionPhase::Subscribed => return Ok(vec![]),
        Some(row) => row,
        None => {
            let row = new(core, trigger);
            commit(core, vec![Write::PutSubscription(row.clone())]).await?;
            row
        }
    };
    core.catalog.write().expect("no panic while held").expect(trigger.clone());
    let subscribed = subscribe(runtime, tenant, row).await;
    core.catalog.write().expect("no panic while held").expect_no_more(trigger);
    subscribed.map(|()| vec![])
}

/// What ends with a trigger: to be committed with it, and then given to [`attempt_now`].
pub(super) async fn switch_off(core: &Core, trigger: &Trigger) -> Result<Vec<SubscriptionRow>, Problem> {
    let standing = standing(core, trigger).await?;
    Ok(standing.into_iter().map(|row| ending(core, row)).collect())
}

/// The first attempt for rows that are to be ended and are committed; what fails goes on in the background.
pub(super) async fn attempt_now(runtime: &Runtime, tenant: &Tenant, rows: Vec<SubscriptionRow>) {
    for row in rows {
        if runtime.core.subscriptions.is_heard()
            && let Err(error) = attempt(runtime, tenant, row).await
        {
            tracing::error!(%error, "a subscription could not be ended now; trying again");
        }
    }
    runtime.core.subscriptions.ring();
}

/// The trigger is not deployed after all: what it has subscribed to ends, and what the one before it had subscribed to is
/// subscribed to again, both in the background.
pub(super) async fn switch_back(
    runtime: &Runtime,
    tenant: &Tenant,
    trigger: &Trigger,
    old: Option<&Trigger>,
) {
    let core = &runtime.core;
    let old = old.filter(|old| old.enabled && old.subscribes);
    let back = async {
        let standing = standing(core, trigger).await?;
        let is_olds = |row: &SubscriptionRow| old.is_some_and(|old| is_of(row, core, old));
        let stands = standing.iter().any(is_olds);
        let others = standing.into_iter().filter(|row| !is_olds(row)).map(|row| ending(core, row));
        let again = old.filter(|_| !stands).map(|old| new(core, old));
        commit(core, others.chain(again).map(Write::PutSubscription).collect()).await
    };
    if let Err(problem) = back.await {
        let (tenant, trigger) = (&tenant.id, trigger.full_name());
        tracing::error!(%tenant, trigger, %problem, "what the trigger had subscribed to is set right by the next start");
    }
    core.subscriptions.ring();
}

/// Calls the plugin until it has subscribed, or says that it will not.
async fn subscribe(runtime: &Runtime, tenant: &Tenant, mut row: SubscriptionRow) -> Result<(), Problem> {
    let core = &runtime.core;
    loop {
        let (failed, problem) = match attempt(runtime, tenant, row).await {
            Ok(Attempted::Done) => return Ok(()),
            Ok(Attempted::Failed(failed)) => *failed,
            Ok(Attempted::Taken) => {
                return Err(Problem::new(kind::RUNTIME, "the trigger is being switched already", 409)
                    .detail("look at it again in a moment"));
            }
            Err(error) => return Err(storage_problem(&error)),
        };
        match problem.retry_after() {
            Some(pause) if failed.attempts < ATTEMPTS_IN_SIGHT && pause <= LONGEST_IN_SIGHT => {
                core.clock.sleep_until(after(core.clock.now(), pause)).await;
                row = failed;
            }
            _ => {
                // What the plugin says it has not done needs no undoing.
                commit(core, vec![gone(failed)]).await?;
                return Err(refused(problem));
            }
        }
    }
}

fn refused(problem: Problem) -> Problem {
    let status = if problem.kind == kind::VALIDATION { 400 } else { 502 };
    let detail = problem.to_string();
    Problem {
        status,
        retry_after_ms: None,
        title: "the trigger could not be switched on".to_owned(),
        ..problem
    }
    .detail(detail)
}

/// One call of the plugin, counted before and told after.
async fn attempt(
    runtime: &Runtime,
    tenant: &Tenant,
    mut row: SubscriptionRow,
) -> Result<Attempted, StorageError> {
    let Runtime { core, sandboxes } = runtime;
    let now = core.clock.now();
    row.attempts += 1;
    row.revision += 1;
    // Until then this host is at it. One that dies meanwhile has left it to the others.
    row.due = Some(after(now, tenant.quota.step_time.saturating_add(PAUSE)));
    match core.durable.commit(Batch::of(vec![Write::PutSubscription(row.clone())])).await {
        Ok(()) => {}
        Err(StorageError::Conflict(_)) => return Ok(Attempted::Taken),
        Err(error) => return Err(error),
    }
    let is_to_end = row.phase == SubscriptionPhase::Unsubscribing;
    let called = match &row.state {
        // Nobody knows whether it was subscribed: under the same key that is found out, and can then be ended.
        None => call::subscribe(sandboxes, core, tenant, &row).await.map(Some),
        Some(_) => call::unsubscribe(sandboxes, core, tenant, &row).await.map(|()| None),
    };
    row.revision += 1;
    let (write, attempted) = match called {
        Ok(Some(state)) => {
            row.state = Some(state.into());
            (row.due, row.problem) = (None, None);
            if is_to_end {
                (row.due, row.attempts) = (Some(core.clock.now()), 0);
            } else {
                row.phase = SubscriptionPhase::Subscribed;
            }
            (Write::PutSubscription(row), Attempted::Done)
        }
        Ok(None) => (gone(row), Attempted::Done),
        Err(problem) if is_to_end && row.state.is_none() && problem.retry_after().is_none() => {
            tracing::warn!(trigger = name(&row), %problem, "the other side takes no subscription: none stands");
            (gone(row), Attempted::Done)
        }
        Err(problem) => {
            let is_final =
                is_to_end && (problem.kind == kind::VALIDATION || row.attempts >= ATTEMPTS_TO_UNDO);
            row.due = (!is_final).then(|| after(core.clock.now(), problem.pause_after(row.attempts)));
            row.problem = serde_json::to_string(&problem).ok();
            let what = if is_to_end { "ended" } else { "made" };
            let (attempt, again_at) = (row.attempts, row.due);
            tracing::warn!(trigger = name(&row), attempt, ?again_at, %problem, "a subscription could not be {what}");
            (Write::PutSubscription(row.clone()), Attempted::Failed(Box::new((row, problem))))
        }
    };
    match core.durable.commit(Batch::of(vec![write])).await {
        Ok(()) => Ok(attempted),
        // Somebody has given this host up meanwhile: what comes of it is his.
        Err(StorageError::Conflict(_)) => Ok(Attempted::Taken),
        Err(error) => Err(error),
    }
}

/// Makes the rows what the triggers want, as it is after a start: one that died in between, an address that is another
/// one now, a trigger that is gone.
pub(super) async fn settle(core: &Core) -> Result<(), StorageError> {
    let triggers: Vec<Arc<Trigger>> = {
        let catalog = core.catalog.read().expect("no panic while held");
        catalog.all_triggers().cloned().collect()
    };
    let rows = core.durable.ask(|storage| storage.subscriptions()).await?;
    let now = core.clock.now();
    let mut writes = vec![];
    let wanted = |row: &SubscriptionRow| {
        triggers.iter().any(|trigger| trigger.enabled && trigger.subscribes && is_of(row, core, trigger))
    };
    for row in &rows {
        if row.phase != SubscriptionPhase::Unsubscribing && !wanted(row) {
            writes.push(Write::PutSubscription(ending(core, row.clone())));
        } else if row.due.is_some_and(|due| due > now) && !core.durable.is_shared() {
            // Nobody is at it any more.
            let row = SubscriptionRow { due: Some(now), revision: row.revision + 1, ..row.clone() };
            writes.push(Write::PutSubscription(row));
        }
    }
    for trigger in triggers.iter().filter(|trigger| trigger.enabled && trigger.subscribes) {
        let stands = |row: &SubscriptionRow| {
            row.phase != SubscriptionPhase::Unsubscribing && is_of(row, core, trigger)
        };
        if !rows.iter().any(stands) {
            writes.push(Write::PutSubscription(new(core, trigger)));
        }
    }
    match core.durable.commit(Batch::of(writes)).await {
        // Another host was quicker with the same.
        Err(StorageError::Conflict(_)) => Ok(()),
        settled => settled,
    }
}

/// Calls the plugins of what is due, until the host takes nothing new.
pub(super) async fn run(runtime: Runtime) {
    let core = &runtime.core;
    core.subscriptions.is_heard.store(true, Ordering::Release);
    loop {
        let next = if core.is_fenced() {
            after(core.clock.now(), PAUSE)
        } else {
            work(&runtime).await.unwrap_or_else(|error| {
                tracing::error!(%error, "subscriptions cannot be read or written; trying again");
                after(core.clock.now(), PAUSE)
            })
        };
        tokio::select! {
            biased;
            () = core.draining() => return,
            () = core.clock.sleep_until(next) => {}
            () = core.subscriptions.rung.notified() => {}
        }
    }
}

/// Says when to look again.
async fn work(runtime: &Runtime) -> Result<Timestamp, StorageError> {
    let core = &runtime.core;
    loop {
        let mut rows = core.durable.ask(|storage| storage.subscriptions()).await?;
        let now = core.clock.now();
        rows.retain(|row| row.due.is_some() && core.tenants.contains_key(&row.tenant));
        let (due, later): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.due <= Some(now));
        if due.is_empty() {
            return Ok(later.iter().filter_map(|row| row.due).min().unwrap_or(Timestamp::MAX));
        }
        let mut calls = JoinSet::new();
        for row in due.into_iter().take(AT_ONCE) {
            calls.spawn(take_up(runtime.clone(), row));
        }
        for done in calls.join_all().await {
            done?;
        }
    }
}

async fn take_up(runtime: Runtime, row: SubscriptionRow) -> Result<(), StorageError> {
    let Some(tenant) = runtime.core.tenants.get(&row.tenant).cloned() else { return Ok(()) };
    // Nobody may switch the trigger meanwhile. What is being ended is nobody else's business.
    let _turn = match row.phase {
        SubscriptionPhase::Unsubscribing => None,
        _ => Some(tenant.deploying.lock().await),
    };
    attempt(&runtime, &tenant, row).await.map(drop)
}

/// Every subscription of a tenant, oldest first.
pub(super) async fn list(core: &Core, tenant: &TenantId) -> Result<Vec<SubscriptionView>, Problem> {
    let mut rows =
        core.durable.ask(|storage| storage.subscriptions()).await.map_err(|error| storage_problem(&error))?;
    rows.retain(|row| row.tenant == *tenant);
    Ok(rows.iter().map(view).collect())
}

/// Forgets a subscription whose end has failed for good. False: there is none of that id that fails.
pub(super) async fn forget(core: &Core, tenant: &TenantId, id: &str) -> Result<bool, Problem> {
    let found = list(core, tenant)
        .await?
        .into_iter()
        .any(|row| row.id == id && row.status == SubscriptionPhase::Unsubscribing && row.problem.is_some());
    if found {
        let gone = Write::RemoveSubscription { tenant: tenant.clone(), id: id.to_owned() };
        commit(core, vec![gone]).await?;
    }
    Ok(found)
}

fn view(row: &SubscriptionRow) -> SubscriptionView {
    SubscriptionView {
        id: row.id.clone(),
        trigger: name(row),
        uses: format!("{}@default", row.uses),
        url: row.url.clone(),
        status: row.phase,
        attempts: row.attempts,
        due_at: row.due,
        problem: row.problem.as_deref().and_then(|problem| serde_json::from_str(problem).ok()),
    }
}

/// Those of a trigger that are not being ended.
async fn standing(core: &Core, trigger: &Trigger) -> Result<Vec<SubscriptionRow>, Problem> {
    let rows = core.durable.ask(|storage| storage.subscriptions()).await;
    let mut rows = rows.map_err(|error| storage_problem(&error))?;
    rows.retain(|row| {
        row.tenant == trigger.tenant
            && (&row.namespace, &row.name) == (&trigger.document.namespace, &trigger.document.name)
            && row.phase != SubscriptionPhase::Unsubscribing
    });
    Ok(rows)
}

/// Whether a subscription is what the trigger wants.
fn is_of(row: &SubscriptionRow, core: &Core, trigger: &Trigger) -> bool {
    row.tenant == trigger.tenant
        && (&row.namespace, &row.name) == (&trigger.document.namespace, &trigger.document.name)
        && row.uses == trigger.document.uses.to_string()
        && row.config == trigger.config
        && row.url == trigger.url(&core.base_url)
}

/// One that is due and not committed.
fn new(core: &Core, trigger: &Trigger) -> SubscriptionRow {
    SubscriptionRow {
        tenant: trigger.tenant.clone(),
        id: mint_id(),
        namespace: trigger.document.namespace.clone(),
        name: trigger.document.name.clone(),
        uses: trigger.document.uses.to_string(),
        config: trigger.config.clone(),
        url: trigger.url(&core.base_url),
        phase: SubscriptionPhase::Subscribing,
        state: None,
        attempts: 0,
        due: Some(core.clock.now()),
        problem: None,
        revision: 0,
    }
}

/// The row when it is to be ended.
fn ending(core: &Core, row: SubscriptionRow) -> SubscriptionRow {
    SubscriptionRow {
        phase: SubscriptionPhase::Unsubscribing,
        attempts: 0,
        due: Some(core.clock.now()),
        problem: None,
        revision: row.revision + 1,
        ..row
    }
}

fn gone(row: SubscriptionRow) -> Write {
    Write::RemoveSubscription { tenant: row.tenant, id: row.id }
}

fn name(row: &SubscriptionRow) -> String {
    format!("{}/{}", row.namespace, row.name)
}

async fn commit(core: &Core, writes: Vec<Write>) -> Result<(), Problem> {
    core.durable.commit(Batch::of(writes)).await.map_err(|error| storage_problem(&error))
}
