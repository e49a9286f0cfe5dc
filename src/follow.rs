//! Following a publisher: what its commands did there is done here, inside the apply worker's transaction.

use std::rc::Rc;

use electric_schema::hash;
use electric_schema::model::{Table, TypeDefinition};
use electric_schema::names::qualified_quoted;
use electric_schema::op::FORMAT;
use pgrx::pg_sys;
use serde_json::Value;

use crate::api::{self, enable};
use crate::catalog;
use crate::error::{Error, SqlState};
use crate::pg::publisher::Publisher;
use crate::pg::subscription::{self, State};
use crate::pg::{locks, names, relation, session, spi, xact};
use crate::{publication, store, watch};

/// A command of the publisher.
pub struct Command {
    /// Its id, gapless.
    pub id: i64,
    /// The word for the change.
    pub word: String,
    /// Canonical Postgres.
    pub postgres: Vec<String>,
    /// The change.
    pub op: Value,
    /// The chain's hash.
    pub hash: String,
}

/// Does what a command did on the publisher. Nothing of it is recorded: its record came with the stream.
pub fn apply(command: &Command, subscription: pg_sys::Oid) -> Result<(), Error> {
    understand(command)?;
    locks::migrations()?;
    continues(command)?;
    let member = |name: &str| command.op.get(name).filter(|value| !value.is_null());
    let table = member("table")
        .map(|value| serde_json::from_value::<Table>(value.clone()))
        .transpose()?;
    let has_rows = member("has_rows").and_then(Value::as_bool).unwrap_or(true);
    match command.word.as_str() {
        "create_type" | "add_enum_value" => {
            let definition: TypeDefinition =
                serde_json::from_value(member("type").cloned().unwrap_or_default())?;
            forget_type(&definition)?;
            run(&command.postgres)?;
            know_type(&definition)
        }
        "create_table" => {
            run(&command.postgres)?;
            match table {
                Some(table) => join(&table, has_rows, subscription),
                None => Ok(()),
            }
        }
        "replace_table" => {
            let of = |key| {
                let from = member("from").and_then(|from| from.get(key));
                from.and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            leave(&of("schema"), &of("name"), subscription)?;
            run(&command.postgres)?;
            if let Some(table) = table {
                join(&table, has_rows, subscription)?;
                trust_keys(&table)?;
            }
            enable::release_types()
        }
        "disable_table" => {
            run(&command.postgres)?;
            if let Some(table) = table {
                leave(&table.schema, &table.name, subscription)?;
            }
            enable::release_types()
        }
        "add_column"
        | "create_index"
        | "drop_index"
        | "rename_index"
        | "set_default"
        | "drop_default"
        | "validate_constraint"
        | "drop_not_null"
        | "drop_constraint"
        | "widen_column"
        | "sqlite"
        | "grant"
        | "revoke"
        | "assign"
        | "unassign" => {
            if let Some(table) = &table {
                begin_copy_anew(table, subscription)?;
            }
            run(&command.postgres)?;
            match table {
                Some(table) => changed(&table),
                None => Ok(()),
            }
        }
        word => Err(too_new(&format!("command {} ({word})", command.id))),
    }
}

/// A record in a format that is newer than this extension is not for guessing at.
fn understand(command: &Command) -> Result<(), Error> {
    let format = command.op.get("format").and_then(Value::as_u64);
    if format.is_some_and(|format| format <= u64::from(FORMAT)) {
        return Ok(());
    }
    Err(too_new(&format!("command {}", command.id)))
}

/// A record that does not continue the chain comes after others that are missing, or was changed.
fn continues(command: &Command) -> Result<(), Error> {
    let previous = store::commands::seen_place(command.id - 1)?.unwrap_or_default();
    if previous.id == command.id - 1
        && hash::next(&previous.hash, &hash::canonical_json(&command.op)) == command.hash
    {
        return Ok(());
    }
    Err(Error::new(
        SqlState::of_code("XX001"),
        format!(
            "cannot follow the publisher: command {} does not continue the history that is here",
            command.id
        ),
    )
    .detail("Its hash is not that of the command before it and of what it says: records are missing, or were changed.")
    .hint("Begin anew: CALL electric.unsubscribe(); drop the tables; CALL electric.subscribe(…);"))
}

/// The publisher's extension is newer than this one.
pub fn too_new(what: &str) -> Error {
    Error::new(
        SqlState::FeatureNotSupported,
        format!("cannot follow the publisher: {what} has a format that this version does not know"),
    )
    .detail("A subscriber never guesses what a newer record means.")
    .hint("Install a version of the extension here that is not older than the publisher's, then: ALTER EXTENSION electric UPDATE;")
}

/// Runs statements that the publisher wrote.
pub fn run(statements: &[String]) -> Result<(), Error> {
    session::replaying(|| {
        for statement in statements {
            api::working(|| spi::run(statement))?;
        }
        xact::command_counter_increment();
        Ok(())
    })
}

/// Remembers a type as the publisher's records have it.
pub fn know_type(definition: &TypeDefinition) -> Result<(), Error> {
    let id = names::type_of(&definition.schema, &definition.name).ok_or_else(|| {
        Error::internal(format!("type {} is missing", definition.qualified_name()))
    })?;
    store::types::insert(id, definition, &catalog::type_identity(id))?;
    watch::changed();
    Ok(())
}

fn forget_type(definition: &TypeDefinition) -> Result<(), Error> {
    if let Some(id) = names::type_of(&definition.schema, &definition.name) {
        store::types::delete(id)?;
        xact::command_counter_increment();
    }
    Ok(())
}

/// Remembers a table as the publisher's records have it, and publishes it here in turn. Gives its id.
pub fn know_table(table: &Table) -> Result<pg_sys::Oid, Error> {
    let (id, actual) = find(table)?;
    store::shapes::insert(id, table, None, &actual.identity)?;
    let name = qualified_quoted(&table.schema, &table.name);
    let key = table.primary_key_constraint.as_ref();
    api::working(|| {
        enable::set_replica_identity(id, &name, key.map(|key| key.definition.as_str()))?;
        publication::add(&[(id, name)])
    })?;
    watch::changed();
    Ok(id)
}

fn find(table: &Table) -> Result<(pg_sys::Oid, catalog::Actual), Error> {
    names::relation_of(&table.schema, &table.name)
        .and_then(|id| Some((id, catalog::table(id)?)))
        .ok_or_else(|| {
            Error::new(
                SqlState::UndefinedTable,
                format!("table {} of the publisher is missing here", table.qualified_name()),
            )
            .detail("It was dropped or renamed behind the extension's back.")
            .hint("End the subscription and begin anew: CALL electric.unsubscribe(); CALL electric.subscribe(…);")
        })
}

/// A table begins to follow. The rows that it had are copied by a worker of the server's own.
fn join(table: &Table, has_rows: bool, subscription: pg_sys::Oid) -> Result<(), Error> {
    if let Some(id) = names::relation_of(&table.schema, &table.name) {
        store::shapes::delete(id)?;
        subscription::remove(subscription, id);
        xact::command_counter_increment();
    }
    let id = know_table(table)?;
    let state = if has_rows {
        State::Initial
    } else {
        State::Ready
    };
    subscription::add(subscription, id, state);
    xact::command_counter_increment();
    Ok(())
}

/// Keys of other tables that point to a table made anew could not be checked: its rows are yet to come. On the publisher
/// they hold, so here they will, and nothing checks them but that: what comes from a publisher fires no triggers.
fn trust_keys(table: &Table) -> Result<(), Error> {
    let (id, _) = find(table)?;
    for (other, key) in relation::referencing(id) {
        let recorded = store::shapes::shape(other)?;
        let mut keys = recorded.iter().flat_map(|table| &table.foreign_keys);
        if keys.any(|recorded| recorded.name == key && recorded.validated) {
            relation::mark_valid(other, &key);
        }
    }
    xact::command_counter_increment();
    Ok(())
}

/// A table that is still being copied changes. Rows of its old shape that the copy had yet to bring would get the
/// defaults of this moment, so it begins again with the new one.
fn begin_copy_anew(table: &Table, subscription: pg_sys::Oid) -> Result<(), Error> {
    let (id, _) = find(table)?;
    if !subscription::is_copied(subscription, id) {
        return Ok(());
    }
    subscription::stop_copying(subscription, id);
    subscription::remove(subscription, id);
    let name = qualified_quoted(&table.schema, &table.name);
    api::working(|| spi::run(&format!("DELETE FROM ONLY {name}")))?;
    subscription::add(subscription, id, State::Again);
    xact::command_counter_increment();
    Ok(())
}

/// Ends a copy that is going on, with what it has on the publisher.
fn stop_copying(id: pg_sys::Oid, subscription: pg_sys::Oid) -> Result<(), Error> {
    let Some(slot) = subscription::stop_copying(subscription, id) else {
        return Ok(());
    };
    let conninfo: Option<String> = spi::value(
        "SELECT subconninfo FROM pg_catalog.pg_subscription WHERE oid = $1::oid",
        &[&subscription.to_u32().to_string()],
    )?;
    let publisher = Publisher::connect(&conninfo.unwrap_or_default())?;
    publisher.drop_slot_soon(&slot)
}

/// A table follows no more, and is an ordinary one.
fn leave(schema: &str, name: &str, subscription: pg_sys::Oid) -> Result<(), Error> {
    let Some(id) = names::relation_of(schema, name) else {
        return Ok(());
    };
    stop_copying(id, subscription)?;
    subscription::remove(subscription, id);
    forget_table(id)
}

/// Takes a table out of what this database publishes, and forgets its shape.
pub fn forget_table(id: pg_sys::Oid) -> Result<(), Error> {
    let (schema, name) = names::shown(id);
    store::shapes::delete(id)?;
    xact::command_counter_increment();
    api::working(|| publication::remove(id, &qualified_quoted(&schema, &name)))?;
    watch::changed();
    Ok(())
}

fn changed(table: &Table) -> Result<(), Error> {
    let (id, actual) = find(table)?;
    store::shapes::update(id, Rc::new(table.clone()), None, Rc::new(actual.identity))?;
    watch::changed();
    Ok(())
}

/// Refuses to record what is done here while this database follows another: ids and versions are the publisher's.
pub fn refuse_own(command: &str, relation: &str, table: Option<&Table>) -> Result<(), Error> {
    let Some(subscription) = store::subscriptions::name()? else {
        return Ok(());
    };
    let error = Error::new(
        SqlState::FeatureNotSupported,
        format!("cannot migrate \"{relation}\" on a subscriber"),
    )
    .detail(format!(
        "What would be recorded ({command}) has no place in the history that comes from the publisher of subscription \"{subscription}\"."
    ))
    .hint(format!(
        "Run it on the publisher, or end the subscription: CALL electric.unsubscribe({});",
        electric_schema::names::quote_literal(&subscription)
    ));
    Err(match table {
        Some(table) => error.table(&table.schema, &table.name),
        None => error,
    })
}
