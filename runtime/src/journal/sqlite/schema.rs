//! The file: what is in it, and opening one that is ours, new, somebody else's, or broken.
//!
//! The tenant is the first column of every key. Run ids are 16 bytes, times are milliseconds since 1970, and only
//! `entries` holds bodies. A released version of the schema is never edited; the next one is a migration more.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::fault;
use crate::journal::StorageError;
use crate::journal::lock::create_private_folder;

/// `FLOW`, in the file's header: it tells a journal from other programs' files.
const APPLICATION: i32 = 0x464c_4f57;

/// How to get from each version of the schema to the next one.
const MIGRATIONS: [&str; 6] = [VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5, VERSION_6];

/// The version that this host reads and writes.
const VERSION: i32 = MIGRATIONS.len() as i32;

/// How long to wait for another process that has the file locked, a backup for instance.
const BUSY: Duration = Duration::from_secs(5);

/// What the write-ahead log is cut back to after it had to grow under a long read.
const LOG_BYTES: u32 = 64 << 20;

const VERSION_1: &str = "
    CREATE TABLE tenants (
        tenant TEXT NOT NULL PRIMARY KEY,
        open_runs INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE runs (
        tenant TEXT NOT NULL,
        run BLOB NOT NULL,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        digest TEXT NOT NULL,
        started_by TEXT,
        status TEXT NOT NULL,
        phase INTEGER NOT NULL,
        started_at INTEGER NOT NULL,
        ended_at INTEGER,
        PRIMARY KEY (tenant, run)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX runs_by_start ON runs (tenant, started_at, run);
    CREATE INDEX runs_active ON runs (tenant, run) WHERE phase = 0;

    CREATE TABLE entries (
        tenant TEXT NOT NULL,
        run BLOB NOT NULL,
        seq INTEGER NOT NULL,
        at INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (tenant, run, seq)
    ) STRICT;

    CREATE TABLE timers (
        tenant TEXT NOT NULL,
        run BLOB NOT NULL,
        timer INTEGER NOT NULL,
        due INTEGER NOT NULL,
        PRIMARY KEY (tenant, run, timer)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX timers_by_due ON timers (due);

    CREATE TABLE flows (
        tenant TEXT NOT NULL,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        digest TEXT NOT NULL,
        source TEXT NOT NULL,
        installed_at INTEGER NOT NULL,
        removed INTEGER NOT NULL,
        PRIMARY KEY (tenant, namespace, name, version, digest)
    ) STRICT;

    CREATE TABLE triggers (
        tenant TEXT NOT NULL,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        source TEXT NOT NULL,
        token TEXT NOT NULL,
        enabled INTEGER NOT NULL,
        PRIMARY KEY (tenant, namespace, name)
    ) STRICT;
";

/// Keys of the journal's own.
const VERSION_2: &str = "
    CREATE TABLE keys (
        name TEXT NOT NULL PRIMARY KEY,
        value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Who is at work on a run, the order in which runs are forgotten, and the tenants' plugins.
const VERSION_3: &str = "
    CREATE TABLE leases (
        lease INTEGER PRIMARY KEY AUTOINCREMENT,
        until INTEGER NOT NULL
    ) STRICT;
    ALTER TABLE runs ADD COLUMN owner INTEGER;
    CREATE INDEX runs_ended ON runs (tenant, status, ended_at) WHERE phase = 2;

    CREATE TABLE plugins (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        wasm BLOB NOT NULL,
        PRIMARY KEY (tenant, name, version)
    ) STRICT;
";

/// What triggers have subscribed to, and when flows start by themselves.
const VERSION_4: &str = "
    CREATE TABLE subscriptions (
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        uses TEXT NOT NULL,
        config TEXT NOT NULL,
        url TEXT NOT NULL,
        phase INTEGER NOT NULL,
        state BLOB,
        doubtful INTEGER NOT NULL,
        attempts INTEGER NOT NULL,
        due INTEGER,
        problem TEXT,
        revision INTEGER NOT NULL,
        PRIMARY KEY (tenant, id)
    ) STRICT;

    CREATE TABLE schedules (
        tenant TEXT NOT NULL,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        schedule TEXT NOT NULL,
        due INTEGER,
        run BLOB,
        revision INTEGER NOT NULL,
        PRIMARY KEY (tenant, namespace, name)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX schedules_by_due ON schedules (due) WHERE due IS NOT NULL;
";

/// What tenants keep secret, sealed; and which events began a run a while ago.
const VERSION_5: &str = "
    CREATE TABLE vault (
        tenant TEXT NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        sealed BLOB NOT NULL,
        updated_at INTEGER NOT NULL,
        PRIMARY KEY (tenant, kind, name)
    ) STRICT;

    CREATE TABLE originals (
        tenant TEXT NOT NULL,
        trigger_name TEXT NOT NULL,
        key BLOB NOT NULL,
        run BLOB NOT NULL,
        until INTEGER NOT NULL,
        PRIMARY KEY (tenant, trigger_name, key)
    ) STRICT;
    CREATE INDEX originals_by_end ON originals (until);
";

/// Who may use the API, and what was done with it. A token without a tenant is of all of them: the empty text.
const VERSION_6: &str = "
    CREATE TABLE tokens (
        tenant TEXT NOT NULL,
        name TEXT NOT NULL,
        digest BLOB NOT NULL UNIQUE,
        role TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        created_by TEXT NOT NULL,
        expires_at INTEGER,
        PRIMARY KEY (tenant, name)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE audit (
        tenant TEXT NOT NULL,
        id TEXT NOT NULL,
        at INTEGER NOT NULL,
        actor TEXT NOT NULL,
        role TEXT,
        origin TEXT,
        action TEXT NOT NULL,
        target TEXT NOT NULL,
        status INTEGER,
        detail TEXT,
        PRIMARY KEY (tenant, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX audit_by_actor ON audit (tenant, actor, id);
    CREATE INDEX audit_by_action ON audit (tenant, action, id);
    CREATE INDEX audit_denied ON audit (tenant, id) WHERE status IN (401, 403);
";

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

struct Header {
    application: i32,
    version: i32,
    tables: u32,
}

impl Header {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
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

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    // Read again under the lock: another process may have been quicker.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = Header::read(&transaction)?.version;
    let missing = MIGRATIONS.get(found.max(0) as usize..).unwrap_or_default();
    if missing.is_empty() {
        return Ok(());
    }
    for migration in missing {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}
