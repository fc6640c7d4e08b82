//! Who computes next.
//!
//! A guest computes in turns. One poll of its call is one turn, which the epoch ends ([`TURN`](super::limits::TURN)). At
//! most as many turns are under way as the machine has cores, so that a worker thread is left for what is no guest. Where
//! more guests want a turn, they wait in the queue of their tenant, and tenants are served by deficit round robin: whoever
//! has had the processor for long waits for those who have not. The time is measured, not what a guest says of itself.
//!
//! Where nobody waits, a turn costs two atomic operations.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use crate::id::TenantId;

/// What a tenant is given each time that it comes round.
const QUANTUM: Duration = super::limits::TURN;
/// What one more that waits adds to the state.
const ONE_WAITS: u64 = 1 << 32;

/// The turns of a host.
pub(super) struct Turns {
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
struct Ticket(Mutex<Waiting>);

enum Waiting {
    /// Woken when it has a place.
    Queued(Waker),
    /// It has a place.
    Called,
    /// Nobody wants it any more.
    Left,
}

impl Turns {
    pub(super) fn new(places: u32) -> Self {
        Self { state: AtomicU64::new(places.into()), queue: Mutex::default() }
    }

    /// Does `work` in turns of `tenant`.
    pub(super) fn of<F: Future>(&self, tenant: &TenantId, work: F) -> InTurns<'_, F> {
        let seat = Seat { turns: self, tenant: tenant.clone(), ticket: None, computed: Computed::default() };
        InTurns { seat, work }
    }

    /// Takes a place if one is free and nobody waits for it.
    fn take(&self) -> bool {
        let free_for_all = |state: u64| (state > 0 && state < ONE_WAITS).then(|| state - 1);
        self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, free_for_all).is_ok()
    }

    /// A turn of `tenant` is over.
    fn end(&self, tenant: &TenantId, took: Duration) {
        let before = self.state.fetch_add(1, Ordering::AcqRel);
        if before < ONE_WAITS {
            return;
        }
        let mut queue = self.queue();
        let account = queue.tenants.entry(tenant.clone()).or_default();
        account.credit -= i64::try_from(took.as_nanos()).unwrap_or(i64::MAX);
        self.serve(&mut queue);
    }

    fn wait(&self, tenant: &TenantId, waker: &Waker) -> Arc<Ticket> {
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
    fn is_called(&self, waker: &Waker) -> bool {
        match &mut *self.lock() {
            Waiting::Queued(known) => {
                known.clone_from(waker);
                false
            }
            Waiting::Called => true,
            Waiting::Left => unreachable!("only a seat that is dropped leaves"),
        }
    }
}

pin_project! {
    /// Work that is polled when its tenant has a turn.
    pub(super) struct InTurns<'t, F> {
        seat: Seat<'t>,
        #[pin]
        work: F,
    }
}

impl<F> InTurns<'_, F> {
    /// Adds the time of each turn to this.
    pub(super) fn counting(mut self, computed: Computed) -> Self {
        self.seat.computed = computed;
        self
    }
}

/// The time of some turns together.
#[derive(Clone, Default)]
pub(super) struct Computed(Arc<AtomicU64>);

impl Computed {
    fn add(&self, took: Duration) {
        self.0.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn time(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

impl<F: Future> Future for InTurns<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if !this.seat.sits(cx) {
            return Poll::Pending;
        }
        let _turn = Turn { seat: this.seat, began: Instant::now() };
        this.work.poll(cx)
    }
}

/// Where a call stands in the queue, if it does.
struct Seat<'t> {
    turns: &'t Turns,
    tenant: TenantId,
    ticket: Option<Arc<Ticket>>,
    computed: Computed,
}

