//! Collations that users made.

use electric_schema::model::Collation;
use electric_schema::names::{qualified_quoted, quote_literal};
use pgrx::pg_sys;

use super::cached::{CachedRow, cached};
use super::compat::catalog as c;
use super::names::schema_name;

/// A collation's name and what makes it; `None` for those of the system, which every server has or lacks by itself.
pub fn made(id: pg_sys::Oid) -> Option<Collation> {
    use pg_sys::*;
    let made = |row: &CachedRow| {
        let schema = schema_name(row.oid(Anum_pg_collation_collnamespace))?;
        (schema != "pg_catalog").then(|| Collation {
            name: row.name(Anum_pg_collation_collname),
            options: options(row),
            schema,
        })
    };
    cached(SysCacheIdentifier::COLLOID, id.into(), made).flatten()
}

/// What stands in the parentheses of CREATE COLLATION.
fn options(row: &CachedRow) -> String {
    use pg_sys::{
        Anum_pg_collation_collcollate, Anum_pg_collation_collctype,
        Anum_pg_collation_collisdeterministic, Anum_pg_collation_collprovider,
    };
    let text = |column| row.get::<String>(column);
    let mut options = Vec::new();
    let mut say = |name: &str, value: Option<String>| {
        options.extend(value.map(|value| format!("{name} = {}", quote_literal(&value))));
    };
    let provider = row.char(Anum_pg_collation_collprovider);
    if provider == b'c' {
        let (collate, ctype) = (
            text(Anum_pg_collation_collcollate),
            text(Anum_pg_collation_collctype),
        );
        if collate == ctype {
            say("locale", collate);
        } else {
            say("lc_collate", collate);
            say("lc_ctype", ctype);
        }
    } else {
        say("locale", text(c::collation::LOCALE));
        say("rules", c::collation::RULES.and_then(text));
    }
    let provider = match provider {
        b'i' => "icu",
        b'b' => "builtin",
        _ => "libc",
    };
    options.insert(0, format!("provider = {provider}"));
    if !row.bool(Anum_pg_collation_collisdeterministic) {
        options.push("deterministic = false".to_owned());
    }
    options.join(", ")
}

/// A collation as a qualified, quoted name, where it is not the type's own.
pub fn own(collation: pg_sys::Oid, type_id: pg_sys::Oid) -> Option<String> {
    use pg_sys::*;
    if !is_own(collation, type_id) {
        return None;
    }
    let name = |row: &CachedRow| {
        let schema = schema_name(row.oid(Anum_pg_collation_collnamespace))?;
        let name = row.name(Anum_pg_collation_collname);
        Some(qualified_quoted(&schema, &name))
    };
    cached(SysCacheIdentifier::COLLOID, collation.into(), name).flatten()
}

/// Whether there is a collation that is not the type's own.
pub fn is_own(collation: pg_sys::Oid, type_id: pg_sys::Oid) -> bool {
    // SAFETY: looks up a system cache.
    collation != pg_sys::Oid::INVALID && collation != unsafe { pg_sys::get_typcollation(type_id) }
}
