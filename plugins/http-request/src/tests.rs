//! Every rule of the two actions, against the mock host: JSON in, JSON out, as the host calls them.

use flowcell_sdk::testing::{Answer, MockHost, SentRequest, answer, request};

use super::*;

const URL: &str = "https://api.example.com/x";

/// What was sent for this input; the answer is an empty 200.
fn sent(input: Value) -> SentRequest {
    sent_as("http-request", input)
}

fn sent_as(action: &str, input: Value) -> SentRequest {
    let method = input["method"].as_str().unwrap_or("GET").to_ascii_uppercase();
    let url =
        input["url"].as_str().or(input["endpoint"].as_str()).or(input["endpoint"]["uri"].as_str()).unwrap();
    let mut url = url.trim().to_owned();
    if let Some(query) = input.get("expect_query").and_then(Value::as_str) {
        url = [&url, query].concat();
    }
    let mut input = input.clone();
    input.as_object_mut().unwrap().remove("expect_query");
    let host = MockHost::new().with_idempotency_key("the-key").expect(request(&method, &url), answer(200));
    host.run::<Plugin>(action, input).unwrap();
    host.sent().remove(0)
}

/// The output for this answer.
fn output(input: Value, answer: impl Into<Answer>) -> Result<Value, Problem> {
    let url = input["url"].as_str().unwrap().to_owned();
    let method = input["method"].as_str().unwrap_or("GET").to_owned();
    MockHost::new().expect(request(&method, &url), answer).run::<Plugin>("http-request", input)
}

/// Why this input is refused, before anything is sent.
fn refusal(input: Value) -> String {
    let problem = MockHost::new().run::<Plugin>("http-request", input).unwrap_err();
    assert_eq!((problem.kind(), problem.status()), (VALIDATION, 400));
    problem.detail_text().to_owned()
}

#[test]
fn a_request_has_sensible_defaults() {
    let sent = sent(json!({ "url": format!("  {URL} ") }));
    assert_eq!((sent.method.as_str(), sent.url.as_str()), ("GET", URL));
    assert_eq!((sent.headers.len(), sent.body), (0, None));
    assert_eq!(sent.options, json!({ "timeoutMs": 30_000, "redirects": "follow" }));
}

#[test]
fn a_request_that_fails_for_now_asks_for_another_attempt() {
    let attempt = |method: &str, status: u16, attempt: u32, more: Value| {
        let mut input = json!({ "url": URL, "method": method });
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let host = MockHost::new().with_attempt(attempt).expect(request(method, URL), answer(status));
        match host.run::<Plugin>("http-request", input) {
            Ok(output) => Err(output["success"] == true),
            Err(problem) => Ok(problem.retry_after_time().map(|wait| wait.as_secs())),
        }
    };
    assert_eq!(attempt("GET", 503, 1, json!({})), Ok(Some(1)));
    assert_eq!(attempt("GET", 503, 5, json!({})), Ok(None));
    assert_eq!(attempt("GET", 500, 1, json!({})), Ok(None));
    assert_eq!(attempt("POST", 503, 1, json!({})), Ok(None));
    assert_eq!(attempt("POST", 503, 1, json!({ "retry": {} })), Ok(Some(1)));
    let once = json!({ "retry": { "delay": "PT9S", "limit": { "attempt": { "count": 1 } } } });
    assert!(matches!(attempt("PUT", 429, 1, once.clone()), Ok(Some(9..=11))));
    assert_eq!(attempt("PUT", 429, 2, once), Ok(None));
    let never = json!({ "retry": { "limit": { "attempt": { "count": 0 } } } });
    assert_eq!(attempt("GET", 503, 1, never), Ok(None));
    // The flow goes on when all attempts are made, not before.
    assert_eq!(attempt("GET", 503, 1, json!({ "allowFailure": true })), Ok(Some(1)));
    assert_eq!(attempt("GET", 503, 5, json!({ "allowFailure": true })), Err(false));
    assert_eq!(attempt("GET", 200, 1, json!({})), Err(true));
}

