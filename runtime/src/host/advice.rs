//! What the schema of a plugin's input says to be wrong or odd about a written input as a whole (`"x-checks"`).
//!
//! A check is `{when, says, at, refuses}`: a jq expression over the object that the schema is of, as it was written, with
//! expressions as their text; the sentence where that is true, or a text, which the sentence then ends with; the JSON pointer that it is about; and whether the document
//! is refused, or its author only told.

use serde::Deserialize;
use serde_json::Value;

use super::descriptor::Schema;

/// The key under which a schema has its checks.
const CHECKS: &str = "x-checks";
/// How deep a schema is followed.
const DEPTH: usize = 16;
/// How many checks are made of one input.
const MOST: usize = 50;

/// What a plugin says about an input that was written so.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    /// A jq expression that is true where it applies, or gives what the sentence is about.
    pub when: String,
    /// A sentence.
    pub says: String,
    /// The JSON pointer that it is about.
    #[serde(default)]
    pub at: String,
    /// Whether such a document is refused.
    #[serde(default)]
    pub refuses: bool,
}

impl Check {
    /// What it says, where its expression gave this JSON text: nothing for anything but true and a text.
    pub(crate) fn sentence(&self, answer: &str) -> Option<String> {
        match serde_json::from_str(answer).ok()? {
            Value::Bool(true) => Some(self.says.clone()),
            Value::String(text) => Some(format!("{} `{text}`", self.says)),
            _ => None,
        }
    }
}

impl Schema {
    /// The checks of an input and of the parts of it, each with what it looks at and where that is.
    pub(crate) fn checks(&self, value: &Value) -> Vec<(Check, String, Value)> {
        let mut found = vec![];
        self.walk(value, &mut |schema, pointer, value| {
            let checks = schema[CHECKS].as_array().into_iter().flatten();
            for check in checks.filter_map(|check| Check::deserialize(check).ok()) {
                if value.is_object() && found.len() < MOST {
                    found.push((check, pointer.to_owned(), value.clone()));
                }
            }
        });
        found
    }

    /// Shows each part of a value with each schema that is about it.
    fn walk<'s, 'v>(&'s self, value: &'v Value, seen: &mut dyn FnMut(&'s Value, &str, &'v Value)) {
        self.walk_from(self.source(), ("", value), DEPTH, seen);
    }

    fn walk_from<'s, 'v>(
        &'s self,
        schema: &'s Value,
        (pointer, value): (&str, &'v Value),
        depth: usize,
        seen: &mut dyn FnMut(&'s Value, &str, &'v Value),
    ) {
        let Some(depth) = depth.checked_sub(1) else { return };
        seen(schema, pointer, value);
        if let Some(referred) =
            schema["$ref"].as_str().and_then(|place| self.source().pointer(place.strip_prefix('#')?))
        {
            self.walk_from(referred, (pointer, value), depth, seen);
        }
        for several in ["anyOf", "oneOf", "allOf"] {
            for one in schema[several].as_array().into_iter().flatten() {
                self.walk_from(one, (pointer, value), depth, seen);
            }
        }
        for (name, part) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(value) = value.get(name) {
                let token = name.replace('~', "~0").replace('/', "~1");
                self.walk_from(part, (&format!("{pointer}/{token}"), value), depth, seen);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Schema {
        let request = json!({
            "type": "object",
            "properties": { "when": { "format": "jq" }, "url": {} },
            "x-checks": [{ "when": ".url == null", "says": "where to?", "at": "/url" }],
        });
        let key = json!({ "anyOf": [{ "type": "object", "properties": {} }, { "type": "string", "format": "jq" }] });
        Schema::compile(&json!({
            "type": "object",
            "$defs": { "Request": request },
            "properties": {
                "ask": { "$ref": "#/$defs/Request" },
                "then": { "anyOf": [{ "$ref": "#/$defs/Request" }, { "type": "null" }] },
                "dedupe": { "properties": { "key": key } },
            },
        }))
        .unwrap()
    }

    #[test]
    fn checks_look_at_the_part_that_they_are_of() {
        let value = json!({ "ask": { "url": 1 }, "then": {} });
        let found: Vec<_> = schema().checks(&value).into_iter().map(|(_, at, value)| (at, value)).collect();
        assert_eq!(found, [("/ask".to_owned(), json!({ "url": 1 })), ("/then".to_owned(), json!({}))]);
    }
}
