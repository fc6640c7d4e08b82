//! The audit log: an entry is there before anything is done, and says afterwards what that came to.

use super::{House, tenant};
use crate::engine::{AuditFilter, AuditView, Caller, Deed};
use crate::journal::StorageError;
use crate::problem::{Problem, kind};

fn log(house: &mut House, filter: AuditFilter) -> Vec<AuditView> {
    house.wait(|runtime| async move { runtime.audit_log(&tenant(), filter).await }).unwrap().items
}

#[test]
fn an_entry_stands_before_the_deed_and_says_its_end_after() {
    let mut house = House::new();
    let deed = Deed::of(&Caller::operator("operator"), "PutFlow", "shop/orders");
    let entry = house.wait(|runtime| async move { runtime.audit(&tenant(), deed).await }).unwrap();
    let before = log(&mut house, AuditFilter::default());
    assert_eq!((before.len(), before[0].status), (1, None));
    house.wait(|runtime| async move { runtime.audit_end(entry, 200, Some("1 flow")).await }).unwrap();
    let after = log(&mut house, AuditFilter::default());
    assert_eq!((after.len(), after[0].status, after[0].detail.as_deref()), (1, Some(200), Some("1 flow")));
    assert_eq!((after[0].actor.as_str(), after[0].target.as_str()), ("operator", "shop/orders"));
}

#[test]
fn what_cannot_be_journalled_must_not_be_done() {
    let mut house = House::new();
    house.stage.fails_next(StorageError::Full("no space left".to_owned()));
    let deed = Deed::of(&Caller::operator("operator"), "RemoveFlow", "shop/orders");
    let refused = house.wait(|runtime| async move { runtime.audit(&tenant(), deed).await });
    assert_eq!(refused.unwrap_err().status, 503);
    assert!(log(&mut house, AuditFilter::default()).is_empty());
}

#[test]
fn denials_of_one_kind_are_counted_when_there_are_too_many() {
    let mut house = House::new();
    for _ in 0..20 {
        let deed = Deed::of(&Caller::nobody(), "PutSecret", "key");
        let problem = Problem::new(kind::AUTHORIZATION, "Forbidden", 403);
        house.wait(|runtime| async move { runtime.audit_denied(&tenant(), deed, &problem).await });
    }
    let denied = log(&mut house, AuditFilter { denied: true, ..AuditFilter::default() });
    assert!((1..20).contains(&denied.len()), "{} entries", denied.len());
    assert!(denied.iter().all(|entry| entry.status == Some(403)));
}
