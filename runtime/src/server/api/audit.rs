//! `/api/v1/audit`: who did what, and who was denied what.

use serde_json::json;

use super::super::response::{self, HandlerResult};
use super::Call;
use super::route::Content::List;
use super::route::Permit::For;
use super::route::{RequestBody, Route, optional};
use super::shape::{Shape, object, text, time};
use super::tokens::ROLE;
use crate::AuditFilter;
use crate::Role::Admin;

pub(super) const ROUTES: &[Route] = &[Route {
    method: "GET",
    path: "/api/v1/audit",
    operation: "ListAudit",
    permit: For(Admin),
    handler: |call| Box::pin(list(call)),
    summary: "Who did what, newest first",
    query: &[
        optional("actor", "The name of a token, or `operator`, `local`, `command line` or `configuration`."),
        optional("action", "An operationId of this document, or `Grants`."),
        optional("since", "Only at this time or later, RFC 3339."),
        optional("denied", "`true`: only what was not let happen."),
        optional("cursor", "The `cursor` of the page before."),
        optional("limit", "At most so many, up to 1000."),
    ],
    body: RequestBody::Nothing,
    answers: &[(200, "A page", List(&ENTRY))],
    commands: &["audit list"],
}];

const ENTRY: Shape = Shape {
    name: "AuditEntry",
    schema: |shapes| {
        object(
            &["id", "at", "actor", "action", "target", "status"],
            json!({
                "id": text(), "at": time(), "actor": text(),
                "role": { "anyOf": [shapes.refer(&ROLE), { "type": "null" }] },
                "from": { "type": ["string", "null"] }, "action": text(), "target": text(),
                "status": { "type": ["integer", "null"] }, "detail": { "type": ["string", "null"] },
            }),
        )
    },
};

async fn list(call: &Call<'_>) -> HandlerResult {
    let query = call.query()?;
    let text = |name: &str| query.text(name).map(str::to_owned);
    let filter = AuditFilter {
        actor: text("actor"),
        action: text("action"),
        since: query.parsed("since", "a time such as 2026-01-31T12:00:00Z")?,
        denied: query.parsed("denied", "`true` or `false`")?.unwrap_or_default(),
        cursor: text("cursor"),
        limit: query.parsed("limit", "a number")?,
    };
    let page = call.state.runtime.audit_log(&call.tenant, filter).await?;
    response::list(&page.items, page.cursor.as_deref())
}
