//! The file: opening one that is ours, new, somebody else's, or broken, and copying it. What is in it is in
//! [`schema`](super::schema).

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::fault;
use super::schema::{APPLICATION, VERSION, migrate};
use crate::journal::StorageError;
use crate::journal::lock::create_private_folder;

/// How long to wait for another process that has the file locked, a backup for instance.
const BUSY: Duration = Duration::from_secs(5);

/// What the write-ahead log is cut back to after it had to grow under a long read.
const LOG_BYTES: u32 = 64 << 20;

/// The connection that writes, to a file whose schema is this host's.
pub(super) fn open(path: &Path) -> Result<Connection, StorageError> {
    make_writable(path)?;
    let fault = |error| fault::describe(path, &error);
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(fault)?;
    // Judged before anything is changed: the file may not be ours.
    let header = Header::read(&connection).map_err(fault)?;
    judge(path, &header)?;
    if header.is_new() {
        // Only a file without content takes it. One of before gets smaller as a backup, which is written anew.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(fault)?;
    }
    tune(&connection).map_err(fault)?;
    migrate(&mut connection).map_err(fault)?;
    Ok(connection)
}

/// A copy in one file, for its owner alone. It appears under its name when it is whole and on the disk.
pub(super) fn copy(from: &Path, to: &Path) -> Result<u64, StorageError> {
    if !from.is_file() {
        return Err(StorageError::Missing { path: from.display().to_string() });
    }
    let unwritable = |path: &Path, reason: &dyn std::fmt::Display| StorageError::Unwritable {
        path: path.display().to_string(),
        reason: reason.to_string(),
    };
    if to.exists() {
        return Err(unwritable(to, &"there is a file of that name, which may be the last backup"));
    }
    let fault = |error| fault::describe(from, &error);
    let connection = open_reader(from).map_err(fault)?;
    judge(from, &Header::read(&connection).map_err(fault)?)?;
    // Of this process alone, and absolute: a name may look like the URI of a database.
    let mut partial = std::path::absolute(to).map_err(|error| unwritable(to, &error))?.into_os_string();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = Path::new(&partial);
    let name = partial.to_str().ok_or_else(|| unwritable(to, &"its name is not Unicode"))?;
    let remove = || drop(std::fs::remove_file(partial));
    remove();
    make_writable(partial)?;
    // One read transaction: it sees what was committed before it, and whoever writes meanwhile does not wait for it.
    let copied = connection.execute("VACUUM INTO ?1", [name]);
    copied.map_err(|error| fault::describe(partial, &error)).inspect_err(|_| remove())?;
    let placed = || -> std::io::Result<u64> {
        let file = std::fs::File::open(partial)?;
        file.sync_all()?;
        std::fs::rename(partial, to)?;
        #[cfg(unix)]
        std::fs::File::open(
            to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")),
        )?
        .sync_all()?;
        Ok(file.metadata()?.len())
    };
    placed().map_err(|error| unwritable(to, &error)).inspect_err(|_| remove())
}

/// A connection that can only read.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Creates the file where there is none, readable by its owner alone; SQLite gives its side files the same mode.
/// The operating system's reason is also better than SQLite's "unable to open database file".
fn make_writable(path: &Path) -> Result<(), StorageError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        create_private_folder(folder)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(StorageError::Unwritable { path: path.display().to_string(), reason: error.to_string() })
        }
    }
}

/// What a file says of itself.
pub(super) struct Header {
    application: i32,
    pub version: i32,
    tables: u32,
}

impl Header {
    pub fn read(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            application: connection.pragma_query_value(None, "application_id", |row| row.get(0))?,
            version: connection.pragma_query_value(None, "user_version", |row| row.get(0))?,
            tables: connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?,
        })
    }

    fn is_new(&self) -> bool {
        self.application == 0 && self.version == 0 && self.tables == 0
    }
}

fn judge(path: &Path, header: &Header) -> Result<(), StorageError> {
    let path = path.display().to_string();
    if header.application != APPLICATION && !header.is_new() {
        return Err(StorageError::Foreign { path });
    }
    if header.version > VERSION {
        return Err(StorageError::Newer { path, found: header.version, known: VERSION });
    }
    Ok(())
}

fn tune(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES, |row| row.get::<_, i64>(0))?;
    Ok(())
}
