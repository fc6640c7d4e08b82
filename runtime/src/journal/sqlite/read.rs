//! Questions to the journal, on connections that can only read: they never wait for the writer, nor it for them.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};

use super::schema;
use crate::id::{FlowId, RunId, TenantId};
use crate::journal::page::Cursor;
use crate::journal::record::{
    AuditQuery, AuditRow, Entry, FlowRow, Lease, Page, Phase, PluginRow, Role, RunKey, RunQuery, RunRow,
    ScheduleRow, SubscriptionPhase, SubscriptionRow, TimerRow, TokenRow, TriggerRow, VaultKind, VaultRow,
};

/// The most reads at a time; one more waits.
const READERS: usize = 4;

/// Connections that wait for a question.
pub(super) struct Readers {
    path: PathBuf,
    pool: Mutex<Pool>,
    returned: Condvar,
}

struct Pool {
    idle: Vec<Connection>,
    in_use: usize,
}

impl Readers {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            pool: Mutex::new(Pool { idle: Vec::new(), in_use: 0 }),
            returned: Condvar::new(),
        }
    }

    pub fn with<T>(&self, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let lent = self.lend()?;
        ask(lent.connection.as_ref().expect("it is given back when `lent` is dropped"))
    }

    fn lend(&self) -> rusqlite::Result<Lent<'_>> {
        let mut pool = self
            .returned
            .wait_while(self.pool(), |pool| pool.in_use >= READERS)
            .unwrap_or_else(PoisonError::into_inner);
        let connection = match pool.idle.pop() {
            Some(connection) => connection,
            None => schema::open_reader(&self.path)?,
        };
        pool.in_use += 1;
        Ok(Lent { readers: self, connection: Some(connection) })
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that goes back to the pool, also when the question panics.
struct Lent<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.pool();
        pool.in_use -= 1;
        pool.idle.extend(self.connection.take());
        self.readers.returned.notify_one();
    }
}

const RUN: &str =
    "SELECT run, namespace, name, version, digest, started_by, status, phase, started_at, ended_at,
     owner FROM runs WHERE tenant = ?1 AND run = ?2";
/// Newest first: along the index `runs_by_start`.
const RUNS: &str =
    "SELECT run, namespace, name, version, digest, started_by, status, phase, started_at, ended_at,
     owner FROM runs WHERE tenant = ?1 AND started_at >= ?2 AND (started_at, run) < (?3, ?4)
       AND (?5 IS NULL OR namespace = ?5) AND (?6 IS NULL OR name = ?6) AND (?7 IS NULL OR status = ?7)
     ORDER BY started_at DESC, run DESC LIMIT ?8";
/// Without the hint, SQLite walks the table: it holds the same keys in the same order.
const LEFT: &str = "SELECT tenant, run FROM runs INDEXED BY runs_active
     WHERE phase = 0 AND (tenant, run) > (?1, ?2)
       AND (owner IS NULL OR owner NOT IN (SELECT lease FROM leases)) ORDER BY tenant, run LIMIT ?3";
/// Those that ended first.
const ENDED: &str = "SELECT run FROM runs INDEXED BY runs_ended
     WHERE tenant = ?1 AND phase = 2 AND status = ?2 AND ended_at < ?3 ORDER BY ended_at LIMIT ?4";
const DUE: &str = "SELECT tenant, run, timer, due FROM timers WHERE due <= ?1
     ORDER BY due, tenant, run, timer LIMIT ?2";

/// The questions over many rows, with the index that must answer each.
#[cfg(test)]
pub(super) const QUESTIONS_ON_INDEXES: [(&str, &str); 4] =
    [(RUNS, "runs_by_start"), (LEFT, "runs_active"), (DUE, "timers_by_due"), (ENDED, "runs_ended")];

const FLOW_COLUMNS: &str = "tenant, namespace, name, version, digest, source, installed_at, removed";

pub(super) fn run(connection: &Connection, key: &RunKey) -> rusqlite::Result<Option<RunRow>> {
    connection
        .prepare_cached(RUN)?
        .query_row(params![key.tenant.as_str(), key.run.as_bytes()], |row| run_row(row, &key.tenant))
        .optional()
}

pub(super) fn entries(connection: &Connection, key: &RunKey, from: u64) -> rusqlite::Result<Vec<Entry>> {
    let question =
        "SELECT seq, at, body FROM entries WHERE tenant = ?1 AND run = ?2 AND seq >= ?3 ORDER BY seq";
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let of_run = params![key.tenant.as_str(), key.run.as_bytes(), from];
    list(connection, question, of_run, |row| {
        Ok(Entry { seq: row.get::<_, i64>(0)? as u64, at: time(row, 1)?, body: row.get(2)? })
    })
}

