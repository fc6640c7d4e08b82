//! The step's life against the mock host: subscribe, wait, be called back, unsubscribe.

use flowcell_sdk::Outcome;
use flowcell_sdk::prelude::*;
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

fn judged() -> (MockHost, Outcome) {
    let mut input = input();
    (input["failWhen"], input["progressWhen"]) = (json!(".body.failed"), json!(".body.percent < 100"));
    input["timeout"] = json!("PT1H");
    let host = host()
        .with_expression(".body.failed", |callback| callback["body"]["failed"].clone())
        .with_expression(".body.percent < 100", |callback| {
            json!(callback["body"]["percent"].as_u64() < Some(100))
        })
        .expect(request("POST", SUBS), answer(201).json(json!({ "id": 7 })));
    let waiting = host.start::<Plugin>("http-webhook", input).unwrap();
    (host, waiting)
}

fn callback(body: Value) -> Value {
    json!({ "kind": "callback", "method": "POST", "headers": {}, "query": {}, "body": body })
}

#[test]
fn what_only_tells_how_far_it_is_does_not_end_the_step() {
    let (host, waiting) = judged();
    let waits = host.resume::<Plugin>("http-webhook", waiting, callback(json!({ "percent": 50 }))).unwrap();
    let Outcome::Suspend { wake, .. } = &waits else { panic!("{waits:?}") };
    assert_eq!(
        serde_json::from_str::<Value>(wake).unwrap(),
        json!({ "callback": true, "cleanup": true, "sameDeadline": true })
    );
    let log = host.logs().remove(0);
    assert_eq!((log.message.as_str(), &log.fields), ("progress", &json!({ "body": { "percent": 50 } })));
    let done = host.resume::<Plugin>("http-webhook", waits, callback(json!({ "percent": 100 }))).unwrap();
    assert!(matches!(done, Outcome::Done(_)), "{done:?}");
}

#[test]
fn what_calls_back_may_fail_the_step() {
    let (host, waiting) = judged();
    let body = json!({ "failed": true, "why": "no stock" });
    let problem = host.resume::<Plugin>("http-webhook", waiting, callback(body.clone())).unwrap_err();
    assert_eq!((problem.code().as_deref(), problem.status()), (Some("callback-failed"), 502));
    assert_eq!(problem.data_value()["callback"]["body"], body);
}

