//! What a store must do with small tables, whichever they are.

use super::assert_conflict;
use crate::id::TenantId;
use crate::journal::samples::{append, at, commit, flow, started, trigger};
use crate::journal::{FlowRow, ScheduleRow, Storage, TokenRow, TriggerRow, Write};

on_every_store! {
    a_batch_sees_its_own_changes
    what_does_not_fit_takes_back_every_change_of_its_batch
    a_write_to_a_run_that_does_not_fit_changes_no_table
    no_two_rows_have_the_same_where_none_may
}

fn schedule(revision: u32) -> ScheduleRow {
    ScheduleRow {
        tenant: TenantId::from("acme"),
        namespace: "default".into(),
        name: "nightly".into(),
        schedule: "{}".into(),
        due: Some(at(i64::from(revision))),
        run: None,
        revision,
    }
}

fn a_batch_sees_its_own_changes(store: &dyn Storage) {
    commit(store, vec![Write::put(schedule(0)), Write::put(schedule(1)), Write::put(schedule(2))]).unwrap();
    assert_eq!(store.list::<ScheduleRow>().unwrap(), [schedule(2)]);
    let key = || (TenantId::from("acme"), "default".into(), "nightly".into());
    commit(store, vec![Write::remove::<ScheduleRow>(key()), Write::put(schedule(0))]).unwrap();
    assert_eq!(store.list::<ScheduleRow>().unwrap(), [schedule(0)]);
}

fn what_does_not_fit_takes_back_every_change_of_its_batch(store: &dyn Storage) {
    let [kept, other] = [trigger("kept", "token-1"), trigger("other", "token-2")];
    commit(store, vec![Write::put(kept.clone()), Write::put(flow("intake", "1.0.0", 1))]).unwrap();
    let edited = TriggerRow { source: "{}".into(), ..kept.clone() };
    assert_conflict(commit(
        store,
        vec![
            Write::put(edited),
            Write::put(other.clone()),
            Write::remove::<TriggerRow>((kept.tenant.clone(), kept.namespace.clone(), kept.name.clone())),
            FlowRow::removal(kept.tenant.clone(), "default".into(), "intake".into()),
            Write::put(schedule(0)),
            Write::put(schedule(2)),
        ],
    ));
    assert_eq!(store.list::<TriggerRow>().unwrap(), [kept]);
    assert_eq!(store.rows(FlowRow::installed()).unwrap(), [flow("intake", "1.0.0", 1)]);
    assert_eq!(store.list::<ScheduleRow>().unwrap(), []);
}

fn a_write_to_a_run_that_does_not_fit_changes_no_table(store: &dyn Storage) {
    let key = started(store, "acme", 0..1);
    assert_conflict(commit(store, vec![Write::put(schedule(0)), append(&key, 7..8)]));
    assert_eq!(store.list::<ScheduleRow>().unwrap(), []);
}

fn no_two_rows_have_the_same_where_none_may(store: &dyn Storage) {
    let row = |name: &str, digest: u8| TokenRow {
        tenant: None,
        name: name.into(),
        digest: [digest; 32],
        role: crate::journal::Role::Operator,
        created_at: at(1),
        created_by: "operator".into(),
        expires_at: None,
    };
    commit(store, vec![Write::put(row("first", 1))]).unwrap();
    assert_conflict(commit(store, vec![Write::put(row("second", 1))]));
    commit(store, vec![Write::put(row("second", 2))]).unwrap();
}
