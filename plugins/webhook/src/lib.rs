//! The trigger `webhook`: an inbound HTTP request starts a run.
//!
//! It says which requests count ([`judge`]) and what the caller gets ([`config`]). The address, the size limit, the
//! journal and the flow's own answer are the host's.

mod auth;
mod config;
mod cors;
mod dedupe;
mod judge;
mod path;
mod sample;
mod signature;
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
    check = check,
    sample = sample::variables,
    example = r#"{"methods": ["POST"], "respond": {"from": "flow", "within": "PT30S"}}"#
)]
fn webhook(config: Config, request: Inbound, ctx: &mut Context) -> Result<Verdict, Problem> {
    let allowed = match &config.cors {
        Some(cors) if is_preflight(&request) => return Ok(cors.preflight(&request, &config.methods)),
        Some(cors) => cors.headers(&request),
        None => vec![],
    };
    let verdict = verdict(config, &request, ctx)?;
    Ok(allowed.into_iter().fold(verdict, |verdict, (name, value)| verdict.with_header(name, value)))
}

fn check(draft: &Draft, _: &mut Context) -> Vec<Finding> {
    path::checked(draft).into_iter().collect()
}

/// Whether a browser asks before it sends, which it does without credentials.
fn is_preflight(request: &Inbound) -> bool {
    request.method() == "OPTIONS"
        && request.header("origin").is_some()
        && request.header("access-control-request-method").is_some()
}

fn verdict(config: Config, request: &Inbound, ctx: &Context) -> Result<Verdict, Problem> {
    let event = match judge::judge(&config, request, ctx)? {
        Judgement::Event(event) => event,
        Judgement::Refused(refusal) => return Ok(refusal.into_verdict()),
    };
    let known_by = dedupe::named(config.dedupe.as_ref(), &config.auth, request);
    let known = (config.dedupe.as_ref(), &config.auth);
    let judged_by = config.dedupe.as_ref().and_then(|dedupe| dedupe.expression());
    if config.variables.is_none() && config.only_if.is_none() && judged_by.is_none() {
        let verdict = dedupe::once(Verdict::start(&event), known, known_by, &Value::Null, ctx)?;
        return Ok(config.respond.to(verdict));
    }
    let whole = serde_json::to_value(&event).map_err(|error| Problem::runtime(error.to_string()))?;
    let event = match &config.variables {
        Some(variables) => variables::pick(variables, &whole),
        None => whole,
    };
    if let Some(only_if) = &config.only_if
        && !starts(only_if, &event, ctx)?
    {
        return Ok(Verdict::answer(200, [("", ""); 0], Value::Null));
    }
    let verdict = dedupe::once(Verdict::start(&event), known, known_by, &event, ctx)?;
    Ok(config.respond.to(verdict))
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
    sampling: [webhook],
    title: "Webhook",
    summary: "Starts runs from inbound HTTP requests.",
}

#[cfg(test)]
mod tests;
