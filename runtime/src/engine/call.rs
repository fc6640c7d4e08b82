//! One attempt of a step, from the effect to the outcome: find the plugin, check its input, let the host call it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::core::Core;
use super::sandboxes::Sandboxes;
use super::steps::Evaluation;
use super::tenant::Tenant;
use super::view::RunChange;
use crate::capability::log::LogLine;
use crate::capability::vault::Credentials;
use crate::flow::{Ask, Hidden, Mask, Needs, Outcome, Suspension};
use crate::host::{
    self, Action, Call, CallLimits, Called, Grants, HostError, Plugin, Reach, StepContext, SwitchContext,
};
use crate::id::{PluginRef, RunId};
use crate::journal::SubscriptionRow;
use crate::problem::{Problem, kind};

/// How long a step waits when the host, not the plugin, is the reason that it could not be called.
const HOST_PAUSE_MS: u64 = 1000;

/// The most bytes that a suspended step may leave behind.
const LEFT_BYTES: usize = 1 << 20;
/// The longest time that a suspension may name: a century is for ever, and keeps within every clock.
const LONGEST_WAIT_MS: u64 = 100 * 365 * 24 * 3600 * 1000;

/// Which attempt of which step, and of what.
pub(super) struct Attempt {
    pub run: RunId,
    pub step: u32,
    pub attempt: u32,
    pub plugin: PluginRef,
    /// What its flow may use of the vault.
    pub needs: Arc<Needs>,
    /// What of its run is not shown, in log lines neither.
    pub hidden: Hidden,
    pub mask: Option<Mask>,
}

/// What a plugin says of a wait; wit/types.wit has the JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Wake {
    #[serde(default)]
    callback: bool,
    timer_ms: Option<u64>,
    deadline_ms: Option<u64>,
    #[serde(default)]
    same_deadline: bool,
    #[serde(default)]
    cleanup: bool,
}

/// Never fails: whatever goes wrong is an outcome that the flow may catch.
pub(super) async fn call(
    sandboxes: &Sandboxes,
    core: &Core,
    tenant: &Tenant,
    attempt: Attempt,
    ask: Ask,
) -> Outcome {
    let name = attempt.plugin.to_string();
    let started = std::time::Instant::now();
    let outcome = carry_out(sandboxes, core, tenant, &attempt, ask).await.unwrap_or_else(Outcome::CutOff);
    core.metrics.step_ended(&tenant.id, &name, &outcome, started.elapsed());
    outcome
}

async fn carry_out(
    sandboxes: &Sandboxes,
    core: &Core,
    tenant: &Tenant,
    attempt: &Attempt,
    ask: Ask,
) -> Result<Outcome, Problem> {
    let plugin = installed(sandboxes, tenant, &attempt.plugin)?;
    let action = action(&plugin, &attempt.plugin)?;
    let reach = step(sandboxes, core, tenant, attempt);
    let call = Call { plugin: &plugin, name: &action.name, reach, limits: limits(tenant) };
    let host = &sandboxes.host;
    let ended = match ask {
        Ask::Start { input } => {
            action.validate(&input).map_err(|findings| invalid_input(&attempt.plugin, findings))?;
            host.start(call, &json_text(&input)).await
        }
        Ask::Resume { state, event } => host.resume(call, &left(&state)?, &json_text(&event)).await,
    };
    let ended = ended.map_err(|error| host_failed(&error))?;
    core.metrics.guest_ended(&tenant.id, &attempt.plugin.name, &ended.usage);
    let outcome = match ended.result {
        Ok(host::Outcome::Done(output)) => match serde_json::from_str(&output) {
            Ok(output) => Ok(Outcome::Done(output)),
            Err(error) => Err(Problem::new(kind::RUNTIME, "the plugin's output is not JSON", 500)
                .detail(format!("{}: {error}", attempt.plugin))),
        },
        Ok(host::Outcome::Suspend(left)) => suspension(&attempt.plugin, &left),
        Err(problem) if ended.usage.fault.is_none() => Ok(Outcome::Failed(problem)),
        Err(problem) => Err(problem),
    };
    show_logs(core, tenant, attempt, &ended.logs, outcome.as_ref().ok());
    outcome
}

