//! Builds the misbehaving guest of tests/probe, and tells the harness where its component is.

#[expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]
fn main() {
    let components = flowcell_sdk_build::for_build_script(&["flowcell-probe"]);
    for component in components {
        println!("cargo::rustc-env=FLOWCELL_PROBE={}", component.path.display());
    }
}
