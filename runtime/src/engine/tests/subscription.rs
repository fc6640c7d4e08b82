//! What triggers subscribe to: switched on with its trigger, ended with it, and ended again until that succeeds.

use std::time::Duration;

use super::{House, flow, tenant};
use crate::engine::subscription;
use crate::journal::SubscriptionPhase;
use crate::problem::{Problem, kind};

const TRIGGER: &str = "trigger: in\nnamespace: shop\nuses: http-webhook:1.0.0@default\nflow: orders\n\
    with: {subscribe: {url: 'https://api.example.com/hooks', method: POST, body: {to: '${ $task.callback.url }'}}}\n";

/// A house whose subscriptions are kept, as those of a host that was started.
fn house() -> House {
    let house = House::new();
    house.stage.spawn(subscription::run(house.stage.runs().deployed.clone()));
    house.stage.runs_on();
    house
}

fn both() -> String {
    format!("{}---\n{TRIGGER}", flow("orders"))
}

fn failure(status: u16) -> Problem {
    Problem::new(kind::COMMUNICATION, "the other side failed", status)
}

fn phases(house: &mut House) -> Vec<SubscriptionPhase> {
    let list = house.wait(|runtime| async move { runtime.subscriptions(&tenant()).await }).unwrap();
    list.iter().map(|view| view.status).collect()
}

#[test]
fn a_trigger_is_subscribed_when_it_is_deployed_and_unsubscribed_when_it_is_removed() {
    let mut house = house();
    house.deploy(&both()).unwrap();
    assert_eq!(phases(&mut house), [SubscriptionPhase::Subscribed]);
    assert_eq!(house.stage.subscriptions(), 1);
    // The same once more asks nobody.
    house.deploy(TRIGGER).unwrap();
    assert_eq!(house.stage.subscriptions(), 1);
    house.wait(|runtime| async move { runtime.remove_trigger(&tenant(), "shop", "in").await }).unwrap();
    house.stage.settle();
    assert!(phases(&mut house).is_empty());
    assert_eq!(house.stage.subscriptions(), 0);
}

#[test]
fn a_subscription_that_is_refused_deploys_nothing() {
    let mut house = house();
    house.stage.refuses([failure(401)]);
    let refused = house.deploy(&both()).unwrap_err();
    assert!(refused[0].contains("the other side failed"), "{refused:?}");
    house.stage.settle();
    assert!(house.runtime.triggers(&tenant()).is_empty() && phases(&mut house).is_empty());
}

#[test]
fn what_cannot_be_ended_is_tried_again_until_it_is() {
    let mut house = house();
    house.deploy(&both()).unwrap();
    house.stage.refuses([failure(503), failure(503)]);
    house.wait(|runtime| async move { runtime.remove_trigger(&tenant(), "shop", "in").await }).unwrap();
    assert_eq!(phases(&mut house), [SubscriptionPhase::Unsubscribing]);
    for _ in 0..20 {
        house.pass(Duration::from_secs(60));
    }
    assert!(phases(&mut house).is_empty());
    assert_eq!(house.stage.subscriptions(), 0);
}
