//! `flowcell dev`: a folder, served while it is being written; and what the webhook plugin answers on the wire.

use flowcell_tests::{Call, Server, until};
use serde_json::json;

use crate::FLOWCELL;
use crate::documents::{flow, hook, local, together};

const ANSWERING: &str = "{ respond: { from: flow } }";

/// `shop/in` answers with what its flow makes of the event.
fn order(tasks: &str, with: &str) -> String {
    together(&[&flow("order", tasks), &hook("in", "order", with)])
}

async fn dev(document: &str) -> Server {
    FLOWCELL.dev().file("order.yaml", document).start().await
}

#[tokio::test]
async fn a_post_to_the_printed_address_is_answered_by_the_flow() {
    let mut dev = dev(&order("- one: { set: { got: '${ .body }', by: '${ .method }' } }", ANSWERING)).await;
    let hook = dev.hook("shop/in").await;
    assert!(hook.starts_with(&format!("{}/hooks/", dev.url())), "{hook}");
    let answer = Call::post(&hook, &json!({ "id": 7 })).send().await.is(200);
    assert_eq!(answer.json(), json!({ "got": { "id": 7 }, "by": "POST" }));
}

#[tokio::test]
async fn the_event_is_the_whole_request() {
    let mut dev = dev(&order("- one: { set: { event: '${ . }' } }", ANSWERING)).await;
    let hook = dev.hook("shop/in").await;
    let call = Call::post(format!("{hook}?a=1&b=x%20y"), &json!([1, 2])).header("X-Order", "17");
    let event = call.send().await.is(200).json()["event"].clone();
    assert_eq!(event["method"], "POST");
    assert_eq!(event["query"], json!({ "a": "1", "b": "x y" }), "{event}");
    assert_eq!(event["headers"]["x-order"], "17");
    assert_eq!(event["body"], json!([1, 2]));
    assert!(event["trigger"].is_string() || event["trigger"].is_object(), "{event}");
}

