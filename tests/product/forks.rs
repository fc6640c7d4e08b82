//! Branches that run side by side: `fork`, and its race.

use flowcell_tests::{Gate, Given, Stub, until};
use serde_json::json;

use crate::FLOWCELL;
use crate::documents::{at, flow, local, serve};

/// Each answer comes when both requests are there: one after the other they would wait for ever.
#[tokio::test]
async fn two_requests_in_parallel_and_one_after_give_three_results_under_three_names() {
    let (stub, gate) = (Stub::start().await, Gate::new());
    stub.always("/weather", Given::json(200, &json!({ "degrees": 21 })).behind(&gate));
    stub.always("/news", Given::json(200, &json!({ "lead": "calm" })).behind(&gate));
    stub.always("/letters", Given::json(201, &json!({ "id": 7 })));
    let tasks = "- gather:
    fork:
      branches:
        - weather:
            call: http-request:1.0.0@default
            with: { url: STUB/weather }
            export: { as: '${ $context + {weather: .body} }' }
        - news:
            call: http-request:1.0.0@default
            with: { url: STUB/news }
            export: { as: '${ $context + {news: .body} }' }
- letter:
    call: http-request:1.0.0@default
    with: { url: STUB/letters, method: POST, body: { degrees: '${ .[0].body.degrees }', lead: '${ .[1].body.lead }' } }
    output: { as: '${ $context + {letter: .body} }' }";
    let server = serve(&[&flow("mornings", &at(&stub, tasks))]).await;
    let run = server.begin("shop/mornings", &json!({})).await;
    stub.wait_for("/weather", 1).await;
    stub.wait_for("/news", 1).await;
    gate.open();
    let run = server.wait_for(&run, "completed").await;
    let (weather, news, letter) = (json!({ "degrees": 21 }), json!({ "lead": "calm" }), json!({ "id": 7 }));
    assert_eq!(run["output"], json!({ "weather": weather, "news": news, "letter": letter }));
    assert_eq!(stub.seen("/letters")[0].json(), json!({ "degrees": 21, "lead": "calm" }));
    let steps = run["steps"].as_array().unwrap().iter();
    let names: Vec<_> =
        steps.map(|step| (step["name"].as_str().unwrap(), step["status"].as_str().unwrap())).collect();
    let completed = ["gather", "weather", "news", "letter"].map(|name| (name, "completed"));
    assert_eq!(names, completed);
}

#[tokio::test]
async fn the_first_to_answer_wins_and_the_other_request_is_given_up() {
    let (stub, gate) = (Stub::start().await, Gate::new());
    stub.always("/nurse", Given::status(200).behind(&gate));
    stub.always("/doctor", Given::json(200, &json!({ "comes": "doctor" })));
    let tasks = "- alarm:
    fork:
      compete: true
      branches:
        - nurse: { call: http, with: { method: put, endpoint: STUB/nurse } }
        - doctor: { call: http, with: { method: put, endpoint: STUB/doctor } }";
    let server = serve(&[&flow("alarms", &at(&stub, tasks))]).await;
    let run = server.run("shop/alarms", &json!({})).await;
    assert_eq!((&run["status"], &run["output"]), (&json!("completed"), &json!({ "comes": "doctor" })));
    assert_eq!(run["steps"][1]["status"], "cancelled", "{run}");
}

#[tokio::test]
async fn after_kill_9_each_branch_goes_on_and_what_was_answered_is_not_asked_again() {
    let stub = Stub::start().await;
    stub.next("/slow", Given::status(200).behind(&Gate::new()));
    let tasks = "- both:
    fork:
      branches:
        - fast: { call: http-request:1.0.0@default, with: { url: STUB/fast, method: POST } }
        - slow: { call: http-request:1.0.0@default, with: { url: STUB/slow, method: POST } }
        - pause: { wait: PT1S }
    output: { as: '${ [.[0, 1].status] }' }";
    let server = serve(&[&flow("work", &at(&stub, tasks))]).await;
    let run = server.begin("shop/work", &json!({})).await;
    stub.wait_for("/slow", 1).await;
    until("the answer of the fast one", async || {
        Some(server.look(&run).await).filter(|run| run["steps"][1]["status"] == "completed")
    })
    .await;
    let server = server.kill9().await.start().await;
    assert_eq!(server.wait_for(&run, "completed").await["output"], json!([200, 200]));
    let slow = stub.seen("/slow");
    assert_eq!((stub.seen("/fast").len(), slow.len()), (1, 2));
    assert_eq!(slow[0].header("idempotency-key"), slow[1].header("idempotency-key"));
}

/// A run at work has a place of its own, and its branches share it with whatever places there are.
#[tokio::test]
async fn branches_are_at_work_in_no_more_places_than_the_tenant_has() {
    for (places, branches) in [(1, 6), (3, 12)] {
        let stub = Stub::start().await;
        stub.always("/", Given::status(200).after(std::time::Duration::from_millis(20)));
        let branches: String = (0..branches)
            .map(|branch| {
                format!("      - b{branch}: {{ call: http-request:1.0.0@default, with: {{ url: STUB/ }} }}\n")
            })
            .collect();
        let tasks = format!("- all:\n    fork:\n      branches:\n{branches}    output: {{ as: 'length' }}");
        let config = local(&format!("concurrent_runs = {places}"));
        let server =
            FLOWCELL.serve().config(config).file("all.yaml", flow("wide", &at(&stub, &tasks))).start().await;
        let input = json!({});
        let (one, two) = tokio::join!(server.run("shop/wide", &input), server.run("shop/wide", &input));
        assert_eq!((&one["status"], &two["status"]), (&json!("completed"), &json!("completed")));
        assert!(stub.most_at_once() <= places, "{} with {places} places", stub.most_at_once());
    }
}

/// What the other branches had begun has gone on in the old run: a new one could neither count it as done nor begin it again.
#[tokio::test]
async fn a_run_is_begun_again_at_a_failed_branch_only_when_no_other_was_at_work() {
    let (stub, gate) = (Stub::start().await, Gate::new());
    stub.always("/charge", Given::status(200).behind(&gate));
    stub.next("/mail", Given::status(400)).next("/late", Given::status(400));
    let tasks = "- both:
    fork:
      branches:
        - charge: { call: http-request:1.0.0@default, with: { url: STUB/charge, method: POST } }
        - mail: { call: http-request:1.0.0@default, with: { url: STUB/mail } }";
    let alone = "- both:
    fork:
      branches:
        - quick: { set: { done: true } }
        - late: { call: http-request:1.0.0@default, with: { url: STUB/late }, output: { as: .status } }";
    let server = serve(&[&flow("pays", &at(&stub, tasks)), &flow("alone", &at(&stub, alone))]).await;
    let restart = async |run: &str| {
        server.call("POST", &format!("/api/v1/runs/{run}/restart?from=failed-step")).send().await
    };
    let run = server.begin("shop/pays", &json!({})).await;
    server.wait_for(&run, "faulted").await;
    let refused = restart(&run).await.problem(409);
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.starts_with("other branches of its `fork` were at work when the step began"), "{refused}");
    let run = server.begin("shop/alone", &json!({})).await;
    server.wait_for(&run, "faulted").await;
    let again = restart(&run).await.is(202).json();
    let again = server.wait_for(again["id"].as_str().unwrap(), "completed").await;
    assert_eq!(again["output"], json!([{ "done": true }, 200]));
}