#[test]
fn what_is_not_ready_is_asked_for_again_with_the_credentials() {
    let input = json!({
        "url": URL, "method": "POST", "body": { "n": 1 }, "poll": { "interval": "PT5S" },
        "basic": { "username": "u", "password": "p" }, "headers": { "x-a": "1", "cookie": "c" },
    });
    let later = answer(202).header("location", "/status/7").header("retry-after", "3");
    let host = MockHost::new().expect(request("POST", URL), later);
    let waits = host.start::<Plugin>("http-request", input).unwrap();
    let flowcell_sdk::Outcome::Suspend { wake, .. } = &waits else { panic!("{waits:?}") };
    assert_eq!(serde_json::from_str::<Value>(wake).unwrap(), json!({ "callback": false, "timerMs": 3000 }));

    let status = "https://api.example.com/status/7";
    let elsewhere = answer(202).header("location", "https://other.example.com/done");
    let host = host.expect(request("GET", status), elsewhere);
    let timer = || json!({ "kind": "timer" });
    let waits = host.resume::<Plugin>("http-request", waits, timer()).unwrap();
    let flowcell_sdk::Outcome::Suspend { wake, .. } = &waits else { panic!("{waits:?}") };
    assert_eq!(serde_json::from_str::<Value>(wake).unwrap()["timerMs"], 5000);
    let host = host
        .expect(request("GET", "https://other.example.com/done"), answer(200).json(json!({ "ok": true })));
    let done = host.resume::<Plugin>("http-request", waits, timer()).unwrap();
    let flowcell_sdk::Outcome::Done(output) = done else { panic!("{done:?}") };
    assert_eq!(serde_json::from_str::<Value>(&output).unwrap()["body"], json!({ "ok": true }));

    let sent = host.sent();
    let has = |at: usize, name: &str| sent[at].header(name).is_some();
    assert!(has(1, "authorization") && has(1, "cookie") && has(1, "x-a") && sent[1].body.is_none());
    assert!(!has(2, "authorization") && !has(2, "cookie") && has(2, "x-a"));
}

#[test]
fn an_answer_that_is_not_ready_is_the_answer_where_nobody_asks_again() {
    let given = answer(202).header("location", "/status/7");
    assert_eq!(output(json!({ "url": URL }), given.clone()).unwrap()["status"], 202);
    assert_eq!(output(json!({ "url": URL, "poll": true }), answer(202)).unwrap()["status"], 202);
    assert!(refusal(json!({ "url": URL, "poll": "yes" })).contains("`poll`: it is true, false or"));
}

#[test]
fn which_statuses_are_a_success_may_be_said() {
    let input = json!({ "url": URL, "success": [404, "3xx"] });
    assert_eq!(output(input.clone(), answer(404)).unwrap()["success"], true);
    assert_eq!(output(input.clone(), answer(200)).unwrap_err().status(), 200);
    let refusal = refusal(json!({ "url": URL, "success": ["2xxx"] }));
    assert!(refusal.contains("`success[0]`") && refusal.contains("a class such as"), "{refusal}");
}

#[test]
fn what_the_body_becomes_may_be_said() {
    let body = |wanted: &str, content_type: &str, text: &str| {
        let given = answer(200).header("content-type", content_type).body(text);
        let output = output(json!({ "url": URL, "response": wanted }), given).unwrap();
        (output["body"].clone(), output["encoding"].clone())
    };
    assert_eq!(body("json", "text/plain", "[1]"), (json!([1]), Value::Null));
    assert_eq!(body("json", "text/plain", "[1"), (json!("[1"), json!("invalid-json")));
    assert_eq!(body("text", "application/json", "[1]"), (json!("[1]"), Value::Null));
    assert_eq!(body("binary", "text/plain", "hello"), (json!("aGVsbG8="), json!("base64")));
    assert_eq!(body("auto", "application/json", "[1]"), (json!([1]), Value::Null));
    assert_eq!(sent(json!({ "url": URL, "maxResponseBytes": 1000 })).options["maxResponseBytes"], 1000);
}

#[test]
fn a_body_of_several_parts_has_a_boundary_of_its_own() {
    let sent = sent(json!({
        "url": URL, "method": "POST", "contentType": "multipart", "body": [{ "name": "a", "base64": "aGVsbG8=" }],
    }));
    let content_type = sent.header("content-type").unwrap();
    let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
    assert!(
        sent.text().starts_with(&format!("--{boundary}\r\n")) && sent.text().contains("\r\n\r\nhello\r\n")
    );
    let input = json!({
        "url": URL, "contentType": "multipart", "headers": { "content-type": "multipart/form-data" }, "body": {},
    });
    assert!(refusal(input).contains("writes the header `content-type` itself"));
    assert!(refusal(json!({ "url": URL, "contentType": "multipart" })).contains("needs a `body`"));
}

