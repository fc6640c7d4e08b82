//! What is deployed, in memory: flows by name, triggers by name and by address. The journal holds the same; a change
//! is committed there first and shown here after.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use semver::Version;

use super::view::{FlowView, TriggerView};
use crate::engine::steps::Judge;
use crate::flow::{Document, Flow, TriggerDocument};
use crate::id::{FlowId, TenantId};

/// `namespace`, `name`.
pub(in crate::engine) type Name = (String, String);

/// A text of a flow that may start runs.
#[derive(Clone)]
pub(in crate::engine) struct DeployedFlow {
    pub flow: Arc<Flow>,
    pub installed_at: Timestamp,
}

/// A trigger, ready to judge requests.
pub(in crate::engine) struct Trigger {
    pub tenant: TenantId,
    pub document: TriggerDocument,
    /// Judges its requests.
    pub judge: Arc<dyn Judge>,
    /// `with` as JSON text, its expressions evaluated.
    pub config: String,
    /// Whether it must be switched on and off in the world.
    pub subscribes: bool,
    pub token: String,
    pub enabled: bool,
}

impl Trigger {
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.document.namespace, self.document.name)
    }

    /// The trigger's own path, where it names one.
    fn path(&self) -> Option<&str> {
        path(&self.document)
    }

    pub fn url(&self, base_url: &str) -> String {
        url(base_url, &self.tenant, &self.document, &self.token)
    }

    pub fn view(&self, base_url: &str) -> TriggerView {
        TriggerView {
            namespace: self.document.namespace.clone(),
            name: self.document.name.clone(),
            uses: format!("{}@default", self.document.uses),
            flow: self.document.flow.to_string(),
            enabled: self.enabled,
            url: self.url(base_url),
        }
    }
}

fn path(document: &TriggerDocument) -> Option<&str> {
    document.path.as_ref().map(|hook| hook.path.as_str())
}

/// Where a trigger takes requests.
pub(in crate::engine) fn url(
    base_url: &str,
    tenant: &TenantId,
    document: &TriggerDocument,
    token: &str,
) -> String {
    match path(document) {
        Some(path) => format!("{base_url}/hooks/{tenant}/{path}"),
        None => format!("{base_url}/hooks/{token}"),
    }
}

#[derive(Default)]
pub(in crate::engine) struct Catalog {
    flows: HashMap<TenantId, BTreeMap<Name, Vec<DeployedFlow>>>,
    triggers: HashMap<TenantId, BTreeMap<Name, Arc<Trigger>>>,
    /// Digest of a token -> trigger. Tokens are compared by digest, so that the time of a look-up tells nothing.
    by_token: HashMap<[u8; 32], Arc<Trigger>>,
    /// Tenant and path -> trigger.
    by_path: HashMap<(String, String), Arc<Trigger>>,
    /// Digest of a token -> trigger that is being switched on: who is asked to call it may do so at once.
    arriving: HashMap<[u8; 32], Arc<Trigger>>,
}

impl Catalog {
    /// The text that `version` means; without one, the highest version and of that the text deployed last.
    pub fn flow(
        &self,
        tenant: &TenantId,
        namespace: &str,
        name: &str,
        version: Option<&str>,
    ) -> Option<&DeployedFlow> {
        let texts = self.flows.get(tenant)?.get(&(namespace.to_owned(), name.to_owned()))?;
        texts
            .iter()
            .filter(|deployed| version.is_none_or(|version| deployed.flow.id.version == version))
            .max_by_key(|deployed| (Version::parse(&deployed.flow.id.version).ok(), deployed.installed_at))
    }

    /// The very text that a run began on, if it is still deployed.
    pub fn text(&self, tenant: &TenantId, id: &FlowId) -> Option<Arc<Flow>> {
        let texts = self.flows.get(tenant)?.get(&(id.namespace.clone(), id.name.clone()))?;
        texts.iter().find(|deployed| deployed.flow.id == *id).map(|deployed| deployed.flow.clone())
    }

    pub fn put_flow(&mut self, tenant: &TenantId, deployed: DeployedFlow) {
        let id = &deployed.flow.id;
        let name = (id.namespace.clone(), id.name.clone());
        let texts = self.flows.entry(tenant.clone()).or_default().entry(name).or_default();
        // What was deployed before under the same version starts no runs any more; those that began on it find it in the
        // journal.
        texts.retain(|text| text.flow.id.version != id.version);
        texts.push(deployed);
    }

    /// The flows of a tenant that call a plugin.
    pub fn flows_calling(&self, tenant: &TenantId, plugin: &str) -> Vec<Arc<Flow>> {
        let texts = self.flows.get(tenant).into_iter().flat_map(BTreeMap::values).flatten();
        let calling = texts.filter(|text| text.flow.calls().any(|call| call.plugin.name == plugin));
        calling.map(|text| text.flow.clone()).collect()
    }

    /// Puts a flow that was read again in the place of the same text.
    pub fn renew_flow(&mut self, tenant: &TenantId, flow: Arc<Flow>) {
        let texts = self.flows.get_mut(tenant).into_iter().flat_map(BTreeMap::values_mut).flatten();
        if let Some(deployed) = texts.into_iter().find(|text| text.flow.id == flow.id) {
            deployed.flow = flow;
        }
    }

    pub fn remove_flow(&mut self, tenant: &TenantId, namespace: &str, name: &str) -> bool {
        self.flows
            .get_mut(tenant)
            .and_then(|flows| flows.remove(&(namespace.to_owned(), name.to_owned())))
            .is_some()
    }