/// One run more than the query's limit.
pub(super) fn runs(
    connection: &Connection,
    tenant: &TenantId,
    query: &RunQuery,
    before: Cursor,
) -> rusqlite::Result<Vec<RunRow>> {
    let (namespace, name) = query.flow_name().unzip();
    let page = params![
        tenant.as_str(),
        query.since_ms(),
        before.started_ms,
        before.run.as_bytes(),
        namespace,
        name,
        query.status,
        i64::from(query.limit) + 1,
    ];
    list(connection, RUNS, page, |row| run_row(row, tenant))
}

/// Runs at work whose owner has no lease any more. Under the writer's lock.
pub(super) fn left(
    connection: &Connection,
    after: Option<&RunKey>,
    limit: u32,
) -> rusqlite::Result<Vec<RunKey>> {
    let (tenant, run): (&str, &[u8]) = match after {
        Some(key) => (key.tenant.as_str(), key.run.as_bytes()),
        None => ("", &[]),
    };
    list(connection, LEFT, params![tenant, run, limit], run_key)
}

pub(super) fn log(connection: &Connection, key: &RunKey) -> rusqlite::Result<Option<(RunRow, Vec<Entry>)>> {
    // Both statements see what was committed when the first one began.
    let moment = connection.unchecked_transaction()?;
    match run(&moment, key)? {
        Some(row) => Ok(Some((row, entries(&moment, key, 0)?))),
        None => Ok(None),
    }
}

/// Runs that are over.
pub(super) fn ended(
    connection: &Connection,
    tenant: &TenantId,
    status: &str,
    before: Timestamp,
    limit: u32,
) -> rusqlite::Result<Vec<RunId>> {
    let wanted = params![tenant.as_str(), status, before.as_millisecond(), limit];
    list(connection, ENDED, wanted, |row| Ok(RunId::from_bytes(row.get(0)?)))
}

pub(super) fn due(connection: &Connection, now: Timestamp, limit: u32) -> rusqlite::Result<Vec<TimerRow>> {
    list(connection, DUE, params![now.as_millisecond(), limit], |row| {
        Ok(TimerRow { key: run_key(row)?, timer: row.get(2)?, due: time(row, 3)? })
    })
}

pub(super) fn flows(connection: &Connection) -> rusqlite::Result<Vec<FlowRow>> {
    let question = format!(
        "SELECT {FLOW_COLUMNS} FROM flows WHERE NOT removed
         ORDER BY installed_at, tenant, namespace, name, version, digest"
    );
    list(connection, &question, [], flow_row)
}

pub(super) fn flow(
    connection: &Connection,
    tenant: &TenantId,
    id: &FlowId,
) -> rusqlite::Result<Option<FlowRow>> {
    connection
        .prepare_cached(&format!(
            "SELECT {FLOW_COLUMNS} FROM flows
             WHERE tenant = ?1 AND namespace = ?2 AND name = ?3 AND version = ?4 AND digest = ?5"
        ))?
        .query_row(params![tenant.as_str(), id.namespace, id.name, id.version, id.digest], flow_row)
        .optional()
}

pub(super) fn triggers(connection: &Connection) -> rusqlite::Result<Vec<TriggerRow>> {
    let question = "SELECT tenant, namespace, name, source, token, enabled FROM triggers
         ORDER BY tenant, namespace, name";
    list(connection, question, [], |row| {
        Ok(TriggerRow {
            tenant: tenant(row, 0)?,
            namespace: row.get(1)?,
            name: row.get(2)?,
            source: row.get(3)?,
            token: row.get(4)?,
            enabled: row.get(5)?,
        })
    })
}

pub(super) fn plugins(connection: &Connection) -> rusqlite::Result<Vec<PluginRow>> {
    let question = "SELECT tenant, name, version, wasm FROM plugins ORDER BY tenant, name, version";
    list(connection, question, [], |row| {
        Ok(PluginRow {
            tenant: tenant(row, 0)?,
            name: row.get(1)?,
            version: row.get(2)?,
            wasm: row.get::<_, Vec<u8>>(3)?.into(),
        })
    })
}

pub(super) fn original(
    connection: &Connection,
    of: &TenantId,
    trigger: &str,
    key: &[u8; 32],
    at: Timestamp,
) -> rusqlite::Result<Option<RunId>> {
    let question =
        "SELECT run FROM originals WHERE tenant = ?1 AND trigger_name = ?2 AND key = ?3 AND until > ?4";
    connection
        .prepare_cached(question)?
        .query_row(params![of.as_str(), trigger, key, at.as_millisecond()], |row| {
            Ok(RunId::from_bytes(row.get(0)?))
        })
        .optional()
}

