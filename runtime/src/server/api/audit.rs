//! `/api/v1/audit`: who did what, and was not let do what.

use super::super::response::{self, Outcome};
use super::Call;
use super::query::Query;
use crate::AuditFilter;

pub(super) async fn list(call: &Call<'_>) -> Outcome {
    let query = Query::read(call.head, &["actor", "action", "since", "denied", "cursor", "limit"])?;
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
