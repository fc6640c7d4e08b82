//! What is computed for a tenant beside its guests: in turns like theirs, and on the same account.

use super::Host;
use super::limits::{CallLimits, fuel};
use super::turns::Record;
use crate::id::TenantId;

impl Host {
    /// Does work of a tenant's: each poll is one turn. `is_long`: no quick call waits for it.
    pub(crate) async fn compute<T: Send>(
        &self,
        tenant: &TenantId,
        limits: CallLimits,
        is_long: bool,
        work: impl Future<Output = T> + Send,
    ) -> T {
        let record = if is_long { Record::long() } else { Record::default() };
        let counted = Counted { host: self, tenant, limits, record };
        self.turns().of(tenant, work).recorded(counted.record.clone()).await
    }
}

/// Puts the time of the turns on the account, also where nobody waits for their end any more.
struct Counted<'h> {
    host: &'h Host,
    tenant: &'h TenantId,
    limits: CallLimits,
    record: Record,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.host.budgets().owe(self.tenant, &self.limits, fuel(self.record.time()));
    }
}
