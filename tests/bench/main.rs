//! The benchmark of the product: `cargo bench -p flowcell-tests`. It prints ratios, because machines differ and
//! ratios taken in one run do not lie; absolute figures stand beside them as notes.
//!
//! | case | measured | against, in the same run |
//! |---|---|---|
//! | A | webhook -> http-request step in a fresh sandbox -> upstream -> answer, durable | a bare hyper proxy doing the same two hops |
//! | B | the same with `durable: false` | the same proxy |
//! | C | one call of a fresh sandbox | the same guest in an instance that is kept |
//! | D | durable runs of one step that calls nobody | SQLite, given the same bytes in as many rows and transactions |
//! | E | a million suspended runs: memory, and ten thousand due at once | a host without any |
//! | G | the 99th percentile of nine tenants while a tenth spins | the same nine alone |
//!
//! Load generator, proxy or host, and upstream are processes of their own, for both sides alike, and all of them run
//! under `SCHED_BATCH` where there is a `chrt`: on few cores a peer that is woken would otherwise push the measured
//! process from its core in the middle of a request, which peers on machines of their own do not. Case G goes without: it is
//! about who gets the processor when it is wanted. `--quick` takes a
//! second per round instead of four; `--waiting` is case E alone, `--tenants` case G; `--record` writes recorded.json; without it a ratio that fell by more than a
//! third below the recorded one ends the run with exit code 1.

#![allow(clippy::print_stdout, reason = "printing is what a benchmark is for")]

mod host;
mod load;
mod peers;
mod record;
mod runs;
mod tenants;
mod waiting;

use std::process::ExitCode;
use std::time::Duration;

// The same as the host's, so that the proxy is not beaten by its allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds of each side, taken in turn; the median counts.
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    // wasmtime captures a backtrace for every error it makes and drops on the way, and pays for it.
    // The measured processes are children, so theirs is cleaned where they are spawned; case C runs here.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be had");
    match arguments.first().map(String::as_str) {
        Some("upstream") => runtime.block_on(peers::upstream()),
        Some("proxy") => runtime.block_on(peers::proxy(arguments[1].parse().expect("an address"))),
        Some("sandbox") => host::sandbox(),
        Some("tenants") => {
            runtime.block_on(tenants::tell(Duration::from_secs(arguments[1].parse().expect("seconds"))));
        }
        Some("runs") => runtime.block_on(runs::host(arguments[1].parse().expect("seconds"))),
        Some("inserts") => runs::sqlite(arguments[1].parse().expect("seconds"), &arguments[2]),
        Some(IN_BATCH) => return runtime.block_on(measure(&arguments[1..])),
        _ => {
            let error = run_in_batch(&arguments);
            println!("without SCHED_BATCH, which lowers the ratios on few cores: chrt: {error}");
            return runtime.block_on(measure(&arguments));
        }
    }
    ExitCode::SUCCESS
}

/// The role of a benchmark that has been given its scheduling.
const IN_BATCH: &str = "in-batch";

/// This program again, with the scheduling that its children inherit. Returns only when that cannot be had.
#[cfg(unix)]
fn run_in_batch(arguments: &[String]) -> std::io::Error {
    use std::os::unix::process::CommandExt as _;
    let program = std::env::current_exe().expect("this program");
    std::process::Command::new("chrt")
        .args(["--batch", "0"])
        .arg(program)
        .arg(IN_BATCH)
        .args(arguments)
        .exec()
}

#[cfg(not(unix))]
fn run_in_batch(_: &[String]) -> std::io::Error {
    std::io::ErrorKind::Unsupported.into()
}