/// Calls the plugin's `cancel` for a step that is over. None: what the step left in the world is undone.
pub(super) async fn undo(
    sandboxes: &Sandboxes,
    core: &Core,
    tenant: &Tenant,
    attempt: Attempt,
    state: &str,
    reason: &'static str,
) -> Option<Problem> {
    let undo = async {
        let plugin = installed(sandboxes, tenant, &attempt.plugin)?;
        let action = action(&plugin, &attempt.plugin)?;
        let state = left(state)?;
        let reach = step(sandboxes, core, tenant, &attempt);
        let call = Call { plugin: &plugin, name: &action.name, reach, limits: limits(tenant) };
        let undone = sandboxes.host.cancel(call, &state, reason).await;
        let undone = undone.map_err(|error| host_failed(&error))?;
        core.metrics.guest_ended(&tenant.id, &attempt.plugin.name, &undone.usage);
        show_logs(core, tenant, &attempt, &undone.logs, None);
        undone.result
    };
    let problem = undo.await.err();
    if let Some(problem) = &problem {
        let Attempt { run, step, attempt, plugin, .. } = &attempt;
        tracing::warn!(%run, step, attempt, %plugin, %problem, "what a step left in the world could not be undone");
    }
    problem
}

/// Why a trigger has not subscribed.
pub(super) struct NotSubscribed {
    pub problem: Problem,
    /// It may have, all the same.
    pub is_doubtful: bool,
}

/// Calls the `enable` of the trigger that a subscription is of: the bytes that it leaves.
pub(super) async fn subscribe(
    sandboxes: &Sandboxes,
    core: &Core,
    tenant: &Tenant,
    row: &SubscriptionRow,
) -> Result<Vec<u8>, NotSubscribed> {
    let not_called = |problem| NotSubscribed { problem, is_doubtful: false };
    let (plugin, trigger) = trigger(sandboxes, tenant, row).map_err(not_called)?;
    let reach = switch(sandboxes, core, tenant, row);
    let call = Call { plugin: &plugin, name: &trigger, reach, limits: limits(tenant) };
    let called = sandboxes.host.enable(call, &row.config).await;
    let was_cut_off = called.as_ref().is_ok_and(|called| called.usage.fault.is_some());
    match switched(core, tenant, row, called) {
        Ok(state) if state.len() > LEFT_BYTES => {
            let detail = format!(
                "{}: its state has {} bytes; at most {LEFT_BYTES} are kept while it stands",
                row.uses,
                state.len()
            );
            let problem = Problem::new(kind::RUNTIME, "the subscription cannot be kept", 500).detail(detail);
            Err(NotSubscribed { problem, is_doubtful: true })
        }
        Ok(state) => Ok(state),
        Err(problem) => {
            let is_doubtful = was_cut_off || may_have_arrived(&problem);
            Err(NotSubscribed { problem, is_doubtful })
        }
    }
}

/// Whether a request that failed may have done what it asked for: it went out, and its answer is not that of whoever
/// should have done it.
fn may_have_arrived(problem: &Problem) -> bool {
    let said = |key: &str| problem.data.as_ref().and_then(|data| data.get(key)?.as_str()).unwrap_or_default();
    match said("code") {
        "http-status" => matches!(problem.status, 500 | 502 | 504),
        _ => matches!(said("sent"), "yes" | "unknown"),
    }
}

/// Calls its `disable` with what `enable` left.
pub(super) async fn unsubscribe(
    sandboxes: &Sandboxes,
    core: &Core,
    tenant: &Tenant,
    row: &SubscriptionRow,
) -> Result<(), Problem> {
    let (plugin, trigger) = trigger(sandboxes, tenant, row)?;
    let reach = switch(sandboxes, core, tenant, row);
    let call = Call { plugin: &plugin, name: &trigger, reach, limits: limits(tenant) };
    let left = row.state.as_deref().unwrap_or_default();
    let called = sandboxes.host.disable(call, &row.config, left).await;
    switched(core, tenant, row, called)
}

fn trigger(
    sandboxes: &Sandboxes,
    tenant: &Tenant,
    row: &SubscriptionRow,
) -> Result<(Arc<Plugin>, String), Problem> {
    let named = |reason| {
        Problem::new(kind::CONFIGURATION, "the trigger's plugin is not installed", 500).detail(reason)
    };
    let uses: PluginRef = row.uses.parse().map_err(named)?;
    let plugin = sandboxes.plugins.get(&tenant.id, &uses).map_err(named)?;
    let trigger = plugin.trigger(uses.action.as_deref()).map_err(named)?.name.clone();
    Ok((plugin, trigger))
}

