//! One real call of an action, to see what it gives: under the tenant's policy and quotas, and of no run.

use std::sync::Arc;

use serde_json::Value;

use super::Runtime;
use super::call::{self, Attempt};
use super::tenant::Tenant;
use super::view::{Trial, TrialEnd};
use crate::flow::{Ask, MaskedTexts, Needs, Outcome, Suspension, paths};
use crate::id::{PluginRef, RunId};
use crate::problem::{Problem, kind};

/// Calls the action once. A step that would wait is told that it is over, so that nothing of it is left in the world.
pub(super) async fn call(
    runtime: &Runtime,
    tenant: &Arc<Tenant>,
    plugin: PluginRef,
    input: Value,
) -> Result<Trial, Problem> {
    tenant.admit_request()?;
    let _slot = tenant.slot().await;
    let Runtime { core, sandboxes } = runtime;
    let needs = Arc::new(Needs::of_call(&input.to_string()));
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
    let end = match call::call(sandboxes, core, tenant, attempt(), ask).await {
        Outcome::Done(output) => TrialEnd::Completed { paths: paths(&output), output },
        Outcome::Failed(problem) | Outcome::CutOff(problem) => TrialEnd::Faulted { problem },
        Outcome::Suspended(Suspension { state, callback, timer_ms, .. }) => {
            let undone = call::undo(sandboxes, core, tenant, attempt(), &state, "cancelled").await;
            TrialEnd::Suspended { callback, timer_ms, problem: undone }
        }
    };
    Ok(Trial { plugin: plugin.to_string(), end })
}

/// `name`, `name.action`, each perhaps with `:version`; without one the newest that is installed.
pub(super) fn named(runtime: &Runtime, tenant: &Tenant, text: &str) -> Result<PluginRef, Problem> {
    let refused = |detail: String| Problem::new(kind::VALIDATION, "no such plugin", 404).detail(detail);
    if text.contains(':') {
        return text.parse().map_err(refused);
    }
    let name = text.split('.').next().unwrap_or_default();
    let installed = runtime.sandboxes.plugins.list(&tenant.id);
    let versions = installed.iter().filter(|plugin| plugin.name == name);
    let newest = versions.filter_map(|plugin| semver::Version::parse(&plugin.version).ok()).max();
    let version = newest.map_or_else(|| "1.0.0".to_owned(), |newest| newest.to_string());
    format!("{text}:{version}").parse().map_err(refused)
}
