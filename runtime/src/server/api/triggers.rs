//! `/api/v1/triggers`.

use hyper::StatusCode;

use super::super::response::{self, Outcome};
use super::query::Query;
use super::{Call, Deployed};
use crate::{Document, Problem, TriggerView};

pub(super) fn list(call: &Call<'_>) -> Outcome {
    Query::read(call.head, &[])?;
    response::list(&call.state.runtime.triggers(&call.tenant), None)
}

pub(super) fn show(call: &Call<'_>) -> Outcome {
    response::json(StatusCode::OK, &find(call).ok_or_else(|| unknown(call))?)
}

pub(super) async fn put(call: &mut Call<'_>) -> Outcome {
    let document = call.document().await?;
    let Document::Trigger(trigger) = &document else {
        return Err(response::bad_request("the document is a flow: put it under /api/v1/flows"));
    };
    let (namespace, name) = (trigger.namespace.clone(), trigger.name.clone());
    let is_new = find(call).is_none();
    let warnings = call.deploy(document, &namespace, &name).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let view = find(call).ok_or_else(|| unknown(call))?;
    response::json(status, &Deployed { view, warnings })
}

pub(super) async fn remove(call: &Call<'_>) -> Outcome {
    let [namespace, name] = call.places;
    if call.state.runtime.remove_trigger(&call.tenant, namespace, name).await? {
        Ok(response::empty(StatusCode::NO_CONTENT))
    } else {
        Err(unknown(call))
    }
}

/// `POST …/enable` and `…/disable`.
pub(super) async fn set_enabled(call: &Call<'_>, enabled: bool) -> Outcome {
    let [namespace, name] = call.places;
    let changed = call.state.runtime.set_trigger_enabled(&call.tenant, namespace, name, enabled).await?;
    response::json(StatusCode::OK, &changed.ok_or_else(|| unknown(call))?)
}

fn find(call: &Call<'_>) -> Option<TriggerView> {
    let [namespace, name] = call.places;
    let triggers = call.state.runtime.triggers(&call.tenant);
    triggers.into_iter().find(|trigger| trigger.namespace == namespace && trigger.name == name)
}

fn unknown(call: &Call<'_>) -> Problem {
    response::no_such(format!("trigger {}/{}", call.places[0], call.places[1]))
}
