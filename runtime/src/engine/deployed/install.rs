//! Installing a component for a tenant.

use bytes::Bytes;

use super::Deployer;
use crate::config::show_size;
use crate::engine::Runtime;
use crate::engine::steps::{PluginView, Steps as _, plugin_view};
use crate::engine::tenant::{SOON, Tenant};
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
        let id = &tenant.id;
        if plugins.is_bundled(&plugin.name) {
            return Err(refused(format!(
                "the name `{}` belongs to a plugin of the host: choose another one",
                plugin.name
            )));
        }
        if plugins.has(id, &plugin) {
            return Ok(plugin_view(&plugin));
        }
        plugins.fits(id, &plugin, tenant.quota.components).map_err(|others| {
            let [others, own, most] = [others, plugin.code_bytes(), tenant.quota.components].map(show_size);
            let detail = format!(
                "{name} {version} is {own} of native code, the other components of the tenant `{id}` are {others}, and together they \
                 may be {most}: make it smaller, or raise tenant.quota.components",
                name = plugin.name,
                version = plugin.version,
            );
            tenant.over("components", SOON, detail)
        })?;
        let row = PluginRow {
            tenant: id.clone(),
            name: plugin.name.clone(),
            version: plugin.version.to_string(),
            wasm: Bytes::copy_from_slice(wasm),
        };
        self.deployed.commit(vec![Write::put(row)]).await?;
        let (view, name) = (plugin_view(&plugin), plugin.name.clone());
        plugins.add(Some(id), plugin);
        self.renew_flows(id, &name).await;
        Ok(view)
    }

    /// Reads the flows again that call a plugin: a start of the host may have read them without it, which it could not use.
    /// They are read off the async threads, and nobody waits for the catalog meanwhile.
    async fn renew_flows(&self, tenant: &TenantId, plugin: &str) {
        let calling = self.deployed.catalog().flows_calling(tenant, plugin);
        for flow in calling {
            let (sandboxes, owner) = (self.sandboxes.clone(), tenant.clone());
            let read = move || sandboxes.read(&owner, &flow.source, &flow.file).ok()?.pop();
            if let Ok(Some(Document::Flow(flow))) = tokio::task::spawn_blocking(read).await {
                self.deployed.catalog_mut().renew_flow(tenant, flow);
            }
        }
    }
}
