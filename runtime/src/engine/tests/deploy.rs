//! Deploying: all or none, in one commit, and what is deployed already stays.

use super::{House, flow, tenant};
use crate::journal::StorageError;

const TRIGGER: &str = "trigger: in\nnamespace: shop\nuses: webhook:1.0.0@default\nflow: orders\n";

#[test]
fn all_documents_are_deployed_or_none() {
    let mut house = House::new();
    let text = format!("{}---\n{TRIGGER}", flow("other"));
    let findings = house.deploy(&text).unwrap_err();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].contains("the flow `shop/orders` does not exist"), "{findings:?}");
    assert!(house.runtime.flows(&tenant()).is_empty() && house.runtime.triggers(&tenant()).is_empty());

    house.deploy(&format!("{}---\n{TRIGGER}", flow("orders"))).unwrap();
    assert_eq!(house.runtime.flows(&tenant()).len(), 1);
    assert_eq!(house.runtime.triggers(&tenant()).len(), 1);
}

#[test]
fn nothing_is_shown_that_the_journal_has_not_taken() {
    let mut house = House::new();
    house.stage.fails_next(StorageError::Full("no space left".to_owned()));
    let failed = house.deploy(&flow("orders")).unwrap_err();
    assert!(failed[0].contains("the journal cannot be written"), "{failed:?}");
    assert!(house.runtime.flows(&tenant()).is_empty());
    house.deploy(&flow("orders")).unwrap();
    assert_eq!(house.runtime.flows(&tenant()).len(), 1);
}

#[test]
fn a_trigger_keeps_its_address_and_what_the_operator_said_of_it() {
    let mut house = House::new();
    house.deploy(&format!("{}---\n{TRIGGER}", flow("orders"))).unwrap();
    let url = house.runtime.triggers(&tenant())[0].url.clone();
    let off = house
        .wait(|runtime| async move { runtime.set_trigger_enabled(&tenant(), "shop", "in", false).await });
    assert!(!off.unwrap().unwrap().enabled);
    // The same document again changes nothing.
    house.deploy(TRIGGER).unwrap();
    assert!(!house.runtime.triggers(&tenant())[0].enabled);
    // Another text says anew whether it is on.
    house.deploy(&format!("{TRIGGER}with: {{methods: [PUT]}}\n")).unwrap();
    let trigger = &house.runtime.triggers(&tenant())[0];
    assert!(trigger.enabled);
    assert_eq!(trigger.url, url);
}

#[test]
fn what_is_removed_is_gone_once() {
    let mut house = House::new();
    house.deploy(&format!("{}---\n{TRIGGER}", flow("orders"))).unwrap();
    let remove_flow = |house: &mut House| {
        house.wait(|runtime| async move { runtime.remove_flow(&tenant(), "shop", "orders").await }).unwrap()
    };
    let remove_trigger = |house: &mut House| {
        house.wait(|runtime| async move { runtime.remove_trigger(&tenant(), "shop", "in").await }).unwrap()
    };
    assert!(remove_trigger(&mut house) && remove_flow(&mut house));
    assert!(!remove_trigger(&mut house) && !remove_flow(&mut house));
    let token = "not-a-token";
    assert!(house.runtime.hook(token).is_none());
}
