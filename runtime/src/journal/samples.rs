//! Rows, batches and folders for the tests of this module.

use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::record::{Batch, Entry, Lease, Phase, RunKey, RunRow, TimerRow, Write};
use super::storage::{Storage, StorageError};
use super::tables::{FlowRow, TriggerRow};
use crate::id::{FlowId, RunId, TenantId};

/// Owns nothing.
pub(super) const NOBODY: Lease = Lease(0);

pub(super) fn commit(store: &dyn Storage, writes: Vec<Write>) -> Result<(), StorageError> {
    store.commit(&[Batch::of(writes)]).remove(0)
}

/// A run that was created with entries.
pub(super) fn started(store: &dyn Storage, tenant: &str, seqs: Range<u64>) -> RunKey {
    let row = run(tenant, 1);
    let key = row.key.clone();
    commit(store, vec![Write::CreateRun(row), append(&key, seqs)]).unwrap();
    key
}

pub(super) fn created(store: &dyn Storage, row: RunRow) -> RunRow {
    commit(store, vec![Write::CreateRun(row.clone())]).unwrap();
    row
}

pub(super) fn run(tenant: &str, started_second: i64) -> RunRow {
    RunRow {
        key: RunKey { tenant: TenantId::from(tenant), run: RunId::mint() },
        flow: flow_id("intake", "1.0.0"),
        trigger: Some("shop/orders-in".into()),
        status: "running".into(),
        phase: Phase::Active,
        owner: None,
        started_at: at(started_second),
        ended_at: None,
    }
}

pub(super) fn append(key: &RunKey, seqs: Range<u64>) -> Write {
    Write::Append { key: key.clone(), entries: entries(seqs) }
}

pub(super) fn entries(seqs: Range<u64>) -> Vec<Entry> {
    seqs.map(entry).collect()
}

pub(super) fn entry(seq: u64) -> Entry {
    Entry { seq, at: at(seq as i64), body: format!("{{\"n\":{seq}}}") }
}

pub(super) fn status(key: &RunKey, status: &str, phase: Phase) -> Write {
    let ended_at = (phase == Phase::Ended).then(|| at(99));
    Write::SetStatus { key: key.clone(), status: status.into(), phase, ended_at }
}

pub(super) fn timer(key: &RunKey, timer: u32, due_second: i64) -> Write {
    Write::SetTimer(timer_row(key, timer, due_second))
}

pub(super) fn timer_row(key: &RunKey, timer: u32, due_second: i64) -> TimerRow {
    TimerRow { key: key.clone(), timer, due: at(due_second) }
}

pub(super) fn flow(name: &str, version: &str, installed_second: i64) -> FlowRow {
    FlowRow {
        tenant: TenantId::from("acme"),
        id: flow_id(name, version),
        source: "{\"document\":{}}".into(),
        installed_at: at(installed_second),
        removed: false,
    }
}

pub(super) fn flow_id(name: &str, version: &str) -> FlowId {
    FlowId {
        namespace: "default".into(),
        name: name.into(),
        version: version.into(),
        digest: "00112233445566778899aabbccddeeff".into(),
    }
}

pub(super) fn trigger(name: &str, token: &str) -> TriggerRow {
    TriggerRow {
        tenant: TenantId::from("acme"),
        namespace: "default".into(),
        name: name.into(),
        source: "{\"trigger\":{}}".into(),
        token: token.into(),
        enabled: true,
    }
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A folder of a test's own, removed when it ends.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("flowcell-journal-{}", RunId::mint()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        self.0.join(inside)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
