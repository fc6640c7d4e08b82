//! The two requests: one subscribes, and the other one, made of its answer, ends that.

use flowcell_plugin_http::answer::Output as Exchanged;
use flowcell_plugin_http::checks;
use flowcell_plugin_http::input::Input as Exchange;
use flowcell_plugin_http::request;
use flowcell_plugin_http::retry::Failed;
use flowcell_sdk::input;
use flowcell_sdk::prelude::*;
use serde_json::value::RawValue;

use crate::template;

/// The request that unsubscribes.
#[derive(Serialize, Deserialize)]
pub enum Unsubscribe {
    /// With this request.
    By(Box<RawValue>),
    /// For this reason.
    Not(String),
}

/// What is wrong with the two requests, said before anything is sent.
pub fn check(subscribe: &RawValue, unsubscribe: Option<&Value>, ctx: &Context) -> Result<(), Problem> {
    read(subscribe.get(), "subscribe")?;
    if !subscribe.get().contains(&ctx.callback_url()) {
        ctx.warn("`subscribe` does not name the callback address: write ${ $task.callback.url } into it");
    }
    if let Some(unsubscribe) = unsubscribe {
        template::check(unsubscribe).map_err(|why| Problem::validation(format!("`unsubscribe`: {why}")))?;
        read(&unsubscribe.to_string(), "unsubscribe")?;
    }
    Ok(())
}

/// What is to be said about the two requests as they are written.
pub fn checked(draft: &Draft) -> Vec<Finding> {
    let mut found = checks::of_request(draft, "/subscribe");
    if let Some(subscribe @ Value::Object(_)) = draft.value("/subscribe")
        && !names_the_address(subscribe)
        && !draft.expressions("/subscribe").any(|expression| expression.text.contains(ADDRESS))
    {
        let says = "it does not say where to call: put `${ $task.callback.url }` into its body, its query or its URL";
        found.push(Finding::warning("/subscribe", says));
    }
    found.extend(checks::of_request(draft, "/unsubscribe"));
    if let Some(unsubscribe @ Value::Object(_)) = draft.value("/unsubscribe")
        && let Err((text, _)) = template::places_of(unsubscribe)
    {
        let says = format!(
            "what stands in `{{{{ }}}}` is a place in the answer to `subscribe`, such as {{{{ subscribe.body.id }}}}; here is `{text}`"
        );
        found.push(Finding::error("/unsubscribe", says));
    }
    found
}

/// What of `$task` is the address.
const ADDRESS: &str = "callback.url";

fn names_the_address(written: &Value) -> bool {
    match written {
        Value::String(text) => text.contains(ADDRESS),
        Value::Array(items) => items.iter().any(names_the_address),
        Value::Object(fields) => fields.values().any(names_the_address),
        _ => false,
    }
}

/// Subscribes, and gives the request that ends it.
pub fn subscribe(
    subscribe: &RawValue,
    unsubscribe: Option<Value>,
    ctx: &Context,
) -> Result<Option<Unsubscribe>, Problem> {
    let answer = exchange(read(subscribe.get(), "subscribe")?, ctx)?;
    Ok(unsubscribe.map(|written| prepared(written, &answer, ctx)))
}

/// The request that unsubscribes, made of the answer to the subscription. It cannot be made where that answer lacks what
/// it names. What was begun goes on all the same, for the subscription stands; that nothing can end it is told now in the
/// log, and in the end as the outcome of the clean-up.
fn prepared(unsubscribe: Value, answer: &Value, ctx: &Context) -> Unsubscribe {
    let filled = template::fill(unsubscribe, &json!({ "subscribe": answer })).and_then(|filled| {
        let text = filled.to_string();
        read(&text, "unsubscribe").map_err(|problem| problem.detail_text().to_owned())?;
        RawValue::from_string(text).map_err(|error| error.to_string())
    });
    match filled {
        Ok(request) => Unsubscribe::By(request),
        Err(why) => {
            ctx.error(&format!("nothing will be unsubscribed: {why}"));
            Unsubscribe::Not(why)
        }
    }
}

/// Ends it. What is gone already need not be unsubscribed.
pub fn unsubscribe(left: Option<Unsubscribe>, ctx: &Context) -> Result<(), Problem> {
    let written = match left {
        None => return Ok(()),
        Some(Unsubscribe::Not(why)) => {
            return Err(Problem::validation(format!("the subscription stands: {why}")));
        }
        Some(Unsubscribe::By(written)) => written,
    };
    let mut request = read(written.get(), "unsubscribe")?;
    if !request.headers.0.iter().any(|(name, _)| name.eq_ignore_ascii_case("idempotency-key")) {
        // Under the key of the subscription a server would take this for its repetition.
        let key = format!("{}-unsubscribe", ctx.idempotency_key());
        request.headers.0.push(("idempotency-key".into(), key));
    }
    match exchange(request, ctx) {
        Err(problem) if !matches!(problem.status(), 404 | 410) => Err(problem),
        _ => Ok(()),
    }
}

/// Sends a request; the answer as `{status, headers, body}`.
fn exchange(exchange: Exchange<'_>, ctx: &Context) -> Result<Value, Problem> {
    let redirects = exchange.redirects.unwrap_or(Redirects::Follow);
    // Both requests have an idempotency key of their own, and no other purpose than to succeed once.
    let failed = Failed { policy: exchange.retry.as_ref(), method: exchange.method, is_asked_for: true };
    let output = match request::send(&exchange, redirects, ctx)? {
        Ok(response) => Exchanged::of(response, redirects, &exchange),
        Err(error) => {
            let pause = failed.after_error(&error, ctx);
            return Err(again(Problem::from(error), pause));
        }
    };
    if !output.success {
        let pause = failed.after_answer(&output, ctx);
        return Err(again(output.into_problem(exchange.method, &exchange.url), pause));
    }
    serde_json::to_value(output).map_err(|error| Problem::runtime(error.to_string()))
}

fn again(problem: Problem, pause: Option<Duration>) -> Problem {
    match pause {
        Some(pause) => problem.retry_after(pause),
        None => problem,
    }
}

fn read<'w>(written: &'w str, name: &str) -> Result<Exchange<'w>, Problem> {
    let named = |problem: Problem| Problem::validation(format!("`{name}`: {}", problem.detail_text()));
    let exchange: Exchange<'w> = input::parse(written).map_err(named)?;
    if exchange.pages.is_some() {
        return Err(Problem::validation(format!(
            "`{name}`: leave `pages` out: what is asked for is one answer"
        )));
    }
    match exchange.allow_failure {
        false => Ok(exchange),
        true => Err(Problem::validation(format!(
            "`{name}`: leave `allowFailure` out: a request that fails is tried again or fails the step"
        ))),
    }
}
