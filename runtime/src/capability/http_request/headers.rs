//! Headers out, checked and completed; headers in, as text.

use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName,
    HeaderValue, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};

use super::error::Failure;
use crate::config::Limits;

const AGENT: HeaderValue = HeaderValue::from_static(concat!("flowcell/", env!("CARGO_PKG_VERSION")));
const ENCODINGS: HeaderValue = HeaderValue::from_static("gzip, br, deflate, zstd");

/// What of the guest's headers goes along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DroppedHeaders {
    /// Authorization, cookies: we are at another origin than they were meant for.
    pub credentials: bool,
    /// What describes a body: there is none any more.
    pub content: bool,
}

/// The headers of a request, and how many bytes they have on the wire.
pub(super) fn build(
    headers: &[(String, String)],
    dropped: DroppedHeaders,
    limits: &Limits,
) -> Result<(HeaderMap, usize), Failure> {
    if headers.len() > limits.header_count {
        return Err(Failure::invalid(format!(
            "the request has {} headers, {} are allowed",
            headers.len(),
            limits.header_count
        )));
    }
    let mut map = HeaderMap::with_capacity(headers.len() + 4);
    let mut bytes = 0;
    for (name, value) in headers {
        bytes += name.len() + value.len() + ": \r\n".len();
        let (name, value) = header(name, value)?;
        if !(dropped.credentials && is_credential(&name)
            || dropped.content && name.as_str().starts_with("content-"))
        {
            map.append(name, value);
        }
    }
    if bytes > limits.header_bytes {
        return Err(Failure::invalid(format!(
            "the request's headers have {bytes} bytes, {} are allowed",
            limits.header_bytes
        )));
    }
    map.entry(USER_AGENT).or_insert(AGENT);
    map.entry(ACCEPT_ENCODING).or_insert(ENCODINGS);
    Ok((map, bytes))
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let shown = name.escape_debug();
    let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
        return Err(Failure::invalid(format!(
            "`{shown}` is not a header's name: it has an illegal character"
        )));
    };
    if is_ours(&parsed) {
        return Err(Failure::invalid(format!("the header `{parsed}` is set by the host: leave it out")));
    }
    // The value is not shown: it may be a secret.
    let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
        Failure::invalid(format!(
            "the header `{parsed}` has a line break or another illegal character in its value"
        ))
    })?;
    Ok((parsed, value))
}

/// Headers that frame the message or speak of the connection, which are the host's.
pub(crate) fn is_ours(name: &HeaderName) -> bool {
    [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, UPGRADE, TE, TRAILER].contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings")
}

fn is_credential(name: &HeaderName) -> bool {
    [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(name)
}

/// About how many bytes headers have on the wire.
pub(super) fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}

/// The headers of an answer as text: UTF-8, or else Latin-1.
pub(super) fn read(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

pub(super) fn text(value: &HeaderValue) -> String {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => text.to_owned(),
        Err(_) => value.as_bytes().iter().map(|byte| char::from(*byte)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(headers: &[(&str, &str)], dropped: DroppedHeaders) -> Result<Vec<(String, String)>, String> {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        build(&headers, dropped, &Limits::default())
            .map(|(map, _)| read(&map))
            .map_err(|failure| failure.detail)
    }

    #[test]
    fn agent_and_encodings_are_added_unless_they_are_set() {
        let agent = format!("flowcell/{}", env!("CARGO_PKG_VERSION"));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            built(&[("X-A", "1"), ("x-a", "2")], DroppedHeaders::default()).unwrap(),
            [
                pair("x-a", "1"),
                pair("x-a", "2"),
                pair("user-agent", &agent),
                pair("accept-encoding", "gzip, br, deflate, zstd")
            ]
        );
        assert_eq!(
            built(&[("User-Agent", "me"), ("Accept-Encoding", "identity")], DroppedHeaders::default())
                .unwrap(),
            [pair("user-agent", "me"), pair("accept-encoding", "identity")]
        );
    }

    #[test]
    fn headers_of_the_host_are_refused_by_name() {
        for name in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "connection",
            "Keep-Alive",
            "proxy-connection",
            "upgrade",
            "TE",
            "trailer",
            "HTTP2-Settings",
        ] {
            let error = built(&[(name, "x")], DroppedHeaders::default()).unwrap_err();
            assert_eq!(
                error,
                format!("the header `{}` is set by the host: leave it out", name.to_lowercase())
            );
        }
    }

    #[test]
    fn illegal_characters_are_refused_and_values_are_not_shown() {
        for value in ["a\r\nb: c", "a\nb", "a\rb", "a\0b", "a\x7fb"] {
            let error = built(&[("x-secret", value)], DroppedHeaders::default()).unwrap_err();
            assert!(
                error.contains("`x-secret`") && !error.contains('b'.to_string().repeat(2).as_str()),
                "{error}"
            );
        }
        for name in ["", "a b", "a\r\nb", "a:b", "ä", "a\0"] {
            assert!(
                built(&[(name, "x")], DroppedHeaders::default()).unwrap_err().contains("illegal"),
                "{name:?}"
            );
        }
        assert!(built(&[("x-a", "tab\tand ä")], DroppedHeaders::default()).is_ok());
    }

    #[test]
    fn there_may_be_many_headers_but_not_too_many() {
        let many: Vec<_> = (0..257).map(|_| ("a", "b")).collect();
        assert!(built(&many, DroppedHeaders::default()).unwrap_err().contains("257 headers"));
        let long = "x".repeat(65 << 10);
        assert!(built(&[("a", &long)], DroppedHeaders::default()).unwrap_err().contains("bytes"));
    }

    #[test]
    fn what_is_dropped_does_not_go_along() {
        let headers = [
            ("Authorization", "x"),
            ("cookie", "x"),
            ("Proxy-Authorization", "x"),
            ("Content-Type", "x"),
            ("content-language", "x"),
            ("accept", "x"),
        ];
        let names = |dropped| -> Vec<String> {
            let kept = built(&headers, dropped).unwrap();
            kept.into_iter().map(|(name, _)| name).take_while(|name| name != "user-agent").collect()
        };
        assert_eq!(
            names(DroppedHeaders { credentials: true, content: false }),
            ["content-type", "content-language", "accept"]
        );
        assert_eq!(names(DroppedHeaders { credentials: true, content: true }), ["accept"]);
        assert_eq!(names(DroppedHeaders { credentials: false, content: true }).len(), 4);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_latin1() {
        assert_eq!(text(&HeaderValue::from_bytes(b"caf\xe9").unwrap()), "café");
        assert_eq!(text(&HeaderValue::from_bytes("café".as_bytes()).unwrap()), "café");
    }
}
