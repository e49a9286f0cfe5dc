//! `electric.migrations`. Call what writes only under the migration lock.

use std::cell::Cell;

use super::tables::migrations as m;
use crate::error::Error;
use crate::pg::column::{Moment, Xid8};
use crate::pg::heap::{self, Key, Seen};
use crate::pg::own::{Indexed, find};
use crate::pg::value::Value;

/// A row of `electric.migrations`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Gapless, in commit order.
    pub id: i64,
    /// Unique.
    pub version: String,
    /// `auto`, `user` or a framework's name.
    pub source: String,
    /// The framework, where known.
    pub framework: Option<String>,
    /// The framework's own version, where known.
    pub framework_version: Option<String>,
    /// The transaction, with its epoch.
    pub xid: u64,
    /// When the transaction began, in microseconds since 2000-01-01 UTC.
    pub created_at: i64,
}

fn indexed() -> Result<Indexed, Error> {
    find(&m::TABLE, m::migrations_pkey)
}

fn of_row(row: &heap::Row) -> Migration {
    let row = row.whole();
    Migration {
        id: row.read(m::id),
        version: row.read(m::version),
        source: row.read(m::source),
        framework: row.read(m::framework),
        framework_version: row.read(m::framework_version),
        xid: row.read(m::xid).0,
        created_at: row.read(m::created_at).0,
    }
}

fn row(migration: &Migration) -> [Value<'_>; 7] {
    [
        Value::Int8(migration.id),
        Value::Text(&migration.version),
        Value::Text(&migration.source),
        Value::text_or_null(migration.framework.as_deref()),
        Value::text_or_null(migration.framework_version.as_deref()),
        Value::Xid8(Xid8(migration.xid)),
        Value::Moment(Moment(migration.created_at)),
    ]
}

/// The newest.
pub fn last() -> Result<Option<Migration>, Error> {
    thread_local!(static KNOWN: Cell<i64> = const { Cell::new(0) });
    let Indexed { table, index } = indexed()?;
    Ok(KNOWN.with(|known| heap::last(table, index, known, of_row)))
}

/// The one with that id.
pub fn with_id(id: i64) -> Result<Option<Migration>, Error> {
    let Indexed { table, index } = indexed()?;
    Ok(heap::scan(table, index, &[Key::int8(m::id.number(), id)], of_row).pop())
}

/// The one with that id, if the calling statement sees it.
pub fn seen_with_id(id: i64) -> Result<Option<Migration>, Error> {
    let Indexed { table, index } = indexed()?;
    let key = [Key::int8(m::id.number(), id)];
    Ok(heap::last_of(table, index, &key, Seen::ByStatement, of_row))
}

/// The one with that version.
pub fn with_version(version: &str) -> Result<Option<Migration>, Error> {
    let Indexed { table, index } = find(&m::TABLE, m::migrations_version_key)?;
    Ok(heap::scan(
        table,
        index,
        &[Key::text(m::version.number(), version)],
        of_row,
    )
    .pop())
}

/// The newest that the calling statement sees.
pub fn seen_last() -> Result<Option<Migration>, Error> {
    let Indexed { table, index } = indexed()?;
    Ok(heap::last_of(table, index, &[], Seen::ByStatement, of_row))
}

/// The one with that version, if the calling statement sees it.
pub fn seen_with_version(version: &str) -> Result<Option<Migration>, Error> {
    let Indexed { table, index } = find(&m::TABLE, m::migrations_version_key)?;
    let key = Key::text(m::version.number(), version);
    Ok(heap::last_of(
        table,
        index,
        &[key],
        Seen::ByStatement,
        of_row,
    ))
}

/// Adds one.
pub fn insert(migration: &Migration) -> Result<(), Error> {
    heap::insert(indexed()?.table, &row(migration));
    Ok(())
}

/// Replaces the one with that id.
pub fn update(migration: &Migration) -> Result<(), Error> {
    let Indexed { table, index } = indexed()?;
    heap::update(
        table,
        index,
        &[Key::int8(m::id.number(), migration.id)],
        &row(migration),
    );
    Ok(())
}
