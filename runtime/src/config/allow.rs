//! Egress rules as they are meant: `[[tenant.allow]]`, parsed into types that cannot say nonsense.
//!
//! Two kinds. A host rule opens public addresses under a name, for some ports, methods and paths; a network rule opens the
//! addresses in it under any name, wholly. Which requests they let through is `capability::http_request::policy`.

use std::fmt;

use hyper::Method;
use ipnet::IpNet;
use url::Host;

use super::document::{ConfigError, Field, Section};

/// The methods of HTTP that a step may use.
pub const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// One `[[tenant.allow]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowRule {
    /// Public addresses under a name.
    Host(HostRule),
    /// Every address in it, with every port, method and path.
    Network(IpNet),
}

/// What a host rule opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRule {
    /// Under which names.
    pub host: HostPattern,
    /// On which ports.
    pub ports: Ports,
    /// With which methods; none is all.
    pub methods: Option<Vec<Method>>,
    /// On which paths; none is all.
    pub paths: Option<Vec<PathPattern>>,
}

/// Names that a rule is about, in lower case and ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`: all of them, and addresses.
    Any,
    /// `*.example.com`: every name below, at any depth, and not `example.com` itself. Kept with its leading dot.
    Below(String),
    /// One name or address.
    Exactly(Host),
}

/// Ports that a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// All, for http and https: what one's own machine grants, not written in a file.
    Any,
    /// These. Port 443 is for https alone: nobody means clear text there.
    These(Vec<u16>),
}

/// A path in which `*` stands for anything within a segment, and at the end for anything at all. Not percent-encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(String);

impl HostPattern {
    /// Whether the rule is about that host.
    pub fn matches(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Below(suffix), Host::Domain(name)) => {
                name.len() > suffix.len() && name.ends_with(suffix.as_str())
            }
            (Self::Below(_), _) => false,
            (Self::Exactly(Host::Domain(wanted)), Host::Domain(name)) => wanted == name,
            (Self::Exactly(Host::Ipv4(wanted)), Host::Ipv4(address)) => wanted == address,
            (Self::Exactly(Host::Ipv6(wanted)), Host::Ipv6(address)) => wanted == address,
            (Self::Exactly(_), _) => false,
        }
    }

    /// # Errors
    /// A sentence on what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(format!(
                "`{text}` has a scheme: leave `{scheme}://` out, a host rule is about a name"
            ));
        }
        if let Some((name, path)) = text.split_once('/') {
            return Err(format!("`{text}` has a path: write host = \"{name}\" and paths = [\"/{path}\"]"));
        }
        if text.contains('@') {
            return Err(format!("`{text}` has a user in it: write the name alone"));
        }
        if let Ok(address) = text.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>() {
            return Ok(Self::Exactly(Host::Ipv6(address)));
        }
        if let Some((name, port)) = text.rsplit_once(':') {
            return Err(format!("`{text}` has a port: write host = \"{name}\" and ports = [{port}]"));
        }
        match text.strip_prefix("*.") {
            Some(rest) if !rest.contains('*') => match parse_host(rest, text)? {
                Host::Domain(name) => Ok(Self::Below(format!(".{name}"))),
                _ => Err(format!(
                    "`{text}` is not a name: `*.` stands before a domain, as in \"*.example.com\""
                )),
            },
            _ if text.contains('*') => Err(format!(
                "`{text}` has a `*` in the wrong place: it stands alone, \"*\", or for everything below a name, \"*.example.com\""
            )),
            _ => parse_host(text, text).map(Self::Exactly),
        }
    }
}

fn parse_host(name: &str, whole: &str) -> Result<Host, String> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    let host = Host::parse(bare)
        .map_err(|error| format!("`{whole}` is not a host name ({error}), such as \"api.example.com\""))?;
    match &host {
        Host::Domain(domain) if domain.split('.').any(str::is_empty) => {
            Err(format!("`{whole}` is not a host name (an empty part), such as \"api.example.com\""))
        }
        _ => Ok(host),
    }
}

/// As a sentence of the audit log says it.
impl fmt::Display for AllowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = match self {
            Self::Network(network) => return write!(f, "network {network}"),
            Self::Host(rule) => rule,
        };
        write!(f, "host {}", rule.host)?;
        if let Ports::These(ports) = &rule.ports {
            write!(f, " ports {ports:?}")?;
        }
        if let Some(methods) = &rule.methods {
            write!(f, " methods {methods:?}")?;
        }
        let Some(paths) = &rule.paths else { return Ok(()) };
        let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
        write!(f, " paths {paths:?}")
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(suffix) => write!(f, "*{suffix}"),
            Self::Exactly(host) => host.fmt(f),
        }
    }
}

