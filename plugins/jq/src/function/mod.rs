//! The functions that are written in Rust. Those written in jq are in [`prelude`](crate::prelude).
//!
//! One file per subject; each lists its functions as `(name, parameters, code)`. Absent on purpose: everything that
//! reads the surroundings (`env` is empty, `input` has nothing more to give, `import` and `halt` do not exist).

mod format;
mod math;
mod pattern;
mod text;
mod time;
mod whole;

use jaq_core::native::{Filter, Fun, run};
use jaq_core::{Cv, RunPtr, ValXs};

use crate::value::{Val, ValR};

/// What the engine is told about our values: they borrow nothing.
pub(crate) type Data = jaq_core::data::JustLut<Val>;

type Native = Filter<RunPtr<Data>>;

/// What is taken from jaq-std: what must call back into the program, and rounding.
const FROM_STD: [&str; 16] = [
    "floor",
    "round",
    "ceil",
    "utf8bytelength",
    "explode",
    "implode",
    "ascii_downcase",
    "ascii_upcase",
    "sort",
    "sort_by",
    "group_by",
    "min_by_or_empty",
    "max_by_or_empty",
    "trim",
    "ltrim",
    "rtrim",
];

/// Every function whose name is wanted.
pub(crate) fn functions(is_wanted: impl Fn(&str) -> bool) -> Vec<Fun<Data>> {
    let std = jaq_std::base_funs().filter(|(name, ..)| FROM_STD.contains(name));
    let own = [whole::list(), text::list(), format::list(), math::list(), pattern::list(), time::list()];
    let own = own.into_iter().flatten().map(|native| run::<Data>(native));
    let all = jaq_core::funs().chain(std).chain(own);
    all.filter(|(name, ..)| is_wanted(name)).collect()
}

/// One value, or an error.
fn once<'a>(result: ValR) -> ValXs<'a, Val> {
    jaq_core::native::bome(result)
}

/// Calls a function of the input and one argument.
fn with_argument<'a>(mut cv: Cv<'a, Data>, call: impl FnOnce(Val, Val) -> ValR) -> ValXs<'a, Val> {
    let argument = cv.0.pop_var();
    once(call(cv.1, argument))
}
