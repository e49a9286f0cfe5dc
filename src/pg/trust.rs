//! Whose an object is: which of them every server has that has the extension, and in the same form.

use pgrx::pg_sys;

use super::cached::{CachedRow, cached};
use super::names::{self, Owner};
use super::types;

/// What `pg_proc` says of a function.
pub struct Function {
    /// Its name.
    pub name: String,
    /// IMMUTABLE.
    pub is_immutable: bool,
    /// It is the server's own, in `pg_catalog`.
    pub is_built_in: bool,
}

/// What `pg_proc` says of a function; `None` if it is gone.
pub fn function(id: pg_sys::Oid) -> Option<Function> {
    use pg_sys::*;
    let catalog = Oid::from(PG_CATALOG_NAMESPACE);
    cached(SysCacheIdentifier::PROCOID, id.into(), |row: &CachedRow| {
        Function {
            name: row.name(Anum_pg_proc_proname),
            is_immutable: row.char(Anum_pg_proc_provolatile) == PROVOLATILE_IMMUTABLE,
            is_built_in: types::is_built_in(id) && row.oid(Anum_pg_proc_pronamespace) == catalog,
        }
    })
}

/// The extension that brings the type, operator class or collation: it has it as a member, and that belongs to a
/// superuser. Who owns an extension may add members of their own, which no other server has; what its script made where
/// an ordinary role created a trusted extension belongs to a superuser all the same.
pub fn brought_by(class: pg_sys::Oid, object: pg_sys::Oid) -> Option<Owner> {
    let is_built_in = class == pg_sys::TypeRelationId && types::is_built_in(object);
    if is_built_in || !is_superusers(class, object) {
        return None;
    }
    names::extension_of(class, object)
}

/// The extension of a superuser's that brings whatever else is called or named, such as a function or an operator.
pub fn brought_by_superuser(class: pg_sys::Oid, object: pg_sys::Oid) -> Option<Owner> {
    brought_by_trusted(class, object, is_superuser)
}

/// The extension that brings it, if who owns that is trusted.
pub fn brought_by_trusted(
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    is_trusted: impl Fn(pg_sys::Oid) -> bool,
) -> Option<Owner> {
    // SAFETY: looks up the catalog.
    let extension = unsafe { pg_sys::getExtensionOfObject(class, object) };
    if extension == pg_sys::Oid::INVALID || !is_trusted(names::extension_owner(extension)) {
        return None;
    }
    brought_by(class, object)
}

/// Whether an object belongs to a superuser. An access method has no owner: only superusers make one.
fn is_superusers(class: pg_sys::Oid, object: pg_sys::Oid) -> bool {
    match owner(class, object) {
        Some(owner) => is_superuser(owner),
        None => class == pg_sys::AccessMethodRelationId,
    }
}

/// Who owns an object; `None` if it has no owner, or is gone.
pub fn owner(class: pg_sys::Oid, object: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: both look at a table of the server's own. What is of no class that objects are of raises an error, and
    // whatever can be depended on is of one.
    let (cache, column) = unsafe {
        (
            pg_sys::get_object_catcache_oid(class),
            pg_sys::get_object_attnum_owner(class),
        )
    };
    let column = u32::try_from(column).ok().filter(|column| *column != 0)?;
    let cache = u32::try_from(cache).ok()?;
    cached(cache, object.into(), |row: &CachedRow| row.oid(column))
}

fn is_superuser(role: pg_sys::Oid) -> bool {
    super::session::is_superuser_role(role)
}
