//! The trigger `webhook`: an inbound HTTP request starts a run.
//!
//! It says which requests count ([`judge`]) and what the caller gets ([`config`]). The address, the size limit, the
//! journal and the flow's own answer are the host's.

mod auth;
mod config;
mod judge;

use flowcell_sdk::prelude::*;

use config::Config;
use judge::{Event, Judgement};

/// Webhook.
///
/// Starts a run for each request that has a listed method, the right credentials and a JSON body. The event is
/// `{method, path, query, headers, body, trigger}`.
#[flowcell_sdk::trigger(
    event = Event,
    example = r#"{"methods": ["POST"], "respond": {"from": "flow", "within": "PT30S"}}"#
)]
fn webhook(config: Config, request: Inbound, _ctx: &mut Context) -> Result<Verdict, Problem> {
    match judge::judge(&config, request) {
        Judgement::Event(event) => Ok(config.respond.to(Verdict::start(&event))),
        Judgement::Refused(refusal) => Ok(refusal.into_verdict()),
    }
}

flowcell_sdk::plugin! {
    triggers: [webhook],
    title: "Webhook",
    summary: "Starts runs from inbound HTTP requests.",
}

#[cfg(test)]
mod tests;
