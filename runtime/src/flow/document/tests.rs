//! Documents and what is said about them: an input and the expected text.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use super::*;
use crate::flow::Flow;
use crate::flow::contract::tests::TestPlugins;

const HEAD: &str = "document: {dsl: '1.0.3', namespace: test, name: flow, version: '1.0.0'}\n";

fn flow(text: &str) -> Arc<Flow> {
    match read_with(text, "f", &TestPlugins).unwrap().remove(0) {
        Document::Flow(flow) => flow,
        Document::Trigger(_) => panic!("a flow"),
    }
}

/// Findings of a document, errors or warnings.
fn found(text: &str) -> Vec<String> {
    match read_with(text, "f", &TestPlugins) {
        Ok(documents) => {
            documents.iter().flat_map(|document| document.warnings()).map(ToString::to_string).collect()
        }
        Err(findings) => findings.iter().map(ToString::to_string).collect(),
    }
}

#[track_caller]
fn expect(rest: &str, expected: &[&str]) {
    assert_eq!(found(&format!("{HEAD}{rest}")), expected, "\n{rest}");
}

#[test]
fn a_flow_knows_its_name_its_text_and_itself_again() {
    let text = "document:
  dsl: 1.0.3
  namespace: shop
  name: order-intake
  version: 2.0.0
  title: Orders
  summary: Takes orders
  metadata: { durable: false }
do:
  - a: { set: { x: 1.5 } }
";
    let first = flow(text);
    assert_eq!(first.id.to_string(), "shop/order-intake:2.0.0");
    assert_eq!(first.id.digest.len(), 32);
    assert_eq!(first.title.as_deref(), Some("Orders"));
    assert_eq!(first.durability, crate::flow::Durability::Volatile);
    let again = flow(&first.source);
    assert_eq!((&again.id, &again.source), (&first.id, &first.source));
    assert_ne!(flow(&text.replace("1.5", "2.5")).id.digest, first.id.digest);
}

#[test]
fn a_text_may_hold_flows_and_triggers() {
    let text = format!(
        "{HEAD}do: [ {{ a: {{ set: {{ x: 1 }} }} }} ]\n---\ntrigger: t\nuses: webhook:1.0.0\nflow: flow\n"
    );
    let documents = read(&text, "f").unwrap();
    assert!(matches!(documents[..], [Document::Flow(_), Document::Trigger(_)]));
    assert_eq!(documents[0].file(), "f");
    assert_eq!(found("documnt: {}\n"), ["f:1:1: unknown key `documnt`: did you mean `document`?"]);
    assert_eq!(
        found("a: 1\n---\n- b\n"),
        [
            "f:1:1: this is neither a flow, which has the key `document`, nor a trigger, which has the key `trigger`",
            "f:3:1: a document is a map, here is a list"
        ]
    );
}

#[test]
fn every_wrong_thing_of_a_document_is_found_at_once() {
    let text = "document:
  dsl: 2.0.0
  namespace: te_st
  name: flow
  version: 1.0
  sumary: x
inptu: {}
schedule: { evry: { minutes: 1 } }
do:
  - a:
      cal: http
  - b:
      call: http
      with: { endpont: 'https://h', method: get }
      them: end
  - c:
      set: { x: 1 }
      then: d
";
    assert_eq!(
        found(text),
        [
            "f:2:8: `dsl: 2.0.0` is not supported: it is 1.0.x, such as '1.0.3'",
            "f:3:14: `te_st` cannot be a namespace: it consists of letters, digits and dashes between them, at most 63 characters",
            "f:5:12: `version` is a text, here is a number: put it in quotes",
            "f:6:3: unknown key `sumary` in `document`: did you mean `summary`?",
            "f:7:1: unknown key `inptu` in a flow: did you mean `input`?",
            "f:8:11: `schedule` has one of `every`, `cron` and `after`",
            "f:8:13: unknown key `evry` in `schedule`: did you mean `every`?",
            "f:11:7: unknown key `cal` in a task: did you mean `call`?",
            "f:14:13: `call: http` needs `endpoint`: the address to call",
            "f:14:15: unknown key `endpont` in `with` of `call: http`: did you mean `endpoint`?",
            "f:15:7: unknown key `them` in a `call` task: did you mean `then`?",
            "f:18:13: `then` goes to `d`, which is no task of this list: did you mean `a`?",
        ]
    );
}

