//! Changing what is deployed: checked first, committed in one batch, then shown to the rest of the process.

use std::sync::Arc;

use bytes::Bytes;

use super::Runtime;
use super::catalog::{self, Deployed, Trigger};
use super::check;
use super::core::Core;
use super::plugins;
use super::runs::storage_problem;
use super::sandboxes::Sandboxes;
use super::schedule;
use super::subscription;
use super::tenant::Tenant;
use super::view::{PluginView, TriggerView};
use crate::flow::{Document, Finding, Severity, TriggerDocument};
use crate::id::{TenantId, mint_token};
use crate::journal::{Batch, FlowRow, PluginRow, SubscriptionRow, TriggerRow, Write};
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
    tenant: &Arc<Tenant>,
    documents: Vec<Document>,
) -> Result<(), DeployError> {
    let core = &runtime.core;
    let _turn = tenant.deploying.lock().await;
    let _switching = core.switching();
    let mut findings = check::check(runtime, &tenant.id, &documents).await;
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
                let (tenant, id, source) = (tenant.id.clone(), flow.id.clone(), flow.source.clone());
                writes.push(Write::put(FlowRow { tenant, id, source, installed_at: now, removed: false }));
                flows.push(Deployed { flow, installed_at: now });
            }
            Document::Trigger(document) => {
                let (token, enabled) = kept(core, &tenant.id, &document);
                let trigger = trigger(runtime, &tenant.id, document, token, enabled);
                triggers.push(Arc::new(trigger.map_err(DeployError::Problem)?));
            }
        }
    }
    let mut switched = Switched { on: vec![], off: vec![] };
    let deployed = async {
        switched.all(runtime, tenant, &triggers, &mut writes).await?;
        writes.extend(triggers.iter().map(|trigger| Write::put(row(trigger))));
        commit(core, writes).await
    };
    if let Err(problem) = deployed.await {
        switched.back(runtime, tenant).await;
        return Err(DeployError::Problem(problem));
    }
    {
        let mut catalog = core.catalog.write().expect("no panic while held");
        for flow in flows {
            catalog.put_flow(&tenant.id, flow);
        }
        for trigger in triggers {
            catalog.put_trigger(trigger);
        }
        switched.on.iter().for_each(|trigger| catalog.expect_no_more(trigger));
    }
    subscription::attempt_now(runtime, tenant, switched.off).await;
    schedule::settle(core).await;
    Ok(())
}

/// What a deployment has switched so far.
struct Switched {
    on: Vec<Arc<Trigger>>,
    off: Vec<SubscriptionRow>,
}

impl Switched {
    /// Switches every trigger to what it is to be; in the end for `writes` to say so.
    async fn all(
        &mut self,
        runtime: &Runtime,
        tenant: &Tenant,
        triggers: &[Arc<Trigger>],
        writes: &mut Vec<Write>,
    ) -> Result<(), Problem> {
        for trigger in triggers {
            if trigger.enabled {
                self.on.push(trigger.clone());
                // From now on: who is asked to call may do so at once.
                if trigger.subscribes {
                    runtime.core.catalog.write().expect("no panic while held").expect(trigger.clone());
                }
                let named = |problem: Problem| problem.at(&format!("trigger {}", trigger.full_name()));
                writes.extend(subscription::switch_on(runtime, tenant, trigger).await.map_err(named)?);
            } else {
                let off = subscription::switch_off(&runtime.core, trigger).await?;
                writes.extend(off.iter().cloned().map(Write::put));
                self.off.extend(off);
            }
        }
        Ok(())
    }

    /// Nothing is deployed after all: what was there before goes on.
    async fn back(self, runtime: &Runtime, tenant: &Tenant) {
        let core = &runtime.core;
        for trigger in self.on {
            let (namespace, name) = (&trigger.document.namespace, &trigger.document.name);
            let old = {
                let catalog = core.catalog.read().expect("no panic while held");
                catalog.trigger(&tenant.id, namespace, name).cloned()
            };
            core.catalog.write().expect("no panic while held").expect_no_more(&trigger);
            subscription::switch_back(runtime, tenant, &trigger, old.as_deref()).await;
        }
    }
}

/// A trigger's token, which is minted once and stays through every edit; and whether it is on, which is what the
/// operator last said as long as the document is the same.
fn kept(core: &Core, tenant: &TenantId, document: &TriggerDocument) -> (String, bool) {
    let catalog = core.catalog.read().expect("no panic while held");
    match catalog.trigger(tenant, &document.namespace, &document.name) {
        Some(trigger) if trigger.document.source == document.source => {
            (trigger.token.clone(), trigger.enabled)
        }
        Some(trigger) => (trigger.token.clone(), document.enabled),
        None => (mint_token(), document.enabled),
    }
}

