//! `/api/v1/tenants`.

use serde_json::json;

use super::super::response::{self, Outcome};
use super::Call;
use super::query::Query;

pub(super) fn list(call: &Call<'_>) -> Outcome {
    Query::read(call.head, &[])?;
    let mut tenants = call.state.runtime.tenants();
    // A token of one tenant does not tell of others.
    tenants.retain(|tenant| call.caller.tenant.as_ref().is_none_or(|own| own == tenant));
    let tenants: Vec<_> = tenants.iter().map(|tenant| json!({ "name": tenant })).collect();
    response::list(&tenants, None)
}
