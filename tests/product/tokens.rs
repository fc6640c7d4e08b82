//! Who may use the API: tokens with roles; and the audit log of what they did and were not let do.

use flowcell_tests::{Answer, Call, Server, Stub, probe, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::FLOWCELL;
use crate::documents::{at, flow, hook, local, serve, together};

const ROLES: [&str; 4] = ["viewer", "editor", "admin", "operator"];

/// Mints a token of the default tenant.
async fn mint(server: &Server, name: &str, role: &str) -> String {
    let minted = server.post("/api/v1/tokens", &json!({ "name": name, "role": role })).await.is(201).json();
    minted["token"].as_str().expect("a minted token is told").to_owned()
}

fn with(server: &Server, token: &str, method: &str, path: &str) -> Call {
    let call = Call::new(method, format!("{}{path}", server.url()));
    call.header("authorization", &format!("Bearer {token}"))
}

async fn put(server: &Server, token: &str, name: &str) -> Answer {
    let document = flow(name, "- give: { set: { a: 1 } }");
    let path = format!("/api/v1/flows/shop/{name}");
    with(server, token, "PUT", &path).body("application/yaml", document).send().await
}

async fn audit(server: &Server, filter: &str) -> Vec<Value> {
    let page = server.get(&format!("/api/v1/audit?{filter}")).await.is(200).json();
    page["items"].as_array().expect("a list has items").clone()
}

#[tokio::test]
async fn a_viewer_who_deploys_gets_403_and_an_entry_in_the_audit_log() {
    let server = serve(&[]).await;
    let token = mint(&server, "desk", "viewer").await;
    let refused = put(&server, &token, "in").await.problem(403);
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("`desk` has the role viewer: PutFlow needs editor"), "{refused}");
    assert!(detail.contains("flowcell tokens create NAME --role editor"), "{refused}");
    server.get("/api/v1/flows/shop/in").await.is(404);
    let entries = audit(&server, "denied=true").await;
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    for (field, value) in [
        ("actor", json!("desk")),
        ("role", json!("viewer")),
        ("from", json!("127.0.0.1")),
        ("action", json!("PutFlow")),
        ("target", json!("shop/in")),
        ("status", json!(403)),
        ("detail", json!(detail)),
    ] {
        assert_eq!(entry[field], value, "{entry}");
    }
    let listed =
        FLOWCELL.command(["audit", "list", "--denied", "--data"]).arg(server.setup().data()).output().await;
    listed.exited(0).says(&["desk", "PutFlow", "shop/in", "403"]);
}

/// What the OpenAPI document says of each operation is what happens.
#[tokio::test]
async fn each_operation_opens_to_its_role_and_those_above_and_to_no_other() {
    let server = serve(&[]).await;
    let mut tokens = vec![];
    for role in ROLES {
        tokens.push(mint(&server, &format!("of-{role}"), role).await);
    }
    let document = server.get("/openapi.json").await.is(200).json();
    let mut seen = 0;
    for (path, operations) in
        document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/api/"))
    {
        for (method, operation) in operations.as_object().unwrap() {
            let needs = operation["description"].as_str().unwrap_or_default();
            let needs = ROLES.iter().position(|role| needs.contains(&format!("`{role}`")));
            let needs = needs.unwrap_or_else(|| panic!("{method} {path} says no role"));
            let path = path.replace(['{', '}'], "");
            for (role, token) in tokens.iter().enumerate() {
                let answer = with(&server, token, &method.to_uppercase(), &path).send().await;
                assert_ne!(answer.status, 401, "{method} {path}");
                assert_eq!(
                    answer.status == 403,
                    role < needs,
                    "{} {method} {path}: {}",
                    ROLES[role],
                    answer.text()
                );
            }
            with(&server, "flowcell_of-nobody", &method.to_uppercase(), &path).send().await.is(401);
            seen += 1;
        }
    }
    assert!(seen > 35, "{seen} operations");
}

