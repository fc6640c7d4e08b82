//! The audit logs of the tenants: read from the newest in pages, and forgotten from the oldest.

use jiff::Timestamp;

use super::Role;
use crate::id::TenantId;
use crate::journal::row::{CellValue as _, Index, Order, Put, Rows, Table, Test, key_tests, table};
use crate::journal::{Page, Storage, StorageError, Write};

table! {
    /// What somebody did, was not let do, or was about to do when the host died.
    pub(crate) struct AuditRow {
        key {
            tenant: TenantId,
            /// 32 hexadecimal digits; those made later sort later. Grants are never forgotten: they hold until the next
            /// ones.
            id: String,
        }
        at: Timestamp,
        /// The name of the token, or what stands for it.
        actor: String,
        role: Option<Role>,
        /// The address that it came from.
        origin: Option<String>,
        /// What was asked for, as the API names its operations.
        action: String,
        /// Of what.
        target: String,
        /// What it came to: an HTTP status. None until that is known.
        status: Option<u16>,
        detail: Option<String>,
    }
    in Table {
        name: "audit",
        since: 6,
        put: Put::Once,
        indexes: INDEXES,
        kept_in_memory: Some((1_000, "at")),
        ..Table::PLAIN
    }
}

const BY_ACTOR: &str = "audit_by_actor";
const BY_ACTION: &str = "audit_by_action";
const DENIED: &str = "audit_denied";
const INDEXES: &[Index] = &[
    Index { name: BY_ACTOR, columns: &["tenant", "actor", "id"], only: None },
    Index { name: BY_ACTION, columns: &["tenant", "action", "id"], only: None },
    Index { name: DENIED, columns: &["tenant", "id"], only: Some(("status", Test::OneOf(DENIALS))) },
];

/// What an entry is called that says what a tenant may reach.
pub(crate) const GRANTS: &str = "Grants";
/// The statuses of whom was not let do something.
const DENIALS: &[i64] = &[401, 403];

impl AuditRow {
    /// Inserts the entry. Forgets some of the tenant's entries of before that time, two for each that comes.
    pub fn entered(self, forget_before: Timestamp) -> Vec<Write> {
        let oldest = Self::oldest(self.tenant.clone()).at_most(2);
        let tidy = Write::prune(oldest, "at", Test::Below(forget_before.into_cell()));
        vec![tidy, Write::put(self)]
    }

    /// What may be forgotten, the oldest first, as the ids are in the order of time.
    pub(in crate::journal) fn oldest(tenant: TenantId) -> Rows<Self> {
        Rows::all()
            .only("tenant", Test::is(tenant))
            .only("action", Test::IsNot(GRANTS.to_owned().into_cell()))
            .in_order(&[Order::Up("id")])
    }

    /// What became of an entry. Nothing where there is no such entry.
    pub fn ended(
        (tenant, id): (TenantId, String),
        target: String,
        status: u16,
        detail: Option<String>,
    ) -> Write {
        let end = vec![
            ("target", target.into_cell()),
            ("status", status.into_cell()),
            ("detail", detail.into_cell()),
        ];
        Write::set::<Self>(key_tests::<Self>((tenant, id)), end)
    }
}

/// Which entries of an audit log are asked for; newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AuditQuery {
    pub actor: Option<String>,
    pub action: Option<String>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// Only those that were not let do it.
    pub denied: bool,
    /// The id of the last one of the page before.
    pub cursor: Option<String>,
    pub limit: u32,
}

impl AuditQuery {
    /// One entry more than the limit. Only what is asked for stands in it, and the index that answers it: left to itself,
    /// SQLite walks the whole log.
    pub(in crate::journal) fn rows(self, tenant: TenantId) -> Rows<AuditRow> {
        let index = match &self {
            Self { actor: Some(_), .. } => Some(BY_ACTOR),
            Self { action: Some(_), .. } => Some(BY_ACTION),
            Self { denied: true, .. } => Some(DENIED),
            _ => None,
        };
        let tests = [
            ("actor", self.actor.map(Test::is)),
            ("action", self.action.map(Test::is)),
            ("at", self.since.map(|since| Test::AtLeast(since.into_cell()))),
            ("status", self.denied.then_some(Test::OneOf(DENIALS))),
            ("id", self.cursor.map(|last| Test::Below(last.into_cell()))),
        ];
        let of_tenant = Rows::all().only("tenant", Test::is(tenant)).in_order(&[Order::Down("id")]);
        let asked = tests.into_iter().filter_map(|(column, test)| Some((column, test?)));
        let rows = asked.fold(of_tenant, |rows, (column, test)| rows.only(column, test));
        let rows = rows.at_most(self.limit.saturating_add(1));
        index.into_iter().fold(rows, Rows::along)
    }
}

impl dyn Storage + '_ {
    /// A page of a tenant's audit log.
    pub fn audit(&self, tenant: TenantId, query: AuditQuery) -> Result<Page<AuditRow>, StorageError> {
        let limit = query.limit;
        Ok(Page::cut(self.rows(query.rows(tenant))?, limit, |last| last.id.clone()))
    }
}
