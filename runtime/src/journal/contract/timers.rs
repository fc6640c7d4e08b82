//! What a store must do with timers.

use jiff::Timestamp;

use crate::journal::samples::{NOBODY, at, commit, started, timer, timer_row};
use crate::journal::{Storage, Write};

on_every_store! {
    timers_come_earliest_first_until_now
    a_timer_can_be_moved_and_cleared
    clearing_the_timers_of_a_run_leaves_those_of_others
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
