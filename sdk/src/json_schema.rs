//! JSON Schemas that are judged by later than the step starts, as a parameter of an action or a trigger.

use std::borrow::Cow;

use schemars::{SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::context::Context;
use crate::host::Host as _;
use crate::problem::Problem;

/// A JSON Schema that the flow's author writes, and the plugin judges values by. `flowcell check` finds one that cannot be
/// used.
///
/// ```
/// use flowcell_sdk::JsonSchemaDocument;
/// use flowcell_sdk::prelude::*;
/// use flowcell_sdk::testing::MockHost;
///
/// let schema: JsonSchemaDocument = serde_json::from_value(json!({ "type": "object", "required": ["id"] })).unwrap();
/// let host = MockHost::new();
/// let ctx = host.context();
/// assert_eq!(schema.findings(&json!({ "id": 1 }), &ctx).unwrap(), [""; 0]);
/// assert!(schema.findings(&json!({}), &ctx).unwrap()[0].contains("id"));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonSchemaDocument(Value);

impl JsonSchemaDocument {
    /// What is wrong with a value: a sentence each. The problem is about the schema.
    pub fn findings(&self, value: &impl Serialize, ctx: &Context) -> Result<Vec<String>, Problem> {
        let value = serde_json::to_string(value)
            .map_err(|error| Problem::runtime(format!("the value is not JSON: {error}")))?;
        ctx.host.validate(&self.0.to_string(), &value).map_err(Problem::configuration)
    }
}

impl schemars::JsonSchema for JsonSchemaDocument {
    fn schema_name() -> Cow<'static, str> {
        "JsonSchemaDocument".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        json_schema!({ "type": ["object", "boolean"], "format": "json-schema" })
    }
}
