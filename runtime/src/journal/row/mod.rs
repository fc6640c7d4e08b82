//! A small table: what it is like and what its rows are, said once for every store.
//!
//! A row's type describes its [`Table`] and says how a row becomes cells and is made of cells again ([`Row`]). A store
//! knows tables, cells, [`RowQuery`]s and [`Change`]s, and no type of a row. The tables are in
//! [`tables`](super::tables); what each store does by hand is [`RunLog`](super::RunLog).

mod cell;
mod change;
mod layout;
mod query;

pub(crate) use cell::{Cell, CellValue, Cells, ForeignCell};
pub(crate) use change::Change;
pub(super) use layout::REVISION;
pub(crate) use layout::{CellKind, Column, Index, Order, Put, Table};
pub(crate) use query::{RowQuery, Rows, Test};
pub(super) use query::{key_tests, passes};

/// A row of a small table. [`table!`] implements it for a struct whose fields are the columns.
pub(crate) trait Row: Sized + 'static {
    /// What names one row: the first columns.
    type Key;
    const TABLE: &'static Table;

    /// The first cells of the row with this key.
    fn key_cells(key: Self::Key) -> Vec<Cell>;

    /// A cell for each column, in their order.
    fn into_cells(self) -> Vec<Cell>;

    /// The row of these cells, which are in the order of the columns.
    fn from_cells(cells: &mut Cells) -> Result<Self, ForeignCell>;
}

/// Makes a struct a row, and each of its fields a column of the same name. The fields of `key` name a row; what else there
/// is to say of the table follows after `in`.
macro_rules! table {
    (
        $(#[$about:meta])*
        pub(crate) struct $row:ident {
            key { $($(#[$of_key:meta])* $key:ident: $key_kind:ty,)+ }
            $($(#[$of_field:meta])* $field:ident: $kind:ty,)*
        }
        in $table:expr
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) struct $row {
            $($(#[$of_key])* pub $key: $key_kind,)+
            $($(#[$of_field])* pub $field: $kind,)*
        }

        impl $crate::journal::row::Row for $row {
            type Key = ($($key_kind,)+);
            const TABLE: &'static $crate::journal::row::Table = &$crate::journal::row::Table {
                columns: &[
                    $($crate::journal::row::Column::of::<$key_kind>(stringify!($key)),)+
                    $($crate::journal::row::Column::of::<$kind>(stringify!($field)),)*
                ],
                key: [$(stringify!($key)),+].len(),
                ..$table
            };

            fn key_cells(($($key,)+): Self::Key) -> Vec<$crate::journal::row::Cell> {
                vec![$($crate::journal::row::CellValue::into_cell($key)),+]
            }

            fn into_cells(self) -> Vec<$crate::journal::row::Cell> {
                vec![
                    $($crate::journal::row::CellValue::into_cell(self.$key),)+
                    $($crate::journal::row::CellValue::into_cell(self.$field),)*
                ]
            }

            fn from_cells(
                cells: &mut $crate::journal::row::Cells,
            ) -> Result<Self, $crate::journal::row::ForeignCell> {
                Ok(Self { $($key: cells.take()?,)+ $($field: cells.take()?,)* })
            }
        }
    };
}
pub(super) use table;

#[cfg(test)]
mod fuzz;
