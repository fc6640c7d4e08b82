//! What triggers subscribe to in the world. Some plugins must ask somebody to call their trigger, and take that back
//! later: `enable` and `disable` in wit/trigger.wit.
//!
//! A subscription is a row from before its plugin is asked until it has unsubscribed, so that a host that dies in between
//! leaves none behind: what was begun is finished under the same idempotency key, and ended where nobody wants it any
//! more. Who deploys, enables or disables a trigger waits for the first attempt; what must be tried again after that is
//! done by [`run`], and what stands or fails is shown by [`list`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::Runtime;
use super::call::{self, NotSubscribed};
use super::catalog::Trigger;
use super::core::{Core, Lifetime};
use super::receive::unavailable;
use super::runs::storage_problem;
use super::tenant::Tenant;
use super::view::SubscriptionView;
use crate::clock::after;
use crate::flow::ATTEMPTS_TO_UNDO;
use crate::id::{TenantId, mint_id};
use crate::journal::{Batch, StorageError, SubscriptionPhase, SubscriptionRow, TriggerRow, Write};
use crate::problem::{Problem, kind};

/// How long somebody waits for a trigger to be switched on, pauses between attempts included.
const IN_SIGHT: Duration = Duration::from_secs(60);
/// How long what cannot be done now is left alone: the journal fails or is another host's, a trigger is being switched.
const PAUSE: Duration = Duration::from_secs(1);
/// How many plugins are called at a time by [`run`], and how many of one tenant.
const AT_ONCE: usize = 16;
const AT_ONCE_OF_TENANT: usize = 4;
/// The most subscriptions of a tenant, those that cannot be ended included.
const MOST_OF_TENANT: usize = 1000;

/// Wakes [`run`], once there is somebody to wake.
#[derive(Default)]
pub(super) struct Bell {
    rung: Notify,
    is_heard: AtomicBool,
    /// The rows are not what the triggers want.
    is_unsettled: AtomicBool,
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
    let rows = of_tenant(core, &tenant.id).await?;
    let count = rows.len();
    let is_ours = |row: &SubscriptionRow| trigger.subscribes && is_of(row, core, trigger);
    let (ours, others): (Vec<_>, Vec<_>) = standing(rows, trigger).into_iter().partition(is_ours);
    let ours = ours.into_iter().next();
    let is_on = ours.as_ref().is_some_and(|row| row.phase == SubscriptionPhase::Subscribed);
    if others.is_empty() && (is_on || !trigger.subscribes) {
        return Ok(vec![]);
    }
    if trigger.subscribes && ours.is_none() && count >= MOST_OF_TENANT {
        return Err(Problem::new(kind::RUNTIME, "the tenant has too many subscriptions", 429).detail(format!(
            "{count} subscriptions stand or could not be ended: `flowcell triggers subscriptions` shows them"
        )));
    }
    let others: Vec<_> = others.into_iter().map(|row| ending(core, row)).collect();
    if !trigger.subscribes || !core.subscriptions.is_heard() {
        let ours = (trigger.subscribes && ours.is_none()).then(|| new(core, trigger));
        core.subscriptions.ring();
        return Ok(others.into_iter().chain(ours).map(Write::PutSubscription).collect());
    }
    // The old one first: both may be known to the other side under the trigger's address.
    commit(core, others.iter().cloned().map(Write::PutSubscription).collect()).await?;
    attempt_now(runtime, tenant, others).await;
    let row = match ours {
        _ if is_on => return Ok(vec![]),
        Some(row) => row,
        None => {
            let row = new(core, trigger);
            commit(core, vec![Write::PutSubscription(row.clone())]).await?;
            row
        }
    };
    subscribe(runtime, tenant, row).await.map(|()| vec![])
}

