//! The schema guest: values compared with JSON Schemas, in a sandbox.
//!
//! The host carries out a plain schema by itself ([`Plain`]): one that is linear and bounded. Everything else that a tenant
//! wrote is compiled and judged here, where fuel, memory and time are limited around the guest and a trap costs one
//! instance. What a finding says ([`Finding`]) is the same on both sides.
//!
//! An instance keeps what it compiled. Nothing else survives a call. Nothing is fetched: a reference leads to the schema
//! itself, or the schema is wrong.

mod finding;
mod plain;
mod schema;

#[cfg(target_arch = "wasm32")]
mod guest;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

pub use finding::{Finding, sentences};
pub use plain::{MEETINGS, PARTS, Plain, ROOM};
pub use schema::Schema;

/// How many compiled schemas an instance keeps. A flow has few; a full list is emptied rather than aged.
const KEPT: usize = 64;

/// Compares a value with a schema, both JSON text. `unknown`: JSON pointers to parts of the value that are not known yet,
/// where it has null. The error is a sentence about the schema.
pub fn validate(schema: &str, value: &str, unknown: &[String]) -> Result<Vec<Finding>, String> {
    let schema = compiled(schema)?;
    let value = serde_json::from_str(value).map_err(|error| format!("the value is not JSON: {error}"))?;
    Ok(schema.findings(&value, unknown))
}

/// Compiles a schema. The error is a sentence about it.
pub fn check(schema: &str) -> Result<(), String> {
    compiled(schema).map(drop)
}

thread_local! {
    static SCHEMAS: RefCell<BTreeMap<String, Rc<Schema>>> = const { RefCell::new(BTreeMap::new()) };
}

fn compiled(text: &str) -> Result<Rc<Schema>, String> {
    if let Some(schema) = SCHEMAS.with_borrow(|kept| kept.get(text).cloned()) {
        return Ok(schema);
    }
    let source = serde_json::from_str(text).map_err(|error| format!("the schema is not JSON: {error}"))?;
    let schema = Rc::new(Schema::compile(source)?);
    SCHEMAS.with_borrow_mut(|kept| {
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(text.to_owned(), Rc::clone(&schema));
    });
    Ok(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_compared_with_a_schema_and_a_wrong_schema_is_told_why() {
        let schema = r#"{"properties": {"id": {"pattern": "^[0-9]+$"}}}"#;
        assert_eq!(validate(schema, r#"{"id": "7"}"#, &[]), Ok(vec![]));
        let findings = validate(schema, r#"{"id": "x"}"#, &[]).unwrap();
        assert_eq!(sentences(&findings), ["`/id`: \"x\" does not match \"^[0-9]+$\""]);
        assert_eq!(validate(schema, r#"{"id": null}"#, &["/id".to_owned()]), Ok(vec![]));
        assert!(check(r#"{"pattern": "("}"#).unwrap_err().contains("not a usable JSON Schema"));
        assert!(validate("{", "1", &[]).unwrap_err().contains("the schema is not JSON"));
        assert!(validate("{}", "{", &[]).unwrap_err().contains("the value is not JSON"));
    }
}