pub(super) fn vault(connection: &Connection) -> rusqlite::Result<Vec<VaultRow>> {
    let question =
        "SELECT tenant, kind, name, sealed, updated_at FROM vault ORDER BY tenant, kind DESC, name";
    list(connection, question, [], |row| {
        let kind: String = row.get(1)?;
        let kind = VaultKind::ALL.into_iter().find(|known| known.as_str() == kind);
        Ok(VaultRow {
            tenant: tenant(row, 0)?,
            kind: kind.ok_or(rusqlite::Error::InvalidColumnType(1, "kind".into(), Type::Text))?,
            name: row.get(2)?,
            sealed: row.get::<_, Vec<u8>>(3)?.into(),
            updated_at: time(row, 4)?,
        })
    })
}

const TOKEN_COLUMNS: &str = "tenant, name, digest, role, created_at, created_by, expires_at";

pub(super) fn token(connection: &Connection, digest: &[u8; 32]) -> rusqlite::Result<Option<TokenRow>> {
    let question = format!("SELECT {TOKEN_COLUMNS} FROM tokens WHERE digest = ?1");
    connection.prepare_cached(&question)?.query_row([digest], token_row).optional()
}

pub(super) fn tokens(connection: &Connection, of: Option<&TenantId>) -> rusqlite::Result<Vec<TokenRow>> {
    let question = format!("SELECT {TOKEN_COLUMNS} FROM tokens WHERE tenant = ?1 ORDER BY name");
    list(connection, &question, [of.map_or("", TenantId::as_str)], token_row)
}

fn token_row(row: &Row<'_>) -> rusqlite::Result<TokenRow> {
    Ok(TokenRow {
        tenant: Some(tenant(row, 0)?).filter(|tenant| !tenant.as_str().is_empty()),
        name: row.get(1)?,
        digest: row.get(2)?,
        role: role(row, 3)?.ok_or(rusqlite::Error::InvalidColumnType(3, "role".into(), Type::Null))?,
        created_at: time(row, 4)?,
        created_by: row.get(5)?,
        expires_at: optional_time(row, 6)?,
    })
}

fn role(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Role>> {
    let text: Option<String> = row.get(column)?;
    let known = |text: String| {
        Role::parse(&text).ok_or(rusqlite::Error::InvalidColumnType(column, "role".into(), Type::Text))
    };
    text.map(known).transpose()
}

/// Only what is asked for stands in it, and the index that answers it: left to itself, SQLite walks the whole log.
pub(super) fn audit_question(query: &AuditQuery) -> String {
    let hint = match query {
        AuditQuery { actor: Some(_), .. } => "INDEXED BY audit_by_actor",
        AuditQuery { action: Some(_), .. } => "INDEXED BY audit_by_action",
        AuditQuery { denied: true, .. } => "INDEXED BY audit_denied",
        _ => "",
    };
    let parts = [
        (query.cursor.is_some(), " AND id < ?2"),
        (query.since.is_some(), " AND at >= ?3"),
        (query.actor.is_some(), " AND actor = ?4"),
        (query.action.is_some(), " AND action = ?5"),
        (query.denied, " AND status IN (401, 403)"),
    ];
    let parts: String = parts.iter().filter(|(is_asked, _)| *is_asked).map(|(_, part)| *part).collect();
    // Every value is named, asked for or not.
    format!(
        "SELECT tenant, id, at, actor, role, origin, action, target, status, detail FROM audit {hint}
         WHERE tenant = ?1 AND ?2 IS ?2 AND ?3 IS ?3 AND ?4 IS ?4 AND ?5 IS ?5{parts} ORDER BY id DESC LIMIT ?6"
    )
}

pub(super) fn audit(
    connection: &Connection,
    of: &TenantId,
    query: &AuditQuery,
) -> rusqlite::Result<Page<AuditRow>> {
    let since = query.since.map(|since| since.as_millisecond());
    let limit = i64::from(query.limit) + 1;
    let values = params![of.as_str(), query.cursor, since, query.actor, query.action, limit];
    let items = list(connection, &audit_question(query), values, |row| {
        Ok(AuditRow {
            tenant: tenant(row, 0)?,
            id: row.get(1)?,
            at: time(row, 2)?,
            actor: row.get(3)?,
            role: role(row, 4)?,
            from: row.get(5)?,
            action: row.get(6)?,
            target: row.get(7)?,
            status: row.get(8)?,
            detail: row.get(9)?,
        })
    })?;
    Ok(Page::cut_audit(items, query.limit))
}

pub(super) fn subscriptions(connection: &Connection) -> rusqlite::Result<Vec<SubscriptionRow>> {
    let question =
        "SELECT tenant, id, namespace, name, uses, config, url, phase, state, attempts, due, problem,
         revision, doubtful FROM subscriptions ORDER BY id";
    list(connection, question, [], |row| {
        let phase: i64 = row.get(7)?;
        let phase = SubscriptionPhase::from_number(phase)
            .ok_or(rusqlite::Error::IntegralValueOutOfRange(7, phase))?;
        Ok(SubscriptionRow {
            tenant: tenant(row, 0)?,
            id: row.get(1)?,
            namespace: row.get(2)?,
            name: row.get(3)?,
            uses: row.get(4)?,
            config: row.get(5)?,
            url: row.get(6)?,
            phase,
            state: row.get::<_, Option<Vec<u8>>>(8)?.map(Into::into),
            attempts: row.get(9)?,
            due: optional_time(row, 10)?,
            problem: row.get(11)?,
            revision: row.get(12)?,
            doubtful: row.get(13)?,
        })
    })
}

const SCHEDULE_COLUMNS: &str = "tenant, namespace, name, schedule, due, run, revision";

pub(super) fn schedules(connection: &Connection) -> rusqlite::Result<Vec<ScheduleRow>> {
    let question = format!("SELECT {SCHEDULE_COLUMNS} FROM schedules ORDER BY tenant, namespace, name");
    list(connection, &question, [], schedule_row)
}

pub(super) fn next_schedules(connection: &Connection, limit: u32) -> rusqlite::Result<Vec<ScheduleRow>> {
    let question =
        format!("SELECT {SCHEDULE_COLUMNS} FROM schedules WHERE due IS NOT NULL ORDER BY due LIMIT ?1");
    list(connection, &question, [limit], schedule_row)
}

fn schedule_row(row: &Row<'_>) -> rusqlite::Result<ScheduleRow> {
    Ok(ScheduleRow {
        tenant: tenant(row, 0)?,
        namespace: row.get(1)?,
        name: row.get(2)?,
        schedule: row.get(3)?,
        due: optional_time(row, 4)?,
        run: row.get::<_, Option<[u8; 16]>>(5)?.map(RunId::from_bytes),
        revision: row.get(6)?,
    })
}

fn list<T>(
    connection: &Connection,
    question: &str,
    values: impl Params,
    each: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(question)?.query_map(values, each)?.collect()
}

fn run_row(row: &Row<'_>, tenant: &TenantId) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        key: RunKey { tenant: tenant.clone(), run: RunId::from_bytes(row.get(0)?) },
        flow: flow_id(row, 1)?,
        trigger: row.get(5)?,
        status: row.get(6)?,
        phase: phase(row, 7)?,
        started_at: time(row, 8)?,
        ended_at: optional_time(row, 9)?,
        owner: row.get::<_, Option<i64>>(10)?.map(|owner| Lease(owner.max(0) as u64)),
    })
}

