//! Takes out of an answer what was secret in its request: servers tell back what they were told, in error pages above all.

use bytes::Bytes;

use super::fill::{Place, replace};

/// What is shorter than this would be found by chance, and says little.
const SHORTEST: usize = 6;

/// The texts that an answer must not hold, and what stands there instead.
#[derive(Debug, Default)]
pub(crate) struct Scrubber {
    hidden: Vec<(String, String)>,
}

impl Scrubber {
    /// Hides a text from now on.
    pub fn hide(&mut self, text: &str, shown: &str) {
        if text.len() >= SHORTEST && !self.hidden.iter().any(|(hidden, _)| hidden == text) {
            self.hidden.push((text.to_owned(), shown.to_owned()));
            // A longer one may hold a shorter one, of which nothing must be left.
            self.hidden.sort_by_key(|(hidden, _)| std::cmp::Reverse(hidden.len()));
        }
    }

    /// Hides credentials from now on, in every spelling in which they may come back.
    pub fn hide_all(&mut self, text: &str) {
        for place in Place::ALL {
            self.hide(&place.write(text), "***");
        }
    }

    /// Whether nothing is hidden.
    pub fn is_empty(&self) -> bool {
        self.hidden.is_empty()
    }

    /// A text without them.
    pub fn text(&self, text: &mut String) {
        for (hidden, shown) in &self.hidden {
            if text.contains(hidden.as_str()) {
                *text = text.replace(hidden.as_str(), shown);
            }
        }
    }

    /// A body without them.
    pub fn body(&self, body: &mut Bytes) {
        for (hidden, shown) in &self.hidden {
            if let Some(replaced) = replace(body, hidden.as_bytes(), shown.as_bytes()) {
                *body = replaced.into();
            }
        }
    }
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
            let mut echoed = Bytes::from(format!("you said {}!", filling.text(&placeholder, place)));
            scrubber.body(&mut echoed);
            assert_eq!(echoed, format!("you said {placeholder}!"), "{place:?}");
        }
    }

    #[test]
    fn the_longest_is_taken_out_first_and_short_ones_stay() {
        let mut scrubber = Scrubber::default();
        for text in ["secret", "secret-and-more", "short"] {
            scrubber.hide(text, "***");
        }
        let mut text = "a secret-and-more, a secret, in short".to_owned();
        scrubber.text(&mut text);
        assert_eq!(text, "a ***, a ***, in short");
    }
}