/// What ends with a trigger: to be committed with it, and then given to [`attempt_now`].
pub(super) async fn switch_off(core: &Core, trigger: &Trigger) -> Result<Vec<SubscriptionRow>, Problem> {
    let rows = of_tenant(core, &trigger.tenant).await?;
    Ok(standing(rows, trigger).into_iter().map(|row| ending(core, row)).collect())
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
        let standing = standing(of_tenant(core, &tenant.id).await?, trigger);
        let is_olds = |row: &SubscriptionRow| old.is_some_and(|old| is_of(row, core, old));
        let stands = standing.iter().any(is_olds);
        let others = standing.into_iter().filter(|row| !is_olds(row)).map(|row| ending(core, row));
        let again = old.filter(|_| !stands).map(|old| new(core, old));
        commit(core, others.chain(again).map(Write::PutSubscription).collect()).await
    };
    if let Err(problem) = back.await {
        let (tenant, trigger) = (&tenant.id, trigger.full_name());
        tracing::error!(%tenant, trigger, %problem, "what the trigger had subscribed to is not set right yet; trying again");
        core.subscriptions.is_unsettled.store(true, Ordering::Release);
    }
    core.subscriptions.ring();
}

/// Calls the plugin until it has subscribed, or says that it will not.
async fn subscribe(runtime: &Runtime, tenant: &Tenant, mut row: SubscriptionRow) -> Result<(), Problem> {
    let core = &runtime.core;
    let give_up = after(core.clock.now(), IN_SIGHT);
    loop {
        let (failed, problem) = match attempt(runtime, tenant, row).await {
            Ok(Attempted::Done) => return Ok(()),
            Ok(Attempted::Failed(failed)) => *failed,
            Ok(Attempted::Taken) => return Err(taken()),
            Err(error) => return Err(storage_problem(&error)),
        };
        match problem.retry_after() {
            Some(pause) if after(core.clock.now(), pause) < give_up => {
                if !core.pause(pause).await {
                    return Err(unavailable("the host is shutting down; switch the trigger on again then"));
                }
                row = failed;
            }
            _ => {
                // What certainly was not done needs no undoing; what may have been done, does.
                let left = match failed.doubtful {
                    true => Write::PutSubscription(ending(core, failed)),
                    false => gone(failed),
                };
                commit(core, vec![left]).await?;
                core.subscriptions.ring();
                return Err(refused(problem));
            }
        }
    }
}

