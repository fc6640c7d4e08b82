//! What makes a run one host's at a time: the host's lease in the journal. In a journal that several hosts share it is
//! renewed again and again; when it ends, another host takes over what this one was at work on, and nothing that this one
//! writes is applied any more.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::Runs;
use super::registry::Delivery;
use crate::clock::after;
use crate::engine::journals::{Journals, Lane};
use crate::engine::lifecycle::Lifecycle;
use crate::journal::{Journal, RunKey, Storage, StorageError};

/// How long a host that says nothing is taken for alive.
const TIME: Duration = Duration::from_secs(10);
/// How often a host says that it lives, and looks for what others have left.
const BEAT: Duration = Duration::from_secs(1);
/// How many runs are taken over at a time.
const TAKEN_AT_ONCE: u32 = 1000;

/// Begins this host's life in its journals.
pub(in crate::engine) async fn join(journals: &Journals, lifecycle: &Lifecycle) -> Result<(), StorageError> {
    for Lane { journal, .. } in journals.quickest_first().map(|lane| &**lane) {
        let until = until(lifecycle, journal);
        journal.set_lease(journal.ask(move |storage| storage.begin_lease(until)).await?);
    }
    Ok(())
}

/// Continues the runs that were at work on hosts that are gone.
pub(in crate::engine) async fn take_over(runs: &Arc<Runs>) -> Result<(), StorageError> {
    let (lease, mut last) = (runs.journals.durable.journal.lease(), None);
    loop {
        let (now, after) = (runs.lifecycle.clock.now(), last.clone());
        let take = move |storage: &dyn Storage| storage.take_over(lease, now, after.as_ref(), TAKEN_AT_ONCE);
        let keys = runs.journals.durable.journal.ask(take).await?;
        let Some(key) = keys.last() else { return Ok(()) };
        last = Some(key.clone());
        tell(runs, keys);
    }
}

/// Says again and again that this host lives, until it takes nothing new.
pub(in crate::engine) async fn keep(runs: Arc<Runs>) {
    loop {
        tokio::select! {
            biased;
            () = runs.lifecycle.drained() => return,
            () = runs.lifecycle.clock.sleep_until(after(runs.lifecycle.clock.now(), BEAT)) => {}
        }
        if let Err(error) = beat(&runs).await {
            tracing::error!(%error, "the host could not renew its lease; trying again");
            runs.observers.metrics.journal_failed();
        }
        // What others have set is seen in time.
        runs.journals.ring();
    }
}

async fn beat(runs: &Arc<Runs>) -> Result<(), StorageError> {
    let (lease, until) =
        (runs.journals.durable.journal.lease(), until(&runs.lifecycle, &runs.journals.durable.journal));
    match runs.journals.durable.journal.ask(move |storage| storage.renew_lease(lease, until)).await {
        Err(StorageError::Fenced) => {
            tracing::error!("{}", StorageError::Fenced);
            runs.start_over(
                runs.journals.durable.journal.ask(move |storage| storage.begin_lease(until)).await?,
            );
        }
        renewed => renewed?,
    }
    take_over(runs).await?;
    let lease = runs.journals.durable.journal.lease();
    let news = runs.journals.durable.journal.ask(move |storage| storage.news(lease)).await?;
    tell(runs, news);
    for tenant in runs.tenants.all() {
        let id = tenant.id.clone();
        tenant.recount(runs.journals.durable.journal.ask(move |storage| storage.open_runs(&id)).await?);
    }
    Ok(())
}

/// Leaves what is still under way to the others at once, where there are others.
pub(in crate::engine) async fn leave(journals: &Journals) {
    if !journals.durable.journal.is_shared() {
        return;
    }
    let lease = journals.durable.journal.lease();
    if let Err(error) = journals.durable.journal.ask(move |storage| storage.end_lease(lease)).await {
        tracing::warn!(%error, "the host's lease could not be ended; it ends by itself");
    }
}

fn tell(runs: &Arc<Runs>, keys: Vec<RunKey>) {
    for key in keys {
        runs.send(&runs.journals.durable, key, Delivery::News);
    }
}

fn until(lifecycle: &Lifecycle, journal: &Journal) -> Timestamp {
    if journal.is_shared() { after(lifecycle.clock.now(), TIME) } else { Timestamp::MAX }
}
