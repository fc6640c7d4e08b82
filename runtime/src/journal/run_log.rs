//! The part of a store that is written by hand for each: what is on the path of every step, and what only that store can
//! say of itself. Blocking calls over plain data; [`Journal`](super::Journal) keeps them off the async threads. The other
//! part is [`Tables`](super::storage::Tables).

use jiff::Timestamp;

use super::page::{Page, RunQuery};
use super::record::{Batch, Entry, Lease, RunKey, RunRow, TimerRow};
use super::storage::StorageError;
use crate::id::{RunId, TenantId};

/// Keeps the runs: their entries, timers and leases, and what belongs to the journal itself.
///
/// Callers may rely on this:
/// - A batch is applied whole or not at all, and is durable when `commit` has returned `Ok` for it.
/// - A batch that conflicts or is fenced fails alone; the others of the same call are applied.
/// - When the store itself fails (disk full, I/O error), every batch of the call fails and none is applied.
/// - Reads see every batch that was committed before they began.
/// - A run at work has one owner, a lease. It loses it only when that lease has ended, and from then on nothing that is
///   written under that lease is applied.
pub(crate) trait RunLog: Send + Sync + 'static {
    /// Applies the batches in order, in one transaction with one sync. One result for each batch, which may change small
    /// tables as well.
    fn commit(&self, batches: &[Batch]) -> Vec<Result<(), StorageError>>;

    /// The head of a run.
    fn run(&self, key: &RunKey) -> Result<Option<RunRow>, StorageError>;

    /// The entries of a run from `from` on, in order.
    fn entries(&self, key: &RunKey, from: u64) -> Result<Vec<Entry>, StorageError>;

    /// The head of a run and all its entries, both of one moment.
    fn log(&self, key: &RunKey) -> Result<Option<(RunRow, Vec<Entry>)>, StorageError>;

    /// A page of runs of a tenant.
    fn runs(&self, tenant: &TenantId, query: &RunQuery) -> Result<Page<RunRow>, StorageError>;

    /// Begins one life of a host, whose time is over at `until` unless it is renewed. In a store that is not shared every
    /// earlier lease ends here: who had it is gone.
    fn begin_lease(&self, until: Timestamp) -> Result<Lease, StorageError>;

    /// Gives a lease more time. Fails with `Fenced` when it has ended.
    fn renew_lease(&self, lease: Lease, until: Timestamp) -> Result<(), StorageError>;

    /// Ends a lease before its time: others continue its runs at once.
    fn end_lease(&self, lease: Lease) -> Result<(), StorageError>;

    /// Ends every lease whose time is over, and makes `lease` the owner of runs at work whose own owner has ended.
    /// Returns these: in order of their keys, after `after`, at most `limit`. Fails with `Fenced` when `lease` itself
    /// has ended.
    fn take_over(
        &self,
        lease: Lease,
        now: Timestamp,
        after: Option<&RunKey>,
        limit: u32,
    ) -> Result<Vec<RunKey>, StorageError>;

    /// Runs of this owner to which others have appended since they were last told here.
    fn news(&self, lease: Lease) -> Result<Vec<RunKey>, StorageError>;

    /// How many runs of a tenant are not ended.
    fn open_runs(&self, tenant: &TenantId) -> Result<u64, StorageError>;

    /// Timers due at or before `now`, earliest first, at most `limit`; not those of runs that another lease owns. The end
    /// of time asks for the earliest of all.
    fn due(&self, lease: Lease, now: Timestamp, limit: u32) -> Result<Vec<TimerRow>, StorageError>;

    /// Forgets runs of [`Phase::Ended`](super::Phase) with this status that ended before this time, at most `limit`, those
    /// that ended first; how many these were. Room that becomes free is given back to the disk.
    fn forget(
        &self,
        tenant: &TenantId,
        status: &str,
        ended_before: Timestamp,
        limit: u32,
    ) -> Result<u32, StorageError>;

    /// The run that an event of this trigger with this key began, unless its time was over `at` this moment.
    fn original(
        &self,
        tenant: &TenantId,
        trigger: &str,
        key: &[u8; 32],
        at: Timestamp,
    ) -> Result<Option<RunId>, StorageError>;

    /// The journal's own key of that name: minted when it is first asked for, and the same ever after.
    fn key(&self, name: &str) -> Result<[u8; 32], StorageError>;

    /// Whether a write would succeed now: readiness asks it.
    fn probe(&self) -> Result<(), StorageError>;

    /// Whether what is committed survives this process. A store where it does not never blocks, so that
    /// [`Journal`](super::Journal) calls it on the spot.
    fn is_durable(&self) -> bool {
        true
    }

    /// Whether several hosts may have it open. Where they may not, a lease needs no renewal.
    fn is_shared(&self) -> bool {
        false
    }

    /// Tidies up before the store is left alone: a backup that copies the file then needs nothing beside it.
    fn checkpoint(&self) -> Result<(), StorageError> {
        Ok(())
    }
}
