//! What is done without anybody waiting for it: what failed is tried again, what a host that died had begun is finished,
//! and what nobody wants any more is ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::attempt::attempt;
use super::{ending, is_of, new, next};
use crate::clock::after;
use crate::engine::Runtime;
use crate::engine::catalog::Trigger;
use crate::engine::core::{Core, Lifetime};
use crate::id::TenantId;
use crate::journal::{Batch, StorageError, SubscriptionPhase, SubscriptionRow, TriggerRow, Write};

/// How long what cannot be done now is left alone: the journal fails or is another host's, a trigger is being switched.
const PAUSE: Duration = Duration::from_secs(1);
/// How many plugins are called at a time by [`run`], and how many of one tenant.
const AT_ONCE: usize = 16;
const AT_ONCE_OF_TENANT: usize = 4;

/// Makes the rows what the triggers want, as it is after a start: one that died in between, an address that is another
/// one now, a trigger that is gone.
pub(in crate::engine) async fn settle(core: &Core) -> Result<(), StorageError> {
    core.subscriptions.is_unsettled.store(false, Ordering::Release);
    let (rows, deployed) = core
        .durable
        .ask(|storage| Ok((storage.list::<SubscriptionRow>()?, storage.list::<TriggerRow>()?)))
        .await?;
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
            writes.push(Write::put(ending(core, row.clone())));
        } else if row.phase != SubscriptionPhase::Subscribed && row.due != Some(now) {
            // Nobody is at it any more; and what was given up may succeed now.
            writes.push(Write::put(next(SubscriptionRow { due: Some(now), ..row.clone() })));
        }
    }
    for trigger in triggers.iter().filter(|trigger| trigger.enabled && trigger.subscribes) {
        let stands =
            |row: &SubscriptionRow| row.phase != SubscriptionPhase::Unsubscribing && wants(trigger, row);
        if !rows.iter().any(stands) {
            writes.push(Write::put(new(core, trigger)));
        }
    }
    match core.durable.commit(Batch::of(writes)).await {
        // Another host was quicker with the same.
        Err(StorageError::Conflict(_)) => Ok(()),
        settled => settled,
    }
}

/// Calls the plugins of what is due, until the host takes nothing new.
pub(in crate::engine) async fn run(runtime: Runtime) {
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
    let mut rows = core.durable.ask(|storage| storage.list::<SubscriptionRow>()).await?;
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
