//! The interfaces of wit/ as the host sees them: the types that cross the border, and the functions a guest may import.
//!
//! Written by hand rather than generated, for what it saves in each call: a guest's export is found by index, only the
//! one that is called is looked up, and arguments are lowered from where they are. wasmtime checks every type here
//! against the component when it is installed, so that a slip is an error there and not a wrong value later.

use std::sync::Arc;
use std::time::Duration;

use flowcell_plugin_json_schema::{Finding, sentences};
use serde_json::Value;
use tokio::time::Instant;
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower};

use super::http;
use super::limits::{CallLimits, HOST_CALL_FUEL, SEND_FUEL, cpu_time};
use super::reach::{Arrival, Errand, Expressions, StepContext};
use super::schemas;
use super::store::CallState;
use super::turns::Record;
use crate::capability::log::Level;
use crate::capability::vault::{self, Secret, SignatureOptions};
use crate::json;
use crate::problem::Problem;

/// The export with actions.
pub(super) const ACTION: &str = "flowcell:plugin/action@0.1.0";
/// The export with triggers.
pub(super) const TRIGGER: &str = "flowcell:plugin/trigger@0.1.0";
/// The export that checks what was written; optional, as the two after it.
pub(super) const CHECKS: &str = "flowcell:plugin/checks@0.1.0";
/// The export that makes steps of texts.
pub(super) const IMPORTING: &str = "flowcell:plugin/importing@0.1.0";
/// The export that reads samples of requests.
pub(super) const SAMPLING: &str = "flowcell:plugin/sampling@0.1.0";
/// The export of the expression guest.
pub(super) const EXPRESSION: &str = "flowcell:plugin/expression@0.1.0";
/// The export of the schema guest.
pub(super) const SCHEMA: &str = "flowcell:plugin/schema@0.1.0";

const CONTEXT: &str = "flowcell:plugin/context@0.1.0";
const EVALUATE: &str = "flowcell:plugin/evaluate@0.1.0";
const HTTP_REQUEST: &str = "flowcell:plugin/http-request@0.1.0";
const SECRETS: &str = "flowcell:plugin/secrets@0.1.0";
const LOG: &str = "flowcell:plugin/log@0.1.0";
const INBOUND: &str = "flowcell:plugin/inbound@0.1.0";

/// The interfaces of this package that a plugin may import.
pub(super) const OFFERED: [&str; 6] = [CONTEXT, EVALUATE, HTTP_REQUEST, SECRETS, LOG, INBOUND];

#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub(super) struct GuestProblem {
    #[component(name = "type")]
    kind: String,
    title: String,
    detail: Option<String>,
    status: u16,
    #[component(name = "retry-after-ms")]
    retry_after_ms: Option<u64>,
    data: Option<String>,
}

/// How a step ended, for this time.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(variant)]
pub(crate) enum GuestOutcome {
    /// JSON text.
    #[component(name = "done")]
    Done(String),
    /// Waiting for the world.
    #[component(name = "suspend")]
    Suspend(GuestSuspension),
}

/// What a waiting step left behind.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct GuestSuspension {
    /// Bytes of the plugin's own.
    pub(crate) state: Vec<u8>,
    /// What wakes it, JSON text; see wit/types.wit.
    pub(crate) wake: String,
}

/// What a plugin has to say about what was written.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Remark {
    level: String,
    /// A JSON pointer.
    pub(crate) at: String,
    /// A sentence.
    pub(crate) says: String,
    data: Option<String>,
}

impl Remark {
    /// Whether such a document is not deployed.
    pub(crate) fn refuses(&self) -> bool {
        self.level == "error"
    }
}

/// Something that the schema guest finds wrong with a value.
#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub(super) struct GuestFinding {
    at: String,
    says: String,
}

impl From<GuestFinding> for Finding {
    fn from(guest: GuestFinding) -> Self {
        let GuestFinding { at, says } = guest;
        Self { at, says }
    }
}

/// What actions and triggers return: `start` and `resume` an outcome, `enable` bytes, `receive` text, `cancel` and
/// `disable` nothing.
pub(super) type Returned<T> = Result<T, GuestProblem>;

#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Vec<u8>>,
    pub(super) options: String,
}

#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) info: String,
}

#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub(super) struct HttpError {
    pub(super) code: String,
    pub(super) detail: String,
    pub(super) retryable: bool,
    pub(super) sent: String,
    pub(super) answer: String,
}

#[derive(Debug, ComponentType, Lower)]
#[component(record)]
struct Head {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    remote: String,
}

impl From<GuestProblem> for Problem {
    fn from(guest: GuestProblem) -> Self {
        let problem = Self {
            detail: guest.detail,
            retry_after_ms: guest.retry_after_ms,
            ..Self::new(crate::problem::canonical(&guest.kind), guest.title, guest.status)
        };
        match guest.data {
            // What is not JSON, or too much of it, is still what the plugin wanted to say.
            Some(data) => problem.data(json::read(data.as_bytes()).unwrap_or(Value::String(data))),
            None => problem,
        }
    }
}

