//! Runs in motion. The only place where `flow` (what follows), `journal` (what is true) and `host` (what a guest does)
//! meet; [`Runtime`] is what everybody else sees of the three.
//!
//! The way of a webhook: [`Hook::receive`] -> the trigger's plugin -> [`runs::start`] -> journal -> [`driver`] -> the
//! effects of `advance` -> journal -> … -> the answer. A timer joins the same path through [`scheduler`] and
//! [`core::Core::deliver`]. This module knows nothing of HTTP servers, terminals or SQL.

mod access;
mod audit;
mod call;
mod callback;
mod carried;
mod catalog;
mod check;
mod core;
mod deploy;
mod driver;
mod duplicate;
mod import;
mod lease;
mod ledger;
mod metrics;
mod mutation;
mod open;
mod options;
mod plugins;
mod receive;
mod restart;
mod retention;
mod runs;
mod sandboxes;
mod schedule;
mod scheduler;
#[cfg(test)]
mod simulator;
mod steps;
mod subscription;
mod tenant;
mod trial;
mod vault;
mod view;
mod waiters;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

pub use self::access::{Caller, NewToken, Shown, TokenView};
pub use self::audit::{AuditEntry, AuditFilter, AuditView, Deed};
pub use self::callback::Callback;
pub use self::deploy::DeployError;
pub use self::import::Imported;
pub use self::open::backup;
pub use self::options::{Data, OpenError, Options};
pub use self::receive::{Answer, Hook, Inbound};
pub use self::view::{
    FlowView, List, PluginView, Role, RunChange, RunFilter, RunSummary, RunView, ScheduleView,
    SubscriptionView, Trial, TrialEnd, TriggerView, VaultKind, VaultView,
};

use self::core::{Core, Lifetime};
use self::runs::Beginning;
use self::sandboxes::Sandboxes;
use self::tenant::Tenant;
use crate::flow::{Document, Finding};
use crate::id::{RunId, TenantId};
use crate::journal::StorageError;
use crate::problem::{Problem, kind};

/// A host of flows: deploys them, takes their events, moves their runs, and answers for them.
///
/// Cheap to clone; every clone is the same host.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use flowcell::{Clock, Config, Data, Options, Runtime, TenantId};
///
/// let runtime = Runtime::open(Options {
///     config: Config::default(),
///     data: Data::Memory,
///     clock: Clock::system(),
///     base_url: "http://127.0.0.1:8080".to_owned(),
///     schedules: true,
///     listeners: vec![],
/// })
/// .await?;
/// let text = "document: {dsl: 1.0.3, namespace: default, name: hello, version: 1.0.0}\ndo: [{greet: {set: {hello: world}}}]";
/// let documents = flowcell::read(text, "hello.yaml").expect("a valid flow");
/// let tenant = TenantId::default_tenant();
/// runtime.deploy(&tenant, documents).await.expect("it fits");
/// let id = runtime.start_run(&tenant, "default", "hello", None, serde_json::json!({})).await.expect("accepted");
/// let run = runtime.wait(&tenant, id, std::time::Duration::from_secs(5)).await.expect("readable");
/// assert_eq!(run.expect("it exists").output["hello"], "world");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Runtime {
    core: Arc<Core>,
    sandboxes: Arc<Sandboxes>,
}

