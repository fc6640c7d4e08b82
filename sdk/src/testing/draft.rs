//! What a host makes of a written value for `checks`: expressions taken out, and where they stood.

use serde_json::{Value, json};

/// An input of an action, as wit/checks.wit has it.
pub(super) fn of_action(with: Value) -> Value {
    written("action", with, None)
}

/// A configuration of a trigger at this address.
pub(super) fn of_trigger(with: Value, url: &str) -> Value {
    let mut config = with.clone();
    replace(&mut config, "", &mut |_, _| Value::from(url));
    written("trigger", with, Some(config))
}

fn written(kind: &str, mut with: Value, config: Option<Value>) -> Value {
    let mut expressions = vec![];
    replace(&mut with, "", &mut |at, text| {
        expressions.push(json!({ "at": at, "text": text }));
        Value::Null
    });
    json!({ "kind": kind, "with": with, "expressions": expressions, "config": config })
}

/// Puts something in the place of every text that is an expression.
fn replace(value: &mut Value, at: &str, by: &mut dyn FnMut(&str, &str) -> Value) {
    match value {
        Value::String(text) => {
            let inside = text.trim().strip_prefix("${").and_then(|text| text.strip_suffix('}'));
            if let Some(expression) = inside.map(str::trim) {
                *value = by(at, expression);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                replace(item, &format!("{at}/{index}"), by);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let token = name.replace('~', "~0").replace('/', "~1");
                replace(field, &format!("{at}/{token}"), by);
            }
        }
        _ => {}
    }
}
