//! A JSON Schema as rows of a table: each parameter with its place, its type with its limits, and its text.

use serde_json::Value;

/// How deep a parameter may stand to have a row of its own.
const DEPTH: usize = 3;

/// A parameter.
pub struct Row {
    /// Its place, such as `retry.limit.attempt`.
    pub name: String,
    pub required: bool,
    pub kind: String,
    pub about: String,
}

/// All parameters, each before those in it.
pub fn rows(schema: &Value) -> Vec<Row> {
    let mut rows = vec![];
    collect(schema, schema, "", DEPTH, &mut rows);
    rows
}

fn collect(root: &Value, schema: &Value, prefix: &str, depth: usize, rows: &mut Vec<Row>) {
    if depth == 0 || whole(root, schema).is_some() {
        return;
    }
    for part in branches(root, schema) {
        let required = part["required"].as_array().cloned().unwrap_or_default();
        for (name, parameter) in part["properties"].as_object().into_iter().flatten() {
            let place = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            // Of a parameter that has several shapes, the same name may stand in two of them.
            if rows.iter().any(|row| row.name == place) {
                continue;
            }
            rows.push(Row {
                required: required.iter().any(|other| other == name),
                kind: cell(&kind(root, parameter)),
                about: cell(&about(root, parameter)),
                name: place.clone(),
            });
            collect(root, parameter, &place, depth - 1, rows);
        }
        if part["items"].is_object() {
            collect(root, &part["items"], &format!("{prefix}[]"), depth, rows);
        }
    }
}

/// What a schema may be: behind references, and each of several.
fn branches<'s>(root: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
    let schema = resolved(root, schema);
    let several =
        ["anyOf", "oneOf", "allOf"].iter().flat_map(|key| schema[*key].as_array().into_iter().flatten());
    let mut found: Vec<&Value> = several.flat_map(|part| branches(root, part)).collect();
    found.insert(0, schema);
    found
}

fn resolved<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    match schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => root.pointer(pointer).unwrap_or(schema),
        None => schema,
    }
}

fn about(root: &Value, schema: &Value) -> String {
    let own = schema["description"].as_str();
    own.or(resolved(root, schema)["description"].as_str()).unwrap_or_default().to_owned()
}

/// What needs no rows of its own, because it is the same everywhere.
fn whole(root: &Value, schema: &Value) -> Option<&'static str> {
    let has = |schema: &Value, keys: &[&str]| keys.iter().all(|key| schema["properties"].get(key).is_some());
    branches(root, schema).into_iter().find_map(|part| match part {
        part if has(part, &["days", "hours", "minutes", "seconds"]) => Some("duration"),
        part if has(part, &["url", "method", "allowFailure"]) && !std::ptr::eq(part, root) => {
            Some("the parameters of `http-request`")
        }
        _ => None,
    })
}

/// The type in words, with its limits.
fn kind(root: &Value, schema: &Value) -> String {
    if let Some(whole) = whole(root, schema) {
        return whole.to_owned();
    }
    let schema = resolved(root, schema);
    if let Some(constant) = schema.get("const") {
        return format!("`{}`", plain(constant));
    }
    if let Some(values) = schema["enum"].as_array() {
        let values = values.iter().filter(|value| !value.is_null());
        return values.map(|value| format!("`{}`", plain(value))).collect::<Vec<_>>().join(", ");
    }
    for several in ["anyOf", "oneOf"] {
        if let Some(parts) = schema[several].as_array() {
            let mut kinds: Vec<String> =
                parts.iter().map(|part| kind(root, part)).filter(|kind| kind != "null").collect();
            kinds.dedup();
            return kinds.join(" or ");
        }
    }
    let names: Vec<&str> = match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
        }
        _ => return "any value".to_owned(),
    };
    let word = |name: &str| match (name, schema["format"].as_str()) {
        ("string", Some("jq")) => "expression".to_owned(),
        ("object" | "boolean", Some("json-schema")) => "JSON Schema".to_owned(),
        ("string", _) => "text".to_owned(),
        ("array", _) => match schema["items"].is_object() {
            true => format!("list of {}", kind(root, &schema["items"])),
            false => "list".to_owned(),
        },
        ("object", _) if schema["properties"].is_object() => keys(schema),
        ("object", _) => "map".to_owned(),
        ("integer" | "number", _) => "number".to_owned(),
        (other, _) => other.to_owned(),
    };
    let mut words: Vec<String> = names.into_iter().map(word).collect();
    words.dedup();
    words.join(" or ") + &limits(schema)
}

/// `{ name, value }`.
fn keys(schema: &Value) -> String {
    let keys: Vec<&str> =
        schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    format!("`{{ {} }}`", keys.join(", "))
}

fn limits(schema: &Value) -> String {
    let bound = |key: &str| schema.get(key).map(plain);
    match (bound("minimum"), bound("maximum")) {
        // The bounds of a number of 16 bits are nobody's limit.
        (Some(least), Some(most)) if most != "65535" && most.len() < 9 => format!(", {least} to {most}"),
        (Some(least), _) if least != "0" => format!(", from {least}"),
        _ => String::new(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// One line, in which nothing ends the cell.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
