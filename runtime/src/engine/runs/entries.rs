//! The entries of a run as events: read, folded into a state, and told again as changes.

use super::view;
use crate::engine::observers::RunChange;
use crate::flow::{Effect, Event, RunState};
use crate::journal::{Entry, RunRow};

/// `advance` folded over the entries of a run. The error is a sentence about an entry that cannot be read.
pub(in crate::engine) fn fold(state: &mut RunState, entries: &[Entry]) -> Result<(), String> {
    for entry in entries {
        state.advance(entry.at, parse(entry)?);
    }
    Ok(())
}

/// Everything that these entries of a run asked for, of its first state.
pub(in crate::engine) fn effects(
    mut state: RunState,
    entries: &[Entry],
    counts: impl Fn(&Event) -> bool,
) -> Result<Vec<Effect>, String> {
    let mut effects = vec![];
    for entry in entries {
        let event = parse(entry)?;
        if counts(&event) {
            effects.extend(state.advance(entry.at, event));
        }
    }
    Ok(effects)
}

/// The changes that the entries of a run made to its first state, oldest first.
pub(in crate::engine) fn changes(
    row: &RunRow,
    mut state: RunState,
    entries: &[Entry],
) -> Result<Vec<RunChange>, String> {
    let mut records = vec![];
    for entry in entries {
        state.advance(entry.at, parse(entry)?);
        let changed = state.take_changed().into_iter();
        records
            .extend(changed.filter_map(|step| Some((entry.at, state.steps().get(step as usize)?.clone()))));
    }
    // What is masked is not shown of the time before it was either.
    let mut changes: Vec<_> = records
        .into_iter()
        .map(|(at, record)| {
            let (tenant, run) = (row.key.tenant.clone(), row.key.run);
            RunChange::Step { at, tenant, run, step: state.as_shown(record) }
        })
        .collect();
    if let Some(ended_at) = row.ended_at {
        let problem = view::run(row, &state).problem;
        changes.push(RunChange::Run { at: ended_at, run: view::summary(row), problem });
    }
    Ok(changes)
}

pub(in crate::engine) fn parse(entry: &Entry) -> Result<Event, String> {
    serde_json::from_str(&entry.body).map_err(|error| format!("entry {} cannot be read: {error}", entry.seq))
}
