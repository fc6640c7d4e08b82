//! `/api/v1/tenants`.

use serde_json::json;

use super::super::response::{self, Outcome};
use super::Call;

pub(super) fn list(call: &Call<'_>) -> Outcome {
    let tenants: Vec<_> =
        call.state.runtime.tenants().iter().map(|tenant| json!({ "name": tenant })).collect();
    response::list(&tenants, None)
}
