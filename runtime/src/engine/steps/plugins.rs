//! Which plugins are installed: those that ship with the host, for everyone, and each tenant's own.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use semver::Version;
use serde::Serialize;
use serde_json::Value;

use crate::engine::Runtime;
use crate::flow::{Contract, Contracts};
use crate::host::Plugin;
use crate::id::{PluginRef, TenantId};
use crate::nearest::nearest;

/// An installed plugin.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginView {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One line of what it does.
    pub title: String,
    /// More of it.
    pub summary: String,
    /// BLAKE3 of the component, hexadecimal.
    pub digest: String,
    /// What its `describe` said.
    pub descriptor: Value,
}

/// Owner (none: everyone), name, version.
type Key = (Option<TenantId>, String, Version);

/// The action of the bundle that is the language's own `call: http`.
const HTTP: &str = "http";

#[derive(Default)]
pub(in crate::engine) struct Plugins {
    installed: RwLock<BTreeMap<Key, InstalledPlugin>>,
}

/// A plugin that is installed, and the contracts of its actions and triggers by their names.
struct InstalledPlugin {
    plugin: Arc<Plugin>,
    actions: BTreeMap<String, Arc<Contract>>,
    triggers: BTreeMap<String, Arc<Contract>>,
}

impl InstalledPlugin {
    fn new(plugin: Arc<Plugin>) -> Self {
        let contract = |name: &String, schema| (name.clone(), Arc::new(Contract::of(schema)));
        let (actions, triggers) = (&plugin.descriptor.actions, &plugin.descriptor.triggers);
        Self {
            actions: actions.iter().map(|action| contract(&action.name, &action.input)).collect(),
            triggers: triggers.iter().map(|trigger| contract(&trigger.name, &trigger.config)).collect(),
            plugin,
        }
    }
}

/// The contracts of the plugins that one tenant may call.
pub(in crate::engine) struct TenantContracts<'p> {
    plugins: &'p Plugins,
    tenant: &'p TenantId,
}

impl Contracts for TenantContracts<'_> {
    fn action(&self, wanted: &PluginRef) -> Option<Arc<Contract>> {
        self.plugins.find(self.tenant, wanted, |installed| {
            let action = installed.plugin.action(wanted.action.as_deref()).ok()?;
            installed.actions.get(&action.name).cloned()
        })
    }

    fn trigger(&self, wanted: &PluginRef) -> Option<Arc<Contract>> {
        self.plugins.find(self.tenant, wanted, |installed| {
            let trigger = installed.plugin.trigger(wanted.action.as_deref()).ok()?;
            installed.triggers.get(&trigger.name).cloned()
        })
    }

    fn http(&self) -> Option<PluginRef> {
        let installed = self.plugins.installed.read().expect("no panic while held");
        let mut bundled = installed.iter().filter(|((owner, ..), _)| owner.is_none());
        let ((_, name, version), _) = bundled.find(|(_, installed)| installed.actions.contains_key(HTTP))?;
        Some(PluginRef { name: name.clone(), action: Some(HTTP.to_owned()), version: version.clone() })
    }
}

impl Plugins {
    pub fn add(&self, owner: Option<&TenantId>, plugin: Arc<Plugin>) {
        let key = (owner.cloned(), plugin.name.clone(), plugin.version.clone());
        self.installed.write().expect("no panic while held").insert(key, InstalledPlugin::new(plugin));
    }

    /// What is known of the plugins that a tenant may call.
    pub fn contracts<'p>(&'p self, tenant: &'p TenantId) -> TenantContracts<'p> {
        TenantContracts { plugins: self, tenant }
    }

    /// Looks at a plugin that a tenant may call: its own one first.
    fn find<T>(
        &self,
        tenant: &TenantId,
        wanted: &PluginRef,
        look: impl Fn(&InstalledPlugin) -> Option<T>,
    ) -> Option<T> {
        let installed = self.installed.read().expect("no panic while held");
        let owners = [Some(tenant.clone()), None];
        let found = owners
            .into_iter()
            .find_map(|owner| installed.get(&(owner, wanted.name.clone(), wanted.version.clone())))?;
        look(found)
    }

    /// Whether these very bytes are installed for the tenant.
    pub fn has(&self, tenant: &TenantId, plugin: &Plugin) -> bool {
        let key = (Some(tenant.clone()), plugin.name.clone(), plugin.version.clone());
        let installed = self.installed.read().expect("no panic while held");
        installed.get(&key).is_some_and(|kept| kept.plugin.digest == plugin.digest)
    }

