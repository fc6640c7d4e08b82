//! Connections that can only read: they never wait for the writer, nor it for them.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::file;

/// The most reads at a time; one more waits.
const READERS: usize = 4;

/// Connections that wait for a question.
pub(super) struct Readers {
    path: PathBuf,
    pool: Mutex<Pool>,
    returned: Condvar,
}

struct Pool {
    idle: Vec<Connection>,
    in_use: usize,
}

impl Readers {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            pool: Mutex::new(Pool { idle: Vec::new(), in_use: 0 }),
            returned: Condvar::new(),
        }
    }

    pub fn with<T>(&self, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        let lent = self.lend()?;
        ask(lent.connection.as_ref().expect("it is given back when `lent` is dropped"))
    }

    fn lend(&self) -> rusqlite::Result<Lent<'_>> {
        let mut pool = self
            .returned
            .wait_while(self.pool(), |pool| pool.in_use >= READERS)
            .unwrap_or_else(PoisonError::into_inner);
        let connection = match pool.idle.pop() {
            Some(connection) => connection,
            None => file::open_reader(&self.path)?,
        };
        pool.in_use += 1;
        Ok(Lent { readers: self, connection: Some(connection) })
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that goes back to the pool, also when the question panics.
struct Lent<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.pool();
        pool.in_use -= 1;
        pool.idle.extend(self.connection.take());
        self.readers.returned.notify_one();
    }
}
