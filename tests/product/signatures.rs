//! Signed webhooks, and events that come more than once.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowcell_tests::{Answer, Call, Given, Server, Stub};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::documents::{at, echo, flow, hook, serve};

async fn set(server: &Server, name: &str, value: &str) {
    let document = json!({ "value": value });
    let put = server.call("PUT", &format!("/api/v1/secrets/{name}")).json(&document).send().await;
    assert!(put.status < 300, "{}", put.text());
}

#[expect(clippy::disallowed_methods, reason = "the product under test has the machine's clock")]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}

fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
    ring::hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
}

/// A delivery as the Standard Webhooks have it.
async fn deliver(url: &str, (id, time): (&str, u64), signature: &str, body: &str) -> Answer {
    Call::new("POST", url)
        .header("webhook-id", id)
        .header("webhook-timestamp", &time.to_string())
        .header("webhook-signature", signature)
        .body("application/json", body.to_owned())
        .send()
        .await
}

/// The vector of GitHub's documentation: the body is not JSON.
#[tokio::test]
async fn the_vector_of_github_is_accepted_and_an_altered_byte_is_not() {
    let with =
        "{ auth: { signature: { scheme: github, secret: hub } }, accepts: [text], respond: { from: flow } }";
    let mut server = serve(&[&echo(), &hook("in", "echo", with)]).await;
    set(&server, "hub", "It's a Secret to Everybody").await;
    let url = server.hook("shop/in").await;
    let send = async |body: &'static str, signature: &str| {
        let call = Call::new("POST", &url).header("x-hub-signature-256", signature).body("text/plain", body);
        call.send().await
    };
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(send("Hello, World!", signature).await.is(200).json()["got"]["body"], "Hello, World!");
    send("Hello, World?", signature).await.is(401);
    send("Hello, World!", &signature.replace("757", "758")).await.is(401);
    let unsigned = Call::new("POST", &url).body("text/plain", "Hello, World!").send().await.is(401);
    assert_eq!(unsigned.header("www-authenticate"), "");
    assert_eq!(server.runs("").await.len(), 1);
}

