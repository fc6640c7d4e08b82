//! `/api/v1/runs`. What happened to a run is in [`super::events`].

use hyper::StatusCode;
use serde_json::{Value, json};

use super::super::response::{self, HandlerResult};
use super::route::Content::{List, One};
use super::route::Permit::{Audited, For};
use super::route::{RequestBody, Route, optional};
use super::shape::{PROBLEM, Shape, object, text, time};
use super::{Call, flows};
use crate::Role::{Editor, Viewer};
use crate::{Problem, RunFilter, RunId, Status};

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/api/v1/runs",
        operation: "ListRuns",
        permit: For(Viewer),
        handler: |call| Box::pin(list(call)),
        summary: "Runs, newest first",
        query: &[
            optional("flow", "`namespace/name`, or a name in the namespace `default`."),
            optional("status", "Only those that stand so."),
            optional("since", "Only those accepted at this time or later, RFC 3339."),
            optional("cursor", "The `cursor` of the page before."),
            optional("limit", "At most so many."),
        ],
        body: RequestBody::Nothing,
        answers: &[(200, "A page", List(&RUN_SUMMARY))],
        commands: &["runs list"],
    },
    Route {
        method: "GET",
        path: "/api/v1/runs/{id}",
        operation: "ShowRun",
        permit: For(Viewer),
        handler: |call| Box::pin(show(call)),
        summary: "A run with its steps",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "The run", One(&RUN))],
        commands: &["runs show"],
    },
    Route {
        method: "POST",
        path: "/api/v1/runs/{id}/cancel",
        operation: "CancelRun",
        permit: Audited(Editor),
        handler: |call| Box::pin(cancel(call)),
        summary: "Ends a run; one that is over stays as it is",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "How it stands", One(&RUN_SUMMARY))],
        commands: &["runs cancel"],
    },
    Route {
        method: "POST",
        path: "/api/v1/runs/{id}/restart",
        operation: "RestartRun",
        permit: Audited(Editor),
        handler: |call| Box::pin(restart(call)),
        summary: "Starts a new run of the same text with the same input, or from the step that failed",
        query: &[optional(
            "from",
            "`input`, which is usual, or `failed-step`: what came before that counts as done.",
        )],
        body: RequestBody::Nothing,
        answers: &[(202, "The new run", One(&RUN_SUMMARY))],
        commands: &["runs restart"],
    },
];

/// How a run may stand; a step may be skipped too.
const STATUSES: [&str; 7] =
    ["pending", "running", "waiting", "suspended", "cancelled", "faulted", "completed"];

pub(super) const RUN_SUMMARY: Shape = Shape {
    name: "RunSummary",
    schema: |_| {
        object(
            &["id", "status"],
            json!({
                "id": text(), "tenant": text(), "flow": text(), "trigger": text(), "status": { "enum": STATUSES },
                "startedAt": time(), "endedAt": time(),
            }),
        )
    },
};

pub(super) const RUN: Shape = Shape {
    name: "Run",
    schema: |shapes| {
        let steps = object(
            &["input", "output", "steps"],
            json!({
                "input": true, "output": true, "problem": shapes.refer(&PROBLEM),
                "steps": { "type": "array", "items": shapes.refer(&STEP) },
            }),
        );
        json!({ "allOf": [shapes.refer(&RUN_SUMMARY), steps] })
    },
};

const STEP: Shape = Shape {
    name: "Step",
    schema: |shapes| {
        let problem = shapes.refer(&PROBLEM);
        let statuses = [&STATUSES[..], &["skipped"]].concat();
        let attempt =
            object(&["startedAt"], json!({ "startedAt": time(), "endedAt": time(), "problem": problem }));
        let cleanup = object(
            &["status", "attempts"],
            json!({
                "status": { "enum": ["running", "waiting", "completed", "faulted"] },
                "attempts": { "type": "integer" }, "problem": problem, "dueAt": time(),
            }),
        );
        object(
            &["id", "name", "reference", "status", "attempts", "input", "output"],
            json!({
                "id": { "type": "integer" }, "name": text(), "reference": text(), "kind": text(), "plugin": text(),
                "status": { "enum": statuses }, "input": true, "output": true,
                "startedAt": time(), "endedAt": time(), "dueAt": time(), "problem": problem,
                "attempts": { "type": "array", "items": attempt }, "cleanup": cleanup,
            }),
        )
    },
};

async fn list(call: &Call<'_>) -> HandlerResult {
    let page = call.state.runtime.runs(&call.tenant, filter(call)?).await?;
    response::list(&page.items, page.cursor.as_deref())
}

async fn show(call: &Call<'_>) -> HandlerResult {
    let run = call.state.runtime.run(&call.tenant, id(call)?).await?;
    response::json(StatusCode::OK, &run.ok_or_else(|| unknown(call))?)
}

async fn cancel(call: &Call<'_>) -> HandlerResult {
    let run = call.state.runtime.cancel(&call.tenant, id(call)?, "cancelled through the API").await?;
    response::json(StatusCode::OK, &run.ok_or_else(|| unknown(call))?)
}

async fn restart(call: &Call<'_>) -> HandlerResult {
    let query = call.query()?;
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

/// The run that the address names. A text that is no id names no run.
pub(super) fn id(call: &Call<'_>) -> Result<RunId, Problem> {
    call.places[0].parse().map_err(|_| unknown(call))
}

pub(super) fn unknown(call: &Call<'_>) -> Problem {
    response::no_such(format!("run {}", call.places[0]))
}

fn filter(call: &Call<'_>) -> Result<RunFilter, Problem> {
    let query = call.query()?;
    Ok(RunFilter {
        flow: query.text("flow").map(str::to_owned),
        status: query.text("status").map(status).transpose()?,
        since: query.parsed("since", "a time such as 2026-01-31T12:00:00Z")?,
        cursor: query.text("cursor").map(str::to_owned),
        limit: query.parsed("limit", "a number")?,
    })
}

fn status(text: &str) -> Result<Status, Problem> {
    match serde_json::from_value(Value::from(text)) {
        Ok(Status::Skipped) | Err(_) => {
            let statuses = STATUSES.join(", ");
            Err(response::bad_request(format!("parameter `status`: `{text}` is not one of {statuses}")))
        }
        Ok(status) => Ok(status),
    }
}
