//! Calls: attempts, pauses that a plugin asks for, dead hosts, functions, endpoints; and the answer to a caller.

use super::*;

const CALL: &str = "do:\n  - work: { call: 'tool:1.2.0@default', with: { id: '${ .id }' } }\n";

#[test]
fn a_call_gets_its_input_and_gives_its_output() {
    let (mut driver, effects) = Driver::started(CALL, json!({"id": 7}));
    assert_eq!(driver.lines(&effects), ["call 0.1 tool:1.2.0 {\"id\":7}"]);
    assert_eq!(driver.state.status(), Status::Running);
    assert_eq!(driver.state.take_changed(), [0]);
    let effects = driver.answer(0, 1, json!("ok"));
    assert_eq!(driver.lines(&effects), ["completed \"ok\""]);
    let step = &driver.state.steps()[0];
    assert_eq!((&*step.input, &*step.output), (&json!({"id": 7}), &json!("ok")));
    assert_eq!(step.plugin.as_deref(), Some("tool:1.2.0"));
    assert_eq!(step.attempts.len(), 1);
    assert_eq!(driver.state.take_changed(), [0]);
    assert!(driver.state.take_changed().is_empty());
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let (mut driver, _) = Driver::started(CALL, json!({"id": 7}));
    driver.state.take_changed();
    assert!(driver.answer(0, 2, json!(1)).is_empty());
    assert!(driver.answer(1, 1, json!(1)).is_empty());
    assert!(driver.take(Event::Fired { timer: 3 }).is_empty());
    assert!(driver.take(Event::Started { input: json!(1), base_url: None, edition: EDITION }).is_empty());
    assert!(driver.state.take_changed().is_empty());
    driver.answer(0, 1, json!(1));
    assert!(driver.answer(0, 1, json!(2)).is_empty());
    assert_eq!(driver.state.end(), Some(&End::Completed(json!(1).into())));
}

#[test]
fn a_plugin_may_ask_for_another_attempt() {
    let (mut driver, _) = Driver::started(CALL, json!({"id": 7}));
    let mut problem = communication(503);
    problem.retry_after_ms = Some(5_000);
    let effects = driver.fail(0, 1, problem.clone());
    assert_eq!(driver.lines(&effects), ["timer 0 in 5 s"]);
    assert_eq!(driver.state.status(), Status::Waiting);
    assert_eq!(driver.state.outstanding(), effects);
    assert!(driver.state.steps()[0].due_at.is_some());
    let effects = driver.later(5).take(Event::Fired { timer: 0 });
    assert_eq!(driver.lines(&effects), ["call 0.2 tool:1.2.0 {\"id\":7}"]);
    let effects = driver.answer(0, 2, json!("ok"));
    assert_eq!(driver.lines(&effects), ["completed \"ok\""]);
    let attempts = &driver.state.steps()[0].attempts;
    assert_eq!(attempts[0].problem, Some(problem));
    assert_eq!(attempts[1].problem, None);
}

#[test]
fn a_plugin_that_asks_for_ever_is_stopped() {
    let (mut driver, _) = Driver::started(CALL, json!({"id": 7}));
    let mut problem = communication(503);
    problem.retry_after_ms = Some(u64::MAX);
    let effects = driver.fail(0, 1, problem.clone());
    assert_eq!(driver.lines(&effects), ["timer 0 in 86400 s"]);
    driver.take(Event::Fired { timer: 0 });
    for attempt in 2..100 {
        driver.fail(0, attempt, problem.clone());
        driver.take(Event::Fired { timer: attempt - 1 });
    }
    let effects = driver.fail(0, 100, problem);
    assert_eq!(driver.lines(&effects), ["faulted 503 the other side failed"]);
}

#[test]
fn a_step_whose_host_dies_again_and_again_is_quarantined() {
    let (mut driver, _) = Driver::started(CALL, json!({"id": 7}));
    for attempt in 1..3 {
        let effects = driver.take(Event::Interrupted { step: 0, attempt });
        let expected = format!("call 0.{} tool:1.2.0 {{\"id\":7}}", attempt + 1);
        assert_eq!(driver.lines(&effects), [expected]);
    }
    driver.take(Event::Interrupted { step: 0, attempt: 3 });
    assert_eq!(driver.problem().code(), Some("quarantined"));
    let attempts = &driver.state.steps()[0].attempts;
    assert_eq!(attempts[0].problem.as_ref().unwrap().title, "the host stopped during this attempt");
}

#[test]
fn a_failure_is_an_error_at_the_task_whatever_the_plugin_says() {
    let (mut driver, _) = Driver::started(CALL, json!({"id": 7}));
    let mut problem = communication(404);
    problem.instance = Some("/elsewhere".to_owned());
    driver.fail(0, 1, problem);
    assert_eq!(driver.problem().instance.as_deref(), Some("/do/0/work"));
    assert_eq!(driver.state.steps()[0].problem.as_ref(), Some(driver.problem()));
}

