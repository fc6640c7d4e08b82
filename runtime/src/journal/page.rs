//! Lists of runs in parts: where a part begins, and what a query means. The same for every store.

use jiff::Timestamp;

use super::record::RunRow;
use super::storage::StorageError;
use crate::id::RunId;

/// Which runs a list is asked for; newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RunQuery {
    /// `namespace/name`, or a bare name in namespace `default`.
    pub flow: Option<String>,
    pub status: Option<String>,
    /// Started at or after.
    pub since: Option<Timestamp>,
    /// Opaque: what the page before gave.
    pub cursor: Option<String>,
    pub limit: u32,
}

/// A part of a list and where the next part begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Page<T> {
    pub items: Vec<T>,
    pub cursor: Option<String>,
}

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

    /// Where the page begins that comes after this run, as lists give it.
    pub fn after(row: &RunRow) -> String {
        let Self { started_ms, run } = Self::of(row);
        format!("{started_ms}-{run}")
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

impl<T> Page<T> {
    /// Of the first `limit + 1` items that match: the one too many tells that there is a next page. `cursor` makes of the
    /// last item where that page begins.
    pub(super) fn cut(mut items: Vec<T>, limit: u32, cursor: impl FnOnce(&T) -> String) -> Self {
        let limit = limit as usize;
        let has_more = items.len() > limit;
        items.truncate(limit);
        let cursor = items.last().filter(|_| has_more).map(cursor);
        Self { items, cursor }
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
