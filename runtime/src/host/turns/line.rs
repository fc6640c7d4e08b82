//! Who has the next turn: tenants are served by deficit round robin (Shreedhar and Varghese, 1995). Whoever has had the
//! processor for long waits for those who have not.
//!
//! Where nobody waits, a turn costs two atomic operations.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use crate::host::limits::TURN;
use crate::id::TenantId;

/// What a tenant is given each time that it comes round.
const QUANTUM: Duration = TURN;
/// What one more that waits adds to the state.
const ONE_WAITS: u64 = 1 << 32;

/// Places for turns, and who waits for one.
pub(super) struct Line {
    /// Free places in the lower half, how many wait in the upper one.
    state: AtomicU64,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    tenants: HashMap<TenantId, Account>,
    /// Those that have somebody waiting, in the order in which they are served.
    round: VecDeque<TenantId>,
}

/// What a tenant may compute before it is another's turn, and who of it waits.
#[derive(Default)]
struct Account {
    /// Nanoseconds; less than nothing for one that had more than its share.
    credit: i64,
    waiting: VecDeque<Arc<Ticket>>,
}

/// A place in the queue.
pub(super) struct Ticket(Mutex<Waiting>);

enum Waiting {
    /// Woken when it has a place.
    Queued(Waker),
    /// It has a place.
    Called,
    /// Nobody wants it any more.
    Left,
}

impl Line {
    pub(super) fn new(places: u32) -> Self {
        Self { state: AtomicU64::new(places.into()), queue: Mutex::default() }
    }

    /// Takes a place if one is free and nobody waits for it.
    pub(super) fn take(&self) -> bool {
        let free_for_all = |state: u64| (state > 0 && state < ONE_WAITS).then(|| state - 1);
        self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, free_for_all).is_ok()
    }

    /// A turn of `tenant` is over.
    pub(super) fn end(&self, tenant: &TenantId, took: Duration) {
        let before = self.state.fetch_add(1, Ordering::AcqRel);
        if before < ONE_WAITS {
            return;
        }
        let mut queue = self.queue();
        let account = queue.tenants.entry(tenant.clone()).or_default();
        account.credit -= i64::try_from(took.as_nanos()).unwrap_or(i64::MAX);
        self.serve(&mut queue);
    }

    pub(super) fn wait(&self, tenant: &TenantId, waker: &Waker) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket(Mutex::new(Waiting::Queued(waker.clone()))));
        let mut queue = self.queue();
        let account = queue.tenants.entry(tenant.clone()).or_default();
        account.waiting.push_back(ticket.clone());
        if account.waiting.len() == 1 {
            queue.round.push_back(tenant.clone());
        }
        self.state.fetch_add(ONE_WAITS, Ordering::AcqRel);
        // A place may have become free before it was known that somebody waits.
        self.serve(&mut queue);
        ticket
    }

    /// Gives free places to those who wait.
    fn serve(&self, queue: &mut Queue) {
        while let Some(tenant) = queue.round.front().cloned() {
            let free = |state: u64| (state as u32 > 0).then(|| state - 1 - ONE_WAITS);
            let account = queue.tenants.get_mut(&tenant).expect("who is in the round has an account");
            if account.credit <= 0 {
                account.credit += QUANTUM.as_nanos() as i64;
                queue.round.rotate_left(1);
                continue;
            }
            if self.state.fetch_update(Ordering::AcqRel, Ordering::Relaxed, free).is_err() {
                return;
            }
            let ticket = account.waiting.pop_front().expect("who is in the round waits");
            if account.waiting.is_empty() {
                queue.round.pop_front();
                // What it did not use is not saved up; what it owes stays.
                account.credit = account.credit.min(0);
                if account.credit == 0 {
                    queue.tenants.remove(&tenant);
                }
            }
            if !ticket.call() {
                // It left in the same moment.
                self.state.fetch_add(1, Ordering::AcqRel);
            }
        }
    }

    /// How many places are free, if nobody waits.
    #[cfg(test)]
    pub(super) fn free(&self) -> u64 {
        self.state.load(Ordering::Relaxed)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives its holder a place. Returns false where nobody wants it any more.
    fn call(&self) -> bool {
        let mut waiting = self.lock();
        match std::mem::replace(&mut *waiting, Waiting::Called) {
            Waiting::Queued(waker) => {
                waker.wake();
                true
            }
            Waiting::Called | Waiting::Left => false,
        }
    }

    /// Whether it was called. Otherwise this waker is woken then.
    pub(super) fn is_called(&self, waker: &Waker) -> bool {
        match &mut *self.lock() {
            Waiting::Queued(known) => {
                known.clone_from(waker);
                false
            }
            Waiting::Called => true,
            Waiting::Left => unreachable!("only a seat that is dropped leaves"),
        }
    }
    /// Its holder leaves. Returns whether it was called meanwhile.
    pub(super) fn leave(&self) -> bool {
        matches!(std::mem::replace(&mut *self.lock(), Waiting::Left), Waiting::Called)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A guest that computes for ever: each turn takes the time, and is written down.
    struct Spins {
        tenant: TenantId,
        took: Duration,
        ticket: Option<Arc<Ticket>>,
    }

    impl Spins {
        fn has_a_turn(&mut self, line: &Line) -> bool {
            let called = self.ticket.as_ref().is_some_and(|ticket| ticket.is_called(Waker::noop()));
            if called {
                self.ticket = None;
                line.end(&self.tenant, self.took);
            } else if self.ticket.is_none() {
                self.ticket = Some(line.wait(&self.tenant, Waker::noop()));
            }
            called
        }
    }

    #[test]
    fn who_has_computed_for_long_waits_for_those_who_have_not() {
        let line = Line::new(1);
        let (greedy, modest) = (TenantId::from("greedy"), TenantId::from("modest"));
        let guests = (0..20).map(|number| match number % 2 {
            0 => Spins { tenant: greedy.clone(), took: QUANTUM * 4, ticket: None },
            _ => Spins { tenant: modest.clone(), took: QUANTUM / 2, ticket: None },
        });
        let mut guests: Vec<_> = guests.collect();
        // The place is taken until all wait.
        assert!(line.take());
        assert!(guests.iter_mut().all(|guest| !guest.has_a_turn(&line)));
        line.end(&TenantId::from("another"), Duration::ZERO);
        let mut had = HashMap::from([(greedy.clone(), 0), (modest.clone(), 0)]);
        for guest in (0..200).flat_map(|_| 0..20) {
            if guests[guest].has_a_turn(&line) {
                *had.get_mut(&guests[guest].tenant).unwrap() += 1;
            }
        }
        // Eight times as long a turn, an eighth of the turns.
        let ratio = f64::from(had[&modest]) / f64::from(had[&greedy]);
        assert!((6.0..=10.0).contains(&ratio), "{ratio}");
    }
}