#[test]
fn every_method_is_sent_as_it_is_named_and_others_are_refused() {
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        assert_eq!(sent(json!({ "url": URL, "method": method })).method, method);
    }
    assert_eq!(
        refusal(json!({ "url": URL, "method": "PSOT" })),
        "`method`: unknown value `PSOT`; did you mean `POST`?"
    );
    assert!(
        refusal(json!({ "url": URL, "method": "INVALID" }))
            .starts_with("`method`: unknown value `INVALID`; known")
    );
}

#[test]
fn unknown_and_missing_parameters_are_named() {
    assert_eq!(
        refusal(json!({ "url": URL, "mehtod": "GET" })),
        "unknown key `mehtod`; did you mean `method`?"
    );
    assert_eq!(refusal(json!({})), "missing field `url`");
    assert_eq!(
        refusal(json!({ "url": URL, "basic": { "username": "u" } })),
        "`basic`: missing field `password`"
    );
}

#[test]
fn only_http_urls_of_bounded_length_without_control_characters_are_sent() {
    for url in ["ftp://example.com", "example.com", "", "file:///etc/passwd", "//example.com"] {
        assert_eq!(refusal(json!({ "url": url })), "`url` must begin with https:// or http://", "{url}");
    }
    let long = format!("https://example.com/{}", "a".repeat(8192));
    assert!(refusal(json!({ "url": long })).contains("at most 8192"));
    assert!(refusal(json!({ "url": "https://example.com/a\r\nb" })).contains("control character"));
}

#[test]
fn the_query_is_encoded_and_added() {
    let query =
        json!({ "a": "x y&z", "i": 3, "n": 1.5, "none": null, "t": true, "tag": ["a", "b"], "whole": 2.0 });
    let expected = "?a=x%20y%26z&i=3&n=1.5&t=true&tag=a&tag=b&whole=2";
    sent(json!({ "url": URL, "query": query, "expect_query": expected }));
    sent(json!({ "url": "https://h/?x=1", "query": { "y": 2 }, "expect_query": "&y=2" }));
    assert_eq!(
        refusal(json!({ "url": URL, "query": { "a": { "b": 1 } } })),
        "`query.a`: invalid type: map, expected text, a number, true, false, null or a list of these"
    );
}

#[test]
fn headers_are_a_map_or_rows_and_empty_names_are_left_out() {
    let map = sent(json!({ "url": URL, "headers": { "": "x", "X-Tenant": "acme", "gone": null, "n": 1 } }));
    assert_eq!(
        map.headers,
        [("x-tenant".into(), "acme".into()), ("n".into(), "1".into())] as [(String, String); 2]
    );
    let rows = json!([{ "name": "a", "value": "1" }, { "name": "", "value": "2" }, { "name": "a", "value": 3 }, { "name": null }]);
    let rows = sent(json!({ "url": URL, "headers": rows }));
    assert_eq!(rows.headers, [("a".into(), "1".into()), ("a".into(), "3".into())] as [(String, String); 2]);
}

#[test]
fn headers_that_frame_or_break_the_request_are_refused() {
    for name in ["Host", "content-length", "Transfer-Encoding", "connection"] {
        assert!(
            refusal(json!({ "url": URL, "headers": { name: "x" } })).contains("written by the host"),
            "{name}"
        );
    }
    assert!(refusal(json!({ "url": URL, "headers": { "a b": "x" } })).contains("no name of a header"));
    for value in ["a\r\nb: c", "a\nb", "\u{0}"] {
        assert!(
            refusal(json!({ "url": URL, "headers": { "a": value } })).contains("the value of `a`"),
            "{value:?}"
        );
    }
}

#[test]
fn a_value_is_sent_as_json_and_a_string_as_it_is() {
    for body in [json!({ "q": "a \"quoted\"\nline" }), json!([1]), json!(7), json!(true)] {
        let sent = sent(json!({ "url": URL, "method": "PUT", "body": body }));
        assert_eq!((sent.json(), sent.header("content-type")), (body, Some("application/json")));
    }
    let text = sent(json!({ "url": URL, "method": "PUT", "body": "as it \"is\"" }));
    assert_eq!(
        (text.text().as_str(), text.header("content-type")),
        ("as it \"is\"", Some("text/plain; charset=utf-8"))
    );
    assert_eq!(sent(json!({ "url": URL, "method": "PUT", "body": null })).body, None);
    assert_eq!(sent(json!({ "url": URL, "body": "on a GET" })).text(), "on a GET");
}

