//! Expressions that are judged later than the step starts, as a parameter of an action or a trigger.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::context::Context;
use crate::host::Host as _;
use crate::problem::{Problem, kind};

/// A jq expression that the flow's author writes bare, without `${ }`, and the plugin judges when it has what the
/// expression is about. `flowcell check` finds one that does not compile.
///
/// ```
/// use flowcell_sdk::prelude::*;
/// use flowcell_sdk::testing::MockHost;
///
/// let failed: Expression = serde_json::from_str(r#"".status == \"failed\"""#).unwrap();
/// let host = MockHost::new().with_expression(".status == \"failed\"", |input| json!(input["status"] == "failed"));
/// let mut ctx = host.context();
/// assert!(failed.is_true(&json!({ "status": "failed" }), &ctx).unwrap());
/// assert_eq!(failed.value(&json!({ "status": "done" }), &ctx).unwrap(), json!(false));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Expression(String);

impl Expression {
    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it compiles. The problem is about the input, with what the host says of it.
    pub fn check(&self, ctx: &Context) -> Result<(), Problem> {
        ctx.host.check_expression(&self.0).map_err(|why| Problem::validation(format!("`{}`: {why}", self.0)))
    }

    /// The one value that it makes of `input`.
    pub fn value(&self, input: &impl Serialize, ctx: &Context) -> Result<Value, Problem> {
        let input = serde_json::to_string(input)
            .map_err(|error| Problem::runtime(format!("the input of an expression is not JSON: {error}")))?;
        let value = ctx.host.evaluate(&self.0, &input).map_err(|why| self.fails(&why))?;
        serde_json::from_str(&value).map_err(|error| self.fails(&error.to_string()))
    }

    /// Whether it is true of `input`; null is not. Any other value but true and false is an error.
    pub fn is_true(&self, input: &impl Serialize, ctx: &Context) -> Result<bool, Problem> {
        match self.value(input, ctx)? {
            Value::Bool(value) => Ok(value),
            Value::Null => Ok(false),
            other => Err(self.fails(&format!("it gives {other}, and should be true or false"))),
        }
    }

    fn fails(&self, why: &str) -> Problem {
        Problem::new(kind::EXPRESSION, "An expression failed", 400).detail(format!("`{}`: {why}", self.0))
    }
}

impl JsonSchema for Expression {
    fn schema_name() -> Cow<'static, str> {
        "Expression".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "jq" })
    }
}
