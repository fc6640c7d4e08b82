//! Which plugins are installed: those that ship with the host, for everyone, and each tenant's own.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use semver::Version;
use serde_json::Value;

use super::view::PluginView;
use crate::host::Plugin;
use crate::id::{PluginRef, TenantId};

/// Owner (none: everyone), name, version.
type Key = (Option<TenantId>, String, Version);

#[derive(Default)]
pub(super) struct Plugins {
    installed: RwLock<BTreeMap<Key, Arc<Plugin>>>,
}

impl Plugins {
    pub fn add(&self, owner: Option<&TenantId>, plugin: Arc<Plugin>) {
        let key = (owner.cloned(), plugin.name.clone(), plugin.version.clone());
        self.installed.write().expect("no panic while held").insert(key, plugin);
    }

    /// Whether these very bytes are installed for the tenant.
    pub fn has(&self, tenant: &TenantId, plugin: &Plugin) -> bool {
        let key = (Some(tenant.clone()), plugin.name.clone(), plugin.version.clone());
        let installed = self.installed.read().expect("no panic while held");
        installed.get(&key).is_some_and(|kept| kept.digest == plugin.digest)
    }

    /// Whether the host ships a plugin of this name: its name is not for tenants.
    pub fn is_bundled(&self, name: &str) -> bool {
        let installed = self.installed.read().expect("no panic while held");
        installed.keys().any(|(owner, bundled, _)| owner.is_none() && bundled == name)
    }

    /// The error is a sentence that says what there is instead.
    pub fn get(&self, tenant: &TenantId, wanted: &PluginRef) -> Result<Arc<Plugin>, String> {
        let installed = self.installed.read().expect("no panic while held");
        for owner in [Some(tenant.clone()), None] {
            if let Some(plugin) = installed.get(&(owner, wanted.name.clone(), wanted.version.clone())) {
                return Ok(plugin.clone());
            }
        }
        let seen =
            || installed.keys().filter(|(owner, ..)| owner.as_ref().is_none_or(|owner| owner == tenant));
        let versions: Vec<_> = seen()
            .filter(|(_, name, _)| *name == wanted.name)
            .map(|(_, _, version)| version.to_string())
            .collect();
        if !versions.is_empty() {
            return Err(format!(
                "plugin `{}` has no version {}: installed is {}",
                wanted.name,
                wanted.version,
                versions.join(", ")
            ));
        }
        let nearest = seen()
            .map(|(_, name, version)| (strsim::damerau_levenshtein(name, &wanted.name), name, version))
            .filter(|(distance, ..)| *distance <= 3)
            .min_by_key(|(distance, ..)| *distance);
        Err(match nearest {
            Some((_, name, version)) => {
                format!("unknown plugin `{}`: did you mean `{name}:{version}@default`?", wanted.name)
            }
            None => format!(
                "unknown plugin `{}`: installed are {}; install a component by putting its .wasm file beside the flow",
                wanted.name,
                seen().map(|(_, name, version)| format!("{name}:{version}")).collect::<Vec<_>>().join(", ")
            ),
        })
    }

    /// The first one that can do something: the host's own come before the tenant's.
    pub fn first(&self, tenant: &TenantId, can: impl Fn(&Plugin) -> bool) -> Option<Arc<Plugin>> {
        let installed = self.installed.read().expect("no panic while held");
        let mut seen =
            installed.iter().filter(|((owner, ..), _)| owner.as_ref().is_none_or(|owner| owner == tenant));
        seen.find(|(_, plugin)| can(plugin)).map(|(_, plugin)| plugin.clone())
    }

    pub fn list(&self, tenant: &TenantId) -> Vec<PluginView> {
        let installed = self.installed.read().expect("no panic while held");
        let seen =
            installed.iter().filter(|((owner, ..), _)| owner.as_ref().is_none_or(|owner| owner == tenant));
        seen.map(|(_, plugin)| view(plugin)).collect()
    }
}

pub(super) fn view(plugin: &Plugin) -> PluginView {
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
