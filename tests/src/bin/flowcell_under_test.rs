//! The product's binary once more, because cargo tells tests only where the binaries of their own package are.

fn main() -> std::process::ExitCode {
    flowcell::main()
}
