//! Regular expressions. `test`, `match`, `sub` and the others are written in jq on top of `_match`.
//!
//! The dialect is Perl's with look-around and back-references, as in jq. Compiled patterns are kept.

use std::cell::RefCell;
use std::rc::Rc;

use fancy_regex::{Captures, Regex, RegexBuilder};
use jaq_core::native::v;

use super::{Native, once};
use crate::value::{Error, Map, Val, ValR, error};

/// How many compiled patterns are kept.
const KEPT: usize = 32;

/// How many steps back a match may take. Backtracking is what makes some patterns endless.
const BACKTRACK_LIMIT: usize = 1_000_000;

/// The functions of this file.
pub(super) fn list() -> Vec<Native> {
    vec![
        ("_match", v(2), |mut cv| {
            let (flags, pattern) = (cv.0.pop_var(), cv.0.pop_var());
            once(matches(&cv.1, &pattern, &flags))
        }),
        ("_test", v(2), |mut cv| {
            let (flags, pattern) = (cv.0.pop_var(), cv.0.pop_var());
            once(is_match(&cv.1, &pattern, &flags))
        }),
        ("_captures", v(0), |cv| once(named_captures(&cv.1))),
    ]
}

#[derive(Default)]
struct Flags {
    global: bool,
    skip_empty: bool,
    ignore_case: bool,
    extended: bool,
    dot_matches_newline: bool,
}

impl Flags {
    fn read(flags: &Val) -> Result<Flags, Error> {
        let mut read = Flags::default();
        let text = match flags {
            Val::Null => return Ok(read),
            other => other.string("the flags of a regular expression")?,
        };
        for flag in text.chars() {
            match flag {
                'g' => read.global = true,
                'n' => read.skip_empty = true,
                'i' => read.ignore_case = true,
                'x' => read.extended = true,
                'p' => read.dot_matches_newline = true,
                // ^ and $ mean the ends of the text anyway, and the longest match is not searched for.
                's' | 'l' => {}
                _ => return Err(error(format!("{text} is not a valid modifier string"))),
            }
        }
        Ok(read)
    }
}

fn is_match(value: &Val, pattern: &Val, flags: &Val) -> ValR {
    let flags = Flags::read(flags)?;
    if flags.skip_empty {
        // Whether there is one that is not empty takes a search.
        return matches_with(value, pattern, &flags).map(|found| Val::Bool(found != Val::array(Vec::new())));
    }
    let (text, regex) = (subject(value)?, compiled(pattern, &flags)?);
    regex.is_match(text).map(Val::Bool).map_err(|failure| failed(pattern, &failure))
}

fn matches(value: &Val, pattern: &Val, flags: &Val) -> ValR {
    matches_with(value, pattern, &Flags::read(flags)?)
}

fn matches_with(value: &Val, pattern: &Val, flags: &Flags) -> ValR {
    let (text, regex) = (subject(value)?, compiled(pattern, flags)?);
    let mut found = Vec::new();
    let mut count = Counter { text, at: 0, characters: 0 };
    for captures in regex.captures_iter(text) {
        let captures = captures.map_err(|failure| failed(pattern, &failure))?;
        let is_empty = captures.get(0).is_none_or(|whole| whole.start() == whole.end());
        if !(flags.skip_empty && is_empty) {
            found.push(described(&regex, &captures, &mut count));
            if !flags.global {
                break;
            }
        }
    }
    Ok(Val::array(found))
}

fn subject(value: &Val) -> Result<&str, Error> {
    match value {
        Val::Str(text) => Ok(text),
        other => Err(error(format!("{} cannot be matched, as it is not a string", other.described()))),
    }
}

/// One match as jq shows it.
fn described(regex: &Regex, captures: &Captures<'_, str>, count: &mut Counter<'_>) -> Val {
    let mut names = regex.capture_names();
    let mut parts = Vec::new();
    for index in 0..captures.len() {
        let name = names.next().flatten();
        let mut part = Map::default();
        match captures.get(index) {
            Some(found) => {
                part.insert("offset".into(), Val::from(count.to(found.start())));
                part.insert("length".into(), Val::from(found.as_str().chars().count()));
                part.insert("string".into(), Val::text(found.as_str()));
            }
            None => {
                part.insert("offset".into(), Val::from(-1_i64));
                part.insert("length".into(), Val::from(0_usize));
                part.insert("string".into(), Val::Null);
            }
        }
        if index > 0 {
            part.insert("name".into(), name.map_or(Val::Null, Val::text));
        }
        parts.push(part);
    }
    let mut parts = parts.into_iter();
    let mut whole = parts.next().unwrap_or_default();
    whole.insert("captures".into(), parts.map(Val::object).collect());
    Val::object(whole)
}

/// Offsets in bytes to offsets in characters, going on from the last one where possible.
struct Counter<'t> {
    text: &'t str,
    at: usize,
    characters: usize,
}

impl Counter<'_> {
    fn to(&mut self, offset: usize) -> usize {
        if offset >= self.at {
            self.characters += self.text[self.at..offset].chars().count();
        } else {
            self.characters -= self.text[offset..self.at].chars().count();
        }
        self.at = offset;
        self.characters
    }
}

fn named_captures(found: &Val) -> ValR {
    let mut named = Map::default();
    if let Val::Obj(found) = found
        && let Some(Val::Arr(captures)) = found.get("captures")
    {
        for capture in captures.iter() {
            let Val::Obj(capture) = capture else { continue };
            if let (Some(Val::Str(name)), Some(string)) = (capture.get("name"), capture.get("string")) {
                named.insert(name.clone(), string.clone());
            }
        }
    }
    Ok(Val::object(named))
}

thread_local! {
    static COMPILED: RefCell<Vec<(String, Rc<Regex>)>> = const { RefCell::new(Vec::new()) };
}

fn compiled(pattern: &Val, flags: &Flags) -> Result<Rc<Regex>, Error> {
    let text = pattern.string("a regular expression")?;
    let letters = [(flags.ignore_case, 'i'), (flags.extended, 'x'), (flags.dot_matches_newline, 's')];
    let mut key: String = letters.iter().filter(|(is_set, _)| *is_set).map(|(_, letter)| letter).collect();
    key.push('/');
    key.push_str(text);
    let known = COMPILED
        .with_borrow(|kept| kept.iter().find(|(known, _)| *known == key).map(|(_, regex)| Rc::clone(regex)));
    if let Some(regex) = known {
        return Ok(regex);
    }
    let regex = RegexBuilder::new(text)
        .case_insensitive(flags.ignore_case)
        .verbose_mode(flags.extended)
        .dot_matches_new_line(flags.dot_matches_newline)
        .backtrack_limit(BACKTRACK_LIMIT)
        .build()
        .map_err(|failure| failed(pattern, &failure))?;
    let regex = Rc::new(regex);
    COMPILED.with_borrow_mut(|kept| {
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.push((key, Rc::clone(&regex)));
    });
    Ok(regex)
}

fn failed(pattern: &Val, failure: &fancy_regex::Error) -> Error {
    error(format!("{pattern} (at offset 0) is not a valid regex: {failure}"))
}
