//! How much native evaluation one event may do: it runs in the host's own thread and memory, without a sandbox's limits.
//!
//! Counted is what is looked at, copied or made, about as bytes of memory. When it is used up the expression guest goes
//! on, in its sandbox, under the tenant's quotas; a value that this host can hold never needs more than that.

use std::cell::Cell;

use serde_json::Value;

/// What a value costs beside its text, and what a step of the evaluator costs.
const NODE: usize = 32;

/// What is left. Below zero when more was done than there was.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Cell<i64>,
}

impl Budget {
    /// So much.
    pub fn new(bytes: i64) -> Self {
        Self { left: Cell::new(bytes) }
    }

    /// Takes it off; false once it is used up.
    pub fn charge(&self, bytes: usize) -> bool {
        let left = self.left.get().saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.left.set(left);
        left >= 0
    }

    /// Takes off what a step of the evaluator costs.
    pub fn step(&self) -> bool {
        self.charge(NODE)
    }

    /// Takes off what a copy of the value costs.
    pub fn copy(&self, value: &Value) -> bool {
        self.charge(weight(value))
    }

    /// Takes off what it costs to look at the value's own parts, not into them.
    pub fn look(&self, value: &Value) -> bool {
        self.charge(match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(items) => NODE * items.len(),
            Value::Object(fields) => fields.keys().map(|key| NODE + key.len()).sum(),
        })
    }

    /// Whether nothing is left.
    pub fn is_used_up(&self) -> bool {
        self.left.get() < 0
    }

    /// How far it is overdrawn.
    pub fn overdraft(&self) -> i64 {
        -self.left.get().min(0)
    }
}

/// About how many bytes of memory a value takes.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => NODE,
        Value::String(text) => NODE + text.len(),
        Value::Array(items) => NODE + items.iter().map(weight).sum::<usize>(),
        Value::Object(fields) => {
            NODE + fields.iter().map(|(key, field)| NODE + key.len() + weight(field)).sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_used_up_once_and_for_all() {
        let budget = Budget::new(100);
        assert!(budget.charge(60) && !budget.copy(&json!("x".repeat(100))) && !budget.step());
        assert!(budget.is_used_up());
        assert_eq!(budget.overdraft(), 60 + 132 + 32 - 100);
        assert!(weight(&json!({ "a": [1, "two"] })) > 5 * NODE);
    }
}
