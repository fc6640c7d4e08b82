//! Branches side by side: what they ask for, what they come to, and what becomes of the others.

use crate::flow::event::Suspension;

use super::*;

const BOTH: &str = "do:
  - both:
      fork:
        branches:
          - a: { call: 'tool:1.0.0@default', with: { n: 1 } }
          - b: { call: 'tool:1.0.0@default', with: { n: 2 } }
  - after: { call: 'tool:1.0.0@default', with: '${ {all: .} }' }
";

const RACE: &str = "do:
  - race:
      fork:
        compete: true
        branches:
          - a: { call: 'tool:1.0.0@default', with: { n: 1 } }
          - b: { call: 'tool:1.0.0@default', with: { n: 2 } }
          - c: { if: .all, call: 'tool:1.0.0@default', with: { n: 3 } }
";

fn suspended() -> Outcome {
    Outcome::Suspended(Suspension {
        state: "YQ==".into(),
        callback: true,
        timer_ms: None,
        deadline_ms: None,
        same_deadline: false,
        cleanup: false,
    })
}

#[test]
fn branches_run_side_by_side_and_their_outputs_keep_the_order_of_the_text() {
    let (mut driver, effects) = Driver::started(BOTH, json!({}));
    assert_eq!(driver.lines(&effects), ["call 1.1 tool:1.0.0 {\"n\":1}", "call 2.1 tool:1.0.0 {\"n\":2}"]);
    assert!(driver.answer(2, 1, json!("second")).is_empty());
    let effects = driver.answer(1, 1, json!("first"));
    assert_eq!(driver.lines(&effects), ["call 3.1 tool:1.0.0 {\"all\":[\"first\",\"second\"]}"]);
    assert_eq!(
        driver.steps(),
        [
            "/do/0/both completed",
            "/do/0/both/fork/branches/0/a completed",
            "/do/0/both/fork/branches/1/b completed",
            "/do/1/after running"
        ]
    );
}

#[test]
fn each_branch_begins_with_the_input_of_the_fork() {
    let flow = "do:
  - both:
      input: { from: '${ .n }' }
      fork:
        branches:
          - up: { set: '${ . + 1 }' }
          - down: { do: [ { half: { set: '${ . / 2 }' } }, { less: { set: '${ . - 1 }' } } ] }
";
    assert_eq!(output(flow, json!({"n": 8})), json!([9, 3]));
}

#[test]
fn a_skipped_branch_hands_its_input_on() {
    let flow = "do: [ { both: { fork: { branches: [
      { a: { if: 'false', set: { n: 2 } } }, { b: { set: { n: 3 } } } ] } } } ]";
    assert_eq!(output(flow, json!({"n": 1})), json!([{"n": 1}, {"n": 3}]));
}

#[test]
fn an_error_of_a_branch_is_the_forks_and_cancels_the_others() {
    let (mut driver, _) = Driver::started(BOTH, json!({}));
    let effects = driver.fail(1, 1, communication(503));
    assert_eq!(driver.lines(&effects)[0], "abort 2");
    assert_eq!(driver.problem().instance.as_deref(), Some("/do/0/both/fork/branches/0/a"));
    assert_eq!(
        driver.steps(),
        [
            "/do/0/both faulted",
            "/do/0/both/fork/branches/0/a faulted",
            "/do/0/both/fork/branches/1/b cancelled"
        ]
    );
    // Nobody waits for it any more.
    assert!(driver.answer(2, 1, json!("late")).is_empty());
}

#[test]
fn an_error_of_a_branch_is_caught_around_the_fork() {
    let flow = "do:
  - guard:
      try:
        - both:
            fork:
              branches:
                - a: { call: 'tool:1.0.0@default' }
                - b: { wait: PT1H }
      catch: { as: e, do: [ { told: { set: '${ $e.status }' } } ] }
";
    let (mut driver, _) = Driver::started(flow, json!({}));
    let effects = driver.fail(2, 1, communication(503));
    assert_eq!(driver.lines(&effects), ["disarm 0", "completed 503"]);
}

#[test]
fn an_error_is_caught_within_its_branch() {
    let flow = "do:
  - both:
      fork:
        branches:
          - a:
              try: [ { work: { call: 'tool:1.0.0@default' } } ]
              catch: { do: [ { told: { set: '${ $error.status }' } } ] }
          - b: { call: 'tool:1.0.0@default' }
";
    let (mut driver, _) = Driver::started(flow, json!({}));
    // The steps of the branches, then those inside of them.
    assert!(driver.fail(3, 1, communication(503)).is_empty());
    let effects = driver.answer(2, 1, json!("fine"));
    assert_eq!(driver.lines(&effects), ["completed [503,\"fine\"]"]);
}

