//! What a tenant has sent and received, and how much more it may: quotas and counters in one place.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::error::{Code, Failure};
use crate::config::{Quota, show_size};
use crate::id::TenantId;
use crate::rate::{Bucket, MINUTE};

/// One tenant's account.
pub(super) struct Account {
    tenant: TenantId,
    quota: Quota,
    requests: Bucket,
    bytes: Bucket,
    sent: AtomicU64,
    blocked: AtomicU64,
    moved: AtomicU64,
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Requests given to a connection, every hop counted.
    pub requests: u64,
    /// Requests that the policy denied.
    pub blocked: u64,
    /// Bytes of requests and answers.
    pub bytes: u64,
}

impl Account {
    pub(super) fn new(tenant: TenantId, quota: &Quota) -> Self {
        let now = Instant::now();
        Self {
            tenant,
            requests: Bucket::new(quota.requests_per_second.into(), Duration::from_secs(1), now),
            bytes: Bucket::new(quota.egress_bytes_per_minute, MINUTE, now),
            quota: quota.clone(),
            sent: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            moved: AtomicU64::new(0),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            requests: self.sent.load(Ordering::Relaxed),
            blocked: self.blocked.load(Ordering::Relaxed),
            bytes: self.moved.load(Ordering::Relaxed),
        }
    }

    /// Most bytes of one body, either way.
    pub(super) fn body_limit(&self) -> u64 {
        self.quota.body
    }

    /// Refuses a request's body that is over the quota.
    pub(super) fn check_body(&self, bytes: u64) -> Result<(), Failure> {
        if bytes <= self.quota.body {
            return Ok(());
        }
        let most = show_size(self.quota.body);
        Err(Failure::new(
            Code::TooLarge,
            format!("the request's body has {bytes} bytes, the tenant's quota `body` is {most}"),
        ))
    }

    /// Waits until it is a request's turn in the tenant's requests per second.
    pub(super) async fn turn(&self, until: Instant) -> Result<(), Failure> {
        let now = Instant::now();
        match self.requests.reserve(until.saturating_duration_since(now), now) {
            Some(Duration::ZERO) => Ok(()),
            Some(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            None => Err(Failure::new(
                Code::RateLimited,
                format!(
                    "the tenant `{}` sends more than its quota `requests_per_second` = {}, and this request's turn would \
                     come after its deadline",
                    self.tenant, self.quota.requests_per_second
                ),
            )),
        }
    }

    /// A request of that size is about to be sent.
    pub(super) fn send(&self, bytes: u64) -> Result<(), Failure> {
        self.bytes.take(bytes, Instant::now()).map_err(|_| self.used_up())?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.moved.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// So much has come in; false when it was more than the quota still had.
    pub(super) fn received(&self, bytes: u64) -> bool {
        self.moved.fetch_add(bytes, Ordering::Relaxed);
        self.bytes.drain(bytes, Instant::now())
    }

    pub(super) fn used_up(&self) -> Failure {
        Failure::new(
            Code::Quota,
            format!(
                "the tenant `{}` has used up its quota `egress_bytes_per_minute` = {}: try again in a minute, or raise it",
                self.tenant,
                show_size(self.quota.egress_bytes_per_minute)
            ),
        )
    }

    /// A request was denied; the operator reads it in the log.
    pub(super) fn blocked(&self, detail: &str) {
        self.blocked.fetch_add(1, Ordering::Relaxed);
        tracing::info!(tenant = %self.tenant, "{detail}");
    }
}
