//! Beginning a run again at the step that it failed at: a new run whose log is that of the old one up to where the step
//! was first asked for, as if that had been now. What came before is not done again; the step begins anew, with its own
//! time, its retries, and another idempotency key.

use jiff::Timestamp;

use super::view;
use crate::flow::{End, Event, RunState, Status, StepId, StepRecord};
use crate::journal::Entry;
use crate::problem::{Problem, kind};

/// What the new run begins with. `fresh` is its state before any event, `old` the run that failed, after all of `entries`.
pub(super) fn up_to_the_failed_step(
    mut fresh: RunState,
    old: &RunState,
    entries: &[Entry],
    now: Timestamp,
) -> Result<Vec<(Timestamp, Event)>, Problem> {
    let failed = failed_step(old)?.id as usize;
    let mut events = vec![];
    for entry in entries {
        let unreadable = |reason| Problem::new(kind::RUNTIME, "the run cannot be read", 500).detail(reason);
        // What stood for a secret in the old run means nothing in the new one.
        let body = fresh.with_placeholders_of(old, &entry.body);
        let event = view::parse(&Entry { body, ..entry.clone() }).map_err(unreadable)?;
        fresh.advance(entry.at, event.clone());
        events.push((entry.at, event));
        if fresh.steps().get(failed).is_some_and(|step| !step.attempts.is_empty()) {
            break;
        }
    }
    // What the other branches had begun by then, the old run has carried on with: it cannot be both done and begun again.
    if fresh.is_busy_beside(failed as StepId) {
        return Err(not_from_there("other branches of its `fork` were at work when the step began"));
    }
    let last = events.last().map_or(now, |(at, _)| *at);
    for (at, _) in &mut events {
        *at = at.checked_add(now.duration_since(last)).unwrap_or(now);
    }
    Ok(events)
}

/// The step whose problem ended the run.
fn failed_step(old: &RunState) -> Result<&StepRecord, Problem> {
    let Some(End::Faulted(problem)) = old.end() else {
        return Err(not_from_there("it did not fail"));
    };
    let same = |other: &Problem| {
        (&other.kind, &other.title, other.status, &other.detail)
            == (&problem.kind, &problem.title, problem.status, &problem.detail)
    };
    // Another step may have failed in the same words, and been caught.
    let here = |step: &StepRecord| problem.instance.as_ref().is_none_or(|place| *place == step.reference);
    let ended_it = |step: &&StepRecord| {
        step.status == Status::Faulted
            && !step.attempts.is_empty()
            && step.problem.as_ref().is_some_and(same)
            && here(step)
    };
    old.steps()
        .iter()
        .rev()
        .find(ended_it)
        .ok_or_else(|| not_from_there("it failed outside of any step that calls a plugin"))
}

fn not_from_there(why: &str) -> Problem {
    Problem::new("about:blank", "the run has no failed step to begin again at", 409)
        .detail(format!("{why}: restart it from its input, without `from`"))
}
