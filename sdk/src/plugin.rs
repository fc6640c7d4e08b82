//! A plugin as a whole: its name-to-function table, written by [`plugin!`](crate::plugin).

use crate::action::Outcome;
use crate::context::Context;
use crate::descriptor::Descriptor;
use crate::problem::Problem;

/// What a component exports, as [`plugin!`](crate::plugin) writes it for the type `Plugin`. JSON text in, JSON text
/// out; [`MockHost`](crate::testing::MockHost) calls it in tests.
pub trait Exports {
    /// What the plugin says about itself.
    fn descriptor() -> Descriptor;

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
