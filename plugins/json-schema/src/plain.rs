//! The schemas that need no sandbox: what comparing a value with them costs is counted before it is done.
//!
//! Plain is a schema of named keywords that look at a value once: no pattern, nothing that compares a value's parts with each
//! other, and references only to definitions that do not lead back to themselves. A keyword that is not listed here makes
//! a schema one for the sandbox, as does a draft older than 2019-09, in which `format` judges.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::finding::Finding;
use crate::schema::Schema;

/// How many parts a plain schema may have, with all that it refers to.
pub const PARTS: usize = 2_000;
/// How many parts the plain schemas of one flow or one plugin may have together.
pub const ROOM: usize = 20_000;
/// How often a part of a plain schema may meet a part of a value: some ten milliseconds.
pub const MEETINGS: usize = 1_000_000;
/// Of more meetings only the first finding is shown: each takes longer than they do.
const ALL_SHOWN: usize = 50_000;
/// So many bytes of a text count as one part more.
const BYTES_A_PART: usize = 64;
/// What is one of several alternatives is looked at again to say why it is none.
const ALTERNATIVES: usize = 8;

/// A plain schema, compiled.
#[derive(Debug)]
pub struct Plain {
    schema: Schema,
    cost: Cost,
}

impl Plain {
    /// Compiles a schema if it is plain and has no more parts than there is `room` for, which becomes less by as many. The
    /// error is a sentence for its author.
    pub fn compile(source: &Value, room: &mut usize) -> Option<Result<Self, String>> {
        let (cost, parts) = Cost::of(source, (*room).min(PARTS))?;
        *room -= parts;
        Some(Schema::compile(source.clone()).map(|schema| Self { schema, cost }))
    }

    /// As [`Schema::findings`], as long as there are meetings `left`, which become fewer. None where the value has to be
    /// compared in a sandbox.
    pub fn findings(&self, value: &Value, unknown: &[String], left: &mut usize) -> Option<Vec<Finding>> {
        let most = if unknown.is_empty() { MEETINGS } else { ALL_SHOWN };
        let most = most.min(*left);
        let mut after = most;
        self.cost.meet(ROOT, value, 1, &mut after)?;
        let met = most - after;
        *left -= met;
        Some(match met > ALL_SHOWN {
            true => self.schema.first_finding(value),
            false => self.schema.findings(value, unknown),
        })
    }
}

/// What comparing a value with a schema costs.
#[derive(Debug, Default)]
struct Cost {
    nodes: Vec<Node>,
}

/// The position of a schema among the nodes.
type Index = usize;

const ROOT: Index = 0;

/// What one schema looks at.
#[derive(Debug, Default)]
struct Node {
    /// How many parts meet any value.
    own: usize,
    /// Whether a text is counted.
    lengths: bool,
    properties: HashMap<String, Index>,
    /// Of every other property.
    additional: Option<Index>,
    prefix: Vec<Index>,
    /// Of every other item.
    items: Option<Index>,
    /// About the same value.
    also: Vec<Index>,
    /// The same, one of which is meant.
    alternatives: Vec<Index>,
}

impl Cost {
    /// None where the schema is not plain, or has more parts than `most`. Gives how many they are.
    fn of(schema: &Value, most: usize) -> Option<(Self, usize)> {
        // All of it is compiled, whether something refers to it or not.
        let written = size(schema, most)?;
        if let Some(draft) = schema.get("$schema")
            && !draft.as_str().is_some_and(is_judged_alike)
        {
            return None;
        }
        let mut count = Count { root: schema, most, definitions: HashMap::new(), cost: Self::default() };
        let (_, met) = count.schema(schema)?;
        for key in DEFINITIONS {
            for definition in schema.get(key).and_then(Value::as_object).into_iter().flat_map(Map::values) {
                count.schema(definition)?;
            }
        }
        let parts = met.max(written);
        (parts <= most).then_some((count.cost, parts))
    }

