//! A tree and what it sees to a value, borrowed wherever the value already exists.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::syntax::{Comparison, Node, Operator, Piece, Step, Target};
use super::{Budget, Scope, function, number, order};

/// Why there is no value.
#[derive(Debug)]
pub(super) enum Stop {
    /// The program yields nothing here.
    Empty,
    /// The program fails here, in these words.
    Failed(String),
    /// The guest must decide.
    Guest,
}

pub(super) type Outcome<'v> = Result<Cow<'v, Value>, Stop>;

const NULL: &Value = &Value::Null;

/// Evaluates a whole program.
pub(super) fn evaluate<'v>(node: &'v Node, scope: &Scope<'v>) -> Outcome<'v> {
    run(node, scope.input, Around { variables: scope.variables, budget: scope.budget })
}

/// The value as one's own: a borrowed one is copied, if the budget allows.
pub(super) fn own(value: Cow<'_, Value>, budget: &Budget) -> Option<Value> {
    match value {
        Cow::Borrowed(value) => budget.copy(value).then(|| value.clone()),
        Cow::Owned(value) => Some(value),
    }
}

/// What is the same everywhere in a program.
#[derive(Clone, Copy)]
struct Around<'v> {
    variables: &'v [(&'v str, &'v Value)],
    budget: &'v Budget,
}

impl Around<'_> {
    /// The guest goes on where the budget is used up.
    fn charge(self, bytes: usize) -> Result<(), Stop> {
        if self.budget.charge(bytes) { Ok(()) } else { Err(Stop::Guest) }
    }

    fn copy(self, value: &Value) -> Result<(), Stop> {
        if self.budget.copy(value) { Ok(()) } else { Err(Stop::Guest) }
    }

    fn own(self, value: Cow<'_, Value>) -> Result<Value, Stop> {
        own(value, self.budget).ok_or(Stop::Guest)
    }
}

fn run<'v>(node: &'v Node, input: &'v Value, around: Around<'v>) -> Outcome<'v> {
    if !around.budget.step() {
        return Err(Stop::Guest);
    }
    match node {
        Node::Input => Ok(Cow::Borrowed(input)),
        Node::Literal(value) => Ok(Cow::Borrowed(value)),
        Node::Variable(name) => variable(name, around),
        Node::Path(base, steps) => {
            let outcome = path(base, steps, input, around);
            // The guest evaluates the indices before it goes the first step; which of two failures counts is its to say.
            let is_computed = steps.iter().any(|step| matches!(step.to, Target::Computed(_)));
            if is_computed { outcome.map_err(|_| Stop::Guest) } else { outcome }
        }
        Node::Try(inner) => match run(inner, input, around) {
            Err(Stop::Failed(_)) => Err(Stop::Empty),
            outcome => outcome,
        },
        Node::Negate(inner) => match run(inner, input, around)?.as_ref() {
            Value::Number(number) => owned(number::negate(number).map(Value::Number)),
            _ => Err(Stop::Guest),
        },
        Node::Arithmetic(operator, left, right) => {
            let (left, right) = both(left, right, input, around)?;
            arithmetic(*operator, left, right, around)
        }
        Node::Compare(comparison, left, right) => {
            let (left, right) = both(left, right, input, around)?;
            // Two of one type are looked at to their ends, where they are alike so far.
            if let (Value::Array(_), Value::Array(_))
            | (Value::Object(_), Value::Object(_))
            | (Value::String(_), Value::String(_)) = (&*left, &*right)
            {
                around.copy(&left)?;
            }
            Ok(boolean(compare(*comparison, &left, &right)))
        }
        Node::And(left, right) => {
            let holds = is_true(&*run(left, input, around)?) && is_true(&*run(right, input, around)?);
            Ok(boolean(holds))
        }
        Node::Or(left, right) => {
            let holds = is_true(&*run(left, input, around)?) || is_true(&*run(right, input, around)?);
            Ok(boolean(holds))
        }
        Node::Alternative(left, right) => match run(left, input, around) {
            Ok(value) if is_true(&value) => Ok(value),
            Ok(_) | Err(Stop::Empty) => run(right, input, around),
            Err(stop) => Err(stop),
        },
        Node::Array(items) => array(items, input, around),
        Node::Object(fields) => object(fields, input, around),
        Node::Text(pieces) => text(pieces, input, around),
        Node::If(condition, then, otherwise) => {
            let branch = if is_true(&*run(condition, input, around)?) { then } else { otherwise };
            run(branch, input, around)
        }
        Node::Pipe(left, right) => match run(left, input, around)? {
            Cow::Borrowed(between) => run(right, between, around),
            Cow::Owned(between) => {
                run(right, &between, around).and_then(|value| around.own(value)).map(Cow::Owned)
            }
        },
        Node::Call(function, arguments) => {
            let mut values = Vec::with_capacity(arguments.len());
            for argument in arguments {
                values.push(operand(argument, input, around)?);
            }
            // Each looks at its input once, and makes nothing that is longer.
            if !around.budget.look(input) {
                return Err(Stop::Guest);
            }
            function::call(*function, input, &values)
        }
    }
}

fn variable<'v>(name: &str, around: Around<'v>) -> Outcome<'v> {
    let found = around.variables.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| Cow::Borrowed(*value)).ok_or(Stop::Guest)
}

