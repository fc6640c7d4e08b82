//! Ctrl-C and SIGTERM: the first asks for a graceful end, the second ends at once.

use std::process;

/// Returns when the process is asked to end. From then on a second request ends it without waiting.
pub(super) async fn asked_to_end() {
    let code = next().await;
    tokio::spawn(async move {
        next().await;
        process::exit(code);
    });
}

/// The exit code that a shell gives to a process which the signal ended.
#[cfg(unix)]
async fn next() -> i32 {
    use tokio::signal::unix::{SignalKind, signal};
    let both = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = both else {
        tracing::warn!("signals cannot be received: Ctrl-C ends the process at once");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => 130,
        _ = terminate.recv() => 143,
    }
}

#[cfg(not(unix))]
async fn next() -> i32 {
    if tokio::signal::ctrl_c().await.is_err() {
        return std::future::pending().await;
    }
    130
}
