//! `{name}` in an endpoint: the language's URI templates, filled from the top level of the task's input.

use serde_json::Value;

/// Fills a template; the error is a sentence for the author of the flow.
pub(super) fn expand(template: &str, input: &Value) -> Result<String, String> {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, name, after)) = next(rest)? {
        text.push_str(before);
        match &input[name] {
            Value::String(value) => encode(value, &mut text),
            Value::Number(value) => text.push_str(&value.to_string()),
            Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
            Value::Null => {
                return Err(format!(
                    "the endpoint `{template}` needs `{name}`, which the input does not have"
                ));
            }
            _ => {
                return Err(format!(
                    "the endpoint `{template}` needs `{name}`, which is neither a text nor a number"
                ));
            }
        }
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

/// Whether the text is a template that [`expand`] can fill, and has something to fill.
pub(super) fn check(template: &str) -> Result<bool, String> {
    let mut rest = template;
    let mut found = false;
    while let Some((_, _, after)) = next(rest)? {
        found = true;
        rest = after;
    }
    Ok(found)
}

fn next(text: &str) -> Result<Option<(&str, &str, &str)>, String> {
    let Some((before, tail)) = text.split_once('{') else {
        return Ok(None);
    };
    let Some((name, after)) = tail.split_once('}') else {
        return Err("a `{` in the endpoint has no `}`".to_owned());
    };
    let plain = |c: char| c.is_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!(
            "`{{{name}}}` is not supported in an endpoint: only `{{name}}` is; for anything more write an expression, \
             as in ${{ \"https://example.com/\\(.id)\" }}"
        ));
    }
    Ok(Some((before, name, after)))
}

/// Everything but unreserved characters, so that a value cannot leave its place in the URI.
fn encode(value: &str, text: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_encoded_and_cannot_leave_their_place() {
        let input = json!({"id": 7, "name": "a/b?c=ä"});
        let uri = expand("https://h/p/{id}/{name}", &input).unwrap();
        assert_eq!(uri, "https://h/p/7/a%2Fb%3Fc%3D%C3%A4");
    }

    #[test]
    fn a_missing_value_is_named() {
        let error = expand("https://h/{id}", &json!({})).unwrap_err();
        assert!(error.contains("`id`, which the input does not have"));
        assert!(expand("https://h/{id}", &json!({"id": [1]})).is_err());
    }

    #[test]
    fn what_is_no_plain_name_is_refused() {
        assert_eq!(check("https://h/{id}"), Ok(true));
        assert_eq!(check("https://h/"), Ok(false));
        assert!(check("https://h/{?id}").is_err() && check("https://h/{id").is_err());
    }
}
