//! The trigger `webhook`: who may call, what is read, what becomes the event, and what starts nothing.

use flowcell_tests::{Call, until};
use serde_json::json;

use crate::documents::{echo, flow, hook, serve};

#[tokio::test]
async fn what_is_listed_becomes_the_event() {
    let with = "{ auth: { bearer: { token: s3cret } }, respond: { from: flow }, \
        variables: [ { from: body, path: b.c, as: c }, { from: headers, path: X-Request-Id, as: rid }, \
                     { from: query, path: 'query[0].a', as: q } ] }";
    let mut server = serve(&[&echo(), &hook("in", "echo", with)]).await;
    let url = server.hook("shop/in").await + "?query[0].a=7";
    let call = || Call::post(&url, &json!({ "b": { "c": [1] }, "more": true })).header("x-request-id", "r1");
    let answer = call().header("authorization", "Bearer s3cret").send().await.is(200);
    assert_eq!(answer.json(), json!({ "got": { "c": [1], "rid": "r1", "q": "7", "trigger": "shop/in" } }));
    let refused = call().header("authorization", "Bearer other").send().await.is(401);
    assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"webhook\"");
    assert_eq!(server.runs("").await.len(), 1);
}

/// Asked for its answer, the flow is waited for; not asked, it goes on after the caller was answered.
#[tokio::test]
async fn a_post_begins_one_run_with_all_of_it_and_is_answered_after_it_or_before() {
    let slow = flow("slow", "- rest: { wait: PT1H }");
    let documents =
        [&echo(), &hook("sync", "echo", "{ respond: { from: flow } }"), &slow, &hook("async", "slow", "{}")];
    let mut server = serve(&documents.map(String::as_str)).await;
    let url = server.hook("shop/sync").await + "?n=1";
    let answer =
        Call::post(&url, &json!({ "a": 1 })).header("x-request-id", "r1").send().await.is(200).json();
    let event = &answer["got"];
    assert_eq!((&event["method"], &event["body"]), (&json!("POST"), &json!({ "a": 1 })));
    assert_eq!((&event["query"], &event["headers"]["x-request-id"]), (&json!({ "n": "1" }), &json!("r1")));
    let runs = server.runs("flow=shop/echo").await;
    assert_eq!((runs.len(), &runs[0]["status"]), (1, &json!("completed")));
    let url = server.hook("shop/async").await;
    assert_eq!(Call::post(&url, &json!({})).send().await.is(200).text(), "ok");
    let runs = server.runs("flow=shop/slow").await;
    assert_eq!(runs.len(), 1);
    server.wait_for(runs[0]["id"].as_str().unwrap(), "waiting").await;
}

#[tokio::test]
async fn an_address_that_was_switched_on_answers_after_kill_9_as_before() {
    let mut server = serve(&[&echo(), &hook("in", "echo", "{ respond: { from: flow } }")]).await;
    let url = server.hook("shop/in").await;
    server.post("/api/v1/triggers/shop/in/disable", &json!(null)).await.is(200);
    server.post("/api/v1/triggers/shop/in/enable", &json!(null)).await.is(200);
    let path = url.strip_prefix(server.url()).unwrap().to_owned();
    let mut server = server.kill9().await.start().await;
    assert_eq!(server.hook("shop/in").await, format!("{}{path}", server.url()));
    Call::post(format!("{}{path}", server.url()), &json!({ "a": 1 })).send().await.is(200);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn bodies_over_the_limit_are_413_and_cost_no_memory() {
    let mut server = serve(&[&echo(), &hook("in", "echo", "{}")]).await;
    let url = server.hook("shop/in").await;
    let body = vec![b'x'; 60 << 20];
    let send = async || Call::new("POST", &url).body("application/json", body.clone()).send().await.is(413);
    send().await;
    let before = server.process().peak_memory_mib();
    for _ in 0..5 {
        send().await;
    }
    let after = server.process().peak_memory_mib();
    assert!(after - before < 16, "{before} MiB before, {after} MiB after");
    assert_eq!(server.runs("").await.len(), 0);
}

#[tokio::test]
async fn what_is_not_meant_starts_nothing() {
    let with = "{ onlyIf: '.body.action == \"opened\"' }";
    let mut server = serve(&[&echo(), &hook("in", "echo", with)]).await;
    let url = server.hook("shop/in").await;
    Call::post(&url, &json!({ "action": "closed" })).send().await.is(200);
    Call::post(&url, &json!({ "action": "opened" })).send().await.is(200);
    let runs = server.runs("").await;
    assert_eq!(runs.len(), 1, "{runs:?}");

    let wrong = hook("in", "echo", "{ onlyIf: '.body.action =!' }");
    let put = server.call("PUT", "/api/v1/triggers/shop/in").body("application/yaml", wrong);
    let problem = put.send().await.problem(400);
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("`with.onlyIf`: the expression `.body.action =!` is wrong"), "{problem}");
}

