//! Waiting for a condition, with a deadline that only a broken product reaches.

use std::time::Duration;

/// How long anything may take before a test gives up on it. Far longer than it takes: a loaded machine is no failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const EVERY: Duration = Duration::from_millis(15);

/// What the future gives.
///
/// # Panics
/// When it gives nothing in time; `what` names what was waited for.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} in vain for: {what}"),
    }
}

/// Asks `probe` again and again until it gives something.
///
/// # Panics
/// When it gives nothing in time; `what` names what was waited for.
pub async fn until<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(value) = probe().await {
                return value;
            }
            tokio::time::sleep(EVERY).await;
        }
    })
    .await
}
