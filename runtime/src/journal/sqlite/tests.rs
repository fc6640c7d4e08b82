//! The SQLite store alone: schema, damage, full disks, power cuts, and what the storage contract does not say.

use std::fs;
use std::path::Path;

#[cfg(target_os = "linux")]
mod faults;
mod formats;

use super::*;
use crate::journal::record::{Phase, Write};
use crate::journal::row::Rows;
use crate::journal::samples::{
    Folder, NOBODY, append, at, commit, entries, flow_id, run, started, status, timer,
};
use crate::journal::{AuditQuery, AuditRow, FlowRow, ScheduleRow, TokenRow};

/// What a power cut would leave: the files as they are, while the store has them open.
fn after_power_cut(from: &Folder, to: &Folder) -> Result<SqliteStorage, StorageError> {
    for file in ["journal.db", "journal.db-wal"] {
        let _ = fs::copy(from.path(file), to.path(file));
    }
    SqliteStorage::open(&to.path("journal.db"))
}

fn refusal(path: &Path) -> StorageError {
    SqliteStorage::open(path).err().expect("it is not opened")
}

#[test]
fn what_was_acknowledged_is_there_after_a_power_cut() {
    let (folder, copy) = (Folder::new(), Folder::new());
    let store = SqliteStorage::open(&folder.path("journal.db")).unwrap();
    let keys: Vec<RunKey> = (0..50).map(|_| started(&store, "acme", 0..3)).collect();
    commit(&store, vec![status(&keys[0], "completed", Phase::Ended)]).unwrap();
    commit(&store, vec![timer(&keys[1], 0, 7)]).unwrap();

    let reopened = after_power_cut(&folder, &copy).unwrap();
    for key in &keys {
        assert_eq!(reopened.entries(key, 0).unwrap(), entries(0..3));
    }
    assert_eq!(reopened.run(&keys[0]).unwrap().unwrap().phase, Phase::Ended);
    assert_eq!(reopened.due(NOBODY, Timestamp::MAX, 1).unwrap().first().map(|timer| timer.due), Some(at(7)));
    assert_eq!(reopened.open_runs(&keys[0].tenant).unwrap(), 49);
    let lease = reopened.begin_lease(at(9)).unwrap();
    assert_eq!(reopened.take_over(lease, at(1), None, 100).unwrap().len(), 49);
    commit(&reopened, vec![append(&keys[2], 3..4)]).unwrap();
}

#[test]
fn a_write_ahead_log_that_was_cut_short_loses_only_its_last_transaction() {
    let (folder, copy) = (Folder::new(), Folder::new());
    let store = SqliteStorage::open(&folder.path("journal.db")).unwrap();
    let first = started(&store, "acme", 0..3);
    let second = started(&store, "acme", 0..3);
    fs::copy(folder.path("journal.db"), copy.path("journal.db")).unwrap();
    let log = fs::read(folder.path("journal.db-wal")).unwrap();
    fs::write(copy.path("journal.db-wal"), &log[..log.len() - 100]).unwrap();

    let reopened = SqliteStorage::open(&copy.path("journal.db")).unwrap();
    assert_eq!(reopened.entries(&first, 0).unwrap(), entries(0..3));
    assert_eq!(reopened.run(&second).unwrap(), None);
    assert_eq!(reopened.open_runs(&first.tenant).unwrap(), 1);
}

#[test]
fn after_a_checkpoint_the_file_alone_is_the_whole_journal() {
    let (folder, copy) = (Folder::new(), Folder::new());
    let store = SqliteStorage::open(&folder.path("journal.db")).unwrap();
    let key = started(&store, "acme", 0..3);
    store.checkpoint().unwrap();
    fs::copy(folder.path("journal.db"), copy.path("journal.db")).unwrap();
    let reopened = SqliteStorage::open(&copy.path("journal.db")).unwrap();
    assert_eq!(reopened.entries(&key, 0).unwrap(), entries(0..3));
}

