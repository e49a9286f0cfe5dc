//! `electric.grants` and `electric.assignments`.

use electric_schema::permissions::{Assignment, Grant, Grantee, Privilege};
use pgrx::pg_sys;

use super::{Indexed, find};
use crate::error::Error;
use crate::pg::heap::{self, Key, Row, Seen};

/// A table of the extension whose rows are about electrified tables, of which its first two columns are the schema and
/// the name.
pub trait Stored: Sized + PartialEq {
    /// The table and its index.
    const TABLE: (&'static std::ffi::CStr, &'static std::ffi::CStr);

    /// Reads a row; `None` if somebody wrote what makes no sense.
    fn of_row(row: &Row) -> Option<Self>;

    /// The values of the row's columns.
    fn values(&self) -> Vec<Option<pg_sys::Datum>>;
}

fn place<T: Stored>() -> Result<Indexed, Error> {
    find(T::TABLE.0, T::TABLE.1)
}

/// All rows, in the order of their fields.
pub fn all<T: Stored + Ord>(seen: Seen) -> Result<Vec<T>, Error> {
    read(&[], seen)
}

/// The rows about a table, in the order of their fields.
pub fn of_table<T: Stored + Ord>(schema: &str, name: &str, seen: Seen) -> Result<Vec<T>, Error> {
    read(&[Key::text(1, schema), Key::text(2, name)], seen)
}

fn read<T: Stored + Ord>(keys: &[Key], seen: Seen) -> Result<Vec<T>, Error> {
    let Indexed { table, index } = place::<T>()?;
    let rows = heap::seen_in_order(table, index, keys, seen, T::of_row);
    let mut found: Vec<T> = rows.into_iter().flatten().collect();
    found.sort();
    Ok(found)
}

/// Makes `new` the rows about a table.
pub fn replace<T: Stored + Ord>(schema: &str, name: &str, new: &[T]) -> Result<(), Error> {
    let Indexed { table, index } = place::<T>()?;
    let keys = [Key::text(1, schema), Key::text(2, name)];
    let mut kept = Vec::new();
    heap::delete_where(table, index, &keys, |row| {
        let old = T::of_row(row).filter(|old| new.contains(old));
        let goes = old.is_none();
        kept.extend(old);
        goes
    })?;
    // A row that comes may have the key of one that went.
    crate::pg::xact::command_counter_increment();
    for row in new.iter().filter(|row| !kept.contains(row)) {
        heap::insert(table, &row.values())?;
    }
    crate::pg::xact::command_counter_increment();
    Ok(())
}

fn text(value: &str) -> Option<pg_sys::Datum> {
    Some(heap::text(value))
}

impl Stored for Grant {
    const TABLE: (&'static std::ffi::CStr, &'static std::ffi::CStr) = (c"grants", c"grants_key");

    fn of_row(row: &Row) -> Option<Grant> {
        Some(Grant {
            table_schema: row.get(1)?,
            table_name: row.get(2)?,
            privilege: Privilege::of_word(&row.get::<String>(3)?)?,
            grantee: Grantee::of_word(&row.get::<String>(4)?)?,
            role: row.get(5),
            scope_schema: row.get(6),
            scope_table: row.get(7),
            columns: row.get(8),
            using_path: row.get(9),
            condition: row.get(10),
        })
    }

    fn values(&self) -> Vec<Option<pg_sys::Datum>> {
        vec![
            text(&self.table_schema),
            text(&self.table_name),
            text(self.privilege.word()),
            text(self.grantee.word()),
            self.role.as_deref().map(heap::text),
            self.scope_schema.as_deref().map(heap::text),
            self.scope_table.as_deref().map(heap::text),
            self.columns.as_deref().map(heap::texts),
            self.using_path.as_deref().map(heap::texts),
            self.condition.as_deref().map(heap::text),
        ]
    }
}

impl Stored for Assignment {
    const TABLE: (&'static std::ffi::CStr, &'static std::ffi::CStr) =
        (c"assignments", c"assignments_key");

    fn of_row(row: &Row) -> Option<Assignment> {
        Some(Assignment {
            table_schema: row.get(1)?,
            table_name: row.get(2)?,
            user_column: row.get(3)?,
            role: row.get(4),
            role_column: row.get(5),
            scope_schema: row.get(6),
            scope_table: row.get(7),
            using_path: row.get(8),
            condition: row.get(9),
        })
    }

    fn values(&self) -> Vec<Option<pg_sys::Datum>> {
        vec![
            text(&self.table_schema),
            text(&self.table_name),
            text(&self.user_column),
            self.role.as_deref().map(heap::text),
            self.role_column.as_deref().map(heap::text),
            self.scope_schema.as_deref().map(heap::text),
            self.scope_table.as_deref().map(heap::text),
            self.using_path.as_deref().map(heap::texts),
            self.condition.as_deref().map(heap::text),
        ]
    }
}
