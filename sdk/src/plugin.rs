//! A plugin as a whole: its name-to-function table, written by [`plugin!`](crate::plugin).

use crate::action::Outcome;
use crate::checks::{Draft, Finding, Kind};
use crate::context::Context;
use crate::descriptor::Descriptor;
use crate::problem::Problem;

/// What a component exports, as [`plugin!`](crate::plugin) writes it for the type `Plugin`. JSON text in, JSON text
/// out; [`MockHost`](crate::testing::MockHost) calls it in tests.
pub trait Exports {
    /// What the plugin says about itself.
    fn descriptor() -> Descriptor;

    /// What is to be said about what was written, JSON text as wit/checks.wit has it.
    fn check(name: &str, written: &str, ctx: &mut Context) -> Vec<Finding>;
    /// A step out of a text, JSON text. The error is a sentence for whoever has the text.
    fn import(format: &str, text: &str, ctx: &mut Context) -> Result<String, String>;
    /// What a trigger could take out of a request like this one, JSON text both. The error as above.
    fn sample(name: &str, given: &str, ctx: &mut Context) -> Result<String, String>;

    /// Carries out a step.
    fn start(name: &str, input: &str, ctx: &mut Context) -> Result<Outcome, Problem>;
    /// Continues a suspended step.
    fn resume(name: &str, state: &[u8], event: &str, ctx: &mut Context) -> Result<Outcome, Problem>;
    /// Undoes what a suspended step left in the world.
    fn cancel(name: &str, state: &[u8], reason: &str, ctx: &mut Context) -> Result<(), Problem>;

    /// A trigger was switched on.
    fn enable(name: &str, config: &str, ctx: &mut Context) -> Result<Vec<u8>, Problem>;
    /// A trigger was switched off.
    fn disable(name: &str, config: &str, state: &[u8], ctx: &mut Context) -> Result<(), Problem>;
    /// Judges an inbound request.
    fn receive(name: &str, config: &str, ctx: &mut Context) -> Result<String, Problem>;

    /// The descriptor as JSON text.
    fn describe() -> String {
        serde_json::to_string(&Self::descriptor()).unwrap_or_default()
    }
}

/// What checks a draft of a name.
type Check = fn(&Draft, &mut Context) -> Vec<Finding>;

/// Finds who checks what was written. A name that the plugin does not have has nothing to say.
#[doc(hidden)]
#[cold]
pub fn check(
    written: &str,
    (name, ctx): (&str, &mut Context),
    actions: &[(&str, Check)],
    triggers: &[(&str, Check)],
) -> Vec<Finding> {
    let Some(draft) = Draft::read(written) else {
        return vec![Finding::error("", "the host gives what is no draft: see wit/checks.wit")];
    };
    let of_kind = match draft.kind {
        Kind::Action => actions,
        Kind::Trigger => triggers,
    };
    let found = of_kind.iter().find(|(known, _)| *known == name);
    found.map_or_else(Vec::new, |(_, check)| check(&draft, ctx))
}

/// The answer to a name that the plugin does not have.
#[doc(hidden)]
#[cold]
pub fn unknown(what: &str, name: &str, known: &[&str]) -> Problem {
    let known = match known {
        [] => String::from("none"),
        names => names.join(", "),
    };
    Problem::configuration(format!("there is no {what} `{name}` in this plugin; it has: {known}"))
}
