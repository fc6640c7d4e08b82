//! When flows start by themselves.

use jiff::Timestamp;

use crate::id::{RunId, TenantId};
use crate::journal::Write;
use crate::journal::row::{Cell, CellValue as _, Index, Order, Put, Rows, Table, Test, key_tests, table};

table! {
    /// When a flow starts by itself.
    pub(crate) struct ScheduleRow {
        key {
            tenant: TenantId,
            /// Of the flow.
            namespace: String,
            /// Of the flow.
            name: String,
        }
        /// What the flow says of it: JSON text.
        schedule: String,
        /// The next time; none: when the run is over.
        due: Option<Timestamp>,
        /// The run after which the next one comes.
        run: Option<RunId>,
        /// Of this row, from 0: a change names the next one.
        revision: u32,
    }
    in Table {
        name: "schedules",
        since: 4,
        put: Put::InTurn,
        indexes: INDEXES,
        ..Table::PLAIN
    }
}

const INDEXES: &[Index] =
    &[Index { name: "schedules_by_due", columns: &["due"], only: Some(("due", Test::Known)) }];

impl ScheduleRow {
    /// Those with a due time, earliest first.
    pub fn next(limit: u32) -> Rows<Self> {
        Rows::all().only("due", Test::Known).in_order(&[Order::Up("due")]).at_most(limit)
    }

    /// The run is over after which the next one comes: that is due then. Nothing where the schedule waits for another run,
    /// or for none.
    pub fn run_over(key: (TenantId, String, String), run: RunId, due: Timestamp) -> Write {
        let mut waiting = key_tests::<Self>(key);
        waiting.push(("run", Test::is(run)));
        Write::set::<Self>(waiting, vec![("due", due.into_cell()), ("run", Cell::Null)])
    }
}
