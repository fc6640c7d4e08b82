//! Fuzz target: rows of small tables with cells that no host has written.

use bytes::Bytes;

use super::{Cell, Cells, Row};
use crate::journal::{
    AuditRow, FlowRow, PluginRow, ScheduleRow, SubscriptionRow, TokenRow, TriggerRow, VaultRow,
};

/// As many cells as the row has columns, each of any kind, what it holds of the script.
fn cells<R: Row>(script: &mut impl Iterator<Item = u8>) -> Vec<Cell> {
    let mut next = || script.next().unwrap_or(0);
    let mut cell = || {
        let (kind, long) = (next(), usize::from(next() % 40));
        let mut bytes = || (0..long).map(|_| next()).collect::<Vec<u8>>();
        match kind % 4 {
            0 => Cell::Null,
            1 => Cell::Integer(bytes().iter().fold(0, |number, byte| number << 8 | i64::from(*byte))),
            2 => Cell::Text(String::from_utf8_lossy(&bytes()).into_owned()),
            _ => Cell::Bytes(Bytes::from(bytes())),
        }
    };
    R::TABLE.columns.iter().map(|_| cell()).collect()
}

/// A row is made of them and gives the same cells again, or the error names the column.
fn is_read_or_refused<R: Row>(script: &mut impl Iterator<Item = u8>) {
    let cells = cells::<R>(script);
    match R::from_cells(&mut Cells::of(R::TABLE, cells.clone())) {
        Ok(row) => assert_eq!(row.into_cells().len(), cells.len()),
        Err(error) => {
            let column = &R::TABLE.columns[error.column];
            assert!(error.to_string().contains(column.name), "{error}");
        }
    }
}

#[test]
fn fuzz_no_cell_of_a_store_makes_a_reader_panic() {
    flowcell_fuzz::bytes(file!(), |script| {
        let script = &mut script.iter().copied();
        is_read_or_refused::<AuditRow>(script);
        is_read_or_refused::<FlowRow>(script);
        is_read_or_refused::<PluginRow>(script);
        is_read_or_refused::<ScheduleRow>(script);
        is_read_or_refused::<SubscriptionRow>(script);
        is_read_or_refused::<TokenRow>(script);
        is_read_or_refused::<TriggerRow>(script);
        is_read_or_refused::<VaultRow>(script);
    });
}