#[tokio::test]
async fn a_token_of_one_tenant_reaches_no_other_and_learns_of_none() {
    let config = local("") + "[[tenant]]\nname = \"acme\"\n";
    let server = FLOWCELL.serve().config(config).start().await;
    let minted = server.call("POST", "/api/v1/tokens").header("flowcell-tenant", "acme");
    let minted = minted.json(&json!({ "name": "theirs", "role": "admin" })).send().await.is(201).json();
    assert_eq!(minted["tenant"], "acme");
    let token = minted["token"].as_str().unwrap();
    // Without a header it is about its own tenant.
    put(&server, token, "in").await.is(201);
    server.get("/api/v1/flows/shop/in").await.is(404);
    server.call("GET", "/api/v1/flows/shop/in").header("flowcell-tenant", "acme").send().await.is(200);
    for other in ["default", "nobody"] {
        let refused = with(&server, token, "GET", "/api/v1/flows").header("flowcell-tenant", other);
        let refused = refused.send().await.problem(403);
        assert_eq!(refused["detail"], "the token `theirs` is of the tenant `acme` only");
    }
    let tenants = with(&server, token, "GET", "/api/v1/tenants").send().await.is(200).json();
    assert_eq!(tenants["items"], json!([{ "name": "acme" }]));
    let twice = server
        .call("GET", "/api/v1/flows")
        .header("flowcell-tenant", "acme")
        .header("flowcell-tenant", "default");
    twice.send().await.problem(400);
    // What an admin mints is of the same tenant, and no operator's.
    let mint = |role: &str| {
        let call = with(&server, token, "POST", "/api/v1/tokens");
        call.json(&json!({ "name": format!("a-{role}"), "role": role })).send()
    };
    assert_eq!(mint("viewer").await.is(201).json()["tenant"], "acme");
    let refused = mint("operator").await.problem(403);
    assert_eq!(refused["detail"], "`theirs` is an admin: it mints tokens up to its own role");
    let tokens = with(&server, token, "GET", "/api/v1/tokens").send().await.is(200).json();
    let names: Vec<_> =
        tokens["items"].as_array().unwrap().iter().map(|token| token["name"].clone()).collect();
    assert_eq!(names, ["a-viewer", "theirs"]);
    // It sees its own log, in which the others' are not.
    let log = with(&server, token, "GET", "/api/v1/audit").send().await.is(200).json();
    let seen = log["items"].as_array().unwrap().iter().map(|entry| entry["actor"].as_str().unwrap());
    assert!(seen.clone().all(|actor| ["theirs", "operator"].contains(&actor)), "{log}");
    assert!(seen.clone().any(|actor| actor == "theirs"), "{log}");
}

#[tokio::test]
async fn a_token_outlives_kill_9_as_a_digest_and_opens_nothing_once_it_is_revoked() {
    let server = serve(&[]).await;
    let data = server.setup().data();
    let ask = async |arguments: &[&str]| FLOWCELL.command(arguments).arg("--data").arg(&data).output().await;
    let made = ask(&["tokens", "create", "ci", "--role", "editor", "--expires", "P90D"]).await.exited(0);
    let token = made.stdout.trim().to_owned();
    assert!(token.starts_with("flowcell_") && token.len() > 40, "{made}");
    made.says(&["not shown again"]);
    ask(&["tokens", "create", "ci", "--role", "viewer"])
        .await
        .exited(1)
        .says(&["there is a token `ci` already"]);
    ask(&["tokens", "create", "a b", "--role", "viewer"])
        .await
        .exited(1)
        .says(&["`a b` cannot be the name of a token"]);
    for reserved in ["operator", "Configuration", "LOCAL"] {
        ask(&["tokens", "create", reserved, "--role", "viewer"]).await.exited(1).says(&["take another name"]);
    }
    ask(&["tokens", "create", "x", "--role", "viewer", "--expires", "soon"])
        .await
        .exited(1)
        .says(&["`expiresIn`: `soon`"]);

    let server = server.kill9().await.start().await;
    let shown =
        FLOWCELL.command(["tokens", "show", "ci", "--data"]).arg(&data).output().await.exited(0).json();
    assert_eq!((&shown["role"], &shown["createdBy"]), (&json!("editor"), &json!("operator")));
    assert!(shown["expiresAt"].is_string() && shown.get("token").is_none(), "{shown}");
    let by_token = FLOWCELL.command(["flows", "list", "--server", server.url(), "--token", &token]);
    by_token.output().await.exited(0);
    for file in std::fs::read_dir(&data).unwrap().flatten().filter(|file| file.path().is_file()) {
        let bytes = std::fs::read(file.path()).unwrap();
        let has = bytes.windows(token.len()).any(|window| window == token.as_bytes());
        assert!(!has, "{} holds the token", file.path().display());
    }
    assert!(!server.printed().contains(&token));

    let revoked = FLOWCELL.command(["tokens", "delete", "ci", "--data"]).arg(&data).output().await;
    revoked.exited(0);
    let refused = with(&server, &token, "GET", "/api/v1/flows").send().await.problem(401);
    assert_eq!(refused["detail"], "this is not a token of this host");
    server.call("DELETE", "/api/v1/tokens/ci").send().await.is(404);
}

