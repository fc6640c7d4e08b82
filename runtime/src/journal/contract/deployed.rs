//! What a store must do with flows, triggers, their subscriptions and schedules, and plugins.

use super::assert_conflict;
use crate::id::{FlowId, RunId, TenantId};
use crate::journal::samples::{at, commit, flow, run, trigger};
use crate::journal::{
    FlowRow, PluginRow, ScheduleRow, Storage, SubscriptionPhase, SubscriptionRow, TriggerRow, Write,
};

on_every_store! {
    the_newest_text_of_a_flow_comes_last
    a_removed_flow_keeps_its_text
    installing_a_removed_flow_brings_it_back
    editing_a_trigger_keeps_its_token
    a_removed_trigger_is_gone
    a_plugin_is_kept_in_each_version
    a_subscription_is_changed_by_one_at_a_time
    a_schedule_is_moved_by_one_at_a_time
}

fn the_newest_text_of_a_flow_comes_last(store: &dyn Storage) {
    let newer = flow("intake", "1.0.0", 20);
    let older = flow("intake", "2.0.0", 10);
    commit(store, vec![Write::put(newer.clone()), Write::put(older.clone())]).unwrap();
    assert_eq!(store.rows(FlowRow::installed()).unwrap(), [older.clone(), newer.clone()]);
    let again = FlowRow { installed_at: at(30), ..older };
    commit(store, vec![Write::put(again.clone())]).unwrap();
    assert_eq!(store.rows(FlowRow::installed()).unwrap(), [newer, again]);
}

fn a_removed_flow_keeps_its_text(store: &dyn Storage) {
    let texts = [flow("intake", "1.0.0", 10), flow("intake", "2.0.0", 20), flow("refund", "1.0.0", 30)];
    commit(store, texts.iter().cloned().map(Write::put).collect()).unwrap();
    let remove = FlowRow::removal(texts[0].tenant.clone(), "default".into(), "intake".into());
    commit(store, vec![remove]).unwrap();
    assert_eq!(store.rows(FlowRow::installed()).unwrap(), texts[2..]);
    let kept = store.row::<FlowRow>((texts[0].tenant.clone(), texts[0].id.clone())).unwrap().unwrap();
    assert_eq!(kept, FlowRow { removed: true, ..texts[0].clone() });
    let unknown = FlowId { digest: "0".into(), ..texts[0].id.clone() };
    assert_eq!(store.row::<FlowRow>((texts[0].tenant.clone(), unknown)).unwrap(), None);
}

fn installing_a_removed_flow_brings_it_back(store: &dyn Storage) {
    let row = flow("intake", "1.0.0", 10);
    let removed = FlowRow { removed: true, ..row.clone() };
    commit(store, vec![Write::put(removed)]).unwrap();
    assert_eq!(store.rows(FlowRow::installed()).unwrap(), []);
    commit(store, vec![Write::put(row.clone())]).unwrap();
    assert_eq!(store.rows(FlowRow::installed()).unwrap(), [row]);
}

fn editing_a_trigger_keeps_its_token(store: &dyn Storage) {
    let row = trigger("orders-in", "token-1");
    commit(store, vec![Write::put(row.clone())]).unwrap();
    let edited = TriggerRow { source: "{}".into(), token: "token-2".into(), enabled: false, ..row.clone() };
    commit(store, vec![Write::put(edited.clone())]).unwrap();
    assert_eq!(store.list::<TriggerRow>().unwrap(), [TriggerRow { token: row.token, ..edited }]);
}

fn a_removed_trigger_is_gone(store: &dyn Storage) {
    let rows = [trigger("orders-in", "token-1"), trigger("returns-in", "token-2")];
    commit(store, rows.iter().cloned().map(Write::put).collect()).unwrap();
    let remove = |tenant: &str| {
        Write::remove::<TriggerRow>((TenantId::from(tenant), "default".into(), "orders-in".into()))
    };
    commit(store, vec![remove("other")]).unwrap();
    assert_eq!(store.list::<TriggerRow>().unwrap(), rows);
    commit(store, vec![remove("acme")]).unwrap();
    assert_eq!(store.list::<TriggerRow>().unwrap(), rows[1..]);
}

fn a_plugin_is_kept_in_each_version(store: &dyn Storage) {
    let row = |version: &str, wasm: &'static [u8]| PluginRow {
        tenant: TenantId::from("acme"),
        name: "shout".into(),
        version: version.into(),
        wasm: wasm.into(),
    };
    let rows = [row("1.0.0", b"\0asm"), row("1.1.0", b"\0asm more")];
    commit(store, rows.iter().rev().cloned().map(Write::put).collect()).unwrap();
    assert_eq!(store.list::<PluginRow>().unwrap(), rows);
    let again = row("1.1.0", b"\0asm other");
    commit(store, vec![Write::put(again.clone())]).unwrap();
    assert_eq!(store.list::<PluginRow>().unwrap(), [rows[0].clone(), again]);
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
    let put = |row: &SubscriptionRow| commit(store, vec![Write::put(row.clone())]);
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
    let rows = store.list::<SubscriptionRow>().unwrap();
    assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["09", "0a", "0a"]);
    assert!(rows.contains(&subscribed) && rows.contains(&another));
    let gone = |row: SubscriptionRow, revision: u32| {
        Write::remove_revision::<SubscriptionRow>((row.tenant, row.id), revision)
    };
    assert_conflict(commit(store, vec![gone(subscribed.clone(), 0)]));
    commit(store, vec![gone(subscribed.clone(), 1), gone(older, 0)]).unwrap();
    assert_conflict(commit(store, vec![gone(subscribed, 1)]));
    assert_eq!(store.list::<SubscriptionRow>().unwrap(), [another]);
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
    let put = |row: &ScheduleRow| commit(store, vec![Write::put(row.clone())]);
    let rows = [row("a", Some(9)), row("b", Some(5)), row("c", None)];
    rows.iter().for_each(|row| put(row).unwrap());
    assert_eq!(store.list::<ScheduleRow>().unwrap(), rows);
    assert_eq!(store.rows(ScheduleRow::next(9)).unwrap(), [rows[1].clone(), rows[0].clone()]);
    assert_eq!(store.rows(ScheduleRow::next(1)).unwrap(), rows[1..2]);

    let begun = RunId::mint();
    let started = ScheduleRow { due: None, run: Some(begun), revision: 1, ..rows[1].clone() };
    put(&started).unwrap();
    assert_conflict(put(&started));
    // Together with what it is about, or not at all.
    let writes = vec![Write::CreateRun(run("acme", 1)), Write::put(started.clone())];
    assert_conflict(commit(store, writes));
    assert_eq!(store.open_runs(&TenantId::from("acme")).unwrap(), 0);

    let key = || (TenantId::from("acme"), "default".into(), "b".into());
    let next = |run| ScheduleRow::run_over(key(), run, at(7));
    commit(store, vec![next(RunId::mint())]).unwrap();
    assert_eq!(store.list::<ScheduleRow>().unwrap()[1], started);
    commit(store, vec![next(begun), next(begun)]).unwrap();
    let due = ScheduleRow { due: Some(at(7)), run: None, revision: 2, ..started };
    assert_eq!(store.list::<ScheduleRow>().unwrap()[1], due);
    commit(store, vec![Write::remove::<ScheduleRow>(key())]).unwrap();
    assert_eq!(store.list::<ScheduleRow>().unwrap(), [rows[0].clone(), rows[2].clone()]);
}
