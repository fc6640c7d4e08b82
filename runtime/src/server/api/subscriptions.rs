//! `/api/v1/subscriptions`: what triggers have subscribed to.

use hyper::StatusCode;
use serde_json::json;

use super::super::response::{self, HandlerResult};
use super::Call;
use super::route::Content::{List, Nothing};
use super::route::Permit::{Audited, For};
use super::route::{RequestBody, Route};
use super::shape::{PROBLEM, Shape, address, object, text, time};
use crate::Role::{Editor, Viewer};

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/api/v1/subscriptions",
        operation: "ListSubscriptions",
        permit: For(Viewer),
        handler: |call| Box::pin(list(call)),
        summary: "What triggers have subscribed to, and what of that is still to be ended",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "The subscriptions, oldest first", List(&SUBSCRIPTION))],
        commands: &["triggers subscriptions"],
    },
    Route {
        method: "DELETE",
        path: "/api/v1/subscriptions/{id}",
        operation: "ForgetSubscription",
        permit: Audited(Editor),
        handler: |call| Box::pin(forget(call)),
        summary: "Forgets a subscription that could not be ended",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(204, "Forgotten", Nothing)],
        commands: &["triggers subscriptions"],
    },
];

const SUBSCRIPTION: Shape = Shape {
    name: "Subscription",
    schema: |shapes| {
        object(
            &["id", "trigger", "uses", "url", "status", "attempts"],
            json!({
                "id": text(), "trigger": text(), "uses": text(), "url": address(),
                "status": { "enum": ["subscribing", "subscribed", "unsubscribing"] },
                "attempts": { "type": "integer" }, "dueAt": time(), "problem": shapes.refer(&PROBLEM),
            }),
        )
    },
};

async fn list(call: &Call<'_>) -> HandlerResult {
    call.query()?;
    response::list(&call.state.runtime.subscriptions(&call.tenant).await?, None)
}

async fn forget(call: &Call<'_>) -> HandlerResult {
    let id = call.places[0];
    if call.state.runtime.forget_subscription(&call.tenant, id).await? {
        return Ok(response::empty(StatusCode::NO_CONTENT));
    }
    Err(response::no_such(format!(
        "subscription {id} that fails to end; what stands is ended with its trigger, and what ends by itself needs no help"
    )))
}