#[tokio::test]
async fn a_method_that_is_not_listed_is_405_with_those_that_are() {
    let mut dev = dev(&order("- one: { set: { a: 1 } }", "{}")).await;
    let hook = dev.hook("shop/in").await;
    for method in ["GET", "PUT", "DELETE"] {
        let answer = Call::new(method, &hook).send().await.is(405);
        assert_eq!(answer.header("allow"), "POST", "{method}: {answer}");
    }
    assert_eq!(dev.runs("").await.len(), 0);
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_refused_and_start_nothing() {
    let mut dev = dev(&order("- one: { set: { a: 1 } }", "{}")).await;
    let hook = dev.hook("shop/in").await;
    let send = async |kind, body: &'static str| Call::new("POST", &hook).body(kind, body).send().await.status;
    assert_eq!(send("application/json", "{ \"a\": ").await, 400);
    assert_eq!(send("application/xml", "<a/>").await, 415);
    assert_eq!(send("text/plain", "hello").await, 415);
    assert_eq!(dev.runs("").await.len(), 0);
    assert_eq!(send("application/json", "{}").await, 200);
}

#[tokio::test]
async fn basic_authentication_asks_for_itself() {
    let with = "{ auth: { basic: { username: u, password: p } } }";
    let mut dev = dev(&order("- one: { set: { a: 1 } }", with)).await;
    let hook = dev.hook("shop/in").await;
    let none = Call::post(&hook, &json!({})).send().await.is(401);
    assert!(none.header("www-authenticate").starts_with("Basic"), "{none}");
    let wrong = Call::post(&hook, &json!({})).header("authorization", "Basic dTpx").send().await.is(401);
    assert!(wrong.header("www-authenticate").starts_with("Basic"), "{wrong}");
    Call::post(&hook, &json!({})).header("authorization", "Basic dTpw").send().await.is(200);
    assert_eq!(dev.runs("").await.len(), 1);
}

#[tokio::test]
async fn an_unknown_token_and_a_disabled_trigger_answer_the_same_404() {
    let mut dev = dev(&order("- one: { set: { a: 1 } }", "{}")).await;
    let hook = dev.hook("shop/in").await;
    dev.post("/api/v1/triggers/shop/in/disable", &json!(null)).await.is(200);
    let disabled = Call::post(&hook, &json!({})).send().await.is(404);
    let mut other = hook.clone();
    let last = other.pop();
    other.push(if last == Some('A') { 'B' } else { 'A' });
    let unknown = Call::post(&other, &json!({})).send().await.is(404);
    assert_eq!(disabled.fingerprint(), unknown.fingerprint());
    let nowhere = Call::post(format!("{}/nowhere", dev.url()), &json!({})).send().await.is(404);
    assert_eq!(nowhere.fingerprint(), unknown.fingerprint());

    dev.post("/api/v1/triggers/shop/in/enable", &json!(null)).await.is(200);
    Call::post(&hook, &json!({})).send().await.is(200);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let document = order("- one: { set: { a: 1 } }", "{}");
    let setup = FLOWCELL.dev().file("order.yaml", document).config(local("body = \"1KiB\""));
    let mut dev = setup.start().await;
    let hook = dev.hook("shop/in").await;
    Call::post(&hook, &json!("x".repeat(1000))).send().await.is(200);
    Call::post(&hook, &json!("x".repeat(2000))).send().await.is(413);
    assert_eq!(dev.runs("").await.len(), 1);
}

#[tokio::test]
async fn an_edit_changes_the_next_answer_and_keeps_the_address() {
    let mut dev = dev(&order("- one: { set: { version: old } }", ANSWERING)).await;
    let hook = dev.hook("shop/in").await;
    let version = async || Call::post(&hook, &json!({})).send().await.is(200).json()["version"].clone();
    assert_eq!(version().await, "old");
    dev.setup().folder().write("flows/order.yaml", order("- one: { set: { version: new } }", ANSWERING));
    until("the new version", async || (version().await == "new").then_some(())).await;
}

#[tokio::test]
async fn a_broken_edit_is_told_with_its_place_and_the_old_version_goes_on() {
    let mut dev = dev(&order("- one: { set: { version: old } }", ANSWERING)).await;
    let hook = dev.hook("shop/in").await;
    dev.setup().folder().write("flows/order.yaml", order("- one: { st: { version: broken } }", ANSWERING));
    until("the finding", async || {
        let printed = dev.printed();
        (printed.contains("order.yaml:4:") && printed.contains("`set`")).then_some(())
    })
    .await;
    assert_eq!(Call::post(&hook, &json!({})).send().await.is(200).json()["version"], "old");

    dev.setup().folder().write("flows/order.yaml", order("- one: { set: { version: mended } }", ANSWERING));
    until("the mended version", async || {
        let answer = Call::post(&hook, &json!({})).send().await;
        (answer.json()["version"] == "mended").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_new_file_is_served_too() {
    let mut dev = dev(&order("- one: { set: { a: 1 } }", ANSWERING)).await;
    dev.hook("shop/in").await;
    let second =
        together(&[&flow("second", "- one: { set: { second: true } }"), &hook("also", "second", ANSWERING)]);
    dev.setup().folder().write("flows/second.yaml", second);
    let hook = dev.hook("shop/also").await;
    assert_eq!(Call::post(&hook, &json!({})).send().await.is(200).json(), json!({ "second": true }));
}

#[tokio::test]
async fn what_the_files_hold_no_more_is_removed_and_the_audit_log_says_so() {
    let mut dev = dev(&order("- one: { set: { a: 1 } }", ANSWERING)).await;
    let hook = dev.hook("shop/in").await;
    dev.setup().folder().write("flows/order.yaml", flow("other", "- one: { set: { a: 2 } }"));
    until("the end of the address", async || {
        (Call::post(&hook, &json!({})).send().await.status == 404).then_some(())
    })
    .await;
    let entry = async |action: &str| {
        let log = dev.get(&format!("/api/v1/audit?action={action}")).await.is(200).json();
        let entry = log["items"][0].clone();
        (entry["actor"].clone(), entry["target"].clone(), entry["status"].clone())
    };
    let by_command_line = |target: &str, status: u16| (json!("command line"), json!(target), json!(status));
    until("the removed flow", async || (entry("RemoveFlow").await.2 == 204).then_some(())).await;
    assert_eq!(entry("RemoveTrigger").await, by_command_line("shop/in", 204));
    assert_eq!(entry("PutFlow").await, by_command_line("shop/other", 200));
}

#[tokio::test]
async fn the_state_is_kept_between_two_starts() {
    let mut first = dev(&order("- one: { set: { a: 1 } }", "{}")).await;
    let before = first.hook("shop/in").await;
    Call::post(&before, &json!({})).send().await.is(200);
    let (setup, output) = first.terminate().await;
    output.exited(0);
    assert!(setup.data().is_dir());
    let mut second = setup.start().await;
    let after = second.hook("shop/in").await;
    assert_eq!(before.rsplit('/').next(), after.rsplit('/').next());
    assert_eq!(second.runs("").await.len(), 1);
}

#[tokio::test]
async fn a_web_page_of_another_site_may_not_use_the_open_api() {
    let dev = dev(&order("- one: { set: { a: 1 } }", "{}")).await;
    dev.get("/api/v1/flows").await.is(200);
    dev.call("GET", "/api/v1/flows").header("origin", "https://evil.example").send().await.is(403);
    dev.call("GET", "/api/v1/flows").header("host", "evil.example").send().await.is(403);
}
