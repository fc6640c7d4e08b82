//! The small tables: every statement is made of the description of its table.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use super::writer::Refusal;
use crate::journal::row::{
    Cell, CellKind, Change, Column, ForeignCell, Index, Order, Put, REVISION, RowQuery, Table, Test, passes,
};

/// Makes the table and its indexes.
pub(super) fn definition(table: &Table) -> String {
    let column = |column: &Column| {
        let kind = match column.kind {
            CellKind::Integer => "INTEGER",
            CellKind::Text => "TEXT",
            CellKind::Bytes => "BLOB",
        };
        let not_null = if column.is_optional { "" } else { " NOT NULL" };
        let unique = if table.unique == Some(column.name) { " UNIQUE" } else { "" };
        format!("{} {kind}{not_null}{unique}", column.name)
    };
    let index = |index: &Index| {
        let only = index.only.as_ref().map(|(column, test)| where_clause(&[(*column, test.clone())]));
        let (columns, only) = (index.columns.join(", "), only.unwrap_or_default());
        format!("CREATE INDEX {} ON {} ({columns}){only};", index.name, table.name)
    };
    format!(
        "CREATE TABLE {} ({}, PRIMARY KEY ({})) STRICT{}; {}",
        table.name,
        join(table.columns, column),
        names(table.key_columns()),
        if table.is_bulky { "" } else { ", WITHOUT ROWID" },
        table.indexes.iter().map(index).collect::<String>(),
    )
}

/// The rows that are asked for, in order.
pub(super) fn select(
    connection: &Connection,
    query: &RowQuery,
    each: &mut dyn FnMut(Vec<Cell>) -> Result<(), ForeignCell>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(&text(query))?;
    let limit = query.limit.map(|limit| Cell::Integer(limit.into()));
    let mut rows = statement.query(params_from_iter(compared(&query.tests).chain(&limit)))?;
    while let Some(row) = rows.next()? {
        let cells = (0..query.table.columns.len()).map(|column| cell(row, column));
        each(cells.collect::<rusqlite::Result<_>>()?).map_err(|error| foreign(row, error))?;
    }
    Ok(())
}

/// As it is asked in SQL, with a parameter for each cell that is compared, and for the limit.
pub(super) fn text(query: &RowQuery) -> String {
    let RowQuery { table, tests, order, limit, index } = query;
    let columns = names(table.columns);
    let hint = index.map_or_else(String::new, |index| format!(" INDEXED BY {index}"));
    let order = if order.is_empty() { names(table.key_columns()) } else { join(order, ordered) };
    let limit = if limit.is_some() { " LIMIT ?" } else { "" };
    let tests = where_clause(tests);
    format!("SELECT {columns} FROM {}{hint}{tests} ORDER BY {order}{limit}", table.name)
}

/// Makes a change, or says why not.
pub(super) fn change(connection: &Connection, table: &Table, change: &Change) -> Result<(), Refusal> {
    match change {
        Change::Put(row) => put(connection, table, row),
        Change::Remove { key, revision } => remove(connection, table, key, *revision),
        Change::Set { tests, cells } => set(connection, table, tests, cells),
        Change::Prune { among, tests } => {
            let mut pruned = vec![];
            select(connection, among, &mut |row| {
                pruned.extend(passes(table, tests, &row).then(|| row[..table.key].to_vec()));
                Ok(())
            })?;
            pruned.iter().try_for_each(|key| remove(connection, table, key, None))
        }
    }
}

