//! Takes out of an answer what was secret in its request: servers tell back what they were told, in error pages above all.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use memchr::memmem;

use super::escape::Unescaped;
use super::fill::{Place, replace};

/// What is shorter than this would be found by chance, and says little.
const SHORTEST: usize = 6;

/// What stands there instead. Shorter than what is hidden, so that nothing grows.
const SHOWN: &str = "***";

/// The texts that an answer must not hold.
#[derive(Debug, Default)]
pub(crate) struct Scrubber {
    hidden: Vec<String>,
}

impl Scrubber {
    /// Hides a text from now on.
    pub fn hide(&mut self, text: &str) {
        if text.len() >= SHORTEST && !self.hidden.iter().any(|hidden| hidden == text) {
            self.hidden.push(text.to_owned());
            // A longer one may hold a shorter one, of which nothing must be left.
            self.hidden.sort_by_key(|hidden| std::cmp::Reverse(hidden.len()));
        }
    }

    /// Hides credentials from now on, in the spellings in which servers tell them back.
    pub fn hide_all(&mut self, text: &str) {
        for place in Place::ALL {
            let written = place.write(text);
            // Percent-encoding has two cases, JSON and HTML have more than one escape for a character.
            for spelling in [
                percents_in_lower_case(&written),
                written.replace('/', "\\/"),
                written.replace("&quot;", "&#34;").replace("&apos;", "&#39;"),
                written.replace("&quot;", "&#34;").replace("&apos;", "&#x27;"),
                written.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e"),
                written.replace("%20", "+"),
                written.replace("%2F", "/"),
            ] {
                self.hide(&spelling);
            }
            self.hide(&written);
        }
        self.hide(&STANDARD.encode(text));
    }

    /// Whether nothing is hidden.
    pub fn is_empty(&self) -> bool {
        self.hidden.is_empty()
    }

    /// A text without them.
    pub fn text(&self, text: &mut String) {
        for hidden in &self.hidden {
            if text.contains(hidden.as_str()) {
                *text = text.replace(hidden.as_str(), SHOWN);
            }
        }
        if let Some(shown) = self.behind_escapes(text.as_bytes()) {
            *text = String::from_utf8_lossy(&shown).into_owned();
        }
    }

    /// A body without them.
    pub fn body(&self, body: &mut Bytes) {
        for hidden in &self.hidden {
            if let Some(replaced) = replace(body, hidden.as_bytes(), SHOWN.as_bytes()) {
                *body = replaced.into();
            }
        }
        if let Some(shown) = self.behind_escapes(body) {
            *body = shown.into();
        }
    }

    /// The text without what stands in it behind the escapes of JSON, and of JSON within JSON. None: nothing does.
    fn behind_escapes(&self, text: &[u8]) -> Option<Vec<u8>> {
        if self.hidden.is_empty() {
            return None;
        }
        let once = Unescaped::of(text)?;
        let mut found: Vec<(usize, usize)> =
            self.found(&once.text).map(|(start, end)| once.range(start, end)).collect();
        if let Some(twice) = Unescaped::of(&once.text) {
            let within = self.found(&twice.text).map(|(start, end)| twice.range(start, end));
            found.extend(within.map(|(start, end)| once.range(start, end)));
        }
        found.sort_unstable();
        let (mut shown, mut kept) = (Vec::with_capacity(text.len()), 0);
        for (start, end) in found.iter().copied() {
            if start >= kept {
                shown.extend_from_slice(&text[kept..start]);
                shown.extend_from_slice(SHOWN.as_bytes());
            }
            kept = kept.max(end);
        }
        shown.extend_from_slice(&text[kept..]);
        (!found.is_empty()).then_some(shown)
    }

    /// Where they are in a text.
    fn found<'t>(&'t self, text: &'t [u8]) -> impl Iterator<Item = (usize, usize)> + 't {
        self.hidden.iter().flat_map(move |hidden| {
            let finder = memmem::find_iter(text, hidden.as_bytes());
            finder.map(move |at| (at, at + hidden.len()))
        })
    }
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

#[cfg(test)]
mod tests {
    use super::super::Filling;
    use super::super::fill::tests::credentials;
    use super::*;

    #[test]
    fn what_comes_back_is_taken_out_in_every_spelling() {
        let (credentials, placeholder) = credentials("key", "s3cr3t & \"more\"", &[]);
        let filling = Filling::of(&credentials, [placeholder.as_bytes()].into_iter()).unwrap();
        let mut scrubber = Scrubber::default();
        filling.guard(&mut scrubber);
        for place in [Place::Text, Place::Header, Place::Url, Place::Json, Place::Form, Place::Xml] {
            let said = filling.text(&placeholder, place, 1000).unwrap();
            let mut echoed = Bytes::from(format!("you said {said}!"));
            scrubber.body(&mut echoed);
            assert_eq!(echoed, "you said ***!", "{place:?}");
        }
        let mut scrubber = Scrubber::default();
        scrubber.hide_all("a/b&c'd\"e<f");
        for echoed in [
            "a\\/b&c'd\"e<f",
            "a/b\\u0026c'd\"e\\u003cf",
            "a/b&amp;c&#39;d&#34;e&lt;f",
            "a%2fb%26c%27d%22e%3cf",
            "YS9iJmMnZCJlPGY=",
        ] {
            let mut text = echoed.to_owned();
            scrubber.text(&mut text);
            assert_eq!(text, "***", "{echoed}");
        }
    }

    #[test]
    fn what_comes_back_behind_escapes_is_taken_out() {
        let mut scrubber = Scrubber::default();
        let secret = "ab+cd/ef'gh\"\\pässwört\nline-two";
        scrubber.hide_all(secret);
        let once = serde_json::to_string(secret).unwrap();
        let every: String = secret.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        for echoed in [
            once.replace('+', "\\u002B").replace('\'', "\\u0027"),
            once.replace('ä', "\\u00e4").replace('ö', "\\u00F6"),
            format!("\"{every}\""),
            serde_json::to_string(&once).unwrap(),
            serde_json::to_string(&format!("\"{every}\"")).unwrap(),
        ] {
            let mut body = Bytes::from(format!("{{\"say\":{echoed},\"n\":1}}"));
            scrubber.body(&mut body);
            let shown = String::from_utf8(body.to_vec()).unwrap();
            assert!(shown.contains("***") && shown.ends_with(",\"n\":1}"), "{echoed}: {shown}");
            assert!(
                !shown.contains("line-two") && !shown.contains("wört") && !shown.contains(&every),
                "{shown}"
            );
            serde_json::from_str::<serde_json::Value>(&shown).unwrap();
        }
    }

    #[test]
    fn the_longest_is_taken_out_first_and_short_ones_stay() {
        let mut scrubber = Scrubber::default();
        for text in ["secret", "secret-and-more", "short"] {
            scrubber.hide(text);
        }
        let mut text = "a secret-and-more, a secret, in short".to_owned();
        scrubber.text(&mut text);
        assert_eq!(text, "a ***, a ***, in short");
    }
}
