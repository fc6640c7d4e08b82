//! A JSON Schema of a document, compiled once when the document is read.
//!
//! Schemas are tenant input: patterns run on an engine that takes linear time, and no reference leaves the schema.

use std::fmt;

use jsonschema::PatternOptions;
use serde_json::Value;

use crate::problem::{Problem, kind};

/// How many violations a problem lists.
const LISTED: usize = 5;

/// A schema and its compiled form.
pub(crate) struct Schema {
    source: Value,
    validator: jsonschema::Validator,
}

impl Schema {
    /// Compiles a schema; the error is a sentence for its author.
    pub(crate) fn compile(source: Value) -> Result<Self, String> {
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .build(&source)
            .map_err(|error| match error.instance_path().as_str() {
                "" => format!("this is not a usable JSON Schema: {error}"),
                path => format!("this is not a usable JSON Schema: {error} at `{path}`"),
            })?;
        Ok(Self { source, validator })
    }

    /// Whether a value satisfies the schema; `what` names the value in the problem, as in `the input`.
    pub(crate) fn validate(&self, value: &Value, what: &str) -> Result<(), Box<Problem>> {
        if self.validator.is_valid(value) {
            return Ok(());
        }
        let violations: Vec<Value> = self
            .validator
            .iter_errors(value)
            .take(LISTED)
            .map(|error| {
                serde_json::json!({ "path": error.instance_path().as_str(), "message": shortened(&error.to_string()) })
            })
            .collect();
        let sentences: Vec<String> = violations
            .iter()
            .map(|violation| {
                let text = |key: &str| violation[key].as_str().unwrap_or_default().to_owned();
                match text("path").as_str() {
                    "" => text("message"),
                    path => format!("`{path}`: {}", text("message")),
                }
            })
            .collect();
        let problem = Problem::new(kind::VALIDATION, "a value does not satisfy its schema", 400)
            .detail(format!("{what}: {}", sentences.join("; ")))
            .data(serde_json::json!({ "violations": violations }));
        Err(Box::new(problem))
    }
}

/// A violation quotes the value that violates, which may be megabytes.
fn shortened(message: &str) -> String {
    const LONGEST: usize = 200;
    match message.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.source).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_violation_names_its_path() {
        let schema = Schema::compile(json!({"properties": {"id": {"type": "integer"}}})).unwrap();
        assert!(schema.validate(&json!({"id": 1}), "the input").is_ok());
        let problem = schema.validate(&json!({"id": "x"}), "the input").unwrap_err();
        assert_eq!(problem.status, 400);
        assert_eq!(problem.kind, kind::VALIDATION);
        assert!(problem.detail.unwrap().starts_with("the input: `/id`: "));
    }

    #[test]
    fn a_schema_that_is_none_or_reaches_outside_is_refused() {
        assert!(Schema::compile(json!({"type": "strnig"})).is_err());
        assert!(Schema::compile(json!({"$ref": "https://example.com/schema.json"})).is_err());
        assert!(Schema::compile(json!({"$ref": "file:///etc/passwd"})).is_err());
    }

    #[test]
    fn a_pattern_cannot_backtrack() {
        assert!(Schema::compile(json!({"pattern": "(a+)+\\1"})).is_err());
    }
}
