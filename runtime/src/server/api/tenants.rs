//! `/api/v1/tenants`.

use serde_json::json;

use super::super::response::{self, HandlerResult};
use super::Call;
use super::route::Content::List;
use super::route::Permit::For;
use super::route::{RequestBody, Route};
use super::shape::{Shape, object, text};
use crate::Role::Viewer;

pub(super) const ROUTES: &[Route] = &[Route {
    method: "GET",
    path: "/api/v1/tenants",
    operation: "ListTenants",
    permit: For(Viewer),
    handler: |call| Box::pin(list(call)),
    summary: "The tenants of this host",
    query: &[],
    body: RequestBody::Nothing,
    answers: &[(200, "The tenants", List(&TENANT))],
    commands: &["tenants list"],
}];

const TENANT: Shape = Shape { name: "Tenant", schema: |_| object(&["name"], json!({ "name": text() })) };

async fn list(call: &Call<'_>) -> HandlerResult {
    call.query()?;
    let mut tenants = call.state.runtime.tenants();
    // A token of one tenant does not tell of others.
    tenants.retain(|tenant| call.caller.tenant.as_ref().is_none_or(|own| own == tenant));
    let tenants: Vec<_> = tenants.iter().map(|tenant| json!({ "name": tenant })).collect();
    response::list(&tenants, None)
}
