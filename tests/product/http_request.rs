//! The action `http-request` from outside: what arrives at the other side, and what the flow gets back.

use std::time::{Duration, Instant};

use flowcell_tests::{Folder, Given, Stub};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::FLOWCELL;
use crate::documents::{at, flow, local, serve};

fn ask(with: &str) -> String {
    format!("- ask: {{ call: http-request:1.0.0@default, with: {{ {with} }} }}")
}

/// One run of a flow with this request.
async fn run(stub: &Stub, with: &str, input: Value) -> Value {
    let server = serve(&[&flow("ask", &at(stub, &ask(with)))]).await;
    server.run("shop/ask", &input).await
}

#[tokio::test]
async fn a_wrong_method_type_or_name_is_refused_with_its_place_when_it_is_deployed() {
    let server = serve(&[]).await;
    for (tasks, says) in [
        (ask("url: 'http://a.example/', method: INVALID"), "`with.method`"),
        (
            ask("url: 'http://a.example/', contentType: invalid, body: x"),
            "`with.contentType`: \"invalid\" is not one of these",
        ),
        (ask("method: GET"), "\"url\" is a required property"),
        (ask("url: 'http://a.example/'") + "\n" + &ask("url: 'http://b.example/'"), "`ask`"),
        (ask("url: 'http://a.example/', headers: { Host: x }"), "`host`"),
    ] {
        let put = server.call("PUT", "/api/v1/flows/shop/ask").body("application/yaml", flow("ask", &tasks));
        let answer = put.send().await;
        // What no schema says is said when the step is carried out.
        if answer.status == 201 {
            let run = server.run("shop/ask", &json!({})).await;
            assert!(run["problem"]["detail"].as_str().unwrap_or_default().contains(says), "{tasks}: {run}");
            continue;
        }
        let problem = answer.problem(400);
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(says) && detail.starts_with("line "), "{tasks}: {problem}");
    }
}

#[tokio::test]
async fn xml_and_text_arrive_unchanged_with_their_types() {
    let stub = Stub::start().await;
    let text = "<a b='1'>ä & more</a>";
    for (content_type, sent) in [
        ("xml", "application/xml"),
        ("text", "text/plain; charset=utf-8"),
        ("application/soap+xml", "application/soap+xml"),
    ] {
        let with = format!("url: STUB/in, method: POST, contentType: {content_type}, body: '${{ .text }}'");
        assert_eq!(run(&stub, &with, json!({ "text": text })).await["status"], "completed");
        let seen = stub.seen("/in").pop().expect("it was called");
        assert_eq!((seen.body.as_ref(), seen.header("content-type")), (text.as_bytes(), sent));
    }
}

#[tokio::test]
async fn header_rows_may_have_computed_names_and_those_without_a_name_are_left_out() {
    let stub = Stub::start().await;
    let with = "url: STUB/in, headers: [ { name: '${ .name }', value: one }, { name: x-b, value: '${ .value }' }, \
                { name: '', value: lost }, { name: x-b, value: again } ]";
    run(&stub, with, json!({ "name": "X-A", "value": 2 })).await;
    let seen = &stub.seen("/in")[0];
    assert_eq!(seen.header("x-a"), "one");
    let all: Vec<_> =
        seen.headers.get_all("x-b").iter().map(|value| value.to_str().unwrap_or_default()).collect();
    assert_eq!(all, ["2", "again"]);
    assert!(!format!("{:?}", seen.headers).contains("lost"));
}

#[tokio::test]
async fn basic_authentication_may_be_written_out() {
    let stub = Stub::start().await;
    run(&stub, "url: STUB/in, basic: { username: u, password: p }", json!({})).await;
    assert_eq!(stub.seen("/in")[0].header("authorization"), "Basic dTpw");
}

#[tokio::test]
async fn html_comes_back_as_its_text_and_json_with_an_error_stays_readable() {
    let stub = Stub::start().await;
    stub.always("/html", Given::body(200, "text/html", "<p>hi</p>"));
    stub.always("/gone", Given::json(404, &json!({ "why": "gone" })).header("x-a", "b"));
    assert_eq!(run(&stub, "url: STUB/html", json!({})).await["output"]["body"], "<p>hi</p>");
    let failed = run(&stub, "url: STUB/gone", json!({})).await;
    let data = &failed["problem"]["data"];
    assert_eq!((&failed["status"], &failed["problem"]["status"]), (&json!("faulted"), &json!(404)));
    assert_eq!((&data["body"], &data["headers"]["x-a"]), (&json!({ "why": "gone" }), &json!("b")));
}