impl PathPattern {
    /// Whether that path, which is not percent-encoded, is one of these.
    pub fn matches(&self, path: &[u8]) -> bool {
        let (pattern, open_end) = match self.0.as_bytes() {
            [pattern @ .., b'*'] => (pattern, true),
            pattern => (pattern, false),
        };
        let (mut at, mut seen) = (0, 0);
        // Where the last `*` stands, and how far it reaches. Going back to the last one is enough, because a `*` does not
        // cross a slash: segments are matched one by one.
        let mut star: Option<(usize, usize)> = None;
        loop {
            if at == pattern.len() && (open_end || seen == path.len()) {
                return true;
            }
            if pattern.get(at) == Some(&b'*') {
                at += 1;
                star = Some((at, seen));
            } else if at < pattern.len() && pattern.get(at) == path.get(seen) {
                (at, seen) = (at + 1, seen + 1);
            } else {
                let Some((after, reach)) = star else { return false };
                match path.get(reach) {
                    None | Some(b'/') => return false,
                    Some(_) => (at, seen, star) = (after, reach + 1, Some((after, reach + 1))),
                }
            }
        }
    }

    /// # Errors
    /// A sentence on what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!("`{text}` is not a path: it begins with `/`, as in \"/v1/*\""));
        }
        if text.contains(['?', '#']) {
            return Err(format!("`{text}` has a query or a fragment: a rule is about the path alone"));
        }
        if text.contains(['%', '\\']) || text.chars().any(char::is_control) {
            return Err(format!("`{text}` has an escape in it: write the path decoded, as people read it"));
        }
        if text.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(format!("`{text}` has a dot segment: write the path that it leads to"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads the list under `allow`.
pub(super) fn rules(field: &Field<'_>) -> Result<Vec<AllowRule>, ConfigError> {
    let known = &["host", "ports", "methods", "paths", "network"];
    field.list()?.iter().map(|item| rule(&item.section("tenant.allow", known)?)).collect()
}

fn rule(section: &Section<'_>) -> Result<AllowRule, ConfigError> {
    match (section.get("host"), section.get("network")) {
        (Some(host), None) => host_rule(section, &host).map(AllowRule::Host),
        (None, Some(network)) => network_rule(section, &network).map(AllowRule::Network),
        (Some(_), Some(network)) => {
            Err(network.error("a rule has either `host` or `network`: write two [[tenant.allow]]"))
        }
        (None, None) => {
            Err(section.error("a rule needs `host` or `network`, such as host = \"api.example.com\""))
        }
    }
}

fn host_rule(section: &Section<'_>, host: &Field<'_>) -> Result<HostRule, ConfigError> {
    Ok(HostRule {
        host: HostPattern::parse(host.text()?).map_err(|sentence| host.error(sentence))?,
        ports: match section.get("ports") {
            Some(field) => Ports::These(some_of(&field, port)?),
            None => Ports::These(vec![443]),
        },
        methods: section.get("methods").map(|field| some_of(&field, method)).transpose()?,
        paths: section.get("paths").map(|field| some_of(&field, path)).transpose()?,
    })
}

fn network_rule(section: &Section<'_>, field: &Field<'_>) -> Result<IpNet, ConfigError> {
    for key in ["ports", "methods", "paths"] {
        if let Some(field) = section.get(key) {
            return Err(
                field.error(format!("a `network` rule opens every port, method and path: leave `{key}` out"))
            );
        }
    }
    let text = field.text()?;
    let network: IpNet = text.parse().map_err(|_| {
        let example = match text.parse::<std::net::IpAddr>() {
            Ok(address) => IpNet::from(address).to_string(),
            Err(_) => "192.168.1.0/24".to_owned(),
        };
        field.error(format!(
            "`{text}` is not a network: write an address and its prefix length, such as \"{example}\""
        ))
    })?;
    if network != network.trunc() {
        return Err(field.error(format!(
            "`{text}` has bits set behind its prefix: write \"{}\", or \"{}\" for the one address",
            network.trunc(),
            IpNet::from(network.addr())
        )));
    }
    match network {
        // Addresses are judged as IPv4 where they are IPv4 in disguise, so such a rule would never apply.
        IpNet::V6(six) if six.prefix_len() >= 96 && six.addr().to_ipv4_mapped().is_some() => {
            Err(field.error(format!("`{text}` is IPv4 written as IPv6: write the IPv4 network")))
        }
        _ => Ok(network),
    }
}

fn port(field: &Field<'_>) -> Result<u16, ConfigError> {
    let number = field.integer().ok_or_else(|| field.wrong_type("a port number"))??;
    match u16::try_from(number) {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(field.error(format!("{number} is not a port: ports go from 1 to 65535"))),
    }
}

fn method(field: &Field<'_>) -> Result<Method, ConfigError> {
    let text = field.text()?;
    METHODS.iter().find(|method| method.as_str() == text).cloned().ok_or_else(|| {
        field.error(format!("`{text}` is not a method: use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS"))
    })
}

fn path(field: &Field<'_>) -> Result<PathPattern, ConfigError> {
    PathPattern::parse(field.text()?).map_err(|sentence| field.error(sentence))
}

fn some_of<T>(
    field: &Field<'_>,
    read: impl Fn(&Field<'_>) -> Result<T, ConfigError>,
) -> Result<Vec<T>, ConfigError> {
    let list = field.list()?;
    if list.is_empty() {
        return Err(field.error(format!(
            "`{0}` is empty, so the rule allows nothing: name some, or leave `{0}` out",
            field.key()
        )));
    }
    list.iter().map(read).collect()
}
