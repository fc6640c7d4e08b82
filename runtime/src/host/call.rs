//! One bounded guest call: a fresh sandbox, one export called, the outcome and what it used. The sandbox is dropped
//! whatever happened, so nothing of one call is there for the next.
//!
//! What an input or an output means is the caller's business; so is trying again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};
use wasmtime::component::{
    ComponentExportIndex, ComponentNamedList, InstancePre, Lift, Lower, ResourceTable,
};
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::bindings::{GuestOutcome, GuestProblem, Started, Suspension};
use super::evaluator::Evaluator;
use super::fault::{self, Fault};
use super::install::{ActionExports, TriggerExports};
use super::limits::{CallLimits, HAND_OVER_BYTES, Meter, fuel};
use super::plugin::Plugin;
use super::{Host, HostError};
use crate::capability::http_request::Egress;
use crate::capability::log::{LogLine, StepLog};
use crate::capability::vault::Credentials;
use crate::capability::wasi;
use crate::id::{CallbackAddress, RunId, TenantId};
use crate::problem::Problem;

/// What a step may reach. What is not here is not reachable.
#[derive(Clone)]
pub(crate) struct Grants {
    /// The tenant's way out.
    pub egress: Arc<Egress>,
    /// What judges its expressions.
    pub expressions: Option<Expressions>,
    /// What it may use of its tenant's vault.
    pub credentials: Option<Credentials>,
}

/// What a trigger is given to judge a request.
pub(crate) struct Judging {
    pub inbound: Arc<InboundRequest>,
    /// What judges its expressions.
    pub expressions: Option<Expressions>,
    /// What it may use of its tenant's vault.
    pub credentials: Option<Credentials>,
    pub limits: CallLimits,
}

/// What judges expressions for a call, and for whom.
#[derive(Clone)]
pub(crate) struct Expressions {
    pub evaluator: Evaluator,
    pub tenant: TenantId,
}

/// What a step may know about itself: the answers of `context`, worded when they are asked for.
#[derive(Clone, Debug)]
pub(crate) struct StepContext {
    /// The run.
    pub run: RunId,
    /// The step in its run.
    pub step: u32,
    /// From 1.
    pub attempt: u32,
    /// When the step is ended, in milliseconds since 1970.
    pub deadline_ms: u64,
    /// Where the world may answer the run's steps.
    pub callbacks: CallbackAddress,
}

impl StepContext {
    /// The same for every attempt.
    pub(super) fn idempotency_key(&self) -> String {
        format!("{}-{}", self.run, self.step)
    }

    /// W3C `traceparent`.
    pub(super) fn trace_parent(&self) -> String {
        format!("00-{}-{:016x}-01", self.run, u64::from(self.step) + 1)
    }

    pub(super) fn callback_url(&self) -> String {
        self.callbacks.url(self.step)
    }
}

/// What switching a trigger on or off may know about itself.
#[derive(Clone, Debug)]
pub(crate) struct SwitchContext {
    /// Of the subscription, 32 hexadecimal digits: the idempotency key of every attempt, on and off.
    pub subscription: String,
    /// From 1.
    pub attempt: u32,
    /// When the call is ended, in milliseconds since 1970.
    pub deadline_ms: u64,
    /// Where the trigger takes requests.
    pub url: String,
}

/// What a call is about: `context` answers for it.
#[derive(Clone, Debug)]
pub(crate) enum Errand {
    Step(StepContext),
    Switch(SwitchContext),
}

impl Errand {
    pub(super) fn step(&self) -> Option<&StepContext> {
        match self {
            Self::Step(step) => Some(step),
            Self::Switch(_) => None,
        }
    }

    pub(super) fn attempt(&self) -> u32 {
        match self {
            Self::Step(step) => step.attempt,
            Self::Switch(switch) => switch.attempt,
        }
    }

    pub(super) fn idempotency_key(&self) -> String {
        match self {
            Self::Step(step) => step.idempotency_key(),
            Self::Switch(switch) => switch.subscription.clone(),
        }
    }

    pub(super) fn deadline_ms(&self) -> u64 {
        match self {
            Self::Step(step) => step.deadline_ms,
            Self::Switch(switch) => switch.deadline_ms,
        }
    }

