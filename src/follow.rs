//! Following a publisher: what its commands did there is done here, inside the apply worker's transaction.

use std::rc::Rc;
use std::time::Duration;

use electric_schema::change::Change;
use electric_schema::hash;
use electric_schema::model::{Table, TypeDefinition};
use electric_schema::names::qualified_quoted;
use electric_schema::op::{Read, Unreadable};
use pgrx::pg_sys;
use serde_json::Value;

use crate::api::{self, enable};
use crate::catalog;
use crate::error::{Error, SqlState};
use crate::pg::publisher::{self, Publisher};
use crate::pg::said::Name;
use crate::pg::subscription::{self, State};
use crate::pg::{locks, names, relation, session, spi, xact};
use crate::{publication, store, watch};

pub mod block;
mod checks;
pub mod make;
mod needs;
pub mod role;
pub mod say;
pub mod takeover;
mod way;

use block::Stop;
use say::About;

/// A command of the publisher.
pub struct Command {
    /// Its id, gapless.
    pub id: i64,
    /// The word for the change.
    pub word: String,
    /// The change.
    pub op: Value,
    /// The chain's hash.
    pub hash: String,
}

/// Does what a command did on the publisher. Nothing of it is recorded: its record came with the stream.
pub fn apply(command: &Command, subscription: pg_sys::Oid) -> Result<(), Error> {
    let read = Read::of(&command.op);
    if let Err(Unreadable::Format(_)) = read {
        return Err(too_new(&format!("command {}", command.id)));
    }
    role::refuse_more(session::user())?;
    session::write_all_the_same();
    locks::migrations()?;
    continues(command)?;
    let read = understand(command, read)?;
    let at = At {
        command: command.id,
        subscription,
    };
    match (&read.change, &read.table) {
        (Change::CreateType(definition), _) => at.create_type(definition),
        (Change::AddEnumValue { enum_type, .. }, _) => at.add_label(enum_type, &read.change),
        (Change::CreateTable { .. }, Some(table)) => at.create_table(table, read.has_rows),
        (Change::ReplaceTable { .. }, Some(table)) => {
            let from = read.replaced.as_ref();
            let from = from.map_or_else(
                || Name::new(&table.schema, &table.name),
                |from| Name::new(&from.schema, &from.name),
            );
            at.replace_table(&from, table, read.has_rows)
        }
        (Change::DisableTable, Some(table)) => {
            store::stream::unblock(&table.qualified_name())?;
            leave(&table.schema, &table.name, subscription)?;
            release_types()
        }
        (_, Some(_)) => at.change_table(read),
        // What concerns no table here, a statement for SQLite among it.
        (_, None) => Ok(()),
    }
}

/// Where a command is done.
struct At {
    command: i64,
    subscription: pg_sys::Oid,
}

impl At {
    fn create_type(&self, definition: &TypeDefinition) -> Result<(), Error> {
        let shown = definition.qualified_name();
        match block::attempt(|| make::of_type(definition))? {
            None => {
                store::stream::unblock(&shown)?;
                know_type(definition)
            }
            Some(reason) => block::note(&shown, &reason, self.command),
        }
    }

    fn add_label(&self, definition: &TypeDefinition, change: &Change) -> Result<(), Error> {
        let shown = definition.qualified_name();
        if block::all()?.contains(&shown) {
            return Ok(());
        }
        let id = names::type_of(&definition.schema, &definition.name)
            .ok_or_else(|| missing_type(definition))?;
        if !store::stream::has_type(id)? {
            let reason = "it is not the type that the subscription made";
            return block::note(&shown, reason, self.command);
        }
        forget_type(definition)?;
        let about = About {
            definition: Some(definition),
            ..About::default()
        };
        match block::attempt(|| say::change(change, &about))? {
            None => know_type(definition),
            Some(reason) => block::note(&shown, &reason, self.command),
        }
    }

    fn create_table(&self, table: &Table, has_rows: bool) -> Result<(), Error> {
        self.leave_if_followed(&Name::new(&table.schema, &table.name))?;
        match block::attempt(|| make::table(table))? {
            None => {
                store::stream::unblock(&table.qualified_name())?;
                join(table, has_rows, self.subscription)
            }
            Some(reason) => self.block(table, &reason),
        }
    }

    fn replace_table(&self, from: &Name, table: &Table, has_rows: bool) -> Result<(), Error> {
        let old = self.followed(from)?;
        let done = block::attempt(|| {
            let mut pointing = Vec::new();
            if let Some(old) = old {
                pointing = make::detach(old)?;
                leave(&from.schema, &from.name, self.subscription)?;
                make::remove(old)?;
            }
            make::table(table)?;
            make::attach(pointing, from, table)
        })?;
        store::stream::unblock(&electric_schema::names::qualified(&from.schema, &from.name))?;
        if let Some(reason) = done {
            if old.is_some() {
                leave(&from.schema, &from.name, self.subscription)?;
            }
            return self.block(table, &reason);
        }
        store::stream::unblock(&table.qualified_name())?;
        join(table, has_rows, self.subscription)?;
        trust_keys(table)?;
        release_types()
    }

