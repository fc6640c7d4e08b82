//! Builds the misbehaving guest of tests/probe, and tells the harness where its component is.

use flowcell_sdk_build::{Target, for_build_script};

fn main() {
    let components = for_build_script(Target::Wasi, &["flowcell-probe"]);
    for component in components {
        println!("cargo::rustc-env=FLOWCELL_PROBE={}", component.path.display());
    }
}
