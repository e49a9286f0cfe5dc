//! What the subscription made in this database, and what it has to pass over. Other databases have none of it.

use pgrx::pg_sys;

use super::tables::{blocked as b, stream_objects as s};
use super::{Indexed, find};
use crate::error::Error;
use crate::pg::column::Moment;
use crate::pg::heap::{self, Key};
use crate::pg::value::Value;
use crate::pg::xact;

const NONE: pg_sys::Oid = pg_sys::Oid::INVALID;

fn objects() -> Result<Indexed, Error> {
    find(&s::TABLE, s::stream_objects_pkey)
}

fn keys(relation: pg_sys::Oid, of_type: pg_sys::Oid) -> [Key; 2] {
    [
        Key::oid(s::relation.number(), relation),
        Key::oid(s::r#type.number(), of_type),
    ]
}

fn has(relation: pg_sys::Oid, of_type: pg_sys::Oid) -> Result<bool, Error> {
    let Indexed { table, index } = objects()?;
    let keys = keys(relation, of_type);
    Ok(!heap::scan(table, index, &keys, |_| ()).is_empty())
}

fn add(relation: pg_sys::Oid, of_type: pg_sys::Oid) -> Result<(), Error> {
    if has(relation, of_type)? {
        return Ok(());
    }
    heap::insert(
        objects()?.table,
        &[Value::Oid(relation), Value::Oid(of_type)],
    );
    Ok(())
}

/// Whether the stream made the relation of that id.
pub fn has_relation(id: pg_sys::Oid) -> Result<bool, Error> {
    has(id, NONE)
}

/// Whether the stream made the type of that id.
pub fn has_type(id: pg_sys::Oid) -> Result<bool, Error> {
    has(NONE, id)
}

/// The stream made a relation.
pub fn add_relation(id: pg_sys::Oid) -> Result<(), Error> {
    add(id, NONE)
}

/// The stream made a type.
pub fn add_type(id: pg_sys::Oid) -> Result<(), Error> {
    add(NONE, id)
}

/// A relation that the stream made is gone.
pub fn remove_relation(id: pg_sys::Oid) -> Result<(), Error> {
    let Indexed { table, index } = objects()?;
    heap::delete(table, index, &keys(id, NONE));
    Ok(())
}

fn blocked_at() -> Result<Indexed, Error> {
    find(&b::TABLE, b::blocked_pkey)
}

/// A table or type of the publisher that is passed over here.
#[derive(Debug, Clone)]
pub struct Blocked {
    /// `schema.name`, quoted as needed.
    pub relation: String,
    /// What is in the way.
    pub reason: String,
    /// The command that could not be done.
    pub command: i64,
}

/// All that is passed over.
pub fn blocked() -> Result<Vec<Blocked>, Error> {
    Ok(heap::scan(blocked_at()?.table, NONE, &[], |row| Blocked {
        relation: row.read(b::relation),
        reason: row.read(b::reason),
        command: row.read(b::command),
    }))
}

/// Passes a table or type over from now on.
pub fn block(blocked: &Blocked) -> Result<(), Error> {
    unblock(&blocked.relation)?;
    heap::insert(
        blocked_at()?.table,
        &[
            Value::Text(&blocked.relation),
            Value::Text(&blocked.reason),
            Value::Int8(blocked.command),
            Value::Moment(Moment(xact::start())),
        ],
    );
    xact::command_counter_increment();
    Ok(())
}

/// Passes it over no more.
pub fn unblock(relation: &str) -> Result<(), Error> {
    let Indexed { table, index } = blocked_at()?;
    heap::delete(table, index, &[Key::text(b::relation.number(), relation)]);
    xact::command_counter_increment();
    Ok(())
}
