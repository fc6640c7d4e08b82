//! The store under the hosts, which may fail when it is read. What becomes of what is written, the simulation decides
//! group by group.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::chance::Chance;
use super::mistake::Mistake;
use crate::journal::{
    Batch, Faults, Faulty, Lease, MemoryStorage, Row as _, RunKey, ScheduleRow, Storage, StorageError,
    StoreCall, Write,
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

    /// As the hosts see it.
    pub fn store(self: &Arc<Self>) -> Arc<dyn Storage> {
        Faulty::new(self.memory.clone(), self.clone())
    }

    fn remember_schedules(&self) {
        let mut remembered = self.schedules.lock().unwrap();
        for row in (&*self.memory as &dyn Storage).list().unwrap() {
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

    /// Whether this is the question for the schedules that come next, where there are any.
    fn looks_for_schedules(&self, call: StoreCall<'_>) -> bool {
        let StoreCall::Select(query) = call else { return false };
        let is_it = query.table == ScheduleRow::TABLE && query.limit.is_some();
        is_it && !(&*self.memory as &dyn Storage).list::<ScheduleRow>().unwrap().is_empty()
    }
}

impl Faults for Disk {
    fn before(&self, call: StoreCall<'_>) -> Result<(), StorageError> {
        match call {
            StoreCall::Run | StoreCall::Entries | StoreCall::Log | StoreCall::Runs => self.may_fail(),
            StoreCall::RenewLease | StoreCall::TakeOver | StoreCall::News | StoreCall::Due => self.may_fail(),
            // Where there are none, nothing is read that could not be.
            StoreCall::Select(_) if self.looks_for_schedules(call) => self.may_fail(),
            _ => Ok(()),
        }
    }

    fn commit(&self, store: &dyn Storage, batches: &[Batch]) -> Vec<Result<(), StorageError>> {
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
            let results = store.commit(batches);
            self.remember_schedules();
            return results;
        }
        ended.iter().for_each(|lease| self.memory.forge(*lease, true));
        let results = store.commit(batches);
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

    fn take_over(
        &self,
        store: &dyn Storage,
        lease: Lease,
        now: Timestamp,
        after: Option<&RunKey>,
        limit: u32,
    ) -> Result<Vec<RunKey>, StorageError> {
        // A small page, so that there are several.
        let taken = store.take_over(lease, now, after, limit.min(2))?;
        Ok(if self.mistake == Some(Mistake::SilentTakeOver) { vec![] } else { taken })
    }

    fn news(&self, store: &dyn Storage, lease: Lease) -> Result<Vec<RunKey>, StorageError> {
        let news = store.news(lease)?;
        Ok(if self.mistake == Some(Mistake::NoNews) { vec![] } else { news })
    }
}