/// Ties a document to its plugin.
pub(super) fn trigger(
    runtime: &Runtime,
    tenant: &TenantId,
    document: TriggerDocument,
    token: String,
    enabled: bool,
) -> Result<Trigger, Problem> {
    let refused = |reason: String| {
        Problem::new(kind::CONFIGURATION, "the trigger cannot be served", 409).detail(reason)
    };
    let plugin = runtime.sandboxes.plugins.get(tenant, &document.uses).map_err(refused)?;
    let trigger = plugin.trigger(document.uses.action.as_deref()).map_err(refused)?;
    let (trigger, subscribes) = (trigger.name.clone(), trigger.subscribes);
    let url = catalog::url(&runtime.core.base_url, tenant, &document, &token);
    let config = document.config(&url).map_err(refused)?.to_string();
    Ok(Trigger { tenant: tenant.clone(), document, plugin, trigger, config, subscribes, token, enabled })
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
    tenant: &Tenant,
    namespace: &str,
    name: &str,
) -> Result<bool, Problem> {
    let _turn = tenant.deploying.lock().await;
    let _switching = core.switching();
    let tenant = &tenant.id;
    if core.catalog.read().expect("no panic while held").flow(tenant, namespace, name, None).is_none() {
        return Ok(false);
    }
    let removal = FlowRow::removal(tenant.clone(), namespace.to_owned(), name.to_owned());
    commit(core, vec![removal]).await?;
    let removed = core.catalog.write().expect("no panic while held").remove_flow(tenant, namespace, name);
    schedule::settle(core).await;
    Ok(removed)
}

pub(super) async fn set_trigger_enabled(
    runtime: &Runtime,
    tenant: &Arc<Tenant>,
    namespace: &str,
    name: &str,
    enabled: bool,
) -> Result<Option<TriggerView>, Problem> {
    let core = &runtime.core;
    let _turn = tenant.deploying.lock().await;
    let _switching = core.switching();
    let Some(old) =
        core.catalog.read().expect("no panic while held").trigger(&tenant.id, namespace, name).cloned()
    else {
        return Ok(None);
    };
    let new = trigger(runtime, &tenant.id, old.document.clone(), old.token.clone(), enabled)?;
    let new = Arc::new(new);
    let mut switched = Switched { on: vec![], off: vec![] };
    let mut writes = vec![Write::put(row(&new))];
    let committed = async {
        switched.all(runtime, tenant, std::slice::from_ref(&new), &mut writes).await?;
        commit(core, writes).await
    };
    if let Err(problem) = committed.await {
        switched.back(runtime, tenant).await;
        return Err(problem);
    }
    let view = new.view(&core.base_url);
    {
        let mut catalog = core.catalog.write().expect("no panic while held");
        catalog.put_trigger(new.clone());
        catalog.expect_no_more(&new);
    }
    subscription::attempt_now(runtime, tenant, switched.off).await;
    Ok(Some(view))
}

pub(super) async fn remove_trigger(
    runtime: &Runtime,
    tenant: &Arc<Tenant>,
    namespace: &str,
    name: &str,
) -> Result<bool, Problem> {
    let core = &runtime.core;
    let _turn = tenant.deploying.lock().await;
    let _switching = core.switching();
    let old = core.catalog.read().expect("no panic while held").trigger(&tenant.id, namespace, name).cloned();
    let Some(old) = old else { return Ok(false) };
    let off = subscription::switch_off(core, &old).await?;
    let key = (tenant.id.clone(), namespace.to_owned(), name.to_owned());
    let mut writes = vec![Write::remove::<TriggerRow>(key)];
    writes.extend(off.iter().cloned().map(Write::put));
    commit(core, writes).await?;
    core.catalog.write().expect("no panic while held").remove_trigger(&tenant.id, namespace, name);
    subscription::attempt_now(runtime, tenant, off).await;
    Ok(true)
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
    commit(&runtime.core, vec![Write::put(row)]).await?;
    let view = plugins::view(&plugin);
    installed.add(Some(tenant), plugin);
    Ok(view)
}

async fn commit(core: &Core, writes: Vec<Write>) -> Result<(), Problem> {
    core.durable.commit(Batch::of(writes)).await.map_err(|error| storage_problem(&error))
}
