//! Changing what is deployed: checked first, committed in one batch, then shown to the rest of the process.

use std::sync::Arc;

use bytes::Bytes;

use super::Runtime;
use super::catalog::{Deployed, Trigger};
use super::check;
use super::core::Core;
use super::plugins;
use super::runs::storage_problem;
use super::sandboxes::Sandboxes;
use super::view::{PluginView, TriggerView};
use crate::flow::{Document, Finding, Severity, TriggerDocument};
use crate::id::{TenantId, mint_token};
use crate::journal::{Batch, FlowRow, PluginRow, TriggerRow, Write};
use crate::problem::{Problem, kind};

/// Why nothing was deployed.
#[derive(Debug)]
pub enum DeployError {
    /// The documents are wrong.
    Findings(Vec<Finding>),
    /// The journal did not take them.
    Problem(Problem),
}

pub(super) async fn deploy(
    runtime: &Runtime,
    tenant: &TenantId,
    documents: Vec<Document>,
) -> Result<(), DeployError> {
    let core = &runtime.core;
    let mut findings = check::check(runtime, tenant, &documents).await;
    findings.retain(|finding| finding.severity == Severity::Error);
    if !findings.is_empty() {
        return Err(DeployError::Findings(findings));
    }
    let now = core.clock.now();
    let mut writes = vec![];
    let (mut flows, mut triggers) = (vec![], vec![]);
    for document in documents {
        match document {
            Document::Flow(flow) => {
                let (tenant, id, source) = (tenant.clone(), flow.id.clone(), flow.source.clone());
                writes.push(Write::PutFlow(FlowRow {
                    tenant,
                    id,
                    source,
                    installed_at: now,
                    removed: false,
                }));
                flows.push(Deployed { flow, installed_at: now });
            }
            Document::Trigger(document) => {
                let (token, enabled) = standing(core, tenant, &document);
                let trigger = trigger(&runtime.sandboxes, tenant, document, token, enabled);
                let trigger = trigger.map_err(|reason| {
                    DeployError::Problem(
                        Problem::new(kind::CONFIGURATION, "the trigger cannot be served", 409).detail(reason),
                    )
                })?;
                writes.push(Write::PutTrigger(row(&trigger)));
                triggers.push(trigger);
            }
        }
    }
    commit(core, writes).await.map_err(DeployError::Problem)?;
    let mut catalog = core.catalog.write().expect("no panic while held");
    for flow in flows {
        catalog.put_flow(tenant, flow);
    }
    for trigger in triggers {
        catalog.put_trigger(Arc::new(trigger));
    }
    Ok(())
}

/// A trigger's token, which is minted once and stays through every edit; and whether it is on, which is what the
/// operator last said as long as the document is the same.
fn standing(core: &Core, tenant: &TenantId, document: &TriggerDocument) -> (String, bool) {
    let catalog = core.catalog.read().expect("no panic while held");
    match catalog.trigger(tenant, &document.namespace, &document.name) {
        Some(trigger) if trigger.document.source == document.source => {
            (trigger.token.clone(), trigger.enabled)
        }
        Some(trigger) => (trigger.token.clone(), document.enabled),
        None => (mint_token(), document.enabled),
    }
}

/// Ties a document to its plugin. The error is a sentence.
pub(super) fn trigger(
    sandboxes: &Sandboxes,
    tenant: &TenantId,
    document: TriggerDocument,
    token: String,
    enabled: bool,
) -> Result<Trigger, String> {
    let plugin = sandboxes.plugins.get(tenant, &document.uses)?;
    let trigger = plugin.trigger(document.uses.action.as_deref())?.name.clone();
    let config = document.with.to_string();
    Ok(Trigger { tenant: tenant.clone(), document, plugin, trigger, config, token, enabled })
}

fn row(trigger: &Trigger) -> TriggerRow {
    TriggerRow {
        tenant: trigger.tenant.clone(),
        namespace: trigger.document.namespace.clone(),
        name: trigger.document.name.clone(),
        source: trigger.document.source.clone(),
        token: trigger.token.clone(),
        enabled: trigger.enabled,
    }
}

pub(super) async fn remove_flow(
    core: &Core,
    tenant: &TenantId,
    namespace: &str,
    name: &str,
) -> Result<bool, Problem> {
    if core.catalog.read().expect("no panic while held").flow(tenant, namespace, name, None).is_none() {
        return Ok(false);
    }
    let (owner, namespace_, name_) = (tenant.clone(), namespace.to_owned(), name.to_owned());
    commit(core, vec![Write::RemoveFlow { tenant: owner, namespace: namespace_, name: name_ }]).await?;
    Ok(core.catalog.write().expect("no panic while held").remove_flow(tenant, namespace, name))
}

pub(super) async fn set_trigger_enabled(
    runtime: &Runtime,
    tenant: &TenantId,
    namespace: &str,
    name: &str,
    enabled: bool,
) -> Result<Option<TriggerView>, Problem> {
    let core = &runtime.core;
    let Some(old) =
        core.catalog.read().expect("no panic while held").trigger(tenant, namespace, name).cloned()
    else {
        return Ok(None);
    };
    let new = trigger(&runtime.sandboxes, tenant, old.document.clone(), old.token.clone(), enabled);
    let new = new.map_err(|reason| {
        Problem::new(kind::CONFIGURATION, "the trigger cannot be served", 409).detail(reason)
    })?;
    commit(core, vec![Write::PutTrigger(row(&new))]).await?;
    let view = new.view(&core.base_url);
    core.catalog.write().expect("no panic while held").put_trigger(Arc::new(new));
    Ok(Some(view))
}

pub(super) async fn remove_trigger(
    core: &Core,
    tenant: &TenantId,
    namespace: &str,
    name: &str,
) -> Result<bool, Problem> {
    if core.catalog.read().expect("no panic while held").trigger(tenant, namespace, name).is_none() {
        return Ok(false);
    }
    let (owner, namespace_, name_) = (tenant.clone(), namespace.to_owned(), name.to_owned());
    commit(core, vec![Write::RemoveTrigger { tenant: owner, namespace: namespace_, name: name_ }]).await?;
    Ok(core.catalog.write().expect("no panic while held").remove_trigger(tenant, namespace, name))
}

pub(super) async fn install_plugin(
    runtime: &Runtime,
    tenant: &TenantId,
    wasm: &[u8],
) -> Result<PluginView, Problem> {
    let Sandboxes { host, plugins: installed, .. } = &*runtime.sandboxes;
    let refused = |reason: String| {
        Problem::new(kind::VALIDATION, "the component cannot be installed", 400).detail(reason)
    };
    let plugin = host.install(wasm).await.map_err(|error| refused(error.to_string()))?;
    if installed.is_bundled(&plugin.name) {
        return Err(refused(format!(
            "the name `{}` belongs to a plugin of the host: choose another one",
            plugin.name
        )));
    }
    if installed.has(tenant, &plugin) {
        return Ok(plugins::view(&plugin));
    }
    let row = PluginRow {
        tenant: tenant.clone(),
        name: plugin.name.clone(),
        version: plugin.version.to_string(),
        wasm: Bytes::copy_from_slice(wasm),
    };
    commit(&runtime.core, vec![Write::PutPlugin(row)]).await?;
    let view = plugins::view(&plugin);
    installed.add(Some(tenant), plugin);
    Ok(view)
}

async fn commit(core: &Core, writes: Vec<Write>) -> Result<(), Problem> {
    core.durable.commit(Batch::of(writes)).await.map_err(|error| storage_problem(&error))
}
