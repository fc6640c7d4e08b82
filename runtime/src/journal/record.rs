//! What a run is in the journal, and the writes that change it. Plain data: a store adds nothing of its own.

use jiff::Timestamp;

use super::row::{Change, Table};
use crate::id::{FlowId, RunId, TenantId};

/// Names one run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RunKey {
    pub tenant: TenantId,
    pub run: RunId,
}

impl RunKey {
    /// Why a run cannot be created.
    pub(super) fn exists(&self) -> String {
        format!("run {} exists", self.run)
    }

    /// Why an entry cannot be appended.
    pub(super) fn not_next(&self, seq: u64) -> String {
        format!("entry {seq} is not the next one of run {}", self.run)
    }

    /// Why a run's status cannot be set.
    pub(super) fn not_open(&self) -> String {
        format!("run {} is over or unknown", self.run)
    }
}

/// One life of one host in a store: the fencing token. Whoever comes later has a greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Lease(pub u64);

/// What happened to a run, as journalled. `seq` is dense from 0.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub seq: u64,
    pub at: Timestamp,
    /// JSON text.
    pub body: String,
}

/// The head of a run: what lists show and queries ask for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RunRow {
    pub key: RunKey,
    pub flow: FlowId,
    /// `namespace/name` of the trigger that started it.
    pub trigger: Option<String>,
    /// Spelt as the REST API spells it.
    pub status: String,
    pub phase: Phase,
    /// Who is at work on it. Kept by the store: what is written here is not looked at.
    pub owner: Option<Lease>,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// What a run needs from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A host is at work on it, the one whose lease is its owner; another one continues it when that lease has ended.
    Active,
    /// It waits for a timer or a callback; or it has ended, and waits to undo what its steps left in the world.
    Parked,
    /// It has ended and nothing is left to do; it has no timers and never changes again.
    Ended,
}

/// A due time of a run. `timer` is the run's own ordinal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TimerRow {
    pub key: RunKey,
    pub timer: u32,
    pub due: Timestamp,
}

/// The run that an event began, while another one with the same key begins nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OriginalRow {
    pub tenant: TenantId,
    /// `namespace/name` of the trigger.
    pub trigger: String,
    /// The digest of the event's key.
    pub key: [u8; 32],
    pub run: RunId,
    /// When it begins one again.
    pub until: Timestamp,
}

impl OriginalRow {
    /// Why it cannot be put.
    pub(super) fn is_there(&self) -> String {
        format!("an event of {} with the same key has begun a run", self.trigger)
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Write {
    /// A new run. Fails with `Conflict` where the key exists. One that is at work is owned by the batch's lease.
    CreateRun(RunRow),
    /// Entries to the end of a run's log. Fails with `Conflict` unless the first `seq` is the next one: a second
    /// writer of the same run is found here.
    Append { key: RunKey, entries: Vec<Entry> },
    /// A run's new status. Fails with `Conflict` where the run is unknown or has ended. A run that is at work keeps its
    /// owner, or is owned by the batch's lease from now on; any other has no owner.
    SetStatus { key: RunKey, status: String, phase: Phase, ended_at: Option<Timestamp> },
    /// Sets or moves a timer.
    SetTimer(TimerRow),
    /// Removes a timer; nothing where there is none.
    ClearTimer { key: RunKey, timer: u32 },
    /// Removes every timer of a run.
    ClearTimers { key: RunKey },
    /// Inserts, by tenant, trigger and key, or replaces one whose time was over `at` this moment. Fails with `Conflict` where
    /// there is another. Forgets some of those whose time was over.
    Remember { row: OriginalRow, at: Timestamp },
    /// Changes a small table. Its constructors are [`Write::put`], [`Write::remove`] and those of the rows.
    Table(&'static Table, Change),
}

/// Changes that are applied together or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Batch {
    /// Refused with `Fenced` when this one has ended. None for what no other host could be at work on.
    pub lease: Option<Lease>,
    pub writes: Vec<Write>,
}

impl Batch {
    /// Changes that need no lease.
    pub fn of(writes: Vec<Write>) -> Self {
        Self { lease: None, writes }
    }

    /// Whose run it is about, where it is about one.
    pub(super) fn tenant(&self) -> Option<&TenantId> {
        self.writes.iter().find_map(|write| match write {
            Write::CreateRun(row) => Some(&row.key.tenant),
            Write::Append { key, .. }
            | Write::SetStatus { key, .. }
            | Write::ClearTimer { key, .. }
            | Write::ClearTimers { key } => Some(&key.tenant),
            Write::SetTimer(row) => Some(&row.key.tenant),
            Write::Remember { row, .. } => Some(&row.tenant),
            Write::Table(..) => None,
        })
    }
}
