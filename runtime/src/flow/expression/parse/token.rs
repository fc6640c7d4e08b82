//! Tokens, and the limits of a program.

use super::{DEEPEST_BRACKETS, MOST_NODES, Parser};

impl<'s> Parser<'s> {
    pub(super) fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// The operator at the front, as long as the guest's lexer would read it; white space is skipped already.
    pub(super) fn symbol(&self) -> &'s str {
        let is_symbol = |character: char| "|=!<>+-*/%".contains(character);
        if !self.rest.starts_with(is_symbol) {
            return "";
        }
        let tail = &self.rest[1..];
        let length = tail.find(|next: char| next == '-' || !is_symbol(next)).unwrap_or(tail.len());
        &self.rest[..1 + length]
    }

    /// The name at the front, or nothing.
    pub(super) fn word(&self) -> &'s str {
        if !self.rest.starts_with(is_name_start) {
            return "";
        }
        let end = self.rest.find(|next: char| !(next.is_ascii_alphanumeric() || next == '_'));
        &self.rest[..end.unwrap_or(self.rest.len())]
    }

    pub(super) fn take(&mut self, expected: char) -> bool {
        self.space();
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    pub(super) fn take_symbol(&mut self, expected: &str) -> bool {
        self.space();
        let found = self.symbol() == expected;
        if found {
            self.rest = &self.rest[expected.len()..];
        }
        found
    }

    pub(super) fn take_word(&mut self, expected: &str) -> bool {
        self.space();
        let found = self.word() == expected;
        if found {
            self.rest = &self.rest[expected.len()..];
        }
        found
    }

    pub(super) fn expect(&mut self, expected: char) -> Option<()> {
        self.take(expected).then_some(())
    }

    pub(super) fn expect_word(&mut self, expected: &str) -> Option<()> {
        self.take_word(expected).then_some(())
    }

    pub(super) fn count(&mut self) -> Option<()> {
        self.nodes += 1;
        (self.nodes <= MOST_NODES).then_some(())
    }

    pub(super) fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.depth += 1;
        let parsed = if self.depth <= DEEPEST_BRACKETS { inner(self) } else { None };
        self.depth -= 1;
        parsed
    }
}

pub(super) fn is_name_start(character: char) -> bool {
    character.is_ascii_alphabetic() || character == '_'
}