#[test]
fn the_error_that_is_handled_is_known_in_branches() {
    let flow = "do:
  - guard:
      try: [ { fail: { raise: { error: { type: 'urn:bad', status: 418 } } } } ]
      catch:
        do:
          - both:
              fork: { branches: [ { a: { set: '${ $error.status }' } }, { b: { set: '${ $error.type }' } } ] }
";
    assert_eq!(output(flow, json!({})), json!([418, "urn:bad"]));
}

#[test]
fn the_first_to_complete_wins_the_race() {
    let (mut driver, effects) = Driver::started(RACE, json!({"all": true}));
    assert_eq!(effects.len(), 3);
    let effects = driver.answer(2, 1, json!("won"));
    assert_eq!(driver.lines(&effects), ["abort 1", "abort 3", "completed \"won\""]);
    assert_eq!(
        driver.steps(),
        [
            "/do/0/race completed",
            "/do/0/race/fork/branches/0/a cancelled",
            "/do/0/race/fork/branches/1/b completed",
            "/do/0/race/fork/branches/2/c cancelled"
        ]
    );
}

#[test]
fn whoever_fails_or_is_skipped_is_out_of_the_race() {
    let (mut driver, effects) = Driver::started(RACE, json!({}));
    assert_eq!(effects.len(), 2);
    assert!(driver.fail(1, 1, communication(500)).is_empty());
    let effects = driver.answer(2, 1, json!("won"));
    assert_eq!(driver.lines(&effects), ["completed \"won\""]);
}

#[test]
fn a_race_that_nobody_finishes_has_the_last_error() {
    let (mut driver, _) = Driver::started(RACE, json!({}));
    driver.fail(2, 1, communication(500));
    driver.fail(1, 1, communication(503));
    assert_eq!(
        (driver.problem().status, driver.problem().instance.as_deref()),
        (503, Some("/do/0/race/fork/branches/0/a"))
    );
}

#[test]
fn a_race_that_everybody_skips_hands_its_input_on() {
    let flow = "do: [ { race: { fork: { compete: true, branches: [
      { a: { if: 'false', set: { n: 2 } } }, { b: { if: .x, set: { n: 3 } } } ] } } } ]";
    assert_eq!(output(flow, json!({"n": 1})), json!({"n": 1}));
}

#[test]
fn a_race_of_tasks_that_wait_for_nothing_is_won_by_the_first() {
    let flow = "do: [ { race: { fork: { compete: true, branches: [
      { red: { set: { colors: '${ .colors + [\"red\"] }' } } },
      { green: { set: { colors: '${ .colors + [\"green\"] }' } } } ] } } } ]";
    assert_eq!(output(flow, json!({})), json!({"colors": ["red"]}));
}

#[test]
fn what_a_loser_left_in_the_world_is_undone() {
    let (mut driver, _) = Driver::started(RACE, json!({}));
    driver.take(Event::Answered { step: 1, attempt: 1, outcome: suspended() });
    let effects = driver.answer(2, 1, json!("won"));
    assert_eq!(driver.lines(&effects), ["undo 1.1 YQ== cancelled", "completed \"won\""]);
}

#[test]
fn end_in_a_branch_ends_the_run_and_cancels_the_others() {
    let flow = "do:
  - both:
      fork:
        branches:
          - a: { do: [ { stop: { set: { done: true }, then: end } } ] }
          - b: { wait: PT1H }
  - after: { set: { done: false } }
";
    // The first branch ends the run before the second one has begun to wait.
    let (driver, effects) = Driver::started(flow, json!({}));
    assert_eq!(driver.lines(&effects), ["completed {\"done\":true}"]);
    assert_eq!(
        driver.steps(),
        [
            "/do/0/both completed",
            "/do/0/both/fork/branches/0/a completed",
            "/do/0/both/fork/branches/1/b cancelled",
            "/do/0/both/fork/branches/0/a/do/0/stop completed"
        ]
    );
}

