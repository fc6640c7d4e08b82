//! How many runs of each tenant are not over, counted in the file and shown from memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, params};

use crate::id::TenantId;
use crate::journal::record::Lease;

/// How many runs of each tenant are not over. Kept beside the rows, so that neither a start nor a question counts.
#[derive(Clone, Default)]
pub(super) struct OpenRuns(Arc<Mutex<HashMap<TenantId, u64>>>);

impl OpenRuns {
    pub fn of(&self, tenant: &TenantId) -> u64 {
        self.lock().get(tenant).copied().unwrap_or(0)
    }

    pub fn load(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare("SELECT tenant, open_runs FROM tenants")?;
        let mut rows = statement.query([])?;
        let mut counts = self.lock();
        while let Some(row) = rows.next()? {
            let tenant = TenantId::from(row.get_ref(0)?.as_str()?);
            let open: i64 = row.get(1)?;
            counts.insert(tenant, open.max(0) as u64);
        }
        Ok(())
    }

    pub fn apply(&self, tally: &Tally<'_>) {
        let mut counts = self.lock();
        for (tenant, by) in &tally.open_runs {
            let count = counts.entry((*tenant).clone()).or_default();
            *count = count.saturating_add_signed(*by);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one transaction does to the counts, and the lease that it has found alive.
#[derive(Clone, Default)]
pub(super) struct Tally<'a> {
    open_runs: HashMap<&'a TenantId, i64>,
    pub lease: Option<Lease>,
}

impl<'a> Tally<'a> {
    pub fn add(&mut self, tenant: &'a TenantId, by: i64) {
        *self.open_runs.entry(tenant).or_default() += by;
    }

    pub fn store(&self, connection: &Connection) -> rusqlite::Result<()> {
        for (tenant, by) in self.open_runs.iter().filter(|(_, by)| **by != 0) {
            connection
                .prepare_cached(
                    "INSERT INTO tenants (tenant, open_runs) VALUES (?1, ?2)
                     ON CONFLICT (tenant) DO UPDATE SET open_runs = open_runs + ?2",
                )?
                .execute(params![tenant.as_str(), by])?;
        }
        Ok(())
    }
}
