//! How the engine reaches into values: indices, slices, iteration, and updates along paths.
//!
//! As in jq, null is an empty array or object to whoever reads from it or assigns into it.

use std::ops::Range;
use std::rc::Rc;

use jaq_core::path::Opt;
use jaq_core::{Exn, ValX};

use crate::number::Num;
use crate::value::{Error, Map, Val, ValR, error};

/// How long assigning past the end may make an array.
const LONGEST_ARRAY: usize = 1 << 24;

impl jaq_core::ValT for Val {
    fn from_num(number: &str) -> ValR {
        Num::parse(number).map(Val::Num).ok_or_else(|| error(format!("{number} is no number")))
    }

    fn from_map<I: IntoIterator<Item = (Val, Val)>>(pairs: I) -> ValR {
        let mut fields = Map::default();
        for (key, value) in pairs {
            match key {
                Val::Str(key) => fields.insert(key, value),
                other => {
                    return Err(error(format!("Object keys must be strings, not {}", other.described())));
                }
            };
        }
        Ok(Val::object(fields))
    }

    fn key_values(self) -> Box<dyn Iterator<Item = Result<(Val, Val), Error>>> {
        match self {
            Val::Arr(items) => {
                Box::new((0..items.len()).map(move |at| Ok((Val::from(at), items[at].clone()))))
            }
            Val::Obj(fields) => Box::new((0..fields.len()).filter_map(move |at| {
                fields.get_index(at).map(|(key, value)| Ok((Val::Str(key.clone()), value.clone())))
            })),
            other => Box::new(std::iter::once(Err(not_iterable(&other)))),
        }
    }

    fn values(self) -> Box<dyn Iterator<Item = ValR>> {
        match self {
            Val::Arr(items) => Box::new((0..items.len()).map(move |at| Ok(items[at].clone()))),
            Val::Obj(fields) => Box::new(
                (0..fields.len())
                    .filter_map(move |at| fields.get_index(at).map(|(_, value)| Ok(value.clone()))),
            ),
            other => Box::new(std::iter::once(Err(not_iterable(&other)))),
        }
    }

    fn index(self, index: &Val) -> ValR {
        match (&self, index) {
            (Val::Obj(fields), Val::Str(key)) => Ok(fields.get(key).cloned().unwrap_or(Val::Null)),
            (Val::Arr(items), Val::Num(index)) => {
                Ok(position(*index, items.len()).and_then(|at| items.get(at)).cloned().unwrap_or(Val::Null))
            }
            (Val::Null | Val::Arr(_) | Val::Str(_), Val::Obj(slice)) => {
                let (start, end) = bounds_of(slice);
                jaq_core::ValT::range(self, start.as_ref()..end.as_ref())
            }
            (Val::Arr(items), Val::Arr(wanted)) => Ok(occurrences(items, wanted)),
            (Val::Null, Val::Str(_) | Val::Num(_) | Val::Null) => Ok(Val::Null),
            _ => Err(not_indexable(&self, index)),
        }
    }

    fn range(self, range: Range<Option<&Val>>) -> ValR {
        match &self {
            Val::Null => Ok(Val::Null),
            Val::Arr(items) => {
                let range = slice_of(range, items.len())?;
                Ok(Val::array(items[range].to_vec()))
            }
            Val::Str(text) => {
                let range = slice_of(range, text.chars().count())?;
                Ok(Val::text(characters(text, range)))
            }
            other => Err(error(format!("Cannot index {} with object", other.type_name()))),
        }
    }

    fn map_values<'a, I: Iterator<Item = ValX<'a, Val>>>(
        self,
        opt: Opt,
        update: impl Fn(Val) -> I,
    ) -> ValX<'a, Val> {
        match self {
            Val::Arr(items) => {
                let updated = Rc::unwrap_or_clone(items).into_iter().filter_map(|item| update(item).next());
                updated.collect()
            }
            Val::Obj(fields) => {
                let fields = Rc::unwrap_or_clone(fields).into_iter();
                let updated =
                    fields.filter_map(|(key, value)| Some(update(value).next()?.map(|value| (key, value))));
                updated.collect::<Result<Map, _>>().map(Val::object)
            }
            other => opt.fail(other, |other| Exn::from(not_iterable(&other))),
        }
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Val>>>(
        self,
        index: &Val,
        opt: Opt,
        update: impl Fn(Val) -> I,
    ) -> ValX<'a, Val> {
        match (self, index) {
            (Val::Null, Val::Str(key)) => update_field(Map::default(), key, update),
            (Val::Obj(fields), Val::Str(key)) => update_field(Rc::unwrap_or_clone(fields), key, update),
            (Val::Null, Val::Num(index)) => update_item(Vec::new(), *index, opt, update),
            (Val::Arr(items), Val::Num(index)) => {
                update_item(Rc::unwrap_or_clone(items), *index, opt, update)
            }
            (this @ (Val::Null | Val::Arr(_)), Val::Obj(slice)) => {
                let (start, end) = bounds_of(slice);
                this.map_range(start.as_ref()..end.as_ref(), opt, update)
            }
            (this, index) => opt.fail(this, |this| Exn::from(not_indexable(&this, index))),
        }
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Val>>>(
        self,
        range: Range<Option<&Val>>,
        opt: Opt,
        update: impl Fn(Val) -> I,
    ) -> ValX<'a, Val> {
        let mut items = match self {
            Val::Null => Vec::new(),
            Val::Arr(items) => Rc::unwrap_or_clone(items),
            other => {
                let sentence = || error(format!("Cannot update a slice of {}", other.described()));
                return opt.fail(other.clone(), |_| Exn::from(sentence()));
            }
        };
        let range = slice_of(range, items.len())?;
        let slice = Val::array(items[range.clone()].to_vec());
        let replacement = match update(slice).next().transpose()? {
            None => Vec::new(),
            Some(Val::Arr(replacement)) => Rc::unwrap_or_clone(replacement),
            Some(other) => {
                let sentence = format!(
                    "A slice of an array can only be assigned another array, not {}",
                    other.described()
                );
                return Err(error(sentence).into());
            }
        };
        items.splice(range, replacement);
        Ok(Val::array(items))
    }

    fn as_bool(&self) -> bool {
        self.is_true()
    }

    fn into_string(self) -> Val {
        match self {
            Val::Str(_) => self,
            other => Val::from(other.to_string()),
        }
    }
}

