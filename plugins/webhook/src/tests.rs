//! Every rule of the trigger, against the mock host: JSON in, JSON out, as the host calls it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowcell_sdk::secret::Algorithm;
use flowcell_sdk::testing::{MockHost, proof};

use super::*;

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

/// The verdict on a POST with this configuration.
fn post(config: Value, headers: &[(&str, &str)], body: &str) -> Value {
    MockHost::new()
        .with_trigger("shop/orders-in")
        .with_inbound("POST", "/", headers, body)
        .receive::<Plugin>("webhook", config)
        .unwrap()
}

/// The status of the refusal of this verdict, its headers and its detail.
fn refusal(verdict: &Value) -> (u64, &Value, &str) {
    let answer = &verdict["answer"];
    assert_eq!(answer["headers"]["content-type"], "application/problem+json", "{verdict}");
    assert_eq!(answer["body"]["status"], answer["status"]);
    (answer["status"].as_u64().unwrap(), &answer["headers"], answer["body"]["detail"].as_str().unwrap())
}

/// Why this configuration cannot be switched on.
fn refused_config(config: Value) -> String {
    let host = MockHost::new();
    let problem = host.enable::<Plugin>("webhook", config.clone()).unwrap_err();
    let same = host.receive::<Plugin>("webhook", config).unwrap_err();
    assert_eq!((problem.status(), &problem), (400, &same));
    problem.detail_text().to_owned()
}

