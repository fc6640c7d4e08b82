//! `try`: filters, conditions, retries, handlers.

use super::*;

fn guarded(catch: &str) -> String {
    format!(
        "do:
  - guard:
      try:
        - work: {{ call: 'tool:1.0.0@default' }}
      catch: {catch}
  - after: {{ set: {{ got: '${{ . }}' }} }}
"
    )
}

#[test]
fn a_caught_error_without_a_handler_gives_the_trys_input() {
    let (mut driver, _) = Driver::started(&guarded("{}"), json!({"in": 1}));
    let effects = driver.fail(1, 1, communication(404));
    assert_eq!(driver.lines(&effects), ["completed {\"got\":{\"in\":1}}"]);
    assert_eq!(
        driver.steps(),
        ["/do/0/guard completed", "/do/0/guard/try/0/work faulted", "/do/1/after completed"]
    );
}

#[test]
fn the_handler_sees_the_error_under_its_name() {
    let catch =
        "{ as: err, do: [ { handle: { set: { at: '${ $err.instance }', status: '${ $err.status }' } } } ] }";
    let (mut driver, _) = Driver::started(&guarded(catch), json!({}));
    let effects = driver.fail(1, 1, communication(404));
    let expected = ["completed {\"got\":{\"at\":\"/do/0/guard/try/0/work\",\"status\":404}}"];
    assert_eq!(driver.lines(&effects), expected);
    assert_eq!(driver.state.steps()[2].reference, "/do/0/guard/catch/do/0/handle");
}

#[test]
fn what_the_filter_or_a_condition_refuses_goes_on_outwards() {
    let caught = [
        "{ errors: { with: { status: 404 } } }",
        "{ errors: { with: { type: https://open-workflow-specification.org/dsl/errors/types/communication } } }",
        "{ errors: { with: { instance: /do/0/guard/try/0/work, title: the other side failed } } }",
        "{ when: $error.status == 404 }",
        "{ exceptWhen: $error.status == 500 }",
    ];
    let refused = [
        "{ errors: { with: { status: 500 } } }",
        "{ errors: { with: { type: https://serverlessworkflow.io/spec/1.0.0/errors/timeout } } }",
        "{ errors: { with: { detail: other } } }",
        "{ when: $error.status == 500 }",
        "{ exceptWhen: $error.status == 404 }",
    ];
    for (catches, expected) in [(caught, Status::Completed), (refused, Status::Faulted)] {
        for catch in catches {
            let (mut driver, _) = Driver::started(&guarded(catch), json!({}));
            driver.fail(1, 1, communication(404));
            assert_eq!(driver.state.status(), expected, "{catch}");
        }
    }
}

#[test]
fn retries_come_first_and_the_handler_when_they_are_used_up() {
    let catch = "{ retry: { delay: PT1S, limit: { attempt: { count: 2 } } }, do: [ { handle: { set: { gave: up } } } ] }";
    let (mut driver, _) = Driver::started(&guarded(catch), json!({}));
    let effects = driver.fail(1, 1, communication(503));
    assert_eq!(driver.lines(&effects), ["timer 0 in 1 s"]);
    assert_eq!(driver.state.status(), Status::Waiting);
    let effects = driver.later(1).take(Event::Fired { timer: 0 });
    assert_eq!(driver.lines(&effects), ["call 2.1 tool:1.0.0 {}"]);
    let effects = driver.fail(2, 1, communication(503));
    assert_eq!(driver.lines(&effects), ["timer 1 in 2 s"]);
    driver.later(2).take(Event::Fired { timer: 1 });
    let effects = driver.fail(3, 1, communication(503));
    assert_eq!(driver.lines(&effects), ["completed {\"got\":{\"gave\":\"up\"}}"]);
}

#[test]
fn without_limits_there_are_three_retries() {
    let (mut driver, _) = Driver::started(&guarded("{ retry: {} }"), json!({}));
    for (step, timer, pause) in [(1, 0, 1), (2, 1, 2), (3, 2, 4)] {
        let effects = driver.fail(step, 1, communication(503));
        assert_eq!(driver.lines(&effects), [format!("timer {timer} in {pause} s")]);
        driver.later(pause).take(Event::Fired { timer });
    }
    let effects = driver.fail(4, 1, communication(503));
    assert_eq!(driver.lines(&effects), ["completed {\"got\":{}}"]);
}

