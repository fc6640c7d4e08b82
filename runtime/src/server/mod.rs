//! HTTP in: inbound events for triggers, the REST API, health and metrics.
//!
//! A connection goes through [`connection`], and each of its requests through [`request`], which asks [`router`] where it
//! leads and hands it to [`webhook`], [`callback`] or [`api`]. Every error becomes an answer in [`response`]. What becomes of
//! an answer that its peer does not take, [`taken`] says. The most that
//! a server holds, and the longest that it waits, stand in [`limits`].
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
mod taken;
#[cfg(test)]
mod testing;
mod tls;
mod webhook;

#[cfg(test)]
pub(crate) use api::{Permit, Route, routes};
pub(crate) use auth::Access;
pub(crate) use connection::serve;
pub(crate) use listener::{ListenError, Listener};
#[cfg(test)]
pub(crate) use router::operation;
pub(crate) use tls::acceptor;

use crate::Runtime;

/// The audit log's words for what a start of the host does without a request.
pub(crate) mod words {
    pub(crate) use super::api::flows::{PUT_FLOW, REMOVE_FLOW};
    pub(crate) use super::api::plugins::INSTALL_PLUGIN;
    pub(crate) use super::api::triggers::{PUT_TRIGGER, REMOVE_TRIGGER};
}

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
