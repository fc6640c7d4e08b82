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
    run(node, scope.input, Environment { variables: scope.variables, budget: scope.budget })
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
struct Environment<'v> {
    variables: &'v [(&'v str, &'v Value)],
    budget: &'v Budget,
}

impl Environment<'_> {
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

fn run<'v>(node: &'v Node, input: &'v Value, environment: Environment<'v>) -> Outcome<'v> {
    if !environment.budget.step() {
        return Err(Stop::Guest);
    }
    match node {
        Node::Input => Ok(Cow::Borrowed(input)),
        Node::Literal(value) => Ok(Cow::Borrowed(value)),
        Node::Variable(name) => variable(name, environment),
        Node::Path(base, steps) => {
            let outcome = path(base, steps, input, environment);
            // The guest evaluates the indices before it goes the first step; which of two failures counts is its to say.
            let is_computed = steps.iter().any(|step| matches!(step.to, Target::Computed(_)));
            if is_computed { outcome.map_err(|_| Stop::Guest) } else { outcome }
        }
        Node::Try(inner) => match run(inner, input, environment) {
            Err(Stop::Failed(_)) => Err(Stop::Empty),
            outcome => outcome,
        },
        Node::Negate(inner) => match run(inner, input, environment)?.as_ref() {
            Value::Number(number) => owned(number::negate(number).map(Value::Number)),
            _ => Err(Stop::Guest),
        },
        Node::Arithmetic(operator, left, right) => {
            let (left, right) = both(left, right, input, environment)?;
            arithmetic(*operator, left, right, environment)
        }
        Node::Compare(comparison, left, right) => {
            let (left, right) = both(left, right, input, environment)?;
            // Two of one type are looked at to their ends, where they are alike so far.
            if let (Value::Array(_), Value::Array(_))
            | (Value::Object(_), Value::Object(_))
            | (Value::String(_), Value::String(_)) = (&*left, &*right)
            {
                environment.copy(&left)?;
            }
            Ok(boolean(compare(*comparison, &left, &right)))
        }
        Node::And(left, right) => {
            let holds =
                is_true(&*run(left, input, environment)?) && is_true(&*run(right, input, environment)?);
            Ok(boolean(holds))
        }
        Node::Or(left, right) => {
            let holds =
                is_true(&*run(left, input, environment)?) || is_true(&*run(right, input, environment)?);
            Ok(boolean(holds))
        }
        Node::Alternative(left, right) => match run(left, input, environment) {
            Ok(value) if is_true(&value) => Ok(value),
            Ok(_) | Err(Stop::Empty) => run(right, input, environment),
            Err(stop) => Err(stop),
        },
        Node::Array(items) => array(items, input, environment),
        Node::Object(fields) => object(fields, input, environment),
        Node::Text(pieces) => text(pieces, input, environment),
        Node::If(condition, then, otherwise) => {
            let branch = if is_true(&*run(condition, input, environment)?) { then } else { otherwise };
            run(branch, input, environment)
        }
        Node::Pipe(left, right) => match run(left, input, environment)? {
            Cow::Borrowed(between) => run(right, between, environment),
            Cow::Owned(between) => {
                run(right, &between, environment).and_then(|value| environment.own(value)).map(Cow::Owned)
            }
        },
        Node::Call(function, arguments) => {
            let mut values = Vec::with_capacity(arguments.len());
            for argument in arguments {
                values.push(operand(argument, input, environment)?);
            }
            // Each looks at its input once, and makes nothing that is longer.
            if !environment.budget.look(input) {
                return Err(Stop::Guest);
            }
            function::call(*function, input, &values)
        }
    }
}

fn variable<'v>(name: &str, environment: Environment<'v>) -> Outcome<'v> {
    let found = environment.variables.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| Cow::Borrowed(*value)).ok_or(Stop::Guest)
}

fn path<'v>(
    base: &'v Node,
    steps: &'v [Step],
    input: &'v Value,
    environment: Environment<'v>,
) -> Outcome<'v> {
    let mut here = run(base, input, environment)?;
    for step in steps {
        let reached = match &step.to {
            Target::Key(key) => follow(here, environment, |value| key_of(value, key)),
            Target::Index(index) => follow(here, environment, |value| item_of(value, *index)),
            Target::Computed(inner) => {
                let at = operand(inner, input, environment)?;
                follow(here, environment, |value| computed(value, &at))
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
    environment: Environment<'v>,
    step: impl for<'r> FnOnce(&'r Value) -> Result<&'r Value, Stop>,
) -> Outcome<'v> {
    match here {
        Cow::Borrowed(value) => step(value).map(Cow::Borrowed),
        Cow::Owned(value) => {
            let found = step(&value)?;
            environment.copy(found)?;
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
fn operand<'v>(node: &'v Node, input: &'v Value, environment: Environment<'v>) -> Outcome<'v> {
    run(node, input, environment).map_err(|_| Stop::Guest)
}

fn both<'v>(
    left: &'v Node,
    right: &'v Node,
    input: &'v Value,
    environment: Environment<'v>,
) -> Result<(Cow<'v, Value>, Cow<'v, Value>), Stop> {
    Ok((operand(left, input, environment)?, operand(right, input, environment)?))
}

fn arithmetic(
    operator: Operator,
    left: Cow<'_, Value>,
    right: Cow<'_, Value>,
    environment: Environment<'_>,
) -> Outcome<'static> {
    if let (Value::Number(left), Value::Number(right)) = (left.as_ref(), right.as_ref()) {
        return owned(number::calculate(operator, left, right).map(Value::Number));
    }
    if operator != Operator::Add {
        return Err(Stop::Guest);
    }
    // A list or a text that grows is moved, be it owned.
    environment.copy(&left)?;
    environment.copy(&right)?;
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

fn array<'v>(items: &'v [Node], input: &'v Value, environment: Environment<'v>) -> Outcome<'v> {
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        match run(item, input, environment) {
            Ok(value) => values.push(environment.own(value)?),
            Err(Stop::Empty) => {}
            Err(stop) => return Err(stop),
        }
    }
    Ok(Cow::Owned(Value::Array(values)))
}

fn object<'v>(fields: &'v [(Node, Node)], input: &'v Value, environment: Environment<'v>) -> Outcome<'v> {
    let mut object = Map::new();
    for (key, value) in fields {
        let Value::String(key) = environment.own(operand(key, input, environment)?)? else {
            return Err(Stop::Guest);
        };
        let value = environment.own(operand(value, input, environment)?)?;
        object.insert(key, value);
    }
    Ok(Cow::Owned(Value::Object(object)))
}

fn text<'v>(pieces: &'v [Piece], input: &'v Value, environment: Environment<'v>) -> Outcome<'v> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Plain(plain) => text.push_str(plain),
            Piece::Inner(inner) => {
                let value = operand(inner, input, environment)?;
                let piece = function::to_text(&value).ok_or(Stop::Guest)?;
                environment.charge(piece.len())?;
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
