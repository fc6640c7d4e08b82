//! From a trap or a limit to a Problem that its reader can act on: which limit, which quota raises it, and for a crash
//! the panic's message and the guest's own function names.
//!
//! A fault is the plugin's. What is the host's own (no sandbox left, an internal error) is a `HostError` instead, and
//! leaves the run where it is.

use std::time::Duration;

use serde_json::json;
use wasmtime::{PoolConcurrencyLimitError, Trap, WasmBacktrace};
use wasmtime_wasi::{I32Exit, ResourceTableError};

use super::HostError;
use super::bindings::Misplaced;
use super::limits::{CallLimits, Meter, OutOfTurns};
use crate::capability::log::StepLog;
use crate::problem::{Problem, kind};

/// Functions of a trap that are shown.
const MAX_FRAMES: usize = 12;

/// What ended a call that did not end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// The memory limit.
    Memory,
    /// The CPU limit.
    Cpu,
    /// The wall-clock limit.
    Deadline,
    /// The guest's stack.
    Stack,
    /// More handed to the host than it takes, or too many handles held.
    HandOver,
    /// A panic, an abort, an `exit`.
    Crash,
    /// Any other trap.
    Trap,
}

impl Fault {
    /// The word for `data.code`, metrics and logs.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Memory => "memory-limit",
            Self::Cpu => "cpu-limit",
            Self::Deadline => "deadline",
            Self::Stack => "stack-overflow",
            Self::HandOver => "hand-over-limit",
            Self::Crash => "crash",
            Self::Trap => "trap",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Memory => "the plugin reached its memory limit",
            Self::Cpu => "the plugin reached its CPU limit",
            Self::Deadline => "the plugin took too long",
            Self::Stack => "the plugin's stack overflowed",
            Self::HandOver => "the plugin handed too much to the host",
            Self::Crash => "the plugin crashed",
            Self::Trap => "the plugin did something that WebAssembly forbids",
        }
    }
}

/// The fault in an error that ended a guest, or the host's own error.
pub(super) fn judge(
    error: &wasmtime::Error,
    meter: &Meter,
    log: &StepLog,
    limits: &CallLimits,
) -> Result<(Fault, Problem), HostError> {
    if error.is::<PoolConcurrencyLimitError>() {
        return Err(HostError::Busy);
    }
    let frames = error.downcast_ref::<WasmBacktrace>().map(functions).unwrap_or_default();
    let (fault, detail) = name(error, meter, log, limits);
    let place = match frames.as_slice() {
        [] => String::new(),
        [inner] => format!(" (in `{inner}`)"),
        [inner, outer, ..] => format!(" (in `{inner}`, called by `{outer}`)"),
    };
    if let (Fault::Memory, Some(full)) = (fault, meter.refused_by_share()) {
        let detail = format!("{full}, or raise `guest_memory` of the host");
        let mut full = Problem::from(full.clone()).detail(detail).data(json!({ "code": fault.code() }));
        full.title = fault.title().to_owned();
        return Ok((fault, full));
    }
    let mut data = json!({ "code": fault.code() });
    if !frames.is_empty() {
        data["trace"] = json!(frames);
    }
    let stderr = log.stderr();
    if fault == Fault::Crash && !stderr.is_empty() {
        data["stderr"] = json!(stderr);
    }
    Ok((fault, problem(fault, format!("{detail}{place}")).data(data)))
}

/// The fault of a call that was still running at its deadline.
pub(super) fn too_late(limits: &CallLimits, in_host: Duration) -> (Fault, Problem) {
    let detail = format!(
        "no outcome within {}, {} of it in requests: answer earlier, or raise `tenant.quota.step_time`",
        duration(limits.wall),
        duration(in_host),
    );
    (Fault::Deadline, problem(Fault::Deadline, detail).data(json!({ "code": Fault::Deadline.code() })))
}

fn problem(fault: Fault, detail: String) -> Problem {
    let (kind, status) = if fault == Fault::Deadline { (kind::TIMEOUT, 408) } else { (kind::RUNTIME, 500) };
    Problem::new(kind, fault.title(), status).detail(detail)
}

fn name(error: &wasmtime::Error, meter: &Meter, log: &StepLog, limits: &CallLimits) -> (Fault, String) {
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::OutOfFuel) || error.is::<OutOfTurns>() {
        let detail = format!(
            "it used the {} that it may: raise `tenant.quota.cpu` if it needs more",
            duration(limits.cpu)
        );
        return (Fault::Cpu, detail);
    }
    if trap == Some(&Trap::StackOverflow) {
        return (
            Fault::Stack,
            "its functions call each other too deeply: look for a recursion that does not end".to_owned(),
        );
    }
    if trap == Some(&Trap::MemoryOutOfBounds) && below_memory(error) {
        let detail = "its stack in linear memory is used up: look for a recursion that does not end, or a huge local value";
        return (Fault::Stack, detail.to_owned());
    }
    let gave_up = trap.is_none() || trap == Some(&Trap::UnreachableCodeReached);
    if let (true, Some(wanted)) = (gave_up, meter.refused_memory) {
        let detail = format!(
            "it wanted {} and may have {}: raise `tenant.quota.memory` if it needs more",
            bytes(wanted),
            bytes(usize::try_from(limits.memory_bytes).unwrap_or(usize::MAX)),
        );
        return (Fault::Memory, detail);
    }
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return (Fault::Crash, format!("it called `exit({})`: return a problem instead", exit.0));
    }
    if trap == Some(&Trap::UnreachableCodeReached) {
        return (
            Fault::Crash,
            panic_message(log).unwrap_or_else(|| "it aborted without a message".to_owned()),
        );
    }
    if let Some(misplaced) = error.downcast_ref::<Misplaced>() {
        return (Fault::Trap, misplaced.to_string());
    }
    if error.is::<ResourceTableError>() {
        return (
            Fault::HandOver,
            format!("{}: it holds more handles than it may, or one that is gone", error.root_cause()),
        );
    }
    let cause = error.root_cause().to_string();
    // wasmtime has no type for this one.
    if cause.contains("fuel allocated for hostcalls") {
        let detail = format!("at most {} go over in one call, and in one outcome", bytes(limits.hand_over));
        return (Fault::HandOver, detail);
    }
    (Fault::Trap, cause)
}

