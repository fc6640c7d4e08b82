//! Runs in motion: begun, moved by their drivers, woken by timers and callbacks, read, cancelled, restarted.
//!
//! The way of an event: [`Runs::deliver`] -> the run's driver, which [`registry`] finds or [`wake`] brings to memory ->
//! [`driver`] -> the journal, through the [`ledger`] -> the effects of `advance`. [`begin`] makes a run, [`scheduler`]
//! hands out timers and [`schedules`] starts flows at their times, [`lease`] shares the runs between hosts, [`retention`]
//! forgets, [`read`] and [`cancel`] serve the API. What a step does, the room of steps knows.

pub(super) mod begin;
mod cancel;
mod driver;
pub(super) mod entries;
pub(super) mod lease;
mod ledger;
mod read;
mod registry;
mod restart;
pub(super) mod retention;
mod scheduler;
mod schedules;
pub(super) mod view;
mod wake;

use std::sync::Arc;

pub use self::read::RunFilter;
pub(super) use self::registry::Delivery;
use self::registry::Registry;
pub use self::view::{List, RunView};
pub(super) use self::wake::LoadError;
use super::addresses::Addresses;
use super::deployed::Deployed;
use super::journals::{Journals, Lane};
use super::lifecycle::Lifecycle;
use super::observers::Observers;
use super::steps::Steps;
use super::tenant::{Tenant, Tenants};
use crate::flow::{Event, Flow, RunState};
use crate::journal::{RunKey, StorageError};

/// The runs of this host, and what they need.
pub(super) struct Runs {
    pub steps: Arc<dyn Steps>,
    pub deployed: Arc<Deployed>,
    pub journals: Arc<Journals>,
    pub tenants: Arc<Tenants>,
    pub lifecycle: Arc<Lifecycle>,
    pub observers: Arc<Observers>,
    pub addresses: Addresses,
    registry: Registry,
}

impl Runs {
    pub fn new(deployed: Arc<Deployed>, observers: Arc<Observers>) -> Self {
        let (journals, tenants) = (deployed.journals.clone(), deployed.tenants.clone());
        let (lifecycle, addresses) = (deployed.lifecycle.clone(), deployed.addresses.clone());
        let (steps, registry) = (deployed.steps.clone(), Registry::default());
        Self { steps, deployed, journals, tenants, lifecycle, observers, addresses, registry }
    }

    /// Continues what was at work when the host stopped, and starts what moves runs.
    pub async fn start(self: &Arc<Self>) -> Result<(), StorageError> {
        lease::take_over(self).await?;
        if self.journals.durable.journal.is_shared() {
            tokio::spawn(lease::keep(self.clone()));
        }
        tokio::spawn(retention::run(self.clone()));
        for lane in self.journals.lanes() {
            tokio::spawn(scheduler::run(self.clone(), lane.clone()));
        }
        Ok(())
    }

    /// Gives an event to a run: to its driver where it is in memory, else by bringing it there.
    pub fn deliver(self: &Arc<Self>, lane: &Arc<Lane>, key: RunKey, event: Event) {
        self.send(lane, key, Delivery::Event(event));
    }

    /// The same for anything that a run can be given.
    pub fn send(self: &Arc<Self>, lane: &Arc<Lane>, key: RunKey, delivery: Delivery) {
        if let Some((inbox, lease)) = self.registry.give(&key, lane, delivery) {
            tokio::spawn(self.clone().wake(lane.clone(), key, lease, inbox));
        }
    }

    /// Who reads the entries of this tenant's runs.
    pub fn reader<'r>(&'r self, tenant: &'r Tenant) -> entries::Reader<'r> {
        entries::Reader { steps: &*self.steps, tenant }
    }

    /// A run that has not begun.
    pub fn new_state(&self, flow: Arc<Flow>, key: &RunKey) -> RunState {
        RunState::new(flow, key.run).called_back_at(self.addresses.of_run(&key.tenant, key.run))
    }

    /// How many runs are in memory.
    pub fn active(&self) -> usize {
        self.registry.active()
    }

    /// Returns when no run is in memory.
    pub async fn idle(&self) {
        self.registry.idle().await;
    }

    #[cfg(test)]
    pub fn handed_timers(&self) -> usize {
        self.registry.handed().len()
    }
}
