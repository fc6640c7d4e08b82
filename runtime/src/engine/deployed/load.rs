//! What a start finds deployed: plugins that tenants installed, flows, triggers. What this version cannot use is left out
//! with a log line, because the rest of the host must start.

use std::collections::HashMap;
use std::sync::Arc;

use super::triggers::tied;
use super::{DeployedFlow, Deployer};
use crate::engine::steps::Steps as _;
use crate::flow::Document;
use crate::id::FlowId;
use crate::journal::{FlowRow, PluginRow, StorageError, TriggerRow};

impl Deployer {
    /// Reads from the journal what is deployed.
    pub async fn load(&self) -> Result<(), StorageError> {
        self.load_plugins().await?;
        let journal = &self.deployed.journals.durable.journal;
        let (flows, triggers) = journal
            .ask(|storage| Ok((storage.rows(FlowRow::installed())?, storage.list::<TriggerRow>()?)))
            .await?;
        // Oldest first: of each version the last one counts, and only that is read.
        let version = |row: &FlowRow| {
            let FlowId { namespace, name, version, .. } = &row.id;
            (row.tenant.clone(), namespace.clone(), name.clone(), version.clone())
        };
        let newest: HashMap<_, _> = flows.into_iter().map(|row| (version(&row), row)).collect();
        newest.into_values().for_each(|row| self.load_flow(row));
        triggers.into_iter().for_each(|row| self.load_trigger(row));
        Ok(())
    }

    async fn load_plugins(&self) -> Result<(), StorageError> {
        let mut rows =
            self.deployed.journals.durable.journal.ask(|storage| storage.list::<PluginRow>()).await?;
        rows.retain(|row| self.deployed.tenants.has(&row.tenant));
        for row in rows {
            match self.sandboxes.host.install(&row.tenant, &row.wasm).await {
                Ok(plugin) => self.sandboxes.plugins.add(Some(&row.tenant), plugin),
                Err(error) => {
                    let (tenant, plugin) = (&row.tenant, format!("{}:{}", row.name, row.version));
                    tracing::error!(%tenant, plugin, %error, "the plugin cannot be used by this version; install it again");
                }
            }
        }
        Ok(())
    }

    fn load_flow(&self, row: FlowRow) {
        let FlowRow { tenant, id, source, installed_at, .. } = row;
        match self.sandboxes.read(&tenant, &source, &id.to_string()).as_deref() {
            Ok([Document::Flow(flow)]) => {
                let flow = DeployedFlow { flow: flow.clone(), installed_at };
                self.deployed.catalog_mut().put_flow(&tenant, flow);
            }
            _ => {
                tracing::error!(%tenant, flow = %id, "the deployed flow is not valid for this version; deploy it again");
            }
        }
    }

    fn load_trigger(&self, row: TriggerRow) {
        let TriggerRow { tenant, namespace, name, source, token, enabled } = row;
        let label = format!("{namespace}/{name}");
        let documents = self.sandboxes.read(&tenant, &source, &label);
        let Ok([Document::Trigger(document)]) = documents.as_deref() else {
            tracing::error!(%tenant, trigger = label, "the deployed trigger is not valid for this version");
            return;
        };
        match tied(self, &tenant, document.clone(), token, enabled) {
            Ok(trigger) => self.deployed.catalog_mut().put_trigger(Arc::new(trigger)),
            Err(problem) => {
                tracing::error!(%tenant, trigger = label, %problem, "the trigger cannot be served");
            }
        }
    }
}
