//! Builds the misbehaving guest of tests/probe, and tells the harness where its component is.

fn main() {
    let components = flowcell_sdk_build::for_build_script(&["flowcell-probe"]);
    for component in components {
        println!("cargo::rustc-env=FLOWCELL_PROBE={}", component.path.display());
    }
}
