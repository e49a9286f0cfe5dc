//! `electric.frameworks`: how the books of migration frameworks are recognised.

use electric_schema::framework::{self, Framework};
use pgrx::pg_sys;

use crate::error::Error;
use crate::pg::heap;

/// The table; `None` where the extension is not created.
pub fn table() -> Result<Option<pg_sys::Oid>, Error> {
    match super::installed()? {
        None => Ok(None),
        Some(_) => Ok(Some(super::find(c"frameworks", c"frameworks_pkey")?.table)),
    }
}

/// All of them, in the order in which they are tried.
pub fn all() -> Result<Vec<Framework>, Error> {
    let Some(table) = table()? else {
        return Ok(Vec::new());
    };
    let mut found = heap::scan(table, pg_sys::Oid::INVALID, &[], |row| Framework {
        name: row.get(1).unwrap_or_default(),
        table_name: row.get(2).unwrap_or_default(),
        columns: row.get(3).unwrap_or_default(),
        only_columns: row.bool(4),
        version: row.get(5).unwrap_or_default(),
        running: row.get(6),
        built_in: row.bool(7),
    });
    framework::sort(&mut found);
    Ok(found)
}