#[test]
fn what_is_wrong_with_a_fork_is_said_at_its_place() {
    expect(
        "do:
  - a: { fork: { branches: [] } }
  - b: { fork: { compete: true } }
  - c: { fork: { branch: [], compete: 1, branches: [ { x: { wait: PT1S, then: y } }, { y: { wait: PT1S } } ] } }
  - d: { fork: { branches: [ { x: { wait: PT1S } }, { x: { wait: PT2S } } ] } }
  - e: { fork: [ { x: { wait: PT1S } } ] }
",
        &[
            "f:3:28: a task list needs at least one task",
            "f:4:16: `fork` needs `branches`: the tasks that run side by side",
            "f:5:18: unknown key `branch` in `fork`: did you mean `branches`?",
            "f:5:39: `compete` is true or false, here is a number",
            "f:5:79: `then` goes to `y`, which runs side by side with this branch: a branch goes on within itself, or ends",
            "f:6:55: the name `x` is used twice in this list: `then` could not tell them apart",
            "f:7:16: `fork` is a map, here is a list",
        ],
    );
}

#[test]
fn what_the_language_has_and_we_have_not_is_named() {
    expect(
        "do:
  - a: { for: { each: x, in: .xs }, do: [] }
  - c: { emit: { event: {} } }
  - d: { listen: { to: {} } }
  - e: { run: { workflow: {} } }
  - f: { run: { container: { image: x } } }
  - g: { run: { shell: { command: x } } }
",
        &[
            "f:3:10: `for` tasks are not supported yet: let a plugin work through the list",
            "f:4:10: `emit` tasks are not supported yet: send the event to its receiver with `call: http`",
            "f:5:10: `listen` tasks are not supported yet: start the flow with a trigger",
            "f:6:10: `run` tasks are not supported yet",
            "f:7:10: `run: container` is refused: nothing runs outside a sandbox here; make it a plugin and call it as `name:1.0.0@default`",
            "f:8:10: `run: shell` is refused: nothing runs outside a sandbox here; make it a plugin and call it as `name:1.0.0@default`",
        ],
    );
    expect(
        "use: { secrets: a, authentications: {}, extensions: [], catalogs: {} }
do: [ { a: { set: { x: 1 } } } ]
",
        &[
            "f:2:17: `use.secrets` is a list of names: `secrets: [shop-key]`",
            "f:2:20: `authentications` in `use` is not supported yet: give the plugin its credentials in `with`",
            "f:2:41: `extensions` in `use` is not supported yet",
            "f:2:57: `catalogs` in `use` is not supported yet: plugins are installed on the host and called as `name:version@default`",
        ],
    );
}

#[test]
fn a_call_that_names_nothing_callable_is_told_the_right_spelling() {
    let cases = [
        (
            "http-request",
            "`call: http-request` has no version: a plugin is called as `http-request:1.0.0@default`",
        ),
        ("respond", "`call: respond` is not known: the answer is given with `respond:1.0.0@default`"),
        (
            "respond:2.0.0@default",
            "`call: respond:2.0.0@default` is not known: the answer is given with `respond:1.0.0@default`",
        ),
        (
            "tool:1.0@default",
            "`1.0` is not a version such as 1.0.0: unexpected end of input while parsing minor version number",
        ),
        ("tool:1.0.0@other", "unknown catalog `other`: installed plugins are in `default`"),
        ("htpp", "`call: htpp` is neither a plugin nor a function: did you mean `http`?"),
        ("fetc", "`call: fetc` is neither a plugin nor a function: did you mean `fetch`?"),
        (
            "grpc",
            "`call: grpc` is refused: gRPC is not spoken inside the sandbox; call the service's HTTP interface with `call: http`",
        ),
        ("mcp", "`call: mcp` is refused: it is not supported yet; write the request with `call: http`"),
        (
            "https://h/f.yaml",
            "a function from a URL is not supported yet: install a plugin and call it as `name:1.0.0@default`",
        ),
    ];
    for (call, expected) in cases {
        expect(
            &format!(
                "use: {{ functions: {{ fetch: {{ call: 'tool:1.0.0@default' }} }} }}\ndo:\n  - a: {{ call: '{call}' }}\n"
            ),
            &[&format!("f:4:16: {expected}")],
        );
    }
}