fn flow_row(row: &Row<'_>) -> rusqlite::Result<FlowRow> {
    Ok(FlowRow {
        tenant: tenant(row, 0)?,
        id: flow_id(row, 1)?,
        source: row.get(5)?,
        installed_at: time(row, 6)?,
        removed: row.get(7)?,
    })
}

fn flow_id(row: &Row<'_>, first: usize) -> rusqlite::Result<FlowId> {
    Ok(FlowId {
        namespace: row.get(first)?,
        name: row.get(first + 1)?,
        version: row.get(first + 2)?,
        digest: row.get(first + 3)?,
    })
}

fn run_key(row: &Row<'_>) -> rusqlite::Result<RunKey> {
    Ok(RunKey { tenant: tenant(row, 0)?, run: RunId::from_bytes(row.get(1)?) })
}

fn tenant(row: &Row<'_>, column: usize) -> rusqlite::Result<TenantId> {
    Ok(TenantId::from(row.get_ref(column)?.as_str()?))
}

fn phase(row: &Row<'_>, column: usize) -> rusqlite::Result<Phase> {
    let number: i64 = row.get(column)?;
    Phase::from_number(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_millisecond(row.get(column)?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, error.into()))
}

fn optional_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    row.get::<_, Option<i64>>(column)?.map(|_| time(row, column)).transpose()
}

impl SubscriptionPhase {
    /// As the file stores it: part of the format.
    pub(super) fn number(self) -> i64 {
        match self {
            Self::Subscribing => 0,
            Self::Subscribed => 1,
            Self::Unsubscribing => 2,
        }
    }

    fn from_number(number: i64) -> Option<Self> {
        [Self::Subscribing, Self::Subscribed, Self::Unsubscribing]
            .into_iter()
            .find(|phase| phase.number() == number)
    }
}

impl Phase {
    /// As the file stores it: part of the format, as is the 0 in the index `runs_active`.
    pub(super) fn number(self) -> i64 {
        match self {
            Self::Active => 0,
            Self::Parked => 1,
            Self::Ended => 2,
        }
    }

    fn from_number(number: i64) -> Option<Self> {
        [Self::Active, Self::Parked, Self::Ended].into_iter().find(|phase| phase.number() == number)
    }
}