#[test]
fn the_content_type_says_how_the_body_is_written() {
    for (content_type, header, body) in [
        ("json", "application/json", "{\"a\":1}"),
        ("text", "text/plain; charset=utf-8", "t"),
        ("xml", "application/xml", "<a b=\"c\"/>"),
        ("text/csv", "text/csv", "a,b\n"),
        ("application/vnd.x+json; v=1", "application/vnd.x+json; v=1", "[1]"),
    ] {
        let sent = sent(json!({ "url": URL, "method": "POST", "contentType": content_type, "body": body }));
        assert_eq!((sent.text().as_str(), sent.header("content-type")), (body, Some(header)));
    }
    assert!(
        refusal(json!({ "url": URL, "contentType": "json", "body": "{oops" })).contains("it is not JSON")
    );
    assert!(
        refusal(json!({ "url": URL, "contentType": "xml", "body": { "a": 1 } })).contains("cannot carry")
    );
}

#[test]
fn a_form_takes_a_map_or_rows() {
    for body in [
        json!([{ "name": "a", "value": "t1" }, { "name": "a", "value": "&=1" }]),
        json!({ "a": ["t1", "&=1"] }),
    ] {
        let sent = sent(json!({ "url": URL, "method": "POST", "contentType": "form", "body": body }));
        assert_eq!(sent.text(), "a=t1&a=%26%3D1");
        assert_eq!(sent.header("content-type"), Some("application/x-www-form-urlencoded"));
    }
    let refused = refusal(json!({ "url": URL, "contentType": "form", "body": { "a": { "b": 1 } } }));
    assert!(refused.starts_with("`body` as a form: `a`: invalid type: map"), "{refused}");
}

#[test]
fn binary_takes_base64() {
    let sent = sent(json!({ "url": URL, "method": "PUT", "contentType": "binary", "body": "AP8Q\n_w" }));
    assert_eq!(sent.body.as_deref(), Some([0, 255, 16, 255].as_slice()));
    assert_eq!(sent.header("content-type"), Some("application/octet-stream"));
    assert!(refusal(json!({ "url": URL, "contentType": "binary", "body": "%" })).contains("not base64"));
    assert!(refusal(json!({ "url": URL, "contentType": "binary", "body": {} })).contains("base64 text"));
}

#[test]
fn content_types_that_are_not_known_or_contradict_are_refused() {
    for content_type in ["mulitpart", "invalid", "a/b/c", "text/plain\r\nx: y"] {
        let refused = refusal(json!({ "url": URL, "contentType": content_type }));
        assert!(
            refused.contains("accepted are json, text, form, xml, multipart, binary and media types"),
            "{refused}"
        );
    }
    let refused =
        refusal(json!({ "url": URL, "contentType": "json", "headers": { "Content-Type": "text/plain" } }));
    assert_eq!(
        refused,
        "`contentType` says application/json, but the header `content-type` says text/plain; leave one of them out"
    );
    let same = json!({ "url": URL, "contentType": "json", "headers": { "Content-Type": "application/JSON; v=1" }, "body": {} });
    assert_eq!(sent(same).headers.len(), 1);
}

#[test]
fn a_content_type_header_alone_says_how_the_body_is_written() {
    let headers = json!({ "Content-Type": "application/x-www-form-urlencoded" });
    let sent = sent(json!({ "url": URL, "method": "PUT", "headers": headers, "body": { "a": "b c" } }));
    assert_eq!((sent.text().as_str(), sent.headers.len()), ("a=b+c", 1));
}

#[test]
fn basic_credentials_are_sent_once() {
    let sent = sent(json!({ "url": URL, "basic": { "username": "u", "password": "p" } }));
    assert_eq!(sent.header("authorization"), Some("Basic dTpw"));
    let both = json!({ "url": URL, "basic": { "username": "u", "password": "p" }, "headers": { "Authorization": "x" } });
    assert!(refusal(both).contains("exclude each other"));
    assert!(
        refusal(json!({ "url": URL, "basic": { "username": "u:v", "password": "p" } })).contains("colon")
    );
}

#[test]
fn what_a_repeat_may_harm_carries_the_idempotency_key() {
    for (method, key) in [("POST", Some("the-key")), ("PATCH", Some("the-key")), ("PUT", None), ("GET", None)]
    {
        assert_eq!(sent(json!({ "url": URL, "method": method })).header("idempotency-key"), key, "{method}");
    }
    let own = sent(json!({ "url": URL, "method": "POST", "headers": { "Idempotency-Key": "mine" } }));
    assert_eq!((own.header("idempotency-key"), own.headers.len()), (Some("mine"), 1));
}

