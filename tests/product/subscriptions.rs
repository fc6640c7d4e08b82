//! The trigger `http-webhook`: it subscribes when it is switched on, starts a run for each call, and unsubscribes.

use flowcell_tests::{Call, Gate, Given, Seen, Server, Setup, Stub, until};
use serde_json::{Value, json};

use crate::FLOWCELL;
use crate::documents::{at, echo, local};

const PATH: &str = "/api/v1/triggers/shop/news";

/// The trigger `shop/news`, which subscribes to this topic.
fn trigger(stub: &Stub, topic: &str) -> String {
    let text = "
trigger: news
namespace: shop
uses: http-webhook:1.0.0@default
flow: echo
with:
  subscribe: { method: POST, url: STUB/subs, body: { to: '${ $task.callback.url }', topic: TOPIC } }
  unsubscribe: { method: DELETE, url: 'STUB/subs/{{ subscribe.body.id }}' }
";
    at(stub, text).replace("TOPIC", topic)
}

fn setup(stub: &Stub) -> Setup {
    stub.always("/subs", Given::json(201, &json!({ "id": "s7" })));
    // The address stays through a restart, on whichever port that is.
    let config = format!("public_url = \"http://hooks.localhost\"\n{}", local(""));
    FLOWCELL.serve().config(config).file("echo.yaml", echo())
}

async fn put(server: &Server, document: &str) -> flowcell_tests::Answer {
    server.call("PUT", PATH).body("application/yaml", document.to_owned()).send().await
}

/// Sends to the address that the other side was told, as if it were resolved.
async fn call_back(server: &Server, subscribed: &Seen, body: &Value) -> flowcell_tests::Answer {
    let told = subscribed.json();
    let path =
        told["to"].as_str().and_then(|url| url.strip_prefix("http://hooks.localhost")).unwrap_or_default();
    assert!(path.starts_with("/hooks/"), "{told}");
    Call::post(format!("{}{path}", server.url()), body).send().await
}

async fn subscriptions(server: &Server) -> Vec<Value> {
    let list = server.get("/api/v1/subscriptions").await.is(200).json();
    list["items"].as_array().cloned().unwrap_or_default()
}

fn calls(stub: &Stub) -> Vec<String> {
    let topic = |seen: &Seen| if seen.body.is_empty() { Value::Null } else { seen.json()["topic"].clone() };
    stub.all().iter().map(|seen| format!("{} {} {}", seen.method, seen.path, topic(seen))).collect()
}

