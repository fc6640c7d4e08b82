//! The operator's forward proxy: which requests go through it, and how. Requests of http are given to it as they are,
//! those of https through a tunnel (RFC 9110, section 9.3.6).
//!
//! What a request may reach is judged before, by the addresses that the name has here. A proxy that is asked by name, as most
//! want to be, resolves the name again and may find another address: then the inner networks have to be closed at the proxy
//! as well. One with `resolve = "host"` gives a tunnel to the address that was judged, for http too. Variables of the
//! environment are not looked at.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service as _;

use crate::config::ProxyConfig;

/// The proxy, and what does not go through it.
pub(super) struct Proxy {
    matcher: Matcher,
    by_address: bool,
}

/// It may have a password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxy(…)")
    }
}

/// A request's way through the proxy.
pub(super) struct ProxyWay {
    intercept: Intercept,
    /// Whether all of it is a tunnel, to an address.
    pub by_address: bool,
}

impl Proxy {
    pub(super) fn new(config: &ProxyConfig) -> Self {
        let builder = || Matcher::builder().all(config.url.clone());
        let anywhere = Uri::from_static("http://flowcell.invalid/");
        // A matcher that cannot read its proxy lets everything pass it by.
        assert!(
            builder().build().intercept(&anywhere).is_some(),
            "the configuration has escaped the address of the proxy"
        );
        Self { matcher: builder().no(config.no_proxy.join(",")).build(), by_address: config.by_address }
    }

    /// The way to a host. None where the host is reached directly.
    pub(super) fn way(&self, to: &Uri) -> Option<ProxyWay> {
        let by_address = self.by_address;
        self.matcher.intercept(to).map(|intercept| ProxyWay { intercept, by_address })
    }
}

impl ProxyWay {
    /// Where the proxy is, for messages.
    pub(super) fn shown(&self) -> String {
        let uri = self.intercept.uri();
        format!("{}:{}", uri.host().unwrap_or_default(), port(uri))
    }

    /// What a request of http shows the proxy; in a tunnel it would show it to the other side.
    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.intercept.basic_auth().filter(|_| !self.by_address)
    }

    /// A connection with the proxy.
    pub(super) async fn connect(&self, limit: Duration) -> io::Result<TcpStream> {
        dial(self.intercept.uri().clone(), limit).await
    }

    /// A connection through the proxy with that authority, `host:port`.
    pub(super) async fn tunnel(&self, authority: &str, limit: Duration) -> Result<TcpStream, String> {
        let to = Uri::builder().scheme("https").authority(authority).path_and_query("/").build();
        let to = to.map_err(|error| error.to_string())?;
        let mut tunnel = Tunnel::new(self.intercept.uri().clone(), ProxyDialer(limit));
        if let Some(authorization) = self.intercept.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        match timeout(limit, tunnel.call(to)).await {
            Ok(Ok(stream)) => Ok(stream.into_inner()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no tunnel within {} s", limit.as_secs())),
        }
    }
}

/// What the tunnel dials its proxy with.
struct ProxyDialer(Duration);

impl tower_service::Service<Uri> for ProxyDialer {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, proxy: Uri) -> Self::Future {
        let limit = self.0;
        Box::pin(async move { dial(proxy, limit).await.map(TokioIo::new) })
    }
}

async fn dial(proxy: Uri, limit: Duration) -> io::Result<TcpStream> {
    let host = proxy.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let stream = match timeout(limit, TcpStream::connect((host, port(&proxy)))).await {
        Ok(connected) => connected?,
        Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")),
    };
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

fn port(proxy: &Uri) -> u16 {
    proxy.port_u16().unwrap_or(80)
}
