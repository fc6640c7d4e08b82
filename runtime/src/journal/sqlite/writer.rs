//! The connection that writes: batches in one transaction for as many as come together, leases, and tidying up.

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::open_runs::{OpenRuns, Tally};
use super::{read, runs, tables};
use crate::id::{TenantId, mint_key};
use crate::journal::StorageError;
use crate::journal::record::{Batch, Lease, Phase, RunKey, Write};

/// Gives back to the disk, once, so many of the pages that are free.
const FREE_PAGES: &str = "PRAGMA incremental_vacuum(2000)";

/// The one connection that writes.
pub(super) struct Writer {
    connection: Connection,
    open_runs: OpenRuns,
}

impl Writer {
    /// Takes the connection and counts what is open, which `counts` shows from then on.
    pub fn new(connection: Connection, counts: OpenRuns) -> rusqlite::Result<Self> {
        counts.load(&connection)?;
        Ok(Self { connection, open_runs: counts })
    }

    /// Applies the batches; the error is the store's, and then none is applied.
    pub fn commit(&mut self, batches: &[Batch]) -> rusqlite::Result<Vec<Result<(), StorageError>>> {
        // A conflict is rare, and a savepoint for each batch costs a fifth of a commit's computation: nothing is spent
        // until there is one. Then the transaction is done again, with a way back from each batch.
        match self.together(batches) {
            Ok(()) => Ok(batches.iter().map(|_| Ok(())).collect()),
            Err(Refusal::Store(error)) => Err(error),
            Err(Refusal::Batch(error)) if batches.len() == 1 => Ok(vec![Err(error)]),
            Err(Refusal::Batch(_)) => self.apart(batches),
        }
    }

    fn together(&mut self, batches: &[Batch]) -> Result<(), Refusal> {
        let transaction = begin(&mut self.connection)?;
        let mut tally = Tally::default();
        for batch in batches {
            apply(&transaction, batch, &mut tally)?;
        }
        finish(transaction, tally, &self.open_runs)?;
        Ok(())
    }

    fn apart(&mut self, batches: &[Batch]) -> rusqlite::Result<Vec<Result<(), StorageError>>> {
        let mut transaction = begin(&mut self.connection)?;
        let mut tally = Tally::default();
        let mut results = Vec::with_capacity(batches.len());
        for batch in batches {
            let savepoint = transaction.savepoint()?;
            let mut own = tally.clone();
            match apply(&savepoint, batch, &mut own) {
                Ok(()) => {
                    savepoint.commit()?;
                    tally = own;
                    results.push(Ok(()));
                }
                // Dropping the savepoint takes back what the batch had done.
                Err(Refusal::Batch(error)) => results.push(Err(error)),
                Err(Refusal::Store(error)) => return Err(error),
            }
        }
        finish(transaction, tally, &self.open_runs)?;
        Ok(results)
    }

    /// The only lease from now on.
    pub fn begin_lease(&mut self, until: Timestamp) -> rusqlite::Result<Lease> {
        let transaction = begin(&mut self.connection)?;
        transaction.execute("DELETE FROM leases", [])?;
        transaction.execute("INSERT INTO leases (until) VALUES (?1)", [until.as_millisecond()])?;
        let lease = Lease(transaction.last_insert_rowid().max(0) as u64);
        transaction.commit()?;
        Ok(lease)
    }

    /// Returns false when it has ended.
    pub fn renew_lease(&mut self, lease: Lease, until: Timestamp) -> rusqlite::Result<bool> {
        let renew = "UPDATE leases SET until = ?2 WHERE lease = ?1";
        Ok(self.connection.execute(renew, params![lease.0 as i64, until.as_millisecond()])? > 0)
    }

    pub fn end_lease(&mut self, lease: Lease) -> rusqlite::Result<()> {
        self.connection.execute("DELETE FROM leases WHERE lease = ?1", [lease.0 as i64]).map(drop)
    }

    /// None when its own lease has ended.
    pub fn take_over(
        &mut self,
        lease: Lease,
        now: Timestamp,
        after: Option<&RunKey>,
        limit: u32,
    ) -> rusqlite::Result<Option<Vec<RunKey>>> {
        let transaction = begin(&mut self.connection)?;
        transaction.execute("DELETE FROM leases WHERE until <= ?1", [now.as_millisecond()])?;
        if !is_alive(&transaction, lease)? {
            transaction.commit()?;
            return Ok(None);
        }
        let keys = read::left(&transaction, after, limit)?;
        for key in &keys {
            let own = "UPDATE runs SET owner = ?3 WHERE tenant = ?1 AND run = ?2";
            let run = params![key.tenant.as_str(), key.run.as_bytes(), lease.0 as i64];
            transaction.prepare_cached(own)?.execute(run)?;
        }
        transaction.commit()?;
        Ok(Some(keys))
    }

