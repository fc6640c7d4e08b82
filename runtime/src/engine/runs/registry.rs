//! Which runs are in memory, the way to their drivers, and which timers were handed to them.
//!
//! A driver leaves only under the lock of [`Registry::active`], so what is sent to it under that lock is taken.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

// Its channel is a few words until something is sent; tokio's begins with a block for 32 events, for each run.
use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use serde_json::Value;
use tokio::sync::{Notify, oneshot};

use super::Runs;
use crate::engine::journals::Lane;
use crate::flow::{CallbackNow, Event, StepId, TimerId};
use crate::journal::{Lease, RunKey};

/// What a run is given from outside.
pub(in crate::engine) enum Delivery {
    /// An event to take.
    Event(Event),
    /// A request to the callback address of one of its steps. The sender is told what becomes of it; when the run takes
    /// it, after that is in the journal. Dropped when the run cannot say.
    Callback { step: StepId, request: Arc<Value>, told: oneshot::Sender<CallbackNow> },
    /// Another host has appended to it, or has left it to this one.
    News,
}

/// The way to the driver of a run in memory.
type Inlet = UnboundedSender<Delivery>;
/// Its other end.
pub(super) type Inbox = UnboundedReceiver<Delivery>;

#[derive(Default)]
pub(super) struct Registry {
    active: Mutex<HashMap<RunKey, Inlet>>,
    /// Signalled when a run leaves memory.
    left: Notify,
    /// Timers that were given to their runs and are still rows.
    handed: Mutex<HashMap<RunKey, HashSet<TimerId>>>,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, HashMap<RunKey, Inlet>> {
        self.active.lock().expect("no panic while held")
    }

    fn handed_out(&self) -> MutexGuard<'_, HashMap<RunKey, HashSet<TimerId>>> {
        self.handed.lock().expect("no panic while held")
    }

    /// Gives something to the driver of a run. Where the run is not in memory, it enters: what is returned is its inbox,
    /// and the lease under which it begins.
    pub fn give(&self, key: &RunKey, lane: &Lane, delivery: Delivery) -> Option<(Inbox, Lease)> {
        let mut active = self.lock();
        let delivery = match active.get(key) {
            Some(driver) => match driver.unbounded_send(delivery) {
                Ok(()) => return None,
                Err(refused) => refused.into_inner(),
            },
            None => delivery,
        };
        let (inlet, inbox) = unbounded();
        let _ = inlet.unbounded_send(delivery);
        active.insert(key.clone(), inlet);
        // Under the lock: a host that starts over under another lease empties this first.
        Some((inbox, lane.journal.lease()))
    }

    /// The inbox of a run that is being created, and the lease under which it is.
    pub fn enter(&self, key: &RunKey, lane: &Lane) -> (Inbox, Lease) {
        let (inlet, inbox) = unbounded();
        let mut active = self.lock();
        active.insert(key.clone(), inlet);
        (inbox, lane.journal.lease())
    }

    /// A run without anything under way leaves memory, unless something came meanwhile.
    pub fn park(&self, key: &RunKey, inbox: &mut Inbox) -> Option<Delivery> {
        let mut active = self.lock();
        if let Ok(delivery) = inbox.try_recv() {
            return Some(delivery);
        }
        close(&mut active, key, inbox);
        drop(active);
        self.left.notify_waiters();
        None
    }

    /// A run leaves memory, whatever came meanwhile.
    pub fn forget(&self, key: &RunKey, mut inbox: Inbox) {
        close(&mut self.lock(), key, &mut inbox);
        self.left.notify_waiters();
    }

    /// Every run leaves memory at once. `under_lock` is done while none can enter.
    pub fn clear(&self, under_lock: impl FnOnce()) {
        let mut active = self.lock();
        under_lock();
        // A driver whose inlet is gone leaves.
        active.clear();
        drop(active);
        self.handed_out().clear();
        self.left.notify_waiters();
    }

    pub fn is_active(&self, key: &RunKey) -> bool {
        self.lock().contains_key(key)
    }

    /// How many runs are in memory.
    pub fn active(&self) -> usize {
        self.lock().len()
    }

    /// Returns when no run is in memory.
    pub async fn idle(&self) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if self.active() == 0 {
                return;
            }
            left.await;
        }
    }

    /// Marks a timer as given to its run. Returns false when it was already.
    pub fn hand_over(&self, key: &RunKey, timer: TimerId) -> bool {
        self.handed_out().entry(key.clone()).or_default().insert(timer)
    }

    /// The timers that were given to their runs and are still rows.
    pub fn handed(&self) -> HashSet<(RunKey, TimerId)> {
        let handed = self.handed_out();
        handed.iter().flat_map(|(key, timers)| timers.iter().map(|timer| (key.clone(), *timer))).collect()
    }

    /// The timer's row is gone.
    pub fn timer_is_taken(&self, key: &RunKey, timer: TimerId) {
        let mut handed = self.handed_out();
        if let Some(timers) = handed.get_mut(key) {
            timers.remove(&timer);
            if timers.is_empty() {
                handed.remove(key);
            }
        }
    }

    /// What the run was given and did not take may be handed out again. Returns whether there was something.
    pub fn take_timers_back(&self, key: &RunKey) -> bool {
        self.handed_out().remove(key).is_some()
    }
}

impl Runs {
    /// A run leaves memory for good: over, or moved on by another host.
    pub(super) fn retire(&self, key: &RunKey, inbox: Inbox) {
        self.registry.forget(key, inbox);
        self.take_timers_back(key);
    }

    /// What the run was given and did not take is handed out again.
    pub(super) fn take_timers_back(&self, key: &RunKey) {
        if self.registry.take_timers_back(key) {
            self.journals.ring();
        }
    }

    /// Another host continues what this one had: every run leaves memory at once, whatever is under way, and what comes
    /// from now on is done under a new lease.
    pub(super) fn start_over(&self, lease: Lease) {
        // Under the lock: no run of before is at work under the new lease.
        self.registry.clear(|| {
            self.journals.durable.journal.set_lease(lease);
            self.lifecycle.set_fenced(false);
        });
    }
}

/// Takes the way to a driver out, unless it is another one's by now.
fn close(active: &mut HashMap<RunKey, Inlet>, key: &RunKey, inbox: &mut Inbox) {
    inbox.close();
    if active.get(key).is_some_and(UnboundedSender::is_closed) {
        active.remove(key);
    }
}
