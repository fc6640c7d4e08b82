//! What triggers subscribe to in the world. Some plugins must ask somebody to call their trigger, and take that back
//! later: `enable` and `disable` in wit/trigger.wit.
//!
//! A subscription is a row from before its plugin is asked until it has unsubscribed, so that a host that dies in between
//! leaves none behind: what was begun is finished under the same idempotency key, and ended where nobody wants it any
//! more. Who deploys, enables or disables a trigger waits for the first attempt; what must be tried again after that is
//! done by [`run`], and what stands or fails is shown by [`Runtime::subscriptions`].

mod attempt;
mod background;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use self::attempt::{attempt, subscribe};
pub(in crate::engine) use self::background::{run, settle};
use super::{Deployed, SubscriptionView, Trigger};
use crate::engine::Runtime;
use crate::engine::journals::storage_problem;
use crate::engine::tenant::Tenant;
use crate::id::{TenantId, mint_id};
use crate::journal::{Batch, StorageError, SubscriptionPhase, SubscriptionRow, Write};
use crate::problem::{Problem, kind};

/// The most subscriptions of a tenant, those that cannot be ended included.
const MOST_OF_TENANT: usize = 1000;

/// Wakes [`run`], once that runs.
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

    /// Whether subscriptions are worked on. Before the host is started its triggers take no calls, and the other side might
    /// call as soon as it is asked to.
    fn is_heard(&self) -> bool {
        self.is_heard.load(Ordering::Acquire)
    }
}

/// Subscribes where `trigger` is to be on and is not yet; ends what else stands for it. What is returned is to be
/// committed with the trigger itself.
pub(super) async fn switch_on(
    deployed: &Deployed,
    tenant: &Arc<Tenant>,
    trigger: &Arc<Trigger>,
) -> Result<Vec<Write>, Problem> {
    let rows = of_tenant(deployed, &tenant.id).await?;
    let count = rows.len();
    let is_ours = |row: &SubscriptionRow| trigger.subscribes && is_of(row, deployed, trigger);
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
    let others: Vec<_> = others.into_iter().map(|row| ending(deployed, row)).collect();
    if !trigger.subscribes || !deployed.subscriptions.is_heard() {
        let ours = (trigger.subscribes && ours.is_none()).then(|| new(deployed, trigger));
        deployed.subscriptions.ring();
        return Ok(others.into_iter().chain(ours).map(Write::put).collect());
    }
    // The old one first: both may be known to the other side under the trigger's address.
    commit(deployed, others.iter().cloned().map(Write::put).collect()).await?;
    attempt_now(deployed, tenant, others).await;
    let row = match ours {
        _ if is_on => return Ok(vec![]),
        Some(row) => row,
        None => {
            let row = new(deployed, trigger);
            commit(deployed, vec![Write::put(row.clone())]).await?;
            row
        }
    };
    subscribe(deployed, tenant, row).await.map(|()| vec![])
}

/// What ends with a trigger: to be committed with it, and then given to [`attempt_now`].
pub(super) async fn switch_off(
    deployed: &Deployed,
    trigger: &Trigger,
) -> Result<Vec<SubscriptionRow>, Problem> {
    let rows = of_tenant(deployed, &trigger.tenant).await?;
    Ok(standing(rows, trigger).into_iter().map(|row| ending(deployed, row)).collect())
}

/// The first attempt for rows that are to be ended and are committed; what fails goes on in the background.
pub(super) async fn attempt_now(deployed: &Deployed, tenant: &Arc<Tenant>, rows: Vec<SubscriptionRow>) {
    for row in rows {
        if deployed.subscriptions.is_heard()
            && let Err(error) = attempt(deployed, tenant, row).await
        {
            tracing::error!(%error, "a subscription could not be ended now; trying again");
        }
    }
    deployed.subscriptions.ring();
}