fn put(connection: &Connection, table: &Table, row: &[Cell]) -> Result<(), Refusal> {
    let values = join(table.columns, |_| "?".to_owned());
    let into = format!("INTO {} ({}) VALUES ({values})", table.name, names(table.columns));
    let execute = |statement: &str| connection.prepare_cached(statement)?.execute(params_from_iter(row));
    match table.put {
        Put::Replace { keeping: [] } => {
            execute(&format!("INSERT OR REPLACE {into}"))?;
        }
        Put::Replace { keeping } => {
            let is_replaced = |column: &&Column| !keeping.contains(&column.name);
            let replaced: Vec<&Column> = table.columns[table.key..].iter().filter(is_replaced).collect();
            let set = join(&replaced, |column| format!("{0} = excluded.{0}", column.name));
            let key = names(table.key_columns());
            execute(&format!("INSERT {into} ON CONFLICT ({key}) DO UPDATE SET {set}"))?;
        }
        Put::Once => {
            if execute(&format!("INSERT OR IGNORE {into}"))? == 0 {
                return Err(Refusal::conflict(table.has_already(row)));
            }
        }
        Put::InTurn => {
            let put = match table.revision(row) {
                0 => execute(&format!("INSERT OR IGNORE {into}"))?,
                revision => {
                    let of_before = [Cell::Integer(revision - 1)];
                    let (key, values) = row.split_at(table.key);
                    let set = join(&table.columns[table.key..], |column| format!("{} = ?", column.name));
                    let place = with_key(table);
                    let update = format!("UPDATE {} SET {set}{place} AND {REVISION} = ?", table.name);
                    let cells = values.iter().chain(key).chain(&of_before);
                    connection.prepare_cached(&update)?.execute(params_from_iter(cells))?
                }
            };
            if put == 0 {
                return Err(Refusal::conflict(table.is_not_next(row)));
            }
        }
    }
    Ok(())
}

fn remove(
    connection: &Connection,
    table: &Table,
    key: &[Cell],
    revision: Option<u32>,
) -> Result<(), Refusal> {
    let of_revision = if revision.is_some() { format!(" AND {REVISION} = ?") } else { String::new() };
    let number = revision.map(|revision| Cell::Integer(revision.into()));
    let removed = connection
        .prepare_cached(&format!("DELETE FROM {}{}{of_revision}", table.name, with_key(table)))?
        .execute(params_from_iter(key.iter().chain(&number)))?;
    match revision {
        Some(revision) if removed == 0 => Err(Refusal::conflict(table.is_not_at(key, revision))),
        _ => Ok(()),
    }
}

fn set(
    connection: &Connection,
    table: &Table,
    tests: &[(&'static str, Test)],
    cells: &[(&'static str, Cell)],
) -> Result<(), Refusal> {
    let counted = match table.put {
        Put::InTurn => format!(", {REVISION} = {REVISION} + 1"),
        Put::Replace { .. } | Put::Once => String::new(),
    };
    let set = join(cells, |(column, _)| format!("{column} = ?"));
    let update = format!("UPDATE {} SET {set}{counted}{}", table.name, where_clause(tests));
    let cells = cells.iter().map(|(_, cell)| cell).chain(compared(tests));
    connection.prepare_cached(&update)?.execute(params_from_iter(cells))?;
    Ok(())
}

fn where_clause(tests: &[(&'static str, Test)]) -> String {
    let tests: Vec<String> =
        tests.iter().map(|(column, test)| format!("{column} {}", operator(test))).collect();
    if tests.is_empty() { String::new() } else { format!(" WHERE {}", tests.join(" AND ")) }
}

fn operator(test: &Test) -> String {
    match test {
        Test::Is(_) => "= ?".to_owned(),
        Test::IsNot(_) => "<> ?".to_owned(),
        Test::Below(_) => "< ?".to_owned(),
        Test::AtLeast(_) => ">= ?".to_owned(),
        Test::OneOf(numbers) => format!("IN ({})", join(numbers, ToString::to_string)),
        Test::Known => "IS NOT NULL".to_owned(),
    }
}

/// What the parameters of a [`where_clause`] stand for.
fn compared<'a>(tests: &'a [(&'static str, Test)]) -> impl Iterator<Item = &'a Cell> {
    tests.iter().filter_map(|(_, test)| test.cell())
}

fn with_key(table: &Table) -> String {
    let key: Vec<String> = table.key_columns().iter().map(|column| format!("{} = ?", column.name)).collect();
    format!(" WHERE {}", key.join(" AND "))
}

fn ordered(order: &Order) -> String {
    match order {
        Order::Up(column) => (*column).to_owned(),
        Order::Down(column) => format!("{column} DESC"),
    }
}

fn names(columns: &[Column]) -> String {
    join(columns, |column| column.name.to_owned())
}

fn join<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    items.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn cell(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Cell> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Text(_) => Cell::Text(row.get(column)?),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec().into()),
        ValueRef::Real(_) => row.get::<_, i64>(column).map(Cell::Integer)?,
    })
}

fn foreign(row: &rusqlite::Row<'_>, error: ForeignCell) -> rusqlite::Error {
    let kind = row.get_ref(error.column).map_or(rusqlite::types::Type::Null, |value| value.data_type());
    rusqlite::Error::FromSqlConversionFailure(error.column, kind, error.into())
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