impl Seat<'_> {
    /// Takes a place, or sees to it that the task is woken when there is one.
    fn sits(&mut self, cx: &Context<'_>) -> bool {
        if self.ticket.is_none() {
            if self.turns.take() {
                return true;
            }
            self.ticket = Some(self.turns.wait(&self.tenant, cx.waker()));
        }
        let is_called = self.ticket.as_ref().is_some_and(|ticket| ticket.is_called(cx.waker()));
        if is_called {
            self.ticket = None;
        }
        is_called
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let left = std::mem::replace(&mut *ticket.lock(), Waiting::Left);
        if let Waiting::Called = left {
            self.turns.end(&self.tenant, Duration::ZERO);
        }
    }
}

/// A turn under way. Over when dropped, by a panic as well.
struct Turn<'s, 't> {
    seat: &'s Seat<'t>,
    began: Instant,
}

impl Drop for Turn<'_, '_> {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        self.seat.computed.add(took);
        self.seat.turns.end(&self.seat.tenant, took);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::pin::pin;

    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::from(name)
    }

    fn poll<F: Future + ?Sized>(work: Pin<&mut F>) -> Poll<F::Output> {
        work.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// A guest that computes for ever: each turn takes the time, and is written down.
    fn spins<'t>(
        turns: &'t Turns,
        name: &'t str,
        took: Duration,
        log: &'t Mutex<Vec<&'t str>>,
    ) -> Pin<Box<dyn Future<Output = ()> + 't>> {
        let tenant = tenant(name);
        let mut seat = Seat { turns, tenant: tenant.clone(), ticket: None, computed: Computed::default() };
        Box::pin(poll_fn(move |cx| {
            if seat.sits(cx) {
                log.lock().unwrap().push(name);
                turns.end(&tenant, took);
            }
            Poll::Pending
        }))
    }

    #[test]
    fn at_most_as_many_compute_as_there_are_places() {
        let turns = Turns::new(1);
        let mut inner = pin!(turns.of(&tenant("b"), async { 2 }));
        let outer = turns.of(&tenant("a"), poll_fn(|_| Poll::Ready(poll(inner.as_mut()).is_pending())));
        assert_eq!(poll(pin!(outer)), Poll::Ready(true), "the place was taken twice");
        assert_eq!(poll(inner), Poll::Ready(2));
        assert_eq!(turns.state.load(Ordering::Relaxed), 1, "nobody waits, and the place is free");
    }

    #[test]
    fn who_has_computed_for_long_waits_for_those_who_have_not() {
        let turns = Turns::new(1);
        let log = Mutex::default();
        let guests = (0..20).map(|number| match number % 2 {
            0 => spins(&turns, "greedy", QUANTUM * 4, &log),
            _ => spins(&turns, "modest", QUANTUM / 2, &log),
        });
        let mut guests: Vec<_> = guests.collect();
        // The place is taken until all wait.
        assert!(turns.take());
        for guest in &mut guests {
            assert!(poll(guest.as_mut()).is_pending());
        }
        turns.end(&tenant("another"), Duration::ZERO);
        for _ in 0..200 {
            for guest in &mut guests {
                assert!(poll(guest.as_mut()).is_pending());
            }
        }
        let of = |name| log.lock().unwrap().iter().filter(|had| **had == name).count() as f64;
        // Eight times as long a turn, an eighth of the turns.
        let ratio = of("modest") / of("greedy");
        assert!((6.0..=10.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn who_leaves_the_queue_keeps_no_place() {
        let turns = Turns::new(1);
        assert!(turns.take());
        let mut waits = Box::pin(turns.of(&tenant("a"), pending::<()>()));
        let mut called = Box::pin(turns.of(&tenant("a"), pending::<()>()));
        assert!(poll(waits.as_mut()).is_pending() && poll(called.as_mut()).is_pending());
        drop(waits);
        turns.end(&tenant("b"), Duration::ZERO);
        drop(called);
        assert_eq!(turns.state.load(Ordering::Relaxed), 1);
        assert!(turns.take());
    }

    #[test]
    fn a_panic_gives_the_place_back() {
        let turns = Turns::new(1);
        let mut work =
            Box::pin(turns.of(&tenant("a"), poll_fn(|_| -> Poll<()> { panic!("the guest's host call") })));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(work.as_mut())));
        assert!(panicked.is_err() && turns.take());
    }
}
