//! A sample of a request, as variables: what a trigger could list under `variables` for requests like it.
//!
//! A path is written here as [`crate::variables`] reads it.

use flowcell_sdk::prelude::*;
use flowcell_sdk::{Sample, urlencoded};

/// The most places of a body that are listed.
const PLACES: usize = 500;
/// The longest text that is shown of a value.
const SHOWN: usize = 100;

/// An element of `variables`, and what it would be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SampleVariable {
    /// `headers`, `query`, `body` or `path`.
    from: &'static str,
    /// Where it is there.
    path: String,
    /// What the event calls it.
    r#as: String,
    /// What it is in the sample.
    value: Value,
}

/// The error is a sentence.
pub fn variables(sample: Sample, _: &mut Context) -> Result<Vec<SampleVariable>, String> {
    let mut variables: Vec<SampleVariable> = vec![];
    let mut add = |from: &'static str, path: String, wanted: &str, value: Value| {
        let r#as = free(wanted, &variables);
        variables.push(SampleVariable { from, path, r#as, value });
    };
    let mut seen: Vec<String> = vec![];
    for (name, value) in sample.url.as_deref().map_or(Ok(vec![]), query)? {
        if !seen.contains(&name) {
            seen.push(name.clone());
            let wanted = last_name(&name);
            add("query", name, &wanted, Value::from(value));
        }
    }
    for (name, value) in sample.headers {
        let name = name.to_ascii_lowercase();
        let wanted = name.replace('-', "_");
        add("headers", name, &wanted, Value::from(value));
    }
    let mut places = vec![];
    if let Some(body) = &sample.body {
        walk(body, &mut String::new(), &mut places);
    }
    for (path, value) in places {
        let wanted = last_name(&path);
        add("body", path, &wanted, value);
    }
    Ok(variables)
}

/// The parameters of a URL.
fn query(url: &str) -> Result<Vec<(String, String)>, String> {
    let url = url.trim();
    let is_url = url.split_once("://").is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty());
    if !is_url {
        let shown = url.escape_debug();
        return Err(format!("`{shown}` is not a URL: write one such as https://shop.example.com/in?order=7"));
    }
    let query = url.split('#').next().and_then(|url| url.split_once('?')).map_or("", |(_, query)| query);
    Ok(urlencoded::pairs(query).collect())
}

/// Every place of a value that holds no others, in order; of a list of like elements the first one stands for all.
fn walk(value: &Value, path: &mut String, places: &mut Vec<(String, Value)>) {
    if places.len() >= PLACES {
        return;
    }
    let length = path.len();
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, field) in fields {
                push_name(path, name);
                walk(field, path, places);
                path.truncate(length);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            path.push_str("[0]");
            walk(&items[0], path, places);
            path.truncate(length);
        }
        // The whole body needs no path.
        _ if path.is_empty() => {}
        leaf => places.push((path.clone(), shown(leaf))),
    }
}

/// `.name`, or `["na me"]` where it is no identifier.
fn push_name(path: &mut String, name: &str) {
    let is_identifier = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match is_identifier {
        true if path.is_empty() => path.push_str(name),
        true => path.extend([".", name]),
        false => path.push_str(&format!("[{}]", Value::from(name))),
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

/// `c` of `a.b.c`, `b` of `a["b"][0]`.
fn last_name(path: &str) -> String {
    let mut names = path.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-');
    let name = names.rfind(|part| !part.is_empty() && !part.bytes().all(|byte| byte.is_ascii_digit()));
    name.unwrap_or("value").replace('-', "_")
}

/// The name, or the first of its kind that nothing has yet.
fn free(wanted: &str, taken: &[SampleVariable]) -> String {
    let is_free = |name: &str| name != "trigger" && taken.iter().all(|other| other.r#as != name);
    let more = (2..).map(|number| format!("{wanted}_{number}"));
    let name = std::iter::once(wanted.to_owned()).chain(more).find(|name| is_free(name));
    name.expect("there is no end of names")
}

#[cfg(test)]
mod tests {
    use flowcell_sdk::testing::MockHost;

    use super::*;

    fn sample(given: &Sample) -> Result<Vec<SampleVariable>, String> {
        variables(given.clone(), &mut MockHost::new().context())
    }

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
            .map(|one| (one.from, one.path.as_str(), one.r#as.as_str(), one.value.clone()))
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

    #[test]
    fn a_path_is_written_as_variables_read_it() {
        let body = json!({ "a": { "b-c": [{ "d": true }, { "d": false }], "e": [] }, "9": "x".repeat(200) });
        let found = sample(&Sample { body: Some(body), ..Sample::default() }).unwrap();
        let paths: Vec<_> = found.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["[\"9\"]", "a[\"b-c\"][0].d", "a.e"]);
        assert_eq!(found[0].value.as_str().unwrap().chars().count(), 101);
        assert_eq!(sample(&Sample { body: Some(json!(7)), ..Sample::default() }).unwrap(), []);
        let many: serde_json::Map<String, Value> = (0..1000).map(|n| (format!("k{n}"), json!(n))).collect();
        let many = Sample { body: Some(Value::Object(many)), ..Sample::default() };
        assert_eq!(sample(&many).unwrap().len(), PLACES);
    }
}
