//! What a store is asked of a small table: which rows, in which order, and how many of them.

use std::cmp::Ordering;
use std::marker::PhantomData;

use super::{Cell, CellValue, Order, Row, Table};

/// Which rows are asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RowQuery {
    pub table: &'static Table,
    /// A row passes all of these.
    pub tests: Vec<(&'static str, Test)>,
    pub order: &'static [Order],
    pub limit: Option<u32>,
    /// The index that answers it. A store that would find a good one by itself passes over it.
    pub index: Option<&'static str>,
}

/// What a cell is asked for. A null passes none of these.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    Is(Cell),
    IsNot(Cell),
    Below(Cell),
    AtLeast(Cell),
    OneOf(&'static [i64]),
    /// It is not null.
    Known,
}

impl Test {
    pub fn is(value: impl CellValue) -> Self {
        Self::Is(value.into_cell())
    }

    /// What a cell is compared with.
    pub fn cell(&self) -> Option<&Cell> {
        match self {
            Self::Is(cell) | Self::IsNot(cell) | Self::Below(cell) | Self::AtLeast(cell) => Some(cell),
            Self::OneOf(_) | Self::Known => None,
        }
    }

    fn passes(&self, cell: &Cell) -> bool {
        let is_known = *cell != Cell::Null;
        is_known
            && match self {
                Self::Is(wanted) => cell == wanted,
                Self::IsNot(unwanted) => cell != unwanted,
                Self::Below(limit) => cell < limit,
                Self::AtLeast(least) => cell >= least,
                Self::OneOf(numbers) => matches!(cell, Cell::Integer(number) if numbers.contains(number)),
                Self::Known => true,
            }
    }
}

/// Whether a row passes all of the tests.
pub(in crate::journal) fn passes(table: &Table, tests: &[(&'static str, Test)], cells: &[Cell]) -> bool {
    tests.iter().all(|(column, test)| test.passes(&cells[table.position(column)]))
}

impl RowQuery {
    /// Which of two rows comes first.
    pub fn compare(&self, a: &[Cell], b: &[Cell]) -> Ordering {
        let by = |order: &Order| {
            let column = self.table.position(order.column());
            match order {
                Order::Up(_) => a[column].cmp(&b[column]),
                Order::Down(_) => b[column].cmp(&a[column]),
            }
        };
        self.order.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

/// A query whose answer is rows of this type.
#[derive(Clone, Debug)]
pub(crate) struct Rows<R> {
    query: RowQuery,
    row: PhantomData<fn() -> R>,
}

impl<R: Row> Rows<R> {
    /// Every row, in the order of the table.
    pub fn all() -> Self {
        let table = R::TABLE;
        let query = RowQuery { table, tests: vec![], order: table.order, limit: None, index: None };
        Self { query, row: PhantomData }
    }

    /// The row with this key.
    pub fn with_key(key: R::Key) -> Self {
        let mut rows = Self::all();
        rows.query.tests = key_tests::<R>(key);
        rows
    }

    /// Only those whose cell in this column passes.
    pub fn only(mut self, column: &'static str, test: Test) -> Self {
        self.query.tests.push((column, test));
        self
    }

    pub fn in_order(mut self, order: &'static [Order]) -> Self {
        self.query.order = order;
        self
    }

    /// The first ones, not more than so many.
    pub fn at_most(mut self, limit: u32) -> Self {
        self.query.limit = Some(limit);
        self
    }

    /// Found along this index.
    pub fn along(mut self, index: &'static str) -> Self {
        self.query.index = Some(index);
        self
    }

    /// As the store is asked.
    pub fn into_query(self) -> RowQuery {
        self.query
    }
}

/// What only the row with this key passes.
pub(in crate::journal) fn key_tests<R: Row>(key: R::Key) -> Vec<(&'static str, Test)> {
    let columns = R::TABLE.key_columns().iter().map(|column| column.name);
    columns.zip(R::key_cells(key).into_iter().map(Test::Is)).collect()
}
