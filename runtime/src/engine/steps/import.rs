//! What people have already, as parts of a flow: a text as a step, a sample of a request as variables. Which plugin can, its
//! descriptor says; the text is read in its sandbox.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call::reading;
use super::sandboxes::Sandboxes;
use crate::engine::Runtime;
use crate::engine::tenant::Tenant;
use crate::flow::expressions_in;
use crate::host::{Called, HostError};
use crate::id::TenantId;
use crate::problem::{Problem, kind, sentence};

/// A step that was made of a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Imported {
    /// The element of a task list.
    pub step: Value,
    /// What the step does otherwise than the text says.
    pub warnings: Vec<String>,
}

impl Runtime {
    /// A step out of a text, by whichever of the tenant's plugins knows its format. The error says what is wrong with the
    /// text.
    pub async fn import(&self, tenant: &TenantId, format: &str, text: &str) -> Result<Imported, Problem> {
        import(&self.rooms.sandboxes, self.tenant(tenant)?, format, text).await
    }

    /// What a trigger could list under `variables` for requests like this one, `{"url", "headers", "body"}`: `{"from", "path",
    /// "as", "value"}` each. The error says what is wrong with the sample.
    pub async fn sample(&self, tenant: &TenantId, given: &Value) -> Result<Value, Problem> {
        sample(&self.rooms.sandboxes, self.tenant(tenant)?, given).await
    }
}

async fn import(
    sandboxes: &Sandboxes,
    tenant: &Tenant,
    format: &str,
    text: &str,
) -> Result<Imported, Problem> {
    let plugin = sandboxes.plugins.first(&tenant.id, |plugin| plugin.imports(format));
    let plugin = plugin.ok_or_else(|| nobody(format!("no plugin makes steps of the format `{format}`")))?;
    let call = reading(sandboxes, tenant, &plugin, "");
    let imported: Imported = result(sandboxes.host.import(call, format, text).await)?;
    match expression(&imported.step) {
        Some(place) => Err(refused(format!(
            "`{place}` is `${{ … }}`, which is an expression in a flow: import it with another text, and put it there by hand"
        ))),
        None => Ok(imported),
    }
}

async fn sample(sandboxes: &Sandboxes, tenant: &Tenant, given: &Value) -> Result<Value, Problem> {
    let plugin = sandboxes.plugins.first(&tenant.id, |plugin| plugin.sampler().is_some());
    let plugin = plugin.ok_or_else(|| nobody("no plugin reads samples of requests".to_owned()))?;
    let trigger = plugin.sampler().expect("that is why it was chosen");
    let call = reading(sandboxes, tenant, &plugin, &trigger.name);
    result(sandboxes.host.sample(call, &given.to_string()).await)
}

/// Where in the input of a step stands what a flow would read as an expression.
fn expression(step: &Value) -> Option<String> {
    let task = step.as_object()?.values().next()?;
    let pointer = expressions_in(&task["with"]).into_iter().next()?;
    Some(pointer.trim_start_matches('/').replace('/', "."))
}

fn result<T: serde::de::DeserializeOwned>(
    called: Result<Called<Result<String, String>>, HostError>,
) -> Result<T, Problem> {
    let called = called.map_err(|error| {
        Problem::new(kind::RUNTIME, "the host could not call the plugin", 503).detail(error.to_string())
    })?;
    // What ended the plugin is the text that it was given, and not an error of the host.
    let ended = |problem: Problem| match called.usage.fault {
        Some(_) => Problem { status: 422, ..problem },
        None => problem,
    };
    let text = called.result.map_err(ended)?.map_err(refused)?;
    serde_json::from_str(&text).map_err(|error| {
        Problem::new(kind::RUNTIME, "the plugin's answer cannot be read", 500).detail(error.to_string())
    })
}

/// The sentence is the plugin's, or of its kind.
fn refused(why: String) -> Problem {
    Problem::new(kind::VALIDATION, "it cannot be read", 400).detail(sentence(why))
}

fn nobody(why: String) -> Problem {
    Problem::new(kind::CONFIGURATION, "no plugin can do that", 404).detail(why)
}
