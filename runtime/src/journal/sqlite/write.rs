//! Batches into the file: one transaction for as many as come together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::read;
use crate::id::{RunId, TenantId, mint_key};
use crate::journal::StorageError;
use crate::journal::record::{
    AuditRow, Batch, Entry, FlowRow, GRANTS, Lease, OriginalRow, Phase, PluginRow, Role, RunKey, RunRow,
    ScheduleRow, SubscriptionRow, TimerRow, TokenRow, TriggerRow, VaultRow, Write,
};

/// Gives back to the disk, once, so many of the pages that are free.
const FREE_PAGES: &str = "PRAGMA incremental_vacuum(2000)";

/// The one connection that writes.
pub(super) struct Writer {
    connection: Connection,
    open_runs: OpenRuns,
}

/// Why a batch was not applied.
enum Refusal {
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
    fn conflict(why: String) -> Self {
        Self::Batch(StorageError::Conflict(why))
    }
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
        let mut change = Change::default();
        for batch in batches {
            apply(&transaction, batch, &mut change)?;
        }
        finish(transaction, change, &self.open_runs)?;
        Ok(())
    }

    fn apart(&mut self, batches: &[Batch]) -> rusqlite::Result<Vec<Result<(), StorageError>>> {
        let mut transaction = begin(&mut self.connection)?;
        let mut change = Change::default();
        let mut results = Vec::with_capacity(batches.len());
        for batch in batches {
            let savepoint = transaction.savepoint()?;
            let mut own = change.clone();
            match apply(&savepoint, batch, &mut own) {
                Ok(()) => {
                    savepoint.commit()?;
                    change = own;
                    results.push(Ok(()));
                }
                // Dropping the savepoint takes back what the batch had done.
                Err(Refusal::Batch(error)) => results.push(Err(error)),
                Err(Refusal::Store(error)) => return Err(error),
            }
        }
        finish(transaction, change, &self.open_runs)?;
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

    /// False: it has ended.
    pub fn renew_lease(&mut self, lease: Lease, until: Timestamp) -> rusqlite::Result<bool> {
        let renew = "UPDATE leases SET until = ?2 WHERE lease = ?1";
        Ok(self.connection.execute(renew, params![lease.0 as i64, until.as_millisecond()])? > 0)
    }

    pub fn end_lease(&mut self, lease: Lease) -> rusqlite::Result<()> {
        self.connection.execute("DELETE FROM leases WHERE lease = ?1", [lease.0 as i64]).map(drop)
    }

    /// None: its own lease has ended.
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

fn finish(transaction: Transaction<'_>, change: Change<'_>, open_runs: &OpenRuns) -> rusqlite::Result<()> {
    change.store(&transaction)?;
    transaction.commit()?;
    open_runs.apply(&change);
    Ok(())
}

/// How many runs of each tenant are not over. Kept beside the rows, so that neither a start nor a question counts.
#[derive(Clone, Default)]
pub(super) struct OpenRuns(Arc<Mutex<HashMap<TenantId, u64>>>);

impl OpenRuns {
    pub fn of(&self, tenant: &TenantId) -> u64 {
        self.lock().get(tenant).copied().unwrap_or(0)
    }

    fn load(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare("SELECT tenant, open_runs FROM tenants")?;
        let mut rows = statement.query([])?;
        let mut counts = self.lock();
        while let Some(row) = rows.next()? {
            let tenant = TenantId::from(row.get_ref(0)?.as_str()?);
            let open: i64 = row.get(1)?;
            counts.insert(tenant, open.max(0) as u64);
        }
        Ok(())
    }

    fn apply(&self, change: &Change<'_>) {
        let mut counts = self.lock();
        for (tenant, by) in &change.open_runs {
            let count = counts.entry((*tenant).clone()).or_default();
            *count = count.saturating_add_signed(*by);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one transaction does to the counts, and the lease that it has found alive.
#[derive(Clone, Default)]
struct Change<'a> {
    open_runs: HashMap<&'a TenantId, i64>,
    lease: Option<Lease>,
}

impl<'a> Change<'a> {
    fn add(&mut self, tenant: &'a TenantId, by: i64) {
        *self.open_runs.entry(tenant).or_default() += by;
    }

    fn store(&self, connection: &Connection) -> rusqlite::Result<()> {
        for (tenant, by) in self.open_runs.iter().filter(|(_, by)| **by != 0) {
            connection
                .prepare_cached(
                    "INSERT INTO tenants (tenant, open_runs) VALUES (?1, ?2)
                     ON CONFLICT (tenant) DO UPDATE SET open_runs = open_runs + ?2",
                )?
                .execute(params![tenant.as_str(), by])?;
        }
        Ok(())
    }
}

fn apply<'a>(connection: &Connection, batch: &'a Batch, change: &mut Change<'a>) -> Result<(), Refusal> {
    if let Some(lease) = batch.lease
        && change.lease != Some(lease)
    {
        if !is_alive(connection, lease)? {
            return Err(Refusal::Batch(StorageError::Fenced));
        }
        change.lease = Some(lease);
    }
    for write in &batch.writes {
        match write {
            Write::CreateRun(row) => {
                create_run(connection, batch.lease, row)?;
                if row.phase != Phase::Ended {
                    change.add(&row.key.tenant, 1);
                }
            }
            Write::Append { key, entries } => append(connection, key, entries)?,
            Write::SetStatus { key, status, phase, ended_at } => {
                let ended_ms = ended_at.map(|at| at.as_millisecond());
                set_status(connection, batch.lease, key, (status, *phase, ended_ms))?;
                if *phase == Phase::Ended {
                    change.add(&key.tenant, -1);
                }
            }
            Write::SetTimer(row) => set_timer(connection, row)?,
            Write::ClearTimer { key, timer } => clear_timer(connection, key, *timer)?,
            Write::ClearTimers { key } => clear_timers(connection, key)?,
            Write::PutFlow(row) => put_flow(connection, row)?,
            Write::RemoveFlow { tenant, namespace, name } => {
                remove_flow(connection, tenant, namespace, name)?;
            }
            Write::PutTrigger(row) => put_trigger(connection, row)?,
            Write::RemoveTrigger { tenant, namespace, name } => {
                remove_trigger(connection, tenant, namespace, name)?;
            }
            Write::PutPlugin(row) => put_plugin(connection, row)?,
            Write::Remember { row, at } => remember(connection, row, *at)?,
            Write::PutVault(row) => put_vault(connection, row)?,
            Write::RemoveVault { tenant, kind, name } => {
                connection
                    .prepare_cached("DELETE FROM vault WHERE tenant = ?1 AND kind = ?2 AND name = ?3")?
                    .execute(params![tenant.as_str(), kind.as_str(), name])?;
            }
            Write::PutToken(row) => put_token(connection, row)?,
            Write::RemoveToken { tenant, name } => {
                connection
                    .prepare_cached("DELETE FROM tokens WHERE tenant = ?1 AND name = ?2")?
                    .execute(params![tenant.as_ref().map_or("", TenantId::as_str), name])?;
            }
            Write::PutAudit { row, forget_before } => put_audit(connection, row, *forget_before)?,
            Write::EndAudit { tenant, id, target, status, detail } => {
                let end =
                    "UPDATE audit SET target = ?3, status = ?4, detail = ?5 WHERE tenant = ?1 AND id = ?2";
                connection.prepare_cached(end)?.execute(params![
                    tenant.as_str(),
                    id,
                    target,
                    status,
                    detail
                ])?;
            }
            Write::PutSubscription(row) => put_subscription(connection, row)?,
            Write::RemoveSubscription { tenant, id, revision } => {
                remove_subscription(connection, tenant, id, *revision)?;
            }
            Write::PutSchedule(row) => put_schedule(connection, row)?,
            Write::ScheduleNext { tenant, namespace, name, run, due } => {
                let next = "UPDATE schedules SET due = ?5, run = NULL, revision = revision + 1
                     WHERE tenant = ?1 AND namespace = ?2 AND name = ?3 AND run = ?4";
                let row = params![tenant.as_str(), namespace, name, run.as_bytes(), due.as_millisecond()];
                connection.prepare_cached(next)?.execute(row)?;
            }
            Write::RemoveSchedule { tenant, namespace, name } => {
                connection
                    .prepare_cached(
                        "DELETE FROM schedules WHERE tenant = ?1 AND namespace = ?2 AND name = ?3",
                    )?
                    .execute(params![tenant.as_str(), namespace, name])?;
            }
        }
    }
    Ok(())
}

fn create_run(connection: &Connection, lease: Option<Lease>, row: &RunRow) -> Result<(), Refusal> {
    let owner = lease.filter(|_| row.phase == Phase::Active);
    let created = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO runs (tenant, run, namespace, name, version, digest, started_by, status, phase,
             started_at, ended_at, owner) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(params![
            row.key.tenant.as_str(),
            row.key.run.as_bytes(),
            row.flow.namespace,
            row.flow.name,
            row.flow.version,
            row.flow.digest,
            row.trigger,
            row.status,
            row.phase.number(),
            row.started_at.as_millisecond(),
            row.ended_at.map(|at| at.as_millisecond()),
            owner.map(|owner| owner.0 as i64),
        ])?;
    match created {
        0 => Err(Refusal::conflict(row.key.exists())),
        _ => Ok(()),
    }
}

/// The ordinal is looked up from what must stand before it, the entry before or the run. Where that is missing it is
/// NULL, which the column refuses; where it is taken, the key refuses it. Either way the row is left out.
const APPEND_FIRST: &str = "INSERT OR IGNORE INTO entries (tenant, run, seq, at, body)
     VALUES (?1, ?2, (SELECT ?3 FROM runs WHERE tenant = ?1 AND run = ?2), ?4, ?5)";
const APPEND_NEXT: &str = "INSERT OR IGNORE INTO entries (tenant, run, seq, at, body)
     VALUES (?1, ?2, (SELECT seq + 1 FROM entries WHERE tenant = ?1 AND run = ?2 AND seq = ?3 - 1), ?4, ?5)";

fn append(connection: &Connection, key: &RunKey, entries: &[Entry]) -> Result<(), Refusal> {
    for entry in entries {
        let statement = if entry.seq == 0 { APPEND_FIRST } else { APPEND_NEXT };
        let appended = connection.prepare_cached(statement)?.execute(params![
            key.tenant.as_str(),
            key.run.as_bytes(),
            entry.seq as i64,
            entry.at.as_millisecond(),
            entry.body,
        ])?;
        if appended == 0 {
            return Err(Refusal::conflict(key.not_next(entry.seq)));
        }
    }
    Ok(())
}

fn set_status(
    connection: &Connection,
    lease: Option<Lease>,
    key: &RunKey,
    (status, phase, ended_ms): (&str, Phase, Option<i64>),
) -> Result<(), Refusal> {
    let changed = connection
        .prepare_cached(
            "UPDATE runs SET status = ?3, phase = ?4, ended_at = ?5,
             owner = CASE ?4 WHEN 0 THEN coalesce(owner, ?6) END
             WHERE tenant = ?1 AND run = ?2 AND phase <> 2",
        )?
        .execute(params![
            key.tenant.as_str(),
            key.run.as_bytes(),
            status,
            phase.number(),
            ended_ms,
            lease.map(|lease| lease.0 as i64),
        ])?;
    match changed {
        0 => Err(Refusal::conflict(key.not_open())),
        _ => Ok(()),
    }
}

fn set_timer(connection: &Connection, row: &TimerRow) -> Result<(), Refusal> {
    connection
        .prepare_cached(
            "INSERT INTO timers (tenant, run, timer, due) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (tenant, run, timer) DO UPDATE SET due = excluded.due",
        )?
        .execute(params![
            row.key.tenant.as_str(),
            row.key.run.as_bytes(),
            row.timer,
            row.due.as_millisecond()
        ])?;
    Ok(())
}

fn clear_timer(connection: &Connection, key: &RunKey, timer: u32) -> Result<(), Refusal> {
    connection
        .prepare_cached("DELETE FROM timers WHERE tenant = ?1 AND run = ?2 AND timer = ?3")?
        .execute(params![key.tenant.as_str(), key.run.as_bytes(), timer])?;
    Ok(())
}

fn clear_timers(connection: &Connection, key: &RunKey) -> Result<(), Refusal> {
    connection
        .prepare_cached("DELETE FROM timers WHERE tenant = ?1 AND run = ?2")?
        .execute(params![key.tenant.as_str(), key.run.as_bytes()])?;
    Ok(())
}

fn put_flow(connection: &Connection, row: &FlowRow) -> Result<(), Refusal> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO flows (tenant, namespace, name, version, digest, source, installed_at, removed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            row.tenant.as_str(),
            row.id.namespace,
            row.id.name,
            row.id.version,
            row.id.digest,
            row.source,
            row.installed_at.as_millisecond(),
            row.removed,
        ])?;
    Ok(())
}

