//! A body of several parts, as browsers send forms with files: RFC 7578, with names written as the HTML standard says.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use flowcell_sdk::prelude::*;
use serde_json::value::RawValue;

use crate::base;
use crate::input::is_media_type;

/// One part, as a flow writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Part {
    name: String,
    /// Text; a number, true or false as text; an object or a list as JSON.
    #[serde(default)]
    value: Option<Value>,
    /// Bytes.
    #[serde(default)]
    base64: Option<String>,
    #[serde(default)]
    filename: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
}

/// A part that may be sent.
struct Ready {
    name: String,
    filename: Option<String>,
    content_type: Option<String>,
    bytes: Vec<u8>,
}

/// Writes a list of parts, or a map of names and values; and the content type with the boundary between the parts.
pub fn encode(body: &RawValue) -> Result<(Vec<u8>, String), Problem> {
    let parts = read(body)?.into_iter().map(ready).collect::<Result<Vec<_>, _>>()?;
    let boundary = boundary(&parts);
    let mut written = Vec::with_capacity(parts.iter().map(|part| part.bytes.len() + 200).sum());
    for part in &parts {
        let mut head =
            format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{}\"", escaped(&part.name));
        if let Some(filename) = &part.filename {
            head.push_str(&format!("; filename=\"{}\"", escaped(filename)));
        }
        if let Some(content_type) = &part.content_type {
            head.push_str(&format!("\r\ncontent-type: {content_type}"));
        }
        written.extend_from_slice(head.as_bytes());
        written.extend_from_slice(b"\r\n\r\n");
        written.extend_from_slice(&part.bytes);
        written.extend_from_slice(b"\r\n");
    }
    written.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok((written, format!("multipart/form-data; boundary={boundary}")))
}

fn read(body: &RawValue) -> Result<Vec<Part>, Problem> {
    let named =
        |problem: Problem| Problem::validation(format!("`body` as multipart: {}", problem.detail_text()));
    if body.get().starts_with('[') {
        return flowcell_sdk::input::parse(body.get()).map_err(named);
    }
    if !body.get().starts_with('{') {
        return Err(Problem::validation(
            "`contentType: multipart` takes a list of parts {name, value or base64, filename, contentType}, or a map of names and values",
        ));
    }
    let map: serde_json::Map<String, Value> = flowcell_sdk::input::parse(body.get()).map_err(named)?;
    let part =
        |(name, value)| Part { name, value: Some(value), base64: None, filename: None, content_type: None };
    Ok(map.into_iter().filter(|(_, value)| !value.is_null()).map(part).collect())
}

fn ready(part: Part) -> Result<Ready, Problem> {
    let Part { name, value, base64, filename, content_type } = part;
    let wrong = |why: &str| Err(Problem::validation(format!("`body`: the part `{name}` {why}")));
    if name.is_empty() {
        return Err(Problem::validation("`body`: a part has an empty `name`"));
    }
    if content_type.as_deref().is_some_and(|written| !is_media_type(written.trim_start_matches(' '))) {
        return wrong("has a `contentType` that is no media type, such as image/png");
    }
    match (value, base64) {
        (Some(_), Some(_)) => wrong("has both `value` and `base64`; leave one out"),
        (None, None) => wrong("has neither `value` nor `base64`"),
        (None, Some(text)) => {
            let Some(bytes) = base::decode(&text) else { return wrong("has a `base64` that is not base64") };
            // Servers take a part for a file by its name.
            let filename =
                Some(filename.filter(|name| !name.is_empty()).unwrap_or_else(|| "file".to_owned()));
            let content_type = Some(content_type.unwrap_or_else(|| "application/octet-stream".to_owned()));
            Ok(Ready { name, filename, content_type, bytes })
        }
        (Some(value), None) => {
            let (text, usual) = match value {
                Value::String(text) => (text, None),
                Value::Object(_) | Value::Array(_) => (value.to_string(), Some("application/json")),
                other => (other.to_string(), None),
            };
            let content_type = content_type.or(usual.map(str::to_owned));
            Ok(Ready { name, filename, content_type, bytes: text.into_bytes() })
        }
    }
}

