//! Secrets: set by an operator, used by flows, and found nowhere.

use flowcell_tests::{Call, Folder, Given, Server, Stub};
use serde_json::{Value, json};

use crate::FLOWCELL;
use crate::documents::{at, flow_with, hook, local, serve};

const CANARY: &str = "canary-8c1f-s3cr3t";

async fn set(server: &Server, name: &str, value: &str, hosts: &[&str]) {
    let document = json!({ "value": value, "hosts": hosts });
    let put = server.call("PUT", &format!("/api/v1/secrets/{name}")).json(&document).send().await;
    assert!(put.status < 300, "{}", put.text());
}

fn using(name: &str, tasks: &str) -> String {
    flow_with(name, "use: { secrets: [key] }", tasks)
}

fn ask(with: &str) -> String {
    format!("- ask: {{ call: http-request:1.0.0@default, with: {{ url: STUB/in, {with} }} }}")
}

#[tokio::test]
async fn a_secret_goes_out_with_the_request_and_is_not_in_what_stays() {
    let stub = Stub::start().await;
    // Tells back what it was told.
    let echo = Given::json(200, &json!({ "you": CANARY })).header("x-echo", CANARY);
    stub.always("/in", echo);
    let with = "method: POST, headers: { x-key: '${ $secrets.key }' }, query: { k: '${ $secrets.key }' }, \
                body: { key: '${ \"<\\($secrets.key)>\" }' }, basic: { username: u, password: '${ $secrets.key }' }";
    let mut server =
        serve(&[&using("ask", &at(&stub, &ask(with))), &hook("in", "ask", "{ respond: { from: flow } }")])
            .await;
    set(&server, "key", CANARY, &["127.0.0.1"]).await;
    let url = server.hook("shop/in").await;
    let answered = Call::post(&url, &json!({})).send().await.is(200);
    let seen = &stub.seen("/in")[0];
    assert_eq!((seen.header("x-key"), seen.query.as_str()), (CANARY, format!("k={CANARY}").as_str()));
    assert_eq!(seen.json(), json!({ "key": format!("<{CANARY}>") }));
    assert_eq!(seen.header("authorization"), "Basic dTpjYW5hcnktOGMxZi1zM2NyM3Q=");
    let mut told = vec![answered.text()];
    let runs = server.runs("").await;
    let id = runs[0]["id"].as_str().unwrap();
    for path in [
        "/api/v1/runs".to_owned(),
        format!("/api/v1/runs/{id}"),
        format!("/api/v1/runs/{id}/events"),
        "/api/v1/secrets".to_owned(),
        "/api/v1/secrets/key".to_owned(),
        "/api/v1/flows/shop/ask".to_owned(),
        "/metrics".to_owned(),
    ] {
        told.push(server.get(&path).await.text());
    }
    told.push(server.printed());
    for text in &told {
        for spelling in [CANARY, "Y2FuYXJ5LThjMWYtczNjcjN0", "dTpjYW5hcnktOGMxZi1zM2NyM3Q="] {
            assert!(!text.contains(spelling), "{text}");
        }
    }
    // The journal and everything beside it, as bytes.
    let (setup, _) = server.terminate().await;
    let mut files = 0;
    for entry in walk(&setup.data()) {
        let bytes = std::fs::read(&entry).unwrap();
        assert!(
            !bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()),
            "{}",
            entry.display()
        );
        files += 1;
    }
    assert!(files >= 3, "journal, keys and compiled code were looked at");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = vec![];
    for entry in std::fs::read_dir(folder).expect("a folder of the host").flatten() {
        match entry.path() {
            path if path.is_dir() => files.extend(walk(&path)),
            path => files.push(path),
        }
    }
    files
}

#[tokio::test]
async fn a_secret_that_is_bound_to_another_host_is_not_sent() {
    let stub = Stub::start().await;
    let server = serve(&[&using("ask", &at(&stub, &ask("headers: { x-key: '${ $secrets.key }' }")))]).await;
    set(&server, "key", CANARY, &["api.example.com"]).await;
    let run = server.run("shop/ask", &json!({})).await;
    assert_eq!((&run["status"], &run["problem"]["data"]["code"]), (&json!("faulted"), &json!("blocked")));
    let detail = run["problem"]["detail"].as_str().unwrap();
    assert_eq!(detail, "the secret `key` is not sent to 127.0.0.1: it is bound to api.example.com");
    assert_eq!(stub.connections(), 0);
}

