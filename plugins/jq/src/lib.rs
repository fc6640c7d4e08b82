//! The expression guest: jq programs, evaluated in a sandbox.
//!
//! The language is jq 1.7's, carried out by jaq's engine over values of our own ([`value`], [`number`]), with a
//! library that is partly Rust ([`function`]) and partly jq ([`prelude`]). What a program may burn and hold is the
//! host's business: fuel, memory and time are limited around the guest, and a trap costs one instance.
//!
//! An instance keeps what it compiled. Nothing else survives a call, and nothing of the surroundings is visible.
//!
//! Not there: `import` and `include`, `halt`, `?//`, gamma and Bessel functions,
//! time zones (everything is UTC), the longest match of regular expressions. `expr as $x | …` binds everything
//! before `as` back to the last `|` or `,`, as if it stood in brackets.

mod access;
mod adapt;
mod function;
mod json;
mod number;
mod operator;
mod prelude;
mod program;
mod value;

#[cfg(target_arch = "wasm32")]
mod guest;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use jaq_core::{Ctx, Filter, Vars};

use crate::function::Data;
use crate::value::{Error, Map, Val};

/// How many compiled programs an instance keeps. A flow has few; a full list is emptied rather than aged.
const KEPT: usize = 256;

/// Where counting the values of a program that yields too many ends.
const COUNTED: usize = 1_000;

/// How long the sentence of an error may be, in characters.
const LONGEST_SENTENCE: usize = 500;

/// Evaluates a jq program over `input`. `variables`: a JSON object of names without `$`. The result is the one value
/// that the program yields, as JSON text; the error is a sentence for the author of the program.
pub fn evaluate(program: &str, input: &str, variables: &str) -> Result<String, String> {
    let input = json::read(input).map_err(|reason| format!("The input is no JSON: {reason}"))?;
    let variables = match variables.trim() {
        "" | "{}" => Vec::new(),
        variables => json::read_fields(variables).map_err(|reason| format!("The variables: {reason}"))?,
    };
    let names: Vec<&str> = variables.iter().map(|(name, _)| &**name).collect();
    let filter = compiled(program, &names)?;
    let values = variables.into_iter().map(|(_, value)| value).chain([Val::object(Map::default())]);
    json::write_result(&only_value(&filter, input, Vars::new(values))?)
}

/// Compiles a program without running it. `variables`: the names it may use, without `$`.
pub fn check(program: &str, variables: &[&str]) -> Result<(), String> {
    compiled(program, variables).map(|_| ())
}

fn only_value(filter: &Filter<Data>, input: Val, variables: Vars<Val>) -> Result<Val, String> {
    let context = Ctx::<Data>::new(&filter.lut, variables);
    let mut values = filter.id.run((context, input));
    let Some(first) = values.next() else {
        return Err(
            "The expression yields no value; give a default with `//`, or wrap it in [ ] to get a list"
                .into(),
        );
    };
    let first = first.map_err(uncaught)?;
    let mut more = 0;
    for value in values.by_ref().take(COUNTED) {
        value.map_err(uncaught)?;
        more += 1;
    }
    match more {
        0 => Ok(first),
        COUNTED => Err(several(&format!("more than {COUNTED}"))),
        more => Err(several(&(more + 1).to_string())),
    }
}

fn several(count: &str) -> String {
    format!("The expression yields {count} values; wrap it in [ ] to get a list, or take first(…)")
}

/// What ended a program, as a sentence.
fn uncaught(exception: jaq_core::Exn<'_, Val>) -> String {
    match exception.get_err() {
        Ok(error) => sentence(error),
        // `break` without its label does not compile, and there is no `halt`.
        Err(_) => "The expression ended without a value".to_owned(),
    }
}

fn sentence(error: Error) -> String {
    let sentence = match error.into_val() {
        Val::Str(text) => text.to_string(),
        Val::Null => "The expression raised an error without a message".to_owned(),
        other => format!("The expression raised {other}"),
    };
    match sentence.char_indices().nth(LONGEST_SENTENCE) {
        Some((end, _)) => format!("{}…", &sentence[..end]),
        None => sentence,
    }
}

/// One program may be compiled with several lists of variables.
type Kept = BTreeMap<String, Vec<(Vec<String>, Rc<Filter<Data>>)>>;

thread_local! {
    static PROGRAMS: RefCell<Kept> = const { RefCell::new(BTreeMap::new()) };
}

fn compiled(program: &str, variables: &[&str]) -> Result<Rc<Filter<Data>>, String> {
    let known = PROGRAMS.with_borrow(|kept| {
        let candidates = kept.get(program)?;
        let fitting = candidates.iter().find(|(names, _)| names.iter().eq(variables));
        fitting.map(|(_, filter)| Rc::clone(filter))
    });
    if let Some(filter) = known {
        return Ok(filter);
    }
    let filter = Rc::new(program::compile(program, variables)?);
    PROGRAMS.with_borrow_mut(|kept| {
        if kept.values().map(Vec::len).sum::<usize>() >= KEPT {
            kept.clear();
        }
        let names = variables.iter().map(|name| (*name).to_owned()).collect();
        kept.entry(program.to_owned()).or_default().push((names, Rc::clone(&filter)));
    });
    Ok(filter)
}
