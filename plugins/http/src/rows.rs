//! Names and values as flows write them: a map, or a list of `{name, value}`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Names and values in order. In a map, a list repeats the name, null leaves it out, a number or a boolean is
/// text; in a list of `{name, value}` a name may repeat.
#[derive(Debug, Default)]
pub struct Rows(pub Vec<(String, String)>);

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Rows;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of names and values, or a list of { name, value }")
            }
            fn visit_unit<E: de::Error>(self) -> Result<Rows, E> {
                Ok(Rows::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Rows, A::Error> {
                let mut rows = Vec::new();
                while let Some((name, values)) = map.next_entry::<Cow<'de, str>, Values>()? {
                    rows.extend(values.0.into_iter().map(|value| (name.clone().into_owned(), value)));
                }
                Ok(Rows(rows))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Rows, A::Error> {
                let mut rows = Vec::new();
                while let Some(Row { name: Values(name), value: Values(value) }) = list.next_element()? {
                    // The name of a row may be an expression, which may yield nothing.
                    let name = name.into_iter().next().unwrap_or_default();
                    rows.extend(value.into_iter().map(|value| (name.clone(), value)));
                }
                Ok(Rows(rows))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(default)]
    name: Values,
    #[serde(default)]
    value: Values,
}

/// The texts that one value stands for: none for null, several for a list.
#[derive(Default)]
struct Values(Vec<String>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Values;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a number, true, false, null or a list of these")
            }
            fn visit_unit<E>(self) -> Result<Values, E> {
                Ok(Values(Vec::new()))
            }
            fn visit_bool<E>(self, value: bool) -> Result<Values, E> {
                Ok(Values(vec![if value { "true" } else { "false" }.to_owned()]))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Values, E> {
                Ok(Values(vec![value.to_string()]))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Values, E> {
                Ok(Values(vec![value.to_string()]))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Values, E> {
                let text = serde_json::to_string(&value).map_err(E::custom)?;
                Ok(Values(vec![text.strip_suffix(".0").map_or(text.clone(), str::to_owned)]))
            }
            fn visit_str<E>(self, value: &str) -> Result<Values, E> {
                Ok(Values(vec![value.to_owned()]))
            }
            fn visit_string<E>(self, value: String) -> Result<Values, E> {
                Ok(Values(vec![value]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Values, A::Error> {
                let mut all = Vec::new();
                while let Some(Values(values)) = list.next_element()? {
                    all.extend(values);
                }
                Ok(Values(all))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl JsonSchema for Rows {
    fn schema_name() -> Cow<'static, str> {
        "Rows".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let scalar = json_schema!({ "type": ["string", "number", "boolean", "null"] });
        json_schema!({
            "anyOf": [
                {
                    "type": "object",
                    "additionalProperties": { "anyOf": [scalar, { "type": "array", "items": scalar }] },
                },
                {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": { "name": scalar, "value": scalar },
                        "additionalProperties": false,
                    },
                },
                { "type": "null" },
            ],
        })
    }
}
