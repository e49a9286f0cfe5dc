//! Types of columns, from `pg_type`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString};

use electric_schema::model::{ColumnType, TypeKind};
use pgrx::pg_sys;

use super::cached::{CachedRow, cached};
use super::names::{from_server, schema_name};
use super::session;
use super::trust::brought_by;

/// The facts of a `pg_type` row that shapes need.
struct TypeRow {
    name: String,
    schema: pg_sys::Oid,
    kind: u8,
    category: u8,
    base: pg_sys::Oid,
    base_modifier: i32,
    base_dims: i32,
    modifier_out: pg_sys::Oid,
}

fn type_row(id: pg_sys::Oid) -> Option<TypeRow> {
    use pg_sys::*;
    cached(SysCacheIdentifier::TYPEOID, id.into(), |row: &CachedRow| {
        TypeRow {
            name: row.name(Anum_pg_type_typname),
            schema: row.oid(Anum_pg_type_typnamespace),
            kind: row.char(Anum_pg_type_typtype),
            category: row.char(Anum_pg_type_typcategory),
            base: row.oid(Anum_pg_type_typbasetype),
            base_modifier: row.get(Anum_pg_type_typtypmod).unwrap_or(-1),
            base_dims: row.get(Anum_pg_type_typndims).unwrap_or(0),
            modifier_out: row.oid(Anum_pg_type_typmodout),
        }
    })
}

/// So many types are kept in mind; modifiers make many of one.
const KEPT: usize = 1000;

thread_local! {
    /// The server's own types, which stay as they are.
    static BUILT_IN: RefCell<HashMap<(u32, i32, i32), ColumnType>> = RefCell::default();
}

/// The type of a column as shapes have it. Call it within [`session::printing`].
///
/// `modifier` is `atttypmod`, `dims` is `attndims`.
pub fn column_type(id: pg_sys::Oid, modifier: i32, dims: i32) -> Option<ColumnType> {
    if !is_built_in(id) {
        return read(id, modifier, dims);
    }
    let key = (id.to_u32(), modifier, dims);
    if let Some(known) = BUILT_IN.with_borrow(|known| known.get(&key).cloned()) {
        return Some(known);
    }
    let found = read(id, modifier, dims)?;
    BUILT_IN.with_borrow_mut(|known| {
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(key, found.clone());
    });
    Some(found)
}

fn read(id: pg_sys::Oid, modifier: i32, dims: i32) -> Option<ColumnType> {
    session::prints();
    let row = type_row(id)?;
    // SAFETY: looks up a system cache.
    let element = unsafe { pg_sys::get_element_type(id) };
    let is_array = row.category == b'A' && element != pg_sys::Oid::INVALID;
    let (id, row, dims) = if is_array {
        // `attndims` is not kept by CREATE TABLE AS; an array has one dimension at least.
        (element, type_row(element)?, dims.max(1))
    } else {
        (id, row, 0)
    };
    let of = |id| column_type(id, -1, 0).map(Box::new);
    let (kind, of) = match row.kind {
        b'e' => (TypeKind::Enum, None),
        b'd' => (
            TypeKind::Domain,
            column_type(row.base, row.base_modifier, row.base_dims).map(Box::new),
        ),
        // SAFETY: looks up a system cache.
        b'r' => (
            TypeKind::Range,
            of(unsafe { pg_sys::get_range_subtype(id) }),
        ),
        b'm' => {
            // SAFETY: looks up system caches.
            let subtype = unsafe { pg_sys::get_range_subtype(pg_sys::get_multirange_range(id)) };
            (TypeKind::Multirange, of(subtype))
        }
        b'b' => (TypeKind::Base, None),
        _ => (TypeKind::Other, None),
    };
    let spelled = spelled(id, modifier);
    Some(ColumnType {
        modifiers: modifiers(row.modifier_out, modifier),
        array_dims: u32::try_from(dims).unwrap_or(0),
        sql: format!(
            "{spelled}{}",
            "[]".repeat(usize::try_from(dims).unwrap_or(0))
        ),
        extension: brought_by(pg_sys::TypeRelationId, id).map(|owner| owner.name),
        schema: schema_name(row.schema)?,
        name: row.name,
        kind,
        of,
    })
}

