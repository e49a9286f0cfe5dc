//! Partitions of electrified tables: what the parse tree shows to be refused, and what is locked early.

use electric_schema::refusal;
use pgrx::pg_sys;

use super::electrified;
use crate::error::Error;
use crate::pg::tree::{Action, Statement};
use crate::pg::{locks, names, relation};
use crate::settings;
use crate::store;
use crate::watch::Watch;

/// A partition is created. Rows of an unlogged one are in no stream.
pub fn create(statement: &Statement, watch: &Watch) -> Result<(), Error> {
    let Statement::CreatePartition {
        parent,
        schema,
        name,
        is_logged: false,
    } = statement
    else {
        return Ok(());
    };
    match watch.root_or_self(*parent) {
        Some(root) => Err(unlogged(root, &(schema.clone(), name.clone()), true)?),
        None => Ok(()),
    }
}

/// ALTER TABLE of a partition, or of the partitioned table. Rows that come or go with a partition are in no stream.
pub fn alter(relation: pg_sys::Oid, actions: &[Action], watch: &Watch) -> Result<(), Error> {
    for action in actions {
        match action {
            Action::Detach { partition, .. } => rows(*partition, watch, "detach")?,
            Action::Attach(partition) => {
                if let Some(table) = electrified(*partition, watch)? {
                    return Err(refusal::change_parents(&table).into());
                }
                if let Some(root) = watch.root_or_self(relation) {
                    attach(root, *partition)?;
                }
            }
            Action::SetUnlogged => {
                if let Some(root) = watch.root_of(relation) {
                    return Err(unlogged(root, &names::shown(relation), false)?);
                }
            }
            // Under a root with FULL the partition gets FULL when the command ends.
            Action::ReplicaIdentity(b'n' | b'i') => {
                let identity = |id| relation::class(id).map(|class| class.replica_identity);
                if let Some(root) = watch.root_of(relation)
                    && identity(root) == Some(b'd')
                {
                    let (schema, name) = names::shown(relation);
                    let table = recorded(root)?;
                    return Err(
                        refusal::weaken_identity_of_partition(&table, &schema, &name).into(),
                    );
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A table that cannot become a partition of the electrified root as it is.
pub fn attach(root: pg_sys::Oid, partition: pg_sys::Oid) -> Result<(), Error> {
    let mut all = relation::descendants(partition);
    all.insert(0, partition);
    let is_unlogged =
        |id: &pg_sys::Oid| relation::class(*id).is_some_and(|class| class.persistence == b'u');
    if let Some(found) = all.into_iter().find(is_unlogged) {
        return Err(unlogged(root, &names::shown(found), true)?);
    }
    if relation::has_rows(partition) {
        return Err(holds_rows(root, &names::shown(partition), "attach")?);
    }
    Ok(())
}

/// The statement takes its rows from a partition, or drops it.
pub fn rows(id: pg_sys::Oid, watch: &Watch, action: &str) -> Result<(), Error> {
    match watch.root_of(id) {
        Some(root) if relation::has_rows(id) => Err(holds_rows(root, &names::shown(id), action)?),
        _ => Ok(()),
    }
}

/// TRUNCATE. A partition that goes with its root is truncated on replicas too.
pub fn truncate(relations: &[pg_sys::Oid], watch: &Watch) -> Result<(), Error> {
    for id in truncated_alone(relations, watch) {
        rows(id, watch, "truncate")?;
    }
    Ok(())
}

fn truncated_alone(relations: &[pg_sys::Oid], watch: &Watch) -> Vec<pg_sys::Oid> {
    let alone =
        |id: &pg_sys::Oid| matches!(watch.root_of(*id), Some(root) if !relations.contains(&root));
    relations.iter().copied().filter(alone).collect()
}

/// Takes the locks that the statement would take itself, where its rows must be seen before and will be gone after: rows
/// that others are just adding are waited for. Whatever else empties partitions holds its locks when they are looked at.
pub fn lock(statement: &Statement, watch: &Watch) {
    if let Statement::Truncate(relations) = statement
        && !truncated_alone(relations, watch).is_empty()
    {
        locks::as_truncate(relations);
    }
}

/// Whether rows may come or go with a partition, and be recorded under the policy that lets them. Commands that commit
/// in between could not keep the lock.
pub fn migrates(statement: &Statement, watch: &Watch) -> bool {
    let is_partition = |id: &pg_sys::Oid| watch.root_of(*id).is_some();
    let of_partition = match statement {
        Statement::AlterTable { relation, actions } => actions.iter().any(|action| match action {
            Action::Attach(_) => watch.root_or_self(*relation).is_some(),
            Action::Detach {
                partition,
                concurrently: false,
            } => is_partition(partition),
            Action::SetUnlogged => is_partition(relation),
            _ => false,
        }),
        Statement::CreatePartition {
            parent, is_logged, ..
        } => !is_logged && watch.root_or_self(*parent).is_some(),
        Statement::DropRelations { relations, .. } => relations.iter().any(is_partition),
        Statement::Truncate(relations) => !truncated_alone(relations, watch).is_empty(),
        _ => false,
    };
    of_partition && settings::effective_policy().1
}

/// The refusal of rows that come or go with a partition.
pub fn holds_rows(
    root: pg_sys::Oid,
    (schema, name): &(String, String),
    action: &str,
) -> Result<Error, Error> {
    let table = recorded(root)?;
    Ok(refusal::partition_with_rows(&table, schema, name, action).into())
}

/// The refusal of a partition that is unlogged when it joins, or becomes so.
pub fn unlogged(
    root: pg_sys::Oid,
    (schema, name): &(String, String),
    joins: bool,
) -> Result<Error, Error> {
    let table = recorded(root)?;
    Ok(refusal::unlogged_partition(&table, schema, name, joins).into())
}

fn recorded(root: pg_sys::Oid) -> Result<std::rc::Rc<electric_schema::model::Table>, Error> {
    store::shapes::shape(root)?
        .ok_or_else(|| Error::internal("a partitioned table is electrified and not recorded"))
}
