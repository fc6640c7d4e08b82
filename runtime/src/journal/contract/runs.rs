//! What a store must do with runs: their entries, their heads, and how many are open.

use jiff::Timestamp;

use super::assert_conflict;
use crate::id::{RunId, TenantId};
use crate::journal::samples::{
    NOBODY, append, at, commit, created, entries, entry, flow, run, started, status, timer, timer_row,
};
use crate::journal::{
    Batch, Entry, FlowRow, OriginalRow, Phase, RunKey, RunQuery, RunRow, Storage, StorageError, Write,
};

on_every_store! {
    a_batch_is_there_when_commit_has_returned
    a_run_is_created_once
    an_entry_that_is_not_the_next_one_is_a_conflict
    entries_of_one_append_are_dense
    entries_are_read_from_where_one_asks
    a_log_is_the_head_and_all_entries
    a_conflicting_batch_leaves_nothing_and_fails_alone
    later_batches_of_a_call_see_the_earlier_ones
    a_run_that_is_over_never_changes_its_status
    open_runs_are_counted_by_tenant
    a_conflicting_batch_does_not_count
    only_runs_that_are_over_are_forgotten_by_age_and_status
    tenants_do_not_see_each_other
    any_text_comes_back_as_it_was
    an_event_begins_a_run_once_in_its_time
}

fn a_batch_is_there_when_commit_has_returned(store: &dyn Storage) {
    let row = run("acme", 5);
    let writes = vec![
        Write::CreateRun(row.clone()),
        append(&row.key, 0..2),
        status(&row.key, "suspended", Phase::Parked),
        timer(&row.key, 3, 90),
    ];
    commit(store, writes).unwrap();

    let parked = RunRow { status: "suspended".into(), phase: Phase::Parked, ..row.clone() };
    assert_eq!(store.run(&row.key).unwrap(), Some(parked));
    assert_eq!(store.entries(&row.key, 0).unwrap(), entries(0..2));
    assert_eq!(store.due(NOBODY, Timestamp::MAX, 1).unwrap().first().map(|timer| timer.due), Some(at(90)));
}

fn a_run_is_created_once(store: &dyn Storage) {
    let row = run("acme", 5);
    commit(store, vec![Write::CreateRun(row.clone())]).unwrap();
    let other = RunRow { status: "pending".into(), ..row.clone() };
    assert_conflict(commit(store, vec![Write::CreateRun(other)]));
    assert_eq!(store.run(&row.key).unwrap(), Some(row));
}

fn an_entry_that_is_not_the_next_one_is_a_conflict(store: &dyn Storage) {
    let key = started(store, "acme", 0..2);
    for wrong in [0..1, 1..2, 3..4, 7..8] {
        assert_conflict(commit(store, vec![append(&key, wrong)]));
    }
    let unknown = RunKey { run: RunId::mint(), ..key.clone() };
    assert_conflict(commit(store, vec![append(&unknown, 0..1)]));
    assert_conflict(commit(store, vec![append(&unknown, 1..2)]));
    commit(store, vec![append(&key, 2..3)]).unwrap();
    assert_eq!(store.entries(&key, 0).unwrap(), entries(0..3));
}

fn entries_of_one_append_are_dense(store: &dyn Storage) {
    let key = started(store, "acme", 0..1);
    let gap = Write::Append { key: key.clone(), entries: vec![entry(1), entry(3)] };
    let twice = Write::Append { key: key.clone(), entries: vec![entry(1), entry(1)] };
    assert_conflict(commit(store, vec![gap]));
    assert_conflict(commit(store, vec![twice]));
    assert_eq!(store.entries(&key, 0).unwrap(), entries(0..1));
}

fn entries_are_read_from_where_one_asks(store: &dyn Storage) {
    let key = started(store, "acme", 0..5);
    assert_eq!(store.entries(&key, 3).unwrap(), entries(3..5));
    assert_eq!(store.entries(&key, 9).unwrap(), []);
    assert_eq!(store.entries(&key, u64::MAX).unwrap(), []);
    let unknown = RunKey { run: RunId::mint(), ..key };
    assert_eq!(store.entries(&unknown, 0).unwrap(), []);
}

fn a_log_is_the_head_and_all_entries(store: &dyn Storage) {
    let key = started(store, "acme", 0..3);
    let row = store.run(&key).unwrap().unwrap();
    assert_eq!(store.log(&key).unwrap(), Some((row, entries(0..3))));
    assert_eq!(store.log(&RunKey { run: RunId::mint(), ..key }).unwrap(), None);
}

