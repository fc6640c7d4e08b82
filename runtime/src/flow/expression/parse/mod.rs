//! Text to tree, for the subset that is evaluated without the guest.
//!
//! [`parse`] answers `None` for everything that is not certainly in the subset, be it another part of jq or a
//! mistake: the guest knows the whole language and words the errors. Where jq's grammar and the guest's might read a
//! text differently (`1 == 1 == 1`), it is not in the subset.

mod atom;
mod text;
mod token;

use serde_json::Value;

use super::syntax::{Comparison, Node, Operator, Step, Target};

/// How many nodes a program may have, how deep brackets may nest, how long a branch may be.
const MOST_NODES: usize = 2_000;
const DEEPEST_BRACKETS: usize = 48;
const LONGEST_BRANCH: usize = 120;

/// The tree of `source`, if it is in the subset.
pub(super) fn parse(source: &str) -> Option<Node> {
    let mut parser = Parser { rest: source, nodes: 0, depth: 0 };
    let program = parser.pipe()?;
    parser.space();
    (parser.rest.is_empty() && program.is_within(LONGEST_BRANCH)).then_some(program)
}

struct Parser<'s> {
    rest: &'s str,
    nodes: usize,
    depth: usize,
}

/// What stands between two operands.
#[derive(Clone, Copy)]
enum Infix {
    Alternative,
    Or,
    And,
    Compare(Comparison),
    Arithmetic(Operator),
}

impl Infix {
    fn level(self) -> u8 {
        match self {
            Infix::Alternative => 1,
            Infix::Or => 2,
            Infix::And => 3,
            Infix::Compare(_) => 4,
            Infix::Arithmetic(Operator::Add | Operator::Subtract) => 5,
            Infix::Arithmetic(_) => 6,
        }
    }

    fn combine(self, left: Node, right: Node) -> Node {
        let (left, right) = (Box::new(left), Box::new(right));
        match self {
            Infix::Alternative => Node::Alternative(left, right),
            Infix::Or => Node::Or(left, right),
            Infix::And => Node::And(left, right),
            Infix::Compare(comparison) => Node::Compare(comparison, left, right),
            Infix::Arithmetic(operator) => Node::Arithmetic(operator, left, right),
        }
    }
}

/// The operators proper.
impl Parser<'_> {
    fn pipe(&mut self) -> Option<Node> {
        self.deeper(|parser| {
            let left = parser.binary(1)?;
            if !parser.take_symbol("|") {
                return Some(left);
            }
            Some(Node::Pipe(Box::new(left), Box::new(parser.pipe()?)))
        })
    }

    fn binary(&mut self, lowest: u8) -> Option<Node> {
        let mut left = self.unary()?;
        let mut before = None;
        while let Some((infix, length)) = self.peek_infix() {
            if infix.level() < lowest {
                break;
            }
            if before.is_some_and(|before| is_read_differently(before, infix)) {
                return None;
            }
            self.count()?;
            self.rest = &self.rest[length..];
            let right = self.binary(infix.level() + 1)?;
            left = infix.combine(left, right);
            before = Some(infix);
        }
        Some(left)
    }

    fn peek_infix(&mut self) -> Option<(Infix, usize)> {
        self.space();
        let symbol = self.symbol();
        let word = if symbol.is_empty() { self.word() } else { symbol };
        let infix = match word {
            "//" => Infix::Alternative,
            "or" => Infix::Or,
            "and" => Infix::And,
            "==" => Infix::Compare(Comparison::Equal),
            "!=" => Infix::Compare(Comparison::Unequal),
            "<" => Infix::Compare(Comparison::Less),
            "<=" => Infix::Compare(Comparison::LessOrEqual),
            ">" => Infix::Compare(Comparison::Greater),
            ">=" => Infix::Compare(Comparison::GreaterOrEqual),
            "+" => Infix::Arithmetic(Operator::Add),
            "-" => Infix::Arithmetic(Operator::Subtract),
            "*" => Infix::Arithmetic(Operator::Multiply),
            "/" => Infix::Arithmetic(Operator::Divide),
            "%" => Infix::Arithmetic(Operator::Remainder),
            _ => return None,
        };
        Some((infix, word.len()))
    }

    fn unary(&mut self) -> Option<Node> {
        self.count()?;
        if !self.take_symbol("-") {
            return self.postfix();
        }
        let inner = self.deeper(Self::unary)?;
        Some(Node::Negate(Box::new(inner)))
    }
}

