//! What every store must do, as tests that run on each of them.

use jiff::Timestamp;

use super::record::{
    AuditQuery, AuditRow, Batch, Entry, FlowRow, GRANTS, Lease, OriginalRow, Phase, PluginRow, Role, RunKey,
    RunQuery, RunRow, ScheduleRow, SubscriptionPhase, SubscriptionRow, TokenRow, TriggerRow, VaultKind,
    VaultRow, Write,
};
use super::rows::{
    Folder, NOBODY, append, at, commit, created, entries, entry, flow, run, started, status, timer,
    timer_row, trigger,
};
use super::storage::{Storage, StorageError};
use super::{MemoryStorage, SqliteStorage};
use crate::id::{FlowId, RunId, TenantId};

/// Makes a test of each function for each store.
macro_rules! on_every_store {
    ($($check:ident)*) => {
        mod sqlite {
            use super::*;
            $(#[test] fn $check() {
                let folder = Folder::new();
                super::$check(&SqliteStorage::open(&folder.path("journal.db")).unwrap());
            })*
        }
        mod memory {
            use super::*;
            $(#[test] fn $check() {
                super::$check(&MemoryStorage::new());
            })*
        }
    };
}

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
    runs_at_work_are_taken_over_in_order_and_in_parts
    a_run_at_work_keeps_its_owner_until_it_rests
    a_lease_that_has_ended_writes_nothing
    a_lease_whose_time_is_over_ends_when_another_looks
    timers_come_earliest_first_until_now
    a_timer_can_be_moved_and_cleared
    clearing_the_timers_of_a_run_leaves_those_of_others
    runs_are_listed_newest_first_in_pages
    pages_with_equal_start_times_miss_nothing
    lists_are_filtered_by_flow_status_and_start
    only_runs_that_are_over_are_forgotten_by_age_and_status
    tenants_do_not_see_each_other
    a_made_up_cursor_is_refused
    the_newest_text_of_a_flow_comes_last
    a_removed_flow_keeps_its_text
    installing_a_removed_flow_brings_it_back
    editing_a_trigger_keeps_its_token
    a_removed_trigger_is_gone
    what_is_secret_is_kept_by_kind_and_name
    a_token_is_found_by_its_digest_until_it_is_removed
    an_audit_log_is_read_from_the_newest_and_forgets_the_oldest
    an_event_begins_a_run_once_in_its_time
    a_plugin_is_kept_in_each_version
    a_subscription_is_changed_by_one_at_a_time
    a_schedule_is_moved_by_one_at_a_time
    any_text_comes_back_as_it_was
    a_probe_leaves_no_trace
    a_key_is_minted_once
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
            Write::PutFlow(flow("intake", "1.0.0", 1)),
            append(&key, 1..2),
        ]),
        Batch::of(vec![append(&key, 2..3)]),
    ]);
    assert!(matches!(results[..], [Ok(()), Err(StorageError::Conflict(_)), Ok(())]), "{results:?}");
    assert_eq!(store.entries(&key, 0).unwrap(), entries(0..3));
    assert_eq!(store.run(&fresh.key).unwrap(), None);
    assert_eq!(store.due(NOBODY, Timestamp::MAX, 1).unwrap().first().map(|timer| timer.due), None);
    assert_eq!(store.flows().unwrap(), []);
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

fn runs_at_work_are_taken_over_in_order_and_in_parts(store: &dyn Storage) {
    let first = store.begin_lease(at(50)).unwrap();
    let mut keys: Vec<RunKey> = ["b", "a", "b", "a"].map(|tenant| owned(store, first, tenant)).into();
    let parked = owned(store, first, "a");
    let ended = owned(store, first, "b");
    commit(store, vec![status(&parked, "waiting", Phase::Parked)]).unwrap();
    commit(store, vec![status(&ended, "completed", Phase::Ended)]).unwrap();
    store.end_lease(first).unwrap();
    let second = store.begin_lease(at(90)).unwrap();
    keys.sort();
    let take_over = |after, limit| store.take_over(second, at(60), after, limit).unwrap();
    assert_eq!(take_over(None, 3), keys[..3]);
    assert_eq!(take_over(Some(&keys[2]), 3), keys[3..]);
    assert_eq!(take_over(None, 3), []);
    let owner = |key| store.run(key).unwrap().unwrap().owner;
    assert!(keys.iter().all(|key| owner(key) == Some(second)));
    assert_eq!(store.run(&parked).unwrap().unwrap().owner, None);
}

