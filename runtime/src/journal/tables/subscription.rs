//! What triggers have subscribed to.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use crate::id::TenantId;
use crate::journal::row::{Cell, CellKind, CellValue, Order, Put, Table, table};

table! {
    /// What switching a trigger on left in the world, or may have left there.
    pub(crate) struct SubscriptionRow {
        key {
            tenant: TenantId,
            /// 32 hexadecimal digits; those made later sort later. The trigger may have several, of which one is not being
            /// ended.
            id: String,
        }
        /// Of the trigger.
        namespace: String,
        /// Of the trigger.
        name: String,
        /// The plugin that was switched on, `name.trigger:version`.
        uses: String,
        /// With this configuration: JSON text.
        config: String,
        /// And this address of the trigger.
        url: String,
        phase: SubscriptionPhase,
        /// What the plugin left; none until it has subscribed.
        state: Option<Bytes>,
        /// Nobody knows whether it has: a call was cut off, by the end of a host for instance.
        doubtful: bool,
        /// Calls of the plugin in this phase.
        attempts: u32,
        /// When it is called again; none: it rests.
        due: Option<Timestamp>,
        /// Why the last call failed, JSON text.
        problem: Option<String>,
        /// Of this row, from 0: a change names the next one.
        revision: u32,
    }
    in Table {
        name: "subscriptions",
        since: 4,
        put: Put::InTurn,
        // Oldest first.
        order: &[Order::Up("id")],
        is_bulky: true,
        ..Table::PLAIN
    }
}

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubscriptionPhase {
    /// The plugin is asked to subscribe.
    Subscribing,
    /// It has.
    Subscribed,
    /// It is asked to unsubscribe; when it has, there is no row.
    Unsubscribing,
}

/// Its place in this list.
impl CellValue for SubscriptionPhase {
    const KIND: CellKind = CellKind::Integer;

    fn into_cell(self) -> Cell {
        Cell::Integer(match self {
            Self::Subscribing => 0,
            Self::Subscribed => 1,
            Self::Unsubscribing => 2,
        })
    }

    fn from_cell(cell: Cell) -> Option<Self> {
        [Self::Subscribing, Self::Subscribed, Self::Unsubscribing]
            .into_iter()
            .find(|phase| phase.into_cell() == cell)
    }
}
