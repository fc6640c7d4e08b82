//! A URL as text, and what is meant by it: parsed once, so that policy, connection and request line see the same parts.

use hyper::{Method, Uri};
use url::{Host, Position, Url, form_urlencoded};

use super::error::Failure;
use super::policy::Subject;
use crate::capability::vault::Place;
use crate::redact::Redactor;

/// Where a request goes.
#[derive(Clone, Debug)]
pub(super) struct Target {
    url: Url,
    uri: Uri,
    https: bool,
    port: u16,
    /// How messages and answers write the URL, where it holds a secret.
    shown: Option<String>,
}

impl Target {
    /// Parses what a guest wrote.
    pub(super) fn parse(text: &str, limit: usize) -> Result<Self, Failure> {
        let text = text.trim_matches(' ');
        if text.is_empty() {
            return Err(Failure::invalid("the URL is empty"));
        }
        if text.len() > limit {
            return Err(Failure::invalid(format!("the URL has {} bytes, {limit} are allowed", text.len())));
        }
        // The parser would drop line breaks in silence.
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(Failure::invalid("the URL has a line break or another control character in it"));
        }
        let url = Url::parse(text).map_err(|error| {
            Failure::invalid(format!("`{}` is not an absolute URL: {error}", shown(text)))
        })?;
        Self::from_url(url, limit).map_err(Failure::invalid)
    }

    /// Where `location`, as a header of the answer, leads. None where it cannot be followed.
    pub(super) fn join(&self, location: &str, limit: usize) -> Option<Self> {
        let mut url = self.url.join(location).ok()?;
        if url.fragment().is_none() {
            url.set_fragment(self.url.fragment());
        }
        Self::from_url(url, limit).ok()
    }

    fn from_url(mut url: Url, limit: usize) -> Result<Self, String> {
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            other => {
                return Err(format!("`{other}:` is not a scheme for requests: use http or https"));
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the URL has a user name or a password in it: send an authorization header instead"
                .to_owned());
        }
        // The dot at the end of a whole name makes another string of the same name.
        if let Some(name) = url.host_str().and_then(|host| host.strip_suffix('.')).map(str::to_owned) {
            url.set_host(Some(&name)).map_err(|error| format!("`{name}.` is not a host: {error}"))?;
        }
        if url.as_str().len() > limit {
            return Err(format!(
                "the URL has {} bytes when it is encoded, {limit} are allowed",
                url.as_str().len()
            ));
        }
        let port = url.port_or_known_default().ok_or("the URL has no port")?;
        let uri = Uri::try_from(&url[..Position::AfterQuery])
            .map_err(|error| format!("`{}` cannot be requested: {error}", shown(url.as_str())))?;
        // Two parsers looked at it. Nothing goes out on which they differ.
        if uri.host() != url.host_str() || uri.port_u16().unwrap_or(port) != port {
            return Err(format!("`{}` is ambiguous about its host", shown(url.as_str())));
        }
        Ok(Self { url, uri, https, port, shown: None })
    }

    /// Path, query and fragment.
    pub(super) fn behind_authority(&self) -> &str {
        &self.url[Position::BeforePath..]
    }

    /// Whether the query has a parameter of that name.
    pub(super) fn has_parameter(&self, name: &str) -> bool {
        self.url.query_pairs().any(|(other, _)| other == name)
    }

    /// Another path and query at the same authority, and a parameter, in place of one of its name; shown as it was.
    pub(super) fn rewritten(
        self,
        rest: &str,
        parameter: Option<(&str, &str)>,
        limit: usize,
    ) -> Result<Self, Failure> {
        let text = format!("{}{rest}", &self.url[..Position::BeforePath]);
        // What is wrong with it is not told: it holds the secret.
        let refused = |_| Failure::invalid("the URL cannot be requested with its secrets in it");
        let mut url = Url::parse(&text).map_err(|_| ()).map_err(refused)?;
        if let Some((name, value)) = parameter {
            let parameter = format!("{}={}", Place::Url.write(name), Place::Url.write(value));
            let is_another = |pair: &&str| {
                !pair.is_empty() && form_urlencoded::parse(pair.as_bytes()).all(|(other, _)| other != name)
            };
            let kept = url.query().unwrap_or_default().split('&').filter(is_another);
            let query: Vec<&str> = kept.chain([parameter.as_str()]).collect();
            let query = query.join("&");
            url.set_query(Some(&query));
        }
        let target = Self::from_url(url, limit).map_err(|_| ()).map_err(refused)?;
        Ok(Self { shown: Some(self.into_string()), ..target })
    }

    /// Shows the URL without what a server told back.
    pub(super) fn hide(&mut self, redactor: &Redactor) {
        if !redactor.is_empty() {
            let mut shown = self.url.as_str().to_owned();
            redactor.text(&mut shown);
            self.shown = Some(shown);
        }
    }

    /// What the policy is asked about.
    pub(super) fn subject<'a>(&'a self, method: &'a Method) -> Subject<'a> {
        Subject { https: self.https, host: self.host(), port: self.port, method, path: self.url.path() }
    }

    pub(super) fn host(&self) -> Host<&str> {
        self.url.host().expect("http and https URLs have a host")
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Host and port for messages, the port where it is unusual.
    pub(super) fn authority(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    pub(super) fn as_str(&self) -> &str {
        self.shown.as_deref().unwrap_or(self.url.as_str())
    }

    /// Whether both are of one origin: scheme, host and port.
    pub(super) fn same_origin(&self, other: &Self) -> bool {
        self.https == other.https && self.port == other.port && self.url.host_str() == other.url.host_str()
    }

    pub(super) fn into_string(self) -> String {
        self.shown.unwrap_or_else(|| self.url.into())
    }
}

/// As much of a text as a message needs.
fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(200)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Target, Failure> {
        Target::parse(text, 8192)
    }

    #[test]
    fn a_url_is_meant_in_one_way() {
        let cases = [
            ("  https://Example.com  ", "https://example.com/"),
            ("http://example.com:80/a b?c d#e", "http://example.com/a%20b?c%20d#e"),
            ("http://example.com.:8080", "http://example.com:8080/"),
            ("http://0x7f000001/", "http://127.0.0.1/"),
            ("http://example.com/{id}|x?q={y}", "http://example.com/%7Bid%7D|x?q={y}"),
            ("http:\\\\example.com\\a", "http://example.com/a"),
            ("http://bücher.example/ä", "http://xn--bcher-kva.example/%C3%A4"),
            ("http://example.com?", "http://example.com/?"),
        ];
        for (text, meant) in cases {
            let target = parse(text).unwrap();
            assert_eq!(target.as_str(), meant, "{text}");
            assert_eq!(target.uri().to_string(), meant.split('#').next().unwrap(), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_the_reason() {
        let long = format!("http://a/{}", "x".repeat(8192));
        let grown = format!("http://a/{}", "ä".repeat(2000));
        let cases = [
            ("", "empty"),
            ("/relative", "not an absolute URL"),
            ("ftp://a/", "use http or https"),
            ("file:///etc/passwd", "use http or https"),
            ("http://u:p@a/", "user name or a password"),
            ("http://u@a/", "user name or a password"),
            ("http://a/\r\nHost: b", "line break"),
            ("http://a\tb/", "control character"),
            ("\nhttp://a/", "line break"),
            ("http://a b/", "not an absolute URL"),
            ("http://", "not an absolute URL"),
            ("http://./", "not a host"),
            ("http://a:99999/", "not an absolute URL"),
            (&long, "are allowed"),
            (&grown, "are allowed"),
        ];
        for (text, reason) in cases {
            let failure = parse(text).unwrap_err();
            assert!(failure.detail.contains(reason), "{text}: {}", failure.detail);
        }
    }

    #[test]
    fn a_location_leads_somewhere_or_nowhere() {
        let from = parse("https://a.example/x/y?q#f").unwrap();
        let cases = [
            ("z", Some("https://a.example/x/z#f")),
            ("/z#g", Some("https://a.example/z#g")),
            ("//b.example/", Some("https://b.example/#f")),
            ("?r", Some("https://a.example/x/y?r#f")),
            ("http://b.example", Some("http://b.example/#f")),
            ("", Some("https://a.example/x/y?q#f")),
            ("ftp://b.example/", None),
            ("http://u:p@b.example/", None),
            ("http://[", None),
            ("javascript:alert(1)", None),
        ];
        for (location, expected) in cases {
            let target = from.join(location, 8192);
            assert_eq!(target.as_ref().map(Target::as_str), expected, "{location}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let a = parse("https://a.example/").unwrap();
        for (url, same) in [
            ("https://a.example:443/x", true),
            ("http://a.example/", false),
            ("https://a.example:444/", false),
            ("https://b.a.example/", false),
        ] {
            assert_eq!(a.same_origin(&parse(url).unwrap()), same, "{url}");
        }
    }
}