fn a_run_at_work_keeps_its_owner_until_it_rests(store: &dyn Storage) {
    let lease = store.begin_lease(at(50)).unwrap();
    let key = owned(store, lease, "acme");
    let owner = || store.run(&key).unwrap().unwrap().owner;
    assert_eq!(owner(), Some(lease));
    commit(store, vec![append(&key, 1..2), status(&key, "running", Phase::Active)]).unwrap();
    assert_eq!(owner(), Some(lease));
    commit(store, vec![status(&key, "waiting", Phase::Parked)]).unwrap();
    assert_eq!(owner(), None);
    let woken = vec![append(&key, 2..3), status(&key, "running", Phase::Active)];
    under(store, lease, woken).unwrap();
    assert_eq!(owner(), Some(lease));
    under(store, lease, vec![status(&key, "completed", Phase::Ended)]).unwrap();
    assert_eq!(owner(), None);
}

fn a_lease_that_has_ended_writes_nothing(store: &dyn Storage) {
    let first = store.begin_lease(at(50)).unwrap();
    let key = owned(store, first, "acme");
    store.renew_lease(first, at(55)).unwrap();
    store.end_lease(first).unwrap();
    let second = store.begin_lease(at(90)).unwrap();
    assert!(second > first);
    assert_fenced(under(store, first, vec![append(&key, 1..2)]));
    assert_fenced(store.renew_lease(first, at(99)));
    assert_fenced(store.take_over(first, at(60), None, 9).map(drop));
    let results = store.commit(&[
        Batch { lease: Some(second), writes: vec![append(&key, 1..2)] },
        Batch { lease: Some(first), writes: vec![append(&key, 2..3)] },
        Batch { lease: Some(second), writes: vec![append(&key, 2..3)] },
    ]);
    assert!(matches!(results[..], [Ok(()), Err(StorageError::Fenced), Ok(())]), "{results:?}");
    assert_eq!(store.entries(&key, 0).unwrap(), entries(0..3));
}

fn a_lease_whose_time_is_over_ends_when_another_looks(store: &dyn Storage) {
    let lease = store.begin_lease(at(50)).unwrap();
    let key = owned(store, lease, "acme");
    assert_eq!(store.take_over(lease, at(49), None, 9).unwrap(), []);
    under(store, lease, vec![append(&key, 1..2)]).unwrap();
    store.renew_lease(lease, at(70)).unwrap();
    assert_eq!(store.take_over(lease, at(69), None, 9).unwrap(), []);
    assert_fenced(store.take_over(lease, at(70), None, 9).map(drop));
    assert_fenced(under(store, lease, vec![append(&key, 2..3)]));
}

fn timers_come_earliest_first_until_now(store: &dyn Storage) {
    let key = started(store, "acme", 0..1);
    let other = started(store, "other", 0..1);
    commit(store, vec![timer(&key, 0, 30), timer(&key, 1, 10), timer(&other, 0, 20)]).unwrap();
    assert_eq!(store.due(NOBODY, Timestamp::MAX, 1).unwrap().first().map(|timer| timer.due), Some(at(10)));
    assert_eq!(store.due(NOBODY, at(9), 10).unwrap(), []);
    assert_eq!(store.due(NOBODY, at(20), 10).unwrap(), [timer_row(&key, 1, 10), timer_row(&other, 0, 20)]);
    assert_eq!(store.due(NOBODY, at(99), 1).unwrap(), [timer_row(&key, 1, 10)]);
}

