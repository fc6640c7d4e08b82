//! Where an address leads that an answer gives, and whether it is still the same other side.

/// `https://host:port` of a URL.
pub fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    Some(format!("{scheme}://{authority}").to_ascii_lowercase())
}

/// Where a `Location` leads from a URL.
pub fn joined(from: &str, location: &str) -> Option<String> {
    let location = location.trim();
    if location.contains("://") {
        return Some(location.to_owned());
    }
    let origin = origin(from)?;
    if let Some(elsewhere) = location.strip_prefix("//") {
        return Some(format!("{}://{elsewhere}", origin.split_once("://")?.0));
    }
    if location.starts_with('/') {
        return Some(origin + location);
    }
    let path = from.get(origin.len()..)?.split(['?', '#']).next()?;
    if location.starts_with('?') {
        return Some(format!("{origin}{}{location}", if path.is_empty() { "/" } else { path }));
    }
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    match location.is_empty() {
        true => None,
        false => Some(format!("{origin}{folder}/{location}")),
    }
}

/// Headers that show who asks: they are for the one who was asked first.
pub fn is_credential(name: &str) -> bool {
    ["authorization", "cookie", "proxy-authorization"]
        .iter()
        .any(|credential| name.eq_ignore_ascii_case(credential))
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
        ] {
            assert_eq!(joined(from, location).as_deref(), Some(expected), "{location}");
        }
        assert_eq!(joined(from, " "), None);
        assert_eq!(joined("https://api.example.com", "s").as_deref(), Some("https://api.example.com/s"));
    }
}
