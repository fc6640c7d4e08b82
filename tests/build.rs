//! Builds the misbehaving guest of tests/probe for both targets of components, and tells the harness where they are.

use flowcell_sdk_build::{Target, for_build_script};

fn main() {
    // Both are called flowcell-probe.wasm, so the first one moves aside.
    for component in for_build_script(Target::Bare, &["flowcell-probe"]) {
        let bare = component.path.with_file_name("bare-probe.wasm");
        std::fs::rename(&component.path, &bare).expect("a file of this folder can be renamed");
        println!("cargo::rustc-env=FLOWCELL_BARE_PROBE={}", bare.display());
    }
    for component in for_build_script(Target::Wasi, &["flowcell-probe"]) {
        println!("cargo::rustc-env=FLOWCELL_PROBE={}", component.path.display());
    }
}
