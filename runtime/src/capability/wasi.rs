//! WASI 0.2 for ordinary code: clocks, random bytes, standard streams, `exit`, an empty environment.
//!
//! What is absent on purpose: sockets and `wasi:http` (a component that imports them is refused when it is
//! installed; http-request is the way out), and files. `wasi:filesystem` is linked, since the start-up code of Rust's
//! and C's standard libraries imports it, but there are no preopened folders, and so no path that opens.
//!
//! The context is made when a guest calls WASI for the first time: most calls never do, and making it costs as much as
//! the sandbox.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::{AsyncWrite, sink};
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, io, random};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView};
use wasmtime_wasi::{WasiCtx, WasiView};

use super::log::{Stdio, StepLog};

/// Handles that a guest may hold at the same time: streams, pollables, errors.
pub const MAX_HANDLES: usize = 1000;
/// Random bytes that a guest may ask for at once. The host makes them one by one, outside the guest's CPU account.
const MAX_RANDOM: u64 = 4 * 1024;
/// What a guest may write to a standard stream at once.
const MAX_WRITE: usize = 64 * 1024;

/// What [`link`] offers, in words for an author whose component asks for something else.
pub const OFFERED: &str = "wasi:clocks, wasi:random, wasi:io, wasi:cli (standard streams, exit, an empty environment) \
                           and wasi:filesystem (without any folder)";

/// Whether [`link`] offers this interface, in whatever version of WASI 0.2. `name` is without its version.
pub fn offers(name: &str) -> bool {
    const PACKAGES: [&str; 4] = ["wasi:clocks/", "wasi:random/", "wasi:io/", "wasi:filesystem/"];
    PACKAGES.iter().any(|package| name.starts_with(package))
        || name.starts_with("wasi:cli/") && !name.ends_with("/run")
}

/// Gives `linker` what this module's documentation lists.
pub fn link<T: WasiView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    io::error::add_to_linker::<T, HasTable>(linker, |t| t.ctx().table)?;
    io::poll::add_to_linker::<T, HasTable>(linker, |t| t.ctx().table)?;
    io::streams::add_to_linker::<T, HasTable>(linker, |t| t.ctx().table)?;
    clocks::wall_clock::add_to_linker::<T, WasiClocks>(linker, T::clocks)?;
    clocks::monotonic_clock::add_to_linker::<T, WasiClocks>(linker, T::clocks)?;
    random::random::add_to_linker::<T, WasiRandom>(linker, T::random)?;
    random::insecure::add_to_linker::<T, WasiRandom>(linker, T::random)?;
    random::insecure_seed::add_to_linker::<T, WasiRandom>(linker, T::random)?;
    cli::exit::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::environment::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stdin::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stdout::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::stderr::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(linker, T::cli)?;
    filesystem::types::add_to_linker::<T, WasiFilesystem>(linker, T::filesystem)?;
    filesystem::preopens::add_to_linker::<T, WasiFilesystem>(linker, T::filesystem)
}

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// A context with nothing in it: no arguments, no environment, no folder, an empty stdin, and a log for the rest.
pub fn context(log: Arc<Mutex<StepLog>>) -> WasiCtx {
    WasiCtx::builder()
        .stdout(LinePrinter { stdio: Stdio::Out, log: log.clone() })
        .stderr(LinePrinter { stdio: Stdio::Err, log })
        .max_random_size(MAX_RANDOM)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

/// A standard stream that ends in the step's log.
#[derive(Clone)]
struct LinePrinter {
    stdio: Stdio,
    log: Arc<Mutex<StepLog>>,
}

impl LinePrinter {
    fn print(&self, text: &[u8]) {
        if !text.is_empty() {
            self.log.lock().unwrap_or_else(PoisonError::into_inner).print(self.stdio, text);
        }
    }
}

impl IsTerminal for LinePrinter {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LinePrinter {
    // Asked for by WASI 0.3 only, which is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for LinePrinter {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for LinePrinter {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > MAX_WRITE {
            return Err(StreamError::trap("wrote more than `check-write` permitted"));
        }
        self.print(&bytes);
        Ok(())
    }

    // Nobody needs a log of zeroes, and the trait's own version would make them all in the host's memory.
    fn write_zeroes(&mut self, _: usize) -> StreamResult<()> {
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_WRITE)
    }
}
