//! `electric.frameworks`: how the books of migration frameworks are recognised.

use electric_schema::framework::{self, Framework};
use pgrx::pg_sys;

use crate::pg::{heap, names};

/// The table; the invalid id where there is none.
pub fn table() -> pg_sys::Oid {
    let schema = names::own_schema();
    if schema == pg_sys::Oid::INVALID {
        return schema;
    }
    names::relation_id(c"frameworks", schema)
}

/// All of them, in the order in which they are tried.
pub fn all() -> Vec<Framework> {
    let mut found = heap::scan(table(), pg_sys::Oid::INVALID, &[], |row| Framework {
        name: row.get(1).unwrap_or_default(),
        table_name: row.get(2).unwrap_or_default(),
        columns: row.get(3).unwrap_or_default(),
        only_columns: row.bool(4),
        version: row.get(5).unwrap_or_default(),
        running: row.get(6),
        built_in: row.bool(7),
    });
    framework::sort(&mut found);
    found
}