/// The trigger is not deployed after all: what it has subscribed to ends, and what the one before it had subscribed to is
/// subscribed to again, both in the background.
pub(super) async fn switch_back(
    deployed: &Deployed,
    tenant: &Arc<Tenant>,
    trigger: &Trigger,
    old: Option<&Trigger>,
) {
    let old = old.filter(|old| old.enabled && old.subscribes);
    let back = async {
        let standing = standing(of_tenant(deployed, &tenant.id).await?, trigger);
        let is_olds = |row: &SubscriptionRow| old.is_some_and(|old| is_of(row, deployed, old));
        let stands = standing.iter().any(is_olds);
        let others = standing.into_iter().filter(|row| !is_olds(row)).map(|row| ending(deployed, row));
        let again = old.filter(|_| !stands).map(|old| new(deployed, old));
        commit(deployed, others.chain(again).map(Write::put).collect()).await
    };
    if let Err(problem) = back.await {
        let (tenant, trigger) = (&tenant.id, trigger.full_name());
        tracing::error!(%tenant, trigger, %problem, "what the trigger had subscribed to is not set right yet; trying again");
        deployed.subscriptions.is_unsettled.store(true, Ordering::Release);
    }
    deployed.subscriptions.ring();
}

impl Runtime {
    /// What a tenant's triggers have subscribed to, and what of that is still to be ended; oldest first.
    pub async fn subscriptions(&self, tenant: &TenantId) -> Result<Vec<SubscriptionView>, Problem> {
        Ok(of_tenant(&self.rooms.deployer.deployed, tenant).await?.iter().map(view).collect())
    }

    /// Forgets a subscription that could not be ended so far. Returns false when there is none of that id.
    pub async fn forget_subscription(&self, tenant: &TenantId, id: &str) -> Result<bool, Problem> {
        let deployed = &self.rooms.deployer.deployed;
        let fails =
            |row: &SubscriptionRow| row.phase == SubscriptionPhase::Unsubscribing && row.problem.is_some();
        let rows = of_tenant(deployed, tenant).await?;
        match rows.into_iter().find(|row| row.id == id && fails(row)) {
            Some(row) => commit(deployed, vec![gone(row)]).await.map(|()| true),
            None => Ok(false),
        }
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

async fn of_tenant(deployed: &Deployed, tenant: &TenantId) -> Result<Vec<SubscriptionRow>, Problem> {
    let rows = deployed.journals.durable.journal.ask(|storage| storage.list::<SubscriptionRow>()).await;
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
fn is_of(row: &SubscriptionRow, deployed: &Deployed, trigger: &Trigger) -> bool {
    row.tenant == trigger.tenant
        && (&row.namespace, &row.name) == (&trigger.document.namespace, &trigger.document.name)
        && row.uses == trigger.document.uses.to_string()
        && row.config == trigger.config
        && row.url == trigger.url(&deployed.addresses.base_url)
}

/// One that is due and not committed.
fn new(deployed: &Deployed, trigger: &Trigger) -> SubscriptionRow {
    SubscriptionRow {
        tenant: trigger.tenant.clone(),
        id: mint_id(),
        namespace: trigger.document.namespace.clone(),
        name: trigger.document.name.clone(),
        uses: trigger.document.uses.to_string(),
        config: trigger.config.clone(),
        url: trigger.url(&deployed.addresses.base_url),
        phase: SubscriptionPhase::Subscribing,
        state: None,
        doubtful: false,
        attempts: 0,
        due: Some(deployed.lifecycle.clock.now()),
        problem: None,
        revision: 0,
    }
}

/// The row when it is to be ended.
fn ending(deployed: &Deployed, row: SubscriptionRow) -> SubscriptionRow {
    let due = Some(deployed.lifecycle.clock.now());
    next(SubscriptionRow { phase: SubscriptionPhase::Unsubscribing, attempts: 0, due, problem: None, ..row })
}

/// The row when it is changed.
fn next(row: SubscriptionRow) -> SubscriptionRow {
    SubscriptionRow { revision: row.revision + 1, ..row }
}

fn gone(row: SubscriptionRow) -> Write {
    Write::remove_revision::<SubscriptionRow>((row.tenant, row.id), row.revision)
}

fn name(row: &SubscriptionRow) -> String {
    format!("{}/{}", row.namespace, row.name)
}

async fn commit(deployed: &Deployed, writes: Vec<Write>) -> Result<(), Problem> {
    if writes.is_empty() {
        return Ok(());
    }
    deployed.journals.durable.journal.commit(Batch::of(writes)).await.map_err(|error| match error {
        StorageError::Conflict(_) => taken(),
        error => storage_problem(&error),
    })
}

fn taken() -> Problem {
    Problem::new(kind::RUNTIME, "the trigger is being switched already", 409)
        .detail("look at it again in a moment")
}
