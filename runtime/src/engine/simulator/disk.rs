//! The store under the hosts, which may fail when it is read. What becomes of what is written, the simulation decides
//! group by group.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::chance::Chance;
use crate::id::{FlowId, TenantId};
use crate::journal::{
    Batch, Entry, FlowRow, MemoryStorage, Page, RunKey, RunQuery, RunRow, Storage, StorageError, TimerRow,
    TriggerRow,
};

pub(super) struct Disk {
    pub memory: Arc<MemoryStorage>,
    chance: Mutex<Chance>,
    /// One read in so many fails; none for 0.
    pub fails_once_in: AtomicU32,
}

impl Disk {
    pub fn new(seed: u64) -> Self {
        Self {
            memory: Arc::new(MemoryStorage::bounded(usize::MAX, usize::MAX)),
            chance: Mutex::new(Chance::new(seed)),
            fails_once_in: AtomicU32::new(0),
        }
    }

    fn may_fail(&self) -> Result<(), StorageError> {
        let once_in = self.fails_once_in.load(Ordering::Relaxed) as usize;
        if once_in > 0 && self.chance.lock().unwrap().once_in(once_in) {
            return Err(StorageError::Io("a sector cannot be read".to_owned()));
        }
        Ok(())
    }
}

impl Storage for Disk {
    fn commit(&self, batches: &[Batch]) -> Vec<Result<(), StorageError>> {
        self.memory.commit(batches)
    }

    fn run(&self, key: &RunKey) -> Result<Option<RunRow>, StorageError> {
        self.may_fail()?;
        self.memory.run(key)
    }

    fn entries(&self, key: &RunKey, from: u64) -> Result<Vec<Entry>, StorageError> {
        self.may_fail()?;
        self.memory.entries(key, from)
    }

    fn runs(&self, tenant: &TenantId, query: &RunQuery) -> Result<Page<RunRow>, StorageError> {
        self.may_fail()?;
        self.memory.runs(tenant, query)
    }

    fn active(&self, after: Option<&RunKey>, limit: u32) -> Result<Vec<RunKey>, StorageError> {
        self.memory.active(after, limit)
    }

    fn open_runs(&self, tenant: &TenantId) -> Result<u64, StorageError> {
        self.memory.open_runs(tenant)
    }

    fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<TimerRow>, StorageError> {
        self.may_fail()?;
        self.memory.due(now, limit)
    }

    fn flows(&self) -> Result<Vec<FlowRow>, StorageError> {
        self.memory.flows()
    }

    fn flow(&self, tenant: &TenantId, id: &FlowId) -> Result<Option<FlowRow>, StorageError> {
        self.memory.flow(tenant, id)
    }

    fn triggers(&self) -> Result<Vec<TriggerRow>, StorageError> {
        self.memory.triggers()
    }

    fn key(&self, name: &str) -> Result<[u8; 32], StorageError> {
        self.memory.key(name)
    }

    fn probe(&self) -> Result<(), StorageError> {
        self.memory.probe()
    }
}