    pub(super) fn trace_parent(&self) -> String {
        match self {
            Self::Step(step) => step.trace_parent(),
            Self::Switch(switch) => format!("00-{}-{:016x}-01", switch.subscription, switch.attempt),
        }
    }

    pub(super) fn callback_url(&self) -> String {
        match self {
            Self::Step(step) => step.callback_url(),
            Self::Switch(switch) => switch.url.clone(),
        }
    }
}

/// What a call that may reach the world is given beside its parameters.
pub(crate) struct Surroundings {
    pub grants: Grants,
    pub limits: CallLimits,
    pub errand: Errand,
}

/// The request that a trigger judges: the answers of `inbound`.
#[derive(Clone, Debug)]
pub(crate) struct InboundRequest {
    /// As received.
    pub method: String,
    /// Below the trigger's address.
    pub path: String,
    /// Without `?`.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As received.
    pub body: Bytes,
    /// Address and port of the caller.
    pub remote: String,
    /// When it had arrived, in milliseconds since 1970.
    pub received_ms: u64,
    /// `namespace/name`.
    pub trigger_name: String,
}

/// How a step ended, for this time.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// JSON text.
    Done(String),
    /// Waiting for the world.
    Suspend {
        /// Bytes of the plugin's own.
        state: Vec<u8>,
        /// What wakes it, JSON text; see wit/types.wit.
        wake: String,
    },
    /// The plugin's problem, or the host's about the plugin: then `usage.fault` says which.
    Fail(Problem),
}

/// What a call used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Fuel; see [`super::limits`] for what a unit is.
    pub fuel: u64,
    /// Bytes of linear memory at the highest.
    pub peak_memory: usize,
    /// From the call to its outcome.
    pub wall: Duration,
    /// Of that, waiting for host calls.
    pub in_host: Duration,
    /// The trap or limit that ended the call.
    pub fault: Option<Fault>,
}

/// A step's call that is over.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What came out.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
    /// What it had to say.
    pub logs: Vec<LogLine>,
}

/// A call that is over, of which a value is asked: the bytes that `enable` leaves, the verdict of `receive` (JSON text;
/// see wit/trigger.wit), or only whether it succeeded, as `cancel` and `disable` do.
#[derive(Debug)]
pub(crate) struct Called<T = ()> {
    /// The problem is the plugin's, or the host's about the plugin: then `usage.fault` says which.
    pub result: Result<T, Problem>,
    /// What it used.
    pub usage: Usage,
    /// What it had to say.
    pub logs: Vec<LogLine>,
}

/// What a store holds for one call.
pub(super) struct CallState {
    pub(super) meter: Meter,
    pub(super) errand: Option<Errand>,
    pub(super) egress: Option<Arc<Egress>>,
    pub(super) expressions: Option<Expressions>,
    pub(super) credentials: Option<Credentials>,
    pub(super) inbound: Option<Arc<InboundRequest>>,
    pub(super) deadline: Instant,
    pub(super) in_host: Duration,
    handles: ResourceTable,
    wasi: Option<Box<WasiCtx>>,
    log: Option<Arc<Mutex<StepLog>>>,
}

impl CallState {
    /// A call that reaches nothing.
    pub(super) fn new(limits: &CallLimits) -> Self {
        Self {
            meter: Meter::new(limits),
            errand: None,
            egress: None,
            expressions: None,
            credentials: None,
            inbound: None,
            deadline: deadline(limits.wall),
            in_host: Duration::ZERO,
            handles: ResourceTable::new(),
            wasi: None,
            log: None,
        }
    }

