//! A store with faults, for tests: every call goes through [`Faults`], which may do it otherwise.
//!
//! A fault overrides the calls that it is about and leaves the others as they are. In [`Faults::commit`] it has the
//! batches before the store has them: it can let them fail, leave some out, change, split, repeat or keep them for later,
//! and answer what it likes. In the calls that read it can change what was read.

use std::sync::Arc;

use jiff::Timestamp;

use super::page::{Page, RunQuery};
use super::record::{Batch, Entry, Lease, RunKey, RunRow, TimerRow};
use super::row::{Cell, ForeignCell, RowQuery};
use super::run_log::RunLog;
use super::storage::{Storage, StorageError, Tables};
use crate::id::{RunId, TenantId};

/// A store whose calls a test may spoil.
pub(crate) struct Faulty<F> {
    pub store: Arc<dyn Storage>,
    pub faults: Arc<F>,
}

impl<F: Faults> Faulty<F> {
    pub fn new(store: Arc<dyn Storage>, faults: Arc<F>) -> Arc<Self> {
        Arc::new(Self { store, faults })
    }
}

/// Takes the calls of [`RunLog`] that give a result and are only passed on: makes the trait with the hooks, and a store
/// that calls them.
macro_rules! hooks {
    ($($call:ident = fn $name:ident($($value:ident: $kind:ty),*) -> $result:ty;)+) => {
        /// What becomes of the calls to a store. By itself each is what the store does.
        pub(crate) trait Faults: Send + Sync + 'static {
            /// Asked before every call but `commit`, which then fails with the error.
            fn before(&self, _: StoreCall<'_>) -> Result<(), StorageError> {
                Ok(())
            }

            /// What becomes of a group of batches. As many results as there are batches.
            fn commit(&self, store: &dyn Storage, batches: &[Batch]) -> Vec<Result<(), StorageError>> {
                store.commit(batches)
            }

            /// Where it is, a thread writes what comes together.
            fn is_durable(&self, store: &dyn Storage) -> bool {
                store.is_durable()
            }

            $(fn $name(&self, store: &dyn Storage, $($value: $kind),*) -> Result<$result, StorageError> {
                store.$name($($value),*)
            })+
        }

        /// A call to a store.
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum StoreCall<'a> {
            $($call,)+
            /// Of a small table.
            Select(&'a RowQuery),
        }

        impl<F: Faults> RunLog for Faulty<F> {
            fn commit(&self, batches: &[Batch]) -> Vec<Result<(), StorageError>> {
                self.faults.commit(&*self.store, batches)
            }

            $(fn $name(&self, $($value: $kind),*) -> Result<$result, StorageError> {
                self.faults.before(StoreCall::$call)?;
                self.faults.$name(&*self.store, $($value),*)
            })+

            fn is_durable(&self) -> bool {
                self.faults.is_durable(&*self.store)
            }

            fn is_shared(&self) -> bool {
                self.store.is_shared()
            }
        }
    };
}

hooks! {
    Run = fn run(key: &RunKey) -> Option<RunRow>;
    Entries = fn entries(key: &RunKey, from: u64) -> Vec<Entry>;
    Log = fn log(key: &RunKey) -> Option<(RunRow, Vec<Entry>)>;
    Runs = fn runs(tenant: &TenantId, query: &RunQuery) -> Page<RunRow>;
    BeginLease = fn begin_lease(until: Timestamp) -> Lease;
    RenewLease = fn renew_lease(lease: Lease, until: Timestamp) -> ();
    EndLease = fn end_lease(lease: Lease) -> ();
    TakeOver = fn take_over(lease: Lease, now: Timestamp, after: Option<&RunKey>, limit: u32) -> Vec<RunKey>;
    News = fn news(lease: Lease) -> Vec<RunKey>;
    OpenRuns = fn open_runs(tenant: &TenantId) -> u64;
    Due = fn due(lease: Lease, now: Timestamp, limit: u32) -> Vec<TimerRow>;
    Forget = fn forget(tenant: &TenantId, status: &str, ended_before: Timestamp, limit: u32) -> u32;
    Original = fn original(tenant: &TenantId, trigger: &str, key: &[u8; 32], at: Timestamp) -> Option<RunId>;
    Key = fn key(name: &str) -> [u8; 32];
    Probe = fn probe() -> ();
    Checkpoint = fn checkpoint() -> ();
}

