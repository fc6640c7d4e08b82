//! What tenants keep secret. It is sealed before it comes here.

use bytes::Bytes;
use jiff::Timestamp;

use crate::id::TenantId;
use crate::journal::row::{Cell, CellKind, CellValue, Order, Table, table};

table! {
    /// A secret or a connection, sealed before it comes here.
    pub(crate) struct VaultRow {
        key {
            tenant: TenantId,
            kind: VaultKind,
            name: String,
        }
        sealed: Bytes,
        updated_at: Timestamp,
    }
    in Table {
        name: "vault",
        since: 5,
        // Secrets before connections.
        order: &[Order::Up("tenant"), Order::Down("kind"), Order::Up("name")],
        is_bulky: true,
        ..Table::PLAIN
    }
}

/// What a vault holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VaultKind {
    /// One text.
    Secret,
    /// Credentials for some hosts.
    Connection,
}

impl VaultKind {
    const ALL: [Self; 2] = [Self::Secret, Self::Connection];

    /// As it is stored, sealed and spoken of.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Connection => "connection",
        }
    }
}

impl CellValue for VaultKind {
    const KIND: CellKind = CellKind::Text;

    fn into_cell(self) -> Cell {
        Cell::Text(self.as_str().to_owned())
    }

    fn from_cell(cell: Cell) -> Option<Self> {
        let text = String::from_cell(cell)?;
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}
