//! The work on subscriptions that no caller waits for: a call that failed is made again, a call that a dead host had begun
//! is finished, and a subscription that no trigger wants is ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::attempt::attempt;
use super::{ending, is_of, new, next};
use crate::clock::after;
use crate::engine::deployed::{Deployed, Trigger};
use crate::id::TenantId;
use crate::journal::{Batch, StorageError, SubscriptionPhase, SubscriptionRow, TriggerRow, Write};

/// The pause after which work is tried again that cannot be done now: the journal fails or is another host's, or the trigger
/// is being switched.
const PAUSE: Duration = Duration::from_secs(1);
/// How many plugins are called at a time by [`run`], and how many of one tenant.
const AT_ONCE: usize = 16;
const AT_ONCE_OF_TENANT: usize = 4;

/// Makes the rows what the triggers want, as it is after a start: one that died in between, an address that is another
/// one now, a trigger that is gone.
pub(in crate::engine) async fn settle(deployed: &Deployed) -> Result<(), StorageError> {
    deployed.subscriptions.is_unsettled.store(false, Ordering::Release);
    let (rows, deployed_rows) = deployed
        .journals
        .durable
        .journal
        .ask(|storage| Ok((storage.list::<SubscriptionRow>()?, storage.list::<TriggerRow>()?)))
        .await?;
    let triggers: Vec<Arc<Trigger>> = {
        let catalog = deployed.catalog();
        catalog.all_triggers().cloned().collect()
    };
    let now = deployed.lifecycle.clock.now();
    let wants = |trigger: &Trigger, row: &SubscriptionRow| {
        trigger.enabled && trigger.subscribes && is_of(row, deployed, trigger)
    };
    // One whose plugin this host cannot use now is not gone.
    let is_served = |row: &TriggerRow| {
        let is_it = |trigger: &Arc<Trigger>| {
            (&trigger.tenant, &trigger.document.namespace, &trigger.document.name)
                == (&row.tenant, &row.namespace, &row.name)
        };
        triggers.iter().any(is_it)
    };
    let unserved: Vec<&TriggerRow> =
        deployed_rows.iter().filter(|row| row.enabled && !is_served(row)).collect();
    let is_unserved = |row: &SubscriptionRow| {
        unserved.iter().any(|trigger| {
            (&trigger.tenant, &trigger.namespace, &trigger.name) == (&row.tenant, &row.namespace, &row.name)
        })
    };
    let mut writes = vec![];
    for row in &rows {
        let is_ending = row.phase == SubscriptionPhase::Unsubscribing;
        // Another host may be at it, where there are others.
        let is_claimed =
            deployed.journals.durable.journal.is_shared() && row.due.is_some_and(|due| due > now);
        if is_claimed || !is_ending && is_unserved(row) {
            continue;
        }
        if !is_ending && !triggers.iter().any(|trigger| wants(trigger, row)) {
            writes.push(Write::put(ending(deployed, row.clone())));
        } else if row.phase != SubscriptionPhase::Subscribed && row.due != Some(now) {
            // No host is at work on it any more; and what was given up may succeed now.
            writes.push(Write::put(next(SubscriptionRow { due: Some(now), ..row.clone() })));
        }
    }
    for trigger in triggers.iter().filter(|trigger| trigger.enabled && trigger.subscribes) {
        let stands =
            |row: &SubscriptionRow| row.phase != SubscriptionPhase::Unsubscribing && wants(trigger, row);
        if !rows.iter().any(stands) {
            writes.push(Write::put(new(deployed, trigger)));
        }
    }
    match deployed.journals.durable.journal.commit(Batch::of(writes)).await {
        // Another host was quicker with the same.
        Err(StorageError::Conflict(_)) => Ok(()),
        settled => settled,
    }
}

/// Calls the plugins of what is due, until the host takes nothing new.
pub(in crate::engine) async fn run(deployed: Arc<Deployed>) {
    deployed.subscriptions.is_heard.store(true, Ordering::Release);
    loop {
        let next = if deployed.lifecycle.is_fenced() {
            after(deployed.lifecycle.clock.now(), PAUSE)
        } else {
            work(&deployed).await.unwrap_or_else(|error| {
                tracing::error!(%error, "subscriptions cannot be read or written; trying again");
                after(deployed.lifecycle.clock.now(), PAUSE)
            })
        };
        tokio::select! {
            biased;
            () = deployed.lifecycle.draining() => return,
            () = deployed.lifecycle.clock.sleep_until(next) => {}
            () = deployed.subscriptions.rung.notified() => {}
        }
    }
}

/// Calls the plugins of some that are due, and says when to look again.
async fn work(deployed: &Arc<Deployed>) -> Result<Timestamp, StorageError> {
    if deployed.subscriptions.is_unsettled.load(Ordering::Acquire) {
        let mut turns = vec![];
        for tenant in deployed.tenants.all() {
            turns.push(tenant.deploying.lock().await);
        }
        if let Err(error) = settle(deployed).await {
            deployed.subscriptions.is_unsettled.store(true, Ordering::Release);
            return Err(error);
        }
    }
    let mut rows = deployed.journals.durable.journal.ask(|storage| storage.list::<SubscriptionRow>()).await?;
    let now = deployed.lifecycle.clock.now();
    rows.retain(|row| row.due.is_some() && deployed.tenants.has(&row.tenant));
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
            calls.spawn(take_up(deployed.clone(), row));
        }
    }
    let mut is_done = false;
    for done in calls.join_all().await {
        is_done |= done?;
    }
    Ok(if is_done { now } else { after(deployed.lifecycle.clock.now(), PAUSE) })
}

/// Returns whether the row was worked on: not while its trigger is being switched, nor when the host stops.
async fn take_up(deployed: Arc<Deployed>, row: SubscriptionRow) -> Result<bool, StorageError> {
    let Some(tenant) = deployed.tenants.get(&row.tenant).cloned() else { return Ok(false) };
    // The trigger must not be switched meanwhile. A subscription that is being ended has no trigger to switch.
    let turn = tenant.deploying.try_lock();
    let may_go_on = row.phase == SubscriptionPhase::Unsubscribing || turn.is_ok();
    if !may_go_on || !deployed.lifecycle.is_serving() {
        return Ok(false);
    }
    let turn = turn.ok().filter(|_| row.phase != SubscriptionPhase::Unsubscribing);
    let _switching = deployed.lifecycle.switching();
    attempt(&deployed, &tenant, row).await?;
    drop(turn);
    Ok(true)
}
