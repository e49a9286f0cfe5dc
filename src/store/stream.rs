//! What the subscription made in this database, and what it has to pass over. Other databases have none of it.

use pgrx::pg_sys;

use super::{Indexed, find};
use crate::error::Error;
use crate::pg::heap::{self, Key};

const NONE: pg_sys::Oid = pg_sys::Oid::INVALID;

fn objects() -> Result<Indexed, Error> {
    find(c"stream_objects", c"stream_objects_pkey")
}

fn has(relation: pg_sys::Oid, of_type: pg_sys::Oid) -> Result<bool, Error> {
    let Indexed { table, index } = objects()?;
    let keys = [Key::oid(1, relation), Key::oid(2, of_type)];
    Ok(!heap::scan(table, index, &keys, |_| ()).is_empty())
}

fn add(relation: pg_sys::Oid, of_type: pg_sys::Oid) -> Result<(), Error> {
    if has(relation, of_type)? {
        return Ok(());
    }
    heap::insert(
        objects()?.table,
        &[Some(relation.into()), Some(of_type.into())],
    )
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
    heap::delete(table, index, &[Key::oid(1, id), Key::oid(2, NONE)])
}