    /// Whether the native code of a tenant's components is at most so many bytes with this one. Otherwise gives the bytes of the
    /// others.
    pub fn fits(&self, tenant: &TenantId, plugin: &Plugin, most: u64) -> Result<(), u64> {
        let installed = self.installed.read().expect("no panic while held");
        let others = installed.iter().filter(|((owner, name, version), _)| {
            owner.as_ref() == Some(tenant) && (name, version) != (&plugin.name, &plugin.version)
        });
        let others: u64 = others.map(|(_, other)| other.plugin.code_bytes()).sum();
        if others.saturating_add(plugin.code_bytes()) > most { Err(others) } else { Ok(()) }
    }

    /// Whether the host ships a plugin of this name: its name is not for tenants.
    pub fn is_bundled(&self, name: &str) -> bool {
        let installed = self.installed.read().expect("no panic while held");
        installed.keys().any(|(owner, bundled, _)| owner.is_none() && bundled == name)
    }

    /// The error is a sentence that says what there is instead.
    pub fn get(&self, tenant: &TenantId, wanted: &PluginRef) -> Result<Arc<Plugin>, String> {
        if let Some(plugin) = self.find(tenant, wanted, |installed| Some(installed.plugin.clone())) {
            return Ok(plugin);
        }
        let installed = self.installed.read().expect("no panic while held");
        let seen =
            || installed.iter().filter(|((owner, ..), _)| owner.as_ref().is_none_or(|owner| owner == tenant));
        let versions: Vec<_> = seen()
            .filter(|((_, name, _), _)| *name == wanted.name)
            .map(|((_, _, version), _)| version.to_string())
            .collect();
        if !versions.is_empty() {
            return Err(format!(
                "plugin `{}` has no version {}: installed is {}",
                wanted.name,
                wanted.version,
                versions.join(", ")
            ));
        }
        // What only imports cannot stand in a document.
        let usable = || {
            let usable = seen().filter(|(_, one)| !one.actions.is_empty() || !one.triggers.is_empty());
            usable.map(|((_, name, version), _)| (name, version))
        };
        let near = nearest(&wanted.name, usable().map(|(name, _)| name.as_str()));
        Err(match near.and_then(|near| usable().find(|(name, _)| *name == near)) {
            Some((name, version)) => {
                format!("unknown plugin `{}`: did you mean `{name}:{version}@default`?", wanted.name)
            }
            None => format!(
                "unknown plugin `{}`: installed are {}; install a component by putting its .wasm file beside the flow",
                wanted.name,
                usable().map(|(name, version)| format!("{name}:{version}")).collect::<Vec<_>>().join(", ")
            ),
        })
    }

    /// The first one that can do something: the host's own come before the tenant's.
    pub fn first(&self, tenant: &TenantId, can: impl Fn(&Plugin) -> bool) -> Option<Arc<Plugin>> {
        let installed = self.installed.read().expect("no panic while held");
        let mut seen =
            installed.iter().filter(|((owner, ..), _)| owner.as_ref().is_none_or(|owner| owner == tenant));
        seen.find(|(_, one)| can(&one.plugin)).map(|(_, one)| one.plugin.clone())
    }

    pub fn list(&self, tenant: &TenantId) -> Vec<PluginView> {
        let installed = self.installed.read().expect("no panic while held");
        let seen =
            installed.iter().filter(|((owner, ..), _)| owner.as_ref().is_none_or(|owner| owner == tenant));
        seen.map(|(_, installed)| view(&installed.plugin)).collect()
    }
}

impl Runtime {
    /// The plugins that a tenant's flows may call.
    pub fn plugins(&self, tenant: &TenantId) -> Vec<PluginView> {
        self.rooms.sandboxes.plugins.list(tenant)
    }

    /// Whether a tenant has installed exactly this component.
    pub fn has_plugin(&self, tenant: &TenantId, wasm: &[u8]) -> bool {
        let digest = blake3::hash(wasm).to_hex();
        self.plugins(tenant).iter().any(|plugin| plugin.digest == digest.as_str())
    }
}

pub(in crate::engine) fn view(plugin: &Plugin) -> PluginView {
    let descriptor = serde_json::to_value(&plugin.descriptor).unwrap_or(Value::Null);
    PluginView {
        name: plugin.name.clone(),
        version: plugin.version.to_string(),
        title: plugin.descriptor.title.clone(),
        summary: plugin.descriptor.summary.clone(),
        digest: plugin.digest.clone(),
        descriptor,
    }
}
