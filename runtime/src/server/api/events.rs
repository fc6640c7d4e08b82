//! `/api/v1/runs/{id}/events`: what happened to a run, as a list, or as server-sent events that go on until it is over.
//!
//! A stream begins with the run's history and goes on with what happens. A change between the two may come twice. None is
//! left out, unless the reader is so slow that the host says `lagged`.

use std::collections::HashSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Either;
use hyper::StatusCode;
use hyper::body::{Body, Frame};
use hyper::header::{self, HeaderValue};
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::response::{self, HandlerResult};
use super::super::{State, limits};
use super::route::Content::Events;
use super::route::Permit::For;
use super::route::{RequestBody, Route};
use super::shape::{Shape, object, time};
use super::{Call, conceal, runs};
use crate::Role::Viewer;
use crate::{Caller, EventReader, RunChange, RunId, Runtime, TenantId};

pub(super) const ROUTES: &[Route] = &[Route {
    method: "GET",
    path: "/api/v1/runs/{id}/events",
    operation: "RunEvents",
    permit: For(Viewer),
    handler: |call| Box::pin(show(call)),
    summary: "What happened to a run; with `Accept: text/event-stream` as it happens, until it is over",
    query: &[],
    body: RequestBody::Nothing,
    answers: &[(200, "The changes, oldest first", Events(&CHANGE))],
    commands: &["runs events"],
}];

const CHANGE: Shape = Shape {
    name: "Change",
    schema: |_| object(&["kind", "at"], json!({ "kind": { "enum": ["run", "step", "log"] }, "at": time() })),
};

/// The body of an answer that goes on.
pub(in crate::server) struct EventStream {
    events: mpsc::Receiver<Bytes>,
    /// Where addresses are not shown: the runtime, which tells an address from another text.
    concealing: Option<Runtime>,
}

impl EventStream {
    /// The same without the tokens of addresses.
    pub(super) fn concealed(self, runtime: Runtime) -> Self {
        Self { concealing: Some(runtime), ..self }
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let event = self.events.poll_recv(context);
        event.map(|event| {
            let shown = match (&self.concealing, event?) {
                (Some(runtime), event) => conceal::without_tokens(event, |text| runtime.is_address(text)),
                (None, event) => event,
            };
            Some(Ok(Frame::data(shown)))
        })
    }
}

async fn show(call: &Call<'_>) -> HandlerResult {
    let run = runs::id(call)?;
    // The changes are subscribed to before the history is read, so that none between the two is missed.
    let changes = call.state.runtime.watch();
    let history = call.state.runtime.history(&call.tenant, run).await?.ok_or_else(|| runs::unknown(call))?;
    if !wants_stream(call) {
        return response::list(&history, None);
    }
    let _place = call.state.runtime.reader(&call.tenant)?;
    let (sender, receiver) = mpsc::channel(limits::EVENTS_BEHIND);
    let caller = call.caller.clone();
    let narrator =
        Narrator { state: call.state.clone(), caller, tenant: call.tenant.clone(), run, sender, _place };
    tokio::spawn(narrator.tell(history, changes));
    Ok(stream(receiver))
}

fn wants_stream(call: &Call<'_>) -> bool {
    let accept = call.head.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}