#[test]
fn the_languages_http_call_is_an_action_of_the_http_plugin() {
    let rest = "do:
  - a:
      call: http
      with:
        method: get
        endpoint: { uri: 'https://h/p/{petId}?s={s}' }
        query: { q: '${ .petId }' }
";
    let (driver, effects) = Driver::started(rest, json!({"petId": 1, "s": "a b"}));
    let expected = "call 0.1 http-request.http:1.0.0 \
                    {\"endpoint\":\"https://h/p/1?s=a%20b\",\"method\":\"get\",\"query\":{\"q\":1}}";
    assert_eq!(driver.lines(&effects), [expected]);
    let (driver, _) = Driver::started(rest, json!({"s": 1}));
    assert_eq!(driver.problem().kind, kind::EXPRESSION);
}

#[test]
fn an_endpoint_that_is_an_expression_is_not_filled() {
    let rest = "do:\n  - a: { call: http, with: { method: get, endpoint: '${ .url }' } }\n";
    let (driver, effects) = Driver::started(rest, json!({"url": "https://h/{x}"}));
    assert!(driver.line(&effects[0]).contains("https://h/{x}"));
}

#[test]
fn a_function_gets_its_arguments_as_input() {
    let rest = "use:
  functions:
    get:
      input: { schema: { document: { required: [id] } } }
      call: tool:1.0.0@default
      with: { path: '${ \"/\\(.id)\" }' }
    plain: { call: 'tool:1.0.0@default' }
do:
  - a: { call: get, with: { id: '${ .n }' } }
  - b: { call: plain, with: { x: '${ . }' } }
";
    let (mut driver, effects) = Driver::started(rest, json!({"n": 9}));
    assert_eq!(driver.lines(&effects), ["call 0.1 tool:1.0.0 {\"path\":\"/9\"}"]);
    let effects = driver.answer(0, 1, json!(5));
    assert_eq!(driver.lines(&effects), ["call 1.1 tool:1.0.0 {\"x\":5}"]);
}

#[test]
fn the_first_reply_counts_and_the_flow_goes_on() {
    let rest = "do:
  - first: { call: 'respond:1.0.0@default', with: { status: 201, body: { id: '${ .id }' } } }
  - second: { call: 'respond:1.0.0@default', with: { body: late } }
  - after: { set: { id: '${ .id }', done: true } }
";
    let (driver, effects) = Driver::started(rest, json!({"id": 7}));
    let expected = ["reply 0 201 {\"id\":7}", "completed {\"done\":true,\"id\":7}"];
    assert_eq!(driver.lines(&effects), expected);
    let steps = driver.state.steps();
    assert_eq!(steps[0].problem, None);
    assert_eq!(steps[1].status, Status::Completed);
    assert_eq!(steps[1].problem.as_ref().unwrap().code(), Some("reply-conflict"));
}

#[test]
fn an_answer_after_the_caller_has_left_is_a_conflict_of_its_step() {
    let rest = "do:
  - pause: { wait: PT1S }
  - late: { call: 'respond:1.0.0@default', with: { body: late } }
";
    let (mut driver, _) = Driver::started(rest, json!({}));
    assert!(driver.take(Event::CallerLeft { reason: "the caller hung up".to_owned() }).is_empty());
    let effects = driver.take(Event::Fired { timer: 0 });
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Reply { .. })));
    let step = &driver.state.steps()[1];
    assert_eq!(step.status, Status::Completed);
    assert_eq!(step.problem.as_ref().unwrap().detail.as_deref(), Some("the caller hung up"));
}

#[test]
fn an_answer_that_is_not_legal_is_an_error_of_its_step() {
    let rest = "do:
  - a: { call: 'respond:1.0.0@default', with: { headers: { x: '${ .h }' } } }
";
    let (driver, effects) = Driver::started(rest, json!({"h": "a\r\nb: c"}));
    assert_eq!(effects.len(), 1);
    assert_eq!(driver.problem().kind, kind::VALIDATION);
    assert_eq!(driver.problem().data.as_ref().unwrap()["field"], "headers");
}

/// A connection is of the step that names it: another plugin of the same flow does not get to use it.
#[test]
fn a_step_may_use_the_connections_that_it_names_and_the_secrets_of_its_flow() {
    let (mut driver, _) = Driver::started(
        "use: { secrets: [key] }
do:
  - one: { call: 'http-request:1.0.0@default', with: { url: 'https://a.example/', connection: shop } }
  - two: { call: 'format:1.0.0@default', with: { text: hello, body: { connection: mine } } }
",
        json!({}),
    );
    driver.answer(0, 1, json!({}));
    let needs = |step| driver.state.needs(step);
    assert_eq!(
        (&*needs(0).connections, &*needs(0).secrets),
        (&["shop".to_owned()][..], &["key".to_owned()][..])
    );
    assert_eq!((needs(1).connections.len(), &*needs(1).secrets), (0, &["key".to_owned()][..]));
}
