//! Takes out of an answer what was secret in its request: servers tell back what they were told, in error pages above all.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

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
    }

    /// A body without them.
    pub fn body(&self, body: &mut Bytes) {
        for hidden in &self.hidden {
            if let Some(replaced) = replace(body, hidden.as_bytes(), SHOWN.as_bytes()) {
                *body = replaced.into();
            }
        }
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
