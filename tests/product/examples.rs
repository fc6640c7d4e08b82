//! The examples that ship with the product, each as its text is, with the stub in the place of the service it names.

use flowcell_tests::{Call, Given, Server, Stub};
use serde_json::{Value, json};

use crate::FLOWCELL;
use crate::documents::local;

/// The example with the stub for this host.
async fn example(name: &str, host: &str, stub: &Stub) -> Server {
    let path = format!("{}/../runtime/examples/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("an example");
    assert!(text.contains(&format!("https://{host}")), "{name} names {host}");
    let text = text.replace(&format!("https://{host}"), &stub.url());
    FLOWCELL.serve().config(local("")).file("example.yaml", text).start().await
}

async fn put(server: &Server, path: &str, document: Value) {
    let answer = server.call("PUT", &format!("/api/v1/{path}")).json(&document).send().await;
    assert!(answer.status < 300, "{}", answer.text());
}

#[tokio::test]
async fn every_example_is_valid() {
    let folder = format!("{}/../runtime/examples", env!("CARGO_MANIFEST_DIR"));
    FLOWCELL.command(["check", &folder]).output().await.exited(0);
}

/// Auth0: a request with a bearer connection.
#[tokio::test]
async fn a_request_authenticates_with_a_connection() {
    let stub = Stub::start().await;
    stub.always("/users/u-1", Given::json(200, &json!({ "id": "u-1" })));
    let server = example("request-with-connection", "crm.example.com", &stub).await;
    put(
        &server,
        "connections/crm-api",
        json!({ "hosts": ["127.0.0.1"], "bearer": { "token": "t0k3n-of-crm" } }),
    )
    .await;
    let run = server.run("sign-up/update-profile", &json!({ "user": "u-1", "plan": "gold" })).await;
    assert_eq!(run["output"], json!({ "updated": "u-1", "status": 200 }), "{run}");
    let seen = &stub.seen("/users/u-1")[0];
    assert_eq!((seen.method.as_str(), seen.header("authorization")), ("PATCH", "Bearer t0k3n-of-crm"));
    assert_eq!(seen.json(), json!({ "plan": "gold" }));
    assert!(!run.to_string().contains("t0k3n-of-crm"));
    let wrong = server.run("sign-up/update-profile", &json!({ "user": "u-1" })).await;
    assert_eq!(wrong["status"], "faulted");
}

/// Level: a request with retries, a condition and an output variable.
#[tokio::test]
async fn a_request_is_made_on_a_condition_and_retried_and_its_answer_is_a_variable() {
    let stub = Stub::start().await;
    let path = "/v1/tickets";
    stub.next(path, Given::status(503).header("retry-after", "0"))
        .next(path, Given::json(201, &json!({ "number": 42 })));
    let server = example("request-with-retries", "tickets.example.com", &stub).await;
    let run = server.run("helpdesk/open-ticket", &json!({ "device": "nas", "severity": "critical" })).await;
    assert_eq!(run["output"], json!({ "device": "nas", "ticket": 42 }), "{run}");
    let seen = stub.seen(path);
    assert_eq!((seen.len(), seen[0].header("idempotency-key")), (2, seen[1].header("idempotency-key")));
    let run = server.run("helpdesk/open-ticket", &json!({ "device": "nas", "severity": "low" })).await;
    assert_eq!(run["output"], json!({ "device": "nas", "ticket": "none was needed" }));
    assert_eq!((&run["steps"][0]["status"], stub.seen(path).len()), (&json!("skipped"), 2));
}

/// Gladys: a scene that is run by hand and makes one POST; the key is nowhere in the history.
#[tokio::test]
async fn a_scene_makes_one_post_and_its_key_is_masked() {
    let stub = Stub::start().await;
    let server = example("scene", "maker.example.com", &stub).await;
    put(&server, "secrets/maker-key", json!({ "value": "k3y-of-maker", "hosts": ["127.0.0.1"] })).await;
    let run = server.run("home/good-night", &json!({})).await;
    assert_eq!(run["status"], "completed", "{run}");
    let seen = stub.all();
    let [post] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!(
        (post.method.as_str(), post.path.as_str()),
        ("POST", "/trigger/good_night/with/key/k3y-of-maker")
    );
    assert_eq!(post.json(), json!({ "value1": "bedroom", "value2": "22:30" }));
    assert_eq!(
        (&run["steps"][0]["input"]["url"], &run["steps"][0]["output"]["url"]),
        (&json!("***"), &json!("***"))
    );
    assert!(!run.to_string().contains("k3y-of-maker"));
}

/// NocoBase: an order with two answers.
#[tokio::test]
async fn an_order_gets_one_of_two_answers() {
    let stub = Stub::start().await;
    stub.always("/items/lamp", Given::json(200, &json!({ "left": 3 })));
    let mut server = example("order-webhook", "stock.example.com", &stub).await;
    let url = server.hook("shop/orders-in").await;
    let order = |count: u32| Call::post(&url, &json!({ "item": "lamp", "count": count }));
    assert_eq!(order(2).send().await.is(200).json(), json!({ "ok": true, "item": "lamp" }));
    let reserved = stub.wait_for("/items/lamp/reservations", 1).await;
    assert_eq!(reserved[0].json(), json!({ "count": 2 }));
    assert_eq!(order(4).send().await.is(422).json(), json!({ "ok": false, "left": 3 }));
    Call::post(&url, &json!({ "item": "lamp" })).send().await.problem(400);
    Call::get(&url).send().await.problem(405);
    assert_eq!(stub.seen("/items/lamp/reservations").len(), 1);
}

/// Azure: an approval, through kill -9.
#[tokio::test]
async fn an_approval_is_waited_for_through_a_crash() {
    let stub = Stub::start().await;
    stub.always("/requests", Given::json(201, &json!({ "id": 7 })));
    let server = example("approval", "approvals.example.com", &stub).await;
    let run = server.begin("office/approval", &json!({ "who": "Ada", "where": "Turin" })).await;
    let asked = stub.wait_for("/requests", 1).await[0].json();
    assert_eq!(asked["text"], "May Ada travel to Turin?");
    server.wait_for(&run, "suspended").await;
    let old = server.url().to_owned();
    let server = server.kill9().await.start().await;
    let callback = asked["callback"].as_str().expect("an address").replace(&old, server.url());
    Call::post(&callback, &json!({ "decision": "pending" })).send().await.is(202);
    server.wait_for(&run, "suspended").await;
    Call::post(&callback, &json!({ "decision": "approved", "by": "Grace" })).send().await.is(202);
    let run = server.wait_for(&run, "completed").await;
    assert_eq!(run["output"], json!({ "approved": true, "by": "Grace" }));
    assert_eq!(stub.wait_for("/requests/7", 1).await[0].method, "DELETE");
}