    /// How many versions of flows, and how many triggers the tenant has.
    pub fn counts(&self, tenant: &TenantId) -> (usize, usize) {
        let flows = self.flows.get(tenant).map_or(0, |flows| flows.values().map(Vec::len).sum());
        (flows, self.triggers.get(tenant).map_or(0, BTreeMap::len))
    }

    /// Whether a version of a flow is there, and whether a trigger is.
    pub fn has(&self, tenant: &TenantId, document: &Document) -> bool {
        match document {
            Document::Flow(flow) => {
                let FlowId { namespace, name, version, .. } = &flow.id;
                self.flow(tenant, namespace, name, Some(version)).is_some()
            }
            Document::Trigger(trigger) => self.trigger(tenant, &trigger.namespace, &trigger.name).is_some(),
        }
    }

    pub fn flow_names(&self, tenant: &TenantId) -> Vec<Name> {
        self.flows.get(tenant).map(|flows| flows.keys().cloned().collect()).unwrap_or_default()
    }

    pub fn trigger(&self, tenant: &TenantId, namespace: &str, name: &str) -> Option<&Arc<Trigger>> {
        self.triggers.get(tenant)?.get(&(namespace.to_owned(), name.to_owned()))
    }

    pub fn triggers(&self, tenant: &TenantId) -> impl Iterator<Item = &Arc<Trigger>> {
        self.triggers.get(tenant).into_iter().flat_map(BTreeMap::values)
    }

    /// Who already answers at this path of the tenant.
    pub fn path_owner(&self, tenant: &TenantId, path: &str) -> Option<&Arc<Trigger>> {
        self.by_path.get(&(tenant.to_string(), path.trim_matches('/').to_owned()))
    }

    pub fn put_trigger(&mut self, trigger: Arc<Trigger>) {
        let (namespace, name) = (trigger.document.namespace.clone(), trigger.document.name.clone());
        self.remove_trigger(&trigger.tenant, &namespace, &name);
        self.by_token.insert(digest(&trigger.token), trigger.clone());
        if let Some(path) = trigger.path() {
            self.by_path.insert((trigger.tenant.to_string(), path.to_owned()), trigger.clone());
        }
        self.triggers.entry(trigger.tenant.clone()).or_default().insert((namespace, name), trigger);
    }

    pub fn remove_trigger(&mut self, tenant: &TenantId, namespace: &str, name: &str) -> bool {
        let name = (namespace.to_owned(), name.to_owned());
        let Some(old) = self.triggers.get_mut(tenant).and_then(|triggers| triggers.remove(&name)) else {
            return false;
        };
        self.by_token.remove(&digest(&old.token));
        if let Some(path) = old.path() {
            self.by_path.remove(&(tenant.to_string(), path.to_owned()));
        }
        true
    }

    /// Whether a trigger has this token, enabled or not.
    pub fn is_token(&self, text: &str) -> bool {
        let digest = digest(text);
        self.by_token.contains_key(&digest) || self.arriving.contains_key(&digest)
    }

    /// The enabled trigger with this token. One that names a path of its own answers there only.
    pub fn hook(&self, token: &str) -> Option<&Arc<Trigger>> {
        let digest = digest(token);
        let enabled = |trigger: &&Arc<Trigger>| trigger.enabled && trigger.path().is_none();
        self.arriving.get(&digest).or_else(|| self.by_token.get(&digest)).filter(enabled)
    }

    /// Requests to the trigger are taken while it is being switched on.
    pub fn expect(&mut self, trigger: Arc<Trigger>) {
        self.arriving.insert(digest(&trigger.token), trigger);
    }

    /// It is on, or will not be.
    pub fn expect_no_more(&mut self, trigger: &Trigger) {
        self.arriving.remove(&digest(&trigger.token));
    }

    /// What a name without a version means, of every flow of all tenants.
    pub fn current_flows(&self) -> impl Iterator<Item = (&TenantId, &Arc<Flow>)> {
        self.flows.iter().flat_map(move |(tenant, flows)| {
            let current = |(namespace, name): &Name| self.flow(tenant, namespace, name, None);
            flows.keys().filter_map(current).map(move |deployed| (tenant, &deployed.flow))
        })
    }

    /// Every trigger, of all tenants.
    pub fn all_triggers(&self) -> impl Iterator<Item = &Arc<Trigger>> {
        self.triggers.values().flat_map(BTreeMap::values)
    }

    /// The enabled trigger with this path.
    pub fn hook_at(&self, tenant: &str, path: &str) -> Option<&Arc<Trigger>> {
        let path = path.trim_matches('/');
        let arrives =
            |trigger: &&Arc<Trigger>| trigger.tenant.as_str() == tenant && trigger.path() == Some(path);
        self.arriving
            .values()
            .find(arrives)
            .or_else(|| self.by_path.get(&(tenant.to_owned(), path.to_owned())))
            .filter(|trigger| trigger.enabled)
    }

    pub fn flow_view(&self, tenant: &TenantId, namespace: &str, name: &str) -> Option<FlowView> {
        let DeployedFlow { flow, installed_at } = self.flow(tenant, namespace, name, None)?;
        Some(FlowView {
            namespace: flow.id.namespace.clone(),
            name: flow.id.name.clone(),
            version: flow.id.version.clone(),
            title: flow.title.clone(),
            durable: flow.durability,
            installed_at: *installed_at,
            document: serde_json::from_str(&flow.source).unwrap_or_default(),
        })
    }
}

fn digest(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}
