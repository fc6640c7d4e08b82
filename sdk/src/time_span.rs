//! A length of time as flows write it: ISO 8601 (`PT30S`) or the language's object (`{ seconds: 30 }`).

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

const DAY: u64 = 24 * 60 * 60 * 1000;
/// Names of the language's object, and their milliseconds.
const UNITS: &[&str] = &["days", "hours", "minutes", "seconds", "milliseconds"];
const UNITS_MS: [u64; 5] = [DAY, 3_600_000, 60_000, 1000, 1];

/// A length of time as flows write it: `PT30S`, or `{ seconds: 30 }`. Months and years are refused: they have no
/// fixed length.
///
/// ```
/// use flowcell_sdk::TimeSpan;
/// let span: TimeSpan = serde_json::from_str(r#""PT1M30.5S""#).unwrap();
/// assert_eq!(span.as_duration().as_millis(), 90_500);
/// let span: TimeSpan = serde_json::from_str(r#"{"minutes": 1, "milliseconds": 5}"#).unwrap();
/// assert_eq!(span.as_duration().as_millis(), 60_005);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeSpan(Duration);

impl TimeSpan {
    /// That many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// As the standard library has it.
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    /// Reads ISO 8601: weeks, days, hours, minutes and seconds, the last of them with a fraction if need be.
    pub fn parse_iso(text: &str) -> Option<Self> {
        let rest = text.strip_prefix('P')?;
        let (date, time) = rest.split_once('T').map_or((rest, None), |(date, time)| (date, Some(time)));
        if date.is_empty() && time.is_none() || time.is_some_and(str::is_empty) {
            return None;
        }
        let date = fields(date, &[('W', 7 * DAY), ('D', DAY)])?;
        let time = fields(time.unwrap_or_default(), &[('H', 3_600_000), ('M', 60_000), ('S', 1000)])?;
        Some(Self::from_millis(date.checked_add(time)?))
    }
}

/// The sum of fields such as `1H30M`, in milliseconds; their order is that of `units`, each at most once.
fn fields(mut text: &str, mut units: &[(char, u64)]) -> Option<u64> {
    let mut sum = 0_u64;
    while !text.is_empty() {
        let end = text.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, rest) = text.split_at(end);
        let unit = rest.chars().next()?;
        let at = units.iter().position(|(name, _)| *name == unit)?;
        text = &rest[1..];
        sum = sum.checked_add(scaled(number, units[at].1, text.is_empty())?)?;
        units = &units[at + 1..];
    }
    Some(sum)
}

/// A decimal number times a unit; what is below a millisecond is dropped. Only the last field may have a fraction.
fn scaled(number: &str, unit_ms: u64, last: bool) -> Option<u64> {
    let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, ""));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || number.len() > whole.len() && !(last && digits(fraction)) {
        return None;
    }
    let mut sum = whole.parse::<u64>().ok()?.checked_mul(unit_ms)?;
    let mut part = unit_ms;
    for digit in fraction.bytes() {
        sum = sum.checked_add(part * u64::from(digit - b'0') / 10)?;
        part /= 10;
    }
    Some(sum)
}

impl<'de> Deserialize<'de> for TimeSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Read)
    }
}

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = TimeSpan;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as `PT30S` or { seconds: 30 }")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<TimeSpan, E> {
        TimeSpan::parse_iso(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TimeSpan, A::Error> {
        let mut sum = 0_u64;
        let mut empty = true;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let Some(at) = UNITS.iter().position(|name| *name == key) else {
                return Err(de::Error::unknown_field(&key, UNITS));
            };
            let part = map.next_value::<u64>()?.checked_mul(UNITS_MS[at]);
            sum = part
                .and_then(|part| sum.checked_add(part))
                .ok_or_else(|| de::Error::custom("the duration is too long"))?;
            empty = false;
        }
        if empty {
            return Err(de::Error::invalid_value(de::Unexpected::Map, &self));
        }
        Ok(TimeSpan::from_millis(sum))
    }
}

impl JsonSchema for TimeSpan {
    fn schema_name() -> Cow<'static, str> {
        "TimeSpan".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let unit = json_schema!({ "type": "integer", "minimum": 0 });
        json_schema!({
            "description": "A duration: ISO 8601, such as `PT30S`, or an object, such as { seconds: 30 }.",
            "anyOf": [
                { "type": "string", "pattern": "^P[0-9WDTHMS.,]+$" },
                {
                    "type": "object",
                    "minProperties": 1,
                    "additionalProperties": false,
                    "properties": { "days": unit, "hours": unit, "minutes": unit, "seconds": unit, "milliseconds": unit },
                },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<u128> {
        TimeSpan::parse_iso(text).map(|span| span.as_duration().as_millis())
    }

    #[test]
    fn iso_durations_are_read() {
        for (text, expected) in [
            ("PT30S", 30_000),
            ("PT0.25S", 250),
            ("PT1,5H", 5_400_000),
            ("P1DT1M", 86_460_000),
            ("P2W", 1_209_600_000),
            ("PT0S", 0),
        ] {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_of_fixed_length_is_refused() {
        for text in [
            "",
            "P",
            "PT",
            "30",
            "30s",
            "P1M",
            "P1Y",
            "PT1S1M",
            "PT1.5M1S",
            "PT.5S",
            "PT5.S",
            "-PT1S",
            "PT1S ",
            "P99999999999999999W",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn an_object_has_known_units_only() {
        let error = serde_json::from_str::<TimeSpan>(r#"{"second": 3}"#).unwrap_err().to_string();
        assert!(error.starts_with("unknown field `second`, expected one of `days`, `hours`"), "{error}");
        assert!(serde_json::from_str::<TimeSpan>("{}").is_err());
        assert!(serde_json::from_str::<TimeSpan>("30").is_err());
    }
}