#[test]
fn names_that_use_does_not_declare_are_found() {
    expect(
        "use: { timeouts: { short: { after: PT1S } }, retries: { often: {} }, errors: { mine: { type: 'urn:x', status: 400 } } }
timeout: shrt
do:
  - a: { set: { x: 1 }, timeout: long }
  - b: { raise: { error: mien } }
  - c: { try: [ { d: { set: { x: 1 } } } ], catch: { retry: offen } }
",
        &[
            "f:3:10: `use.timeouts` has no `shrt`: did you mean `short`?",
            "f:5:34: `use.timeouts` has no `long`: declare it there",
            "f:6:26: `use.errors` has no `mien`: did you mean `mine`?",
            "f:7:61: `use.retries` has no `offen`: did you mean `often`?",
        ],
    );
}

#[test]
fn names_of_tasks_are_unique_and_mean_one_thing() {
    expect(
        "do:
  - a: { set: { x: 1 } }
  - a: { set: { x: 2 } }
  - end: { set: { x: 3 } }
  - { b: { set: { x: 1 } }, c: { set: { x: 1 } } }
  - d: { set: { x: 1 }, wait: PT1S }
  - e: { then: end }
  - f: { do: [] }
",
        &[
            "f:4:5: the name `a` is used twice in this list: `then` could not tell them apart",
            "f:5:5: `end` cannot be the name of a task: `then: end` means something else",
            "f:6:5: a task is written as `- name: { … }`, one name to a list item",
            "f:7:25: a task does one thing: `set` and `wait` stand in the same task",
            "f:8:5: the task `e` does nothing: it needs one of `call`, `do`, `fork`, `raise`, `set`, `switch`, `try` and `wait`",
            "f:9:14: a task list needs at least one task",
        ],
    );
}

#[test]
fn values_of_the_wrong_kind_are_found() {
    expect(
        "timeout: { after: soon }
input: { schema: { document: { type: nothing } } }
do:
  - a: { set: [1] }
  - b: { wait: P1M }
  - c: { raise: { error: { type: 'urn:x' } } }
  - d: { switch: [ { x: { when: .a } }, { y: { then: nowhere } } ] }
  - e: { try: [ { f: { set: { x: 1 } } } ] }
  - g: { try: [ { h: { set: { x: 1 } } } ], catch: { as: task, retry: { backoff: { constant: {}, linear: {} }, jitter: { from: PT2S, to: PT1S } } } }
  - i: { call: http, with: { method: get, endpoint: 'https://h/{+x}', output: all, redirect: 1 } }
  - j: { if: true, set: { x: 1 } }
",
        &[
            "f:2:19: `after`: `soon` is no ISO 8601 duration: it starts with P, as in PT30S or P1DT2H",
            "f:3:30: this is not a usable JSON Schema: \"nothing\" is not valid under any of the schemas listed in the 'anyOf' keyword at `/type`",
            "f:5:15: `set` is a map or an expression, here is a list",
            "f:6:16: `wait`: `P1M` counts years or months, which differ in length: write it in days, hours, minutes and seconds",
            "f:7:26: an error needs `status`",
            "f:8:22: the case `x` needs `then`: where the run goes",
            "f:8:54: `then` goes to `nowhere`, which is no task of this list: there are `a`, `b`, `c`, `d`, `e`, `g`, `i` and `j`",
            "f:9:15: `try` needs `catch`: what becomes of an error",
            "f:10:58: `$task` means something else: name the error otherwise",
            "f:10:82: `backoff` is one of `constant: {}`, `linear: {}` and `exponential: {}`",
            "f:10:120: `jitter`: `from` is longer than `to`",
            "f:11:53: `{+x}` is not supported in an endpoint: only `{name}` is; for anything more write an expression, as in ${ \"https://example.com/\\(.id)\" }",
            "f:11:79: `output: all` is none of `content`, `raw` and `response`",
            "f:11:94: `redirect` is true or false, here is a number",
            "f:12:14: `if` is a text, here is true or false: put it in quotes",
        ],
    );
}

