//! The host's own listeners, which carry its administration and are no place for a step.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::super::address;

/// Addresses that this host listens on.
#[derive(Debug)]
pub(super) struct Listeners(Vec<SocketAddr>);

impl Listeners {
    pub(super) fn new(listeners: &[SocketAddr]) -> Self {
        let canonical =
            |listener: &SocketAddr| SocketAddr::new(address::canonical(listener.ip()), listener.port());
        Self(listeners.iter().map(canonical).collect())
    }

    pub(super) fn have_port(&self, port: u16) -> bool {
        self.0.iter().any(|listener| listener.port() == port)
    }

    /// Whether a connection to this canonical address may end at this host. The same port on any loopback address counts:
    /// a second look would cost more than it tells.
    pub(super) fn include(&self, dial: SocketAddr) -> bool {
        self.0.iter().filter(|listener| listener.port() == dial.port()).any(|listener| {
            listener.ip() == dial.ip()
                || dial.ip().is_loopback()
                || dial.ip().is_unspecified()
                || (listener.ip().is_unspecified() && is_of_this_machine(dial.ip()))
        })
    }
}

/// Asks the routing table, without sending anything: what is sent to an address of this machine would come from it.
fn is_of_this_machine(ip: IpAddr) -> bool {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((ip, 9))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_met_under_every_name_of_this_machine() {
        let listeners =
            Listeners::new(&["127.0.0.1:8080".parse().unwrap(), "[::ffff:10.0.0.7]:81".parse().unwrap()]);
        for text in ["127.0.0.1:8080", "127.9.9.9:8080", "[::1]:8080", "0.0.0.0:8080", "10.0.0.7:81"] {
            assert!(listeners.include(text.parse().unwrap()), "{text}");
        }
        for text in ["127.0.0.1:8081", "10.0.0.7:8080", "1.1.1.1:8080"] {
            assert!(!listeners.include(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_wildcard_listener_is_at_each_address_of_this_machine_and_at_no_other() {
        let listeners = Listeners::new(&["0.0.0.0:8080".parse().unwrap()]);
        assert!(!listeners.include("192.0.2.1:8080".parse().unwrap()));
        let own = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
            socket.connect("192.0.2.1:9")?;
            socket.local_addr()
        });
        // A machine without a network has no address but loopback.
        if let Ok(own) = own {
            assert!(listeners.include(SocketAddr::new(own.ip(), 8080)));
            assert!(!listeners.include(SocketAddr::new(own.ip(), 8081)));
        }
    }
}
