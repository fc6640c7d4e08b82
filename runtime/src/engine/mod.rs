//! Runs in motion. The only place where `flow` (what follows), `journal` (what is true) and `host` (what a guest does)
//! meet; [`Runtime`] is what everybody else sees of the three.
//!
//! The engine has five rooms. A room imports from the rooms below it, and from the words that all of them share:
//!
//! ```text
//! admin      tokens, audit, vault, health
//! inbound    requests to hooks and callbacks
//! runs       drivers, the log, timers, leases
//! deployed   flows, triggers, schedules, subscriptions
//! steps      calls of guests
//! ---------  the words that the rooms share:
//! journals, lifecycle, observers, tenant, addresses, carried
//! ```
//!
//! The way of a request from outside: [`Hook::receive`] -> the trigger's plugin -> [`runs::begin`] -> journal -> the run's driver ->
//! the effects of `advance` -> journal -> … -> the answer. A timer joins the same path through the scheduler and
//! [`runs::Runs::deliver`]. The engine knows nothing of HTTP servers, terminals or SQL.
//!
//! Each method of [`Runtime`] stands in the file that does the work.

mod addresses;
mod admin;
mod carried;
mod deployed;
mod folder;
mod inbound;
mod journals;
mod lifecycle;
mod observers;
mod open;
mod options;
mod runs;
#[cfg(test)]
mod simulator;
mod steps;
mod tenant;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::admin::Sealer;
pub use self::admin::{
    AuditEntry, AuditFilter, AuditView, Caller, Deed, NewToken, Shown, TokenView, VaultView,
};
pub use self::deployed::{DeployError, FlowView, ScheduleView, SubscriptionView, TriggerView};
use self::deployed::{Deployer, subscription};
pub use self::folder::backup;
pub use self::inbound::{Answer, Callback, Hook, Inbound};
use self::journals::{Journals, storage_problem};
use self::lifecycle::Lifecycle;
use self::observers::Observers;
pub use self::observers::{RunChange, RunSummary};
pub use self::options::{Data, OpenError, Options};
use self::runs::Runs;
pub use self::runs::{List, RunFilter, RunView};
use self::steps::Sandboxes;
pub use self::steps::{Imported, PluginView, Trial, TrialEnd};
pub use self::tenant::EventReader;
use self::tenant::{Tenant, Tenants};
use crate::id::TenantId;
pub use crate::journal::{Role, VaultKind};
use crate::problem::Problem;

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
///     compiler: None,
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
    rooms: Arc<Rooms>,
}

/// The rooms of one host, and the words that they share.
struct Rooms {
    runs: Arc<Runs>,
    deployer: Deployer,
    sandboxes: Arc<Sandboxes>,
    journals: Arc<Journals>,
    tenants: Arc<Tenants>,
    lifecycle: Arc<Lifecycle>,
    observers: Arc<Observers>,
    /// What secrets are sealed with.
    sealer: Sealer,
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
        let deployer = &self.rooms.deployer;
        let started = async {
            self.rooms.runs.start().await?;
            subscription::settle(&deployer.deployed).await
        };
        started.await.map_err(|error| storage_problem(&error))?;
        tokio::spawn(subscription::run(deployer.deployed.clone()));
        Ok(())
    }

    fn tenant(&self, tenant: &TenantId) -> Result<&Arc<Tenant>, Problem> {
        self.rooms.tenants.configured(tenant)
    }
}
