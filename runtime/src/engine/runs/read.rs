//! Runs as the API reads them: one, a list, a history, the end of one that is waited for.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::view::{self, List, RunView};
use super::{LoadError, Runs};
use crate::clock::after;
use crate::engine::Runtime;
use crate::engine::journals::{Lane, storage_problem};
use crate::engine::observers::{RunChange, RunSummary};
use crate::flow::Status;
use crate::id::{RunId, TenantId};
use crate::journal::{RunKey, RunQuery, RunRow};
use crate::problem::{Problem, kind};

/// The longest and the usual page of a list.
const PAGE: (u32, u32) = (500, 50);

/// Which runs a list is asked for; newest first.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// `namespace/name`, or a name in the namespace `default`.
    pub flow: Option<String>,
    /// Only those that stand so.
    pub status: Option<Status>,
    /// Only those that were accepted at this time or later.
    pub since: Option<Timestamp>,
    /// What the part before gave.
    pub cursor: Option<String>,
    /// At most so many; 50 unless told, 500 at most.
    pub limit: Option<u32>,
}

impl Runtime {
    /// The run as the journal has it. Returns nothing when there is no such run.
    pub async fn run(&self, tenant: &TenantId, run: RunId) -> Result<Option<RunView>, Problem> {
        self.rooms.runs.view(tenant, run).await
    }

    /// The run when it is over, or as it stands after `within`. Returns nothing when there is no such run.
    pub async fn wait(
        &self,
        tenant: &TenantId,
        run: RunId,
        within: Duration,
    ) -> Result<Option<RunView>, Problem> {
        let runs = &self.rooms.runs;
        let over = runs.observers.waiters.watcher(run);
        // Registered first: a run that ends between the look and the wait is not missed.
        let view = runs.view(tenant, run).await?;
        let waits = view.as_ref().is_some_and(|view| !view.summary.status.is_final());
        let deadline = after(runs.lifecycle.clock.now(), within);
        if waits {
            tokio::select! {
                biased;
                _ = over => {}
                () = runs.lifecycle.clock.sleep_until(deadline) => {}
            }
        } else {
            drop(over);
        }
        runs.observers.waiters.forget_gone(run);
        if waits { runs.view(tenant, run).await } else { Ok(view) }
    }

    /// A part of the list of runs, both journals' as one, newest first.
    pub async fn runs(&self, tenant: &TenantId, filter: RunFilter) -> Result<List<RunSummary>, Problem> {
        let runs = &self.rooms.runs;
        let wrong = |detail: &str| Problem::new(kind::VALIDATION, "a parameter is wrong", 400).detail(detail);
        if filter.limit == Some(0) {
            return Err(wrong("`limit` is 0: ask for at least one run, or leave it out"));
        }
        if filter.flow.as_deref().is_some_and(|flow| flow.contains(':')) {
            return Err(wrong("`flow` is `namespace/name`, without a version"));
        }
        let limit = filter.limit.unwrap_or(PAGE.1).min(PAGE.0);
        let query = RunQuery {
            flow: filter.flow,
            status: filter.status.map(|status| view::spell(status).to_owned()),
            since: filter.since,
            cursor: None,
            limit,
        };
        // A cursor holds where each of the two lists goes on; a list that is over has none.
        let cursors = match filter.cursor.as_deref() {
            None => [Some(None), Some(None)],
            Some(cursor) => read_cursors(cursor)?,
        };
        let mut items = vec![];
        let mut next = [None, None];
        for (place, lane) in runs.journals.lanes().into_iter().enumerate() {
            let Some(cursor) = cursors[place].clone() else { continue };
            let (owner, query) = (tenant.clone(), RunQuery { cursor, ..query.clone() });
            let page = lane.journal.ask(move |storage| storage.runs(&owner, &query)).await;
            let page = page.map_err(|error| storage_problem(&error))?;
            next[place] = page.cursor;
            items.extend(page.items.iter().map(view::summary));
        }
        items.sort_by_key(|run| std::cmp::Reverse((run.started_at, run.id)));
        Ok(List { items, cursor: write_cursors(&next) })
    }

    /// What the journal holds of a run, as changes, oldest first. Returns nothing when there is no such run.
    pub async fn history(&self, tenant: &TenantId, run: RunId) -> Result<Option<Vec<RunChange>>, Problem> {
        let runs = &self.rooms.runs;
        let key = RunKey { tenant: tenant.clone(), run };
        let Some((row, lane)) = runs.head(&key).await? else { return Ok(None) };
        let text = runs.deployed.text(tenant, &row.flow).await;
        let flow = text.map_err(|error| LoadError::from(error).problem())?;
        let entries = lane.journal.ask(move |storage| storage.entries(&key, 0)).await;
        let entries = entries.map_err(|error| storage_problem(&error))?;
        let reader = runs.reader(self.tenant(tenant)?);
        let changes = reader.changes(&row, runs.new_state(flow, &row.key), &entries).await;
        changes.map(Some).map_err(|reason| LoadError::Unreadable(reason).problem())
    }

    /// Every change of every run from now on. A receiver that falls behind loses the oldest.
    pub fn watch(&self) -> tokio::sync::broadcast::Receiver<RunChange> {
        self.rooms.observers.watch()
    }
}

impl Runs {
    async fn view(&self, tenant: &TenantId, run: RunId) -> Result<Option<RunView>, Problem> {
        let key = RunKey { tenant: tenant.clone(), run };
        for lane in self.journals.quickest_first() {
            match self.load(lane, &key).await {
                Ok((row, state, _)) => return Ok(Some(view::run(&row, &state))),
                Err(LoadError::NoRun) => {}
                Err(error) => return Err(error.problem()),
            }
        }
        Ok(None)
    }

    /// The head of a run, and the lane that it is in.
    pub async fn head(&self, key: &RunKey) -> Result<Option<(RunRow, Arc<Lane>)>, Problem> {
        for lane in self.journals.quickest_first() {
            let wanted = key.clone();
            let row = lane.journal.ask(move |storage| storage.run(&wanted)).await;
            if let Some(row) = row.map_err(|error| storage_problem(&error))? {
                return Ok(Some((row, lane.clone())));
            }
        }
        Ok(None)
    }
}

fn read_cursors(text: &str) -> Result<[Option<Option<String>>; 2], Problem> {
    let wrong = || {
        Problem::new(kind::VALIDATION, "the cursor is not one of this list", 400)
            .detail("leave `cursor` out, or pass the `cursor` of the page before")
    };
    let (durable, volatile) = text.split_once('~').ok_or_else(wrong)?;
    let one = |text: &str| (!text.is_empty()).then(|| Some(text.to_owned()));
    Ok([one(durable), one(volatile)])
}

fn write_cursors(next: &[Option<String>; 2]) -> Option<String> {
    let [durable, volatile] = next;
    (durable.is_some() || volatile.is_some()).then(|| {
        format!("{}~{}", durable.as_deref().unwrap_or_default(), volatile.as_deref().unwrap_or_default())
    })
}
