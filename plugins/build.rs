//! Compiles the guests to components, for `include_bytes!` in src/lib.rs.

use flowcell_sdk_build::{Target, for_build_script};

fn main() {
    // On the path of every request: what they do not import need not be linked for each sandbox.
    for_build_script(
        Target::Bare,
        &["flowcell-plugin-http-request", "flowcell-plugin-http-webhook", "flowcell-plugin-webhook"],
    );
    for_build_script(Target::Wasi, &["flowcell-plugin-jq"]);
}
