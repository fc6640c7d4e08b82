//! A tenant in this process: its egress, its quotas, and what of them is used.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{DefaultDirectRateLimiter, Quota as Rate, RateLimiter};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use crate::capability::http_request::Egress;
use crate::capability::vault::Vault;
use crate::config::{Quota, Retention, TenantConfig};
use crate::engine::Runtime;
use crate::id::TenantId;
use crate::memory::{Account, Memory, Room};
use crate::problem::{Problem, kind};

/// The tenants of this host by their names: those of its configuration.
pub(super) struct Tenants(HashMap<TenantId, Arc<Tenant>>);

impl Tenants {
    pub fn get(&self, id: &TenantId) -> Option<&Arc<Tenant>> {
        self.0.get(id)
    }

    /// The error is for a caller that names a tenant which the configuration does not.
    pub fn configured(&self, id: &TenantId) -> Result<&Arc<Tenant>, Problem> {
        self.get(id).ok_or_else(|| {
            Problem::new(kind::AUTHORIZATION, "no such tenant", 403)
                .detail(format!("the tenant `{id}` is not configured on this host"))
        })
    }

    pub fn has(&self, id: &TenantId) -> bool {
        self.0.contains_key(id)
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.0.values()
    }
}

impl FromIterator<Arc<Tenant>> for Tenants {
    fn from_iter<I: IntoIterator<Item = Arc<Tenant>>>(tenants: I) -> Self {
        Self(tenants.into_iter().map(|tenant| (tenant.id.clone(), tenant)).collect())
    }
}

impl Runtime {
    /// Counts one request to the API for this tenant's things.
    ///
    /// # Errors
    /// 429 for one too many, 403 where the configuration does not name the tenant.
    pub fn admit_request(&self, tenant: &TenantId) -> Result<(), Problem> {
        self.tenant(tenant)?.admit_request()
    }

    /// Room for the body of a request that is about this tenant's things.
    ///
    /// # Errors
    /// 403 where the configuration does not name the tenant.
    pub fn room(&self, tenant: &TenantId) -> Result<Room, Problem> {
        Ok(self.tenant(tenant)?.memory.room())
    }
}

/// Who was denied what.
type Denial = (String, String);

/// Of one kind and one caller.
const DENIALS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(5).expect("not zero");
/// When it is looked whose denials were so long ago that they need not be remembered.
const DENIALS_REMEMBERED: usize = 1_000;

pub(super) struct Tenant {
    pub id: TenantId,
    pub quota: Quota,
    pub retention: Retention,
    pub egress: Arc<Egress>,
    pub vault: Arc<Vault>,
    /// What is held on its behalf outside of sandboxes.
    pub memory: Arc<Account>,
    /// One for each run that may be at work at the same time, and for each step beside the first of one.
    slots: Arc<Semaphore>,
    /// Runs that are not over, waiting ones too.
    open_runs: AtomicU64,
    inbound: DefaultDirectRateLimiter,
    /// How often the same denial is journalled, by who was denied what.
    denials: RateLimiter<Denial, HashMapStateStore<Denial>, DefaultClock>,
    /// Those that were not, since the last one of their kind that was.
    denials_left_out: std::sync::Mutex<HashMap<Denial, u64>>,
    /// Held while what is deployed changes.
    pub deploying: Mutex<()>,
    /// Held while the vault changes.
    pub vault_turn: Mutex<()>,
}

impl Tenant {
    pub fn new(config: &TenantConfig, egress: Arc<Egress>, open_runs: u64, memory: &Arc<Memory>) -> Self {
        let TenantConfig { name: id, quota, retention, .. } = config.clone();
        let per_second = NonZeroU32::new(quota.requests_per_second).unwrap_or(NonZeroU32::MIN);
        Self {
            memory: Account::new(id.clone(), memory.clone()),
            id,
            slots: Arc::new(
                Semaphore::new(quota.concurrent_runs.min(Semaphore::MAX_PERMITS as u64) as usize),
            ),
            open_runs: AtomicU64::new(open_runs),
            inbound: RateLimiter::direct(Rate::per_second(per_second)),
            denials: RateLimiter::hashmap(Rate::per_minute(DENIALS_PER_MINUTE)),
            denials_left_out: std::sync::Mutex::default(),
            deploying: Mutex::default(),
            vault_turn: Mutex::default(),
            quota,
            retention,
            egress,
            vault: Arc::default(),
        }
    }

    /// A place to work in. Who waits for one is a journalled run, so nothing is lost however long it takes.
    pub async fn slot(&self) -> OwnedSemaphorePermit {
        self.slots.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Counts one inbound request; the error is the answer for one too many.
    pub fn admit_request(&self) -> Result<(), Problem> {
        self.inbound.check().map_err(|_| {
            busy(format!(
                "more than {} requests per second for the tenant `{}`: slow down, or raise tenant.quota.requests_per_second",
                self.quota.requests_per_second, self.id
            ))
        })
    }

    /// Whether a denial is journalled. Returns how many of its kind were not, since the last one that was; nothing where this
    /// is one of too many. Both arguments are names of things that there are, so that there are never many kinds.
    pub fn admits_denial(&self, actor: &str, action: &str) -> Option<u64> {
        if self.denials.len() > DENIALS_REMEMBERED {
            self.denials.retain_recent();
        }
        let denial = (actor.to_owned(), action.to_owned());
        let is_admitted = self.denials.check_key(&denial).is_ok();
        let mut left_out = self.denials_left_out.lock().unwrap_or_else(PoisonError::into_inner);
        if is_admitted {
            return Some(left_out.remove(&denial).unwrap_or_default());
        }
        *left_out.entry(denial).or_default() += 1;
        None
    }

    /// Counts one more run, before it is journalled; the error is the answer for one too many.
    pub fn admit_run(&self) -> Result<(), Problem> {
        let admitted = self.open_runs.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            (open < self.quota.waiting_runs).then_some(open + 1)
        });
        admitted.map(drop).map_err(|open| {
            busy(format!(
                "{open} runs of the tenant `{}` are not over yet: try again later, or raise tenant.quota.waiting_runs",
                self.id
            ))
        })
    }

    /// A run is over, or was not journalled after all.
    pub fn run_is_over(&self) {
        // Another host may have begun it: [`Tenant::recount`] sets that right.
        let _ = self.open_runs.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| open.checked_sub(1));
    }

    /// What the journal counts, where several hosts begin and end runs.
    pub fn recount(&self, open_runs: u64) {
        self.open_runs.store(open_runs, Ordering::Relaxed);
    }

    pub fn open_runs(&self) -> u64 {
        self.open_runs.load(Ordering::Relaxed)
    }
}

fn busy(detail: String) -> Problem {
    let mut problem = Problem::new(kind::RUNTIME, "the host has no room for this now", 429).detail(detail);
    problem.retry_after_ms = Some(1000);
    problem
}
