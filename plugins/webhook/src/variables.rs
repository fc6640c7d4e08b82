//! What of a request becomes the event, where the trigger lists it: values by name, out of headers, query, body and path.

use flowcell_sdk::prelude::*;
use serde_json::Map;

/// One value of the event.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Where it is.
    from: From,
    /// Its name there: of a header in any case, of a parameter of the query as it is written (`a`, `b.c`, `query[0].a`), or
    /// where in the body (`b.c`, `items[0].id`); of the path the number of the segment, from 0. Without it all of it.
    #[serde(default)]
    path: Option<String>,
    /// What the event calls it; the last name of `path` unless said otherwise.
    #[serde(default)]
    r#as: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum From {
    Headers,
    Query,
    Body,
    Path,
}

/// What the event holds beside the variables; no variable may be called like it.
const TRIGGER: &str = "trigger";

/// What is wrong with a list.
pub fn check(variables: &[Variable]) -> Result<(), String> {
    let mut names: Vec<String> = vec![];
    for variable in variables {
        let name = variable.name();
        if name.is_empty() {
            return Err("`variables`: one has neither `path` nor `as`, so nothing names it".into());
        }
        if name == TRIGGER {
            return Err(
                "`variables`: `trigger` is the trigger's own name; call the variable otherwise".into()
            );
        }
        if names.contains(&name) {
            return Err(format!("`variables`: two are called `{name}`; say `as`"));
        }
        names.push(name);
    }
    Ok(())
}

/// The event: each value under its name, null where the request has none.
pub fn pick(variables: &[Variable], whole: &Value) -> Value {
    let mut event = Map::new();
    for variable in variables {
        event.insert(variable.name(), variable.value(whole));
    }
    event.insert(TRIGGER.to_owned(), whole[TRIGGER].clone());
    Value::Object(event)
}

impl Variable {
    fn name(&self) -> String {
        let path = self.path.as_deref().unwrap_or_default();
        match &self.r#as {
            Some(name) => name.clone(),
            None => steps(path)
                .into_iter()
                .rev()
                .find(|step| !step.is_empty() && step.parse::<usize>().is_err())
                .unwrap_or_else(|| path.to_owned()),
        }
    }

    fn value(&self, whole: &Value) -> Value {
        let (part, folded) = match self.from {
            From::Headers => (&whole["headers"], true),
            From::Query => (&whole["query"], false),
            From::Body => (&whole["body"], false),
            From::Path => return segment(&whole["path"], self.path.as_deref()),
        };
        let Some(path) = &self.path else { return part.clone() };
        // Whatever it looks like, it may be a name as it stands.
        let name = if folded { path.to_ascii_lowercase() } else { path.clone() };
        match part.get(&name) {
            Some(value) => value.clone(),
            None => walk(part, &name).cloned().unwrap_or_default(),
        }
    }
}

/// `items[0].id`, `a["b.c"]`, step by step.
fn walk<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    steps(path).iter().try_fold(value, |value, step| match step.parse::<usize>() {
        Ok(index) if value.is_array() => value.get(index),
        _ => value.get(step.as_str()),
    })
}

/// The names and numbers of a path, which may be in quotation marks between brackets, as a sample's paths are.
fn steps(path: &str) -> Vec<String> {
    let (mut steps, mut rest) = (vec![], path.trim_start_matches('.'));
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('[').filter(|quoted| quoted.starts_with('"')) {
            let mut names = serde_json::Deserializer::from_str(quoted).into_iter::<String>();
            if let Some(Ok(name)) = names.next() {
                steps.push(name);
                rest = quoted[names.byte_offset()..].trim_start_matches(']').trim_start_matches('.');
                continue;
            }
        }
        let step = rest.trim_start_matches('[');
        let end = step.find(['.', '[']).unwrap_or(step.len());
        let name = step[..end].trim_end_matches(']');
        if !name.is_empty() {
            steps.push(name.to_owned());
        }
        rest = step[end..].trim_start_matches('.');
    }
    steps
}

fn segment(path: &Value, number: Option<&str>) -> Value {
    let path = path.as_str().unwrap_or_default();
    match number {
        None => path.into(),
        Some(number) => {
            let mut segments = path.split('/').filter(|segment| !segment.is_empty());
            let number = number.trim().parse::<usize>().ok();
            number.and_then(|number| segments.nth(number)).map_or(Value::Null, Value::from)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: Value) -> Vec<Variable> {
        serde_json::from_value(list).unwrap()
    }

    #[test]
    fn values_are_found_by_name_and_by_path() {
        let whole = json!({
            "headers": { "x-request-id": "r1", "x-two": ["a", "b"] },
            "query": { "query[0].a": "qa", "b.c": "bc", "n": "1" },
            "body": { "x y": "spaced", "": "empty", "b": { "c": 7, "d.e": [0, 8] }, "items": [{ "id": "i0" }], "a.b": "literal", "as": null },
            "path": "/orders/12",
            "trigger": "shop/in",
        });
        let variables = read(json!([
            { "from": "body", "path": "b.c", "as": "c" },
            { "from": "headers", "path": "X-Request-Id", "as": "rid" },
            { "from": "query", "path": "query[0].a", "as": "q" },
            { "from": "query", "path": "b.c", "as": "bc" },
            { "from": "body", "path": "items[0].id" },
            { "from": "body", "path": "a.b" },
            { "from": "body", "path": "missing.thing" },
            { "from": "body", "path": "[\"x y\"]" },
            { "from": "body", "path": "b[\"d.e\"][1]", "as": "de" },
            { "from": "body", "path": "[\"\"]", "as": "nameless" },
            { "from": "headers", "path": "x-two" },
            { "from": "path", "path": "1", "as": "order" },
            { "from": "body", "as": "all" },
        ]));
        check(&variables).unwrap();
        assert_eq!(
            pick(&variables, &whole),
            json!({
                "c": 7, "rid": "r1", "q": "qa", "bc": "bc", "id": "i0", "b": "literal", "thing": null,
                "x-two": ["a", "b"], "order": "12", "all": whole["body"], "trigger": "shop/in",
                "x y": "spaced", "de": 8, "nameless": "empty",
            })
        );
    }

    #[test]
    fn names_are_there_and_differ() {
        for (list, says) in [
            (json!([{ "from": "body" }]), "nothing names it"),
            (
                json!([{ "from": "body", "path": "a" }, { "from": "query", "path": "a" }]),
                "two are called `a`",
            ),
            (json!([{ "from": "body", "path": "a", "as": "trigger" }]), "the trigger's own name"),
        ] {
            assert!(check(&read(list.clone())).unwrap_err().contains(says), "{list}");
        }
    }
}
