//! A journal that lives as long as its process: for flows that say `durable: false`, and for a flow that is run once.
//!
//! Runs that are over are kept for the history up to a limit, the newest. A run that is open is never forgotten: what it takes
//! up is on the account of its tenant, who begins no more runs when that is full.

mod state;
mod tables;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use self::state::State;
use super::page::{Cursor, Page, RunQuery};
use super::record::{Batch, Entry, Lease, RunKey, RunRow, TimerRow};
use super::row::{Cell, ForeignCell, RowQuery};
use super::run_log::RunLog;
use super::storage::{StorageError, Tables};
use crate::id::{RunId, TenantId};
use crate::memory::Account;

/// The most ended runs that are kept.
const KEPT_RUNS: usize = 10_000;
/// The most bytes of their entries that are kept. The run that ended last is kept whatever its size.
const KEPT_BYTES: usize = 64 << 20;

/// Keeps the journal in memory.
pub(crate) struct MemoryStorage {
    state: Mutex<State>,
    kept_runs: usize,
    kept_bytes: usize,
    is_shared: bool,
}

impl MemoryStorage {
    /// An empty one, with the limits that a host uses.
    pub(crate) fn new() -> Self {
        Self::bounded(KEPT_RUNS, KEPT_BYTES)
    }

    /// The same, with the accounts of those who hold what is in it.
    pub(crate) fn on_accounts(accounts: HashMap<TenantId, Arc<Account>>) -> Self {
        let store = Self::new();
        store.state().accounts = accounts;
        store
    }

    /// An empty one that keeps so many ended runs, with so many bytes of entries.
    pub(crate) fn bounded(kept_runs: usize, kept_bytes: usize) -> Self {
        Self { state: Mutex::default(), kept_runs, kept_bytes, is_shared: false }
    }

    /// An empty one for several hosts of one process, that keeps everything.
    #[cfg(test)]
    pub(crate) fn shared() -> Self {
        Self { is_shared: true, ..Self::bounded(usize::MAX, usize::MAX) }
    }

    /// Brings a lease back that has ended, or ends it.
    #[cfg(test)]
    pub(crate) fn forge(&self, lease: Lease, alive: bool) {
        if alive {
            self.state().leases.insert(lease, Timestamp::MAX);
        } else {
            self.state().leases.remove(&lease);
        }
    }