#[tokio::test]
async fn a_trigger_subscribes_when_it_is_switched_on_and_unsubscribes_when_it_is_switched_off() {
    let stub = Stub::start().await;
    let server = setup(&stub).start().await;
    put(&server, &trigger(&stub, "a")).await.is(201);
    assert_eq!(calls(&stub), ["POST /subs \"a\""]);
    let subscribed = stub.all().remove(0);
    call_back(&server, &subscribed, &json!({ "n": 1 })).await.is(200);
    let run =
        server.wait_for(server.runs("flow=shop/echo").await[0]["id"].as_str().unwrap(), "completed").await;
    let event = &run["output"]["got"];
    assert_eq!((&event["body"], &event["trigger"]), (&json!({ "n": 1 }), &json!("shop/news")));
    assert_eq!(event["headers"]["content-type"], "application/json");

    // Nothing has changed.
    put(&server, &trigger(&stub, "a")).await.is(200);
    assert_eq!(stub.all().len(), 1);

    server.post(&format!("{PATH}/disable"), &json!({})).await.is(200);
    assert_eq!(calls(&stub)[1..], ["DELETE /subs/s7 null"]);
    call_back(&server, &subscribed, &json!({})).await.is(404);
    assert_eq!(subscriptions(&server).await, Vec::<Value>::new());

    server.post(&format!("{PATH}/enable"), &json!({})).await.is(200);
    put(&server, &trigger(&stub, "b")).await.is(200);
    server.call("DELETE", PATH).send().await.is(204);
    let expected = ["POST /subs \"a\"", "DELETE /subs/s7 null", "POST /subs \"b\"", "DELETE /subs/s7 null"];
    assert_eq!(calls(&stub)[2..], expected);
    assert_eq!(subscriptions(&server).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_subscription_that_fails_for_now_is_tried_again_under_one_key() {
    let stub = Stub::start().await;
    let server = setup(&stub).start().await;
    stub.next("/subs", Given::status(503)).next("/subs", Given::status(503));
    put(&server, &trigger(&stub, "a")).await.is(201);
    let seen = stub.seen("/subs");
    assert_eq!(seen.len(), 3);
    let key = |seen: &Seen| seen.header("idempotency-key").to_owned();
    assert!(!key(&seen[0]).is_empty() && seen.iter().all(|again| key(again) == key(&seen[0])));
    let [subscription] = &subscriptions(&server).await[..] else { panic!("one subscription") };
    assert_eq!((&subscription["status"], &subscription["attempts"]), (&json!("subscribed"), &json!(3)));
    assert_eq!(subscription["id"], key(&seen[0]));
}

#[tokio::test]
async fn a_subscription_that_is_refused_fails_the_switching_with_the_reason_and_leaves_what_was() {
    let stub = Stub::start().await;
    let server = setup(&stub).start().await;
    stub.next("/subs", Given::status(401));
    let problem = put(&server, &trigger(&stub, "a")).await.problem(502);
    assert_eq!(problem["title"], "the trigger could not be switched on");
    assert!(problem["detail"].as_str().unwrap().contains("/subs answered with status 401"), "{problem}");
    server.get(PATH).await.is(404);
    assert_eq!(subscriptions(&server).await, Vec::<Value>::new());

    put(&server, &trigger(&stub, "a")).await.is(201);
    stub.next("/subs", Given::status(401));
    put(&server, &trigger(&stub, "b")).await.problem(502);
    // The old one was ended first, and is made anew.
    until("the old subscription", async || {
        let all = subscriptions(&server).await;
        (all.len() == 1 && all[0]["status"] == "subscribed").then_some(())
    })
    .await;
    let expected = ["POST /subs \"a\"", "DELETE /subs/s7 null", "POST /subs \"b\"", "POST /subs \"a\""];
    assert_eq!(calls(&stub)[1..], expected);
    call_back(&server, &stub.all()[4], &json!({ "n": 1 })).await.is(200);
}

#[tokio::test]
async fn an_unsubscribe_that_fails_is_tried_again_and_shown() {
    let stub = Stub::start().await;
    let server = setup(&stub).start().await;
    put(&server, &trigger(&stub, "a")).await.is(201);
    stub.next("/subs/s7", Given::status(503)).next("/subs/s7", Given::status(400));
    server.call("DELETE", PATH).send().await.is(204);
    server.get(PATH).await.is(404);
    let [failing] = &subscriptions(&server).await[..] else { panic!("one subscription") };
    assert_eq!((&failing["status"], &failing["trigger"]), (&json!("unsubscribing"), &json!("shop/news")));
    assert_eq!(failing["problem"]["status"], 503, "{failing}");
    stub.wait_for("/subs/s7", 2).await;

    // Nobody need wait for what will not succeed.
    let id = failing["id"].as_str().unwrap_or_default().to_owned();
    let shown = until("the second failure", async || {
        let shown = subscriptions(&server).await.remove(0);
        (shown["problem"]["status"] == 400).then_some(shown)
    })
    .await;
    assert_eq!(shown["attempts"], 2, "{shown}");
    let data = server.setup().data();
    let list = |arguments: &'static [&'static str]| {
        let command = FLOWCELL.command(["triggers", "subscriptions"]).arg("--data").arg(&data);
        arguments.iter().fold(command, |command, argument| command.arg(argument))
    };
    list(&[]).output().await.exited(0).says(&["unsubscribing", "shop/news", "status 400"]);
    list(&["--forget"]).arg(&id).output().await.exited(0);
    assert_eq!(subscriptions(&server).await, Vec::<Value>::new());
    list(&["--forget"]).arg(&id).output().await.exited(1).says(&["there is no subscription", "fails to end"]);
}

#[tokio::test]
async fn a_host_that_dies_while_it_subscribes_leaves_nothing_behind() {
    let stub = Stub::start().await;
    let server = setup(&stub).start().await;
    let gate = Gate::new();
    stub.next("/subs", Given::json(201, &json!({ "id": "s1" })).behind(&gate));
    let request = server.call("PUT", PATH).body("application/yaml", trigger(&stub, "a"));
    let request = tokio::spawn(request.try_send());
    stub.wait_for("/subs", 1).await;
    let setup = server.kill9().await;
    assert!(request.await.expect("no panic").is_err(), "nobody was told that it is deployed");
    gate.open();

    // Whether it had subscribed is found out under the same key; then it is ended, for nobody wants it.
    let server = setup.start().await;
    stub.wait_for("/subs/s7", 1).await;
    assert_eq!(calls(&stub), ["POST /subs \"a\"", "POST /subs \"a\"", "DELETE /subs/s7 null"]);
    let keys: Vec<String> = stub.all().iter().map(|seen| seen.header("idempotency-key").to_owned()).collect();
    assert_eq!((&keys[0], format!("{}-unsubscribe", keys[0])), (&keys[1], keys[2].clone()));
    until("the end of it", async || subscriptions(&server).await.is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_host_that_dies_while_it_unsubscribes_does_so_again() {
    let stub = Stub::start().await;
    let server = setup(&stub).start().await;
    put(&server, &trigger(&stub, "a")).await.is(201);
    let gate = Gate::new();
    stub.next("/subs/s7", Given::status(204).behind(&gate));
    let removal = tokio::spawn(server.call("DELETE", PATH).try_send());
    stub.wait_for("/subs/s7", 1).await;
    let setup = server.kill9().await;
    assert!(removal.await.expect("no panic").is_err(), "nobody was told that it is removed");
    gate.open();
    let server = setup.start().await;
    stub.wait_for("/subs/s7", 2).await;
    until("the end of it", async || subscriptions(&server).await.is_empty().then_some(())).await;
    server.get(PATH).await.is(404);
}

#[tokio::test]
async fn what_may_have_been_made_all_the_same_is_ended() {
    let stub = Stub::start().await;
    let server = setup(&stub).start().await;
    // An answer that does not say what became of it, and then the other side is gone for a while.
    stub.next("/subs", Given::status(500)).next("/subs", Given::status(401));
    put(&server, &trigger(&stub, "a")).await.problem(502);
    server.get(PATH).await.is(404);
    stub.wait_for("/subs/s7", 1).await;
    until("the end of it", async || subscriptions(&server).await.is_empty().then_some(())).await;
    let keys: Vec<String> =
        stub.seen("/subs").iter().map(|seen| seen.header("idempotency-key").to_owned()).collect();
    assert!(keys.len() == 3 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test]
async fn a_stop_waits_for_the_switching_that_is_under_way() {
    let stub = Stub::start().await;
    let mut server = setup(&stub).start().await;
    let gate = Gate::new();
    stub.next("/subs", Given::json(201, &json!({ "id": "s7" })).behind(&gate));
    let request = tokio::spawn(server.call("PUT", PATH).body("application/yaml", trigger(&stub, "a")).send());
    stub.wait_for("/subs", 1).await;
    server.process().terminate();
    until("the host to stop taking calls", async || {
        server
            .call("GET", "/readyz")
            .try_send()
            .await
            .map_or(true, |answer| answer.status == 503)
            .then_some(())
    })
    .await;
    gate.open();
    request.await.expect("no panic").is(201);
    let (setup, _) = server.ended().await;
    let server = setup.start().await;
    assert_eq!(subscriptions(&server).await[0]["status"], "subscribed");
    assert_eq!(stub.all().len(), 1);
}

#[tokio::test]
async fn a_restart_keeps_the_subscription_and_another_address_makes_another_one() {
    let stub = Stub::start().await;
    let server = setup(&stub).file("news.yaml", trigger(&stub, "a")).start().await;
    let subscribed = stub.wait_for("/subs", 1).await.remove(0);
    until("the subscription", async || {
        (subscriptions(&server).await[0]["status"] == "subscribed").then_some(())
    })
    .await;
    let server = server.kill9().await.start().await;
    call_back(&server, &subscribed, &json!({ "n": 2 })).await.is(200);
    assert_eq!(stub.all().len(), 1);

    let (setup, _) = server.terminate().await;
    let server =
        setup.config(format!("public_url = \"http://other.localhost\"\n{}", local(""))).start().await;
    let seen = stub.wait_for("/subs", 2).await;
    assert!(seen[1].json()["to"].as_str().unwrap().starts_with("http://other.localhost/hooks/"));
    stub.wait_for("/subs/s7", 1).await;
    until("one subscription", async || (subscriptions(&server).await.len() == 1).then_some(())).await;
}

#[tokio::test]
async fn who_is_asked_to_call_may_do_so_at_once() {
    let stub = Stub::start().await;
    let server = setup(&stub).start().await;
    let gate = Gate::new();
    stub.next("/subs", Given::json(201, &json!({ "id": "s7" })).behind(&gate));
    let request = server.call("PUT", PATH).body("application/yaml", trigger(&stub, "a"));
    let request = tokio::spawn(request.send());
    let subscribed = stub.wait_for("/subs", 1).await.remove(0);
    call_back(&server, &subscribed, &json!({ "n": 1 })).await.is(200);
    gate.open();
    request.await.expect("no panic").is(201);
    let run = server.runs("flow=shop/echo").await.remove(0);
    server.wait_for(run["id"].as_str().unwrap_or_default(), "completed").await;
}

#[tokio::test]
async fn a_mistake_is_named_with_its_place_and_nothing_is_sent() {
    let stub = Stub::start().await;
    let server = setup(&stub).start().await;
    let wrong = |from: &str, to: &str| trigger(&stub, "a").replace(from, to);
    let refusals = [
        (wrong("unsubscribe:", "unsubscribed:"), 400, "line 8, column 17: `with.unsubscribed`"),
        (wrong("$task.callback", "$workflow.callback"), 400, "unknown variable `$workflow`"),
        (wrong("subscribe.body.id", "body.id"), 400, "is a place in the answer to `subscribe`"),
    ];
    for (document, status, says) in refusals {
        let problem = put(&server, &document).await.problem(status);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
    assert_eq!(stub.all().len(), 0);
}
