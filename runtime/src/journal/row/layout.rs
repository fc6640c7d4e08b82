//! What a small table is like. A store makes the table of this description, and keeps its rows as it says.

use std::fmt;

use super::{Cell, CellValue, Test};

/// A small table, as every store has it.
pub(crate) struct Table {
    pub name: &'static str,
    /// The version of the file format in which a store makes it of this description. 0 says that the store's own steps
    /// make it: the text that it was released with, and a step for each change since.
    pub since: i32,
    pub columns: &'static [Column],
    /// How many of the columns, from the first on, name a row. The first one is the tenant.
    pub key: usize,
    /// What becomes of a row that is put.
    pub put: Put,
    /// A column in which no two rows have the same.
    pub unique: Option<&'static str>,
    /// They stand in a constant of their own: the compiler keeps no such array inside of a description.
    pub indexes: &'static [Index],
    /// In which order rows are listed. Where nothing is said, that is the order of the key.
    pub order: &'static [Order],
    /// Rows may be large. A store that can keep rows beside their keys does not do so here.
    pub is_bulky: bool,
    /// The most rows that are kept in memory, and the column that says which go first: those in which it is least.
    pub kept_in_memory: Option<(usize, &'static str)>,
}

impl Table {
    /// What most tables are like. A description begins with it.
    pub const PLAIN: Self = Self {
        name: "",
        since: 0,
        columns: &[],
        key: 0,
        put: Put::Replace { keeping: &[] },
        unique: None,
        indexes: &[],
        order: &[],
        is_bulky: false,
        kept_in_memory: None,
    };

    pub fn key_columns(&self) -> &'static [Column] {
        &self.columns[..self.key]
    }

    /// Where a column stands.
    pub fn position(&self, column: &str) -> usize {
        let found = self.columns.iter().position(|known| known.name == column);
        found.unwrap_or_else(|| panic!("the table {} has no column {column}", self.name))
    }

    /// The number in the column `revision`.
    pub fn revision(&self, cells: &[Cell]) -> i64 {
        match cells[self.position(REVISION)] {
            Cell::Integer(revision) => revision,
            _ => panic!("the revision of a row in {} is a number", self.name),
        }
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The column in which a row counts its changes, where changes are made in turn.
pub(in crate::journal) const REVISION: &str = "revision";

/// What becomes of a row that is put where there is one with its key.
#[derive(Clone, Copy)]
pub(crate) enum Put {
    /// It takes the place of that one, which keeps what it has in these columns.
    Replace { keeping: &'static [&'static str] },
    /// It is a conflict.
    Once,
    /// Rows are changed by one at a time. The row says its [`REVISION`]: 0 is inserted where there is none, any other takes
    /// the place of the one before it, and everything else is a conflict. A change of columns counts as well.
    InTurn,
}

/// A column of a table.
pub(crate) struct Column {
    pub name: &'static str,
    pub kind: CellKind,
    /// Whether a cell may be null.
    pub is_optional: bool,
}

impl Column {
    /// One that holds such values.
    pub const fn of<T: CellValue>(name: &'static str) -> Self {
        Self { name, kind: T::KIND, is_optional: T::IS_OPTIONAL }
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CellKind {
    Integer,
    Text,
    Bytes,
}

/// What finds rows without looking at all of them.
pub(crate) struct Index {
    /// Also in the questions that go along it.
    pub name: &'static str,
    pub columns: &'static [&'static str],
    /// Only rows that pass this are in it.
    pub only: Option<(&'static str, Test)>,
}

/// What rows are put in order by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The least first.
    Up(&'static str),
    /// The greatest first.
    Down(&'static str),
}

impl Order {
    pub fn column(self) -> &'static str {
        match self {
            Self::Up(column) | Self::Down(column) => column,
        }
    }
}
