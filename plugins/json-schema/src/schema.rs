//! A compiled JSON Schema, and findings made of its errors.
//!
//! Its patterns are matched in linear time. Where none is drawn here, whoever compiles draws a bound around it: a sandbox,
//! or [`Plain`](crate::Plain).

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use crate::finding::{Finding, quoting, shortened, unknown_key};

/// Findings that are shown about one value.
const MOST: usize = 20;

/// A JSON Schema that values are compared with.
#[derive(Debug)]
pub struct Schema {
    validator: Validator,
    source: Value,
}

impl Schema {
    /// Compiles a schema of any draft. The error is a sentence for its author.
    pub fn compile(source: Value) -> Result<Self, String> {
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .build(&source)
            .map_err(|error| {
                let why = shortened(&error);
                match error.instance_path().as_str() {
                    "" => format!("this is not a usable JSON Schema: {why}"),
                    path => format!("this is not a usable JSON Schema: {why} at `{path}`"),
                }
            })?;
        Ok(Self { validator, source })
    }

    /// As it was written.
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// What is wrong with a value, as far as it is known: null stands for what is not, at the JSON pointers `unknown`.
    pub fn findings(&self, value: &Value, unknown: &[String]) -> Vec<Finding> {
        if unknown.is_empty() && self.validator.is_valid(value) {
            return vec![];
        }
        let errors = self.validator.iter_errors(value).filter(|error| is_decided(error, unknown)).take(MOST);
        errors.flat_map(|error| self.of(&error)).take(MOST).collect()
    }

    /// The first thing that is wrong with a value.
    pub(crate) fn first_finding(&self, value: &Value) -> Vec<Finding> {
        if self.validator.is_valid(value) {
            return vec![];
        }
        self.validator.validate(value).err().map(|error| self.of(&error)).unwrap_or_default()
    }

    /// An error as findings; of keys that do not exist, one for each.
    fn of(&self, error: &ValidationError<'_>) -> Vec<Finding> {
        let at = error.instance_path().to_string();
        if let ValidationErrorKind::AnyOf { context } = error.kind() {
            // What is of another kind altogether was not meant; where one is left, it says what is wrong.
            let is_other_kind = |error: &ValidationError<'_>| {
                matches!(error.kind(), ValidationErrorKind::Type { .. })
                    && error.instance_path().to_string() == at
            };
            let mut meant = context.iter().filter(|errors| !errors.iter().any(is_other_kind));
            if let (Some(errors), None) = (meant.next(), meant.next()) {
                return errors.iter().take(MOST).flat_map(|error| self.of(error)).collect();
            }
        }
        if let ValidationErrorKind::Pattern { .. } = error.kind()
            && let Some(about) = self.about(&error.schema_path().to_string(), &at)
        {
            return vec![Finding::new(at, format_args!("{} is not one of these: {about}", error.instance()))];
        }
        if let ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::AnyOf { .. } = error.kind()
            && let Some(one_of) = self.choices(&error.schema_path().to_string())
        {
            return vec![Finding::new(at, format_args!("{} is not one of {one_of}", error.instance()))];
        }
        let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() else {
            return vec![Finding { at, says: quoting(error, error.masked_with("the value")) }];
        };
        let schema_path = error.schema_path().to_string();
        let known = schema_path
            .strip_suffix("/additionalProperties")
            .and_then(|object| self.source.pointer(&format!("{object}/properties")))
            .and_then(Value::as_object);
        let finding = |key: &String| {
            let token = key.replace('~', "~0").replace('/', "~1");
            Finding::new(format!("{at}/{token}"), unknown_key(key, known))
        };
        unexpected.iter().take(MOST).map(finding).collect()
    }

    /// The values between which a keyword has one choose, where it is nothing but values.
    fn choices(&self, keyword: &str) -> Option<String> {
        let several = self.source.pointer(keyword)?.as_array()?;
        let mut choices = vec![];
        for one in several {
            match (&one["const"], one["enum"].as_array()) {
                (Value::Null, Some(values)) => choices.extend(values.iter().map(Value::to_string)),
                (Value::Null, None) if one["type"] == "null" => {}
                (Value::Null, None) => return None,
                (value, _) => choices.push(value.to_string()),
            }
        }
        (!choices.is_empty()).then(|| choices.join(", "))
    }

    /// What the schema says in words of the parameter at this place, which is easier to read than a pattern.
    fn about(&self, keyword: &str, at: &str) -> Option<&str> {
        let (parameter, _) = keyword.rsplit_once('/')?;
        let described = |pointer: &str| self.source.pointer(pointer)?["description"].as_str();
        // What it refers to may have no words of its own.
        described(parameter).or_else(|| described(&format!("/properties{at}")))
    }
}

