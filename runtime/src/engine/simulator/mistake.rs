//! Mistakes of a store, or of what carries out the steps of a host, planted to see that the simulator finds them. Each
//! breaks what [`Storage`](crate::journal::Storage) or [`Steps`](crate::engine::steps::Steps) promises; the engine above
//! is the one that a host has.

use crate::engine::runs::entries;
use crate::flow::Event;
use crate::journal::{
    Batch, Change, Entry, MemoryStorage, Row as _, RunKey, RunLog as _, ScheduleRow, Write,
};

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// The store says that it has a run before it has it.
    RunsTooEarly,
    /// The store says that it has an entry before it has it.
    EntriesTooEarly,
    /// The store writes an answer twice.
    AnswersTwice,
    /// The store takes an entry that is not the next one for the next one.
    AnyEntryIsNext,
    /// The store loses timers.
    TimersLost,
    /// The store applies what is written under a lease that has ended.
    NoFencing,
    /// The store does not say what others have appended.
    NoNews,
    /// The store gives a host the runs of one that is gone, and does not say which.
    SilentTakeOver,
    /// The store moves a schedule on before it has the run.
    ScheduleTooEarly,
    /// The store loses the next time of a schedule that waits for the end of a run.
    NextTimeLost,
    /// A step is said to be undone, and is not.
    UndoesNothing,
    /// Every attempt is carried out as the first one.
    OneAttempt,
    /// A step that is woken is resumed twice.
    ResumesTwice,
}

impl Mistake {
    pub const ALL: [Self; 13] = [
        Self::RunsTooEarly,
        Self::EntriesTooEarly,
        Self::AnswersTwice,
        Self::AnyEntryIsNext,
        Self::TimersLost,
        Self::NoFencing,
        Self::NoNews,
        Self::SilentTakeOver,
        Self::ScheduleTooEarly,
        Self::NextTimeLost,
        Self::UndoesNothing,
        Self::OneAttempt,
        Self::ResumesTwice,
    ];

    /// Whether a store that makes it says that it has these batches before it has them.
    pub fn is_too_early(self, batches: &[Batch]) -> bool {
        let begins = |batch: &Batch| batch.writes.iter().any(|write| matches!(write, Write::CreateRun(_)));
        match self {
            Self::RunsTooEarly => batches.iter().all(begins),
            Self::EntriesTooEarly => !batches.iter().any(begins),
            _ => false,
        }
    }

    /// What a store that makes it writes before everything else of these batches.
    pub fn too_early(self, batches: &mut [Batch]) -> Vec<Batch> {
        if self != Self::ScheduleTooEarly {
            return vec![];
        }
        let mut early = vec![];
        for batch in batches {
            if batch.writes.iter().any(|write| matches!(write, Write::CreateRun(_))) {
                let schedules = batch.writes.extract_if(.., |write| puts_schedule(write));
                early.extend(schedules.map(|write| Batch::of(vec![write])));
            }
        }
        early
    }

    /// What a store that makes it writes in the place of a batch.
    pub fn written(self, store: &MemoryStorage, mut batch: Batch) -> Batch {
        match self {
            Self::TimersLost => batch.writes.retain(|write| !matches!(write, Write::SetTimer(_))),
            Self::NextTimeLost => batch.writes.retain(|write| !ends_waiting(write)),
            Self::AnswersTwice => appended(&mut batch, |_, entries| twice(entries)),
            Self::AnyEntryIsNext => appended(&mut batch, |key, entries| {
                let has_first = entries.first().is_some_and(|entry| entry.seq == 0);
                // The log of a run that is created in the same batch begins here.
                let next = if has_first { 0 } else { store.entries(key, 0).unwrap().len() as u64 };
                renumber(entries, next);
            }),
            _ => {}
        }
        batch
    }
}

fn puts_schedule(write: &Write) -> bool {
    matches!(write, Write::Table(table, Change::Put(_)) if *table == ScheduleRow::TABLE)
}

/// The run is over that a schedule waits for.
fn ends_waiting(write: &Write) -> bool {
    matches!(write, Write::Table(table, Change::Set { .. }) if *table == ScheduleRow::TABLE)
}

fn appended(batch: &mut Batch, mut change: impl FnMut(&RunKey, &mut Vec<Entry>)) {
    for write in &mut batch.writes {
        if let Write::Append { key, entries } = write {
            change(key, entries);
        }
    }
}

fn twice(entries: &mut Vec<Entry>) {
    let Some(first) = entries.first().map(|entry| entry.seq) else { return };
    let is_answer = |entry: &Entry| matches!(entries::parse(entry), Ok(Event::Answered { .. }));
    *entries = entries
        .drain(..)
        .flat_map(|entry| if is_answer(&entry) { vec![entry.clone(), entry] } else { vec![entry] })
        .collect();
    renumber(entries, first);
}

fn renumber(entries: &mut [Entry], first: u64) {
    for (seq, entry) in (first..).zip(entries) {
        entry.seq = seq;
    }
}