    /// Removes runs that are over, and gives the room back.
    pub fn forget(
        &mut self,
        tenant: &TenantId,
        status: &str,
        ended_before: Timestamp,
        limit: u32,
    ) -> rusqlite::Result<u32> {
        let transaction = begin(&mut self.connection)?;
        let runs = read::ended(&transaction, tenant, status, ended_before, limit)?;
        for run in &runs {
            let run = params![tenant.as_str(), run.as_bytes()];
            for forget in [
                "DELETE FROM entries WHERE tenant = ?1 AND run = ?2",
                "DELETE FROM runs WHERE tenant = ?1 AND run = ?2",
            ] {
                transaction.prepare_cached(forget)?.execute(run)?;
            }
        }
        transaction.commit()?;
        // A part of the file at a time, that of before as well: nobody who commits waits for long.
        let mut vacuum = self.connection.prepare_cached(FREE_PAGES)?;
        let mut freed = vacuum.raw_query();
        while freed.next()?.is_some() {}
        Ok(u32::try_from(runs.len()).unwrap_or(u32::MAX))
    }

    /// The key of that name, which is there from now on.
    pub fn key(&mut self, name: &str) -> rusqlite::Result<[u8; 32]> {
        self.connection.execute(
            "INSERT INTO keys (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
            params![name, mint_key()],
        )?;
        self.connection.query_row("SELECT value FROM keys WHERE name = ?1", [name], |row| row.get(0))
    }

    /// Writes and removes two pages' worth, and waits for the disk.
    pub fn probe(&mut self) -> rusqlite::Result<()> {
        let transaction = begin(&mut self.connection)?;
        // No tenant is named like this, and no reader sees the row: it is gone in the same transaction.
        transaction.execute(
            "INSERT INTO entries (tenant, run, seq, at, body) VALUES ('', x'', 0, 0, hex(zeroblob(4096)))",
            [],
        )?;
        transaction.execute("DELETE FROM entries WHERE tenant = ''", [])?;
        transaction.commit()
    }

    /// Moves the write-ahead log into the file and empties it.
    pub fn checkpoint(&mut self) -> rusqlite::Result<()> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    #[cfg(test)]
    pub fn limit_pages(&self, pages: i64) {
        self.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    }

    #[cfg(test)]
    pub fn panic_in_a_transaction(&mut self) -> rusqlite::Result<()> {
        let transaction = begin(&mut self.connection)?;
        transaction.execute("DELETE FROM entries", [])?;
        panic!("on purpose");
    }
}

fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

fn is_alive(connection: &Connection, lease: Lease) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM leases WHERE lease = ?1")?.exists([lease.0 as i64])
}

fn finish(transaction: Transaction<'_>, tally: Tally<'_>, open_runs: &OpenRuns) -> rusqlite::Result<()> {
    tally.store(&transaction)?;
    transaction.commit()?;
    open_runs.apply(&tally);
    Ok(())
}

fn apply<'a>(connection: &Connection, batch: &'a Batch, tally: &mut Tally<'a>) -> Result<(), Refusal> {
    if let Some(lease) = batch.lease
        && tally.lease != Some(lease)
    {
        if !is_alive(connection, lease)? {
            return Err(Refusal::Batch(StorageError::Fenced));
        }
        tally.lease = Some(lease);
    }
    for write in &batch.writes {
        match write {
            Write::CreateRun(row) => {
                runs::create_run(connection, batch.lease, row)?;
                if row.phase != Phase::Ended {
                    tally.add(&row.key.tenant, 1);
                }
            }
            Write::Append { key, entries } => runs::append(connection, key, entries)?,
            Write::SetStatus { key, status, phase, ended_at } => {
                let ended_ms = ended_at.map(|at| at.as_millisecond());
                runs::set_status(connection, batch.lease, key, (status, *phase, ended_ms))?;
                if *phase == Phase::Ended {
                    tally.add(&key.tenant, -1);
                }
            }
            Write::SetTimer(row) => runs::set_timer(connection, row)?,
            Write::ClearTimer { key, timer } => runs::clear_timer(connection, key, *timer)?,
            Write::ClearTimers { key } => runs::clear_timers(connection, key)?,
            Write::Remember { row, at } => runs::remember(connection, row, *at)?,
            Write::Table(table, change) => tables::change(connection, table, change)?,
        }
    }
    Ok(())
}

/// Why a batch was not applied.
pub(super) enum Refusal {
    /// It does not fit what is stored, or may not be written any more.
    Batch(StorageError),
    /// The store failed, and with it the whole transaction.
    Store(rusqlite::Error),
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error)
    }
}

impl Refusal {
    pub fn conflict(why: String) -> Self {
        Self::Batch(StorageError::Conflict(why))
    }
}
