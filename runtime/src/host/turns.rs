//! Who computes next.
//!
//! A guest computes in turns. One poll of its call is one turn, which the epoch ends ([`TURN`]). Quick calls and long ones
//! have places of their own: as many as the machine has cores. A call is long once it has had a whole turn, or has grown
//! large. Then it computes on threads that stand back (`long`). So a tenant that spins delays nobody who is quick. Where more
//! calls want a turn than there are places, they wait in the queue of their tenant (`line`). The time of a turn is measured,
//! not what a guest says of itself.
//!
//! What the host does for a tenant is done in quick turns too: each poll of a request or of a run is one. A guest that is quick
//! computes within the turn of the run that called it. So the requests of one tenant queue behind each other, and not before
//! those of another.

use std::cell::RefCell;
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
    quick: Arc<Line>,
    long: Arc<Line>,
}

impl Turns {
    /// `places`: how many quick calls compute at the same time, and how many long ones.
    pub(super) fn new(places: u32) -> Self {
        let line = || Arc::new(Line::new(places));
        Self { quick: line(), long: line() }
    }

    /// Does `work` in turns of `tenant`.
    pub(super) fn of<F: Future>(&self, tenant: &TenantId, work: F) -> InTurns<'_, F> {
        self.in_turns(tenant, work, Some(Record::default()))
    }

    /// Does `work` in turns of `tenant` that are quick however much it computes: the host's own.
    pub(super) fn quick<F: Future>(&self, tenant: &TenantId, work: F) -> InTurns<'_, F> {
        self.in_turns(tenant, work, None)
    }

    fn in_turns<F>(&self, tenant: &TenantId, work: F, record: Option<Record>) -> InTurns<'_, F> {
        InTurns { seat: Seat { turns: self, tenant: tenant.clone(), ticket: None, record }, work }
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
        self.seat.record = Some(record);
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
        let (turns, is_long) = (this.seat.turns, this.seat.is_long());
        let around = if is_long { Around::Nothing } else { QuickTurn::around(&turns.quick) };
        let line = if is_long { &turns.long } else { &turns.quick };
        match around {
            Around::Turn => {}
            // What is around it gets another turn, and this one goes on within.
            Around::EndedTurn => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Around::Nothing if this.seat.sits(line, cx) => {}
            Around::Nothing => return Poll::Pending,
        }
        let began = Instant::now();
        let _time = Time { record: this.seat.record.as_ref(), began };
        if let Around::Turn = around {
            return this.work.poll(cx);
        }
        let turn = Turn { line: line.clone(), tenant: this.seat.tenant.clone(), began };
        if is_long {
            // Who is quick does not wait for the end of it.
            QuickTurn::end();
            let _turn = turn;
            long::poll(this.work, cx)
        } else {
            let _turn = QuickTurn::begin(turn);
            this.work.poll(cx)
        }
    }
}

/// Where a call stands in the queue, if it does.
struct Seat<'t> {
    turns: &'t Turns,
    tenant: TenantId,
    ticket: Option<(Arc<Line>, Arc<Ticket>)>,
    /// None for what is always quick.
    record: Option<Record>,
}

impl Seat<'_> {
    fn is_long(&self) -> bool {
        self.record.as_ref().is_some_and(Record::is_long)
    }

    /// Takes a place, or sees to it that the task is woken when there is one.
    fn sits(&mut self, line: &Arc<Line>, cx: &Context<'_>) -> bool {
        if self.ticket.is_none() {
            if line.take() {
                return true;
            }
            self.ticket = Some((line.clone(), line.wait(&self.tenant, cx.waker())));
        }
        let is_called = self.ticket.as_ref().is_some_and(|(_, ticket)| ticket.is_called(cx.waker()));
        if is_called {
            self.ticket = None;
        }
        is_called
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if let Some((line, ticket)) = self.ticket.take()
            && ticket.leave()
        {
            line.end(&self.tenant, Duration::ZERO);
        }
    }
}

/// Adds the time of a poll to the record of its call, after a panic as well.
struct Time<'r> {
    record: Option<&'r Record>,
    began: Instant,
}

impl Drop for Time<'_> {
    fn drop(&mut self) {
        if let Some(record) = self.record {
            record.add(self.began.elapsed());
        }
    }
}

