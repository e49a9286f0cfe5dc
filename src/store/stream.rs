//! What the subscription made in this database, and what it has to pass over. Other databases have none of it.

use pgrx::pg_sys;

use super::tables::stream_objects as s;
use super::{Indexed, find};
use crate::error::Error;
use crate::pg::heap::{self, Key};
use crate::pg::value::Value;

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
