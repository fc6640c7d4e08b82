//! What is computed for a tenant beside its guests: in turns like theirs, and on the same account.

use super::Host;
use super::limits::{CallLimits, fuel};
use super::turns::Computed;
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
        let counted = Counted { host: self, tenant, limits, computed: Computed::default() };
        let turns = self.turns().of(tenant, work).counting(counted.computed.clone());
        if is_long { turns.long().await } else { turns.await }
    }
}

/// Puts the time of the turns on the account, also where nobody waits for their end any more.
struct Counted<'h> {
    host: &'h Host,
    tenant: &'h TenantId,
    limits: CallLimits,
    computed: Computed,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.host.budgets().owe(self.tenant, &self.limits, fuel(self.computed.time()));
    }
}
