//! The values that programs work on: JSON, with numbers as jq users expect them and objects that keep their order.
//!
//! NaN and the infinities exist while a program runs; [`json`](crate::json) lets none of them out. How values are
//! reached into is in [`access`](crate::access), how they are combined in [`operator`](crate::operator).

use std::cmp::Ordering;
use std::fmt;
use std::rc::Rc;

use crate::json;
use crate::number::Num;

/// An object. The hash is fixed, not random: the guest asks its host for nothing, and who makes keys collide only
/// burns the fuel of an own expression.
pub(crate) type Map = indexmap::IndexMap<Rc<str>, Val, foldhash::fast::FixedState>;

/// A value. Cloning it copies a pointer at most.
#[derive(Clone, Debug)]
pub(crate) enum Val {
    Null,
    Bool(bool),
    Num(Num),
    Str(Rc<str>),
    Arr(Rc<Vec<Val>>),
    Obj(Rc<Map>),
}

/// What a program raises.
pub(crate) type Error = jaq_core::Error<Val>;
/// A value, or what a program raises.
pub(crate) type ValR = Result<Val, Error>;

/// An error with a sentence as its value.
pub(crate) fn error(sentence: impl Into<String>) -> Error {
    Error::new(Val::from(sentence.into()))
}

impl Val {
    /// A string.
    pub fn text(text: &str) -> Val {
        Val::Str(text.into())
    }

    /// An array.
    pub fn array(items: Vec<Val>) -> Val {
        Val::Arr(Rc::new(items))
    }

    /// An object.
    pub fn object(fields: Map) -> Val {
        Val::Obj(Rc::new(fields))
    }

    /// The name of its type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Val::Null => "null",
            Val::Bool(_) => "boolean",
            Val::Num(_) => "number",
            Val::Str(_) => "string",
            Val::Arr(_) => "array",
            Val::Obj(_) => "object",
        }
    }

    /// Its type and the beginning of its text, as errors show it: `string ("abc")`.
    pub fn described(&self) -> String {
        const SHOWN: usize = 40;
        let text = self.to_string();
        match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{} ({}...)", self.type_name(), &text[..end]),
            None => format!("{} ({text})", self.type_name()),
        }
    }

    /// Everything but null and false.
    pub fn is_true(&self) -> bool {
        !matches!(self, Val::Null | Val::Bool(false))
    }

    /// The number, or an error that names the function that needs one.
    pub fn number(&self, needed_by: &str) -> Result<f64, Error> {
        match self {
            Val::Num(number) => Ok(number.double()),
            other => Err(error(format!("{} needs a number, not {}", needed_by, other.described()))),
        }
    }

    /// The string, or an error that names the function that needs one.
    pub fn string(&self, needed_by: &str) -> Result<&Rc<str>, Error> {
        match self {
            Val::Str(text) => Ok(text),
            other => Err(error(format!("{} needs a string, not {}", needed_by, other.described()))),
        }
    }

    /// The array, or an error that names the function that needs one.
    pub fn items(&self, needed_by: &str) -> Result<&Rc<Vec<Val>>, Error> {
        match self {
            Val::Arr(items) => Ok(items),
            other => Err(error(format!("{} needs an array, not {}", needed_by, other.described()))),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Val::Null => 0,
            Val::Bool(false) => 1,
            Val::Bool(true) => 2,
            Val::Num(_) => 3,
            Val::Str(_) => 4,
            Val::Arr(_) => 5,
            Val::Obj(_) => 6,
        }
    }
}

impl From<bool> for Val {
    fn from(value: bool) -> Val {
        Val::Bool(value)
    }
}

impl From<isize> for Val {
    fn from(value: isize) -> Val {
        Val::Num(Num::Int(value as i64))
    }
}

impl From<usize> for Val {
    fn from(value: usize) -> Val {
        Val::Num(Num::Int(i64::try_from(value).unwrap_or(i64::MAX)))
    }
}

impl From<i64> for Val {
    fn from(value: i64) -> Val {
        Val::Num(Num::Int(value))
    }
}

impl From<f64> for Val {
    fn from(value: f64) -> Val {
        Val::Num(Num::whole(value))
    }
}

impl From<String> for Val {
    fn from(value: String) -> Val {
        Val::Str(value.into())
    }
}

/// A slice as a path shows it.
impl From<std::ops::Range<Option<Val>>> for Val {
    fn from(range: std::ops::Range<Option<Val>>) -> Val {
        let bound = |bound: Option<Val>| bound.unwrap_or(Val::Null);
        let mut fields = Map::default();
        fields.insert("start".into(), bound(range.start));
        fields.insert("end".into(), bound(range.end));
        Val::object(fields)
    }
}

impl FromIterator<Val> for Val {
    fn from_iter<T: IntoIterator<Item = Val>>(items: T) -> Val {
        Val::array(items.into_iter().collect())
    }
}

impl fmt::Display for Val {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&json::write(self).text)
    }
}

impl PartialEq for Val {
    fn eq(&self, other: &Val) -> bool {
        match (self, other) {
            (Val::Num(left), Val::Num(right)) => left == right,
            (Val::Arr(left), Val::Arr(right)) => left == right,
            (Val::Obj(left), Val::Obj(right)) => left == right,
            _ => self.cmp(other).is_eq(),
        }
    }
}

impl Eq for Val {}

impl PartialOrd for Val {
    fn partial_cmp(&self, other: &Val) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// null, false, true, numbers, strings, arrays, objects.
impl Ord for Val {
    fn cmp(&self, other: &Val) -> Ordering {
        match (self, other) {
            (Val::Num(left), Val::Num(right)) => left.cmp(right),
            (Val::Str(left), Val::Str(right)) => left.cmp(right),
            (Val::Arr(left), Val::Arr(right)) => left.cmp(right),
            (Val::Obj(left), Val::Obj(right)) => compare_objects(left, right),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// First by the sorted keys, then by the values in the order of the keys.
fn compare_objects(left: &Map, right: &Map) -> Ordering {
    let sorted = |object: &Map| {
        let mut fields: Vec<(Rc<str>, Val)> =
            object.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        fields.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        fields
    };
    let (left, right) = (sorted(left), sorted(right));
    let keys = left.iter().map(|(key, _)| key).cmp(right.iter().map(|(key, _)| key));
    keys.then_with(|| left.iter().map(|(_, value)| value).cmp(right.iter().map(|(_, value)| value)))
}