/// A type of which nothing but the name is read.
pub fn name_of(id: pg_sys::Oid) -> Option<ColumnType> {
    session::prints();
    let row = type_row(id)?;
    Some(ColumnType {
        array_dims: 0,
        extension: None,
        kind: TypeKind::Other,
        modifiers: Vec::new(),
        schema: schema_name(row.schema)?,
        name: row.name,
        of: None,
        sql: spelled(id, -1),
    })
}

/// How many types a type is made of, one below the other; no more than `limit` are counted.
pub fn depth(id: pg_sys::Oid, limit: usize) -> usize {
    let mut at = element_or_self(id);
    for depth in 0..limit {
        if is_built_in(at) {
            return depth;
        }
        let below = match type_row(at) {
            Some(row) if row.kind == b'd' => row.base,
            Some(row) if row.kind == b'r' => range_subtype(at),
            Some(row) if row.kind == b'm' => range_subtype(range_of(at)),
            _ => return depth,
        };
        at = element_or_self(below);
    }
    limit
}

/// The type as Postgres spells it.
fn spelled(id: pg_sys::Oid, modifier: i32) -> String {
    // SAFETY: looks up system caches; the result is a C string.
    unsafe {
        let text = pg_sys::format_type_extended(
            id,
            modifier,
            pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN as pg_sys::bits16,
        );
        from_server(CStr::from_ptr(text).to_bytes())
    }
}

