//! The small tables in memory. What several changes do is taken back when one of them does not fit.

use std::collections::{BTreeMap, HashMap};

use crate::journal::row::{Cell, Change, Put, REVISION, RowQuery, Table, Test, passes};

/// Every table that has had a row, by its name. Rows are in the order of their keys.
#[derive(Default)]
pub(super) struct SmallTables(HashMap<&'static str, BTreeMap<Vec<Cell>, Vec<Cell>>>);

/// What stood in the place of a row before.
struct Undo {
    table: &'static Table,
    key: Vec<Cell>,
    row: Option<Vec<Cell>>,
}

impl SmallTables {
    /// The rows that are asked for, in order.
    pub fn select(&self, query: &RowQuery) -> Vec<Vec<Cell>> {
        let asked = self.rows(query.table).filter(|row| passes(query.table, &query.tests, row));
        let mut rows: Vec<_> = asked.cloned().collect();
        // Rows that are equal in the order stay in that of their keys.
        rows.sort_by(|a, b| query.compare(a, b));
        rows.truncate(query.limit.map_or(usize::MAX, |limit| limit as usize));
        rows
    }

    /// Makes the changes, or none of them. The error says why.
    pub fn change<'a>(
        &mut self,
        changes: impl Iterator<Item = (&'static Table, &'a Change)>,
    ) -> Result<(), String> {
        let mut undo = vec![];
        for (table, change) in changes {
            if let Err(why) = self.apply(table, change, &mut undo) {
                while let Some(Undo { table, key, row }) = undo.pop() {
                    self.replace(table, key, row);
                }
                return Err(why);
            }
        }
        Ok(())
    }

    fn apply(&mut self, table: &'static Table, change: &Change, undo: &mut Vec<Undo>) -> Result<(), String> {
        let mut set = |tables: &mut Self, key: Vec<Cell>, row: Option<Vec<Cell>>| {
            let row = tables.replace(table, key.clone(), row);
            undo.push(Undo { table, key, row });
        };
        match change {
            Change::Put(row) => {
                let (key, row) = (row[..table.key].to_vec(), self.fitting(table, row)?);
                set(self, key, Some(row));
                if let Some(key) = self.beyond(table) {
                    set(self, key, None);
                }
            }
            Change::Remove { key, revision } => {
                let is_there = |row: &Vec<Cell>| {
                    revision.is_none_or(|revision| table.revision(row) == i64::from(revision))
                };
                match (self.row(table, key).is_some_and(is_there), revision) {
                    (true, _) => set(self, key.clone(), None),
                    (false, None) => {}
                    (false, Some(revision)) => return Err(table.is_not_at(key, *revision)),
                }
            }
            Change::Set { tests, cells } => {
                for mut row in self.passing(table, tests) {
                    cells.iter().for_each(|(column, cell)| row[table.position(column)] = cell.clone());
                    if let Put::InTurn = table.put {
                        row[table.position(REVISION)] = Cell::Integer(table.revision(&row) + 1);
                    }
                    set(self, row[..table.key].to_vec(), Some(row));
                }
            }
            Change::Prune { among, tests } => {
                for row in self.select(among).into_iter().filter(|row| passes(table, tests, row)) {
                    set(self, row[..table.key].to_vec(), None);
                }
            }
        }
        Ok(())
    }

    /// The row as it is stored when it is put; or why it cannot be.
    fn fitting(&self, table: &Table, row: &[Cell]) -> Result<Vec<Cell>, String> {
        let mut row = row.to_vec();
        let stored = self.row(table, &row[..table.key]);
        match table.put {
            Put::Replace { keeping } => {
                for column in keeping.iter().map(|column| table.position(column)) {
                    stored.into_iter().for_each(|stored| row[column] = stored[column].clone());
                }
            }
            Put::Once if stored.is_some() || self.is_taken(table, &row) => {
                return Err(table.has_already(&row));
            }
            Put::Once => {}
            Put::InTurn => {
                let next = stored.map_or(0, |stored| table.revision(stored) + 1);
                if table.revision(&row) != next {
                    return Err(table.is_not_next(&row));
                }
            }
        }
        Ok(row)
    }

    /// Whether another row has the same in the column in which no two have.
    fn is_taken(&self, table: &Table, row: &[Cell]) -> bool {
        let Some(column) = table.unique.map(|column| table.position(column)) else { return false };
        self.rows(table).any(|stored| stored[column] == row[column])
    }

    /// The row that goes when the table has more than are kept in memory.
    fn beyond(&self, table: &Table) -> Option<Vec<Cell>> {
        let (most, column) = table.kept_in_memory?;
        let column = table.position(column);
        let rows = || self.rows(table);
        let first = rows().min_by_key(|row| &row[column]).filter(|_| rows().count() > most)?;
        Some(first[..table.key].to_vec())
    }

    fn passing(&self, table: &Table, tests: &[(&'static str, Test)]) -> Vec<Vec<Cell>> {
        self.rows(table).filter(|row| passes(table, tests, row)).cloned().collect()
    }

    fn rows(&self, table: &Table) -> impl Iterator<Item = &Vec<Cell>> {
        self.0.get(table.name).into_iter().flat_map(BTreeMap::values)
    }

    fn row(&self, table: &Table, key: &[Cell]) -> Option<&Vec<Cell>> {
        self.0.get(table.name)?.get(key)
    }

    /// Puts a row in a place, or none. Gives what was there.
    fn replace(&mut self, table: &Table, key: Vec<Cell>, row: Option<Vec<Cell>>) -> Option<Vec<Cell>> {
        let rows = self.0.entry(table.name).or_default();
        match row {
            Some(row) => rows.insert(key, row),
            None => rows.remove(&key),
        }
    }
}