/// A plugin called what is not there at that place. Ends the call with this sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Misplaced(&'static str);

/// Gives `linker` the interfaces of [`OFFERED`].
pub(super) fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    link_context(linker)?;
    link_log(linker)?;
    link_inbound(linker)?;
    link_evaluate(linker)?;
    link_secrets(linker)?;
    let mut http_request = linker.instance(HTTP_REQUEST)?;
    http_request.func_wrap_async("send", |mut cx: StoreContextMut<'_, CallState>, (request,): (Request,)| {
        Box::new(async move {
            charge(&mut cx, SEND_FUEL + request.body.as_ref().map_or(0, Vec::len))?;
            let started = Instant::now();
            let CallState { reach, deadline, off_stack, .. } = cx.data();
            let answer = match reach.egress().cloned() {
                Some(egress) => {
                    let (credentials, deadline) = (reach.credentials().cloned(), *deadline);
                    off_stack.clone().run(move || http::send(egress, credentials, request, deadline)).await
                }
                None => Err(http::nowhere()),
            };
            cx.data_mut().in_host += started.elapsed();
            Ok((answer,))
        })
    })
}

fn link_context(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    type Cx<'a> = StoreContextMut<'a, CallState>;
    let mut context = linker.instance(CONTEXT)?;
    context.func_wrap("run", |cx: Cx<'_>, (): ()| Ok((step(&cx)?.run.to_string(),)))?;
    context.func_wrap("step", |cx: Cx<'_>, (): ()| Ok((step(&cx)?.step.to_string(),)))?;
    context.func_wrap("attempt", |cx: Cx<'_>, (): ()| Ok((errand(&cx)?.attempt(),)))?;
    context.func_wrap("idempotency-key", |cx: Cx<'_>, (): ()| Ok((errand(&cx)?.idempotency_key(),)))?;
    context.func_wrap("deadline-ms", |cx: Cx<'_>, (): ()| Ok((errand(&cx)?.deadline_ms(),)))?;
    context.func_wrap("trace-parent", |cx: Cx<'_>, (): ()| Ok((errand(&cx)?.trace_parent(),)))?;
    context.func_wrap("callback-url", |cx: Cx<'_>, (): ()| Ok((errand(&cx)?.callback_url(),)))
}

fn errand<'a>(cx: &'a StoreContextMut<'_, CallState>) -> Result<Errand<'a>, Misplaced> {
    cx.data().reach.errand().ok_or(Misplaced(
        "`context` is about a step or the switching of a trigger: it is not there in `receive` or `describe`",
    ))
}

fn step<'a>(cx: &'a StoreContextMut<'_, CallState>) -> Result<&'a StepContext, Misplaced> {
    errand(cx)?
        .step()
        .ok_or(Misplaced("`run` and `step` of `context` are there in a step, not in `enable` or `disable`"))
}

fn link_evaluate(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    let mut evaluate = linker.instance(EVALUATE)?;
    evaluate.func_wrap_async(
        "jq",
        |mut cx: StoreContextMut<'_, CallState>, (program, input): (String, String)| {
            Box::new(async move {
                charge(&mut cx, program.len() + input.len())?;
                let judge = |by: Expressions, left, record| async move {
                    let key = schemas::key(&by.tenant, &program);
                    by.evaluator.evaluate_counted(&key, (&program, &input, "{}"), left, record).await
                };
                Ok((judged(&mut cx, judge).await?,))
            })
        },
    )?;
    evaluate.func_wrap_async(
        "validate",
        |mut cx: StoreContextMut<'_, CallState>, (schema, input): (String, String)| {
            Box::new(async move {
                charge(&mut cx, schema.len() + input.len())?;
                let judge = |by: Expressions, left, record| async move {
                    let key = schemas::key(&by.tenant, &schema);
                    by.schemas.validate_counted(&key, (&schema, &input), left, record).await
                };
                Ok((judged(&mut cx, judge).await?.map(|findings| sentences(&findings)),))
            })
        },
    )?;
    evaluate.func_wrap_async("check", |mut cx: StoreContextMut<'_, CallState>, (program,): (String,)| {
        Box::new(async move {
            charge(&mut cx, program.len())?;
            let judge = |by: Expressions, left, record| async move {
                let key = schemas::key(&by.tenant, &program);
                by.evaluator.check_counted(&key, &program, left, record).await
            };
            Ok((judged(&mut cx, judge).await?,))
        })
    })
}

/// Has an expression or a schema judged for a guest: beside it, with what is left of its call, in its turns and on its account.
/// `judge` returns the fuel that it used.
async fn judged<T, F>(
    cx: &mut StoreContextMut<'_, CallState>,
    judge: impl FnOnce(Expressions, CallLimits, Record) -> F + Send + 'static,
) -> wasmtime::Result<T>
where
    T: Send + 'static,
    F: Future<Output = (T, u64)> + Send + 'static,
{
    let missing = Misplaced(
        "`evaluate` is there in a step, in a trigger's `receive`, `enable` and `disable`, and where a text is read",
    );
    let started = Instant::now();
    let fuel = cx.get_fuel()?;
    let CallState { reach, meter, deadline, off_stack, .. } = cx.data();
    let by = reach.expressions().cloned().ok_or(missing)?;
    let left = CallLimits {
        memory_bytes: meter.memory_limit() as u64,
        cpu: cpu_time(fuel),
        // It is counted with the call that asks.
        cpu_per_minute: Duration::MAX,
        hand_over: meter.hand_over(),
        wall: deadline.saturating_duration_since(started),
    };
    let record = meter.record();
    let (result, used) = off_stack.clone().run(move || judge(by, left, record)).await;
    cx.data_mut().in_host += started.elapsed();
    cx.set_fuel(fuel.saturating_sub(used))?;
    Ok(result)
}

fn link_secrets(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    type Parts = (String, String, Vec<u8>, Vec<u8>);
    let mut secrets = linker.instance(SECRETS)?;
    secrets.func_wrap(
        "verify",
        |mut cx: StoreContextMut<'_, CallState>, (secret, options, message, signature): Parts| {
            charge(&mut cx, PROOF_FUEL + 4 * message.len() + signature.len())?;
            let proof =
                |(secret, options): (Arc<Secret>, _)| vault::verify(&secret, options, &message, &signature);
            Ok((named(&cx, &secret, &options)?.and_then(proof),))
        },
    )?;
    secrets.func_wrap(
        "hmac",
        |mut cx: StoreContextMut<'_, CallState>, (secret, options, message): (String, String, Vec<u8>)| {
            charge(&mut cx, PROOF_FUEL / 10 + 4 * message.len())?;
            let proof = |(secret, options): (Arc<Secret>, _)| vault::hmac(&secret, options, &message);
            Ok((named(&cx, &secret, &options)?.and_then(proof),))
        },
    )
}

/// The secret that a guest may prove something with, and how; or a sentence.
fn named(
    cx: &StoreContextMut<'_, CallState>,
    secret: &str,
    options: &str,
) -> Result<Result<(Arc<Secret>, SignatureOptions), String>, Misplaced> {
    let missing =
        Misplaced("`secrets` is there in a step and in a trigger's `receive`, `enable` and `disable`");
    let credentials = cx.data().reach.credentials().ok_or(missing)?;
    let options = serde_json::from_str(options)
        .map_err(|error| format!("the options are not what wit/secrets.wit lists: {error}"));
    Ok(options.and_then(|options| Ok((credentials.secret(secret)?, options))))
}

fn link_log(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    let mut log = linker.instance(LOG)?;
    let write = |mut cx: StoreContextMut<'_, CallState>,
                 (level, message, fields): (String, String, String)| {
        charge(&mut cx, message.len() + fields.len())?;
        cx.data_mut().with_log(|log| log.write(Level::from_guest(&level), &message, &fields));
        Ok(())
    };
    log.func_wrap("write", write)
}

fn link_inbound(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    let mut inbound = linker.instance(INBOUND)?;
    inbound.func_wrap("get-head", |mut cx: StoreContextMut<'_, CallState>, (): ()| {
        let headers = arrival(&cx)?.request.headers.len();
        charge(&mut cx, headers * 64)?;
        let request = &arrival(&cx)?.request;
        Ok((Head {
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: request.headers.clone(),
            remote: request.remote.to_string(),
        },))
    })?;
    inbound.func_wrap("body", |mut cx: StoreContextMut<'_, CallState>, (): ()| {
        let body = arrival(&cx)?.request.body.clone();
        charge(&mut cx, body.len())?;
        Ok((body.to_vec(),))
    })?;
    inbound.func_wrap("received-ms", |cx: StoreContextMut<'_, CallState>, (): ()| {
        Ok((arrival(&cx)?.received_ms,))
    })?;
    inbound.func_wrap("trigger-name", |cx: StoreContextMut<'_, CallState>, (): ()| {
        Ok((arrival(&cx)?.trigger.clone(),))
    })
}

fn arrival<'a>(cx: &'a StoreContextMut<'_, CallState>) -> Result<&'a Arrival, Misplaced> {
    cx.data().reach.arrival().ok_or(Misplaced("`inbound` is there in a trigger's `receive`, nowhere else"))
}

/// What checking a signature costs, beside its bytes: the elliptic curve takes some fifty microseconds.
const PROOF_FUEL: usize = 400_000;

/// Puts a host call on the guest's account: a guest that only calls the host would spend nothing otherwise.
fn charge(cx: &mut StoreContextMut<'_, CallState>, bytes: usize) -> wasmtime::Result<()> {
    let left = cx.get_fuel()?;
    cx.set_fuel(left.saturating_sub(HOST_CALL_FUEL + bytes as u64))
}
