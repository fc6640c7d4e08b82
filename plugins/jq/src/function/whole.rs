//! Functions of whole values: constants, sizes, keys, containment, sums, conversions.

use std::rc::Rc;

use jaq_core::native::v;

use super::{Native, once, with_argument};
use crate::json;
use crate::number::Num;
use crate::value::{Map, Val, ValR, error};

/// The functions of this file.
pub(super) fn list() -> Vec<Native> {
    vec![
        ("null", v(0), |_| once(Ok(Val::Null))),
        ("true", v(0), |_| once(Ok(Val::Bool(true)))),
        ("false", v(0), |_| once(Ok(Val::Bool(false)))),
        ("env", v(0), |_| once(Ok(Val::object(Map::default())))),
        ("not", v(0), |cv| once(Ok(Val::Bool(!cv.1.is_true())))),
        ("type", v(0), |cv| once(Ok(Val::text(cv.1.type_name())))),
        ("length", v(0), |cv| once(length(&cv.1))),
        ("keys", v(0), |cv| once(keys(&cv.1))),
        ("has", v(1), |cv| with_argument(cv, |value, key| has(&value, &key))),
        ("contains", v(1), |cv| with_argument(cv, |value, part| contains(&value, &part))),
        ("add", v(0), |cv| once(sum(cv.1))),
        ("flatten", v(1), |cv| with_argument(cv, |value, depth| flatten(&value, &depth))),
        ("reverse", v(0), |cv| once(reverse(&cv.1))),
        ("bsearch", v(1), |cv| with_argument(cv, |value, wanted| search(&value, &wanted))),
        ("to_entries", v(0), |cv| once(to_entries(&cv.1))),
        ("from_entries", v(0), |cv| once(from_entries(&cv.1))),
        ("tojson", v(0), |cv| once(Ok(Val::from(cv.1.to_string())))),
        ("fromjson", v(0), |cv| once(from_json(&cv.1))),
        ("tostring", v(0), |cv| once(Ok(jaq_core::ValT::into_string(cv.1)))),
        ("tonumber", v(0), |cv| once(to_number(cv.1))),
        ("toboolean", v(0), |cv| once(to_boolean(cv.1))),
        ("input", v(0), |_| once(Err(error("No more inputs: an expression sees one value")))),
    ]
}

fn length(value: &Val) -> ValR {
    match value {
        Val::Null => Ok(Val::from(0_usize)),
        Val::Bool(_) => Err(error(format!("{} has no length", value.described()))),
        Val::Num(number) => Ok(Val::Num(number.magnitude())),
        Val::Str(text) => Ok(Val::from(text.chars().count())),
        Val::Arr(items) => Ok(Val::from(items.len())),
        Val::Obj(fields) => Ok(Val::from(fields.len())),
    }
}

fn keys(value: &Val) -> ValR {
    match value {
        Val::Arr(items) => Ok((0..items.len()).map(Val::from).collect()),
        Val::Obj(fields) => {
            let mut keys: Vec<Rc<str>> = fields.keys().cloned().collect();
            keys.sort_unstable();
            Ok(keys.into_iter().map(Val::Str).collect())
        }
        other => Err(error(format!("{} has no keys", other.described()))),
    }
}

fn has(value: &Val, key: &Val) -> ValR {
    match (value, key) {
        (Val::Obj(fields), Val::Str(key)) => Ok(fields.contains_key(key).into()),
        (Val::Arr(items), Val::Num(index)) => {
            let index = index.truncated();
            Ok(usize::try_from(index).is_ok_and(|index| index < items.len()).into())
        }
        _ => Err(error(format!("Cannot check whether {} has a {} key", value.type_name(), key.type_name()))),
    }
}

fn contains(value: &Val, part: &Val) -> ValR {
    if std::mem::discriminant(value) != std::mem::discriminant(part) {
        let (value, part) = (value.described(), part.described());
        return Err(error(format!("{value} and {part} cannot have their containment checked")));
    }
    Ok(holds(value, part).into())
}

fn holds(value: &Val, part: &Val) -> bool {
    match (value, part) {
        (Val::Str(text), Val::Str(part)) => text.contains(&**part),
        (Val::Arr(items), Val::Arr(parts)) => {
            parts.iter().all(|part| items.iter().any(|item| holds(item, part)))
        }
        (Val::Obj(fields), Val::Obj(parts)) => {
            parts.iter().all(|(key, part)| fields.get(key).is_some_and(|value| holds(value, part)))
        }
        _ => value == part,
    }
}