fn stream(receiver: mpsc::Receiver<Bytes>) -> hyper::Response<response::Body> {
    let mut response =
        hyper::Response::new(Either::Right(EventStream { events: receiver, concealing: None }));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that collect an answer before they pass it on are asked not to.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The task that fills a stream.
struct Narrator {
    state: Arc<State>,
    /// The reader of the stream.
    caller: Caller,
    tenant: TenantId,
    run: RunId,
    sender: mpsc::Sender<Bytes>,
    _place: EventReader,
}

impl Narrator {
    async fn tell(self, history: Vec<RunChange>, changes: Receiver<RunChange>) {
        tokio::select! {
            _ = self.tell_all(history, changes) => {}
            // The reader has gone.
            () = self.sender.closed() => {}
            () = self.state.closes() => {}
            () = self.is_shut_out() => {}
        }
    }

    /// Ends with the run. Returns `None` where the reader has gone.
    async fn tell_all(&self, history: Vec<RunChange>, mut changes: Receiver<RunChange>) -> Option<()> {
        let mut told = HashSet::new();
        for change in &history {
            let text = event(change);
            told.insert(text.clone());
            self.send(text).await?;
            if is_end(change) {
                return self.send(END.to_owned()).await;
            }
        }
        loop {
            let next = timeout(limits::EVENTS_ALIVE_EVERY, changes.recv());
            let change = match next.await {
                Err(_) => {
                    self.send(": alive\n\n".to_owned()).await?;
                    continue;
                }
                Ok(Err(RecvError::Lagged(count))) => {
                    self.send(format!("event: lagged\ndata: {{\"lost\":{count}}}\n\n")).await?;
                    if self.is_over().await {
                        return self.send(END.to_owned()).await;
                    }
                    continue;
                }
                Ok(Err(RecvError::Closed)) => return None,
                Ok(Ok(change)) => change,
            };
            if change.run() != self.run || *change.tenant() != self.tenant {
                continue;
            }
            let text = event(&change);
            if !told.remove(&text) {
                self.send(text).await?;
            }
            if is_end(&change) {
                return self.send(END.to_owned()).await;
            }
        }
    }

    async fn send(&self, text: String) -> Option<()> {
        let room = self.state.runtime.room(&self.tenant).ok()?;
        hand_on(&self.sender, room.keep(text.into())).await
    }

    /// Returns when the reader would not be let in any more.
    async fn is_shut_out(&self) {
        loop {
            tokio::time::sleep(limits::EVENTS_ALIVE_EVERY).await;
            if matches!(self.state.runtime.still_admits(&self.caller).await, Ok(false)) {
                return;
            }
        }
    }

    /// Asks the runtime: the change that says so may be among those that were lost.
    async fn is_over(&self) -> bool {
        let run = self.state.runtime.run(&self.tenant, self.run).await;
        matches!(run, Ok(Some(run)) if run.summary.status.is_final())
    }
}

/// Returns `None` where the reader has gone, or takes nothing for long: what it is behind would be kept for it for ever.
async fn hand_on(reader: &mpsc::Sender<Bytes>, text: Bytes) -> Option<()> {
    timeout(limits::WRITE_WITHIN, reader.send(text)).await.ok()?.ok()
}

/// Tells a browser's `EventSource` to close instead of connecting again.
const END: &str = "event: end\ndata: {}\n\n";

fn is_end(change: &RunChange) -> bool {
    matches!(change, RunChange::Run { run, .. } if run.status.is_final())
}

/// One change as a server-sent event. JSON text has no line breaks, so it is one line of data.
fn event(change: &RunChange) -> String {
    let kind = match change {
        RunChange::Run { .. } => "run",
        RunChange::Step { .. } => "step",
        RunChange::Log { .. } => "log",
    };
    let data = serde_json::to_string(change).expect("a change is strings, numbers and JSON");
    format!("event: {kind}\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::super::testing::site;
    use super::*;

    #[test]
    fn a_change_is_one_event_of_one_line() {
        let change = RunChange::Log {
            at: Timestamp::UNIX_EPOCH,
            tenant: TenantId::default_tenant(),
            run: RunId::from_bytes([0; 16]),
            step: 1,
            level: "info".into(),
            message: "two\nlines".into(),
            fields: json!({}),
        };
        assert_eq!(
            event(&change),
            "event: log\ndata: {\"kind\":\"log\",\"at\":\"1970-01-01T00:00:00Z\",\"tenant\":\"default\",\
             \"run\":\"00000000000000000000000000000000\",\"step\":1,\"level\":\"info\",\
             \"message\":\"two\\nlines\",\"fields\":{}}\n\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_left() {
        let (sender, mut reader) = mpsc::channel(1);
        assert_eq!(hand_on(&sender, Bytes::from("one")).await, Some(()));
        let begun = tokio::time::Instant::now();
        assert_eq!(hand_on(&sender, Bytes::from("two")).await, None);
        assert_eq!(begun.elapsed(), limits::WRITE_WITHIN);
        assert_eq!(reader.recv().await, Some(Bytes::from("one")));
        assert_eq!(hand_on(&sender, Bytes::from("three")).await, Some(()));
    }

    #[tokio::test]
    async fn the_stream_of_a_run_ends_with_it() {
        let site = site();
        let flow = "document: { dsl: 1.0.3, namespace: events, name: in, version: 1.0.0 }\ndo:\n- one: { set: { a: 1 } }\n";
        assert_eq!(site.api("PUT", "/api/v1/flows/events/in", flow).await.0, 201);
        let (_, run) = site.api("POST", "/api/v1/flows/events/in/runs", "").await;
        let path = format!("/api/v1/runs/{}/events", run["id"].as_str().unwrap());
        let stream = site
            .raw(&format!(
                "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer operator\r\naccept: text/event-stream\r\nconnection: close\r\n\r\n"
            ))
            .await;
        assert!(stream.contains("content-type: text/event-stream"), "{stream}");
        assert!(stream.contains("event: step\ndata: {\"kind\":\"step\""), "{stream}");
        assert!(stream.contains("\"status\":\"completed\"") && stream.contains("event: end\n"), "{stream}");

        let (status, list) = site.api("GET", &path, "").await;
        assert_eq!((status, list["items"][0]["kind"].as_str().is_some()), (200, true), "{list}");
    }
}