/// Comparisons do not associate in jq, and `%` beside `*` and `/` is read in two ways.
fn is_read_differently(before: Infix, after: Infix) -> bool {
    match (before, after) {
        (Infix::Compare(_), Infix::Compare(_)) => true,
        (Infix::Arithmetic(before), Infix::Arithmetic(after)) => {
            (before == Operator::Remainder || after == Operator::Remainder) && before != after
        }
        _ => false,
    }
}

/// Operands: an atom and the path that follows it.
impl Parser<'_> {
    fn postfix(&mut self) -> Option<Node> {
        let (mut base, mut steps) = (Node::Input, Vec::new());
        self.space();
        if self.rest.starts_with('.') {
            steps.extend(self.leading_step()?);
        } else {
            base = self.atom()?;
        }
        if steps.is_empty() && self.take_optional() {
            base = Node::Try(Box::new(base));
        }
        while let Some(step) = self.step()? {
            self.count()?;
            steps.push(step);
        }
        Some(if steps.is_empty() { base } else { Node::Path(Box::new(base), steps) })
    }

    /// `.name` or `."name"` after an atom's place; `.` alone is the input and no step.
    fn leading_step(&mut self) -> Option<Option<Step>> {
        if self.rest.starts_with("..") {
            return None;
        }
        self.rest = &self.rest[1..];
        match self.key_after_dot()? {
            None => Some(None),
            Some(key) => Some(Some(self.finish_step(Target::Key(key)))),
        }
    }

    /// The key that follows a `.` directly, or as a string after white space.
    fn key_after_dot(&mut self) -> Option<Option<String>> {
        let word = self.word();
        if !word.is_empty() {
            let key = word.to_owned();
            self.rest = &self.rest[key.len()..];
            return (!self.rest.starts_with("::")).then_some(Some(key));
        }
        self.space();
        if self.rest.starts_with('@') {
            return None;
        }
        if !self.rest.starts_with('"') {
            return Some(None);
        }
        self.plain_text().map(Some)
    }

    /// The next step of a path; `Some(None)` where the path ends.
    fn step(&mut self) -> Option<Option<Step>> {
        self.space();
        if self.rest.starts_with('[') {
            return self.bracket().map(Some);
        }
        if !self.rest.starts_with('.') {
            return Some(None);
        }
        if self.rest.starts_with("..") {
            return None;
        }
        self.rest = &self.rest[1..];
        if let Some(key) = self.key_after_dot()? {
            return Some(Some(self.finish_step(Target::Key(key))));
        }
        if self.rest.starts_with('[') { self.bracket().map(Some) } else { None }
    }

    fn bracket(&mut self) -> Option<Step> {
        self.rest = self.rest.strip_prefix('[')?;
        let inner = self.pipe()?;
        self.expect(']')?;
        let to = match inner {
            Node::Literal(Value::String(key)) => Target::Key(key),
            Node::Literal(Value::Number(number)) if number.is_i64() => Target::Index(number.as_i64()?),
            Node::Negate(inner) => match *inner {
                Node::Literal(Value::Number(number)) if number.is_i64() => Target::Index(-number.as_i64()?),
                inner => Target::Computed(Node::Negate(Box::new(inner))),
            },
            inner => Target::Computed(inner),
        };
        Some(self.finish_step(to))
    }

    fn finish_step(&mut self, to: Target) -> Step {
        Step { to, optional: self.take_optional() }
    }

    fn take_optional(&mut self) -> bool {
        let mut optional = false;
        while self.take('?') {
            optional = true;
        }
        optional
    }
}