#[test]
fn time_and_redirects_are_the_hosts_to_keep() {
    let options = |input: Value| sent(input).options;
    assert_eq!(options(json!({ "url": URL, "timeout": "PT0.25S" }))["timeoutMs"], 250);
    assert_eq!(options(json!({ "url": URL, "timeout": { "minutes": 1 } }))["timeoutMs"], 60_000);
    for redirects in ["follow", "manual", "error"] {
        assert_eq!(options(json!({ "url": URL, "redirects": redirects }))["redirects"], redirects);
    }
    assert!(
        refusal(json!({ "url": URL, "timeout": "10s" }))
            .starts_with("`timeout`: invalid value: string \"10s\"")
    );
    assert!(refusal(json!({ "url": URL, "timeout": "PT0S" })).contains("zero"));
    assert_eq!(
        refusal(json!({ "url": URL, "redirects": "folow" })),
        "`redirects`: unknown value `folow`; did you mean `follow`?"
    );
}

#[test]
fn an_answer_has_one_shape() {
    let answer = answer(200)
        .json(json!({ "ok": true }))
        .header("Set-Cookie", "a=1")
        .header("x", "1")
        .header("x", "2")
        .redirected_to("https://b.example.com/y", &[(302, "https://b.example.com/y")]);
    let output = output(json!({ "url": URL }), answer).unwrap();
    assert_eq!(
        output,
        json!({
            "status": 200,
            "headers": { "content-type": "application/json", "set-cookie": ["a=1"], "x": ["1", "2"] },
            "body": { "ok": true },
            "success": true,
            "url": "https://b.example.com/y",
            "redirects": [{ "status": 302, "url": "https://b.example.com/y" }],
        })
    );
}

#[test]
fn a_body_is_decoded_by_its_content_type() {
    let body = |content_type: Option<&str>, bytes: &[u8]| {
        let answer = answer(200).body(bytes);
        let answer = match content_type {
            Some(content_type) => answer.header("content-type", content_type),
            None => answer,
        };
        let output = output(json!({ "url": URL }), answer).unwrap();
        (output["body"].clone(), output["encoding"].clone())
    };
    assert_eq!(body(Some("application/problem+json; charset=utf-8"), b"[1]"), (json!([1]), Value::Null));
    assert_eq!(body(Some("application/json"), b"{oops"), (json!("{oops"), json!("invalid-json")));
    assert_eq!(body(Some("application/json"), &[b'['; 500]).1, json!("invalid-json"));
    assert_eq!(body(Some("text/html; charset=iso-8859-1"), b"\xe9"), (json!("é"), Value::Null));
    assert_eq!(body(Some("text/html"), b"\xe9"), (json!("6Q=="), json!("base64")));
    assert_eq!(body(Some("application/octet-stream"), b"\0\xff"), (json!("AP8="), json!("base64")));
    assert_eq!(body(Some("application/xml"), b"<a/>"), (json!("<a/>"), Value::Null));
    assert_eq!(body(None, b"plain"), (json!("plain"), Value::Null));
    assert_eq!(body(None, b"\xff"), (json!("/w=="), json!("base64")));
    assert_eq!(body(Some("application/json"), b""), (Value::Null, Value::Null));
}

#[test]
fn an_error_status_fails_the_step_and_stays_readable() {
    let problem = output(
        json!({ "url": format!("{URL}?key=secret"), "method": "DELETE" }),
        answer(404).json(json!({ "why": "gone" })),
    )
    .unwrap_err();
    assert_eq!((problem.kind(), problem.status()), (flowcell_sdk::problem::kind::COMMUNICATION, 404));
    assert_eq!(problem.detail_text(), "DELETE https://api.example.com/x answered with status 404");
    assert_eq!(
        problem.data_value(),
        json!({
            "code": "http-status",
            "sent": "yes",
            "retryable": false,
            "status": 404,
            "headers": { "content-type": "application/json" },
            "body": { "why": "gone" },
        })
    );
    assert_eq!(output(json!({ "url": URL }), answer(503)).unwrap_err().data_value()["retryable"], true);
}

