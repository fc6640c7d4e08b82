//! The two journals of a host: the durable one, and the one in memory for flows that ask for no more.
//!
//! A [`Lane`] is one of them with what moves its runs: the alarm of its scheduler, and whether the schedules in it are
//! what the flows say. A run stays in one lane all its life, and carries it. What a journal is, [`crate::journal`] says.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::flow::{Durability, Flow};
use crate::journal::{Journal, StorageError};
use crate::problem::{Problem, kind};

/// How long a failing store is left alone before it is asked the same again.
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Both journals.
pub(super) struct Journals {
    /// Of everything that is deployed, and of the runs that survive the process.
    pub durable: Arc<Lane>,
    /// Of the runs that do not.
    pub volatile: Arc<Lane>,
}

/// A journal and what moves the runs in it.
pub(super) struct Lane {
    pub journal: Journal,
    pub durability: Durability,
    alarm: Alarm,
    /// The schedules in it are what the flows say.
    is_settled: AtomicBool,
}

/// Wakes a scheduler when an earlier timer than the one it sleeps for is set.
struct Alarm {
    /// Milliseconds since the epoch.
    sleeps_until: AtomicI64,
    rung: Notify,
}

impl Journals {
    pub fn new(durable: Journal, volatile: Journal) -> Self {
        Self {
            durable: Lane::new(durable, Durability::Durable),
            volatile: Lane::new(volatile, Durability::Volatile),
        }
    }

    /// The lane of a flow's runs.
    pub fn of(&self, flow: &Flow) -> &Arc<Lane> {
        match flow.durability {
            Durability::Durable => &self.durable,
            Durability::Volatile => &self.volatile,
        }
    }

    /// The durable one first.
    pub fn lanes(&self) -> [&Arc<Lane>; 2] {
        [&self.durable, &self.volatile]
    }

    /// The one in memory first: a look there costs nothing.
    pub fn quickest_first(&self) -> [&Arc<Lane>; 2] {
        [&self.volatile, &self.durable]
    }

    /// Wakes both schedulers.
    pub fn ring(&self) {
        self.lanes().into_iter().for_each(|lane| lane.alarm.rung.notify_one());
    }
}

impl Lane {
    fn new(journal: Journal, durability: Durability) -> Arc<Self> {
        let alarm = Alarm { sleeps_until: AtomicI64::new(i64::MAX), rung: Notify::new() };
        Arc::new(Self { journal, durability, alarm, is_settled: AtomicBool::new(false) })
    }

    /// Wakes the scheduler when it sleeps past this time.
    pub fn timer_is_set(&self, due: Timestamp) {
        if due.as_millisecond() < self.alarm.sleeps_until.load(Ordering::Acquire) {
            self.alarm.rung.notify_one();
        }
    }

    /// From now on a timer before this time rings.
    pub fn falls_asleep(&self, until: Timestamp) {
        self.alarm.sleeps_until.store(until.as_millisecond(), Ordering::Release);
    }

    /// From now on every timer rings, and the ring is kept until the next sleep.
    pub fn wakes_up(&self) {
        self.alarm.sleeps_until.store(i64::MAX, Ordering::Release);
    }

    /// Returns when the alarm rings.
    pub async fn rung(&self) {
        self.alarm.rung.notified().await;
    }

    pub fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Acquire)
    }

    pub fn set_settled(&self, settled: bool) {
        self.is_settled.store(settled, Ordering::Release);
    }
}

/// What a caller is told when the journal fails.
pub(super) fn storage_problem(error: &StorageError) -> Problem {
    tracing::error!(%error, "the journal failed");
    let mut problem = Problem::new(kind::RUNTIME, "the journal cannot be written or read now", 503)
        .detail("nothing was accepted; send it again in a moment");
    problem.retry_after_ms = Some(1000);
    problem
}
