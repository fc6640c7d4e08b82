//! JSON text to values and back.
//!
//! What goes out has limits of its own: a result that nests deeper than other readers accept, or that holds a number
//! which JSON has no word for, is an error of the expression.

use std::fmt::Write as _;
use std::rc::Rc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::number::Num;
use crate::value::{Map, Val};

/// How deep a result may nest.
const DEEPEST_RESULT: usize = 100;

/// Where writing stops going down, so that showing a value in an error cannot exhaust the stack.
const DEEPEST_WRITTEN: usize = 1_000;

/// Reads one value. At most 127 levels deep: serde_json's own limit.
pub(crate) fn read(text: &str) -> Result<Val, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Reads an object as a list of its fields.
pub(crate) fn read_fields(text: &str) -> Result<Vec<(Rc<str>, Val)>, String> {
    match read(text)? {
        Val::Obj(fields) => Ok(Rc::unwrap_or_clone(fields).into_iter().collect()),
        other => Err(format!("an object is expected, not {}", other.described())),
    }
}

/// The text of a result, or why it is none.
pub(crate) fn write_result(value: &Val) -> Result<String, String> {
    let written = write(value);
    if written.depth > DEEPEST_RESULT {
        return Err(format!("The result is nested deeper than {DEEPEST_RESULT} levels"));
    }
    if written.is_finite {
        Ok(written.text)
    } else {
        Err("The result holds NaN or an infinite number, which JSON has no word for; test for it with isnan or \
             isinfinite"
            .to_owned())
    }
}

/// A value's text and what was noticed on the way.
pub(crate) struct Written {
    pub text: String,
    depth: usize,
    is_finite: bool,
}

/// Writes a value, whatever is in it.
pub(crate) fn write(value: &Val) -> Written {
    let mut written = Written { text: String::new(), depth: 0, is_finite: true };
    written.value(value, 0);
    written
}

impl Written {
    fn value(&mut self, value: &Val, depth: usize) {
        match value {
            Val::Null => self.text.push_str("null"),
            Val::Bool(true) => self.text.push_str("true"),
            Val::Bool(false) => self.text.push_str("false"),
            Val::Num(number) => {
                self.is_finite &= number.double().is_finite();
                // Writing to a String cannot fail.
                let _ = write!(self.text, "{number}");
            }
            Val::Str(text) => self.string(text),
            Val::Arr(_) | Val::Obj(_) if depth >= DEEPEST_WRITTEN => self.text.push_str("null"),
            Val::Arr(items) => {
                self.depth = self.depth.max(depth + 1);
                self.text.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.text.push_str(if index == 0 { "" } else { "," });
                    self.value(item, depth + 1);
                }
                self.text.push(']');
            }
            Val::Obj(fields) => {
                self.depth = self.depth.max(depth + 1);
                self.text.push('{');
                for (index, (key, field)) in fields.iter().enumerate() {
                    self.text.push_str(if index == 0 { "" } else { "," });
                    self.string(key);
                    self.text.push(':');
                    self.value(field, depth + 1);
                }
                self.text.push('}');
            }
        }
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        let mut plain = 0;
        for (at, byte) in text.bytes().enumerate() {
            let escape = match byte {
                b'"' => "\\\"",
                b'\\' => "\\\\",
                b'\n' => "\\n",
                b'\r' => "\\r",
                b'\t' => "\\t",
                0x08 => "\\b",
                0x0c => "\\f",
                0x00..0x20 | 0x7f => "",
                _ => continue,
            };
            self.text.push_str(&text[plain..at]);
            plain = at + 1;
            if escape.is_empty() {
                let _ = write!(self.text, "\\u{byte:04x}");
            } else {
                self.text.push_str(escape);
            }
        }
        self.text.push_str(&text[plain..]);
        self.text.push('"');
    }
}

impl<'de> Deserialize<'de> for Val {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Val, D::Error> {
        deserializer.deserialize_any(ValVisitor)
    }
}

struct ValVisitor;

impl<'de> Visitor<'de> for ValVisitor {
    type Value = Val;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Val, E> {
        Ok(Val::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Val, E> {
        Ok(Val::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Val, E> {
        Ok(Val::Num(Num::Int(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Val, E> {
        Ok(Val::Num(i64::try_from(value).map_or(Num::Big(value), Num::Int)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Val, E> {
        Ok(Val::Num(Num::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Val, E> {
        Ok(Val::text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Val, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Val::array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Val, A::Error> {
        let mut fields = Map::default();
        while let Some(Key(key)) = map.next_key()? {
            fields.insert(key, map.next_value()?);
        }
        Ok(Val::object(fields))
    }
}

/// A key, made without an intermediate String where the text has no escapes.
struct Key(Rc<str>);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a key")
            }

            fn visit_str<E>(self, value: &str) -> Result<Key, E> {
                Ok(Key(value.into()))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_a_round_trip() {
        for text in [
            "null",
            "true",
            "-1",
            "1.0",
            "0.1",
            "1e-7",
            "1e+300",
            "18446744073709551615",
            "-9223372036854775808",
            r#""a\"\\\n\u0001é""#,
            "[]",
            "{}",
            r#"{"b":1,"a":[{"c":null}]}"#,
            "5e-324",
            "2.2250738585072014e-308",
        ] {
            assert_eq!(write_result(&read(text).unwrap()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_json_cannot_hold_does_not_get_out() {
        assert!(write_result(&Val::Num(Num::Float(f64::NAN))).unwrap_err().contains("NaN"));
        assert!(write_result(&Val::array(vec![Val::Num(Num::Float(f64::INFINITY))])).is_err());
    }

    #[test]
    fn a_result_that_nests_too_deep_is_an_error() {
        let nest = |levels| (0..levels).fold(Val::Null, |inner, _| Val::array(vec![inner]));
        assert!(write_result(&nest(100)).is_ok());
        assert!(write_result(&nest(101)).unwrap_err().contains("nested deeper"));
        assert!(write_result(&nest(5_000)).is_err());
    }
}
