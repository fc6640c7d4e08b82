//! An event that came before begins no run, and its caller gets what the first one got.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::{House, documents, flow, tenant};
use crate::engine::RunFilter;
use crate::engine::deployed::Trigger;
use crate::engine::inbound::{Answer, Hook, Inbound};
use crate::engine::steps::Judge;
use crate::engine::tenant::Tenant;
use crate::flow::Document;
use crate::problem::Problem;

/// Judges every request alike, by the key in its body.
struct ByKey {
    respond: serde_json::Value,
    judged: AtomicUsize,
}

impl Judge for ByKey {
    fn judge<'a>(&'a self, _: &'a Tenant, inbound: Inbound) -> BoxFuture<'a, Result<String, Problem>> {
        self.judged.fetch_add(1, Ordering::Relaxed);
        let key = String::from_utf8_lossy(&inbound.body).into_owned();
        let dedupe = json!({ "key": key, "windowMs": 60_000 });
        let start = json!({ "event": { "body": key }, "dedupe": dedupe });
        let verdict = json!({ "start": start, "respond": self.respond }).to_string();
        Box::pin(std::future::ready(Ok(verdict)))
    }
}

/// A house with a hook whose requests are answered so.
fn house(respond: serde_json::Value) -> (House, Arc<Trigger>) {
    let mut house = House::new();
    house.deploy(&flow("orders")).unwrap();
    let text = "trigger: in\nnamespace: shop\nuses: webhook:1.0.0@default\nflow: orders\n";
    let Some(Document::Trigger(document)) = documents(text).pop() else { panic!("it is a trigger") };
    let trigger = Arc::new(Trigger {
        tenant: tenant(),
        document,
        judge: Arc::new(ByKey { respond, judged: AtomicUsize::new(0) }),
        config: "{}".to_owned(),
        subscribes: false,
        token: "token".to_owned(),
        enabled: true,
    });
    (house, trigger)
}

fn send(house: &mut House, trigger: &Arc<Trigger>, key: &str) -> Answer {
    let hook = Hook::new(house.stage.runs(), trigger.clone()).unwrap();
    let inbound = Inbound {
        method: "POST".to_owned(),
        path: "/".to_owned(),
        query: String::new(),
        headers: vec![],
        body: Bytes::copy_from_slice(key.as_bytes()),
        remote: ([192, 0, 2, 1], 4711).into(),
    };
    house.wait(|_| async move { hook.receive(inbound).await })
}

fn runs(house: &mut House) -> usize {
    let list = house.wait(|runtime| async move { runtime.runs(&tenant(), RunFilter::default()).await });
    list.unwrap().items.len()
}

#[test]
fn the_same_key_begins_one_run_within_its_window() {
    let (mut house, trigger) = house(json!({ "from": "at-once", "status": 202, "body": "ok" }));
    for key in ["a", "a", "b", "a"] {
        assert_eq!(send(&mut house, &trigger, key).status, 202);
    }
    assert_eq!(runs(&mut house), 2);
    house.pass(Duration::from_secs(61));
    send(&mut house, &trigger, "a");
    assert_eq!(runs(&mut house), 3);
}

#[test]
fn the_second_caller_gets_the_answer_of_the_first() {
    let (mut house, trigger) = house(json!({ "from": "flow", "withinMs": 1_000 }));
    let [first, second] = [send(&mut house, &trigger, "a"), send(&mut house, &trigger, "a")];
    assert_eq!(first.body, Bytes::from_static(b"{\"n\":1}"));
    assert_eq!(second, first);
    assert_eq!(runs(&mut house), 1);
}