    fn change_table(&self, mut read: Read) -> Result<(), Error> {
        let Some(table) = read.table.clone() else {
            return Ok(());
        };
        if block::all()?.contains(&table.qualified_name()) {
            return block::stand_in(&table);
        }
        let (id, _) = find(&table)?;
        let Some(previous) = store::shapes::shape(id)?.filter(|_| watch_has(id)) else {
            return self.block(&table, "it is not the table that the subscription made");
        };
        read.complete(&previous);
        let done = block::attempt(|| {
            block::needed(&table)?;
            if let Change::AddColumn { foreign_keys, .. } = &read.change {
                block::keys(foreign_keys, id)?;
            }
            is_of(&read.change, id, &table)?;
            begin_copy_anew(&table, self.subscription)?;
            let about = About {
                table: Some(&table),
                ..About::default()
            };
            say::change(&read.change, &about)
        })?;
        match done {
            None => changed(&table),
            Some(reason) => self.block(&table, &reason),
        }
    }

    fn block(&self, table: &Table, reason: &str) -> Result<(), Error> {
        block::table(table, reason, self.command, self.subscription)
    }

    /// The table of that name, if it follows.
    fn followed(&self, name: &Name) -> Result<Option<pg_sys::Oid>, Error> {
        let id = names::relation_of(&name.schema, &name.name);
        Ok(id.filter(|id| watch_has(*id)))
    }

    fn leave_if_followed(&self, name: &Name) -> Result<(), Error> {
        match self.followed(name)? {
            Some(_) => leave(&name.schema, &name.name, self.subscription),
            None => Ok(()),
        }
    }
}

/// Whether a table follows, and the stream made it.
fn watch_has(id: pg_sys::Oid) -> bool {
    watch::current().is_ok_and(|watch| watch.has(id))
        && store::stream::has_relation(id).unwrap_or(false)
}

/// An index that a change renames or drops must be one of its table.
fn is_of(change: &Change, table: pg_sys::Oid, shape: &Table) -> Result<(), Stop> {
    let name = match change {
        Change::DropIndex(index) if !index.is_local => &index.name,
        Change::RenameIndex { from, .. } if !from.is_local => &from.name,
        _ => return Ok(()),
    };
    match names::relation_of(&shape.schema, name) {
        Some(index) if relation::table_of_index(index) != Some(table) => Err(Stop::InTheWay(
            format!("{} is not an index of it", block::described(index)),
        )),
        _ => Ok(()),
    }
}

/// Forgets the types that no table uses any more that follows. Those that are passed over may use any.
fn release_types() -> Result<(), Error> {
    match block::all()?.is_empty() {
        true => enable::release_types(),
        false => Ok(()),
    }
}

fn missing_type(definition: &TypeDefinition) -> Error {
    Error::new(
        SqlState::UndefinedObject,
        format!("type {} of the publisher is missing here", definition.qualified_name()),
    )
    .detail("It was dropped or renamed behind the extension's back.")
    .hint("End the subscription and begin anew: CALL electric.unsubscribe(); CALL electric.subscribe(…);")
}

/// Refuses to go on with objects of an earlier version, from which this library follows nobody.
pub fn is_up_to_date() -> Result<(), Error> {
    if names::relation_of("electric", "stream_objects").is_some() {
        return Ok(());
    }
    Err(Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        "the extension in this database is older than its library",
    )
    .hint("ALTER EXTENSION electric UPDATE;"))
}

/// What a command means. What this version does not know is not for guessing at.
fn understand(command: &Command, read: Result<Read, Unreadable>) -> Result<Read, Error> {
    let unreadable = match read {
        Ok(read) if read.change.command() == command.word => return Ok(read),
        Ok(read) => Unreadable::Malformed(format!(
            "it is a {:?} and says {:?}",
            command.word,
            read.change.command()
        )),
        Err(unreadable) => unreadable,
    };
    let what = format!("command {}", command.id);
    Err(match unreadable {
        Unreadable::Format(_) | Unreadable::Word(_) => too_new(&what),
        Unreadable::Malformed(how) => Error::new(
            SqlState::of_code("XX001"),
            format!("cannot follow the publisher: {what} cannot be read"),
        )
        .detail(how)
        .hint("The record was not made by electric. Begin anew: CALL electric.unsubscribe(); drop the tables; CALL electric.subscribe(…);"),
    })
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
pub fn join(table: &Table, has_rows: bool, subscription: pg_sys::Oid) -> Result<(), Error> {
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
    let facts = subscription::facts(subscription)
        .ok_or_else(|| Error::internal("the subscription vanished"))?;
    // Locks are held meanwhile: if the publisher does not answer the worker begins anew.
    publisher::within(Duration::from_secs(10), || {
        Publisher::connect(&facts.conninfo)?.drop_slot_soon(&slot)
    })
}

/// A table follows no more, and is an ordinary one.
fn leave(schema: &str, name: &str, subscription: pg_sys::Oid) -> Result<(), Error> {
    let Some(id) = names::relation_of(schema, name).filter(|id| watch_has(*id)) else {
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
