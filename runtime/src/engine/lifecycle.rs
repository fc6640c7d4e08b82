//! The life of a host: its clock, its phase from start to end, whether another host has taken its journal over, and
//! whether something in the world is being switched.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{Clock, after};
use crate::journal::DataLock;
use crate::problem::{Problem, kind};

pub(super) struct Lifecycle {
    pub clock: Clock,
    phase: watch::Sender<HostPhase>,
    /// The store has refused this host's lease.
    fenced: AtomicBool,
    /// How many changes of what is deployed are under way.
    switching: watch::Sender<usize>,
    /// Held as long as the host lives.
    _lock: Option<DataLock>,
}

/// From start to end; it only moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HostPhase {
    Serving,
    /// Takes nothing new; what is under way may finish.
    Draining,
    /// Time is over: even a driver that waits for its store gives up.
    Drained,
}

/// Whether a pause came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PauseEnd {
    Over,
    /// The host takes nothing new any more.
    CutShort,
}

impl Lifecycle {
    pub fn new(clock: Clock, lock: Option<DataLock>) -> Self {
        Self {
            clock,
            phase: watch::Sender::new(HostPhase::Serving),
            fenced: AtomicBool::new(false),
            switching: watch::Sender::new(0),
            _lock: lock,
        }
    }

    /// Moves on to this phase, unless the host is further.
    pub fn move_to(&self, phase: HostPhase) {
        self.phase.send_modify(|now| *now = phase.max(*now));
    }

    pub fn is_serving(&self) -> bool {
        *self.phase.borrow() == HostPhase::Serving
    }

    pub fn is_drained(&self) -> bool {
        *self.phase.borrow() == HostPhase::Drained
    }

    /// Returns when the host takes nothing new.
    pub async fn draining(&self) {
        let _ = self.phase.subscribe().wait_for(|phase| *phase >= HostPhase::Draining).await;
    }

    /// Returns when the time to drain is over.
    pub async fn drained(&self) {
        let _ = self.phase.subscribe().wait_for(|phase| *phase == HostPhase::Drained).await;
    }

    /// Waits so long, or until the host takes nothing new.
    pub async fn pause(&self, long: Duration) -> PauseEnd {
        tokio::select! {
            biased;
            () = self.draining() => PauseEnd::CutShort,
            () = self.clock.sleep_until(after(self.clock.now(), long)) => PauseEnd::Over,
        }
    }

    /// Remembers that another host has taken the journal over, or that this one has started over.
    pub fn set_fenced(&self, fenced: bool) {
        self.fenced.store(fenced, Ordering::Relaxed);
    }

    /// Whether another host goes on with what this one had.
    pub fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Relaxed)
    }

    /// Until what is returned is dropped, something in the world is being switched: a host that stops waits for that.
    pub fn switching(&self) -> impl Drop + '_ {
        struct Guard<'a>(&'a watch::Sender<usize>);
        impl Drop for Guard<'_> {
            fn drop(&mut self) {
                self.0.send_modify(|count| *count -= 1);
            }
        }
        self.switching.send_modify(|count| *count += 1);
        Guard(&self.switching)
    }

    /// Returns when nothing is being switched.
    pub async fn switched(&self) {
        let _ = self.switching.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// What a caller is told that may send the same again.
pub(super) fn unavailable(detail: &str) -> Problem {
    let mut problem = Problem::new(kind::RUNTIME, "the host cannot take this now", 503).detail(detail);
    problem.retry_after_ms = Some(1000);
    problem
}
