//! The publication that carries records and rows: whose it must be, what it publishes, which tables are in it.

use electric_schema::names::{qualified_quoted, quote_ident, quote_ident_if_needed};
use pgrx::pg_sys;

use crate::error::{Error, SqlState};
use crate::pg::relation::{self, Membership};
use crate::pg::{names, session, spi};
use crate::{settings, store};

/// Makes the publication if it is not there, and sees to it that it is ours, carries the records, and every change.
pub fn ensure() -> Result<(), Error> {
    let name = settings::publication();
    let id = names::publication_id(&name);
    let quoted = quote_ident(&name);
    let Some(facts) = relation::publication(id) else {
        let tables: Vec<String> = store::records()
            .map(|(table, _)| qualified_quoted("electric", table))
            .collect();
        let _elevated = session::elevate()?;
        spi::run(&format!(
            "CREATE PUBLICATION {quoted} FOR TABLE {} WITH (publish_via_partition_root = true)",
            tables.join(", ")
        ))?;
        return spi::run(&format!(
            "COMMENT ON PUBLICATION {quoted} IS 'Electric: electrified tables and their migrations'"
        ));
    };
    let owner_of_extension = names::extension_owner(names::own_extension());
    if facts.owner != owner_of_extension && !session::is_superuser_role(facts.owner) {
        return Err(Error::new(
            SqlState::InsufficientPrivilege,
            format!("publication \"{name}\" belongs to role \"{}\"", names::role_name(facts.owner)),
        )
        .detail("Whoever owns the publication can take tables and records out of it, so it must be a superuser or the owner of the extension.")
        .hint(format!(
            "ALTER PUBLICATION {} OWNER TO …; or choose another name with electric.publication.",
            quote_ident_if_needed(&name)
        )));
    }
    let _elevated = session::elevate()?;
    if !facts.via_root || !facts.everything {
        spi::run(&format!(
            "ALTER PUBLICATION {quoted} SET (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)"
        ))?;
    }
    if facts.all_tables {
        return Ok(());
    }
    for (table, _) in store::records() {
        let Some(record) = names::relation_of("electric", table) else {
            continue;
        };
        if relation::membership(record, id) == Membership::None {
            let table = qualified_quoted("electric", table);
            spi::run(&format!("ALTER PUBLICATION {quoted} ADD TABLE {table}"))?;
        }
    }
    Ok(())
}

/// So many tables are added by one command. For each of them the server makes a copy of the whole command, for event
/// triggers: of a thousand tables in one command, a million names.
const AT_ONCE: usize = 10;

/// Adds tables, given with their quoted names, to the publication; those that are members already stay.
pub fn add(tables: &[(pg_sys::Oid, String)]) -> Result<(), Error> {
    let name = settings::publication();
    let id = names::publication_id(&name);
    if relation::publication(id).is_some_and(|facts| facts.all_tables) {
        return Ok(());
    }
    let mut missing = Vec::new();
    for (table, table_name) in tables {
        match relation::membership(*table, id) {
            Membership::Whole => {}
            // Tables that inherit from an electrified one are tables of their own.
            Membership::None => missing.push(format!("ONLY {table_name}")),
            Membership::Part => {
                return Err(Error::new(
                    SqlState::FeatureNotSupported,
                    format!("table {table_name} is in publication \"{name}\" with a row filter or a column list"),
                )
                .detail("Replicas could not tell rows and columns that are left out from ones that are not there.")
                .hint(format!(
                    "As superuser: SET electric.policy = 'unrestricted'; ALTER PUBLICATION {} DROP TABLE {table_name}; RESET electric.policy;",
                    quote_ident_if_needed(&name)
                )));
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let _elevated = session::elevate()?;
    for some in missing.chunks(AT_ONCE) {
        spi::run(&format!(
            "ALTER PUBLICATION {} ADD TABLE {}",
            quote_ident(&name),
            some.join(", ")
        ))?;
    }
    Ok(())
}

/// Takes a table out of the publication.
pub fn remove(table: pg_sys::Oid, table_name: &str) -> Result<(), Error> {
    let name = settings::publication();
    let id = names::publication_id(&name);
    if id == pg_sys::Oid::INVALID || relation::membership(table, id) == Membership::None {
        return Ok(());
    }
    let _elevated = session::elevate()?;
    spi::run(&format!(
        "ALTER PUBLICATION {} DROP TABLE ONLY {table_name}",
        quote_ident(&name)
    ))
}
