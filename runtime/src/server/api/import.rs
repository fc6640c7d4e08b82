//! `/api/v1/import/curl` and `/api/v1/triggers/sample`: what people have already, as parts of a flow.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::limits;
use super::super::response::{self, HandlerResult};
use super::Call;
use super::route::Content::{Object, Of};
use super::route::Permit::For;
use super::route::{RequestBody, Route};
use super::shape::{closed, text};
use crate::Role::Viewer;
use crate::problem::{Problem, kind};

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "POST",
        path: "/api/v1/import/curl",
        operation: "ImportCurl",
        permit: For(Viewer),
        handler: |call| Box::pin(curl(call)),
        summary: "A command line of curl as a step",
        query: &[],
        body: RequestBody::Required(
            "The whole command line.",
            Of(|_| closed(&["command"], json!({ "command": text() }))),
        ),
        answers: &[(200, "The step, and what it does otherwise", Object)],
        commands: &[],
    },
    Route {
        method: "POST",
        path: "/api/v1/triggers/sample",
        operation: "SampleTrigger",
        permit: For(Viewer),
        handler: |call| Box::pin(sample(call)),
        summary: "A sample of a request as variables of a webhook",
        query: &[],
        body: RequestBody::Required(
            "What is known of the request.",
            Of(|_| {
                closed(
                    &[],
                    json!({
                        "url": text(), "body": true,
                        "headers": { "type": "object", "additionalProperties": text() },
                    }),
                )
            }),
        ),
        answers: &[(200, "The variables", Object)],
        commands: &[],
    },
];

async fn curl(call: &mut Call<'_>) -> HandlerResult {
    let Command { command } = call.parsed(limits::DOCUMENT_BYTES, "{\"command\"}").await?;
    let imported = call.state.runtime.import(&call.tenant, "curl", &command).await.map_err(refused)?;
    response::json(StatusCode::OK, &imported)
}

async fn sample(call: &mut Call<'_>) -> HandlerResult {
    let given: Value = call.parsed(limits::INPUT_BYTES, "{\"url\", \"headers\", \"body\"}").await?;
    let variables = call.state.runtime.sample(&call.tenant, &given).await.map_err(refused)?;
    response::json(StatusCode::OK, &json!({ "variables": variables }))
}

/// What is wrong with a text is wrong with the request.
fn refused(problem: Problem) -> Problem {
    match problem.kind == kind::VALIDATION {
        true => response::bad_request(problem.detail.unwrap_or_default()),
        false => problem,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    command: String,
}