fn remove_flow(
    connection: &Connection,
    tenant: &TenantId,
    namespace: &str,
    name: &str,
) -> Result<(), Refusal> {
    connection
        .prepare_cached("UPDATE flows SET removed = 1 WHERE tenant = ?1 AND namespace = ?2 AND name = ?3")?
        .execute(params![tenant.as_str(), namespace, name])?;
    Ok(())
}

fn put_trigger(connection: &Connection, row: &TriggerRow) -> Result<(), Refusal> {
    connection
        .prepare_cached(
            "INSERT INTO triggers (tenant, namespace, name, source, token, enabled) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (tenant, namespace, name) DO UPDATE SET source = excluded.source, enabled = excluded.enabled",
        )?
        .execute(params![
            row.tenant.as_str(),
            row.namespace,
            row.name,
            row.source,
            row.token,
            row.enabled
        ])?;
    Ok(())
}

fn put_plugin(connection: &Connection, row: &PluginRow) -> Result<(), Refusal> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO plugins (tenant, name, version, wasm) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![row.tenant.as_str(), row.name, row.version, &row.wasm[..]])?;
    Ok(())
}

fn remember(connection: &Connection, row: &OriginalRow, at: Timestamp) -> Result<(), Refusal> {
    // Two for each that comes: there are never more than belong to the longest window.
    let tidy = "DELETE FROM originals WHERE rowid IN
         (SELECT rowid FROM originals WHERE until <= ?1 ORDER BY until LIMIT 2)";
    connection.prepare_cached(tidy)?.execute([at.as_millisecond()])?;
    let put = "INSERT INTO originals (tenant, trigger_name, key, run, until) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET run = ?4, until = ?5 WHERE until <= ?6";
    let changed = connection.prepare_cached(put)?.execute(params![
        row.tenant.as_str(),
        row.trigger,
        row.key,
        row.run.as_bytes(),
        row.until.as_millisecond(),
        at.as_millisecond(),
    ])?;
    if changed == 0 { Err(Refusal::conflict(row.is_there())) } else { Ok(()) }
}

