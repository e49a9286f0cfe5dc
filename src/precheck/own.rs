//! What belongs to the extension is changed by the extension alone.

use electric_schema::refusal;
use pgrx::pg_sys;

use crate::error::Error;
use crate::pg::tree::{Action, Object, Statement};
use crate::pg::{names, relation, session};
use crate::settings;

/// Refuses a change of what is the extension's own: its tables and what hangs on them, its functions, event triggers,
/// schema and members.
pub fn refuse(statement: &Statement) -> Result<(), Error> {
    let owned = |id: &pg_sys::Oid| names::is_own_relation(*id);
    let found: Option<pg_sys::Oid> = match statement {
        // What restores rows without the rest may have triggers wait; ours are put back when the command ends.
        Statement::AlterTable { actions, .. }
            if session::loads_dump() && actions.iter().all(|of| *of == Action::AllTriggers) =>
        {
            None
        }
        Statement::AlterTable { relation, actions } => Some(*relation)
            .filter(owned)
            .or_else(|| parents(actions).find(owned)),
        Statement::CreateIndex { relation, .. }
        | Statement::RenameRelation { relation, .. }
        | Statement::RenameColumn { relation, .. }
        | Statement::RenameConstraint { relation, .. }
        | Statement::MoveRelation { relation, .. } => Some(*relation),
        Statement::DropRelations { relations, .. } => relations.iter().copied().find(owned),
        Statement::Change(object) if object.class == pg_sys::RelationRelationId => Some(object.id),
        Statement::Change(object) => return other(object),
        Statement::RenameSchema(name) => {
            return other(&Object {
                class: pg_sys::NamespaceRelationId,
                id: names::schema_of_name(name),
            });
        }
        Statement::CreateEventTrigger(function) => {
            return match names::is_own(pg_sys::ProcedureRelationId, *function) {
                true => Err(refusal::serve_event_trigger(&names::function_name(*function)).into()),
                false => Ok(()),
            };
        }
        Statement::CreateAmongOwn(name) => {
            return Err(refusal::create_among_own(name.as_deref()).into());
        }
        Statement::ChangeMembers(extension) if extension == "electric" => {
            return Err(refusal::change_own_members().into());
        }
        _ => None,
    };
    match found.filter(owned).and_then(names::relation_name) {
        Some(name) => Err(refusal::change_own_object(&name).into()),
        None => Ok(()),
    }
}

/// A child of one of our tables would add its rows to what is read there.
fn parents(actions: &[Action]) -> impl Iterator<Item = pg_sys::Oid> {
    actions.iter().filter_map(|action| match action {
        Action::ChangeParents(parent) => *parent,
        _ => None,
    })
}

fn other(object: &Object) -> Result<(), Error> {
    if !names::is_own(object.class, object.id) {
        return Ok(());
    }
    match names::described(object.class, object.id) {
        Some((kind, name)) => Err(refusal::change_own(&kind, &name).into()),
        None => Ok(()),
    }
}

/// Refuses DROP OWNED of the publication. Where the extension goes with it, there is nothing left to keep.
pub fn publication_of(roles: &[pg_sys::Oid]) -> Result<(), Error> {
    let ours = settings::publication();
    let extension = names::extension_owner(names::own_extension());
    match relation::publication(names::publication_id(&ours)) {
        Some(publication) if roles.contains(&publication.owner) && !roles.contains(&extension) => {
            Err(refusal::change_publication(&ours, "drop").into())
        }
        _ => Ok(()),
    }
}
