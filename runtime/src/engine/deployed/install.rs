//! Installing a component for a tenant.

use bytes::Bytes;

use super::Deployer;
use crate::engine::Runtime;
use crate::engine::steps::{PluginView, Steps as _, plugin_view};
use crate::engine::tenant::Tenant;
use crate::flow::Document;
use crate::id::TenantId;
use crate::journal::{PluginRow, Write};
use crate::problem::{Problem, kind};

impl Runtime {
    /// Installs a component for a tenant; the same bytes again are nothing new.
    pub async fn install_plugin(&self, tenant: &TenantId, wasm: &[u8]) -> Result<PluginView, Problem> {
        self.rooms.deployer.install(self.tenant(tenant)?, wasm).await
    }
}

impl Deployer {
    async fn install(&self, tenant: &Tenant, wasm: &[u8]) -> Result<PluginView, Problem> {
        let refused = |reason: String| {
            Problem::new(kind::VALIDATION, "the component cannot be installed", 400).detail(reason)
        };
        let plugins = &self.sandboxes.plugins;
        let installed = self.sandboxes.host.install(&tenant.id, wasm).await;
        let plugin = installed.map_err(|error| refused(error.to_string()))?;
        let checked = plugin.check_schemas(&self.sandboxes.account(tenant)).await;
        checked.map_err(|error| refused(error.to_string()))?;
        let tenant = &tenant.id;
        if plugins.is_bundled(&plugin.name) {
            return Err(refused(format!(
                "the name `{}` belongs to a plugin of the host: choose another one",
                plugin.name
            )));
        }
        if plugins.has(tenant, &plugin) {
            return Ok(plugin_view(&plugin));
        }
        let row = PluginRow {
            tenant: tenant.clone(),
            name: plugin.name.clone(),
            version: plugin.version.to_string(),
            wasm: Bytes::copy_from_slice(wasm),
        };
        self.deployed.commit(vec![Write::put(row)]).await?;
        let (view, name) = (plugin_view(&plugin), plugin.name.clone());
        plugins.add(Some(tenant), plugin);
        // A start of the host may have read flows without the plugin, which it could not use.
        self.deployed.catalog_mut().renew_flows(tenant, |flow| {
            if !flow.calls().any(|call| call.plugin.name == name) {
                return None;
            }
            match self.sandboxes.read(tenant, &flow.source, &flow.file).ok()?.pop()? {
                Document::Flow(flow) => Some(flow),
                Document::Trigger(_) => None,
            }
        });
        Ok(view)
    }
}