fn sum(value: Val) -> ValR {
    if let Val::Arr(items) = &value
        && let Some(texts) = items.iter().map(as_text).collect::<Option<Vec<&str>>>()
        && !texts.is_empty()
    {
        // Concatenating one by one would copy the beginning over and over.
        return Ok(Val::from(texts.concat()));
    }
    jaq_core::ValT::values(value).try_fold(Val::Null, |sum, item| sum + item?)
}

fn as_text(value: &Val) -> Option<&str> {
    match value {
        Val::Str(text) => Some(text),
        _ => None,
    }
}

fn flatten(value: &Val, depth: &Val) -> ValR {
    let depth = depth.number("flatten")?;
    if depth < 0.0 {
        return Err(error("flatten depth must not be negative"));
    }
    let items: Vec<Val> = jaq_core::ValT::values(value.clone()).collect::<Result<_, _>>()?;
    let mut flat = Vec::new();
    flatten_into(&mut flat, items, depth);
    Ok(Val::array(flat))
}

fn flatten_into(flat: &mut Vec<Val>, items: Vec<Val>, depth: f64) {
    for item in items {
        match item {
            Val::Arr(inner) if depth > 0.0 => flatten_into(flat, Rc::unwrap_or_clone(inner), depth - 1.0),
            other => flat.push(other),
        }
    }
}

fn reverse(value: &Val) -> ValR {
    match value {
        Val::Null => Ok(Val::array(Vec::new())),
        Val::Str(text) => Ok(Val::from(text.chars().rev().collect::<String>())),
        other => Ok(other.items("reverse")?.iter().rev().cloned().collect()),
    }
}

fn search(value: &Val, wanted: &Val) -> ValR {
    let found = value.items("bsearch")?.binary_search(wanted);
    Ok(match found {
        Ok(at) => Val::from(at),
        Err(at) => Val::from(-1 - i64::try_from(at).unwrap_or(i64::MAX - 1)),
    })
}

fn to_entries(value: &Val) -> ValR {
    let Val::Obj(fields) = value else {
        return Err(error(format!("{} has no keys", value.described())));
    };
    let entry = |(key, value): (&Rc<str>, &Val)| {
        let mut entry = Map::default();
        entry.insert("key".into(), Val::Str(key.clone()));
        entry.insert("value".into(), value.clone());
        Val::object(entry)
    };
    Ok(fields.iter().map(entry).collect())
}

/// Reads `{key, value}` under any of the names that jq knows for them.
fn from_entries(value: &Val) -> ValR {
    let mut fields = Map::default();
    for entry in jaq_core::ValT::values(value.clone()) {
        let entry = entry?;
        let Val::Obj(entry) = &entry else {
            return Err(error(format!("Cannot index {} with string \"key\"", entry.type_name())));
        };
        let first = |names: &[&str], counts: fn(&Val) -> bool| {
            names.iter().filter_map(|name| entry.get(*name)).find(|value| counts(value)).cloned()
        };
        // `false` is a key, where it stands under `key`.
        let key = first(&["key"], |key| !matches!(key, Val::Null))
            .or_else(|| first(&["k", "name", "Name", "K", "Key"], Val::is_true))
            .unwrap_or(Val::Null);
        let value = first(&["value", "v", "Value", "V"], |_| true).unwrap_or(Val::Null);
        match key {
            Val::Str(key) => fields.insert(key, value),
            Val::Null | Val::Bool(_) | Val::Num(_) => fields.insert(key.to_string().into(), value),
            other => return Err(error(format!("Cannot use {} as object key", other.described()))),
        };
    }
    Ok(Val::object(fields))
}

fn from_json(value: &Val) -> ValR {
    let text = value.string("fromjson")?;
    json::read(text).map_err(|reason| error(format!("{} is no JSON: {reason}", value.described())))
}

fn to_number(value: Val) -> ValR {
    let Val::Str(text) = &value else {
        value.number("tonumber")?;
        return Ok(value);
    };
    let text = text.trim();
    let is_number =
        text.trim_start_matches('-').starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let number = if is_number { Num::parse(text) } else { None };
    let number = number.map(|number| match number {
        Num::Float(double) => Val::from(double),
        integer => Val::Num(integer),
    });
    number.ok_or_else(|| error(format!("{} cannot be parsed as a number", value.described())))
}

fn to_boolean(value: Val) -> ValR {
    match &value {
        Val::Bool(_) => Ok(value),
        Val::Str(text) if &**text == "true" => Ok(Val::Bool(true)),
        Val::Str(text) if &**text == "false" => Ok(Val::Bool(false)),
        other => Err(error(format!("{} cannot be parsed as a boolean", other.described()))),
    }
}