#[tokio::test]
async fn standard_webhooks_are_accepted_by_hmac_and_by_ed25519_with_old_and_new_secrets() {
    let with = "{ auth: { signature: { scheme: standard-webhooks, secret: [old, new, public] } } }";
    let mut server = serve(&[&echo(), &hook("in", "echo", with)]).await;
    let pair = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
    set(&server, "old", &format!("whsec_{}", STANDARD.encode("the old key of this shop"))).await;
    set(&server, "new", &format!("whsec_{}", STANDARD.encode("the new key of this shop"))).await;
    set(&server, "public", &format!("whpk_{}", STANDARD.encode(pair.public_key()))).await;
    let url = server.hook("shop/in").await;
    let body = r#"{"type": "order.paid"}"#;
    let signed = |id: &str, time: u64, key: &str| {
        format!("v1,{}", STANDARD.encode(hmac(key.as_bytes(), &format!("{id}.{time}.{body}"))))
    };
    let time = now();
    let by_old = signed("msg_1", time, "the old key of this shop");
    let by_new = signed("msg_2", time, "the new key of this shop");
    let by_pair = format!("v1a,{}", STANDARD.encode(pair.sign(format!("msg_3.{time}.{body}").as_bytes())));
    deliver(&url, ("msg_1", time), &by_old, body).await.is(200);
    deliver(&url, ("msg_2", time), &by_new, body).await.is(200);
    deliver(&url, ("msg_3", time), &by_pair, body).await.is(200);
    deliver(&url, ("msg_4", time), &signed("msg_4", time, "another key"), body).await.is(401);
    deliver(&url, ("msg_1", time), &by_old, r#"{"type": "order.void"}"#).await.is(401);
    let stale = time - 301;
    deliver(&url, ("msg_5", stale), &signed("msg_5", stale, "the new key of this shop"), body).await.is(401);
    // The vector of the specification: right, and years old.
    let vector = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    set(&server, "new", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").await;
    deliver(&url, ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330), vector, r#"{"test": 2432232314}"#)
        .await
        .is(401);
    assert_eq!(server.runs("").await.len(), 3);
}

/// What everybody knows signs nothing: a public key is not taken for the key of an HMAC.
#[tokio::test]
async fn a_public_key_signs_nothing() {
    let with = "{ auth: { signature: { scheme: standard-webhooks, secret: public } } }";
    let mut server = serve(&[&echo(), &hook("in", "echo", with)]).await;
    let pair = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
    set(&server, "public", &format!("whpk_{}", STANDARD.encode(pair.public_key()))).await;
    let url = server.hook("shop/in").await;
    let time = now();
    let forged = hmac(pair.public_key().as_ref(), &format!("msg_1.{time}.{{}}"));
    let answer = deliver(&url, ("msg_1", time), &format!("v1,{}", STANDARD.encode(forged)), "{}").await;
    assert!(answer.status >= 400, "{}", answer.text());
    assert!(server.runs("").await.is_empty());
}

fn dedupe(respond: &str) -> String {
    format!("{{ dedupe: {{ key: {{ header: x-event }}, window: PT1H }}, respond: {respond} }}")
}

async fn send(url: &str, event: &str, body: &Value) -> Answer {
    Call::post(url, body).header("x-event", event).send().await
}

#[tokio::test]
async fn an_event_that_comes_again_starts_nothing_and_gets_the_first_answer() {
    let stub = Stub::start().await;
    stub.next("/n", Given::json(200, &json!({ "n": 1 }))).next("/n", Given::json(200, &json!({ "n": 2 })));
    let asks = flow("ask", "- ask: { call: http, with: { method: get, endpoint: STUB/n } }");
    let mut server = serve(&[&at(&stub, &asks), &hook("in", "ask", &dedupe("{ from: flow }"))]).await;
    let url = server.hook("shop/in").await;
    for _ in 0..2 {
        assert_eq!(send(&url, "e1", &json!({})).await.is(200).json(), json!({ "n": 1 }));
    }
    assert_eq!(send(&url, "e2", &json!({})).await.is(200).json(), json!({ "n": 2 }));
    // After a crash as well.
    let mut server = server.kill9().await.start().await;
    let url = server.hook("shop/in").await;
    assert_eq!(send(&url, "e1", &json!({})).await.is(200).json(), json!({ "n": 1 }));
    assert_eq!((server.runs("").await.len(), stub.seen("/n").len()), (2, 2));
    // What has no key is like nothing else.
    Call::post(&url, &json!({})).send().await.is(200);
    Call::post(&url, &json!({})).send().await.is(200);
    assert_eq!(server.runs("").await.len(), 4);
}

#[tokio::test]
async fn duplicates_at_the_same_time_get_the_answer_of_the_one_that_was_first() {
    let stub = Stub::start().await;
    let gate = flowcell_tests::Gate::new();
    stub.next("/n", Given::json(200, &json!({ "n": 1 })).behind(&gate));
    let asks = flow("ask", "- ask: { call: http, with: { method: get, endpoint: STUB/n } }");
    let mut server = serve(&[&at(&stub, &asks), &hook("in", "ask", &dedupe("{ from: flow }"))]).await;
    let url = server.hook("shop/in").await;
    let body = json!({});
    let opens = async {
        stub.wait_for("/n", 1).await;
        gate.open();
    };
    let all = async {
        tokio::join!(
            send(&url, "e", &body),
            send(&url, "e", &body),
            send(&url, "e", &body),
            send(&url, "e", &body)
        )
    };
    let ((a, b, c, d), ()) = tokio::join!(all, opens);
    for answer in [a, b, c, d] {
        assert_eq!(answer.is(200).json(), json!({ "n": 1 }));
    }
    assert_eq!((server.runs("").await.len(), stub.seen("/n").len()), (1, 1));
}

#[tokio::test]
async fn duplicates_that_are_answered_at_once_start_one_run_however_many_come() {
    let mut server =
        serve(&[&echo(), &hook("in", "echo", &dedupe("{ from: at-once, status: 202, body: taken }"))]).await;
    let url = server.hook("shop/in").await;
    let mut sending = tokio::task::JoinSet::new();
    for number in 0..60 {
        let (url, body) = (url.clone(), json!({ "n": number }));
        sending.spawn(async move { send(&url, &format!("e{}", number % 3), &body).await });
    }
    while let Some(answer) = sending.join_next().await {
        assert_eq!(answer.unwrap().is(202).text(), "taken");
    }
    assert_eq!(server.runs("").await.len(), 3);
}

/// The answer of a flow that says it itself, and what became of one that failed.
#[tokio::test]
async fn the_first_answer_is_given_again_whatever_it_was() {
    let answers = flow(
        "answers",
        "- choose: { switch: [ { bad: { when: '${ .body.bad }', then: fails } }, { good: { then: says } } ] }\n\
         - says: { call: 'respond:1.0.0@default', with: { status: 201, headers: { x-a: b }, body: { id: '${ .body.id }' } }, then: end }\n\
         - fails: { raise: { error: { type: 'https://serverlessworkflow.io/spec/1.0.0/errors/validation', status: 400, title: no } } }",
    );
    let mut server = serve(&[&answers, &hook("in", "answers", &dedupe("{ from: flow }"))]).await;
    let url = server.hook("shop/in").await;
    for _ in 0..2 {
        let answer = send(&url, "good", &json!({ "id": 7 })).await.is(201);
        assert_eq!((answer.header("x-a"), answer.json()), ("b", json!({ "id": 7 })));
        send(&url, "bad", &json!({ "bad": true })).await.problem(400);
    }
    assert_eq!(server.runs("").await.len(), 2);
}

#[tokio::test]
async fn a_body_is_judged_by_its_schema_and_pages_by_their_origin() {
    let with = "{ schema: { type: object, required: [id] }, cors: { origins: ['https://shop.example.com'] }, respond: { from: flow } }";
    let mut server = serve(&[&echo(), &hook("in", "echo", with)]).await;
    let url = server.hook("shop/in").await;
    let call = |body: &Value| Call::post(&url, body).header("origin", "https://shop.example.com");
    let refused = call(&json!({})).send().await;
    assert_eq!(refused.header("access-control-allow-origin"), "https://shop.example.com");
    let problem = refused.problem(400);
    assert!(problem["detail"].as_str().unwrap().contains("\"id\" is a required property"), "{problem}");
    let started = call(&json!({ "id": 1 })).send().await.is(200);
    assert_eq!(started.header("access-control-allow-origin"), "https://shop.example.com");
    let asked = Call::new("OPTIONS", &url)
        .header("origin", "https://shop.example.com")
        .header("access-control-request-method", "POST");
    assert_eq!(asked.send().await.is(204).header("access-control-allow-methods"), "POST");
    let wrong = hook("in", "echo", "{ schema: { type: objekt } }");
    let put = server.call("PUT", "/api/v1/triggers/shop/in").body("application/yaml", wrong).send().await;
    let problem = put.problem(400);
    assert!(
        problem["detail"].as_str().unwrap().contains("`with.schema`: this is not a usable JSON Schema"),
        "{problem}"
    );
}

/// The first caller did not wait long enough for it.
#[tokio::test]
async fn an_answer_that_came_too_late_is_given_to_who_asks_again() {
    let stub = Stub::start().await;
    let gate = flowcell_tests::Gate::new();
    stub.next("/n", Given::json(200, &json!({ "n": 1 })).behind(&gate));
    let answers = flow(
        "answers",
        "- ask: { call: http, with: { method: get, endpoint: STUB/n } }\n\
         - says: { call: 'respond:1.0.0@default', with: { status: 201, body: { said: '${ .n }' } } }\n\
         - after: { set: { internal: true } }",
    );
    let with = dedupe("{ from: flow, within: PT0.2S }");
    let mut server = serve(&[&at(&stub, &answers), &hook("in", "answers", &with)]).await;
    let url = server.hook("shop/in").await;
    let late = send(&url, "e1", &json!({})).await.problem(504);
    gate.open();
    let run = late["run"].as_str().or(late["data"]["run"].as_str()).expect("the run is named").to_owned();
    server.wait_for(&run, "completed").await;
    let again = send(&url, "e1", &json!({})).await.is(201);
    assert_eq!(again.json(), json!({ "said": 1 }));
    assert_eq!((server.runs("").await.len(), stub.seen("/n").len()), (1, 1));
}
