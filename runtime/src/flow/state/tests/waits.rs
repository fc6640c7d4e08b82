//! Suspended calls: what wakes them, what a callback comes to, and what is undone when they are left.

use crate::flow::event::{ATTEMPTS_TO_UNDO, LEFT_BYTES_PER_STEP, SUSPENSIONS_PER_STEP, Suspension};
use crate::flow::state::CallbackNow;
use crate::id::{CallbackAddress, CallbackKey};

use super::*;

const ASK: &str = "do:\n  - ask: { call: 'tool:1.2.0@default', with: { id: '${ .id }' } }\n";

impl Driver {
    fn suspend(&mut self, step: u32, attempt: u32, change: impl FnOnce(&mut Suspension)) -> Vec<Effect> {
        let mut suspension = Suspension {
            state: "c3ViLTE=".into(),
            callback: true,
            timer_ms: None,
            deadline_ms: None,
            same_deadline: false,
            cleanup: false,
        };
        change(&mut suspension);
        self.take(Event::Answered { step, attempt, outcome: Outcome::Suspended(suspension) })
    }

    fn call_back(&mut self, step: u32, body: i32) -> Vec<Effect> {
        self.take(Event::CalledBack { step, request: json!({ "body": body }).into() })
    }
}

fn suspended(change: impl FnOnce(&mut Suspension)) -> (Driver, Vec<Effect>) {
    let (mut driver, _) = Driver::started(ASK, json!({"id": 7}));
    let effects = driver.suspend(0, 1, change);
    (driver, effects)
}