fn a_timer_can_be_moved_and_cleared(store: &dyn Storage) {
    let key = started(store, "acme", 0..1);
    commit(store, vec![timer(&key, 0, 30)]).unwrap();
    commit(store, vec![timer(&key, 0, 50)]).unwrap();
    assert_eq!(store.due(NOBODY, at(99), 10).unwrap(), [timer_row(&key, 0, 50)]);
    let clear = Write::ClearTimer { key: key.clone(), timer: 0 };
    commit(store, vec![clear.clone()]).unwrap();
    commit(store, vec![clear]).unwrap();
    assert_eq!(store.due(NOBODY, Timestamp::MAX, 1).unwrap().first().map(|timer| timer.due), None);
}

fn clearing_the_timers_of_a_run_leaves_those_of_others(store: &dyn Storage) {
    let key = started(store, "acme", 0..1);
    let other = started(store, "acme", 0..1);
    commit(store, vec![timer(&key, 0, 30), timer(&key, 1, 40), timer(&other, 0, 50)]).unwrap();
    commit(store, vec![Write::ClearTimers { key }]).unwrap();
    assert_eq!(store.due(NOBODY, at(99), 10).unwrap(), [timer_row(&other, 0, 50)]);
}

fn runs_are_listed_newest_first_in_pages(store: &dyn Storage) {
    let rows = [10, 20, 30, 40, 50].map(|second| created(store, run("acme", second)));
    let tenant = &rows[0].key.tenant;
    let query = RunQuery { limit: 2, ..RunQuery::default() };
    let first = store.runs(tenant, &query).unwrap();
    assert_eq!(first.items, [rows[4].clone(), rows[3].clone()]);
    // A run that starts meanwhile does not shift what is on the next page.
    created(store, run("acme", 60));
    let second = store.runs(tenant, &RunQuery { cursor: first.cursor, ..query.clone() }).unwrap();
    assert_eq!(second.items, [rows[2].clone(), rows[1].clone()]);
    let third = store.runs(tenant, &RunQuery { cursor: second.cursor, ..query }).unwrap();
    assert_eq!((third.items.as_slice(), third.cursor), (&rows[..1], None));
}

