//! What is asked of a host as a whole: its tenants, its metrics, whether it takes events, what its policy says, and its end.

use std::time::Duration;

use serde_json::Value;

use crate::clock::after;
use crate::engine::Runtime;
use crate::engine::lifecycle::HostPhase;
use crate::engine::runs::lease;
use crate::id::TenantId;
use crate::journal::StorageError;
use crate::problem::Problem;

impl Runtime {
    /// The tenants of this host, in order of their names.
    pub fn tenants(&self) -> Vec<TenantId> {
        let mut tenants: Vec<_> = self.rooms.tenants.all().map(|tenant| tenant.id.clone()).collect();
        tenants.sort();
        tenants
    }

    /// Which rule decides about an outbound request, and which line would allow it.
    pub async fn explain(&self, tenant: &TenantId, method: &str, url: &str) -> Result<Value, Problem> {
        let explanation = self.tenant(tenant)?.egress.explain(method, url).await;
        Ok(serde_json::to_value(explanation).unwrap_or_default())
    }

    /// Prometheus text.
    pub fn metrics(&self) -> String {
        let rooms = &self.rooms;
        let of_guests = |tenant: &TenantId| rooms.sandboxes.host.guest_memory(tenant);
        rooms.observers.metrics.text(rooms.runs.active(), &rooms.journals, &rooms.tenants, of_guests)
    }

    /// Whether the host takes events: the error says why not.
    pub async fn ready(&self) -> Result<(), String> {
        let lifecycle = &self.rooms.lifecycle;
        if !lifecycle.is_serving() {
            return Err("draining".to_owned());
        }
        if lifecycle.is_fenced() {
            return Err(StorageError::Fenced.to_string());
        }
        let probe = self.rooms.journals.durable.journal.ask(|storage| storage.probe()).await;
        probe.map_err(|error| error.to_string())
    }

    /// Takes nothing new, lets what is under way finish for at most `within`, and closes the journal. What is still
    /// under way then is continued by the next start.
    pub async fn drain(&self, within: Duration) {
        let (lifecycle, runs) = (&self.rooms.lifecycle, &self.rooms.runs);
        lifecycle.move_to(HostPhase::Draining);
        let over = after(lifecycle.clock.now(), within);
        tokio::select! {
            biased;
            ((), ()) = async { tokio::join!(runs.idle(), lifecycle.switched()) } => {}
            () = lifecycle.clock.sleep_until(over) => {
                tracing::warn!(runs = runs.active(), "time to drain is over; the next start continues them");
            }
        }
        lifecycle.move_to(HostPhase::Drained);
        self.rooms.journals.durable.journal.close().await;
        // After the last commit, which is made under it.
        lease::leave(&self.rooms.journals).await;
    }
}
