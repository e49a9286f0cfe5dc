//! `electric.grants` and `electric.assignments`.

use electric_schema::permissions::{Assignment, Grant, Grantee, Privilege};
use std::ffi::CStr;

use super::tables::{assignments as a, grants as g};
use super::{Indexed, find};
use crate::error::Error;
use crate::pg::column::Column;
use crate::pg::heap::{self, Key, Row, Seen};
use crate::pg::own::Spec;
use crate::pg::value::Value;

/// The first two columns.
const SCHEMA: Column<String> = g::table_schema;
const NAME: Column<String> = g::table_name;

/// A table of the extension whose rows are about electrified tables, of which its first two columns are the schema and
/// the name.
pub trait Stored: Sized + PartialEq {
    /// The table and its index.
    const TABLE: (&'static Spec, &'static CStr);

    /// Reads a row; `None` if somebody wrote what makes no sense.
    fn of_row(row: &Row) -> Option<Self>;

    /// The values of the row's columns.
    fn values(&self) -> Vec<Value<'_>>;
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
    read(
        &[
            Key::text(SCHEMA.number(), schema),
            Key::text(NAME.number(), name),
        ],
        seen,
    )
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
    let keys = [
        Key::text(SCHEMA.number(), schema),
        Key::text(NAME.number(), name),
    ];
    let mut kept = Vec::new();
    heap::delete_where(table, index, &keys, |row| {
        let old = T::of_row(row).filter(|old| new.contains(old));
        let goes = old.is_none();
        kept.extend(old);
        goes
    });
    // A row that comes may have the key of one that went.
    crate::pg::xact::command_counter_increment();
    for row in new.iter().filter(|row| !kept.contains(row)) {
        heap::insert(table, &row.values());
    }
    crate::pg::xact::command_counter_increment();
    Ok(())
}

impl Stored for Grant {
    const TABLE: (&'static Spec, &'static CStr) = (&g::TABLE, g::grants_key);

    fn of_row(row: &Row) -> Option<Grant> {
        Some(Grant {
            table_schema: row.read(g::table_schema),
            table_name: row.read(g::table_name),
            privilege: Privilege::of_word(&row.read(g::privilege))?,
            grantee: Grantee::of_word(&row.read(g::grantee))?,
            role: row.read(g::role),
            scope_schema: row.read(g::scope_schema),
            scope_table: row.read(g::scope_table),
            columns: row.read(g::columns),
            using_path: row.read(g::using_path),
            condition: row.read(g::condition),
        })
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            Value::Text(&self.table_schema),
            Value::Text(&self.table_name),
            Value::Text(self.privilege.word()),
            Value::Text(self.grantee.word()),
            Value::text_or_null(self.role.as_deref()),
            Value::text_or_null(self.scope_schema.as_deref()),
            Value::text_or_null(self.scope_table.as_deref()),
            Value::texts_or_null(self.columns.as_deref()),
            Value::texts_or_null(self.using_path.as_deref()),
            Value::text_or_null(self.condition.as_deref()),
        ]
    }
}

impl Stored for Assignment {
    const TABLE: (&'static Spec, &'static CStr) = (&a::TABLE, a::assignments_key);

    fn of_row(row: &Row) -> Option<Assignment> {
        Some(Assignment {
            table_schema: row.read(a::table_schema),
            table_name: row.read(a::table_name),
            user_column: row.read(a::user_column),
            role: row.read(a::role),
            role_column: row.read(a::role_column),
            scope_schema: row.read(a::scope_schema),
            scope_table: row.read(a::scope_table),
            using_path: row.read(a::using_path),
            condition: row.read(a::condition),
        })
    }

    fn values(&self) -> Vec<Value<'_>> {
        vec![
            Value::Text(&self.table_schema),
            Value::Text(&self.table_name),
            Value::Text(&self.user_column),
            Value::text_or_null(self.role.as_deref()),
            Value::text_or_null(self.role_column.as_deref()),
            Value::text_or_null(self.scope_schema.as_deref()),
            Value::text_or_null(self.scope_table.as_deref()),
            Value::texts_or_null(self.using_path.as_deref()),
            Value::text_or_null(self.condition.as_deref()),
        ]
    }
}
