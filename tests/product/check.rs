//! `flowcell check`: what is wrong with a document, and where, before anything runs.

use flowcell_tests::{Folder, Output};

use crate::FLOWCELL;
use crate::documents::{flow, flow_with, hook, together};

async fn check(document: &str) -> Output {
    let folder = Folder::new();
    folder.write("doc.yaml", document);
    FLOWCELL.command(["check", "doc.yaml"]).in_folder(folder.path()).output().await
}

/// A request with these parameters.
fn request(with: &str) -> String {
    flow("NAME", &format!("- ask: {{ call: http-request:1.0.0@default, with: {with} }}"))
}

/// Each document is refused with its place, and every one of its words stands in what is said about it. `NAME` stands
/// for a name of the document's own.
///
/// The documents are checked together, which takes one start of the product instead of many. What does not even read
/// hides what would be found later, so those that were told are taken away and the rest is checked again.
async fn refused(table: &[(String, &[&str])]) {
    let folder = Folder::new();
    let mut open: Vec<usize> = (0..table.len()).collect();
    for row in &open {
        folder.write(&format!("docs/{row}.yaml"), table[*row].0.replace("NAME", &format!("doc{row}")));
    }
    while !open.is_empty() {
        let output = FLOWCELL.command(["check", "docs"]).in_folder(folder.path()).output().await.exited(2);
        let before = open.len();
        open.retain(|row| {
            let (document, words) = &table[*row];
            let file = format!("docs/{row}.yaml");
            let text = output.text();
            let told: Vec<_> = text.lines().filter(|line| line.starts_with(&format!("{file}:"))).collect();
            if told.is_empty() {
                return true;
            }
            for word in *words {
                assert!(
                    told.iter().any(|line| line.contains(word)),
                    "`{word}` is missing\n{document}\n{told:#?}"
                );
            }
            std::fs::remove_file(folder.at(&file)).expect("the file was written above");
            false
        });
        assert!(open.len() < before, "not refused: {}\n{output}", table[open[0]].0);
    }
}

