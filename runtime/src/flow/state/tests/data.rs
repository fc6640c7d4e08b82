//! Data flow and control flow without the world: set, switch, do, raise, transformations, schemas.

use super::*;

#[test]
fn tasks_run_in_order_and_hand_their_output_on() {
    let rest = "do:
  - red: { set: { colors: '${ .colors + [\"red\"] }' } }
  - group:
      do:
        - green: { set: { colors: '${ .colors + [\"green\"] }' } }
  - blue: { set: { colors: '${ .colors + [\"blue\"] }' } }
";
    assert_eq!(output(rest, json!({})), json!({"colors": ["red", "green", "blue"]}));
    let (driver, _) = Driver::started(rest, json!({}));
    assert_eq!(
        driver.steps(),
        [
            "/do/0/red completed",
            "/do/1/group completed",
            "/do/1/group/do/0/green completed",
            "/do/2/blue completed"
        ]
    );
}

#[test]
fn then_jumps_leaves_and_ends() {
    let rest = "do:
  - a: { set: { x: '${ .x + [1] }' }, then: c }
  - b: { set: { x: '${ .x + [2] }' }, then: end }
  - c: { set: { x: '${ .x + [3] }' }, then: b }
";
    assert_eq!(output(rest, json!({})), json!({"x": [1, 3, 2]}));
    let rest = "do:
  - inner:
      do:
        - a: { set: { x: 1 }, then: exit }
        - b: { set: { x: 2 }, then: exit }
  - after: { set: { y: '${ .x }' } }
";
    assert_eq!(output(rest, json!({})), json!({"y": 1}));
    let rest = "do:
  - inner:
      do:
        - a: { set: { x: 1 }, then: end }
      output: { as: .never }
  - after: { set: { y: 2 } }
output: { as: '{ all: . }' }
";
    assert_eq!(output(rest, json!({})), json!({"all": {"x": 1}}));
}

#[test]
fn a_switch_takes_the_first_case_that_holds() {
    let rest = "do:
  - choose:
      switch:
        - red: { when: '.color == \"red\"', then: red }
        - blue: { when: '.color == \"blue\"', then: blue }
        - other: { then: other }
  - red: { set: { is: red }, then: end }
  - blue: { set: { is: blue }, then: end }
  - other: { set: { is: '${ $input.color }' }, then: end }
";
    assert_eq!(output(rest, json!({"color": "blue"})), json!({"is": "blue"}));
    assert_eq!(output(rest, json!({"color": "pink"})), json!({"is": "pink"}));
    let none = "do:
  - choose:
      switch:
        - red: { when: '.color == \"red\"', then: red }
      then: end
  - red: { set: { is: red } }
";
    assert_eq!(output(none, json!({"color": "pink"})), json!({"color": "pink"}));
}

#[test]
fn a_false_condition_skips_the_task_and_its_then() {
    let rest = "do:
  - a: { if: .x > 1, set: { x: 0 }, then: end }
  - b: { set: { y: '${ .x }' } }
";
    assert_eq!(output(rest, json!({"x": 1})), json!({"y": 1}));
    let (driver, _) = Driver::started(rest, json!({"x": 1}));
    assert_eq!(driver.steps(), ["/do/0/a skipped", "/do/1/b completed"]);
    assert_eq!(*driver.state.steps()[0].output, json!({"x": 1}));
}

#[test]
fn data_is_transformed_on_every_way_in_and_out() {
    let rest = "input: { from: .body }
output: { as: '{ result: ., was: $input.user, total: $context.total }' }
do:
  - a:
      input: { from: .user }
      set: { id: '${ . }' }
      output: { as: '{ id, input: $input, raw: $output.id }' }
      export: { as: '{ total: 5, seen: .id }' }
";
    let expected = json!({"result": {"id": "u1", "input": "u1", "raw": "u1"}, "was": "u1", "total": 5});
    assert_eq!(output(rest, json!({"body": {"user": "u1"}})), expected);
}

