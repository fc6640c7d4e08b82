//! `/api/v1/runs`.

use hyper::StatusCode;
use serde_json::Value;

use super::super::response::{self, Outcome};
use super::query::Query;
use super::{Call, flows};
use crate::{Problem, RunFilter, RunId, Status};

pub(super) async fn list(call: &Call<'_>) -> Outcome {
    let page = call.state.runtime.runs(&call.tenant, filter(call)?).await?;
    response::list(&page.items, page.cursor.as_deref())
}

pub(super) async fn show(call: &Call<'_>) -> Outcome {
    let run = call.state.runtime.run(&call.tenant, id(call)?).await?;
    response::json(StatusCode::OK, &run.ok_or_else(|| unknown(call))?)
}

pub(super) async fn cancel(call: &Call<'_>) -> Outcome {
    let run = call.state.runtime.cancel(&call.tenant, id(call)?, "cancelled through the API").await?;
    response::json(StatusCode::OK, &run.ok_or_else(|| unknown(call))?)
}

pub(super) async fn restart(call: &Call<'_>) -> Outcome {
    let query = Query::read(call.head, &["from"])?;
    let (runtime, id) = (&call.state.runtime, id(call)?);
    let run = match query.text("from") {
        None | Some("input") => runtime.restart(&call.tenant, id).await?,
        Some("failed-step") => runtime.restart_from_failed_step(&call.tenant, id).await?,
        Some(other) => {
            let sentence = format!("parameter `from`: `{other}` is neither `input` nor `failed-step`");
            return Err(response::bad_request(sentence));
        }
    };
    flows::accepted(run.ok_or_else(|| unknown(call))?)
}

/// The run that the address names. What is no id names no run.
pub(super) fn id(call: &Call<'_>) -> Result<RunId, Problem> {
    call.places[0].parse().map_err(|_| unknown(call))
}

pub(super) fn unknown(call: &Call<'_>) -> Problem {
    response::no_such(format!("run {}", call.places[0]))
}

fn filter(call: &Call<'_>) -> Result<RunFilter, Problem> {
    let query = Query::read(call.head, &["flow", "status", "since", "cursor", "limit"])?;
    Ok(RunFilter {
        flow: query.text("flow").map(str::to_owned),
        status: query.text("status").map(status).transpose()?,
        since: query.parsed("since", "a time such as 2026-01-31T12:00:00Z")?,
        cursor: query.text("cursor").map(str::to_owned),
        limit: query.parsed("limit", "a number")?,
    })
}

fn status(text: &str) -> Result<Status, Problem> {
    const OF_RUNS: &str = "pending, running, waiting, suspended, cancelled, faulted, completed";
    match serde_json::from_value(Value::from(text)) {
        Ok(Status::Skipped) | Err(_) => {
            Err(response::bad_request(format!("parameter `status`: `{text}` is not one of {OF_RUNS}")))
        }
        Ok(status) => Ok(status),
    }
}
