//! What is in the file, and how a file of an earlier version comes to have it.
//!
//! The tenant is the first column of every key. Run ids are 16 bytes, times are milliseconds since 1970, and only
//! `entries` holds bodies. A released version of the schema is never edited; the next one is a step more. A new small table
//! needs no step: it is made of its description, in the version that the description names. One that is to change after
//! its release is made by steps from then on: its text of before, and the change.

use rusqlite::{Connection, TransactionBehavior};

use super::file::Header;
use super::tables;
use crate::journal::tables::ALL;

/// `FLOW`, in the file's header: it tells a journal from other programs' files.
pub(super) const APPLICATION: i32 = 0x464c_4f57;

/// What a version brought beside small tables.
const STEPS: [(i32, &str); 4] = [(1, VERSION_1), (2, VERSION_2), (3, VERSION_3), (5, VERSION_5)];

/// The version that this host reads and writes: the newest of all that there is.
pub(super) const VERSION: i32 = {
    let (mut newest, mut step, mut table) = (0, 0, 0);
    while step < STEPS.len() {
        newest = if STEPS[step].0 > newest { STEPS[step].0 } else { newest };
        step += 1;
    }
    while table < ALL.len() {
        newest = if ALL[table].since > newest { ALL[table].since } else { newest };
        table += 1;
    }
    newest
};

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
";

/// Keys of the journal's own.
const VERSION_2: &str = "
    CREATE TABLE keys (
        name TEXT NOT NULL PRIMARY KEY,
        value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Who is at work on a run, and the order in which runs are forgotten.
const VERSION_3: &str = "
    CREATE TABLE leases (
        lease INTEGER PRIMARY KEY AUTOINCREMENT,
        until INTEGER NOT NULL
    ) STRICT;
    ALTER TABLE runs ADD COLUMN owner INTEGER;
    CREATE INDEX runs_ended ON runs (tenant, status, ended_at) WHERE phase = 2;
";

/// Which events began a run a while ago.
const VERSION_5: &str = "
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

/// Brings a file of an earlier version, or a new one, to this host's.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    // Read again under the lock: another process may have been quicker.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = Header::read(&transaction)?.version;
    if found >= VERSION {
        return Ok(());
    }
    for version in found + 1..=VERSION {
        for (_, step) in STEPS.iter().filter(|(brought, _)| *brought == version) {
            transaction.execute_batch(step)?;
        }
        for table in ALL.iter().filter(|table| table.since == version) {
            transaction.execute_batch(&tables::definition(table))?;
        }
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}