async fn measure(arguments: &[String]) -> ExitCode {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--tenants") {
        let seen = tenants::in_child(if has("--quick") { 4 } else { 16 });
        let ratio = seen.beside_ms / seen.alone_ms;
        println!(
            "p99 {:.2} ms alone, {:.2} ms while a tenth spins: {ratio:.2}",
            seen.alone_ms, seen.beside_ms
        );
        return ExitCode::SUCCESS;
    }
    if has("--waiting") {
        waiting::measure(if has("--quick") { 100_000 } else { 1_000_000 }).print();
        return ExitCode::SUCCESS;
    }
    let round = if has("--quick") { Duration::from_secs(1) } else { Duration::from_secs(4) };

    let upstream = host::Peer::spawn(&["upstream"]);
    let proxy = host::Peer::spawn(&["proxy", &upstream.address.to_string()]);
    let flowcell = host::Flowcell::spawn(upstream.address);
    let targets = [
        load::Target {
            name: "bare hyper proxy",
            url: format!("http://{}/", proxy.address),
            process: proxy.id(),
        },
        load::Target { name: "A: durable", url: flowcell.durable.clone(), process: flowcell.id() },
        load::Target { name: "B: in memory", url: flowcell.volatile.clone(), process: flowcell.id() },
    ];
    let mut record = record::Record::default();
    for connections in [1, 64] {
        let [bare, durable, volatile] = load::in_turn(&targets, connections, round, ROUNDS).await;
        println!("\n{connections} connection(s), POST of 90 bytes, {ROUNDS} rounds of {round:?} each");
        for (target, seen) in targets.iter().zip([&bare, &durable, &volatile]) {
            println!(
                "  {:<18} {:>8.0}/s   p50 {:>7.3} ms   p99 {:>7.3} ms   {:>5.0} µs of CPU a request",
                target.name, seen.per_second, seen.p50_ms, seen.p99_ms, seen.cpu_us
            );
        }
        if connections == 64 {
            record.a = durable.per_second / bare.per_second;
            record.b = volatile.per_second / bare.per_second;
            (record.a_cpu_us, record.b_cpu_us) = (durable.cpu_us, volatile.cpu_us);
        }
    }
    let (fresh, reused) = host::sandbox_in_child();
    record.c_fresh_over_reused_us = fresh - reused;
    record.c = fresh / reused;
    println!("\nsandbox: fresh {fresh:.1} µs, kept {reused:.1} µs per call");
    let runs = runs::in_turn(round, ROUNDS);
    println!(
        "\n64 durable runs of one step at a time: {:.0} runs/s; SQLite alone {:.0}",
        runs.host, runs.sqlite
    );
    println!("  {}", runs.shape);
    record.d = runs.host / runs.sqlite;
    let waiting = waiting::measure(if has("--quick") { 100_000 } else { 1_000_000 });
    waiting.print();
    (record.e_mib, record.e_wake_s) = (waiting.mib, waiting.wake_s);
    let tenants = tenants::in_child(round.as_secs() * 4);
    println!(
        "\nnine tenants, 20 requests a second each: p99 {:.2} ms alone, {:.2} ms while a tenth spins",
        tenants.alone_ms, tenants.beside_ms
    );
    record.g = tenants.beside_ms / tenants.alone_ms;
    println!("\nratios");
    println!("  A  {:.2} of the proxy's requests per second (aim 0.50)", record.a);
    println!("  B  {:.2} of the proxy's requests per second (aim 0.60)", record.b);
    println!(
        "  C  {:.1} µs over the kept instance, {:.1} times it (aim 15 µs)",
        record.c_fresh_over_reused_us, record.c
    );
    println!("  D  {:.2} of SQLite's runs per second (aim 0.40)", record.d);
    println!("  E  {:.1} MiB (aim 50), {:.2} s (aim 2)", record.e_mib, record.e_wake_s);
    println!(
        "  G  {:.2} times the p99 alone, {:.1} ms more (aim 1.5, or 20 ms)",
        record.g,
        tenants.beside_ms - tenants.alone_ms
    );
    if has("--record") {
        record.write();
        return ExitCode::SUCCESS;
    }
    record.compare_with_recorded()
}
