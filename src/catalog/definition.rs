//! Types that replicas must create: enums, domains and the user's ranges.

use electric_schema::model::{TypeDefinition, TypeKind};
use electric_schema::names;
use pgrx::pg_sys;

use super::uses::{Needs, Uses};
use crate::pg::calls::Calls;
use crate::pg::compat::catalog as c;
use crate::pg::{deparse, names as server, session, trust, types};

/// What a replica must know of an enum, a domain or a user's range; `None` if it is gone.
pub fn type_definition(id: pg_sys::Oid) -> Option<TypeDefinition> {
    read(id, false)
}

/// The same with all that a domain says, as it was recorded before as much was left out.
pub fn type_definition_in_full(id: pg_sys::Oid) -> Option<TypeDefinition> {
    read(id, true)
}

fn read(id: pg_sys::Oid, in_full: bool) -> Option<TypeDefinition> {
    session::printing(|| {
        let (schema, name, kind) = types::identity(id)?;
        let mut found = TypeDefinition {
            schema,
            name,
            kind: match kind {
                b'e' => TypeKind::Enum,
                b'd' => TypeKind::Domain,
                b'r' => TypeKind::Range,
                _ => return None,
            },
            labels: Vec::new(),
            definition: None,
            not_valid: Vec::new(),
            extensions: Vec::new(),
            collations: Vec::new(),
        };
        let mut needs = Needs::default();
        match kind {
            b'e' => found.labels = types::labels(id),
            b'd' => domain(id, &mut found, &mut needs, in_full)?,
            _ => range(id, &mut found, &mut needs)?,
        }
        found.extensions = needs.extensions();
        found.collations = needs.collations();
        Some(found)
    })
}

/// What tells a type from another of the same definition, as far as `definition` leaves it out: a domain's default and
/// checks by their ids, so that something they use may be renamed.
pub fn type_identity(id: pg_sys::Oid) -> String {
    let (facts, checks) =
        session::printing(|| (types::domain_facts(id), types::domain_constraints(id)));
    let checks: Vec<String> = checks
        .into_iter()
        .map(|check| format!("{} {:?}", check.id.to_u32(), check.name))
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

/// `CREATE DOMAIN …`. Checks and defaults that use what only this server has, or might act, are left out unless all is
/// wanted.
fn domain(
    id: pg_sys::Oid,
    found: &mut TypeDefinition,
    needs: &mut Needs,
    in_full: bool,
) -> Option<()> {
    let facts = types::domain_facts(id)?;
    let base = types::column_type(facts.base, facts.modifier, facts.dims)?;
    let domain = names::qualified_quoted(&found.schema, &found.name);
    let mut text = format!("CREATE DOMAIN {domain} AS {}", base.sql);
    if let Some(collation) = &facts.collation {
        text.push_str(&format!(" COLLATE {collation}"));
        needs.collation(facts.collation_id, facts.base);
    }
    if let Some(extension) =
        trust::brought_by(pg_sys::TypeRelationId, types::element_or_self(facts.base))
    {
        needs.extension(extension);
    }
    // What the base is made of comes before the domain; arrays count as their elements.
    let mut own = Vec::new();
    custom_types(facts.base, &mut own);
    own.extend([id, types::made_of(facts.base)]);
    if let Some(default) = &facts.default {
        // A domain's default hangs on the type itself, together with its base type.
        let calls = Calls::of(facts.default_tree.as_deref().unwrap_or_default());
        let is_local = needs.add(Uses::of(pg_sys::TypeRelationId, id, &own).giving(&calls));
        if in_full || !is_local {
            text.push_str(&format!(" DEFAULT {default}"));
        }
    }
    if facts.not_null {
        text.push_str(" NOT NULL");
    }
    for check in types::domain_constraints(id) {
        let is_local = needs.add(Uses::of(c::CONSTRAINTS, check.id, &own).computing(&check.calls));
        if is_local && !in_full {
            continue;
        }
        let definition = deparse::constraint(check.id)?;
        let name = names::quote_ident(&check.name);
        let constraint = format!("CONSTRAINT {name} {definition}");
        if definition.ends_with(" NOT VALID") {
            found
                .not_valid
                .push(format!("ALTER DOMAIN {domain} ADD {constraint}"));
        } else {
            text.push_str(&format!(" {constraint}"));
        }
    }
    found.definition = Some(text);
    Some(())
}

/// `CREATE TYPE … AS RANGE`. Operator classes and functions other than the defaults are the server's own affair.
fn range(id: pg_sys::Oid, found: &mut TypeDefinition, needs: &mut Needs) -> Option<()> {
    let subtype = types::range_subtype(id);
    let mut options = vec![format!(
        "subtype = {}",
        types::column_type(subtype, -1, 0)?.sql
    )];
    if let (Some(collation), collation_id) = types::range_collation(id) {
        options.push(format!("collation = {collation}"));
        needs.collation(collation_id, subtype);
    }
    if let Some((schema, name, _)) = types::multirange_of(id).and_then(types::identity) {
        let name = names::qualified_quoted(&schema, &name);
        options.push(format!("multirange_type_name = {name}"));
    }
    found.definition = Some(format!(
        "CREATE TYPE {} AS RANGE ({})",
        names::qualified_quoted(&found.schema, &found.name),
        options.join(", ")
    ));
    Some(())
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
    if !found.contains(&id) && trust::brought_by(pg_sys::TypeRelationId, id).is_none() {
        found.push(id);
    }
}
