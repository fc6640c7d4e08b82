//! The Rust targets of components: which there are, whether one is there, and how it is fetched.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::BuildError;

/// What a component is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `wasm32-wasip2`: the standard library with a clock, randomness and standard output, over WASI.
    Wasi,
    /// `wasm32-unknown-unknown`: the standard library without them. The component imports only what it calls, and a
    /// sandbox with few imports is made faster.
    Bare,
}

impl Target {
    /// As the compiler calls it.
    pub(crate) fn triple(self) -> &'static str {
        match self {
            Self::Wasi => "wasm32-wasip2",
            Self::Bare => "wasm32-unknown-unknown",
        }
    }

    /// Flags for the compiler, as `CARGO_ENCODED_RUSTFLAGS` has them.
    pub(crate) fn flags(self) -> &'static str {
        match self {
            Self::Wasi => "",
            // What makes a component of a module is the linker, which this target does not ask for by itself. 20 pages
            // are 1 MiB of stack, the data, and room for what most calls allocate.
            Self::Bare => "-Clinker=wasm-component-ld\u{1f}-Clink-arg=--initial-memory=1310720",
        }
    }

    /// Installs the target where it is missing.
    pub(crate) fn ensure(self) -> Result<(), BuildError> {
        if self.is_installed()? {
            return Ok(());
        }
        let failed = |why| BuildError::Target { triple: self.triple(), why };
        let rustup = Command::new("rustup").args(["target", "add", self.triple()]).output();
        let output = rustup.map_err(|error| failed(format!("rustup could not be started ({error})")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
            return Err(failed(format!("rustup could not install it ({})", last.trim())));
        }
        match self.is_installed()? {
            true => Ok(()),
            false => Err(failed("the compiler in use is not the one that rustup installed it for".into())),
        }
    }

    /// Whether the compiler has the target's standard library.
    fn is_installed(self) -> Result<bool, BuildError> {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
        let program = rustc.to_string_lossy().into_owned();
        let output = Command::new(&rustc)
            .args(["--print", "target-libdir", "--target", self.triple()])
            .output()
            .map_err(|source| BuildError::Start { program, source })?;
        let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        Ok(output.status.success() && folder.is_dir())
    }
}