/// A turn under way. Over when dropped, by a panic as well.
struct Turn {
    line: Arc<Line>,
    tenant: TenantId,
    began: Instant,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.line.end(&self.tenant, self.began.elapsed());
    }
}

thread_local! {
    /// The quick turn that this thread is in the middle of.
    static QUICK_TURN: RefCell<Option<QuickTurn>> = const { RefCell::new(None) };
}

/// A quick turn of this thread.
struct QuickTurn {
    line: Arc<Line>,
    /// None where a long turn within it has ended it.
    turn: Option<Turn>,
}

/// What quick turn of the same host a poll is within.
enum Around {
    Nothing,
    Turn,
    /// One that a long turn has ended. Who is within does not wait for a place: what is around it would wait as well, and
    /// must go on first.
    EndedTurn,
}

/// Ends the quick turn when dropped, and goes on with that of another host, where it was in the middle of one.
struct Ended(Option<QuickTurn>);

impl QuickTurn {
    fn begin(turn: Turn) -> Ended {
        let begun = Self { line: turn.line.clone(), turn: Some(turn) };
        Ended(QUICK_TURN.replace(Some(begun)))
    }

    fn around(line: &Arc<Line>) -> Around {
        QUICK_TURN.with_borrow(|quick| match quick {
            Some(quick) if !Arc::ptr_eq(&quick.line, line) => Around::Nothing,
            Some(quick) if quick.turn.is_some() => Around::Turn,
            Some(_) => Around::EndedTurn,
            None => Around::Nothing,
        })
    }

    fn end() {
        drop(QUICK_TURN.with_borrow_mut(|quick| quick.as_mut().and_then(|quick| quick.turn.take())));
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        drop(QUICK_TURN.replace(self.0.take()));
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
        let on_another_thread =
            || std::thread::scope(|scope| scope.spawn(|| turns.quick.take()).join().unwrap());
        let outer = turns.of(&tenant("a"), poll_fn(|_| Poll::Ready(on_another_thread())));
        assert_eq!(poll(pin!(outer)), Poll::Ready(false), "the place was taken twice");
        assert_eq!(turns.quick.free(), 1, "nobody waits, and the place is free");
    }

    #[test]
    fn who_waits_has_the_place_when_it_is_free() {
        let turns = Turns::new(1);
        assert!(turns.quick.take());
        let mut waits = pin!(turns.of(&tenant("a"), async { 2 }));
        assert!(poll(waits.as_mut()).is_pending());
        turns.quick.end(&tenant("b"), Duration::ZERO);
        assert_eq!(poll(waits), Poll::Ready(2));
        assert_eq!(turns.quick.free(), 1);
    }

    #[test]
    fn a_guest_computes_within_the_turn_of_its_run() {
        let turns = Turns::new(1);
        let record = Record::default();
        let guest = turns.of(&tenant("a"), async { turns.quick.free() }).recorded(record.clone());
        let run = turns.quick(&tenant("a"), guest);
        assert_eq!(poll(pin!(run)), Poll::Ready(0), "there is one place, and it has it");
        assert_eq!(turns.quick.free(), 1);
        assert!(record.time() > Duration::ZERO);
    }

    #[test]
    fn a_long_turn_ends_the_quick_one_that_it_is_in() {
        let turns = Turns::new(1);
        let guest = turns
            .of(&tenant("a"), async { (turns.quick.free(), turns.long.free()) })
            .recorded(Record::long());
        let run = turns.quick(&tenant("a"), guest);
        assert_eq!(poll(pin!(run)), Poll::Ready((1, 0)));
        assert_eq!((turns.quick.free(), turns.long.free()), (1, 1), "each place is given back once");
    }

    #[test]
    fn who_comes_after_a_long_turn_goes_on_in_the_next_quick_one() {
        let turns = Turns::new(1);
        let free = || async { turns.quick.free() };
        let both = async {
            turns.of(&tenant("a"), async {}).recorded(Record::long()).await;
            let place = turns.quick.take();
            assert!(place, "the long turn gave it back");
            turns.quick.end(&tenant("b"), Duration::ZERO);
            turns.of(&tenant("a"), free()).await
        };
        let mut run = pin!(turns.quick(&tenant("a"), both));
        assert!(poll(run.as_mut()).is_pending());
        assert_eq!(turns.quick.free(), 1, "nobody waits for it");
        assert_eq!(poll(run), Poll::Ready(0));
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
