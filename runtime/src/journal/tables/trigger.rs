//! The triggers of the tenants.

use crate::id::TenantId;
use crate::journal::row::{Put, Table, table};

table! {
    /// One trigger. The token is minted when the row is first made and survives every edit.
    pub(crate) struct TriggerRow {
        key {
            tenant: TenantId,
            namespace: String,
            name: String,
        }
        /// The document as JSON text.
        source: String,
        token: String,
        enabled: bool,
    }
    in Table {
        name: "triggers",
        since: 1,
        put: Put::Replace { keeping: &["token"] },
        is_bulky: true,
        ..Table::PLAIN
    }
}
