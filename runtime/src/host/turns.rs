//! Who computes next.
//!
//! A guest computes in turns. One poll of its call is one turn, which the epoch ends ([`TURN`]). Quick calls and long ones
//! have places of their own: as many as the machine has cores. A call is long once it has had a whole turn, or has grown
//! large. Then it computes on threads that stand back (`long`). So a tenant that spins delays nobody who is quick. Where more
//! calls want a turn than there are places, they wait in the queue of their tenant (`line`). The time of a turn is measured,
//! not what a guest says of itself.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
        let (ticket, record) = (None, Record::default());
        let seat = Seat { turns: self, tenant: tenant.clone(), ticket, record };
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
    /// Writes its turns down here.
    pub(super) fn recorded(mut self, record: Record) -> Self {
        self.seat.record = record;
        self
    }
}

/// What is known of the turns of a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Record(Arc<Turned>);

#[derive(Debug, Default)]
struct Turned {
    nanos: AtomicU64,
    stands_back: AtomicBool,
}

impl Record {
    /// That of a call which is known to be long.
    pub(super) fn long() -> Self {
        let record = Self::default();
        record.stand_back();
        record
    }

    /// The call is long from its next turn on, whatever it has computed so far. Returns false where it was before.
    pub(super) fn stand_back(&self) -> bool {
        !self.0.stands_back.swap(true, Ordering::Relaxed)
    }

    fn add(&self, took: Duration) {
        self.0.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// All its turns together.
    pub(super) fn time(&self) -> Duration {
        Duration::from_nanos(self.0.nanos.load(Ordering::Relaxed))
    }

    fn is_long(&self) -> bool {
        self.time() >= TURN || self.0.stands_back.load(Ordering::Relaxed)
    }
}

impl<F: Future<Output: Send> + Send> Future for InTurns<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if !this.seat.sits(cx) {
            return Poll::Pending;
        }
        let is_long = this.seat.record.is_long();
        let turn = Turn { seat: this.seat, is_long, began: Instant::now() };
        if turn.is_long { long::poll(this.work, cx) } else { this.work.poll(cx) }
    }
}

/// Where a call stands in the queue, if it does.
struct Seat<'t> {
    turns: &'t Turns,
    tenant: TenantId,
    ticket: Option<Arc<Ticket>>,
    record: Record,
}

impl Seat<'_> {
    /// Where it stands, if it is long or is not.
    fn line(&self, is_long: bool) -> &Line {
        if is_long { &self.turns.long } else { &self.turns.quick }
    }

    /// Takes a place, or sees to it that the task is woken when there is one.
    fn sits(&mut self, cx: &Context<'_>) -> bool {
        if self.ticket.is_none() {
            let line = self.line(self.record.is_long());
            if line.take() {
                return true;
            }
            self.ticket = Some(line.wait(&self.tenant, cx.waker()));
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
            self.line(self.record.is_long()).end(&self.tenant, Duration::ZERO);
        }
    }
}

/// A turn under way. Over when dropped, by a panic as well.
struct Turn<'s, 't> {
    seat: &'s Seat<'t>,
    /// As it began: it may become long meanwhile.
    is_long: bool,
    began: Instant,
}

impl Drop for Turn<'_, '_> {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        self.seat.record.add(took);
        self.seat.line(self.is_long).end(&self.seat.tenant, took);
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
