//! Hiding: texts that are not shown, in every place and in every spelling.
//!
//! A [`Redactor`] takes out texts that are known: the secrets of a request out of its answer, the masked values of a run
//! out of its history. [`tokens`] takes out what is not known beforehand and can only be asked about: the tokens of
//! addresses. Both read a text as it stands, and behind the escapes of JSON (`escape`); the ways of writing a text are
//! one list (`spelling`); and of what is found, all that overlaps or touches becomes one [`MARK`].
//!
//! Which texts are hidden, and from whom, is the callers' business: the vault's, the masks' and the API's.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

mod escape;
mod spelling;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use spelling::{in_json, in_url, in_xml};

/// What stands in the place of a hidden text.
pub(crate) const MARK: &str = "***";

/// A text shorter than this would be found by chance, and says little.
pub(crate) const SHORTEST: usize = 6;

/// How many bytes of spellings are looked for. Beyond it everything is hidden.
const SPELLING_BYTES: usize = 2 << 20;

/// The shortest token: that of a hook has 24 bytes in base64.
const TOKEN_CHARACTERS: usize = 32;

/// The texts that are hidden.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    texts: BTreeSet<String>,
    parts_too: bool,
    /// Made with the first search after a change. None where there is more to look for than is looked for.
    finder: OnceLock<Option<AhoCorasick>>,
}

impl Redactor {
    /// One that finds parts of a long text as well, for messages cut them off.
    pub fn of_parts_too() -> Self {
        Self { parts_too: true, ..Self::default() }
    }

    /// Hides a text from now on, in every spelling.
    pub fn hide(&mut self, text: &str) {
        if !text.is_empty() && self.texts.insert(text.to_owned()) {
            self.finder = OnceLock::new();
        }
    }

    /// Whether nothing is hidden.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Whether there is so much to hide that everything is hidden.
    pub fn hides_everything(&self) -> bool {
        !self.is_empty() && self.finder().is_none()
    }

    /// How many texts are hidden.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether exactly this text is hidden.
    pub fn hides(&self, text: &str) -> bool {
        self.texts.contains(text)
    }

    /// Takes the texts out of a text.
    pub fn text(&self, text: &mut String) {
        if let Some(shown) = self.without(text.as_bytes()) {
            *text = String::from_utf8(shown).unwrap_or_else(|_| MARK.to_owned());
        }
    }

    /// These bytes without the texts. None when none of the texts is in them.
    pub fn without(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.is_empty() {
            return None;
        }
        let Some(finder) = self.finder() else { return Some(MARK.into()) };
        let mut places = vec![];
        let mut is_within_limits = true;
        escape::each_reading(bytes, |reading, stands_at| match found(finder, reading) {
            Some(found) => places.extend(found.into_iter().map(stands_at)),
            None => is_within_limits = false,
        });
        if is_within_limits { marked(bytes, places) } else { Some(MARK.into()) }
    }

    fn finder(&self) -> Option<&AhoCorasick> {
        self.finder.get_or_init(|| self.made_finder()).as_ref()
    }

    fn made_finder(&self) -> Option<AhoCorasick> {
        let mut patterns = BTreeSet::new();
        let mut bytes = 0;
        for text in &self.texts {
            let spellings = spelling::all(text).into_iter().filter(|spelling| spelling.len() >= SHORTEST);
            let parts = spelling::parts(text).filter(|_| self.parts_too).map(str::to_owned);
            for pattern in spellings.chain(parts) {
                bytes += pattern.len();
                patterns.insert(pattern);
            }
            if bytes > SPELLING_BYTES {
                return None;
            }
        }
        let mut builder = AhoCorasick::builder();
        let built = builder.kind(Some(AhoCorasickKind::ContiguousNFA)).build(patterns);
        Some(built.expect("the texts are far fewer than an automaton can have"))
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} texts)", self.len())
    }
}

/// These bytes without tokens. None when there is no token in them. Each run of letters that could be a token is asked
/// about, because an address may be written within a query, or its parts apart. A token is not found within another
/// encoding of the whole, such as base64.
pub(crate) fn tokens(bytes: &[u8], is_token: impl Fn(&str) -> bool) -> Option<Vec<u8>> {
    let mut places = vec![];
    escape::each_reading(bytes, |reading, stands_at| {
        let mut at = 0;
        while at < reading.len() {
            let is_of_token = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
            let end = at + reading[at..].iter().take_while(is_of_token).count();
            let run = std::str::from_utf8(&reading[at..end]).unwrap_or_default();
            if let Some(token) = token_in(run, &is_token) {
                places.push(stands_at(end - token.len()..end));
            }
            at = end.max(at + 1);
        }
    });
    marked(bytes, places)
}

fn token_in<'t>(run: &'t str, is_token: &impl Fn(&str) -> bool) -> Option<&'t str> {
    if run.len() < TOKEN_CHARACTERS {
        return None;
    }
    let behind_escapes = spelling::LEFT_OF_ESCAPES.iter().filter_map(|left| run.strip_prefix(left));
    std::iter::once(run).chain(behind_escapes).find(|text| text.len() >= TOKEN_CHARACTERS && is_token(text))
}

/// The bytes with one mark in the place of all that overlaps or touches. None when there are no places.
fn marked(bytes: &[u8], mut places: Vec<Range<usize>>) -> Option<Vec<u8>> {
    if places.is_empty() {
        return None;
    }
    places.sort_unstable_by_key(|place| place.start);
    let mut joined = vec![];
    places.into_iter().for_each(|place| join(&mut joined, place));
    let mut shown = Vec::with_capacity(bytes.len());
    let mut kept = 0;
    for place in joined {
        shown.extend_from_slice(&bytes[kept..place.start]);
        shown.extend_from_slice(MARK.as_bytes());
        kept = place.end;
    }
    shown.extend_from_slice(&bytes[kept..]);
    Some(shown)
}

/// Where the texts are. None where there are so many finds that to go through them takes more than the length of the text
/// allows.
fn found(finder: &AhoCorasick, text: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut places = vec![];
    if !finder.is_match(text) {
        return Some(places);
    }
    for (count, found) in finder.find_overlapping_iter(text).enumerate() {
        if count > 1000 + 8 * text.len() {
            return None;
        }
        join(&mut places, found.range());
    }
    Some(places)
}

/// Adds a place to those before it, which come in the order of their beginnings or in that of their ends.
fn join(places: &mut Vec<Range<usize>>, mut place: Range<usize>) {
    while let Some(last) = places.pop_if(|last| last.end >= place.start) {
        place = place.start.min(last.start)..place.end.max(last.end);
    }
    places.push(place);
}
