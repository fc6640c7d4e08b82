//! The address that the server listens on. Binding comes first, before anything is opened or run, so that the address
//! is known to everything that needs it and a busy port is found before anything has happened.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A bound address. Connections queue in the kernel until [`serve`](super::serve) takes them.
pub(crate) struct Listener {
    tcp: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
}

/// Why the server cannot listen; each is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error("cannot listen on {0}: the address is in use; stop the other program or pass --listen")]
    InUse(SocketAddr),
    #[error("cannot listen on {0}: this user may not; take a port above 1023 with --listen")]
    Forbidden(SocketAddr),
    #[error("cannot listen on {0}: this machine has no such address; pass --listen")]
    NoSuchAddress(SocketAddr),
    #[error("cannot listen on {0}: {1}")]
    Other(SocketAddr, io::Error),
    #[error("tls.{key}: {}: {reason}", path.display())]
    Tls { key: &'static str, path: PathBuf, reason: String },
}

impl Listener {
    /// Takes the address; port 0 takes a free one.
    pub(crate) async fn bind(address: SocketAddr, tls: Option<TlsAcceptor>) -> Result<Self, ListenError> {
        let tcp = TcpListener::bind(address).await.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse(address),
            io::ErrorKind::PermissionDenied => ListenError::Forbidden(address),
            io::ErrorKind::AddrNotAvailable => ListenError::NoSuchAddress(address),
            _ => ListenError::Other(address, error),
        })?;
        let address = tcp.local_addr().map_err(|error| ListenError::Other(address, error))?;
        Ok(Self { tcp, address, tls })
    }

    /// The address, with the port that was taken.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDR` or `https://ADDR`, as it is bound.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme(), self.address)
    }

    /// The same, as a client on this machine may call it: the loopback address where every address is listened on.
    pub(crate) fn local_url(&self) -> String {
        let ip = match self.address.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        format!("{}://{}", self.scheme(), SocketAddr::new(ip, self.address.port()))
    }

    fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    pub(super) fn tls(&self) -> Option<TlsAcceptor> {
        self.tls.clone()
    }

    /// The next connection. A failed accept does not end the server: a connection was reset, or the process has no file
    /// descriptor left and waits until one is free.
    pub(super) async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.tcp.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_busy_port_says_what_to_do() {
        let first = Listener::bind("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
        let Err(error) = Listener::bind(first.address(), None).await else {
            panic!("the port is taken");
        };
        let port = first.address().port();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot listen on 127.0.0.1:{port}: the address is in use; stop the other program or pass --listen"
            )
        );
    }

    #[tokio::test]
    async fn a_host_that_listens_everywhere_is_called_by_its_loopback_address() {
        let listener = Listener::bind("0.0.0.0:0".parse().unwrap(), None).await.unwrap();
        let port = listener.address().port();
        assert_eq!(listener.url(), format!("http://0.0.0.0:{port}"));
        assert_eq!(listener.local_url(), format!("http://127.0.0.1:{port}"));
    }
}
