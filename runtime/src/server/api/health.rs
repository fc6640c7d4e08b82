//! `/healthz`, `/readyz`, `/metrics`: for what watches the host.

use hyper::StatusCode;
use serde_json::json;

use super::super::response::{self, HandlerResult};
use super::Call;
use super::route::Content::{Object, One, Text};
use super::route::{Permit, RequestBody, Route};
use super::shape::PROBLEM;

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/healthz",
        operation: "Healthz",
        permit: Permit::Open,
        handler: |_| Box::pin(alive()),
        summary: "Whether the process answers",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "It does", Object)],
        commands: &[],
    },
    Route {
        method: "GET",
        path: "/readyz",
        operation: "Readyz",
        permit: Permit::Open,
        handler: |call| Box::pin(ready(call)),
        summary: "Whether events are taken now",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "They are", Object), (503, "They are not", One(&PROBLEM))],
        commands: &[],
    },
    Route {
        method: "GET",
        path: "/metrics",
        operation: "Metrics",
        permit: Permit::Open,
        handler: |call| Box::pin(metrics(call)),
        summary: "Figures for Prometheus",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "Text format 0.0.4", Text)],
        commands: &[],
    },
];

async fn alive() -> HandlerResult {
    response::json(StatusCode::OK, &json!({ "status": "alive" }))
}

async fn ready(call: &Call<'_>) -> HandlerResult {
    if *call.state.closing.borrow() {
        return Err(response::unavailable("draining"));
    }
    match call.state.runtime.ready().await {
        Ok(()) => response::json(StatusCode::OK, &json!({ "status": "ready" })),
        Err(missing) => Err(response::unavailable(missing)),
    }
}

async fn metrics(call: &Call<'_>) -> HandlerResult {
    let mut text = call.state.runtime.metrics();
    text.push_str(&call.state.metrics.text());
    Ok(response::bytes(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text))
}
