//! What the command line says of itself, compared with the texts that the repository keeps of it: the help of every
//! command, and `runtime/REFERENCE.md`, which says what each command asks of a host. A command that asks for something else
//! than the rows of the API say is found here too.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

use clap::{Command, CommandFactory as _, Parser as _};

use super::Cli;
use super::data::testing::Scratch;
use crate::server::{Permit, Route, operation, routes, snapshot};

/// The columns of the kept help.
const WIDTH: usize = 100;

#[test]
fn the_help_of_every_command_is_as_kept() {
    let mut text = String::new();
    for (words, mut command) in commands() {
        let help = command.render_long_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        let _ = writeln!(text, "$ {words} --help\n{}\n", lines.join("\n"));
    }
    snapshot::assert_kept("snapshots/help.txt", &text);
}

#[test]
fn the_reference_is_as_kept() {
    let mut text = String::from(
        "# What each command asks of a host\n\n\
         Made of the commands and of the rows of the REST API; a test fails where they say something else. The arguments of \
         a command are in `flowcell COMMAND --help`, the parameters and shapes of an operation in `GET /openapi.json`. A \
         token needs the role or a higher one. The audit log has an operation under its name where the last column says \
         so, and every denial.\n\n\
         | command | what it does | operation | request | role | audit log |\n|---|---|---|---|---|---|\n",
    );
    for (words, command) in leaves() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        for route in routes_of(&words) {
            let _ = writeln!(text, "| `{words}` | {} | {} |", cell(&about), cells(route));
        }
    }
    text.push_str(
        "\n## Without a command\n\n\
         | what it does | operation | request | role | audit log |\n|---|---|---|---|---|\n",
    );
    for route in routes().filter(|route| route.commands.is_empty()) {
        let _ = writeln!(text, "| {} | {} |", cell(route.summary), cells(route));
    }
    snapshot::assert_kept("REFERENCE.md", &text);
}

#[test]
fn a_command_that_takes_a_host_has_a_row_or_says_that_it_needs_none() {
    for (words, command) in leaves() {
        let takes_host = command.get_arguments().any(|argument| argument.get_id() == "server");
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let has_row = routes_of(&words).next().is_some();
        assert_eq!(takes_host && !about.contains("needs no host"), has_row, "{words}");
    }
}

#[tokio::test]
async fn each_command_sends_the_requests_of_its_rows() {
    let scratch = Scratch::new();
    let document = "document: { dsl: 1.0.3, namespace: shop, name: in, version: 1.0.0 }\ndo:\n- one: { set: { a: 1 } }\n";
    let flow = scratch.write("flow.yaml", document).display().to_string();
    let document = "trigger: in\nnamespace: shop\nuses: webhook:1.0.0@default\nwith: {}\nflow: in\n";
    let trigger = scratch.write("trigger.yaml", document).display().to_string();
    let (host, requests) = host();
    let mut sent = BTreeSet::new();
    for line in [
        "flows list",
        "flows show shop/in",
        &format!("flows deploy {flow}"),
        &format!("flows deploy {trigger}"),
        "flows delete shop/in",
        "flows schedules",
        "flows run shop/in --wait PT1S",
        "triggers list",
        "triggers show shop/in",
        &format!("triggers deploy {flow}"),
        &format!("triggers deploy {trigger}"),
        "triggers delete shop/in",
        "triggers enable shop/in",
        "triggers disable shop/in",
        "triggers subscriptions",
        "triggers subscriptions --forget 7",
        "runs list --flow in",
        "runs show 7",
        "runs events 7",
        "runs cancel 7",
        "runs restart 7 --from-failed-step",
        "plugins list",
        "plugins show shop",
        "plugins show shop:1.0.0",
        &format!("plugins install {flow}"),
        "plugins try shop --with {}",
        "secrets list",
        &format!("secrets set key --file {flow}"),
        "secrets delete key",
        "connections list",
        "connections show shop",
        &format!("connections set shop {flow}"),
        "connections delete shop",
        "tenants list",
        "tokens list",
        "tokens show ci",
        "tokens create ci --role viewer",
        "tokens delete ci --operator",
        "audit list --denied",
        "policy explain https://example.com/",
    ] {
        let arguments = ["flowcell"].into_iter().chain(line.split(' ')).chain(["--server", &host]);
        let cli = Cli::try_parse_from(arguments).unwrap();
        cli.command.carry_out().await.unwrap();
        let request = requests.try_recv().unwrap();
        let (method, target) = request.split_once(' ').unwrap();
        let operation = operation(method, target.split([' ', '?']).next().unwrap());
        let words: Vec<&str> = line.split(' ').take(2).collect();
        sent.insert((words.join(" "), operation.unwrap_or_else(|| panic!("{line}: {request}"))));
    }
    let said =
        routes().flat_map(|route| route.commands.iter().map(|words| (words.to_string(), route.operation)));
    assert_eq!(sent, said.collect());
}

/// A host that answers every request with an empty list, and the request lines that it gets.
fn host() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let head: Vec<String> =
                stream.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
            stream.read_exact(&mut body).unwrap();
            sender.send(head[0].clone()).unwrap();
            let list = r#"{"items":[],"cursor":null}"#;
            let length = list.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{list}");
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, receiver)
}

/// The rows that a command sends.
fn routes_of(words: &str) -> impl Iterator<Item = &'static Route> {
    let words = words.trim_start_matches("flowcell ").to_owned();
    routes().filter(move |route| route.commands.contains(&words.as_str()))
}

/// Every command with its words, each before those below it.
fn commands() -> Vec<(String, Command)> {
    fn collect(words: String, command: &Command, found: &mut Vec<(String, Command)>) {
        found.push((words.clone(), command.clone()));
        for below in
            command.get_subcommands().filter(|below| below.get_name() != "help" && !below.is_hide_set())
        {
            collect(format!("{words} {}", below.get_name()), below, found);
        }
    }
    let mut root = Cli::command().term_width(WIDTH);
    root.build();
    let mut found = vec![];
    collect("flowcell".to_owned(), &root, &mut found);
    found
}

/// The commands that do something.
fn leaves() -> impl Iterator<Item = (String, Command)> {
    commands().into_iter().filter(|(_, command)| !command.has_subcommands())
}

/// Operation, request, role, audit log.
fn cells(route: &Route) -> String {
    let role = route.permit.role().map_or("none", |role| role.as_str());
    let audited = if matches!(route.permit, Permit::Audited(_)) { "yes" } else { "" };
    format!("`{}` | `{} {}` | {role} | {audited}", route.operation, route.method, route.path)
}

/// One line, in which nothing ends the cell.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
