//! What a store must do for the journal itself: its keys, and probes.

use crate::id::TenantId;
use crate::journal::Storage;
use crate::journal::samples::at;

on_every_store! {
    a_probe_leaves_no_trace
    a_key_is_minted_once
}

fn a_probe_leaves_no_trace(store: &dyn Storage) {
    store.probe().unwrap();
    store.probe().unwrap();
    store.checkpoint().unwrap();
    let lease = store.begin_lease(at(9)).unwrap();
    assert_eq!(store.take_over(lease, at(1), None, 10).unwrap(), []);
    assert_eq!(store.open_runs(&TenantId::from("")).unwrap(), 0);
}

fn a_key_is_minted_once(store: &dyn Storage) {
    let key = store.key("callbacks").unwrap();
    assert_eq!(store.key("callbacks").unwrap(), key);
    assert_ne!(store.key("another").unwrap(), key);
}
