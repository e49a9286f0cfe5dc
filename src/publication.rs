//! The publication that carries records and rows.

use electric_schema::names::{qualified_quoted, quote_ident};
use pgrx::pg_sys;

use crate::error::Error;
use crate::pg::{names, relation, session, spi};
use crate::settings;

/// Our own tables that replicas follow.
const RECORDS: [&std::ffi::CStr; 4] = [c"migrations", c"ddl_commands", c"grants", c"assignments"];

/// Makes the publication if it is not there, and sees to it that it carries the records.
pub fn ensure() -> Result<(), Error> {
    let name = settings::publication();
    let id = names::publication_id(&name);
    let schema = names::schema_id(c"electric");
    let quoted = quote_ident(&name);
    let _elevated = session::elevate();
    if id == pg_sys::Oid::INVALID {
        let tables: Vec<String> = RECORDS
            .iter()
            .map(|table| qualified_quoted("electric", &table.to_string_lossy()))
            .collect();
        spi::run(&format!(
            "CREATE PUBLICATION {quoted} FOR TABLE {} WITH (publish_via_partition_root = true)",
            tables.join(", ")
        ))?;
        return spi::run(&format!(
            "COMMENT ON PUBLICATION {quoted} IS 'Electric: electrified tables and their migrations'"
        ));
    }
    let facts = relation::publication(id);
    if !facts.via_root {
        spi::run(&format!(
            "ALTER PUBLICATION {quoted} SET (publish_via_partition_root = true)"
        ))?;
    }
    if facts.all_tables {
        return Ok(());
    }
    for table in RECORDS {
        if !relation::is_published(names::relation_id(table, schema), id) {
            let table = qualified_quoted("electric", &table.to_string_lossy());
            spi::run(&format!("ALTER PUBLICATION {quoted} ADD TABLE {table}"))?;
        }
    }
    Ok(())
}

/// Adds tables to the publication; those that are members already stay as they are.
pub fn add(tables: &[(pg_sys::Oid, String)]) -> Result<(), Error> {
    let name = settings::publication();
    let id = names::publication_id(&name);
    if relation::publication(id).all_tables {
        return Ok(());
    }
    let missing: Vec<String> = tables
        .iter()
        .filter(|(table, _)| !relation::is_published(*table, id))
        // Tables that inherit from an electrified one are tables of their own.
        .map(|(_, name)| format!("ONLY {name}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let _elevated = session::elevate();
    spi::run(&format!(
        "ALTER PUBLICATION {} ADD TABLE {}",
        quote_ident(&name),
        missing.join(", ")
    ))
}

/// Takes a table out of the publication.
pub fn remove(table: pg_sys::Oid, table_name: &str) -> Result<(), Error> {
    let name = settings::publication();
    let id = names::publication_id(&name);
    if id == pg_sys::Oid::INVALID || !relation::is_published(table, id) {
        return Ok(());
    }
    let _elevated = session::elevate();
    spi::run(&format!(
        "ALTER PUBLICATION {} DROP TABLE ONLY {table_name}",
        quote_ident(&name)
    ))
}