fn pages_with_equal_start_times_miss_nothing(store: &dyn Storage) {
    let mut keys: Vec<RunKey> = (0..7).map(|_| created(store, run("acme", 5)).key).collect();
    keys.sort();
    keys.reverse();
    let mut query = RunQuery { limit: 3, ..RunQuery::default() };
    let mut listed = Vec::new();
    loop {
        let page = store.runs(&keys[0].tenant, &query).unwrap();
        listed.extend(page.items.into_iter().map(|row| row.key));
        query.cursor = page.cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!(listed, keys);
}

fn lists_are_filtered_by_flow_status_and_start(store: &dyn Storage) {
    let intake = created(store, run("acme", 10));
    let mut refund = run("acme", 20);
    refund.flow.name = "refund".into();
    refund.flow.namespace = "shop".into();
    refund.status = "faulted".into();
    let refund = created(store, refund);
    let ask = |query: RunQuery| {
        let page = store.runs(&intake.key.tenant, &RunQuery { limit: 10, ..query }).unwrap();
        page.items.into_iter().map(|row| row.flow.name).collect::<Vec<_>>()
    };
    let any = RunQuery::default;
    assert_eq!(ask(any()), ["refund", "intake"]);
    assert_eq!(ask(RunQuery { flow: Some("intake".into()), ..any() }), ["intake"]);
    assert_eq!(ask(RunQuery { flow: Some("default/intake".into()), ..any() }), ["intake"]);
    assert_eq!(ask(RunQuery { flow: Some("shop/refund".into()), ..any() }), ["refund"]);
    assert_eq!(ask(RunQuery { flow: Some("refund".into()), ..any() }), [""; 0]);
    assert_eq!(ask(RunQuery { status: Some("running".into()), ..any() }), ["intake"]);
    assert_eq!(ask(RunQuery { since: Some(at(20)), ..any() }), ["refund"]);
    assert_eq!(ask(RunQuery { since: Some(at(21)), ..any() }), [""; 0]);
    assert_eq!(refund.status, "faulted");
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
    commit(
        store,
        vec![Write::RemoveFlow {
            tenant: same_run.tenant,
            namespace: "default".into(),
            name: "intake".into(),
        }],
    )
    .unwrap();
}

fn a_made_up_cursor_is_refused(store: &dyn Storage) {
    for cursor in ["", "7", "x-y", "5-00"] {
        let query = RunQuery { limit: 1, cursor: Some(cursor.into()), ..RunQuery::default() };
        let refused = store.runs(&TenantId::from("acme"), &query);
        assert!(matches!(refused, Err(StorageError::Cursor(text)) if text == cursor));
    }
}

fn the_newest_text_of_a_flow_comes_last(store: &dyn Storage) {
    let newer = flow("intake", "1.0.0", 20);
    let older = flow("intake", "2.0.0", 10);
    commit(store, vec![Write::PutFlow(newer.clone()), Write::PutFlow(older.clone())]).unwrap();
    assert_eq!(store.flows().unwrap(), [older.clone(), newer.clone()]);
    let again = FlowRow { installed_at: at(30), ..older };
    commit(store, vec![Write::PutFlow(again.clone())]).unwrap();
    assert_eq!(store.flows().unwrap(), [newer, again]);
}

fn a_removed_flow_keeps_its_text(store: &dyn Storage) {
    let texts = [flow("intake", "1.0.0", 10), flow("intake", "2.0.0", 20), flow("refund", "1.0.0", 30)];
    commit(store, texts.iter().cloned().map(Write::PutFlow).collect()).unwrap();
    let remove = Write::RemoveFlow {
        tenant: texts[0].tenant.clone(),
        namespace: "default".into(),
        name: "intake".into(),
    };
    commit(store, vec![remove]).unwrap();
    assert_eq!(store.flows().unwrap(), texts[2..]);
    let kept = store.flow(&texts[0].tenant, &texts[0].id).unwrap().unwrap();
    assert_eq!(kept, FlowRow { removed: true, ..texts[0].clone() });
    let unknown = FlowId { digest: "0".into(), ..texts[0].id.clone() };
    assert_eq!(store.flow(&texts[0].tenant, &unknown).unwrap(), None);
}

fn installing_a_removed_flow_brings_it_back(store: &dyn Storage) {
    let row = flow("intake", "1.0.0", 10);
    let removed = FlowRow { removed: true, ..row.clone() };
    commit(store, vec![Write::PutFlow(removed)]).unwrap();
    assert_eq!(store.flows().unwrap(), []);
    commit(store, vec![Write::PutFlow(row.clone())]).unwrap();
    assert_eq!(store.flows().unwrap(), [row]);
}

fn editing_a_trigger_keeps_its_token(store: &dyn Storage) {
    let row = trigger("orders-in", "token-1");
    commit(store, vec![Write::PutTrigger(row.clone())]).unwrap();
    let edited = TriggerRow { source: "{}".into(), token: "token-2".into(), enabled: false, ..row.clone() };
    commit(store, vec![Write::PutTrigger(edited.clone())]).unwrap();
    assert_eq!(store.triggers().unwrap(), [TriggerRow { token: row.token, ..edited }]);
}

fn a_removed_trigger_is_gone(store: &dyn Storage) {
    let rows = [trigger("orders-in", "token-1"), trigger("returns-in", "token-2")];
    commit(store, rows.iter().cloned().map(Write::PutTrigger).collect()).unwrap();
    let remove = |tenant: &str| Write::RemoveTrigger {
        tenant: TenantId::from(tenant),
        namespace: "default".into(),
        name: "orders-in".into(),
    };
    commit(store, vec![remove("other")]).unwrap();
    assert_eq!(store.triggers().unwrap(), rows);
    commit(store, vec![remove("acme")]).unwrap();
    assert_eq!(store.triggers().unwrap(), rows[1..]);
}

fn a_plugin_is_kept_in_each_version(store: &dyn Storage) {
    let row = |version: &str, wasm: &'static [u8]| PluginRow {
        tenant: TenantId::from("acme"),
        name: "shout".into(),
        version: version.into(),
        wasm: wasm.into(),
    };
    let rows = [row("1.0.0", b"\0asm"), row("1.1.0", b"\0asm more")];
    commit(store, rows.iter().rev().cloned().map(Write::PutPlugin).collect()).unwrap();
    assert_eq!(store.plugins().unwrap(), rows);
    let again = row("1.1.0", b"\0asm other");
    commit(store, vec![Write::PutPlugin(again.clone())]).unwrap();
    assert_eq!(store.plugins().unwrap(), [rows[0].clone(), again]);
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

fn what_is_secret_is_kept_by_kind_and_name(store: &dyn Storage) {
    let row = |tenant: &str, kind, name: &str, sealed: &'static [u8]| VaultRow {
        tenant: TenantId::from(tenant),
        kind,
        name: name.into(),
        sealed: sealed.into(),
        updated_at: at(1),
    };
    let rows = [
        row("acme", VaultKind::Secret, "shop", b"1"),
        row("acme", VaultKind::Secret, "zoo", b"2"),
        row("acme", VaultKind::Connection, "shop", b"3"),
        row("other", VaultKind::Secret, "shop", b"4"),
    ];
    commit(store, rows.iter().rev().cloned().map(Write::PutVault).collect()).unwrap();
    assert_eq!(store.vault().unwrap(), rows);
    let again = row("acme", VaultKind::Secret, "shop", b"5");
    commit(store, vec![Write::PutVault(again.clone())]).unwrap();
    let remove = |tenant: &str, name: &str| Write::RemoveVault {
        tenant: TenantId::from(tenant),
        kind: VaultKind::Secret,
        name: name.into(),
    };
    commit(store, vec![remove("acme", "zoo"), remove("nobody", "shop")]).unwrap();
    assert_eq!(store.vault().unwrap(), [again, rows[2].clone(), rows[3].clone()]);
}

