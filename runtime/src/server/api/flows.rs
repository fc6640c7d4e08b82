//! `/api/v1/flows`.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderValue, LOCATION};
use jiff::SignedDuration;
use serde_json::json;

use super::super::limits;
use super::super::response::{self, HandlerResult};
use super::route::Content::{self, List, Nothing, One};
use super::route::Permit::{Audited, For};
use super::route::{RequestBody, Route, optional};
use super::runs::{RUN, RUN_SUMMARY};
use super::shape::{Shape, object, text, time};
use super::{Call, deployment};
use crate::Role::{Editor, Viewer};
use crate::{Document, FlowView, Problem, RunId, RunView, Status};

/// The audit log's words for what a start of the host does too.
pub(crate) const PUT_FLOW: &str = "PutFlow";
pub(crate) const REMOVE_FLOW: &str = "RemoveFlow";

pub(super) const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/api/v1/flows",
        operation: "ListFlows",
        permit: For(Viewer),
        handler: |call| Box::pin(list(call)),
        summary: "The deployed flows",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "The flows", List(&FLOW))],
        commands: &["flows list"],
    },
    Route {
        method: "GET",
        path: "/api/v1/flows/{namespace}/{name}",
        operation: "ShowFlow",
        permit: For(Viewer),
        handler: |call| Box::pin(show(call)),
        summary: "A flow, its newest version",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(200, "The flow", One(&FLOW))],
        commands: &["flows show"],
    },
    Route {
        method: "PUT",
        path: "/api/v1/flows/{namespace}/{name}",
        operation: PUT_FLOW,
        permit: Audited(Editor),
        handler: |call| Box::pin(put(call)),
        summary: "Deploys a flow",
        query: &[],
        body: RequestBody::Required(
            "A flow document, YAML or JSON, called what the address says.",
            Content::Document,
        ),
        answers: &[(200, "A new text of the flow", One(&FLOW)), (201, "A new flow", One(&FLOW))],
        commands: &["flows deploy", "triggers deploy"],
    },
    Route {
        method: "DELETE",
        path: "/api/v1/flows/{namespace}/{name}",
        operation: REMOVE_FLOW,
        permit: Audited(Editor),
        handler: |call| Box::pin(remove(call)),
        summary: "Removes a flow; its runs go on",
        query: &[],
        body: RequestBody::Nothing,
        answers: &[(204, "Removed", Nothing)],
        commands: &["flows delete"],
    },
    Route {
        method: "POST",
        path: "/api/v1/flows/{namespace}/{name}/runs",
        operation: "StartRun",
        permit: For(Editor),
        handler: |call| Box::pin(start(call)),
        summary: "Starts a run",
        query: &[
            optional(
                "wait",
                "ISO 8601 duration up to PT300S: answer when the run is over, at the latest then.",
            ),
            optional("version", "The flow's version; the newest without it."),
        ],
        body: RequestBody::Optional("The run's input; none is null.", Content::Json),
        answers: &[
            (200, "With `wait`: the finished run", One(&RUN)),
            (202, "Journalled; with `wait`: not over yet", One(&RUN_SUMMARY)),
        ],
        commands: &["flows run"],
    },
];

const FLOW: Shape = Shape {
    name: "Flow",
    schema: |_| {
        object(
            &["namespace", "name", "version"],
            json!({
                "namespace": text(), "name": text(), "version": text(), "title": text(),
                "durable": { "type": "boolean" }, "installedAt": time(), "document": { "type": "object" },
                "warnings": { "type": "array", "items": { "type": "object" } },
            }),
        )
    },
};

async fn list(call: &Call<'_>) -> HandlerResult {
    call.query()?;
    response::list(&call.state.runtime.flows(&call.tenant), None)
}

async fn show(call: &Call<'_>) -> HandlerResult {
    response::json(StatusCode::OK, &find(call).ok_or_else(|| unknown(call))?)
}

