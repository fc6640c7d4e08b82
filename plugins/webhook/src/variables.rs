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
    let mut names: Vec<&str> = vec![];
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
        event.insert(variable.name().to_owned(), variable.value(whole));
    }
    event.insert(TRIGGER.to_owned(), whole[TRIGGER].clone());
    Value::Object(event)
}

impl Variable {
    fn name(&self) -> &str {
        let path = self.path.as_deref().unwrap_or_default();
        let last = path.rsplit(['.', '[']).find_map(|part| {
            let part = part.trim_end_matches(']');
            (!part.is_empty() && part.parse::<usize>().is_err()).then_some(part)
        });
        self.r#as.as_deref().or(last).unwrap_or(path)
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

/// `items[0].id`, step by step.
fn walk<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    let steps = path.split(['.', '[']).map(|step| step.trim_end_matches(']')).filter(|step| !step.is_empty());
    steps.into_iter().try_fold(value, |value, step| match step.parse::<usize>() {
        Ok(index) if value.is_array() => value.get(index),
        _ => value.get(step),
    })
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
            "body": { "b": { "c": 7 }, "items": [{ "id": "i0" }], "a.b": "literal", "as": null },
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