#[tokio::test]
async fn a_missing_value_has_a_fallback_and_a_number_is_sent_as_text() {
    let stub = Stub::start().await;
    let with =
        "url: STUB/in, query: { a: '${ .a // \"b\" }', n: '${ .n }', none: '${ .none }', list: [x, 2] }";
    run(&stub, with, json!({ "n": 7.5 })).await;
    let mut query: Vec<_> = stub.seen("/in")[0].query.split('&').map(str::to_owned).collect();
    query.sort();
    assert_eq!(query, ["a=b", "list=2", "list=x", "n=7.5"]);
}

/// A server that sends the head of an answer, and then a byte now and again without an end.
async fn dripping() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 1024];
                let _ = stream.read(&mut head).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await;
                let mut tick = tokio::time::interval(Duration::from_millis(20));
                while stream.write_all(b"x").await.is_ok() {
                    tick.tick().await;
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn a_timeout_counts_for_the_whole_answer_however_it_drips() {
    let (stub, drip) = (Stub::start().await, dripping().await);
    stub.always("/slow", Given::status(200).after(Duration::from_secs(2)));
    let server = serve(&[&flow(
        "ask",
        &ask("url: '${ .url }', timeout: PT0.25S, retry: { limit: { attempt: { count: 0 } } }"),
    )])
    .await;
    for url in [format!("{}/slow", stub.url()), drip] {
        let begun = Instant::now();
        let run = server.run("shop/ask", &json!({ "url": url })).await;
        assert_eq!(run["problem"]["data"]["code"], "timeout", "{run}");
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn the_deadline_of_the_flow_ends_a_request_that_has_more_time_itself() {
    let stub = Stub::start().await;
    stub.always("/slow", Given::status(200).after(Duration::from_secs(3)));
    let tasks = ask("url: STUB/slow, timeout: PT5S");
    let text = crate::documents::flow_with("ask", "timeout: { after: PT1S }", &at(&stub, &tasks));
    let server = serve(&[&text]).await;
    let begun = Instant::now();
    let run = server.run("shop/ask", &json!({})).await;
    let took = begun.elapsed();
    assert!(run["status"] == "faulted" && took < Duration::from_millis(2500), "{took:?}: {run}");
    assert_eq!(run["problem"]["status"], 408);
}

#[tokio::test]
async fn parts_of_a_multipart_body_arrive_byte_for_byte() {
    let stub = Stub::start().await;
    let with = "url: STUB/in, method: POST, contentType: multipart, body: [ { name: text, value: 'ä & b' }, \
                { name: file, base64: AAEC/w==, filename: one.bin }, { name: file, base64: /wIBAA== } ]";
    run(&stub, with, json!({})).await;
    let seen = &stub.seen("/in")[0];
    assert!(seen.header("content-type").starts_with("multipart/form-data; boundary="), "{seen:?}");
    let holds = |part: &[u8]| seen.body.windows(part.len()).any(|window| window == part);
    assert!(holds("name=\"text\"\r\n\r\nä & b\r\n".as_bytes()));
    assert!(holds(b"filename=\"one.bin\"") && holds(b"\r\n\r\n\x00\x01\x02\xff\r\n"));
    assert!(
        holds(b"filename=\"file\"") && holds(b"\r\n\r\n\xff\x02\x01\x00\r\n"),
        "{}",
        String::from_utf8_lossy(&seen.body)
    );
}

#[tokio::test]
async fn pages_by_link_and_by_number_come_to_one_list() {
    let stub = Stub::start().await;
    for (page, next) in [("1", json!("/items?page=2")), ("2", json!("/items?page=3")), ("3", json!("/end"))] {
        let from: u32 = (page.parse::<u32>().unwrap_or(1) - 1) * 5;
        let items: Vec<u32> = (from..from + 5).collect();
        stub.next("/items", Given::json(200, &json!({ "items": items, "next": next })));
    }
    stub.always("/end", Given::status(404));
    let run_ =
        run(&stub, "url: 'STUB/items?page=1', pages: { next: .body.next, items: .body.items }", json!({}))
            .await;
    let output = &run_["output"];
    assert_eq!(output["body"].as_array().map(Vec::len), Some(15), "{run_}");
    assert_eq!((&output["pages"], &output["complete"]), (&json!(3), &json!(true)));
    let queries: Vec<_> = stub.seen("/items").iter().map(|seen| seen.query.clone()).collect();
    assert_eq!(queries, ["page=1", "page=2", "page=3"]);

    let counted = Stub::start().await;
    for items in [json!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), json!([10, 11, 12, 13, 14]), json!([])] {
        counted.next("/items", Given::json(200, &items));
    }
    let run_ = run(&counted, "url: STUB/items, pages: { parameter: { name: skip } }", json!({})).await;
    assert_eq!(run_["output"]["body"].as_array().map(Vec::len), Some(15), "{run_}");
    let queries: Vec<_> = counted.seen("/items").iter().map(|seen| seen.query.clone()).collect();
    assert_eq!(queries, ["skip=0", "skip=10", "skip=15"]);

    let endless = Stub::start().await;
    endless.always("/items", Given::json(200, &json!([1])));
    let with = "url: STUB/items, pages: { parameter: { name: page, step: 1 }, max: 3 }";
    let run_ = run(&endless, with, json!({})).await;
    assert_eq!((&run_["output"]["complete"], endless.seen("/items").len()), (&json!(false), 3));
}

/// A server of https whose certificate signs itself.
async fn secure() -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("the usual versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("its own key");
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let _ = stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nsafe")
                    .await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (port, made.cert.pem())
}

#[tokio::test]
async fn a_private_authority_is_trusted_by_the_tenant_that_names_it() {
    let (port, pem) = secure().await;
    let text = flow(
        "ask",
        &ask(&format!("url: 'https://localhost:{port}/', retry: {{ limit: {{ attempt: {{ count: 0 }} }} }}")),
    );
    for ca in [true, false] {
        let more = if ca { "ca = \"ca.pem\"\n" } else { "" };
        let config = local("").replacen("name = \"default\"\n", &format!("name = \"default\"\n{more}"), 1);
        let setup = FLOWCELL.serve().config(config).file("all.yaml", &text);
        std::fs::write(setup.folder().at("ca.pem"), &pem).expect("a file beside the configuration");
        let server = setup.start().await;
        let run = server.run("shop/ask", &json!({})).await;
        match ca {
            true => assert_eq!(run["output"]["body"], "safe", "{run}"),
            false => assert_eq!(run["problem"]["data"]["code"], "tls", "{run}"),
        }
    }
    let config = local("").replacen("name = \"default\"\n", "name = \"default\"\nca = \"nowhere.pem\"\n", 1);
    FLOWCELL.serve().config(config).refused().await.says(&["`ca`", "nowhere.pem"]);
}

/// A stub is a proxy as well: it is told the whole address.
#[tokio::test]
async fn requests_go_through_the_operators_proxy_but_for_what_is_excepted() {
    let (stub, proxy) = (Stub::start().await, Stub::start().await);
    let folder = Folder::new();
    let text = folder.write("ask.yaml", flow("ask", &at(&stub, &ask("url: STUB/in"))));
    let run = async |no_proxy: &str| {
        let config = format!(
            "{}[proxy]\nurl = \"http://user:p^ss@127.0.0.1:{}\"\nno_proxy = [{no_proxy}]\n",
            local(""),
            proxy.port()
        );
        let config = folder.write("flowcell.toml", config);
        let arguments =
            ["run", text.to_str().unwrap_or_default(), "--config", config.to_str().unwrap_or_default()];
        FLOWCELL.command(arguments).output().await.exited(0);
    };
    run("").await;
    let seen = proxy.all();
    assert_eq!((seen.len(), stub.connections()), (1, 0), "{seen:?}");
    assert_eq!(seen[0].header("proxy-authorization"), "Basic dXNlcjpwXnNz");
    run("\"127.0.0.0/8\"").await;
    assert_eq!((proxy.all().len(), stub.seen("/in").len()), (1, 1));
    run("\"*\"").await;
    assert_eq!((proxy.all().len(), stub.seen("/in").len()), (1, 2));
    let wrong = local("") + "[proxy]\nurl = \"http://a:1\"\nresolve = \"here\"\n";
    FLOWCELL.serve().config(wrong).refused().await.says(&["`resolve` is `here`", "it is asked by name"]);
    for wrong in ["socks5://s3cr3t@a", "http://s3cr3t@${HOST}:3128"] {
        let wrong = format!("{}[proxy]\nurl = \"{wrong}\"\n", local(""));
        let refused = FLOWCELL.serve().config(wrong).refused().await.says(&["is not the address of a proxy"]);
        assert!(!refused.text().contains("s3cr3t"));
    }
    for wrong in ["10.0.0.0/33", "*.example.com", "127.1", "a b", "http://a", "a..b", ""] {
        let wrong = format!("{}[proxy]\nurl = \"http://a:1\"\nno_proxy = [\"{wrong}\"]\n", local(""));
        FLOWCELL.serve().config(wrong).refused().await.says(&["`no_proxy` has", "10.0.0.0/8"]);
    }
}

/// A request has somewhat less time than its step, so that the step can say that nobody has answered.
#[tokio::test]
async fn a_request_that_has_as_much_time_as_its_step_times_out_before_that() {
    let (stub, gate) = (Stub::start().await, flowcell_tests::Gate::new());
    stub.always("/never", Given::status(200).behind(&gate));
    let tasks = "- ask: { call: http-request:1.0.0@default, with: { url: STUB/never, method: POST, allowFailure: true } }";
    let config = local("step_time = \"2s\"");
    let server =
        FLOWCELL.serve().config(config).file("all.yaml", flow("hangs", &at(&stub, tasks))).start().await;
    let run = server.run("shop/hangs", &json!({})).await;
    assert_eq!((&run["status"], &run["output"]["success"]), (&json!("completed"), &json!(false)), "{run}");
    let error = &run["output"]["error"];
    assert_eq!((&error["code"], &error["sent"]), (&json!("timeout"), &json!("unknown")), "{run}");
    assert!(error.to_string().contains("all that the step has (tenant.quota.step_time)"), "{error}");
}

#[tokio::test]
async fn json_is_read_by_its_charset_and_behind_its_mark_and_utf_16_is_text() {
    let stub = Stub::start().await;
    let latin = b"{\"a\":\"\xe9\"}".to_vec();
    stub.always("/latin", Given::body(200, "application/json; charset=iso-8859-1", latin));
    stub.always("/marked", Given::body(200, "application/json", "\u{feff}{\"a\":\"\u{e9}\"}"));
    let utf_16: Vec<u8> = "\u{feff}\u{e9}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    stub.always("/wide", Given::body(200, "text/plain; charset=utf-16", utf_16));
    let tasks = "- all:\n    fork:\n      branches:\n".to_owned()
        + &["latin", "marked", "wide"].map(|name| format!("        - {name}: {{ call: http-request:1.0.0@default, with: {{ url: STUB/{name} }}, output: {{ as: .body }} }}\n")).concat();
    let server = serve(&[&flow("reads", &at(&stub, &tasks))]).await;
    let run = server.run("shop/reads", &json!({})).await;
    assert_eq!(run["output"], json!([{ "a": "\u{e9}" }, { "a": "\u{e9}" }, "\u{e9}"]), "{run}");
}

/// The body is not to be had, and what came before it is.
#[tokio::test]
async fn what_had_come_of_an_answer_that_failed_stays_readable() {
    let stub = Stub::start().await;
    stub.always("/large", Given::body(207, "text/plain", "x".repeat(4096)).header("x-of", "large"));
    let redirect = || Given::status(302).header("location", "/large").header("x-of", "redirect");
    stub.always("/moved", redirect());
    stub.always(
        "/garbled",
        Given::body(200, "text/plain", "not gzip")
            .header("content-encoding", "gzip")
            .header("x-of", "garbled"),
    );
    for (with, code, status, of) in [
        ("url: STUB/large, maxResponseBytes: 100", "too-large", 207, "large"),
        ("url: STUB/moved, redirects: error", "too-many-redirects", 302, "redirect"),
        ("url: STUB/garbled, method: POST", "reset", 200, "garbled"),
    ] {
        let failing = format!("- ask: {{ call: http-request:1.0.0@default, with: {{ {with} }} }}");
        let allowing =
            format!("- ask: {{ call: http-request:1.0.0@default, with: {{ {with}, allowFailure: true }} }}");
        let server =
            serve(&[&flow("fails", &at(&stub, &failing)), &flow("allows", &at(&stub, &allowing))]).await;
        let run = server.run("shop/fails", &json!({})).await;
        let data = &run["problem"]["data"];
        assert_eq!((&data["code"], &data["status"]), (&json!(code), &json!(status)), "{with}: {run}");
        assert_eq!(data["headers"]["x-of"], of, "{with}: {run}");
        let run = server.run("shop/allows", &json!({})).await;
        let output = &run["output"];
        assert_eq!(
            (&output["error"]["code"], &output["status"]),
            (&json!(code), &json!(status)),
            "{with}: {run}"
        );
        assert_eq!(
            (&output["headers"]["x-of"], &output["success"]),
            (&json!(of), &json!(false)),
            "{with}: {run}"
        );
    }
}
