//! Lists of runs in parts: where a part begins, and what a query means. The same for every store.

use jiff::Timestamp;

use super::record::{AuditRow, Page, RunQuery, RunRow};
use super::storage::StorageError;
use crate::id::RunId;

/// The last run of the page before. Lists go from the newest to the oldest, so the next page holds what is smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cursor {
    pub started_ms: i64,
    pub run: RunId,
}

impl Cursor {
    /// Before every run: the first page.
    fn newest() -> Self {
        Self { started_ms: i64::MAX, run: RunId::from_bytes([0xff; 16]) }
    }

    pub fn of(row: &RunRow) -> Self {
        Self { started_ms: row.started_at.as_millisecond(), run: row.key.run }
    }

    fn parse(text: &str) -> Option<Self> {
        let (started_ms, run) = text.rsplit_once('-')?;
        Some(Self { started_ms: started_ms.parse().ok()?, run: run.parse().ok()? })
    }
}

impl RunQuery {
    /// Only what is smaller than this belongs to the page.
    pub(super) fn before(&self) -> Result<Cursor, StorageError> {
        match &self.cursor {
            None => Ok(Cursor::newest()),
            Some(text) => Cursor::parse(text).ok_or_else(|| StorageError::Cursor(text.clone())),
        }
    }

    /// Namespace and name of the flow that is asked for.
    pub(super) fn flow_name(&self) -> Option<(&str, &str)> {
        let flow = self.flow.as_deref()?;
        Some(flow.split_once('/').unwrap_or(("default", flow)))
    }

    /// The earliest start that is asked for.
    pub(super) fn since_ms(&self) -> i64 {
        self.since.map_or(i64::MIN, Timestamp::as_millisecond)
    }
}

impl Page<RunRow> {
    /// Of the first `limit + 1` runs that match: the one too many tells that there is a next page.
    pub(super) fn cut(mut items: Vec<RunRow>, limit: u32) -> Self {
        let limit = limit as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more).map(Cursor::of);
        Self { items, cursor: last.map(|last| format!("{}-{}", last.started_ms, last.run)) }
    }
}

impl Page<AuditRow> {
    /// As [`Page::cut`].
    pub(super) fn cut_audit(mut items: Vec<AuditRow>, limit: u32) -> Self {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let last = items.last().filter(|_| more);
        Self { cursor: last.map(|last| last.id.clone()), items }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_flow_name_is_in_the_default_namespace() {
        let query = |flow: &str| RunQuery { flow: Some(flow.into()), ..RunQuery::default() };
        assert_eq!(query("intake").flow_name(), Some(("default", "intake")));
        assert_eq!(query("shop/intake").flow_name(), Some(("shop", "intake")));
    }

    #[test]
    fn a_cursor_before_1970_is_read_back() {
        let run = RunId::mint();
        let cursor = Cursor::parse(&format!("-5-{run}")).unwrap();
        assert_eq!((cursor.started_ms, cursor.run), (-5, run));
    }
}
