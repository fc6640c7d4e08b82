//! One real call of an action, to see what it gives: under the tenant's policy and quotas, and of no run.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::call::{self, Attempt};
use super::sandboxes::Sandboxes;
use crate::engine::tenant::Tenant;
use crate::engine::{Runtime, carried};
use crate::flow::{Ask, Contracts, MaskedTexts, Needs, Outcome, Place, Suspension, paths};
use crate::id::{PluginRef, RunId, TenantId};
use crate::problem::{Problem, kind, sentence};

/// What one call of an action came to.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// What was called, `name:version`.
    pub plugin: String,
    /// How it ended.
    #[serde(flatten)]
    pub end: TrialEnd,
}

/// How a call on trial ended.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "status", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum TrialEnd {
    /// With an output.
    Completed {
        /// As a flow would have it.
        output: Value,
        /// The places of it, as expressions write them.
        paths: Vec<Place>,
    },
    /// With a problem, which a flow could catch.
    Faulted {
        /// Why.
        problem: Problem,
    },
    /// It would wait for the world. What it had begun there was undone.
    Suspended {
        /// Whether a request to its callback address would wake it.
        callback: bool,
        /// After how many milliseconds it would be woken.
        #[serde(skip_serializing_if = "Option::is_none")]
        timer_ms: Option<u64>,
        /// Why what it had begun could not be undone.
        #[serde(skip_serializing_if = "Option::is_none")]
        problem: Option<Problem>,
    },
}

impl Runtime {
    /// Calls an action once with this input, under the tenant's policy and quotas, and of no run. `action` is `name` or
    /// `name.action`, perhaps with `:version`. The error is that it could not be called.
    pub async fn try_action(&self, tenant: &TenantId, action: &str, input: Value) -> Result<Trial, Problem> {
        let (sandboxes, tenant) = (self.rooms.sandboxes.clone(), self.tenant(tenant)?.clone());
        let plugin = named(&sandboxes, &tenant, action)?;
        carried::to_the_end(async move { call(&sandboxes, &tenant, plugin, input).await }).await
    }
}

/// Calls the action once. A step that would wait is told that it is over, so that nothing of it is left in the world.
async fn call(
    sandboxes: &Sandboxes,
    tenant: &Arc<Tenant>,
    plugin: PluginRef,
    input: Value,
) -> Result<Trial, Problem> {
    tenant.admit_request()?;
    let _slot = tenant.slot().await;
    let contract = sandboxes.plugins.contracts(&tenant.id).action(&plugin);
    let needs = contract.map(|contract| Needs::of_call(&contract, &input));
    let needs = Arc::new(needs.unwrap_or_default());
    let run = RunId::mint();
    let attempt = || Attempt {
        run,
        step: 0,
        attempt: 1,
        plugin: plugin.clone(),
        needs: needs.clone(),
        hidden: MaskedTexts::default(),
        mask: None,
    };
    let ask = Ask::Start { input: Arc::new(input) };
    let end = match call::call(sandboxes, tenant, attempt(), ask).await {
        Outcome::Done(output) => TrialEnd::Completed { paths: paths(&output), output },
        Outcome::Failed(problem) | Outcome::CutOff(problem) => TrialEnd::Faulted { problem },
        Outcome::Suspended(Suspension { state, callback, timer_ms, .. }) => {
            let undone = call::undo(sandboxes, tenant, attempt(), &state, "cancelled").await;
            TrialEnd::Suspended { callback, timer_ms, problem: undone }
        }
    };
    Ok(Trial { plugin: plugin.to_string(), end })
}

fn no_plugin(detail: String) -> Problem {
    Problem::new(kind::VALIDATION, "no such plugin", 404).detail(sentence(detail))
}

/// `name`, `name.action`, each perhaps with `:version`; without one the newest that is installed.
fn named(sandboxes: &Sandboxes, tenant: &Tenant, text: &str) -> Result<PluginRef, Problem> {
    if text.contains(':') {
        return text.parse().map_err(no_plugin);
    }
    let name = text.split('.').next().unwrap_or_default();
    let installed = sandboxes.plugins.list(&tenant.id);
    let versions = installed.iter().filter(|plugin| plugin.name == name);
    let newest = versions.filter_map(|plugin| semver::Version::parse(&plugin.version).ok()).max();
    let version = newest.map_or_else(|| "1.0.0".to_owned(), |newest| newest.to_string());
    format!("{text}:{version}").parse().map_err(no_plugin)
}