    pub(super) fn with_log<R>(&mut self, change: impl FnOnce(&mut StepLog) -> R) -> R {
        change(&mut self.shared_log().lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The lines so far; the next call in the same store begins anew.
    pub(super) fn take_log(&mut self) -> StepLog {
        match &self.log {
            Some(log) => std::mem::take(&mut log.lock().unwrap_or_else(PoisonError::into_inner)),
            None => StepLog::default(),
        }
    }

    fn shared_log(&mut self) -> &Arc<Mutex<StepLog>> {
        self.log.get_or_insert_default()
    }
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        if self.wasi.is_none() {
            self.handles.set_max_capacity(wasi::MAX_HANDLES);
            self.wasi = Some(Box::new(wasi::context(self.shared_log().clone())));
        }
        let ctx = self.wasi.as_mut().expect("made above");
        WasiCtxView { ctx, table: &mut self.handles }
    }
}

/// The end of a call that begins now.
pub(super) fn deadline(wall: Duration) -> Instant {
    // A century is as good as for ever, and does not overflow.
    Instant::now() + wall.min(Duration::from_secs(100 * 365 * 24 * 3600))
}

/// A store with every limit set.
pub(super) fn store(host: &Host, state: CallState, cpu: Duration) -> Result<Store<CallState>, HostError> {
    let mut store = Store::try_new(host.engine(), state).map_err(HostError::sandbox)?;
    store.limiter(|state| &mut state.meter);
    store.set_hostcall_fuel(HAND_OVER_BYTES);
    store.set_max_component_handles(wasi::MAX_HANDLES);
    store.epoch_deadline_callback(|mut cx: StoreContextMut<'_, CallState>| cx.data_mut().meter.end_turn());
    store.set_epoch_deadline(1);
    store.set_fuel(fuel(cpu)).map_err(HostError::sandbox)?;
    Ok(store)
}

/// A place to run in, as soon as there is one.
pub(super) async fn slot(slots: &Semaphore, deadline: Instant) -> Result<SemaphorePermit<'_>, HostError> {
    if let Ok(permit) = slots.try_acquire() {
        return Ok(permit);
    }
    match timeout_at(deadline, slots.acquire()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(HostError::Busy),
    }
}

/// A call that is over, before anyone has looked at what it returned.
pub(super) struct Finished<R> {
    pub(super) result: Result<R, Problem>,
    pub(super) usage: Usage,
    pub(super) logs: Vec<LogLine>,
}

/// Makes a sandbox, calls `export` in it and drops it.
pub(super) async fn run<P, R>(
    host: &Host,
    pre: &InstancePre<CallState>,
    export: &ComponentExportIndex,
    params: P,
    state: CallState,
    limits: &CallLimits,
) -> Result<Finished<R>, HostError>
where
    P: ComponentNamedList + Lower + Send + Sync,
    R: ComponentNamedList + Lift + Send + Sync + 'static,
{
    let started = Instant::now();
    let deadline = state.deadline;
    let _slot = slot(host.slots(), deadline).await?;
    let mut store = store(host, state, limits.cpu)?;
    let call = async {
        let instance = pre.instantiate_async(&mut store).await?;
        let function = instance.get_typed_func::<P, R>(&mut store, export)?;
        function.call_async(&mut store, params).await
    };
    let result = timeout_at(deadline, call).await;
    finish(store, result, started, limits)
}

/// Accounts for a call that is over, and words what ended it.
pub(super) fn finish<R>(
    mut store: Store<CallState>,
    result: Result<wasmtime::Result<R>, tokio::time::error::Elapsed>,
    started: Instant,
    limits: &CallLimits,
) -> Result<Finished<R>, HostError> {
    let fuel_left = store.get_fuel().unwrap_or(0);
    let state = store.data_mut();
    let mut usage = Usage {
        fuel: fuel(limits.cpu) - fuel_left,
        peak_memory: state.meter.peak_memory,
        wall: started.elapsed(),
        in_host: state.in_host,
        fault: None,
    };
    let log = state.take_log();
    let result = match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(fault::judge(&error, &state.meter, &log, limits)?),
        Err(_) => Err(fault::too_late(limits, usage.in_host)),
    };
    let result = result.map_err(|(fault, problem)| {
        usage.fault = Some(fault);
        problem
    });
    Ok(Finished { result, usage, logs: log.finish() })
}

impl Plugin {
    fn acts(&self) -> Result<&ActionExports, HostError> {
        self.action_exports.as_ref().ok_or(HostError::NoExport("actions"))
    }

    fn triggers(&self) -> Result<&TriggerExports, HostError> {
        self.trigger_exports.as_ref().ok_or(HostError::NoExport("triggers"))
    }
}

/// Calls `start` of a plugin's action.
pub(super) async fn start(
    host: &Host,
    plugin: &Plugin,
    action: &str,
    input: &str,
    around: Surroundings,
) -> Result<Ended, HostError> {
    let export = &plugin.acts()?.start;
    in_the_world::<_, Started>(host, plugin, export, (action, input), around).await.map(ended)
}