impl<F: Faults> Tables for Faulty<F> {
    fn select(
        &self,
        query: &RowQuery,
        each: &mut dyn FnMut(Vec<Cell>) -> Result<(), ForeignCell>,
    ) -> Result<(), StorageError> {
        self.faults.before(StoreCall::Select(query))?;
        self.store.select(query, each)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::journal::samples::{NOBODY, append, at, commit, entries, started, timer, trigger};
    use crate::journal::{MemoryStorage, TriggerRow, Write};

    /// Timers are lost, and an entry seems to be missing.
    struct Forgetful;

    impl Faults for Forgetful {
        fn commit(&self, store: &dyn Storage, batches: &[Batch]) -> Vec<Result<(), StorageError>> {
            let mut batches = batches.to_vec();
            let is_kept = |write: &Write| !matches!(write, Write::SetTimer(_));
            batches.iter_mut().for_each(|batch| batch.writes.retain(is_kept));
            store.commit(&batches)
        }

        fn entries(&self, store: &dyn Storage, key: &RunKey, from: u64) -> Result<Vec<Entry>, StorageError> {
            store.entries(key, from + 1)
        }
    }

    #[test]
    fn what_is_written_and_what_is_read_can_be_changed() {
        let store = Faulty::new(Arc::new(MemoryStorage::new()), Arc::new(Forgetful));
        let key = started(&*store, "acme", 0..3);
        commit(&*store, vec![timer(&key, 0, 5)]).unwrap();
        assert_eq!(store.due(NOBODY, at(9), 9).unwrap(), []);
        assert_eq!(store.entries(&key, 0).unwrap(), entries(1..3));
        assert_eq!(store.store.entries(&key, 0).unwrap(), entries(0..3));
    }

    /// Acknowledges the second group at once, and writes it with the third. Answers so many questions.
    struct Hasty {
        groups: AtomicU32,
        kept: Mutex<Vec<Batch>>,
        answers: AtomicU32,
    }

    impl Faults for Hasty {
        fn before(&self, _: StoreCall<'_>) -> Result<(), StorageError> {
            match self.answers.fetch_sub(1, Ordering::Relaxed) {
                0 => Err(StorageError::Io("no answer".to_owned())),
                _ => Ok(()),
            }
        }

        fn commit(&self, store: &dyn Storage, batches: &[Batch]) -> Vec<Result<(), StorageError>> {
            let mut kept = self.kept.lock().unwrap();
            if self.groups.fetch_add(1, Ordering::Relaxed) == 1 {
                kept.extend_from_slice(batches);
                return batches.iter().map(|_| Ok(())).collect();
            }
            store.commit(&std::mem::take(&mut *kept));
            store.commit(batches)
        }
    }

    #[test]
    fn a_group_can_be_acknowledged_too_soon_and_a_question_left_without_an_answer() {
        let (groups, kept, answers) = (AtomicU32::new(0), Mutex::default(), AtomicU32::new(3));
        let hasty = Hasty { groups, kept, answers };
        let store = Faulty::new(Arc::new(MemoryStorage::new()), Arc::new(hasty));
        let key = started(&*store, "acme", 0..1);
        commit(&*store, vec![append(&key, 1..2)]).unwrap();
        assert_eq!(store.entries(&key, 0).unwrap(), entries(0..1));
        commit(&*store, vec![Write::put(trigger("orders-in", "token-1"))]).unwrap();
        assert_eq!(store.entries(&key, 0).unwrap(), entries(0..2));
        let store: &dyn Storage = &*store;
        assert_eq!(store.list::<TriggerRow>().unwrap().len(), 1);
        assert!(matches!(store.list::<TriggerRow>(), Err(StorageError::Io(_))));
    }
}