fn a_token_is_found_by_its_digest_until_it_is_removed(store: &dyn Storage) {
    let row = |tenant: Option<&str>, name: &str, digest: u8| TokenRow {
        tenant: tenant.map(TenantId::from),
        name: name.into(),
        digest: [digest; 32],
        role: if tenant.is_none() { Role::Operator } else { Role::Viewer },
        created_at: at(1),
        created_by: "operator".into(),
        expires_at: tenant.map(|_| at(90)),
    };
    let rows = [row(Some("acme"), "ci", 1), row(Some("acme"), "desk", 2), row(None, "ci", 3)];
    commit(store, rows.iter().rev().cloned().map(Write::PutToken).collect()).unwrap();
    assert_eq!(store.tokens(Some(&TenantId::from("acme"))).unwrap(), rows[..2]);
    assert_eq!(store.tokens(None).unwrap(), rows[2..]);
    assert_eq!(store.tokens(Some(&TenantId::from("other"))).unwrap(), []);
    assert_eq!(store.token(&[3; 32]).unwrap().as_ref(), Some(&rows[2]));
    assert_eq!(store.token(&[4; 32]).unwrap(), None);
    assert_conflict(commit(store, vec![Write::PutToken(row(Some("acme"), "ci", 5))]));
    let gone = Write::RemoveToken { tenant: Some(TenantId::from("acme")), name: "ci".into() };
    commit(store, vec![gone]).unwrap();
    assert_eq!(store.token(&[1; 32]).unwrap(), None);
    assert!(store.token(&[3; 32]).unwrap().is_some());
    commit(store, vec![Write::PutToken(row(Some("acme"), "ci", 6))]).unwrap();
}

