//! A history of commits in which the n-th write to the disk fails, for every n. Each is lived through in a process of its
//! own, whose files may not grow past a limit: what goes beyond fails as on a disk that is full or broken.

use std::process::{Command, exit};

use rustix::process::{Resource, Rlimit, setrlimit};

use super::*;
use crate::id::RunId;

/// What SQLite writes to its log for one page.
const FRAME: u64 = 4096 + 24;
/// The exit code of a history that no write failed in.
const NO_FAULT: i32 = 17;
const NTH: &str = "FLOWCELL_FAIL_WRITE";

#[test]
fn whichever_write_fails_what_was_acknowledged_is_there_once() {
    if let Ok(nth) = std::env::var(NTH) {
        return live(nth.parse().unwrap());
    }
    let this = std::env::current_exe().unwrap();
    for nth in 0.. {
        let name =
            "journal::sqlite::tests::faults::whichever_write_fails_what_was_acknowledged_is_there_once";
        let mut command = Command::new(&this);
        command.args(["--exact", name, "--nocapture"]).env(NTH, nth.to_string()).env("RUST_BACKTRACE", "0");
        let output = command.output().unwrap();
        let text = || {
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
        };
        match output.status.code() {
            Some(0) => assert!(nth < 500, "the history has no end"),
            Some(NO_FAULT) => return assert!(nth > 20, "only {nth} writes can fail: {}", text()),
            code => panic!("write {nth}: {code:?}: {}", text()),
        }
    }
}

/// In a process of its own.
fn live(nth: u64) {
    catch_the_signal();
    let folder = Folder::new();
    let (path, log) = (folder.path("journal.db"), folder.path("journal.db-wal"));
    let store = SqliteStorage::open(&path).unwrap();
    let limit = log.metadata().unwrap().len() + nth * FRAME + FRAME / 2;
    limit_files(Some(limit));

    let lease = store.begin_lease(at(1)).ok();
    let mut failed = usize::from(lease.is_none());
    if lease.is_none() {
        limit_files(None);
    }
    let lease = lease.unwrap_or_else(|| store.begin_lease(at(1)).unwrap());
    let history = history();
    for (number, writes) in history.iter().enumerate() {
        if number == history.len() / 2 && store.checkpoint().is_err() {
            failed += 1;
        }
        let batch = [Batch { lease: Some(lease), writes: writes.clone() }];
        let first = store.commit(&batch).remove(0);
        let Err(error) = first else { continue };
        assert!(matches!(error, StorageError::Io(_) | StorageError::Full(_)), "{error}");
        failed += 1;
        // What a power cut would leave now has everything that was acknowledged.
        let cut = Folder::new();
        limit_files(None);
        let left = after_power_cut(&folder, &cut).unwrap();
        holds(&left, &history[..number], Some(writes));
        match store.commit(&batch).remove(0) {
            // Written after all.
            Ok(()) | Err(StorageError::Conflict(_)) => {}
            Err(error) => panic!("commit {number} again: {error}"),
        }
    }
    holds(&store, &history, None);
    let copy = Folder::new();
    holds(&after_power_cut(&folder, &copy).unwrap(), &history, None);
    if failed == 0 {
        exit(NO_FAULT);
    }
}

/// Runs that begin, go on, wait, and end, with small and large entries.
fn history() -> Vec<Vec<Write>> {
    let mut history = vec![];
    for number in 0..6_u8 {
        let mut row = run("acme", 1);
        row.key.run = RunId::from_bytes([number; 16]);
        let key = row.key.clone();
        history.push(vec![Write::CreateRun(row), append(&key, 0..1), timer(&key, 0, 9)]);
        let body = "x".repeat(usize::from(number) * 3_000);
        let large = Write::Append { key: key.clone(), entries: vec![Entry { seq: 1, at: at(2), body }] };
        history.push(vec![large, status(&key, "waiting", Phase::Parked)]);
        let clear = Write::ClearTimers { key: key.clone() };
        history.push(vec![append(&key, 2..4), clear, status(&key, "completed", Phase::Ended)]);
    }
    history
}

/// Everything of these, and of what comes next all or nothing.
fn holds(store: &SqliteStorage, acknowledged: &[Vec<Write>], next: Option<&[Write]>) {
    let appended = |batches: &[Vec<Write>], of: &RunKey| -> u64 {
        let writes = batches.iter().flatten();
        let counts = writes.map(|write| match write {
            Write::Append { key, entries } if key == of => entries.len() as u64,
            _ => 0,
        });
        counts.sum()
    };
    let keys = acknowledged.iter().flatten().filter_map(|write| match write {
        Write::CreateRun(row) => Some(row.key.clone()),
        _ => None,
    });
    for key in keys {
        let stored = store.entries(&key, 0).unwrap();
        assert!(stored.iter().zip(0..).all(|(entry, seq)| entry.seq == seq));
        let expected = appended(acknowledged, &key);
        let more = next.map_or(0, |next| appended(&[next.to_vec()], &key));
        let found = stored.len() as u64;
        assert!(found == expected || found == expected + more, "{found} entries, {expected} or {more} more");
    }
    let integrity: String = store
        .read(|connection| connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)))
        .unwrap();
    assert_eq!(integrity, "ok");
}

fn limit_files(bytes: Option<u64>) {
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

/// A write past the limit fails then, instead of ending the process.
fn catch_the_signal() {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let _guard = tokio.enter();
    let kind = tokio::signal::unix::SignalKind::from_raw(25);
    drop(tokio::signal::unix::signal(kind).unwrap());
}
