//! A tree and what it sees to a value, borrowed wherever the value already exists.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::syntax::{Comparison, Node, Operator, Piece, Step, Target};
use super::{Scope, function, number, order};

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
    run(node, scope.input, scope.variables)
}

type Variables<'v> = &'v [(&'v str, &'v Value)];

fn run<'v>(node: &'v Node, input: &'v Value, variables: Variables<'v>) -> Outcome<'v> {
    match node {
        Node::Input => Ok(Cow::Borrowed(input)),
        Node::Literal(value) => Ok(Cow::Borrowed(value)),
        Node::Variable(name) => variable(name, variables),
        Node::Path(base, steps) => {
            let outcome = path(base, steps, input, variables);
            // The guest evaluates the indices before it goes the first step; which of two failures counts is its to say.
            let is_computed = steps.iter().any(|step| matches!(step.to, Target::Computed(_)));
            if is_computed { outcome.map_err(|_| Stop::Guest) } else { outcome }
        }
        Node::Try(inner) => match run(inner, input, variables) {
            Err(Stop::Failed(_)) => Err(Stop::Empty),
            outcome => outcome,
        },
        Node::Negate(inner) => match run(inner, input, variables)?.as_ref() {
            Value::Number(number) => owned(number::negate(number).map(Value::Number)),
            _ => Err(Stop::Guest),
        },
        Node::Arithmetic(operator, left, right) => {
            let (left, right) = both(left, right, input, variables)?;
            owned(arithmetic(*operator, left, right))
        }
        Node::Compare(comparison, left, right) => {
            let (left, right) = both(left, right, input, variables)?;
            Ok(boolean(compare(*comparison, &left, &right)))
        }
        Node::And(left, right) => {
            let holds = is_true(&*run(left, input, variables)?) && is_true(&*run(right, input, variables)?);
            Ok(boolean(holds))
        }
        Node::Or(left, right) => {
            let holds = is_true(&*run(left, input, variables)?) || is_true(&*run(right, input, variables)?);
            Ok(boolean(holds))
        }
        Node::Alternative(left, right) => match run(left, input, variables) {
            Ok(value) if is_true(&value) => Ok(value),
            Ok(_) | Err(Stop::Empty) => run(right, input, variables),
            Err(stop) => Err(stop),
        },
        Node::Array(items) => array(items, input, variables),
        Node::Object(fields) => object(fields, input, variables),
        Node::Text(pieces) => text(pieces, input, variables),
        Node::If(condition, then, otherwise) => {
            let branch = if is_true(&*run(condition, input, variables)?) { then } else { otherwise };
            run(branch, input, variables)
        }
        Node::Pipe(left, right) => match run(left, input, variables)? {
            Cow::Borrowed(between) => run(right, between, variables),
            Cow::Owned(between) => {
                run(right, &between, variables).map(|value| Cow::Owned(value.into_owned()))
            }
        },
        Node::Call(function, arguments) => {
            let mut values = Vec::with_capacity(arguments.len());
            for argument in arguments {
                values.push(operand(argument, input, variables)?);
            }
            function::call(*function, input, &values)
        }
    }
}

fn variable<'v>(name: &str, variables: Variables<'v>) -> Outcome<'v> {
    let found = variables.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| Cow::Borrowed(*value)).ok_or(Stop::Guest)
}

fn path<'v>(base: &'v Node, steps: &'v [Step], input: &'v Value, variables: Variables<'v>) -> Outcome<'v> {
    let mut here = run(base, input, variables)?;
    for step in steps {
        let reached = match &step.to {
            Target::Key(key) => follow(here, |value| key_of(value, key)),
            Target::Index(index) => follow(here, |value| item_of(value, *index)),
            Target::Computed(inner) => {
                let at = operand(inner, input, variables)?;
                follow(here, |value| computed(value, &at))
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
    step: impl for<'r> FnOnce(&'r Value) -> Result<&'r Value, Stop>,
) -> Outcome<'v> {
    match here {
        Cow::Borrowed(value) => step(value).map(Cow::Borrowed),
        Cow::Owned(value) => step(&value).map(|found| Cow::Owned(found.clone())),
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
fn operand<'v>(node: &'v Node, input: &'v Value, variables: Variables<'v>) -> Outcome<'v> {
    run(node, input, variables).map_err(|_| Stop::Guest)
}

fn both<'v>(
    left: &'v Node,
    right: &'v Node,
    input: &'v Value,
    variables: Variables<'v>,
) -> Result<(Cow<'v, Value>, Cow<'v, Value>), Stop> {
    Ok((operand(left, input, variables)?, operand(right, input, variables)?))
}

fn arithmetic(operator: Operator, left: Cow<'_, Value>, right: Cow<'_, Value>) -> Option<Value> {
    if let (Value::Number(left), Value::Number(right)) = (left.as_ref(), right.as_ref()) {
        return number::calculate(operator, left, right).map(Value::Number);
    }
    if operator != Operator::Add {
        return None;
    }
    match (left.into_owned(), right.into_owned()) {
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
    }
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

fn array<'v>(items: &'v [Node], input: &'v Value, variables: Variables<'v>) -> Outcome<'v> {
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        match run(item, input, variables) {
            Ok(value) => values.push(value.into_owned()),
            Err(Stop::Empty) => {}
            Err(stop) => return Err(stop),
        }
    }
    Ok(Cow::Owned(Value::Array(values)))
}

fn object<'v>(fields: &'v [(Node, Node)], input: &'v Value, variables: Variables<'v>) -> Outcome<'v> {
    let mut object = Map::new();
    for (key, value) in fields {
        let Value::String(key) = operand(key, input, variables)?.into_owned() else {
            return Err(Stop::Guest);
        };
        object.insert(key, operand(value, input, variables)?.into_owned());
    }
    Ok(Cow::Owned(Value::Object(object)))
}

fn text<'v>(pieces: &'v [Piece], input: &'v Value, variables: Variables<'v>) -> Outcome<'v> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Plain(plain) => text.push_str(plain),
            Piece::Inner(inner) => {
                let value = operand(inner, input, variables)?;
                text.push_str(&function::to_text(&value).ok_or(Stop::Guest)?);
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