#[test]
fn a_timeout_of_the_fork_cancels_what_its_branches_do() {
    let flow = "do:
  - both:
      timeout: { after: PT10S }
      fork:
        branches:
          - a: { call: 'tool:1.0.0@default' }
          - b: { fork: { branches: [ { c: { wait: PT1H } }, { d: { call: 'tool:1.0.0@default' } } ] } }
";
    let (mut driver, _) = Driver::started(flow, json!({}));
    let effects = driver.later(10).take(Event::Fired { timer: 0 });
    let lines = driver.lines(&effects);
    assert_eq!(lines[..3], ["abort 1", "disarm 1", "abort 4"]);
    assert_eq!(driver.problem().status, 408);
    assert_eq!(driver.problem().instance.as_deref(), Some("/do/0/both"));
}

#[test]
fn a_cancelled_run_cancels_every_branch() {
    let (mut driver, _) = Driver::started(BOTH, json!({}));
    let effects = driver.take(Event::Cancelled { reason: "enough".to_owned() });
    assert_eq!(driver.lines(&effects), ["abort 1", "abort 2", "cancelled enough"]);
}

#[test]
fn an_attempt_that_takes_too_long_takes_its_branches_with_it() {
    let flow = "do:
  - guard:
      try:
        - both: { fork: { branches: [ { a: { call: 'tool:1.0.0@default' } }, { b: { wait: PT5S } } ] } }
      catch: { retry: { delay: PT2S, limit: { attempt: { count: 1, duration: PT10S } } } }
";
    let (mut driver, _) = Driver::started(flow, json!({}));
    driver.later(5).take(Event::Fired { timer: 1 });
    let effects = driver.later(5).take(Event::Fired { timer: 0 });
    assert_eq!(driver.lines(&effects), ["abort 2", "timer 2 in 2 s"]);
    let effects = driver.later(2).take(Event::Fired { timer: 2 });
    assert_eq!(
        driver.lines(&effects),
        ["timer 3 in 10 s", "call 5.1 tool:1.0.0 {}", "timer 4 in 5 s"],
        "each attempt forks anew"
    );
}

#[test]
fn branches_are_suspended_and_called_back_each_for_itself() {
    let (mut driver, _) = Driver::started(BOTH, json!({}));
    driver.take(Event::Answered { step: 1, attempt: 1, outcome: suspended() });
    assert_eq!(driver.state.status(), Status::Running);
    driver.take(Event::Answered { step: 2, attempt: 1, outcome: suspended() });
    assert_eq!(driver.state.status(), Status::Suspended);
    let request = Arc::new(json!({"body": 1}));
    let effects = driver.take(Event::CalledBack { step: 2, request });
    assert_eq!(driver.lines(&effects), ["resume 2.1 YQ== {\"body\":1,\"kind\":\"callback\"}"]);
    assert_eq!(driver.state.status(), Status::Running);
    assert!(driver.answer(2, 1, json!("b")).is_empty());
    assert_eq!(driver.state.status(), Status::Suspended);
}

#[test]
fn a_run_whose_branches_wait_for_a_time_and_for_the_world_is_suspended() {
    let flow = "do: [ { both: { fork: { branches: [
      { a: { wait: PT1H } }, { b: { call: 'tool:1.0.0@default' } } ] } } } ]";
    let (mut driver, _) = Driver::started(flow, json!({}));
    driver.take(Event::Answered { step: 2, attempt: 1, outcome: suspended() });
    assert_eq!(driver.state.status(), Status::Suspended);
}

#[test]
fn branches_ask_the_expression_guest_at_the_same_time() {
    let flow = "do: [ { both: { fork: { branches: [
      { a: { set: { n: '${ [3, 1] | sort_by(.) }' } } }, { b: { set: { n: '${ [4, 2] | sort_by(.) }' } } } ] } } } ]";
    let (mut driver, effects) = Driver::started(flow, json!({}));
    assert_eq!(effects.len(), 2);
    assert_eq!(driver.state.outstanding(), effects);
    assert!(driver.take(Event::Evaluated { id: 1, result: Ok(json!({"n": [2, 4]})) }).is_empty());
    let effects = driver.take(Event::Evaluated { id: 0, result: Ok(json!({"n": [1, 3]})) });
    assert_eq!(driver.lines(&effects), ["completed [{\"n\":[1,3]},{\"n\":[2,4]}]"]);
}

