//! What the memory holds, and one batch's way into it: looked at as a whole first, so that applying it cannot stop
//! half-way. The small tables are in [`tables`](super::tables).

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;

use super::tables::SmallTables;
use crate::id::TenantId;
use crate::journal::page::Cursor;
use crate::journal::record::{Batch, Entry, Lease, OriginalRow, Phase, RunKey, RunRow, TimerRow, Write};
use crate::journal::storage::StorageError;
use crate::memory::{Account, Held};

/// About how many bytes a key takes that is remembered.
const ORIGINAL_BYTES: u64 = 256;

#[derive(Default)]
pub(super) struct State {
    pub runs: HashMap<RunKey, Run>,
    /// What lists walk: the newest last.
    pub by_start: BTreeMap<TenantId, BTreeSet<Cursor>>,
    pub by_due: BTreeSet<(Timestamp, RunKey, u32)>,
    timers: HashMap<RunKey, BTreeMap<u32, Timestamp>>,
    pub open: HashMap<TenantId, u64>,
    /// In the order in which they ended.
    ended: VecDeque<RunKey>,
    ended_bytes: usize,
    pub tables: SmallTables,
    pub originals: BTreeMap<OriginalKey, Original>,
    /// What is forgotten first stands first.
    originals_by_end: BTreeSet<(Timestamp, OriginalKey)>,
    pub keys: HashMap<String, [u8; 32]>,
    /// Those that have not ended, and when their time is over.
    pub leases: BTreeMap<Lease, Timestamp>,
    pub next_lease: u64,
    /// Runs to which others than their owner have appended.
    news: BTreeSet<(Lease, RunKey)>,
    /// Who holds what this holds.
    pub accounts: HashMap<TenantId, Arc<Account>>,
}

/// Tenant, trigger and key of what has begun a run.
type OriginalKey = (TenantId, String, [u8; 32]);

pub(super) struct Original {
    pub row: OriginalRow,
    _held: Option<Held>,
}

pub(super) struct Run {
    pub row: RunRow,
    pub entries: Vec<Entry>,
    /// The entries, until the run ends. Then the limits of the store bound them.
    held: Option<Held>,
}

impl Run {
    fn bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.body.len()).sum()
    }
}

/// What a run is like after the writes that were looked at so far.
#[derive(Clone, Copy)]
struct Outlook {
    next_seq: u64,
    over: bool,
}

fn original_key(row: &OriginalRow) -> OriginalKey {
    (row.tenant.clone(), row.trigger.clone(), row.key)
}

impl State {
    /// Applies the batch, or nothing of it.
    pub fn commit(&mut self, batch: Batch) -> Result<(), StorageError> {
        let Batch { lease, writes } = batch;
        if lease.is_some_and(|lease| !self.leases.contains_key(&lease)) {
            return Err(StorageError::Fenced);
        }
        self.fits(&writes).map_err(StorageError::Conflict)?;
        // They take back what they did when one does not fit. What is left then was looked at, and cannot stop half-way.
        let changes = writes.iter().filter_map(|write| match write {
            Write::Table(table, change) => Some((*table, change)),
            _ => None,
        });
        self.tables.change(changes).map_err(StorageError::Conflict)?;
        for write in writes {
            self.write(lease, write);
        }
        Ok(())
    }

    /// Whether every write to runs and originals fits.
    fn fits(&self, writes: &[Write]) -> Result<(), String> {
        // A batch is about one run, or a few: a list is quicker than a map.
        let mut seen: Vec<(&RunKey, Outlook)> = Vec::new();
        for write in writes {
            let (key, outlook) = match write {
                Write::CreateRun(row) => {
                    if self.outlook(&seen, &row.key).is_some() {
                        return Err(row.key.exists());
                    }
                    (&row.key, Outlook { next_seq: 0, over: row.phase == Phase::Ended })
                }
                Write::Append { key, entries } => {
                    let mut outlook = self.outlook(&seen, key);
                    for entry in entries {
                        match &mut outlook {
                            Some(run) if run.next_seq == entry.seq => run.next_seq += 1,
                            _ => return Err(key.not_next(entry.seq)),
                        }
                    }
                    let Some(outlook) = outlook else { continue };
                    (key, outlook)
                }
                Write::SetStatus { key, phase, .. } => match self.outlook(&seen, key) {
                    Some(run) if !run.over => (key, Outlook { over: *phase == Phase::Ended, ..run }),
                    _ => return Err(key.not_open()),
                },
                Write::Remember { row, at } => {
                    let stored = self.originals.get(&original_key(row));
                    if stored.is_some_and(|stored| *at < stored.row.until) {
                        return Err(row.is_there());
                    }
                    continue;
                }
                _ => continue,
            };
            seen.retain(|(other, _)| *other != key);
            seen.push((key, outlook));
        }
        Ok(())
    }

