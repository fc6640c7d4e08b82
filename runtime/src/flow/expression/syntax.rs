//! The subset of jq that is evaluated without the guest, as a tree.
//!
//! Every node yields exactly one value, none (only behind `?`), or an error; what yields several is not in it.

use std::collections::BTreeSet;

use serde_json::Value;

/// A program or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// `.`
    Input,
    /// A number, a string without interpolation, `true`, `false`, `null`, `[]`, `{}`.
    Literal(Value),
    /// `$name`
    Variable(String),
    /// `base.a["b"][0]`
    Path(Box<Node>, Vec<Step>),
    /// `inner?`: no value where `inner` fails.
    Try(Box<Node>),
    /// `-inner`
    Negate(Box<Node>),
    /// `left + right` and the like.
    Arithmetic(Operator, Box<Node>, Box<Node>),
    /// `left < right` and the like.
    Compare(Comparison, Box<Node>, Box<Node>),
    /// `left and right`
    And(Box<Node>, Box<Node>),
    /// `left or right`
    Or(Box<Node>, Box<Node>),
    /// `left // right`
    Alternative(Box<Node>, Box<Node>),
    /// `[a, b]`
    Array(Vec<Node>),
    /// `{a: 1, (.b): 2}`
    Object(Vec<(Node, Node)>),
    /// `"text \(inner)"`
    Text(Vec<Piece>),
    /// `if a then b else c end`
    If(Box<Node>, Box<Node>, Box<Node>),
    /// `left | right`
    Pipe(Box<Node>, Box<Node>),
    /// `length`, `startswith("a")`
    Call(Function, Vec<Node>),
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// Where it leads.
    pub to: Target,
    /// Whether `?` follows: where the step is impossible there is no value, instead of an error.
    pub optional: bool,
}

/// Where a step of a path leads.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    /// `.a`, `["a"]`
    Key(String),
    /// `[0]`, `[-1]`
    Index(i64),
    /// `[inner]`; `inner` sees what the whole path sees.
    Computed(Node),
}

/// A part of an interpolated string.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// As it stands.
    Plain(String),
    /// `\(inner)`
    Inner(Node),
}

/// What combines two values into one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// What compares two values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The functions of the subset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Function {
    Not,
    Length,
    Keys,
    Type,
    First,
    Last,
    ToText,
    ToNumber,
    LowerCase,
    UpperCase,
    StartsWith,
    EndsWith,
    Has,
}

impl Node {
    /// The variables it uses.
    pub fn variables(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        self.visit(&mut |node| {
            if let Node::Variable(name) = node {
                names.insert(name.clone());
            }
        });
        names
    }

    /// Whether no branch of the tree is longer than `levels`.
    pub fn is_within(&self, levels: usize) -> bool {
        let mut within = levels > 0;
        self.children(&mut |child| within = within && child.is_within(levels - 1));
        within
    }

    fn visit(&self, seen: &mut dyn FnMut(&Node)) {
        seen(self);
        self.children(&mut |child| child.visit(&mut *seen));
    }

    fn children(&self, each: &mut dyn FnMut(&Node)) {
        match self {
            Node::Input | Node::Literal(_) | Node::Variable(_) => {}
            Node::Try(inner) | Node::Negate(inner) => each(inner),
            Node::Arithmetic(_, left, right)
            | Node::Compare(_, left, right)
            | Node::And(left, right)
            | Node::Or(left, right)
            | Node::Alternative(left, right)
            | Node::Pipe(left, right) => {
                each(left);
                each(right);
            }
            Node::If(condition, then, otherwise) => {
                each(condition);
                each(then);
                each(otherwise);
            }
            Node::Array(items) | Node::Call(_, items) => items.iter().for_each(each),
            Node::Object(fields) => {
                for (key, value) in fields {
                    each(key);
                    each(value);
                }
            }
            Node::Text(pieces) => {
                for piece in pieces {
                    if let Piece::Inner(inner) = piece {
                        each(inner);
                    }
                }
            }
            Node::Path(base, steps) => {
                each(base);
                for step in steps {
                    if let Target::Computed(inner) = &step.to {
                        each(inner);
                    }
                }
            }
        }
    }
}