#[test]
fn an_error_of_an_expression_leaves_no_question_of_another_branch() {
    let flow = "do: [ { both: { fork: { branches: [
      { a: { set: { n: '${ [3, 1] | sort_by(.) }' } } }, { b: { call: 'tool:1.0.0@default' } } ] } } } ]";
    let (mut driver, _) = Driver::started(flow, json!({}));
    driver.fail(2, 1, communication(500));
    assert!(driver.state.outstanding().is_empty());
    assert!(driver.take(Event::Evaluated { id: 0, result: Ok(json!({})) }).is_empty());
}

#[test]
fn an_interrupted_branch_is_tried_again_beside_the_others() {
    let (mut driver, _) = Driver::started(BOTH, json!({}));
    let effects = driver.take(Event::Interrupted { step: 1, attempt: 1 });
    assert_eq!(driver.lines(&effects), ["call 1.2 tool:1.0.0 {\"n\":1}"]);
    let effects = driver.take(Event::Interrupted { step: 2, attempt: 1 });
    assert_eq!(driver.lines(&effects), ["call 2.2 tool:1.0.0 {\"n\":2}"]);
}

#[test]
fn the_first_answer_of_two_branches_is_the_callers() {
    let flow = "do: [ { both: { fork: { branches: [
      { a: { call: 'respond:1.0.0@default', with: { body: one } } },
      { b: { call: 'respond:1.0.0@default', with: { body: two } } } ] } } } ]";
    let (driver, effects) = Driver::started(flow, json!({}));
    assert_eq!(driver.lines(&effects)[0], "reply 1 200 one");
    let late = driver.state.steps()[2].problem.as_ref().unwrap();
    assert_eq!(late.data.as_ref().unwrap()["code"], "reply-conflict");
}

#[test]
fn what_branches_hold_at_the_same_time_is_bounded() {
    let twenty = [".text"; 20].join(", ");
    let branch = |name: usize| {
        let grow = format!("{{ grow: {{ set: {{ all: '${{ [{twenty}] }}' }} }} }}");
        format!("{{ b{name}: {{ do: [ {grow}, {{ rest: {{ wait: PT1H }} }} ] }} }}")
    };
    let branches: Vec<String> = (0..8).map(branch).collect();
    let flow = format!("do: [ {{ all: {{ fork: {{ branches: [ {} ] }} }} }} ]", branches.join(", "));
    // A mebibyte for all of them, twenty more for each.
    let input = json!({ "text": "x".repeat(1 << 20) });
    let (driver, effects) = Driver::started(&flow, input);
    assert!(matches!(effects.last(), Some(Effect::Finish(_))));
    let problem = driver.problem();
    assert_eq!(problem.status, 413);
    assert!(problem.detail.as_ref().unwrap().contains("run fewer side by side"), "{problem}");
    assert_eq!(problem.instance.as_deref(), Some("/do/0/all/fork/branches/3/b3/do/0/grow"));
}

/// A branch that goes round hands each time something else to itself.
#[test]
fn what_a_branch_hands_to_itself_is_held() {
    let twenty = [".text"; 20].join(", ");
    let branch = |name: usize| {
        let output = format!("output: {{ as: '${{ {{text: .text, all: [{twenty}]}} }}' }}");
        format!("{{ b{name}: {{ wait: PT1H, {output}, then: b{name} }} }}")
    };
    let branches: Vec<String> = (0..8).map(branch).collect();
    let flow = format!("do: [ {{ all: {{ fork: {{ branches: [ {} ] }} }} }} ]", branches.join(", "));
    let (mut driver, effects) = Driver::started(&flow, json!({ "text": "x".repeat(1 << 20) }));
    assert_eq!(effects.len(), 8);
    for timer in 0..4 {
        driver.take(Event::Fired { timer });
    }
    assert_eq!(driver.problem().status, 413);
}

#[test]
fn errors_and_arguments_are_held_too() {
    let text = "x".repeat(20 << 20);
    let branches: Vec<String> = (0..8)
        .map(|name| {
            let rest = "catch: { retry: { delay: PT1H } }";
            format!("{{ b{name}: {{ try: [ {{ work: {{ call: 'tool:1.0.0@default' }} }} ], {rest} }} }}")
        })
        .collect();
    let flow = format!("do: [ {{ all: {{ fork: {{ branches: [ {} ] }} }} }} ]", branches.join(", "));
    let (mut driver, effects) = Driver::started(&flow, json!({}));
    assert_eq!(effects.len(), 8);
    for step in 9..13 {
        driver.fail(step, 1, communication(503).data(json!(text)));
    }
    // Counted when the error is caught, and seen by whoever holds more next.
    driver.answer(13, 1, json!(text));
    assert_eq!(driver.state.steps()[13].problem.as_ref().unwrap().status, 413);
}