#[test]
fn a_full_disk_fails_every_batch_of_a_call_and_is_left_by_itself() {
    let folder = Folder::new();
    let store = SqliteStorage::open(&folder.path("journal.db")).unwrap();
    let key = started(&store, "acme", 0..1);
    store.limit_pages(1);
    let large = |row: &RunRow| {
        Batch::of(vec![
            Write::CreateRun(row.clone()),
            Write::Append {
                key: row.key.clone(),
                entries: vec![Entry { seq: 0, at: at(1), body: "x".repeat(100_000) }],
            },
        ])
    };
    let rows = [run("acme", 1), run("acme", 2)];
    let small = Batch::of(vec![append(&key, 1..2)]);
    let results = store.commit(&[small.clone(), large(&rows[0]), large(&rows[1])]);
    assert_eq!(results.len(), 3);
    for result in results {
        let error = result.unwrap_err();
        assert!(matches!(error, StorageError::Full(_)), "{error}");
        assert!(error.to_string().contains("journal.db"), "{error}");
    }
    assert_eq!(store.entries(&key, 0).unwrap(), entries(0..1));
    assert_eq!(store.run(&rows[0].key).unwrap(), None);
    assert_eq!(store.open_runs(&key.tenant).unwrap(), 1);
    assert!(matches!(store.probe(), Err(StorageError::Full(_))));

    store.limit_pages(1 << 30);
    store.probe().unwrap();
    assert!(store.commit(&[small, large(&rows[0])]).iter().all(Result::is_ok));
    assert_eq!(store.entries(&key, 0).unwrap(), entries(0..2));
    assert_eq!(store.open_runs(&key.tenant).unwrap(), 2);
}

#[test]
fn what_is_forgotten_makes_the_file_smaller() {
    let folder = Folder::new();
    let path = folder.path("journal.db");
    let store = SqliteStorage::open(&path).unwrap();
    let tenant = TenantId::from("acme");
    for _ in 0..300 {
        let key = started(&store, "acme", 0..1);
        let large = Entry { seq: 1, at: at(1), body: "x".repeat(20_000) };
        let entries = Write::Append { key: key.clone(), entries: vec![large] };
        commit(&store, vec![entries, status(&key, "completed", Phase::Ended)]).unwrap();
    }
    store.checkpoint().unwrap();
    let before = path.metadata().unwrap().len();
    assert!(before > 300 * 20_000, "{before}");
    while store.forget(&tenant, "completed", at(100), 100).unwrap() > 0 {}
    store.checkpoint().unwrap();
    let after = path.metadata().unwrap().len();
    assert!(after < before / 10, "{before} bytes before, {after} after");
}

#[test]
fn a_panic_inside_a_transaction_leaves_a_store_that_works() {
    let folder = Folder::new();
    let store = SqliteStorage::open(&folder.path("journal.db")).unwrap();
    let key = started(&store, "acme", 0..1);
    std::thread::scope(|scope| {
        let panicked = scope.spawn(|| store.write(|writer| writer.panic_in_a_transaction())).join();
        assert!(panicked.is_err());
    });
    commit(&store, vec![append(&key, 1..2)]).unwrap();
    assert_eq!(store.entries(&key, 0).unwrap(), entries(0..2));
}

#[test]
fn text_in_place_of_a_journal_is_called_damaged() {
    let folder = Folder::new();
    let path = folder.path("journal.db");
    fs::write(&path, "this is not a database, though it is long enough to be one".repeat(100)).unwrap();
    let refused = refusal(&path);
    assert!(matches!(refused, StorageError::Corrupt { .. }), "{refused}");
    assert!(refused.to_string().contains(path.to_str().unwrap()), "{refused}");
}

#[test]
fn damage_inside_the_file_is_reported_when_it_is_read() {
    let folder = Folder::new();
    let path = folder.path("journal.db");
    let store = SqliteStorage::open(&path).unwrap();
    let keys: Vec<RunKey> = (0..200).map(|_| started(&store, "acme", 0..3)).collect();
    store.checkpoint().unwrap();
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    // The first page is left alone, so that the damage is not in the header.
    bytes[4096..].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let error = match SqliteStorage::open(&path) {
        Err(error) => error,
        Ok(store) => store.entries(&keys[0], 0).unwrap_err(),
    };
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
}

#[test]
fn a_file_that_was_cut_short_is_called_damaged() {
    let folder = Folder::new();
    let path = folder.path("journal.db");
    drop(SqliteStorage::open(&path).unwrap());
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let refused = refusal(&path);
    assert!(matches!(refused, StorageError::Corrupt { .. }), "{refused}");
}

