//! What a store must do: keep the runs, as [`RunLog`] says, and the rows of small tables, as [`Tables`] says.

use super::row::{Cell, Cells, ForeignCell, Row, RowQuery, Rows};
use super::run_log::RunLog;

/// A store. What callers may rely on is said at [`RunLog`], and holds for the small tables as well.
pub(crate) trait Storage: RunLog + Tables {}

impl<S: RunLog + Tables> Storage for S {}

/// Reads small tables without knowing the type of a row. They are changed with
/// [`Write::Table`](super::Write::Table), in the batches that [`RunLog::commit`] applies.
pub(crate) trait Tables {
    /// Calls `each` with the cells of the rows that are asked for, in order. What it cannot read ends the call: the store
    /// is damaged then.
    fn select(
        &self,
        query: &RowQuery,
        each: &mut dyn FnMut(Vec<Cell>) -> Result<(), ForeignCell>,
    ) -> Result<(), StorageError>;
}

/// The small tables as they are used: by the types of their rows.
impl dyn Storage + '_ {
    /// Every row of a table, in its order.
    pub fn list<R: Row>(&self) -> Result<Vec<R>, StorageError> {
        self.rows(Rows::all())
    }

    /// The row with this key.
    pub fn row<R: Row>(&self, key: R::Key) -> Result<Option<R>, StorageError> {
        self.first(Rows::with_key(key))
    }

    /// The first of these rows.
    pub fn first<R: Row>(&self, rows: Rows<R>) -> Result<Option<R>, StorageError> {
        Ok(self.rows(rows.at_most(1))?.pop())
    }

    /// All of these rows, in order.
    pub fn rows<R: Row>(&self, rows: Rows<R>) -> Result<Vec<R>, StorageError> {
        let mut found = vec![];
        self.select(&rows.into_query(), &mut |cells| {
            found.push(R::from_cells(&mut Cells::of(R::TABLE, cells))?);
            Ok(())
        })?;
        Ok(found)
    }
}

/// Why the store did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StorageError {
    /// The batch does not fit what is stored: a run that exists, an entry that is not the next one.
    #[error("journal conflict: {0}")]
    Conflict(String),
    /// Another host goes on with what this one had.
    #[error("this host's lease in the journal has ended: another host has taken over what it was at work on")]
    Fenced,
    /// The page that was asked for does not begin anywhere.
    #[error("`{0}` is not a cursor that a list gave: leave it out to begin with the newest")]
    Cursor(String),
    /// The disk is full; nothing was written.
    #[error("the journal's disk is full ({0}): free space, the host goes on by itself")]
    Full(String),
    /// The file is not a journal of ours, or it is damaged.
    #[error(
        "the journal {path} is damaged: {detail}. Stop the host, keep a copy of the file, and restore a backup or move the file away to start empty"
    )]
    Corrupt { path: String, detail: String },
    /// A later version of the host made the file.
    #[error(
        "the journal {path} has format {found}, this host knows up to {known}: run the version that wrote it, or a newer one"
    )]
    Newer { path: String, found: i32, known: i32 },
    /// An SQLite file that another program made.
    #[error("{path} belongs to another application, it is not a journal: name another file")]
    Foreign { path: String },
    /// There is nothing to read.
    #[error(
        "there is no journal at {path}: name the data folder of the host with --data, or its configuration with --config"
    )]
    Missing { path: String },
    /// The file or its folder may not be written.
    #[error("cannot write {path}: {reason}. Check who owns it and its mode, or name another place")]
    Unwritable { path: String, reason: String },
    /// Two hosts on the same data would each run every run.
    #[error(
        "another flowcell uses the data folder {folder} ({process}): stop it or name another folder with --data"
    )]
    InUse { folder: String, process: String },
    /// Anything else of the store.
    #[error("journal: {0}")]
    Io(String),
}
