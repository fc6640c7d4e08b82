//! A schema that compares a value with itself sixty times over, at each level anew.

use std::borrow::Cow;

use flowcell_sdk::prelude::*;
use schemars::{Schema, SchemaGenerator, json_schema};

/// Lists in lists.
#[derive(Deserialize)]
pub struct Lists(Value);

impl JsonSchema for Lists {
    fn schema_name() -> Cow<'static, str> {
        "Lists".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let itself = generator.subschema_for::<Self>();
        json_schema!({ "type": "array", "items": { "anyOf": vec![itself; 60] } })
    }
}

/// What is compared.
#[derive(Deserialize, JsonSchema)]
pub struct Entangled {
    /// Lists in lists.
    lists: Lists,
}

/// Gives the lists back.
#[flowcell_sdk::action(idempotent)]
pub fn entangled(input: Entangled, _ctx: &mut Context) -> Result<Value, Problem> {
    Ok(input.lists.0)
}
