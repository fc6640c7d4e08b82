//! One attempt of a step, from the effect to the outcome: find the plugin, check its input, let the host call it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowcell_plugin_json_schema::Finding;
use serde::Deserialize;
use serde_json::{Value, json};

use super::sandboxes::Sandboxes;
use super::{GuestExpression, GuestSchema};
use crate::capability::log::LogLine;
use crate::capability::vault::Credentials;
use crate::engine::observers::RunChange;
use crate::engine::tenant::Tenant;
use crate::flow::{self, Ask, Mask, MaskedTexts, Needs, Outcome, Suspension};
use crate::host::{self, Action, Call, CallLimits, Grants, HostError, Plugin, Reach, StepContext, hand_over};
use crate::id::{PluginRef, RunId};
use crate::json::{self, ReadError};
use crate::problem::{Problem, kind};

/// How long a step waits when the host, not the plugin, is the reason that it could not be called.
const HOST_PAUSE_MS: u64 = 1000;

/// How long a plugin may read what somebody wrote: people wait for it.
const READING_TIME: Duration = Duration::from_secs(5);

/// The most bytes that a suspended step may leave behind.
pub(super) const LEFT_BYTES: usize = 1 << 20;
/// The longest time that a suspension may name: a century is for ever, and keeps within every clock.
const LONGEST_WAIT_MS: u64 = 100 * 365 * 24 * 3600 * 1000;

