//! Compiles the guests to components, for `include_bytes!` in src/lib.rs.

fn main() {
    flowcell_sdk_build::for_build_script(&[
        "flowcell-plugin-http-request",
        "flowcell-plugin-webhook",
        "flowcell-plugin-jq",
    ]);
}
