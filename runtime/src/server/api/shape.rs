//! Shapes of what the API takes and gives, as JSON Schema. A shape stands with its resource; those that several resources
//! use stand here. The document has every shape that something in it refers to, and no other.

use serde_json::{Map, Value, json};

/// A shape with a name of its own in the document.
pub(super) struct Shape {
    pub name: &'static str,
    pub schema: fn(&mut Shapes) -> Value,
}

/// The shapes that were referred to.
#[derive(Default)]
pub(super) struct Shapes(Map<String, Value>);

impl Shapes {
    /// A reference to a shape.
    pub(super) fn refer(&mut self, shape: &Shape) -> Value {
        if !self.0.contains_key(shape.name) {
            // The name is taken first: a shape may refer to itself.
            self.0.insert(shape.name.to_owned(), Value::Null);
            let schema = (shape.schema)(self);
            self.0.insert(shape.name.to_owned(), schema);
        }
        json!({ "$ref": format!("#/components/schemas/{}", shape.name) })
    }

    /// A page of a list.
    pub(super) fn list_of(&mut self, shape: &Shape) -> Value {
        object(
            &["items", "cursor"],
            json!({
                "items": { "type": "array", "items": self.refer(shape) },
                "cursor": { "type": ["string", "null"] },
            }),
        )
    }

    /// By name, for `#/components/schemas`.
    pub(super) fn into_json(self) -> Value {
        self.0.into()
    }
}

/// The one error.
pub(super) const PROBLEM: Shape = Shape {
    name: "Problem",
    schema: |_| {
        object(
            &["type", "title", "status"],
            json!({
                "type": { "type": "string", "format": "uri-reference" }, "title": text(),
                "status": { "type": "integer" }, "detail": text(), "instance": text(),
                "retryAfterMs": { "type": "integer" }, "data": { "type": "object" },
            }),
        )
    },
};

/// An object that takes other keys too.
pub(super) fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

/// An object that takes no other keys.
pub(super) fn closed(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
}

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

pub(super) fn texts() -> Value {
    json!({ "type": "array", "items": text() })
}

pub(super) fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

pub(super) fn address() -> Value {
    json!({ "type": "string", "format": "uri" })
}
