//! The durable truth: runs, their entries in order, due timers, and what was deployed.
//!
//! Nothing is acknowledged and no outside effect is begun before [`Journal::commit`] has returned. Everything that is
//! journalled here is text and numbers to this module: what an entry means, only the engine and `flow` know.
//!
//! A store has two parts. [`RunLog`] is written by hand for each: [`sqlite`] on disk, [`memory`] for flows that are not
//! durable. The small tables in [`tables`] are described once, and each store keeps what is described; [`row`] says how.
//! The tests in `contract` run on each store. [`lock`] keeps a second host away from the same data.

#[cfg(test)]
mod contract;
#[cfg(test)]
mod faulty;
mod front;
mod group;
mod lock;
mod memory;
mod page;
mod record;
mod row;
mod run_log;
#[cfg(test)]
mod samples;
mod sqlite;
mod storage;
mod tables;

#[cfg(test)]
pub(crate) use faulty::{Faults, Faulty, StoreCall};
pub(crate) use front::Journal;
pub(crate) use group::GroupSettings;
#[cfg(test)]
pub(crate) use group::{Group, Writer};
pub(crate) use lock::DataLock;
pub(crate) use memory::MemoryStorage;
pub(crate) use page::{Page, RunQuery};
pub(crate) use record::{Batch, Entry, Lease, OriginalRow, Phase, RunKey, RunRow, TimerRow, Write};
#[cfg(test)]
pub(crate) use row::{Change, Row};
#[cfg(test)]
pub(crate) use run_log::RunLog;
pub(crate) use sqlite::SqliteStorage;
pub(crate) use storage::{Storage, StorageError};
pub(crate) use tables::*;
pub use tables::{Role, VaultKind};
