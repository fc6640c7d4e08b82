//! The hosts that something secret is bound to.

use std::fmt;

use url::Host;

use super::allow::HostPattern;

/// Where something secret may be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Vec<Binding>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Binding {
    host: HostPattern,
    port: Option<u16>,
}

impl Hosts {
    /// Names as `api.example.com`, `*.example.com`, each with or without a port.
    ///
    /// # Errors
    /// A sentence on the first that is wrong.
    pub fn parse(written: &[String]) -> Result<Self, String> {
        written.iter().map(|text| Binding::parse(text)).collect::<Result<_, _>>().map(Self)
    }

    /// Whether it may be sent nowhere.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it may be sent there.
    pub fn admit(&self, host: &Host<&str>, port: u16) -> bool {
        self.0.iter().any(|bound| bound.port.is_none_or(|wanted| wanted == port) && bound.host.matches(host))
    }

    /// Each as it is written.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(Binding::to_string).collect()
    }

    /// `a.example, *.b.example:8443`.
    pub fn listed(&self) -> String {
        match self.0.is_empty() {
            true => "no host".to_owned(),
            false => self.names().join(", "),
        }
    }
}

impl Binding {
    fn parse(text: &str) -> Result<Self, String> {
        let refused = |why: String| format!("`hosts`: {why}");
        let is_ipv6 = text.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>().is_ok();
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !is_ipv6 && !text.contains("://") => match port.parse() {
                Ok(port) if port > 0 => (name, Some(port)),
                _ => {
                    return Err(refused(format!(
                        "`{text}` has no port behind its colon, as in a.example:8443"
                    )));
                }
            },
            _ => (text, None),
        };
        let host = HostPattern::parse(name).map_err(refused)?;
        match host {
            HostPattern::Any => Err(refused(
                "`*` would let it be sent to anybody: name the hosts, such as \"api.example.com\"".to_owned(),
            )),
            host => Ok(Self { host, port }),
        }
    }
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(written: &[&str]) -> Result<Hosts, String> {
        Hosts::parse(&written.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_binding_is_a_host_and_perhaps_a_port() {
        let bound = hosts(&["a.example", "*.b.example:8443", "127.0.0.1:80", "[::1]:81", "::2"]).unwrap();
        let cases = [
            ("https://a.example/", true),
            ("http://a.example:99/", true),
            ("https://x.a.example/", false),
            ("https://x.b.example:8443/", true),
            ("https://x.b.example/", false),
            ("https://b.example:8443/", false),
            ("http://127.0.0.1/", true),
            ("http://127.0.0.1:81/", false),
            ("http://[::1]:81/", true),
            ("http://[::1]/", false),
            ("http://[::2]:5/", true),
        ];
        for (url, expected) in cases {
            let url = url::Url::parse(url).unwrap();
            let port = url.port_or_known_default().unwrap();
            assert_eq!(bound.admit(&url.host().unwrap(), port), expected, "{url}");
        }
        assert_eq!(bound.listed(), "a.example, *.b.example:8443, 127.0.0.1:80, [::1]:81, [::2]");
        assert!(!Hosts::default().admit(&Host::Domain("a.example"), 443));
    }

    #[test]
    fn what_binds_to_everything_or_nothing_is_refused() {
        for (text, reason) in [
            ("*", "anybody"),
            ("*:80", "anybody"),
            ("https://a.example", "scheme"),
            ("a.example/x", "path"),
            ("a.example:", "port"),
            ("a.example:0", "port"),
            ("", "not a host name"),
        ] {
            let error = hosts(&[text]).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
