//! Whether the caller may do what a statement does. If not, Postgres says so itself, and first.

use pgrx::pg_sys;

use crate::pg::tree::{Action, Statement};
use crate::pg::{compat, names, relation, session};

/// Whether Postgres lets the caller issue the statement, as far as it matters to an early refusal.
pub fn is_given(statement: &Statement) -> bool {
    let user = session::user();
    let owns = |class, id| compat::owns(class, id, user);
    let owns_relation = |id: &pg_sys::Oid| owns(pg_sys::RelationRelationId, *id);
    match statement {
        Statement::AlterTable { relation, actions } => {
            owns_relation(relation)
                && actions.iter().all(|action| match action {
                    Action::ChangeParents(Some(parent)) => owns_relation(parent),
                    _ => true,
                })
        }
        Statement::CreateIndex { relation, .. }
        | Statement::RenameRelation { relation, .. }
        | Statement::RenameColumn { relation, .. }
        | Statement::RenameConstraint { relation, .. }
        | Statement::MoveRelation { relation, .. } => owns_relation(relation),
        Statement::DropRelations { relations, .. } => relations.iter().all(|id| {
            owns_relation(id)
                || relation::class(*id)
                    .is_some_and(|class| owns(pg_sys::NamespaceRelationId, class.schema))
        }),
        Statement::Truncate(relations) => relations
            .iter()
            .all(|id| compat::may(*id, user, pg_sys::ACL_TRUNCATE)),
        // CREATE TRIGGER takes a privilege only.
        Statement::Change(object) => {
            owns(object.class, object.id)
                || (object.class == pg_sys::RelationRelationId
                    && compat::may(object.id, user, pg_sys::ACL_TRIGGER))
        }
        Statement::CreatePartition { parent, .. } => owns_relation(parent),
        Statement::RenameSchema(name) => {
            owns(pg_sys::NamespaceRelationId, names::schema_of_name(name))
        }
        Statement::MoveExtension(name) => {
            owns(pg_sys::ExtensionRelationId, names::extension_of_name(name))
        }
        Statement::CreateAmongOwn(_) => compat::may_create_in(names::own_schema(), user),
        Statement::ChangeMembers(_) => owns(pg_sys::ExtensionRelationId, names::own_extension()),
        Statement::ChangeType(id, _) | Statement::AlterDomain(id, _) => {
            owns(pg_sys::TypeRelationId, *id)
        }
        Statement::ChangePublications(_, publications) => publications
            .iter()
            .map(|name| names::publication_id(name))
            .filter(|id| *id != pg_sys::Oid::INVALID)
            .all(|id| owns(pg_sys::PublicationRelationId, id)),
        Statement::DropOwned(roles) => roles.iter().all(|role| session::has_privileges_of(*role)),
        Statement::CreateEventTrigger(_) => session::is_superuser(),
        Statement::DropExtensions(names) => names
            .iter()
            .map(|name| names::extension_of_name(name))
            .filter(|id| *id != pg_sys::Oid::INVALID)
            .all(|id| owns(pg_sys::ExtensionRelationId, id)),
        Statement::AddLabel(_) | Statement::Reindex { .. } | Statement::Other => true,
    }
}
