//! `electric.ddl_commands`. Call what does not say `seen` only under the migration lock.

use std::cell::Cell;

use serde_json::Value;

use super::tables::ddl_commands as c;
use super::{Indexed, find};
use crate::error::Error;
use crate::pg::heap::{self, Key, Seen};
use crate::pg::memory;
use crate::pg::value::Value as Written;

/// A row for `electric.ddl_commands`.
pub struct Command<'a> {
    /// Gapless, in execution order.
    pub id: i64,
    /// Its migration.
    pub migration_id: i64,
    /// The word for the change.
    pub command: &'a str,
    /// The table or type.
    pub relation: &'a str,
    /// The statement as issued.
    pub query: &'a str,
    /// Canonical Postgres.
    pub postgres: &'a [String],
    /// Canonical SQLite.
    pub sqlite: &'a [String],
    /// The change as JSON.
    pub op: &'a str,
    /// The chain's hash.
    pub hash: &'a str,
}

/// Where a command stands in the history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Gapless; 0 before the first.
    pub id: i64,
    /// Its migration.
    pub migration: i64,
    /// The chain's hash.
    pub hash: String,
}

/// A command that is read.
pub struct Read<'a>(&'a heap::Row);

impl Read<'_> {
    /// Gapless, in execution order.
    pub fn id(&self) -> i64 {
        self.0.read(c::id)
    }

    /// The word for the change.
    pub fn command(&self) -> String {
        self.0.read(c::command)
    }

    /// The table or type.
    pub fn relation(&self) -> String {
        self.0.read(c::relation)
    }

    /// Its migration.
    pub fn migration(&self) -> i64 {
        self.0.read(c::migration_id)
    }

    /// Canonical Postgres.
    pub fn postgres(&self) -> Vec<String> {
        self.0.read(c::postgres)
    }

    /// Canonical SQLite.
    pub fn sqlite(&self) -> Vec<String> {
        self.0.read(c::sqlite)
    }

    /// The change as JSON; null where it is nested deeper than can be read.
    pub fn op(&self) -> Value {
        self.0.read(c::op)
    }

    fn place(&self) -> Place {
        Place {
            id: self.id(),
            migration: self.migration(),
            hash: self.0.read(c::hash),
        }
    }
}

fn by_relation() -> Result<Indexed, Error> {
    find(&c::TABLE, c::ddl_commands_relation_idx)
}

fn by_command() -> Result<Indexed, Error> {
    find(&c::TABLE, c::ddl_commands_command_idx)
}

fn seen_one<T>(at: Indexed, keys: &[Key], of: impl FnOnce(&Read) -> T) -> Result<Option<T>, Error> {
    let Indexed { table, index } = at;
    Ok(heap::last_of(
        table,
        index,
        keys,
        Seen::ByStatement,
        |row| of(&Read(row)),
    ))
}

/// The place of the newest that the calling statement sees.
pub fn seen_last() -> Result<Place, Error> {
    Ok(seen_one(indexed()?, &[], |row| row.place())?.unwrap_or_default())
}

/// The place of the command with that id.
pub fn seen_place(id: i64) -> Result<Option<Place>, Error> {
    seen_one(indexed()?, &[Key::int8(c::id.number(), id)], |row| {
        row.place()
    })
}

/// The last command of a table or type up to the one with that id.
pub fn seen_last_of<T>(
    relation: &str,
    up_to: i64,
    of: impl FnOnce(&Read) -> T,
) -> Result<Option<T>, Error> {
    let keys = [
        Key::text(c::relation.number(), relation),
        Key::int8_up_to(c::id.number(), up_to),
    ];
    seen_one(by_relation()?, &keys, of)
}

/// The last command of that kind, of a table or type, up to the one with that id.
pub fn seen_last_of_kind<T>(
    command: &str,
    relation: &str,
    up_to: i64,
    of: impl FnOnce(&Read) -> T,
) -> Result<Option<T>, Error> {
    let keys = [
        Key::text(c::command.number(), command),
        Key::text(c::relation.number(), relation),
        Key::int8_up_to(c::id.number(), up_to),
    ];
    seen_one(by_command()?, &keys, of)
}

/// Calls `each` command after the one with that id, in order, until it is an error.
pub fn seen_after(id: i64, mut each: impl FnMut(&Read) -> Result<(), Error>) -> Result<(), Error> {
    let Indexed { table, index } = indexed()?;
    let mut outcome = Ok(());
    let keys = [Key::int8_from(c::id.number(), id.saturating_add(1))];
    heap::seen_while(table, index, &keys, Seen::ByStatement, |row| {
        outcome = each(&Read(row));
        outcome.is_ok()
    });
    outcome
}

/// All commands of that kind up to the one with that id, by table or type.
pub fn seen_of_kind<T>(
    command: &str,
    up_to: i64,
    mut of: impl FnMut(&Read) -> T,
) -> Result<Vec<T>, Error> {
    let Indexed { table, index } = by_command()?;
    let keys = [
        Key::text(c::command.number(), command),
        Key::int8_up_to(c::id.number(), up_to),
    ];
    Ok(heap::seen_in_order(
        table,
        index,
        &keys,
        Seen::ByStatement,
        |row| of(&Read(row)),
    ))
}

fn indexed() -> Result<Indexed, Error> {
    find(&c::TABLE, c::ddl_commands_pkey)
}

/// The table itself.
pub fn table() -> Result<pgrx::pg_sys::Oid, Error> {
    Ok(indexed()?.table)
}

/// The place of the newest.
pub fn last() -> Result<Place, Error> {
    thread_local!(static KNOWN: Cell<i64> = const { Cell::new(0) });
    let Indexed { table, index } = indexed()?;
    let last = KNOWN.with(|known| heap::last(table, index, known, |row| Read(row).place()));
    Ok(last.unwrap_or_default())
}

/// The words of the commands after that one, in order.
pub fn words_after(id: i64) -> Result<Vec<String>, Error> {
    let Indexed { table, index } = indexed()?;
    Ok((id + 1..=last()?.id)
        .filter_map(|id| {
            heap::scan(table, index, &[Key::int8(c::id.number(), id)], |row| {
                row.read(c::command)
            })
            .pop()
        })
        .collect())
}

/// Whether history already makes a table or type of that name, by that command.
pub fn has(relation: &str, command: &str) -> Result<bool, Error> {
    let Indexed { table, index } = by_command()?;
    let keys = [
        Key::text(c::command.number(), command),
        Key::text(c::relation.number(), relation),
    ];
    Ok(heap::last_of(table, index, &keys, Seen::Now, |_| ()).is_some())
}

/// Whether history already makes a table of that name, one that replicas may have kept when it was disabled.
pub fn has_table(relation: &str) -> Result<bool, Error> {
    let Indexed { table, index } = by_relation()?;
    let any = heap::last_of(
        table,
        index,
        &[Key::text(c::relation.number(), relation)],
        Seen::Now,
        |_| (),
    );
    Ok(any.is_some() && (has(relation, "create_table")? || has(relation, "replace_table")?))
}

/// Adds one.
pub fn insert(command: &Command) -> Result<(), Error> {
    let table = indexed()?.table;
    memory::passing(|| {
        heap::insert(
            table,
            &[
                Written::Int8(command.id),
                Written::Int8(command.migration_id),
                Written::Text(command.command),
                Written::Text(command.relation),
                Written::Text(command.query),
                Written::Texts(command.postgres),
                Written::Texts(command.sqlite),
                Written::Jsonb(command.op),
                Written::Text(command.hash),
            ],
        );
    });
    Ok(())
}
