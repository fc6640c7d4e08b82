//! What a store must do. Blocking calls over plain data; [`Journal`](super::Journal) keeps them off the async threads.

use jiff::Timestamp;

use super::record::{
    AuditQuery, AuditRow, Batch, Entry, FlowRow, Lease, Page, PluginRow, RunKey, RunQuery, RunRow,
    ScheduleRow, SubscriptionRow, TimerRow, TokenRow, TriggerRow, VaultRow,
};
use crate::id::{FlowId, RunId, TenantId};

/// Keeps the journal.
///
/// Callers may rely on this:
/// - A batch is applied whole or not at all, and is durable when `commit` has returned `Ok` for it.
/// - A batch that conflicts or is fenced fails alone; the others of the same call are applied.
/// - When the store itself fails (disk full, I/O error), every batch of the call fails and none is applied.
/// - Reads see every batch that was committed before they began.
/// - A run at work has one owner, a lease. It loses it only when that lease has ended, and from then on nothing that is
///   written under that lease is applied.
pub(crate) trait Storage: Send + Sync + 'static {
    /// Applies the batches in order, in one transaction with one sync. One result for each batch.
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

    /// Every flow text that is not removed, of all tenants, oldest first.
    fn flows(&self) -> Result<Vec<FlowRow>, StorageError>;

    /// One flow text, removed or not.
    fn flow(&self, tenant: &TenantId, id: &FlowId) -> Result<Option<FlowRow>, StorageError>;

    /// Every trigger, of all tenants.
    fn triggers(&self) -> Result<Vec<TriggerRow>, StorageError>;

    /// Every component that a tenant installed, in order of tenant, name and version.
    fn plugins(&self) -> Result<Vec<PluginRow>, StorageError>;

    /// The run that an event of this trigger with this key began, unless its time was over `at` this moment.
    fn original(
        &self,
        tenant: &TenantId,
        trigger: &str,
        key: &[u8; 32],
        at: Timestamp,
    ) -> Result<Option<RunId>, StorageError>;

    /// Every secret and connection, in order of tenant, kind and name.
    fn vault(&self) -> Result<Vec<VaultRow>, StorageError>;

    /// The token of the API with this digest.
    fn token(&self, digest: &[u8; 32]) -> Result<Option<TokenRow>, StorageError>;

    /// Every token of a tenant, or those of all tenants at once, in order of their names.
    fn tokens(&self, tenant: Option<&TenantId>) -> Result<Vec<TokenRow>, StorageError>;

    /// A page of a tenant's audit log.
    fn audit(&self, tenant: &TenantId, query: &AuditQuery) -> Result<Page<AuditRow>, StorageError>;

    /// Every subscription of a trigger, of all tenants, oldest first.
    fn subscriptions(&self) -> Result<Vec<SubscriptionRow>, StorageError>;

    /// Every schedule, of all tenants, in order of tenant, namespace and name.
    fn schedules(&self) -> Result<Vec<ScheduleRow>, StorageError>;

    /// Schedules with a due time, earliest first, at most `limit`.
    fn next_schedules(&self, limit: u32) -> Result<Vec<ScheduleRow>, StorageError>;

    /// The journal's own key of that name: minted when it is first asked for, and the same ever after.
    fn key(&self, name: &str) -> Result<[u8; 32], StorageError>;

    /// Whether a write would succeed now: readiness asks it.
    fn probe(&self) -> Result<(), StorageError>;

    /// Whether what is committed survives this process. A store for which it is false never blocks, so that
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

/// Why the store did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// The batch does not fit what is stored: a run that exists, an entry that is not the next one.
    #[error("journal conflict: {0}")]
    Conflict(String),
    /// Another host goes on with what this one had.
    #[error("this host's lease in the journal has ended: another host has taken over what it was at work on")]
    Fenced,
    /// The page that was asked for does not begin anywhere.
    #[error("`{0}` is not a cursor that a list gave: leave it out to begin with the newest")]
    Cursor(String),
    /// The disk is full; nothing was written.
    #[error("the journal's disk is full ({0}): free space, the host goes on by itself")]
    Full(String),
    /// The file is not a journal of ours, or it is damaged.
    #[error(
        "the journal {path} is damaged: {detail}. Stop the host, keep a copy of the file, and restore a backup or move the file away to start empty"
    )]
    Corrupt { path: String, detail: String },
    /// A later version of the host made the file.
    #[error(
        "the journal {path} has format {found}, this host knows up to {known}: run the version that wrote it, or a newer one"
    )]
    Newer { path: String, found: i32, known: i32 },
    /// An SQLite file that another program made.
    #[error("{path} belongs to another application, it is not a journal: name another file")]
    Foreign { path: String },
    /// There is nothing to read.
    #[error(
        "there is no journal at {path}: name the data folder of the host with --data, or its configuration with --config"
    )]
    Missing { path: String },
    /// The file or its folder may not be written.
    #[error("cannot write {path}: {reason}. Check who owns it and its mode, or name another place")]
    Unwritable { path: String, reason: String },
    /// Two hosts on the same data would each run every run.
    #[error(
        "another flowcell uses the data folder {folder} ({process}): stop it or name another folder with --data"
    )]
    InUse { folder: String, process: String },
    /// Anything else of the store.
    #[error("journal: {0}")]
    Io(String),
}
