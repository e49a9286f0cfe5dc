//! What is in the way of a command, and the tables that are passed over because of it.
//!
//! Such a table alone stands still, and what references it. Its commands and rows are passed over until
//! `electric.unblock` makes it.

use std::collections::BTreeSet;

use electric_schema::model::{ColumnType, ForeignKey, Table, TypeKind};
use electric_schema::names::{qualified, qualified_quoted, quote_ident};
use pgrx::pg_sys;

use super::{make, role};
use crate::error::Error;
use crate::pg::said::Name;
use crate::pg::{entry, names, relation, session, spi, subtransaction, xact};
use crate::store::stream::{self, Blocked};
use crate::{api, store, watch};

/// Why a change was not made.
#[derive(Debug)]
pub enum Stop {
    /// Something that the stream did not make is in the way; what.
    InTheWay(String),
    /// It failed.
    Failed(Box<Error>),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(Box::new(error))
    }
}

/// The server's errors that say of a name that it is taken (42P07, 42710, 42P06), of an object that it is another's
/// (42501), or that something of this database's hangs on it (2BP01, and 0A000: views and row types).
const IN_THE_WAY: [&str; 6] = ["42P07", "42710", "42P06", "42501", "2BP01", "0A000"];

/// Tries a change. Gives what is in its way, if something is; then nothing of it is left.
pub fn attempt(body: impl FnOnce() -> Result<(), Stop>) -> Result<Option<String>, Error> {
    match subtransaction::attempt(std::panic::AssertUnwindSafe(body)) {
        Ok(Ok(())) => Ok(None),
        Ok(Err(Stop::InTheWay(reason))) => Ok(Some(reason)),
        Ok(Err(Stop::Failed(error))) => Err(*error),
        Err(error) if IN_THE_WAY.iter().any(|code| error.is(code)) => Ok(Some(error.message())),
        Err(error) => error.rethrow(),
    }
}

/// The tables and types that are passed over.
pub fn all() -> Result<BTreeSet<String>, Error> {
    let blocked = stream::blocked()?.into_iter();
    Ok(blocked.map(|of| of.relation).collect())
}

/// What of the things that a table needs is passed over itself, or is not the stream's.
pub fn needed(table: &Table) -> Result<(), Stop> {
    let blocked = all()?;
    let own = table.qualified_name();
    for key in &table.foreign_keys {
        let to = qualified(&key.references.schema, &key.references.table);
        if to != own && blocked.contains(&to) {
            return Err(Stop::InTheWay(format!(
                "it references {to}, which is blocked"
            )));
        }
    }
    table
        .columns
        .iter()
        .try_for_each(|column| needed_type(&column.data_type, &blocked))
}

fn needed_type(data_type: &ColumnType, blocked: &BTreeSet<String>) -> Result<(), Stop> {
    let ColumnType {
        schema, name, kind, ..
    } = data_type;
    let is_users = schema != "pg_catalog" && data_type.extension.is_none();
    if is_users && matches!(kind, TypeKind::Enum | TypeKind::Domain | TypeKind::Range) {
        let shown = qualified(schema, name);
        if blocked.contains(&shown) {
            return Err(Stop::InTheWay(format!(
                "it uses type {shown}, which is blocked"
            )));
        }
        if let Some(id) = names::type_of(schema, name)
            && !stream::has_type(id)?
        {
            return Err(Stop::InTheWay(format!(
                "type {shown} is not the one that the subscription made"
            )));
        }
    }
    match &data_type.of {
        Some(of) => needed_type(of, blocked),
        None => Ok(()),
    }
}

/// What a key that is added references must follow.
pub fn keys(keys: &[ForeignKey], own: pg_sys::Oid) -> Result<(), Stop> {
    let watch = watch::current()?;
    for key in keys {
        let to = &key.references;
        let target = names::relation_of(&to.schema, &to.table);
        if !target.is_some_and(|id| id == own || watch.has(id)) {
            return Err(Stop::InTheWay(format!(
                "it references {}, which does not follow",
                qualified(&to.schema, &to.table)
            )));
        }
    }
    Ok(())
}

/// What has a name that a relation wants, if it is not the stream's.
pub fn taken(name: &Name) -> Result<Option<String>, Error> {
    let Some(id) = names::relation_of(&name.schema, &name.name) else {
        return Ok(None);
    };
    if is_streams(id)? {
        return Ok(None);
    }
    Ok(Some(format!("{} is there already", described(id))))
}

