//! `/api/v1/flows`.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderValue, LOCATION};
use jiff::SignedDuration;
use serde_json::json;

use super::super::limits;
use super::super::response::{self, Outcome};
use super::query::Query;
use super::{Call, Deployed};
use crate::{Document, FlowView, Problem, RunId, RunView, Status};

pub(super) fn list(call: &Call<'_>) -> Outcome {
    Query::read(call.head, &[])?;
    response::list(&call.state.runtime.flows(&call.tenant), None)
}

/// `/api/v1/schedules`.
pub(super) async fn schedules(call: &Call<'_>) -> Outcome {
    Query::read(call.head, &[])?;
    response::list(&call.state.runtime.schedules(&call.tenant).await?, None)
}

pub(super) fn show(call: &Call<'_>) -> Outcome {
    response::json(StatusCode::OK, &find(call).ok_or_else(|| unknown(call))?)
}

pub(super) async fn put(call: &mut Call<'_>) -> Outcome {
    let document = call.document().await?;
    let Document::Flow(flow) = &document else {
        return Err(response::bad_request("the document is a trigger: put it under /api/v1/triggers"));
    };
    let (namespace, name) = (flow.id.namespace.clone(), flow.id.name.clone());
    let version = format!("version {}, digest {}", flow.id.version, flow.id.digest);
    let is_new = find(call).is_none();
    let warnings = call.deploy(document, &namespace, &name).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let view = find(call).ok_or_else(|| unknown(call))?;
    call.detail = Some(version);
    response::json(status, &Deployed { view, warnings })
}

pub(super) async fn remove(call: &Call<'_>) -> Outcome {
    let [namespace, name] = call.places;
    if call.state.runtime.remove_flow(&call.tenant, namespace, name).await? {
        Ok(response::empty(StatusCode::NO_CONTENT))
    } else {
        Err(unknown(call))
    }
}

/// `POST …/runs[?wait=PT30S]`.
pub(super) async fn start(call: &mut Call<'_>) -> Outcome {
    let query = Query::read(call.head, &["wait", "version"])?;
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
pub(super) fn accepted(id: RunId) -> Outcome {
    located(id, response::json(StatusCode::ACCEPTED, &json!({ "id": id, "status": Status::Pending })))
}

fn waited(id: RunId, run: Option<RunView>) -> Outcome {
    let Some(run) = run else { return accepted(id) };
    let status = if run.summary.status.is_final() { StatusCode::OK } else { StatusCode::ACCEPTED };
    located(id, response::json(status, &run))
}

fn located(id: RunId, outcome: Outcome) -> Outcome {
    let mut response = outcome?;
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
