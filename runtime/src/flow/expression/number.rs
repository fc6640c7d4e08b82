//! Arithmetic on JSON numbers, as the expression guest does it.
//!
//! Integers of 64 bits stay exact; where they would overflow, and wherever a fraction is involved, numbers are
//! doubles, as in jq. A result that is a whole number is an integer again: `10 / 2` is `5`.

use std::cmp::Ordering;

use serde_json::Number;

use super::syntax::Operator;

/// Beyond it a double is no `i64`.
const INTEGER_LIMIT: f64 = 9_223_372_036_854_775_808.0;

#[derive(Clone, Copy)]
enum Operand {
    Integer(i64),
    Double(f64),
}

impl Operand {
    /// None for what lies between `i64` and `u64`: the guest decides.
    fn of(number: &Number) -> Option<Operand> {
        if let Some(integer) = number.as_i64() {
            return Some(Operand::Integer(integer));
        }
        if number.is_u64() { None } else { number.as_f64().map(Operand::Double) }
    }

    fn double(self) -> f64 {
        match self {
            Operand::Integer(integer) => integer as f64,
            Operand::Double(double) => double,
        }
    }
}

/// `left operator right`; None where it is an error or the guest must decide.
pub(super) fn calculate(operator: Operator, left: &Number, right: &Number) -> Option<Number> {
    let (left, right) = (Operand::of(left)?, Operand::of(right)?);
    if let (Operand::Integer(left), Operand::Integer(right)) = (left, right)
        && let Some(exact) = calculate_integers(operator, left, right)
    {
        return Some(exact.into());
    }
    match operator {
        Operator::Add => whole(left.double() + right.double()),
        Operator::Subtract => whole(left.double() - right.double()),
        Operator::Multiply => whole(left.double() * right.double()),
        Operator::Divide if right.double() == 0.0 => None,
        Operator::Divide => whole(left.double() / right.double()),
        // Both sides are cut to integers first; what saturates there is left to the guest.
        Operator::Remainder => {
            let (left, right) = (truncated(left)?, truncated(right)?);
            left.checked_rem(right).map(Number::from)
        }
    }
}

fn calculate_integers(operator: Operator, left: i64, right: i64) -> Option<i64> {
    match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::Divide if left.checked_rem(right)? == 0 => left.checked_div(right),
        Operator::Divide => None,
        Operator::Remainder => left.checked_rem(right),
    }
}

fn truncated(operand: Operand) -> Option<i64> {
    match operand {
        Operand::Integer(integer) => Some(integer),
        Operand::Double(double) if double.abs() < INTEGER_LIMIT => Some(double as i64),
        Operand::Double(_) => None,
    }
}

/// `-number`.
pub(super) fn negate(number: &Number) -> Option<Number> {
    match Operand::of(number)? {
        Operand::Integer(integer) => integer.checked_neg().map(Number::from),
        Operand::Double(double) => Number::from_f64(-double),
    }
}

/// The distance from zero.
pub(super) fn magnitude(number: &Number) -> Option<Number> {
    match Operand::of(number)? {
        Operand::Integer(integer) => integer.checked_abs().map(Number::from),
        Operand::Double(double) => Number::from_f64(double.abs()),
    }
}

fn whole(double: f64) -> Option<Number> {
    if double.fract() == 0.0 && double.abs() < INTEGER_LIMIT {
        Some(Number::from(double as i64))
    } else {
        Number::from_f64(double)
    }
}

/// The order of two numbers by value, in all their forms. It is exact, so that it is an order even far beyond 2^53.
pub(super) fn compare(left: &Number, right: &Number) -> Ordering {
    match (integer(left), integer(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        (Some(left), None) => compare_mixed(left, double(right)),
        (None, Some(right)) => compare_mixed(right, double(left)).reverse(),
        // JSON holds no NaN.
        (None, None) => double(left).partial_cmp(&double(right)).unwrap_or(Ordering::Equal),
    }
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

fn double(number: &Number) -> f64 {
    number.as_f64().unwrap_or(f64::NAN)
}

fn compare_mixed(integer: i128, double: f64) -> Ordering {
    // The cast saturates far outside of what `integer` can be.
    let whole = double.trunc();
    integer.cmp(&(whole as i128)).then_with(|| whole.partial_cmp(&double).unwrap_or(Ordering::Equal))
}