#[tokio::test]
async fn forms_and_texts_are_read_where_they_are_accepted() {
    let with = "{ accepts: [form, text], respond: { from: flow } }";
    let mut server = serve(&[&echo(), &hook("in", "echo", with)]).await;
    let url = server.hook("shop/in").await;
    let send = async |content_type: &'static str, body: &'static str| {
        Call::new("POST", &url).body(content_type, body).send().await
    };
    let form = send("application/x-www-form-urlencoded", "a=1&a=2&b=x+y").await.is(200);
    assert_eq!(form.json()["got"]["body"], json!({ "a": ["1", "2"], "b": "x y" }));
    assert_eq!(send("text/csv", "a;b").await.is(200).json()["got"]["body"], "a;b");
    let refused = send("application/json", "{}").await.problem(415);
    assert_eq!(
        refused["detail"],
        "the body is application/json; this address takes application/x-www-form-urlencoded, text/plain"
    );
}

#[tokio::test]
async fn a_configuration_that_no_request_could_meet_is_refused_when_it_is_deployed() {
    let server = serve(&[&echo()]).await;
    for (with, says) in [
        ("{ auth: { bearer: { token: '' } } }", "`auth.bearer.token` is empty"),
        ("{ accepts: [] }", "`accepts` is empty"),
        ("{ respond: { from: flow, within: PT0S } }", "`respond.within` is zero"),
        ("{ variables: [ { from: body } ] }", "nothing names it"),
    ] {
        let document = hook("in", "echo", with);
        let put = server.call("PUT", "/api/v1/triggers/shop/in").body("application/yaml", document);
        let problem = put.send().await.problem(400);
        assert!(problem["detail"].as_str().unwrap_or_default().contains(says), "{with}: {problem}");
    }
}

/// What is wrong inside is not the caller's to know, and the operator's to find.
#[tokio::test]
async fn a_request_that_cannot_be_judged_is_500_with_an_id_that_the_log_has() {
    let mut server = serve(&[&echo(), &hook("in", "echo", "{ onlyIf: '.body.go == true' }")]).await;
    let url = server.hook("shop/in").await;
    let problem = Call::post(&url, &json!([1])).send().await.problem(500);
    let id = problem["data"]["id"].as_str().unwrap().to_owned();
    assert!(problem["detail"].as_str().unwrap().contains(&id), "{problem}");
    let said = until("the reason in the log", async || {
        server.printed().lines().find(|line| line.contains(&id)).map(str::to_owned)
    })
    .await;
    assert!(said.contains("shop/in") && said.contains("`onlyIf`"), "{said}");
    assert_eq!(server.runs("").await.len(), 0);
}

#[tokio::test]
async fn a_path_that_no_request_could_have_is_refused() {
    let server = serve(&[&echo()]).await;
    for path in ["a?b=1", "a/../b", "a b", "a//b", "."] {
        let with = format!("{{ path: '{path}', auth: {{ bearer: {{ token: s3cret }} }} }}");
        let put = server
            .call("PUT", "/api/v1/triggers/shop/in")
            .body("application/yaml", hook("in", "echo", &with));
        let problem = put.send().await.problem(400);
        assert!(
            problem["detail"].as_str().unwrap().contains("no request would come to the path"),
            "{path}: {problem}"
        );
    }
}