    /// Whether a lease has not ended.
    #[cfg(test)]
    pub(crate) fn is_alive(&self, lease: Lease) -> bool {
        self.state().leases.contains_key(&lease)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunLog for MemoryStorage {
    fn commit(&self, batches: &[Batch]) -> Vec<Result<(), StorageError>> {
        // Copies are made and freed outside the lock, which every run of the host shares.
        let copies: Vec<Batch> = batches.to_vec();
        let mut state = self.state();
        let results = copies.into_iter().map(|batch| state.commit(batch)).collect();
        let forgotten = state.forget(self.kept_runs, self.kept_bytes);
        drop(state);
        drop(forgotten);
        results
    }

    fn run(&self, key: &RunKey) -> Result<Option<RunRow>, StorageError> {
        Ok(self.state().runs.get(key).map(|run| run.row.clone()))
    }

    fn entries(&self, key: &RunKey, from: u64) -> Result<Vec<Entry>, StorageError> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let state = self.state();
        let entries = state.runs.get(key).and_then(|run| run.entries.get(from..));
        Ok(entries.unwrap_or_default().to_vec())
    }

    fn log(&self, key: &RunKey) -> Result<Option<(RunRow, Vec<Entry>)>, StorageError> {
        Ok(self.state().runs.get(key).map(|run| (run.row.clone(), run.entries.clone())))
    }

    fn runs(&self, tenant: &TenantId, query: &RunQuery) -> Result<Page<RunRow>, StorageError> {
        let before = query.before()?;
        let state = self.state();
        let newest_first = state.by_start.get(tenant).into_iter();
        let rows = newest_first
            .flat_map(|starts| starts.range(..before).rev())
            .take_while(|start| start.started_ms >= query.since_ms())
            .filter_map(|start| state.runs.get(&RunKey { tenant: tenant.clone(), run: start.run }))
            .filter(|run| matches(&run.row, query))
            .take(query.limit as usize + 1)
            .map(|run| run.row.clone())
            .collect();
        Ok(Page::cut(rows, query.limit, Cursor::after))
    }

    fn begin_lease(&self, until: Timestamp) -> Result<Lease, StorageError> {
        let mut state = self.state();
        if !self.is_shared {
            state.leases.clear();
        }
        state.next_lease += 1;
        let lease = Lease(state.next_lease);
        state.leases.insert(lease, until);
        Ok(lease)
    }

    fn renew_lease(&self, lease: Lease, until: Timestamp) -> Result<(), StorageError> {
        *self.state().leases.get_mut(&lease).ok_or(StorageError::Fenced)? = until;
        Ok(())
    }

    fn end_lease(&self, lease: Lease) -> Result<(), StorageError> {
        self.state().leases.remove(&lease);
        Ok(())
    }

    fn take_over(
        &self,
        lease: Lease,
        now: Timestamp,
        after: Option<&RunKey>,
        limit: u32,
    ) -> Result<Vec<RunKey>, StorageError> {
        self.state().take_over(lease, now, after, limit as usize)
    }

    fn news(&self, lease: Lease) -> Result<Vec<RunKey>, StorageError> {
        Ok(self.state().news(lease))
    }

    fn open_runs(&self, tenant: &TenantId) -> Result<u64, StorageError> {
        Ok(self.state().open.get(tenant).copied().unwrap_or(0))
    }

    fn due(&self, lease: Lease, now: Timestamp, limit: u32) -> Result<Vec<TimerRow>, StorageError> {
        let state = self.state();
        let due = state.by_due.iter().take_while(|(due, ..)| *due <= now);
        let due = due.filter(|(_, key, _)| state.owner(key).is_none_or(|owner| owner == lease));
        let rows = due.take(limit as usize).map(|(due, key, timer)| TimerRow {
            key: key.clone(),
            timer: *timer,
            due: *due,
        });
        Ok(rows.collect())
    }

    fn forget(
        &self,
        tenant: &TenantId,
        status: &str,
        ended_before: Timestamp,
        limit: u32,
    ) -> Result<u32, StorageError> {
        let forgotten = self.state().forget_older(tenant, status, ended_before, limit as usize);
        Ok(u32::try_from(forgotten.len()).unwrap_or(u32::MAX))
    }

    fn original(
        &self,
        tenant: &TenantId,
        trigger: &str,
        key: &[u8; 32],
        at: Timestamp,
    ) -> Result<Option<RunId>, StorageError> {
        let state = self.state();
        let original = state.originals.get(&(tenant.clone(), trigger.to_owned(), *key));
        Ok(original.filter(|original| at < original.row.until).map(|original| original.row.run))
    }

    fn key(&self, name: &str) -> Result<[u8; 32], StorageError> {
        Ok(*self.state().keys.entry(name.to_owned()).or_insert_with(crate::id::mint_key))
    }

    fn probe(&self) -> Result<(), StorageError> {
        Ok(())
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn is_shared(&self) -> bool {
        self.is_shared
    }
}

impl Tables for MemoryStorage {
    fn select(
        &self,
        query: &RowQuery,
        each: &mut dyn FnMut(Vec<Cell>) -> Result<(), ForeignCell>,
    ) -> Result<(), StorageError> {
        let rows = self.state().tables.select(query);
        rows.into_iter().try_for_each(each).map_err(|error| StorageError::Io(error.to_string()))
    }
}

fn matches(row: &RunRow, query: &RunQuery) -> bool {
    let flow = (row.flow.namespace.as_str(), row.flow.name.as_str());
    query.flow_name().is_none_or(|asked| asked == flow)
        && query.status.as_ref().is_none_or(|status| *status == row.status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::record::{OriginalRow, Phase, Write};
    use crate::journal::samples::{NOBODY, append, at, commit, run, started, status, timer};
    use crate::memory::Memory;

    fn ended(store: &MemoryStorage) -> RunKey {
        let key = started(store, "acme", 0..3);
        commit(store, vec![status(&key, "completed", Phase::Ended)]).unwrap();
        key
    }

    #[test]
    fn only_the_newest_ended_runs_are_kept_and_every_open_one() {
        let store = MemoryStorage::bounded(3, usize::MAX);
        let open = started(&store, "acme", 0..3);
        let over: Vec<RunKey> = (0..5).map(|_| ended(&store)).collect();
        let kept: Vec<bool> = over.iter().map(|key| store.run(key).unwrap().is_some()).collect();
        assert_eq!(kept, [false, false, true, true, true]);
        assert!(store.run(&open).unwrap().is_some());
        assert_eq!(store.entries(&over[0], 0).unwrap(), []);
        let query = RunQuery { limit: 10, ..RunQuery::default() };
        assert_eq!(store.runs(&open.tenant, &query).unwrap().items.len(), 4);
        assert_eq!(store.open_runs(&open.tenant).unwrap(), 1);
    }

    #[test]
    fn large_ended_runs_are_forgotten_sooner_but_never_the_last() {
        let three_entries = 3 * r#"{"n":0}"#.len();
        let store = MemoryStorage::bounded(100, three_entries * 2);
        let over: Vec<RunKey> = (0..4).map(|_| ended(&store)).collect();
        let kept = over.iter().filter(|key| store.run(key).unwrap().is_some()).count();
        assert_eq!(kept, 2);
        // An entry after the end counts as well: now the last one fills the store alone.
        commit(&store, vec![append(&over[3], 3..9)]).unwrap();
        let kept: Vec<bool> = over.iter().map(|key| store.run(key).unwrap().is_some()).collect();
        assert_eq!(kept, [false, false, false, true]);
    }

    #[test]
    fn what_is_open_or_remembered_is_on_its_tenants_account() {
        let host = Memory::new(1 << 20);
        let account = Account::new("acme".into(), host);
        let store = MemoryStorage::on_accounts(HashMap::from([("acme".into(), account.clone())]));
        let entry = r#"{"n":0}"#.len() as u64;
        let open = started(&store, "acme", 0..3);
        assert_eq!(account.bytes(), 3 * entry);
        commit(&store, vec![append(&open, 3..4)]).unwrap();
        assert_eq!(account.bytes(), 4 * entry);
        commit(&store, vec![status(&open, "completed", Phase::Ended)]).unwrap();
        assert_eq!(account.bytes(), 0);
        let remember = |key, until, now| {
            let row =
                OriginalRow { tenant: "acme".into(), trigger: "in".to_owned(), key, run: open.run, until };
            commit(&store, vec![Write::Remember { row, at: now }]).unwrap();
            account.bytes()
        };
        let one = remember([1; 32], at(10), at(0));
        assert!(one > 100);
        assert_eq!(remember([2; 32], at(20), at(9)), 2 * one);
        assert_eq!(remember([1; 32], at(30), at(10)), 2 * one, "the first is forgotten");
        assert_eq!(remember([3; 32], at(40), at(30)), one, "all before are forgotten");
    }

    fn under(store: &MemoryStorage, lease: Lease, writes: Vec<Write>) {
        store.commit(&[Batch { lease: Some(lease), writes }]).remove(0).unwrap();
    }

    /// A run at work that belongs to the first of two hosts.
    fn shared() -> (MemoryStorage, [Lease; 2], RunKey) {
        let store = MemoryStorage::shared();
        let leases = [at(10), at(20)].map(|until| store.begin_lease(until).unwrap());
        let row = run("acme", 1);
        let key = row.key.clone();
        under(&store, leases[0], vec![Write::CreateRun(row), append(&key, 0..1), timer(&key, 0, 5)]);
        (store, leases, key)
    }

    #[test]
    fn the_owner_is_told_once_of_what_others_append() {
        let (store, [first, second], key) = shared();
        under(&store, first, vec![append(&key, 1..2)]);
        assert_eq!(store.news(first).unwrap(), []);
        under(&store, second, vec![append(&key, 2..3), status(&key, "running", Phase::Active)]);
        assert_eq!(store.run(&key).unwrap().unwrap().owner, Some(first));
        assert_eq!(store.news(second).unwrap(), []);
        assert_eq!(store.news(first).unwrap(), [key]);
        assert_eq!(store.news(first).unwrap(), []);
    }

    #[test]
    fn a_run_at_work_keeps_its_timers_for_its_owner() {
        let (store, [first, second], key) = shared();
        let seen = |lease| store.due(lease, at(9), 9).unwrap().len();
        assert_eq!((seen(first), seen(second)), (1, 0));
        under(&store, first, vec![status(&key, "waiting", Phase::Parked)]);
        assert_eq!((seen(first), seen(second)), (1, 1));
    }

    #[test]
    fn only_what_a_host_left_is_taken_over_by_another() {
        let (store, [first, second], key) = shared();
        assert_eq!(store.take_over(second, at(9), None, 9).unwrap(), []);
        assert_eq!(store.take_over(second, at(10), None, 9).unwrap(), std::slice::from_ref(&key));
        assert!(matches!(store.renew_lease(first, at(99)), Err(StorageError::Fenced)));
        assert_eq!(store.run(&key).unwrap().unwrap().owner, Some(second));
    }

    #[test]
    fn a_forgotten_run_leaves_no_timer() {
        let store = MemoryStorage::bounded(0, usize::MAX);
        let row = run("acme", 1);
        let key = row.key.clone();
        let writes = vec![Write::CreateRun(row), timer(&key, 0, 5), status(&key, "completed", Phase::Ended)];
        commit(&store, writes).unwrap();
        assert_eq!(store.run(&key).unwrap(), None);
        assert_eq!(store.due(NOBODY, Timestamp::MAX, 1).unwrap().first().map(|timer| timer.due), None);
    }
}
