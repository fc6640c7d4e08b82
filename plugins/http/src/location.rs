//! Where an address leads that an answer gives, and whether it is still the same other side.

/// How the placeholder of a secret begins, for which the host sends the secret.
const SECRET: &str = "flowcell-secret-";

/// `https://host:port` of a URL, without the port that its scheme has anyway.
pub fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let usual = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
    let authority = authority.strip_suffix(usual).unwrap_or(authority);
    Some(format!("{scheme}://{authority}").to_ascii_lowercase())
}

/// Whether it begins with a scheme (RFC 3986, section 3.1).
fn is_absolute(location: &str) -> bool {
    let Some((scheme, rest)) = location.split_once(':') else { return false };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme && rest.starts_with("//")
}

/// Where a `Location` leads from a URL.
pub fn joined(from: &str, location: &str) -> Option<String> {
    let location = location.trim();
    if is_absolute(location) {
        return Some(location.to_owned());
    }
    let origin = origin(from)?;
    if let Some(elsewhere) = location.strip_prefix("//") {
        return Some(format!("{}://{elsewhere}", origin.split_once("://")?.0));
    }
    if location.starts_with('/') {
        return Some(origin + location);
    }
    let rest = from.split_once("://")?.1;
    let path = rest.find(['/', '?', '#']).map_or("", |at| &rest[at..]).split(['?', '#']).next()?;
    if location.starts_with('?') {
        return Some(format!("{origin}{}{location}", if path.is_empty() { "/" } else { path }));
    }
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    match location.is_empty() {
        true => None,
        false => Some(format!("{origin}{folder}/{location}")),
    }
}

/// Headers that show who asks, by their name or by a secret in them: they are for the one who was asked first.
pub fn is_credential(name: &str, value: &str) -> bool {
    ["authorization", "cookie", "proxy-authorization"]
        .iter()
        .any(|credential| name.eq_ignore_ascii_case(credential))
        || value.contains(SECRET)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_read_from_where_it_was_given() {
        let from = "https://api.example.com:8443/v1/orders?x=1";
        for (location, expected) in [
            ("https://other.example.com/s/1", "https://other.example.com/s/1"),
            ("/status/7", "https://api.example.com:8443/status/7"),
            ("status/7", "https://api.example.com:8443/v1/status/7"),
            ("?page=2", "https://api.example.com:8443/v1/orders?page=2"),
            ("//other.example.com/s", "https://other.example.com/s"),
            ("/items?back=https://a.example/", "https://api.example.com:8443/items?back=https://a.example/"),
            ("HTTP://a.example/", "HTTP://a.example/"),
        ] {
            assert_eq!(joined(from, location).as_deref(), Some(expected), "{location}");
        }
        assert_eq!(joined(from, " "), None);
        assert_eq!(joined("https://a.example:443/b/c", "d").as_deref(), Some("https://a.example/b/d"));
        assert_eq!(origin("HTTPS://A.example:443/x"), origin("https://a.example"));
        assert_ne!(origin("http://a.example:443/x"), origin("http://a.example"));
        assert_eq!(joined("https://api.example.com", "s").as_deref(), Some("https://api.example.com/s"));
    }
}
