//! The durable truth: runs, their entries in order, due timers, and the flows and triggers that were deployed.
//!
//! Nothing is acknowledged and no outside effect is begun before [`Journal::commit`] has returned. Everything that is
//! journalled here is text and numbers to this module: what an entry means, only the engine and `flow` know.
//! A store is one implementation of [`Storage`]: [`sqlite`] on disk, [`memory`] for flows that are not durable; the
//! tests in `contract` run on each. [`lock`] keeps a second host away from the same data.

#[cfg(test)]
mod contract;
mod group;
mod lock;
mod memory;
mod page;
mod record;
#[cfg(test)]
mod rows;
mod sqlite;
mod storage;

#[cfg(test)]
pub(crate) use group::{Group, Writer};
pub(crate) use group::{GroupSettings, Journal};
pub(crate) use lock::DataLock;
pub(crate) use memory::MemoryStorage;
#[cfg(test)]
pub(crate) use record::Page;
pub(crate) use record::{
    AuditQuery, AuditRow, Batch, Entry, FlowRow, GRANTS, Lease, OriginalRow, Phase, PluginRow, RunKey,
    RunQuery, RunRow, ScheduleRow, SubscriptionPhase, SubscriptionRow, TimerRow, TokenRow, TriggerRow,
    VaultRow, Write,
};
pub use record::{Role, VaultKind};
pub(crate) use sqlite::SqliteStorage;
pub(crate) use storage::{Storage, StorageError};
