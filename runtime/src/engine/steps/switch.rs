//! Switching a trigger in the world: its plugin's `enable` and `disable`. When that is done, and what is kept of it, the
//! room of what is deployed decides.

use std::sync::Arc;

use super::call::{LEFT_BYTES, deadline_ms, grants, host_failed, limits, trigger_credentials};
use super::sandboxes::Sandboxes;
use crate::engine::tenant::Tenant;
use crate::flow::{Contracts, Needs};
use crate::host::{Call, Called, HostError, Plugin, Reach, SwitchContext};
use crate::id::PluginRef;
use crate::journal::SubscriptionRow;
use crate::problem::{Problem, kind};

/// Why a trigger has not subscribed.
pub(in crate::engine) struct SubscribeError {
    pub problem: Problem,
    /// It may have, all the same.
    pub is_doubtful: bool,
}

/// Calls the `enable` of the trigger that a subscription is of: the bytes that it leaves.
pub(super) async fn subscribe(
    sandboxes: &Sandboxes,
    tenant: &Tenant,
    row: &SubscriptionRow,
) -> Result<Vec<u8>, SubscribeError> {
    let not_called = |problem| SubscribeError { problem, is_doubtful: false };
    let (plugin, trigger) = trigger(sandboxes, tenant, row).map_err(not_called)?;
    let reach = switch(sandboxes, tenant, row);
    let call = Call { plugin: &plugin, name: &trigger, reach, limits: limits(tenant) };
    let called = sandboxes.host.enable(call, &row.config).await;
    let was_cut_off = called.as_ref().is_ok_and(|called| called.usage.fault.is_some());
    match switched(sandboxes, tenant, row, called) {
        Ok(state) if state.len() > LEFT_BYTES => {
            let detail = format!(
                "{}: its state has {} bytes; at most {LEFT_BYTES} are kept while it stands",
                row.uses,
                state.len()
            );
            let problem = Problem::new(kind::RUNTIME, "the subscription cannot be kept", 500).detail(detail);
            Err(SubscribeError { problem, is_doubtful: true })
        }
        Ok(state) => Ok(state),
        Err(problem) => {
            let is_doubtful = was_cut_off || problem.may_have_arrived();
            Err(SubscribeError { problem, is_doubtful })
        }
    }
}

/// Calls its `disable` with what `enable` left.
pub(super) async fn unsubscribe(
    sandboxes: &Sandboxes,
    tenant: &Tenant,
    row: &SubscriptionRow,
) -> Result<(), Problem> {
    let (plugin, trigger) = trigger(sandboxes, tenant, row)?;
    let reach = switch(sandboxes, tenant, row);
    let call = Call { plugin: &plugin, name: &trigger, reach, limits: limits(tenant) };
    let left = row.state.as_deref().unwrap_or_default();
    let called = sandboxes.host.disable(call, &row.config, left).await;
    switched(sandboxes, tenant, row, called)
}

fn trigger(
    sandboxes: &Sandboxes,
    tenant: &Tenant,
    row: &SubscriptionRow,
) -> Result<(Arc<Plugin>, String), Problem> {
    let named = |reason| {
        Problem::new(kind::CONFIGURATION, "the trigger's plugin is not installed", 500).detail(reason)
    };
    let uses: PluginRef = row.uses.parse().map_err(named)?;
    let plugin = sandboxes.plugins.get(&tenant.id, &uses).map_err(named)?;
    let trigger = plugin.trigger(uses.action.as_deref()).map_err(named)?.name.clone();
    Ok((plugin, trigger))
}

/// What switching the trigger of a subscription may reach.
fn switch(sandboxes: &Sandboxes, tenant: &Tenant, row: &SubscriptionRow) -> Reach {
    let context = SwitchContext {
        subscription: row.id.clone(),
        attempt: row.attempts,
        deadline_ms: deadline_ms(sandboxes, tenant),
        url: row.url.clone(),
    };
    let uses = row.uses.parse::<PluginRef>().ok();
    let contract = uses.and_then(|uses| sandboxes.plugins.contracts(&tenant.id).trigger(&uses));
    let config = serde_json::from_str(&row.config).unwrap_or_default();
    let needs = contract.map(|contract| Needs::of_config(&contract, &config)).unwrap_or_default();
    let credentials = trigger_credentials(tenant, &needs);
    Reach::Switch(context, grants(sandboxes, tenant, credentials))
}

fn switched<T>(
    sandboxes: &Sandboxes,
    tenant: &Tenant,
    row: &SubscriptionRow,
    called: Result<Called<T>, HostError>,
) -> Result<T, Problem> {
    let called = called.map_err(|error| host_failed(tenant, &error))?;
    sandboxes.observers.metrics.guest_ended(
        &tenant.id,
        row.uses.split([':', '.']).next().unwrap_or_default(),
        &called.usage,
    );
    for line in &called.logs {
        let trigger = format!("{}/{}", row.namespace, row.name);
        tracing::debug!(tenant = %tenant.id, trigger, level = %line.level, "{}", line.message);
    }
    called.result
}
