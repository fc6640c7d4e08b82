//! Where the engine's language is not jq's: what is changed between reading a program and compiling it.
//!
//! - `%` binds like `*` and `/`, from left to right; for the engine it binds tighter.
//! - `$__loc__` is known.
//!
//! On the way the names of all functions that are called are collected.

use std::collections::BTreeSet;

use jaq_core::load::lex::{StrPart, Tok, Token};
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::path::{Part, Path};

/// A program's tree, changed. `calls` collects the names of the functions that it calls.
pub(crate) fn term<'s>(term: Term<&'s str>, calls: &mut BTreeSet<&'s str>) -> Term<&'s str> {
    let mut adapter = Adapter { calls };
    adapter.term(term)
}

struct Adapter<'c, 's> {
    calls: &'c mut BTreeSet<&'s str>,
}

impl<'s> Adapter<'_, 's> {
    fn term(&mut self, term: Term<&'s str>) -> Term<&'s str> {
        match term {
            Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) => term,
            Term::Var("$__loc__") => location(),
            Term::Var(_) => term,
            Term::Str(format, parts) => {
                self.calls.extend(format);
                Term::Str(format, parts.into_iter().map(|part| self.part(part)).collect())
            }
            Term::Arr(inner) => Term::Arr(inner.map(|inner| self.boxed(*inner))),
            Term::Obj(fields) => Term::Obj(
                fields
                    .into_iter()
                    .map(|(key, value)| (self.term(key), value.map(|value| self.term(value))))
                    .collect(),
            ),
            Term::Neg(inner) => Term::Neg(self.boxed(*inner)),
            Term::BinOp(left, operator, right) => self.operation(*left, operator, *right),
            Term::Label(name, inner) => Term::Label(name, self.boxed(*inner)),
            Term::Fold(name, source, pattern, arguments) => {
                Term::Fold(name, self.boxed(*source), self.pattern(pattern), self.terms(arguments))
            }
            Term::TryCatch(inner, handler) => {
                Term::TryCatch(self.boxed(*inner), handler.map(|handler| self.boxed(*handler)))
            }
            Term::IfThenElse(branches, otherwise) => Term::IfThenElse(
                branches.into_iter().map(|(test, then)| (self.term(test), self.term(then))).collect(),
                otherwise.map(|otherwise| self.boxed(*otherwise)),
            ),
            Term::Def(definitions, inner) => {
                let definitions = definitions.into_iter().map(|Def { name, args, body }| Def {
                    name,
                    args,
                    body: self.term(body),
                });
                let definitions = definitions.collect();
                Term::Def(definitions, self.boxed(*inner))
            }
            Term::Call(name, arguments) => {
                self.calls.insert(name);
                Term::Call(name, self.terms(arguments))
            }
            Term::Path(base, path) => Term::Path(self.boxed(*base), self.path(path)),
        }
    }

    fn operation(
        &mut self,
        left: Term<&'s str>,
        operator: BinaryOp<&'s str>,
        right: Term<&'s str>,
    ) -> Term<&'s str> {
        let (left, right) = (self.boxed(left), self.boxed(right));
        match operator {
            BinaryOp::Pipe(pattern) => {
                let pattern = pattern.map(|pattern| self.pattern(pattern));
                Term::BinOp(left, BinaryOp::Pipe(pattern), right)
            }
            other => Term::BinOp(left, other, right),
        }
    }

    fn boxed(&mut self, inner: Term<&'s str>) -> Box<Term<&'s str>> {
        Box::new(self.term(inner))
    }

    fn terms(&mut self, terms: Vec<Term<&'s str>>) -> Vec<Term<&'s str>> {
        terms.into_iter().map(|term| self.term(term)).collect()
    }

    fn part(&mut self, part: StrPart<&'s str, Term<&'s str>>) -> StrPart<&'s str, Term<&'s str>> {
        match part {
            StrPart::Term(inner) => StrPart::Term(self.term(inner)),
            other => other,
        }
    }

    fn pattern(&mut self, pattern: Pattern<&'s str>) -> Pattern<&'s str> {
        match pattern {
            Pattern::Var(_) => pattern,
            Pattern::Arr(items) => Pattern::Arr(items.into_iter().map(|item| self.pattern(item)).collect()),
            Pattern::Obj(fields) => {
                let fields = fields.into_iter().map(|(key, value)| (self.term(key), self.pattern(value)));
                Pattern::Obj(fields.collect())
            }
        }
    }

    fn path(&mut self, path: Path<Term<&'s str>>) -> Path<Term<&'s str>> {
        let parts = path.0.into_iter().map(|(part, optional)| {
            let part = match part {
                Part::Index(index) => Part::Index(self.term(index)),
                Part::Range(from, to) => {
                    Part::Range(from.map(|from| self.term(from)), to.map(|to| self.term(to)))
                }
            };
            (part, optional)
        });
        Path(parts.collect())
    }
}

fn location<'s>() -> Term<&'s str> {
    let text = |text| Term::Str(None, vec![StrPart::Str(text)]);
    Term::Obj(vec![(text("file"), Some(text("<expression>"))), (text("line"), Some(Term::Num("1")))])
}

/// Puts what stands before a `%` in brackets where the engine would take it apart: `a * b % c` to `(a * b) % c`.
pub(crate) fn tokens(tokens: Vec<Token<&str>>) -> Vec<Token<&str>> {
    let mut done: Vec<Token<&str>> = Vec::with_capacity(tokens.len());
    // Where the product began that the next token may continue, and whether it has a `*` or `/`.
    let (mut start, mut is_product) = (0, false);
    // The same of what stands around each `if` that is open: from `if` to `end` is one operand of it.
    let mut around = Vec::new();
    for token in tokens {
        let token = inner(token);
        let is_operand_before = done.len() > start;
        match token.0 {
            "%" if is_product => {
                let mut operand: Vec<Token<&str>> = done.drain(start..).collect();
                operand.push(Token(")", Tok::Sym));
                done.push(Token("(", Tok::Block(operand)));
                is_product = false;
                done.push(token);
            }
            "*" | "/" => {
                is_product = true;
                done.push(token);
            }
            "if" => {
                around.push((start, is_product));
                done.push(token);
                (start, is_product) = (done.len(), false);
            }
            "end" => {
                done.push(token);
                (start, is_product) = around.pop().unwrap_or((start, is_product));
            }
            // A minus without an operand before it is a part of the operand.
            "-" if !is_operand_before || follows_operator(&done) => done.push(token),
            _ if separates(&token) => {
                done.push(token);
                (start, is_product) = (done.len(), false);
            }
            _ => done.push(token),
        }
    }
    done
}

fn inner(Token(text, token): Token<&str>) -> Token<&str> {
    let token = match token {
        Tok::Block(block) => Tok::Block(tokens(block)),
        Tok::Str(parts) => {
            let parts = parts.into_iter().map(|part| match part {
                StrPart::Term(token) => StrPart::Term(inner(token)),
                other => other,
            });
            Tok::Str(parts.collect())
        }
        other => other,
    };
    Token(text, token)
}

fn follows_operator(done: &[Token<&str>]) -> bool {
    matches!(done.last(), Some(Token("*" | "/" | "%" | "-", _)))
}

/// Whether no product goes on over this token.
fn separates(token: &Token<&str>) -> bool {
    match token {
        Token(text, Tok::Sym) => !(text.starts_with('.') || matches!(*text, "%" | "?")),
        Token(text, Tok::Word) => matches!(
            *text,
            "and"
                | "or"
                | "as"
                | "then"
                | "elif"
                | "else"
                | "def"
                | "reduce"
                | "foreach"
                | "label"
                | "try"
                | "catch"
        ),
        _ => false,
    }
}
