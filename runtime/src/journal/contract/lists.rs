//! What a store must do when runs are listed: order, pages and filters.

use crate::id::TenantId;
use crate::journal::samples::{at, created, run};
use crate::journal::{RunKey, RunQuery, Storage, StorageError};

on_every_store! {
    runs_are_listed_newest_first_in_pages
    pages_with_equal_start_times_miss_nothing
    lists_are_filtered_by_flow_status_and_start
    a_made_up_cursor_is_refused
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

fn a_made_up_cursor_is_refused(store: &dyn Storage) {
    for cursor in ["", "7", "x-y", "5-00"] {
        let query = RunQuery { limit: 1, cursor: Some(cursor.into()), ..RunQuery::default() };
        let refused = store.runs(&TenantId::from("acme"), &query);
        assert!(matches!(refused, Err(StorageError::Cursor(text)) if text == cursor));
    }
}
