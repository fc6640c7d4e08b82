//! Where the things that a run has under way are at work, so that no flow works in more places than its tenant has.

use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use crate::engine::tenant::Tenant;

/// The places of one run. The first thing under way has the run's own place. Each further one, of a `fork` or an undoing,
/// takes one more place of the tenant's.
pub(in crate::engine) struct Places {
    tenant: Arc<Tenant>,
    own: Semaphore,
    /// Places of the tenant that the run has now: one less than are at work.
    further: std::sync::Mutex<Vec<OwnedSemaphorePermit>>,
    /// One at a time waits for a place of the tenant's, so that other runs get theirs in between.
    turn: Mutex<()>,
}

impl Places {
    pub fn of_run(tenant: Arc<Tenant>) -> Arc<Self> {
        Arc::new(Self {
            tenant,
            own: Semaphore::new(1),
            further: std::sync::Mutex::default(),
            turn: Mutex::default(),
        })
    }

    /// Does this work as soon as there is a place for it.
    pub async fn work<T>(self: Arc<Self>, work: impl Future<Output = T>) -> T {
        let further = async {
            let _turn = self.turn.lock().await;
            self.tenant.slot().await
        };
        tokio::select! {
            biased;
            own = self.own.acquire() => own.expect("the semaphore is never closed").forget(),
            further = further => self.further().push(further),
        }
        let _place = TakenPlace(&self);
        work.await
    }

    fn further(&self) -> MutexGuard<'_, Vec<OwnedSemaphorePermit>> {
        self.further.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place that is taken.
struct TakenPlace<'p>(&'p Places);

impl Drop for TakenPlace<'_> {
    /// The tenant gets one back first: a run with one thing under way has its own place and no other.
    fn drop(&mut self) {
        if self.0.further().pop().is_none() {
            self.0.own.add_permits(1);
        }
    }
}
