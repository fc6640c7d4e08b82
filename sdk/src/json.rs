//! JSON that is handed on without being taken apart.
//!
//! A body that a plugin only passes on need not become a tree of values in the sandbox. It must, however, be JSON
//! that the host will read: text that a full parser would refuse is refused here, with its place.

use std::fmt;

use serde_json::Value;
use serde_json::value::RawValue;

/// How deep JSON may nest. Hosts read 128 levels, and put what they get into values of their own.
pub const MAX_DEPTH: usize = 100;

/// Why a text is not JSON, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What is wrong.
    pub reason: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {}, column {}", self.reason, self.line, self.column)
    }
}

impl std::error::Error for Broken {}

/// Checks that bytes are JSON, and keeps them as they are. The bytes come back where they are not.
///
/// ```
/// use flowcell_sdk::json;
/// assert_eq!(json::pass(br#" {"a": 1} "#.to_vec()).unwrap().get(), r#"{"a": 1}"#);
/// let (why, bytes) = json::pass(br#"{"a": }"#.to_vec()).unwrap_err();
/// assert_eq!(why.to_string(), "expected value at line 1, column 7");
/// assert_eq!(bytes, br#"{"a": }"#);
/// ```
pub fn pass(bytes: Vec<u8>) -> Result<Box<RawValue>, (Broken, Vec<u8>)> {
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let broken = not_utf8(error.as_bytes(), error.utf8_error().valid_up_to());
            return Err((broken, error.into_bytes()));
        }
    };
    match check(&text) {
        Ok(raw) => Ok(raw.to_owned()),
        Err(broken) => Err((broken, text.into_bytes())),
    }
}

fn check(text: &str) -> Result<&RawValue, Broken> {
    let bytes = text.as_bytes();
    let Glance { brackets, doubtful } = glance(bytes);
    if brackets > MAX_DEPTH
        && let Some(at) = too_deep(bytes)
    {
        return Err(place(bytes, at, format!("more than {MAX_DEPTH} levels of nesting")));
    }
    if doubtful {
        serde_json::from_str::<Value>(text).map_err(|error| Broken::from(&error))?;
    }
    serde_json::from_str(text).map_err(|error| Broken::from(&error))
}

/// What one pass over a text, without branches, tells.
struct Glance {
    /// Opening brackets, in strings too: nothing nests deeper than this.
    brackets: usize,
    /// Whether it may have what only a full parser judges: `\u` codes, which may be half a character, and numbers
    /// with an exponent or very many digits, which may be out of range.
    doubtful: bool,
}

fn glance(bytes: &[u8]) -> Glance {
    let (mut brackets, mut doubtful, mut before, mut digits) = (0, false, 0, 0_usize);
    let mut look = |byte: u8| {
        brackets += usize::from(byte | 0x20 == b'{');
        doubtful |= digits > 300 || (byte | 0x20 == b'e' && digits > 0) || (byte == b'u' && before == b'\\');
        digits = (digits + 1) * usize::from(byte.is_ascii_digit());
        before = byte;
    };
    // A turn of a loop has the sandbox's checks in it: eight bytes in each.
    let (eights, rest) = bytes.as_chunks::<8>();
    for eight in eights {
        for byte in eight {
            look(*byte);
        }
    }
    for byte in rest {
        look(*byte);
    }
    Glance { brackets, doubtful }
}

/// Where the nesting passes the limit. Reads brackets outside strings; the text need not be JSON yet.
fn too_deep(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Some(at);
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

fn not_utf8(bytes: &[u8], at: usize) -> Broken {
    place(bytes, at, "bytes that are not UTF-8".into())
}

fn place(bytes: &[u8], at: usize, reason: String) -> Broken {
    let before = &bytes[..at];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    Broken { reason, line, column }
}

impl From<&serde_json::Error> for Broken {
    fn from(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
        Self { reason: reason.to_owned(), line: error.line(), column: error.column() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        pass(text.as_bytes().to_vec()).unwrap_err().0.to_string()
    }

    #[test]
    fn what_the_host_would_refuse_is_refused_with_its_place() {
        assert_eq!(why("{\n \"a\": tru }"), "expected ident at line 2, column 10");
        assert_eq!(why(r#"{"a": 1} x"#), "trailing characters at line 1, column 10");
        assert!(why("[1e999]").starts_with("number out of range"));
        assert!(why(r#""\ud800""#).contains("surrogate") || why(r#""\ud800""#).contains("hex escape"));
        assert!(why("").starts_with("EOF while parsing"));
        assert_eq!(
            pass(b"\n \xff".to_vec()).unwrap_err().0.to_string(),
            "bytes that are not UTF-8 at line 2, column 2"
        );
    }

    #[test]
    fn nesting_is_limited_and_brackets_in_strings_do_not_count() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(pass(nested(MAX_DEPTH).into_bytes()).is_ok());
        assert_eq!(why(&nested(MAX_DEPTH + 1)), "more than 100 levels of nesting at line 1, column 101");
        assert!(pass(format!("{:?}", "[".repeat(500)).into_bytes()).is_ok());
    }

    #[test]
    fn what_is_passed_is_what_came() {
        for text in [r#"{"a":1.0,"b":"\u00e9","c":12345678901234567890}"#, "null", "[1e3]", r#""x""#] {
            assert_eq!(pass(text.as_bytes().to_vec()).unwrap().get(), text);
        }
    }
}
