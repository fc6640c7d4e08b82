//! A JSON Schema of a document, read once with the document.
//!
//! Schemas are a tenant's text. One that is plain is compiled here, and compared with values as long as their parts are
//! few enough together. Any other one stays text: the schema guest says what is wrong with it when it is deployed, and
//! compares it with values under the tenant's quotas.

use std::fmt;
use std::sync::Arc;

use flowcell_plugin_json_schema::{Finding, Plain};
use serde_json::{Value, json};

use crate::problem::{Problem, kind};

/// The longest schema, as JSON text.
const LONGEST: usize = 256 * 1024;

/// A schema as it was written, and compiled where it is plain.
pub(crate) struct Schema {
    text: Arc<str>,
    plain: Option<Plain>,
}

impl Schema {
    /// Reads a schema. `room`: how many parts the document's plain schemas may still have. The error is a sentence for its
    /// author; of a schema that is not plain, the guest says the rest.
    pub(crate) fn read(source: &Value, room: &mut usize) -> Result<Self, String> {
        if !matches!(source, Value::Object(_) | Value::Bool(_)) {
            return Err("a JSON Schema is a map, or true or false".to_owned());
        }
        let text: Arc<str> = source.to_string().into();
        if text.len() > LONGEST {
            return Err(format!("the schema has {} bytes as JSON; at most {LONGEST} are read", text.len()));
        }
        Ok(Self { text, plain: Plain::compile(source, room).transpose()? })
    }

    /// JSON text.
    pub(crate) fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Whether only the guest can say what is wrong with it.
    pub(crate) fn is_foreign(&self) -> bool {
        self.plain.is_none()
    }

    /// What is wrong with a value, as [`violations`]. None where the guest has to say it: the schema is not plain, or more of
    /// its parts would meet parts of the value than are `left`.
    pub(crate) fn violations(&self, value: &Value, left: &mut usize) -> Option<Value> {
        Some(violations(&self.plain.as_ref()?.findings(value, &[], left)?))
    }
}

/// Findings as the problem of a value lists them, which is also how the guest's answer is journalled.
pub(crate) fn violations(findings: &[Finding]) -> Value {
    findings.iter().map(|finding| json!({ "path": finding.at, "message": finding.says })).collect()
}

/// Refuses a value in which something is wrong; `what` names it, as in `the input`.
pub(crate) fn satisfied(what: &str, violations: Value) -> Result<(), Problem> {
    let listed = violations.as_array().map(Vec::as_slice).unwrap_or_default();
    if listed.is_empty() {
        return Ok(());
    }
    let sentence = |violation: &Value| {
        let text = |key: &str| violation[key].as_str().unwrap_or_default().to_owned();
        Finding { at: text("path"), says: text("message") }.to_string()
    };
    let sentences: Vec<String> = listed.iter().map(sentence).collect();
    Err(Problem::new(kind::VALIDATION, "a value does not satisfy its schema", 400)
        .detail(format!("{what}: {}", sentences.join("; ")))
        .data(json!({ "violations": violations })))
}

/// A value could not be compared with its schema.
pub(crate) fn not_judged(what: &str, reason: &str) -> Problem {
    Problem::new(kind::VALIDATION, "a value could not be compared with its schema", 400)
        .detail(format!("{what}: {reason}"))
        .data(json!({ "code": "schema" }))
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests {
    use flowcell_plugin_json_schema::{MEETINGS, ROOM};

    use super::*;

    fn read(source: &Value) -> Result<Schema, String> {
        Schema::read(source, &mut ROOM.clone())
    }

    #[test]
    fn a_violation_names_its_path() {
        let schema = read(&json!({"properties": {"id": {"type": "integer"}}})).unwrap();
        let satisfied =
            |value: Value| satisfied("the input", schema.violations(&value, &mut MEETINGS.clone()).unwrap());
        assert!(satisfied(json!({"id": 1})).is_ok());
        let problem = satisfied(json!({"id": "x"})).unwrap_err();
        assert_eq!((problem.status, &*problem.kind), (400, kind::VALIDATION));
        assert!(problem.detail.unwrap().starts_with("the input: `/id`: "));
    }

    #[test]
    fn what_is_plain_is_told_at_once_what_is_wrong_with_it() {
        assert!(read(&json!({"type": "strnig"})).unwrap_err().ends_with("at `/type`"));
        assert!(read(&json!("object")).unwrap_err().contains("is a map"));
        let long = json!({"const": "x".repeat(LONGEST)});
        assert!(read(&long).unwrap_err().contains("at most 262144"));
    }

    /// A hundred patterns of this kind took 1.5 GiB for as long as the flow was known.
    #[test]
    fn a_schema_that_is_not_plain_is_not_compiled() {
        let patterns: Vec<Value> =
            (0..100).map(|n| json!({"pattern": format!("a[ab]{{900}}c{n}(")})).collect();
        for schema in [json!({"allOf": patterns}), json!({"$ref": "file:///etc/passwd"})] {
            let schema = read(&schema).unwrap();
            assert!(schema.is_foreign() && schema.violations(&json!(1), &mut MEETINGS.clone()).is_none());
        }
    }

    #[test]
    fn a_large_value_is_for_the_guest() {
        let schema = read(&json!({"items": {"type": "integer"}})).unwrap();
        let mut left = MEETINGS;
        assert!(schema.violations(&json!([1]), &mut left).is_some() && left < MEETINGS);
        assert!(schema.violations(&json!(vec![1; MEETINGS]), &mut left).is_none());
    }
}
