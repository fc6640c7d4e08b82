//! Text to a runnable filter.
//!
//! The text is read by the engine's own lexer and parser. Before it is compiled it is changed where the engine is not
//! jq ([`adapt`](crate::adapt)), and it is given those library functions that it uses.

use std::collections::BTreeSet;

use jaq_core::compile::Undefined;
use jaq_core::load::lex::{self, Token};
use jaq_core::load::parse::{self, Def};
use jaq_core::load::{Arena, File, Lexer, Loader, Parser};
use jaq_core::{Compiler, Filter};

use crate::adapt;
use crate::function::{self, Data};
use crate::prelude::DEFINITIONS;

/// The name under which the program itself is compiled. No program can contain it: it begins with a digit.
const MAIN: &str = "__main";

/// Longer programs are refused.
const LONGEST: usize = 64 << 10;

/// Programs whose brackets nest deeper are refused: reading them would exhaust the stack.
const DEEPEST: usize = 200;

/// Compiles `program`. `variables`: the names it may use, without `$`, in the order in which their values are given.
pub(crate) fn compile(program: &str, variables: &[&str]) -> Result<Filter<Data>, String> {
    within_limits(program)?;
    let tokens = Lexer::new(program).lex().map_err(|errors| unreadable(program, &errors))?;
    let tokens = adapt::tokens(tokens);
    let term =
        Parser::new(&tokens).parse(|parser| parser.term()).map_err(|errors| misplaced(program, &errors))?;
    let mut calls = BTreeSet::new();
    let term = adapt::term(term, &mut calls);

    let mut definitions = library(&mut calls);
    definitions.push(Def { name: MAIN, args: Vec::new(), body: term });
    let arena = Arena::default();
    let modules = Loader::new(definitions)
        .load(&arena, File { code: MAIN, path: () })
        .map_err(|_| "The expression cannot be loaded".to_owned())?;

    let globals: Vec<String> =
        variables.iter().map(|name| format!("${name}")).chain(["$ENV".to_owned()]).collect();
    Compiler::default()
        .with_funs(function::functions(|name| calls.contains(name)))
        .with_global_vars(globals.iter().map(String::as_str))
        .compile(modules)
        .map_err(|errors| {
            let first = errors.iter().flat_map(|(_, errors)| errors).next();
            first.map_or_else(
                || "The expression cannot be compiled".to_owned(),
                |(name, kind)| undefined(program, name, kind, variables),
            )
        })
}

/// The library functions that `calls` needs, in an order in which each stands after those it uses. `calls` grows by
/// what they call.
fn library<'s>(calls: &mut BTreeSet<&'s str>) -> Vec<Def<&'s str>> {
    let mut needed = Vec::new();
    // From the end: a definition calls only what stands before it.
    for source in DEFINITIONS.iter().rev() {
        let name = source["def ".len()..].split(['(', ':']).next().unwrap_or_default();
        if !calls.contains(name) {
            continue;
        }
        let definitions = jaq_core::load::parse(source, |parser| parser.defs()).unwrap_or_default();
        for definition in definitions {
            let Def { name, args, body } = definition;
            needed.push(Def { name, args, body: adapt::term(body, calls) });
        }
    }
    needed.reverse();
    needed
}

fn within_limits(program: &str) -> Result<(), String> {
    if program.len() > LONGEST {
        return Err(format!("The expression is longer than {} KiB", LONGEST >> 10));
    }
    let mut depth = 0_usize;
    for byte in program.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(format!("The expression nests brackets deeper than {DEEPEST} levels"));
        }
    }
    Ok(())
}

fn unreadable(program: &str, errors: &[lex::Error<&str>]) -> String {
    let Some((expected, rest)) = errors.first() else {
        return "The expression cannot be read".to_owned();
    };
    let expected = match expected {
        lex::Expect::Token => "an operator or a value",
        lex::Expect::Delim("\"") => "a closing quote",
        other => other.as_str(),
    };
    format!("Syntax error {}: {expected} is expected", place(program, offset(program, rest)))
}

fn misplaced(program: &str, errors: &[parse::TError<'_, &str>]) -> String {
    let Some((expected, found)) = errors.first() else {
        return "The expression cannot be read".to_owned();
    };
    let expected = match expected {
        parse::Expect::Nothing => "an operator or the end",
        parse::Expect::Term => "a value",
        parse::Expect::Just("") => "the end",
        other => other.as_str(),
    };
    let at = offset(program, Token::opt_as_str(*found, program));
    format!("Syntax error {}: {expected} is expected", place(program, at))
}

fn undefined(program: &str, name: &str, kind: &Undefined, variables: &[&str]) -> String {
    let place = place(program, offset(program, name));
    match kind {
        Undefined::Filter(0) => format!("There is no function {name} {place}"),
        Undefined::Filter(1) => format!("There is no function {name} with 1 argument {place}"),
        Undefined::Filter(arity) => format!("There is no function {name} with {arity} arguments {place}"),
        Undefined::Label => format!("There is no label {name} {place}"),
        _ if variables.is_empty() => format!("There is no variable {name} {place}; there are none here"),
        _ => format!("There is no variable {name} {place}; there are ${}", variables.join(", $")),
    }
}

/// Where `part` stands in `program`, if it is a part of it.
fn offset(program: &str, part: &str) -> Option<usize> {
    (part.as_ptr() as usize).checked_sub(program.as_ptr() as usize).filter(|offset| *offset <= program.len())
}

/// A place in words, with what stands there.
fn place(program: &str, offset: Option<usize>) -> String {
    const SHOWN: usize = 20;
    let Some((before, after)) = offset.and_then(|offset| program.split_at_checked(offset)) else {
        return "in it".to_owned();
    };
    if after.trim().is_empty() {
        return "at the end".to_owned();
    }
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let rest = after.lines().next().unwrap_or_default();
    let shown: String = rest.chars().take(SHOWN).collect();
    let more = if shown.len() < rest.len() { "…" } else { "" };
    format!("at line {line}, column {column}, before `{shown}{more}`")
}
