//! The plugin interface as wit-bindgen makes it of wit/. Present on wasm32 only, and named by nobody but `host`,
//! `export` and the conversions.
//!
//! One module per world. A component with actions and triggers uses both: their worlds are united when the
//! component is made, and equal `action-trigger-plugin`. What a plugin does not call is not imported.

#![allow(unsafe_code, missing_docs, unused_qualifications, clippy::all)]

pub mod action {
    wit_bindgen::generate!({
        path: "../wit",
        world: "flowcell:plugin/action-plugin",
        pub_export_macro: true,
        export_macro_name: "export_action",
        default_bindings_module: "flowcell_sdk::bindings::action",
    });
}

pub mod trigger {
    wit_bindgen::generate!({
        path: "../wit",
        world: "flowcell:plugin/trigger-plugin",
        pub_export_macro: true,
        export_macro_name: "export_trigger",
        default_bindings_module: "flowcell_sdk::bindings::trigger",
        type_section_suffix: "trigger",
        with: {
            "flowcell:plugin/types@0.1.0": crate::bindings::action::flowcell::plugin::types,
            "flowcell:plugin/context@0.1.0": crate::bindings::action::flowcell::plugin::context,
            "flowcell:plugin/evaluate@0.1.0": crate::bindings::action::flowcell::plugin::evaluate,
            "flowcell:plugin/http-request@0.1.0": crate::bindings::action::flowcell::plugin::http_request,
            "flowcell:plugin/secrets@0.1.0": crate::bindings::action::flowcell::plugin::secrets,
            "flowcell:plugin/log@0.1.0": crate::bindings::action::flowcell::plugin::log,
        },
    });
}
