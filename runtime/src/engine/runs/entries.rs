//! The entries of a run as events: read one after the other, folded into a state, and told again as changes.
//!
//! There may be many, and large ones: they are read in turns of their tenant.

use std::ops::ControlFlow;

use super::view;
use crate::engine::observers::RunChange;
use crate::engine::steps::{Pace, Steps};
use crate::engine::tenant::Tenant;
use crate::flow::{Effect, Event, RunState};
use crate::journal::{Entry, RunRow};

/// Who reads entries, and whose they are.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Reader<'r> {
    pub steps: &'r dyn Steps,
    pub tenant: &'r Tenant,
}

impl Reader<'_> {
    /// Takes each entry of a run until that breaks off. `state`: the run as it is before the first of them. The error is a
    /// sentence about an entry that cannot be read.
    ///
    /// Nobody waits for the entries of a large run: from where it is large they are read in long turns.
    pub async fn each(
        &self,
        state: &mut RunState,
        entries: &[Entry],
        mut take: impl FnMut(&mut RunState, &Entry, Event) -> ControlFlow<()> + Send,
    ) -> Result<(), String> {
        let (mut left, mut read) = (entries, Ok(()));
        for pace in [Pace::Quick, Pace::Long] {
            let work = async {
                while let Some((entry, after)) = left.split_first() {
                    if pace == Pace::Quick && state.is_large_after(entry.body.len()) {
                        return;
                    }
                    let event = match parse(entry) {
                        Ok(event) if pace == Pace::Quick && state.is_large_with(&event) => return,
                        Ok(event) => event,
                        Err(error) => {
                            (left, read) = (&[], Err(error));
                            return;
                        }
                    };
                    left = if take(state, entry, event).is_break() { &[] } else { after };
                    if !left.is_empty() {
                        // The end of a turn.
                        tokio::task::yield_now().await;
                    }
                }
            };
            self.steps.in_turns(self.tenant, pace, Box::pin(work)).await;
            if left.is_empty() {
                break;
            }
        }
        read
    }

    /// `advance` folded over the entries of a run.
    pub async fn fold(&self, state: &mut RunState, entries: &[Entry]) -> Result<(), String> {
        self.each(state, entries, |state, entry, event| {
            state.advance(entry.at, event);
            ControlFlow::Continue(())
        })
        .await
    }

    /// Everything that these entries of a run asked for, of its first state.
    pub async fn effects(
        &self,
        mut state: RunState,
        entries: &[Entry],
        counts: fn(&Event) -> bool,
    ) -> Result<Vec<Effect>, String> {
        let mut effects = vec![];
        self.each(&mut state, entries, |state, entry, event| {
            if counts(&event) {
                effects.extend(state.advance(entry.at, event));
            }
            ControlFlow::Continue(())
        })
        .await?;
        Ok(effects)
    }

    /// The changes that the entries of a run made to its first state, oldest first.
    pub async fn changes(
        &self,
        row: &RunRow,
        mut state: RunState,
        entries: &[Entry],
    ) -> Result<Vec<RunChange>, String> {
        let mut records = vec![];
        self.each(&mut state, entries, |state, entry, event| {
            state.advance(entry.at, event);
            let changed = state.take_changed().into_iter();
            let record = |step| Some((entry.at, state.steps().get(step as usize)?.clone()));
            records.extend(changed.filter_map(record));
            ControlFlow::Continue(())
        })
        .await?;
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
}

pub(in crate::engine) fn parse(entry: &Entry) -> Result<Event, String> {
    serde_json::from_str(&entry.body).map_err(|error| format!("entry {} cannot be read: {error}", entry.seq))
}
