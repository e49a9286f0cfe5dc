//! What must be there before a table or type: used where it is the stream's own or a superuser's, never where it is
//! somebody else's.

use std::collections::BTreeSet;

use electric_schema::names::{qualified, quote_ident_if_needed};
use pgrx::pg_sys;

use super::block::{Stop, described, is_streams};
use super::role;
use crate::error::Error;
use crate::pg::said::{Name, Said};
use crate::pg::{compat, names, session, spi};

/// The functions, operators and types that a relation or type uses, with its columns, constraints and indexes, and that
/// belong to ordinary roles.
const USED_OF_OTHERS: &str = "SELECT pg_catalog.json_agg(DISTINCT pg_catalog.format('%s %s belongs to role %I, who is no superuser', \
        o.type, o.identity, r.rolname))::text \
    FROM (SELECT 'pg_catalog.pg_class'::regclass, $1::oid \
        UNION ALL SELECT 'pg_catalog.pg_class'::regclass, indexrelid FROM pg_catalog.pg_index WHERE indrelid = $1::oid \
        UNION ALL SELECT 'pg_catalog.pg_attrdef'::regclass, oid FROM pg_catalog.pg_attrdef WHERE adrelid = $1::oid \
        UNION ALL SELECT 'pg_catalog.pg_constraint'::regclass, oid FROM pg_catalog.pg_constraint WHERE conrelid = nullif($1, '0')::oid \
        UNION ALL SELECT 'pg_catalog.pg_type'::regclass, $2::oid \
        UNION ALL SELECT 'pg_catalog.pg_constraint'::regclass, oid FROM pg_catalog.pg_constraint WHERE contypid = nullif($2, '0')::oid \
        ) AS of (class, id) \
    JOIN pg_catalog.pg_depend AS d ON d.classid = of.class AND d.objid = of.id \
    JOIN pg_catalog.pg_roles AS r ON NOT r.rolsuper AND r.rolname <> current_user AND r.oid = CASE d.refclassid \
        WHEN 'pg_catalog.pg_proc'::regclass THEN (SELECT proowner FROM pg_catalog.pg_proc WHERE oid = d.refobjid) \
        WHEN 'pg_catalog.pg_operator'::regclass THEN (SELECT oprowner FROM pg_catalog.pg_operator WHERE oid = d.refobjid) \
        WHEN 'pg_catalog.pg_type'::regclass THEN (SELECT typowner FROM pg_catalog.pg_type WHERE oid = d.refobjid) END, \
    pg_catalog.pg_identify_object(d.refclassid, d.refobjid, 0) AS o";

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

/// What of ordinary roles' the thing uses that the statement is about.
pub fn used_of_others(said: &Said) -> Result<BTreeSet<String>, Error> {
    let none = pg_sys::Oid::INVALID;
    let (relation, data_type) = match said {
        Said::Table(name, ..) | Said::Alter(name, _) | Said::Index(name, _) => {
            (names::relation_of(&name.schema, &name.name), None)
        }
        Said::Type(name) | Said::Label(name) | Said::DomainConstraint(name) => {
            (None, names::type_of(&name.schema, &name.name))
        }
        _ => (None, None),
    };
    if (relation, data_type) == (None, None) {
        return Ok(BTreeSet::new());
    }
    let ids = [relation, data_type].map(|id| id.unwrap_or(none).to_u32().to_string());
    let used: Option<String> = spi::value(USED_OF_OTHERS, &[&ids[0], &ids[1]])?;
    Ok(used.map_or_else(|| Ok(BTreeSet::new()), |used| serde_json::from_str(&used))?)
}

/// After the statement nothing else of ordinary roles' is used than before: whoever writes to the table would run it.
pub fn no_more_of_others(said: &Said, before: &BTreeSet<String>) -> Result<(), Stop> {
    match used_of_others(said)?.difference(before).next() {
        Some(other) => Err(Stop::InTheWay(other.clone())),
        None => Ok(()),
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