#[tokio::test]
async fn a_secret_survives_a_restart_is_changed_at_once_and_removed() {
    let stub = Stub::start().await;
    let server = serve(&[&using("ask", &at(&stub, &ask("headers: { x-key: '${ $secrets.key }' }")))]).await;
    let run = server.run("shop/ask", &json!({})).await;
    assert_eq!(run["problem"]["detail"], "there is no secret `key`: set it with `flowcell secrets set key`");
    set(&server, "key", "first", &["127.0.0.1"]).await;
    server.run("shop/ask", &json!({})).await;
    let server = server.kill9().await.start().await;
    server.run("shop/ask", &json!({})).await;
    set(&server, "key", "second", &["127.0.0.1"]).await;
    server.run("shop/ask", &json!({})).await;
    let sent: Vec<_> = stub.seen("/in").iter().map(|seen| seen.header("x-key").to_owned()).collect();
    assert_eq!(sent, ["first", "first", "second"]);
    server.call("DELETE", "/api/v1/secrets/key").send().await.is(204);
    server.call("DELETE", "/api/v1/secrets/key").send().await.problem(404);
    assert_eq!(server.run("shop/ask", &json!({})).await["status"], "faulted");
}

#[tokio::test]
async fn the_key_of_the_vault_is_the_operators_and_another_one_opens_nothing() {
    let stub = Stub::start().await;
    let flow = using("ask", &at(&stub, &ask("headers: { x-key: '${ $secrets.key }' }")));
    let setup = FLOWCELL.serve().config(local("")).file("all.yaml", flow);
    let server = setup.start().await;
    set(&server, "key", CANARY, &["127.0.0.1"]).await;
    let (setup, _) = server.terminate().await;
    let key = setup.data().join("vault.key");
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&key).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
    let kept = std::fs::read(&key).unwrap();
    std::fs::write(&key, "another key that is long enough to be one").unwrap();
    let server = setup.start().await;
    assert!(server.printed().contains("sealed with another key"), "{}", server.printed());
    assert_eq!(server.run("shop/ask", &json!({})).await["status"], "faulted");
    let (setup, _) = server.terminate().await;
    std::fs::write(&key, kept).unwrap();
    let server = setup.start().await;
    assert_eq!(server.run("shop/ask", &json!({})).await["status"], "completed");
}

#[tokio::test]
async fn commands_set_list_and_remove_secrets() {
    let server = serve(&[]).await;
    let secrets = |arguments: &[&str]| {
        let all = ["secrets"].iter().chain(arguments).copied().collect::<Vec<_>>();
        FLOWCELL
            .command(all)
            .env("FLOWCELL_SERVER", server.url())
            .env("FLOWCELL_TOKEN", server.token().unwrap())
    };
    let set = secrets(&["set", "key", "--host", "api.example.com", "--host", "*.example.org:8443"]);
    set.input(&format!("{CANARY}\n")).output().await.exited(0).says(&["set key"]);
    let listed =
        secrets(&["list"]).output().await.exited(0).says(&["key", "api.example.com, *.example.org:8443"]);
    assert!(!listed.text().contains(CANARY));
    let file = Folder::new();
    let path = file.write("value", "other");
    secrets(&["set", "key", "--file", path.to_str().unwrap()]).output().await.exited(0);
    let listed = secrets(&["list", "--json"]).output().await.exited(0).json();
    assert_eq!((&listed[0]["name"], &listed[0]["hosts"]), (&json!("key"), &json!([])));
    secrets(&["set", ".key"]).input("x").output().await.exited(1).says(&["`.key` cannot be a name here"]);
    secrets(&["set", "key"]).input("").output().await.exited(1).says(&["`value` is empty"]);
    secrets(&["set", "key", "--host", "*"])
        .input("x")
        .output()
        .await
        .exited(1)
        .says(&["`*` would let it be sent to anybody"]);
    secrets(&["delete", "key"]).output().await.exited(0);
    secrets(&["delete", "key"]).output().await.exited(1).says(&["secret key"]);
}

