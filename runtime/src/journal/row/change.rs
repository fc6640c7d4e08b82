//! What is changed in a small table, and why it cannot be.

use super::{Cell, Row, RowQuery, Rows, Table, Test};
use crate::journal::Write;

/// A change of a small table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// The row is put as [`Put`](super::Put) says of its table.
    Put(Vec<Cell>),
    /// The row with this key is deleted; nothing happens where there is none. With a revision, anything else than a row
    /// of that revision is a conflict.
    Remove { key: Vec<Cell>, revision: Option<u32> },
    /// Every row that passes the tests gets these cells.
    Set { tests: Vec<(&'static str, Test)>, cells: Vec<(&'static str, Cell)> },
    /// Of the rows that are the answer, those are deleted that pass the tests as well.
    Prune { among: RowQuery, tests: Vec<(&'static str, Test)> },
}

impl Write {
    /// Puts a row, as its table says.
    pub fn put<R: Row>(row: R) -> Self {
        Self::Table(R::TABLE, Change::Put(row.into_cells()))
    }

    /// Deletes a row; nothing where there is none.
    pub fn remove<R: Row>(key: R::Key) -> Self {
        Self::Table(R::TABLE, Change::Remove { key: R::key_cells(key), revision: None })
    }

    /// Deletes a row of this revision. Fails with `Conflict` where there is no such row.
    pub fn remove_revision<R: Row>(key: R::Key, revision: u32) -> Self {
        Self::Table(R::TABLE, Change::Remove { key: R::key_cells(key), revision: Some(revision) })
    }

    /// Sets columns of every row that passes.
    pub(in crate::journal) fn set<R: Row>(
        tests: Vec<(&'static str, Test)>,
        cells: Vec<(&'static str, Cell)>,
    ) -> Self {
        Self::Table(R::TABLE, Change::Set { tests, cells })
    }

    /// Of these rows, deletes those whose cell in this column passes.
    pub(in crate::journal) fn prune<R: Row>(among: Rows<R>, column: &'static str, test: Test) -> Self {
        let among = among.into_query();
        Self::Table(R::TABLE, Change::Prune { among, tests: vec![(column, test)] })
    }
}

/// Why a change does not fit what is stored: the same words in every store.
impl Table {
    /// There is one where a row is put once.
    pub(in crate::journal) fn has_already(&self, row: &[Cell]) -> String {
        format!("{} has a row {} already", self.name, name(&row[..self.key]))
    }

    /// Somebody else was quicker.
    pub(in crate::journal) fn is_not_next(&self, row: &[Cell]) -> String {
        let (key, revision) = (name(&row[..self.key]), self.revision(row));
        format!("revision {revision} of the row {key} of {} is not the next one", self.name)
    }

    /// A revision is to be deleted that is not there.
    pub(in crate::journal) fn is_not_at(&self, key: &[Cell], revision: u32) -> String {
        format!("the row {} of {} is not at revision {revision}", name(key), self.name)
    }
}

/// A key for people.
fn name(key: &[Cell]) -> String {
    let part = |cell: &Cell| match cell {
        Cell::Text(text) => text.clone(),
        Cell::Integer(number) => number.to_string(),
        Cell::Bytes(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Cell::Null => String::new(),
    };
    key.iter().map(part).collect::<Vec<_>>().join("/")
}