#[test]
fn a_callback_resumes_a_suspended_step_with_what_it_left() {
    let (mut driver, effects) = suspended(|_| ());
    assert!(effects.is_empty() && driver.state.outstanding().is_empty());
    assert_eq!(driver.state.status(), Status::Suspended);
    assert_eq!(driver.state.callback(0), CallbackNow::Wanted);
    let effects = driver.later(5).call_back(0, 1);
    assert_eq!(driver.lines(&effects), [r#"resume 0.1 c3ViLTE= {"body":1,"kind":"callback"}"#]);
    assert_eq!(driver.state.status(), Status::Running);
    let effects = driver.answer(0, 1, json!("ok"));
    assert_eq!(driver.lines(&effects), ["completed \"ok\""]);
    let step = &driver.state.steps()[0];
    assert_eq!((step.attempts.len(), step.attempts[0].ended_at, &step.cleanup), (1, Some(driver.now), &None));
}

#[test]
fn a_step_that_waits_on_may_keep_its_deadline() {
    let (mut driver, _) = suspended(|left| left.deadline_ms = Some(9_000));
    driver.later(5).call_back(0, 1);
    let effects = driver.later(1).suspend(0, 1, |left| left.same_deadline = true);
    let due = |effects: &[Effect], now: Timestamp| match effects {
        [Effect::Timer { due, .. }] => due.duration_since(now).as_secs(),
        other => panic!("{other:?}"),
    };
    assert_eq!(due(&effects, driver.now), 3);
    // What took longer than it had is over at once, whatever has called back meanwhile.
    driver.call_back(0, 2);
    driver.call_back(0, 3);
    driver.later(60).suspend(0, 1, |left| left.same_deadline = true);
    assert!(matches!(driver.state.end(), Some(End::Faulted(problem)) if problem.kind == kind::TIMEOUT));
    // Another wait has none unless it says so.
    let (mut driver, _) = suspended(|left| left.deadline_ms = Some(9_000));
    driver.call_back(0, 1);
    assert!(driver.suspend(0, 1, |_| ()).is_empty());
}

#[test]
fn one_callback_is_taken_and_no_more() {
    let (mut driver, _) = suspended(|_| ());
    driver.call_back(0, 1);
    assert_eq!(driver.state.callback(0), CallbackNow::Busy);
    assert!(driver.call_back(0, 2).is_empty());
    driver.answer(0, 1, json!("ok"));
    assert_eq!(driver.state.callback(0), CallbackNow::Over);
    assert_eq!(driver.state.callback(9), CallbackNow::Over);
    assert!(driver.call_back(0, 3).is_empty());
}

#[test]
fn a_callback_that_comes_before_the_wait_is_kept() {
    let (mut driver, _) = Driver::started(ASK, json!({"id": 7}));
    assert_eq!(driver.state.callback(0), CallbackNow::Wanted);
    assert!(driver.call_back(0, 1).is_empty());
    assert_eq!(driver.state.callback(0), CallbackNow::Busy);
    let effects = driver.suspend(0, 1, |_| ());
    assert_eq!(driver.lines(&effects), [r#"resume 0.1 c3ViLTE= {"body":1,"kind":"callback"}"#]);
}

#[test]
fn an_early_callback_waits_until_the_step_waits_for_one() {
    let (mut driver, _) = suspended(|left| (left.callback, left.timer_ms) = (false, Some(2_000)));
    assert!(driver.call_back(0, 1).is_empty());
    let effects = driver.later(2).take(Event::Fired { timer: 0 });
    assert_eq!(driver.lines(&effects), [r#"resume 0.1 c3ViLTE= {"kind":"timer"}"#]);
    let effects = driver.suspend(0, 1, |_| ());
    assert_eq!(driver.lines(&effects), [r#"resume 0.1 c3ViLTE= {"body":1,"kind":"callback"}"#]);
}

#[test]
fn a_step_may_wait_several_times_and_each_wait_has_its_own_times() {
    let (mut driver, effects) =
        suspended(|left| (left.timer_ms, left.deadline_ms) = (Some(3_000), Some(9_000)));
    assert_eq!(driver.lines(&effects), ["timer 0 in 3 s", "timer 1 in 9 s"]);
    assert_eq!(driver.seconds(driver.state.steps()[0].due_at.unwrap()), 3);
    let effects = driver.later(1).call_back(0, 1);
    assert_eq!(driver.lines(&effects)[..2], ["disarm 0", "disarm 1"]);
    let effects = driver.suspend(0, 1, |left| left.state = "c3ViLTI=".into());
    assert!(effects.is_empty());
    let effects = driver.call_back(0, 2);
    assert_eq!(driver.lines(&effects), [r#"resume 0.1 c3ViLTI= {"body":2,"kind":"callback"}"#]);
}

#[test]
fn a_wait_that_nothing_would_end_is_refused() {
    let (driver, effects) = suspended(|left| left.callback = false);
    assert!(driver.problem().to_string().contains("nothing would ever wake it"), "{effects:?}");
    let (mut driver, _) = Driver::started(ASK, json!({"id": 7}));
    for _ in 0..SUSPENSIONS_PER_STEP {
        driver.suspend(0, 1, |_| ());
        driver.call_back(0, 1);
    }
    driver.suspend(0, 1, |_| ());
    assert!(driver.problem().to_string().contains("more than 10000 times"));
    let (mut driver, _) = Driver::started(ASK, json!({"id": 7}));
    let much: Arc<str> = "A".repeat(LEFT_BYTES_PER_STEP / 4).into();
    for _ in 0..4 {
        driver.suspend(0, 1, |left| left.state = much.clone());
        driver.call_back(0, 1);
    }
    driver.suspend(0, 1, |_| ());
    assert!(driver.problem().to_string().contains("in all its waits"));
}

#[test]
fn a_step_that_waits_too_long_has_timed_out_and_is_undone() {
    let (mut driver, _) = suspended(|left| left.deadline_ms = Some(2_000));
    let effects = driver.later(2).take(Event::Fired { timer: 0 });
    assert_eq!(driver.lines(&effects)[0], "undo 0.1 c3ViLTE= timeout");
    assert_eq!(driver.problem().kind, kind::TIMEOUT);
    assert_eq!(driver.state.callback(0), CallbackNow::Over);
    assert!(!driver.state.is_over());
    assert_eq!(driver.lines(&driver.state.outstanding()), ["undo 0.1 c3ViLTE= timeout"]);
    driver.take(Event::Undone { step: 0, attempt: 1, problem: None });
    assert!(driver.state.is_over() && driver.state.outstanding().is_empty());
    let cleanup = driver.state.steps()[0].cleanup.as_ref().unwrap();
    assert_eq!((cleanup.status, cleanup.attempts), (Status::Completed, 1));
}

#[test]
fn whatever_cuts_a_waiting_step_off_undoes_it() {
    let (mut driver, _) = suspended(|_| ());
    let effects = driver.take(Event::Cancelled { reason: "enough".into() });
    assert_eq!(driver.lines(&effects), ["undo 0.1 c3ViLTE= cancelled", "cancelled enough"]);

    // The plugin is at work on a callback: that is stopped, and what was left before is undone.
    let (mut driver, _) = suspended(|_| ());
    driver.call_back(0, 1);
    let effects = driver.take(Event::Cancelled { reason: "enough".into() });
    assert_eq!(driver.lines(&effects), ["abort 0", "undo 0.1 c3ViLTE= cancelled", "cancelled enough"]);

    let timed = ASK.replace("} }\n", "}, timeout: { after: PT5S } }\n");
    let (mut driver, _) = Driver::started(&timed, json!({"id": 7}));
    driver.suspend(0, 1, |_| ());
    let effects = driver.later(5).take(Event::Fired { timer: 0 });
    assert_eq!(driver.lines(&effects)[0], "undo 0.1 c3ViLTE= timeout");
}

#[test]
fn a_step_that_ends_by_itself_is_undone_when_it_asked_for_it() {
    for (cleanup, expected) in
        [(true, &["undo 0.1 c3ViLTE= completed", "completed \"ok\""][..]), (false, &["completed \"ok\""])]
    {
        let (mut driver, _) = suspended(|left| left.cleanup = cleanup);
        driver.call_back(0, 1);
        let effects = driver.answer(0, 1, json!("ok"));
        assert_eq!(driver.lines(&effects), expected);
        assert_eq!(driver.state.is_over(), !cleanup);
    }
    let (mut driver, _) = suspended(|left| left.cleanup = true);
    driver.call_back(0, 1);
    let effects = driver.fail(0, 1, communication(502));
    assert_eq!(driver.lines(&effects)[0], "undo 0.1 c3ViLTE= failed");
}

#[test]
fn undoing_is_tried_again_and_given_up_in_the_end() {
    let (mut driver, _) = suspended(|_| ());
    driver.take(Event::Cancelled { reason: "enough".into() });
    let failed = |attempt| Event::Undone { step: 0, attempt, problem: Some(communication(503)) };
    assert!(driver.take(failed(2)).is_empty(), "not the attempt that is under way");
    for (attempt, pause) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        let effects = driver.take(failed(attempt));
        assert_eq!(driver.lines(&effects), [format!("timer {} in {pause} s", attempt - 1)]);
        assert_eq!(driver.state.steps()[0].cleanup.as_ref().unwrap().status, Status::Waiting);
        let effects = driver.later(pause).take(Event::Fired { timer: attempt - 1 });
        assert_eq!(driver.lines(&effects), [format!("undo 0.{} c3ViLTE= cancelled", attempt + 1)]);
    }
    for attempt in 5..ATTEMPTS_TO_UNDO {
        driver.take(failed(attempt));
        driver.take(Event::Fired { timer: attempt - 1 });
    }
    assert!(driver.take(failed(ATTEMPTS_TO_UNDO)).is_empty());
    assert!(driver.state.is_over());
    let cleanup = driver.state.steps()[0].cleanup.as_ref().unwrap();
    assert_eq!((cleanup.status, cleanup.attempts), (Status::Faulted, ATTEMPTS_TO_UNDO));
    assert!(cleanup.problem.is_some());
}

#[test]
fn a_host_that_dies_while_it_undoes_has_used_an_attempt() {
    let (mut driver, _) = suspended(|_| ());
    driver.take(Event::Cancelled { reason: "enough".into() });
    let effects = driver.take(Event::Interrupted { step: 0, attempt: 1 });
    assert_eq!(driver.lines(&effects), ["timer 0 in 1 s"]);
    let cleanup = driver.state.steps()[0].cleanup.as_ref().unwrap();
    assert_eq!(cleanup.problem.as_ref().unwrap().title, "the host stopped during this attempt");
    let effects = driver.later(1).take(Event::Fired { timer: 0 });
    assert_eq!(driver.lines(&effects), ["undo 0.2 c3ViLTE= cancelled"]);
}

#[test]
fn the_run_goes_on_while_a_step_is_undone() {
    let rest = "do:
  - guard:
      try:
        - ask: { call: 'tool:1.2.0@default' }
      catch: { do: [ { rest: { wait: PT5S } } ] }
";
    let (mut driver, _) = Driver::started(rest, json!({}));
    driver.suspend(1, 1, |left| left.deadline_ms = Some(2_000));
    let effects = driver.later(2).take(Event::Fired { timer: 0 });
    assert_eq!(driver.lines(&effects), ["undo 1.1 c3ViLTE= timeout", "timer 1 in 5 s"]);
    driver.take(Event::Undone { step: 1, attempt: 1, problem: Some(communication(503)) });
    let effects = driver.later(5).take(Event::Fired { timer: 1 });
    assert_eq!(driver.lines(&effects), ["completed {}"]);
    assert_eq!(driver.lines(&driver.state.outstanding()).len(), 1, "the next attempt to undo it");
}

#[test]
fn a_host_that_dies_while_it_resumes_does_so_again_with_the_same_event() {
    let (mut driver, _) = suspended(|_| ());
    driver.call_back(0, 1);
    let resume = driver.lines(&driver.state.outstanding());
    assert_eq!(resume, [r#"resume 0.1 c3ViLTE= {"body":1,"kind":"callback"}"#]);
    let effects = driver.take(Event::Interrupted { step: 0, attempt: 1 });
    assert_eq!(driver.lines(&effects), [r#"resume 0.2 c3ViLTE= {"body":1,"kind":"callback"}"#]);
    let mut problem = communication(503);
    problem.retry_after_ms = Some(1_000);
    driver.fail(0, 2, problem);
    let effects = driver.later(1).take(Event::Fired { timer: 0 });
    assert_eq!(driver.lines(&effects), [r#"resume 0.3 c3ViLTE= {"body":1,"kind":"callback"}"#]);
}

#[test]
fn an_expression_sees_where_the_step_is_called_back() {
    let rest = "do:\n  - ask: { call: 'tool:1.2.0@default', with: { to: '${ $task.callback.url }' } }\n";
    let mut driver = Driver::new(rest);
    let callbacks = CallbackAddress {
        base_url: "https://hooks.example.com".into(),
        key: CallbackKey::new([1; 32]),
        tenant: "acme".into(),
        run: RunId::from_bytes([7; 16]),
    };
    let (url, again) = (callbacks.url(0), callbacks.clone());
    driver.state = driver.state.called_back_at(callbacks);
    let mut later = RunState::new(driver.state.flow().clone(), RunId::from_bytes([7; 16]))
        .called_back_at(CallbackAddress { base_url: "https://renamed.example.com".into(), ..again });
    let started = Event::Started {
        input: json!({}),
        base_url: Some("https://hooks.example.com".into()),
        edition: EDITION,
    };
    let effects = driver.take(started.clone());
    assert_eq!(driver.lines(&effects), [format!(r#"call 0.1 tool:1.2.0 {{"to":"{url}"}}"#)]);
    assert_eq!(later.advance(driver.now, started), effects, "a fold on a host of another name");
    assert!(url.starts_with("https://hooks.example.com/callbacks/"));
}

#[test]
fn what_the_host_ended_is_undone_and_what_the_plugin_ended_is_its_own() {
    let over = |outcome: fn(Problem) -> Outcome| {
        let (mut driver, _) = suspended(|_| ());
        driver.call_back(0, 1);
        let effects =
            driver.take(Event::Answered { step: 0, attempt: 1, outcome: outcome(communication(500)) });
        driver.line(&effects[0])
    };
    assert_eq!(over(Outcome::CutOff), "undo 0.1 c3ViLTE= failed");
    assert!(over(Outcome::Failed).starts_with("faulted 500"));
}

#[test]
fn a_step_whose_end_is_known_takes_no_callback() {
    let slow = ASK.replace("} }\n", "}, output: { as: '${ [.] | sort_by(.) }' } }\n");
    let (mut driver, _) = Driver::started(&slow, json!({"id": 7}));
    driver.suspend(0, 1, |_| ());
    driver.call_back(0, 1);
    let effects = driver.answer(0, 1, json!("ok"));
    assert!(driver.line(&effects[0]).starts_with("evaluate"));
    assert_eq!(driver.state.callback(0), CallbackNow::Over);
}

#[test]
fn deaths_and_attempts_are_counted_anew_for_each_wait() {
    let (mut driver, _) = suspended(|_| ());
    let mut attempt = 1;
    for _ in 0..4 {
        driver.call_back(0, 1);
        for _ in 0..2 {
            driver.take(Event::Interrupted { step: 0, attempt });
            attempt += 1;
        }
        driver.suspend(0, attempt, |_| ());
        assert_eq!(driver.state.status(), Status::Suspended);
    }
}

#[test]
fn what_is_written_wrong_is_not_undone_again_and_no_pause_is_shorter_than_ours() {
    let (mut driver, _) = suspended(|_| ());
    driver.take(Event::Cancelled { reason: "enough".into() });
    let mut problem = communication(503);
    problem.retry_after_ms = Some(10);
    let effects = driver.take(Event::Undone { step: 0, attempt: 1, problem: Some(problem) });
    assert_eq!(driver.lines(&effects), ["timer 0 in 1 s"]);
    driver.later(1).take(Event::Fired { timer: 0 });
    let problem = Problem::new(kind::VALIDATION, "wrong", 400);
    assert!(driver.take(Event::Undone { step: 0, attempt: 2, problem: Some(problem) }).is_empty());
    assert!(driver.state.is_over());
}

#[test]
fn a_run_has_work_as_long_as_a_guest_is_asked() {
    let (mut driver, _) = Driver::started(ASK, json!({"id": 7}));
    assert!(driver.state.has_work());
    driver.suspend(0, 1, |_| ());
    assert!(!driver.state.has_work());
    driver.take(Event::Cancelled { reason: "enough".into() });
    assert!(driver.state.has_work(), "it has ended, and undoes what it left");
    driver.take(Event::Undone { step: 0, attempt: 1, problem: Some(communication(503)) });
    assert!(!driver.state.has_work(), "a timer wakes it");
    driver.take(Event::Fired { timer: 0 });
    assert!(driver.state.has_work());
}
