//! How long: the durations of a document, as ISO 8601 text or as the DSL's object.
//!
//! Only lengths that are the same everywhere are read: days are 24 hours, and years, months are refused because no
//! timer could honour them without a calendar. Deciding when something is due is the engine's business.

use std::time::Duration;

use jiff::Span;
use serde_json::{Map, Value};

/// A hundred years: beyond it a timer is a mistake, and below it no arithmetic on timestamps overflows.
const LONGEST: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// The keys of the object form and what one of each is in milliseconds.
const UNITS: [(&str, f64); 5] = [
    ("days", 86_400_000.0),
    ("hours", 3_600_000.0),
    ("minutes", 60_000.0),
    ("seconds", 1_000.0),
    ("milliseconds", 1.0),
];

/// Reads `PT30S`, `P1DT2H` or `{days, hours, minutes, seconds, milliseconds}`.
///
/// Zero is a duration; where it makes no sense the caller says so.
pub(crate) fn parse(value: &Value) -> Result<Duration, String> {
    let length = match value {
        Value::String(text) => from_text(text)?,
        Value::Object(parts) => from_parts(parts)?,
        other => {
            return Err(format!(
                "`{other}` is no duration: write ISO 8601 text such as \"PT30S\", or an object such as \
                 {{\"seconds\": 30}}"
            ));
        }
    };
    if length > LONGEST {
        return Err(format!("the duration `{value}` is longer than a hundred years"));
    }
    Ok(length)
}

fn from_text(text: &str) -> Result<Duration, String> {
    let trimmed = text.trim();
    // jiff also reads its own friendly format (`30s`); a document that uses it would not be portable.
    if !trimmed.trim_start_matches(['-', '+']).starts_with(['P', 'p']) {
        return Err(format!("`{text}` is no ISO 8601 duration: it starts with P, as in PT30S or P1DT2H"));
    }
    let span: Span = trimmed
        .parse()
        .map_err(|error| format!("`{text}` is no ISO 8601 duration, such as PT30S or P1DT2H: {error}"))?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(format!(
            "`{text}` counts years or months, which differ in length: write it in days, hours, minutes and seconds"
        ));
    }
    if span.is_negative() {
        return Err(negative(text));
    }
    let days = i64::from(span.get_days()) + 7 * i64::from(span.get_weeks());
    let seconds =
        days * 86_400 + i64::from(span.get_hours()) * 3_600 + span.get_minutes() * 60 + span.get_seconds();
    let nanoseconds = i128::from(span.get_milliseconds()) * 1_000_000
        + i128::from(span.get_microseconds()) * 1_000
        + i128::from(span.get_nanoseconds());
    let total = i128::from(seconds) * 1_000_000_000 + nanoseconds;
    // Saturating is enough: what does not fit is longer than `LONGEST` and refused there.
    Ok(Duration::from_nanos(u64::try_from(total).unwrap_or(u64::MAX)))
}

fn from_parts(parts: &Map<String, Value>) -> Result<Duration, String> {
    if parts.is_empty() {
        return Err(format!("the duration is an empty object: give at least one of {}", names()));
    }
    let mut milliseconds = 0.0;
    for (key, value) in parts {
        let Some((_, unit)) = UNITS.iter().find(|(name, _)| name == key) else {
            return Err(format!("a duration has no `{key}`: it has {}", names()));
        };
        let Some(count) = value.as_f64() else {
            return Err(format!("`{key}` of a duration is a number, not `{value}`"));
        };
        if count < 0.0 {
            return Err(negative(&format!("{key}: {value}")));
        }
        milliseconds += count * unit;
    }
    Ok(Duration::try_from_secs_f64(milliseconds / 1_000.0).unwrap_or(Duration::MAX))
}

fn negative(what: &str) -> String {
    format!("the duration `{what}` is negative")
}

fn names() -> String {
    UNITS.map(|(name, _)| format!("`{name}`")).join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn iso_text_and_objects_are_read() {
        for (value, milliseconds) in [
            (json!("PT30S"), 30_000),
            (json!("PT0.25S"), 250),
            (json!("P1DT2H"), 26 * 3_600_000),
            (json!("P2W"), 14 * 86_400_000),
            (json!("PT0S"), 0),
            (json!("pt1m"), 60_000),
            (json!({"seconds": 30}), 30_000),
            (json!({"days": 1, "hours": 2, "minutes": 3, "seconds": 4, "milliseconds": 5}), 93_784_005),
            (json!({"seconds": 0.5}), 500),
        ] {
            assert_eq!(parse(&value), Ok(Duration::from_millis(milliseconds)), "{value}");
        }
    }

    #[test]
    fn what_is_no_length_is_refused_with_a_reason() {
        for (value, reason) in [
            (json!("P1Y"), "years or months"),
            (json!("P2M"), "years or months"),
            (json!("-PT1S"), "negative"),
            (json!({"seconds": -1}), "negative"),
            (json!({"secs": 1}), "no `secs`"),
            (json!({"seconds": "1"}), "is a number"),
            (json!({}), "at least one of"),
            (json!("30s"), "starts with P"),
            (json!("P"), "no ISO 8601 duration"),
            (json!(""), "starts with P"),
            (json!(30), "is no duration"),
            (json!({"days": 1e300}), "longer than a hundred years"),
            (json!("PT99999999999999999S"), ""),
        ] {
            let refusal = parse(&value).unwrap_err();
            assert!(refusal.contains(reason), "{value}: {refusal}");
        }
    }
}
