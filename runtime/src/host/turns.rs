//! Who computes next.
//!
//! A guest computes in turns. One poll of its call is one turn, which the epoch ends ([`TURN`]). Quick calls and long ones
//! have places of their own: as many as the machine has cores. A call is long once it has had a whole turn. Then it computes
//! on threads that stand back (`long`). So a tenant that spins delays nobody who is quick. Where more calls want a turn than
//! there are places, they wait in the queue of their tenant (`line`). The time of a turn is measured, not what a guest says
//! of itself.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use self::line::{Line, Ticket};
use super::limits::TURN;
use crate::id::TenantId;

mod line;
mod long;

/// The turns of a host.
pub(super) struct Turns {
    quick: Line,
    long: Line,
}

impl Turns {
    /// `places`: how many quick calls compute at the same time, and how many long ones.
    pub(super) fn new(places: u32) -> Self {
        Self { quick: Line::new(places), long: Line::new(places) }
    }

    /// Does `work` in turns of `tenant`.
    pub(super) fn of<F: Future>(&self, tenant: &TenantId, work: F) -> InTurns<'_, F> {
        let (ticket, computed) = (None, Computed::default());
        let seat = Seat { turns: self, tenant: tenant.clone(), begins_long: false, ticket, computed };
        InTurns { seat, work }
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
    /// What is known to compute for long does so from its first turn.
    pub(super) fn long(mut self) -> Self {
        self.seat.begins_long = true;
        self
    }

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

impl<F: Future<Output: Send> + Send> Future for InTurns<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if !this.seat.sits(cx) {
            return Poll::Pending;
        }
        let turn = Turn { seat: this.seat, began: Instant::now() };
        if turn.seat.is_long() { long::poll(this.work, cx) } else { this.work.poll(cx) }
    }
}

/// Where a call stands in the queue, if it does.
struct Seat<'t> {
    turns: &'t Turns,
    tenant: TenantId,
    begins_long: bool,
    ticket: Option<Arc<Ticket>>,
    computed: Computed,
}

impl Seat<'_> {
    /// Whether it is known to compute for long, or has had a whole turn.
    fn is_long(&self) -> bool {
        self.begins_long || self.computed.time() >= TURN
    }

    fn line(&self) -> &Line {
        if self.is_long() { &self.turns.long } else { &self.turns.quick }
    }

    /// Takes a place, or sees to it that the task is woken when there is one.
    fn sits(&mut self, cx: &Context<'_>) -> bool {
        if self.ticket.is_none() {
            if self.line().take() {
                return true;
            }
            self.ticket = Some(self.line().wait(&self.tenant, cx.waker()));
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
        if self.ticket.take().is_some_and(|ticket| ticket.leave()) {
            self.line().end(&self.tenant, Duration::ZERO);
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
        let (line, took) = (self.seat.line(), self.began.elapsed());
        // Not before: what it took may make it long.
        self.seat.computed.add(took);
        line.end(&self.seat.tenant, took);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::pin::pin;
    use std::task::Waker;

    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::from(name)
    }

    fn poll<F: Future + ?Sized>(work: Pin<&mut F>) -> Poll<F::Output> {
        work.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn at_most_as_many_compute_as_there_are_places() {
        let turns = Turns::new(1);
        let mut inner = pin!(turns.of(&tenant("b"), async { 2 }));
        let outer = turns.of(&tenant("a"), poll_fn(|_| Poll::Ready(poll(inner.as_mut()).is_pending())));
        assert_eq!(poll(pin!(outer)), Poll::Ready(true), "the place was taken twice");
        assert_eq!(poll(inner), Poll::Ready(2));
        assert_eq!(turns.quick.free(), 1, "nobody waits, and the place is free");
    }

    #[test]
    fn who_leaves_the_queue_keeps_no_place() {
        let turns = Turns::new(1);
        assert!(turns.quick.take());
        let mut waits = Box::pin(turns.of(&tenant("a"), pending::<()>()));
        let mut called = Box::pin(turns.of(&tenant("a"), pending::<()>()));
        assert!(poll(waits.as_mut()).is_pending() && poll(called.as_mut()).is_pending());
        drop(waits);
        turns.quick.end(&tenant("b"), Duration::ZERO);
        drop(called);
        assert_eq!(turns.quick.free(), 1);
        assert!(turns.quick.take());
    }

    #[test]
    fn a_panic_gives_the_place_back() {
        let turns = Turns::new(1);
        let mut work =
            Box::pin(turns.of(&tenant("a"), poll_fn(|_| -> Poll<()> { panic!("the guest's host call") })));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(work.as_mut())));
        assert!(panicked.is_err() && turns.quick.take());
    }
}
