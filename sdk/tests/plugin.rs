//! A plugin as its host sees it: names, waiting actions, triggers that subscribe.

use flowcell_sdk::prelude::*;
use flowcell_sdk::testing::{MockHost, answer, request};
use flowcell_sdk::{Exports, Import, Outcome};

#[derive(Serialize, Deserialize)]
struct Subscription {
    id: u32,
}

/// Wait for the other side.
///
/// It calls back.
#[flowcell_sdk::action(name = "await", resume = called_back, cancel = unsubscribe)]
fn await_callback(input: u32, ctx: &mut Context) -> Result<Next<Value, Subscription>, Problem> {
    ctx.info("subscribed");
    Ok(Wait::for_callback(Subscription { id: input })
        .or_after(Duration::from_secs(1))
        .at_most(Duration::from_secs(60))
        .into())
}

fn called_back(
    state: Subscription,
    wake: Wake,
    _: &mut Context,
) -> Result<Next<Value, Subscription>, Problem> {
    match wake.is_timer() {
        true => Ok(Wait::for_callback(state).into()),
        false => Ok(Next::Done(wake.get("body").clone())),
    }
}

fn unsubscribe(state: Subscription, reason: &str, ctx: &mut Context) -> Result<(), Problem> {
    ctx.log(Level::Warn, reason, &json!({ "id": state.id }));
    ctx.http().delete(format!("https://example.com/{}", state.id)).send()?;
    Ok(())
}

/// Double a number.
#[flowcell_sdk::action(idempotent, example = "2")]
fn double_it(input: u32, _: &mut Context) -> Result<u32, Problem> {
    Ok(input * 2)
}

/// Changes on the other side.
#[flowcell_sdk::trigger(event = u32, enable = switch_on, disable = switch_off)]
fn changes(config: Value, request: Inbound, _: &mut Context) -> Result<Verdict, Problem> {
    let _ = config;
    Ok(Verdict::start(request.body().len()))
}

fn switch_on(_: Value, ctx: &mut Context) -> Result<Subscription, Problem> {
    ctx.http().post("https://example.com/").send()?.error_for_status()?.json()
}

fn switch_off(_: Value, state: Subscription, ctx: &mut Context) -> Result<(), Problem> {
    ctx.http().delete(format!("https://example.com/{}", state.id)).send()?;
    Ok(())
}

/// A configuration with limits.
#[derive(Deserialize, JsonSchema)]
struct Limits {
    #[serde(rename = "most")]
    _most: u32,
}

/// Something with limits.
#[flowcell_sdk::trigger(name = "limits", check = has_room)]
fn limited(_: Limits, _: Inbound, _: &mut Context) -> Result<Verdict, Problem> {
    Ok(Verdict::start(Value::Null))
}

fn has_room(draft: &Draft, _: &mut Context) -> Vec<Finding> {
    let is_zero = draft.value("/most") == Some(&json!(0));
    is_zero.then(|| Finding::error("/most", "it is zero")).into_iter().collect()
}

/// Something of the same name.
#[flowcell_sdk::action(name = "limits", check = has_expressions)]
fn limits(input: Value, _: &mut Context) -> Result<Value, Problem> {
    Ok(input)
}

fn has_expressions(draft: &Draft, _: &mut Context) -> Vec<Finding> {
    draft.expressions("").map(|one| Finding::warning(&*one.at, format!("`{}` decides", one.text))).collect()
}

fn from_plain_text(text: &str, _: &mut Context) -> Result<Import, String> {
    let number: u32 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    let step = json!({ "double": { "call": "sample.double-it:1.0.0@default", "with": number } });
    Ok(Import { step, warnings: vec![] })
}

flowcell_sdk::plugin! {
    actions: [await_callback, double_it, limits], triggers: [changes, limited], imports: [plain_text = from_plain_text],
    name: "sample", title: "Sample",
}