/// Which attempt of which step, and of what.
pub(in crate::engine) struct Attempt {
    pub run: RunId,
    pub step: u32,
    pub attempt: u32,
    pub plugin: PluginRef,
    /// What its flow may use of the vault.
    pub needs: Arc<Needs>,
    /// What of its run is not shown, in log lines neither.
    pub hidden: MaskedTexts,
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
pub(super) async fn call(sandboxes: &Sandboxes, tenant: &Tenant, attempt: Attempt, ask: Ask) -> Outcome {
    // Who tries an action may spell it in any way, and no spelling goes from the metrics again.
    let name = match sandboxes.plugins.get(&tenant.id, &attempt.plugin) {
        Ok(_) => attempt.plugin.to_string(),
        Err(_) => "not-installed".to_owned(),
    };
    let started = std::time::Instant::now();
    let outcome = carry_out(sandboxes, tenant, &attempt, ask).await.unwrap_or_else(Outcome::CutOff);
    sandboxes.observers.metrics.step_ended(&tenant.id, &name, &outcome, started.elapsed());
    outcome
}

async fn carry_out(
    sandboxes: &Sandboxes,
    tenant: &Tenant,
    attempt: &Attempt,
    ask: Ask,
) -> Result<Outcome, Problem> {
    tenant.journal_turn(tenant.quota.step_time).await?;
    let plugin = installed(sandboxes, tenant, &attempt.plugin)?;
    let action = action(&plugin, &attempt.plugin)?;
    let reach = step(sandboxes, tenant, attempt);
    let call = Call { plugin: &plugin, name: &action.name, reach, limits: limits(tenant) };
    let host = &sandboxes.host;
    let ended = match ask {
        Ask::Start { input } => {
            let findings = action.validate(&sandboxes.account(tenant), &input).await;
            if !findings.is_empty() {
                return Err(invalid_input(&attempt.plugin, &findings));
            }
            host.start(call, &json_text(&input)).await
        }
        Ask::Resume { state, event } => host.resume(call, &left(&state)?, &json_text(&event)).await,
    };
    let ended = ended.map_err(|error| host_failed(tenant, &error))?;
    sandboxes.observers.metrics.guest_ended(&tenant.id, &attempt.plugin.name, &ended.usage);
    let outcome = match ended.result {
        Ok(host::GuestOutcome::Done(output)) => match json::read(output.as_bytes()) {
            Ok(output) => Ok(Outcome::Done(output)),
            Err(error @ ReadError::TooHeavy(_)) => {
                Err(Problem::new(kind::RUNTIME, "the plugin's output is too large", 413)
                    .detail(format!("{}: as a value {error}", attempt.plugin)))
            }
            Err(ReadError::Syntax(error)) => {
                Err(Problem::new(kind::RUNTIME, "the plugin's output is not JSON", 500)
                    .detail(format!("{}: {error}", attempt.plugin)))
            }
        },
        Ok(host::GuestOutcome::Suspend(left)) => suspension(&attempt.plugin, &left),
        Err(problem) if ended.usage.fault.is_none() => Ok(Outcome::Failed(problem)),
        Err(problem) => Err(problem),
    };
    show_logs(sandboxes, tenant, attempt, &ended.logs, outcome.as_ref().ok());
    outcome
}

/// Calls the plugin's `cancel` for a step that is over. Returns why what the step left in the world is not undone.
pub(super) async fn undo(
    sandboxes: &Sandboxes,
    tenant: &Tenant,
    attempt: Attempt,
    state: &str,
    reason: &'static str,
) -> Option<Problem> {
    let undo = async {
        let plugin = installed(sandboxes, tenant, &attempt.plugin)?;
        let action = action(&plugin, &attempt.plugin)?;
        let state = left(state)?;
        let reach = step(sandboxes, tenant, &attempt);
        let call = Call { plugin: &plugin, name: &action.name, reach, limits: limits(tenant) };
        let undone = sandboxes.host.cancel(call, &state, reason).await;
        let undone = undone.map_err(|error| host_failed(tenant, &error))?;
        sandboxes.observers.metrics.guest_ended(&tenant.id, &attempt.plugin.name, &undone.usage);
        show_logs(sandboxes, tenant, &attempt, &undone.logs, None);
        undone.result
    };
    let problem = undo.await.err();
    if let Some(problem) = &problem {
        let Attempt { run, step, attempt, plugin, .. } = &attempt;
        tracing::warn!(%run, step, attempt, %plugin, %problem, "what a step left in the world could not be undone");
    }
    problem
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
fn step(sandboxes: &Sandboxes, tenant: &Tenant, attempt: &Attempt) -> Reach {
    let Attempt { run, step, attempt, ref needs, .. } = *attempt;
    let callbacks = sandboxes.addresses.of_run(&tenant.id, run);
    let (connections, secrets) = (needs.connections.clone(), needs.secrets.clone());
    let credentials = Credentials::of_step(tenant.vault.clone(), connections, secrets, callbacks.clone());
    let deadline_ms = deadline_ms(sandboxes, tenant);
    let context = StepContext { run, step, attempt, deadline_ms, callbacks };
    Reach::Step(context, grants(sandboxes, tenant, credentials))
}

pub(super) fn grants(sandboxes: &Sandboxes, tenant: &Tenant, credentials: Credentials) -> Grants {
    Grants { egress: tenant.egress.clone(), expressions: sandboxes.expressions(tenant), credentials }
}

/// A call that reads what somebody wrote.
pub(in crate::engine) fn reading<'c>(
    sandboxes: &Sandboxes,
    tenant: &Tenant,
    plugin: &'c Plugin,
    name: &'c str,
) -> Call<'c> {
    let limits = CallLimits { wall: READING_TIME, ..limits(tenant) };
    Call { plugin, name, reach: Reach::Read(sandboxes.expressions(tenant)), limits }
}

/// What a trigger may use of the vault.
pub(in crate::engine) fn trigger_credentials(tenant: &Tenant, needs: &Needs) -> Credentials {
    Credentials::of_trigger(tenant.vault.clone(), needs.connections.clone(), needs.secrets.clone())
}

/// When a call that begins now is ended.
pub(super) fn deadline_ms(sandboxes: &Sandboxes, tenant: &Tenant) -> u64 {
    let deadline = crate::clock::after(sandboxes.clock.now(), tenant.quota.step_time);
    deadline.as_millisecond().try_into().unwrap_or(0)
}

/// What a plugin left behind, as the journal has it.
fn left(state: &str) -> Result<Vec<u8>, Problem> {
    STANDARD.decode(state).map_err(|error| {
        Problem::new(kind::RUNTIME, "the step's state cannot be read", 500)
            .detail(format!("what the journal keeps of it is not base64: {error}"))
    })
}

