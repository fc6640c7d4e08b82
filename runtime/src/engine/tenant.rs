//! A tenant in this process: its egress, its quotas, and what of them is used.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::DefaultClock;
use governor::state::keyed::HashMapStateStore;
use governor::{DefaultDirectRateLimiter, Quota as Rate, RateLimiter};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::capability::http_request::Egress;
use crate::capability::vault::Vault;
use crate::config::{Quota, Retention, TenantConfig, show_size};
use crate::engine::Runtime;
use crate::id::TenantId;
use crate::memory::{Account, Memory, Room};
use crate::problem::{Problem, kind};
use crate::rate::{Bucket, MINUTE};

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

    /// A place for a stream of events of this tenant's runs, which is taken until it is dropped.
    ///
    /// # Errors
    /// 429 for one too many, 403 where the configuration does not name the tenant.
    pub fn reader(&self, tenant: &TenantId) -> Result<EventReader, Problem> {
        self.tenant(tenant)?.reader().map(EventReader)
    }

    /// Room for the body of a request that is about this tenant's things.
    ///
    /// # Errors
    /// 403 where the configuration does not name the tenant.
    pub fn room(&self, tenant: &TenantId) -> Result<Room, Problem> {
        Ok(self.tenant(tenant)?.memory.room())
    }
}

/// A place for a stream of events: [`Runtime::reader`].
#[derive(Debug)]
pub struct EventReader(#[expect(dead_code, reason = "its drop gives the place back")] OwnedSemaphorePermit);

/// Who was denied what.
type Denial = (String, String);

/// Of one kind and one caller.
const DENIALS_PER_MINUTE: NonZeroU32 = NonZeroU32::new(5).expect("not zero");
/// When to try again where it cannot be told.
pub(super) const SOON: Duration = Duration::from_secs(1);
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
    /// What its runs may write to the journal.
    journal: Option<Bucket>,
    /// One for each stream of events that may be open.
    readers: Arc<Semaphore>,
    /// How often each quota has refused something.
    refusals: std::sync::Mutex<BTreeMap<&'static str, u64>>,
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
            slots: Arc::new(Semaphore::new(places(quota.concurrent_runs))),
            open_runs: AtomicU64::new(open_runs),
            inbound: RateLimiter::direct(Rate::per_second(per_second)),
            journal: (quota.journal_bytes_per_minute != u64::MAX)
                .then(|| Bucket::new(quota.journal_bytes_per_minute, MINUTE, Instant::now().into_std())),
            readers: Arc::new(Semaphore::new(places(quota.event_readers))),
            refusals: std::sync::Mutex::default(),
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
            let detail = format!(
                "more than {} requests per second for the tenant `{}`: slow down, or raise tenant.quota.requests_per_second",
                self.quota.requests_per_second, self.id
            );
            self.over("requests_per_second", SOON, detail)
        })
    }

    /// A quota is used up: what whoever asked for more is told, and after which time it may ask again. The refusals are counted
    /// by quota.
    pub fn over(&self, quota: &'static str, after: Duration, detail: String) -> Problem {
        *self.refusals().entry(quota).or_default() += 1;
        let mut problem =
            Problem::new(kind::RUNTIME, "the host has no room for this now", 429).detail(detail);
        problem.retry_after_ms = u64::try_from(after.as_millis()).ok();
        problem
    }

    /// How often each quota has refused something, since the start.
    pub fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.refusals().clone()
    }

    fn refusals(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its runs have written so many bytes to the journal.
    pub fn journalled(&self, bytes: u64) {
        if let Some(journal) = &self.journal {
            journal.owe(bytes, Instant::now().into_std());
        }
    }

    /// Waits until its runs may write to the journal again; the error is for one that would wait longer than that.
    pub async fn journal_turn(&self, patience: Duration) -> Result<(), Problem> {
        let debt = self.journal_debt();
        if debt > patience {
            return Err(self.over("journal_bytes_per_minute", debt, self.journal_is_full()));
        }
        if !debt.is_zero() {
            tokio::time::sleep(debt).await;
        }
        Ok(())
    }

    /// The time until its runs have written no more than they may.
    fn journal_debt(&self) -> Duration {
        self.journal.as_ref().map_or(Duration::ZERO, |journal| journal.debt(Instant::now().into_std()))
    }

    fn journal_is_full(&self) -> String {
        format!(
            "the runs of the tenant `{}` write more than its quota `journal_bytes_per_minute` = {}: try again in a minute, \
             let them carry less, or raise it",
            self.id,
            show_size(self.quota.journal_bytes_per_minute)
        )
    }

    /// A place for a stream of events, which is kept while the stream is open.
    pub fn reader(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.readers.clone().try_acquire_owned().map_err(|_| {
            let detail = format!(
                "{} streams of events of the tenant `{}` are open: close one, or raise tenant.quota.event_readers",
                self.quota.event_readers, self.id
            );
            self.over("event_readers", SOON, detail)
        })
    }

    /// Whether the tenant may have one more secret, connection or token, beside so many of them.
    pub fn admit_credential(&self, has: usize, what: &str) -> Result<(), Problem> {
        if (has as u64) < self.quota.credentials {
            return Ok(());
        }
        let detail = format!(
            "the tenant `{}` has {has} {what}s, and may have {}: delete some, or raise tenant.quota.credentials",
            self.id, self.quota.credentials
        );
        Err(self.over("credentials", SOON, detail))
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
        let debt = self.journal_debt();
        if !debt.is_zero() {
            return Err(self.over("journal_bytes_per_minute", debt, self.journal_is_full()));
        }
        let admitted = self.open_runs.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
            (open < self.quota.waiting_runs).then_some(open + 1)
        });
        admitted.map(drop).map_err(|open| {
            let detail = format!(
                "{open} runs of the tenant `{}` are not over yet: try again later, or raise tenant.quota.waiting_runs",
                self.id
            );
            self.over("waiting_runs", SOON, detail)
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

/// So many places as a semaphore.
fn places(number: u64) -> usize {
    number.min(Semaphore::MAX_PERMITS as u64) as usize
}
