//! An answer to a caller, made of a JSON value: [`Reply`], or which field is not legal HTTP.
//!
//! The functions for single fields are also what a document is checked with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::flow::event::Reply;
use crate::flow::reader::Keys;

pub(super) const WITH: Keys<'_> =
    Keys { known: &["status", "headers", "body", "contentType", "base64", "redirect", "error"], later: &[] };
pub(super) const REDIRECT: Keys<'_> = Keys { known: &["location", "status"], later: &[] };
/// The status of an error that says none.
const ERROR: u16 = 400;
/// The host frames the answer.
const OURS: [&str; 4] = ["content-length", "transfer-encoding", "connection", "keep-alive"];

/// Makes the reply, or names the field that does not allow it.
pub(super) fn reply(with: &Value) -> Result<Reply, (&'static str, String)> {
    let Value::Object(fields) = with else {
        return Err(("with", format!("it is a map, here is {}", type_of(with))));
    };
    if let Some(key) = fields.keys().find(|key| !WITH.known.contains(&key.as_str())) {
        return Err(("with", format!("unknown key `{key}`")));
    }
    let at = |field: &'static str| move |message: String| (field, message);
    let mut headers = headers(&with["headers"]).map_err(at("headers"))?;
    let mut code = match &with["status"] {
        Value::Null if !with["error"].is_null() => ERROR,
        Value::Null => 200,
        value => status(value, 200..=599).map_err(at("status"))?,
    };
    if !with["redirect"].is_null() {
        let (location, status) = redirect(&with["redirect"]).map_err(at("redirect"))?;
        headers.push(("location".to_owned(), location));
        code = status;
    }
    let chosen = match &with["contentType"] {
        Value::Null => None,
        value => Some(content_type(value).map_err(at("contentType"))?),
    };
    let (body, natural) = match &with["error"] {
        Value::Null => body(with, chosen.as_deref())?,
        shown => (error(shown, code).map_err(at("error"))?, "application/problem+json"),
    };
    if !body.is_empty() {
        if matches!(code, 204 | 205 | 304) {
            return Err(("body", format!("an answer with status {code} has no body")));
        }
        settle_content_type(&mut headers, chosen, natural).map_err(at("contentType"))?;
    }
    Ok(Reply { status: code, headers, body })
}

fn settle_content_type(
    headers: &mut Vec<(String, String)>,
    chosen: Option<String>,
    natural: &str,
) -> Result<(), String> {
    let header = headers.iter().find(|(name, _)| name == "content-type");
    match (header, chosen) {
        (Some((_, header)), Some(chosen)) if *header != chosen => {
            Err(format!("it is `{chosen}`, and a header says `{header}`"))
        }
        (Some(_), _) => Ok(()),
        (None, chosen) => {
            let value = chosen.unwrap_or_else(|| natural.to_owned());
            headers.push(("content-type".to_owned(), value));
            Ok(())
        }
    }
}

/// The bytes, and the type they have where nothing else is said.
fn body(with: &Value, chosen: Option<&str>) -> Result<(Vec<u8>, &'static str), (&'static str, String)> {
    match (&with["body"], &with["base64"]) {
        (Value::Null, Value::Null) => Ok((Vec::new(), "")),
        (Value::Null, bytes) => {
            let bytes = base64(bytes).map_err(|message| ("base64", message))?;
            Ok((bytes, "application/octet-stream"))
        }
        (Value::String(text), Value::Null) if !chosen.is_some_and(is_json) => {
            Ok((text.clone().into_bytes(), "text/plain; charset=utf-8"))
        }
        (value, Value::Null) => {
            let json = serde_json::to_vec(value).expect("a value is JSON");
            Ok((json, "application/json"))
        }
        _ => Err(("base64", "`body` and `base64` exclude each other".to_owned())),
    }
}