/// What switching the trigger of a subscription may reach.
fn switch(sandboxes: &Sandboxes, core: &Core, tenant: &Tenant, row: &SubscriptionRow) -> Reach {
    let context = SwitchContext {
        subscription: row.id.clone(),
        attempt: row.attempts,
        deadline_ms: deadline_ms(core, tenant),
        url: row.url.clone(),
    };
    let credentials = trigger_credentials(tenant, &Needs::of_config(&row.config));
    Reach::Switch(context, grants(sandboxes, tenant, credentials))
}

fn switched<T>(
    core: &Core,
    tenant: &Tenant,
    row: &SubscriptionRow,
    called: Result<Called<T>, HostError>,
) -> Result<T, Problem> {
    let called = called.map_err(|error| host_failed(&error))?;
    core.metrics.guest_ended(
        &tenant.id,
        row.uses.split([':', '.']).next().unwrap_or_default(),
        &called.usage,
    );
    for line in &called.logs {
        let trigger = format!("{}/{}", row.namespace, row.name);
        tracing::debug!(tenant = %tenant.id, trigger, level = %line.level, "{}", line.message);
    }
    called.result
}

fn installed(sandboxes: &Sandboxes, tenant: &Tenant, wanted: &PluginRef) -> Result<Arc<Plugin>, Problem> {
    sandboxes.plugins.get(&tenant.id, wanted).map_err(|reason| {
        Problem::new(kind::CONFIGURATION, "the plugin is not installed", 500).detail(reason)
    })
}

fn action<'p>(plugin: &'p Plugin, wanted: &PluginRef) -> Result<&'p Action, Problem> {
    plugin.action(wanted.action.as_deref()).map_err(|reason| {
        Problem::new(kind::CONFIGURATION, "the plugin has no such action", 500).detail(reason)
    })
}

/// What a step may reach.
fn step(sandboxes: &Sandboxes, core: &Core, tenant: &Tenant, attempt: &Attempt) -> Reach {
    let Attempt { run, step, attempt, ref needs, .. } = *attempt;
    let callbacks = core.callback_address(&tenant.id, run);
    let (connections, secrets) = (needs.connections.clone(), needs.secrets.clone());
    let credentials = Credentials::of_step(tenant.vault.clone(), connections, secrets, callbacks.clone());
    let deadline_ms = deadline_ms(core, tenant);
    let context = StepContext { run, step, attempt, deadline_ms, callbacks };
    Reach::Step(context, grants(sandboxes, tenant, credentials))
}

fn grants(sandboxes: &Sandboxes, tenant: &Tenant, credentials: Credentials) -> Grants {
    Grants { egress: tenant.egress.clone(), expressions: sandboxes.expressions(tenant), credentials }
}

/// A call that reads what somebody wrote.
pub(super) fn reading<'c>(
    sandboxes: &Sandboxes,
    tenant: &Tenant,
    plugin: &'c Plugin,
    name: &'c str,
) -> Call<'c> {
    let limits = CallLimits { wall: READING_TIME, ..limits(tenant) };
    Call { plugin, name, reach: Reach::Read(sandboxes.expressions(tenant)), limits }
}

/// What a trigger may use of the vault.
pub(super) fn trigger_credentials(tenant: &Tenant, needs: &Needs) -> Credentials {
    Credentials::of_trigger(tenant.vault.clone(), needs.connections.clone(), needs.secrets.clone())
}

/// When a call that begins now is ended.
fn deadline_ms(core: &Core, tenant: &Tenant) -> u64 {
    let deadline = crate::clock::after(core.clock.now(), tenant.quota.step_time);
    deadline.as_millisecond().try_into().unwrap_or(0)
}

/// What a plugin left behind, as the journal has it.
fn left(state: &str) -> Result<Vec<u8>, Problem> {
    STANDARD.decode(state).map_err(|error| {
        Problem::new(kind::RUNTIME, "the step's state cannot be read", 500)
            .detail(format!("what the journal keeps of it is not base64: {error}"))
    })
}

fn suspension(plugin: &PluginRef, left: &host::Suspension) -> Result<Outcome, Problem> {
    let host::Suspension { state, wake } = left;
    let refused = |detail: String| {
        Problem::new(kind::RUNTIME, "the step cannot be suspended", 500).detail(format!("{plugin}: {detail}"))
    };
    if state.len() > LEFT_BYTES {
        return Err(refused(format!(
            "its state has {} bytes; at most {LEFT_BYTES} are kept while a step waits",
            state.len()
        )));
    }
    let wake: Wake = serde_json::from_str(wake)
        .map_err(|error| refused(format!("what should wake it cannot be read: {error}")))?;
    Ok(Outcome::Suspended(Suspension {
        state: STANDARD.encode(state).into(),
        callback: wake.callback,
        timer_ms: wake.timer_ms.map(|ms| ms.min(LONGEST_WAIT_MS)),
        deadline_ms: wake.deadline_ms.map(|ms| ms.min(LONGEST_WAIT_MS)),
        same_deadline: wake.same_deadline,
        cleanup: wake.cleanup,
    }))
}