#[tokio::test]
async fn a_token_ends_at_its_time_and_says_so() {
    let server = serve(&[]).await;
    let body = json!({ "name": "brief", "role": "viewer", "expiresIn": "PT0.3S" });
    let minted = server.post("/api/v1/tokens", &body).await.is(201).json();
    let token = minted["token"].as_str().unwrap();
    let refused = until("the end of the token", async || {
        let answer = with(&server, token, "GET", "/api/v1/flows").send().await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert!(
        refused.problem(401)["detail"].as_str().unwrap().contains("the time of the token `brief` is over")
    );
    let entries = audit(&server, "denied=true&actor=brief").await;
    assert_eq!((&entries[0]["action"], &entries[0]["status"]), (&json!("ListFlows"), &json!(401)));
}

#[tokio::test]
async fn a_token_mints_none_that_outlives_it() {
    let server = serve(&[]).await;
    let body = json!({ "name": "brief", "role": "admin", "expiresIn": "PT1H" });
    let minted = server.post("/api/v1/tokens", &body).await.is(201).json();
    let (token, end) = (minted["token"].as_str().unwrap(), minted["expiresAt"].clone());
    for (name, life) in [("a", json!(null)), ("b", json!("P90D"))] {
        let body = json!({ "name": name, "role": "viewer", "expiresIn": life });
        let child = with(&server, token, "POST", "/api/v1/tokens").json(&body).send().await.is(201).json();
        assert_eq!(child["expiresAt"], end, "{child}");
    }
}

/// Whoever is shut out while the body is on its way is not let in by having begun before.
#[tokio::test]
async fn a_request_that_was_begun_before_its_token_was_revoked_does_nothing() {
    let server = serve(&[]).await;
    let token = mint(&server, "boss", "admin").await;
    let body = json!({ "name": "late", "role": "admin" }).to_string();
    let address = server.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /api/v1/tokens HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let (most, last) = body.split_at(body.len() - 1);
    stream.write_all(format!("{head}{most}").as_bytes()).await.unwrap();
    // Its entry says that it was let in.
    until("the request to be begun", async || audit(&server, "actor=boss").await.pop()).await;
    server.call("DELETE", "/api/v1/tokens/boss").send().await.is(204);
    stream.write_all(last.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    server.get("/api/v1/tokens/late").await.is(404);
    assert_eq!(audit(&server, "actor=boss").await[0]["status"], 401);
}

#[tokio::test]
async fn the_events_of_a_run_end_when_the_token_is_revoked() {
    let server = serve(&[&flow("rests", "- rest: { wait: PT1H }")]).await;
    let token = mint(&server, "desk", "viewer").await;
    let run = server.begin("shop/rests", &json!({})).await;
    let events = with(&server, &token, "GET", &format!("/api/v1/runs/{run}/events"));
    let mut events = events.header("accept", "text/event-stream").stream().await;
    events.until("the step that rests", |text| text.contains("waiting").then_some(())).await;
    server.call("DELETE", "/api/v1/tokens/desk").send().await.is(204);
    events.ended().await;
}

#[tokio::test]
async fn an_operators_token_is_of_all_tenants_and_an_operator_revokes_it() {
    let config = local("") + "[[tenant]]\nname = \"acme\"\n";
    let server = FLOWCELL.serve().config(config).start().await;
    let token = mint(&server, "second", "operator").await;
    with(&server, &token, "GET", "/api/v1/flows").header("flowcell-tenant", "acme").send().await.is(200);
    let shown = server.get("/api/v1/tokens/second").await.is(200).json();
    assert_eq!((&shown["tenant"], &shown["role"]), (&json!(null), &json!("operator")));
    let admin = mint(&server, "boss", "admin").await;
    with(&server, &admin, "DELETE", "/api/v1/tokens/second?role=operator").send().await.is(403);
    with(&server, &admin, "DELETE", "/api/v1/tokens/second").send().await.is(404);
    server.call("DELETE", "/api/v1/tokens/second?role=king").send().await.is(400);
    server.call("DELETE", "/api/v1/tokens/second?role=operator").send().await.is(204);
    with(&server, &token, "GET", "/api/v1/flows").send().await.is(401);
}

#[tokio::test]
async fn the_audit_log_has_deployments_secrets_grants_and_tokens_and_nothing_secret() {
    let documents = together(&[&flow("in", "- give: { set: { a: 1 } }"), &hook("in", "in", "{}")]);
    let setup = FLOWCELL.serve().config(local("")).file("all.yaml", documents);
    let server = setup.arg("flows").start().await;
    let told = |entry: &Value| {
        let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        (text("actor"), text("action"), text("target"), entry["status"].as_u64())
    };
    let line = |actor: &str, action: &str, target: &str, status| {
        (actor.into(), action.into(), target.into(), Some(status))
    };
    let started: Vec<_> = audit(&server, "").await.iter().map(told).collect();
    let of_start = [
        line("command line", "PutTrigger", "shop/in", 200),
        line("command line", "PutFlow", "shop/in", 200),
        line("configuration", "Grants", "default", 200),
    ];
    assert_eq!(started, of_start);
    let grants = audit(&server, "action=Grants").await;
    assert!(grants[0]["detail"].as_str().unwrap().ends_with("network 127.0.0.0/8"), "{grants:?}");

    // The same again is nothing new; other rules are.
    let server = server.kill9().await.start().await;
    assert_eq!(audit(&server, "").await.len(), 3);
    let wider = local("").replace(
        "[tenant.quota]",
        "[[tenant.allow]]\nhost = \"api.example.com\"\nmethods = [\"GET\"]\n[tenant.quota]",
    );
    let server = server.kill9().await.config(wider).start().await;
    let grants = audit(&server, "").await;
    assert_eq!(told(&grants[0]), line("configuration", "Grants", "default", 200));
    assert!(
        grants[0]["detail"].as_str().unwrap().ends_with("; host api.example.com ports [443] methods [GET]"),
        "{grants:?}"
    );

    let editor = mint(&server, "ci", "editor").await;
    put(&server, &editor, "out").await.is(201);
    put(&server, &editor, "out").await.is(200);
    with(&server, &editor, "PUT", "/api/v1/flows/shop/out")
        .body("application/yaml", "do: [")
        .send()
        .await
        .is(400);
    with(&server, &editor, "DELETE", "/api/v1/flows/shop/out").send().await.is(204);
    let secret = json!({ "value": "canary-of-the-audit" });
    server.call("PUT", "/api/v1/secrets/shop").json(&secret).send().await.is(201);
    with(&server, &editor, "PUT", "/api/v1/secrets/shop").json(&secret).send().await.is(403);
    let all = audit(&server, "limit=7").await;
    let expected = [
        line("ci", "SetSecret", "shop", 403),
        line("operator", "SetSecret", "shop", 201),
        line("ci", "RemoveFlow", "shop/out", 204),
        line("ci", "PutFlow", "shop/out", 400),
        line("ci", "PutFlow", "shop/out", 200),
        line("ci", "PutFlow", "shop/out", 201),
        line("operator", "CreateToken", "ci", 201),
    ];
    assert_eq!(all.iter().map(told).collect::<Vec<_>>(), expected);
    assert!(all[5]["detail"].as_str().unwrap().starts_with("version 1.0.0, digest "), "{}", all[5]);
    assert_eq!(all[6]["detail"], "editor has no end");
    assert_eq!(audit(&server, "actor=ci&action=RemoveFlow").await.len(), 1);
    server.get("/api/v1/audit?actro=ci").await.is(400);
    let everything = json!(audit(&server, "limit=1000").await).to_string();
    assert!(!everything.contains("canary-of-the-audit") && !everything.contains(&editor));

    // Page by page it is the same.
    let (mut paged, mut cursor) = (vec![], String::new());
    loop {
        let page = server.get(&format!("/api/v1/audit?limit=2{cursor}")).await.is(200).json();
        paged.extend(page["items"].as_array().unwrap().clone());
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(json!(paged).to_string(), everything);
}

#[tokio::test]
async fn who_is_denied_over_and_over_does_not_fill_the_log() {
    let server = serve(&[]).await;
    let token = mint(&server, "desk", "viewer").await;
    for _ in 0..40 {
        put(&server, &token, "in").await.is(403);
    }
    assert_eq!(audit(&server, "denied=true").await.len(), 5);
    // The next entry of the kind says how many there were; five a minute are one in twelve seconds.
    let said = until("an entry that counts the others", async || {
        put(&server, &token, "in").await.is(403);
        let newest = audit(&server, "denied=true&limit=1").await.remove(0);
        newest["detail"]
            .as_str()
            .filter(|detail| detail.contains(" more of desk's PutFlow since"))
            .map(str::to_owned)
    })
    .await;
    assert!(said.contains("needs editor") && said.ends_with("since the entry before)"), "{said}");
    let metrics = server.get("/metrics").await.text();
    let denials = metrics
        .lines()
        .find_map(|line| line.strip_prefix("flowcell_api_denials_total ")?.parse::<u64>().ok());
    assert!(denials.is_some_and(|count| count > 40), "{metrics}");
    // Something else of the same caller is an entry again, as long as it may be and no longer.
    let long = "x".repeat(5_000);
    with(&server, &token, "DELETE", &format!("/api/v1/flows/{long}/in")).send().await.is(403);
    let newest = audit(&server, "denied=true&limit=1").await.remove(0);
    assert_eq!((&newest["action"], newest["target"].as_str().unwrap().len()), (&json!("RemoveFlow"), 300));
}

/// Whoever has one of these addresses can start a run, or answer for the world.
#[tokio::test]
async fn a_viewer_sees_runs_and_triggers_without_the_addresses_that_start_and_resume() {
    let stub = Stub::start().await;
    let tasks = "- tell: { call: http-request:1.0.0@default, with: { url: STUB/told, method: POST, body: { at: '${ $task.callback.url }' } } }\n\
                 - wait: { call: 'http-webhook:1.0.0@default', with: { subscribe: { url: STUB/subscribe, body: { to: '${ $task.callback.url }' } } } }";
    let mut server = serve(&[&flow("waits", &at(&stub, tasks)), &hook("in", "waits", "{}")]).await;
    let token = mint(&server, "desk", "viewer").await;
    let (address, run) = (server.hook("shop/in").await, server.begin("shop/waits", &json!({})).await);
    server.wait_for(&run, "suspended").await;
    let callback = stub.seen("/told")[0].json()["at"].as_str().unwrap().to_owned();
    let secrets: Vec<_> =
        [&address, &callback].map(|url| url.rsplit('/').next().unwrap().to_owned()).to_vec();
    for path in [
        "/api/v1/triggers".to_owned(),
        "/api/v1/triggers/shop/in".to_owned(),
        format!("/api/v1/runs/{run}"),
        format!("/api/v1/runs/{run}/events"),
    ] {
        let shown = server.get(&path).await.is(200).text();
        assert!(secrets.iter().any(|secret| shown.contains(secret)), "{path}: {shown}");
        let seen = with(&server, &token, "GET", &path).send().await.is(200);
        assert!(!secrets.iter().any(|secret| seen.text().contains(secret)), "{path}: {}", seen.text());
        assert!(seen.text().contains("/***"), "{path}: {}", seen.text());
        assert!(seen.json().is_object());
    }
    let events = with(&server, &token, "GET", &format!("/api/v1/runs/{run}/events"));
    let mut events = events.header("accept", "text/event-stream").stream().await;
    let begun =
        events.until("the step that waits", |text| text.contains("suspended").then(|| text.to_owned())).await;
    assert!(!secrets.iter().any(|secret| begun.contains(secret)), "{begun}");
}

/// The code of a plugin is a deployment as well.
#[tokio::test]
async fn an_installed_plugin_is_in_the_audit_log_with_its_digest() {
    let server = serve(&[]).await;
    let token = mint(&server, "boss", "admin").await;
    let call = with(&server, &token, "POST", "/api/v1/plugins")
        .body("application/wasm", std::fs::read(probe()).unwrap());
    let plugin = call.send().await.is(201).json();
    let entries = audit(&server, "action=InstallPlugin").await;
    let target = format!("{}:{}", plugin["name"].as_str().unwrap(), plugin["version"].as_str().unwrap());
    assert_eq!((&entries[0]["target"], &entries[0]["actor"]), (&json!(target), &json!("boss")));
    assert_eq!(entries[0]["detail"], format!("digest {}", plugin["digest"].as_str().unwrap()));
}