fn suspension(plugin: &PluginRef, left: &host::GuestSuspension) -> Result<Outcome, Problem> {
    let host::GuestSuspension { state, wake } = left;
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
pub(in crate::engine) fn limits(tenant: &Tenant) -> CallLimits {
    let quota = &tenant.quota;
    CallLimits {
        memory_bytes: quota.memory,
        cpu: quota.cpu,
        cpu_per_minute: quota.cpu_per_minute,
        wall: quota.step_time,
        hand_over: hand_over(quota.body),
    }
}

/// Evaluates a jq program in the expression guest. The error is a sentence for the author of the expression.
pub(super) async fn evaluate(
    sandboxes: &Sandboxes,
    tenant: &Tenant,
    evaluation: GuestExpression,
) -> Result<Value, String> {
    let GuestExpression { flow_digest, program, input, variables } = evaluation;
    let key = (tenant.id.clone(), flow_digest);
    // Made where it is evaluated, so that a run with many questions waits with none of their texts.
    let (input, variables) = (json_text(&input), variables_text(&variables));
    let text = sandboxes.evaluator.evaluate(&key, &program, &input, &variables, limits(tenant)).await?;
    json::read(text.as_bytes()).map_err(|error| match error {
        ReadError::TooHeavy(_) => format!("the result is too large: {error}"),
        ReadError::Syntax(_) => format!("the result is not JSON: {error}"),
    })
}

/// Compares a value with a schema in the schema guest. The error is a sentence for the author of the schema.
pub(super) async fn validate(
    sandboxes: &Sandboxes,
    tenant: &Tenant,
    validation: GuestSchema,
) -> Result<Value, String> {
    let GuestSchema { flow_digest, schema, value } = validation;
    let key = (tenant.id.clone(), flow_digest);
    let value = json_text(&value);
    let findings = sandboxes.schemas.validate(&key, &schema, &value, &[], limits(tenant)).await?;
    Ok(flow::violations(&findings))
}

/// The variables as a JSON object.
fn variables_text(variables: &[(String, Arc<Value>)]) -> String {
    let all: BTreeMap<&str, &Value> =
        variables.iter().map(|(name, value)| (name.as_str(), &**value)).collect();
    serde_json::to_string(&all).expect("variables are JSON")
}

/// JSON text. A value's own `to_string` says the same by way of a formatter, in twice the time.
pub(in crate::engine) fn json_text(value: &Value) -> String {
    serde_json::to_string(value).expect("a value is JSON")
}

fn invalid_input(plugin: &PluginRef, findings: &[Finding]) -> Problem {
    let sentences: Vec<_> = findings
        .iter()
        .map(|finding| format!("with{}: {}", finding.at.replace('/', "."), finding.says))
        .collect();
    Problem::new(kind::VALIDATION, "the step's input does not fit the plugin", 400)
        .detail(format!("{plugin}: {}", sentences.join("; ")))
        .data(json!({ "code": "invalid-input", "findings": sentences }))
}

pub(super) fn host_failed(tenant: &Tenant, error: &HostError) -> Problem {
    if let HostError::CpuPerMinute { after, .. } = error {
        return tenant.over("cpu_per_minute", *after, error.to_string());
    }
    tracing::error!(%error, "a plugin could not be called");
    let mut problem =
        Problem::new(kind::RUNTIME, "the host could not call the plugin", 503).detail(error.to_string());
    problem.retry_after_ms = Some(HOST_PAUSE_MS);
    problem
}

/// Shows log lines without what is masked of the run, and of what the call came to.
fn show_logs(
    sandboxes: &Sandboxes,
    tenant: &Tenant,
    attempt: &Attempt,
    logs: &[LogLine],
    outcome: Option<&Outcome>,
) {
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
        if sandboxes.observers.has_watchers() {
            sandboxes.observers.show(RunChange::Log {
                at: sandboxes.clock.now(),
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
