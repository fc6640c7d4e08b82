//! Ctrl-C and SIGTERM: the first asks for a graceful end, the second ends at once. A limit on the size of files is no
//! reason to end.

use std::process;

/// Returns when the process is asked to end. From then on a second request ends it at once. Listening begins with the call
/// itself, so that a signal during the start of a host is heard.
pub(super) fn asked_to_end() -> impl Future<Output = ()> {
    let mut signals = Signals::listen();
    async move {
        let code = signals.next().await;
        tokio::spawn(async move {
            signals.next().await;
            process::exit(code);
        });
    }
}

/// The same number on Linux, the BSDs and macOS.
#[cfg(unix)]
const SIGXFSZ: i32 = 25;

#[cfg(unix)]
struct Signals(Option<[tokio::signal::unix::Signal; 2]>);

#[cfg(unix)]
impl Signals {
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        // From here on the signal is caught; the write that went too far fails, as on a full disk.
        if let Err(error) = signal(SignalKind::from_raw(SIGXFSZ)) {
            tracing::warn!(%error, "a file that grows past the limit of this process will end it");
        }
        let both = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
        let (Ok(interrupt), Ok(terminate)) = both else {
            tracing::warn!("signals cannot be received: Ctrl-C ends the process at once");
            return Self(None);
        };
        Self(Some([interrupt, terminate]))
    }

    /// The exit code that a shell gives to a process which the signal ended.
    async fn next(&mut self) -> i32 {
        let Some([interrupt, terminate]) = &mut self.0 else { return std::future::pending().await };
        tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> Self {
        Self
    }

    async fn next(&mut self) -> i32 {
        if tokio::signal::ctrl_c().await.is_err() {
            return std::future::pending().await;
        }
        130
    }
}