#[test]
fn an_expression_that_does_not_compile_fails_before_anything_is_sent() {
    let mut input = input();
    input["failWhen"] = json!(".body.");
    let problem = host().start::<Plugin>("http-webhook", input).unwrap_err();
    assert!(problem.detail_text().starts_with("`failWhen`: `.body.`: "), "{problem}");
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

fn trigger() -> Value {
    json!({
        "subscribe": { "method": "POST", "url": SUBS, "body": { "url": CALLBACK } },
        "unsubscribe": { "method": "DELETE", "url": format!("{SUBS}/{{{{ subscribe.body.id }}}}") },
    })
}

#[test]
fn a_trigger_subscribes_when_it_is_switched_on_and_ends_that_when_it_is_switched_off() {
    let host = host()
        .with_idempotency_key("sub-1")
        .expect(
            request("POST", SUBS)
                .with_json(json!({ "url": CALLBACK }))
                .with_header("idempotency-key", "sub-1"),
            answer(201).json(json!({ "id": 7 })),
        )
        .expect(
            request("DELETE", &format!("{SUBS}/7")).with_header("idempotency-key", "sub-1-unsubscribe"),
            answer(204),
        );
    let state = host.enable::<Plugin>("http-webhook", trigger()).unwrap();
    host.disable::<Plugin>("http-webhook", trigger(), &state).unwrap();
    assert_eq!(host.logs().len(), 0);
}

#[test]
fn a_subscription_that_fails_for_now_is_asked_for_again_and_no_other() {
    let attempt = |status: u16, attempt: u32| {
        let busy = answer(status).header("retry-after", if status == 429 { "20" } else { "0" });
        let host = host().with_attempt(attempt).expect(request("POST", SUBS), busy);
        let problem = host.enable::<Plugin>("http-webhook", trigger()).unwrap_err();
        (problem.status(), problem.retry_after_time().map(|wait| wait.as_secs()))
    };
    assert_eq!(attempt(503, 1), (503, Some(1)));
    assert!(matches!(attempt(503, 3), (503, Some(4..=5))));
    assert_eq!(attempt(429, 1), (429, Some(20)));
    assert_eq!(attempt(503, 5), (503, None));
    assert_eq!(attempt(401, 1), (401, None));
}

#[test]
fn a_mistake_in_a_trigger_is_named_before_anything_is_sent() {
    let mut config = trigger();
    config["unsubscribe"]["url"] = json!("x/{{ body.id }}");
    let problem = host().enable::<Plugin>("http-webhook", config).unwrap_err();
    assert!(problem.detail_text().contains("`unsubscribe`: "), "{problem}");
    let problem = host().enable::<Plugin>("http-webhook", json!({ "subscrib": {} })).unwrap_err();
    assert!(problem.detail_text().contains("did you mean `subscribe`"), "{problem}");
}

#[test]
fn each_post_to_a_trigger_starts_a_run_and_nothing_else_does() {
    let receive = |method: &str, content_type: &str, body: &str| {
        let headers = [("content-type", content_type)];
        let host = host().with_inbound(method, "/?a=1", &headers, body);
        host.receive::<Plugin>("http-webhook", trigger()).unwrap()
    };
    let verdict = receive("POST", "application/json", r#"{"n":1}"#);
    let event = &verdict["start"]["event"];
    assert_eq!((&event["body"], &event["query"]), (&json!({ "n": 1 }), &json!({ "a": "1" })));
    assert_eq!(event["headers"]["content-type"], "application/json");
    assert_eq!(receive("POST", "text/plain", "hello")["start"]["event"]["body"], "hello");
    for method in ["GET", "HEAD", "DELETE"] {
        let answer = &receive(method, "application/json", "")["answer"];
        assert_eq!((&answer["status"], &answer["headers"]["allow"]), (&json!(405), &json!("POST")));
    }
}

#[test]
fn what_is_wrong_with_the_two_requests_is_found_before_they_are_sent() {
    let address = "${ $task.callback.url }";
    let subscribe = json!({ "method": "POST", "url": SUBS, "body": { "callback": address } });
    let unsubscribe = json!({ "method": "DELETE", "url": "{{ subscribe.headers.location }}" });
    let check = |with: Value| {
        let of_action = host().check_action::<Plugin>("http-webhook", with.clone());
        assert_eq!(of_action, host().check_trigger::<Plugin>("http-webhook", with));
        of_action
    };
    assert_eq!(check(json!({ "subscribe": subscribe, "unsubscribe": unsubscribe })), []);
    let nowhere = check(json!({ "subscribe": { "method": "POST", "url": SUBS } }));
    assert!(nowhere.len() == 1 && !nowhere[0].is_error(), "{nowhere:?}");
    let wrong = json!({ "url": "{{ subscrib.id }}", "timeout": "PT0S" });
    let found = check(json!({ "subscribe": subscribe, "unsubscribe": wrong }));
    let says = "what stands in `{{ }}` is a place in the answer to `subscribe`, such as {{ subscribe.body.id }}; \
                here is `{{ subscrib.id }}`";
    assert_eq!(found[1], Finding::error("/unsubscribe", says));
    assert_eq!(found[0], Finding::error("/unsubscribe/timeout", "it is zero: give a time such as PT10S"));
    let zero =
        host().check_action::<Plugin>("http-webhook", json!({ "subscribe": subscribe, "timeout": "PT0S" }));
    assert_eq!(zero, [Finding::error("/timeout", "it is zero: give a time such as PT1H")]);
}
