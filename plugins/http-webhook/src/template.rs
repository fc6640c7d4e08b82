//! `{{ subscribe.body.id }}` in the texts of a value: names and indices with points between them, and nothing more.
//! Whatever needs an expression can be written as one, for `${ }` is evaluated when the step starts; this is for what is
//! known only after it.

use flowcell_sdk::urlencoded;
use serde_json::Value;

/// Fills the places of all texts. A text that is one place becomes the value; in a longer one the value is text, and in
/// a `url` it is percent-encoded, so that it stays one part of it. The error is a sentence for the author.
pub fn fill(value: Value, known: &Value) -> Result<Value, String> {
    fill_in(value, known, false)
}

/// Whether every place can be read. The error is a sentence for the author.
pub fn check(value: &Value) -> Result<(), String> {
    places_of(value).map_err(|(_, why)| why)
}

/// The same; the error has the text with the place that cannot be read, and the sentence.
pub fn places_of(value: &Value) -> Result<(), (&str, String)> {
    match value {
        Value::String(text) => places(text).try_for_each(|part| match part {
            Part::Text(_) => Ok(()),
            Part::Place(path) => path_of(path).map(drop).map_err(|why| (text.as_str(), why)),
            Part::Open => Err((text.as_str(), open(text))),
        }),
        Value::Array(items) => items.iter().try_for_each(places_of),
        Value::Object(fields) => fields.values().try_for_each(places_of),
        _ => Ok(()),
    }
}

fn fill_in(value: Value, known: &Value, in_url: bool) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => fill_text(text, known, in_url)?,
        Value::Array(items) => {
            items.into_iter().map(|item| fill_in(item, known, false)).collect::<Result<_, _>>()?
        }
        Value::Object(fields) => {
            let filled = |(key, field)| {
                let in_url = key == "url";
                fill_in(field, known, in_url).map(|field| (key, field))
            };
            fields.into_iter().map(filled).collect::<Result<_, _>>()?
        }
        other => other,
    })
}

fn fill_text(text: String, known: &Value, in_url: bool) -> Result<Value, String> {
    let parts: Vec<Part<'_>> = places(&text).collect();
    if let [Part::Place(path)] = parts[..] {
        return look_up(path, known).cloned();
    }
    let mut filled = String::with_capacity(text.len());
    for part in parts {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Place(path) => {
                let value = match look_up(path, known)? {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                match in_url {
                    // URL parsers take these for steps in the path, however they are encoded.
                    true if value == "." || value == ".." => {
                        return Err(format!(
                            "`{{{{ {path} }}}}` is `{value}`, which cannot be a part of a URL"
                        ));
                    }
                    true => urlencoded::push_part(&mut filled, &value),
                    false => filled.push_str(&value),
                }
            }
            Part::Open => return Err(open(&text)),
        }
    }
    Ok(Value::String(filled))
}

enum Part<'t> {
    Text(&'t str),
    /// What stands between `{{` and `}}`.
    Place(&'t str),
    /// A `{{` that nothing closes.
    Open,
}

fn places(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (before, after) = rest.split_at(rest.find("{{").unwrap_or(rest.len()));
        if !before.is_empty() {
            rest = after;
            return Some(Part::Text(before));
        }
        match rest[2..].split_once("}}") {
            Some((place, after)) => {
                rest = after;
                Some(Part::Place(place.trim()))
            }
            None => {
                rest = "";
                Some(Part::Open)
            }
        }
    })
}

fn open(text: &str) -> String {
    format!("`{text}` opens `{{{{` and does not close it")
}

/// `subscribe.body.items[0].id` as its parts.
fn path_of(path: &str) -> Result<Vec<&str>, String> {
    let parts: Vec<&str> =
        path.split(['.', '[']).map(|part| part.strip_suffix(']').unwrap_or(part)).collect();
    match parts.first() {
        Some(&"subscribe") if parts.iter().all(|part| !part.is_empty()) => Ok(parts),
        _ => Err(format!(
            "`{{{{ {path} }}}}` is not understood: write a place in the answer, such as {{{{ subscribe.body.id }}}}"
        )),
    }
}

fn look_up<'v>(path: &str, known: &'v Value) -> Result<&'v Value, String> {
    let step = |value: &'v Value, part: &str| match part.parse::<usize>() {
        Ok(index) if value.is_array() => value.get(index),
        _ => value.get(part),
    };
    let found = path_of(path)?.iter().try_fold(known, |value, part| step(value, part));
    found
        .filter(|value| !value.is_null())
        .ok_or_else(|| format!("the answer to `subscribe` has nothing at `{path}`"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn known() -> Value {
        json!({ "subscribe": {
            "status": 201,
            "headers": { "location": "https://ok.example.com/subs/7" },
            "body": { "id": "a/b 1", "tokens": [{ "key": 7 }], "none": null },
        } })
    }

    fn filled(value: Value) -> Value {
        check(&value).unwrap();
        fill(value, &known()).unwrap()
    }

    #[test]
    fn places_are_read_from_the_answer() {
        assert_eq!(filled(json!("{{subscribe.body.tokens[0].key}}")), 7);
        assert_eq!(
            filled(json!("id={{ subscribe.body.id }}, status={{ subscribe.status }}")),
            "id=a/b 1, status=201"
        );
        assert_eq!(
            filled(json!({ "a": ["x", { "b": "{{ subscribe.status }}" }], "n": 1 })),
            json!({ "a": ["x", { "b": 201 }], "n": 1 })
        );
        assert_eq!(filled(json!("no { } places }} here")), "no { } places }} here");
    }

    #[test]
    fn in_a_url_a_value_stays_one_part_unless_it_is_the_whole() {
        assert_eq!(
            filled(json!({ "url": "https://ok.example.com/subs/{{ subscribe.body.id }}?x=1" })),
            json!({ "url": "https://ok.example.com/subs/a%2Fb%201?x=1" })
        );
        assert_eq!(
            filled(json!({ "url": "{{ subscribe.headers.location }}" })),
            json!({ "url": "https://ok.example.com/subs/7" })
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = |text: &str| check(&json!([{ "a": text }])).unwrap_err();
        assert!(wrong("{{ subscribe.body").contains("does not close"));
        assert!(wrong("{{ body.id }}").contains("write a place in the answer"));
        assert!(wrong("{{ subscribe..id }}").contains("is not understood"));
        let missing = |text: &str| fill(json!(text), &known()).unwrap_err();
        assert_eq!(
            missing("{{ subscribe.body.name }}"),
            "the answer to `subscribe` has nothing at `subscribe.body.name`"
        );
        assert!(missing("x{{ subscribe.body.none }}").contains("has nothing"));
    }
}
