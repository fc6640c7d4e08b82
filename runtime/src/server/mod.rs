//! HTTP in: inbound events for triggers, the REST API, health and metrics.
//!
//! A connection goes through [`connection`], each of its requests through [`request`], which asks [`router`] what is
//! meant and hands it to [`webhook`], [`callback`] or [`api`]. Every error becomes an answer in [`response`]. What a
//! server may be made to hold or wait for stands in [`limits`].
//!
//! Nothing here knows how a flow runs: this module uses the names that the library makes public, and nothing else of it.

mod api;
mod auth;
mod body;
mod callback;
mod connection;
mod limits;
mod listener;
mod metrics;
mod request;
mod response;
mod router;
#[cfg(test)]
pub(crate) mod snapshot;
#[cfg(test)]
mod testing;
mod tls;
mod webhook;

pub(crate) use auth::Access;
pub(crate) use connection::serve;
pub(crate) use listener::{ListenError, Listener};
pub(crate) use tls::acceptor;

use crate::Runtime;

/// What every request may use.
struct State {
    runtime: Runtime,
    access: Access,
    metrics: metrics::Metrics,
    /// Becomes true when the server drains; streams end and waits return then.
    closing: tokio::sync::watch::Receiver<bool>,
}

impl State {
    /// Returns when the server drains.
    async fn closes(&self) {
        // The sender lives as long as the server does; without it, it has drained.
        let _ = self.closing.clone().wait_for(|closing| *closing).await;
    }
}
