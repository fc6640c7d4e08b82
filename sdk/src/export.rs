//! The exports of a component, over what [`plugin!`](crate::plugin) wrote. Present on wasm32 only.

use std::marker::PhantomData;

use crate::action::Outcome;
use crate::bindings::action::exports::flowcell::plugin::action;
use crate::bindings::action::flowcell::plugin::types::{Outcome as WitOutcome, Problem, Suspension};
use crate::bindings::checking::exports::flowcell::plugin::checks;
use crate::bindings::importing::exports::flowcell::plugin::importing;
use crate::bindings::sampling::exports::flowcell::plugin::sampling;
use crate::bindings::trigger::exports::flowcell::plugin::trigger;
use crate::checks::Finding;
use crate::context::Context;
use crate::host::Here;
#[cfg(target_os = "unknown")]
use crate::host::Host as _;
use crate::plugin::Exports;

/// A plugin in the shape that the interface asks for.
pub struct Exported<P>(PhantomData<P>);

fn context() -> Context {
    report_panics();
    Context { host: Here::default() }
}

/// Without WASI there is no standard error that a panic's message could go to; the run's log is read by the same
/// people.
fn report_panics() {
    #[cfg(target_os = "unknown")]
    std::panic::set_hook(Box::new(|panic| Here::default().log("error", &panic.to_string(), "")));
}

impl<P: Exports> action::Guest for Exported<P> {
    fn describe() -> String {
        P::describe()
    }

    fn start(name: String, input: String) -> Result<WitOutcome, Problem> {
        outcome(P::start(&name, &input, &mut context()))
    }

    fn resume(name: String, state: Vec<u8>, event: String) -> Result<WitOutcome, Problem> {
        outcome(P::resume(&name, &state, &event, &mut context()))
    }

    fn cancel(name: String, state: Vec<u8>, reason: String) -> Result<(), Problem> {
        P::cancel(&name, &state, &reason, &mut context()).map_err(|problem| problem.into_wit())
    }
}

impl<P: Exports> trigger::Guest for Exported<P> {
    fn describe() -> String {
        P::describe()
    }

    fn enable(name: String, config: String) -> Result<Vec<u8>, Problem> {
        P::enable(&name, &config, &mut context()).map_err(|problem| problem.into_wit())
    }

    fn disable(name: String, config: String, state: Vec<u8>) -> Result<(), Problem> {
        P::disable(&name, &config, &state, &mut context()).map_err(|problem| problem.into_wit())
    }

    fn receive(name: String, config: String) -> Result<String, Problem> {
        P::receive(&name, &config, &mut context()).map_err(|problem| problem.into_wit())
    }
}

impl<P: Exports> checks::Guest for Exported<P> {
    fn check(name: String, written: String) -> Vec<checks::Finding> {
        let found = P::check(&name, &written, &mut context()).into_iter();
        let finding =
            |Finding { level, at, says, data }| checks::Finding { level: level.into(), at, says, data };
        found.map(finding).collect()
    }
}

impl<P: Exports> importing::Guest for Exported<P> {
    fn from_text(format: String, text: String) -> Result<String, String> {
        P::import(&format, &text, &mut context())
    }
}

impl<P: Exports> sampling::Guest for Exported<P> {
    fn sample(name: String, given: String) -> Result<String, String> {
        P::sample(&name, &given, &mut context())
    }
}

fn outcome(result: Result<Outcome, crate::problem::Problem>) -> Result<WitOutcome, Problem> {
    match result {
        Ok(Outcome::Done(output)) => Ok(WitOutcome::Done(output)),
        Ok(Outcome::Suspend { state, wake }) => Ok(WitOutcome::Suspend(Suspension { state, wake })),
        Err(problem) => Err(problem.into_wit()),
    }
}
