//! Functions of numbers. Gamma and Bessel functions are left out: nobody routes a webhook with them.

use jaq_core::native::v;
use jaq_core::{Cv, ValXs};

use super::{Data, Native, once};
use crate::number::Num;
use crate::value::{Val, ValR};

/// `name: function of x`, applied to the input.
macro_rules! of_input {
    ($($name:literal: $function:expr),* $(,)?) => {{
        let list: Vec<Native> = vec![$(($name, v(0), |cv| of_one(&cv.1, $name, $function))),*];
        list
    }};
}

/// `name: function of x and y`, applied to two arguments.
macro_rules! of_two {
    ($($name:literal: $function:expr),* $(,)?) => {{
        let list: Vec<Native> = vec![$(($name, v(2), |cv| of_arguments(cv, $name, $function))),*];
        list
    }};
}

/// The functions of this file.
pub(super) fn list() -> Vec<Native> {
    let of_input = of_input![
        "sqrt": f64::sqrt, "cbrt": f64::cbrt, "fabs": f64::abs, "trunc": f64::trunc,
        "rint": f64::round_ties_even, "nearbyint": f64::round_ties_even,
        "exp": f64::exp, "exp2": f64::exp2, "exp10": |x| 10_f64.powf(x), "expm1": f64::exp_m1,
        "log": f64::ln, "log2": f64::log2, "log10": f64::log10, "log1p": f64::ln_1p,
        "sin": f64::sin, "cos": f64::cos, "tan": f64::tan, "asin": f64::asin, "acos": f64::acos, "atan": f64::atan,
        "sinh": f64::sinh, "cosh": f64::cosh, "tanh": f64::tanh,
        "asinh": f64::asinh, "acosh": f64::acosh, "atanh": f64::atanh,
        "significand": |x| split(x).0, "logb": |x| if x == 0.0 { f64::NEG_INFINITY } else { f64::from(split(x).1) },
    ];
    let of_two = of_two![
        "pow": f64::powf, "atan2": f64::atan2, "fmin": f64::min, "fmax": f64::max,
        "fmod": |x: f64, y: f64| x % y, "hypot": f64::hypot, "copysign": f64::copysign,
        "fdim": |x: f64, y: f64| (x - y).max(0.0),
        "ldexp": |x: f64, y: f64| x * y.exp2(), "scalb": |x: f64, y: f64| x * y.exp2(),
        "scalbln": |x: f64, y: f64| x * y.exp2(),
    ];
    let others: [Native; 9] = [
        ("nan", v(0), |_| once(Ok(Val::Num(Num::Float(f64::NAN))))),
        ("infinite", v(0), |_| once(Ok(Val::Num(Num::Float(f64::INFINITY))))),
        ("isnan", v(0), |cv| once(cv.1.number("isnan").map(|x| x.is_nan().into()))),
        ("isinfinite", v(0), |cv| once(cv.1.number("isinfinite").map(|x| x.is_infinite().into()))),
        ("isnormal", v(0), |cv| once(cv.1.number("isnormal").map(|x| x.is_normal().into()))),
        ("abs", v(0), |cv| once(magnitude(cv.1))),
        ("modf", v(0), |cv| once(cv.1.number("modf").map(|x| pair(x.fract(), x.trunc())))),
        ("frexp", v(0), |cv| once(cv.1.number("frexp").map(fraction_and_exponent))),
        ("fma", v(3), |mut cv| {
            let (z, y, x) = (cv.0.pop_var(), cv.0.pop_var(), cv.0.pop_var());
            once(multiply_add(&x, &y, &z))
        }),
    ];
    of_input.into_iter().chain(of_two).chain(others).collect()
}

fn of_one<'a>(value: &Val, name: &str, function: fn(f64) -> f64) -> ValXs<'a, Val> {
    once(value.number(name).map(|x| Val::from(function(x))))
}

fn of_arguments<'a>(mut cv: Cv<'a, Data>, name: &str, function: fn(f64, f64) -> f64) -> ValXs<'a, Val> {
    let (y, x) = (cv.0.pop_var(), cv.0.pop_var());
    let result = x.number(name).and_then(|x| Ok(Val::from(function(x, y.number(name)?))));
    once(result)
}

fn multiply_add(x: &Val, y: &Val, z: &Val) -> ValR {
    Ok(Val::from(x.number("fma")?.mul_add(y.number("fma")?, z.number("fma")?)))
}

fn magnitude(value: Val) -> ValR {
    match value {
        Val::Num(Num::Int(integer)) if integer < 0 => Ok(Val::Num(Num::Int(integer).magnitude())),
        Val::Num(Num::Float(double)) if double < 0.0 => Ok(Val::Num(Num::Float(-double))),
        other => other.number("abs").map(|_| other),
    }
}

fn pair(first: f64, second: f64) -> Val {
    Val::array(vec![Val::from(first), Val::from(second)])
}

fn fraction_and_exponent(x: f64) -> Val {
    if x == 0.0 || !x.is_finite() {
        return pair(x, 0.0);
    }
    let (significand, exponent) = split(x);
    pair(significand / 2.0, f64::from(exponent + 1))
}

/// `x` as `significand * 2^exponent` with a significand in [1, 2).
fn split(x: f64) -> (f64, i32) {
    if x == 0.0 || !x.is_finite() {
        return (x, 0);
    }
    // Subnormal numbers are scaled up first, so that their exponent can be read from the bits.
    let (scaled, shift) = if x.is_normal() { (x, 0) } else { (x * 2_f64.powi(64), 64) };
    let bits = scaled.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1023;
    let significand = f64::from_bits((bits & !(0x7ff << 52)) | (1023 << 52));
    (significand, exponent - shift)
}
