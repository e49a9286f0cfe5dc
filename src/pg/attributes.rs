//! The columns of a relation.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::heap::{self, Key};
use super::names::from_server;
use super::{compat, locks};

/// A row of `pg_attribute`.
#[derive(Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its place; what was dropped keeps its own.
    pub number: i16,
    /// Its name.
    pub name: String,
    /// Its type, and the modifier of that.
    pub type_id: pg_sys::Oid,
    /// -1 where there is none.
    pub modifier: i32,
    /// The dimensions of an array, as declared.
    pub dims: i32,
    /// NOT NULL.
    pub not_null: bool,
    /// It has a default, or is generated.
    pub has_default: bool,
    /// `a`, `d` or 0.
    pub identity: u8,
    /// `s` or 0.
    pub generated: u8,
    /// Its collation, or the invalid id.
    pub collation: pg_sys::Oid,
}

/// The columns that are there, in their order; `None` if the relation is gone. No lock is needed, nor taken.
pub fn of(relation: pg_sys::Oid) -> Option<Vec<Attribute>> {
    // What this transaction has locked, to change it or for us, is in the relation cache. Others would stay there.
    if !locks::is_for_changes(relation) {
        return Some(listed(relation));
    }
    let cached = cached(relation);
    debug_assert_eq!(cached.as_deref().unwrap_or_default(), listed(relation));
    cached
}

/// As the relation cache has them.
fn cached(relation: pg_sys::Oid) -> Option<Vec<Attribute>> {
    // SAFETY: the entry stays as long as it is referred to, and nothing that could renew it is called meanwhile.
    unsafe {
        let entry = pg_sys::RelationIdGetRelation(relation);
        if entry.is_null() {
            return None;
        }
        let descriptor = (*entry).rd_att;
        let columns = (1..=(*descriptor).natts)
            .filter_map(|number| read(&*compat::attribute(descriptor, number as i16)))
            .collect();
        pg_sys::RelationClose(entry);
        Some(columns)
    }
}

/// As the catalog has them.
fn listed(relation: pg_sys::Oid) -> Vec<Attribute> {
    use pg_sys::*;
    let keys = [
        Key::oid(Anum_pg_attribute_attrelid, relation),
        Key::int2_above(Anum_pg_attribute_attnum, 0),
    ];
    heap::scan_ordered(
        AttributeRelationId,
        Oid::from(AttributeRelidNumIndexId),
        &keys,
        // SAFETY: rows of this catalog begin with this struct.
        |row| read(unsafe { row.begins_with() }),
    )
    .into_iter()
    .flatten()
    .collect()
}

/// `None` for one that was dropped.
fn read(column: &pg_sys::FormData_pg_attribute) -> Option<Attribute> {
    if column.attisdropped {
        return None;
    }
    // SAFETY: a NameData is a nul-terminated string.
    let name = unsafe { CStr::from_ptr(column.attname.data.as_ptr()) };
    Some(Attribute {
        number: column.attnum,
        name: from_server(name.to_bytes()),
        type_id: column.atttypid,
        modifier: column.atttypmod,
        #[cfg(pre_pg16)]
        dims: column.attndims,
        #[cfg(not(pre_pg16))]
        dims: column.attndims.into(),
        not_null: column.attnotnull,
        has_default: column.atthasdef,
        identity: column.attidentity as u8,
        generated: column.attgenerated as u8,
        collation: column.attcollation,
    })
}
