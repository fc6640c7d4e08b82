//! The journal in one SQLite file: one connection that writes, a few that read beside it.
//!
//! `file` opens the file, and `schema` says what is in it. `writer` applies batches: `runs` has the statements for what is
//! on the path of every step, `tables` those for the small tables. `read` answers questions on the connections of
//! `readers`, and `fault` words what SQLite complains of. The file is in WAL mode with `synchronous=FULL`: when a
//! transaction has ended, it is on the disk.

mod fault;
mod file;
mod open_runs;
mod read;
mod readers;
mod runs;
mod schema;
mod tables;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::Connection;

use self::open_runs::OpenRuns;
use self::readers::Readers;
use self::writer::Writer;
use super::page::{Cursor, Page, RunQuery};
use super::record::{Batch, Entry, Lease, RunKey, RunRow, TimerRow};
use super::row::{Cell, ForeignCell, RowQuery};
use super::run_log::RunLog;
use super::storage::{StorageError, Tables};
use crate::id::{RunId, TenantId};

/// A write that went well this short a time ago answers for a probe: a crowd of probes must not cost a sync each.
const PROBE_IS_FRESH: Duration = Duration::from_secs(1);

/// Keeps the journal in a file.
pub(crate) struct SqliteStorage {
    path: PathBuf,
    writer: Mutex<Writer>,
    readers: Readers,
    open_runs: OpenRuns,
    last_success: Mutex<Option<Instant>>,
}

impl SqliteStorage {
    /// Opens the journal, and creates it with its folder where there is none. The time that takes does not grow with
    /// the journal: a damaged file is found here by its header, and otherwise when the damage is read.
    pub(crate) fn open(path: &Path) -> Result<Self, StorageError> {
        let connection = file::open(path)?;
        let fault = |error| fault::describe(path, &error);
        let open_runs = OpenRuns::default();
        let writer = Writer::new(connection, open_runs.clone()).map_err(fault)?;
        Ok(Self {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            readers: Readers::new(path),
            open_runs,
            last_success: Mutex::new(None),
        })
    }

    /// Copies the journal at `from`, which a host may have open, into the new file `to`: everything that was committed
    /// before this was called, and nothing else. Gives the bytes of the copy.
    pub(crate) fn copy(from: &Path, to: &Path) -> Result<u64, StorageError> {
        file::copy(from, to)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A panic in the middle of a transaction has rolled it back on its way out, so what is left is sound.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StorageError> {
        self.readers.with(ask).map_err(|error| fault::describe(&self.path, &error))
    }

    fn write<T>(&self, change: impl FnOnce(&mut Writer) -> rusqlite::Result<T>) -> Result<T, StorageError> {
        let result = change(&mut self.writer()).map_err(|error| fault::describe(&self.path, &error));
        *self.last_success() = result.is_ok().then(Instant::now);
        result
    }

    /// Makes a full disk of this many pages.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, pages: i64) {
        self.writer().limit_pages(pages);
    }

    fn last_success(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last_success.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunLog for SqliteStorage {
    fn commit(&self, batches: &[Batch]) -> Vec<Result<(), StorageError>> {
        match self.write(|writer| writer.commit(batches)) {
            Ok(results) => results,
            Err(error) => vec![Err(error); batches.len()],
        }
    }

    fn run(&self, key: &RunKey) -> Result<Option<RunRow>, StorageError> {
        self.read(|connection| read::run(connection, key))
    }

    fn entries(&self, key: &RunKey, from: u64) -> Result<Vec<Entry>, StorageError> {
        self.read(|connection| read::entries(connection, key, from))
    }

    fn log(&self, key: &RunKey) -> Result<Option<(RunRow, Vec<Entry>)>, StorageError> {
        self.read(|connection| read::log(connection, key))
    }

    fn runs(&self, tenant: &TenantId, query: &RunQuery) -> Result<Page<RunRow>, StorageError> {
        let before = query.before()?;
        let rows = self.read(|connection| read::runs(connection, tenant, query, before))?;
        Ok(Page::cut(rows, query.limit, Cursor::after))
    }

    fn begin_lease(&self, until: Timestamp) -> Result<Lease, StorageError> {
        self.write(|writer| writer.begin_lease(until))
    }

    fn renew_lease(&self, lease: Lease, until: Timestamp) -> Result<(), StorageError> {
        let renewed = self.write(|writer| writer.renew_lease(lease, until))?;
        if renewed { Ok(()) } else { Err(StorageError::Fenced) }
    }

    fn end_lease(&self, lease: Lease) -> Result<(), StorageError> {
        self.write(|writer| writer.end_lease(lease))
    }

    fn take_over(
        &self,
        lease: Lease,
        now: Timestamp,
        after: Option<&RunKey>,
        limit: u32,
    ) -> Result<Vec<RunKey>, StorageError> {
        self.write(|writer| writer.take_over(lease, now, after, limit))?.ok_or(StorageError::Fenced)
    }

    /// Nobody else writes while this lease is alive.
    fn news(&self, _: Lease) -> Result<Vec<RunKey>, StorageError> {
        Ok(vec![])
    }

    fn open_runs(&self, tenant: &TenantId) -> Result<u64, StorageError> {
        Ok(self.open_runs.of(tenant))
    }

    /// Every run at work is this host's: it took all of them over when it began.
    fn due(&self, _: Lease, now: Timestamp, limit: u32) -> Result<Vec<TimerRow>, StorageError> {
        self.read(|connection| read::due(connection, now, limit))
    }

    fn forget(
        &self,
        tenant: &TenantId,
        status: &str,
        ended_before: Timestamp,
        limit: u32,
    ) -> Result<u32, StorageError> {
        self.write(|writer| writer.forget(tenant, status, ended_before, limit))
    }

    fn original(
        &self,
        tenant: &TenantId,
        trigger: &str,
        key: &[u8; 32],
        at: Timestamp,
    ) -> Result<Option<RunId>, StorageError> {
        self.read(|connection| read::original(connection, tenant, trigger, key, at))
    }

    fn key(&self, name: &str) -> Result<[u8; 32], StorageError> {
        self.write(|writer| writer.key(name))
    }

    fn probe(&self) -> Result<(), StorageError> {
        let last = *self.last_success();
        if last.is_some_and(|last| last.elapsed() < PROBE_IS_FRESH) {
            return Ok(());
        }
        self.write(Writer::probe)
    }

    fn checkpoint(&self) -> Result<(), StorageError> {
        self.write(|writer| writer.checkpoint())
    }
}

impl Tables for SqliteStorage {
    fn select(
        &self,
        query: &RowQuery,
        each: &mut dyn FnMut(Vec<Cell>) -> Result<(), ForeignCell>,
    ) -> Result<(), StorageError> {
        self.read(|connection| tables::select(connection, query, each))
    }
}

#[cfg(test)]
mod tests;