#[test]
fn variables_describe_the_run_and_the_task() {
    let rest = "do:
  - a:
      set:
        name: '${ $task.name }'
        reference: '${ $task.reference }'
        seconds: '${ $task.startedAt.epoch.seconds }'
        flow: '${ $workflow.definition.document.name }'
        id: '${ $workflow.id }'
        input: '${ $workflow.input.k }'
        runtime: '${ $runtime.name }'
";
    let expected = json!({
        "name": "a", "reference": "/do/0/a", "seconds": 1_767_225_600, "flow": "flow",
        "id": RunId::from_bytes([7; 16]).to_string(), "input": 1, "runtime": "flowcell",
    });
    assert_eq!(output(rest, json!({"k": 1})), expected);
}

#[test]
fn a_schema_that_is_not_satisfied_is_a_validation_error() {
    let rest = "input: { schema: { document: { type: object, required: [id] } } }
do:
  - a: { set: { x: 1 } }
";
    let (driver, effects) = Driver::started(rest, json!({}));
    assert_eq!(effects.len(), 1);
    assert_eq!(driver.problem().kind, kind::VALIDATION);
    assert!(driver.problem().detail.as_ref().unwrap().contains("the run's input"));
    let rest = "do:
  - a:
      set: { x: 1 }
      output: { schema: { document: { properties: { x: { type: string } } } } }
";
    let (driver, _) = Driver::started(rest, json!({}));
    assert_eq!(driver.problem().instance.as_deref(), Some("/do/0/a"));
    assert!(driver.problem().detail.as_ref().unwrap().contains("`/x`"));
}

