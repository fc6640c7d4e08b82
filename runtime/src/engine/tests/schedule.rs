//! Flows that start by themselves: each time one run, and none where the flow is gone.

use std::time::Duration;

use super::{House, tenant};
use crate::engine::RunFilter;

const HOURLY: &str = "document: {dsl: 1.0.3, namespace: shop, name: hourly, version: 1.0.0}\n\
    schedule: {every: PT1H}\ndo: [{a: {set: {n: 1}}}]\n";

fn runs(house: &mut House) -> usize {
    let list = house.wait(|runtime| async move { runtime.runs(&tenant(), RunFilter::default()).await });
    list.unwrap().items.len()
}

#[test]
fn each_time_starts_one_run() {
    let mut house = House::new();
    house.deploy(HOURLY).unwrap();
    house.stage.settle();
    assert_eq!(runs(&mut house), 0);
    for expected in 1..=3 {
        house.pass(Duration::from_secs(3600));
        assert_eq!(runs(&mut house), expected);
    }
}

#[test]
fn times_that_passed_unseen_are_made_up_for_by_one_run() {
    let mut house = House::new();
    house.deploy(HOURLY).unwrap();
    house.pass(Duration::from_secs(5 * 3600 + 60));
    assert_eq!(runs(&mut house), 1);
    let schedules = house.wait(|runtime| async move { runtime.schedules(&tenant()).await }).unwrap();
    assert_eq!(schedules.len(), 1);
    assert!(schedules[0].due_at.unwrap() > house.stage.clock().now());
}

#[test]
fn a_flow_that_is_removed_starts_no_more() {
    let mut house = House::new();
    house.deploy(HOURLY).unwrap();
    house.wait(|runtime| async move { runtime.remove_flow(&tenant(), "shop", "hourly").await }).unwrap();
    house.pass(Duration::from_secs(7200));
    assert_eq!(runs(&mut house), 0);
    assert!(house.wait(|runtime| async move { runtime.schedules(&tenant()).await }).unwrap().is_empty());
}
