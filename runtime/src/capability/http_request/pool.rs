//! Pools of connections, each for what its connections were judged for.
//!
//! A pool belongs to one tenant, one generation of its policy and one sort of [`Access`]; inside, it is keyed by scheme
//! and authority. So a connection is reused only by requests for which its address was judged.

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;

use super::body::Outgoing;
use super::connect::{ConnectError, Connector, Dialer};
use super::policy::{Access, Denial, Policy};
use super::tls::Roots;
use crate::config::{AllowRule, Limits};

/// What all tenants of a host have in common.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(super) limits: Limits,
    pub(super) listeners: Vec<SocketAddr>,
    pub(super) roots: Roots,
    #[cfg(test)]
    pub(super) names: super::connect::Names,
}

impl Shared {
    /// `listeners`: where this host itself listens, which no request reaches but for its hooks.
    pub(crate) fn new(listeners: Vec<SocketAddr>) -> Arc<Self> {
        Arc::new(Self { listeners, ..Self::default() })
    }
}

/// The rules as they are at one time, and the connections that were judged by them.
pub(super) struct Generation {
    pub dialer: Arc<Dialer>,
    clients: [OnceLock<HttpClient>; 4],
}

type HttpClient = Client<Connector, Outgoing>;

impl Generation {
    pub(super) fn new(rules: &[AllowRule], shared: &Arc<Shared>, lookups: &Arc<Semaphore>) -> Arc<Self> {
        let policy = Policy::new(rules, &shared.listeners);
        let dialer = Arc::new(Dialer::new(policy, shared.clone(), lookups.clone()));
        Arc::new(Self { dialer, clients: Default::default() })
    }

    /// The client whose connections were judged for this access.
    pub(super) fn client(&self, access: Access, limits: &Limits) -> &HttpClient {
        let index = usize::from(access.rule.is_some()) + 2 * usize::from(access.own_hooks);
        self.clients[index].get_or_init(|| {
            Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(limits.idle_connection)
                .pool_max_idle_per_host(limits.idle_connections)
                .http1_max_buf_size(limits.header_bytes)
                .http2_max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
                .http2_keep_alive_interval(limits.connect_timeout)
                // Only a request that no connection began to write is sent again by the client itself.
                .retry_canceled_requests(true)
                .set_host(true)
                .build(Connector { dialer: self.dialer.clone(), access })
        })
    }
}

/// The denial that kept a connection from being made.
pub(super) fn denial(error: &ClientError) -> Option<&Denial> {
    match error.source()?.downcast_ref() {
        Some(ConnectError::Blocked(denial)) => Some(denial),
        _ => None,
    }
}

/// Whether the connection ended without a word of an answer.
pub(super) fn is_stale(error: &ClientError) -> bool {
    let Some(cause) = error.source() else { return false };
    let Some(cause) = cause.downcast_ref::<hyper::Error>() else {
        return false;
    };
    let broken = cause.source().is_some_and(|cause| cause.is::<std::io::Error>());
    cause.is_incomplete_message() || cause.is_canceled() || broken
}
