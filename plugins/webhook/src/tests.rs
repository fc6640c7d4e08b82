//! Every rule of the trigger, against the mock host: JSON in, JSON out, as the host calls it.

use flowcell_sdk::testing::MockHost;

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
            json!({ "dedupe": {} }),
            "unknown key `dedupe`; known here: `methods`, `auth`, `respond`, `accepts`, `variables`, `onlyIf`, `path`",
        ),
        (
            json!({ "auth": { "signature": {} } }),
            "`auth`: unknown value `signature`; known here: `none`, `basic`, `bearer`, `header`",
        ),
        (json!({ "auth": { "basic": { "username": "u" } } }), "`auth.basic`: missing field `password`"),
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
        ["accepts", "auth", "methods", "onlyIf", "path", "respond", "variables"]
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