fn put_vault(connection: &Connection, row: &VaultRow) -> Result<(), Refusal> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO vault (tenant, kind, name, sealed, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            row.tenant.as_str(),
            row.kind.as_str(),
            row.name,
            &row.sealed[..],
            row.updated_at.as_millisecond()
        ])?;
    Ok(())
}

fn put_token(connection: &Connection, row: &TokenRow) -> Result<(), Refusal> {
    let put = "INSERT OR IGNORE INTO tokens (tenant, name, digest, role, created_at, created_by, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let changed = connection.prepare_cached(put)?.execute(params![
        row.tenant.as_ref().map_or("", TenantId::as_str),
        row.name,
        row.digest,
        row.role.as_str(),
        row.created_at.as_millisecond(),
        row.created_by,
        row.expires_at.map(|at| at.as_millisecond()),
    ])?;
    if changed == 0 { Err(Refusal::conflict(row.is_there())) } else { Ok(()) }
}

fn put_audit(connection: &Connection, row: &AuditRow, forget_before: Timestamp) -> Result<(), Refusal> {
    // Two for each that comes, the oldest first, as the ids are in the order of time.
    let tidy = "DELETE FROM audit WHERE tenant = ?1 AND at < ?2 AND id IN
         (SELECT id FROM audit WHERE tenant = ?1 AND action <> ?3 ORDER BY id LIMIT 2)";
    let before = forget_before.as_millisecond();
    connection.prepare_cached(tidy)?.execute(params![row.tenant.as_str(), before, GRANTS])?;
    let put = "INSERT INTO audit (tenant, id, at, actor, role, origin, action, target, status, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    connection.prepare_cached(put)?.execute(params![
        row.tenant.as_str(),
        row.id,
        row.at.as_millisecond(),
        row.actor,
        row.role.map(Role::as_str),
        row.from,
        row.action,
        row.target,
        row.status,
        row.detail,
    ])?;
    Ok(())
}

