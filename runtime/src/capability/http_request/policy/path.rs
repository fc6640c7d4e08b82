//! The ways in which servers read one path.
//!
//! `/v1/..%2fadmin` is a strange name below `/v1/` to one server, and `/admin` to another that decodes before it resolves
//! dots. A rule that opens `/v1/*` must not open the second, so a path passes only when all its readings do.

/// How often an escape is undone. What is escaped more often is meant to get past somebody.
const DEPTH: usize = 3;

/// Whether `allowed` holds for each reading of a path that the URL parser has already resolved.
pub(super) fn every_reading(path: &str, allowed: impl Fn(&[u8]) -> bool) -> bool {
    let bytes = path.as_bytes();
    let plain = !bytes.iter().any(|byte| matches!(byte, b'%' | b';' | b'\\'))
        && !bytes.windows(2).any(|pair| pair == b"//");
    if plain {
        return allowed(bytes);
    }
    // As the standard has it: an escaped slash is part of a name.
    if !allowed(&decode(bytes, |byte| !matches!(byte, b'/' | b'\\' | b'%' | 0))) {
        return false;
    }
    let mut text = bytes.to_vec();
    for _ in 0..DEPTH {
        text = decode(&text, |_| true);
        if text.contains(&0) || !allowed(&resolve(&text)) {
            return false;
        }
        if !has_escape(&text) {
            return true;
        }
    }
    false
}

/// Undoes the escapes of those bytes for which `wanted` holds.
fn decode(text: &[u8], wanted: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match escape(&text[at..]) {
            Some(byte) if wanted(byte) => {
                decoded.push(byte);
                at += 3;
            }
            _ => {
                decoded.push(text[at]);
                at += 1;
            }
        }
    }
    decoded
}

fn has_escape(text: &[u8]) -> bool {
    (0..text.len()).any(|at| escape(&text[at..]).is_some())
}

fn escape(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// As lenient servers have it: backslashes are slashes, empty segments are nothing, and parameters (`..;x`) do not hide
/// dots.
fn resolve(text: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_open = true;
    for segment in text.split(|byte| matches!(byte, b'/' | b'\\')) {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or(segment);
        ends_open = true;
        match name {
            b"" if segment.is_empty() => {}
            b"." => {}
            b".." => {
                kept.pop();
            }
            _ => {
                kept.push(segment);
                ends_open = false;
            }
        }
    }
    let mut path = Vec::with_capacity(text.len());
    for segment in kept {
        path.push(b'/');
        path.extend_from_slice(segment);
    }
    if ends_open {
        path.push(b'/');
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PathPattern;

    fn passes(pattern: &str, path: &str) -> bool {
        let pattern = PathPattern::parse(pattern).unwrap();
        every_reading(path, |reading| pattern.matches(reading))
    }

    #[test]
    fn escapes_do_not_lead_out_of_a_rule() {
        let out = [
            "/v1/..%2fadmin",
            "/v1/..%2Fadmin",
            "/v1/%2e%2e%2fadmin",
            "/v1/..%5cadmin",
            "/v1/..\\admin",
            "/v1/..%252fadmin",
            "/v1/%252e%252e/admin",
            "/v1/..%25252fadmin",
            "/v1/..%2525252525fadmin",
            "/v1/..;/admin",
            "/v1/..;x=1/admin",
            "/v1/%2e%2e;/admin",
            "/v1/a%2f..%2f..%2fadmin",
            "/v1//..%2fadmin",
            "/v1/%00/admin",
            "/v1/a/%2e%2e/%2e%2e/admin",
            "//v1/..%2fadmin",
            "/v1/.%2e%5C.%2E%5cetc",
        ];
        for path in out {
            assert!(!passes("/v1/*", path), "{path}");
        }
    }

    #[test]
    fn honest_escapes_pass() {
        let within = [
            "/v1/a",
            "/v1/",
            "/v1/a%20b",
            "/v1/group%2Fproject/issues",
            "/%76%31/a",
            "/v1/100%25",
            "/v1/a//b",
            "/v1/a;b=c/d",
            "/v1/%C3%A4",
            "/v1/%zz",
            "/v1/a%2fb%2f..%2fc",
        ];
        for path in within {
            assert!(passes("/v1/*", path), "{path}");
        }
        assert!(passes("/users/ä", "/users/%C3%A4"));
        assert!(passes("/a b", "/a%20b"));
        assert!(!passes("/projects/*/issues", "/projects/group%2Fproject/issues"));
    }
}
