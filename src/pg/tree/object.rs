//! Objects that commands change or make, other than tables, as far as they can be the extension's own. Nothing is
//! locked.

use pgrx::pg_sys;

use super::{Statement, items, relation, text};
use crate::pg::names;

/// An object by its catalog and its id there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object {
    /// The catalog it is in.
    pub class: pg_sys::Oid,
    /// Its id.
    pub id: pg_sys::Oid,
}

impl Object {
    /// A table, or whatever else is in `pg_class`.
    pub fn relation(id: pg_sys::Oid) -> Object {
        Object {
            class: pg_sys::RelationRelationId,
            id,
        }
    }
}

/// The object of that kind. What hangs on a relation counts as the relation.
#[allow(non_upper_case_globals, reason = "the server's names")]
pub unsafe fn named(
    kind: pg_sys::ObjectType::Type,
    on: *const pg_sys::RangeVar,
    object: *mut pg_sys::Node,
) -> Option<Object> {
    use pg_sys::ObjectType::*;
    // SAFETY: the kind says what the other two are; the lookups take no locks.
    unsafe {
        if let Some(id) = relation(on) {
            return Some(Object::relation(id));
        }
        let found = |class, id| (id != pg_sys::Oid::INVALID).then_some(Object { class, id });
        match kind {
            OBJECT_FUNCTION | OBJECT_PROCEDURE | OBJECT_ROUTINE | OBJECT_AGGREGATE => {
                let function: *mut pg_sys::ObjectWithArgs = object.cast();
                let schema = qualifier((*function).objname);
                if !names::may_be_own(schema.as_deref()) {
                    return None;
                }
                let id = pg_sys::LookupFuncWithArgs(kind, function, true);
                found(pg_sys::ProcedureRelationId, id)
            }
            OBJECT_EVENT_TRIGGER => {
                let name: *mut pg_sys::String = object.cast();
                event_trigger((*name).sval)
            }
            OBJECT_SCHEMA => {
                let name: *mut pg_sys::String = object.cast();
                schema((*name).sval)
            }
            _ => None,
        }
    }
}

/// The event trigger of that name.
pub unsafe fn event_trigger(name: *const std::ffi::c_char) -> Option<Object> {
    // SAFETY: the caller passes a C string.
    let id = unsafe { pg_sys::get_event_trigger_oid(name, true) };
    (id != pg_sys::Oid::INVALID).then_some(Object {
        class: pg_sys::EventTriggerRelationId,
        id,
    })
}

/// The schema of that name.
pub unsafe fn schema(name: *const std::ffi::c_char) -> Option<Object> {
    // SAFETY: the caller passes a C string.
    let id = unsafe { pg_sys::get_namespace_oid(name, true) };
    (id != pg_sys::Oid::INVALID).then_some(Object {
        class: pg_sys::NamespaceRelationId,
        id,
    })
}

/// What a command makes, if it goes into the schema of the extension; `None` if it makes nothing, or elsewhere.
/// Statistics objects are left out: they are free, wherever they are.
pub unsafe fn created(tree: *mut pg_sys::Node) -> Option<Statement> {
    use pg_sys::NodeTag::*;
    // SAFETY: the tag says which struct the node is.
    unsafe {
        match (*tree).type_ {
            T_CreateStmt | T_CreateForeignTableStmt => {
                let statement: *mut pg_sys::CreateStmt = tree.cast();
                inherited((*statement).inhRelations).or_else(|| made((*statement).relation))
            }
            T_CreateTableAsStmt => {
                let statement: *mut pg_sys::CreateTableAsStmt = tree.cast();
                made((*(*statement).into).rel)
            }
            T_ViewStmt => made((*tree.cast::<pg_sys::ViewStmt>()).view),
            T_CreateSeqStmt => made((*tree.cast::<pg_sys::CreateSeqStmt>()).sequence),
            T_CompositeTypeStmt => made((*tree.cast::<pg_sys::CompositeTypeStmt>()).typevar),
            T_CreateFunctionStmt => listed((*tree.cast::<pg_sys::CreateFunctionStmt>()).funcname),
            T_CreateDomainStmt => listed((*tree.cast::<pg_sys::CreateDomainStmt>()).domainname),
            T_CreateEnumStmt => listed((*tree.cast::<pg_sys::CreateEnumStmt>()).typeName),
            T_CreateRangeStmt => listed((*tree.cast::<pg_sys::CreateRangeStmt>()).typeName),
            T_DefineStmt => listed((*tree.cast::<pg_sys::DefineStmt>()).defnames),
            T_CreateConversionStmt => {
                listed((*tree.cast::<pg_sys::CreateConversionStmt>()).conversion_name)
            }
            T_CreateOpClassStmt => listed((*tree.cast::<pg_sys::CreateOpClassStmt>()).opclassname),
            T_CreateOpFamilyStmt => {
                listed((*tree.cast::<pg_sys::CreateOpFamilyStmt>()).opfamilyname)
            }
            T_ImportForeignSchemaStmt => {
                let statement: *mut pg_sys::ImportForeignSchemaStmt = tree.cast();
                let schema = text((*statement).local_schema)?;
                names::is_own_schema(&schema).then_some(Statement::CreateAmongOwn(None))
            }
            _ => None,
        }
    }
}

/// A child of one of our tables would add its rows to what is read there.
unsafe fn inherited(parents: *mut pg_sys::List) -> Option<Statement> {
    // SAFETY: a list of RangeVar nodes.
    unsafe {
        items::<pg_sys::RangeVar>(parents)
            .filter_map(|name| relation(name))
            .find(|id| names::is_own_relation(*id))
            .map(|id| Statement::Change(Object::relation(id)))
    }
}

unsafe fn made(name: *const pg_sys::RangeVar) -> Option<Statement> {
    // SAFETY: a RangeVar of the parse tree.
    unsafe {
        if (*name).relpersistence == pg_sys::RELPERSISTENCE_TEMP as std::ffi::c_char {
            return None;
        }
        let schema = text((*name).schemaname);
        goes_among_own(schema.as_deref(), || text((*name).relname))
    }
}

unsafe fn listed(name: *mut pg_sys::List) -> Option<Statement> {
    // SAFETY: a list of String nodes.
    unsafe {
        goes_among_own(qualifier(name).as_deref(), || {
            let last = items::<pg_sys::String>(name).last()?;
            text((*last).sval)
        })
    }
}

fn goes_among_own(
    schema: Option<&str>,
    name: impl FnOnce() -> Option<String>,
) -> Option<Statement> {
    let is_own = match schema {
        Some(schema) => names::is_own_schema(schema),
        None => names::is_own_first_on_path(),
    };
    if !is_own {
        return None;
    }
    Some(Statement::CreateAmongOwn(name()))
}

/// The schema in a qualified name.
unsafe fn qualifier(name: *mut pg_sys::List) -> Option<String> {
    // SAFETY: a list of String nodes.
    unsafe {
        let parts: Vec<*mut pg_sys::String> = items(name).collect();
        let [.., schema, _] = parts[..] else {
            return None;
        };
        text((*schema).sval)
    }
}
