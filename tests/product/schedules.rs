//! Flows that start by themselves: `schedule` with `every`, `cron` and `after`.

use flowcell_tests::{Gate, Given, Server, Stub, until};
use serde_json::{Value, json};

use crate::FLOWCELL;
use crate::documents::{at, flow_with, local};

fn beat(keys: &str) -> String {
    flow_with("beat", keys, "- give: { set: { at: '${ .scheduledAt }' } }")
}

/// The times for which `shop/beat` was started, first to last, when there are so many.
async fn times(server: &Server, count: usize) -> Vec<jiff::Timestamp> {
    let ids: Vec<Value> = until(&format!("{count} runs"), async || {
        let runs = server.runs("flow=shop/beat").await;
        (runs.len() >= count).then(|| runs.into_iter().map(|run| run["id"].clone()).collect())
    })
    .await;
    let mut times = vec![];
    for id in ids {
        let run = server.look(id.as_str().unwrap_or_default()).await;
        assert_eq!(run["trigger"], "schedule", "{run}");
        let due: jiff::Timestamp =
            run["input"]["scheduledAt"].as_str().unwrap_or_default().parse().expect("a time");
        let started: jiff::Timestamp = run["startedAt"].as_str().unwrap_or_default().parse().expect("a time");
        assert!(started >= due, "{run}");
        times.push(due);
    }
    times.sort();
    times
}

fn millis_between(times: &[jiff::Timestamp]) -> Vec<i128> {
    times.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_millis()).collect()
}

