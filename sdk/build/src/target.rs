//! The Rust target of components: whether it is there, and how it is fetched.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::BuildError;

/// What components are compiled for.
pub const TARGET: &str = "wasm32-wasip2";

/// Installs the target where it is missing.
pub fn ensure() -> Result<(), BuildError> {
    if is_installed()? {
        return Ok(());
    }
    let rustup = Command::new("rustup").args(["target", "add", TARGET]).output();
    let output =
        rustup.map_err(|error| BuildError::Target(format!("rustup could not be started ({error})")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last =
            said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason given").trim();
        return Err(BuildError::Target(format!("rustup could not install it ({last})")));
    }
    match is_installed()? {
        true => Ok(()),
        false => {
            Err(BuildError::Target("the compiler in use is not the one that rustup installed it for".into()))
        }
    }
}

/// Whether the compiler has the target's standard library.
fn is_installed() -> Result<bool, BuildError> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let program = rustc.to_string_lossy().into_owned();
    let output = Command::new(&rustc)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|source| BuildError::Start { program, source })?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    Ok(output.status.success() && folder.is_dir())
}