#[test]
fn retry_after_wins_when_it_is_longer() {
    let (mut driver, _) = Driver::started(&guarded("{ retry: {} }"), json!({}));
    let problem = communication(429).data(json!({"headers": {"retry-after": "30"}}));
    let effects = driver.fail(1, 1, problem);
    assert_eq!(driver.lines(&effects), ["timer 0 in 30 s"]);
}

#[test]
fn a_retry_that_the_policy_does_not_want_is_not_made() {
    for policy in [
        "{ when: $error.status == 503 }",
        "{ exceptWhen: $error.status == 404 }",
        "{ limit: { duration: PT0.5S } }",
        "{ limit: { attempt: { count: 0 } } }",
    ] {
        let (mut driver, _) = Driver::started(&guarded(&format!("{{ as: e, retry: {policy} }}")), json!({}));
        let effects = driver.fail(1, 1, communication(404));
        assert_eq!(driver.lines(&effects), ["completed {\"got\":{}}"], "{policy}");
    }
}

#[test]
fn an_attempt_that_takes_too_long_is_an_error_inside_the_try() {
    let catch = "{ retry: { limit: { attempt: { count: 1, duration: PT10S } } }, do: [ { h: { set: { s: '${ $error.status }' } } } ] }";
    let (mut driver, effects) = Driver::started(&guarded(catch), json!({}));
    assert_eq!(driver.lines(&effects), ["timer 0 in 10 s", "call 1.1 tool:1.0.0 {}"]);
    let effects = driver.later(10).take(Event::Fired { timer: 0 });
    assert_eq!(driver.lines(&effects), ["abort 1", "timer 1 in 1 s"]);
    assert!(driver.answer(1, 1, json!(1)).is_empty());
    let effects = driver.later(1).take(Event::Fired { timer: 1 });
    assert_eq!(driver.lines(&effects), ["timer 2 in 10 s", "call 2.1 tool:1.0.0 {}"]);
    let effects = driver.later(10).take(Event::Fired { timer: 2 });
    assert_eq!(driver.lines(&effects), ["abort 2", "completed {\"got\":{\"s\":408}}"]);
}

#[test]
fn an_attempt_in_time_disarms_its_timer() {
    let catch = "{ retry: { limit: { attempt: { duration: PT10S } } } }";
    let (mut driver, _) = Driver::started(&guarded(catch), json!({}));
    let effects = driver.answer(1, 1, json!(1));
    assert_eq!(driver.lines(&effects), ["disarm 0", "completed {\"got\":1}"]);
}

#[test]
fn an_error_in_the_handler_is_not_caught_by_the_same_try() {
    let rest = "do:
  - outer:
      try:
        - inner:
            try: [ { a: { raise: { error: { type: 'urn:a', status: 400 } } } } ]
            catch: { do: [ { b: { raise: { error: { type: 'urn:b', status: 401 } } } } ] }
      catch: { do: [ { c: { set: { kind: '${ $error.type }' } } } ] }
";
    assert_eq!(output(rest, json!({})), json!({"kind": "urn:b"}));
}

#[test]
fn the_error_is_out_of_scope_after_the_try() {
    let rest = "do:
  - outer:
      try:
        - a: { raise: { error: { type: 'urn:a', status: 400 } } }
      catch:
        as: first
        do:
          - inner:
              try: [ { b: { raise: { error: { type: 'urn:b', status: 401 } } } } ]
              catch: { as: second, do: [ { c: { set: { f: '${ $first.type }', s: '${ $second.type }' } } } ] }
          - d: { set: { all: '${ . }', f: '${ $first.status }' } }
";
    assert_eq!(output(rest, json!({})), json!({"all": {"f": "urn:a", "s": "urn:b"}, "f": 400}));
}

#[test]
fn conditions_of_a_try_may_ask_the_guest() {
    let foreign = "[$error.status] | sort_by(.) | .[0] == 404";
    let catch = format!("{{ when: '{foreign}', exceptWhen: '{foreign}', retry: {{ when: '{foreign}' }} }}");
    let (mut driver, _) = Driver::started(&guarded(&catch), json!({}));
    let mut effects = driver.fail(1, 1, communication(404));
    for answer in [true, false, true] {
        let [Effect::Evaluate { id, ref variables, .. }] = effects[..] else {
            panic!("{:?}", driver.lines(&effects));
        };
        let (name, error) = &variables[0];
        assert_eq!((name.as_str(), &error["status"]), ("error", &json!(404)));
        effects = driver.take(Event::Evaluated { id, result: Ok(json!(answer)) });
    }
    assert_eq!(driver.lines(&effects), ["timer 0 in 1 s"]);
}