#[tokio::test]
async fn secrets_of_the_configuration_are_read_at_the_start_and_not_changed_by_the_api() {
    let stub = Stub::start().await;
    let config =
        local("") + "[[tenant.secret]]\nname = \"key\"\nfile = \"key.txt\"\nhosts = [\"127.0.0.1\"]\n";
    let flow = using("ask", &at(&stub, &ask("headers: { x-key: '${ $secrets.key }' }")));
    let setup = FLOWCELL.serve().config(&config).file("all.yaml", &flow);
    std::fs::write(setup.folder().at("key.txt"), "from a file\n").unwrap();
    let server = setup.start().await;
    server.run("shop/ask", &json!({})).await;
    assert_eq!(stub.seen("/in")[0].header("x-key"), "from a file");
    let put = server.call("PUT", "/api/v1/secrets/key").json(&json!({ "value": "x" })).send().await;
    let problem = put.problem(409);
    assert!(problem["detail"].as_str().unwrap().contains("is set in the host's configuration"), "{problem}");

    let missing = local("") + "[[tenant.secret]]\nname = \"key\"\nenv = \"NOT_THERE_AT_ALL\"\n";
    FLOWCELL
        .serve()
        .config(&missing)
        .refused()
        .await
        .says(&["the secret `key` of [[tenant.secret]]", "the environment has no text `NOT_THERE_AT_ALL`"]);
    let value = local("") + "[[tenant.secret]]\nname = \"key\"\nvalue = \"x\"\n";
    FLOWCELL.serve().config(&value).refused().await.says(&["flowcell.toml:9:1", "unknown key `value`"]);
}

#[tokio::test]
async fn a_flow_names_its_secrets_and_a_deployment_tells_which_are_missing() {
    let server = serve(&[]).await;
    let put = async |text: &str| {
        server.call("PUT", "/api/v1/flows/shop/ask").body("application/yaml", text.to_owned()).send().await
    };
    let task = "- give: { set: { a: '${ $secrets.key }' } }";
    let undeclared = put(&flow_with("ask", "use: { secrets: [kay] }", task)).await.problem(400);
    let detail = undeclared["detail"].as_str().unwrap();
    assert!(detail.contains("`use.secrets` does not list `key`: did you mean `kay`?"), "{detail}");
    let warned = put(&using("ask", task)).await.is(201).json();
    let warnings = warned["warnings"].as_array().unwrap();
    assert_eq!(
        warnings[0]["message"],
        "there is no secret `key` yet: set it with `flowcell secrets set key`"
    );
    set(&server, "key", "x", &[]).await;
    assert_eq!(put(&using("ask", task)).await.is(200).json()["warnings"], Value::Null);
    let listed = put(&flow_with("ask", "use: { secrets: ['${ .x }'] }", task)).await.problem(400);
    assert!(listed["detail"].as_str().unwrap().contains("written out, not computed"), "{listed}");
}

/// A run shows what stands for the secret, which differs from run to run and tells nothing.
#[tokio::test]
async fn a_run_sees_a_placeholder() {
    let server =
        serve(&[&using("give", "- give: { set: { a: '${ $secrets.key }', b: '${ $secrets | keys }' } }")])
            .await;
    set(&server, "key", CANARY, &[]).await;
    let output = async || server.run("shop/give", &json!({})).await["output"].clone();
    let (one, other): (Value, Value) = (output().await, output().await);
    let text = one["a"].as_str().unwrap();
    assert!(
        text.starts_with("flowcell-secret-key-") && text.len() == "flowcell-secret-key-".len() + 32,
        "{text}"
    );
    assert_eq!(one["b"], json!(["key"]));
    assert_ne!(one["a"], other["a"]);
}