/// Calls `resume` of a plugin's action with what it left behind, and the event.
pub(super) async fn resume(
    host: &Host,
    plugin: &Plugin,
    action: &str,
    (left, event): (&[u8], &str),
    around: Surroundings,
) -> Result<Ended, HostError> {
    let export = &plugin.acts()?.resume;
    in_the_world::<_, Started>(host, plugin, export, (action, left, event), around).await.map(ended)
}

/// Calls `cancel` of a plugin's action with what it left behind, and the reason.
pub(super) async fn cancel(
    host: &Host,
    plugin: &Plugin,
    action: &str,
    (left, reason): (&[u8], &str),
    around: Surroundings,
) -> Result<Called, HostError> {
    let export = &plugin.acts()?.cancel;
    in_the_world(host, plugin, export, (action, left, reason), around).await.map(called)
}

/// Calls `enable` of a plugin's trigger; what it leaves is given back to `disable`.
pub(super) async fn enable(
    host: &Host,
    plugin: &Plugin,
    trigger: &str,
    config: &str,
    around: Surroundings,
) -> Result<Called<Vec<u8>>, HostError> {
    let export = &plugin.triggers()?.enable;
    in_the_world(host, plugin, export, (trigger, config), around).await.map(called)
}

/// Calls `disable` of a plugin's trigger with what `enable` left behind.
pub(super) async fn disable(
    host: &Host,
    plugin: &Plugin,
    trigger: &str,
    (config, left): (&str, &[u8]),
    around: Surroundings,
) -> Result<Called, HostError> {
    let export = &plugin.triggers()?.disable;
    in_the_world(host, plugin, export, (trigger, config, left), around).await.map(called)
}

/// Calls `enable` of a trigger that does nothing in the world by it, with no way to: it says what is wrong with a
/// configuration.
pub(super) async fn approve(
    host: &Host,
    plugin: &Plugin,
    trigger: &str,
    config: &str,
    limits: CallLimits,
) -> Result<Called<Vec<u8>>, HostError> {
    let export = &plugin.triggers()?.enable;
    run(host, &plugin.pre, export, (trigger, config), CallState::new(&limits), &limits).await.map(called)
}

/// One call of an export that may reach the world.
async fn in_the_world<P, R>(
    host: &Host,
    plugin: &Plugin,
    export: &ComponentExportIndex,
    params: P,
    around: Surroundings,
) -> Result<Finished<R>, HostError>
where
    P: ComponentNamedList + Lower + Send + Sync,
    R: ComponentNamedList + Lift + Send + Sync + 'static,
{
    let Surroundings { grants, limits, errand } = around;
    let mut state = CallState::new(&limits);
    let Grants { egress, expressions, credentials } = grants;
    (state.errand, state.egress) = (Some(errand), Some(egress));
    (state.expressions, state.credentials) = (expressions, credentials);
    run(host, &plugin.pre, export, params, state, &limits).await
}

fn called<T>(finished: Finished<(Result<T, GuestProblem>,)>) -> Called<T> {
    let Finished { result, usage, logs } = finished;
    Called { result: result.and_then(|(result,)| result.map_err(Problem::from)), usage, logs }
}

fn ended(finished: Finished<Started>) -> Ended {
    let Finished { result, usage, logs } = finished;
    let outcome = match result {
        Ok((Ok(GuestOutcome::Done(output)),)) => Outcome::Done(output),
        Ok((Ok(GuestOutcome::Suspend(Suspension { state, wake })),)) => Outcome::Suspend { state, wake },
        Ok((Err(problem),)) => Outcome::Fail(problem.into()),
        Err(problem) => Outcome::Fail(problem),
    };
    Ended { outcome, usage, logs }
}

/// Calls `receive` of a plugin's trigger.
pub(super) async fn receive(
    host: &Host,
    plugin: &Plugin,
    trigger: &str,
    config: &str,
    judging: Judging,
) -> Result<Called<String>, HostError> {
    let export = &plugin.triggers()?.receive;
    let Judging { inbound, expressions, credentials, limits } = judging;
    let mut state = CallState::new(&limits);
    (state.inbound, state.expressions, state.credentials) = (Some(inbound), expressions, credentials);
    run(host, &plugin.pre, export, (trigger, config), state, &limits).await.map(called)
}
