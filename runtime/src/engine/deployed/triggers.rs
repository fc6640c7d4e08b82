//! Triggers: tied to their plugins, switched on and off, removed.

use std::sync::Arc;

use super::catalog;
use super::subscription;
use super::{Deployed, Deployer, Trigger, TriggerView};
use crate::engine::steps::PluginJudge;
use crate::engine::tenant::Tenant;
use crate::engine::{Runtime, carried};
use crate::flow::TriggerDocument;
use crate::id::TenantId;
use crate::journal::{SubscriptionRow, TriggerRow, Write};
use crate::problem::{Problem, kind};

impl Runtime {
    /// The triggers of a tenant.
    pub fn triggers(&self, tenant: &TenantId) -> Vec<TriggerView> {
        let deployed = &self.rooms.deployer.deployed;
        let catalog = deployed.catalog();
        catalog.triggers(tenant).map(|trigger| trigger.view(&deployed.addresses.base_url)).collect()
    }

    /// Switches a trigger on or off. Returns nothing when there is no such trigger.
    pub async fn set_trigger_enabled(
        &self,
        tenant: &TenantId,
        namespace: &str,
        name: &str,
        enabled: bool,
    ) -> Result<Option<TriggerView>, Problem> {
        let (deployer, tenant) = (self.rooms.deployer.clone(), self.tenant(tenant)?.clone());
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        carried::to_the_end(async move { deployer.set_enabled(&tenant, (&namespace, &name), enabled).await })
            .await
    }

    /// Removes a trigger and its address. Returns false when there was none.
    pub async fn remove_trigger(
        &self,
        tenant: &TenantId,
        namespace: &str,
        name: &str,
    ) -> Result<bool, Problem> {
        let (deployer, tenant) = (self.rooms.deployer.clone(), self.tenant(tenant)?.clone());
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        carried::to_the_end(async move { deployer.remove_trigger(&tenant, &namespace, &name).await }).await
    }
}

impl Deployer {
    async fn set_enabled(
        &self,
        tenant: &Arc<Tenant>,
        (namespace, name): (&str, &str),
        enabled: bool,
    ) -> Result<Option<TriggerView>, Problem> {
        let deployed = &self.deployed;
        let _turn = tenant.deploying.lock().await;
        let _switching = deployed.lifecycle.switching();
        let Some(old) = deployed.trigger(&tenant.id, namespace, name) else {
            return Ok(None);
        };
        let new = Arc::new(tied(self, &tenant.id, old.document.clone(), old.token.clone(), enabled)?);
        let mut switches = Switches::default();
        let mut writes = vec![Write::put(row(&new))];
        let committed = async {
            switches.set(deployed, tenant, std::slice::from_ref(&new), &mut writes).await?;
            deployed.commit(writes).await
        };
        if let Err(problem) = committed.await {
            switches.set_back(deployed, tenant).await;
            return Err(problem);
        }
        let view = new.view(&deployed.addresses.base_url);
        {
            let mut catalog = deployed.catalog_mut();
            catalog.put_trigger(new.clone());
            catalog.expect_no_more(&new);
        }
        subscription::attempt_now(deployed, tenant, switches.off).await;
        Ok(Some(view))
    }

    async fn remove_trigger(
        &self,
        tenant: &Arc<Tenant>,
        namespace: &str,
        name: &str,
    ) -> Result<bool, Problem> {
        let deployed = &self.deployed;
        let _turn = tenant.deploying.lock().await;
        let _switching = deployed.lifecycle.switching();
        let Some(old) = deployed.trigger(&tenant.id, namespace, name) else { return Ok(false) };
        let off = subscription::switch_off(deployed, &old).await?;
        let key = (tenant.id.clone(), namespace.to_owned(), name.to_owned());
        let mut writes = vec![Write::remove::<TriggerRow>(key)];
        writes.extend(off.iter().cloned().map(Write::put));
        deployed.commit(writes).await?;
        deployed.catalog_mut().remove_trigger(&tenant.id, namespace, name);
        subscription::attempt_now(deployed, tenant, off).await;
        Ok(true)
    }
}

impl Deployed {
    fn trigger(&self, tenant: &TenantId, namespace: &str, name: &str) -> Option<Arc<Trigger>> {
        self.catalog().trigger(tenant, namespace, name).cloned()
    }
}

/// What a deployment has switched so far.
#[derive(Default)]
pub(super) struct Switches {
    pub on: Vec<Arc<Trigger>>,
    pub off: Vec<SubscriptionRow>,
}

impl Switches {
    /// Switches each trigger on or off, as it says. Adds to `writes` the changes that are committed with the triggers.
    pub async fn set(
        &mut self,
        deployed: &Deployed,
        tenant: &Arc<Tenant>,
        triggers: &[Arc<Trigger>],
        writes: &mut Vec<Write>,
    ) -> Result<(), Problem> {
        for trigger in triggers {
            if trigger.enabled {
                self.on.push(trigger.clone());
                // From now on: the other side may call as soon as it is asked to.
                if trigger.subscribes {
                    deployed.catalog_mut().expect(trigger.clone());
                }
                let named = |problem: Problem| problem.at(&format!("trigger {}", trigger.full_name()));
                writes.extend(subscription::switch_on(deployed, tenant, trigger).await.map_err(named)?);
            } else {
                let off = subscription::switch_off(deployed, trigger).await?;
                writes.extend(off.iter().cloned().map(Write::put));
                self.off.extend(off);
            }
        }
        Ok(())
    }

    /// Nothing is deployed after all: what was there before goes on.
    pub async fn set_back(self, deployed: &Deployed, tenant: &Arc<Tenant>) {
        for trigger in self.on {
            let old = deployed.trigger(&tenant.id, &trigger.document.namespace, &trigger.document.name);
            deployed.catalog_mut().expect_no_more(&trigger);
            subscription::switch_back(deployed, tenant, &trigger, old.as_deref()).await;
        }
    }
}

/// Ties a document to its plugin.
pub(super) fn tied(
    deployer: &Deployer,
    tenant: &TenantId,
    document: TriggerDocument,
    token: String,
    enabled: bool,
) -> Result<Trigger, Problem> {
    let refused = |reason: String| {
        Problem::new(kind::CONFIGURATION, "the trigger cannot be served", 409).detail(reason)
    };
    let plugin = deployer.sandboxes.plugins.get(tenant, &document.uses).map_err(refused)?;
    let trigger = plugin.trigger(document.uses.action.as_deref()).map_err(refused)?;
    let (named, subscribes) = (trigger.name.clone(), trigger.subscribes);
    let url = catalog::url(&deployer.deployed.addresses.base_url, tenant, &document, &token);
    let config = document.config(&url).map_err(refused)?.to_string();
    let judge = Arc::new(PluginJudge {
        sandboxes: deployer.sandboxes.clone(),
        plugin,
        trigger: named,
        name: document.qualified_name(),
        config: config.clone(),
        needs: document.needs.clone(),
    });
    Ok(Trigger { tenant: tenant.clone(), document, judge, config, subscribes, token, enabled })
}

/// The row of a trigger.
pub(super) fn row(trigger: &Trigger) -> TriggerRow {
    TriggerRow {
        tenant: trigger.tenant.clone(),
        namespace: trigger.document.namespace.clone(),
        name: trigger.document.name.clone(),
        source: trigger.document.source.clone(),
        token: trigger.token.clone(),
        enabled: trigger.enabled,
    }
}