/// What the tenant's quota allows one call.
pub(super) fn limits(tenant: &Tenant) -> CallLimits {
    CallLimits { memory_bytes: tenant.quota.memory, cpu: tenant.quota.cpu, wall: tenant.quota.step_time }
}

/// Evaluates a jq program in the expression guest. The error is a sentence for the author of the expression.
pub(super) async fn evaluate(
    sandboxes: &Sandboxes,
    tenant: &Tenant,
    evaluation: Evaluation,
) -> Result<Value, String> {
    let Evaluation { flow_digest, program, input, variables } = evaluation;
    let key = (tenant.id.clone(), flow_digest);
    // Made where it is evaluated, so that a run with many questions waits with none of their texts.
    let (input, variables) = (json_text(&input), variables_text(&variables));
    let text = sandboxes.evaluator.evaluate(&key, &program, &input, &variables, limits(tenant)).await?;
    serde_json::from_str(&text).map_err(|error| format!("the result is not JSON: {error}"))
}

/// The variables as a JSON object.
fn variables_text(variables: &[(String, Arc<Value>)]) -> String {
    let all: BTreeMap<&str, &Value> =
        variables.iter().map(|(name, value)| (name.as_str(), &**value)).collect();
    serde_json::to_string(&all).expect("variables are JSON")
}

/// JSON text. A value's own `to_string` says the same by way of a formatter, in twice the time.
pub(super) fn json_text(value: &Value) -> String {
    serde_json::to_string(value).expect("a value is JSON")
}

fn invalid_input(plugin: &PluginRef, findings: Vec<(String, String)>) -> Problem {
    let sentences: Vec<_> = findings
        .iter()
        .map(|(pointer, sentence)| format!("with{}: {sentence}", pointer.replace('/', ".")))
        .collect();
    Problem::new(kind::VALIDATION, "the step's input does not fit the plugin", 400)
        .detail(format!("{plugin}: {}", sentences.join("; ")))
        .data(json!({ "code": "invalid-input", "findings": sentences }))
}

fn host_failed(error: &HostError) -> Problem {
    tracing::error!(%error, "a plugin could not be called");
    let mut problem =
        Problem::new(kind::RUNTIME, "the host could not call the plugin", 503).detail(error.to_string());
    problem.retry_after_ms = Some(HOST_PAUSE_MS);
    problem
}

/// Shows log lines without what is masked of the run, and of what the call came to.
fn show_logs(core: &Core, tenant: &Tenant, attempt: &Attempt, logs: &[LogLine], outcome: Option<&Outcome>) {
    if logs.is_empty() {
        return;
    }
    let mut hidden = Cow::Borrowed(&attempt.hidden);
    if let Some(mask) = &attempt.mask {
        match outcome {
            Some(Outcome::Done(output)) => mask.of_output(output, hidden.to_mut()),
            Some(Outcome::Failed(Problem { data: Some(data), .. })) => mask.of_output(data, hidden.to_mut()),
            _ => {}
        }
    }
    let shown = |line: &LogLine| {
        let mut line = line.clone();
        if !hidden.is_empty() {
            hidden.text(&mut line.message);
            hidden.value(&mut line.fields);
        }
        line
    };
    for line in logs.iter().map(shown) {
        tracing::debug!(run = %attempt.run, step = attempt.step, level = %line.level, "{}", line.message);
        if core.changes.receiver_count() > 0 {
            let _ = core.changes.send(RunChange::Log {
                at: core.clock.now(),
                tenant: tenant.id.clone(),
                run: attempt.run,
                step: attempt.step,
                level: line.level.to_string(),
                message: line.message.clone(),
                fields: line.fields.clone(),
            });
        }
    }
}

/// How long a plugin may read what somebody wrote: people wait for it.
const READING_TIME: Duration = Duration::from_secs(5);

/// How long a trigger may judge one request.
pub(super) const RECEIVE_TIME: Duration = Duration::from_secs(5);
