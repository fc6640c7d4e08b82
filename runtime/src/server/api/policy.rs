//! `/api/v1/policy/explain`: what the egress policy says of a request. Nothing is sent.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::super::limits;
use super::super::response::{self, HandlerResult};
use super::Call;
use super::route::Content::{Object, Of};
use super::route::Permit::For;
use super::route::{RequestBody, Route, optional, required};
use super::shape::{closed, text};
use crate::Role::Editor;

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/api/v1/policy/explain",
        operation: "ExplainPolicy",
        permit: For(Editor),
        handler: |call| Box::pin(explain(call)),
        summary: "Which egress rule decides about a request",
        query: &[
            required("url", "The address that a step would call."),
            optional("method", "GET without it."),
        ],
        body: RequestBody::Nothing,
        answers: &[(200, "The decision", Object)],
        commands: &["policy explain"],
    },
    Route {
        method: "POST",
        path: "/api/v1/policy/explain",
        operation: "ExplainPolicyOf",
        permit: For(Editor),
        handler: |call| Box::pin(explain_body(call)),
        summary: "The same, asked by body",
        query: &[],
        body: RequestBody::Required(
            "The request that a step would send.",
            Of(|_| {
                closed(&["url"], json!({ "url": text(), "method": { "type": "string", "default": "GET" } }))
            }),
        ),
        answers: &[(200, "The decision", Object)],
        commands: &[],
    },
];

async fn explain(call: &Call<'_>) -> HandlerResult {
    let query = call.query()?;
    let url = query.text("url").ok_or_else(|| {
        response::bad_request("parameter `url` is missing: it is the address that a step would call")
    })?;
    about(call, query.text("method").unwrap_or("GET"), url).await
}

/// For addresses that are too long for a query.
async fn explain_body(call: &mut Call<'_>) -> HandlerResult {
    let question: Question = call.parsed(limits::SMALL_BYTES, "{\"method\", \"url\"}").await?;
    about(call, &question.method, &question.url).await
}

async fn about(call: &Call<'_>, method: &str, url: &str) -> HandlerResult {
    response::json(StatusCode::OK, &call.state.runtime.explain(&call.tenant, method, url).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(default = "get")]
    method: String,
    url: String,
}

fn get() -> String {
    "GET".to_owned()
}
