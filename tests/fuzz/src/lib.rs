//! Texts that are nearly right. A fuzz target that is given any bytes learns little of a parser: nearly all of them are refused at
//! the first one. Here the bytes say what is changed of a text that a person would write.
//!
//! A target is a test whose name begins with `fuzz_`, beside the code that it is about. proptest makes the bytes, shrinks those that
//! fail, and keeps them in `proptest-regressions`, where they are tried first from then on. A target is tried some 256 times
//! where nothing is said, and for as long as FLOWCELL_FUZZ_SECONDS says:
//! `FLOWCELL_FUZZ_SECONDS=60 cargo test --workspace --tests fuzz_`.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

/// How long each target is tried at least.
const SECONDS: &str = "FLOWCELL_FUZZ_SECONDS";
/// The longest script.
const SCRIPT: usize = 400;

/// No text is longer than this.
const LONGEST: usize = 64 * 1024;

/// What is put in: what means something to one parser or another.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\"",
    "'",
    "\\",
    ":",
    ": ",
    ",",
    "-",
    "- ",
    "\n",
    "\r\n",
    "\t",
    "  ",
    "#",
    "&a",
    "*a",
    "<<: *a",
    "!!binary",
    "|",
    ">",
    "---\n",
    "null",
    "~",
    "true",
    "1e999",
    "-0",
    "18446744073709551616",
    "0x7f000001",
    "${ . }",
    "${",
    "$'",
    "$(",
    "`",
    "%00",
    "%2e%2e/",
    "../",
    "//",
    "@",
    "?",
    "=",
    "&",
    ";",
    "*",
    "127.0.0.1",
    "[::1]",
    "::ffff:127.0.0.1",
    "169.254.169.254",
    "\0",
    "\u{feff}",
    "\u{202e}",
    "é",
    "😀",
    "PT30S",
    "P99999999999Y",
    "1.0.0",
];

/// Tries `check` with texts that are made of `seeds`. `file` is `file!()`: what fails is kept beside it.
///
/// ```
/// flowcell_fuzz::texts(file!(), &["PT30S", "P1D"], |text| assert!(text.len() < 1 << 20));
/// ```
///
/// # Panics
/// When `check` does, with the smallest text that was found for which it does.
pub fn texts(file: &'static str, seeds: &[&str], check: impl Fn(&str)) {
    try_all(file, &script().prop_map(|script| mutated(seeds, &script)), |text| check(&text));
}

/// The same for what is made of the bytes themselves.
///
/// ```
/// flowcell_fuzz::bytes(file!(), |bytes| assert!(bytes.len() < 1 << 20));
/// ```
///
/// # Panics
/// When `check` does, with the smallest bytes that were found for which it does.
pub fn bytes(file: &'static str, check: impl Fn(&[u8])) {
    try_all(file, &script(), |bytes| check(&bytes));
}

fn script() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..SCRIPT)
}

fn try_all<S: Strategy>(file: &'static str, strategy: &S, check: impl Fn(S::Value)) {
    let seconds = std::env::var(SECONDS).ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    let until = Instant::now() + Duration::from_secs(seconds);
    loop {
        let persistence = FileFailurePersistence::SourceParallel("proptest-regressions");
        let config = Config {
            source_file: Some(file),
            failure_persistence: Some(Box::new(persistence)),
            ..Config::default()
        };
        let tried = TestRunner::new(config).run(strategy, |value| {
            check(value);
            Ok(())
        });
        if let Err(failure) = tried {
            panic!("{failure}");
        }
        if Instant::now() >= until {
            return;
        }
    }
}

/// One of `seeds`, changed as `script` says. The same script gives the same text.
///
/// ```
/// let seeds = ["host: api.example.com", "port: 443"];
/// assert_eq!(flowcell_fuzz::mutated(&seeds, &[]), seeds[0]);
/// assert_eq!(flowcell_fuzz::mutated(&seeds, &[1]), seeds[1]);
/// // Change 1 puts a piece in: at 0, the first of them.
/// assert_eq!(flowcell_fuzz::mutated(&seeds, &[1, 1, 0, 0, 0, 0, 0]), "{port: 443");
/// ```
///
/// # Panics
/// Where there is no seed.
pub fn mutated(seeds: &[&str], script: &[u8]) -> String {
    let mut script = Script(script);
    let mut text = script.one_of(seeds).to_owned();
    while let Some(change) = script.byte() {
        let (from, to) = script.range(&text);
        match change % 6 {
            0 => text.replace_range(from..to, ""),
            1 => text.insert_str(from, script.one_of(PIECES)),
            2 => text.replace_range(from..to, script.one_of(PIECES)),
            3 => {
                let part = text[from..to].to_owned();
                text.insert_str(to, &part.repeat(1 + script.number() % 40));
            }
            4 => {
                let other = script.one_of(seeds);
                let (start, end) = script.range(other);
                text.insert_str(from, &other[start..end]);
            }
            _ => {
                let any = u32::try_from(script.number()).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
                text.insert(from, any);
            }
        }
        if text.len() > LONGEST {
            text.truncate(at_boundary(&text, LONGEST));
        }
    }
    text
}

/// What is left of the script.
struct Script<'s>(&'s [u8]);

impl Script<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Of two bytes; of what is missing zero.
    fn number(&mut self) -> usize {
        usize::from(u16::from_be_bytes([self.byte().unwrap_or(0), self.byte().unwrap_or(0)]))
    }

    fn one_of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[usize::from(self.byte().unwrap_or(0)) % texts.len()]
    }

    /// A part of the text: where it begins, and where it ends.
    fn range(&mut self, text: &str) -> (usize, usize) {
        let mut place = || at_boundary(text, self.number() % (text.len() + 1));
        let (one, other) = (place(), place());
        (one.min(other), one.max(other))
    }
}

/// The nearest place before, or there, between two characters.
fn at_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_script_says_there_is_a_text() {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        for _ in 0..2_000 {
            let script: Vec<u8> = (0..300).map(|_| next()).collect();
            let text = mutated(&["größer: 1\n", "[😀]"], &script);
            assert!(text.len() <= LONGEST);
            assert_eq!(mutated(&["größer: 1\n", "[😀]"], &script), text);
        }
    }
}