    /// Takes off what a value costs `times` over. None where it is more than is left.
    fn meet(&self, index: Index, value: &Value, times: usize, left: &mut usize) -> Option<()> {
        let node = &self.nodes[index];
        let mut take = |parts: usize| {
            *left = left.checked_sub(parts.saturating_mul(times))?;
            Some(())
        };
        take(node.own)?;
        match value {
            Value::String(text) if node.lengths => take(text.len() / BYTES_A_PART)?,
            Value::Array(items) if !node.prefix.is_empty() || node.items.is_some() => {
                for (position, item) in items.iter().enumerate() {
                    let Some(inside) = node.prefix.get(position).copied().or(node.items) else { break };
                    self.meet(inside, item, times, left)?;
                }
            }
            Value::Object(fields) => match node.additional {
                None => {
                    for (name, inside) in &node.properties {
                        if let Some(field) = fields.get(name) {
                            self.meet(*inside, field, times, left)?;
                        }
                    }
                }
                Some(additional) => {
                    for (name, field) in fields {
                        *left = left.checked_sub((1 + name.len() / BYTES_A_PART).saturating_mul(times))?;
                        let inside = node.properties.get(name).copied().unwrap_or(additional);
                        self.meet(inside, field, times, left)?;
                    }
                }
            },
            _ => {}
        }
        for also in &node.also {
            self.meet(*also, value, times, left)?;
        }
        for alternative in &node.alternatives {
            self.meet(*alternative, value, times.saturating_mul(ALTERNATIVES), left)?;
        }
        Some(())
    }
}

fn is_judged_alike(draft: &str) -> bool {
    let draft = draft.trim_end_matches('#');
    draft == "https://json-schema.org/draft/2020-12/schema"
        || draft == "https://json-schema.org/draft/2019-09/schema"
}

/// Where a reference may lead.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// A schema being counted.
struct Count<'s> {
    root: &'s Value,
    most: usize,
    /// What each definition comes to; none while it is being counted.
    definitions: HashMap<&'s str, Option<(Index, usize)>>,
    cost: Cost,
}

impl<'s> Count<'s> {
    /// Gives how many parts it has, with all that it refers to.
    fn schema(&mut self, schema: &'s Value) -> Option<(Index, usize)> {
        let index = self.cost.nodes.len();
        self.cost.nodes.push(Node { own: 1, ..Node::default() });
        let mut parts = 1;
        // What is no schema at all, compiling it says.
        for (key, field) in schema.as_object().into_iter().flatten() {
            parts += self.keyword(index, key, field, std::ptr::eq(schema, self.root))?;
            if parts > self.most {
                return None;
            }
        }
        Some((index, parts))
    }

    fn keyword(&mut self, index: Index, key: &str, field: &'s Value, is_root: bool) -> Option<usize> {
        let (own, inside) = match key {
            "title" | "description" | "default" | "examples" | "deprecated" | "readOnly" | "writeOnly"
            | "$comment" | "format" => (0, 0),
            // A draft of its own inside of another one is for the sandbox.
            "$schema" if is_root => (0, 0),
            // Counted where something refers to them. Deeper inside they would have other names.
            "$defs" | "definitions" if is_root => (0, 0),
            "type" | "required" | "enum" | "const" => (size(field, self.most)?, 0),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" | "minItems"
            | "maxItems" | "minProperties" | "maxProperties" => (1, 0),
            "minLength" | "maxLength" => {
                self.cost.nodes[index].lengths = true;
                (1, 0)
            }
            "uniqueItems" if field == &Value::Bool(false) => (1, 0),
            "items" => {
                let (items, parts) = self.schema(field)?;
                self.cost.nodes[index].items = Some(items);
                (0, parts)
            }
            "additionalProperties" => {
                let (additional, parts) = self.schema(field)?;
                self.cost.nodes[index].additional = Some(additional);
                (0, parts)
            }
            "properties" => {
                let (mut properties, mut sum) = (HashMap::new(), 0);
                for (name, schema) in field.as_object().into_iter().flatten() {
                    let (property, parts) = self.schema(schema)?;
                    properties.insert(name.clone(), property);
                    sum += parts;
                }
                let own = properties.len();
                self.cost.nodes[index].properties = properties;
                (own, sum)
            }
            "prefixItems" => {
                let (prefix, parts) = self.several(field)?;
                self.cost.nodes[index].prefix = prefix;
                (1, parts)
            }
            "allOf" => {
                let (also, parts) = self.several(field)?;
                self.cost.nodes[index].also.extend(also);
                (1, parts)
            }
            "anyOf" | "oneOf" => {
                let (alternatives, parts) = self.several(field)?;
                self.cost.nodes[index].alternatives.extend(alternatives);
                (1, parts)
            }
            "$ref" => {
                let (definition, parts) = self.reference(field.as_str()?)?;
                self.cost.nodes[index].also.push(definition);
                (1, parts)
            }
            _ if key.starts_with("x-") => (0, 0),
            _ => return None,
        };
        self.cost.nodes[index].own += own;
        Some(own + inside)
    }

