//! Names and ids of objects.

use std::ffi::{CStr, CString};

use pgrx::pg_sys;

/// Bytes of the server as text. Electrified databases are UTF-8; elsewhere odd bytes are shown as such.
pub fn from_server(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether the database is encoded in UTF-8, as JSON and SQLite are.
pub fn database_is_utf8() -> bool {
    // SAFETY: reads a variable.
    unsafe { pg_sys::GetDatabaseEncoding() == pg_sys::pg_enc::PG_UTF8 as i32 }
}

/// The schema's id, or the invalid one.
pub fn schema_id(name: &CStr) -> pg_sys::Oid {
    // SAFETY: looks up a system cache.
    unsafe { pg_sys::get_namespace_oid(name.as_ptr(), true) }
}

/// The schema's name.
pub fn schema_name(id: pg_sys::Oid) -> Option<String> {
    // SAFETY: looks up a system cache; the result is a copy.
    unsafe { owned(pg_sys::get_namespace_name(id)) }
}

/// The relation of that name in that schema, or the invalid id.
pub fn relation_id(name: &CStr, schema: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: looks up a system cache.
    unsafe { pg_sys::get_relname_relid(name.as_ptr(), schema) }
}

/// The relation's name.
pub fn relation_name(id: pg_sys::Oid) -> Option<String> {
    // SAFETY: looks up a system cache; the result is a copy.
    unsafe { owned(pg_sys::get_rel_name(id)) }
}

/// The relation's schema, by name.
pub fn schema_of_relation(id: pg_sys::Oid) -> Option<String> {
    // SAFETY: looks up a system cache.
    schema_name(unsafe { pg_sys::get_rel_namespace(id) })
}

/// The schema and name of a relation as messages show it, whatever became of it.
pub fn shown(id: pg_sys::Oid) -> (String, String) {
    (
        schema_of_relation(id).unwrap_or_default(),
        relation_name(id).unwrap_or_else(|| id.to_u32().to_string()),
    )
}

/// The extension's id, or the invalid one.
pub fn extension_id(name: &CStr) -> pg_sys::Oid {
    // SAFETY: looks up the catalog.
    unsafe { pg_sys::get_extension_oid(name.as_ptr(), true) }
}

/// An extension that owns an object.
pub struct Owner {
    /// The extension's name.
    pub name: String,
    /// The schema of its objects.
    pub schema: String,
}

/// The extension that owns the object, if one does.
pub fn extension_of(class: pg_sys::Oid, object: pg_sys::Oid) -> Option<Owner> {
    // SAFETY: looks up the catalog; the name is a copy.
    unsafe {
        let extension = pg_sys::getExtensionOfObject(class, object);
        if extension == pg_sys::Oid::INVALID {
            return None;
        }
        Some(Owner {
            name: owned(pg_sys::get_extension_name(extension))?,
            schema: schema_name(extension_schema(extension))?,
        })
    }
}

/// The schema that holds the extension's objects.
fn extension_schema(extension: pg_sys::Oid) -> pg_sys::Oid {
    extension_row(extension, pg_sys::Anum_pg_extension_extnamespace)
}

/// The role that owns the extension.
pub fn extension_owner(extension: pg_sys::Oid) -> pg_sys::Oid {
    extension_row(extension, pg_sys::Anum_pg_extension_extowner)
}

fn extension_row(extension: pg_sys::Oid, column: u32) -> pg_sys::Oid {
    use super::heap::{Key, scan};
    scan(
        pg_sys::ExtensionRelationId,
        pg_sys::Oid::from(pg_sys::ExtensionOidIndexId),
        &[Key::oid(pg_sys::Anum_pg_extension_oid, extension)],
        |row| row.oid(column),
    )
    .pop()
    .unwrap_or(pg_sys::Oid::INVALID)
}

/// Whether the relation is one of the extension's own.
pub fn is_own_relation(id: pg_sys::Oid) -> bool {
    // SAFETY: looks up a system cache.
    unsafe { pg_sys::get_rel_namespace(id) == schema_id(c"electric") }
}

/// The role's name.
pub fn role_name(id: pg_sys::Oid) -> String {
    // SAFETY: looks up a system cache; the result is a copy.
    unsafe { owned(pg_sys::GetUserNameFromId(id, true)) }.unwrap_or_default()
}

/// The place that ids of a relation's parts are of: this cluster, this database, this relation.
pub fn place(relation: pg_sys::Oid) -> String {
    // SAFETY: reads variables.
    let (cluster, database) = unsafe { (pg_sys::GetSystemIdentifier(), pg_sys::MyDatabaseId) };
    format!("{cluster}/{}/{}", database.to_u32(), relation.to_u32())
}

/// The publication's id, or the invalid one.
pub fn publication_id(name: &str) -> pg_sys::Oid {
    match CString::new(name) {
        // SAFETY: looks up a system cache.
        Ok(name) => unsafe { pg_sys::get_publication_oid(name.as_ptr(), true) },
        Err(_) => pg_sys::Oid::INVALID,
    }
}

/// A copy of a C string that the server allocated.
unsafe fn owned(text: *const std::ffi::c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not null, and nul-terminated.
    Some(from_server(unsafe { CStr::from_ptr(text) }.to_bytes()))
}

/// The hash that a cache invalidation of this `pg_type` or `pg_namespace` row will carry.
pub fn cache_hash(cache: u32, id: pg_sys::Oid) -> u32 {
    let none = pg_sys::Datum::from(0);
    // SAFETY: both caches have the oid as their one key.
    unsafe { pg_sys::GetSysCacheHashValue(cache as i32, id.into(), none, none, none) }
}

/// The relation that a name as SQL reads it stands for, by the `search_path`.
pub fn resolve(name: &str) -> Result<pg_sys::Oid, crate::error::Error> {
    let arguments = [heap_text(name)];
    // SAFETY: to_regclass takes text; it gives NULL where there is no such relation.
    let found =
        unsafe { pgrx::direct_function_call::<pg_sys::Oid>(pg_sys::to_regclass, &arguments) };
    found.ok_or_else(|| {
        crate::error::Error::new(
            crate::error::SqlState::UndefinedTable,
            format!("relation {} does not exist", name.trim()),
        )
    })
}

fn heap_text(text: &str) -> Option<pg_sys::Datum> {
    Some(super::heap::text(text))
}
