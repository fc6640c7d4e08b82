//! What the journal holds of a run is read in turns of its tenant, and of a large run where nobody waits for them.

use std::time::Duration;

use serde_json::{Value, json};

use super::{House, tenant};

/// How many long turns it takes to read a run that began with this and then waited.
fn long_turns_to_read(house: &mut House, input: Value) -> usize {
    let begun =
        house.wait(|runtime| async move { runtime.start_run(&tenant(), "shop", "waits", None, input).await });
    let run = begun.unwrap();
    house.pass(Duration::from_secs(2));
    let before = house.stage.long_turns();
    let history = house.wait(|runtime| async move { runtime.history(&tenant(), run).await });
    assert!(history.unwrap().unwrap().len() > 2, "the run has not ended");
    house.stage.long_turns() - before
}

#[test]
fn a_large_run_is_read_where_nobody_waits_for_it() {
    let mut house = House::new();
    let flow =
        "document: {dsl: 1.0.3, namespace: shop, name: waits, version: 1.0.0}\ndo: [{a: {wait: PT1S}}]\n";
    house.deploy(flow).unwrap();
    assert_eq!(long_turns_to_read(&mut house, json!("small")), 0);
    // One turn for each of its two entries.
    assert_eq!(long_turns_to_read(&mut house, json!("x".repeat(257 << 10))), 2);
}
