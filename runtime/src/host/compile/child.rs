//! Compiling components that strangers wrote: in a process of its own.
//!
//! A component of two megabytes can keep the compiler busy for a quarter of a minute and take most of a gigabyte. No fuel bounds
//! that, so the operating system does: the child has limits on CPU time and address space, the host one on wall time and
//! on the size of what comes back. A tenant has one child at a time, and the host two.
//!
//! The child is this program with the command [`COMMAND`]: the component goes in on stdin, native code comes out on stdout,
//! and one sentence on stderr where there is none. The code is as good as what the host compiles itself: the same program
//! made it, with the settings of `sandbox`.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use wasmtime::Engine;

use crate::host::cache::Code;
use crate::host::install::InstallError;
use crate::host::{HostError, sandbox};
use crate::id::TenantId;
use crate::shares::Shares;

/// The hidden command of the binary.
const COMMAND: &str = "compile-component";
/// The exit code of a child whose component does not compile.
const BROKEN: i32 = 2;
/// CPU time of one compilation. An interpreter of 10 MB takes a fifth of it.
const CPU: Duration = Duration::from_secs(60);
/// Wall time of one compilation.
const WALL: Duration = Duration::from_secs(180);
/// Address space of one compilation, the program itself included.
const MEMORY: u64 = 3 << 30;
/// Native code of one component.
const MAX_CODE: u64 = 128 << 20;
/// What is read of a child's complaint.
const MAX_COMPLAINT: u64 = 4 << 10;
/// Children at the same time. By the rule of [`Shares`] one tenant has one of two.
const CHILDREN: u32 = 2;
/// How far a child stands back behind the host, as `nice` counts.
#[cfg(unix)]
const NICE: i32 = 5;

/// Starts children that compile.
pub(super) struct Children {
    program: PathBuf,
    arguments: Vec<String>,
    places: Shares<TenantId>,
}

impl Children {
    /// `program` is a binary that knows [`COMMAND`].
    pub(super) fn new(program: PathBuf) -> Self {
        Self { program, arguments: vec![COMMAND.to_owned()], places: Shares::new(CHILDREN) }
    }

    /// Native code of a component, for an engine with the settings of `sandbox`.
    pub(super) async fn compile(&self, tenant: &TenantId, wasm: &[u8]) -> Result<Code, InstallError> {
        let _place = self.places.take(tenant).await;
        match tokio::time::timeout(WALL, self.run(wasm)).await {
            Ok(compiled) => compiled.map(Code::made),
            // Dropping the child killed it.
            Err(_) => Err(InstallError::TooHard(format!("it was not done after {} s", WALL.as_secs()))),
        }
    }

    async fn run(&self, wasm: &[u8]) -> Result<Vec<u8>, InstallError> {
        let failed = |error: std::io::Error| {
            HostError::Sandbox(format!("the compiler `{}` cannot be run: {error}", self.program.display()))
        };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            // Nothing of the host's: not its secrets, not its settings.
            .env_clear()
            .env("RAYON_NUM_THREADS", threads().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let (Some(mut input), Some(output), Some(complaint)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(HostError::Sandbox("the compiler has no pipes".to_owned()).into());
        };
        let give = async {
            // A child that ended early says why itself.
            let _ = input.write_all(wasm).await;
            drop(input);
        };
        let ((), code, complaint) =
            tokio::join!(give, bounded(output, MAX_CODE), bounded(complaint, MAX_COMPLAINT));
        let (code, complaint) = (code.map_err(failed)?, complaint.map_err(failed)?);
        let Some(code) = code else {
            return Err(InstallError::TooHard(format!("its code is larger than {} MiB", MAX_CODE >> 20)));
        };
        let status = child.wait().await.map_err(failed)?;
        if status.success() {
            return Ok(code);
        }
        let complaint = String::from_utf8_lossy(&complaint.unwrap_or_default()).trim().to_owned();
        Err(refusal(status, complaint))
    }
}

/// All that is written there, or nothing where that is more than `most` bytes.
async fn bounded(from: impl AsyncRead + Unpin, most: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![];
    from.take(most + 1).read_to_end(&mut bytes).await?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// Half of the machine: the host goes on beside it.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

/// Why there is no code. A child that did not end by itself has met a limit.
fn refusal(status: ExitStatus, complaint: String) -> InstallError {
    if status.code() == Some(BROKEN) {
        return InstallError::Broken(complaint);
    }
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        use rustix::process::Signal;
        let time = [Signal::XCPU, Signal::KILL].iter().any(|over| over.as_raw() == signal);
        return InstallError::TooHard(match time {
            true => format!("it took more than {} s of CPU time", CPU.as_secs()),
            false => format!("it ended with signal {signal}, at {} GiB of memory or before", MEMORY >> 30),
        });
    }
    HostError::Sandbox(format!("the compiler ended with {status}: {complaint}")).into()
}

/// What the command `compile-component` does: reads a component from `input` and writes native code to `output`, for a host
/// that is the same program. Before it reads, the whole process takes on the limits of one compilation.
///
/// ```no_run
/// flowcell::compile_component(std::io::stdin(), std::io::stdout()).expect("the component is sound");
/// ```
///
/// # Errors
/// A sentence for the component's author.
pub fn compile_component(input: impl Read, output: impl Write) -> Result<(), String> {
    limit().map_err(|error| format!("the limits of a compilation cannot be set: {error}"))?;
    compile(input, output)
}

fn compile(mut input: impl Read, mut output: impl Write) -> Result<(), String> {
    let mut wasm = vec![];
    input.read_to_end(&mut wasm).map_err(|error| format!("the component cannot be read: {error}"))?;
    let engine = Engine::new(&sandbox::base()).map_err(|error| format!("{error:#}"))?;
    let code = engine.precompile_component(&wasm).map_err(|error| format!("{error:#}"))?;
    let written = output.write_all(&code).and_then(|()| output.flush());
    written.map_err(|error| format!("the code cannot be written: {error}"))
}

#[cfg(unix)]
fn limit() -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, nice, setrlimit};
    let limits = [(Resource::Cpu, CPU.as_secs()), (Resource::As, MEMORY), (Resource::Core, 0)];
    for (resource, most) in limits {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    nice(NICE).map(drop).map_err(std::io::Error::from)
}

