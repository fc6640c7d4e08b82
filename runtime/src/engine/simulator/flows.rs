//! The flows that simulated runs follow. Between them they hold every kind of wait that a run can be in. Each step that
//! ends well adds the number of its answer to a list, so that the output of a run tells which answers were applied.

use std::sync::Arc;

use crate::flow::{Document, Flow, read};

const TEXTS: [&str; 9] = [
    // One step after the other.
    "name: sequence, version: 1.0.0}
do:
  - a: {call: 'act:1.0.0@default', with: {n: 1}, output: {as: '{list: ($input.list + [.serial])}'}}
  - b: {call: 'act:1.0.0@default', with: {n: 2}, output: {as: '{list: ($input.list + [.serial])}'}}
  - c: {call: 'act:1.0.0@default', with: {n: 3}, output: {as: '{list: ($input.list + [.serial])}'}}",
    // Steps that are suspended.
    "name: suspended, version: 1.0.0}
do:
  - a: {call: 'wait:1.0.0@default', with: {to: '${ $task.callback.url }'}, output: {as: '{list: ($input.list + [.serial])}'}}
  - b: {call: 'wait:1.0.0@default', output: {as: '{list: ($input.list + [.serial])}'}}",
    // A suspended step that has a time of its own, and a way on when that is over.
    "name: deadline, version: 1.0.0}
do:
  - a:
      try:
        - ask: {call: 'wait:1.0.0@default', timeout: {after: PT20S}, output: {as: '{list: ($input.list + [.serial])}'}}
      catch:
        errors: {with: {status: 408}}
        do: [{late: {set: {list: []}}}]
  - b: {call: 'act:1.0.0@default', output: {as: '{list: ($input.list + [.serial])}'}}",
    // Errors that are tried again after a pause.
    "name: retried, version: 1.0.0}
do:
  - a:
      try:
        - risky: {call: 'act:1.0.0@default', output: {as: '{list: ($input.list + [.serial])}'}}
      catch:
        retry: {delay: PT3S, limit: {attempt: {count: 2}}}
        do: [{given-up: {set: {list: []}}}]
  - pause: {wait: PT5S}
  - b: {call: 'wait:1.0.0@default', output: {as: '{list: ($input.list + [.serial])}'}}",
    // Expressions that the guest evaluates, around a step.
    "name: evaluated, version: 1.0.0}
do:
  - a: {if: '${ [limit(1; repeat(1))] | length == 1 }', call: 'act:1.0.0@default', output: {as: '{list: ($input.list + [.serial])}'}}
  - b: {if: '${ [limit(1; repeat(2))] | length == 1 }', call: 'wait:1.0.0@default', output: {as: '{list: ($input.list + [.serial])}'}}
  - c: {wait: PT1S}",
    // A time for all of it.
    "name: timed, version: 1.0.0}
timeout: {after: PT2M}
do:
  - pause: {wait: PT10S}
  - a: {call: 'wait:1.0.0@default', output: {as: '{list: ($input.list + [.serial])}'}}
  - b: {call: 'act:1.0.0@default', output: {as: '{list: ($input.list + [.serial])}'}}",
    // Branches side by side, one of which is suspended, one of which rests and tries again.
    "name: forked, version: 1.0.0}
do:
  - all:
      fork:
        branches:
          - a: {call: 'act:1.0.0@default', output: {as: '.serial'}}
          - b: {call: 'wait:1.0.0@default', output: {as: '.serial'}}
          - c:
              try: [{risky: {call: 'act:1.0.0@default', output: {as: '.serial'}}}]
              catch: {retry: {delay: PT3S, limit: {attempt: {count: 2}}}}
      output: {as: '{list: .}'}
  - b: {call: 'act:1.0.0@default', output: {as: '{list: ($input.list + [.serial])}'}}",
    // A race, in which the losers leave something behind.
    "name: raced, version: 1.0.0}
do:
  - race:
      fork:
        compete: true
        branches:
          - a: {call: 'wait:1.0.0@default', output: {as: '{list: [.serial]}'}}
          - b: {do: [{pause: {wait: PT5S}}, {act: {call: 'act:1.0.0@default', output: {as: '{list: [.serial]}'}}}]}
          - c: {if: '${ [limit(1; repeat(1))] | length == 1 }', call: 'act:1.0.0@default', output: {as: '{list: [.serial]}'}}
  - b: {call: 'wait:1.0.0@default', output: {as: '{list: ($input.list + [.serial])}'}}",
    // Branches that ask the guest at the same time, after something that another host may be told.
    "name: asked, version: 1.0.0}
do:
  - all:
      fork:
        branches:
          - first:
              do:
                - pause: {wait: PT3S}
                - a: {set: '${ [limit(1; repeat(\"mark-a\"))] }'}
                - b: {set: '${ [limit(1; repeat(\"mark-b\"))] }'}
          - second:
              do:
                - hook: {call: 'wait:1.0.0@default', output: {as: '.serial'}}
                - c: {set: '${ [limit(1; repeat(\"mark-c\"))] }'}
                - d: {set: '${ [limit(1; repeat(\"mark-d\"))] }'}
          - third:
              do:
                - e: {set: '${ [limit(1; repeat(\"mark-e\"))] }'}
                - f: {set: '${ [limit(1; repeat(\"mark-f\"))] }'}
  - last: {set: {list: []}}",
];

/// Flows that nobody asks for.
const SCHEDULED: [&str; 2] = [
    "name: beat, version: 1.0.0}
schedule: {every: PT30S}
do:
  - a: {call: 'act:1.0.0@default', output: {as: '{list: ($input.list + [.serial])}'}}",
    "name: again, version: 1.0.0}
schedule: {after: PT20S}
do:
  - a: {call: 'wait:1.0.0@default', timeout: {after: PT40S}, output: {as: '{list: ($input.list + [.serial])}'}}
  - b: {call: 'act:1.0.0@default', output: {as: '{list: ($input.list + [.serial])}'}}",
];

/// All that are asked for, read anew.
pub(super) fn all() -> Vec<Arc<Flow>> {
    TEXTS.iter().map(|text| flow(text)).collect()
}

/// All that start by themselves.
pub(super) fn scheduled() -> Vec<Arc<Flow>> {
    SCHEDULED.iter().map(|text| flow(text)).collect()
}

fn flow(text: &str) -> Arc<Flow> {
    let text = format!("document: {{dsl: '1.0.3', namespace: default, {text}");
    match read(&text, "flow.yaml").as_deref() {
        Ok([Document::Flow(flow)]) => flow.clone(),
        Ok(_) => panic!("a flow"),
        Err(findings) => panic!("{}\n{text}", findings.first().map(ToString::to_string).unwrap_or_default()),
    }
}
