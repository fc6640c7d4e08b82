//! Questions about runs, their entries and timers, each in words of its own.

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};

use crate::id::{FlowId, RunId, TenantId};
use crate::journal::page::{Cursor, RunQuery};
use crate::journal::record::{Entry, Lease, Phase, RunKey, RunRow, TimerRow};

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
