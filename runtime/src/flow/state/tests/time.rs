//! `wait`, timeouts and cancellation.

use super::*;

#[test]
fn a_wait_is_a_timer_and_nothing_else() {
    for wait in ["PT30S", "{ seconds: 30 }", "'${ \"PT\\(.n)S\" }'"] {
        let rest = format!("do:\n  - rest: {{ wait: {wait} }}\n");
        let (mut driver, effects) = Driver::started(&rest, json!({"n": 30}));
        assert_eq!(driver.lines(&effects), ["timer 0 in 30 s"], "{wait}");
        assert_eq!(driver.state.status(), Status::Waiting);
        let effects = driver.later(30).take(Event::Fired { timer: 0 });
        assert_eq!(driver.lines(&effects), ["completed {\"n\":30}"]);
    }
    let (driver, _) = Driver::started("do:\n  - rest: { wait: '${ .n }' }\n", json!({"n": "soon"}));
    assert_eq!(driver.problem().kind, kind::VALIDATION);
}

#[test]
fn a_task_timeout_aborts_what_runs_inside_and_is_an_error_of_the_task() {
    let rest = "use: { timeouts: { short: { after: PT5S } } }
do:
  - outer:
      try:
        - group:
            timeout: short
            do:
              - work: { call: 'tool:1.0.0@default' }
      catch: { errors: { with: { type: 'https://serverlessworkflow.io/spec/1.0.0/errors/timeout' } }, do: [ { h: { set: { at: '${ $error.instance }' } } } ] }
";
    let (mut driver, effects) = Driver::started(rest, json!({}));
    assert_eq!(driver.lines(&effects), ["timer 0 in 5 s", "call 2.1 tool:1.0.0 {}"]);
    assert_eq!(driver.state.outstanding().len(), 2);
    let effects = driver.later(5).take(Event::Fired { timer: 0 });
    let expected = ["abort 2", "completed {\"at\":\"/do/0/outer/try/0/group\"}"];
    assert_eq!(driver.lines(&effects), expected);
    assert_eq!(
        driver.steps(),
        [
            "/do/0/outer completed",
            "/do/0/outer/try/0/group faulted",
            "/do/0/outer/try/0/group/do/0/work cancelled",
            "/do/0/outer/catch/do/0/h completed"
        ]
    );
}

#[test]
fn a_call_that_takes_longer_than_its_own_timeout_is_aborted() {
    let rest = "do:\n  - work: { call: 'tool:1.0.0@default', timeout: { after: PT5S } }\n";
    let (mut driver, _) = Driver::started(rest, json!({}));
    let effects = driver.later(5).take(Event::Fired { timer: 0 });
    assert_eq!(driver.lines(&effects)[0], "abort 0");
    assert_eq!((driver.problem().status, driver.problem().kind.as_str()), (408, kind::TIMEOUT));
}

#[test]
fn a_task_in_time_disarms_its_timer() {
    let rest = "do:\n  - work: { call: 'tool:1.0.0@default', timeout: { after: PT5S } }\n";
    let (mut driver, _) = Driver::started(rest, json!({}));
    let effects = driver.answer(0, 1, json!(1));
    assert_eq!(driver.lines(&effects), ["disarm 0", "completed 1"]);
    assert!(driver.take(Event::Fired { timer: 0 }).is_empty());
}

#[test]
fn a_flow_timeout_ends_the_run() {
    let rest = "timeout: { after: PT1M }\ndo:\n  - a: { try: [ { work: { call: 'tool:1.0.0@default', timeout: { after: PT2M } } } ], catch: {} }\n";
    let (mut driver, _) = Driver::started(rest, json!({}));
    let effects = driver.later(60).take(Event::Fired { timer: 0 });
    let lines = driver.lines(&effects);
    assert_eq!(lines[..2], ["abort 1", "disarm 1"]);
    assert!(lines[2].starts_with("faulted 408"), "{lines:?}");
    assert_eq!(driver.state.status(), Status::Faulted);
}

#[test]
fn cancelling_works_from_every_state() {
    let cancel = || Event::Cancelled { reason: "enough".to_owned() };
    let mut pending = Driver::new("do:\n  - a: { wait: PT1S }\n");
    assert_eq!(pending.state.status(), Status::Pending);
    let effects = pending.take(cancel());
    assert_eq!(pending.lines(&effects), ["cancelled enough"]);

    let (mut calling, _) =
        Driver::started("do:\n  - a: { call: 'tool:1.0.0@default', timeout: { after: PT5S } }\n", json!({}));
    let effects = calling.take(cancel());
    assert_eq!(calling.lines(&effects), ["abort 0", "disarm 0", "cancelled enough"]);
    assert_eq!(calling.steps(), ["/do/0/a cancelled"]);
    assert!(calling.answer(0, 1, json!(1)).is_empty());
    assert!(calling.take(cancel()).is_empty());
    assert_eq!(calling.state.status(), Status::Cancelled);

    let (mut waiting, _) = Driver::started("do:\n  - a: { wait: PT1S }\n", json!({}));
    let effects = waiting.take(cancel());
    assert_eq!(waiting.lines(&effects), ["disarm 0", "cancelled enough"]);

    let (mut asking, _) = Driver::started("do:\n  - a: { set: '${ sort_by(.) }' }\n", json!([]));
    let effects = asking.take(cancel());
    assert_eq!(asking.lines(&effects), ["cancelled enough"]);
    assert!(asking.take(Event::Evaluated { id: 0, result: Ok(json!(1)) }).is_empty());
    assert!(asking.state.outstanding().is_empty());
}