#[test]
fn with_allow_failure_the_flow_goes_on() {
    let output =
        output(json!({ "url": URL, "allowFailure": true }), answer(404).json(json!({ "why": "gone" })))
            .unwrap();
    assert_eq!(
        (&output["status"], &output["success"], &output["body"]),
        (&json!(404), &json!(false), &json!({ "why": "gone" }))
    );
    assert_eq!(output["error"]["code"], "http-status");
}

#[test]
fn a_blocked_request_stays_visible_as_blocked() {
    let blocked = || HttpError::new("blocked", "no rule allows 127.0.0.1; add [[tenant.allow]]");
    let problem = output(json!({ "url": URL }), blocked()).unwrap_err();
    assert_eq!((problem.kind(), problem.status()), (flowcell_sdk::problem::kind::AUTHORIZATION, 403));
    assert_eq!(problem.data_value(), json!({ "code": "blocked", "sent": "no", "retryable": false }));
    let output = output(json!({ "url": URL, "allowFailure": true }), blocked()).unwrap();
    assert_eq!(
        output,
        json!({
            "status": 0, "headers": {}, "body": null, "success": false, "url": URL, "redirects": [],
            "error": { "code": "blocked", "detail": "no rule allows 127.0.0.1; add [[tenant.allow]]", "sent": "no" },
        })
    );
}

#[test]
fn a_missing_answer_is_a_typed_failure() {
    for (code, kind, status) in [
        ("timeout", flowcell_sdk::problem::kind::TIMEOUT, 408),
        ("dns", flowcell_sdk::problem::kind::COMMUNICATION, 502),
        ("reset", flowcell_sdk::problem::kind::COMMUNICATION, 502),
        ("too-large", flowcell_sdk::problem::kind::COMMUNICATION, 502),
        ("invalid-request", VALIDATION, 400),
    ] {
        let error = HttpError::new(code, "why").sent("unknown").retryable();
        let problem = output(json!({ "url": URL }), error).unwrap_err();
        assert_eq!((problem.kind(), problem.status()), (kind, status));
        assert_eq!(problem.data_value(), json!({ "code": code, "sent": "unknown", "retryable": true }));
    }
}

#[test]
fn a_redirect_that_was_asked_for_is_a_success() {
    let moved = || answer(302).header("location", "/y");
    assert!(output(json!({ "url": URL }), moved()).is_err());
    let manual = output(json!({ "url": URL, "redirects": "manual" }), moved()).unwrap();
    assert_eq!((&manual["success"], &manual["headers"]["location"]), (&json!(true), &json!("/y")));
}

#[test]
fn call_http_reads_the_languages_parameters() {
    let endpoint = json!({ "uri": URL, "authentication": { "basic": { "username": "u", "password": "p" } } });
    let basic = sent_as("http", json!({ "method": "get", "endpoint": endpoint }));
    assert_eq!(basic.header("authorization"), Some("Basic dTpw"));
    let endpoint = json!({ "uri": URL, "authentication": { "bearer": { "token": "t" } } });
    let bearer = sent_as("http", json!({ "method": "post", "endpoint": endpoint, "body": { "a": 1 } }));
    assert_eq!((bearer.header("authorization"), bearer.json()), (Some("Bearer t"), json!({ "a": 1 })));
    let plain =
        json!({ "method": "get", "endpoint": URL, "query": { "a": [1, 2] }, "expect_query": "?a=1&a=2" });
    assert_eq!(sent_as("http", plain).options, json!({ "redirects": "manual" }));
    let follow = sent_as("http", json!({ "method": "get", "endpoint": URL, "redirect": true }));
    assert_eq!(follow.options["redirects"], "follow");
}

#[test]
fn call_http_gives_content_raw_or_response() {
    let call = |output: Value, status: u16, redirect: bool| {
        let mut input =
            json!({ "method": "get", "endpoint": URL, "headers": { "a": "b" }, "redirect": redirect });
        if !output.is_null() {
            input["output"] = output;
        }
        let host = MockHost::new().expect(request("GET", URL), answer(status).json(json!({ "id": 1 })));
        host.run::<Plugin>("http", input)
    };
    assert_eq!(call(Value::Null, 200, false), Ok(json!({ "id": 1 })));
    assert_eq!(call(json!("raw"), 200, false), Ok(json!("eyJpZCI6MX0=")));
    assert_eq!(
        call(json!("response"), 200, false),
        Ok(json!({
            "request": { "method": "GET", "uri": URL, "headers": { "a": "b" } },
            "statusCode": 200,
            "headers": { "content-type": "application/json" },
            "content": { "id": 1 },
        }))
    );
    let problem = call(Value::Null, 404, false).unwrap_err();
    assert_eq!((problem.status(), &problem.data_value()["body"]), (404, &json!({ "id": 1 })));
    assert_eq!(call(Value::Null, 304, false).unwrap_err().status(), 304);
    assert_eq!(call(Value::Null, 304, true), Ok(json!({ "id": 1 })));
}