#[test]
fn a_waiting_action_resumes_with_its_state() {
    let host = MockHost::new();
    let waiting = host.start::<Plugin>("await", json!(7)).unwrap();
    let Outcome::Suspend { state, wake } = &waiting else { panic!("it must wait") };
    assert_eq!(state, br#"{"id":7}"#);
    let wake: Value = serde_json::from_str(wake).unwrap();
    assert_eq!(wake, json!({ "callback": true, "timerMs": 1000, "deadlineMs": 60_000 }));
    let waiting = host.resume::<Plugin>("await", waiting, json!({ "kind": "timer" })).unwrap();
    let done = host.resume::<Plugin>("await", waiting, json!({ "kind": "callback", "body": [1] })).unwrap();
    assert_eq!(done, Outcome::Done("[1]".into()));
}

#[test]
fn a_cancelled_action_undoes_what_it_did() {
    let host = MockHost::new().expect(request("DELETE", "https://example.com/7"), answer(204));
    let waiting = host.start::<Plugin>("await", json!(7)).unwrap();
    assert_eq!(host.cancel::<Plugin>("await", waiting, "the run was cancelled"), Ok(()));
    let line = host.logs().pop().unwrap();
    assert_eq!((line.level.as_str(), line.fields), ("warn", json!({ "id": 7 })));
}

#[test]
fn an_action_that_never_waits_says_so() {
    let mut ctx = MockHost::new().context();
    let problem = Plugin::resume("double-it", b"", "{}", &mut ctx).unwrap_err();
    assert_eq!(problem.detail_text(), "`double-it` never waits, so there is nothing to resume");
    assert_eq!(Plugin::cancel("double-it", b"", "", &mut ctx), Ok(()));
}

#[test]
fn a_name_that_is_not_there_is_answered_with_those_that_are() {
    let host = MockHost::new();
    let problem = host.run::<Plugin>("double", json!(1)).unwrap_err();
    assert_eq!(
        problem.detail_text(),
        "there is no action `double` in this plugin; it has: await, double-it, limits"
    );
    let problem = host.receive::<Plugin>("double-it", json!({})).unwrap_err();
    assert_eq!(
        problem.detail_text(),
        "there is no trigger `double-it` in this plugin; it has: changes, limits"
    );
}

#[test]
fn a_trigger_subscribes_and_unsubscribes() {
    let host = MockHost::new()
        .with_inbound("POST", "/", &[], "four")
        .expect(request("POST", "https://example.com/"), answer(201).json(json!({ "id": 9 })))
        .expect(request("DELETE", "https://example.com/9"), answer(204));
    let state = host.enable::<Plugin>("changes", json!({})).unwrap();
    assert_eq!(host.receive::<Plugin>("changes", json!({})).unwrap()["start"]["event"], 4);
    assert_eq!(host.disable::<Plugin>("changes", json!({}), &state), Ok(()));
}

#[test]
fn what_a_configurations_type_refuses_is_found_before_it_is_switched_on() {
    let host = MockHost::new();
    assert_eq!(host.check_trigger::<Plugin>("limits", json!({ "most": 7 })), []);
    let found = host.check_trigger::<Plugin>("limits", json!({ "most": "seven" }));
    assert!(found.len() == 1 && found[0].is_error(), "{found:?}");
    assert_eq!(
        host.check_trigger::<Plugin>("limits", json!({ "most": 0 })),
        [Finding::error("/most", "it is zero")]
    );
    // An expression of a trigger is known when it is deployed: it sees the trigger's address.
    let found = host.check_trigger::<Plugin>("limits", json!({ "most": "${ $task.callback.url }" }));
    assert!(found[0].is_error(), "{found:?}");
}

#[test]
fn an_action_and_a_trigger_of_one_name_are_checked_each_by_its_own() {
    let host = MockHost::new();
    assert_eq!(
        host.check_action::<Plugin>("limits", json!("${ .a }")),
        [Finding::warning("", "`.a` decides")]
    );
    assert_eq!(host.check_action::<Plugin>("double-it", json!(1)), []);
    assert_eq!(host.check_action::<Plugin>("nothing", json!(1)), []);
}

#[test]
fn a_text_is_read_by_the_function_of_its_format() {
    let import = |format, text| MockHost::new().import::<Plugin>(format, text);
    assert_eq!(import("plain-text", "2").unwrap()["step"]["double"]["with"], 2);
    assert_eq!(import("plain-text", "two"), Err("`two` is no number".to_owned()));
    let unknown = "`curl` is no format that can be imported; known here: plain-text";
    assert_eq!(import("curl", "2"), Err(unknown.to_owned()));
}

#[test]
fn documentation_and_keys_become_the_descriptor() {
    let descriptor: Value = serde_json::from_str(&Plugin::describe()).unwrap();
    let action = &descriptor["actions"][0];
    assert_eq!(
        (&action["title"], &action["summary"]),
        (&json!("Wait for the other side"), &json!("It calls back."))
    );
    let action = &descriptor["actions"][1];
    assert_eq!((&action["idempotent"], &action["examples"]), (&json!(true), &json!([2])));
    assert_eq!((&descriptor["name"], &descriptor["licence"]), (&json!("sample"), &json!("Apache-2.0")));
    assert_eq!(descriptor["triggers"][0]["event"]["type"], "integer");
    assert_eq!(descriptor["imports"], json!(["plain-text"]));
}

#[test]
#[should_panic(expected = "expected, but never sent: GET https://example.com/")]
fn a_request_that_is_not_sent_fails_the_test() {
    let _host = MockHost::new().expect(request("GET", "https://example.com/"), answer(200));
}

#[test]
#[should_panic(expected = "no request was expected, but this was sent: GET https://example.com/")]
fn a_request_that_is_not_expected_fails_the_test() {
    let _ = MockHost::new().context().http().get("https://example.com/").send();
}