fn taken() -> Problem {
    Problem::new(kind::RUNTIME, "the trigger is being switched already", 409)
        .detail("look at it again in a moment")
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
async fn attempt(
    runtime: &Runtime,
    tenant: &Tenant,
    mut row: SubscriptionRow,
) -> Result<Attempted, StorageError> {
    let Runtime { core, sandboxes } = runtime;
    let is_to_end = row.phase == SubscriptionPhase::Unsubscribing;
    if is_to_end && row.state.is_none() && !row.doubtful {
        return told(core, gone(row), Attempted::Done).await;
    }
    let was_doubtful = row.doubtful;
    row.attempts += 1;
    row.revision += 1;
    // Until then this host is at it. One that dies meanwhile has left it to the others, and nobody knows how far it was.
    row.due = Some(after(core.clock.now(), tenant.quota.step_time.saturating_add(PAUSE)));
    row.doubtful |= row.state.is_none();
    match core.durable.commit(Batch::of(vec![Write::PutSubscription(row.clone())])).await {
        Ok(()) => {}
        Err(StorageError::Conflict(_)) => return Ok(Attempted::Taken),
        Err(error) => return Err(error),
    }
    let called = match &row.state {
        // Nobody knows whether it was subscribed: under the same key that is found out, and can then be ended.
        None => match call::subscribe(sandboxes, core, tenant, &row).await {
            Ok(state) => Ok(Some(state)),
            Err(NotSubscribed { problem, is_doubtful }) => {
                row.doubtful = was_doubtful || is_doubtful;
                Err(problem)
            }
        },
        Some(_) => call::unsubscribe(sandboxes, core, tenant, &row).await.map(|()| None),
    };
    let (write, attempted) = match called {
        Ok(Some(state)) => {
            (row.state, row.doubtful) = (Some(state.into()), false);
            (row.due, row.problem) = (None, None);
            if is_to_end {
                (row.due, row.attempts) = (Some(core.clock.now()), 0);
            } else {
                row.phase = SubscriptionPhase::Subscribed;
            }
            (Write::PutSubscription(next(row)), Attempted::Done)
        }
        Ok(None) => (gone(row), Attempted::Done),
        Err(problem) => {
            let is_final =
                is_to_end && (problem.kind == kind::VALIDATION || row.attempts >= ATTEMPTS_TO_UNDO);
            row.due = (!is_final).then(|| after(core.clock.now(), problem.pause_after(row.attempts)));
            // Not with what the other side answered, which may be large.
            row.problem = serde_json::to_string(&Problem { data: None, ..problem.clone() }).ok();
            let what = if is_to_end { "ended" } else { "made" };
            let (attempt, again_at) = (row.attempts, row.due);
            tracing::warn!(trigger = name(&row), attempt, ?again_at, %problem, "a subscription could not be {what}");
            let row = next(row);
            (Write::PutSubscription(row.clone()), Attempted::Failed(Box::new((row, problem))))
        }
    };
    told(core, write, attempted).await
}

async fn told(core: &Core, write: Write, attempted: Attempted) -> Result<Attempted, StorageError> {
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
    core.subscriptions.is_unsettled.store(false, Ordering::Release);
    let (rows, deployed) =
        core.durable.ask(|storage| Ok((storage.subscriptions()?, storage.triggers()?))).await?;
    let triggers: Vec<Arc<Trigger>> = {
        let catalog = core.catalog.read().expect("no panic while held");
        catalog.all_triggers().cloned().collect()
    };
    let now = core.clock.now();
    let wants = |trigger: &Trigger, row: &SubscriptionRow| {
        trigger.enabled && trigger.subscribes && is_of(row, core, trigger)
    };
    // One whose plugin this host cannot use now is not gone.
    let is_served = |row: &TriggerRow| {
        let is_it = |trigger: &Arc<Trigger>| {
            (&trigger.tenant, &trigger.document.namespace, &trigger.document.name)
                == (&row.tenant, &row.namespace, &row.name)
        };
        triggers.iter().any(is_it)
    };
    let unserved: Vec<&TriggerRow> = deployed.iter().filter(|row| row.enabled && !is_served(row)).collect();
    let is_unserved = |row: &SubscriptionRow| {
        unserved.iter().any(|trigger| {
            (&trigger.tenant, &trigger.namespace, &trigger.name) == (&row.tenant, &row.namespace, &row.name)
        })
    };
    let mut writes = vec![];
    for row in &rows {
        let is_ending = row.phase == SubscriptionPhase::Unsubscribing;
        // Another host may be at it, where there are others.
        let is_claimed = core.durable.is_shared() && row.due.is_some_and(|due| due > now);
        if is_claimed || !is_ending && is_unserved(row) {
            continue;
        }
        if !is_ending && !triggers.iter().any(|trigger| wants(trigger, row)) {
            writes.push(Write::PutSubscription(ending(core, row.clone())));
        } else if row.phase != SubscriptionPhase::Subscribed && row.due != Some(now) {
            // Nobody is at it any more; and what was given up may succeed now.
            writes.push(Write::PutSubscription(next(SubscriptionRow { due: Some(now), ..row.clone() })));
        }
    }
    for trigger in triggers.iter().filter(|trigger| trigger.enabled && trigger.subscribes) {
        let stands =
            |row: &SubscriptionRow| row.phase != SubscriptionPhase::Unsubscribing && wants(trigger, row);
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

/// Calls the plugins of some that are due, and says when to look again.
async fn work(runtime: &Runtime) -> Result<Timestamp, StorageError> {
    let core = &runtime.core;
    if core.subscriptions.is_unsettled.load(Ordering::Acquire) {
        let mut turns = vec![];
        for tenant in core.tenants.values() {
            turns.push(tenant.deploying.lock().await);
        }
        if let Err(error) = settle(core).await {
            core.subscriptions.is_unsettled.store(true, Ordering::Release);
            return Err(error);
        }
    }
    let mut rows = core.durable.ask(|storage| storage.subscriptions()).await?;
    let now = core.clock.now();
    rows.retain(|row| row.due.is_some() && core.tenants.contains_key(&row.tenant));
    let (due, later): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.due <= Some(now));
    if due.is_empty() {
        return Ok(later.iter().filter_map(|row| row.due).min().unwrap_or(Timestamp::MAX));
    }
    // What is to be ended comes first: both may be known to the other side under the trigger's address.
    let is_ending = |row: &SubscriptionRow| row.phase == SubscriptionPhase::Unsubscribing;
    let only_endings = due.iter().any(is_ending);
    let mut of_tenant = HashMap::<TenantId, usize>::new();
    let mut calls = JoinSet::new();
    for row in due.into_iter().filter(|row| is_ending(row) || !only_endings) {
        let count = of_tenant.entry(row.tenant.clone()).or_default();
        if calls.len() < AT_ONCE && *count < AT_ONCE_OF_TENANT {
            *count += 1;
            calls.spawn(take_up(runtime.clone(), row));
        }
    }
    let mut is_done = false;
    for done in calls.join_all().await {
        is_done |= done?;
    }
    Ok(if is_done { now } else { after(core.clock.now(), PAUSE) })
}

/// False: not now.
async fn take_up(runtime: Runtime, row: SubscriptionRow) -> Result<bool, StorageError> {
    let core = &runtime.core;
    let Some(tenant) = core.tenants.get(&row.tenant).cloned() else { return Ok(false) };
    // Nobody may switch the trigger meanwhile. What is being ended, nobody switches any more.
    let turn = tenant.deploying.try_lock();
    let may_go_on = row.phase == SubscriptionPhase::Unsubscribing || turn.is_ok();
    if !may_go_on || core.lifetime() != Lifetime::Serving {
        return Ok(false);
    }
    let turn = turn.ok().filter(|_| row.phase != SubscriptionPhase::Unsubscribing);
    let _switching = core.switching();
    attempt(&runtime, &tenant, row).await?;
    drop(turn);
    Ok(true)
}

/// Every subscription of a tenant, oldest first.
pub(super) async fn list(core: &Core, tenant: &TenantId) -> Result<Vec<SubscriptionView>, Problem> {
    Ok(of_tenant(core, tenant).await?.iter().map(view).collect())
}

/// Forgets a subscription that could not be ended so far. False: there is none of that id.
pub(super) async fn forget(core: &Core, tenant: &TenantId, id: &str) -> Result<bool, Problem> {
    let fails =
        |row: &SubscriptionRow| row.phase == SubscriptionPhase::Unsubscribing && row.problem.is_some();
    let rows = of_tenant(core, tenant).await?;
    match rows.into_iter().find(|row| row.id == id && fails(row)) {
        Some(row) => commit(core, vec![gone(row)]).await.map(|()| true),
        None => Ok(false),
    }
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

async fn of_tenant(core: &Core, tenant: &TenantId) -> Result<Vec<SubscriptionRow>, Problem> {
    let rows = core.durable.ask(|storage| storage.subscriptions()).await;
    let mut rows = rows.map_err(|error| storage_problem(&error))?;
    rows.retain(|row| row.tenant == *tenant);
    Ok(rows)
}

/// Those of a trigger that are not being ended.
fn standing(mut rows: Vec<SubscriptionRow>, trigger: &Trigger) -> Vec<SubscriptionRow> {
    rows.retain(|row| {
        (&row.namespace, &row.name) == (&trigger.document.namespace, &trigger.document.name)
            && row.phase != SubscriptionPhase::Unsubscribing
    });
    rows
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
        doubtful: false,
        attempts: 0,
        due: Some(core.clock.now()),
        problem: None,
        revision: 0,
    }
}

/// The row when it is to be ended.
fn ending(core: &Core, row: SubscriptionRow) -> SubscriptionRow {
    let due = Some(core.clock.now());
    next(SubscriptionRow { phase: SubscriptionPhase::Unsubscribing, attempts: 0, due, problem: None, ..row })
}

/// The row when it is changed.
fn next(row: SubscriptionRow) -> SubscriptionRow {
    SubscriptionRow { revision: row.revision + 1, ..row }
}

fn gone(row: SubscriptionRow) -> Write {
    Write::RemoveSubscription { tenant: row.tenant, id: row.id, revision: row.revision }
}

fn name(row: &SubscriptionRow) -> String {
    format!("{}/{}", row.namespace, row.name)
}

async fn commit(core: &Core, writes: Vec<Write>) -> Result<(), Problem> {
    if writes.is_empty() {
        return Ok(());
    }
    core.durable.commit(Batch::of(writes)).await.map_err(|error| match error {
        StorageError::Conflict(_) => taken(),
        error => storage_problem(&error),
    })
}