/// Only the limits on wall time and on the code hold here.
#[cfg(not(unix))]
fn limit() -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_compiles_fits_the_pool_of_the_host() {
        let hash = |config| {
            let engine = Engine::new(&config).expect("the settings are sound");
            let mut hasher = std::hash::DefaultHasher::new();
            std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut hasher);
            std::hash::Hasher::finish(&hasher)
        };
        assert_eq!(hash(sandbox::base()), hash(sandbox::pooled(2, 1 << 20)));
    }

    #[test]
    fn a_component_that_is_broken_is_refused_with_a_sentence() {
        let mut code = vec![];
        let empty = wat::parse_str("(component)").expect("it is a component");
        compile(empty.as_slice(), &mut code).expect("it compiles");
        assert!(code.starts_with(b"\x7fELF"));
        let why = compile(&empty[..6], Vec::new()).expect_err("it is cut off");
        assert!(why.contains("unexpected end"), "{why}");
    }

    /// What becomes of a component with this script for a compiler.
    #[cfg(unix)]
    async fn compiled_by(script: &str) -> Result<Vec<u8>, String> {
        let arguments = ["-c", script, "sh", COMMAND].map(str::to_owned).to_vec();
        let children = Children { arguments, ..Children::new("/bin/sh".into()) };
        let compiled = children.compile(&TenantId::default_tenant(), b"wasm").await;
        compiled.map(|code| code.bytes().to_vec()).map_err(|error| error.to_string())
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_a_child_writes_is_the_code() {
        let code = compiled_by("test \"$1\" = compile-component && test -z \"$HOME\" && cat").await;
        assert_eq!(code.as_deref(), Ok(b"wasm".as_slice()));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_child_that_meets_a_limit_is_told_of_in_a_sentence() {
        for (script, reason) in [
            ("cat >/dev/null; kill -XCPU $$", "it took more than 60 s of CPU time"),
            ("cat >/dev/null; kill -ABRT $$", "it ended with signal 6, at 3 GiB of memory or before"),
            ("exec head -c 134217729 /dev/zero", "its code is larger than 128 MiB"),
        ] {
            let wanted = format!(
                "the component is too much work to compile: {reason}. Make it smaller, and its functions, or leave out what it \
                 does not use"
            );
            assert_eq!(compiled_by(script).await, Err(wanted), "{script}");
        }
        let broken = compiled_by("echo it has no end >&2; exit 2").await.expect_err("it is broken");
        assert!(
            broken.starts_with("the component is broken") && broken.ends_with(": it has no end"),
            "{broken}"
        );
    }

    /// The clock goes on by itself where everybody waits.
    #[cfg(unix)]
    #[tokio::test(start_paused = true)]
    async fn a_child_that_does_not_end_is_ended() {
        let late = compiled_by("exec sleep 3600").await.expect_err("it does not end");
        assert!(late.contains("it was not done after 180 s"), "{late}");
    }
}
