//! A sample of a request, as variables of the trigger `webhook`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::paths::paths;

/// What somebody has of a request: any of these.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sample {
    /// An address with its query.
    pub url: Option<String>,
    /// Headers by name.
    pub headers: BTreeMap<String, String>,
    /// A body.
    pub body: Option<Value>,
}

/// An element of `variables`, and what it would be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SampleVariable {
    /// `headers`, `query`, `body` or `path`.
    pub from: &'static str,
    /// Where it is there.
    pub path: String,
    /// What the event calls it.
    #[serde(rename = "as")]
    pub name: String,
    /// What it is in the sample.
    pub value: Value,
}

/// What a trigger could list under `variables` for requests like this one. The error is a sentence.
///
/// ```
/// let sample = flowcell::Sample { url: Some("https://x.example/in?order=7".into()), ..Default::default() };
/// let variables = flowcell::sample(&sample).unwrap();
/// assert_eq!((variables[0].from, variables[0].path.as_str()), ("query", "order"));
/// ```
pub fn sample(sample: &Sample) -> Result<Vec<SampleVariable>, String> {
    let mut variables: Vec<SampleVariable> = vec![];
    let mut add = |from: &'static str, path: String, wanted: &str, value: Value| {
        let name = free(wanted, &variables);
        variables.push(SampleVariable { from, path, name, value });
    };
    if let Some(text) = &sample.url {
        let url = url::Url::parse(text.trim())
            .map_err(|error| format!("`{}` is not a URL: {error}", text.escape_debug()))?;
        let mut seen: Vec<String> = vec![];
        for (name, value) in url.query_pairs() {
            if !seen.iter().any(|other| *other == name) {
                seen.push(name.to_string());
                add("query", name.to_string(), &last_name(&name), json!(value));
            }
        }
    }
    for (name, value) in &sample.headers {
        add("headers", name.to_ascii_lowercase(), &name.to_ascii_lowercase().replace('-', "_"), json!(value));
    }
    for place in sample.body.iter().flat_map(paths) {
        let path = place.path.trim_start_matches('.').to_owned();
        if !path.is_empty() {
            let wanted = last_name(&path);
            add("body", path, &wanted, place.value);
        }
    }
    Ok(variables)
}

/// `c` of `a.b.c`, `b` of `a["b"][0]`.
fn last_name(path: &str) -> String {
    let mut names = path.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
    let name = names.rfind(|part| !part.is_empty() && !part.bytes().all(|byte| byte.is_ascii_digit()));
    name.unwrap_or("value").replace('-', "_")
}

/// The name, or the first of its kind that nothing has yet.
fn free(wanted: &str, taken: &[SampleVariable]) -> String {
    let is_free = |name: &str| name != "trigger" && taken.iter().all(|other| other.name != name);
    let more = (2..).map(|number| format!("{wanted}_{number}"));
    let name = std::iter::once(wanted.to_owned()).chain(more).find(|name| is_free(name));
    name.expect("there is no end of names")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_becomes_variables_with_names_of_their_own() {
        let given = Sample {
            url: Some("https://x.example/in?order=7&query[0].a=b&order=8".to_owned()),
            headers: [("X-Request-Id".to_owned(), "r1".to_owned())].into(),
            body: Some(json!({ "b": { "c": 1 }, "order": "9", "items": [{ "id": 3 }], "trigger": true })),
        };
        let found = sample(&given).unwrap();
        let listed: Vec<_> = found
            .iter()
            .map(|one| (one.from, one.path.as_str(), one.name.as_str(), one.value.clone()))
            .collect();
        assert_eq!(
            listed,
            [
                ("query", "order", "order", json!("7")),
                ("query", "query[0].a", "a", json!("b")),
                ("headers", "x-request-id", "x_request_id", json!("r1")),
                ("body", "b.c", "c", json!(1)),
                ("body", "items[0].id", "id", json!(3)),
                ("body", "order", "order_2", json!("9")),
                ("body", "trigger", "trigger_2", json!(true)),
            ]
        );
        let wrong = Sample { url: Some("nowhere".to_owned()), ..Sample::default() };
        assert!(sample(&wrong).unwrap_err().starts_with("`nowhere` is not a URL"));
    }
}
