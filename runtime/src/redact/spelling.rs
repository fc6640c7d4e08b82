//! The spellings in which a text comes back: as URLs, forms, JSON, XML and HTML write it, and in base64. A caller that
//! writes a value into such a place uses the same writers.

use std::borrow::Cow;
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded::byte_serialize;

/// What a URL need not encode (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How the same writing is spelt otherwise: JSON and HTML have more than one escape for a character, and what must be
/// encoded in a URL depends on the place in it.
const OTHERWISE: &[&[(&str, &str)]] = &[
    &[("/", "\\/")],
    &[("&quot;", "&#34;"), ("&apos;", "&#39;")],
    &[("&quot;", "&#34;"), ("&apos;", "&#x27;")],
    &[("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")],
    &[("%20", "+")],
    &[("%2F", "/")],
];

/// Up to this length, which is that of the longest secret, a text is looked for in all of these. A longer one is a document,
/// whose spellings would take many times its room.
const LONGEST_CREDENTIAL: usize = 16 * 1024;

/// What an escape leaves in front of the letters behind it, where that looks like letters as well: of a slash, an equals
/// sign, a quotation mark, the end of a line.
pub(super) const LEFT_OF_ESCAPES: [&str; 10] =
    ["2F", "2f", "252F", "252f", "3D", "3d", "22", "u002f", "u002F", "n"];

/// How long a part is by which a long text is found.
const PART: usize = 24;

/// The spellings of a text, its own among them.
pub(super) fn all(text: &str) -> BTreeSet<String> {
    let mut spellings = BTreeSet::from([STANDARD.encode(text)]);
    let mut add = |spelling: String| {
        if spelling.contains('%') {
            spellings.insert(percents_in_lower_case(&spelling));
        }
        spellings.insert(spelling);
    };
    let form = byte_serialize(text.as_bytes()).collect::<String>().into();
    let otherwise = if text.len() <= LONGEST_CREDENTIAL { OTHERWISE } else { &[] };
    for written in [Cow::Borrowed(text), in_url(text), form, in_json(text), in_xml(text)] {
        for replacements in otherwise {
            if replacements.iter().any(|(from, _)| written.contains(from)) {
                add(replacements
                    .iter()
                    .fold(written.to_string(), |spelt, (from, to)| spelt.replace(from, to)));
            }
        }
        add(written.into_owned());
    }
    spellings
}

/// The parts of a text that is longer than two of them, in whole characters; what is left at its end is none.
pub(super) fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = if text.len() > 2 * PART { text } else { "" };
    std::iter::from_fn(move || {
        let (part, behind) = rest.split_at_checked(rest.ceil_char_boundary(PART))?;
        rest = behind;
        (part.len() >= PART).then_some(part)
    })
}

/// A text as URLs and forms hold it.
pub(crate) fn in_url(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, RESERVED).into()
}

/// A text as a JSON string holds it, without the quotation marks around it.
pub(crate) fn in_json(text: &str) -> Cow<'_, str> {
    let quoted = serde_json::to_string(text).expect("a text is JSON");
    Cow::Owned(quoted[1..quoted.len() - 1].to_owned())
}

/// A text as XML and HTML hold it.
pub(crate) fn in_xml(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// `%2f` for `%2F`.
fn percents_in_lower_case(text: &str) -> String {
    let mut parts = text.split('%');
    let mut lower = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        lower.push('%');
        lower.push_str(&code.to_ascii_lowercase());
        lower.push_str(rest);
    }
    lower
}