fn an_audit_log_is_read_from_the_newest_and_forgets_the_oldest(store: &dyn Storage) {
    let acme = TenantId::from("acme");
    let row = |tenant: &str, number: i64, actor: &str| AuditRow {
        tenant: TenantId::from(tenant),
        id: format!("{number:032}"),
        at: at(number),
        actor: actor.into(),
        role: (number > 1).then_some(Role::Admin),
        from: Some("192.0.2.1".into()),
        action: if number == 3 { "RemoveFlow" } else { "PutFlow" }.into(),
        target: "shop/in".into(),
        status: None,
        detail: None,
    };
    let put = |row, forget_before| Write::PutAudit { row, forget_before: at(forget_before) };
    let mut rows = [row("acme", 1, "desk"), row("acme", 2, "ci"), row("acme", 3, "ci"), row("acme", 4, "ci")];
    commit(store, rows.iter().cloned().map(|row| put(row, 0)).collect()).unwrap();
    commit(store, vec![put(row("other", 1, "ci"), 0)]).unwrap();
    let end = |number: i64, status, detail: &str| Write::EndAudit {
        tenant: TenantId::from("acme"),
        id: format!("{number:032}"),
        target: format!("shop/in:{number}"),
        status,
        detail: Some(detail.into()),
    };
    commit(store, vec![end(2, 200, "done"), end(3, 403, "no"), end(9, 200, "nothing")]).unwrap();
    for (row, status, detail) in [(1, 200, "done"), (2, 403, "no")] {
        rows[row].target = format!("shop/in:{}", row + 1);
        (rows[row].status, rows[row].detail) = (Some(status), Some(detail.into()));
    }
    let ids = |query: AuditQuery| -> Vec<i64> {
        let page = store.audit(&acme, &query).unwrap();
        page.items.iter().map(|row| row.at.as_second()).collect()
    };
    let all = || AuditQuery { limit: 10, ..AuditQuery::default() };
    let page = store.audit(&acme, &AuditQuery { limit: 3, ..all() }).unwrap();
    assert_eq!(page.items, [rows[3].clone(), rows[2].clone(), rows[1].clone()]);
    assert_eq!(ids(AuditQuery { cursor: page.cursor, ..all() }), [1]);
    assert_eq!(ids(AuditQuery { actor: Some("ci".into()), since: Some(at(3)), ..all() }), [4, 3]);
    assert_eq!(ids(AuditQuery { action: Some("RemoveFlow".into()), ..all() }), [3]);
    assert_eq!(ids(AuditQuery { denied: true, ..all() }), [3]);
    // Its own, and some at a time; what a tenant may reach is said until it may reach something else.
    let granted =
        AuditRow { action: GRANTS.into(), id: format!("{:032}", 0), ..row("acme", 0, "configuration") };
    commit(store, vec![put(granted, 0)]).unwrap();
    commit(store, vec![put(row("acme", 5, "ci"), 3), put(row("acme", 6, "ci"), 3)]).unwrap();
    assert_eq!(ids(all()), [6, 5, 4, 3, 0]);
    assert_eq!(store.audit(&TenantId::from("other"), &all()).unwrap().items.len(), 1);
}

fn a_subscription_is_changed_by_one_at_a_time(store: &dyn Storage) {
    let first = SubscriptionRow {
        tenant: TenantId::from("acme"),
        id: "0a".into(),
        namespace: "default".into(),
        name: "orders-in".into(),
        uses: "http-webhook:1.0.0".into(),
        config: "{}".into(),
        url: "https://hooks.example.com/hooks/t".into(),
        phase: SubscriptionPhase::Subscribing,
        state: None,
        doubtful: true,
        attempts: 1,
        due: Some(at(5)),
        problem: Some("{}".into()),
        revision: 0,
    };
    let put = |row: &SubscriptionRow| commit(store, vec![Write::PutSubscription(row.clone())]);
    put(&first).unwrap();
    assert_conflict(put(&first));
    let subscribed = SubscriptionRow {
        phase: SubscriptionPhase::Subscribed,
        state: Some(b"\0state"[..].into()),
        doubtful: false,
        due: None,
        problem: None,
        revision: 1,
        ..first.clone()
    };
    put(&subscribed).unwrap();
    assert_conflict(put(&subscribed));
    assert_conflict(put(&SubscriptionRow { id: "0b".into(), ..subscribed.clone() }));
    let another = SubscriptionRow { tenant: TenantId::from("other"), ..first.clone() };
    put(&another).unwrap();
    let older = SubscriptionRow { id: "09".into(), ..first };
    put(&older).unwrap();
    let rows = store.subscriptions().unwrap();
    assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["09", "0a", "0a"]);
    assert!(rows.contains(&subscribed) && rows.contains(&another));
    let gone = |row: SubscriptionRow, revision: u32| Write::RemoveSubscription {
        tenant: row.tenant,
        id: row.id,
        revision,
    };
    assert_conflict(commit(store, vec![gone(subscribed.clone(), 0)]));
    commit(store, vec![gone(subscribed.clone(), 1), gone(older, 0)]).unwrap();
    assert_conflict(commit(store, vec![gone(subscribed, 1)]));
    assert_eq!(store.subscriptions().unwrap(), [another]);
}