#[test]
fn an_export_over_a_context_that_another_branch_has_changed_is_asked_anew() {
    let export =
        |name: &str| format!("export: {{ as: '${{ $context + {{{name}: ([3, 1] | sort_by(.))}} }}' }}");
    let flow = format!(
        "do: [ {{ both: {{ fork: {{ branches: [ {{ a: {{ set: {{ x: 1 }}, {} }} }}, {{ b: {{ set: {{ x: 2 }}, {} }} }} ] }} }} }},
               {{ tell: {{ set: '${{ $context }}' }} }} ]",
        export("a"),
        export("b")
    );
    let (mut driver, effects) = Driver::started(&flow, json!({}));
    assert_eq!(effects.len(), 2);
    driver.take(Event::Evaluated { id: 0, result: Ok(json!({"a": [1, 3]})) });
    // It was asked before the other one had exported.
    let effects = driver.take(Event::Evaluated { id: 1, result: Ok(json!({"b": [1, 3]})) });
    let [Effect::Evaluate { id: 2, variables, .. }] = &effects[..] else {
        panic!("{:?}", driver.lines(&effects))
    };
    assert_eq!(*variables[0].1, json!({"a": [1, 3]}));
    let both = json!({"a": [1, 3], "b": [1, 3]});
    let effects = driver.take(Event::Evaluated { id: 2, result: Ok(both.clone()) });
    assert_eq!(driver.lines(&effects), [format!("completed {both}")]);
}

#[test]
fn what_is_asked_for_a_branch_that_has_lost_is_not_asked() {
    let flow = "do: [ { race: { fork: { compete: true, branches: [
      { slow: { if: '[limit(1; repeat(1))] | length == 1', wait: PT1S } }, { fast: { set: { won: true } } } ] } } } ]";
    let (driver, effects) = Driver::started(flow, json!({}));
    assert_eq!(driver.lines(&effects), ["completed {\"won\":true}"]);
}

#[test]
fn a_race_as_a_switch_holds_nothing_of_those_that_are_skipped() {
    let names: Vec<String> =
        (0..7).map(|name| format!("{{ b{name}: {{ if: '.kind == {name}', wait: PT1H }} }}")).collect();
    let flow =
        format!("do: [ {{ one: {{ fork: {{ compete: true, branches: [ {} ] }} }} }} ]", names.join(", "));
    let (driver, effects) = Driver::started(&flow, json!({ "kind": 6, "text": "x".repeat(12 << 20) }));
    assert_eq!((effects.len(), driver.state.status()), (1, Status::Waiting));
}

#[test]
fn outputs_that_are_too_large_together_are_refused() {
    let names: Vec<String> = (0..7).map(|name| format!("{{ b{name}: {{ set: '${{ . }}' }} }}")).collect();
    let flow = format!("do: [ {{ all: {{ fork: {{ branches: [ {} ] }} }} }} ]", names.join(", "));
    let (driver, _) = Driver::started(&flow, json!({ "text": "x".repeat(6 << 20) }));
    assert_eq!((driver.problem().status, driver.problem().title.as_str()), (413, "a value is too large"));
}

#[test]
fn a_run_that_asks_for_its_fork_is_running_whatever_else_waits() {
    let flow = "do: [ { outer: { fork: { branches: [ { rest: { wait: PT1H } },
      { inner: { fork: { branches: [ { x: { set: { n: 1 } } } ] }, output: { as: '${ [3, 1] | sort_by(.) }' } } } ] } } } ]";
    let (driver, effects) = Driver::started(flow, json!({}));
    assert_eq!((effects.len(), driver.state.status()), (2, Status::Running));
}

#[test]
fn what_branches_are_handed_is_held_once() {
    let names: Vec<String> = (0..50).map(|name| format!("{{ b{name}: {{ wait: PT1H }} }}")).collect();
    let flow = format!("do: [ {{ all: {{ fork: {{ branches: [ {} ] }} }} }} ]", names.join(", "));
    let (driver, effects) = Driver::started(&flow, json!({ "text": "x".repeat(4 << 20) }));
    assert_eq!(effects.len(), 50);
    assert_eq!(driver.state.status(), Status::Waiting);
}
