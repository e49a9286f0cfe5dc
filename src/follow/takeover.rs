//! A subscription of an earlier version, which applied as superuser, becomes one that does not.

use std::collections::BTreeSet;

use electric_schema::model::{Table, TypeDefinition, TypeKind};
use electric_schema::names::{qualified_quoted, quote_ident};

use super::role::{self, NAME};
use crate::error::{Error, SqlState};
use crate::pg::entry::{Call, Datum, void};
use crate::pg::{names, session, spi, subscription, xact};
use crate::{api, store};

/// What `ALTER EXTENSION electric UPDATE` calls: gives what follows, and the subscription, to the role that applies.
pub fn take_over(_call: &Call) -> Result<Datum, Error> {
    if !session::is_superuser() || !session::in_own_script() {
        return Err(Error::new(
            SqlState::InsufficientPrivilege,
            "subscriptions are taken over by ALTER EXTENSION electric UPDATE alone",
        ));
    }
    let Some(name) = store::subscriptions::name()? else {
        return Ok(void());
    };
    let mut tables = Vec::new();
    for id in store::shapes::ids()? {
        if let Some(table) = store::shapes::shape(id)? {
            store::stream::add_relation(id)?;
            tables.push((*table).clone());
        }
    }
    let mut types = Vec::new();
    for id in store::types::ids()? {
        if let Some((definition, _)) = store::types::get(id)? {
            store::stream::add_type(id)?;
            types.push(definition);
        }
    }
    let role = role::ensure()?;
    role::grant(schemas(&tables, &types).iter().map(String::as_str))?;
    let mut statements = Vec::new();
    for table in &tables {
        own_table(table, &mut statements)?;
    }
    for definition in &types {
        let kind = match definition.kind {
            TypeKind::Domain => "DOMAIN",
            _ => "TYPE",
        };
        let of = qualified_quoted(&definition.schema, &definition.name);
        statements.push(format!("ALTER {kind} {of} OWNER TO {NAME}"));
    }
    if let Some(options) = subscription::AS_ITS_OWNER.strip_prefix(", ") {
        let name = quote_ident(&name);
        statements.push(format!("ALTER SUBSCRIPTION {name} SET ({options})"));
    }
    api::working(|| statements.iter().try_for_each(|sql| spi::run(sql)))?;
    xact::command_counter_increment();
    if let Some(subscription) = subscription::of_name(&name) {
        subscription::give_to(subscription, role);
    }
    Ok(void())
}

fn own_table(table: &Table, statements: &mut Vec<String>) -> Result<(), Error> {
    let of = qualified_quoted(&table.schema, &table.name);
    statements.push(format!("ALTER TABLE {of} OWNER TO {NAME}"));
    for sequence in table
        .columns
        .iter()
        .filter_map(|column| column.sequence.as_ref())
    {
        let Some(id) = names::relation_of(&sequence.schema, &sequence.name) else {
            continue;
        };
        store::stream::add_relation(id)?;
        // One that a column owns goes with its table.
        if !sequence.owned {
            let of = qualified_quoted(&sequence.schema, &sequence.name);
            statements.push(format!("ALTER SEQUENCE {of} OWNER TO {NAME}"));
        }
    }
    for collation in &table.collations {
        let of = qualified_quoted(&collation.schema, &collation.name);
        if names::collation_owner(&collation.schema, &collation.name).is_some() {
            statements.push(format!("ALTER COLLATION {of} OWNER TO {NAME}"));
        }
    }
    Ok(())
}

fn schemas(tables: &[Table], types: &[TypeDefinition]) -> BTreeSet<String> {
    let of_tables = tables.iter().map(|table| table.schema.clone());
    let of_types = types.iter().map(|of| of.schema.clone());
    let public = ["public".to_owned()];
    public
        .into_iter()
        .chain(of_tables)
        .chain(of_types)
        .collect()
}
