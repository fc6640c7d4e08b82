//! The plugin interface as wit-bindgen makes it of wit/. Present on wasm32 only, and named by nobody but `host`,
//! `export` and the conversions.
//!
//! One module per world. A component uses those of what it exports: their worlds are united when the component is
//! made, as `whole-plugin` unites all of them. What a plugin does not call is not imported.

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

pub mod checking {
    wit_bindgen::generate!({
        path: "../wit",
        world: "flowcell:plugin/checking-plugin",
        pub_export_macro: true,
        export_macro_name: "export_checking",
        default_bindings_module: "flowcell_sdk::bindings::checking",
        type_section_suffix: "checking",
    });
}

pub mod importing {
    wit_bindgen::generate!({
        path: "../wit",
        world: "flowcell:plugin/importing-plugin",
        pub_export_macro: true,
        export_macro_name: "export_importing",
        default_bindings_module: "flowcell_sdk::bindings::importing",
        type_section_suffix: "importing",
    });
}

pub mod sampling {
    wit_bindgen::generate!({
        path: "../wit",
        world: "flowcell:plugin/sampling-plugin",
        pub_export_macro: true,
        export_macro_name: "export_sampling",
        default_bindings_module: "flowcell_sdk::bindings::sampling",
        type_section_suffix: "sampling",
    });
}