impl Runtime {
    /// Sets up the sandbox, opens the journal, and reads from it what is deployed. Nothing moves before
    /// [`Runtime::start`].
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        open::open(options).await
    }

    /// Continues what an earlier process left, and starts the timers. Called once, when the host listens and its
    /// documents are deployed.
    pub async fn start(&self) -> Result<(), Problem> {
        let started = async {
            open::start(&self.core).await?;
            subscription::settle(&self.core).await
        };
        started.await.map_err(|error| runs::storage_problem(&error))?;
        tokio::spawn(subscription::run(self.clone()));
        Ok(())
    }

    /// Installs a component for a tenant; the same bytes again are nothing new.
    pub async fn install_plugin(&self, tenant: &TenantId, wasm: &[u8]) -> Result<PluginView, Problem> {
        deploy::install_plugin(self, tenant, wasm).await
    }

    /// Whether a tenant has installed exactly this component.
    pub fn has_plugin(&self, tenant: &TenantId, wasm: &[u8]) -> bool {
        let digest = blake3::hash(wasm).to_hex();
        self.plugins(tenant).iter().any(|plugin| plugin.digest == digest.as_str())
    }

    /// The plugins that a tenant's flows may call.
    pub fn plugins(&self, tenant: &TenantId) -> Vec<PluginView> {
        self.sandboxes.plugins.list(tenant)
    }

    /// Everything that speaks against deploying the documents, and the warnings.
    pub async fn check(&self, tenant: &TenantId, documents: &[Document]) -> Vec<Finding> {
        check::check(self, tenant, documents).await
    }

    /// What the documents need of the tenant's vault and is not there. No error: it may be set later.
    pub fn missing(&self, tenant: &TenantId, documents: &[Document]) -> Vec<Finding> {
        self.tenant(tenant).map(|tenant| check::missing(&tenant.vault, documents)).unwrap_or_default()
    }

    /// Deploys all of the documents or none. What is deployed already and not named here stays. Triggers that subscribe
    /// have done so when this returns, and one that cannot is an error; before [`Runtime::start`] that is left to it.
    pub async fn deploy(&self, tenant: &TenantId, documents: Vec<Document>) -> Result<(), DeployError> {
        let (runtime, tenant) = (self.clone(), self.tenant(tenant).map_err(DeployError::Problem)?.clone());
        carried::to_the_end(async move { deploy::deploy(&runtime, &tenant, documents).await }).await
    }

    /// The flows of a tenant, each in the version that a trigger without one starts.
    pub fn flows(&self, tenant: &TenantId) -> Vec<FlowView> {
        let catalog = self.core.catalog.read().expect("no panic while held");
        let names = catalog.flow_names(tenant);
        names.iter().filter_map(|(namespace, name)| catalog.flow_view(tenant, namespace, name)).collect()
    }

    /// One of them.
    pub fn flow(&self, tenant: &TenantId, namespace: &str, name: &str) -> Option<FlowView> {
        self.core.catalog.read().expect("no panic while held").flow_view(tenant, namespace, name)
    }

    /// When a tenant's flows start by themselves.
    pub async fn schedules(&self, tenant: &TenantId) -> Result<Vec<ScheduleView>, Problem> {
        schedule::list(&self.core, tenant).await
    }

    /// Removes every version of a flow; its runs end on the text they began on. False: there was none.
    pub async fn remove_flow(&self, tenant: &TenantId, namespace: &str, name: &str) -> Result<bool, Problem> {
        deploy::remove_flow(&self.core, self.tenant(tenant)?, namespace, name).await
    }

    /// The triggers of a tenant.
    pub fn triggers(&self, tenant: &TenantId) -> Vec<TriggerView> {
        let catalog = self.core.catalog.read().expect("no panic while held");
        catalog.triggers(tenant).map(|trigger| trigger.view(&self.core.base_url)).collect()
    }

    /// Whether exactly this is deployed.
    pub fn holds(&self, tenant: &TenantId, document: &Document) -> bool {
        let catalog = self.core.catalog.read().expect("no panic while held");
        match document {
            Document::Flow(flow) => catalog
                .flow(tenant, &flow.id.namespace, &flow.id.name, Some(&flow.id.version))
                .is_some_and(|deployed| deployed.flow.id == flow.id),
            Document::Trigger(trigger) => catalog
                .trigger(tenant, &trigger.namespace, &trigger.name)
                .is_some_and(|deployed| deployed.document.source == trigger.source),
        }
    }

    /// Switches a trigger on or off. None: there is no such trigger.
    pub async fn set_trigger_enabled(
        &self,
        tenant: &TenantId,
        namespace: &str,
        name: &str,
        enabled: bool,
    ) -> Result<Option<TriggerView>, Problem> {
        let (runtime, tenant) = (self.clone(), self.tenant(tenant)?.clone());
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        carried::to_the_end(async move {
            deploy::set_trigger_enabled(&runtime, &tenant, &namespace, &name, enabled).await
        })
        .await
    }

    /// Removes a trigger and its address. False: there was none.
    pub async fn remove_trigger(
        &self,
        tenant: &TenantId,
        namespace: &str,
        name: &str,
    ) -> Result<bool, Problem> {
        let (runtime, tenant) = (self.clone(), self.tenant(tenant)?.clone());
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        carried::to_the_end(async move { deploy::remove_trigger(&runtime, &tenant, &namespace, &name).await })
            .await
    }

    /// Calls an action once with this input, under the tenant's policy and quotas, and of no run. `action` is `name` or
    /// `name.action`, perhaps with `:version`. The error is that it could not be called.
    pub async fn try_action(&self, tenant: &TenantId, action: &str, input: Value) -> Result<Trial, Problem> {
        let (runtime, tenant) = (self.clone(), self.tenant(tenant)?.clone());
        let plugin = trial::named(self, &tenant, action)?;
        carried::to_the_end(async move { trial::call(&runtime, &tenant, plugin, input).await }).await
    }

    /// A step out of a text in a format such as `curl`, by whichever of the tenant's plugins knows it. The error says what
    /// is wrong with the text.
    pub async fn import(&self, tenant: &TenantId, format: &str, text: &str) -> Result<Imported, Problem> {
        import::text(self, self.tenant(tenant)?, format, text).await
    }

    /// What a trigger could list under `variables` for requests like this one, `{"url", "headers", "body"}`: `{"from", "path",
    /// "as", "value"}` each. The error says what is wrong with the sample.
    pub async fn sample(&self, tenant: &TenantId, given: &Value) -> Result<Value, Problem> {
        import::sample(self, self.tenant(tenant)?, given).await
    }

    /// What a tenant keeps of this kind, without what is secret in it, in order of the names.
    pub fn vault(&self, tenant: &TenantId, kind: VaultKind) -> Result<Vec<VaultView>, Problem> {
        Ok(vault::list(self.tenant(tenant)?, kind))
    }

    /// Sets a secret or a connection, a JSON document; what runs uses it from its next request on. True: there was none of
    /// that name. The error says what is wrong with the document.
    pub async fn set_in_vault(
        &self,
        tenant: &TenantId,
        kind: VaultKind,
        name: &str,
        document: &[u8],
    ) -> Result<(VaultView, bool), Problem> {
        let (core, tenant) = (self.core.clone(), self.tenant(tenant)?.clone());
        let (name, document) = (name.to_owned(), document.to_owned());
        carried::to_the_end(async move { vault::set(&core, &tenant, kind, &name, &document).await }).await
    }

    /// Removes a secret or a connection. False: there was none.
    pub async fn remove_from_vault(
        &self,
        tenant: &TenantId,
        kind: VaultKind,
        name: &str,
    ) -> Result<bool, Problem> {
        let (core, tenant, name) = (self.core.clone(), self.tenant(tenant)?.clone(), name.to_owned());
        carried::to_the_end(async move { vault::remove(&core, &tenant, kind, &name).await }).await
    }

    /// What a tenant's triggers have subscribed to, and what of that is still to be ended; oldest first.
    pub async fn subscriptions(&self, tenant: &TenantId) -> Result<Vec<SubscriptionView>, Problem> {
        subscription::list(&self.core, tenant).await
    }

    /// Forgets a subscription that could not be ended. False: there is none of this id that fails to end.
    pub async fn forget_subscription(&self, tenant: &TenantId, id: &str) -> Result<bool, Problem> {
        subscription::forget(&self.core, tenant, id).await
    }

    /// The enabled trigger that answers to this token. An unknown one and a disabled one look the same.
    pub fn hook(&self, token: &str) -> Option<Hook> {
        let trigger = self.core.catalog.read().expect("no panic while held").hook(token)?.clone();
        self.hook_of(trigger)
    }

    /// The enabled trigger that answers at this path of its own.
    pub fn hook_at(&self, tenant: &str, path: &str) -> Option<Hook> {
        let trigger = self.core.catalog.read().expect("no panic while held").hook_at(tenant, path)?.clone();
        self.hook_of(trigger)
    }

    fn hook_of(&self, trigger: Arc<catalog::Trigger>) -> Option<Hook> {
        let tenant = self.core.tenants.get(&trigger.tenant)?.clone();
        Some(Hook { core: self.core.clone(), sandboxes: self.sandboxes.clone(), tenant, trigger })
    }

    /// The callback address that this token is of. It tells apart only what was sealed by this journal, not whether a
    /// step still waits.
    pub fn callback(&self, token: &str) -> Option<Callback> {
        let target = self.core.callback_key.open(token)?;
        let tenant = self.core.tenants.get(&target.tenant)?.clone();
        Some(Callback { core: self.core.clone(), tenant, target })
    }

    /// Begins a run; it is in the journal when this returns.
    pub async fn start_run(
        &self,
        tenant: &TenantId,
        namespace: &str,
        name: &str,
        version: Option<&str>,
        input: Value,
    ) -> Result<RunId, Problem> {
        if self.core.lifetime() != Lifetime::Serving {
            return Err(Problem::new(kind::RUNTIME, "the host is shutting down", 503));
        }
        let flow = {
            let catalog = self.core.catalog.read().expect("no panic while held");
            catalog.flow(tenant, namespace, name, version).map(|deployed| deployed.flow.clone())
        };
        let flow = flow.ok_or_else(|| {
            let version = version.map(|version| format!(":{version}")).unwrap_or_default();
            Problem::new(kind::CONFIGURATION, "no such flow", 404)
                .detail(format!("the flow {namespace}/{name}{version} is not deployed for this tenant"))
        })?;
        let id = RunId::mint();
        let start = runs::Start { id, flow, trigger: None, beginning: Beginning::Input(input) };
        runs::start(&self.core, self.tenant(tenant)?, start).await?;
        Ok(id)
    }

    /// The run when it is over, or as it stands after `within`. None: there is no such run.
    pub async fn wait(
        &self,
        tenant: &TenantId,
        run: RunId,
        within: Duration,
    ) -> Result<Option<RunView>, Problem> {
        runs::wait(&self.core, tenant, run, within).await
    }

    /// The run as the journal has it. None: there is no such run.
    pub async fn run(&self, tenant: &TenantId, run: RunId) -> Result<Option<RunView>, Problem> {
        runs::get(&self.core, tenant, run).await
    }

    /// A part of the list of runs, newest first.
    pub async fn runs(&self, tenant: &TenantId, filter: RunFilter) -> Result<List<RunSummary>, Problem> {
        runs::list(&self.core, tenant, filter).await
    }

    /// Ends a run. One that is over stays as it is. None: there is no such run.
    pub async fn cancel(
        &self,
        tenant: &TenantId,
        run: RunId,
        reason: &str,
    ) -> Result<Option<RunSummary>, Problem> {
        runs::cancel(&self.core, tenant, run, reason).await
    }

    /// Begins a new run of the same flow text with the same input. None: there is no such run.
    pub async fn restart(&self, tenant: &TenantId, run: RunId) -> Result<Option<RunId>, Problem> {
        runs::restart(&self.core, self.tenant(tenant)?, run, false).await
    }

    /// Begins a new run at the step that a run failed at: what that one did before counts as done. The error says why
    /// there is no such step. None: there is no such run.
    pub async fn restart_from_failed_step(
        &self,
        tenant: &TenantId,
        run: RunId,
    ) -> Result<Option<RunId>, Problem> {
        runs::restart(&self.core, self.tenant(tenant)?, run, true).await
    }

    /// Every change of every run from now on. A receiver that falls behind loses the oldest.
    pub fn watch(&self) -> tokio::sync::broadcast::Receiver<RunChange> {
        self.core.changes.subscribe()
    }

    /// What the journal holds of a run, as changes, oldest first. None: there is no such run.
    pub async fn history(&self, tenant: &TenantId, run: RunId) -> Result<Option<Vec<RunChange>>, Problem> {
        runs::history(&self.core, tenant, run).await
    }

    /// Which rule decides about an outbound request, and which line would allow it.
    pub async fn explain(&self, tenant: &TenantId, method: &str, url: &str) -> Result<Value, Problem> {
        let explanation = self.tenant(tenant)?.egress.explain(method, url).await;
        Ok(serde_json::to_value(explanation).unwrap_or_default())
    }

    /// The tenants of this host, in order of their names.
    pub fn tenants(&self) -> Vec<TenantId> {
        let mut tenants: Vec<_> = self.core.tenants.keys().cloned().collect();
        tenants.sort();
        tenants
    }

    /// Prometheus text.
    pub fn metrics(&self) -> String {
        self.core.metrics.text(&self.core)
    }

    /// Whether the host takes events: the error says why not.
    pub async fn ready(&self) -> Result<(), String> {
        if self.core.lifetime() != Lifetime::Serving {
            return Err("draining".to_owned());
        }
        if self.core.is_fenced() {
            return Err(StorageError::Fenced.to_string());
        }
        let probe = self.core.durable.ask(|storage| storage.probe()).await;
        probe.map_err(|error| error.to_string())
    }

    /// Takes nothing new, lets what is under way finish for at most `within`, and closes the journal. What is still
    /// under way then is continued by the next start.
    pub async fn drain(&self, within: Duration) {
        self.core.move_to(Lifetime::Draining);
        let over = crate::clock::after(self.core.clock.now(), within);
        tokio::select! {
            biased;
            ((), ()) = async { tokio::join!(self.core.idle(), self.core.switched()) } => {}
            () = self.core.clock.sleep_until(over) => {
                tracing::warn!(runs = self.core.active_runs(), "time to drain is over; the next start continues them");
            }
        }
        self.core.move_to(Lifetime::Drained);
        self.core.durable.close().await;
        // After the last commit, which is made under it.
        lease::leave(&self.core).await;
    }

    fn tenant(&self, tenant: &TenantId) -> Result<&Arc<Tenant>, Problem> {
        self.core.tenants.get(tenant).ok_or_else(|| {
            Problem::new(kind::AUTHORIZATION, "no such tenant", 403)
                .detail(format!("the tenant `{tenant}` is not configured on this host"))
        })
    }
}
