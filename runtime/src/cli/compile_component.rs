//! `flowcell compile-component`: the child of a host in which a stranger's component is compiled.

use std::io::{stdin, stdout};
use std::process::ExitCode;

use super::Stop;

/// Reads a component from stdin and writes its native code to stdout, within the limits of one compilation
#[derive(clap::Args)]
#[command(hide = true)]
pub(super) struct Args {}

pub(super) fn run(Args {}: Args) -> Result<ExitCode, Stop> {
    crate::compile_component(stdin().lock(), stdout().lock()).map_err(Stop::wrong)?;
    Ok(ExitCode::SUCCESS)
}