/// The numbers in what the type itself prints of its modifier.
fn modifiers(print: pg_sys::Oid, modifier: i32) -> Vec<i64> {
    if modifier < 0 || print == pg_sys::Oid::INVALID {
        return Vec::new();
    }
    // SAFETY: typmodout functions take an integer and return a C string.
    let text = unsafe {
        let printed = pg_sys::OidFunctionCall1Coll(print, pg_sys::Oid::INVALID, modifier.into());
        from_server(CStr::from_ptr(printed.cast_mut_ptr()).to_bytes())
    };
    text.split(|c: char| !c.is_ascii_digit() && c != '-')
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// The text form of a value of that type. Call it within [`session::printing`].
pub fn output(value: pg_sys::Datum, id: pg_sys::Oid) -> String {
    session::prints();
    // SAFETY: the datum is of that type.
    unsafe {
        let mut function = pg_sys::Oid::INVALID;
        let mut is_varlena = false;
        pg_sys::getTypeOutputInfo(id, &mut function, &mut is_varlena);
        super::size::printed(pg_sys::OidOutputFunctionCall(function, value))
    }
}

/// The element type of an array type, or the type itself; the domain's own id for domains.
pub fn element_or_self(id: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: looks up a system cache.
    let element = unsafe { pg_sys::get_element_type(id) };
    if element == pg_sys::Oid::INVALID {
        id
    } else {
        element
    }
}

/// The type that an array or multirange type is made of, or the type itself.
pub fn made_of(id: pg_sys::Oid) -> pg_sys::Oid {
    let id = element_or_self(id);
    match type_row(id) {
        Some(row) if row.kind == b'm' => range_of(id),
        _ => id,
    }
}

/// The type a domain is based on; `None` if it is no domain.
pub fn domain_base(id: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: looks up a system cache.
    let is_domain = unsafe { pg_sys::get_typtype(id) } as u8 == b'd';
    is_domain.then(|| type_row(id).map(|row| row.base))?
}

/// Schema and kind (`typtype`) of a type.
pub fn schema_and_kind(id: pg_sys::Oid) -> Option<(pg_sys::Oid, u8)> {
    type_row(id).map(|row| (row.schema, row.kind))
}

/// Schema, name and kind (`typtype`) of a type.
pub fn identity(id: pg_sys::Oid) -> Option<(String, String, u8)> {
    type_row(id).and_then(|row| Some((schema_name(row.schema)?, row.name, row.kind)))
}

/// The labels of an enum in sort order.
pub fn labels(id: pg_sys::Oid) -> Vec<String> {
    super::heap::scan_ordered(
        pg_sys::EnumRelationId,
        pg_sys::Oid::from(pg_sys::EnumTypIdSortOrderIndexId),
        &[super::heap::Key::oid(pg_sys::Anum_pg_enum_enumtypid, id)],
        |row| row.name(pg_sys::Anum_pg_enum_enumlabel),
    )
}

/// The sort of facts about a domain that its definition needs.
pub struct DomainFacts {
    /// The type it is based on.
    pub base: pg_sys::Oid,
    /// That type's modifier.
    pub modifier: i32,
    /// That type's dimensions.
    pub dims: i32,
    /// NOT NULL.
    pub not_null: bool,
    /// DEFAULT, as an expression.
    pub default: Option<String>,
    /// DEFAULT, as the catalog stores it.
    pub default_tree: Option<String>,
    /// Collation, where it is not the base type's own.
    pub collation: Option<String>,
    /// Its id.
    pub collation_id: pg_sys::Oid,
}

/// What defines a domain; `None` if the type is gone.
pub fn domain_facts(id: pg_sys::Oid) -> Option<DomainFacts> {
    use pg_sys::*;
    cached(SysCacheIdentifier::TYPEOID, id.into(), |row: &CachedRow| {
        let base = row.oid(Anum_pg_type_typbasetype);
        DomainFacts {
            base,
            modifier: row.get(Anum_pg_type_typtypmod).unwrap_or(-1),
            dims: row.get(Anum_pg_type_typndims).unwrap_or(0),
            not_null: row.bool(Anum_pg_type_typnotnull),
            default: row
                .datum(Anum_pg_type_typdefaultbin)
                .and_then(|tree| super::deparse::expression(tree, Oid::INVALID)),
            default_tree: row.get(Anum_pg_type_typdefaultbin),
            collation: super::collation::own(row.oid(Anum_pg_type_typcollation), base),
            collation_id: row.oid(Anum_pg_type_typcollation),
        }
    })
}

/// What a domain says beyond its constraints.
#[derive(Debug, Clone, Copy)]
pub struct DomainPromises {
    /// NOT NULL.
    pub not_null: bool,
    /// DEFAULT.
    pub has_default: bool,
}

/// What a domain says beyond its constraints; `None` if the type is gone.
pub fn domain_promises(id: pg_sys::Oid) -> Option<DomainPromises> {
    use pg_sys::*;
    cached(SysCacheIdentifier::TYPEOID, id.into(), |row: &CachedRow| {
        DomainPromises {
            not_null: row.bool(Anum_pg_type_typnotnull),
            has_default: row.datum(Anum_pg_type_typdefaultbin).is_some(),
        }
    })
}

/// A CHECK constraint of a domain.
pub struct DomainCheck {
    /// Its id.
    pub id: pg_sys::Oid,
    /// Its name.
    pub name: String,
    /// What it calls.
    pub calls: super::calls::Calls,
}

/// The CHECK constraints of a domain, by name.
pub fn domain_constraints(id: pg_sys::Oid) -> Vec<DomainCheck> {
    use super::compat::catalog as c;
    use super::heap::Key;
    let mut found: Vec<DomainCheck> = super::heap::scan(
        c::CONSTRAINTS,
        c::CONSTRAINTS_BY_RELATION,
        &[
            Key::oid(c::constraint::RELATION, pg_sys::Oid::INVALID),
            Key::oid(c::constraint::DOMAIN, id),
        ],
        |row| {
            (row.char(c::constraint::KIND) == b'c').then(|| DomainCheck {
                id: row.oid(c::constraint::OID),
                name: row.name(c::constraint::NAME),
                calls: super::calls::Calls::of(
                    &row.get::<String>(c::constraint::TREE).unwrap_or_default(),
                ),
            })
        },
    )
    .into_iter()
    .flatten()
    .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The subtype of a range.
pub fn range_subtype(id: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: looks up a system cache.
    unsafe { pg_sys::get_range_subtype(id) }
}

/// The collation of a range as a qualified, quoted name, where it is not its subtype's own, and its id.
pub fn range_collation(id: pg_sys::Oid) -> (Option<String>, pg_sys::Oid) {
    use pg_sys::*;
    let collation = cached(
        SysCacheIdentifier::RANGETYPE,
        id.into(),
        |row: &CachedRow| row.oid(super::compat::catalog::range::COLLATION),
    )
    .unwrap_or(Oid::INVALID);
    (
        super::collation::own(collation, range_subtype(id)),
        collation,
    )
}

/// The range of a multirange.
pub fn range_of(id: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: looks up a system cache.
    unsafe { pg_sys::get_multirange_range(id) }
}

/// The multirange of a range.
pub fn multirange_of(id: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: looks up a system cache.
    Some(unsafe { pg_sys::get_range_multirange(id) }).filter(|id| *id != pg_sys::Oid::INVALID)
}

/// The array type of a type.
pub fn array_of(id: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: looks up a system cache.
    Some(unsafe { pg_sys::get_array_type(id) }).filter(|id| *id != pg_sys::Oid::INVALID)
}

/// Whether initdb made the object.
pub fn is_built_in(id: pg_sys::Oid) -> bool {
    id.to_u32() < pg_sys::FirstNormalObjectId
}

/// The name of a column.
pub fn column_name(relation: pg_sys::Oid, number: i16) -> Option<String> {
    // SAFETY: looks up a system cache; the result is a copy.
    unsafe {
        let name = pg_sys::get_attname(relation, number, true);
        (!name.is_null()).then(|| from_server(CStr::from_ptr(name).to_bytes()))
    }
}

/// The number of a column.
pub fn column_number(relation: pg_sys::Oid, name: &str) -> Option<i16> {
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: looks up a system cache.
    let number = unsafe { pg_sys::get_attnum(relation, name.as_ptr()) };
    (number > 0).then_some(number)
}

/// The name of an access method.
pub fn access_method(id: pg_sys::Oid) -> Option<String> {
    use pg_sys::*;
    cached(SysCacheIdentifier::AMOID, id.into(), |row: &CachedRow| {
        row.name(Anum_pg_am_amname)
    })
}

thread_local! {
    /// The operator class that B-trees use for a type of the server's own: it stays the same.
    static BTREE_CLASS: RefCell<HashMap<u32, pg_sys::Oid>> = RefCell::default();
}

/// Whether the operator class is the one of the server's own that a B-tree uses by default for a type of the server's own.
pub fn is_btree_default(class: pg_sys::Oid, type_id: pg_sys::Oid) -> bool {
    if !is_built_in(class) || !is_built_in(type_id) {
        return false;
    }
    let default = BTREE_CLASS.with_borrow(|known| known.get(&type_id.to_u32()).copied());
    let default = default.unwrap_or_else(|| {
        // SAFETY: looks up the catalog.
        let found = unsafe { pg_sys::GetDefaultOpClass(type_id, pg_sys::BTREE_AM_OID) };
        BTREE_CLASS.with_borrow_mut(|known| known.insert(type_id.to_u32(), found));
        found
    });
    class == default
}

/// Whether the domain itself (not the one it may be made of) has a CHECK.
pub fn domain_has_check(schema: &str, name: &str) -> bool {
    let (Ok(schema), Ok(name)) = (CString::new(schema), CString::new(name)) else {
        return false;
    };
    // SAFETY: looks up a system cache; the name is copied into a `name`.
    let id = unsafe {
        pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::TYPENAMENSP as i32,
            pg_sys::Anum_pg_type_oid as pg_sys::AttrNumber,
            pg_sys::Datum::from(name.as_ptr()),
            super::names::schema_id(&schema).into(),
            pg_sys::Datum::from(0),
            pg_sys::Datum::from(0),
        )
    };
    !domain_constraints(id).is_empty()
}
