//! Headers as JSON shows them.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Headers as JSON shows them: an object of names; a value is a string, and a list of strings where the name repeats.
/// `set-cookie` is always a list.
///
/// ```
/// use flowcell_sdk::http::HeaderMap;
/// let headers = HeaderMap(vec![
///     ("a".into(), "1".into()), ("b".into(), "2".into()), ("a".into(), "3".into()), ("set-cookie".into(), "x".into()),
/// ]);
/// assert_eq!(serde_json::to_string(&headers).unwrap(), r#"{"a":["1","3"],"b":"2","set-cookie":["x"]}"#);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderMap(pub Vec<(String, String)>);

impl HeaderMap {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for HeaderMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        // Sorted, a name stands beside its repetitions; the sort keeps the order of their values.
        let mut sorted: Vec<&(String, String)> = self.0.iter().collect();
        sorted.sort_by(|left, right| left.0.cmp(&right.0));
        for same in sorted.chunk_by(|left, right| left.0 == right.0) {
            match same {
                [(name, value)] if name != "set-cookie" => map.serialize_entry(name, value)?,
                _ => {
                    map.serialize_entry(
                        &same[0].0,
                        &same.iter().map(|(_, value)| value).collect::<Vec<_>>(),
                    )?;
                }
            }
        }
        map.end()
    }
}

impl JsonSchema for HeaderMap {
    fn schema_name() -> Cow<'static, str> {
        "Headers".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "By lower-case name; a list where a name repeats, always one for set-cookie.",
            "type": "object",
            "additionalProperties": {
                "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
            },
        })
    }
}
