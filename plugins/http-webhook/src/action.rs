//! A step that subscribes to something, waits to be called back, and unsubscribes.
//!
//! The step's sandbox is gone while it waits. What is left is the request that unsubscribes, and the host sends it
//! through `cancel` however the step ends: again until it succeeds, after the run is over too.

use flowcell_plugin_http::checks;
use flowcell_plugin_http::input::Input as Exchange;
use flowcell_plugin_http::rules;
use flowcell_sdk::prelude::*;
use flowcell_sdk::problem::kind;
use serde_json::value::RawValue;

use crate::subscription::{self, Unsubscribe};

/// A time that a step may wait, as an example.
const TIMEOUT: &str = "PT1H";

/// What a flow writes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Input<'a> {
    /// The request that asks for a call back. It names `${ $task.callback.url }` somewhere.
    #[serde(borrow)]
    #[schemars(with = "Exchange<'static>")]
    subscribe: &'a RawValue,
    /// The request that ends that, sent when the step is over. `{{ subscribe.body.id }}` in its texts reads the answer
    /// to `subscribe`: `status`, `headers` and `body`.
    #[serde(default)]
    #[schemars(with = "Option<Exchange<'static>>")]
    unsubscribe: Option<Value>,
    /// Whether a request to the callback address says that it went wrong: an expression over `{method, query, headers,
    /// body}`, without `${ }`, such as `.body.status == "failed"`. The step then fails with what came.
    #[serde(default)]
    fail_when: Option<Expression>,
    /// Whether a request to the callback address only says how far it is, as above. The step waits on.
    #[serde(default)]
    progress_when: Option<Expression>,
    /// How long the step waits; as long as the run lives unless said otherwise.
    #[serde(default)]
    timeout: Option<TimeSpan>,
}

/// The request that called back.
#[derive(Serialize, JsonSchema)]
pub struct Output {
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
pub struct Left {
    unsubscribe: Option<Unsubscribe>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fail_when: Option<Expression>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress_when: Option<Expression>,
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
    check = check,
    wants(http = "the hosts that the flow names: sends the requests that subscribe and unsubscribe"),
    example = r#"{"subscribe": {"method": "POST", "url": "https://ok.example.com/subs", "body": {"callback": "https://hooks.example.com/callbacks/…"}}, "unsubscribe": {"method": "DELETE", "url": "https://ok.example.com/subs/{{ subscribe.body.id }}"}}"#
)]
pub fn http_webhook(input: Input<'_>, ctx: &mut Context) -> Result<Next<Output, Left>, Problem> {
    subscription::check(input.subscribe, input.unsubscribe.as_ref(), ctx)?;
    input.timeout.map_or(Ok(()), |timeout| rules::timeout(timeout, TIMEOUT))?;
    for (name, expression) in [("failWhen", &input.fail_when), ("progressWhen", &input.progress_when)] {
        if let Some(expression) = expression {
            let named =
                |problem: Problem| Problem::validation(format!("`{name}`: {}", problem.detail_text()));
            expression.check(ctx).map_err(named)?;
        }
    }
    let (fail_when, progress_when) = (input.fail_when, input.progress_when);
    let unsubscribe = subscription::subscribe(input.subscribe, input.unsubscribe, ctx)?;
    let wait = waiting(Left { unsubscribe, fail_when, progress_when });
    Ok(match input.timeout {
        Some(timeout) => wait.at_most(timeout.as_duration()).into(),
        None => wait.into(),
    })
}

fn check(draft: &Draft, _: &mut Context) -> Vec<Finding> {
    let refused = checks::time(draft, "/timeout").and_then(|time| rules::timeout(time, TIMEOUT).err());
    let refused = refused.map(|breach| Finding::error(breach.at, breach.says));
    subscription::checked(draft).into_iter().chain(refused).collect()
}

fn waiting(left: Left) -> Wait<Left> {
    let cleanup = left.unsubscribe.is_some();
    let wait = Wait::for_callback(left);
    if cleanup { wait.with_cleanup() } else { wait }
}

fn called_back(left: Left, wake: Wake, ctx: &mut Context) -> Result<Next<Output, Left>, Problem> {
    let encoding = Some(wake.get("encoding")).filter(|encoding| !encoding.is_null());
    let callback = || {
        let part = |name: &str| wake.get(name).clone();
        let (method, query, headers, body) = (part("method"), part("query"), part("headers"), part("body"));
        let mut callback = json!({ "method": method, "query": query, "headers": headers, "body": body });
        if let Some(encoding) = encoding {
            callback["encoding"] = encoding.clone();
        }
        callback
    };
    if let Some(expression) = &left.fail_when
        && expression.is_true(&callback(), ctx)?
    {
        let detail = format!("`failWhen` holds for what called back: {}", expression.as_str());
        return Err(Problem::new(kind::COMMUNICATION, "The other side reported a failure", 502)
            .detail(detail)
            .data(&json!({ "code": "callback-failed", "callback": callback() })));
    }
    if let Some(expression) = &left.progress_when
        && expression.is_true(&callback(), ctx)?
    {
        ctx.log(Level::Info, "progress", &json!({ "body": wake.get("body") }));
        return Ok(waiting(left).within_the_same_deadline().into());
    }
    Ok(Next::Done(Output {
        status: 202,
        headers: wake.get("headers").clone(),
        body: wake.get("body").clone(),
        encoding: encoding.cloned(),
    }))
}

fn unsubscribe(left: Left, _reason: &str, ctx: &mut Context) -> Result<(), Problem> {
    subscription::unsubscribe(left.unsubscribe, ctx)
}