fn a_conflicting_batch_leaves_nothing_and_fails_alone(store: &dyn Storage) {
    let key = started(store, "acme", 0..1);
    let fresh = run("acme", 6);
    let results = store.commit(&[
        Batch::of(vec![append(&key, 1..2)]),
        Batch::of(vec![
            Write::CreateRun(fresh.clone()),
            timer(&fresh.key, 0, 10),
            append(&key, 2..3),
            Write::put(flow("intake", "1.0.0", 1)),
            append(&key, 1..2),
        ]),
        Batch::of(vec![append(&key, 2..3)]),
    ]);
    assert!(matches!(results[..], [Ok(()), Err(StorageError::Conflict(_)), Ok(())]), "{results:?}");
    assert_eq!(store.entries(&key, 0).unwrap(), entries(0..3));
    assert_eq!(store.run(&fresh.key).unwrap(), None);
    assert_eq!(store.due(NOBODY, Timestamp::MAX, 1).unwrap().first().map(|timer| timer.due), None);
    assert_eq!(store.list::<FlowRow>().unwrap(), []);
}

fn later_batches_of_a_call_see_the_earlier_ones(store: &dyn Storage) {
    let row = run("acme", 5);
    let results = store.commit(&[
        Batch::of(vec![Write::CreateRun(row.clone()), append(&row.key, 0..1)]),
        Batch::of(vec![append(&row.key, 1..2), append(&row.key, 2..3)]),
        Batch::of(vec![status(&row.key, "completed", Phase::Ended)]),
        Batch::of(vec![status(&row.key, "faulted", Phase::Ended)]),
    ]);
    assert!(matches!(results[..], [Ok(()), Ok(()), Ok(()), Err(StorageError::Conflict(_))]), "{results:?}");
    assert_eq!(store.run(&row.key).unwrap().unwrap().status, "completed");
    assert_eq!(store.open_runs(&row.key.tenant).unwrap(), 0);
}

fn a_run_that_is_over_never_changes_its_status(store: &dyn Storage) {
    let key = started(store, "acme", 0..1);
    commit(store, vec![status(&key, "cancelled", Phase::Ended)]).unwrap();
    let ended = store.run(&key).unwrap().unwrap();
    assert_eq!(ended.ended_at, Some(at(99)));
    assert_conflict(commit(store, vec![status(&key, "running", Phase::Active)]));
    assert_eq!(store.run(&key).unwrap(), Some(ended));
    let unknown = RunKey { run: RunId::mint(), ..key };
    assert_conflict(commit(store, vec![status(&unknown, "running", Phase::Active)]));
}

fn open_runs_are_counted_by_tenant(store: &dyn Storage) {
    let first = started(store, "acme", 0..1);
    let second = started(store, "acme", 0..1);
    let other = started(store, "other", 0..1);
    commit(store, vec![status(&first, "suspended", Phase::Parked)]).unwrap();
    assert_eq!(store.open_runs(&first.tenant).unwrap(), 2);
    commit(store, vec![status(&second, "completed", Phase::Ended)]).unwrap();
    commit(store, vec![status(&first, "running", Phase::Active)]).unwrap();
    assert_eq!(store.open_runs(&first.tenant).unwrap(), 1);
    assert_eq!(store.open_runs(&other.tenant).unwrap(), 1);
    assert_eq!(store.open_runs(&TenantId::from("nobody")).unwrap(), 0);
}

fn a_conflicting_batch_does_not_count(store: &dyn Storage) {
    let key = started(store, "acme", 0..1);
    let results = store.commit(&[
        Batch::of(vec![status(&key, "completed", Phase::Ended), append(&key, 5..6)]),
        Batch::of(vec![Write::CreateRun(run("acme", 6))]),
        Batch::of(vec![Write::CreateRun(run("acme", 7)), append(&key, 0..1)]),
    ]);
    assert!(results[0].is_err() && results[1].is_ok() && results[2].is_err(), "{results:?}");
    assert_eq!(store.open_runs(&key.tenant).unwrap(), 2);
}