/// Another flow's placeholder, or one of another run, is no secret.
#[tokio::test]
async fn a_placeholder_is_of_its_run_alone() {
    let stub = Stub::start().await;
    let give = using("give", "- give: { set: { a: '${ $secrets.key }' } }");
    let ask = using("ask", &at(&stub, &ask("headers: { x-key: '${ .a }' }")));
    let server = serve(&[&give, &ask]).await;
    set(&server, "key", CANARY, &["127.0.0.1"]).await;
    let stolen = server.run("shop/give", &json!({})).await["output"].clone();
    let run = server.run("shop/ask", &stolen).await;
    assert_eq!(run["problem"]["data"]["code"], "credentials", "{run}");
    assert!(run["problem"]["detail"].as_str().unwrap().contains("of another run or flow"), "{run}");
    assert_eq!(stub.connections(), 0);
}

#[tokio::test]
async fn a_flow_that_runs_once_takes_its_secrets_from_the_configuration() {
    let stub = Stub::start().await;
    let folder = Folder::new();
    let config =
        local("") + "[[tenant.secret]]\nname = \"key\"\nenv = \"SHOP_KEY\"\nhosts = [\"127.0.0.1\"]\n";
    let config = folder.write("flowcell.toml", config);
    let flow =
        folder.write("ask.yaml", using("ask", &at(&stub, &ask("headers: { x-key: '${ $secrets.key }' }"))));
    let command = FLOWCELL.command(["run", flow.to_str().unwrap(), "--config", config.to_str().unwrap()]);
    command.env("SHOP_KEY", CANARY).output().await.exited(0);
    assert_eq!(stub.seen("/in")[0].header("x-key"), CANARY);
}

/// What stood for the secret in the run that failed stands for it in the new one.
#[tokio::test]
async fn a_run_that_goes_on_at_its_failed_step_still_has_its_secrets() {
    let stub = Stub::start().await;
    stub.next("/in", Given::status(500));
    // More than the host evaluates itself, so that the value is in the journal.
    let tasks = "- make: { set: { key: '${ [$secrets.key] | join(\"\") }' } }\n\
                 - ask: { call: http-request:1.0.0@default, with: { url: STUB/in, headers: { x-key: '${ .key }' } } }";
    let server = serve(&[&using("two", &at(&stub, tasks))]).await;
    set(&server, "key", CANARY, &["127.0.0.1"]).await;
    let failed = server.run("shop/two", &json!({})).await;
    assert_eq!(failed["status"], "faulted", "{failed}");
    let id = failed["id"].as_str().unwrap();
    let again = server
        .call("POST", &format!("/api/v1/runs/{id}/restart?from=failed-step"))
        .send()
        .await
        .is(202)
        .json();
    let run = server.wait_for(again["id"].as_str().unwrap(), "completed").await;
    assert_ne!(run["steps"][0]["output"]["key"], failed["steps"][0]["output"]["key"]);
    let sent: Vec<_> = stub.seen("/in").iter().map(|seen| seen.header("x-key").to_owned()).collect();
    assert_eq!(sent, [CANARY, CANARY]);
}

/// A guest that looks through all of its memory finds nothing of what it has just sent.
#[tokio::test]
async fn a_guest_has_the_value_nowhere_and_uses_no_connection_of_another_step() {
    let stub = Stub::start().await;
    stub.always(
        "/echo",
        Given::json(200, &json!({ "you": CANARY, "again": format!("<{CANARY}>") })).header("x-you", CANARY),
    );
    let (prefix, rest) = CANARY.split_at(7);
    let pry = format!(
        "- pry: {{ call: flowcell-probe.pry:1.0.0@default, with: {{ url: STUB/echo, placeholder: '${{ $secrets.key }}', prefix: {prefix} }} }}"
    );
    let borrow = "- own: { if: 'false', call: http-request:1.0.0@default, with: { url: STUB/in, connection: shop-api } }\n\
                  - borrow: { call: flowcell-probe.borrow:1.0.0@default, with: { url: STUB/in, name: shop-api } }";
    let wasm = std::fs::read(flowcell_tests::probe()).expect("the probe is built");
    let setup = FLOWCELL.serve().config(local("")).file("probe.wasm", wasm);
    let setup = setup.file("pry.yaml", using("pry", &at(&stub, &pry)));
    let server = setup.file("borrow.yaml", using("borrow", &at(&stub, borrow))).start().await;
    set(&server, "key", CANARY, &["127.0.0.1"]).await;
    let document = json!({ "hosts": ["127.0.0.1"], "bearer": { "token": CANARY } });
    server.call("PUT", "/api/v1/connections/shop-api").json(&document).send().await.is(201);
    let run = server.run("shop/pry", &json!({})).await;
    let found = run["output"].as_array().unwrap_or_else(|| panic!("{run}"));
    // It does find what it was told itself, so it has looked.
    assert!(!found.is_empty() && !found.iter().any(|text| text.as_str().unwrap().starts_with(rest)), "{run}");
    assert_eq!(stub.seen("/echo")[0].header("x-key"), CANARY);
    let run = server.run("shop/borrow", &json!({})).await;
    let detail = run["problem"]["detail"].as_str().unwrap_or_default();
    assert!(detail.starts_with("the connection `shop-api` is not named by the step"), "{run}");
    assert!(stub.seen("/in").is_empty());
}

