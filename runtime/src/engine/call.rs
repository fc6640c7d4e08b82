//! One attempt of a step, from the effect to the outcome: find the plugin, check its input, let the host call it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::core::Core;
use super::tenant::Tenant;
use super::view::RunChange;
use crate::flow::Outcome;
use crate::host::{self, CallLimits, Ended, Grants, HostError, StepContext};
use crate::id::{PluginRef, RunId};
use crate::problem::{Problem, kind};

/// How long a step waits when the host, not the plugin, is the reason that it could not be called.
const HOST_PAUSE_MS: u64 = 1000;

pub(super) struct Call {
    pub run: RunId,
    pub step: u32,
    pub attempt: u32,
    pub plugin: PluginRef,
    pub input: Arc<Value>,
}

/// Never fails: whatever goes wrong is an outcome that the flow may catch.
pub(super) async fn call(core: Arc<Core>, tenant: Arc<Tenant>, call: Call) -> Outcome {
    let name = call.plugin.to_string();
    let started = std::time::Instant::now();
    let outcome = match attempt(&core, &tenant, call).await {
        Ok(output) => Outcome::Done(output),
        Err(problem) => Outcome::Failed(problem),
    };
    core.metrics.step_ended(&tenant.id, &name, &outcome, started.elapsed());
    outcome
}

async fn attempt(core: &Core, tenant: &Tenant, call: Call) -> Result<Value, Problem> {
    let plugin = core.plugins.get(&tenant.id, &call.plugin).map_err(|reason| {
        Problem::new(kind::CONFIGURATION, "the plugin is not installed", 500).detail(reason)
    })?;
    let action = plugin.action(call.plugin.action.as_deref()).map_err(|reason| {
        Problem::new(kind::CONFIGURATION, "the plugin has no such action", 500).detail(reason)
    })?;
    action.validate(&call.input).map_err(|findings| invalid_input(&call.plugin, findings))?;

    let limits = limits(tenant);
    let deadline = crate::clock::after(core.clock.now(), limits.wall);
    let context = StepContext {
        run: call.run.to_string(),
        step: call.step.to_string(),
        attempt: call.attempt,
        idempotency_key: format!("{}-{}", call.run, call.step),
        deadline_ms: deadline.as_millisecond().try_into().unwrap_or(0),
        trace_parent: format!("00-{}-{:016x}-01", call.run, u64::from(call.step) + 1),
    };
    let grants = Grants { egress: tenant.egress.clone() };
    let input = json_text(&call.input);
    let ended = core
        .host
        .start(&plugin, &action.name, &input, grants, limits, context)
        .await
        .map_err(|error| host_failed(&error))?;
    core.metrics.guest_ended(&tenant.id, &call.plugin.name, &ended.usage);
    show_logs(core, tenant, &call, &ended);
    match ended.outcome {
        host::Outcome::Done(output) => serde_json::from_str(&output).map_err(|error| {
            Problem::new(kind::RUNTIME, "the plugin's output is not JSON", 500)
                .detail(format!("{}: {error}", call.plugin))
        }),
        host::Outcome::Suspend => Err(Problem::new(kind::CONFIGURATION, "the step cannot suspend here", 501)
            .detail(format!(
                "{} asks to be suspended; this host carries out steps that answer at once",
                call.plugin
            ))),
        host::Outcome::Fail(problem) => Err(problem),
    }
}

/// What the tenant's quota allows one call.
pub(super) fn limits(tenant: &Tenant) -> CallLimits {
    CallLimits { memory_bytes: tenant.quota.memory, cpu: tenant.quota.cpu, wall: tenant.quota.step_time }
}

/// Evaluates a jq program in the expression guest. The error is a sentence for the author of the expression.
pub(super) async fn evaluate(
    core: &Core,
    tenant: &Tenant,
    flow_digest: &str,
    program: &str,
    input: &Value,
    variables: &Value,
) -> Result<Value, String> {
    let key = (tenant.id.clone(), flow_digest.to_owned());
    let text = core
        .evaluator
        .evaluate(&key, program, &json_text(input), &json_text(variables), limits(tenant))
        .await?;
    serde_json::from_str(&text).map_err(|error| format!("the result is not JSON: {error}"))
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
    tracing::error!(%error, "a step could not be called");
    let mut problem =
        Problem::new(kind::RUNTIME, "the host could not call the plugin", 503).detail(error.to_string());
    problem.retry_after_ms = Some(HOST_PAUSE_MS);
    problem
}

fn show_logs(core: &Core, tenant: &Tenant, call: &Call, ended: &Ended) {
    for line in &ended.logs {
        tracing::debug!(run = %call.run, step = call.step, level = %line.level, "{}", line.message);
        if core.changes.receiver_count() > 0 {
            let _ = core.changes.send(RunChange::Log {
                at: core.clock.now(),
                tenant: tenant.id.clone(),
                run: call.run,
                step: call.step,
                level: line.level.to_string(),
                message: line.message.clone(),
                fields: line.fields.clone(),
            });
        }
    }
}

/// How long a trigger may judge one request.
pub(super) const RECEIVE_TIME: Duration = Duration::from_secs(5);
