//! `/api/v1/import/curl` and `/api/v1/triggers/sample`: what people have already, as parts of a flow.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::super::limits;
use super::super::response::{self, Outcome};
use super::Call;
use crate::problem::{Problem, kind};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    command: String,
}

/// The body is `{"command": "curl …"}`.
pub(super) async fn curl(call: &mut Call<'_>) -> Outcome {
    let body = call.json(limits::DOCUMENT_BYTES).await?;
    let Command { command } = serde_json::from_value(body)
        .map_err(|error| response::bad_request(format!("the body is not {{\"command\"}}: {error}")))?;
    let imported = call.state.runtime.import(&call.tenant, "curl", &command).await.map_err(refused)?;
    response::json(StatusCode::OK, &imported)
}

/// The body is `{"url", "headers", "body"}`, each where there is one.
pub(super) async fn sample(call: &mut Call<'_>) -> Outcome {
    let body = call.json(limits::INPUT_BYTES).await?;
    let variables = call.state.runtime.sample(&call.tenant, &body).await.map_err(refused)?;
    response::json(StatusCode::OK, &json!({ "variables": variables }))
}

/// What is wrong with a text is wrong with the request.
fn refused(problem: Problem) -> Problem {
    match problem.kind == kind::VALIDATION {
        true => response::bad_request(problem.detail.unwrap_or_default()),
        false => problem,
    }
}
