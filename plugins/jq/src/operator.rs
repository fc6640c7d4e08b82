//! `+ - * / %` and unary minus on every kind of value, with the errors of jq.

use std::ops;
use std::rc::Rc;

use crate::value::{Error, Map, Val, ValR, error};

/// Strings longer than this are not made by repetition: the memory would be gone before the fuel.
const LONGEST_REPETITION: usize = 16 << 20;

impl ops::Add for Val {
    type Output = ValR;

    fn add(self, other: Val) -> ValR {
        match (self, other) {
            (Val::Null, other) | (other, Val::Null) => Ok(other),
            (Val::Num(left), Val::Num(right)) => Ok(Val::Num(left.add(right))),
            (Val::Str(left), Val::Str(right)) => Ok(concatenated(&left, &right)),
            (Val::Arr(mut left), Val::Arr(right)) => {
                Rc::make_mut(&mut left).extend(right.iter().cloned());
                Ok(Val::Arr(left))
            }
            (Val::Obj(mut left), Val::Obj(right)) => {
                let fields = Rc::unwrap_or_clone(right).into_iter();
                Rc::make_mut(&mut left).extend(fields);
                Ok(Val::Obj(left))
            }
            (left, right) => Err(impossible(&left, &right, "added")),
        }
    }
}

impl ops::Sub for Val {
    type Output = ValR;

    fn sub(self, other: Val) -> ValR {
        match (self, other) {
            (Val::Num(left), Val::Num(right)) => Ok(Val::Num(left.subtract(right))),
            (Val::Arr(mut left), Val::Arr(right)) => {
                Rc::make_mut(&mut left).retain(|item| !right.contains(item));
                Ok(Val::Arr(left))
            }
            (left, right) => Err(impossible(&left, &right, "subtracted")),
        }
    }
}

impl ops::Mul for Val {
    type Output = ValR;

    fn mul(self, other: Val) -> ValR {
        match (self, other) {
            (Val::Num(left), Val::Num(right)) => Ok(Val::Num(left.multiply(right))),
            (Val::Str(text), Val::Num(times)) | (Val::Num(times), Val::Str(text)) => {
                repeated(&text, times.truncated())
            }
            (Val::Obj(mut left), Val::Obj(right)) => {
                merge(Rc::make_mut(&mut left), &right);
                Ok(Val::Obj(left))
            }
            (left, right) => Err(impossible(&left, &right, "multiplied")),
        }
    }
}

impl ops::Div for Val {
    type Output = ValR;

    fn div(self, other: Val) -> ValR {
        match (&self, &other) {
            (Val::Num(left), Val::Num(right)) => {
                left.divide(*right).map(Val::Num).ok_or_else(|| by_zero(&self, &other))
            }
            (Val::Str(text), Val::Str(separator)) => Ok(split(text, separator)),
            _ => Err(impossible(&self, &other, "divided")),
        }
    }
}

impl ops::Rem for Val {
    type Output = ValR;

    fn rem(self, other: Val) -> ValR {
        match (&self, &other) {
            (Val::Num(left), Val::Num(right)) => {
                left.remainder(*right).map(Val::Num).ok_or_else(|| by_zero(&self, &other))
            }
            _ => Err(impossible(&self, &other, "divided")),
        }
    }
}

impl ops::Neg for Val {
    type Output = ValR;

    fn neg(self) -> ValR {
        match self {
            Val::Num(number) => Ok(Val::Num(number.negate())),
            other => Err(error(format!("{} cannot be negated", other.described()))),
        }
    }
}

fn impossible(left: &Val, right: &Val, done: &str) -> Error {
    error(format!("{} and {} cannot be {done}", left.described(), right.described()))
}

fn by_zero(left: &Val, right: &Val) -> Error {
    error(format!(
        "{} and {} cannot be divided because the divisor is zero",
        left.described(),
        right.described()
    ))
}

fn concatenated(left: &str, right: &str) -> Val {
    let mut text = String::with_capacity(left.len() + right.len());
    text.push_str(left);
    text.push_str(right);
    Val::from(text)
}

fn repeated(text: &str, times: i64) -> ValR {
    let Ok(times @ 1..) = usize::try_from(times.max(0)) else {
        return Ok(Val::Null);
    };
    match text.len().checked_mul(times) {
        Some(length) if length <= LONGEST_REPETITION => Ok(Val::from(text.repeat(times))),
        _ => Err(error("Repeat string result too long")),
    }
}

fn merge(left: &mut Map, right: &Map) {
    for (key, value) in right {
        match (left.get_mut(key), value) {
            (Some(Val::Obj(left)), Val::Obj(right)) => merge(Rc::make_mut(left), right),
            (Some(left), right) => *left = right.clone(),
            (None, right) => {
                left.insert(key.clone(), right.clone());
            }
        }
    }
}

/// The pieces of `text` between the separators; none of an empty text.
pub(crate) fn split(text: &str, separator: &str) -> Val {
    if text.is_empty() {
        return Val::array(Vec::new());
    }
    if separator.is_empty() {
        return text.chars().map(|character| Val::text(character.encode_utf8(&mut [0; 4]))).collect();
    }
    text.split(separator).map(Val::text).collect()
}
