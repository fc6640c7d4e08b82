//! The product's binary once more, because cargo tells tests only where the binaries of their own package are.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    flowcell::main()
}
