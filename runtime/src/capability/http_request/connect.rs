//! New connections: a name is resolved once, every address is judged, and a judged address is dialled.
//!
//! Proxies that the environment names are ignored: what goes through one would escape the judgement.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Host;

use super::policy::{Access, Denial, Policy};
use super::pool::Shared;
use super::proxy::ProxyWay;
use super::tls::Trusted;
use crate::capability::vault::Identity;
use crate::id::TenantId;
use crate::shares::Place;

/// Why there is no connection. Nothing of a request has been sent then.
#[derive(Debug)]
pub(super) enum ConnectError {
    /// No address of the name may be reached; the denial of the first.
    Blocked(Denial),
    /// There is no address.
    Dns { name: String, reason: String },
    /// Nobody answers at the address.
    Refused { to: String, reason: String },
    /// The operator's proxy is not there, or does not let it through.
    Proxy { proxy: String, reason: String },
    /// No trust came about; `cut` when the connection ended before that was clear.
    Tls { host: String, reason: String, cut: bool },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked(denial) => denial.fmt(f),
            Self::Dns { name, reason } => write!(f, "the name {name} does not resolve: {reason}"),
            Self::Refused { to, reason } => write!(f, "no connection with {to}: {reason}"),
            Self::Proxy { proxy, reason } => write!(f, "the proxy {proxy} gives no connection: {reason}"),
            Self::Tls { host, reason, .. } => write!(f, "no TLS connection with {host}: {reason}"),
        }
    }
}

impl std::error::Error for ConnectError {}

/// Where names come from, in tests.
#[cfg(test)]
#[derive(Debug, Default)]
pub(super) enum Names {
    /// The system's resolver.
    #[default]
    System,
    /// Answers one after the other; the last one stays.
    Scripted(std::sync::Mutex<Vec<Vec<std::net::IpAddr>>>),
}

/// What opening connections takes of the host, for one tenant.
#[derive(Clone)]
pub(super) struct Means {
    pub tenant: TenantId,
    pub lookups: Arc<Semaphore>,
}

/// Opens connections for one tenant under one generation of its policy.
pub(super) struct Dialer {
    pub policy: Arc<Policy>,
    shared: Arc<Shared>,
    identity: Option<Arc<Identity>>,
    trusted: Trusted,
    tls: OnceCell<TlsConnector>,
    means: Means,
    begun: AtomicU64,
}

impl Dialer {
    /// With an identity, each of its connections is of that client.
    pub(super) fn new(
        policy: Arc<Policy>,
        shared: Arc<Shared>,
        means: Means,
        (identity, trusted): (Option<Arc<Identity>>, Trusted),
    ) -> Self {
        Self { policy, shared, identity, trusted, tls: OnceCell::new(), means, begun: AtomicU64::new(0) }
    }

