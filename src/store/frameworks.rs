//! `electric.frameworks`: how the books of migration frameworks are recognised.

use electric_schema::framework::{self, Framework};
use pgrx::pg_sys;

use super::tables::frameworks as f;
use crate::error::Error;
use crate::pg::heap;
use crate::pg::own::{self, find};

/// The table; `None` where the extension is not created.
pub fn table() -> Result<Option<pg_sys::Oid>, Error> {
    match own::schema()? {
        None => Ok(None),
        Some(_) => Ok(Some(find(&f::TABLE, f::frameworks_pkey)?.table)),
    }
}

/// All of them, in the order in which they are tried.
pub fn all() -> Result<Vec<Framework>, Error> {
    let Some(table) = table()? else {
        return Ok(Vec::new());
    };
    let mut found = heap::scan(table, pg_sys::Oid::INVALID, &[], |row| Framework {
        name: row.read(f::name),
        table_name: row.read(f::table_name),
        columns: row.read(f::columns),
        only_columns: row.read(f::only_columns),
        version: row.read(f::version),
        running: row.read(f::running),
        built_in: row.read(f::built_in),
    });
    framework::sort(&mut found);
    Ok(found)
}
