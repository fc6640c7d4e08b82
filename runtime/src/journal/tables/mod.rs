//! The small tables of the journal: a file for each, and here a line. A file holds the row, what else there is to say of
//! its table, and the questions and changes that are its own.
//!
//! A new table needs no more: a store makes it of its description when it opens a file of before, and lists, puts and
//! removes its rows as [`row`](super::row) says.

use super::row::{Row, Table};

/// Lists the files: a module each, with everything that it shows, and the descriptions of all.
macro_rules! tables {
    ($($file:ident: $row:ident,)+) => {
        $(mod $file;)+
        $(pub(crate) use $file::*;)+

        /// Every table.
        pub(super) const ALL: &[&Table] = &[$(<$row as Row>::TABLE),+];
    };
}

tables! {
    flow: FlowRow,
    trigger: TriggerRow,
    plugin: PluginRow,
    vault: VaultRow,
    token: TokenRow,
    audit: AuditRow,
    subscription: SubscriptionRow,
    schedule: ScheduleRow,
}

/// They are shown to the outside as well.
pub use self::{token::Role, vault::VaultKind};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::row::{CellKind, Put, REVISION};

    #[test]
    fn every_description_names_columns_of_its_table() {
        for table in ALL {
            let has = |column: &str| table.columns.iter().any(|known| known.name == column);
            let indexed = table.indexes.iter().flat_map(|index| {
                index.columns.iter().copied().chain(index.only.as_ref().map(|(column, _)| *column))
            });
            let ordered = table.order.iter().map(|order| order.column());
            let kept = match table.put {
                Put::Replace { keeping } => keeping,
                Put::Once => &[],
                Put::InTurn => &[REVISION],
            };
            let bound = table.kept_in_memory.map(|(_, column)| column);
            let named = indexed.chain(ordered).chain(kept.iter().copied()).chain(table.unique).chain(bound);
            named.for_each(|column| assert!(has(column), "{table:?}: {column}"));
        }
    }

    #[test]
    fn every_key_begins_with_the_tenant_and_has_no_nulls() {
        for table in ALL {
            let key = table.key_columns();
            assert!(key[0].name == "tenant" && key[0].kind == CellKind::Text, "{table:?}");
            assert!(key.iter().all(|column| !column.is_optional), "{table:?}");
        }
    }
}
