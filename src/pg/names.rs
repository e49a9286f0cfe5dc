//! Names and ids of objects.

use std::ffi::{CStr, CString};

use pgrx::pg_sys;

use super::known::Known;

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

/// The id of our own schema, or the invalid one. A schema of that name that is no member of our extension is somebody
/// else's, and nothing in it is ours.
pub fn own_schema() -> pg_sys::Oid {
    thread_local!(static OWN: Known<(), pg_sys::Oid> = const { Known::new() });
    let extension = own_extension();
    if extension == pg_sys::Oid::INVALID {
        return extension;
    }
    let found = OWN.with(|own| {
        own.get((), || {
            let schema = schema_id(c"electric");
            let is_own = is_member(pg_sys::NamespaceRelationId, schema, extension);
            // That it becomes a member is not heard: then it is looked for each time.
            is_own.then_some(schema).ok_or(())
        })
    });
    found.unwrap_or(pg_sys::Oid::INVALID)
}

/// Whether the object is a member of the extension.
pub fn is_member(class: pg_sys::Oid, object: pg_sys::Oid, extension: pg_sys::Oid) -> bool {
    // SAFETY: looks up the catalog.
    extension != pg_sys::Oid::INVALID
        && object != pg_sys::Oid::INVALID
        && unsafe { pg_sys::getExtensionOfObject(class, object) } == extension
}

/// The id of the schema of that name, or the invalid one.
pub fn schema_of_name(name: &str) -> pg_sys::Oid {
    CString::new(name).map_or(pg_sys::Oid::INVALID, |name| schema_id(&name))
}