fn update_field<'a, I: Iterator<Item = ValX<'a, Val>>>(
    mut fields: Map,
    key: &Rc<str>,
    update: impl Fn(Val) -> I,
) -> ValX<'a, Val> {
    let before = fields.get_mut(key).map(|value| std::mem::replace(value, Val::Null));
    match update(before.unwrap_or(Val::Null)).next().transpose()? {
        Some(value) => {
            fields.insert(key.clone(), value);
        }
        None => {
            fields.shift_remove(key);
        }
    }
    Ok(Val::object(fields))
}

fn update_item<'a, I: Iterator<Item = ValX<'a, Val>>>(
    mut items: Vec<Val>,
    index: Num,
    opt: Opt,
    update: impl Fn(Val) -> I,
) -> ValX<'a, Val> {
    let at = match position(index, items.len()) {
        Some(at) if at < LONGEST_ARRAY => at,
        Some(_) => return Err(error("Array index too large").into()),
        None => {
            let outside = || Exn::from(error("Out of bounds negative array index"));
            return opt.fail(Val::array(items), |_| outside());
        }
    };
    let before = items.get_mut(at).map(|item| std::mem::replace(item, Val::Null));
    let is_present = before.is_some();
    match update(before.unwrap_or(Val::Null)).next().transpose()? {
        Some(value) => {
            if !is_present {
                items.resize(at + 1, Val::Null);
            }
            items[at] = value;
        }
        None if is_present => {
            items.remove(at);
        }
        None => {}
    }
    Ok(Val::array(items))
}

/// Where an index points; it may be past the end. None before the beginning and for NaN.
fn position(index: Num, length: usize) -> Option<usize> {
    if index.double().is_nan() {
        return None;
    }
    let index = match index {
        Num::Float(double) => double.floor() as i64,
        other => other.truncated(),
    };
    if index >= 0 {
        return Some(usize::try_from(index).unwrap_or(usize::MAX));
    }
    length.checked_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX))
}

fn bounds_of(slice: &Map) -> (Option<Val>, Option<Val>) {
    (slice.get("start").cloned(), slice.get("end").cloned())
}

/// The range within `length` that two bounds mean. A start is rounded down, an end up.
fn slice_of(range: Range<Option<&Val>>, length: usize) -> Result<Range<usize>, Error> {
    let bound = |bound: Option<&Val>, default: usize, round: fn(f64) -> f64| match bound {
        None | Some(Val::Null) => Ok(default),
        Some(Val::Num(number)) => {
            let number = round(number.double());
            let number = if number < 0.0 { number + length as f64 } else { number };
            Ok((number.max(0.0) as usize).min(length))
        }
        Some(_) => Err(error("Start and end indices of an array slice must be numbers")),
    };
    let start = bound(range.start, 0, f64::floor)?;
    let end = bound(range.end, length, f64::ceil)?;
    Ok(start.min(end)..end)
}

fn characters(text: &str, range: Range<usize>) -> &str {
    let offset = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(offset, _)| offset);
    &text[offset(range.start)..offset(range.end)]
}

/// Where `wanted` begins in `items`.
pub(crate) fn occurrences(items: &[Val], wanted: &[Val]) -> Val {
    if wanted.is_empty() {
        return Val::Null;
    }
    let found = items.windows(wanted.len()).enumerate().filter(|(_, window)| *window == wanted);
    found.map(|(at, _)| Val::from(at)).collect()
}

fn not_iterable(value: &Val) -> Error {
    error(format!("Cannot iterate over {}", value.described()))
}

fn not_indexable(value: &Val, index: &Val) -> Error {
    match index {
        Val::Str(key) => error(format!("Cannot index {} with string \"{key}\"", value.type_name())),
        other => error(format!("Cannot index {} with {}", value.type_name(), other.type_name())),
    }
}

impl jaq_std::ValT for Val {
    fn into_seq<S: FromIterator<Val>>(self) -> Result<S, Val> {
        match self {
            Val::Arr(items) => Ok(Rc::unwrap_or_clone(items).into_iter().collect()),
            other => Err(other),
        }
    }

    fn is_int(&self) -> bool {
        matches!(self, Val::Num(Num::Int(_) | Num::Big(_)))
    }

    fn as_isize(&self) -> Option<isize> {
        match self {
            Val::Num(Num::Int(integer)) => isize::try_from(*integer).ok(),
            _ => None,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        match self {
            Val::Num(number) => Some(number.double()),
            _ => None,
        }
    }

    fn is_utf8_str(&self) -> bool {
        matches!(self, Val::Str(_))
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Val::Str(text) => Some(text.as_bytes()),
            _ => None,
        }
    }

    fn as_sub_str(&self, part: &[u8]) -> Val {
        Val::from(String::from_utf8_lossy(part).into_owned())
    }

    fn from_utf8_bytes(bytes: impl AsRef<[u8]> + Send + 'static) -> Val {
        Val::from(String::from_utf8_lossy(bytes.as_ref()).into_owned())
    }
}