/// Whether the stream made a relation, and nobody took it over since.
pub fn is_streams(id: pg_sys::Oid) -> Result<bool, Error> {
    Ok(stream::has_relation(id)? && relation::owner(id) == role::id())
}

/// What the relation is, and its name.
pub fn described(id: pg_sys::Oid) -> String {
    names::described(pg_sys::RelationRelationId, id)
        .map_or_else(String::new, |(kind, name)| format!("{kind} {name}"))
}

/// Passes a table over from now on, and the tables that reference it. Gives their names.
pub fn table(
    table: &Table,
    reason: &str,
    command: i64,
    subscription: pg_sys::Oid,
) -> Result<(), Error> {
    let mut left = vec![(table.clone(), reason.to_owned())];
    let mut seen = BTreeSet::new();
    while let Some((table, reason)) = left.pop() {
        let shown = table.qualified_name();
        if !seen.insert(shown.clone()) {
            continue;
        }
        let because = format!("it references {shown}, which is blocked");
        for other in referencing(&table)? {
            left.push((other, because.clone()));
        }
        super::leave(&table.schema, &table.name, subscription)?;
        note(&shown, &reason, command)?;
        stand_in(&table)?;
    }
    Ok(())
}

/// Passes a type over from now on.
pub fn note(relation: &str, reason: &str, command: i64) -> Result<(), Error> {
    entry::warning_in_full(
        &format!("{relation} of the publisher is blocked here: {reason}"),
        "What the subscription did not make is neither used nor changed by it.",
        &format!(
            "It is passed over, and what references it. When nothing is in the way any more: CALL electric.unblock({});",
            electric_schema::names::quote_literal(relation)
        ),
    );
    stream::block(&Blocked {
        relation: relation.to_owned(),
        reason: reason.to_owned(),
        command,
    })
}

/// The tables that follow and reference this one, or wait to.
fn referencing(table: &Table) -> Result<Vec<Table>, Error> {
    let watch = watch::current()?;
    let mut ids = make::waiting_for(table);
    if let Some(id) = names::relation_of(&table.schema, &table.name) {
        ids.extend(
            relation::referencing(id)
                .into_iter()
                .map(|(other, _)| other),
        );
        ids.retain(|other| *other != id);
    }
    let mut found = Vec::new();
    for id in ids.into_iter().filter(|id| watch.has(*id)) {
        if let Some(shape) = store::shapes::shape(id)? {
            found.push((*shape).clone());
        }
    }
    Ok(found)
}

/// The server looks at a table of the publisher before it passes its rows over: there must be one of that name, with
/// such columns. Where the name is free, or the stream's, there is.
pub fn stand_in(table: &Table) -> Result<(), Error> {
    let name = qualified_quoted(&table.schema, &table.name);
    let column = |name: &str| format!("{} text", quote_ident(name));
    let statements = match names::relation_of(&table.schema, &table.name) {
        None => {
            let columns: Vec<String> = table.columns.iter().map(|c| column(&c.name)).collect();
            let mut statements = vec![
                format!("CREATE TABLE {name} ({})", columns.join(", ")),
                format!(
                    "COMMENT ON TABLE {name} IS 'Electric: stands in for a table that is blocked, see electric.status()'"
                ),
            ];
            if names::schema_of_name(&table.schema) == pg_sys::Oid::INVALID {
                statements.insert(0, format!("CREATE SCHEMA {}", quote_ident(&table.schema)));
            }
            statements
        }
        Some(id) if is_streams(id)? => {
            let missing = table
                .columns
                .iter()
                .filter(|c| !relation::has_column(id, &c.name));
            missing
                .map(|c| format!("ALTER TABLE {name} ADD COLUMN {}", column(&c.name)))
                .collect()
        }
        Some(_) => return Ok(()),
    };
    if statements.is_empty() {
        return Ok(());
    }
    let made = subtransaction::attempt(std::panic::AssertUnwindSafe(|| {
        session::replaying(|| {
            api::working(|| statements.iter().try_for_each(|sql| spi::run(sql)))?;
            xact::command_counter_increment();
            match names::relation_of(&table.schema, &table.name) {
                Some(id) => stream::add_relation(id),
                None => Ok(()),
            }
        })
    }));
    match made {
        Ok(done) => done,
        Err(error) if error.is_about_session() => error.rethrow(),
        // What keeps this from being done, such as the schema's privileges, is the reason or comes with it.
        Err(_) => Ok(()),
    }
}