fn remove_trigger(
    connection: &Connection,
    tenant: &TenantId,
    namespace: &str,
    name: &str,
) -> Result<(), Refusal> {
    connection
        .prepare_cached("DELETE FROM triggers WHERE tenant = ?1 AND namespace = ?2 AND name = ?3")?
        .execute(params![tenant.as_str(), namespace, name])?;
    Ok(())
}

/// Revision 0 is inserted where there is none; any other takes the place of the one before it.
fn put_subscription(connection: &Connection, row: &SubscriptionRow) -> Result<(), Refusal> {
    let put = if row.revision == 0 {
        "INSERT OR IGNORE INTO subscriptions (tenant, id, namespace, name, uses, config, url, phase, state, attempts,
         due, problem, revision, doubtful)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)"
    } else {
        "UPDATE subscriptions SET namespace = ?3, name = ?4, uses = ?5, config = ?6, url = ?7, phase = ?8, state = ?9,
         attempts = ?10, due = ?11, problem = ?12, revision = ?13, doubtful = ?14
         WHERE tenant = ?1 AND id = ?2 AND revision = ?13 - 1"
    };
    let changed = connection.prepare_cached(put)?.execute(params![
        row.tenant.as_str(),
        row.id,
        row.namespace,
        row.name,
        row.uses,
        row.config,
        row.url,
        row.phase.number(),
        row.state.as_deref(),
        row.attempts,
        row.due.map(|due| due.as_millisecond()),
        row.problem,
        row.revision,
        row.doubtful,
    ])?;
    if changed == 0 { Err(Refusal::conflict(row.not_next())) } else { Ok(()) }
}

