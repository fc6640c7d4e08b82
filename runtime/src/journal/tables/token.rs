//! Who may use the API.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::TenantId;
use crate::journal::row::{Cell, CellKind, CellValue, Order, Put, Rows, Table, Test, table};

table! {
    /// A token of the API. The token itself is nowhere.
    pub(crate) struct TokenRow {
        key {
            /// Whose things it opens; none: those of every tenant.
            tenant: Option<TenantId>,
            /// What people call it.
            name: String,
        }
        /// Of the token.
        digest: [u8; 32],
        role: Role,
        created_at: Timestamp,
        /// Whoever minted it.
        created_by: String,
        expires_at: Option<Timestamp>,
    }
    in Table {
        name: "tokens",
        since: 6,
        put: Put::Once,
        unique: Some("digest"),
        order: &[Order::Up("name")],
        ..Table::PLAIN
    }
}

impl TokenRow {
    /// The token with this digest, if there is one.
    pub fn with_digest(digest: [u8; 32]) -> Rows<Self> {
        Rows::all().only("digest", Test::is(digest))
    }

    /// Every token of a tenant, or those of all tenants at once, in order of their names.
    pub fn of(tenant: Option<TenantId>) -> Rows<Self> {
        Rows::all().only("tenant", Test::is(tenant))
    }

    /// Whether it opens nothing any more.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// What a token of the API opens; each role may do what those before it may.
///
/// ```
/// assert!(flowcell::Role::Admin > flowcell::Role::Viewer);
/// assert_eq!(flowcell::Role::Editor.as_str(), "editor");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees what a tenant has, its runs and its history; changes nothing.
    Viewer,
    /// Deploys flows and triggers, starts, cancels and restarts runs.
    Editor,
    /// Sets secrets and connections, installs plugins, mints the tenant's tokens and reads its audit log.
    Admin,
    /// Everything, of every tenant.
    Operator,
}

impl Role {
    const ALL: [Self; 4] = [Self::Viewer, Self::Editor, Self::Admin, Self::Operator];

    /// As it is stored and spoken of.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Admin => "admin",
            Self::Operator => "operator",
        }
    }
}

impl CellValue for Role {
    const KIND: CellKind = CellKind::Text;

    fn into_cell(self) -> Cell {
        Cell::Text(self.as_str().to_owned())
    }

    fn from_cell(cell: Cell) -> Option<Self> {
        let text = String::from_cell(cell)?;
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}