/// Whether an error holds whatever the unknown parts turn out to be.
fn is_decided(error: &ValidationError<'_>, unknown: &[String]) -> bool {
    if unknown.is_empty() {
        return true;
    }
    let at = error.instance_path().to_string();
    let inside = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let chooses =
        matches!(error.kind(), ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. });
    !unknown.iter().any(|unknown| inside(unknown, &at) || (chooses && inside(&at, unknown)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema(source: Value) -> Schema {
        Schema::compile(source).unwrap()
    }

    #[test]
    fn a_finding_says_where_and_what() {
        let schema = schema(json!({
            "type": "object", "required": ["city"], "properties": { "days": { "type": "integer" } }
        }));
        assert_eq!(schema.findings(&json!({ "city": "Ulm", "days": 3 }), &[]), []);
        let findings = schema.findings(&json!({ "days": "three" }), &[]);
        let places: Vec<_> = findings.iter().map(|finding| finding.at.as_str()).collect();
        assert!(places.contains(&"") && places.contains(&"/days"), "{findings:?}");
        assert!(findings.iter().any(|finding| finding.says.contains("integer")), "{findings:?}");
    }

    #[test]
    fn of_several_kinds_the_one_that_was_meant_says_what_is_wrong() {
        let schema = schema(json!({ "properties": { "retry": { "anyOf": [
            { "type": "object", "properties": { "count": { "maximum": 50 } } }, { "type": "null" },
        ] } } }));
        let findings = schema.findings(&json!({ "retry": { "count": 51 } }), &[]);
        let [finding] = &findings[..] else { panic!("{findings:?}") };
        assert!(finding.at == "/retry/count" && finding.says.contains("50"), "{findings:?}");
        assert_eq!(schema.findings(&json!({ "retry": 1 }), &[])[0].at, "/retry");
    }

    #[test]
    fn a_finding_does_not_repeat_a_huge_value_and_there_are_not_many() {
        let findings = schema(json!({ "type": "integer" })).findings(&json!("x".repeat(100_000)), &[]);
        assert_eq!(findings[0].says, "the value is not of type \"integer\"");
        let many = vec!["x"; 1000];
        let findings = schema(json!({ "items": { "type": "integer" } })).findings(&json!(many), &[]);
        assert_eq!(findings.len(), MOST);
        let keys: Value = many.iter().enumerate().map(|(n, _)| (n.to_string(), json!(1))).collect();
        let findings =
            schema(json!({ "properties": { "a": {} }, "additionalProperties": false })).findings(&keys, &[]);
        assert_eq!(findings.len(), MOST);
    }

    #[test]
    fn what_is_not_known_yet_is_not_judged() {
        let schema = schema(json!({ "required": ["b"], "properties": { "a": { "type": "integer" } } }));
        let found = |unknown: &[&str]| {
            let unknown: Vec<String> = unknown.iter().map(ToString::to_string).collect();
            schema.findings(&json!({ "a": null }), &unknown).len()
        };
        assert_eq!((found(&[]), found(&["/a"]), found(&[""])), (2, 1, 0));
    }

    #[test]
    fn a_schema_fetches_nothing_and_its_patterns_are_linear() {
        for wrong in [
            json!({ "$ref": "https://example.com/schema.json" }),
            json!({ "$ref": "file:///etc/passwd" }),
            json!({ "type": "string", "pattern": "(?=a)b" }),
            json!({ "pattern": "(a+)+\\1" }),
        ] {
            assert!(Schema::compile(wrong.clone()).is_err(), "{wrong}");
        }
        let why = Schema::compile(json!({ "type": "nothing" })).unwrap_err();
        assert!(why.ends_with("at `/type`"), "{why}");
    }
}
