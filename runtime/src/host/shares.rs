//! Places that nobody can take all of.
//!
//! A host has so many places for calls, and so many for evaluations. A tenant takes a place as long as it has fewer than are
//! free for everyone. One that takes all it can get has half of them, two have a third each, and a place is left for the
//! next. That is the dynamic threshold of shared-memory switches (Choudhury and Hahne, 1998): it needs no setting.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::id::TenantId;

/// Places, and who has them. A clone is the same places.
#[derive(Clone)]
pub(super) struct Shares(Arc<Mutex<State>>);

struct State {
    all: u32,
    free: u32,
    tenants: HashMap<TenantId, Share>,
    /// Tenants of which somebody waits, in the order in which they are served.
    waiting: VecDeque<TenantId>,
}

#[derive(Default)]
struct Share {
    taken: u32,
    waiting: VecDeque<oneshot::Sender<Place>>,
}

/// A place that is taken until it is dropped.
pub(super) struct Place(Option<(Shares, TenantId)>);

impl Shares {
    pub(super) fn new(places: u32) -> Self {
        let (tenants, waiting) = (HashMap::new(), VecDeque::new());
        Self(Arc::new(Mutex::new(State { all: places, free: places, tenants, waiting })))
    }

    /// A place, as soon as there is one for this tenant.
    pub(super) async fn take(&self, tenant: &TenantId) -> Place {
        let called = {
            let mut state = self.state();
            if state.has_room(tenant) {
                state.take(tenant);
                return self.place(tenant);
            }
            state.wait(tenant)
        };
        called.await.expect("nobody forgets who waits")
    }

    /// Whether nobody has a place.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.free == state.all
    }

    fn place(&self, tenant: &TenantId) -> Place {
        Place(Some((self.clone(), tenant.clone())))
    }

    fn give_back(&self, tenant: &TenantId) {
        let mut state = self.state();
        state.put_back(tenant);
        // As many rounds as there are tenants without a place for anyone: all have their share.
        let mut without = 0;
        while without < state.waiting.len() {
            let Some(next) = state.waiting.pop_front() else { return };
            if !state.has_room(&next) {
                state.waiting.push_back(next);
                without += 1;
                continue;
            }
            without = 0;
            let share = state.tenants.entry(next.clone()).or_default();
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self, tenant: &TenantId) -> bool {
        self.tenants.get(tenant).map_or(0, |share| share.taken) < self.free
    }

    fn take(&mut self, tenant: &TenantId) {
        self.free -= 1;
        match self.tenants.get_mut(tenant) {
            Some(share) => share.taken += 1,
            None => drop(self.tenants.insert(tenant.clone(), Share { taken: 1, waiting: VecDeque::new() })),
        }
    }

    fn put_back(&mut self, tenant: &TenantId) {
        self.free += 1;
        let share = self.tenants.get_mut(tenant).expect("who has a place has a share");
        share.taken -= 1;
        if share.taken == 0 && share.waiting.is_empty() {
            self.tenants.remove(tenant);
        }
    }

    fn wait(&mut self, tenant: &TenantId) -> oneshot::Receiver<Place> {
        let (call, called) = oneshot::channel();
        let share = self.tenants.entry(tenant.clone()).or_default();
        // Those that gave up make no queue.
        share.waiting.retain(|other| !other.is_closed());
        share.waiting.push_back(call);
        if !self.waiting.contains(tenant) {
            self.waiting.push_back(tenant.clone());
        }
        called
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((shares, tenant)) = self.0.take() {
            shares.give_back(&tenant);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::from(name)
    }

    /// As many places as a tenant can get.
    fn all_it_can(shares: &Shares, name: &str) -> Vec<Place> {
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
        assert!(shares.is_idle() && shares.state().tenants.is_empty());
    }
}
