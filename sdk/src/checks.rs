//! What is wrong or odd about an input, said before anything runs: what `check = function` of the attributes is given, and
//! what it gives. The interface is wit/checks.wit.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::problem::Problem;

/// An input or a configuration as it was written: its expressions are not evaluated yet. It satisfies the schema.
///
/// ```
/// use flowcell_sdk::prelude::*;
/// use flowcell_sdk::testing::MockHost;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Input { from: u32, to: u32 }
///
/// /// Count.
/// #[flowcell_sdk::action(check = is_a_range)]
/// fn count(input: Input, _ctx: &mut Context) -> Result<u32, Problem> {
///     rule(input.from, input.to).map_err(Problem::validation)?;
///     Ok(input.to - input.from)
/// }
///
/// /// One rule, for what is written and for what runs.
/// fn rule(from: u32, to: u32) -> Result<(), &'static str> {
///     if from <= to { Ok(()) } else { Err("it is below `from`: give a larger one") }
/// }
///
/// fn is_a_range(draft: &Draft, _ctx: &mut Context) -> Vec<Finding> {
///     let number = |at: &str| draft.value(at)?.as_u64()?.try_into().ok();
///     let (Some(from), Some(to)) = (number("/from"), number("/to")) else { return vec![] };
///     rule(from, to).err().into_iter().map(|says| Finding::error("/to", says)).collect()
/// }
///
/// flowcell_sdk::plugin!(count);
///
/// # fn main() {
/// let host = MockHost::new();
/// assert_eq!(
///     host.check_action::<Plugin>("count", json!({ "from": 3, "to": 1 })),
///     [Finding::error("/to", "it is below `from`: give a larger one")]
/// );
/// assert_eq!(host.check_action::<Plugin>("count", json!({ "from": 3, "to": "${ .to }" })), []);
/// # }
/// ```
#[derive(Debug)]
pub struct Draft {
    pub(crate) kind: Kind,
    with: Value,
    expressions: Vec<PlacedExpression>,
    /// JSON text.
    config: Option<String>,
}

/// What a draft is of. An action and a trigger of one plugin may have the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Action,
    Trigger,
}

/// An expression in a [`Draft`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedExpression {
    /// Where it stands: a JSON pointer.
    pub at: String,
    /// The expression, without `${ }`.
    pub text: String,
}

impl Draft {
    /// What stands at a JSON pointer. None where nothing stands, or null, or where an expression will say it.
    pub fn value(&self, at: &str) -> Option<&Value> {
        self.with.pointer(at).filter(|value| !value.is_null())
    }

    /// The text that stands there, as [`value`](Self::value) has it.
    pub fn text(&self, at: &str) -> Option<&str> {
        self.value(at)?.as_str()
    }

    /// Whether an expression will say what stands there.
    pub fn is_open(&self, at: &str) -> bool {
        self.expressions.iter().any(|expression| is_at_or_below(at, &expression.at))
    }

    /// Whether anything stands there, be it an expression.
    pub fn has(&self, at: &str) -> bool {
        self.value(at).is_some() || self.is_open(at)
    }

    /// The expressions that stand there and below.
    pub fn expressions(&self, at: &str) -> impl Iterator<Item = &PlacedExpression> {
        self.expressions.iter().filter(move |expression| is_at_or_below(&expression.at, at))
    }

    /// A trigger's configuration, as it would be at an address such as `https://hooks.example.com/hooks/token`. None for an
    /// action.
    pub fn config<'d, T: Deserialize<'d>>(&'d self) -> Option<Result<T, Problem>> {
        self.config.as_ref().map(|config| crate::input::parse(config))
    }

    /// Reads what the host writes, as wit/checks.wit has it. By hand: a component on the path of every request carries this
    /// along, and a value's reader it has already.
    pub(crate) fn read(written: &str) -> Option<Self> {
        let mut written: Value = serde_json::from_str(written).ok()?;
        let kind = match written["kind"].as_str()? {
            "trigger" => Kind::Trigger,
            _ => Kind::Action,
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let placed =
            |one: &Value| Some(PlacedExpression { at: text(&one["at"])?, text: text(&one["text"])? });
        let expressions = written["expressions"].as_array()?.iter().filter_map(placed).collect();
        let config = Some(&written["config"]).filter(|config| !config.is_null()).map(Value::to_string);
        Some(Self { kind, expressions, config, with: written["with"].take() })
    }
}

fn is_at_or_below(place: &str, above: &str) -> bool {
    place.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What is to be said about a [`Draft`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub(crate) level: &'static str,
    pub(crate) at: String,
    pub(crate) says: String,
    pub(crate) data: Option<String>,
}

impl Finding {
    /// What is written cannot work: it is not deployed. `at` is a JSON pointer, empty for all of it; the sentence follows the
    /// name of that place.
    pub fn error(at: impl Into<String>, says: impl Into<String>) -> Self {
        Self { level: "error", at: at.into(), says: says.into(), data: None }
    }

    /// What is written is odd: its author is told.
    pub fn warning(at: impl Into<String>, says: impl Into<String>) -> Self {
        Self { level: "warning", ..Self::error(at, says) }
    }

    /// More for machines: something that serialises as a JSON object.
    #[must_use]
    pub fn data(mut self, data: &impl Serialize) -> Self {
        self.data = serde_json::to_string(data).ok();
        self
    }

    /// Whether such a document is not deployed.
    pub fn is_error(&self) -> bool {
        self.level == "error"
    }
}

/// What a trigger's own check finds; without an error in that, what is wrong with the configuration as its type reads it.
#[doc(hidden)]
pub fn of_config<T>(found: Vec<Finding>, read: Option<Result<T, Problem>>) -> Vec<Finding> {
    if found.iter().any(Finding::is_error) {
        return found;
    }
    let refused = read.and_then(Result::err).map(|problem| Finding::error("", problem.to_string()));
    found.into_iter().chain(refused).collect()
}
