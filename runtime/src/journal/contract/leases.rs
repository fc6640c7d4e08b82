//! What a store must do with leases, and with what hosts left at work.

use crate::journal::samples::{append, at, commit, entries, run, status};
use crate::journal::{Batch, Lease, Phase, RunKey, Storage, StorageError, Write};

on_every_store! {
    runs_at_work_are_taken_over_in_order_and_in_parts
    a_run_at_work_keeps_its_owner_until_it_rests
    a_lease_that_has_ended_writes_nothing
    a_lease_whose_time_is_over_ends_when_another_looks
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
