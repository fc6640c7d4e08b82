//! `/api/v1/triggers`.

use hyper::StatusCode;
use serde_json::json;

use super::super::response::{self, HandlerResult};
use super::route::Content::{self, List, Nothing, One};
use super::route::Permit::{Audited, For};
use super::route::{RequestBody, Route};
use super::shape::{Shape, address, object, text};
use super::{Call, deployment};
use crate::Role::{Editor, Viewer};
use crate::{Document, Problem, TriggerView};

/// The audit log's words for what a start of the host does too.
pub(crate) const PUT_TRIGGER: &str = "PutTrigger";
pub(crate) const REMOVE_TRIGGER: &str = "RemoveTrigger";

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/api/v1/triggers",
        operation: "ListTriggers",
        permit: For(Viewer),
        handler: |call| Box::pin(list(call)),
        summary: "The deployed triggers",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "The triggers", List(&TRIGGER))],
        commands: &["triggers list"],
    },
    Route {
        method: "GET",
        path: "/api/v1/triggers/{namespace}/{name}",
        operation: "ShowTrigger",
        permit: For(Viewer),
        handler: |call| Box::pin(show(call)),
        summary: "A trigger",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "The trigger", One(&TRIGGER))],
        commands: &["triggers show"],
    },
    Route {
        method: "PUT",
        path: "/api/v1/triggers/{namespace}/{name}",
        operation: PUT_TRIGGER,
        permit: Audited(Editor),
        handler: |call| Box::pin(put(call)),
        summary: "Deploys a trigger; its address stays through every edit",
        query: &[],
        body: RequestBody::Required(
            "A trigger document, YAML or JSON, called what the address says.",
            Content::Document,
        ),
        answers: &[(200, "Changed", One(&TRIGGER)), (201, "A new trigger", One(&TRIGGER))],
        commands: &["triggers deploy", "flows deploy"],
    },
    Route {
        method: "DELETE",
        path: "/api/v1/triggers/{namespace}/{name}",
        operation: REMOVE_TRIGGER,
        permit: Audited(Editor),
        handler: |call| Box::pin(remove(call)),
        summary: "Removes a trigger and its address",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(204, "Removed", Nothing)],
        commands: &["triggers delete"],
    },
    Route {
        method: "POST",
        path: "/api/v1/triggers/{namespace}/{name}/enable",
        operation: "EnableTrigger",
        permit: Audited(Editor),
        handler: |call| Box::pin(set_enabled(call, true)),
        summary: "Takes events again",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "The trigger", One(&TRIGGER))],
        commands: &["triggers enable"],
    },
    Route {
        method: "POST",
        path: "/api/v1/triggers/{namespace}/{name}/disable",
        operation: "DisableTrigger",
        permit: Audited(Editor),
        handler: |call| Box::pin(set_enabled(call, false)),
        summary: "Takes no events until enabled",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "The trigger", One(&TRIGGER))],
        commands: &["triggers disable"],
    },
];

const TRIGGER: Shape = Shape {
    name: "Trigger",
    schema: |_| {
        object(
            &["namespace", "name", "uses", "flow", "enabled", "url"],
            json!({
                "namespace": text(), "name": text(), "uses": text(), "flow": text(),
                "enabled": { "type": "boolean" }, "url": address(),
                "warnings": { "type": "array", "items": { "type": "object" } },
            }),
        )
    },
};

async fn list(call: &Call<'_>) -> HandlerResult {
    call.query()?;
    response::list(&call.state.runtime.triggers(&call.tenant), None)
}

async fn show(call: &Call<'_>) -> HandlerResult {
    response::json(StatusCode::OK, &find(call).ok_or_else(|| unknown(call))?)
}

async fn put(call: &mut Call<'_>) -> HandlerResult {
    let document = call.document().await?;
    let Document::Trigger(trigger) = &document else {
        return Err(response::bad_request("the document is a flow: put it under /api/v1/flows"));
    };
    let (namespace, name) = (trigger.namespace.clone(), trigger.name.clone());
    let is_new = find(call).is_none();
    let warnings = call.deploy(document, &namespace, &name).await?;
    let view = find(call).ok_or_else(|| unknown(call))?;
    deployment::answer(is_new, view, warnings)
}

async fn remove(call: &Call<'_>) -> HandlerResult {
    let [namespace, name] = call.places;
    if call.state.runtime.remove_trigger(&call.tenant, namespace, name).await? {
        Ok(response::empty(StatusCode::NO_CONTENT))
    } else {
        Err(unknown(call))
    }
}

async fn set_enabled(call: &Call<'_>, enabled: bool) -> HandlerResult {
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
