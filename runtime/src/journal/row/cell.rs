//! What stands in a column of a row: four kinds of values, and which types of ours are stored as which.

use bytes::Bytes;
use jiff::Timestamp;

use super::{CellKind, Table};
use crate::id::{RunId, TenantId};

/// A value in a row. Its order is the one in which rows are listed: texts and bytes byte by byte, null before all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Bytes),
}

/// What a cell can hold. How it does is part of the file format.
pub(crate) trait CellValue: Sized {
    const KIND: CellKind;
    const IS_OPTIONAL: bool = false;
    /// How the absence of such a value is stored.
    const ABSENT: Absent = Absent::Null;

    fn into_cell(self) -> Cell;

    /// None for a cell that no host has written.
    fn from_cell(cell: Cell) -> Option<Self>;
}

/// How an [`Option`] that is none is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    Null,
    /// For what is part of keys, in which there are no nulls.
    EmptyText,
}

impl Absent {
    const fn cell(self) -> Cell {
        match self {
            Self::Null => Cell::Null,
            Self::EmptyText => Cell::Text(String::new()),
        }
    }
}

impl<T: CellValue> CellValue for Option<T> {
    const KIND: CellKind = T::KIND;
    const IS_OPTIONAL: bool = matches!(T::ABSENT, Absent::Null);

    fn into_cell(self) -> Cell {
        self.map_or_else(|| T::ABSENT.cell(), T::into_cell)
    }

    fn from_cell(cell: Cell) -> Option<Self> {
        if cell == T::ABSENT.cell() { Some(None) } else { T::from_cell(cell).map(Some) }
    }
}

impl CellValue for String {
    const KIND: CellKind = CellKind::Text;

    fn into_cell(self) -> Cell {
        Cell::Text(self)
    }

    fn from_cell(cell: Cell) -> Option<Self> {
        if let Cell::Text(text) = cell { Some(text) } else { None }
    }
}

impl CellValue for TenantId {
    const KIND: CellKind = CellKind::Text;
    const ABSENT: Absent = Absent::EmptyText;

    fn into_cell(self) -> Cell {
        Cell::Text(self.as_str().to_owned())
    }

    fn from_cell(cell: Cell) -> Option<Self> {
        String::from_cell(cell).map(|name| Self::from(name.as_str()))
    }
}

impl CellValue for Bytes {
    const KIND: CellKind = CellKind::Bytes;

    fn into_cell(self) -> Cell {
        Cell::Bytes(self)
    }

    fn from_cell(cell: Cell) -> Option<Self> {
        if let Cell::Bytes(bytes) = cell { Some(bytes) } else { None }
    }
}

impl<const N: usize> CellValue for [u8; N] {
    const KIND: CellKind = CellKind::Bytes;

    fn into_cell(self) -> Cell {
        Cell::Bytes(Bytes::copy_from_slice(&self))
    }

    fn from_cell(cell: Cell) -> Option<Self> {
        Bytes::from_cell(cell)?.as_ref().try_into().ok()
    }
}

impl CellValue for RunId {
    const KIND: CellKind = CellKind::Bytes;

    fn into_cell(self) -> Cell {
        self.as_bytes().into_cell()
    }

    fn from_cell(cell: Cell) -> Option<Self> {
        <[u8; 16]>::from_cell(cell).map(Self::from_bytes)
    }
}

impl CellValue for i64 {
    const KIND: CellKind = CellKind::Integer;

    fn into_cell(self) -> Cell {
        Cell::Integer(self)
    }

    fn from_cell(cell: Cell) -> Option<Self> {
        if let Cell::Integer(number) = cell { Some(number) } else { None }
    }
}

macro_rules! small_numbers {
    ($($kind:ty),+) => {
        $(impl CellValue for $kind {
            const KIND: CellKind = CellKind::Integer;

            fn into_cell(self) -> Cell {
                Cell::Integer(self.into())
            }

            fn from_cell(cell: Cell) -> Option<Self> {
                i64::from_cell(cell)?.try_into().ok()
            }
        })+
    };
}
small_numbers!(u16, u32);

impl CellValue for bool {
    const KIND: CellKind = CellKind::Integer;

    fn into_cell(self) -> Cell {
        Cell::Integer(self.into())
    }

    fn from_cell(cell: Cell) -> Option<Self> {
        i64::from_cell(cell).map(|number| number != 0)
    }
}

/// Milliseconds since 1970.
impl CellValue for Timestamp {
    const KIND: CellKind = CellKind::Integer;

    fn into_cell(self) -> Cell {
        Cell::Integer(self.as_millisecond())
    }

    fn from_cell(cell: Cell) -> Option<Self> {
        Self::from_millisecond(i64::from_cell(cell)?).ok()
    }
}

/// The cells of a row, from the first to the last.
pub(crate) struct Cells {
    table: &'static Table,
    rest: std::vec::IntoIter<Cell>,
}

impl Cells {
    pub fn of(table: &'static Table, cells: Vec<Cell>) -> Self {
        Self { table, rest: cells.into_iter() }
    }

    /// What stands in the next column.
    pub fn take<T: CellValue>(&mut self) -> Result<T, ForeignCell> {
        let column = self.table.columns.len() - self.rest.len();
        let value = self.rest.next().and_then(T::from_cell);
        value.ok_or_else(|| ForeignCell {
            table: self.table.name,
            column,
            name: self.table.columns[column].name,
        })
    }
}

/// A cell holds what no host has written there.
#[derive(Debug, thiserror::Error)]
#[error("the column `{name}` of the table `{table}` holds what no host has written there")]
pub(crate) struct ForeignCell {
    table: &'static str,
    /// The column's place, from 0.
    pub column: usize,
    name: &'static str,
}
