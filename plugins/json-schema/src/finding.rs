//! One thing that is wrong with a value: where, and a sentence that no value makes long.

use std::fmt::{self, Write as _};

use serde_json::{Map, Value};

/// Longest sentence, in characters.
const LONGEST: usize = 500;
/// A longer name is nobody's slip of another one.
const LONGEST_NAME: usize = 64;

/// What is wrong at a place of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A JSON pointer.
    pub at: String,
    /// A sentence.
    pub says: String,
}

impl Finding {
    pub(crate) fn new(at: impl Into<String>, says: impl fmt::Display) -> Self {
        Self { at: at.into(), says: shortened(says) }
    }
}

/// The finding as one sentence, with its place where it has one.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at.as_str() {
            "" => f.write_str(&self.says),
            at => write!(f, "`{at}`: {}", self.says),
        }
    }
}

/// All findings as sentences.
pub fn sentences(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

/// The sentence for a key that the schema does not have.
pub(crate) fn unknown_key(key: &str, known: Option<&Map<String, Value>>) -> String {
    let known: Vec<&str> = known.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    let key = shortened(key);
    if known.is_empty() {
        return format!("there is no `{key}`");
    }
    match nearest(&key, &known) {
        Some(right) => format!("there is no `{key}`: did you mean `{right}`?"),
        None => format!("there is no `{key}`: known are `{}`", known.join("`, `")),
    }
}

/// The key that was probably meant.
fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    if key.len() > LONGEST_NAME {
        return None;
    }
    let near = known.iter().filter(|known| known.len() <= LONGEST_NAME);
    let near = near.map(|known| (strsim::damerau_levenshtein(key, known), *known));
    let (distance, right) = near.min_by_key(|(distance, _)| *distance)?;
    (distance <= right.len().max(key.len()) / 2).then_some(right)
}

/// A sentence that quotes a value, or another one where the quotation leaves no room for what it says.
pub(crate) fn quoting(says: impl fmt::Display, without: impl fmt::Display) -> String {
    let quoted = shortened(says);
    if quoted.ends_with('…') { shortened(without) } else { quoted }
}

/// The beginning of a text. What follows is not even written: it may quote a value of megabytes.
pub(crate) fn shortened(says: impl fmt::Display) -> String {
    let mut short = Short { text: String::new(), left: LONGEST };
    match write!(short, "{says}") {
        Ok(()) => short.text,
        Err(fmt::Error) => short.text + "…",
    }
}

struct Short {
    text: String,
    left: usize,
}

impl fmt::Write for Short {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        match part.char_indices().nth(self.left) {
            Some((end, _)) => {
                self.text.push_str(&part[..end]);
                self.left = 0;
                Err(fmt::Error)
            }
            None => {
                self.left -= part.chars().count();
                self.text.push_str(part);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_ends_where_it_becomes_too_long() {
        assert_eq!(shortened("ä".repeat(LONGEST)), "ä".repeat(LONGEST));
        assert_eq!(shortened("ä".repeat(LONGEST + 1)), "ä".repeat(LONGEST) + "…");
        assert_eq!(shortened(format_args!("{}{}", "a".repeat(LONGEST), "b")), "a".repeat(LONGEST) + "…");
    }

    #[test]
    fn a_slip_is_told_its_name_and_a_long_key_is_not_compared() {
        let known = serde_json::json!({ "method": 1, "url": 1 });
        let said = |key: &str| unknown_key(key, known.as_object());
        assert_eq!(said("metod"), "there is no `metod`: did you mean `method`?");
        assert_eq!(said("colour"), "there is no `colour`: known are `method`, `url`");
        assert!(said(&"m".repeat(100)).contains("known are"));
        assert_eq!(unknown_key("a", None), "there is no `a`");
    }
}
