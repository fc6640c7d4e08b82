//! Writes to runs, their entries and timers: the statements on the path of every step.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::writer::Refusal;
use crate::journal::record::{Entry, Lease, OriginalRow, Phase, RunKey, RunRow, TimerRow};

pub(super) fn create_run(connection: &Connection, lease: Option<Lease>, row: &RunRow) -> Result<(), Refusal> {
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

pub(super) fn append(connection: &Connection, key: &RunKey, entries: &[Entry]) -> Result<(), Refusal> {
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

pub(super) fn set_status(
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

pub(super) fn set_timer(connection: &Connection, row: &TimerRow) -> Result<(), Refusal> {
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

pub(super) fn clear_timer(connection: &Connection, key: &RunKey, timer: u32) -> Result<(), Refusal> {
    connection
        .prepare_cached("DELETE FROM timers WHERE tenant = ?1 AND run = ?2 AND timer = ?3")?
        .execute(params![key.tenant.as_str(), key.run.as_bytes(), timer])?;
    Ok(())
}

pub(super) fn clear_timers(connection: &Connection, key: &RunKey) -> Result<(), Refusal> {
    connection
        .prepare_cached("DELETE FROM timers WHERE tenant = ?1 AND run = ?2")?
        .execute(params![key.tenant.as_str(), key.run.as_bytes()])?;
    Ok(())
}

pub(super) fn remember(connection: &Connection, row: &OriginalRow, at: Timestamp) -> Result<(), Refusal> {
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