/// Whether an access went below address 0. Compilers put the stack of C and Rust at the beginning of memory, where it
/// grows down: there is no other sign of its end.
fn below_memory(error: &wasmtime::Error) -> bool {
    // Addresses wrap around at 4 GiB; the offset in the instruction is added after that.
    const FRAME: u64 = 16 * 1024 * 1024;
    let below_zero = 0x1_0000_0000 - FRAME..0x1_0000_0000 + FRAME;
    // wasmtime keeps the type of this context to itself.
    error.chain().any(|context| {
        let text = context.to_string();
        let address =
            text.strip_prefix("memory fault at wasm address 0x").and_then(|rest| rest.split(' ').next());
        address
            .and_then(|hex| u64::from_str_radix(hex, 16).ok())
            .is_some_and(|address| below_zero.contains(&address))
    })
}

/// `panicked at src/lib.rs:3:5: the message`, from what Rust's standard library prints; from the log where the guest
/// has no standard error.
fn panic_message(log: &StepLog) -> Option<String> {
    let stderr = log.stderr();
    if stderr.is_empty() {
        let message = log.last_error().filter(|message| message.starts_with("panicked at "))?;
        return Some(message.replacen(":\n", ": ", 1));
    }
    let message = match stderr.rfind("panicked at ") {
        Some(at) => &stderr[at..],
        None => stderr.lines().last()?,
    };
    let message = message.split("\nnote: ").next().unwrap_or(message);
    Some(message.trim().replacen(":\n", ": ", 1))
}

/// The guest's functions, innermost first, without those that only carry a panic out.
fn functions(trace: &WasmBacktrace) -> Vec<String> {
    // Its Display is the only place where wasmtime shows demangled names.
    let text = trace.to_string();
    let all: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_once('!'))
        .map(|(_, name)| without_crate_hashes(name.trim()))
        .collect();
    let inner = all.iter().position(|name| !carries_panic(name)).unwrap_or(0);
    all[inner..].iter().take(MAX_FRAMES).map(|name| without_hash(name).to_owned()).collect()
}

/// Without the hashes of crates, as in `std[a543b2]::alloc`.
fn without_crate_hashes(function: &str) -> String {
    let mut parts = function.split('[');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(']') {
            Some((hash, behind)) if hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                plain.push_str(behind);
            }
            _ => plain.extend(["[", part]),
        }
    }
    plain
}

fn carries_panic(function: &str) -> bool {
    const MACHINERY: [&str; 12] = [
        "core::panicking",
        "core::option::",
        "core::result::",
        "std::panicking",
        "std::process",
        "std::sys",
        "std::alloc",
        "alloc::alloc",
        "alloc::raw_vec",
        "__rust",
        "rust_begin_unwind",
        "rust_panic",
    ];
    function == "abort"
        || MACHINERY.iter().any(|machinery| function.trim_start_matches('<').starts_with(machinery))
}

/// `name` of `name::h0123456789abcdef`.
fn without_hash(function: &str) -> &str {
    match function.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        _ => function,
    }
}

fn bytes(count: usize) -> String {
    if count >= 1024 * 1024 {
        format!("{:.1} MiB", count as f64 / (1024.0 * 1024.0))
    } else {
        format!("{} KiB", count.div_ceil(1024))
    }
}

fn duration(time: Duration) -> String {
    if time >= Duration::from_secs(10) {
        format!("{} s", time.as_secs())
    } else {
        format!("{} ms", time.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::log::{Level, Stdio};

    #[test]
    fn the_message_of_a_panic_is_found_in_what_was_printed() {
        let mut log = StepLog::default();
        log.print(
            Stdio::Err,
            b"hello\n\nthread '<unnamed>' panicked at src/lib.rs:7:9:\nno city `Atlantis`\n",
        );
        log.print(
            Stdio::Err,
            b"note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n",
        );
        assert_eq!(panic_message(&log).unwrap(), "panicked at src/lib.rs:7:9: no city `Atlantis`");
    }

    #[test]
    fn without_a_panic_the_last_line_speaks() {
        let mut log = StepLog::default();
        log.print(Stdio::Err, b"memory allocation of 99 bytes failed\n");
        assert_eq!(panic_message(&log).unwrap(), "memory allocation of 99 bytes failed");
        assert_eq!(panic_message(&StepLog::default()), None);
    }

    #[test]
    fn without_standard_error_the_message_of_a_panic_is_found_in_the_log() {
        let mut log = StepLog::default();
        log.write(Level::Error, "panicked at src/lib.rs:7:9:\nno city `Atlantis`", "");
        assert_eq!(panic_message(&log).unwrap(), "panicked at src/lib.rs:7:9: no city `Atlantis`");
        log.write(Level::Error, "something else", "");
        assert_eq!(panic_message(&log), None);
    }

    #[test]
    fn a_function_is_shown_without_its_hash() {
        assert_eq!(without_hash("weather::read::h0123456789abcdef"), "weather::read");
        assert_eq!(without_hash("weather::h"), "weather::h");
    }

    #[test]
    fn the_machinery_of_a_panic_is_skipped() {
        assert!(carries_panic("core::panicking::panic_fmt") && carries_panic("<std::sys::x>"));
        assert!(!carries_panic("weather::start"));
    }
}
