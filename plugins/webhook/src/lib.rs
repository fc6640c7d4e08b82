//! The trigger `webhook`: an inbound HTTP request starts a run.
//!
//! It says which requests count ([`judge`]) and what the caller gets ([`config`]). The address, the size limit, the
//! journal and the flow's own answer are the host's.

mod auth;
mod config;
mod judge;
mod variables;

use flowcell_sdk::prelude::*;

use config::Config;
use judge::{Event, Judgement};

/// Webhook.
///
/// Starts a run for each request that has a listed method, the right credentials and a body of an accepted kind. The
/// event is `{method, path, query, headers, body, trigger}`, or what `variables` lists.
#[flowcell_sdk::trigger(
    event = Event,
    example = r#"{"methods": ["POST"], "respond": {"from": "flow", "within": "PT30S"}}"#
)]
fn webhook(config: Config, request: Inbound, ctx: &mut Context) -> Result<Verdict, Problem> {
    let event = match judge::judge(&config, request) {
        Judgement::Event(event) => event,
        Judgement::Refused(refusal) => return Ok(refusal.into_verdict()),
    };
    if config.variables.is_none() && config.only_if.is_none() {
        return Ok(config.respond.to(Verdict::start(&event)));
    }
    let whole = serde_json::to_value(&event).map_err(|error| Problem::runtime(error.to_string()))?;
    let event = match &config.variables {
        Some(variables) => variables::pick(variables, &whole),
        None => whole,
    };
    match &config.only_if {
        Some(only_if) if !starts(only_if, &event, ctx)? => {
            Ok(Verdict::answer(200, [("", ""); 0], Value::Null))
        }
        _ => Ok(config.respond.to(Verdict::start(&event))),
    }
}

/// Whether an event is one of those that start a run. What is wrong with the expression is not the caller's to know.
fn starts(only_if: &Expression, event: &Value, ctx: &Context) -> Result<bool, Problem> {
    only_if.is_true(event, ctx).map_err(|problem| {
        ctx.error(&format!("`onlyIf`: {}", problem.detail_text()));
        Problem::runtime("whether this request starts a run cannot be said")
    })
}

flowcell_sdk::plugin! {
    triggers: [webhook],
    title: "Webhook",
    summary: "Starts runs from inbound HTTP requests.",
}

#[cfg(test)]
mod tests;
