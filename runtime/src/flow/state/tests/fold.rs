//! The same events give the same run, whatever they are and however often they are folded.

use proptest::prelude::*;

use crate::flow::event::Suspension;

use super::*;

const RICH: &str = "timeout: { after: PT1H }
do:
  - guard:
      timeout: { after: PT10M }
      try:
        - work: { call: 'tool:1.0.0@default', with: { n: '${ .n }' }, timeout: { after: PT1M } }
        - check: { switch: [ { bad: { when: '.bad', then: fail } }, { good: { then: exit } } ] }
        - fail: { raise: { error: { type: 'urn:bad', status: 500 } } }
      catch:
        retry: { delay: PT2S, jitter: { from: PT0S, to: PT3S }, limit: { attempt: { count: 3, duration: PT30S } } }
        do:
          - rest: { wait: PT5S }
          - odd: { set: { sorted: '${ [1] | sort_by(.) }' } }
  - answer: { call: 'respond:1.0.0@default', with: { body: '${ . }' } }
  - again: { call: 'tool:1.0.0@default', if: .sorted == null }
";

const FORKED: &str = "timeout: { after: PT1H }
do:
  - guard:
      try:
        - both:
            fork:
              branches:
                - one: { call: 'tool:1.0.0@default', with: { n: '${ .n }' } }
                - two:
                    timeout: { after: PT20S }
                    do:
                      - race:
                          fork:
                            compete: true
                            branches:
                              - fast: { call: 'tool:1.0.0@default' }
                              - slow: { wait: PT30S }
                              - odd: { set: { sorted: '${ [1] | sort_by(.) }' } }
                      - then: { call: 'tool:1.0.0@default' }
                - three: { call: 'respond:1.0.0@default', with: { body: '${ . }' } }
      catch:
        retry: { delay: PT2S, limit: { attempt: { count: 2, duration: PT30S } } }
        do: [ { handled: { call: 'tool:1.0.0@default' } } ]
  - again: { call: 'tool:1.0.0@default' }
";

/// An event that may or may not fit.
fn event() -> impl Strategy<Value = Event> {
    let problem = prop_oneof![
        Just(communication(503)),
        Just(Problem { retry_after_ms: Some(1_500), ..communication(429) }),
    ];
    let outcome = prop_oneof![
        any::<bool>().prop_map(|bad| Outcome::Done(json!({ "bad": bad }))),
        problem.clone().prop_map(Outcome::Failed),
        problem.prop_map(Outcome::CutOff),
        (any::<bool>(), prop::option::of(0..9_000u64), any::<bool>()).prop_map(
            |(callback, timer_ms, cleanup)| {
                let deadline_ms = timer_ms.map(|ms| ms / 2);
                Outcome::Suspended(Suspension {
                    state: "YQ==".into(),
                    callback,
                    timer_ms,
                    deadline_ms,
                    same_deadline: !cleanup,
                    cleanup,
                })
            }
        ),
    ];
    prop_oneof![
        6 => (0u32..12, 1u32..4, outcome).prop_map(|(step, attempt, outcome)| Event::Answered { step, attempt, outcome }),
        2 => (0u32..12, 1u32..4).prop_map(|(step, attempt)| Event::Interrupted { step, attempt }),
        3 => (0u32..12).prop_map(|step| Event::CalledBack { step, request: json!({"body": step}).into() }),
        2 => (0u32..12, 1u32..3, any::<bool>()).prop_map(|(step, attempt, failed)| {
            Event::Undone { step, attempt, problem: failed.then(|| communication(503)) }
        }),
        6 => (0u32..20).prop_map(|timer| Event::Fired { timer }),
        3 => (0u32..4).prop_map(|id| Event::Evaluated { id, result: Ok(json!({"sorted": [1]})) }),
        1 => Just(Event::Started { input: json!({"n": 2}), base_url: None, edition: EDITION }),
        1 => (0u32..12).prop_map(|step| Event::CallerLeft { reason: format!("late {step}") }),
        1 => Just(Event::Cancelled { reason: "enough".to_owned() }),
    ]
}

