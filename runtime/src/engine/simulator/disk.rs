//! The store under the hosts, which may fail when it is read. What becomes of what is written, the simulation decides
//! group by group.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::chance::Chance;
use super::mistake::Mistake;
use crate::id::{FlowId, RunId, TenantId};
use crate::journal::{
    AuditQuery, AuditRow, Batch, Entry, FlowRow, Lease, MemoryStorage, Page, PluginRow, RunKey, RunQuery,
    RunRow, ScheduleRow, Storage, StorageError, SubscriptionRow, TimerRow, TokenRow, TriggerRow, VaultRow,
    Write,
};

pub(super) type Late = Arc<Mutex<HashSet<(RunKey, u64)>>>;

pub(super) struct Disk {
    pub memory: Arc<MemoryStorage>,
    /// Entries that were written under a lease that had ended.
    pub late: Late,
    /// Every schedule as it has ever been.
    pub schedules: Mutex<Vec<ScheduleRow>>,
    chance: Mutex<Chance>,
    mistake: Option<Mistake>,
    /// One read in so many fails; none for 0.
    pub fails_once_in: AtomicU32,
}

impl Disk {
    /// One that several hosts share, or one that a single host has for itself.
    pub fn new(seed: u64, is_shared: bool, mistake: Option<Mistake>) -> Self {
        let memory =
            if is_shared { MemoryStorage::shared() } else { MemoryStorage::bounded(usize::MAX, usize::MAX) };
        Self {
            memory: Arc::new(memory),
            late: Late::default(),
            schedules: Mutex::default(),
            chance: Mutex::new(Chance::new(seed)),
            mistake,
            fails_once_in: AtomicU32::new(0),
        }
    }

    fn remember_schedules(&self) {
        let mut remembered = self.schedules.lock().unwrap();
        for row in self.memory.schedules().unwrap() {
            if !remembered.contains(&row) {
                remembered.push(row);
            }
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
        let changed: Vec<Batch> = match self.mistake {
            None => batches.to_vec(),
            Some(mistake) => {
                batches.iter().map(|batch| mistake.written(&self.memory, batch.clone())).collect()
            }
        };
        let batches = &changed[..];
        let leases = batches.iter().filter_map(|batch| batch.lease);
        let ended: Vec<Lease> = leases.filter(|lease| !self.memory.is_alive(*lease)).collect();
        if self.mistake != Some(Mistake::NoFencing) {
            let results = self.memory.commit(batches);
            self.remember_schedules();
            return results;
        }
        ended.iter().for_each(|lease| self.memory.forge(*lease, true));
        let results = self.memory.commit(batches);
        ended.iter().for_each(|lease| self.memory.forge(*lease, false));
        self.remember_schedules();
        let applied =
            batches.iter().zip(&results).filter(|(_, result)| result.is_ok()).map(|(batch, _)| batch);
        let late = applied.filter(|batch| batch.lease.is_some_and(|lease| ended.contains(&lease)));
        for write in late.flat_map(|batch| &batch.writes) {
            if let Write::Append { key, entries } = write {
                let mut late = self.late.lock().unwrap();
                late.extend(entries.iter().map(|entry| (key.clone(), entry.seq)));
            }
        }
        results
    }

    fn run(&self, key: &RunKey) -> Result<Option<RunRow>, StorageError> {
        self.may_fail()?;
        self.memory.run(key)
    }

    fn entries(&self, key: &RunKey, from: u64) -> Result<Vec<Entry>, StorageError> {
        self.may_fail()?;
        self.memory.entries(key, from)
    }

    fn log(&self, key: &RunKey) -> Result<Option<(RunRow, Vec<Entry>)>, StorageError> {
        self.may_fail()?;
        self.memory.log(key)
    }

    fn runs(&self, tenant: &TenantId, query: &RunQuery) -> Result<Page<RunRow>, StorageError> {
        self.may_fail()?;
        self.memory.runs(tenant, query)
    }

    fn begin_lease(&self, until: Timestamp) -> Result<Lease, StorageError> {
        self.memory.begin_lease(until)
    }

    fn renew_lease(&self, lease: Lease, until: Timestamp) -> Result<(), StorageError> {
        self.may_fail()?;
        self.memory.renew_lease(lease, until)
    }

    fn end_lease(&self, lease: Lease) -> Result<(), StorageError> {
        self.memory.end_lease(lease)
    }

    fn take_over(
        &self,
        lease: Lease,
        now: Timestamp,
        after: Option<&RunKey>,
        limit: u32,
    ) -> Result<Vec<RunKey>, StorageError> {
        self.may_fail()?;
        // A small page, so that there are several.
        let taken = self.memory.take_over(lease, now, after, limit.min(2))?;
        Ok(if self.mistake == Some(Mistake::SilentTakeOver) { vec![] } else { taken })
    }

    fn news(&self, lease: Lease) -> Result<Vec<RunKey>, StorageError> {
        self.may_fail()?;
        let news = self.memory.news(lease)?;
        Ok(if self.mistake == Some(Mistake::NoNews) { vec![] } else { news })
    }

    fn open_runs(&self, tenant: &TenantId) -> Result<u64, StorageError> {
        self.memory.open_runs(tenant)
    }

    fn due(&self, lease: Lease, now: Timestamp, limit: u32) -> Result<Vec<TimerRow>, StorageError> {
        self.may_fail()?;
        self.memory.due(lease, now, limit)
    }

    fn forget(
        &self,
        tenant: &TenantId,
        status: &str,
        ended_before: Timestamp,
        limit: u32,
    ) -> Result<u32, StorageError> {
        self.memory.forget(tenant, status, ended_before, limit)
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

    fn plugins(&self) -> Result<Vec<PluginRow>, StorageError> {
        self.memory.plugins()
    }

    fn original(
        &self,
        tenant: &TenantId,
        trigger: &str,
        key: &[u8; 32],
        at: Timestamp,
    ) -> Result<Option<RunId>, StorageError> {
        self.memory.original(tenant, trigger, key, at)
    }

    fn vault(&self) -> Result<Vec<VaultRow>, StorageError> {
        self.memory.vault()
    }

    fn token(&self, digest: &[u8; 32]) -> Result<Option<TokenRow>, StorageError> {
        self.memory.token(digest)
    }

    fn tokens(&self, tenant: Option<&TenantId>) -> Result<Vec<TokenRow>, StorageError> {
        self.memory.tokens(tenant)
    }

    fn audit(&self, tenant: &TenantId, query: &AuditQuery) -> Result<Page<AuditRow>, StorageError> {
        self.memory.audit(tenant, query)
    }

    fn subscriptions(&self) -> Result<Vec<SubscriptionRow>, StorageError> {
        self.memory.subscriptions()
    }

    fn schedules(&self) -> Result<Vec<ScheduleRow>, StorageError> {
        self.memory.schedules()
    }

    fn next_schedules(&self, limit: u32) -> Result<Vec<ScheduleRow>, StorageError> {
        // Where there are none, nothing is read that could not be.
        if !self.memory.schedules()?.is_empty() {
            self.may_fail()?;
        }
        self.memory.next_schedules(limit)
    }

    fn key(&self, name: &str) -> Result<[u8; 32], StorageError> {
        self.memory.key(name)
    }

    fn is_shared(&self) -> bool {
        self.memory.is_shared()
    }

    fn probe(&self) -> Result<(), StorageError> {
        self.memory.probe()
    }
}
