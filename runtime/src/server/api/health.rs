//! `/healthz`, `/readyz`, `/metrics`: for what watches the host.

use hyper::StatusCode;
use serde_json::json;

use super::super::response::{self, Outcome};
use super::Call;

pub(super) fn alive() -> Outcome {
    response::json(StatusCode::OK, &json!({ "status": "alive" }))
}

pub(super) async fn ready(call: &Call<'_>) -> Outcome {
    if *call.state.closing.borrow() {
        return Err(response::unavailable("draining"));
    }
    match call.state.runtime.ready().await {
        Ok(()) => response::json(StatusCode::OK, &json!({ "status": "ready" })),
        Err(missing) => Err(response::unavailable(missing)),
    }
}

pub(super) fn metrics(call: &Call<'_>) -> Outcome {
    let mut text = call.state.runtime.metrics();
    text.push_str(&call.state.metrics.text());
    Ok(response::bytes(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text))
}
