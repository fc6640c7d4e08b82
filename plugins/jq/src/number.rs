//! Numbers: integers of 64 bits that stay exact, and doubles for everything else.
//!
//! jq computes with doubles alone; identifiers beyond 2^53 would lose digits. So integers are kept, and a calculation
//! that leaves their range, or that involves a fraction, is one of doubles. Its result is an integer again where it is
//! a whole number: `10 / 2` is `5`, and `0.1 + 0.9` is `1`.

use std::cmp::Ordering;
use std::fmt;

/// Beyond it a double is no `i64`.
const INTEGER_LIMIT: f64 = 9_223_372_036_854_775_808.0;

/// A number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Num {
    Int(i64),
    /// Greater than every `i64`. Kept when it passes through, a double in calculations.
    Big(u64),
    Float(f64),
}

impl Num {
    /// A number as it is written in a program or a document.
    pub fn parse(text: &str) -> Option<Num> {
        if let Ok(integer) = text.parse() {
            return Some(Num::Int(integer));
        }
        if let Ok(integer) = text.parse() {
            return Some(Num::Big(integer));
        }
        text.parse().ok().map(Num::Float)
    }

    /// An integer where it is one.
    pub fn whole(double: f64) -> Num {
        if double.fract() == 0.0 && double.abs() < INTEGER_LIMIT {
            Num::Int(double as i64)
        } else {
            Num::Float(double)
        }
    }

    pub fn double(self) -> f64 {
        match self {
            Num::Int(integer) => integer as f64,
            Num::Big(integer) => integer as f64,
            Num::Float(double) => double,
        }
    }

    /// Cut to an integer, as indices and remainders want it.
    pub fn truncated(self) -> i64 {
        match self {
            Num::Int(integer) => integer,
            Num::Big(_) => i64::MAX,
            Num::Float(double) => double as i64,
        }
    }

    pub fn magnitude(self) -> Num {
        match self {
            Num::Int(integer) => integer.checked_abs().map_or(Num::Float(INTEGER_LIMIT), Num::Int),
            Num::Big(_) => self,
            Num::Float(double) => Num::Float(double.abs()),
        }
    }

    pub fn add(self, other: Num) -> Num {
        self.exactly(other, i64::checked_add).unwrap_or_else(|| Num::whole(self.double() + other.double()))
    }

    pub fn subtract(self, other: Num) -> Num {
        self.exactly(other, i64::checked_sub).unwrap_or_else(|| Num::whole(self.double() - other.double()))
    }

    pub fn multiply(self, other: Num) -> Num {
        self.exactly(other, i64::checked_mul).unwrap_or_else(|| Num::whole(self.double() * other.double()))
    }

    /// None where the divisor is zero.
    pub fn divide(self, other: Num) -> Option<Num> {
        if other.double() == 0.0 {
            return None;
        }
        let exact = |left: i64, right: i64| {
            if left.checked_rem(right)? == 0 { left.checked_div(right) } else { None }
        };
        Some(self.exactly(other, exact).unwrap_or_else(|| Num::whole(self.double() / other.double())))
    }

    /// Of the integers that both are cut to; the sign is the dividend's. None where the divisor is zero.
    pub fn remainder(self, other: Num) -> Option<Num> {
        if self.double().is_nan() || other.double().is_nan() {
            return Some(Num::Float(f64::NAN));
        }
        let (left, right) = (self.truncated(), other.truncated());
        (right != 0).then(|| Num::Int(left.checked_rem(right).unwrap_or(0)))
    }

    pub fn negate(self) -> Num {
        match self {
            Num::Int(integer) => {
                integer.checked_neg().map_or_else(|| Num::Float(-(integer as f64)), Num::Int)
            }
            Num::Big(integer) if integer == 1 << 63 => Num::Int(i64::MIN),
            Num::Big(integer) => Num::Float(-(integer as f64)),
            Num::Float(double) => Num::Float(-double),
        }
    }

    fn exactly(self, other: Num, calculate: impl FnOnce(i64, i64) -> Option<i64>) -> Option<Num> {
        match (self, other) {
            (Num::Int(left), Num::Int(right)) => calculate(left, right).map(Num::Int),
            _ => None,
        }
    }
}

impl PartialEq for Num {
    fn eq(&self, other: &Num) -> bool {
        !self.double().is_nan() && self.cmp(other).is_eq()
    }
}

impl Eq for Num {}

impl PartialOrd for Num {
    fn partial_cmp(&self, other: &Num) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By value, and exact, so that sorting stays an order far beyond 2^53. NaN comes first, as in jq.
impl Ord for Num {
    fn cmp(&self, other: &Num) -> Ordering {
        match (*self, *other) {
            (Num::Int(left), Num::Int(right)) => left.cmp(&right),
            (Num::Float(left), Num::Float(right)) => compare_doubles(left, right),
            (Num::Float(left), right) => compare_mixed(right.integer(), left).reverse(),
            (left, Num::Float(right)) => compare_mixed(left.integer(), right),
            (left, right) => left.integer().cmp(&right.integer()),
        }
    }
}

impl Num {
    fn integer(self) -> i128 {
        match self {
            Num::Int(integer) => integer.into(),
            Num::Big(integer) => integer.into(),
            Num::Float(double) => double as i128,
        }
    }
}

fn compare_doubles(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or_else(|| right.is_nan().cmp(&left.is_nan()))
}

fn compare_mixed(integer: i128, double: f64) -> Ordering {
    if double.is_nan() {
        return Ordering::Greater;
    }
    // The cast saturates far outside of what `integer` can be.
    let whole = double.trunc();
    integer.cmp(&(whole as i128)).then_with(|| compare_doubles(whole, double))
}

/// As JSON; NaN is null and the infinities are the largest doubles, as jq prints them.
impl fmt::Display for Num {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Num::Int(integer) => integer.fmt(formatter),
            Num::Big(integer) => integer.fmt(formatter),
            Num::Float(double) => match serde_json::Number::from_f64(double.clamp(f64::MIN, f64::MAX)) {
                Some(number) => number.fmt(formatter),
                None => formatter.write_str("null"),
            },
        }
    }
}
