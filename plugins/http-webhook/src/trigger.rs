//! A trigger that subscribes to something when it is switched on, starts a run for each request that comes of it, and
//! unsubscribes when it is switched off.

use flowcell_plugin_http::answer::Body;
use flowcell_plugin_http::input::Input as Exchange;
use flowcell_sdk::http::HeaderMap;
use flowcell_sdk::prelude::*;
use flowcell_sdk::urlencoded;
use serde_json::value::RawValue;

use crate::subscription::{self, Unsubscribe};

/// What a trigger document writes.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The request that asks to be called, sent when the trigger is switched on. It names `${ $task.callback.url }`, the
    /// trigger's address, somewhere.
    #[schemars(with = "Exchange<'static>")]
    subscribe: Box<RawValue>,
    /// The request that ends that, sent when the trigger is switched off, removed or changed. `{{ subscribe.body.id }}`
    /// in its texts reads the answer to `subscribe`: `status`, `headers` and `body`.
    #[serde(default)]
    #[schemars(with = "Option<Exchange<'static>>")]
    unsubscribe: Option<Value>,
}

/// What starts a run: the flow's input.
#[derive(Serialize, JsonSchema)]
struct Event {
    /// The method.
    method: &'static str,
    /// The query, decoded; a list where a name repeats.
    query: HeaderMap,
    /// By lower-case name.
    headers: HeaderMap,
    /// JSON decoded, text, base64 (see `encoding`), or null where it was empty.
    #[schemars(with = "Value")]
    body: Body,
    /// `base64` where the body is bytes, `invalid-json` where it should have been JSON and is its text.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    /// `namespace/name` of the trigger.
    trigger: String,
}

/// HTTP webhook.
///
/// Sends a request that asks to be called when the trigger is switched on, and starts a run for each POST that comes:
/// the event is `{method, query, headers, body, trigger}`. When the trigger is switched off, removed or changed it sends
/// the request that unsubscribes.
#[flowcell_sdk::trigger(
    name = "http-webhook",
    event = Event,
    enable = subscribe,
    disable = unsubscribe,
    check = check,
    wants(http = "the hosts that the trigger names: sends the requests that subscribe and unsubscribe"),
    example = r#"{"subscribe": {"method": "POST", "url": "https://api.example.com/hooks", "body": {"url": "${ $task.callback.url }"}}, "unsubscribe": {"method": "DELETE", "url": "https://api.example.com/hooks/{{ subscribe.body.id }}"}}"#
)]
pub fn http_webhook(_config: Config, request: Inbound, _ctx: &mut Context) -> Result<Verdict, Problem> {
    if request.method() != "POST" {
        let body = json!({
            "type": "about:blank", "title": "Method not allowed", "status": 405,
            "detail": "this is the address of a trigger: it takes POST",
        });
        let headers = [("allow", "POST"), ("content-type", "application/problem+json")];
        return Ok(Verdict::answer(405, headers, body));
    }
    let (body, encoding) = Body::decode(200, request.header("content-type"), request.body());
    Ok(Verdict::start(Event {
        method: "POST",
        query: HeaderMap(urlencoded::pairs(request.query()).collect()),
        headers: HeaderMap(request.headers().to_vec()),
        body,
        encoding,
        trigger: request.trigger(),
    }))
}

fn check(draft: &Draft, _: &mut Context) -> Vec<Finding> {
    subscription::checked(draft)
}

fn subscribe(config: Config, ctx: &mut Context) -> Result<Option<Unsubscribe>, Problem> {
    subscription::check(&config.subscribe, config.unsubscribe.as_ref(), ctx)?;
    subscription::subscribe(&config.subscribe, config.unsubscribe, ctx)
}

fn unsubscribe(_: Config, left: Option<Unsubscribe>, ctx: &mut Context) -> Result<(), Problem> {
    subscription::unsubscribe(left, ctx)
}