/// A person types at a terminal, over whose shoulder somebody looks.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_secret_that_is_typed_is_not_shown() {
    use std::io::{Read as _, Write as _};
    use std::process::{Command, Stdio};

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let server = serve(&[]).await;
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let screen = || Stdio::from(std::fs::File::options().read(true).write(true).open(&name).unwrap());
    // The terminal is its own: passwords are read from that, whatever standard input is.
    let mut command = Command::new("setsid");
    command.args([
        "--ctty",
        "--wait",
        env!("CARGO_BIN_EXE_flowcell-under-test"),
        "secrets",
        "set",
        "typed",
        "--data",
    ]);
    command.arg(server.setup().data()).stdin(screen()).stdout(screen()).stderr(screen());
    let mut child = command.spawn().expect("setsid is there");
    drop(command);
    let mut terminal = std::fs::File::from(terminal);
    let shown = tokio::task::spawn_blocking(move || {
        let (mut shown, mut typed) = (vec![], false);
        let mut some = [0; 256];
        // At the end of the other side the terminal gives an error.
        while let Ok(count @ 1..) = terminal.read(&mut some) {
            shown.extend_from_slice(&some[..count]);
            if !typed && String::from_utf8_lossy(&shown).contains("not shown): ") {
                terminal.write_all(format!("{CANARY}\n").as_bytes()).unwrap();
                typed = true;
            }
        }
        String::from_utf8(shown).unwrap()
    });
    let ended = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    let shown = shown.await.unwrap();
    assert!(ended.success(), "{shown}");
    assert!(shown.contains("the value of the secret") && shown.contains("set typed"), "{shown}");
    assert!(!shown.contains(CANARY), "{shown}");
    assert_eq!(server.get("/api/v1/secrets/typed").await.is(200).json()["name"], "typed");
}

/// Libraries write JSON with escapes of their own choice.
#[tokio::test]
async fn a_secret_that_is_told_back_behind_escapes_is_taken_out() {
    let stub = Stub::start().await;
    let value = "ab+cd/ef\"gh\n\u{e4}==";
    let every: String = value.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let once = serde_json::to_string(value).unwrap();
    let body = format!(
        "{{\"net\":{},\"every\":\"{every}\",\"twice\":{}}}",
        once.replace('+', "\\u002B"),
        serde_json::to_string(&once).unwrap()
    );
    stub.always("/in", Given::body(200, "application/json", body));
    let server = serve(&[&using("ask", &at(&stub, &ask("headers: { x-key: '${ $secrets.key }' }")))]).await;
    set(&server, "key", "unused", &["127.0.0.1"]).await;
    // A header carries no line break: the value that comes back is put in by its JSON.
    let by_body = using("ask", &at(&stub, &ask("method: POST, body: { key: '${ $secrets.key }' }")));
    server.call("PUT", "/api/v1/flows/shop/ask").body("application/yaml", by_body).send().await.is(200);
    set(&server, "key", value, &["127.0.0.1"]).await;
    let run = server.run("shop/ask", &json!({})).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(run["output"]["body"]["net"], "***", "{run}");
    assert_eq!(run["output"]["body"]["every"], "***", "{run}");
    assert_eq!(run["output"]["body"]["twice"], "\"***\"", "{run}");
    assert_eq!(stub.seen("/in")[0].json()["key"], value);
}
