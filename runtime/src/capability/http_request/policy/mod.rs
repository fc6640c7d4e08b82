//! May this tenant send this request, and may it go to this address: the one decision about everything that leaves.
//!
//! Two questions, in this order. [`Policy::admit`], before any look-up: do the rules let a request of this kind out, and
//! which sorts of address may it end at ([`Access`])? [`Policy::judge`], for every address that a name resolves to: is it
//! of such a sort? An answer holds for one request and one connection; redirects ask again. No I/O, no waiting.
//!
//! What is deliberately absent: a way to allow by name what is not public. The owner of a name decides where it leads.

mod denial;
mod listeners;
mod path;

use std::net::SocketAddr;

use hyper::Method;
use ipnet::IpNet;
use url::Host;

pub(super) use denial::Denial;
use listeners::Listeners;

use super::address;
use crate::config::{AllowRule, HostRule, PathPattern, Ports};

/// A tenant's rules, and the addresses of this host that no rule opens.
#[derive(Debug)]
pub(super) struct Policy {
    hosts: Vec<HostRule>,
    networks: Vec<IpNet>,
    listeners: Listeners,
}

/// The parts of a request that rules are about.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub https: bool,
    pub host: Host<&'a str>,
    pub port: u16,
    pub method: &'a Method,
    /// Of the parsed URL: percent-encoded, dot segments resolved.
    pub path: &'a str,
}

/// Where an admitted request may end. A connection that was judged under one is reused under the same one only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    /// The host rule that let it out, and so to public addresses. None where it may go to granted networks only.
    pub rule: Option<usize>,
    /// Whether it may come back to this host, as a hook or a callback.
    pub own_hooks: bool,
}

/// Why an address is in reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    /// It is public, and a host rule let the request out.
    Public,
    /// It lies in this network.
    Network(IpNet),
}

impl Policy {
    pub(super) fn new(rules: &[AllowRule], listeners: &[SocketAddr]) -> Self {
        let mut policy =
            Self { hosts: Vec::new(), networks: Vec::new(), listeners: Listeners::new(listeners) };
        for rule in rules {
            match rule {
                AllowRule::Host(rule) => policy.hosts.push(rule.clone()),
                AllowRule::Network(network) => policy.networks.push(*network),
            }
        }
        policy
    }

    /// Whether a request of this kind may leave, as far as can be told without its address.
    pub(super) fn admit(&self, subject: &Subject<'_>) -> Result<Access, Denial> {
        let rule = self.hosts.iter().position(|rule| miss(rule, subject).is_none());
        if rule.is_none() && self.networks.is_empty() {
            return Err(self.no_rule(subject));
        }
        let own_hooks = self.listeners.have_port(subject.port) && is_hook(subject.path);
        Ok(Access { rule, own_hooks })
    }

    /// Whether an admitted request may go to this address. The answer is the address to dial, in its canonical form.
    pub(super) fn judge(&self, to: SocketAddr, access: Access) -> Result<(SocketAddr, Ground), Denial> {
        let ip = address::canonical(to.ip());
        // A scope id of IPv6 is kept where it is still IPv6.
        let dial = if ip == to.ip() { to } else { SocketAddr::new(ip, to.port()) };
        let network = self.networks.iter().find(|network| network.contains(&ip));
        if self.listeners.include(dial) && !(access.own_hooks && network.is_some()) {
            return Err(Denial::own_listener(dial));
        }
        match network {
            Some(network) => Ok((dial, Ground::Network(*network))),
            None => match address::special(ip) {
                Some(kind) => Err(Denial::special(ip, kind)),
                None if access.rule.is_some() => Ok((dial, Ground::Public)),
                None => Err(Denial::outside_networks(ip)),
            },
        }
    }

    /// A host rule as it would be written, for the explanation.
    pub(super) fn show_rule(&self, access: Access) -> Option<String> {
        access.rule.map(|index| format!("host = \"{}\"", self.hosts[index].host))
    }

    /// The denial when no rule lets the request out; it names the rule that came nearest.
    pub(super) fn no_rule(&self, subject: &Subject<'_>) -> Denial {
        let nearest = self
            .hosts
            .iter()
            .filter_map(|rule| Some((rule, miss(rule, subject)?)))
            .max_by_key(|(_, miss)| *miss)
            .filter(|(_, miss)| *miss != Miss::Host);
        Denial::no_rule(subject, nearest)
    }
}

/// What of a host rule did not fit. The later, the nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Miss {
    Host,
    Port,
    Method,
    Path,
}

fn miss(rule: &HostRule, subject: &Subject<'_>) -> Option<Miss> {
    if !rule.host.matches(&subject.host) {
        return Some(Miss::Host);
    }
    if !port_fits(&rule.ports, subject) {
        return Some(Miss::Port);
    }
    if rule.methods.as_ref().is_some_and(|methods| !methods.contains(subject.method)) {
        return Some(Miss::Method);
    }
    if rule.paths.as_ref().is_some_and(|patterns| !path_fits(patterns, subject.path)) {
        return Some(Miss::Path);
    }
    None
}

fn port_fits(ports: &Ports, subject: &Subject<'_>) -> bool {
    match ports {
        Ports::Any => true,
        Ports::These(ports) => ports.contains(&subject.port) && (subject.https || subject.port != 443),
    }
}

/// Every way in which a server may read the path has to be allowed.
fn path_fits(patterns: &[PathPattern], path: &str) -> bool {
    path::every_reading(path, |reading| patterns.iter().any(|pattern| pattern.matches(reading)))
}

/// The paths under which this host takes requests from anybody.
fn is_hook(path: &str) -> bool {
    path::every_reading(path, |reading| {
        reading.starts_with(b"/hooks/") || reading.starts_with(b"/callbacks/")
    })
}

#[cfg(test)]
mod tests;
