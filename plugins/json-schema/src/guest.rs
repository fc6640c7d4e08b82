//! The component's exports.

#![allow(unsafe_code, reason = "the generated bindings pass strings through linear memory")]

wit_bindgen::generate!({
    path: "../../wit",
    world: "schema-plugin",
});

use exports::flowcell::plugin::schema::{Finding, Guest as Exported};

struct Guest;

impl Exported for Guest {
    fn validate(schema: String, value: String, unknown: Vec<String>) -> Result<Vec<Finding>, String> {
        let findings = crate::validate(&schema, &value, &unknown)?;
        Ok(findings.into_iter().map(|crate::Finding { at, says }| Finding { at, says }).collect())
    }

    fn check(schema: String) -> Result<(), String> {
        crate::check(&schema)
    }
}

export!(Guest);
