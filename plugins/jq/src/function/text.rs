//! Functions of strings, and of arrays where jq treats the two alike.

use jaq_core::native::v;

use super::{Native, once, with_argument};
use crate::access::occurrences;
use crate::operator;
use crate::value::{Val, ValR, error};

/// The functions of this file.
pub(super) fn list() -> Vec<Native> {
    vec![
        ("startswith", v(1), |cv| {
            with_argument(cv, |text, start| {
                both(&text, &start, "startswith() requires string inputs", |text, start| {
                    text.starts_with(start).into()
                })
            })
        }),
        ("endswith", v(1), |cv| {
            with_argument(cv, |text, end| {
                both(&text, &end, "endswith() requires string inputs", |text, end| text.ends_with(end).into())
            })
        }),
        ("ltrimstr", v(1), |cv| with_argument(cv, |text, start| Ok(without(text, &start, Side::Start)))),
        ("rtrimstr", v(1), |cv| with_argument(cv, |text, end| Ok(without(text, &end, Side::End)))),
        ("split", v(1), |cv| {
            with_argument(cv, |text, separator| {
                both(&text, &separator, "split input and separator must be strings", operator::split)
            })
        }),
        ("join", v(1), |cv| with_argument(cv, |items, separator| join(&items, &separator))),
        ("indices", v(1), |cv| with_argument(cv, |value, part| indices(&value, &part))),
        ("ascii", v(0), |cv| once(ascii(&cv.1))),
    ]
}

enum Side {
    Start,
    End,
}

fn both(text: &Val, other: &Val, otherwise: &str, call: impl FnOnce(&str, &str) -> Val) -> ValR {
    match (text, other) {
        (Val::Str(text), Val::Str(other)) => Ok(call(text, other)),
        _ => Err(error(otherwise)),
    }
}

fn without(value: Val, part: &Val, side: Side) -> Val {
    let (Val::Str(text), Val::Str(part)) = (&value, part) else {
        return value;
    };
    let rest = match side {
        Side::Start => text.strip_prefix(&**part),
        Side::End => text.strip_suffix(&**part),
    };
    rest.map(Val::text).unwrap_or(value)
}

fn join(items: &Val, separator: &Val) -> ValR {
    let mut joined = String::new();
    for (index, item) in jaq_core::ValT::values(items.clone()).enumerate() {
        if index > 0 {
            joined.push_str(separator.string("join")?);
        }
        match item? {
            Val::Null => {}
            Val::Str(text) => joined.push_str(&text),
            scalar @ (Val::Bool(_) | Val::Num(_)) => joined.push_str(&scalar.to_string()),
            other => {
                let joined = Val::from(joined);
                return Err(error(format!(
                    "{} and {} cannot be added",
                    joined.described(),
                    other.described()
                )));
            }
        }
    }
    Ok(Val::from(joined))
}

/// Where a part begins: in code points, or in items.
fn indices(value: &Val, part: &Val) -> ValR {
    match (value, part) {
        (Val::Null, _) => Ok(Val::Null),
        (Val::Str(_), Val::Str(part)) if part.is_empty() => Ok(Val::Null),
        (Val::Str(text), Val::Str(part)) => {
            let starts =
                text.char_indices().enumerate().filter(|(_, (at, _))| text[*at..].starts_with(&**part));
            Ok(starts.map(|(count, _)| Val::from(count)).collect())
        }
        (Val::Arr(items), Val::Arr(parts)) => Ok(occurrences(items, parts)),
        (Val::Arr(items), part) => Ok(occurrences(items, std::slice::from_ref(part))),
        _ => Err(error(format!("Cannot determine indices of {} in {}", part.described(), value.described()))),
    }
}

fn ascii(value: &Val) -> ValR {
    let code = value.number("ascii")?;
    let character = if (0.0..128.0).contains(&code) { char::from(code as u8) } else { '\u{fffd}' };
    Ok(Val::text(character.encode_utf8(&mut [0; 4])))
}
