//! A step that subscribes to something, waits to be called back, and unsubscribes.
//!
//! The step's sandbox is gone while it waits. What is left is the request that unsubscribes ([`template`] has filled it
//! from the answer to the subscription), and the host sends it through `cancel` however the step ends: again until it
//! succeeds, after the run is over too.

mod template;

use flowcell_plugin_http::answer::Output as Exchanged;
use flowcell_plugin_http::input::Input as Exchange;
use flowcell_plugin_http::request;
use flowcell_sdk::prelude::*;
use flowcell_sdk::{TimeSpan, input};
use serde_json::value::RawValue;

/// What a flow writes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Input<'a> {
    /// The request that asks for a call back. It names `${ $task.callback.url }` somewhere.
    #[serde(borrow)]
    #[schemars(with = "Exchange<'static>")]
    subscribe: &'a RawValue,
    /// The request that ends that, sent when the step is over. `{{ subscribe.body.id }}` in its texts reads the answer
    /// to `subscribe`: `status`, `headers` and `body`.
    #[serde(default)]
    #[schemars(with = "Option<Exchange<'static>>")]
    unsubscribe: Option<Value>,
    /// How long the step waits; as long as the run lives unless said otherwise.
    #[serde(default)]
    timeout: Option<TimeSpan>,
}

/// The request that called back.
#[derive(Serialize, JsonSchema)]
struct Output {
    /// What the caller was answered with.
    status: u16,
    /// By lower-case name.
    headers: Value,
    /// JSON decoded, text, base64 (see `encoding`), or null where it was empty.
    body: Value,
    /// `base64` where the body is bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<Value>,
}

/// What is left while the step waits.
#[derive(Serialize, Deserialize)]
struct Left {
    unsubscribe: Option<Unsubscribe>,
}

#[derive(Serialize, Deserialize)]
enum Unsubscribe {
    /// With this request.
    By(Box<RawValue>),
    /// For this reason.
    Not(String),
}

/// HTTP webhook.
///
/// Sends a request that asks for a call back, waits for it without holding anything in memory, and gives what came:
/// `{status, headers, body}`. Then, or when the run is cancelled or the time is over, it sends the request that
/// unsubscribes.
#[flowcell_sdk::action(
    name = "http-webhook",
    resume = called_back,
    cancel = unsubscribe,
    wants(http = "the hosts that the flow names: sends the requests that subscribe and unsubscribe"),
    example = r#"{"subscribe": {"method": "POST", "url": "https://ok.example.com/subs", "body": {"callback": "https://hooks.example.com/callbacks/…"}}, "unsubscribe": {"method": "DELETE", "url": "https://ok.example.com/subs/{{ subscribe.body.id }}"}}"#
)]
fn http_webhook(input: Input<'_>, ctx: &mut Context) -> Result<Next<Output, Left>, Problem> {
    if !input.subscribe.get().contains(&ctx.callback_url()) {
        ctx.warn("`subscribe` does not name the callback address: write ${ $task.callback.url } into it");
    }
    if let Some(unsubscribe) = &input.unsubscribe {
        template::check(unsubscribe).map_err(|why| Problem::validation(format!("`unsubscribe`: {why}")))?;
        read(&unsubscribe.to_string(), "unsubscribe")?;
    }
    if input.timeout.is_some_and(|timeout| timeout.as_duration().is_zero()) {
        return Err(Problem::validation("`timeout` is zero; give a time such as PT1H"));
    }
    let answer = exchange(read(input.subscribe.get(), "subscribe")?, ctx)?;
    let left = Left { unsubscribe: input.unsubscribe.map(|written| prepared(written, &answer, ctx)) };
    let cleanup = left.unsubscribe.is_some();
    let mut wait = Wait::for_callback(left);
    if let Some(timeout) = input.timeout {
        wait = wait.at_most(timeout.as_duration());
    }
    Ok(if cleanup { wait.with_cleanup().into() } else { wait.into() })
}

/// The request that unsubscribes, made of the answer to the subscription. It cannot be made where that answer lacks what
/// it names. The step goes on all the same, for the subscription stands; that nothing can end it is told now in the log,
/// and in the end as the outcome of the step's clean-up.
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

/// Sends a request; the answer as `{status, headers, body}`.
fn exchange(exchange: Exchange<'_>, ctx: &Context) -> Result<Value, Problem> {
    let redirects = exchange.redirects.unwrap_or(Redirects::Follow);
    let output = Exchanged::of(request::send(&exchange, redirects, ctx)??, redirects);
    if !output.success {
        return Err(output.into_problem(exchange.method, &exchange.url));
    }
    serde_json::to_value(output).map_err(|error| Problem::runtime(error.to_string()))
}

fn read<'w>(written: &'w str, name: &str) -> Result<Exchange<'w>, Problem> {
    let named = |problem: Problem| Problem::validation(format!("`{name}`: {}", problem.detail_text()));
    let exchange: Exchange<'w> = input::parse(written).map_err(named)?;
    match exchange.allow_failure {
        false => Ok(exchange),
        true => Err(Problem::validation(format!(
            "`{name}`: leave `allowFailure` out: a request that fails is tried again or fails the step"
        ))),
    }
}

fn called_back(_: Left, wake: Wake, _ctx: &mut Context) -> Result<Next<Output, Left>, Problem> {
    let encoding = Some(wake.get("encoding")).filter(|encoding| !encoding.is_null());
    Ok(Next::Done(Output {
        status: 202,
        headers: wake.get("headers").clone(),
        body: wake.get("body").clone(),
        encoding: encoding.cloned(),
    }))
}

/// What is gone already need not be unsubscribed.
fn unsubscribe(left: Left, _reason: &str, ctx: &mut Context) -> Result<(), Problem> {
    let written = match left.unsubscribe {
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

flowcell_sdk::plugin! {
    actions: [http_webhook],
    title: "HTTP webhook",
    summary: "Steps that subscribe to something and wait to be called back.",
}

#[cfg(test)]
mod tests;
