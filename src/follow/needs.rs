//! What must be there before a table or type: used where it is the stream's own or a superuser's, never where it is
//! somebody else's.

use electric_schema::names::{qualified, quote_ident_if_needed};
use pgrx::pg_sys;

use super::block::{Stop, described, is_streams};
use super::role;
use crate::error::Error;
use crate::pg::said::{Name, Said};
use crate::pg::{compat, names, session};

/// Whether what a statement would make is there, so that nothing is left to do. What must not be used is in the way.
pub fn is_there(said: &Said) -> Result<bool, Stop> {
    match said {
        Said::Schema(name) => schema(name),
        Said::Extension(name, schema) => extension(name, schema),
        Said::Collation(name) => collation(name),
        Said::Sequence(name) => sequence(name),
        _ => Ok(false),
    }
}

fn replica() -> Result<pg_sys::Oid, Error> {
    role::id().ok_or_else(|| Error::internal("the role of subscribers vanished"))
}

fn schema(name: &str) -> Result<bool, Stop> {
    let id = names::schema_of_name(name);
    if id == pg_sys::Oid::INVALID {
        return Ok(false);
    }
    if compat::may_create_in(id, replica()?) {
        return Ok(true);
    }
    Err(Stop::InTheWay(format!(
        "schema {0} is somebody else's; to let the subscription in: GRANT USAGE, CREATE ON SCHEMA {0} TO {1}",
        quote_ident_if_needed(name),
        role::NAME
    )))
}

/// An extension that is there may be used if a superuser made it, or the stream did. The script of one that is not runs
/// with a superuser's rights: only in a schema in which nobody else can have put anything.
fn extension(name: &str, schema: &str) -> Result<bool, Stop> {
    let (id, replica) = (names::extension_of_name(name), replica()?);
    let trusted = |owner| owner == replica || session::is_superuser_role(owner);
    if id == pg_sys::Oid::INVALID {
        let at = names::schema_of_name(schema);
        let owner = names::schema_owner(at);
        if at == pg_sys::Oid::INVALID || trusted(owner) {
            return Ok(false);
        }
        return Err(Stop::InTheWay(format!(
            "extension {} must be made by a superuser here, because schema {} belongs to role {}",
            quote_ident_if_needed(name),
            quote_ident_if_needed(schema),
            quote_ident_if_needed(&names::role_name(owner))
        )));
    }
    if !trusted(names::extension_owner(id)) {
        return Err(Stop::InTheWay(format!(
            "extension {} belongs to role {}, who is no superuser",
            quote_ident_if_needed(name),
            quote_ident_if_needed(&names::role_name(names::extension_owner(id)))
        )));
    }
    let found = names::schema_name(names::extension_schema(id)).unwrap_or_default();
    if found != schema {
        return Err(Stop::InTheWay(format!(
            "extension {} is in schema {}, and is needed in {}",
            quote_ident_if_needed(name),
            quote_ident_if_needed(&found),
            quote_ident_if_needed(schema)
        )));
    }
    Ok(true)
}

fn collation(name: &Name) -> Result<bool, Stop> {
    match names::collation_owner(&name.schema, &name.name) {
        None => Ok(false),
        Some(owner) if owner == replica()? => Ok(true),
        Some(_) => Err(Stop::InTheWay(format!(
            "collation {} is there already",
            qualified(&name.schema, &name.name)
        ))),
    }
}

fn sequence(name: &Name) -> Result<bool, Stop> {
    match names::relation_of(&name.schema, &name.name) {
        None => Ok(false),
        Some(id) if is_streams(id)? => Ok(true),
        Some(id) => Err(Stop::InTheWay(format!(
            "{} is there already",
            described(id)
        ))),
    }
}