#[test]
fn a_journal_of_a_later_version_is_left_alone() {
    let folder = Folder::new();
    let path = folder.path("journal.db");
    drop(SqliteStorage::open(&path).unwrap());
    let (connection, later) = (Connection::open(&path).unwrap(), schema::VERSION + 1);
    connection.pragma_update(None, "user_version", later).unwrap();
    drop(connection);
    let before = fs::read(&path).unwrap();
    let refused = refusal(&path);
    assert!(matches!(refused, StorageError::Newer { found, .. } if found == later), "{refused}");
    let says = format!("has format {later}, this host knows up to {}", schema::VERSION);
    assert!(refused.to_string().contains(&says), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn the_database_of_another_application_is_left_alone() {
    let folder = Folder::new();
    let path = folder.path("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    let before = fs::read(&path).unwrap();
    let refused = refusal(&path);
    assert!(matches!(refused, StorageError::Foreign { .. }), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_place_that_cannot_be_written_is_named_with_the_reason() {
    let folder = Folder::new();
    fs::write(folder.path("file"), "").unwrap();
    fs::create_dir(folder.path("folder")).unwrap();
    for (path, reason) in [("file/journal.db", "it is not a folder"), ("folder", "Is a directory")] {
        let refused = refusal(&folder.path(path));
        assert!(matches!(refused, StorageError::Unwritable { .. }), "{refused}");
        assert!(refused.to_string().contains(reason), "{refused}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_without_write_permission_is_refused_and_a_new_one_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    let path = folder.path("new/journal.db");
    drop(SqliteStorage::open(&path).unwrap());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    // The superuser may write it all the same.
    match SqliteStorage::open(&path) {
        Ok(_) => assert!(fs::OpenOptions::new().write(true).open(&path).is_ok()),
        Err(refused) => assert!(matches!(refused, StorageError::Unwritable { .. }), "{refused}"),
    }
}

#[test]
fn more_readers_than_connections_take_turns() {
    let folder = Folder::new();
    let store = SqliteStorage::open(&folder.path("journal.db")).unwrap();
    let key = started(&store, "acme", 0..3);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert_eq!(store.entries(&key, 0).unwrap(), entries(0..3)));
        }
    });
}

#[test]
fn every_question_is_answered_by_an_index() {
    let folder = Folder::new();
    let store = SqliteStorage::open(&folder.path("journal.db")).unwrap();
    let plan = |question: &str| {
        store
            .read(|connection| {
                connection
                    .prepare(&format!("EXPLAIN QUERY PLAN {question}"))?
                    .raw_query()
                    .mapped(|row| row.get::<_, String>(3))
                    .collect::<Result<Vec<_>, _>>()
            })
            .unwrap()
            .join("; ")
    };
    for (question, index) in read::QUESTIONS_ON_INDEXES {
        let plan = plan(question);
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{question}: {plan}");
    }
    let of = |tenant: &str| TenantId::from(tenant);
    let asked = AuditQuery::default;
    let audit = [
        (asked(), "PRIMARY KEY"),
        (AuditQuery { actor: Some(String::new()), cursor: Some(String::new()), ..asked() }, "audit_by_actor"),
        (AuditQuery { action: Some(String::new()), ..asked() }, "audit_by_action"),
        (AuditQuery { denied: true, ..asked() }, "audit_denied"),
    ];
    let audit = audit.map(|(query, index)| (query.rows(of("acme")).into_query(), index));
    let others = [
        (AuditRow::oldest(of("acme")).into_query(), "PRIMARY KEY"),
        (ScheduleRow::next(9).into_query(), "schedules_by_due"),
        (TokenRow::with_digest([0; 32]).into_query(), "sqlite_autoindex_tokens"),
        (TokenRow::of(None).into_query(), "PRIMARY KEY"),
        (Rows::<FlowRow>::with_key((of("acme"), flow_id("intake", "1.0.0"))).into_query(), "autoindex_flows"),
    ];
    for (query, index) in audit.into_iter().chain(others) {
        let question = tables::text(&query);
        let plan = plan(&question);
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{question}: {plan}");
    }
}
