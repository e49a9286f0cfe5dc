//! Early refusals, from the parse tree: what would be refused by its effect is refused before a table is locked or
//! rewritten, with the same error; and what leaves no effect to compare is refused here alone.
//!
//! Where the parse tree is not enough, the effect decides ([`crate::capture`]).

use std::rc::Rc;

use electric_schema::diff;
use electric_schema::model::Table;
use electric_schema::policy::{Policy, widens};
use electric_schema::refusal::{self, Refusal};
use pgrx::pg_sys;

use crate::error::Error;
use crate::pg::tree::{Action, AddedColumn, DomainChange, Statement};
use crate::pg::{relation, session, touched, types};
use crate::watch::Watch;
use crate::{catalog, permissions, settings, store};

mod extensions;
mod own;
pub mod partitions;
pub mod permission;

/// Refuses the statement if its parse tree shows that it must be. What the caller may not do is left to Postgres, whose
/// own error comes first then.
pub fn refuse(statement: &Statement, watch: &Watch) -> Result<(), Error> {
    match judge(statement, watch) {
        Err(error) if error.is_refusal() && !permission::is_given(statement) => Ok(()),
        judged => judged,
    }
}

fn judge(statement: &Statement, watch: &Watch) -> Result<(), Error> {
    let (policy, unrestricted) = settings::effective_policy();
    if unrestricted {
        return Ok(());
    }
    own::refuse(statement)?;
    if watch.is_empty() {
        return Ok(());
    }
    match statement {
        Statement::AlterTable { relation, actions } => {
            if let Some(table) = electrified(*relation, watch)? {
                alter(&table, actions, policy)?;
            }
            partitions::alter(*relation, actions, watch)
        }
        Statement::CreateIndex {
            relation,
            unique: true,
            columns,
            ..
        } => match electrified(*relation, watch)? {
            Some(table) => permissions::keep::refuse_unique_index(&table, columns.as_deref()),
            None => Ok(()),
        },
        Statement::RenameRelation { relation, to } => {
            let table = electrified(*relation, watch)?;
            table.map_or(
                Ok(()),
                |table| Err(refusal::rename_table(&table, to).into()),
            )
        }
        Statement::RenameColumn {
            relation,
            column,
            to,
        } => match electrified(*relation, watch)? {
            Some(table) => match table.column(column) {
                Some(found) => {
                    let type_sql = &found.data_type.sql;
                    Err(refusal::rename_column(&table, column, to, type_sql).into())
                }
                None => Ok(()),
            },
            None => Ok(()),
        },
        Statement::RenameConstraint {
            relation,
            constraint,
        } => match electrified(*relation, watch)? {
            Some(table) if has_constraint(&table, constraint) => {
                Err(refusal::rename_constraint(&table, constraint).into())
            }
            _ => Ok(()),
        },
        Statement::MoveRelation { relation, schema } => match electrified(*relation, watch)? {
            Some(table) if table.schema != *schema => {
                Err(refusal::move_table(&table, schema).into())
            }
            _ => Ok(()),
        },
        Statement::DropRelations { relations, .. } => {
            for &id in relations {
                if let Some(table) = electrified(id, watch)? {
                    return Err(refusal::drop_table(&table).into());
                }
                partitions::rows(id, watch, "drop")?;
            }
            Ok(())
        }
        Statement::Truncate(relations) => partitions::truncate(relations, watch),
        Statement::MoveExtension(name) => extensions::stay(|found, _| found == name),
        Statement::RenameSchema(name) => extensions::stay(|_, schema| schema == name),
        Statement::CreatePartition { .. } => partitions::create(statement, watch),
        Statement::ChangeType(id, action) if watch.uses(*id) => match store::types::get(*id)? {
            Some((recorded, _)) => {
                let (schema, name) = (&recorded.schema, &recorded.name);
                Err(refusal::change_type_in_use(schema, name, action).into())
            }
            None => Ok(()),
        },
        Statement::AlterDomain(id, change) if watch.uses(*id) && takes_effect(*id, change) => {
            match store::types::get(*id)? {
                Some((recorded, _)) => {
                    let (schema, name) = (&recorded.schema, &recorded.name);
                    Err(refusal::change_type_in_use(schema, name, "alter").into())
                }
                None => Ok(()),
            }
        }
        Statement::DropOwned(roles) => own::publication_of(roles),
        Statement::ChangePublications(action, publications) => {
            let ours = settings::publication();
            if publications.contains(&ours) {
                return Err(refusal::change_publication(&ours, action).into());
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The recorded shape, if the relation is an electrified table.
fn electrified(id: pg_sys::Oid, watch: &Watch) -> Result<Option<Rc<Table>>, Error> {
    if watch.has(id) {
        store::shapes::shape(id)
    } else {
        Ok(None)
    }
}

fn has_constraint(table: &Table, name: &str) -> bool {
    let constraints = table
        .unique
        .iter()
        .chain(&table.checks)
        .chain(&table.exclusions)
        .chain(&table.primary_key_constraint);
    constraints
        .map(|c| &c.name)
        .chain(table.foreign_keys.iter().map(|k| &k.name))
        .any(|n| n == name)
}

fn alter(table: &Table, actions: &[Action], policy: Policy) -> Result<(), Refusal> {
    let adds_columns = actions
        .iter()
        .any(|action| matches!(action, Action::AddColumn(_)));
    for action in actions {
        match action {
            Action::DropColumn(name) if table.column(name).is_some() => {
                return Err(refusal::drop_column(table, name));
            }
            Action::ChangeType { column, to, using } => {
                change_type(table, column, *to, *using, policy)?
            }
            Action::SetNotNull(name) if table.column(name).is_some_and(|c| c.nullable) => {
                return Err(refusal::set_not_null(table, name));
            }
            Action::DropNotNull(name)
                if policy == Policy::Additive
                    && !table.primary_key.contains(name)
                    && table.column(name).is_some_and(|c| !c.nullable) =>
            {
                return Err(refusal::drop_not_null(table, name));
            }
            Action::AddPrimaryKey => return Err(refusal::change_primary_key(table)),
            // One that concerns a column of the same statement alone is part of that column.
            Action::AddConstraint(name) if !adds_columns => {
                return Err(refusal::add_constraint(table, name));
            }
            Action::DropConstraint(name) if has_constraint(table, name) => {
                if table
                    .primary_key_constraint
                    .as_ref()
                    .is_some_and(|key| key.name == *name)
                {
                    return Err(refusal::change_primary_key(table));
                }
                if policy == Policy::Additive {
                    return Err(refusal::drop_constraint(table, name));
                }
            }
            Action::ReplicaIdentity(letter) if is_weaker(*letter) => {
                return Err(refusal::weaken_replica_identity(table));
            }
            Action::SetUnlogged => return Err(refusal::set_unlogged(table)),
            Action::ChangeParents(_) => return Err(refusal::change_parents(table)),
            Action::AddColumn(column) => add_column(table, column)?,
            _ => {}
        }
    }
    Ok(())
}

/// Whether old rows would say less than `electric.replica_identity` asks for. An index other than the primary key does
/// not find rows on replicas.
fn is_weaker(letter: u8) -> bool {
    match settings::REPLICA_IDENTITY.get() {
        settings::ReplicaIdentity::Full => letter != b'f',
        settings::ReplicaIdentity::Default => letter != b'f' && letter != b'd',
    }
}

/// USING may give every row another value although no shape shows it.
fn change_type(
    table: &Table,
    column: &str,
    to: Option<(pg_sys::Oid, i32)>,
    using: bool,
    policy: Policy,
) -> Result<(), Refusal> {
    let Some(found) = table.column(column) else {
        return Ok(());
    };
    let to = to.and_then(|(id, modifier)| {
        let dims = i32::try_from(found.data_type.array_dims).unwrap_or(0);
        session::printing(|| types::column_type(id, modifier, dims))
    });
    let Some(to) = to else { return Ok(()) };
    let allowed =
        to == found.data_type || (policy == Policy::Compatible && widens(&found.data_type, &to));
    if allowed && !using {
        return Ok(());
    }
    if to == found.data_type {
        return Err(refusal::rewrite(table));
    }
    Err(refusal::change_type(table, column, &to.sql))
}

/// Whether ALTER DOMAIN will leave the domain other than it is, as far as its parse tree tells.
fn takes_effect(id: pg_sys::Oid, change: &DomainChange) -> bool {
    let promises = types::domain_promises(id);
    match change {
        DomainChange::AddConstraint => true,
        DomainChange::SetNotNull => promises.is_some_and(|domain| !domain.not_null),
        DomainChange::DropNotNull => promises.is_some_and(|domain| domain.not_null),
        DomainChange::DropDefault => promises.is_some_and(|domain| domain.has_default),
        DomainChange::OfConstraint(name) => types::domain_constraints(id)
            .iter()
            .any(|check| check.name == *name),
        DomainChange::Other => false,
    }
}

fn add_column(table: &Table, column: &AddedColumn) -> Result<(), Refusal> {
    if column.if_not_exists && table.column(&column.name).is_some() {
        return Ok(());
    }
    let data_type = column
        .data_type
        .and_then(|(id, modifier)| session::printing(|| types::column_type(id, modifier, 0)));
    let type_sql = data_type
        .as_ref()
        .map_or("integer", |found| found.sql.as_str());
    let name = column.name.as_str();
    if column.is_generated {
        return Err(refusal::add_generated_column(table, name, type_sql));
    }
    if data_type.as_ref().is_some_and(catalog::is_unsupported) {
        return Err(refusal::add_unsupported_column(table, name, type_sql));
    }
    if column.is_numbered {
        return Err(refusal::add_volatile_column(table, name, type_sql));
    }
    if column.is_primary_key && table.primary_key.is_empty() {
        return Err(refusal::change_primary_key(table));
    }
    // A domain may bring a default of its own.
    let from_domain = column
        .data_type
        .is_some_and(|(id, _)| types::domain_base(id).is_some());
    let has_no_value = column.null_default || (!column.has_default && !from_domain);
    if column.not_null && has_no_value {
        return Err(refusal::add_not_null_column(table, name, type_sql));
    }
    if let Some(other) = diff::colliding_name(table, name) {
        return Err(refusal::add_colliding_column(table, name, &other.name));
    }
    Ok(())
}

/// A table is about to be rewritten. Values of a column that USING computes may change although no shape shows it; what
/// any other change of a type does, its effect shows.
pub fn rewrite(table: pg_sys::Oid, reason: i32, watch: &Watch) -> Result<(), Error> {
    let has = |flag: u32| reason & flag as i32 != 0;
    let root = relation::root_of_partition(table).unwrap_or(table);
    if has(pg_sys::AT_REWRITE_ALTER_PERSISTENCE) && root != table && watch.has(root) {
        touched::moves(root, table, touched::How::Logged);
    }
    let computes = has(pg_sys::AT_REWRITE_COLUMN_REWRITE) && touched::computes_values();
    if !computes || !watch.has(root) {
        return Ok(());
    }
    if settings::effective_policy().1 {
        touched::rewrites(root);
        return Ok(());
    }
    match electrified(root, watch)? {
        Some(table) => Err(refusal::rewrite(&table).into()),
        None => Ok(()),
    }
}
