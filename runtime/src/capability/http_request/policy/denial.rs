//! A denial: what decided, and the lines that would allow it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use hyper::Method;
use ipnet::IpNet;
use url::Host;

use super::super::address;
use super::{Miss, Subject};
use crate::config::{HostRule, PathPattern, Ports};

/// Why something is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Denial {
    /// What decided: a sentence without its beginning and its full stop.
    pub reason: String,
    /// Lines of flowcell.toml that would allow it. None where no line would.
    pub add: Option<String>,
    /// The address is public, and it is a host rule that is missing: who knows the request can say which.
    pub wants_rule: bool,
}

impl Denial {
    pub(super) fn special(ip: IpAddr, kind: &str) -> Self {
        Self { reason: format!("{ip} is {kind}"), add: Some(network_lines(ip)), wants_rule: false }
    }

    pub(super) fn outside_networks(ip: IpAddr) -> Self {
        Self {
            reason: format!("{ip} is in none of the tenant's networks, and no host rule allows this request"),
            add: Some(network_lines(ip)),
            wants_rule: true,
        }
    }

    pub(super) fn own_listener(address: SocketAddr) -> Self {
        Self {
            reason: format!(
                "{address} is this host's own listener, of which a step reaches only /hooks/ and /callbacks/, and these \
                 where a network rule opens the address"
            ),
            add: None,
            wants_rule: false,
        }
    }

    pub(super) fn no_rule(subject: &Subject<'_>, nearest: Option<(&HostRule, Miss)>) -> Self {
        let asked = format!("{} {}", subject.method, show_url(subject));
        let reason = match nearest {
            None => format!("no rule allows {asked}"),
            Some((rule, Miss::Method)) => format!(
                "the rule for \"{}\" allows {}, and this is {asked}",
                rule.host,
                list(rule.methods.iter().flatten().map(Method::as_str))
            ),
            Some((rule, Miss::Path)) => format!(
                "the rule for \"{}\" allows the paths {}, and this is {asked}",
                rule.host,
                list(rule.paths.iter().flatten().map(PathPattern::to_string))
            ),
            Some((rule, _)) => {
                format!(
                    "the rule for \"{}\" allows {}, and this is {asked}",
                    rule.host,
                    show_ports(&rule.ports)
                )
            }
        };
        // No rule opens clear text on the port of https, and none that names a host opens an address which is not public.
        let possible = subject.https || subject.port != 443;
        let add = match literal(subject) {
            Some(ip) if address::special(ip).is_some() => Some(network_lines(ip)),
            _ => possible.then(|| host_lines(subject, nearest.map(|(rule, _)| rule))),
        };
        Self { reason, add, wants_rule: false }
    }

    /// The same, told of the name that was looked up.
    pub(in super::super) fn of_name(mut self, name: &str) -> Self {
        self.reason = format!("{name} resolves to {}", self.reason.replacen(" is ", ", ", 1));
        self
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blocked: {}", self.reason)?;
        match &self.add {
            None => Ok(()),
            Some(lines) => write!(f, "; to allow it add  {}", lines.replace('\n', " ")),
        }
    }
}

/// The address that stands in the URL in place of a name.
fn literal(subject: &Subject<'_>) -> Option<IpAddr> {
    match subject.host {
        Host::Domain(_) => None,
        Host::Ipv4(ip) => Some(address::canonical(ip.into())),
        Host::Ipv6(ip) => Some(address::canonical(ip.into())),
    }
}

fn network_lines(ip: IpAddr) -> String {
    format!("[[tenant.allow]]\nnetwork = \"{}\"", IpNet::from(ip))
}

/// The smallest rule that allows the request: as narrow in methods and paths as the one that came nearest.
fn host_lines(subject: &Subject<'_>, nearest: Option<&HostRule>) -> String {
    let mut lines = format!("[[tenant.allow]]\nhost = \"{}\"", subject.host);
    if !subject.https || subject.port != 443 {
        lines += &format!("\nports = [{}]", subject.port);
    }
    if nearest.is_some_and(|rule| rule.methods.is_some()) {
        lines += &format!("\nmethods = [\"{}\"]", subject.method);
    }
    // A path with escapes has no pattern that would be safe to propose.
    let safe = subject.path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
    if safe && nearest.is_some_and(|rule| rule.paths.is_some()) {
        lines += &format!("\npaths = [\"{}\"]", subject.path);
    }
    lines
}

fn show_url(subject: &Subject<'_>) -> String {
    let (scheme, usual) = if subject.https { ("https", 443) } else { ("http", 80) };
    let port = if subject.port == usual { String::new() } else { format!(":{}", subject.port) };
    format!("{scheme}://{}{port}{}", subject.host, subject.path)
}

fn show_ports(ports: &Ports) -> String {
    match ports {
        Ports::Any => "every port".to_owned(),
        Ports::These(ports) if ports[..] == [443] => "https on port 443".to_owned(),
        Ports::These(ports) => format!("the ports {}", list(ports)),
    }
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
