//! JSON text into a typed value, with errors that name the place.
//!
//! The straight way reads directly into the type. Only when that fails is the text read again with the path tracked,
//! so a valid input pays nothing for the error's quality.

use serde::Deserialize;
use serde_json::json;

use crate::problem::Problem;

/// Reads an action's input or a trigger's configuration.
///
/// ```
/// # use flowcell_sdk::prelude::*;
/// #[derive(Debug, Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Input { city: String, days: Option<u8> }
///
/// let problem = flowcell_sdk::input::parse::<Input>(r#"{"city": "Delft", "days": "two"}"#).unwrap_err();
/// assert_eq!(problem.detail_text(), "`days`: invalid type: string \"two\", expected u8");
///
/// let problem = flowcell_sdk::input::parse::<Input>(r#"{"citty": "Delft"}"#).unwrap_err();
/// assert_eq!(problem.detail_text(), "unknown key `citty`; did you mean `city`?");
/// ```
pub fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Problem> {
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(_) => Err(explain::<T>(text)),
    }
}

/// Reads the state that a waiting step left; it is the plugin's own, so a mistake in it is the plugin's.
#[doc(hidden)]
pub fn state<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes)
        .map_err(|error| Problem::runtime(format!("the state of the waiting step cannot be read: {error}")))
}

#[cold]
#[inline(never)]
fn explain<'a, T: Deserialize<'a>>(text: &'a str) -> Problem {
    let mut reader = serde_json::Deserializer::from_str(text);
    let (path, message) = match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Ok(_) => (String::new(), String::from("there is more text after the JSON value")),
        Err(error) => (error.path().to_string(), error.inner().to_string()),
    };
    sentence(&path, &message)
}

fn sentence(path: &str, message: &str) -> Problem {
    // The text is made by the host: its lines and columns mean nothing to the author.
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    let (path, message) = match unknown_key(message) {
        Some((key, advice)) => (parent(path, key), advice),
        None => (path, message.to_owned()),
    };
    let problem = match path {
        "" | "." => Problem::validation(message),
        path => Problem::validation(format!("`{path}`: {message}")),
    };
    problem.data(&json!({ "path": path.trim_start_matches('.') }))
}

/// serde's "unknown field `x`, expected …" as advice; the key, and what to say.
fn unknown_key(message: &str) -> Option<(&str, String)> {
    let rest =
        message.strip_prefix("unknown field `").or_else(|| message.strip_prefix("unknown variant `"))?;
    let (key, expected) = rest.split_once('`')?;
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let what = if message.starts_with("unknown field") { "key" } else { "value" };
    let advice = match nearest(key, &known) {
        Some(near) => format!("unknown {what} `{key}`; did you mean `{near}`?"),
        None if known.is_empty() => format!("unknown {what} `{key}`; none is known here"),
        None => format!("unknown {what} `{key}`; known here: `{}`", known.join("`, `")),
    };
    Some((if what == "key" { key } else { "" }, advice))
}

/// The path of the object that has the unknown key.
fn parent<'a>(path: &'a str, key: &str) -> &'a str {
    match path.strip_suffix(key) {
        Some(parent) if !key.is_empty() => parent.trim_end_matches('.'),
        _ => path,
    }
}

/// The known word that differs least, where it differs by little enough to have been meant.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    known
        .iter()
        .map(|other| (distance(word, other), *other))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// How many characters must be put in, taken out, replaced or swapped with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.to_lowercase().chars().collect();
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let mut least = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                least = least.min(before_last[j - 1] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[expect(dead_code, reason = "read by serde only")]
    struct Outer {
        rows: Vec<Inner>,
        allow_failure: Option<bool>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "read by serde only")]
    struct Inner {
        name: String,
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "UPPERCASE")]
    enum Kind {
        Get,
        Post,
    }

    fn detail(text: &str) -> String {
        parse::<Outer>(text).unwrap_err().detail_text().to_owned()
    }

    #[test]
    fn the_place_of_an_error_is_named() {
        assert_eq!(
            detail(r#"{"rows":[{"name":"a"},{"name":1}]}"#),
            "`rows[1].name`: invalid type: integer `1`, expected a string"
        );
        assert_eq!(detail(r#"{"rows":[{}]}"#), "`rows[0]`: missing field `name`");
        assert_eq!(detail("{}"), "missing field `rows`");
    }

    #[test]
    fn an_unknown_key_gets_the_nearest_or_all_known_ones() {
        assert_eq!(
            detail(r#"{"rows":[],"allowFailrue":true}"#),
            "unknown key `allowFailrue`; did you mean `allowFailure`?"
        );
        assert_eq!(detail(r#"{"rows":[{"x":1}]}"#), "`rows[0]`: unknown key `x`; known here: `name`, `kind`");
        assert_eq!(
            detail(r#"{"rows":[{"name":"a","kind":"PSOT"}]}"#),
            "`rows[0].kind`: unknown value `PSOT`; did you mean `POST`?"
        );
    }

    #[test]
    fn the_path_is_there_for_machines() {
        let problem = parse::<Outer>(r#"{"rows":[{"name":1}]}"#).unwrap_err();
        assert_eq!(problem.data_value()["path"], "rows[0].name");
    }
}
