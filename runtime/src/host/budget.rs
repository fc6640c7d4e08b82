//! The CPU time of a tenant's guests within a minute. Whoever has used more than its quota waits until that is made up for.
//!
//! A call is counted when it is over, by its fuel: what it will use is not known before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::HostError;
use super::limits::{CallLimits, fuel};
use crate::id::TenantId;
use crate::rate::{Bucket, MINUTE};

/// The accounts of those who have a limit.
#[derive(Default)]
pub(super) struct Budgets(Mutex<HashMap<TenantId, Arc<Bucket>>>);

impl Budgets {
    /// Waits until the tenant owes nothing.
    pub(super) async fn wait(
        &self,
        tenant: &TenantId,
        limits: &CallLimits,
        deadline: Instant,
    ) -> Result<(), HostError> {
        let Some(bucket) = self.bucket(tenant, limits) else { return Ok(()) };
        loop {
            let now = Instant::now();
            let debt = bucket.debt(now.into_std());
            if debt.is_zero() {
                return Ok(());
            }
            if debt > deadline.saturating_duration_since(now) {
                return Err(HostError::CpuPerMinute { quota: limits.cpu_per_minute, after: debt });
            }
            // Others of the tenant wait as well, and the first of them may owe again.
            sleep_until(now + debt).await;
        }
    }

    /// A call has used so much.
    pub(super) fn owe(&self, tenant: &TenantId, limits: &CallLimits, fuel: u64) {
        if let Some(bucket) = self.bucket(tenant, limits) {
            bucket.owe(fuel, Instant::now().into_std());
        }
    }

    fn bucket(&self, tenant: &TenantId, limits: &CallLimits) -> Option<Arc<Bucket>> {
        if limits.cpu_per_minute == Duration::MAX {
            return None;
        }
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get(tenant) {
            return Some(bucket.clone());
        }
        let bucket = Bucket::new(fuel(limits.cpu_per_minute), MINUTE, Instant::now().into_std());
        Some(buckets.entry(tenant.clone()).or_insert(Arc::new(bucket)).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_has_used_more_than_a_minutes_time_waits() {
        let (budgets, tenant) = (Budgets::default(), TenantId::default_tenant());
        let cpu_per_minute = Duration::from_secs(6);
        let limits = CallLimits {
            memory_bytes: 0,
            cpu: MINUTE,
            cpu_per_minute,
            wall: Duration::from_secs(30),
            hand_over: 0,
        };
        let (began, another) = (Instant::now(), TenantId::from("another"));
        budgets.owe(&tenant, &limits, fuel(Duration::from_secs(8)));
        let refused = budgets.wait(&tenant, &limits, began + Duration::from_secs(19)).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(refused.is_err_and(|error| error.to_string().contains("`cpu_per_minute` = 6 s")));
        budgets.wait(&another, &limits, began).await.expect("it has its own");
        budgets.wait(&tenant, &limits, began + limits.wall).await.expect("it is made up for");
        // Two seconds of CPU time too much, at six a minute.
        assert_eq!(began.elapsed().as_secs(), 20);
        let unlimited = CallLimits { cpu_per_minute: Duration::MAX, ..limits };
        budgets.owe(&another, &unlimited, u64::MAX);
        budgets.wait(&another, &unlimited, began).await.expect("there is no limit");
    }
}
