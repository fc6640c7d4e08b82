//! What is deployed: flows, triggers, the schedules of flows, and what triggers have subscribed to in the world.
//!
//! - `catalog`: what is deployed, in memory
//! - `check`: what speaks against a document; `deploy` and `triggers`: changing what is deployed; `install`: plugins
//! - `schedule`: the rows of flows that start by themselves
//! - `subscription`: switching triggers on and off in the world
//! - `view`: what the outside sees of it
//!
//! [`Deployed`] is what everybody above asks; [`Deployer`] is what changes it, with the sandboxes that judge a change.
//! Beginning a run, at its time or for a request, is the business of the rooms above.

mod catalog;
mod check;
mod deploy;
mod install;
mod load;
pub(super) mod schedule;
pub(super) mod subscription;
mod triggers;
mod view;

use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(super) use self::catalog::{Catalog, DeployedFlow, Trigger};
pub use self::deploy::DeployError;
use self::schedule::Book;
use self::subscription::Bell;
pub use self::view::{FlowView, ScheduleView, SubscriptionView, TriggerView};
use super::addresses::Addresses;
use super::journals::{Journals, storage_problem};
use super::lifecycle::Lifecycle;
use super::steps::{Sandboxes, Steps};
use super::tenant::Tenants;
use crate::flow::{Document, Flow};
use crate::id::{FlowId, TenantId};
use crate::journal::{Batch, FlowRow, StorageError, Write};
use crate::problem::Problem;

/// What is deployed on this host. The journal holds the same: a change is committed there first and shown here after.
pub(super) struct Deployed {
    catalog: RwLock<Catalog>,
    pub schedules: Book,
    subscriptions: Bell,
    pub steps: Arc<dyn Steps>,
    pub journals: Arc<Journals>,
    pub tenants: Arc<Tenants>,
    pub lifecycle: Arc<Lifecycle>,
    pub addresses: Addresses,
}

/// Changes what is deployed.
#[derive(Clone)]
pub(super) struct Deployer {
    pub deployed: Arc<Deployed>,
    pub sandboxes: Arc<Sandboxes>,
}

/// Why the text of a flow that a run began on cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum TextError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the flow text {0} that the run began on is not in the journal")]
    NoFlow(FlowId),
    #[error("{0}")]
    Unreadable(String),
}

impl Deployed {
    pub fn new(
        steps: Arc<dyn Steps>,
        journals: Arc<Journals>,
        tenants: Arc<Tenants>,
        lifecycle: Arc<Lifecycle>,
        addresses: Addresses,
        schedules: Book,
    ) -> Self {
        let (catalog, subscriptions) = Default::default();
        Self { catalog, schedules, subscriptions, steps, journals, tenants, lifecycle, addresses }
    }

    pub fn catalog(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().expect("no panic while held")
    }

    pub fn catalog_mut(&self) -> RwLockWriteGuard<'_, Catalog> {
        self.catalog.write().expect("no panic while held")
    }

    /// The very text that a run began on, deployed still or not.
    pub async fn text(&self, tenant: &TenantId, id: &FlowId) -> Result<Arc<Flow>, TextError> {
        if let Some(flow) = self.catalog().text(tenant, id) {
            return Ok(flow);
        }
        let key = (tenant.clone(), id.clone());
        let row = self.journals.durable.journal.ask(move |storage| storage.row::<FlowRow>(key)).await?;
        let row = row.ok_or_else(|| TextError::NoFlow(id.clone()))?;
        match self.steps.read(tenant, &row.source, &id.to_string()).as_deref() {
            Ok([Document::Flow(flow)]) => Ok(flow.clone()),
            Ok(_) => Err(TextError::Unreadable(format!("the stored text of {id} is not one flow"))),
            Err(findings) => Err(TextError::Unreadable(format!(
                "the stored text of {id} is not valid for this version of the host: {}",
                findings.first().map(ToString::to_string).unwrap_or_default()
            ))),
        }
    }

    /// Journals a change of what is deployed.
    async fn commit(&self, writes: Vec<Write>) -> Result<(), Problem> {
        let committed = self.journals.durable.journal.commit(Batch::of(writes)).await;
        committed.map_err(|error| storage_problem(&error))
    }
}
