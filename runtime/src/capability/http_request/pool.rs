//! Pools of connections, each for what its connections were judged for.
//!
//! A pool belongs to one tenant, one generation of its policy, one client certificate or none, and one sort of [`Access`].
//! Inside it is keyed by scheme and authority. So a connection is reused only by requests for which its address was judged,
//! and which are the same client to the server.

use std::collections::HashMap;
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::body::OutgoingBody;
use super::connect::{ConnectError, Connector, Dialer, Means};
use super::policy::{Access, Denial, Policy};
use super::proxy::Proxy;
use super::tls::{Roots, Trusted};
use crate::capability::vault::{Connection, Identity};
use crate::config::{AllowRule, Limits, ProxyConfig};
use crate::descriptors;
use crate::id::TenantId;
use crate::shares::Shares;

/// What all tenants of a host have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) limits: Limits,
    pub(super) listeners: Vec<SocketAddr>,
    pub(super) roots: Roots,
    pub(super) proxy: Option<Proxy>,
    /// Connections that may be open at the same time.
    pub(super) connections: Shares<TenantId>,
    #[cfg(test)]
    pub(super) names: super::connect::Names,
}

impl Shared {
    /// `listeners`: where this host itself listens, which no request reaches but for its hooks.
    /// With a proxy, requests go through it.
    pub(crate) fn new(listeners: Vec<SocketAddr>, proxy: Option<&ProxyConfig>) -> Arc<Self> {
        Arc::new(Self { listeners, proxy: proxy.map(Proxy::new), ..Self::default() })
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            listeners: vec![],
            roots: Roots::default(),
            proxy: None,
            connections: Shares::new(descriptors::connections_out()),
            #[cfg(test)]
            names: super::connect::Names::default(),
        }
    }
}

/// The rules as they are at one time, and the connections that were judged by them.
pub(super) struct Generation {
    /// Connections of nobody in particular.
    pub anonymous: Arc<Lane>,
    /// Connections of clients that are known by a certificate, by the name of the tenant's connection.
    known: Mutex<HashMap<String, IdentityLane>>,
    shared: Arc<Shared>,
    means: Means,
    trusted: Trusted,
}

/// A client certificate, and the connections on which it was shown.
type IdentityLane = (Arc<Identity>, Arc<Lane>);

/// The connections of one client.
pub(super) struct Lane {
    pub dialer: Arc<Dialer>,
    clients: [OnceLock<HttpClient>; 4],
}

type HttpClient = Client<Connector, OutgoingBody>;

impl Generation {
    pub(super) fn new(
        rules: &[AllowRule],
        shared: &Arc<Shared>,
        means: &Means,
        trusted: &Trusted,
    ) -> Arc<Self> {
        let policy = Arc::new(Policy::new(rules, &shared.listeners));
        let dialer = Dialer::new(policy, shared.clone(), means.clone(), (None, trusted.clone()));
        let (shared, means, trusted) = (shared.clone(), means.clone(), trusted.clone());
        Arc::new(Self { anonymous: Lane::new(dialer), known: Mutex::default(), shared, means, trusted })
    }

    /// The rules.
    pub(super) fn policy(&self) -> &Policy {
        &self.anonymous.dialer.policy
    }

    /// The connections that are a request's to use. Those of an older certificate are let go.
    pub(super) fn lane(&self, connection: Option<&Connection>) -> Arc<Lane> {
        let Some((name, identity)) =
            connection.and_then(|connection| Some((&connection.name, connection.identity.as_ref()?)))
        else {
            return self.anonymous.clone();
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((kept, lane)) = known.get(name)
            && Arc::ptr_eq(kept, identity)
        {
            return lane.clone();
        }
        let (policy, shared) = (self.anonymous.dialer.policy.clone(), self.shared.clone());
        let trust = (Some(identity.clone()), self.trusted.clone());
        let lane = Lane::new(Dialer::new(policy, shared, self.means.clone(), trust));
        known.insert(name.clone(), (identity.clone(), lane.clone()));
        lane
    }
}

impl Lane {
    fn new(dialer: Dialer) -> Arc<Self> {
        Arc::new(Self { dialer: Arc::new(dialer), clients: Default::default() })
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
