//! What makes a run one host's at a time: the host's lease in the journal. In a journal that several hosts share it is
//! renewed again and again; when it ends, another host takes over what this one was at work on, and nothing that this one
//! writes is applied any more.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::core::{Core, Delivery};
use super::mutation::{Mutation, planted};
use crate::clock::after;
use crate::journal::{Journal, RunKey, Storage, StorageError};

/// How long a host that says nothing is taken for alive.
const TIME: Duration = Duration::from_secs(10);
/// How often a host says that it lives, and looks for what others have left.
const BEAT: Duration = Duration::from_secs(1);
/// How many runs are taken over at a time.
const TAKEN_AT_ONCE: u32 = 1000;

/// Begins this host's life in its journals.
pub(super) async fn join(core: &Core) -> Result<(), StorageError> {
    for journal in [&core.volatile, &core.durable] {
        let until = until(core, journal);
        journal.set_lease(journal.ask(move |storage| storage.begin_lease(until)).await?);
    }
    Ok(())
}

/// Continues the runs that were at work on hosts that are gone.
pub(super) async fn take_over(core: &Arc<Core>) -> Result<(), StorageError> {
    let (lease, mut last) = (core.durable.lease(), None);
    loop {
        let (now, after) = (core.clock.now(), last.clone());
        let take = move |storage: &dyn Storage| storage.take_over(lease, now, after.as_ref(), TAKEN_AT_ONCE);
        let keys = core.durable.ask(take).await?;
        let Some(key) = keys.last() else { return Ok(()) };
        last = Some(key.clone());
        tell(core, keys);
    }
}

/// Says again and again that this host lives, until it takes nothing new.
pub(super) async fn keep(core: Arc<Core>) {
    loop {
        tokio::select! {
            biased;
            () = core.drained() => return,
            () = core.clock.sleep_until(after(core.clock.now(), BEAT)) => {}
        }
        if let Err(error) = beat(&core).await {
            tracing::error!(%error, "the host could not renew its lease; trying again");
            core.metrics.journal_failed();
        }
        // What others have set is seen in time.
        core.ring();
    }
}

async fn beat(core: &Arc<Core>) -> Result<(), StorageError> {
    let (lease, until) = (core.durable.lease(), until(core, &core.durable));
    match core.durable.ask(move |storage| storage.renew_lease(lease, until)).await {
        Err(StorageError::Fenced) => {
            tracing::error!("{}", StorageError::Fenced);
            core.start_over(core.durable.ask(move |storage| storage.begin_lease(until)).await?);
        }
        renewed => renewed?,
    }
    take_over(core).await?;
    let lease = core.durable.lease();
    let news = core.durable.ask(move |storage| storage.news(lease)).await?;
    if !planted(Mutation::NoNews) {
        tell(core, news);
    }
    for tenant in core.tenants.values() {
        let id = tenant.id.clone();
        tenant.recount(core.durable.ask(move |storage| storage.open_runs(&id)).await?);
    }
    Ok(())
}

/// Leaves what is still under way to the others at once, where there are others.
pub(super) async fn leave(core: &Core) {
    if !core.durable.is_shared() {
        return;
    }
    let lease = core.durable.lease();
    if let Err(error) = core.durable.ask(move |storage| storage.end_lease(lease)).await {
        tracing::warn!(%error, "the host's lease could not be ended; it ends by itself");
    }
}

fn tell(core: &Arc<Core>, keys: Vec<RunKey>) {
    for key in keys {
        core.send(true, key, Delivery::News);
    }
}

fn until(core: &Core, journal: &Journal) -> Timestamp {
    if journal.is_shared() { after(core.clock.now(), TIME) } else { Timestamp::MAX }
}