fn remove_subscription(
    connection: &Connection,
    tenant: &TenantId,
    id: &str,
    revision: u32,
) -> Result<(), Refusal> {
    let removed = connection
        .prepare_cached("DELETE FROM subscriptions WHERE tenant = ?1 AND id = ?2 AND revision = ?3")?
        .execute(params![tenant.as_str(), id, revision])?;
    if removed == 0 { Err(Refusal::conflict(SubscriptionRow::not_there(id, revision))) } else { Ok(()) }
}

/// As [`put_subscription`].
fn put_schedule(connection: &Connection, row: &ScheduleRow) -> Result<(), Refusal> {
    let put = if row.revision == 0 {
        "INSERT OR IGNORE INTO schedules (tenant, namespace, name, schedule, due, run, revision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
    } else {
        "UPDATE schedules SET schedule = ?4, due = ?5, run = ?6, revision = ?7
         WHERE tenant = ?1 AND namespace = ?2 AND name = ?3 AND revision = ?7 - 1"
    };
    let changed = connection.prepare_cached(put)?.execute(params![
        row.tenant.as_str(),
        row.namespace,
        row.name,
        row.schedule,
        row.due.map(|due| due.as_millisecond()),
        row.run.as_ref().map(RunId::as_bytes),
        row.revision,
    ])?;
    if changed == 0 { Err(Refusal::conflict(row.not_next())) } else { Ok(()) }
}
