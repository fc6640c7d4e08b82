//! The functions of the subset.

use std::borrow::Cow;

use serde_json::Value;

use super::evaluate::{Outcome, Stop};
use super::number;
use super::syntax::Function;

/// Applies `function` to `input`.
pub(super) fn call<'v>(function: Function, input: &'v Value, arguments: &[Cow<'v, Value>]) -> Outcome<'v> {
    let result = match function {
        Function::Not => Some(Value::Bool(matches!(input, Value::Null | Value::Bool(false)))),
        Function::Length => length(input),
        Function::Keys => keys(input),
        Function::Type => Some(Value::String(type_name(input).to_owned())),
        Function::First => return end(input, <[Value]>::first),
        Function::Last => return end(input, <[Value]>::last),
        Function::ToText if input.is_string() => return Ok(Cow::Borrowed(input)),
        Function::ToText => to_text(input).map(|text| Value::String(text.into_owned())),
        Function::ToNumber if input.is_number() => return Ok(Cow::Borrowed(input)),
        Function::ToNumber => to_number(input),
        Function::LowerCase => input.as_str().map(|text| Value::String(text.to_ascii_lowercase())),
        Function::UpperCase => input.as_str().map(|text| Value::String(text.to_ascii_uppercase())),
        Function::StartsWith => texts(input, arguments).map(|(text, start)| text.starts_with(start).into()),
        Function::EndsWith => texts(input, arguments).map(|(text, end)| text.ends_with(end).into()),
        Function::Has => has(input, arguments),
    };
    result.map(Cow::Owned).ok_or(Stop::Guest)
}

/// The name of a value's type.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A value as it stands in an interpolated string. Arrays and objects are the guest's: their keys have an order there.
pub(super) fn to_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Null => Some(Cow::Borrowed("null")),
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Only plain whole numbers; what else jq takes for a number is the guest's to say.
fn to_number(value: &Value) -> Option<Value> {
    let text = value.as_str()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" && digits.len() == text.len() || !digits.starts_with('0'));
    is_plain.then(|| text.parse::<i64>().ok()).flatten().map(Value::from)
}

fn length(value: &Value) -> Option<Value> {
    match value {
        Value::Null => Some(Value::from(0)),
        Value::Bool(_) => None,
        Value::Number(number) => number::magnitude(number).map(Value::Number),
        Value::String(text) => Some(Value::from(text.chars().count())),
        Value::Array(items) => Some(Value::from(items.len())),
        Value::Object(fields) => Some(Value::from(fields.len())),
    }
}

fn keys(value: &Value) -> Option<Value> {
    match value {
        Value::Array(items) => Some((0..items.len()).map(Value::from).collect()),
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort_unstable();
            Some(keys.into_iter().map(|key| Value::String(key.clone())).collect())
        }
        _ => None,
    }
}

fn end<'v>(value: &'v Value, pick: impl FnOnce(&'v [Value]) -> Option<&'v Value>) -> Outcome<'v> {
    match value {
        Value::Array(items) => Ok(pick(items).map_or(Cow::Owned(Value::Null), Cow::Borrowed)),
        Value::Null => Ok(Cow::Owned(Value::Null)),
        _ => Err(Stop::Guest),
    }
}

fn texts<'a>(input: &'a Value, arguments: &'a [Cow<'_, Value>]) -> Option<(&'a str, &'a str)> {
    Some((input.as_str()?, arguments.first()?.as_str()?))
}

fn has(input: &Value, arguments: &[Cow<'_, Value>]) -> Option<Value> {
    match (input, arguments.first()?.as_ref()) {
        (Value::Object(fields), Value::String(key)) => Some(fields.contains_key(key).into()),
        (Value::Array(items), Value::Number(index)) => {
            let index = index.as_i64()?;
            Some(usize::try_from(index).is_ok_and(|index| index < items.len()).into())
        }
        _ => None,
    }
}