fn only_runs_that_are_over_are_forgotten_by_age_and_status(store: &dyn Storage) {
    let over = |tenant: &str, word: &str, second: i64| {
        let key = started(store, tenant, 0..3);
        let (status, ended_at) = (word.to_owned(), Some(at(second)));
        commit(store, vec![Write::SetStatus { key: key.clone(), status, phase: Phase::Ended, ended_at }])
            .unwrap();
        key
    };
    let completed = [10, 20, 30, 40].map(|second| over("acme", "completed", second));
    let faulted = over("acme", "faulted", 10);
    let other = over("other", "completed", 10);
    // It has ended, and something of it is still to be undone.
    let undoing = started(store, "acme", 0..1);
    let (word, ended_at) = ("completed".to_owned(), Some(at(10)));
    commit(
        store,
        vec![Write::SetStatus { key: undoing.clone(), status: word, phase: Phase::Parked, ended_at }],
    )
    .unwrap();
    let suspended = started(store, "acme", 0..1);
    commit(store, vec![status(&suspended, "suspended", Phase::Parked), timer(&suspended, 0, 5)]).unwrap();

    let acme = TenantId::from("acme");
    let forget = |limit| store.forget(&acme, "completed", at(35), limit).unwrap();
    assert_eq!((forget(2), forget(2), forget(2)), (2, 1, 0));
    for key in &completed[..3] {
        assert_eq!((store.run(key).unwrap(), store.entries(key, 0).unwrap()), (None, vec![]));
    }
    for key in [&completed[3], &faulted, &other, &undoing, &suspended] {
        assert!(store.run(key).unwrap().is_some() && !store.entries(key, 0).unwrap().is_empty());
    }
    assert_eq!(store.open_runs(&acme).unwrap(), 2);
    assert_eq!(store.due(NOBODY, Timestamp::MAX, 9).unwrap(), [timer_row(&suspended, 0, 5)]);
    assert_eq!(store.runs(&acme, &RunQuery { limit: 9, ..RunQuery::default() }).unwrap().items.len(), 4);
}

fn tenants_do_not_see_each_other(store: &dyn Storage) {
    let key = started(store, "acme", 0..1);
    let same_run = RunKey { tenant: TenantId::from("other"), ..key.clone() };
    assert_eq!(store.run(&same_run).unwrap(), None);
    assert_eq!(store.entries(&same_run, 0).unwrap(), []);
    assert_conflict(commit(store, vec![append(&same_run, 1..2)]));
    let query = RunQuery { limit: 10, ..RunQuery::default() };
    assert_eq!(store.runs(&same_run.tenant, &query).unwrap().items, []);
    commit(store, vec![FlowRow::removal(same_run.tenant, "default".into(), "intake".into())]).unwrap();
}

fn any_text_comes_back_as_it_was(store: &dyn Storage) {
    let key = started(store, "acme", 0..1);
    let texts = ["", "\u{0}\"'; DROP TABLE runs; --", "grüße 🦀", &"x".repeat(1 << 20)];
    let entries: Vec<Entry> =
        (1..).zip(texts).map(|(seq, body)| Entry { seq, at: at(7), body: body.into() }).collect();
    commit(store, vec![Write::Append { key: key.clone(), entries: entries.clone() }]).unwrap();
    assert_eq!(store.entries(&key, 1).unwrap(), entries);
    let row = RunRow { trigger: None, status: "' OR 1=1".into(), ..run("acme'--", -5) };
    assert_eq!(store.run(&created(store, row.clone()).key).unwrap(), Some(row));
}

fn an_event_begins_a_run_once_in_its_time(store: &dyn Storage) {
    let tenant = TenantId::from("acme");
    let row = |run: u8, key: u8, until| OriginalRow {
        tenant: TenantId::from("acme"),
        trigger: "shop/in".into(),
        key: [key; 32],
        run: RunId::from_bytes([run; 16]),
        until: at(until),
    };
    let remember = |row, moment| commit(store, vec![Write::Remember { row, at: at(moment) }]);
    let original = |key: u8, moment| store.original(&tenant, "shop/in", &[key; 32], at(moment)).unwrap();
    remember(row(1, 1, 100), 10).unwrap();
    remember(row(2, 2, 100), 10).unwrap();
    assert_eq!(original(1, 99), Some(RunId::from_bytes([1; 16])));
    assert_eq!((original(1, 100), original(3, 10)), (None, None));
    assert_eq!(store.original(&TenantId::from("other"), "shop/in", &[1; 32], at(10)).unwrap(), None);
    assert_eq!(store.original(&tenant, "shop/out", &[1; 32], at(10)).unwrap(), None);
    assert!(matches!(remember(row(3, 1, 200), 99), Err(StorageError::Conflict(_))));
    assert_eq!(original(1, 99), Some(RunId::from_bytes([1; 16])));
    remember(row(3, 1, 200), 100).unwrap();
    assert_eq!((original(1, 150), original(2, 150)), (Some(RunId::from_bytes([3; 16])), None));
}
