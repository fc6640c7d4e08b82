//! Asking for the end of a run.

use std::sync::Arc;
use std::time::Duration;

use super::{Runs, view};
use crate::clock::after;
use crate::engine::Runtime;
use crate::engine::observers::RunSummary;
use crate::flow::Event;
use crate::id::{RunId, TenantId};
use crate::journal::RunKey;
use crate::problem::Problem;

/// How long a caller waits for the end that it asked for.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

impl Runtime {
    /// Ends a run. One that is over stays as it is. Returns nothing when there is no such run.
    pub async fn cancel(
        &self,
        tenant: &TenantId,
        run: RunId,
        reason: &str,
    ) -> Result<Option<RunSummary>, Problem> {
        self.rooms.runs.cancel(tenant, run, reason).await
    }
}

impl Runs {
    /// Asks for the end of a run and waits until it is over.
    pub async fn cancel(
        self: &Arc<Self>,
        tenant: &TenantId,
        run: RunId,
        reason: &str,
    ) -> Result<Option<RunSummary>, Problem> {
        let key = RunKey { tenant: tenant.clone(), run };
        let waiters = &self.observers.waiters;
        let over = waiters.watcher(run);
        let found = self.head(&key).await?;
        let Some((_, lane)) = found.as_ref().filter(|(row, _)| row.ended_at.is_none()) else {
            drop(over);
            waiters.forget_gone(run);
            return Ok(found.map(|(row, _)| view::summary(&row)));
        };
        self.deliver(lane, key.clone(), Event::Cancelled { reason: reason.to_owned() });
        let deadline = after(self.lifecycle.clock.now(), ENDS_WITHIN);
        tokio::select! {
            biased;
            _ = over => {}
            () = self.lifecycle.clock.sleep_until(deadline) => {}
        }
        Ok(self.head(&key).await?.map(|(row, _)| view::summary(&row)))
    }
}
