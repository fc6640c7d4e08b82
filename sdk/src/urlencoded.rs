//! Percent-encoding: names and values into a query or a form, and out of them.
//!
//! It does not parse URLs; the host does that.

/// Adds a parameter to a URL's query, before the fragment, percent-encoded (a space is `%20`).
///
/// ```
/// let mut url = String::from("https://example.com/a?x=1#top");
/// flowcell_sdk::urlencoded::add_to_url(&mut url, "q", "a b&c");
/// assert_eq!(url, "https://example.com/a?x=1&q=a%20b%26c#top");
/// ```
pub fn add_to_url(url: &mut String, name: &str, value: &str) {
    let fragment = url.find('#').map(|at| url.split_off(at));
    let separator = match url.find('?') {
        None => "?",
        Some(at) if at + 1 == url.len() || url.ends_with('&') => "",
        Some(_) => "&",
    };
    url.push_str(separator);
    push_part(url, name);
    url.push('=');
    push_part(url, value);
    if let Some(fragment) = fragment {
        url.push_str(&fragment);
    }
}

/// Adds a field to the text of a form, as `application/x-www-form-urlencoded` (a space is `+`).
///
/// ```
/// let mut form = String::new();
/// flowcell_sdk::urlencoded::push_form(&mut form, "a", "t1");
/// flowcell_sdk::urlencoded::push_form(&mut form, "a", "&=1");
/// assert_eq!(form, "a=t1&a=%26%3D1");
/// ```
pub fn push_form(form: &mut String, name: &str, value: &str) {
    if !form.is_empty() {
        form.push('&');
    }
    push_encoded(form, name, "+");
    form.push('=');
    push_encoded(form, value, "+");
}

/// The names and values of a query or a form, decoded, in order. Bytes that are not UTF-8 are replaced; a `%` that
/// begins no code stays as it is.
///
/// ```
/// use flowcell_sdk::urlencoded::pairs;
/// assert_eq!(pairs("a=1&b=x%20y+z&flag").collect::<Vec<_>>(),
///     [("a".into(), "1".into()), ("b".into(), "x y z".into()), ("flag".into(), String::new())]);
/// ```
pub fn pairs(text: &str) -> impl Iterator<Item = (String, String)> + '_ {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// Adds a text to a URL as one part of it: everything but the unreserved characters of RFC 3986, section 2.3, is
/// percent-encoded.
///
/// ```
/// let mut url = String::from("https://example.com/subs/");
/// flowcell_sdk::urlencoded::push_part(&mut url, "a/b 1");
/// assert_eq!(url, "https://example.com/subs/a%2Fb%201");
/// ```
pub fn push_part(url: &mut String, text: &str) {
    push_encoded(url, text, "%20");
}

/// A part of a URL as the text that it stands for: what [`push_part`] writes is read. A `+` stays one.
///
/// ```
/// assert_eq!(flowcell_sdk::urlencoded::part("a%2Fb%201+2"), "a/b 1+2");
/// ```
pub fn part(text: &str) -> String {
    decode(&text.replace('+', "%2B"))
}

fn push_encoded(out: &mut String, text: &str, space: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            // A form leaves `*` and codes `~`, a URL's query the other way round; both are read alike everywhere.
            b'*' if space == "+" => out.push('*'),
            b'~' if space != "+" => out.push('~'),
            b' ' => out.push_str(space),
            _ => {
                out.push('%');
                out.push(char::from(DIGITS[usize::from(byte >> 4)]));
                out.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let coded = bytes
            .get(at + 1)
            .zip(bytes.get(at + 2))
            .and_then(|(high, low)| Some(hex(*high)? * 16 + hex(*low)?));
        match (bytes[at], coded) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_query_gets_one() {
        let mut url = String::from("https://example.com");
        add_to_url(&mut url, "ä", "~*");
        assert_eq!(url, "https://example.com?%C3%A4=~%2A");
    }

    #[test]
    fn an_open_query_gets_no_second_separator() {
        for (open, full) in [("http://h/?", "http://h/?a=1"), ("http://h/?x&", "http://h/?x&a=1")] {
            let mut url = String::from(open);
            add_to_url(&mut url, "a", "1");
            assert_eq!(url, full);
        }
    }

    #[test]
    fn a_percent_sign_that_begins_no_code_stays() {
        let read: Vec<_> = pairs("a=100%&b=%zz&c=%e4%").collect();
        assert_eq!(read[0].1, "100%");
        assert_eq!(read[1].1, "%zz");
        assert_eq!(read[2].1, "\u{fffd}%");
    }
}