proptest! {
    #[test]
    fn a_fold_gives_the_state_that_the_steps_gave(
        text in prop_oneof![Just(RICH), Just(FORKED)],
        events in prop::collection::vec((event(), 0u64..40), 0..60),
    ) {
        let (mut driver, _) = Driver::started(text, json!({"n": 1}));
        let mut finished = 0;
        for (event, seconds) in events {
            let effects = driver.later(seconds).take(event);
            let ends = effects.iter().filter(|effect| matches!(effect, Effect::Finish(_))).count();
            if ends > 0 {
                prop_assert!(matches!(effects.last(), Some(Effect::Finish(_))));
            }
            finished += ends;
        }
        prop_assert_eq!(finished, usize::from(driver.state.status().is_final()));

        let mut folded = RunState::new(flow(text), RunId::from_bytes([7; 16]));
        for (at, event) in &driver.events {
            let entry = serde_json::to_string(event).unwrap();
            folded.advance(*at, serde_json::from_str(&entry).unwrap());
        }
        prop_assert_eq!(folded.outstanding(), driver.state.outstanding());
        prop_assert_eq!(folded.steps(), driver.state.steps());
        prop_assert_eq!(folded.end(), driver.state.end());
        // A run that is not over waits for something that will come from outside.
        let is_called_back = folded.steps().iter().any(|step| step.status == Status::Suspended);
        prop_assert!(folded.is_over() || is_called_back || !folded.outstanding().is_empty());
        prop_assert!(!folded.is_over() || folded.outstanding().is_empty());
    }
}

#[test]
fn after_a_fold_the_call_and_the_timers_are_outstanding() {
    let (mut driver, _) = Driver::started(RICH, json!({"n": 1}));
    driver.take(Event::Interrupted { step: 1, attempt: 1 });
    let mut folded = RunState::new(flow(RICH), RunId::from_bytes([7; 16]));
    for (at, event) in driver.events.clone() {
        folded.advance(at, event);
    }
    let lines = driver.lines(&folded.outstanding());
    assert_eq!(
        lines,
        [
            "call 1.2 tool:1.0.0 {\"n\":1}",
            "timer 0 in 3600 s",
            "timer 1 in 600 s",
            "timer 2 in 30 s",
            "timer 3 in 60 s"
        ]
    );
}

/// An entry that is damaged, or was written by somebody else, is no event or one that fits nowhere.
#[test]
fn fuzz_no_entry_of_a_journal_makes_a_run_panic() {
    let (driver, _) = Driver::started(FORKED, json!({"n": 1}));
    let mut seeds: Vec<String> =
        driver.events.iter().map(|(_, event)| serde_json::to_string(event).unwrap()).collect();
    let suspended = Suspension {
        state: "YQ==".into(),
        callback: true,
        timer_ms: Some(5),
        deadline_ms: Some(9),
        same_deadline: false,
        cleanup: true,
    };
    let outcomes = [
        Outcome::Done(json!({"bad": true})),
        Outcome::Failed(communication(503)),
        Outcome::CutOff(communication(429)),
        Outcome::Suspended(suspended),
    ];
    for (step, outcome) in outcomes.into_iter().enumerate() {
        seeds.push(
            serde_json::to_string(&Event::Answered { step: step as u32, attempt: 1, outcome }).unwrap(),
        );
    }
    let others = [
        Event::Interrupted { step: 1, attempt: 1 },
        Event::CalledBack { step: 2, request: json!({"body": 1}).into() },
        Event::Undone { step: 1, attempt: 1, problem: None },
        Event::Fired { timer: 0 },
        Event::Evaluated { id: 0, result: Ok(json!({"sorted": [1]})) },
        Event::CallerLeft { reason: "late".to_owned() },
        Event::Cancelled { reason: "enough".to_owned() },
    ];
    seeds.extend(others.iter().map(|event| serde_json::to_string(event).unwrap()));
    let seeds: Vec<&str> = seeds.iter().map(String::as_str).collect();
    flowcell_fuzz::bytes(file!(), |script| {
        let mut state = RunState::new(flow(FORKED), RunId::from_bytes([7; 16]));
        for (at, event) in &driver.events {
            state.advance(*at, event.clone());
        }
        let at = driver.events.last().expect("it has begun").0;
        for script in script.chunks(16) {
            let text = flowcell_fuzz::mutated(&seeds, script);
            let Ok(event) = serde_json::from_str::<Event>(&text) else { continue };
            let ended = state.status().is_final();
            state.advance(at, event);
            assert!(!ended || state.status().is_final(), "an ended run goes on after {text}");
        }
    });
}