/// An error that is shown to the caller, as a problem of RFC 9457: a text, or its fields.
pub(super) fn error(value: &Value, status: u16) -> Result<Vec<u8>, String> {
    let mut problem = match value {
        Value::String(title) => json!({ "title": title }),
        Value::Object(fields) if fields.get("title").is_none_or(Value::is_string) => {
            Value::Object(fields.clone())
        }
        Value::Object(_) => return Err("its `title` is a text".to_owned()),
        _ => {
            return Err(format!(
                "it is a text, or a map with `title` and `detail`, here is {}",
                type_of(value)
            ));
        }
    };
    if problem["type"].is_null() {
        problem["type"] = json!("about:blank");
    }
    problem["status"] = json!(status);
    Ok(serde_json::to_vec(&problem).expect("a value is JSON"))
}

/// Whether a content type, in lower case, is JSON.
pub(crate) fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence == "application/json" || essence.ends_with("+json")
}

pub(super) fn status(value: &Value, range: std::ops::RangeInclusive<u16>) -> Result<u16, String> {
    let status = value.as_u64().and_then(|status| u16::try_from(status).ok());
    status.filter(|status| range.contains(status)).ok_or_else(|| {
        let (from, to) = (range.start(), range.end());
        format!("a status is a whole number from {from} to {to}, here is {value}")
    })
}

/// A media type, or the short name of one.
pub(super) fn content_type(value: &Value) -> Result<String, String> {
    let Value::String(text) = value else {
        return Err(format!("a content type is a text, here is {}", type_of(value)));
    };
    Ok(match text.as_str() {
        "json" => "application/json".to_owned(),
        "text" => "text/plain; charset=utf-8".to_owned(),
        "html" => "text/html; charset=utf-8".to_owned(),
        "xml" => "application/xml".to_owned(),
        "binary" => "application/octet-stream".to_owned(),
        other if other.contains('/') => header_text(other)?,
        other => return Err(format!("`{other}` is not a media type such as text/csv")),
    })
}

pub(super) fn base64(value: &Value) -> Result<Vec<u8>, String> {
    let Value::String(text) = value else {
        return Err(format!("the bytes are a text in base64, here is {}", type_of(value)));
    };
    STANDARD.decode(text.trim()).map_err(|error| format!("the text is not base64: {error}"))
}

fn redirect(value: &Value) -> Result<(String, u16), String> {
    let Value::Object(fields) = value else {
        return Err(format!("it is a map with `location`, here is {}", type_of(value)));
    };
    if let Some(key) = fields.keys().find(|key| !REDIRECT.known.contains(&key.as_str())) {
        return Err(format!("unknown key `{key}`"));
    }
    let Value::String(location) = &value["location"] else {
        return Err("`location` is a text: where to".to_owned());
    };
    let code = match &value["status"] {
        Value::Null => 302,
        status => self::status(status, 300..=399)?,
    };
    Ok((header_text(location)?, code))
}

/// A map, whose values may be lists, or a list of `{name, value}`.
pub(super) fn headers(value: &Value) -> Result<Vec<(String, String)>, String> {
    let mut headers = Vec::new();
    let mut add = |name: &str, value: &Value| -> Result<(), String> {
        let name = header_name(name)?;
        let values = header_values(value).map_err(|message| format!("`{name}`: {message}"))?;
        headers.extend(values.into_iter().map(|value| (name.clone(), value)));
        Ok(())
    };
    match value {
        Value::Null => {}
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| add(name, value))?,
        Value::Array(rows) => {
            for row in rows {
                match &row["name"] {
                    Value::String(name) => add(name, &row["value"])?,
                    _ => return Err(format!("a row is `{{name, value}}`, here is {row}")),
                }
            }
        }
        _ => return Err(format!("headers are a map or a list, here is {}", type_of(value))),
    }
    Ok(headers)
}

pub(super) fn header_name(name: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(legal) {
        return Err(format!("`{}` is not the name of a header", name.escape_debug()));
    }
    let name = name.to_ascii_lowercase();
    if OURS.contains(&name.as_str()) {
        return Err(format!("the header `{name}` is set by the host: leave it out"));
    }
    Ok(name)
}

