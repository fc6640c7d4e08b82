//! The binary `flowcell`; its whole life is in [`flowcell::main`].

/// A request makes and drops some hundred small values on several threads: the system's allocator takes a fifth of its
/// time for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    flowcell::main()
}
