//! Case D: what a durable run costs beyond what SQLite needs for its bytes.
//!
//! The host's side is the runtime in this process, without a server: 64 runs at a time of a flow with one step, a sandbox
//! that gives back what it is given. The other side is SQLite, with the same settings, given as many bytes in as many
//! rows and transactions for each run, by one thread that does nothing else.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowcell::{Clock, Config, Data, Options, RunChange, Runtime, TenantId};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;

const AT_ONCE: usize = 64;

/// What one run comes to in the journal.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Shape {
    pub runs_per_second: f64,
    pub rows: f64,
    pub bytes: f64,
    pub commits: f64,
    /// Commits in one transaction.
    pub group: f64,
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rows, bytes, commits, group, .. } = self;
        write!(
            f,
            "a run: {rows:.1} rows, {bytes:.0} bytes, {commits:.1} commits, {group:.1} of them in a transaction"
        )
    }
}

/// Runs per second of both sides, the medians.
pub struct Runs {
    pub host: f64,
    pub sqlite: f64,
    pub shape: Shape,
}

/// Both sides in turn, each in a process of its own.
pub fn in_turn(round: Duration, rounds: usize) -> Runs {
    let seconds = round.as_secs().to_string();
    let (mut host, mut sqlite) = (vec![], vec![]);
    for _ in 0..rounds {
        let shape: Shape = child(&["runs", &seconds]);
        let text = serde_json::to_string(&shape).expect("numbers are JSON");
        sqlite.push(child::<f64>(&["inserts", &seconds, &text]));
        host.push(shape);
    }
    host.sort_by(|a, b| a.runs_per_second.total_cmp(&b.runs_per_second));
    sqlite.sort_by(f64::total_cmp);
    let shape = host[rounds / 2];
    Runs { host: shape.runs_per_second, sqlite: sqlite[rounds / 2], shape }
}

fn child<T: for<'de> Deserialize<'de>>(arguments: &[&str]) -> T {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    let output = command.args(arguments).env("RUST_BACKTRACE", "0").output().expect("a process");
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| {
        panic!("{arguments:?}: {error}: {text}{}", String::from_utf8_lossy(&output.stderr))
    })
}

/// The host's side: prints its shape.
pub async fn host(seconds: u64) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let runtime = Runtime::open(Options {
        config: Config::default(),
        data: Data::Folder(folder.path().to_owned()),
        clock: Clock::system(),
        base_url: "http://127.0.0.1".to_owned(),
        schedules: true,
        listeners: vec![],
        compiler: None,
    });
    let runtime = runtime.await.expect("a new data folder can be opened");
    let tenant = TenantId::default_tenant();
    let wasm = std::fs::read(flowcell_tests::bare_probe()).expect("the probe is built");
    runtime.install_plugin(&tenant, &wasm).await.expect("it is a plugin");
    runtime.deploy(&tenant, flowcell::read(FLOW, "step.yaml").expect("a flow")).await.expect("it fits");
    runtime.start().await.expect("nothing is there to continue");

    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut changes = runtime.watch();
    let free = places.clone();
    let watching = tokio::spawn(async move {
        let mut ended = 0_u64;
        while let Ok(change) = changes.recv().await {
            if matches!(&change, RunChange::Run { run, .. } if run.status.is_final()) {
                ended += 1;
                free.add_permits(1);
                if free.is_closed() && free.available_permits() == AT_ONCE {
                    break;
                }
            }
        }
        ended
    });
    let started = Instant::now();
    while started.elapsed().as_secs() < seconds {
        places.acquire().await.expect("it is closed at the end").forget();
        let (runtime, tenant) = (runtime.clone(), tenant.clone());
        tokio::spawn(async move {
            let input = json!({ "order": 4711, "lines": [{ "sku": "a-1", "count": 2 }, { "sku": "b-7", "count": 1 }] });
            runtime.start_run(&tenant, "bench", "step", None, input).await.expect("it is accepted");
        });
    }
    places.close();
    let ended = watching.await.expect("no panic");
    let seconds = started.elapsed().as_secs_f64();
    let metrics = runtime.metrics();
    let count = |name: &str| -> f64 {
        let line =
            metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}"));
        line.trim().parse().expect("a number")
    };
    let (commits, transactions) =
        (count("flowcell_journal_commits_total "), count("flowcell_journal_transactions_total "));
    runtime.drain(Duration::from_secs(10)).await;
    let journal = Connection::open(folder.path().join("journal.db")).expect("the journal");
    let (rows, bytes): (f64, f64) = journal
        .query_row("SELECT count(*) + 0.0, total(length(body)) FROM entries", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("it has entries");
    let ended = ended as f64;
    let shape = Shape {
        runs_per_second: ended / seconds,
        rows: rows / ended,
        bytes: bytes / ended,
        commits: commits / ended,
        group: commits / transactions,
    };
    println!("{}", serde_json::to_string(&shape).expect("numbers are JSON"));
}

/// The other side: prints runs per second.
pub fn sqlite(seconds: u64, shape: &str) {
    let shape: Shape = serde_json::from_str(shape).expect("a shape");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let mut journal = open(&folder.path().join("rows.db"));
    let rows_per_commit = shape.rows / shape.commits;
    let body = "x".repeat((shape.bytes / shape.rows) as usize);
    let (started, mut rows, mut commits) = (Instant::now(), 0_f64, 0_f64);
    while started.elapsed().as_secs() < seconds {
        let transaction = journal.transaction().expect("one writes");
        commits += shape.group;
        while rows < commits * rows_per_commit {
            let run = (rows / shape.rows) as u64;
            transaction
                .prepare_cached("INSERT INTO entries VALUES ('default', ?1, ?2, ?3, ?4)")
                .and_then(|mut insert| {
                    insert.execute(params![key(run), rows as i64, 1_700_000_000_000_i64, body])
                })
                .expect("there is room");
            rows += 1.0;
        }
        transaction.commit().expect("there is room");
    }
    println!("{}", commits / shape.commits / started.elapsed().as_secs_f64());
}

/// As scattered as the ids of runs are.
fn key(run: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&run.to_be_bytes());
    key
}

fn open(path: &Path) -> Connection {
    let journal = Connection::open(path).expect("a file");
    journal.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).expect("WAL");
    journal.pragma_update(None, "synchronous", "FULL").expect("FULL");
    journal
        .execute_batch(
            "CREATE TABLE entries (tenant TEXT NOT NULL, run BLOB NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
             body TEXT NOT NULL, PRIMARY KEY (tenant, run, seq)) STRICT",
        )
        .expect("an empty file");
    journal
}

const FLOW: &str = "
document: { dsl: 1.0.3, namespace: bench, name: step, version: 1.0.0 }
do:
  - echo: { call: flowcell-probe.echo:1.0.0@default, with: '${ . }' }
";
