//! RENAME and SET SCHEMA, of whatever has a name.

use pgrx::pg_sys;

use super::super::{names, types};
use super::{DomainChange, Statement, object, relation, text, type_id};

#[allow(non_upper_case_globals, reason = "the server's names")]
pub unsafe fn rename(statement: *mut pg_sys::RenameStmt) -> Option<Statement> {
    use pg_sys::ObjectType::*;
    // SAFETY: the kind of object says what the other fields are.
    unsafe {
        let to = text((*statement).newname)?;
        let part = || text((*statement).subname);
        Some(match (*statement).renameType {
            OBJECT_TABLE | OBJECT_INDEX | OBJECT_SEQUENCE | OBJECT_VIEW => {
                Statement::RenameRelation {
                    relation: relation((*statement).relation)?,
                    to,
                }
            }
            OBJECT_COLUMN => Statement::RenameColumn {
                relation: relation((*statement).relation)?,
                column: part()?,
                to,
            },
            OBJECT_TABCONSTRAINT => Statement::RenameConstraint {
                relation: relation((*statement).relation)?,
                constraint: part()?,
            },
            OBJECT_TYPE | OBJECT_DOMAIN => {
                let id = type_id((*statement).object.cast())?;
                Statement::ChangeType(types::made_of(id), "rename")
            }
            OBJECT_DOMCONSTRAINT => Statement::AlterDomain(
                type_id((*statement).object.cast())?,
                DomainChange::OfConstraint(part()?),
            ),
            OBJECT_SCHEMA => Statement::RenameSchema(text((*statement).subname)?),
            OBJECT_PUBLICATION => {
                let name: *mut pg_sys::String = (*statement).object.cast();
                Statement::ChangePublications("rename", text((*name).sval).into_iter().collect())
            }
            kind => Statement::Change(object::named(
                kind,
                (*statement).relation,
                (*statement).object,
            )?),
        })
    }
}

#[allow(non_upper_case_globals, reason = "the server's names")]
pub unsafe fn set_schema(statement: *mut pg_sys::AlterObjectSchemaStmt) -> Option<Statement> {
    use pg_sys::ObjectType::*;
    // SAFETY: the kind of object says what the other fields are.
    unsafe {
        if text((*statement).newschema).is_some_and(|schema| names::is_own_schema(&schema)) {
            return Some(Statement::CreateAmongOwn(None));
        }
        match (*statement).objectType {
            OBJECT_TABLE | OBJECT_SEQUENCE | OBJECT_VIEW => Some(Statement::MoveRelation {
                relation: relation((*statement).relation)?,
                schema: text((*statement).newschema)?,
            }),
            OBJECT_TYPE | OBJECT_DOMAIN => {
                let id = type_id((*statement).object.cast())?;
                let id = types::made_of(id);
                Some(Statement::ChangeType(id, "change the schema of"))
            }
            OBJECT_EXTENSION => {
                let name: *mut pg_sys::String = (*statement).object.cast();
                text((*name).sval).map(Statement::MoveExtension)
            }
            kind => object::named(kind, (*statement).relation, (*statement).object)
                .map(Statement::Change),
        }
    }
}
