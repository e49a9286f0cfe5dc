//! Types that replicas must create: enums, domains and the user's ranges.

use std::collections::BTreeMap;

use electric_schema::model::{Extension, TypeDefinition, TypeKind};
use electric_schema::names;
use pgrx::pg_sys;

use super::uses::Uses;
use crate::pg::compat::catalog as c;
use crate::pg::{deparse, names as server, session, types};

/// What a replica must know of an enum, a domain or a user's range; `None` if it is gone.
pub fn type_definition(id: pg_sys::Oid) -> Option<TypeDefinition> {
    session::canonical(|| {
        let (schema, name, kind) = types::identity(id)?;
        let mut extensions = BTreeMap::new();
        let (kind, labels, definition) = match kind {
            b'e' => (TypeKind::Enum, types::labels(id), None),
            b'd' => (
                TypeKind::Domain,
                Vec::new(),
                Some(domain(id, &schema, &name, &mut extensions)?),
            ),
            b'r' => (
                TypeKind::Range,
                Vec::new(),
                Some(range(id, &schema, &name)?),
            ),
            _ => return None,
        };
        let extensions = extensions
            .into_iter()
            .map(|(name, schema)| Extension { name, schema });
        Some(TypeDefinition {
            schema,
            name,
            kind,
            labels,
            definition,
            extensions: extensions.collect(),
        })
    })
}

/// What tells a type from another of the same definition, as far as `definition` leaves it out: a domain's default and
/// checks by their ids, so that something they use may be renamed.
pub fn type_identity(id: pg_sys::Oid) -> String {
    let facts = types::domain_facts(id);
    let checks: Vec<String> = types::domain_constraints(id)
        .into_iter()
        .map(|(id, name)| format!("{} {name:?}", id.to_u32()))
        .collect();
    format!(
        "{} {:?} {}",
        server::place(id),
        facts.map(|facts| (
            facts.base.to_u32(),
            facts.modifier,
            facts.not_null,
            facts.default_tree
        )),
        checks.join(" ")
    )
}

/// `CREATE DOMAIN …`. Checks and defaults that use what only this server has are left out. NOT VALID is said of the values
/// that are there, and CREATE DOMAIN cannot say it: VALIDATE CONSTRAINT changes nothing for a replica.
fn domain(
    id: pg_sys::Oid,
    schema: &str,
    name: &str,
    extensions: &mut BTreeMap<String, String>,
) -> Option<String> {
    let facts = types::domain_facts(id)?;
    let base = types::column_type(facts.base, facts.modifier, facts.dims)?;
    let mut text = format!(
        "CREATE DOMAIN {} AS {}",
        names::qualified_quoted(schema, name),
        base.sql
    );
    if let Some(collation) = &facts.collation {
        text.push_str(&format!(" COLLATE {collation}"));
    }
    if let Some(extension) =
        server::extension_of(pg_sys::TypeRelationId, types::element_or_self(facts.base))
    {
        extensions.insert(extension.name, extension.schema);
    }
    // What the base is made of comes before the domain; arrays count as their elements.
    let mut own = Vec::new();
    custom_types(facts.base, &mut own);
    own.extend([id, types::made_of(facts.base)]);
    let mut local = |uses: Uses| {
        if !uses.is_local {
            extensions.extend(uses.extensions);
        }
        uses.is_local
    };
    if let Some(default) = &facts.default {
        // A domain's default hangs on the type itself, together with its base type.
        if !local(Uses::of(pg_sys::TypeRelationId, id, &own)) {
            text.push_str(&format!(" DEFAULT {default}"));
        }
    }
    if facts.not_null {
        text.push_str(" NOT NULL");
    }
    for (constraint, name) in types::domain_constraints(id) {
        if !local(Uses::of(c::CONSTRAINTS, constraint, &own)) {
            let definition = deparse::constraint(constraint)?;
            let definition = definition.strip_suffix(" NOT VALID").unwrap_or(&definition);
            text.push_str(&format!(
                " CONSTRAINT {} {definition}",
                names::quote_ident(&name)
            ));
        }
    }
    Some(text)
}

/// `CREATE TYPE … AS RANGE`. Operator classes and functions other than the defaults are the server's own affair.
fn range(id: pg_sys::Oid, schema: &str, name: &str) -> Option<String> {
    let subtype = types::column_type(types::range_subtype(id), -1, 0)?;
    let multirange = types::multirange_of(id)
        .and_then(types::identity)
        .map(|(schema, name, _)| {
            format!(
                ", multirange_type_name = {}",
                names::qualified_quoted(&schema, &name)
            )
        })
        .unwrap_or_default();
    Some(format!(
        "CREATE TYPE {} AS RANGE (subtype = {}{multirange})",
        names::qualified_quoted(schema, name),
        subtype.sql
    ))
}

/// Enums, domains and the user's ranges that a type is or is made of; those others need come first.
pub fn custom_types(id: pg_sys::Oid, found: &mut Vec<pg_sys::Oid>) {
    let id = types::element_or_self(id);
    if found.contains(&id) || types::is_built_in(id) {
        return;
    }
    let Some((_, _, kind)) = types::identity(id) else {
        return;
    };
    let id = match kind {
        b'm' => types::range_of(id),
        _ => id,
    };
    match kind {
        b'd' => {
            if let Some(base) = types::domain_base(id) {
                custom_types(base, found);
            }
        }
        b'r' | b'm' => custom_types(types::range_subtype(id), found),
        b'e' => {}
        _ => return,
    }
    // What an extension brings comes with the extension.
    if !found.contains(&id) && server::extension_of(pg_sys::TypeRelationId, id).is_none() {
        found.push(id);
    }
}
