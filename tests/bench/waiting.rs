//! Case E: runs that wait cost nothing but disk, and wake in time.
//!
//! One run is suspended by a host; its rows are copied under other ids as often as it takes. Then the memory of a host
//! that is started on them is compared with that of a host on an empty folder, and some of them fall due together.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, params};

/// How many fall due at once.
const DUE: usize = 10_000;

pub struct Waiting {
    pub runs: usize,
    /// Over an empty host.
    pub mib: f64,
    pub start_s: f64,
    pub wake_s: f64,
}

impl Waiting {
    pub fn print(&self) {
        let Self { runs, mib, start_s, wake_s } = self;
        println!("\n{runs} suspended runs: {mib:.1} MiB over an empty host; ready after {start_s:.2} s;");
        println!("  {DUE} of them due at once have ended after {wake_s:.2} s");
    }
}

pub fn measure(runs: usize) -> Waiting {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let flows = folder.path().join("flows");
    std::fs::create_dir(&flows).expect("a folder");
    std::fs::copy(flowcell_tests::bare_probe(), flows.join("probe.wasm")).expect("the probe is built");
    std::fs::write(flows.join("wait.yaml"), FLOW).expect("a file");

    // The first start in a folder compiles the plugins, which takes memory of its own.
    drop(Host::start(&flows, &folder.path().join("empty")));
    let empty = Host::start(&flows, &folder.path().join("empty"));
    let empty_bytes = empty.resident_bytes();
    drop(empty);

    let data = folder.path().join("data");
    let mut first = Host::start(&flows, &data);
    first.begin_a_run();
    drop(first);
    let journal = Connection::open(data.join("journal.db")).expect("the journal");
    copy(&journal, runs);
    // In a while: by then the host has started and its memory is known.
    let due = now_ms() + 10_000;
    make_due(&journal, due);

    let started = Instant::now();
    let host = Host::start(&flows, &data);
    let start_s = started.elapsed().as_secs_f64();
    let full_bytes = host.resident_bytes();
    let wake_s = wake(&journal, due);
    drop(host);
    Waiting { runs, mib: (full_bytes - empty_bytes) / f64::from(1 << 20), start_s, wake_s }
}

/// The rows of the one run that is there, under as many other ids. All are due in a month.
fn copy(journal: &Connection, runs: usize) {
    let template = "SELECT run FROM runs WHERE status = 'suspended'";
    let template: Vec<u8> = journal.query_row(template, [], |row| row.get(0)).expect("it is suspended");
    let due = now_ms() + 30 * 24 * 3_600_000;
    let copies = format!(
        "CREATE TEMP TABLE copies AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {runs})
             SELECT randomblob(16) AS run FROM n;
         CREATE TEMP TABLE sorted AS SELECT run FROM copies ORDER BY run;
         PRAGMA synchronous = OFF;
         BEGIN;"
    );
    journal.execute_batch(&copies).expect("there is room");
    let rows = [
        "INSERT INTO runs SELECT tenant, sorted.run, namespace, name, version, digest, started_by, status, phase,
             started_at, ended_at, owner FROM sorted, runs WHERE runs.run = ?1",
        "INSERT INTO entries SELECT tenant, sorted.run, seq, at, body FROM sorted, entries WHERE entries.run = ?1",
        "INSERT INTO timers SELECT tenant, sorted.run, timer, ?2 FROM sorted, timers WHERE timers.run = ?1",
        "UPDATE timers SET due = ?2 WHERE run = ?1",
    ];
    for insert in rows {
        let mut statement = journal.prepare(insert).expect("the schema of the journal");
        let count = statement.parameter_count();
        let done = if count == 2 {
            statement.execute(params![template, due])
        } else {
            statement.execute([&template])
        };
        done.expect("there is room");
    }
    let counted = format!(
        "UPDATE tenants SET open_runs = open_runs + {runs}; COMMIT; PRAGMA wal_checkpoint(TRUNCATE);"
    );
    journal.execute_batch(&counted).expect("there is room");
}

fn make_due(journal: &Connection, due: i64) {
    let some = format!(
        "UPDATE timers SET due = ?1 WHERE (tenant, run, timer) IN (SELECT tenant, run, timer FROM timers LIMIT {DUE})"
    );
    journal.execute(&some, [due]).expect("the journal can be written");
    journal.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("nobody else has it open");
}

/// The time from then until the last of those that are due has ended.
fn wake(journal: &Connection, due: i64) -> f64 {
    assert!(now_ms() < due, "the start took too long to see them wake");
    let ended = || -> usize {
        let count = "SELECT count(*) FROM runs INDEXED BY runs_ended WHERE tenant = 'default' AND status = 'completed' AND phase = 2";
        journal.query_row(count, [], |row| row.get::<_, i64>(0)).expect("it can be read") as usize
    };
    let patience = Instant::now() + Duration::from_secs(120);
    while ended() < DUE {
        assert!(Instant::now() < patience, "{} of {DUE} have ended", ended());
        std::thread::sleep(Duration::from_millis(20));
    }
    (now_ms() - due) as f64 / 1000.0
}

#[expect(clippy::disallowed_methods, reason = "the product under test has the machine's clock")]
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

struct Host {
    child: Child,
    hook: String,
}

impl Host {
    fn start(flows: &Path, data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowcell-under-test"));
        command.arg("serve").arg(flows).args(["--listen", "127.0.0.1:0"]).arg("--data").arg(data);
        let mut child =
            command.env("RUST_BACKTRACE", "0").stdout(Stdio::piped()).spawn().expect("the host starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        let hook = loop {
            line.clear();
            assert!(lines.read_line(&mut line).expect("a line") > 0, "the host ended before it was ready");
            if let Some(url) = line.strip_prefix("bench/wait") {
                break url.trim().to_owned();
            }
        };
        Self { child, hook }
    }

    /// Begins one and returns when it is suspended.
    fn begin_a_run(&mut self) {
        let sent = Command::new("curl")
            .args(["-sS", "-X", "POST", "-H", "content-type: application/json", "-d", "{}"])
            .arg(&self.hook)
            .stdout(Stdio::null())
            .status();
        assert!(sent.expect("curl is there").success(), "the event was not accepted");
        std::thread::sleep(Duration::from_secs(1));
    }

    /// After it has had the time to read what it would read.
    fn resident_bytes(&self) -> f64 {
        std::thread::sleep(Duration::from_secs(2));
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the host lives");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says it");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1024.0
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const FLOW: &str = "
document: { dsl: 1.0.3, namespace: bench, name: wait, version: 1.0.0 }
do:
  - rest: { call: flowcell-probe.wait:1.0.0@default, with: { timerMs: 2592000000 } }
---
trigger: wait
namespace: bench
uses: webhook:1.0.0@default
with: { methods: [POST] }
flow: wait
";