/// A quote or a line break would end the name.
fn escaped(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

/// A text that stands in none of the parts. The same parts have the same one: a repetition is the same bytes.
fn boundary(parts: &[Ready]) -> String {
    let mut hasher = DefaultHasher::new();
    for part in parts {
        (&part.name, &part.bytes).hash(&mut hasher);
    }
    loop {
        let boundary = format!("flowcell-{:016x}", hasher.finish());
        let found = |bytes: &[u8]| bytes.windows(boundary.len()).any(|window| window == boundary.as_bytes());
        if !parts.iter().any(|part| found(&part.bytes)) {
            return boundary;
        }
        boundary.hash(&mut hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(body: Value) -> Result<String, String> {
        let body = RawValue::from_string(body.to_string()).unwrap();
        let (bytes, content_type) = encode(&body).map_err(|problem| problem.detail_text().to_owned())?;
        let boundary = content_type.strip_prefix("multipart/form-data; boundary=").unwrap();
        Ok(String::from_utf8(bytes).unwrap().replace(boundary, "B").replace("\r\n", "\n"))
    }

    #[test]
    fn parts_are_written_in_order_with_what_each_says() {
        let body = json!([
            { "name": "note", "value": "a \"quoted\"\nline" },
            { "name": "n", "value": 7 },
            { "name": "meta", "value": { "a": [1] } },
            { "name": "photo", "base64": "aGVsbG8=", "contentType": "image/png" },
            { "name": "log\"\r\n", "value": "x", "filename": "a\".txt" },
        ]);
        assert_eq!(
            encoded(body).unwrap(),
            "--B\ncontent-disposition: form-data; name=\"note\"\n\na \"quoted\"\nline\n\
             --B\ncontent-disposition: form-data; name=\"n\"\n\n7\n\
             --B\ncontent-disposition: form-data; name=\"meta\"\ncontent-type: application/json\n\n{\"a\":[1]}\n\
             --B\ncontent-disposition: form-data; name=\"photo\"; filename=\"file\"\ncontent-type: image/png\n\nhello\n\
             --B\ncontent-disposition: form-data; name=\"log%22%0D%0A\"; filename=\"a%22.txt\"\n\nx\n\
             --B--\n"
        );
        assert_eq!(
            encoded(json!({ "a": "1", "b": null })).unwrap(),
            "--B\ncontent-disposition: form-data; name=\"a\"\n\n1\n--B--\n"
        );
    }

    #[test]
    fn the_boundary_stands_in_no_part() {
        let parts = |bytes: &[u8]| {
            vec![Ready { name: "a".into(), filename: None, content_type: None, bytes: bytes.to_vec() }]
        };
        let first = boundary(&parts(b"x"));
        assert_eq!(first, boundary(&parts(b"x")));
        let nasty: Vec<Ready> = parts(b"x").into_iter().chain(parts(first.as_bytes())).collect();
        let other = boundary(&nasty);
        assert!(!nasty.iter().any(|part| part.bytes == other.as_bytes()));
    }

    #[test]
    fn what_cannot_be_a_part_is_named() {
        for (body, says) in [
            (json!("text"), "takes a list of parts"),
            (json!([{ "name": "a" }]), "the part `a` has neither"),
            (json!([{ "name": "a", "value": "x", "base64": "eA==" }]), "has both"),
            (json!([{ "name": "a", "base64": "?" }]), "is not base64"),
            (json!([{ "name": "", "value": "x" }]), "an empty `name`"),
            (json!([{ "name": "a", "value": "x", "contentType": "image" }]), "is no media type"),
            (json!([{ "name": "a", "value": "x", "contentType": "a/b\r\nx: y" }]), "is no media type"),
            (json!([{ "name": "a", "vaule": "x" }]), "did you mean `value`"),
        ] {
            let refusal = encoded(body.clone()).unwrap_err();
            assert!(refusal.contains(says), "{body}: {refusal}");
        }
    }
}
