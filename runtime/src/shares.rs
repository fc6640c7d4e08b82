//! Places that nobody can take all of.
//!
//! A host has so many places for calls, for evaluations and for connections. Whoever wants a place has it as long as they have
//! fewer than are free for everyone. One that takes all it can get has half of them, two have a third each, and a place is
//! left for the next. That is the dynamic threshold of shared-memory switches (Choudhury and Hahne, 1998): it needs no setting.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Who takes places: tenants, addresses.
pub(crate) trait Taker: Clone + Eq + Hash {}

impl<T: Clone + Eq + Hash> Taker for T {}

/// Places, and who has them. A clone is the same places.
#[derive(Clone, Debug)]
pub(crate) struct Shares<T: Taker>(Arc<Mutex<State<T>>>);

#[derive(Debug)]
struct State<T: Taker> {
    all: u32,
    free: u32,
    takers: HashMap<T, Share<T>>,
    /// Those of which somebody waits, in the order in which they are served.
    waiting: VecDeque<T>,
}

#[derive(Debug)]
struct Share<T: Taker> {
    taken: u32,
    waiting: VecDeque<oneshot::Sender<Place<T>>>,
}

impl<T: Taker> Default for Share<T> {
    fn default() -> Self {
        Self { taken: 0, waiting: VecDeque::new() }
    }
}

/// A place that is taken until it is dropped.
#[derive(Debug)]
pub(crate) struct Place<T: Taker>(Option<(Shares<T>, T)>);

impl<T: Taker> Shares<T> {
    pub(crate) fn new(places: u32) -> Self {
        let (takers, waiting) = (HashMap::new(), VecDeque::new());
        Self(Arc::new(Mutex::new(State { all: places, free: places, takers, waiting })))
    }

    /// A place, if there is one for this taker now.
    pub(crate) fn try_take(&self, taker: &T) -> Option<Place<T>> {
        let mut state = self.state();
        state.has_room(taker).then(|| {
            state.take(taker);
            self.place(taker)
        })
    }

    /// A place, as soon as there is one for this taker.
    pub(crate) async fn take(&self, taker: &T) -> Place<T> {
        let called = {
            let mut state = self.state();
            if state.has_room(taker) {
                state.take(taker);
                return self.place(taker);
            }
            state.wait(taker)
        };
        called.await.expect("nobody forgets who waits")
    }

    /// Whether nobody has a place.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state();
        state.free == state.all
    }

    fn place(&self, taker: &T) -> Place<T> {
        Place(Some((self.clone(), taker.clone())))
    }

    fn give_back(&self, taker: &T) {
        let mut state = self.state();
        state.put_back(taker);
        // Until each that waits was asked and has no room: all have their share.
        let mut without = 0;
        while without < state.waiting.len() {
            let Some(next) = state.waiting.pop_front() else { return };
            if !state.has_room(&next) {
                state.waiting.push_back(next);
                without += 1;
                continue;
            }
            without = 0;
            let share = state.takers.entry(next.clone()).or_default();
            let Some(called) = share.waiting.pop_front() else { continue };
            if !share.waiting.is_empty() {
                state.waiting.push_back(next.clone());
            }
            state.take(&next);
            if let Err(mut refused) = called.send(self.place(&next)) {
                // Who waited has gone. Its place is given back here, under the lock.
                refused.0 = None;
                state.put_back(&next);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Taker> State<T> {
    fn has_room(&self, taker: &T) -> bool {
        self.takers.get(taker).map_or(0, |share| share.taken) < self.free
    }

    fn take(&mut self, taker: &T) {
        self.free -= 1;
        match self.takers.get_mut(taker) {
            Some(share) => share.taken += 1,
            None => drop(self.takers.insert(taker.clone(), Share { taken: 1, waiting: VecDeque::new() })),
        }
    }

    fn put_back(&mut self, taker: &T) {
        self.free += 1;
        let share = self.takers.get_mut(taker).expect("who has a place has a share");
        share.taken -= 1;
        if share.taken == 0 && share.waiting.is_empty() {
            self.takers.remove(taker);
        }
    }

    fn wait(&mut self, taker: &T) -> oneshot::Receiver<Place<T>> {
        let (call, called) = oneshot::channel();
        let share = self.takers.entry(taker.clone()).or_default();
        // Those that gave up make no queue.
        share.waiting.retain(|other| !other.is_closed());
        share.waiting.push_back(call);
        if !self.waiting.contains(taker) {
            self.waiting.push_back(taker.clone());
        }
        called
    }
}

impl<T: Taker> Drop for Place<T> {
    fn drop(&mut self) {
        if let Some((shares, taker)) = self.0.take() {
            shares.give_back(&taker);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::id::TenantId;

    fn tenant(name: &str) -> TenantId {
        TenantId::from(name)
    }

    /// As many places as a tenant can get.
    fn all_it_can(shares: &Shares<TenantId>, name: &str) -> Vec<Place<TenantId>> {
        std::iter::from_fn(|| shares.take(&tenant(name)).now_or_never()).collect()
    }

    #[test]
    fn who_takes_all_it_can_leaves_as_many_to_everyone() {
        let shares = Shares::new(2000);
        let one = all_it_can(&shares, "one");
        assert_eq!(one.len(), 1000);
        drop(one);
        // In turns, as two would that begin at the same time.
        let (mut one, mut two) = (vec![], vec![]);
        loop {
            let before = one.len() + two.len();
            one.extend(shares.take(&tenant("one")).now_or_never());
            two.extend(shares.take(&tenant("two")).now_or_never());
            if one.len() + two.len() == before {
                break;
            }
        }
        assert_eq!((one.len(), two.len()), (667, 667));
        assert!(shares.take(&tenant("three")).now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_waits_is_called_in_turns_of_the_tenants() {
        let shares = Shares::new(4);
        let mut one = all_it_can(&shares, "one");
        let mut two = all_it_can(&shares, "two");
        assert_eq!((one.len(), two.len()), (2, 1));
        let wait = |name: &'static str| {
            let shares = shares.clone();
            Box::pin(async move { shares.take(&tenant(name)).await })
        };
        let (mut first, mut second, mut third) = (wait("one"), wait("one"), wait("two"));
        for waits in [&mut first, &mut second, &mut third] {
            assert!(waits.now_or_never().is_none());
        }
        // One that gives up is no obstacle.
        drop(second);
        one.pop();
        assert!((&mut third).now_or_never().is_none(), "it came later");
        one.push(first.now_or_never().expect("it is its turn"));
        two.clear();
        two.push(third.now_or_never().expect("two are free, and it has none"));
        drop((one, two));
        assert!(shares.is_idle() && shares.state().takers.is_empty());
    }
}
