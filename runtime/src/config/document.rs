//! A TOML text whose every key and value knows its place, and the error that tells it.
//!
//! A [`Section`] exists only when all its keys are known; an unknown one is refused with the nearest right key.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::nearest::nearest;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there or may not be read.
    #[error("{file}: cannot be read: {error}")]
    Unreadable {
        /// As it was named.
        file: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{file}:{line}:{column}: {sentence}")]
    Wrong {
        /// As it was named.
        file: String,
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
        /// What is wrong and what to write.
        sentence: String,
    },
}

/// A text and its file's name: what a place is worked out from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    text: &'a str,
    file: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str, file: &'a str) -> Self {
        Self { text, file }
    }

    pub(super) fn parse(&self) -> Result<Spanned<DeTable<'a>>, ConfigError> {
        DeTable::parse(self.text)
            .map_err(|error| self.error(error.span().unwrap_or(0..0), error.message().replace('\n', ", ")))
    }

    pub(super) fn root(
        &self,
        table: &'a Spanned<DeTable<'a>>,
        known: &'static [&'static str],
    ) -> Result<Section<'a>, ConfigError> {
        Section::open(*self, "", table.span(), table.get_ref(), known)
    }

    pub(super) fn error(&self, span: Range<usize>, sentence: impl Into<String>) -> ConfigError {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        ConfigError::Wrong {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            sentence: sentence.into(),
        }
    }
}

/// A table whose keys are all known.
pub(super) struct Section<'a> {
    source: Source<'a>,
    name: &'static str,
    span: Range<usize>,
    table: &'a DeTable<'a>,
}

impl<'a> Section<'a> {
    fn open(
        source: Source<'a>,
        name: &'static str,
        span: Range<usize>,
        table: &'a DeTable<'a>,
        known: &'static [&'static str],
    ) -> Result<Self, ConfigError> {
        match table.keys().find(|key| !known.contains(&&**key.get_ref())) {
            None => Ok(Self { source, name, span, table }),
            Some(key) => Err(source.error(key.span(), unknown(name, key.get_ref(), known))),
        }
    }

    pub(super) fn get(&self, key: &'static str) -> Option<Field<'a>> {
        let value = self.table.get(key)?;
        Some(Field { source: self.source, key, span: value.span(), value: value.get_ref() })
    }

    pub(super) fn missing(&self, key: &str) -> ConfigError {
        self.error(format!("`{}` has no `{key}`", self.name))
    }

    pub(super) fn error(&self, sentence: impl Into<String>) -> ConfigError {
        self.source.error(self.span.clone(), sentence)
    }
}

/// A value and the key it stands under.
pub(super) struct Field<'a> {
    source: Source<'a>,
    key: &'static str,
    span: Range<usize>,
    value: &'a DeValue<'a>,
}

impl<'a> Field<'a> {
    pub(super) fn key(&self) -> &'static str {
        self.key
    }

    pub(super) fn error(&self, sentence: impl Into<String>) -> ConfigError {
        self.source.error(self.span.clone(), sentence)
    }

    pub(super) fn text(&self) -> Result<&'a str, ConfigError> {
        self.value.as_str().ok_or_else(|| self.wrong_type("text in quotes"))
    }

    /// The digits of a whole number as they are written, or none when it is something else.
    pub(super) fn integer(&self) -> Option<Result<u64, ConfigError>> {
        let integer = self.value.as_integer()?;
        Some(u64::from_str_radix(integer.as_str(), integer.radix()).map_err(|_| {
            self.error(format!("`{}` is {}: write a whole number from 0 upwards", self.key, integer.as_str()))
        }))
    }

    pub(super) fn list(&self) -> Result<Vec<Field<'a>>, ConfigError> {
        let list = self.value.as_array().ok_or_else(|| self.wrong_type("a list, such as [ … ]"))?;
        let item = |value: &'a Spanned<DeValue<'a>>| Field {
            source: self.source,
            key: self.key,
            span: value.span(),
            value: value.get_ref(),
        };
        Ok(list.iter().map(item).collect())
    }

    /// This value as a table; `name` is its whole name in errors.
    pub(super) fn section(
        &self,
        name: &'static str,
        known: &'static [&'static str],
    ) -> Result<Section<'a>, ConfigError> {
        let table = self.value.as_table().ok_or_else(|| self.wrong_type("a table"))?;
        Section::open(self.source, name, self.span.clone(), table, known)
    }

    pub(super) fn wrong_type(&self, wanted: &str) -> ConfigError {
        self.error(format!("`{}` is {}: it should be {wanted}", self.key, self.value.type_str()))
    }
}

fn unknown(section: &str, key: &str, known: &[&str]) -> String {
    let place = if section.is_empty() { String::new() } else { format!(" in `{section}`") };
    match nearest(key, known.iter().copied()) {
        Some(right) => format!("unknown key `{key}`{place}: did you mean `{right}`?"),
        None => format!("unknown key `{key}`{place}: the keys are {}", known.join(", ")),
    }
}