    fn outlook(&self, seen: &[(&RunKey, Outlook)], key: &RunKey) -> Option<Outlook> {
        if let Some((_, outlook)) = seen.iter().find(|(other, _)| *other == key) {
            return Some(*outlook);
        }
        self.runs
            .get(key)
            .map(|run| Outlook { next_seq: run.entries.len() as u64, over: run.row.phase == Phase::Ended })
    }

    fn write(&mut self, lease: Option<Lease>, write: Write) {
        match write {
            Write::CreateRun(row) => self.create_run(lease, row),
            Write::Append { key, entries } => self.append(lease, &key, entries),
            Write::SetStatus { key, status, phase, ended_at } => {
                self.set_owner(lease, &key, phase);
                self.set_status(key, status, phase, ended_at);
            }
            Write::SetTimer(row) => self.set_timer(row),
            Write::ClearTimer { key, timer } => self.clear_timer(&key, timer),
            Write::ClearTimers { key } => self.clear_timers(&key),
            Write::Remember { row, at } => self.remember(row, at),
            // Changed before the runs.
            Write::Table(..) => {}
        }
    }

    /// Forgets what is to be forgotten by `at`.
    fn remember(&mut self, row: OriginalRow, at: Timestamp) {
        while let Some((until, key)) = self.originals_by_end.first()
            && *until <= at
        {
            self.originals.remove(key);
            self.originals_by_end.pop_first();
        }
        let key = original_key(&row);
        let mut held = self.accounts.get(&row.tenant).map(Account::held);
        if let Some(held) = &mut held {
            held.add(ORIGINAL_BYTES);
        }
        self.originals_by_end.insert((row.until, key.clone()));
        self.originals.insert(key, Original { row, _held: held });
    }

    fn create_run(&mut self, lease: Option<Lease>, mut row: RunRow) {
        row.owner = lease.filter(|_| row.phase == Phase::Active);
        let key = row.key.clone();
        self.by_start.entry(key.tenant.clone()).or_default().insert(Cursor::of(&row));
        if row.phase == Phase::Ended {
            self.ended.push_back(key.clone());
        } else {
            *self.open.entry(key.tenant.clone()).or_default() += 1;
        }
        let held = self.accounts.get(&key.tenant).map(Account::held);
        self.runs.insert(key, Run { row, entries: Vec::new(), held });
    }

    fn append(&mut self, lease: Option<Lease>, key: &RunKey, mut entries: Vec<Entry>) {
        let Some(run) = self.runs.get_mut(key) else { return };
        if let Some(owner) = run.row.owner.filter(|owner| lease != Some(*owner)) {
            self.news.insert((owner, key.clone()));
        }
        let bytes = entries.iter().map(|entry| entry.body.len()).sum::<usize>();
        if run.row.phase == Phase::Ended {
            self.ended_bytes += bytes;
        }
        if let Some(held) = &mut run.held {
            held.add(bytes as u64);
        }
        run.entries.append(&mut entries);
    }

    fn set_status(&mut self, key: RunKey, status: String, phase: Phase, ended_at: Option<Timestamp>) {
        let Some(run) = self.runs.get_mut(&key) else {
            return;
        };
        run.row.status = status;
        run.row.phase = phase;
        run.row.ended_at = ended_at;
        if phase == Phase::Ended {
            run.held = None;
            self.ended_bytes += run.bytes();
            let open = self.open.entry(key.tenant.clone()).or_default();
            *open = open.saturating_sub(1);
            self.ended.push_back(key);
        }
    }