/// The id of the extension of that name, or the invalid one.
pub fn extension_of_name(name: &str) -> pg_sys::Oid {
    CString::new(name).map_or(pg_sys::Oid::INVALID, |name| extension_id(&name))
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

/// The relation of that name in the schema of that name, if there is one.
pub fn relation_of(schema: &str, name: &str) -> Option<pg_sys::Oid> {
    let (schema, name) = (CString::new(schema).ok()?, CString::new(name).ok()?);
    let found = relation_id(&name, schema_id(&schema));
    (found != pg_sys::Oid::INVALID).then_some(found)
}

/// The type of that name in the schema of that name, if there is one.
pub fn type_of(schema: &str, name: &str) -> Option<pg_sys::Oid> {
    let (schema, name) = (schema_of_name(schema), CString::new(name).ok()?);
    if schema == pg_sys::Oid::INVALID {
        return None;
    }
    let none = pg_sys::Datum::from(0);
    // SAFETY: looks up a system cache by a C string and an oid.
    let found = unsafe {
        pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::TYPENAMENSP as i32,
            pg_sys::Anum_pg_type_oid as pg_sys::AttrNumber,
            pg_sys::Datum::from(name.as_ptr()),
            schema.into(),
            none,
            none,
        )
    };
    (found != pg_sys::Oid::INVALID).then_some(found)
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

/// The schema and name of a type as messages show it, whatever became of it.
pub fn shown_type(id: pg_sys::Oid) -> (String, String) {
    match super::types::identity(id) {
        Some((schema, name, _)) => (schema, name),
        None => (String::new(), id.to_u32().to_string()),
    }
}

/// The extension's id, or the invalid one.
pub fn extension_id(name: &CStr) -> pg_sys::Oid {
    // SAFETY: looks up the catalog.
    unsafe { pg_sys::get_extension_oid(name.as_ptr(), true) }
}

/// The id of our own extension, or the invalid one where it is not created. Its schema comes and goes with it, which is
/// heard.
pub fn own_extension() -> pg_sys::Oid {
    thread_local!(static OWN: Known<(), pg_sys::Oid> = const { Known::new() });
    OWN.with(|own| own.find((), || extension_id(c"electric")))
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
    // The server's own types, which most columns have, are no extension's.
    if class == pg_sys::TypeRelationId && object.to_u32() < pg_sys::FirstNormalObjectId {
        return None;
    }
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
pub fn extension_schema(extension: pg_sys::Oid) -> pg_sys::Oid {
    extension_row(extension, pg_sys::Anum_pg_extension_extnamespace)
}

/// The role that owns the extension.
pub fn extension_owner(extension: pg_sys::Oid) -> pg_sys::Oid {
    extension_row(extension, pg_sys::Anum_pg_extension_extowner)
}

/// The version of the extension's objects.
pub fn extension_version(extension: pg_sys::Oid) -> Option<String> {
    let version = |row: &super::heap::Row| row.get(pg_sys::Anum_pg_extension_extversion);
    of_extension(extension, version).flatten()
}

fn extension_row(extension: pg_sys::Oid, column: u32) -> pg_sys::Oid {
    of_extension(extension, |row| row.oid(column)).unwrap_or(pg_sys::Oid::INVALID)
}

fn of_extension<T>(extension: pg_sys::Oid, of: impl FnMut(&super::heap::Row) -> T) -> Option<T> {
    use super::heap::{Key, scan};
    scan(
        pg_sys::ExtensionRelationId,
        pg_sys::Oid::from(pg_sys::ExtensionOidIndexId),
        &[Key::oid(pg_sys::Anum_pg_extension_oid, extension)],
        of,
    )
    .pop()
}

/// Whether the relation is one of the extension's own.
pub fn is_own_relation(id: pg_sys::Oid) -> bool {
    let own = own_schema();
    // SAFETY: looks up a system cache.
    own != pg_sys::Oid::INVALID && unsafe { pg_sys::get_rel_namespace(id) } == own
}

/// Whether the object is the extension's own.
pub fn is_own(class: pg_sys::Oid, id: pg_sys::Oid) -> bool {
    if class == pg_sys::RelationRelationId {
        return is_own_relation(id);
    }
    is_member(class, id, own_extension())
}

/// Whether the schema is the extension's own.
pub fn is_own_schema(name: &str) -> bool {
    name == "electric" && own_schema() != pg_sys::Oid::INVALID
}

/// Whether what a command makes without naming a schema goes into the extension's own.
pub fn is_own_first_on_path() -> bool {
    let own = own_schema();
    own != pg_sys::Oid::INVALID && search_path().first() == Some(&own)
}

/// Whether a name with that schema, or without one, can be of something in the extension's own schema.
pub fn may_be_own(schema: Option<&str>) -> bool {
    match schema {
        Some(schema) => is_own_schema(schema),
        None => {
            let own = own_schema();
            own != pg_sys::Oid::INVALID && search_path().contains(&own)
        }
    }
}

/// The schemas of `search_path` that exist, but for those that the server adds.
fn search_path() -> Vec<pg_sys::Oid> {
    // SAFETY: a copy of a list of ids.
    unsafe {
        let list = pg_sys::fetch_search_path(false);
        let length = if list.is_null() { 0 } else { (*list).length };
        (0..length).map(|i| pg_sys::list_nth_oid(list, i)).collect()
    }
}

/// What kind of object it is, and its name: `function`, `electric.check`.
pub fn described(class: pg_sys::Oid, id: pg_sys::Oid) -> Option<(String, String)> {
    let object = pg_sys::ObjectAddress {
        classId: class,
        objectId: id,
        objectSubId: 0,
    };
    // SAFETY: all look up the catalog, and give null for what is gone.
    unsafe {
        let kind = owned(pg_sys::getObjectTypeDescription(&object, true))?;
        let name = if class == pg_sys::ProcedureRelationId {
            let schema = schema_name(pg_sys::get_func_namespace(id))?;
            format!("{schema}.{}", owned(pg_sys::get_func_name(id))?)
        } else {
            owned(pg_sys::getObjectIdentity(&object, true))?
        };
        Some((kind, name))
    }
}

/// The function's name, without its schema.
pub fn function_name(id: pg_sys::Oid) -> String {
    // SAFETY: looks up a system cache; the result is a copy.
    unsafe { owned(pg_sys::get_func_name(id)) }.unwrap_or_default()
}

/// The event trigger's name.
pub fn event_trigger_name(id: pg_sys::Oid) -> String {
    described(pg_sys::EventTriggerRelationId, id).map_or_else(String::new, |(_, name)| name)
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
    resolve_if_there(name).ok_or_else(|| {
        crate::error::Error::new(
            crate::error::SqlState::UndefinedTable,
            format!("relation {} does not exist", name.trim()),
        )
    })
}

/// The relation that a name as SQL reads it stands for, by the `search_path`; `None` if there is none.
pub fn resolve_if_there(name: &str) -> Option<pg_sys::Oid> {
    let arguments = [heap_text(name)];
    // SAFETY: to_regclass takes text; it gives NULL where there is no such relation.
    unsafe { pgrx::direct_function_call::<pg_sys::Oid>(pg_sys::to_regclass, &arguments) }
}

fn heap_text(text: &str) -> Option<pg_sys::Datum> {
    Some(super::value::text(text))
}

/// The role that owns a schema; the owner of the database for one that belongs to `pg_database_owner`.
pub fn schema_owner(schema: pg_sys::Oid) -> pg_sys::Oid {
    use super::cached::cached;
    use pg_sys::SysCacheIdentifier::{DATABASEOID, NAMESPACEOID};
    let owner = cached(NAMESPACEOID, schema.into(), |row| {
        row.oid(pg_sys::Anum_pg_namespace_nspowner)
    });
    match owner {
        Some(owner) if owner.to_u32() == DATABASE_OWNER => {
            // SAFETY: reads a variable.
            let database = unsafe { pg_sys::MyDatabaseId };
            cached(DATABASEOID, database.into(), |row| {
                row.oid(pg_sys::Anum_pg_database_datdba)
            })
            .unwrap_or(pg_sys::Oid::INVALID)
        }
        owner => owner.unwrap_or(pg_sys::Oid::INVALID),
    }
}

/// `pg_database_owner`, which the server's headers fix.
const DATABASE_OWNER: u32 = 6171;

/// The role that owns a collation of that name in that schema, if there is one.
pub fn collation_owner(schema: &str, name: &str) -> Option<pg_sys::Oid> {
    let schema = schema_of_name(schema);
    let key = super::heap::Key::oid(pg_sys::Anum_pg_collation_collnamespace, schema);
    let all = super::heap::scan(
        pg_sys::CollationRelationId,
        pg_sys::Oid::INVALID,
        &[key],
        |row| {
            let is_it = row.name(pg_sys::Anum_pg_collation_collname) == name;
            is_it.then(|| row.oid(pg_sys::Anum_pg_collation_collowner))
        },
    );
    all.into_iter().flatten().next()
}
