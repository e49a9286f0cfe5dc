//! What the stream made earlier makes way for what it makes now: it is renamed, with all that users hung on it.

use electric_schema::names::{qualified_quoted, quote_ident};
use pgrx::pg_sys;

use crate::api;
use crate::error::Error;
use crate::pg::{names, relation, spi, xact};

/// Longest name of the server, in bytes.
const LONGEST: usize = 63;

/// Renames a table to `name_old_N`, and likewise its indexes and the sequences that it owns.
pub fn of_table(id: pg_sys::Oid) -> Result<(), Error> {
    rename("TABLE", id)?;
    for index in relation::indexes(id) {
        rename("INDEX", index)?;
    }
    for (sequence, _) in relation::owned_sequences(id).into_values() {
        rename("SEQUENCE", sequence)?;
    }
    Ok(())
}

/// Renames a relation of that kind to `name_old_N`.
fn rename(kind: &str, id: pg_sys::Oid) -> Result<(), Error> {
    let (schema, name) = names::shown(id);
    let free = free_name(&schema, &name);
    alter(kind, &schema, &name, &free)
}

/// Renames a type to `name_old_N`.
pub fn of_type(schema: &str, name: &str) -> Result<(), Error> {
    // ALTER TYPE renames enums, domains and ranges alike.
    alter("TYPE", schema, name, &free_name(schema, name))
}

fn alter(kind: &str, schema: &str, name: &str, to: &str) -> Result<(), Error> {
    api::working(|| {
        spi::run(&format!(
            "ALTER {kind} {} RENAME TO {}",
            qualified_quoted(schema, name),
            quote_ident(to)
        ))
    })?;
    xact::command_counter_increment();
    Ok(())
}

/// The first `name_old_N` that neither a relation nor a type of the schema has.
fn free_name(schema: &str, name: &str) -> String {
    (1_u64..)
        .map(|n| with_suffix(name, &format!("_old_{n}")))
        .find(|name| {
            names::relation_of(schema, name).is_none() && names::type_of(schema, name).is_none()
        })
        .unwrap_or_default()
}

/// The name with the suffix, cut so that both are within what the server keeps.
fn with_suffix(name: &str, suffix: &str) -> String {
    let mut end = name.len().min(LONGEST - suffix.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{suffix}", &name[..end])
}