#[test]
fn call_http_refuses_what_it_does_not_know() {
    let refusal =
        |input: Value| MockHost::new().run::<Plugin>("http", input).unwrap_err().detail_text().to_owned();
    assert!(
        refusal(json!({ "method": "brew", "endpoint": URL }))
            .contains("`brew` is not a method that can be sent")
    );
    assert_eq!(
        refusal(json!({ "method": "get", "endpiont": URL })),
        "unknown key `endpiont`; did you mean `endpoint`?"
    );
    let digest = json!({ "uri": URL, "authentication": { "digest": {} } });
    assert_eq!(
        refusal(json!({ "method": "get", "endpoint": digest })),
        "`endpoint.authentication`: unknown value `digest`; known here: `basic`, `bearer`"
    );
    assert_eq!(
        refusal(json!({ "method": "get", "endpoint": 7 })),
        "`endpoint`: invalid type: integer `7`, expected a URL, or { uri, authentication }"
    );
}

#[test]
fn the_schema_refuses_what_the_action_refuses() {
    use flowcell_sdk::Exports as _;
    let descriptor: Value = serde_json::from_str(&Plugin::describe()).unwrap();
    assert_eq!((&descriptor["name"], &descriptor["version"]), (&json!("http-request"), &json!("1.0.0")));
    let action = &descriptor["actions"][0];
    assert_eq!((&action["name"], &action["title"]), (&json!("http-request"), &json!("HTTP request")));
    assert_eq!(action["wants"][0]["capability"], "http-request");
    let input = &action["input"];
    assert_eq!(input["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!((&input["additionalProperties"], &input["required"]), (&json!(false), &json!(["url"])));
    assert_eq!(descriptor["actions"][1]["name"], "http");
}

/// Five items a page; the third one says that there is no next, or is not there.
fn pages_by_link(last: Answer) -> MockHost {
    let page = |from: u32, next: Value| {
        let items: Vec<u32> = (from..from + 5).collect();
        answer(200).json(json!({ "items": items, "next": next }))
    };
    MockHost::new()
        .with_expression(".body.items", |page| page["body"]["items"].clone())
        .with_expression(".body.next", |page| page["body"]["next"].clone())
        .expect(request("GET", &format!("{URL}?q=1")), page(0, json!("?q=1&page=2")))
        .expect(request("GET", "https://api.example.com/x?q=1&page=2"), page(5, json!("/x?page=3")))
        .expect(request("GET", "https://api.example.com/x?page=3"), page(10, json!("/x?page=4")))
        .expect(request("GET", "https://api.example.com/x?page=4"), last)
}

#[test]
fn pages_are_followed_by_their_links_until_there_is_none() {
    let pages = json!({ "next": ".body.next", "items": ".body.items" });
    let input = json!({ "url": URL, "query": { "q": 1 }, "pages": pages });
    for (last, count) in [(answer(404), 3), (answer(200).json(json!({ "items": [], "next": null })), 4)] {
        let output = pages_by_link(last).run::<Plugin>("http-request", input.clone()).unwrap();
        assert_eq!(output["body"], json!((0..15).collect::<Vec<u32>>()));
        assert_eq!(
            (&output["pages"], &output["complete"], &output["success"]),
            (&json!(count), &json!(true), &json!(true))
        );
    }
    let failed = pages_by_link(answer(500)).run::<Plugin>("http-request", input).unwrap_err();
    assert_eq!(failed.status(), 500);
}

#[test]
fn pages_are_counted_by_a_parameter_until_one_is_empty_or_enough_are_there() {
    let page = |from: u32, count: u32| answer(200).json(json!((from..from + count).collect::<Vec<u32>>()));
    let host = MockHost::new()
        .expect(request("GET", &format!("{URL}?skip=0")), page(0, 10))
        .expect(request("GET", &format!("{URL}?skip=10")), page(10, 5))
        .expect(request("GET", &format!("{URL}?skip=15")), page(15, 0));
    let output = host
        .run::<Plugin>("http-request", json!({ "url": URL, "pages": { "parameter": { "name": "skip" } } }))
        .unwrap();
    assert_eq!(output["body"].as_array().unwrap().len(), 15);
    assert_eq!((&output["pages"], &output["complete"]), (&json!(3), &json!(true)));
    let host = MockHost::new()
        .expect(request("GET", &format!("{URL}?page=1")), page(0, 2))
        .expect(request("GET", &format!("{URL}?page=2")), page(2, 2));
    let pages = json!({ "parameter": { "name": "page", "start": 1, "step": 1 }, "max": 2 });
    let output = host.run::<Plugin>("http-request", json!({ "url": URL, "pages": pages })).unwrap();
    assert_eq!((&output["body"], &output["complete"]), (&json!([0, 1, 2, 3]), &json!(false)));
}

#[test]
fn pages_of_another_origin_are_asked_without_credentials() {
    let host = MockHost::new()
        .with_expression(".body.next", |page| page["body"]["next"].clone())
        .with_expression(".body.items", |page| page["body"]["items"].clone())
        .expect(
            request("GET", URL),
            answer(200).json(json!({ "items": [1], "next": "https://other.example.com/2" })),
        )
        .expect(request("GET", "https://other.example.com/2"), answer(200).json(json!({ "items": [2] })));
    let input = json!({
        "url": URL, "pages": { "next": ".body.next", "items": ".body.items" }, "connection": "shop",
        "headers": { "authorization": "x", "x-a": "1", "x-key": "flowcell-secret-key-0123" },
    });
    host.run::<Plugin>("http-request", input).unwrap();
    let sent = host.sent();
    assert_eq!(
        (&sent[0].options["connection"], sent[0].header("authorization")),
        (&json!("shop"), Some("x"))
    );
    assert_eq!((&sent[1].options["connection"], sent[1].header("authorization")), (&Value::Null, None));
    assert_eq!((sent[1].header("x-a"), sent[1].header("x-key")), (Some("1"), None));
}

#[test]
fn pages_of_the_same_origin_keep_the_credentials_however_it_was_written() {
    let host = MockHost::new()
        .with_expression(".body.next", |page| page["body"]["next"].clone())
        .with_expression(".body.items", |page| page["body"]["items"].clone())
        .expect(
            request("GET", "https://b\u{fc}cher.example/x"),
            answer(200)
                .redirected_to("https://xn--bcher-kva.example/x", &[])
                .json(json!({ "items": [1], "next": "/2" })),
        )
        .expect(request("GET", "https://xn--bcher-kva.example/2"), answer(200).json(json!({ "items": [2] })));
    let input = json!({
        "url": "https://b\u{fc}cher.example/x", "pages": { "next": ".body.next", "items": ".body.items" },
        "connection": "shop",
    });
    host.run::<Plugin>("http-request", input).unwrap();
    assert_eq!(host.sent()[1].options["connection"], "shop");
}

#[test]
fn pages_that_lead_nowhere_are_refused_before_anything_is_sent() {
    for (input, says) in [
        (json!({ "pages": {} }), "`pages`: say how to get to the next page"),
        (json!({ "pages": { "parameter": { "name": "p" }, "max": 1001 } }), "`max` is from 1 to 1000"),
        (
            json!({ "pages": { "parameter": { "name": "p" } }, "method": "POST" }),
            "`pages`: pages are read with GET",
        ),
        (json!({ "pages": { "next": ".x" } }), "`pages.next`: "),
        (json!({ "pages": { "next": ".body.next" }, "poll": true }), "`pages`: a page is not waited for"),
        (
            json!({ "url": "https://api.example.com/x?a=1&p%61ge=1#b", "pages": { "parameter": { "name": "page" } } }),
            "`pages`: `url` has the parameter `page` already",
        ),
    ] {
        let mut whole = json!({ "url": URL });
        whole.as_object_mut().unwrap().extend(input.as_object().unwrap().clone());
        let refusal = refusal(whole);
        assert!(refusal.contains(says), "{input}: {refusal}");
    }
    let host = MockHost::new()
        .with_expression(".body.next", |page| page["body"]["next"].clone())
        .expect(request("GET", URL), answer(200).json(json!({ "next": URL })));
    let input = json!({ "url": URL, "pages": { "next": ".body.next", "items": ".body.next" } });
    let problem = host.run::<Plugin>("http-request", input).unwrap_err();
    assert!(problem.detail_text().contains("gives a text, and should be a list"), "{problem:?}");
}
