//! The texts of flows. A removed one stays for the runs that began on it.

use jiff::Timestamp;

use crate::id::{FlowId, TenantId};
use crate::journal::Write;
use crate::journal::row::{Cell, CellValue as _, Cells, Column, ForeignCell, Order, Row, Rows, Table, Test};

/// One text of one flow. The newest `installed_at` of a name is what a trigger without a version gets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FlowRow {
    pub tenant: TenantId,
    pub id: FlowId,
    /// The document as JSON text.
    pub source: String,
    pub installed_at: Timestamp,
    /// A removed flow starts no runs; its text stays for the runs that began on it.
    pub removed: bool,
}

/// By hand, as its id is four columns.
impl Row for FlowRow {
    type Key = (TenantId, FlowId);
    const TABLE: &'static Table = &Table {
        name: "flows",
        since: 1,
        columns: &[
            Column::of::<TenantId>("tenant"),
            Column::of::<String>("namespace"),
            Column::of::<String>("name"),
            Column::of::<String>("version"),
            Column::of::<String>("digest"),
            Column::of::<String>("source"),
            Column::of::<Timestamp>("installed_at"),
            Column::of::<bool>("removed"),
        ],
        key: 5,
        order: &[
            Order::Up("installed_at"),
            Order::Up("tenant"),
            Order::Up("namespace"),
            Order::Up("name"),
            Order::Up("version"),
            Order::Up("digest"),
        ],
        is_bulky: true,
        ..Table::PLAIN
    };

    fn key_cells((tenant, id): Self::Key) -> Vec<Cell> {
        let FlowId { namespace, name, version, digest } = id;
        vec![
            tenant.into_cell(),
            namespace.into_cell(),
            name.into_cell(),
            version.into_cell(),
            digest.into_cell(),
        ]
    }

    fn into_cells(self) -> Vec<Cell> {
        let mut cells = Self::key_cells((self.tenant, self.id));
        cells.extend([self.source.into_cell(), self.installed_at.into_cell(), self.removed.into_cell()]);
        cells
    }

    fn from_cells(cells: &mut Cells) -> Result<Self, ForeignCell> {
        Ok(Self {
            tenant: cells.take()?,
            id: FlowId {
                namespace: cells.take()?,
                name: cells.take()?,
                version: cells.take()?,
                digest: cells.take()?,
            },
            source: cells.take()?,
            installed_at: cells.take()?,
            removed: cells.take()?,
        })
    }
}

impl FlowRow {
    /// Those that are not removed, of all tenants, oldest first.
    pub fn installed() -> Rows<Self> {
        Rows::all().only("removed", Test::is(false))
    }

    /// Marks every text of the name as removed.
    pub fn removal(tenant: TenantId, namespace: String, name: String) -> Write {
        let of_name =
            vec![("tenant", Test::is(tenant)), ("namespace", Test::is(namespace)), ("name", Test::is(name))];
        Write::set::<Self>(of_name, vec![("removed", true.into_cell())])
    }
}
