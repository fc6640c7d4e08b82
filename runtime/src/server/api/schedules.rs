//! `/api/v1/schedules`: when flows start by themselves.

use serde_json::json;

use super::super::response::{self, HandlerResult};
use super::Call;
use super::route::Content::List;
use super::route::Permit::For;
use super::route::{RequestBody, Route};
use super::shape::{Shape, object, text, time};
use crate::Role::Viewer;

pub(super) const ROUTES: &[Route] = &[Route {
    method: "GET",
    path: "/api/v1/schedules",
    operation: "ListSchedules",
    permit: For(Viewer),
    handler: |call| Box::pin(list(call)),
    summary: "When flows start by themselves",
    query: &[],
    body: RequestBody::Nothing,
    answers: &[(200, "The schedules", List(&SCHEDULE))],
    commands: &["flows schedules"],
}];

const SCHEDULE: Shape = Shape {
    name: "Schedule",
    schema: |_| {
        object(
            &["flow", "schedule"],
            json!({
                "flow": text(), "schedule": { "type": "object" }, "timezone": text(), "dueAt": time(), "run": text(),
            }),
        )
    },
};

async fn list(call: &Call<'_>) -> HandlerResult {
    call.query()?;
    response::list(&call.state.runtime.schedules(&call.tenant).await?, None)
}