#[tokio::test]
async fn a_folder_of_good_documents_exits_0() {
    let folder = Folder::new();
    folder.write(
        "flows/order.yaml",
        together(&[&flow("order", "- one: { set: { a: 1 } }"), &hook("in", "order", "{}")]),
    );
    folder.write("flows/other.yml", flow("other", "- one: { wait: PT1S }"));
    folder.write("flows/third.json", r#"{"document":{"dsl":"1.0.3","namespace":"shop","name":"third","version":"1.0.0"},"do":[{"one":{"set":{"a":1}}}]}"#);
    FLOWCELL.command(["check", "flows"]).in_folder(folder.path()).output().await.exited(0);
}

#[tokio::test]
async fn a_path_that_is_not_there_is_named() {
    FLOWCELL.command(["check", "absent"]).output().await.exited(2).says(&["absent"]);
}

#[tokio::test]
async fn unknown_keys_are_refused_with_the_nearest_one() {
    refused(&[
        (flow("NAME", "- one: { st: { a: 1 } }"), &["`st`", "`set`"]),
        (flow("NAME", "- one: { set: { a: 1 }, thn: end }"), &["`thn`", "`then`"]),
        (
            flow_with("NAME", "timout: { after: PT1S }", "- one: { set: { a: 1 } }"),
            &["`timout`", "`timeout`"],
        ),
        (flow("NAME", "- one: { set: { a: 1 } }").replace("version", "verison"), &["`verison`", "`version`"]),
        (
            together(&[
                &flow("NAME", "- one: { set: { a: 1 } }"),
                &(hook("NAME", "NAME", "{}") + "enabeld: false\n"),
            ]),
            &["`enabeld`", "`enabled`"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn the_place_is_line_and_column_of_the_key() {
    let text = flow("NAME", "- one:\n    set: { a: 1 }\n    thn: end");
    let line = text.lines().position(|line| line.contains("thn")).map(|line| line + 1).unwrap();
    check(&text).await.exited(2).says(&[&format!("doc.yaml:{line}:5: ")]);
}

#[tokio::test]
async fn every_finding_is_told_not_only_the_first() {
    let text = flow("NAME", "- one: { sett: { a: 1 } }\n- two: { set: { a: 1 }, then: nowhere }");
    check(&text).await.exited(2).says(&["`nowhere`", "did you mean `set`"]);
}

#[tokio::test]
async fn expressions_that_do_not_parse_are_refused() {
    refused(&[
        (flow("NAME", "- one: { set: { a: '${ .a + }' } }"), &[".a +"]),
        (flow("NAME", "- one: { if: '${ (.a }', set: { a: 1 } }"), &["(.a"]),
        (flow("NAME", "- one: { set: { a: '${ $nothing }' } }"), &["$nothing"]),
        (flow("NAME", "- one: { set: { a: '${ nofunction(1) }' } }"), &["nofunction"]),
    ])
    .await;
}

#[tokio::test]
async fn unknown_plugins_and_versions_are_refused() {
    refused(&[
        (flow("NAME", "- one: { call: nowhere:1.0.0@default }"), &["nowhere"]),
        // What no document can use is not proposed.
        (flow("NAME", "- one: { call: curls:1.0.0@default }"), &["installed are http-request:1.0.0"]),
        (flow("NAME", "- one: { call: curl:1.0.0@default }"), &["plugin `curl` has no actions"]),
        (
            flow("NAME", "- one: { call: http-request:1.0.0@default, with: { urll: 'http://a.example' } }"),
            &["there is no `urll`: did you mean `url`?"],
        ),
        (
            flow("NAME", "- one: { call: http-reqest:1.0.0@default, with: { url: 'http://a.example' } }"),
            &["http-reqest", "http-request"],
        ),
        (
            flow("NAME", "- one: { call: http-request:9.9.9@default, with: { url: 'http://a.example' } }"),
            &["9.9.9", "1.0.0"],
        ),
        (
            flow("NAME", "- one: { call: http-request:1.0.0@elsewhere, with: { url: 'http://a.example' } }"),
            &["elsewhere"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn wrong_parameters_of_a_plugin_are_refused_by_name() {
    refused(&[
        (request("{ method: GET }"), &["url"]),
        (request("{ url: 'http://a.example', method: INVALID }"), &["method"]),
        (request("{ url: 'http://a.example', mehtod: GET }"), &["mehtod"]),
        (request("{ url: 'http://a.example', timeout: soon }"), &["timeout"]),
        (request("{ url: 'http://a.example', headers: 7 }"), &["headers"]),
    ])
    .await;
}

#[tokio::test]
async fn two_steps_of_one_name_are_refused() {
    refused(&[(flow("NAME", "- one: { set: { a: 1 } }\n- one: { set: { a: 2 } }"), &["`one`"])]).await;
}

#[tokio::test]
async fn a_jump_to_nowhere_is_refused() {
    refused(&[
        (flow("NAME", "- one: { set: { a: 1 }, then: nowhere }"), &["`nowhere`"]),
        (flow("NAME", "- one: { switch: [ { always: { then: nowhere } } ] }"), &["`nowhere`"]),
    ])
    .await;
}

#[tokio::test]
async fn a_task_that_is_never_reached_is_reported() {
    let text = flow("NAME", "- one: { set: { a: 1 }, then: end }\n- orphan: { set: { a: 2 } }");
    check(&text).await.exited(2).says(&["doc.yaml:", "orphan"]);
}

#[tokio::test]
async fn what_cannot_run_in_a_sandbox_is_refused_with_the_reason() {
    refused(&[
        (flow("NAME", "- one: { run: { shell: { command: ls } } }"), &["shell"]),
        (flow("NAME", "- one: { run: { container: { image: alpine } } }"), &["container"]),
        (flow("NAME", "- one: { run: { script: { language: js, code: '1' } } }"), &["script"]),
        (flow("NAME", "- one: { call: grpc, with: { method: a } }"), &["grpc"]),
        (flow("NAME", "- one: { call: asyncapi, with: { channel: a } }"), &["asyncapi"]),
    ])
    .await;
}

#[tokio::test]
async fn documents_that_are_none_are_refused() {
    refused(&[
        ("document: [".to_owned(), &[]),
        ("greeting: hello\n".to_owned(), &["document", "trigger"]),
        (flow("NAME", "- one: { set: { a: 1 } }").replace("1.0.3", "2.0.0"), &["2.0.0"]),
        (flow("NAME", "[]"), &["do"]),
    ])
    .await;
}

#[tokio::test]
async fn triggers_are_checked_like_flows() {
    let good = flow("NAME", "- one: { set: { a: 1 } }");
    refused(&[
        (together(&[&good, &hook("NAME", "elsewhere", "{}")]), &["elsewhere"]),
        (
            together(&[&good, &hook("NAME", "NAME", "{}").replace("webhook:", "webhok:")]),
            &["webhok", "webhook"],
        ),
        (together(&[&good, &hook("NAME", "NAME", "{ mehtods: [POST] }")]), &["mehtods"]),
        (together(&[&good, &hook("NAME", "NAME", "{ respond: { from: nowhere } }")]), &["respond"]),
    ])
    .await;
}

/// What no schema says of a request is said before it runs: refused where the run would refuse it, told where it is odd.
#[tokio::test]
async fn what_is_wrong_with_a_request_as_a_whole_is_found_before_it_runs() {
    let request = |with: &str| {
        flow("asks", &format!("- ask: {{ call: http-request:1.0.0@default, with: {{ {with} }} }}"))
    };
    let url = "url: https://example.com/";
    for (with, code, says) in [
        ("url: ''", 2, "`with.url`: it begins with https:// or http:// and names a host"),
        ("url: ftp://example.com/", 2, "`with.url`: it begins with"),
        ("url: /relative", 2, "`with.url`: it begins with"),
        ("url: 'https://u:p@example.com/'", 2, "`with.url`: credentials do not stand in a URL"),
        (
            &format!(
                "{url}, contentType: json, headers: {{ Content-Type: application/xml }}, method: POST, body: 1"
            ),
            2,
            "`with.contentType`: the header `content-type` says something else",
        ),
        (
            &format!(
                "{url}, contentType: text, headers: [{{ name: content-type, value: text/html }}], method: POST, body: a"
            ),
            2,
            "`with.contentType`: the header",
        ),
        (
            &format!("{url}, headers: {{ Host: other }}"),
            2,
            "`with.headers`: `host` and the headers that frame",
        ),
        (
            &format!("{url}, basic: {{ username: a, password: b }}, headers: {{ authorization: x }}"),
            2,
            "`with.headers`: the header `authorization` stands beside",
        ),
        (&format!("{url}, timeout: PT0S"), 2, "`with.timeout`: it is zero"),
        (&format!("{url}, pages: {{ }}"), 2, "`with.pages`: it has one of `next` and `parameter`"),
        (&format!("{url}, body: {{ a: 1 }}"), 2, "`with.body`: a GET or HEAD with a body"),
        (&format!("{url}, method: HEAD, body: a"), 2, "`with.body`: a GET or HEAD with a body"),
        (
            &format!(
                "{url}, contentType: json, headers: {{ Content-Type: 'Application/JSON; charset=utf-8' }}, method: POST, body: 1"
            ),
            0,
            "no findings",
        ),
        (
            &format!(
                "{url}, contentType: 'text/csv', headers: {{ Content-Type: 'text/csv;header=present' }}, method: POST, body: a"
            ),
            0,
            "no findings",
        ),
        ("url: '${ .url }', method: '${ .method }', body: '${ .body }'", 0, "no findings"),
        ("url: 'HTTPS://example.com/', method: POST, body: { a: 1 }", 0, "no findings"),
    ] {
        let folder = Folder::new();
        let file = folder.write("asks.yaml", request(with));
        let output = FLOWCELL.command(["check"]).arg(&file).output().await.exited(code);
        let all = format!("{}{}", output.stdout, output.stderr);
        assert!(all.contains(says) || says == "no findings" && !all.contains("`with"), "{with}: {all}");
    }
}

#[tokio::test]
async fn a_subscription_that_does_not_say_where_to_call_is_told_and_a_wrong_template_is_refused() {
    let step = |with: &str| {
        flow("asks", &format!("- ask: {{ call: http-webhook:1.0.0@default, with: {{ {with} }} }}"))
    };
    let asked =
        "subscribe: { url: https://example.com/, method: POST, body: { to: '${ $task.callback.url }' } }";
    let unsubscribe = |url: &str| format!("{asked}, unsubscribe: {{ url: '{url}', method: DELETE }}");
    for (with, code, says) in [
        (
            "subscribe: { url: https://example.com/, method: POST }".to_owned(),
            2,
            "`with.subscribe`: it does not say where to call",
        ),
        (asked.to_owned(), 0, ""),
        (unsubscribe("https://example.com/{{ subscribe.body.items[0].id }}"), 0, ""),
        (unsubscribe("{{ subscribe.headers.location }}"), 0, ""),
        (
            unsubscribe("https://example.com/{{ subscrib.body.id }}"),
            2,
            "`with.unsubscribe`: what stands in `{{ }}`",
        ),
        (unsubscribe("https://example.com/{{ subscribe.body.id"), 2, "`with.unsubscribe`: what stands in"),
        (unsubscribe("https://example.com/{{ }}"), 2, "`with.unsubscribe`: what stands in"),
    ] {
        let trigger = format!(
            "trigger: in\nnamespace: shop\nuses: http-webhook:1.0.0@default\nwith: {{ {with} }}\nflow: asks\n"
        );
        let plain = flow("asks", "- give: { set: { a: 1 } }");
        for document in [step(&with), together(&[&plain, &trigger])] {
            let folder = Folder::new();
            let file = folder.write("asks.yaml", &document);
            let output = FLOWCELL.command(["check"]).arg(&file).output().await.exited(code);
            let all = format!("{}{}", output.stdout, output.stderr);
            assert!(all.contains(says), "{document}: {all}");
            assert!(!says.is_empty() || !all.contains("`with"), "{document}: {all}");
        }
    }
}

#[tokio::test]
async fn an_expression_that_a_trigger_judges_by_is_checked_wherever_it_stands() {
    let folder = Folder::new();
    let trigger = "trigger: in\nnamespace: shop\nuses: webhook:1.0.0@default\nwith: { dedupe: { key: '.a =' } }\nflow: asks\n";
    let file = folder.write("all.yaml", together(&[&flow("asks", "- give: { set: { a: 1 } }"), trigger]));
    let output = FLOWCELL.command(["check"]).arg(&file).output().await.exited(2);
    output.says(&["`with.dedupe.key`: the expression `.a =` is wrong"]);
}