fn a_schedule_is_moved_by_one_at_a_time(store: &dyn Storage) {
    let row = |name: &str, due: Option<i64>| ScheduleRow {
        tenant: TenantId::from("acme"),
        namespace: "default".into(),
        name: name.into(),
        schedule: "{}".into(),
        due: due.map(at),
        run: None,
        revision: 0,
    };
    let put = |row: &ScheduleRow| commit(store, vec![Write::PutSchedule(row.clone())]);
    let rows = [row("a", Some(9)), row("b", Some(5)), row("c", None)];
    rows.iter().for_each(|row| put(row).unwrap());
    assert_eq!(store.schedules().unwrap(), rows);
    assert_eq!(store.next_schedules(9).unwrap(), [rows[1].clone(), rows[0].clone()]);
    assert_eq!(store.next_schedules(1).unwrap(), rows[1..2]);

    let begun = RunId::mint();
    let started = ScheduleRow { due: None, run: Some(begun), revision: 1, ..rows[1].clone() };
    put(&started).unwrap();
    assert_conflict(put(&started));
    // Together with what it is about, or not at all.
    let writes = vec![Write::CreateRun(run("acme", 1)), Write::PutSchedule(started.clone())];
    assert_conflict(commit(store, writes));
    assert_eq!(store.open_runs(&TenantId::from("acme")).unwrap(), 0);

    let next = |run| Write::ScheduleNext {
        tenant: TenantId::from("acme"),
        namespace: "default".into(),
        name: "b".into(),
        run,
        due: at(7),
    };
    commit(store, vec![next(RunId::mint())]).unwrap();
    assert_eq!(store.schedules().unwrap()[1], started);
    commit(store, vec![next(begun), next(begun)]).unwrap();
    let due = ScheduleRow { due: Some(at(7)), run: None, revision: 2, ..started };
    assert_eq!(store.schedules().unwrap()[1], due);
    let gone = Write::RemoveSchedule {
        tenant: TenantId::from("acme"),
        namespace: "default".into(),
        name: "b".into(),
    };
    commit(store, vec![gone]).unwrap();
    assert_eq!(store.schedules().unwrap(), [rows[0].clone(), rows[2].clone()]);
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

fn a_key_is_minted_once(store: &dyn Storage) {
    let key = store.key("callbacks").unwrap();
    assert_eq!(store.key("callbacks").unwrap(), key);
    assert_ne!(store.key("another").unwrap(), key);
}

fn a_probe_leaves_no_trace(store: &dyn Storage) {
    store.probe().unwrap();
    store.probe().unwrap();
    store.checkpoint().unwrap();
    let lease = store.begin_lease(at(9)).unwrap();
    assert_eq!(store.take_over(lease, at(1), None, 10).unwrap(), []);
    assert_eq!(store.open_runs(&TenantId::from("")).unwrap(), 0);
}

/// A run at work that belongs to this lease.
fn owned(store: &dyn Storage, lease: Lease, tenant: &str) -> RunKey {
    let row = run(tenant, 1);
    let key = row.key.clone();
    under(store, lease, vec![Write::CreateRun(row), append(&key, 0..1)]).unwrap();
    key
}

fn under(store: &dyn Storage, lease: Lease, writes: Vec<Write>) -> Result<(), StorageError> {
    store.commit(&[Batch { lease: Some(lease), writes }]).remove(0)
}

fn assert_fenced(result: Result<(), StorageError>) {
    assert!(matches!(result, Err(StorageError::Fenced)), "{result:?}");
}

fn assert_conflict(result: Result<(), StorageError>) {
    assert!(matches!(result, Err(StorageError::Conflict(_))), "{result:?}");
}
