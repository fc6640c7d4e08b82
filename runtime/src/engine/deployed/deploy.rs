//! Deploying documents: all or none. They are checked first, committed in one batch, then shown to the rest of the
//! process.

use std::sync::Arc;

use super::catalog::Catalog;
use super::check::missing;
use super::triggers::{Switches, row, tied};
use super::{Deployed, DeployedFlow, Deployer, FlowView, schedule, subscription};
use crate::engine::tenant::{SOON, Tenant};
use crate::engine::{Runtime, carried};
use crate::flow::{Document, Finding, TriggerDocument};
use crate::id::{TenantId, mint_token};
use crate::journal::{FlowRow, Write};
use crate::problem::Problem;

/// Why nothing was deployed.
#[derive(Debug)]
pub enum DeployError {
    /// The documents are wrong.
    Findings(Vec<Finding>),
    /// The journal did not take them.
    Problem(Problem),
}

impl Runtime {
    /// Deploys all of the documents or none. What is deployed already and not named here stays. Triggers that subscribe
    /// have done so when this returns, and one that cannot is an error; before [`Runtime::start`] that is left to it.
    /// Returns the warnings. What the documents need of the tenant's vault and is not there is one: it may be set later.
    pub async fn deploy(
        &self,
        tenant: &TenantId,
        documents: Vec<Document>,
    ) -> Result<Vec<Finding>, DeployError> {
        let tenant = self.tenant(tenant).map_err(DeployError::Problem)?.clone();
        let deployer = self.rooms.deployer.clone();
        carried::to_the_end(async move { deployer.deploy(&tenant, documents).await }).await
    }

    /// Removes every version of a flow; its runs end on the text they began on. Returns false when there was none.
    pub async fn remove_flow(&self, tenant: &TenantId, namespace: &str, name: &str) -> Result<bool, Problem> {
        self.rooms.deployer.deployed.remove_flow(self.tenant(tenant)?, namespace, name).await
    }

    /// The flows of a tenant, each in the version that a trigger without one starts.
    pub fn flows(&self, tenant: &TenantId) -> Vec<FlowView> {
        let catalog = self.rooms.deployer.deployed.catalog();
        let names = catalog.flow_names(tenant);
        names.iter().filter_map(|(namespace, name)| catalog.flow_view(tenant, namespace, name)).collect()
    }

    /// One of them.
    pub fn flow(&self, tenant: &TenantId, namespace: &str, name: &str) -> Option<FlowView> {
        self.rooms.deployer.deployed.catalog().flow_view(tenant, namespace, name)
    }

    /// Whether exactly this is deployed.
    pub fn holds(&self, tenant: &TenantId, document: &Document) -> bool {
        let catalog = self.rooms.deployer.deployed.catalog();
        match document {
            Document::Flow(flow) => catalog
                .flow(tenant, &flow.id.namespace, &flow.id.name, Some(&flow.id.version))
                .is_some_and(|deployed| deployed.flow.id == flow.id),
            Document::Trigger(trigger) => catalog
                .trigger(tenant, &trigger.namespace, &trigger.name)
                .is_some_and(|deployed| deployed.document.source == trigger.source),
        }
    }
}

impl Deployer {
    async fn deploy(
        &self,
        tenant: &Arc<Tenant>,
        documents: Vec<Document>,
    ) -> Result<Vec<Finding>, DeployError> {
        let deployed = &self.deployed;
        let _turn = tenant.deploying.lock().await;
        let _switching = deployed.lifecycle.switching();
        let (documents, mut findings) = self.check(tenant, &documents).await;
        if findings.iter().any(Finding::is_error) {
            findings.retain(Finding::is_error);
            return Err(DeployError::Findings(findings));
        }
        fits(tenant, &deployed.catalog(), &documents).map_err(DeployError::Problem)?;
        findings.extend(missing(tenant, &documents));
        let now = deployed.lifecycle.clock.now();
        let mut writes = vec![];
        let (mut flows, mut triggers) = (vec![], vec![]);
        for document in documents {
            match document {
                Document::Flow(flow) => {
                    let (tenant, id, source) = (tenant.id.clone(), flow.id.clone(), flow.source.clone());
                    let row = FlowRow { tenant, id, source, installed_at: now, removed: false };
                    writes.push(Write::put(row));
                    flows.push(DeployedFlow { flow, installed_at: now });
                }
                Document::Trigger(document) => {
                    let (token, enabled) = kept(deployed, &tenant.id, &document);
                    let trigger = tied(self, &tenant.id, document, token, enabled);
                    triggers.push(Arc::new(trigger.map_err(DeployError::Problem)?));
                }
            }
        }
        let mut switches = Switches::default();
        let committed = async {
            switches.set(deployed, tenant, &triggers, &mut writes).await?;
            writes.extend(triggers.iter().map(|trigger| Write::put(row(trigger))));
            deployed.commit(writes).await
        };
        if let Err(problem) = committed.await {
            switches.set_back(deployed, tenant).await;
            return Err(DeployError::Problem(problem));
        }
        {
            let mut catalog = deployed.catalog_mut();
            for flow in flows {
                catalog.put_flow(&tenant.id, flow);
            }
            for trigger in triggers {
                catalog.put_trigger(trigger);
            }
            switches.on.iter().for_each(|trigger| catalog.expect_no_more(trigger));
        }
        subscription::attempt_now(deployed, tenant, switches.off).await;
        schedule::settle(deployed).await;
        Ok(findings)
    }
}

impl Deployed {
    async fn remove_flow(&self, tenant: &Tenant, namespace: &str, name: &str) -> Result<bool, Problem> {
        let _turn = tenant.deploying.lock().await;
        let _switching = self.lifecycle.switching();
        let tenant = &tenant.id;
        if self.catalog().flow(tenant, namespace, name, None).is_none() {
            return Ok(false);
        }
        let removal = FlowRow::removal(tenant.clone(), namespace.to_owned(), name.to_owned());
        self.commit(vec![removal]).await?;
        let removed = self.catalog_mut().remove_flow(tenant, namespace, name);
        schedule::settle(self).await;
        Ok(removed)
    }
}

/// Refuses documents beside which the tenant would have more than its quota `flows`.
fn fits(tenant: &Tenant, catalog: &Catalog, documents: &[Document]) -> Result<(), Problem> {
    let new = documents.iter().filter(|document| !catalog.has(&tenant.id, document));
    let (mut flows, mut triggers) = catalog.counts(&tenant.id);
    for document in new {
        match document {
            Document::Flow(_) => flows += 1,
            Document::Trigger(_) => triggers += 1,
        }
    }
    let most = tenant.quota.flows;
    for (what, count) in [("versions of flows", flows), ("triggers", triggers)] {
        if count as u64 > most {
            let id = &tenant.id;
            let detail = format!(
                "the tenant `{id}` would have {count} {what}, and may have {most}: delete some, or raise tenant.quota.flows"
            );
            return Err(tenant.over("flows", SOON, detail));
        }
    }
    Ok(())
}

/// A trigger's token, which is minted once and stays through every edit; and whether the trigger is on, which is what the
/// operator last said as long as the document is the same.
fn kept(deployed: &Deployed, tenant: &TenantId, document: &TriggerDocument) -> (String, bool) {
    let catalog = deployed.catalog();
    match catalog.trigger(tenant, &document.namespace, &document.name) {
        Some(trigger) if trigger.document.source == document.source => {
            (trigger.token.clone(), trigger.enabled)
        }
        Some(trigger) => (trigger.token.clone(), document.enabled),
        None => (mint_token(), document.enabled),
    }
}