pub(super) fn header_values(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(values) => {
            let values = values.iter().map(header_values).collect::<Result<Vec<_>, _>>()?;
            Ok(values.into_iter().flatten().collect())
        }
        Value::String(text) => Ok(vec![header_text(text)?]),
        Value::Number(_) | Value::Bool(_) => Ok(vec![value.to_string()]),
        _ => Err(format!("the value of a header is a text, here is {}", type_of(value))),
    }
}

fn header_text(text: &str) -> Result<String, String> {
    match text.chars().find(|c| c.is_control() && *c != '\t') {
        Some(c) => Err(format!("the value of a header cannot hold the character {}", c.escape_debug())),
        None => Ok(text.trim().to_owned()),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn header<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
        let found = reply.headers.iter().find(|(header, _)| header == name)?;
        Some(&found.1)
    }

    #[test]
    fn the_type_of_the_body_follows_its_value() {
        let json = reply(&json!({"body": {"a": 1}})).unwrap();
        assert_eq!((json.status, json.body.as_slice()), (200, br#"{"a":1}"#.as_slice()));
        assert_eq!(header(&json, "content-type"), Some("application/json"));
        let text = reply(&json!({"body": "hi", "status": 201})).unwrap();
        assert_eq!((text.status, text.body.as_slice()), (201, b"hi".as_slice()));
        assert_eq!(header(&text, "content-type"), Some("text/plain; charset=utf-8"));
        let quoted = reply(&json!({"body": "hi", "contentType": "json"})).unwrap();
        assert_eq!(quoted.body, b"\"hi\"");
        let bytes = reply(&json!({"base64": "AAEC"})).unwrap();
        assert_eq!(bytes.body, [0, 1, 2]);
        let empty = reply(&json!({"status": 204})).unwrap();
        assert!(empty.body.is_empty() && empty.headers.is_empty());
    }

    #[test]
    fn headers_are_lower_case_and_may_repeat() {
        let rows = json!({"headers": [{"name": "X-A", "value": 1}, {"name": "x-a", "value": true}]});
        let expected = [("x-a".to_owned(), "1".to_owned()), ("x-a".to_owned(), "true".to_owned())];
        assert_eq!(reply(&rows).unwrap().headers, expected);
        let list = reply(&json!({"headers": {"Set-Cookie": ["a=1", "b=2"]}})).unwrap();
        assert_eq!(list.headers.len(), 2);
    }

    #[test]
    fn a_redirect_has_a_location() {
        let there = reply(&json!({"redirect": {"location": "/there"}})).unwrap();
        assert_eq!((there.status, header(&there, "location")), (302, Some("/there")));
        assert!(reply(&json!({"redirect": {"location": "/", "status": 200}})).is_err());
    }

    #[test]
    fn what_is_not_legal_http_names_its_field() {
        let cases = [
            (json!({"status": 199}), "status"),
            (json!({"status": "ok"}), "status"),
            (json!({"headers": {"a b": "x"}}), "headers"),
            (json!({"headers": {"a": "x\r\nset-cookie: y"}}), "headers"),
            (json!({"headers": {"a": "x\u{0}"}}), "headers"),
            (json!({"headers": {"Content-Length": 5}}), "headers"),
            (
                json!({"headers": {"content-type": "text/html"}, "contentType": "json", "body": "x"}),
                "contentType",
            ),
            (json!({"base64": "?"}), "base64"),
            (json!({"base64": "AA==", "body": 1}), "base64"),
            (json!({"status": 204, "body": "x"}), "body"),
            (json!({"redirect": {"location": "/\n"}}), "redirect"),
            (json!({"bdy": 1}), "with"),
            (json!(3), "with"),
        ];
        for (with, field) in cases {
            assert_eq!(reply(&with).unwrap_err().0, field, "{with}");
        }
    }
}
