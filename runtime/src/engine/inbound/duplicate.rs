//! An event that came before: it begins no run, and its caller gets what the first one got.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::engine::journals::{Lane, storage_problem};
use crate::engine::observers::RunAnswer;
use crate::engine::runs::{LoadError, Runs};
use crate::engine::tenant::Tenant;
use crate::flow::{Effect, Event};
use crate::id::RunId;
use crate::journal::RunKey;
use crate::problem::{Problem, kind};

/// What an event is known by.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct DedupeKey {
    pub key: String,
    pub window_ms: u64,
}

impl DedupeKey {
    /// Of the key, however long it is.
    pub fn digest(&self) -> [u8; 32] {
        *blake3::hash(self.key.as_bytes()).as_bytes()
    }

    /// The longest window is a year: what is remembered takes room.
    pub fn window(&self) -> Duration {
        Duration::from_millis(self.window_ms).min(Duration::from_secs(365 * 24 * 3600))
    }
}

/// The run that an event with this key has begun.
pub(super) async fn original(
    runs: &Runs,
    tenant: &Tenant,
    (trigger, known): (&str, &DedupeKey),
    lane: &Lane,
) -> Result<Option<RunId>, Problem> {
    let (id, trigger, digest) = (tenant.id.clone(), trigger.to_owned(), known.digest());
    let now = runs.lifecycle.clock.now();
    let asked = lane.journal.ask(move |storage| storage.original(&id, &trigger, &digest, now));
    asked.await.map_err(|error| storage_problem(&error))
}

/// What the caller of that run's event got, or gets now. `late`: it took too long.
pub(super) async fn answer(
    runs: &Runs,
    tenant: &Tenant,
    (run, lane): (RunId, &Lane),
    within: Duration,
    late: impl Fn() -> Problem,
) -> Result<RunAnswer, Problem> {
    // Before it is looked up: what is told in between is not missed.
    let listening = Listening { runs, run, told: runs.observers.waiters.listener(run) };
    if let Some(told) = before(runs, tenant, run, lane).await? {
        return Ok(told);
    }
    match listening.told(within, late).await? {
        reply @ RunAnswer::Reply(_) => Ok(reply),
        // It may have answered all the same, when its first caller had gone.
        end => Ok(before(runs, tenant, run, lane).await?.unwrap_or(end)),
    }
}

/// One who waits for what a run tells; leaves nothing behind.
struct Listening<'a> {
    runs: &'a Runs,
    run: RunId,
    told: oneshot::Receiver<RunAnswer>,
}

impl Listening<'_> {
    async fn told(mut self, within: Duration, late: impl Fn() -> Problem) -> Result<RunAnswer, Problem> {
        let deadline = crate::clock::after(self.runs.lifecycle.clock.now(), within);
        tokio::select! {
            biased;
            told = &mut self.told => told.map_err(|_| late()),
            () = self.runs.lifecycle.clock.sleep_until(deadline) => Err(late()),
            () = self.runs.lifecycle.drained() => Err(late()),
        }
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.told.close();
        self.runs.observers.waiters.forget_gone(self.run);
    }
}

/// What the journal knows that it was told.
async fn before(runs: &Runs, tenant: &Tenant, run: RunId, lane: &Lane) -> Result<Option<RunAnswer>, Problem> {
    let key = RunKey { tenant: tenant.id.clone(), run };
    let (row, state, entries) = match runs.load(lane, &key).await {
        Ok(loaded) => loaded,
        Err(LoadError::Storage(error)) => return Err(storage_problem(&error)),
        Err(LoadError::NoRun) => return Err(forgotten(run)),
        Err(error) => {
            return Err(
                Problem::new(kind::RUNTIME, "the first answer cannot be read", 500).detail(error.to_string())
            );
        }
    };
    let again = runs.new_state(state.flow().clone(), &row.key);
    // As if its caller had stayed: an answer that nobody waited for any more is the answer of the event all the same.
    let effects = runs
        .reader(tenant)
        .effects(again, &entries, |event| !matches!(event, Event::CallerLeft { .. }))
        .await
        .map_err(|error| Problem::new(kind::RUNTIME, "the first answer cannot be read", 500).detail(error))?;
    let mut told = None;
    for effect in effects {
        match effect {
            Effect::Reply { reply, .. } => return Ok(Some(RunAnswer::Reply(reply))),
            Effect::Finish(end) => told = Some(RunAnswer::End(end)),
            _ => {}
        }
    }
    Ok(told)
}

fn forgotten(run: RunId) -> Problem {
    Problem::new(kind::RUNTIME, "this event was handled before", 409)
        .detail(format!("the run {run} was begun for it, and its history is not kept any more"))
}
