//! Compiles the plugins in the folders beside this script to components, and lists them for lib.rs.

fn main() {
    flowcell_sdk_build::bundle_for_build_script();
}