    /// As [`Write::SetStatus`] says.
    fn set_owner(&mut self, lease: Option<Lease>, key: &RunKey, phase: Phase) {
        let Some(run) = self.runs.get_mut(key) else { return };
        run.row.owner = if phase == Phase::Active { run.row.owner.or(lease) } else { None };
    }

    pub fn owner(&self, key: &RunKey) -> Option<Lease> {
        self.runs.get(key).and_then(|run| run.row.owner)
    }

    pub fn take_over(
        &mut self,
        lease: Lease,
        now: Timestamp,
        after: Option<&RunKey>,
        limit: usize,
    ) -> Result<Vec<RunKey>, StorageError> {
        self.leases.retain(|_, until| *until > now);
        if !self.leases.contains_key(&lease) {
            return Err(StorageError::Fenced);
        }
        let ownerless = |row: &RunRow| row.owner.is_none_or(|owner| !self.leases.contains_key(&owner));
        let rows = self.runs.values().map(|run| &run.row);
        let left = rows.filter(|row| row.phase == Phase::Active && ownerless(row)).map(|row| &row.key);
        let mut keys: Vec<RunKey> =
            left.filter(|key| after.is_none_or(|after| *key > after)).cloned().collect();
        keys.sort_unstable();
        keys.truncate(limit);
        for key in &keys {
            if let Some(run) = self.runs.get_mut(key) {
                run.row.owner = Some(lease);
            }
        }
        Ok(keys)
    }

    /// Also forgets what is for leases that have ended.
    pub fn news(&mut self, lease: Lease) -> Vec<RunKey> {
        let (leases, mut keys) = (&self.leases, vec![]);
        self.news.retain(|(owner, key)| {
            if *owner == lease {
                keys.push(key.clone());
            }
            *owner != lease && leases.contains_key(owner)
        });
        keys
    }

    /// Takes out the runs that ended first, as many as are beyond the limits.
    pub fn forget(&mut self, kept_runs: usize, kept_bytes: usize) -> Vec<Run> {
        let mut forgotten = Vec::new();
        while self.ended.len() > kept_runs || (self.ended_bytes > kept_bytes && self.ended.len() > 1) {
            let Some(key) = self.ended.pop_front() else { break };
            forgotten.extend(self.remove(&key));
        }
        forgotten
    }

    /// Takes out runs that are over, as [`Storage::forget`](crate::journal::Storage) says.
    pub fn forget_older(
        &mut self,
        tenant: &TenantId,
        status: &str,
        ended_before: Timestamp,
        limit: usize,
    ) -> Vec<Run> {
        let old = |row: &RunRow| {
            row.key.tenant == *tenant
                && row.status == status
                && row.ended_at.is_some_and(|ended_at| ended_at < ended_before)
        };
        let ended = self.ended.iter().filter(|key| self.runs.get(key).is_some_and(|run| old(&run.row)));
        let keys: Vec<RunKey> = ended.take(limit).cloned().collect();
        self.ended.retain(|key| !keys.contains(key));
        keys.iter().filter_map(|key| self.remove(key)).collect()
    }

    fn remove(&mut self, key: &RunKey) -> Option<Run> {
        let run = self.runs.remove(key)?;
        self.ended_bytes -= run.bytes();
        if let Some(starts) = self.by_start.get_mut(&key.tenant) {
            starts.remove(&Cursor::of(&run.row));
        }
        self.clear_timers(key);
        Some(run)
    }

    fn set_timer(&mut self, row: TimerRow) {
        self.clear_timer(&row.key, row.timer);
        self.timers.entry(row.key.clone()).or_default().insert(row.timer, row.due);
        self.by_due.insert((row.due, row.key, row.timer));
    }

    fn clear_timer(&mut self, key: &RunKey, timer: u32) {
        let Some(timers) = self.timers.get_mut(key) else {
            return;
        };
        if let Some(due) = timers.remove(&timer) {
            self.by_due.remove(&(due, key.clone(), timer));
        }
        if timers.is_empty() {
            self.timers.remove(key);
        }
    }

    fn clear_timers(&mut self, key: &RunKey) {
        for (timer, due) in self.timers.remove(key).unwrap_or_default() {
            self.by_due.remove(&(due, key.clone(), timer));
        }
    }
}