#[test]
fn a_post_with_json_starts_a_run_and_is_answered_at_once() {
    let verdict =
        post(json!({}), &[("Content-Type", "application/json"), ("X-A", "1"), ("x-a", "2")], r#"{"id":7}"#);
    assert_eq!(
        verdict,
        json!({
            "start": {
                "event": {
                    "method": "POST",
                    "path": "/",
                    "query": {},
                    "headers": { "content-type": "application/json", "x-a": ["1", "2"] },
                    "body": { "id": 7 },
                    "trigger": "shop/orders-in",
                },
            },
            "respond": { "from": "at-once", "status": 200, "headers": {}, "body": "ok" },
        })
    );
}

#[test]
fn path_and_query_are_in_the_event() {
    let verdict = MockHost::new()
        .with_inbound("POST", "/a/b?x=1&y=a%20b&x=2&flag", JSON, "[]")
        .receive::<Plugin>("webhook", json!({}))
        .unwrap();
    let event = &verdict["start"]["event"];
    assert_eq!(event["path"], "/a/b");
    assert_eq!(event["query"], json!({ "x": ["1", "2"], "y": "a b", "flag": "" }));
}

#[test]
fn other_methods_get_405_and_the_allowed_ones() {
    for method in ["GET", "PUT", "DELETE", "post"] {
        let host = MockHost::new().with_inbound(method, "/", JSON, "{}");
        let verdict = host.receive::<Plugin>("webhook", json!({})).unwrap();
        let (status, headers, _) = refusal(&verdict);
        assert_eq!((status, &headers["allow"]), (405, &json!("POST")));
    }
    let host = MockHost::new().with_inbound("PATCH", "/", JSON, "{}");
    let verdict = host.receive::<Plugin>("webhook", json!({ "methods": ["GET", "PUT"] })).unwrap();
    assert_eq!(refusal(&verdict).1["allow"], "GET, PUT");
}

#[test]
fn listed_methods_start_runs_and_need_no_body() {
    let host = MockHost::new().with_inbound("GET", "/?a=1", JSON, "");
    let verdict = host.receive::<Plugin>("webhook", json!({ "methods": ["GET"] })).unwrap();
    assert_eq!(
        (&verdict["start"]["event"]["method"], &verdict["start"]["event"]["body"]),
        (&json!("GET"), &Value::Null)
    );
}

#[test]
fn missing_or_wrong_credentials_get_401_and_the_right_ones_stay_out_of_the_event() {
    let config = json!({ "auth": { "basic": { "username": "u", "password": "p" } } });
    for wrong in [None, Some("Basic dTpx"), Some("Basic !"), Some("Bearer dTpw"), Some("Basic"), Some("")] {
        let mut headers = JSON.to_vec();
        headers.extend(wrong.map(|value| ("authorization", value)));
        let verdict = post(config.clone(), &headers, "{}");
        let (status, headers, _) = refusal(&verdict);
        assert_eq!(
            (status, &headers["www-authenticate"]),
            (401, &json!("Basic realm=\"webhook\", charset=\"UTF-8\""))
        );
    }
    let verdict =
        post(config, &[("content-type", "application/json"), ("Authorization", "basic dTpw")], "{}");
    assert_eq!(verdict["start"]["event"]["headers"], json!({ "content-type": "application/json" }));
}

#[test]
fn credentials_that_nobody_asked_for_are_handed_on() {
    let verdict = post(json!({ "auth": "none" }), &[("authorization", "Bearer x")], "{}");
    assert_eq!(verdict["start"]["event"]["headers"]["authorization"], "Bearer x");
}

#[test]
fn json_types_are_read_and_others_get_415() {
    for media in ["application/json; charset=utf-8", "application/cloudevents+json", "APPLICATION/JSON"] {
        assert_eq!(post(json!({}), &[("content-type", media)], "[1]")["start"]["event"]["body"], json!([1]));
    }
    assert_eq!(post(json!({}), &[], "[1]")["start"]["event"]["body"], json!([1]));
    for media in ["text/plain", "application/x-www-form-urlencoded", "application/xml"] {
        let verdict = post(json!({}), &[("content-type", media)], "{}");
        assert_eq!(refusal(&verdict).0, 415, "{media}");
    }
}

#[test]
fn broken_json_gets_400_with_its_place() {
    let verdict = post(json!({}), JSON, "{\n  \"a\": }");
    assert_eq!(
        (refusal(&verdict).0, refusal(&verdict).2),
        (400, "the body is not JSON: expected value at line 2, column 8")
    );
    for body in ["{", "{} {}", "nul", "[1e999]", "\u{feff}{}"] {
        assert_eq!(refusal(&post(json!({}), JSON, body)).0, 400, "{body}");
    }
    let deep = "[".repeat(500) + &"]".repeat(500);
    assert!(refusal(&post(json!({}), JSON, &deep)).2.contains("more than 100 levels"));
}

#[test]
fn a_body_is_never_empty_in_silence() {
    let verdict = post(json!({}), JSON, "");
    assert_eq!(
        (refusal(&verdict).0, refusal(&verdict).2),
        (400, "the body is empty, but its content type says JSON")
    );
    assert_eq!(post(json!({}), &[], "")["start"]["event"]["body"], Value::Null);
}

#[test]
fn the_answer_is_what_the_trigger_says() {
    let respond =
        json!({ "from": "at-once", "status": 202, "headers": { "X-A": "b" }, "body": { "queued": true } });
    let verdict = post(json!({ "respond": respond }), JSON, "{}");
    assert_eq!(
        verdict["respond"],
        json!({ "from": "at-once", "status": 202, "headers": { "x-a": "b" }, "body": { "queued": true } })
    );
    for (body, status) in [(json!(null), 200), (json!("thanks"), 201)] {
        let respond = json!({ "from": "at-once", "status": status, "body": body });
        assert_eq!(post(json!({ "respond": respond }), JSON, "{}")["respond"]["body"], body);
    }
    let empty = json!({ "from": "at-once", "status": 204 });
    assert_eq!(post(json!({ "respond": empty }), JSON, "{}")["respond"]["body"], Value::Null);
}

#[test]
fn the_answer_may_come_from_the_flow() {
    let within = |respond: Value| post(json!({ "respond": respond }), JSON, "{}")["respond"].clone();
    assert_eq!(within(json!({ "from": "flow" })), json!({ "from": "flow", "withinMs": 30_000 }));
    assert_eq!(
        within(json!({ "from": "flow", "within": "PT0.5S" })),
        json!({ "from": "flow", "withinMs": 500 })
    );
    assert_eq!(
        within(json!({ "from": "flow", "within": { "minutes": 2 } })),
        json!({ "from": "flow", "withinMs": 120_000 })
    );
}

#[test]
fn a_wrong_configuration_is_refused_with_advice() {
    for (config, advice) in [
        (json!({ "metods": ["POST"] }), "unknown key `metods`; did you mean `methods`?"),
        (
            json!({ "unique": {} }),
            "unknown key `unique`; known here: `methods`, `auth`, `respond`, `accepts`, `variables`, `onlyIf`, `schema`, `dedupe`, `cors`, `path`",
        ),
        (
            json!({ "auth": { "digest": {} } }),
            "`auth`: unknown value `digest`; known here: `none`, `basic`, `bearer`, `header`, `signature`",
        ),
        (
            json!({ "auth": { "basic": { "username": "u:", "password": "p" } } }),
            "`auth.basic.username` holds a colon, which Basic authentication cannot carry",
        ),
        (
            json!({ "path": "orders" }),
            "`path` can be guessed, so it needs `auth`; the minted address needs none",
        ),
        (
            json!({ "methods": [] }),
            "`methods` is empty, so nothing could start a run; list one, such as POST",
        ),
        (
            json!({ "methods": ["post"] }),
            "`methods`: `post` is unknown; known are GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        ),
        (
            json!({ "respond": { "from": "flo" } }),
            "`respond.from`: unknown value `flo`; did you mean `flow`?",
        ),
        (
            json!({ "respond": { "from": "flow", "status": 200 } }),
            "`respond`: status, headers and body come from the flow; leave them out, or say `from: at-once`",
        ),
        (
            json!({ "respond": { "from": "flow", "within": "PT0S" } }),
            "`respond.within` is zero; give a time such as PT30S",
        ),
        (
            json!({ "respond": { "from": "at-once", "within": "PT1S" } }),
            "`respond.within` belongs to `from: flow`; an answer at once waits for nothing",
        ),
        (
            json!({ "respond": { "from": "at-once", "status": 199 } }),
            "`respond.status` is 199; it must be from 200 to 599",
        ),
        (
            json!({ "respond": { "from": "at-once", "headers": { "a b": "x" } } }),
            "`respond.headers`: \"a b\" is no name of a header",
        ),
        (
            json!({ "respond": { "from": "at-once", "headers": { "a": "x\r\ny: z" } } }),
            "`respond.headers`: the value of `a` holds a line break or another control character",
        ),
        (
            json!({ "respond": { "from": "at-once", "headers": { "Content-Length": "0" } } }),
            "`respond.headers`: `content-length` is written by the host, which frames the answer; leave it out",
        ),
        (
            json!({ "auth": { "basic": { "username": "u" } } }),
            "`auth.basic` needs both of `username` and `password`, or a `secret`",
        ),
        (
            json!({ "auth": { "bearer": { "token": "t", "secret": "s" } } }),
            "`auth.bearer` is written out and names a `secret`: leave one out",
        ),
        (
            json!({ "auth": { "header": { "name": "x-key" } } }),
            "`auth.header` is not complete: write it out, or name a `secret`",
        ),
        (
            json!({ "auth": { "signature": { "secret": "s" } } }),
            "`auth.signature` needs a `scheme`, or the `header` with the signature",
        ),
        (
            json!({ "auth": { "signature": { "scheme": "github", "secret": "s", "tolerance": "PT1M" } } }),
            "`auth.signature.tolerance`: github signs no time; leave it out",
        ),
        (
            json!({ "auth": { "signature": { "scheme": "stripe", "secret": "s", "prefix": "v1=" } } }),
            "`auth.signature`: `scheme` says where the signature stands and how it is made; leave `header`, `algorithm`, `encoding` and `prefix` out",
        ),
        (
            json!({ "auth": { "signature": { "scheme": "stripe", "secret": [] } } }),
            "`auth.signature.secret` is empty: name a secret",
        ),
        (
            json!({ "dedupe": { "key": { "header": "a b" } } }),
            "`dedupe.key.header`: \"a b\" is no name of a header",
        ),
        (
            json!({ "cors": { "origins": ["*"], "headers": ["x a"] } }),
            "`cors.headers`: \"x a\" is no name of a header",
        ),
        (
            json!({ "dedupe": { "key": ".id", "window": "PT0S" } }),
            "`dedupe.window` is zero; give a time such as PT10M",
        ),
        (
            json!({ "cors": { "origins": ["https://shop.example.com/"] } }),
            "`cors.origins`: `https://shop.example.com/` is no origin: write scheme, host and port alone, such as https://shop.example.com, or `*`",
        ),
    ] {
        assert_eq!(refused_config(config.clone()), advice, "{config}");
    }
}

#[test]
fn switching_on_and_off_leaves_no_state() {
    let host = MockHost::new();
    let config = json!({ "path": "orders", "auth": { "basic": { "username": "u", "password": "p" } } });
    assert_eq!(host.enable::<Plugin>("webhook", config.clone()), Ok(Vec::new()));
    assert_eq!(host.disable::<Plugin>("webhook", config, &[]), Ok(()));
}

#[test]
fn the_schema_is_that_of_what_is_written() {
    use flowcell_sdk::Exports as _;
    let descriptor: Value = serde_json::from_str(&Plugin::describe()).unwrap();
    assert_eq!((&descriptor["name"], &descriptor["version"]), (&json!("webhook"), &json!("1.0.0")));
    let trigger = &descriptor["triggers"][0];
    assert_eq!(
        (&trigger["name"], &trigger["config"]["additionalProperties"]),
        (&json!("webhook"), &json!(false))
    );
    assert_eq!(
        trigger["config"]["properties"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<std::collections::BTreeSet<_>>(),
        ["accepts", "auth", "cors", "dedupe", "methods", "onlyIf", "path", "respond", "schema", "variables"]
            .iter()
            .map(|key| (*key).to_owned())
            .collect::<Vec<_>>()
            .iter()
            .collect()
    );
    assert!(
        trigger["event"]["properties"]["body"].is_boolean()
            || trigger["event"]["properties"]["body"].is_object()
    );
}

#[test]
fn a_bearer_token_or_a_header_may_show_who_calls() {
    let bearer = json!({ "auth": { "bearer": { "token": "s3cret" } } });
    let header = json!({ "auth": { "header": { "name": "X-Key", "value": "s3cret" } } });
    let asks =
        |config: &Value, name: &str, value: &str| post(config.clone(), &[JSON[0], (name, value)], "{}");
    for (config, name, right, wrong) in [
        (&bearer, "authorization", "Bearer s3cret", ["Bearer other", "Basic s3cret", "s3cret", ""]),
        (&header, "x-key", "s3cret", ["S3cret", "s3cret ", "s3", ""]),
    ] {
        let event = &asks(config, name, right)["start"]["event"];
        assert!(event["headers"].get(name).is_none() && event["body"].is_object(), "{event}");
        for wrong in wrong {
            assert_eq!(refusal(&asks(config, name, wrong)).0, 401, "{name}: {wrong}");
        }
    }
    let refused = post(bearer, JSON, "{}");
    assert_eq!(refusal(&refused).1["www-authenticate"], "Bearer realm=\"webhook\"");
    let refused = post(header, JSON, "{}");
    assert!(refusal(&refused).1.get("www-authenticate").is_none());
    assert!(refused_config(json!({ "auth": { "bearer": { "token": "" } } })).contains("is empty"));
    assert!(
        refused_config(json!({ "auth": { "header": { "name": "a b", "value": "x" } } }))
            .contains("no name of a header")
    );
}

#[test]
fn other_bodies_are_read_where_they_are_accepted() {
    let body = |accepts: Value, content_type: &str, body: &str| {
        post(json!({ "accepts": accepts }), &[("content-type", content_type)], body)
    };
    let event = |verdict: Value| verdict["start"]["event"]["body"].clone();
    let form = "application/x-www-form-urlencoded";
    assert_eq!(event(body(json!(["form"]), form, "a=1&b=x%20y&a=2")), json!({ "a": ["1", "2"], "b": "x y" }));
    assert_eq!(event(body(json!(["xml"]), "application/soap+xml", "<a/>")), "<a/>");
    assert_eq!(event(body(json!(["json", "text"]), "text/plain; charset=utf-8", "hello")), "hello");
    assert_eq!(event(body(json!(["json", "text"]), "application/json", "[1]")), json!([1]));
    let refused = body(json!(["json", "form"]), "text/plain", "hello");
    assert_eq!(
        (refusal(&refused).0, refusal(&refused).2),
        (
            415,
            "the body is text/plain; this address takes application/json, application/x-www-form-urlencoded"
        )
    );
    assert!(refused_config(json!({ "accepts": [] })).contains("`accepts` is empty"));
}

#[test]
fn the_event_may_be_what_is_listed_and_only_some_start_a_run() {
    let config = json!({
        "variables": [{ "from": "body", "path": "b.c", "as": "c" }, { "from": "headers", "path": "X-Id", "as": "id" }],
        "onlyIf": ".c > 5",
    });
    let judge = |body: &str| {
        MockHost::new()
            .with_expression(".c > 5", |event| json!(event["c"].as_u64() > Some(5)))
            .with_inbound("POST", "/", &[JSON[0], ("x-id", "7")], body)
            .receive::<Plugin>("webhook", config.clone())
            .unwrap()
    };
    assert_eq!(
        judge(r#"{"b":{"c":6}}"#)["start"]["event"],
        json!({ "c": 6, "id": "7", "trigger": "default/test" })
    );
    let ignored = judge(r#"{"b":{"c":5}}"#);
    assert!(ignored.get("start").is_none() && ignored["answer"]["status"] == 200, "{ignored}");
    assert!(refused_config(json!({ "variables": [{ "from": "body" }] })).contains("nothing names it"));
}

#[test]
fn an_expression_that_fails_is_not_shown_to_the_caller() {
    let host =
        MockHost::new().with_expression(".x", |_| json!("neither")).with_inbound("POST", "/", JSON, "{}");
    let problem = host.receive::<Plugin>("webhook", json!({ "onlyIf": ".x" })).unwrap_err();
    assert!(problem.status() == 500 && !problem.detail_text().contains(".x"), "{problem}");
    assert!(host.logs()[0].message.contains("should be true or false"));
}

/// When requests of these tests arrive.
const NOW: u64 = 1_767_225_600;

/// What a signed request comes to: `start`, or the status of its refusal.
fn signed(signature: Value, headers: &[(&str, &str)], body: &str) -> Value {
    let mut all = JSON.to_vec();
    all.extend(headers);
    let verdict = MockHost::new()
        .with_secret("old", "0ld")
        .with_secret("new", "n3w")
        .with_received(Duration::from_secs(NOW))
        .with_inbound("POST", "/", &all, body)
        .receive::<Plugin>("webhook", json!({ "auth": { "signature": signature } }))
        .unwrap();
    match verdict.get("start") {
        Some(start) => start.clone(),
        None => verdict["answer"]["status"].clone(),
    }
}

fn in_base64(algorithm: Algorithm, secret: &str, message: &str) -> String {
    STANDARD.encode(proof(algorithm, secret, message.as_bytes()))
}

fn in_hex(algorithm: Algorithm, secret: &str, message: &str) -> String {
    proof(algorithm, secret, message.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_signature_of_the_standard_is_over_id_time_and_body_and_names_the_event() {
    let signature = json!({ "scheme": "standard-webhooks", "secret": ["new", "old"] });
    let time = NOW.to_string();
    let message = format!("msg_1.{time}.{{}}");
    let v1 = |secret| format!("v1,{}", in_base64(Algorithm::HmacSha256, secret, &message));
    let v1a = format!("v1a,{}", in_base64(Algorithm::Ed25519, "n3w", &message));
    let judged = |id: &str, time: &str, shown: &str, body: &str| {
        let headers = [("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", shown)];
        signed(signature.clone(), &headers, body)
    };
    for shown in [v1("n3w"), v1("0ld"), v1a.clone(), format!("v1,AAAA v2,x {}", v1("n3w"))] {
        let start = judged("msg_1", &time, &shown, "{}");
        assert_eq!(start["dedupe"], json!({ "key": "msg_1", "windowMs": 86_400_000 }), "{shown}: {start}");
    }
    for (id, moment, shown, body) in [
        ("msg_1", &time, v1("an0ther"), "{}"),
        ("msg_1", &time, v1("n3w"), "[]"),
        ("msg_2", &time, v1("n3w"), "{}"),
        ("", &time, v1("n3w"), "{}"),
        ("msg_1", &(NOW + 1).to_string(), v1("n3w"), "{}"),
        ("msg_1", &format!("+{time}"), v1("n3w"), "{}"),
        ("msg_1", &time, String::new(), "{}"),
        ("msg_1", &time, v1("n3w").replace("v1,", "v1a,"), "{}"),
        ("msg_1", &time, v1a.replace("v1a,", "v1,"), "{}"),
    ] {
        assert_eq!(judged(id, moment, &shown, body), 401, "{id} {moment} {shown} {body}");
    }
}

#[test]
fn a_signed_request_is_not_older_than_five_minutes() {
    for (age, admitted) in [(-301_i64, false), (-300, true), (0, true), (300, true), (301, false)] {
        let time = NOW.checked_add_signed(-age).unwrap().to_string();
        let message = format!("msg_1.{time}.{{}}");
        let shown = format!("v1,{}", in_base64(Algorithm::HmacSha256, "n3w", &message));
        let headers = [("webhook-id", "msg_1"), ("webhook-timestamp", &time), ("webhook-signature", &shown)];
        let judged = signed(json!({ "scheme": "standard-webhooks", "secret": "new" }), &headers, "{}");
        assert_eq!(judged != 401, admitted, "{age}");
        let longer = json!({ "scheme": "standard-webhooks", "secret": "new", "tolerance": "PT1H" });
        assert_ne!(signed(longer, &headers, "{}"), 401, "{age}");
    }
}

#[test]
fn signatures_of_github_stripe_and_of_ones_own_are_checked() {
    let time = NOW.to_string();
    let github = format!("sha256={}", in_hex(Algorithm::HmacSha256, "n3w", "{}"));
    let stripe = |time: &str| {
        let right = in_hex(Algorithm::HmacSha256, "n3w", &format!("{time}.{{}}"));
        format!("t={time},v1=00,v1={right},v0=11")
    };
    let late = (NOW - 301).to_string();
    let own = json!({
        "header": "X-Signature", "algorithm": "hmac-sha512", "encoding": "base64", "prefix": "sha512 ", "secret": "new",
    });
    let shown = format!("sha512 {}", in_base64(Algorithm::HmacSha512, "n3w", "{}"));
    let cases = [
        (json!({ "scheme": "github", "secret": "new" }), "x-hub-signature-256", github.clone(), true),
        (json!({ "scheme": "github", "secret": "old" }), "x-hub-signature-256", github.clone(), false),
        (
            json!({ "scheme": "github", "secret": ["old", "new"] }),
            "x-hub-signature-256",
            github.clone(),
            true,
        ),
        (json!({ "scheme": "github", "secret": "new" }), "x-hub-signature", github, false),
        (json!({ "scheme": "stripe", "secret": "new" }), "stripe-signature", stripe(&time), true),
        (json!({ "scheme": "stripe", "secret": "new" }), "stripe-signature", stripe(&late), false),
        (json!({ "scheme": "stripe", "secret": "new" }), "stripe-signature", "v1=00".to_owned(), false),
        (own.clone(), "x-signature", shown.clone(), true),
        (own.clone(), "x-signature", shown.replace("sha512 ", ""), false),
        (own, "x-signature", String::new(), false),
        (
            json!({ "header": "x-sig", "secret": "new" }),
            "x-sig",
            in_hex(Algorithm::HmacSha256, "n3w", "{}"),
            true,
        ),
    ];
    for (signature, header, shown, admitted) in cases {
        let judged = signed(signature.clone(), &[(header, &shown)], "{}");
        assert_eq!(judged != 401, admitted, "{signature} {header}: {shown}");
    }
}

#[test]
fn a_secret_that_is_not_there_is_no_reason_to_let_anybody_in_or_to_tell_them() {
    let host = MockHost::new().with_inbound("POST", "/", JSON, "{}");
    for auth in [
        json!({ "signature": { "scheme": "github", "secret": "gone" } }),
        json!({ "bearer": { "secret": "gone" } }),
    ] {
        let headers = [("content-type", "application/json"), ("x-hub-signature-256", "sha256=00")];
        let host = host.clone().with_inbound("POST", "/", &headers, "{}");
        let problem = host.receive::<Plugin>("webhook", json!({ "auth": auth })).unwrap_err();
        assert_eq!(
            (problem.status(), problem.detail_text()),
            (500, "whether the caller is the right one cannot be said")
        );
        assert!(host.logs().iter().any(|line| line.message.contains("`auth`")));
    }
}

#[test]
fn credentials_may_be_secrets() {
    let judged = |auth: Value, header: (&str, &str)| {
        let headers = [("content-type", "application/json"), header];
        let host = MockHost::new().with_secret("key", "u:p").with_inbound("POST", "/", &headers, "{}");
        let verdict = host.receive::<Plugin>("webhook", json!({ "auth": auth })).unwrap();
        verdict.get("start").is_some()
    };
    for (auth, right, wrong) in [
        (
            json!({ "basic": { "secret": "key" } }),
            ("authorization", "Basic dTpw"),
            ("authorization", "Basic dTpx"),
        ),
        (
            json!({ "bearer": { "secret": "key" } }),
            ("authorization", "Bearer u:p"),
            ("authorization", "Bearer u"),
        ),
        (json!({ "header": { "name": "X-Key", "secret": ["key"] } }), ("x-key", "u:p"), ("x-key", "u:p ")),
    ] {
        assert!(judged(auth.clone(), right) && !judged(auth.clone(), wrong), "{auth}");
        assert!(!judged(auth.clone(), ("x-other", "")), "{auth}");
    }
}

#[test]
fn an_event_is_known_by_a_header_or_by_what_an_expression_gives() {
    let known = |dedupe: Value, headers: &[(&str, &str)], body: &str| {
        let mut all = JSON.to_vec();
        all.extend(headers);
        let verdict = MockHost::new()
            .with_expression(".body.id", |event| event["body"]["id"].clone())
            .with_inbound("POST", "/", &all, body)
            .receive::<Plugin>("webhook", json!({ "dedupe": dedupe }))
            .unwrap();
        verdict["start"]["dedupe"].clone()
    };
    let by_header = json!({ "key": { "header": "X-Event" }, "window": "PT10M" });
    assert_eq!(
        known(by_header.clone(), &[("x-event", "e1")], "{}"),
        json!({ "key": "e1", "windowMs": 600_000 })
    );
    assert_eq!(known(by_header, &[], "{}"), Value::Null);
    let by_body = json!({ "key": ".body.id" });
    for (body, key) in [
        (r#"{"id": "o-1"}"#, json!("o-1")),
        (r#"{"id": 7}"#, json!("7")),
        (r#"{"id": {"a": 1}}"#, json!(r#"{"a":1}"#)),
    ] {
        assert_eq!(known(by_body.clone(), &[], body)["key"], key, "{body}");
    }
    assert_eq!(known(by_body, &[], "{}"), Value::Null);
}

#[test]
fn a_body_that_does_not_fit_the_schema_gets_400_and_the_reasons() {
    let config = json!({ "schema": { "type": "object", "required": ["id"], "properties": { "id": { "type": "integer" } } } });
    assert!(post(config.clone(), JSON, r#"{"id": 7}"#).get("start").is_some());
    for body in ["{}", r#"{"id": "7"}"#, "[]"] {
        let verdict = post(config.clone(), JSON, body);
        let (status, _, detail) = refusal(&verdict);
        assert!(status == 400 && detail.starts_with("the body does not fit: "), "{body}: {detail}");
    }
}

#[test]
fn pages_of_listed_origins_may_call_and_others_are_told_nothing() {
    let config = json!({ "cors": { "origins": ["https://shop.example.com"], "maxAge": "PT1H" }, "methods": ["POST", "PUT"] });
    let asked = |origin: &str, method: &str| {
        let headers = [
            ("content-type", "application/json"),
            ("origin", origin),
            ("access-control-request-method", "POST"),
        ];
        let host = MockHost::new().with_inbound(method, "/", &headers, "{}");
        host.receive::<Plugin>("webhook", config.clone()).unwrap()
    };
    let told = asked("https://shop.example.com", "OPTIONS");
    assert_eq!(told["answer"]["status"], 204);
    let headers = &told["answer"]["headers"];
    assert_eq!(headers["access-control-allow-origin"], "https://shop.example.com");
    assert_eq!(headers["access-control-allow-methods"], "POST, PUT");
    assert_eq!(headers["access-control-allow-headers"], "content-type, authorization");
    assert_eq!((&headers["access-control-max-age"], &headers["vary"]), (&json!("3600"), &json!("origin")));
    let other = asked("https://evil.example.com", "OPTIONS");
    assert_eq!(other["answer"]["headers"], json!({ "allow": "POST, PUT", "vary": "origin" }));
    let started = asked("https://shop.example.com", "POST");
    assert_eq!(started["headers"]["access-control-allow-origin"], "https://shop.example.com");
    assert_eq!(asked("https://evil.example.com", "POST")["headers"], json!({ "vary": "origin" }));
    // A refusal is readable too.
    assert_eq!(
        asked("https://shop.example.com", "GET")["answer"]["headers"]["access-control-allow-origin"],
        "https://shop.example.com"
    );
}

#[test]
fn what_is_wrong_with_a_configuration_is_found_before_it_is_switched_on() {
    let check = |config: Value| MockHost::new().check_trigger::<Plugin>("webhook", config);
    assert_eq!(check(json!({ "path": "orders", "auth": { "bearer": { "secret": "s" } } })), []);
    let found = check(json!({ "accepts": [] }));
    assert!(found.len() == 1 && found[0].is_error(), "{found:?}");
    // Once, and where it is.
    let guessed = "`path` can be guessed, so it needs `auth`; the minted address needs none";
    assert_eq!(check(json!({ "path": "orders", "accepts": [] })), [Finding::error("/path", guessed)]);
    let found = check(json!({ "path": "${ $task.callback.url }", "auth": { "bearer": { "secret": "s" } } }));
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn fuzz_every_request_has_a_verdict() {
    let bodies = [
        r#"{"id":7,"b":{"c":[1,"x",null]}}"#,
        "a=1&a=2&b=%C3%A9&c",
        "<a x='1'><b>t</b><![CDATA[x]]></a>",
        "--B\r\ncontent-disposition: form-data; name=\"a\"; filename=\"f\"\r\n\r\nx\r\n--B--\r\n",
    ];
    let kinds = [
        "application/json",
        "application/x-www-form-urlencoded",
        "application/xml; charset=utf-8",
        "multipart/form-data; boundary=B",
        "text/plain; charset=latin1",
    ];
    let config = json!({ "accepts": ["json", "form", "xml", "text"], "respond": { "from": "flow" } });
    flowcell_fuzz::bytes(file!(), |script| {
        let (head, rest) = script.split_at(script.len().min(16));
        let (kind, body) = (flowcell_fuzz::mutated(&kinds, head), flowcell_fuzz::mutated(&bodies, rest));
        let verdict = post(config.clone(), &[("content-type", &kind)], &body);
        assert!(verdict["start"].is_object() || verdict["answer"]["status"].is_number(), "{verdict}");
    });
}

#[test]
fn fuzz_every_sample_is_read_or_refused() {
    let seeds = [
        r#"{"url":"https://x.example/in?order=7&a.b=1&order=8","headers":[["X-Shop","a"]],"body":{"b":{"c":1},"l":[{"d":2}]}}"#,
        r#"{"body":[[["deep"]],{"":{"":0}}]}"#,
    ];
    flowcell_fuzz::texts(file!(), &seeds, |text| {
        let Ok(sample) = serde_json::from_str::<Value>(text) else { return };
        if let Ok(variables) = MockHost::new().sample::<Plugin>("webhook", sample) {
            let mut names: Vec<_> =
                variables.as_array().unwrap().iter().map(|variable| variable["as"].to_string()).collect();
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count, "{variables}");
        }
    });
}
