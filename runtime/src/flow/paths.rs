//! The places of a value, as expressions write them.

use serde::Serialize;
use serde_json::Value;

use super::expression::type_name;

/// The most places that are listed.
const PLACES: usize = 500;
/// The longest text that is shown of a value.
const SHOWN: usize = 100;

/// A place in a value, and what is there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    /// As an expression writes it, such as `.body.items[0].id`.
    pub path: String,
    /// `null`, `boolean`, `number`, `string`, or for what is empty `array` or `object`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// What is there; a long text is cut.
    pub value: Value,
}

/// Every place of a value that holds no others, in order; of a list of like elements the first element stands for all.
///
/// ```
/// let places = flowcell::paths(&serde_json::json!({ "body": { "id": 7, "x-y": ["a", "b"] } }));
/// let paths: Vec<_> = places.iter().map(|place| place.path.as_str()).collect();
/// assert_eq!(paths, [".body.id", ".body[\"x-y\"][0]"]);
/// ```
pub fn paths(value: &Value) -> Vec<Place> {
    let mut places = vec![];
    walk(value, &mut String::new(), &mut places);
    places
}

fn walk(value: &Value, path: &mut String, places: &mut Vec<Place>) {
    if places.len() >= PLACES {
        return;
    }
    let length = path.len();
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, field) in fields {
                path.push_str(&step(key));
                walk(field, path, places);
                path.truncate(length);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            path.push_str("[0]");
            walk(&items[0], path, places);
            path.truncate(length);
        }
        leaf => {
            let path = match path.as_str() {
                "" => ".".to_owned(),
                // At the top an expression begins with a dot.
                path if path.starts_with('[') => format!(".{path}"),
                path => path.to_owned(),
            };
            places.push(Place { path, kind: type_name(leaf), value: shown(leaf) });
        }
    }
}

/// `.name`, or `["na me"]` where it is no identifier.
fn step(key: &str) -> String {
    let is_identifier = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match is_identifier {
        true => format!(".{key}"),
        false => format!("[{}]", Value::from(key)),
    }
}

fn shown(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() > SHOWN => {
            Value::from(format!("{}…", &text[..text.floor_char_boundary(SHOWN)]))
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn places_are_written_as_expressions_write_them() {
        let value = json!({ "a": { "b-c": [{ "d": true }, { "d": false }], "e": [], "f": {} }, "9": "x".repeat(200) });
        let places = paths(&value);
        let listed: Vec<_> = places.iter().map(|place| (place.path.as_str(), place.kind)).collect();
        let expected =
            [(".[\"9\"]", "string"), (".a[\"b-c\"][0].d", "boolean"), (".a.e", "array"), (".a.f", "object")];
        assert_eq!(listed, expected);
        assert_eq!(places[0].value.as_str().unwrap().chars().count(), 101);
        assert_eq!(paths(&json!(7))[0].path, ".");
        assert_eq!(paths(&json!([1, 2]))[0].path, ".[0]");
    }

    #[test]
    fn a_huge_value_has_a_bounded_list() {
        let many: serde_json::Map<String, Value> = (0..1000).map(|n| (format!("k{n}"), json!(n))).collect();
        assert_eq!(paths(&Value::Object(many)).len(), PLACES);
    }
}