    /// How many connections have been begun: as long as it stays the same, a request used an older one.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    async fn connect(
        &self,
        to: &Uri,
        host: Host<&str>,
        port: u16,
        access: Access,
    ) -> Result<Wire, ConnectError> {
        let https = to.scheme_str() == Some("https");
        let addresses = self.reachable(&host, port, access).await?;
        if let Some(way) = self.shared.proxy.as_ref().and_then(|proxy| proxy.way(to)) {
            return self.through(&way, (host, port), &addresses, https).await;
        }
        let stream = self.dial(&host, &addresses).await?;
        // A request is written at once; waiting for more of it only costs time.
        let _ = stream.set_nodelay(true);
        if !https {
            return Ok(Wire::Plain(stream));
        }
        self.handshake(host, stream).await.map(|stream| Wire::Tls(Box::new(stream)))
    }

    async fn through(
        &self,
        way: &ProxyWay,
        (host, port): (Host<&str>, u16),
        addresses: &[SocketAddr],
        https: bool,
    ) -> Result<Wire, ConnectError> {
        let limit = self.shared.limits.connect_timeout;
        let failed = |reason: String| ConnectError::Proxy { proxy: way.shown(), reason };
        if !https && !way.by_address {
            return way.connect(limit).await.map(Wire::Proxy).map_err(|error| failed(error.to_string()));
        }
        let asked = match way.by_address {
            true => addresses.iter().map(SocketAddr::to_string).collect(),
            false => vec![format!("{host}:{port}")],
        };
        let mut tunnel = Err(String::new());
        for authority in asked {
            tunnel = way.tunnel(&authority, limit).await;
            if tunnel.is_ok() {
                break;
            }
        }
        let stream = tunnel.map_err(failed)?;
        if !https {
            return Ok(Wire::Plain(stream));
        }
        self.handshake(host, stream).await.map(|stream| Wire::Tls(Box::new(stream)))
    }

    async fn reachable(
        &self,
        host: &Host<&str>,
        port: u16,
        access: Access,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let mut denied = None;
        let mut allowed = Vec::new();
        for address in self.resolve(host, port).await? {
            match self.policy.judge(address, access) {
                Ok((address, _)) => allowed.push(address),
                Err(denial) => denied = denied.or(Some(denial)),
            }
        }
        match denied {
            Some(denial) if allowed.is_empty() => Err(ConnectError::Blocked(match host {
                Host::Domain(name) => denial.of_name(name),
                _ => denial,
            })),
            _ => Ok(allowed),
        }
    }

    /// The addresses of a host, at least one.
    pub(super) async fn resolve(
        &self,
        host: &Host<&str>,
        port: u16,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let name = match host {
            Host::Ipv4(address) => return Ok(vec![SocketAddr::new((*address).into(), port)]),
            Host::Ipv6(address) => return Ok(vec![SocketAddr::new((*address).into(), port)]),
            Host::Domain(name) => *name,
        };
        let failed = |reason: String| ConnectError::Dns { name: name.to_owned(), reason };
        let mut addresses = self.look_up(name, port).await.map_err(|error| failed(error.to_string()))?;
        addresses.truncate(self.shared.limits.addresses);
        if addresses.is_empty() {
            return Err(failed("it has no address".to_owned()));
        }
        Ok(addresses)
    }

    async fn look_up(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        #[cfg(test)]
        if let Names::Scripted(answers) = &self.shared.names {
            let mut answers = answers.lock().unwrap();
            let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
            return Ok(answer.into_iter().map(|ip| SocketAddr::new(ip, port)).collect());
        }
        let permit = self.means.lookups.clone().acquire_owned().await.expect("the semaphore is never closed");
        let name = name.to_owned();
        // The system's resolver cannot be interrupted, so the permit stays with the thread and not with who waits.
        let lookup = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            (name.as_str(), port).to_socket_addrs().map(Iterator::collect)
        });
        lookup.await.map_err(io::Error::other)?
    }

    /// One address after the other; the error is that of the last.
    async fn dial(&self, host: &Host<&str>, addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
        let limit = self.shared.limits.connect_timeout;
        let mut last = ConnectError::Dns { name: host.to_string(), reason: "it has no address".to_owned() };
        for address in addresses {
            let reason = match timeout(limit, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {} s", limit.as_secs()),
            };
            let to = match host {
                Host::Domain(name) => format!("{name} ({address})"),
                _ => address.to_string(),
            };
            last = ConnectError::Refused { to, reason };
        }
        Err(last)
    }

    async fn handshake(
        &self,
        host: Host<&str>,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, ConnectError> {
        let failed = |reason: String, cut| ConnectError::Tls { host: host.to_string(), reason, cut };
        let tls = self
            .tls
            .get_or_try_init(|| self.shared.roots.connector(self.identity.as_deref(), &self.trusted))
            .await
            .map_err(|reason| failed(reason, false))?;
        let name = match host {
            Host::Ipv4(address) => ServerName::from(std::net::IpAddr::from(address)),
            Host::Ipv6(address) => ServerName::from(std::net::IpAddr::from(address)),
            Host::Domain(name) => ServerName::try_from(name.to_owned())
                .map_err(|_| failed("it is not a name that a certificate can have".to_owned(), false))?,
        };
        let limit = self.shared.limits.connect_timeout;
        match timeout(limit, tls.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => {
                let cut = error.get_ref().is_none_or(|cause| !cause.is::<rustls::Error>());
                Err(failed(error.to_string(), cut))
            }
            Err(_) => Err(failed(format!("no handshake within {} s", limit.as_secs()), true)),
        }
    }
}

/// What the pool of connections calls for a new one, for requests of one [`Access`].
#[derive(Clone)]
pub(super) struct Connector {
    pub dialer: Arc<Dialer>,
    pub access: Access,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let Self { dialer, access } = self.clone();
        dialer.begun.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let https = to.scheme_str() == Some("https");
            let port = to.port_u16().unwrap_or(if https { 443 } else { 80 });
            let host = to.host().unwrap_or_default();
            let host = Host::parse(host)
                .map_err(|error| ConnectError::Dns { name: host.to_owned(), reason: error.to_string() })?;
            let host = match &host {
                Host::Domain(name) => Host::Domain(name.as_str()),
                Host::Ipv4(address) => Host::Ipv4(*address),
                Host::Ipv6(address) => Host::Ipv6(*address),
            };
            // Waits where the tenant has its share. The request that wants it has a time of its own.
            let place = dialer.shared.connections.take(&dialer.means.tenant).await;
            let wire = dialer.connect(&to, host, port, access).await?;
            Ok(TokioIo::new(Stream { wire, _place: place }))
        })
    }
}

/// A connection, and its place among those of the host.
pub(super) struct Stream {
    wire: Wire,
    _place: Place<TenantId>,
}

/// With TLS or without.
enum Wire {
    Plain(TcpStream),
    /// With the operator's proxy, which is told the whole address.
    Proxy(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match &self.wire {
            Wire::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            Wire::Proxy(_) => Connected::new().proxy(true),
            _ => Connected::new(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Plain(stream) | Wire::Proxy(stream) => Pin::new(stream).poll_read(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().wire {
            Wire::Plain(stream) | Wire::Proxy(stream) => Pin::new(stream).poll_write(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Plain(stream) | Wire::Proxy(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Plain(stream) | Wire::Proxy(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().wire {
            Wire::Plain(stream) | Wire::Proxy(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Wire::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Plain(stream) | Wire::Proxy(stream) => stream.is_write_vectored(),
            Wire::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