async fn put(call: &mut Call<'_>) -> HandlerResult {
    let document = call.document().await?;
    let Document::Flow(flow) = &document else {
        return Err(response::bad_request("the document is a trigger: put it under /api/v1/triggers"));
    };
    let id = flow.id.clone();
    let is_new = find(call).is_none();
    let warnings = call.deploy(document, &id.namespace, &id.name).await?;
    let view = find(call).ok_or_else(|| unknown(call))?;
    call.detail = Some(format!("version {}, digest {}", id.version, id.digest));
    deployment::answer(is_new, view, warnings)
}

async fn remove(call: &Call<'_>) -> HandlerResult {
    let [namespace, name] = call.places;
    if call.state.runtime.remove_flow(&call.tenant, namespace, name).await? {
        Ok(response::empty(StatusCode::NO_CONTENT))
    } else {
        Err(unknown(call))
    }
}

async fn start(call: &mut Call<'_>) -> HandlerResult {
    let query = call.query()?;
    let wait = query.text("wait").map(wait_time).transpose()?;
    let input = call.json(limits::INPUT_BYTES).await?;
    let [namespace, name] = call.places;
    let runtime = &call.state.runtime;
    let id = runtime.start_run(&call.tenant, namespace, name, query.text("version"), input).await?;
    match wait {
        None => accepted(id),
        Some(wait) => waited(id, run_within(call, id, wait).await?),
    }
}

/// The answer to a started run: where it will be seen.
pub(super) fn accepted(id: RunId) -> HandlerResult {
    located(id, response::json(StatusCode::ACCEPTED, &json!({ "id": id, "status": Status::Pending })))
}

fn waited(id: RunId, run: Option<RunView>) -> HandlerResult {
    let Some(run) = run else { return accepted(id) };
    let status = if run.summary.status.is_final() { StatusCode::OK } else { StatusCode::ACCEPTED };
    located(id, response::json(status, &run))
}

fn located(id: RunId, answer: HandlerResult) -> HandlerResult {
    let mut response = answer?;
    let location = HeaderValue::try_from(format!("/api/v1/runs/{id}")).expect("an id is a legal header");
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// The run when it is over, or as it stands when the time is over or the server drains.
async fn run_within(call: &Call<'_>, id: RunId, wait: Duration) -> Result<Option<RunView>, Problem> {
    tokio::select! {
        run = call.state.runtime.wait(&call.tenant, id, wait) => run,
        () = call.state.closes() => call.state.runtime.run(&call.tenant, id).await,
    }
}

fn wait_time(text: &str) -> Result<Duration, Problem> {
    let longest = limits::LONGEST_WAIT;
    // ISO 8601 only: jiff alone would take `30 seconds` too.
    let span = text.starts_with('P').then(|| text.parse::<SignedDuration>().ok()).flatten();
    match span.and_then(|span| Duration::try_from(span).ok()) {
        None => Err(response::bad_request(format!(
            "parameter `wait`: `{text}` is not an ISO 8601 duration such as PT30S"
        ))),
        Some(wait) if wait > longest => Err(response::bad_request(format!(
            "parameter `wait`: {text} is longer than PT{}S; wait again, or read the run's events",
            longest.as_secs()
        ))),
        Some(wait) => Ok(wait),
    }
}

fn find(call: &Call<'_>) -> Option<FlowView> {
    let [namespace, name] = call.places;
    call.state.runtime.flow(&call.tenant, namespace, name)
}

fn unknown(call: &Call<'_>) -> Problem {
    response::no_such(format!("flow {}/{}", call.places[0], call.places[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_takes_iso_8601_up_to_the_limit() {
        assert_eq!(wait_time("PT30S").unwrap(), Duration::from_secs(30));
        assert_eq!(wait_time("PT0.5S").unwrap(), Duration::from_millis(500));
        assert_eq!(wait_time("PT5M").unwrap(), Duration::from_secs(300));
        for wrong in ["PT5M1S", "30", "30s", "P1D", "PT", "-PT1S", "P1M"] {
            assert_eq!(wait_time(wrong).unwrap_err().status, 400, "{wrong}");
        }
    }
}
