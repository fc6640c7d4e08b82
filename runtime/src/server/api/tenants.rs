//! `/api/v1/tenants`.

use serde_json::json;

use super::super::response::{self, Outcome};
use super::Call;
use super::query::Query;

pub(super) fn list(call: &Call<'_>) -> Outcome {
    Query::read(call.head, &[])?;
    let tenants: Vec<_> =
        call.state.runtime.tenants().iter().map(|tenant| json!({ "name": tenant })).collect();
    response::list(&tenants, None)
}
