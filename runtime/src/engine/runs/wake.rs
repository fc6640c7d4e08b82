//! Bringing a run to memory: its head, its flow's text and its entries, folded into its state.

use std::sync::Arc;
use std::time::Duration;

use super::Runs;
use super::driver::Driver;
use super::ledger::{Gone, Ledger};
use super::registry::Inbox;
use crate::engine::deployed::TextError;
use crate::engine::journals::{Lane, STORE_PAUSE, storage_problem};
use crate::engine::lifecycle::PauseEnd;
use crate::flow::RunState;
use crate::id::TenantId;
use crate::journal::{Entry, Lease, RunKey, RunRow, StorageError};
use crate::problem::{Problem, kind};

/// How long the timers of a run that cannot be read are left alone.
const LEFT_ALONE: Duration = Duration::from_secs(60);

/// Why a run could not be taken into memory.
#[derive(Debug, thiserror::Error)]
pub(in crate::engine) enum LoadError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the journal has no such run")]
    NoRun,
    #[error(transparent)]
    Text(TextError),
    #[error("{0}")]
    Unreadable(String),
    #[error("the tenant `{0}` is not configured on this host")]
    NoTenant(TenantId),
}

impl From<TextError> for LoadError {
    fn from(error: TextError) -> Self {
        match error {
            TextError::Storage(error) => Self::Storage(error),
            other => Self::Text(other),
        }
    }
}

impl LoadError {
    /// What a caller is told.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Storage(error) => storage_problem(error),
            other => {
                tracing::error!(error = %other, "a run cannot be read");
                Problem::new(kind::RUNTIME, "the run cannot be read", 500).detail(other.to_string())
            }
        }
    }
}

/// Whether there was a run to move on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    Moved,
    /// The journal has no such run, or it is over.
    Nothing,
}

impl Runs {
    /// Brings a run into memory and moves it on.
    pub(super) async fn wake(
        self: Arc<Self>,
        lane: Arc<Lane>,
        key: RunKey,
        lease: Lease,
        inbox: Inbox,
    ) -> Woken {
        let Some(tenant) = self.tenants.get(&key.tenant).cloned() else {
            tracing::error!(run = %key.run, "{}", LoadError::NoTenant(key.tenant.clone()));
            self.leave(&key, inbox).await;
            return Woken::Moved;
        };
        let (_slot, row, state, entries) = loop {
            let slot = tenant.slot().await;
            match self.load(&lane, &key).await {
                Ok((row, state, entries)) => break (slot, row, state, entries),
                // The store's fault passes; the run must not wait for the next start of the host.
                Err(LoadError::Storage(error)) => {
                    tracing::error!(run = %key.run, %error, "the journal cannot be read; trying again");
                    self.observers.metrics.journal_failed();
                    drop(slot);
                    if self.lifecycle.pause(STORE_PAUSE).await == PauseEnd::CutShort {
                        self.registry.forget(&key, inbox);
                        return Woken::Moved;
                    }
                }
                // Begun by a commit that failed after all, or forgotten meanwhile.
                Err(LoadError::NoRun) => {
                    self.retire(&key, inbox);
                    return Woken::Nothing;
                }
                Err(error) => {
                    tracing::error!(run = %key.run, %error, "the run cannot be continued; it stays in the journal as it is");
                    drop(slot);
                    self.leave(&key, inbox).await;
                    return Woken::Moved;
                }
            }
        };
        if state.is_over() {
            self.retire(&key, inbox);
            return Woken::Nothing;
        }
        let ledger = Ledger::new(self.clone(), lane, lease, row, state, &entries, &tenant);
        let mut driver = Driver::new(self.clone(), tenant, ledger);
        match driver.recover().await {
            Ok(effects) => driver.drive(effects, inbox).await,
            Err(Gone) => self.retire(&key, inbox),
        }
        Woken::Moved
    }

    /// A run cannot be taken into memory. Its timers are left alone for a while, or the scheduler would hand them out
    /// again at once.
    async fn leave(&self, key: &RunKey, inbox: Inbox) {
        self.registry.forget(key, inbox);
        let _ = self.lifecycle.pause(LEFT_ALONE).await;
        self.take_timers_back(key);
    }

    /// The run and its entries.
    pub async fn load(&self, lane: &Lane, key: &RunKey) -> Result<(RunRow, RunState, Vec<Entry>), LoadError> {
        let wanted = key.clone();
        let log = lane.journal.ask(move |storage| storage.log(&wanted)).await?;
        let (row, entries) = log.ok_or(LoadError::NoRun)?;
        let flow = self.deployed.text(&key.tenant, &row.flow).await?;
        let tenant = self.tenants.get(&key.tenant).ok_or_else(|| LoadError::NoTenant(key.tenant.clone()))?;
        let mut state = self.new_state(flow, key);
        self.reader(tenant).fold(&mut state, &entries).await.map_err(LoadError::Unreadable)?;
        let _ = state.take_changed();
        Ok((row, state, entries))
    }
}
