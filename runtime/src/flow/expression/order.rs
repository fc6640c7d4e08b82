//! The order of jq over all JSON values: null, false, true, numbers, strings, arrays, objects.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::number;

/// The order of two values.
pub(super) fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => number::compare(left, right),
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Array(left), Value::Array(right)) => compare_arrays(left, right),
        (Value::Object(left), Value::Object(right)) => compare_objects(left, right),
        _ => rank(left).cmp(&rank(right)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(false) => 1,
        Value::Bool(true) => 2,
        Value::Number(_) => 3,
        Value::String(_) => 4,
        Value::Array(_) => 5,
        Value::Object(_) => 6,
    }
}

fn compare_arrays(left: &[Value], right: &[Value]) -> Ordering {
    let unequal =
        left.iter().zip(right).map(|(left, right)| compare(left, right)).find(|order| order.is_ne());
    unequal.unwrap_or_else(|| left.len().cmp(&right.len()))
}

/// First by the sorted keys, then by the values in the order of the keys.
fn compare_objects(left: &Map<String, Value>, right: &Map<String, Value>) -> Ordering {
    let (left, right) = (sorted(left), sorted(right));
    let keys = left.iter().map(|(key, _)| key).cmp(right.iter().map(|(key, _)| key));
    keys.then_with(|| {
        let pairs = left.iter().zip(&right);
        let unequal = pairs.map(|((_, left), (_, right))| compare(left, right)).find(|order| order.is_ne());
        unequal.unwrap_or(Ordering::Equal)
    })
}

/// Sorted, whichever map serde_json was built with.
fn sorted(object: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut fields: Vec<_> = object.iter().collect();
    fields.sort_unstable_by_key(|(key, _)| *key);
    fields
}
