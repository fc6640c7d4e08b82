//! `/api/v1/subscriptions`: what triggers have subscribed to.

use hyper::StatusCode;

use super::super::response::{self, Outcome};
use super::Call;
use super::query::Query;

pub(super) async fn list(call: &Call<'_>) -> Outcome {
    Query::read(call.head, &[])?;
    response::list(&call.state.runtime.subscriptions(&call.tenant).await?, None)
}

pub(super) async fn forget(call: &Call<'_>) -> Outcome {
    let id = call.places[0];
    if call.state.runtime.forget_subscription(&call.tenant, id).await? {
        return Ok(response::empty(StatusCode::NO_CONTENT));
    }
    Err(response::no_such(format!(
        "subscription {id} that fails to end; what stands is ended with its trigger, and what ends by itself needs no help"
    )))
}