#[test]
fn an_answer_that_can_never_be_legal_is_found_when_it_is_written() {
    expect(
        "do:
  - a: { call: 'respond:1.0.0@default', with: { status: 600, headers: { 'a b': x, connection: close, x: \"a\\nb\" }, contentType: csv, base64: '?' } }
  - b: { call: 'respond:1.0.0@default', with: { redirect: { status: 200 }, status: 201, sttus: 1 } }
  - c: { call: 'respond:1.0.0@default', with: { status: '${ .s }', headers: '${ .h }', body: 1, base64: '${ .b }' } }
",
        &[
            "f:3:57: a status is a whole number from 200 to 599, here is 600",
            "f:3:73: `a b` is not the name of a header",
            "f:3:83: the header `connection` is set by the host: leave it out",
            "f:3:105: the value of a header cannot hold the character \\n",
            "f:3:128: `csv` is not a media type such as text/csv",
            "f:3:141: the text is not base64: Invalid symbol 63, offset 0.",
            "f:4:59: `redirect` needs `location`: where to",
            "f:4:69: a status is a whole number from 300 to 399, here is 200",
            "f:4:76: the status of a redirect stands in `redirect`",
            "f:4:89: unknown key `sttus` in `with` of `respond`: did you mean `status`?",
            "f:5:97: `body` and `base64` exclude each other",
        ],
    );
}

#[test]
fn what_runs_and_is_odd_is_a_warning() {
    expect(
        "do:
  - a: { set: { text: 'Hello ${ .name }' }, then: c }
  - b: { set: { x: 1 } }
  - c: { switch: [ { x: { then: end } }, { y: { when: .y, then: continue } } ] }
  - d: { set: { x: 1 } }
",
        &[
            "f:3:23: warning: `${ }` inside longer text stays as it is written: make the whole text one expression, as in ${ \"Hello \\(.name)\" }",
            "f:4:5: warning: nothing leads to the task `b`",
            "f:5:44: warning: the case `y` is never looked at: `x` before it always holds",
        ],
    );
    expect(
        "do:\n  - a: { if: .x, raise: { error: { type: 'urn:x', status: 400 } }, then: end }\n  - b: { set: { x: 1 } }\n",
        &[],
    );
    expect(
        "do:\n  - a: { raise: { error: { type: 'urn:x', status: 400 } } }\n  - b: { set: { x: 1 } }\n",
        &["f:4:5: warning: nothing leads to the task `b`"],
    );
}

#[test]
fn a_variable_that_is_not_there_is_found() {
    expect(
        "do:
  - a: { if: $input.x, set: { x: '${ $contxt.a }' } }
  - b:
      try: [ { c: { set: { x: '${ $err }' } } } ]
      catch: { as: err, when: $error.status == 1, do: [ { d: { set: { x: '${ $err }' } } } ] }
",
        &[
            "f:3:14: unknown variable `$input` here: there are `context`, `task`, `workflow`, `runtime` and `secrets`",
            "f:3:34: unknown variable `$contxt` here: did you mean `$context`?",
            "f:5:31: unknown variable `$err` here: there are `context`, `input`, `task`, `workflow`, `runtime` and `secrets`",
            "f:6:31: unknown variable `$error` here: there are `context`, `input`, `task`, `workflow`, `runtime`, `secrets` and `err`",
        ],
    );
}

#[test]
fn calls_and_foreign_expressions_are_listed_with_their_places() {
    let flow = flow(&format!(
        "{HEAD}do:
  - a:
      call: tool:1.0.0@default
      with:
        x: {{ y: '${{ sort_by(.) }}' }}
  - b:
      do:
        - c: {{ call: http, with: {{ method: get, endpoint: {{ uri: 'https://h' }} }} }}
"
    ));
    let calls: Vec<_> =
        flow.calls().map(|call| (call.plugin.to_string(), call.call_place(), call.place("/x/y"))).collect();
    assert_eq!(
        calls,
        [
            ("tool:1.0.0".to_owned(), (4, 13), (6, 17)),
            ("http-request.http:1.0.0".to_owned(), (9, 22), (9, 34)),
        ]
    );
    let [foreign] = flow.foreign_expressions() else {
        panic!("one");
    };
    assert_eq!((foreign.line, foreign.column), (6, 17));
    assert_eq!(foreign.program, "sort_by(.)");
    assert!(foreign.variables.contains(&"context".to_owned()));
}

/// Whoever has only the text reads it without plugins; with them the same is found at the same places.
#[test]
fn what_a_plugin_takes_is_found_when_the_document_is_bound() {
    let text = format!(
        "{HEAD}use: {{ retries: {{ often: {{ delay: PT1S }} }} }}
do:
  - a: {{ call: 'tool:1.0.0@default', with: {{ retry: offen, connection: '${{ .c }}', body: {{ connection: '${{ .c }}' }} }} }}
---
trigger: t
uses: hook:1.0.0
flow: flow
with: {{ path: /a/b/, auth: {{ key: 'a b' }} }}
"
    );
    let documents = read(&text, "f").unwrap();
    let computed = "the name of a secret or a connection is written out, not computed: a deployment checks whether it is there";
    let refused = |document: &Document| {
        document.bound(&TestPlugins).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        refused(&documents[0]),
        [
            "f:4:53: `use.retries` has no `offen`: did you mean `often`?".to_owned(),
            format!("f:4:72: {computed}")
        ]
    );
    let [key] = &refused(&documents[1])[..] else { panic!("one") };
    assert!(key.starts_with("f:9:35: `a b` is no name of a secret or a connection"), "{key}");
}

#[test]
fn a_bound_document_has_what_its_plugins_take() {
    let text = format!(
        "{HEAD}use: {{ retries: {{ often: {{ delay: PT1S }} }} }}
do:
  - a: {{ call: 'tool:1.0.0@default', with: {{ all: [ {{ retry: often, connection: shop }} ] }} }}
---
trigger: t
uses: hook:1.0.0
flow: flow
with: {{ path: /a/b/, auth: {{ key: [one, two] }} }}
"
    );
    let bound: Vec<Document> =
        read(&text, "f").unwrap().iter().map(|document| document.bound(&TestPlugins).unwrap()).collect();
    let [Document::Flow(flow), Document::Trigger(trigger)] = &bound[..] else {
        panic!("a flow and a trigger")
    };
    let with = flow.calls().next().unwrap().with.skeleton();
    assert_eq!(with["all"][0]["retry"], serde_json::json!({ "delay": "PT1S" }));
    assert_eq!(flow.needs.connections().collect::<Vec<_>>(), [("shop", (4, 81))]);
    assert!(flow.written.is_none());
    assert_eq!(trigger.needs.secrets().map(|(name, _)| name).collect::<Vec<_>>(), ["one", "two"]);
    let path = trigger.path.as_ref().unwrap();
    assert_eq!((path.path.as_str(), path.pointer.as_str()), ("a/b", "/with/path"));
}

#[test]
fn a_deep_or_wide_document_is_read_or_refused_but_never_fatal() {
    let mut nested = String::new();
    for level in 0..40 {
        let indent = "  ".repeat(level * 3);
        nested.push_str(&format!("{indent}do:\n{indent}  - t{level}:\n"));
    }
    assert!(!found(&format!("{HEAD}{nested}")).is_empty());
    let wide: String = (0..3_000).map(|task| format!("  - t{task}: {{ set: {{ x: 1 }} }}\n")).collect();
    assert_eq!(flow(&format!("{HEAD}do:\n{wide}")).tasks.len(), 3_000);
}
