//! The step's life against the mock host: subscribe, wait, be called back, unsubscribe.

use flowcell_sdk::Outcome;
use flowcell_sdk::testing::{MockHost, answer, request};

use super::*;

const SUBS: &str = "https://ok.example.com/subs";
const CALLBACK: &str = "https://hooks.example.com/callbacks/t";

fn input() -> Value {
    json!({
        "subscribe": { "method": "POST", "url": SUBS, "body": { "callback": CALLBACK } },
        "unsubscribe": { "method": "DELETE", "url": format!("{SUBS}/{{{{ subscribe.body.id }}}}") },
    })
}

fn host() -> MockHost {
    MockHost::new().with_callback_url(CALLBACK)
}

fn subscribed(input: Value) -> (MockHost, Outcome, Value) {
    let host = host().expect(request("POST", SUBS), answer(201).json(json!({ "id": 7 })));
    let waiting = host.start::<Plugin>("http-webhook", input).unwrap();
    let Outcome::Suspend { wake, .. } = &waiting else { panic!("{waiting:?}") };
    let wake = serde_json::from_str(wake).unwrap();
    (host, waiting, wake)
}

#[test]
fn it_subscribes_waits_and_gives_what_called_back() {
    let (host, waiting, wake) = subscribed(input());
    assert_eq!(wake, json!({ "callback": true, "cleanup": true }));
    assert_eq!(host.sent()[0].body.as_deref(), Some(format!(r#"{{"callback":"{CALLBACK}"}}"#).as_bytes()));
    assert!(host.logs().is_empty());
    let event = json!({ "kind": "callback", "method": "POST", "headers": { "x-a": "1" }, "query": {}, "body": { "ok": true } });
    let Outcome::Done(output) = host.resume::<Plugin>("http-webhook", waiting, event).unwrap() else {
        panic!()
    };
    assert_eq!(
        serde_json::from_str::<Value>(&output).unwrap(),
        json!({ "status": 202, "headers": { "x-a": "1" }, "body": { "ok": true } })
    );
}

#[test]
fn it_unsubscribes_with_what_the_subscription_was_answered_with() {
    let (host, waiting, _) = subscribed(input());
    for status in [204, 404, 410] {
        let host = host.clone().expect(request("DELETE", "https://ok.example.com/subs/7"), answer(status));
        host.cancel::<Plugin>("http-webhook", waiting.clone(), "completed").unwrap();
    }
    let sent = host.sent();
    let key = |sent: &flowcell_sdk::testing::SentRequest| {
        sent.headers.iter().find(|(name, _)| name == "idempotency-key").map(|(_, key)| key.clone())
    };
    assert_eq!((key(&sent[0]).as_deref(), key(&sent[1]).as_deref()), (Some("key"), Some("key-unsubscribe")));
    let host = host.expect(request("DELETE", "https://ok.example.com/subs/7"), answer(503));
    let problem = host.cancel::<Plugin>("http-webhook", waiting, "cancelled").unwrap_err();
    assert_eq!(problem.status(), 503);
}

#[test]
fn the_time_it_waits_is_bounded_when_asked() {
    let mut input = input();
    input["timeout"] = json!("PT1H");
    assert_eq!(subscribed(input).2["deadlineMs"], 3_600_000);
}

#[test]
fn without_unsubscribe_there_is_nothing_to_tidy_up() {
    let mut input = input();
    input.as_object_mut().unwrap().remove("unsubscribe");
    let (host, waiting, wake) = subscribed(input);
    assert_eq!(wake, json!({ "callback": true }));
    host.cancel::<Plugin>("http-webhook", waiting, "cancelled").unwrap();
}

#[test]
fn a_subscription_that_is_refused_fails_the_step() {
    let host = host().expect(request("POST", SUBS), answer(401));
    let problem = host.start::<Plugin>("http-webhook", input()).unwrap_err();
    assert_eq!(problem.status(), 401);
    assert!(problem.detail_text().contains("POST https://ok.example.com/subs answered with status 401"));
}

#[test]
fn mistakes_are_named_before_anything_is_sent() {
    let refusal = |change: fn(&mut Value)| {
        let mut input = input();
        change(&mut input);
        host().start::<Plugin>("http-webhook", input).unwrap_err().detail_text().to_owned()
    };
    assert!(refusal(|input| input["subscribe"]["methd"] = json!("POST")).contains("did you mean `method`"));
    assert!(refusal(|input| input["unsubscribe"]["methd"] = json!("PUT")).contains("`unsubscribe`: "));
    assert!(
        refusal(|input| input["unsubscribe"]["url"] = json!("x/{{ body.id }}")).contains("`unsubscribe`: ")
    );
    assert!(refusal(|input| input["timeout"] = json!("PT0S")).contains("`timeout` is zero"));
    assert!(
        refusal(|input| input["subscribe"]["allowFailure"] = json!(true))
            .contains("leave `allowFailure` out")
    );
}

#[test]
fn what_would_be_missed_later_is_logged() {
    let host = MockHost::new().expect(request("POST", SUBS), answer(201).json(json!({})));
    let waiting = host.start::<Plugin>("http-webhook", input()).unwrap();
    let problem = host.cancel::<Plugin>("http-webhook", waiting, "completed").unwrap_err();
    assert!(
        problem.detail_text().contains("the subscription stands: the answer to `subscribe` has nothing at")
    );
    let logs: Vec<_> = host.logs().into_iter().map(|line| (line.level, line.message)).collect();
    assert!(logs[0].0 == "warn" && logs[0].1.contains("${ $task.callback.url }"), "{logs:?}");
    assert!(logs[1].0 == "error" && logs[1].1.contains("nothing at `subscribe.body.id`"), "{logs:?}");
}
