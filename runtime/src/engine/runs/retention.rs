//! Forgetting the history of runs that are over, when the tenant's time for it has passed. A little at a time, so that
//! nobody who commits waits for it.

use std::sync::Arc;
use std::time::Duration;

use super::Runs;
use crate::clock::after;
use crate::config::Retention;
use crate::engine::lifecycle::PauseEnd;
use crate::journal::StorageError;

/// How often it is looked whether something is old enough.
const PAUSE: Duration = Duration::from_secs(60);
/// What those who commit have for themselves in between.
const BETWEEN: Duration = Duration::from_millis(50);
/// How many runs are forgotten at a time.
const AT_ONCE: u32 = 200;

/// Returns when the host takes nothing new, at once where everything is kept for ever.
pub(super) async fn run(runs: Arc<Runs>) {
    if runs.tenants.all().all(|tenant| tenant.retention == Retention::default()) {
        return;
    }
    loop {
        if let Err(error) = forget(&runs).await {
            tracing::error!(%error, "old runs cannot be forgotten now; trying again");
        }
        if runs.lifecycle.pause(PAUSE).await == PauseEnd::CutShort {
            return;
        }
    }
}

async fn forget(runs: &Runs) -> Result<(), StorageError> {
    for tenant in runs.tenants.all() {
        for (status, kept) in tenant.retention.by_status() {
            let Some(kept) = kept else { continue };
            let Ok(ended_before) = runs.lifecycle.clock.now().checked_sub(kept) else { continue };
            let mut forgotten = 0;
            loop {
                let id = tenant.id.clone();
                let some = runs
                    .journals
                    .durable
                    .journal
                    .ask(move |storage| storage.forget(&id, status, ended_before, AT_ONCE));
                let some = some.await?;
                forgotten += some;
                if some < AT_ONCE {
                    break;
                }
                runs.lifecycle.clock.sleep_until(after(runs.lifecycle.clock.now(), BETWEEN)).await;
            }
            if forgotten > 0 {
                tracing::info!(tenant = %tenant.id, status, forgotten, "old runs are forgotten");
            }
        }
    }
    Ok(())
}
