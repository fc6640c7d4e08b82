//! Which statuses count as success.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// Statuses as a flow lists them: `[200, "300-399", "4xx"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    /// Whether a status is one of them.
    pub fn has(&self, status: u16) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(from, to)| format!("{from}-{to}")))
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Statuses;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of statuses, such as 200, \"300-399\" or \"4xx\"")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Statuses, A::Error> {
                let mut ranges = vec![];
                while let Some(Range(from, to)) = list.next_element()? {
                    ranges.push((from, to));
                }
                match ranges.is_empty() {
                    true => Err(de::Error::custom("no status would be a success: list one, such as 200")),
                    false => Ok(Statuses(ranges)),
                }
            }
        }
        deserializer.deserialize_seq(Read)
    }
}

struct Range(u16, u16);

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Range;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a status from 100 to 599, a range such as \"300-399\", or a class such as \"4xx\"",
                )
            }
            fn visit_u64<E: de::Error>(self, status: u64) -> Result<Range, E> {
                let fits = u16::try_from(status).ok().filter(is_status);
                fits.map(|status| Range(status, status))
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(status), &self))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Range, E> {
                range(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

fn range(text: &str) -> Option<Range> {
    let text = text.trim();
    if let Some(class) = text.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|class| (1..=5).contains(class))?;
        return Some(Range(class * 100, class * 100 + 99));
    }
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| text.trim().parse().ok().filter(is_status);
    let (from, to) = (status(from)?, status(to)?);
    (from <= to).then_some(Range(from, to))
}

fn is_status(status: &u16) -> bool {
    (100..600).contains(status)
}

impl JsonSchema for Statuses {
    fn schema_name() -> Cow<'static, str> {
        "Statuses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Statuses such as 200, ranges such as \"300-399\", classes such as \"4xx\".",
            "type": "array",
            "minItems": 1,
            "items": { "anyOf": [
                { "type": "integer", "minimum": 100, "maximum": 599 },
                { "type": "string", "pattern": "^ *([1-5]xx|[1-5][0-9][0-9]( *- *[1-5][0-9][0-9])?) *$" },
            ] },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_ranges_and_classes_are_read() {
        let statuses: Statuses = serde_json::from_str(r#"[200, "201", "300 - 302", "4xx"]"#).unwrap();
        for (status, expected) in
            [(200, true), (201, true), (202, false), (301, true), (303, false), (404, true), (500, false)]
        {
            assert_eq!(statuses.has(status), expected, "{status}");
        }
        let again: Statuses = serde_json::from_value(serde_json::to_value(&statuses).unwrap()).unwrap();
        assert_eq!(again, statuses);
        for wrong in ["[]", "[99]", "[600]", "[\"302-300\"]", "[\"6xx\"]", "[\"ok\"]", "200", "[true]"] {
            assert!(serde_json::from_str::<Statuses>(wrong).is_err(), "{wrong}");
        }
    }
}