async fn schedules(server: &Server) -> Vec<Value> {
    let list = server.get("/api/v1/schedules").await.is(200).json();
    list["items"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the product under test has the machine's clock")]
async fn every_starts_a_run_for_each_time_and_makes_up_once_for_those_that_passed() {
    let document = beat("schedule: { every: { milliseconds: 300 } }");
    let server = FLOWCELL.serve().file("beat.yaml", document).start().await;
    let first = times(&server, 4).await;
    assert!(millis_between(&first).iter().all(|pause| pause % 300 == 0), "{first:?}");
    let last = *first.last().expect("four of them");
    let setup = server.kill9().await;
    // Nobody is there for a while.
    until("some times to pass", async || {
        (jiff::Timestamp::now().duration_since(last) > jiff::SignedDuration::from_millis(1_500)).then_some(())
    })
    .await;
    let server = setup.start().await;
    let all = times(&server, first.len() + 4).await;
    let pauses = millis_between(&all);
    assert!(pauses.iter().all(|pause| *pause > 0 && pause % 300 == 0), "{pauses:?}");
    // What was missed is one run late, and the beat is the same.
    assert_eq!(pauses.iter().filter(|pause| **pause >= 900).count(), 1, "{pauses:?}");
}

#[tokio::test]
async fn cron_starts_a_run_at_each_of_its_times() {
    let document = flow_with(
        "beat",
        "schedule: { cron: '* * * * * *' }",
        "- give: { set: { at: '${ .scheduledAt }' } }",
    )
    .replace("version: '1.0.0' }", "version: '1.0.0', metadata: { timezone: Europe/Berlin } }");
    let server = FLOWCELL.serve().file("beat.yaml", document).start().await;
    let [schedule] = &schedules(&server).await[..] else { panic!("one schedule") };
    assert_eq!((&schedule["flow"], &schedule["timezone"]), (&json!("shop/beat"), &json!("Europe/Berlin")));
    assert_eq!(schedule["schedule"], json!({ "cron": "* * * * * *" }));
    assert!(schedule["dueAt"].is_string(), "{schedule}");
    let times = times(&server, 3).await;
    assert!(millis_between(&times).iter().all(|pause| *pause >= 1000 && pause % 1000 == 0), "{times:?}");
    let output = FLOWCELL.command(["flows", "schedules", "--data"]).arg(server.setup().data()).output().await;
    output.exited(0).says(&["shop/beat", "* * * * * *"]);
}

#[tokio::test]
async fn after_waits_for_the_end_of_the_run_before_through_kill_9() {
    let stub = Stub::start().await;
    let gate = Gate::new();
    // The first ends well, the second fails, the third is under way when the host dies.
    stub.next("/work", Given::status(200)).next("/work", Given::status(400));
    stub.next("/work", Given::status(200).behind(&gate)).next("/work", Given::status(200));
    let tasks = "- work: { call: http-request:1.0.0@default, with: { method: POST, url: STUB/work } }";
    let document = flow_with("beat", "schedule: { after: { milliseconds: 200 } }", &at(&stub, tasks));
    let server = FLOWCELL.serve().config(local("")).file("beat.yaml", document).start().await;
    stub.wait_for("/work", 3).await;
    let [schedule] = &schedules(&server).await[..] else { panic!("one schedule") };
    let under_way = schedule["run"].as_str().expect("it waits for a run").to_owned();
    assert!(schedule["dueAt"].is_null(), "{schedule}");
    let statuses: Vec<Value> = server.runs("").await.into_iter().map(|run| run["status"].clone()).collect();
    assert_eq!(statuses, ["running", "faulted", "completed"]);

    let server = server.kill9().await.start().await;
    gate.open();
    server.wait_for(&under_way, "completed").await;
    stub.wait_for("/work", 5).await;
    let runs = server.runs("").await;
    let pauses: Vec<_> = runs.windows(2).filter(|pair| !pair[1]["endedAt"].is_null()).collect();
    for pair in pauses {
        let time =
            |field: &Value| field.as_str().unwrap_or_default().parse::<jiff::Timestamp>().expect("a time");
        let pause = time(&pair[0]["startedAt"]).duration_since(time(&pair[1]["endedAt"]));
        assert!(pause >= jiff::SignedDuration::from_millis(200), "{pair:?}");
    }
}

#[tokio::test]
async fn another_text_of_a_flow_keeps_its_times_and_another_schedule_replaces_it() {
    let server = FLOWCELL.serve().start().await;
    let put = async |document: &str| {
        let call = server.call("PUT", "/api/v1/flows/shop/beat");
        let status = call.body("application/yaml", document.to_owned()).send().await.status;
        assert!(status == 200 || status == 201, "{status}");
    };
    let hour = beat("schedule: { every: PT1H }");
    put(&hour).await;
    let before = schedules(&server).await;
    put(&hour.replace("give:", "gives:")).await;
    assert_eq!(schedules(&server).await, before);
    put(&hour.replace("PT1H", "PT2H")).await;
    let [changed] = &schedules(&server).await[..] else { panic!("one schedule") };
    assert!(changed["dueAt"].as_str() > before[0]["dueAt"].as_str(), "{changed}");
    // A newer version without a schedule is what counts.
    put(&beat("").replace("1.0.0'", "1.1.0'")).await;
    assert_eq!(schedules(&server).await, Vec::<Value>::new());
    put(&hour.replace("1.0.0'", "1.2.0'")).await;
    assert_eq!(schedules(&server).await.len(), 1);
    server.call("DELETE", "/api/v1/flows/shop/beat").send().await.is(204);
    assert_eq!(schedules(&server).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_flow_that_is_not_durable_is_started_too() {
    let document = beat("schedule: { every: { milliseconds: 200 } }")
        .replace("version: '1.0.0' }", "version: '1.0.0', metadata: { durable: false } }");
    let server = FLOWCELL.serve().file("beat.yaml", document).start().await;
    let first = times(&server, 3).await;
    assert!(millis_between(&first).iter().all(|pause| pause % 200 == 0), "{first:?}");
    // Its runs are gone with the process; its schedule begins anew with the next one.
    let server = server.kill9().await.start().await;
    assert!(times(&server, 2).await[0] > first[2]);
}

#[tokio::test]
async fn run_starts_a_scheduled_flow_once() {
    let folder = flowcell_tests::Folder::new();
    let text = flow_with(
        "beat",
        "schedule: { after: { milliseconds: 100 } }",
        "- rest: { wait: PT0.5S }\n- give: { set: { once: true } }",
    );
    let file = folder.write("beat.yaml", text);
    let output = FLOWCELL.command(["run"]).arg(&file).output().await.exited(0);
    assert_eq!(output.json(), json!({ "once": true }));
    assert_eq!(output.stderr.matches("give").count(), 1, "{output}");
}

#[tokio::test]
async fn a_time_with_no_room_for_its_run_is_kept_until_there_is() {
    let stub = Stub::start().await;
    let gate = Gate::new();
    stub.always("/work", Given::status(200).behind(&gate));
    let tasks = "- work: { call: http-request:1.0.0@default, with: { url: STUB/work } }";
    let document = flow_with("beat", "schedule: { every: { milliseconds: 200 } }", &at(&stub, tasks));
    let config = local("waiting_runs = 1");
    let mut server = FLOWCELL.serve().config(config).file("beat.yaml", document).start().await;
    server
        .process()
        .stderr_line("the refusal", |line| {
            (line.contains("could not be started at its time") && line.contains("waiting_runs")).then_some(())
        })
        .await;
    assert_eq!(server.runs("").await.len(), 1);
    gate.open();
    until("the next ones", async || (server.runs("").await.len() >= 3).then_some(())).await;
}