#[test]
fn a_raised_error_faults_the_run_at_its_task() {
    let rest = "use:
  errors:
    mine: { type: https://example.com/mine, status: 418, title: Mine, detail: '${ \"x is \\(.x)\" }' }
do:
  - a: { raise: { error: mine } }
";
    let (driver, effects) = Driver::started(rest, json!({"x": 1}));
    assert_eq!(driver.lines(&effects), ["faulted 418 Mine: x is 1"]);
    assert_eq!(driver.problem().instance.as_deref(), Some("/do/0/a"));
    assert_eq!(driver.state.status(), Status::Faulted);
    assert_eq!(driver.steps(), ["/do/0/a faulted"]);
}

#[test]
fn a_loop_of_jumps_ends_in_a_fault_that_nothing_catches() {
    let rest = "do:
  - guard:
      try:
        - a: { set: { x: 1 }, then: b }
        - b: { set: { x: 2 }, then: a }
      catch: { do: [ { c: { set: { caught: true } } } ] }
";
    let (driver, effects) = Driver::started(rest, json!({}));
    assert_eq!(effects.len(), 1);
    assert_eq!(driver.problem().code(), Some("too-many-steps"));
}

#[test]
fn a_value_that_grows_or_nests_without_end_is_refused() {
    let deep = "do:\n  - a: { set: { a: '${ . }' }, then: b }\n  - b: { set: { b: '${ . }' }, then: a }\n";
    let (driver, _) = Driver::started(deep, json!({}));
    assert!(driver.problem().detail.as_ref().unwrap().contains("levels deep"));
    let wide = "do:\n  - a: { set: { x: '${ .x + .x }' }, then: b }\n  - b: { set: { x: '${ .x + .x }' }, then: a }\n";
    let (driver, _) = Driver::started(wide, json!({"x": "0123456789abcdef".repeat(20_000)}));
    assert_eq!(driver.state.status(), Status::Faulted);
    let kept: usize = driver
        .state
        .steps()
        .iter()
        .map(|step| step.input.to_string().len() + step.output.to_string().len())
        .sum();
    assert!(kept < 24 * 1024 * 1024, "{kept}");
}

#[test]
fn a_program_that_wants_too_much_of_the_host_goes_to_the_guest() {
    let doubled = " | . + .".repeat(44);
    let rest = format!("do:\n  - a: {{ set: {{ n: '${{ \"0123456789abcdef\"{doubled} | length }}' }} }}\n");
    let (driver, effects) = Driver::started(&rest, json!({}));
    assert!(matches!(&effects[..], [Effect::Evaluate { .. }]), "{:?}", driver.lines(&effects));
    // Each turn of the loop is cheap; together they are not.
    let doubled = " | . + .".repeat(20);
    let rest = format!(
        "do:\n  - a: {{ set: {{ n: '${{ \"0123456789abcdef\"{doubled} | length }}' }}, then: b }}\n  - b: {{ set: {{}}, then: a }}\n"
    );
    let (driver, effects) = Driver::started(&rest, json!({}));
    assert!(matches!(&effects[..], [Effect::Evaluate { .. }]), "{:?}", driver.lines(&effects));
    assert!(driver.steps().len() < 100);
    // What is copied into every field of a template is on the same account.
    let fields: Vec<String> = (0..300).map(|n| format!("k{n}: '${{ . }}'")).collect();
    let rest = format!("do:\n  - a: {{ set: {{ {} }} }}\n", fields.join(", "));
    let (driver, effects) = Driver::started(&rest, json!("x".repeat(1 << 20)));
    assert!(matches!(&effects[..], [Effect::Evaluate { .. }]), "{:?}", driver.lines(&effects));
}

#[test]
fn a_loop_that_looks_through_a_large_value_again_and_again_ends_in_a_fault() {
    let task = |name: &str, then: &str| {
        format!(
            "  - {name}:\n      input: {{ schema: {{ format: json, document: {{ type: string }} }} }}\n      switch: [ {{ on: {{ then: {then} }} }} ]\n"
        )
    };
    let rest = format!("do:\n{}{}", task("a", "b"), task("b", "a"));
    let (driver, _) = Driver::started(&rest, json!("x".repeat(24 << 20)));
    assert_eq!(driver.problem().code(), Some("too-many-steps"));
    assert!(driver.problem().detail.as_ref().unwrap().contains("too much data"), "{}", driver.problem());
    assert!(driver.steps().len() < 1000);
}

/// Twelve tasks, each of which doubles a text of 8 KiB: 4,096 times the text at the end.
fn doubling() -> String {
    let double = |task| format!("  - t{task}: {{ set: '${{ [., .] }}' }}\n");
    format!("do:\n{}", (0..12).map(double).collect::<String>())
}

#[test]
fn a_small_run_computes_little_here_and_a_large_one_where_nobody_waits() {
    let text = json!("x".repeat(8 << 10));
    let (driver, effects) = Driver::started(&doubling(), text.clone());
    assert!(matches!(effects[..], [Effect::Evaluate { .. }]), "{:?}", driver.lines(&effects));
    // 8 KiB times 2, 4, 8 … and each is looked at as well: what that takes together by then is less than 4 MiB.
    assert_eq!(driver.steps().len(), 8, "{:?}", driver.steps());
    let next = Event::Evaluated { id: 0, result: Ok(json!(null)) };
    assert!(driver.state.is_large_with(&next), "it has used up what a small run may compute");

    let large = Event::Started { input: json!("x".repeat(257 << 10)), base_url: None, edition: EDITION };
    let mut driver =
        Driver::new("do:\n  - a: { set: '${ [., ., ., ., ., ., ., ., ., ., ., ., ., ., ., ., ., .] }' }\n");
    assert!(driver.state.is_large_with(&large));
    let effects = driver.take(large);
    assert!(matches!(effects[..], [Effect::Finish(End::Completed(_))]), "{:?}", effects.len());
}

#[test]
fn a_run_of_the_edition_before_is_folded_as_it_went() {
    let mut driver = Driver::new(&doubling());
    let started = json!({ "event": "started", "input": "x".repeat(8 << 10) });
    let started: Event = serde_json::from_value(started).unwrap();
    assert!(driver.state.is_large_with(&started));
    let effects = driver.take(started);
    // What is too large for a run was refused by the host itself, not by a guest.
    assert_eq!(driver.problem().status, 413, "{:?}", driver.lines(&effects));
}

#[test]
fn a_program_that_is_not_native_goes_to_the_guest_once_per_stage() {
    let rest = "do:\n  - a: { set: { n: '${ [.[] | tojson] | sort_by(.) }', m: '${ $context }' } }\n";
    let (mut driver, effects) = Driver::started(rest, json!([2, 1]));
    let [Effect::Evaluate { id: 0, input, variables, .. }] = &effects[..] else {
        panic!("{:?}", driver.lines(&effects));
    };
    assert_eq!(
        (&**input, &**variables),
        (&json!([2, 1]), &[("context".to_owned(), Arc::new(json!(null)))][..])
    );
    assert_eq!(driver.state.outstanding(), effects);
    let result = Ok(json!({"n": ["1", "2"], "m": null}));
    assert!(driver.take(Event::Evaluated { id: 1, result: result.clone() }).is_empty());
    let effects = driver.take(Event::Evaluated { id: 0, result });
    assert_eq!(driver.lines(&effects), ["completed {\"m\":null,\"n\":[\"1\",\"2\"]}"]);
    let result = Err("too slow".to_owned());
    let (mut driver, _) = Driver::started(rest, json!([2, 1]));
    let effects = driver.take(Event::Evaluated { id: 0, result });
    assert_eq!(driver.lines(&effects), ["faulted 400 an expression failed: too slow"]);
    assert_eq!(driver.problem().kind, kind::EXPRESSION);
}

#[test]
fn every_stage_may_ask_the_guest() {
    let foreign = "[.] | sort_by(.) | .[0]";
    let rest = format!(
        "input: {{ from: '{foreign}' }}
output: {{ as: '{foreign}' }}
do:
  - a:
      if: '{foreign}'
      input: {{ from: '{foreign}' }}
      switch:
        - x: {{ when: '{foreign} | not', then: end }}
        - y: {{ when: '{foreign}', then: continue }}
      output: {{ as: '{foreign}' }}
      export: {{ as: '{foreign}' }}
  - b: {{ set: '${{ {foreign} }}' }}
"
    );
    let (mut driver, mut effects) = Driver::started(&rest, json!(1));
    for answer in
        [json!(1), json!(true), json!(2), json!(false), json!(true), json!(3), json!(4), json!(5), json!(6)]
    {
        let [Effect::Evaluate { id, .. }] = effects[..] else {
            panic!("{:?}", driver.lines(&effects));
        };
        effects = driver.take(Event::Evaluated { id, result: Ok(answer) });
    }
    assert_eq!(driver.lines(&effects), ["completed 6"]);
}

/// What only the schema guest may compile.
const PATTERN: &str = "{ pattern: '^a' }";

/// The id of the one validation among the effects, and the value that it is of.
fn validation(driver: &Driver, effects: &[Effect]) -> (u32, Value) {
    let [Effect::Validate { id, schema, value }] = effects else { panic!("{:?}", driver.lines(effects)) };
    assert_eq!(&**schema, r#"{"pattern":"^a"}"#);
    (*id, Value::clone(value))
}

#[test]
fn a_schema_that_is_not_plain_is_judged_by_the_guest_wherever_it_stands() {
    let schema = format!("schema: {{ document: {PATTERN} }}");
    let foreign = "[.] | sort_by(.) | .[0]";
    let rest = format!(
        "input: {{ {schema}, from: '{foreign}' }}
output: {{ {schema}, as: '{foreign}' }}
use: {{ functions: {{ get: {{ input: {{ {schema} }}, call: 'tool:1.0.0@default', with: {{ x: '${{ {foreign} }}' }} }} }} }}
do:
  - a:
      input: {{ {schema}, from: '{foreign}' }}
      set: '${{ . }}'
      output: {{ {schema}, as: '{foreign}' }}
      export: {{ {schema}, as: '{foreign}' }}
  - b: {{ call: get, with: '${{ {foreign} }}' }}
"
    );
    let (mut driver, mut effects) = Driver::started(&rest, json!("a0"));
    let evaluated = |driver: &mut Driver, effects: &[Effect], value: &str| {
        let [Effect::Evaluate { id, .. }] = effects else { panic!("{:?}", driver.lines(effects)) };
        driver.take(Event::Evaluated { id: *id, result: Ok(json!(value)) })
    };
    let validated = |driver: &mut Driver, effects: &[Effect], value: &str| {
        let (id, of) = validation(driver, effects);
        assert_eq!((of, driver.state.outstanding()), (json!(value), effects.to_vec()));
        driver.take(Event::Evaluated { id, result: Ok(json!([])) })
    };
    // The input of the run, then of the task; then its output and its export, which are made before they are judged.
    effects = validated(&mut driver, &effects, "a0");
    effects = evaluated(&mut driver, &effects, "a1");
    effects = validated(&mut driver, &effects, "a1");
    effects = evaluated(&mut driver, &effects, "a2");
    effects = evaluated(&mut driver, &effects, "a3");
    effects = validated(&mut driver, &effects, "a3");
    effects = evaluated(&mut driver, &effects, "a4");
    effects = validated(&mut driver, &effects, "a4");
    // The arguments of the function, then its own input.
    effects = evaluated(&mut driver, &effects, "a5");
    effects = validated(&mut driver, &effects, "a5");
    effects = evaluated(&mut driver, &effects, "a6");
    assert_eq!(driver.lines(&effects), ["call 1.1 tool:1.0.0 \"a6\""]);
    effects = driver.answer(1, 1, json!("a7"));
    effects = evaluated(&mut driver, &effects, "a8");
    effects = validated(&mut driver, &effects, "a8");
    assert_eq!(driver.lines(&effects), ["completed \"a8\""]);
    let mut again = RunState::new(driver.state.flow().clone(), RunId::from_bytes([7; 16]));
    for (at, event) in driver.events {
        again.advance(at, event);
    }
    assert_eq!(again.steps(), driver.state.steps());
}

#[test]
fn what_the_guest_says_of_a_value_is_what_the_host_would_say() {
    let rest = format!("do:\n  - a: {{ input: {{ schema: {{ document: {PATTERN} }} }}, set: {{ x: 1 }} }}\n");
    let (mut driver, effects) = Driver::started(&rest, json!("b"));
    let (id, _) = validation(&driver, &effects);
    let violations = json!([{ "path": "/x", "message": "is wrong" }]);
    driver.take(Event::Evaluated { id, result: Ok(violations.clone()) });
    let problem = driver.problem();
    assert_eq!((problem.status, problem.kind.as_ref()), (400, kind::VALIDATION));
    assert_eq!(problem.detail.as_deref(), Some("the task's input: `/x`: is wrong"));
    assert_eq!(problem.data, Some(json!({ "violations": violations })));
    let (mut driver, effects) = Driver::started(&rest, json!("b"));
    let (id, _) = validation(&driver, &effects);
    driver.take(Event::Evaluated { id, result: Err("the schema took too long".to_owned()) });
    assert_eq!(driver.problem().detail.as_deref(), Some("the task's input: the schema took too long"));
    assert_eq!(driver.problem().instance.as_deref(), Some("/do/0/a"));
}

#[test]
fn an_export_that_is_judged_over_a_context_that_has_changed_is_made_anew() {
    let export = |name: &str, schema: &str| {
        format!("export: {{ schema: {{ document: {schema} }}, as: '${{ $context + {{{name}: 1}} }}' }}")
    };
    let flow = format!(
        "do: [ {{ both: {{ fork: {{ branches: [ {{ a: {{ set: {{ x: 1 }}, {} }} }}, {{ b: {{ wait: PT1S, {} }} }} ] }} }} }},
               {{ tell: {{ set: '${{ $context }}' }} }} ]",
        export("a", PATTERN),
        export("b", "true")
    );
    let (mut driver, effects) = Driver::started(&flow, json!({}));
    let [Effect::Validate { id: 0, value, .. }, Effect::Timer { timer, .. }] = &effects[..] else {
        panic!("{:?}", driver.lines(&effects))
    };
    assert_eq!(**value, json!({ "a": 1 }));
    driver.later(1).take(Event::Fired { timer: *timer });
    let effects = driver.take(Event::Evaluated { id: 0, result: Ok(json!([])) });
    let both = json!({ "a": 1, "b": 1 });
    assert_eq!(validation(&driver, &effects), (1, both.clone()));
    let effects = driver.take(Event::Evaluated { id: 1, result: Ok(json!([])) });
    assert_eq!(driver.lines(&effects), [format!("completed {both}")]);
}

#[test]
fn a_loop_of_schemas_that_costs_too_much_together_goes_to_the_guest() {
    let task = |name: &str, then: &str| {
        let schema = "{ type: array, items: { type: integer } }";
        format!(
            "  - {name}:\n      input: {{ schema: {{ document: {schema} }} }}\n      switch: [ {{ on: {{ then: {then} }} }} ]\n"
        )
    };
    let rest = format!("do:\n{}{}", task("a", "b"), task("b", "a"));
    let (driver, effects) = Driver::started(&rest, json!(vec![1; 100_000]));
    assert!(matches!(effects[..], [Effect::Validate { .. }]), "{:?}", driver.lines(&effects));
    assert!(driver.steps().len() > 10);
}
