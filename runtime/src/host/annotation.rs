//! What the schema of a plugin's input says to the host beyond a schema: annotations, such as `"format": "jq"` at a text that
//! is an expression which the plugin judges later.
//!
//! [`Schema::walk`] finds them: it shows each part of a value with each schema that is about it. What a value must be, a
//! schema says by itself; see [`super::descriptor`].

use serde_json::Value;

use super::descriptor::Schema;

/// How deep a schema is followed.
const DEPTH: usize = 16;

impl Schema {
    /// The expressions that a plugin judges later, of an input: a JSON pointer and a jq program each.
    pub(crate) fn expressions(&self, value: &Value) -> Vec<(String, String)> {
        let mut found = vec![];
        self.walk(value, &mut |schema, pointer, value| {
            if schema["format"] == "jq"
                && let Some(program) = value.as_str()
                && !found.iter().any(|(known, _)| known == pointer)
            {
                found.push((pointer.to_owned(), program.to_owned()));
            }
        });
        found
    }

    /// Shows each part of a value with each schema that is about it.
    pub(super) fn walk<'s, 'v>(&'s self, value: &'v Value, seen: &mut dyn FnMut(&'s Value, &str, &'v Value)) {
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

    #[test]
    fn expressions_are_found_wherever_the_schema_has_them() {
        let request = json!({ "type": "object", "properties": { "when": { "format": "jq" }, "url": {} } });
        let key = json!({ "anyOf": [{ "type": "object", "properties": {} }, { "type": "string", "format": "jq" }] });
        let schema = Schema::compile(&json!({
            "type": "object",
            "$defs": { "Request": request },
            "properties": {
                "ask": { "$ref": "#/$defs/Request" },
                "then": { "anyOf": [{ "$ref": "#/$defs/Request" }, { "type": "null" }] },
                "dedupe": { "properties": { "key": key } },
            },
        }))
        .unwrap();
        let value = json!({ "ask": { "when": ".a" }, "then": { "when": ".b" }, "dedupe": { "key": ".c" } });
        let found = |pointer: &str, program: &str| (pointer.to_owned(), program.to_owned());
        assert_eq!(
            schema.expressions(&value),
            [found("/ask/when", ".a"), found("/dedupe/key", ".c"), found("/then/when", ".b")]
        );
    }
}
