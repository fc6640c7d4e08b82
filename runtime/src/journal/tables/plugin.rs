//! The components that tenants installed.

use bytes::Bytes;

use crate::id::TenantId;
use crate::journal::row::{Table, table};

table! {
    /// A component that a tenant installed.
    pub(crate) struct PluginRow {
        key {
            tenant: TenantId,
            name: String,
            version: String,
        }
        wasm: Bytes,
    }
    in Table { name: "plugins", since: 3, is_bulky: true, ..Table::PLAIN }
}
