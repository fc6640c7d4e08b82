//! Those who look on: counters for Prometheus, callers that wait for a run, and streams of changes as they happen.
//!
//! Nothing here is durable, and no run depends on it: a run goes on whether somebody looks or not.

mod change;
mod metrics;
mod waiters;

use tokio::sync::broadcast;

pub use self::change::{RunChange, RunSummary};
pub(super) use self::metrics::Metrics;
pub(super) use self::waiters::{RunAnswer, Waiters};

/// How many changes a slow watcher may be behind before it loses the oldest.
const CHANGES: usize = 4096;

pub(super) struct Observers {
    pub metrics: Metrics,
    pub waiters: Waiters,
    changes: broadcast::Sender<RunChange>,
}

impl Observers {
    pub fn new() -> Self {
        Self {
            metrics: Metrics::new(),
            waiters: Waiters::default(),
            changes: broadcast::Sender::new(CHANGES),
        }
    }

    /// Every change of every run from now on. A receiver that falls behind loses the oldest.
    pub fn watch(&self) -> broadcast::Receiver<RunChange> {
        self.changes.subscribe()
    }

    /// Whether somebody watches: what nobody sees need not be made.
    pub fn has_watchers(&self) -> bool {
        self.changes.receiver_count() > 0
    }

    /// Shows a change to everybody who watches.
    pub fn show(&self, change: RunChange) {
        // An error says that the last watcher has just left.
        let _ = self.changes.send(change);
    }
}
