//! The binary `flowcell`: the library's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    flowcell::main()
}