fn path<'v>(base: &'v Node, steps: &'v [Step], input: &'v Value, around: Around<'v>) -> Outcome<'v> {
    let mut here = run(base, input, around)?;
    for step in steps {
        let reached = match &step.to {
            Target::Key(key) => follow(here, around, |value| key_of(value, key)),
            Target::Index(index) => follow(here, around, |value| item_of(value, *index)),
            Target::Computed(inner) => {
                let at = operand(inner, input, around)?;
                follow(here, around, |value| computed(value, &at))
            }
        };
        here = match reached {
            Err(Stop::Failed(_)) if step.optional => return Err(Stop::Empty),
            reached => reached?,
        };
    }
    Ok(here)
}

/// Goes one step, keeping a borrowed value borrowed.
fn follow<'v>(
    here: Cow<'v, Value>,
    around: Around<'v>,
    step: impl for<'r> FnOnce(&'r Value) -> Result<&'r Value, Stop>,
) -> Outcome<'v> {
    match here {
        Cow::Borrowed(value) => step(value).map(Cow::Borrowed),
        Cow::Owned(value) => {
            let found = step(&value)?;
            around.copy(found)?;
            Ok(Cow::Owned(found.clone()))
        }
    }
}

fn computed<'r>(value: &'r Value, at: &Value) -> Result<&'r Value, Stop> {
    match at {
        Value::String(key) => key_of(value, key),
        Value::Number(index) => item_of(value, index.as_i64().ok_or(Stop::Guest)?),
        _ => Err(Stop::Guest),
    }
}

fn key_of<'r>(value: &'r Value, key: &str) -> Result<&'r Value, Stop> {
    match value {
        Value::Object(fields) => Ok(fields.get(key).unwrap_or(NULL)),
        Value::Null => Ok(NULL),
        other => {
            Err(Stop::Failed(format!("Cannot index {} with string \"{key}\"", function::type_name(other))))
        }
    }
}

fn item_of(value: &Value, index: i64) -> Result<&Value, Stop> {
    match value {
        Value::Array(items) => {
            let from_end =
                || usize::try_from(index.unsigned_abs()).ok().and_then(|back| items.len().checked_sub(back));
            let position = if index < 0 { from_end() } else { usize::try_from(index).ok() };
            Ok(position.and_then(|position| items.get(position)).unwrap_or(NULL))
        }
        Value::Null => Ok(NULL),
        other => Err(Stop::Failed(format!("Cannot index {} with number", function::type_name(other)))),
    }
}

/// An operand of what combines several: where one fails and another yields nothing, the guest decides which counts.
fn operand<'v>(node: &'v Node, input: &'v Value, around: Around<'v>) -> Outcome<'v> {
    run(node, input, around).map_err(|_| Stop::Guest)
}

fn both<'v>(
    left: &'v Node,
    right: &'v Node,
    input: &'v Value,
    around: Around<'v>,
) -> Result<(Cow<'v, Value>, Cow<'v, Value>), Stop> {
    Ok((operand(left, input, around)?, operand(right, input, around)?))
}

fn arithmetic(
    operator: Operator,
    left: Cow<'_, Value>,
    right: Cow<'_, Value>,
    around: Around<'_>,
) -> Outcome<'static> {
    if let (Value::Number(left), Value::Number(right)) = (left.as_ref(), right.as_ref()) {
        return owned(number::calculate(operator, left, right).map(Value::Number));
    }
    if operator != Operator::Add {
        return Err(Stop::Guest);
    }
    // A list or a text that grows is moved, be it owned.
    around.copy(&left)?;
    around.copy(&right)?;
    owned(match (left.into_owned(), right.into_owned()) {
        (Value::Null, other) | (other, Value::Null) => Some(other),
        (Value::String(mut left), Value::String(right)) => {
            left.push_str(&right);
            Some(Value::String(left))
        }
        (Value::Array(mut left), Value::Array(right)) => {
            left.extend(right);
            Some(Value::Array(left))
        }
        (Value::Object(mut left), Value::Object(right)) => {
            left.extend(right);
            Some(Value::Object(left))
        }
        _ => None,
    })
}

fn compare(comparison: Comparison, left: &Value, right: &Value) -> bool {
    let order = order::compare(left, right);
    match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::Unequal => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }
}

fn array<'v>(items: &'v [Node], input: &'v Value, around: Around<'v>) -> Outcome<'v> {
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        match run(item, input, around) {
            Ok(value) => values.push(around.own(value)?),
            Err(Stop::Empty) => {}
            Err(stop) => return Err(stop),
        }
    }
    Ok(Cow::Owned(Value::Array(values)))
}

fn object<'v>(fields: &'v [(Node, Node)], input: &'v Value, around: Around<'v>) -> Outcome<'v> {
    let mut object = Map::new();
    for (key, value) in fields {
        let Value::String(key) = around.own(operand(key, input, around)?)? else {
            return Err(Stop::Guest);
        };
        let value = around.own(operand(value, input, around)?)?;
        object.insert(key, value);
    }
    Ok(Cow::Owned(Value::Object(object)))
}

fn text<'v>(pieces: &'v [Piece], input: &'v Value, around: Around<'v>) -> Outcome<'v> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Plain(plain) => text.push_str(plain),
            Piece::Inner(inner) => {
                let value = operand(inner, input, around)?;
                let piece = function::to_text(&value).ok_or(Stop::Guest)?;
                around.charge(piece.len())?;
                text.push_str(&piece);
            }
        }
    }
    Ok(Cow::Owned(Value::String(text)))
}

fn is_true(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

fn boolean(value: bool) -> Cow<'static, Value> {
    Cow::Owned(Value::Bool(value))
}

fn owned(value: Option<Value>) -> Outcome<'static> {
    value.map(Cow::Owned).ok_or(Stop::Guest)
}