    fn several(&mut self, schemas: &'s Value) -> Option<(Vec<Index>, usize)> {
        let (mut several, mut sum) = (vec![], 0);
        for schema in schemas.as_array().into_iter().flatten() {
            let (index, parts) = self.schema(schema)?;
            several.push(index);
            sum += parts;
        }
        Some((several, sum))
    }

    /// What a definition comes to. None where there is none, or where it leads back to itself.
    fn reference(&mut self, reference: &'s str) -> Option<(Index, usize)> {
        if let Some(known) = self.definitions.get(reference) {
            return *known;
        }
        let (folder, name) = reference.strip_prefix("#/")?.split_once('/')?;
        if !DEFINITIONS.contains(&folder) || name.contains(['/', '~', '%']) {
            return None;
        }
        let definition = self.root.get(folder)?.get(name)?;
        self.definitions.insert(reference, None);
        let counted = self.schema(definition)?;
        self.definitions.insert(reference, Some(counted));
        Some(counted)
    }
}

/// How many parts a value has, long texts counting for more than one. None where they are more than `most`.
fn size(value: &Value, most: usize) -> Option<usize> {
    let mut left = most;
    take(value, &mut left)?;
    Some(most - left)
}

fn take(value: &Value, left: &mut usize) -> Option<()> {
    *left = left.checked_sub(1)?;
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => *left = left.checked_sub(text.len() / BYTES_A_PART)?,
        Value::Array(items) => items.iter().try_for_each(|item| take(item, left))?,
        Value::Object(fields) => {
            for (key, field) in fields {
                *left = left.checked_sub(key.len() / BYTES_A_PART)?;
                take(field, left)?;
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn is_plain(schema: &Value) -> bool {
        Plain::compile(schema, &mut PARTS.clone()).is_some()
    }

    #[test]
    fn what_looks_at_a_value_once_is_plain() {
        for schema in [
            json!(true),
            json!({ "type": "object", "required": ["a"], "additionalProperties": false,
                "properties": { "a": { "type": ["string", "null"], "minLength": 1, "format": "email" } } }),
            json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "prefixItems": [{}], "items": false }),
            json!({ "anyOf": [{ "$ref": "#/$defs/a" }, { "type": "null" }], "$defs": { "a": { "const": 1 } } }),
            json!({ "enum": [1, { "a": 2 }], "x-mine": { "pattern": "(" }, "uniqueItems": false }),
            json!({ "properties": { "pattern": { "type": "string" }, "$ref": true } }),
            json!({ "type": "nothing" }),
        ] {
            assert!(is_plain(&schema), "{schema}");
        }
    }

    #[test]
    fn what_computes_over_a_value_is_not() {
        for schema in [
            json!({ "pattern": "a" }),
            json!({ "items": { "patternProperties": { "a": {} } } }),
            json!({ "$defs": { "unused": { "pattern": "a" } } }),
            json!({ "uniqueItems": true }),
            json!({ "not": {} }),
            json!({ "if": {} }),
            json!({ "contains": {} }),
            json!({ "unevaluatedProperties": false }),
            json!({ "$ref": "#" }),
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "items": { "$ref": "#/$defs/a" } } } }),
            json!({ "$ref": "https://example.com/schema.json" }),
            json!({ "properties": { "a": { "$defs": {} } } }),
            json!({ "items": { "$id": "other" } }),
            json!({ "$schema": "http://json-schema.org/draft-07/schema#", "format": "regex" }),
            json!({ "unknown": 1 }),
        ] {
            assert!(!is_plain(&schema), "{schema}");
        }
    }

    #[test]
    fn references_that_double_count_for_all_that_they_lead_to() {
        let doubling = |levels: usize| {
            let level = |n: usize| {
                let next = json!({ "$ref": format!("#/$defs/d{}", n + 1) });
                (format!("d{n}"), json!({ "allOf": [next, next] }))
            };
            let mut definitions: Map<String, Value> = (0..levels).map(level).collect();
            definitions.insert(format!("d{levels}"), json!({ "type": "string" }));
            json!({ "$ref": "#/$defs/d0", "$defs": definitions })
        };
        assert!(is_plain(&doubling(2)));
        assert!(!is_plain(&doubling(24)));
    }

    #[test]
    fn a_large_schema_and_a_schema_without_room_are_for_the_sandbox() {
        let values: Vec<usize> = (0..PARTS).collect();
        assert!(!is_plain(&json!({ "enum": values })));
        let mut room = 4;
        assert!(Plain::compile(&json!({ "enum": [1, 2] }), &mut room).unwrap().is_ok());
        assert_eq!(room, 0);
        assert!(Plain::compile(&json!({}), &mut room).is_none());
    }

    /// How many meetings a value takes.
    fn met(schema: &Value, value: &Value) -> Option<usize> {
        let plain = Plain::compile(schema, &mut PARTS.clone()).unwrap().unwrap();
        let mut left = usize::MAX;
        plain.findings(value, &[], &mut left).map(|_| usize::MAX - left)
    }

    #[test]
    fn only_what_is_looked_at_counts() {
        let many: Value = vec![1; 3 * MEETINGS].into();
        assert_eq!(met(&json!({ "type": "array" }), &many), Some(2));
        assert_eq!(met(&json!({ "properties": { "a": true } }), &json!({ "a": many, "b": many })), Some(3));
        assert_eq!(met(&json!({ "items": { "type": "integer" } }), &json!([1, 2])), Some(5));
        assert_eq!(met(&json!({ "items": { "type": "integer" } }), &many), None);
        assert_eq!(met(&json!({ "prefixItems": [true] }), &many), Some(3));
        assert_eq!(met(&json!({ "additionalProperties": false }), &json!({ "a": 1, "b": 1 })), Some(5));
        assert_eq!(met(&json!({ "anyOf": [{ "type": "null" }] }), &json!(1)), Some(2 + 2 * ALTERNATIVES));
        assert_eq!(met(&json!({ "type": "string" }), &json!("x".repeat(10 * BYTES_A_PART))), Some(2));
        assert_eq!(met(&json!({ "minLength": 1 }), &json!("x".repeat(10 * BYTES_A_PART))), Some(12));
        let shared =
            json!({ "properties": { "a": { "$ref": "#/$defs/t" } }, "$defs": { "t": { "const": 1 } } });
        assert_eq!(met(&shared, &json!({ "a": 1 })), Some(2 + 2 + 2));
    }

    #[test]
    fn what_is_left_becomes_less_and_of_much_that_is_wrong_the_first_is_shown() {
        let plain = Plain::compile(&json!({ "items": { "type": "integer" } }), &mut PARTS.clone());
        let plain = plain.unwrap().unwrap();
        let mut left = 5;
        assert_eq!(plain.findings(&json!([1, 2]), &[], &mut left), Some(vec![]));
        assert_eq!((plain.findings(&json!([1]), &[], &mut left), left), (None, 0));
        let wrong: Value = vec!["x"; ALL_SHOWN].into();
        let found =
            |unknown: &[String]| Some(plain.findings(&wrong, unknown, &mut usize::MAX.clone())?.len());
        assert_eq!((found(&[]), found(&["/0".to_owned()])), (Some(1), None));
    }
}
