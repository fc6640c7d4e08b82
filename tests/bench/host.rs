//! The processes that are measured: spawned, read until they say where they listen, ended when dropped.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

/// This program in another role.
pub struct Peer {
    child: Child,
    pub address: SocketAddr,
}

impl Peer {
    pub fn spawn(role: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        let mut child = command.args(role).stdout(Stdio::piped()).spawn().expect("a process");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { address: address(&mut lines), child }
    }
}

impl Peer {
    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The host with the two flows of cases A and B.
pub struct Flowcell {
    child: Child,
    folder: tempfile::TempDir,
    pub durable: String,
    pub volatile: String,
}

impl Flowcell {
    pub fn spawn(upstream: SocketAddr) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let flows = folder.path().join("flows");
        std::fs::create_dir(&flows).expect("a folder");
        for (name, durable) in [("durable", true), ("volatile", false)] {
            let text = FLOW.replace("NAME", name).replace("DURABLE", &durable.to_string());
            let text = text.replace("UPSTREAM", &upstream.to_string());
            std::fs::write(flows.join(format!("{name}.yaml")), text).expect("a file");
        }
        let config = folder.path().join("flowcell.toml");
        std::fs::write(&config, CONFIG).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowcell-under-test"));
        command.arg("serve").arg(&flows).arg("--config").arg(&config).args(["--listen", "127.0.0.1:0"]);
        command.arg("--data").arg(folder.path().join("data"));
        let mut child =
            command.env("RUST_BACKTRACE", "0").stdout(Stdio::piped()).spawn().expect("the host starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        address(&mut lines);
        let (durable, volatile) = (hook(&mut lines, "bench/durable"), hook(&mut lines, "bench/volatile"));
        // Whatever it prints from here on must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Self { child, folder, durable, volatile }
    }
}

impl Flowcell {
    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Flowcell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The folder goes with its guard, after the process that writes into it.
        let _ = self.folder.path();
    }
}

/// `listening on http://ADDR`
fn address(lines: &mut BufReader<ChildStdout>) -> SocketAddr {
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    let address =
        line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("unexpected: {line}"));
    address.parse().expect("an address")
}

/// `bench/NAME  URL`
fn hook(lines: &mut BufReader<ChildStdout>, name: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).expect("a line") > 0, "the host ended before it printed {name}");
        if let Some(url) = line.strip_prefix(name) {
            return url.trim().to_owned();
        }
    }
}

/// Case C in a process of its own, so that nothing else of this one disturbs it: prints `fresh reused` in µs.
pub fn sandbox() {
    let cost = flowcell::measure_sandbox(20_000).expect("the sandbox works on this machine");
    println!("{} {}", cost.fresh.as_secs_f64() * 1e6, cost.reused.as_secs_f64() * 1e6);
}

pub fn sandbox_in_child() -> (f64, f64) {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    let output = command.arg("sandbox").env("RUST_BACKTRACE", "0").output().expect("a process");
    let text = String::from_utf8(output.stdout).expect("text");
    let (fresh, reused) = text.trim().split_once(' ').unwrap_or_else(|| {
        panic!("the sandbox case failed: {}", String::from_utf8_lossy(&output.stderr));
    });
    (fresh.parse().expect("a number"), reused.parse().expect("a number"))
}

const FLOW: &str = "
document: { dsl: 1.0.3, namespace: bench, name: NAME, version: 1.0.0, metadata: { durable: DURABLE } }
do:
  - call-upstream:
      call: http-request:1.0.0@default
      with: { url: 'http://UPSTREAM/', method: POST, body: '${ .body }' }
  - answer:
      call: respond:1.0.0@default
      with: { status: 200, body: '${ .body }' }
---
trigger: NAME
namespace: bench
uses: webhook:1.0.0@default
with: { methods: [POST], respond: { from: flow, within: PT30S } }
flow: NAME
";

const CONFIG: &str = r#"
[[tenant]]
name = "default"
[[tenant.allow]]
network = "127.0.0.0/8"
[tenant.quota]
requests_per_second = 1000000
egress_bytes_per_minute = "1000GiB"
"#;
