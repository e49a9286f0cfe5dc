//! Privileges and assignments when tables change: what they rely on is kept, or they go, and that is said.

use electric_schema::change::Change;
use electric_schema::model::Table;
use electric_schema::names::qualified;
use electric_schema::permissions::{self as rules, Assignment, Constraining, Grant, Privilege};
use electric_schema::refusal;

use super::{Wanted, checked_by_domain, lookup, obstacles, store_assignments, store_grants};
use crate::error::Error;
use crate::pg::condition;
use crate::pg::entry::warning;
use crate::pg::heap::Seen;
use crate::pg::names;
use crate::store;
use crate::store::permissions as rows;

/// A change is about to be recorded: refuses one that would take away what privileges rely on, or constrain rows that
/// clients may write. `after` is the table that results.
pub fn refuse_if_needed(change: &Change, after: &Table) -> Result<(), Error> {
    let constraining = match change {
        Change::AddColumn {
            column,
            constraints,
            ..
        } => (!constraints.is_empty() || checked_by_domain(after).contains(&column.name))
            .then_some(Constraining::Column(&column.name)),
        Change::CreateIndex(index) => index
            .unique
            .then_some(Constraining::Index(Some(&index.name))),
        _ => None,
    };
    if let Some(what) = constraining {
        let granted: Vec<Grant> = rows::of_table(&after.schema, &after.name, Seen::Now)?;
        let wanted: Vec<Wanted> = granted
            .into_iter()
            .map(|grant| (grant.privilege, grant.columns))
            .collect();
        let found = obstacles(after, &wanted);
        if let Some(first) = found.first() {
            return Err(rules::refuse_constraint(after, what, &first.problem).into());
        }
    }
    if let Change::DropConstraint { name, .. } = change {
        let lost = |schema: &str, table: &str| {
            if (schema, table) == (after.schema.as_str(), after.name.as_str()) {
                Some(after.clone())
            } else {
                lookup(schema, table)
            }
        };
        let (grants, assignments) = broken(&lost, None)?;
        let of: Option<String> = grants
            .first()
            .map(|grant| qualified(&grant.table_schema, &grant.table_name))
            .or_else(|| {
                let of = assignments.first()?;
                Some(qualified(&of.table_schema, &of.table_name))
            });
        if let Some(of) = of {
            return Err(rules::refuse_drop_way(after, name, &of).into());
        }
    }
    Ok(())
}

/// CREATE UNIQUE INDEX is about to run, on these columns, or on what only its effect shows: refuses what would stand in
/// the way of what clients may write. Built CONCURRENTLY it would be there, and enforced, before its effect could be
/// refused.
pub fn refuse_unique_index(table: &Table, columns: Option<&[String]>) -> Result<(), Error> {
    let granted: Vec<Grant> = rows::of_table(&table.schema, &table.name, Seen::Now)?;
    let meets = |written: &Vec<String>| {
        columns.is_none_or(|columns| columns.iter().any(|column| written.contains(column)))
    };
    let anywhere = granted.iter().any(|grant| {
        grant.privilege == Privilege::Insert
            || grant.privilege == Privilege::Update && grant.columns.as_ref().is_none_or(meets)
    });
    if !anywhere {
        return Ok(());
    }
    let problem = "What two clients write can violate a unique index.";
    Err(rules::refuse_constraint(table, Constraining::Index(None), problem).into())
}

/// The grants and assignments that name what is not there any more.
/// Of the conditions, those over rows of the table that changed are looked at.
fn broken(
    lookup: rules::Lookup<'_>,
    changed: Option<&Table>,
) -> Result<(Vec<Grant>, Vec<Assignment>), Error> {
    let lacks_columns = |schema: &str, name: &str, condition: &Option<String>| {
        changed
            .filter(|table| table.schema == schema && table.name == name)
            .zip(condition.as_deref())
            .is_some_and(|(table, condition)| lacks_columns(table, condition))
    };
    let stands = |schema: &str,
                  name: &str,
                  columns: &[String],
                  scope: Option<(&str, &str)>,
                  path: Option<&[String]>| {
        let Some(table) = lookup(schema, name) else {
            // Of a table that cannot be read nothing is known to have gone.
            return is_unreadable(schema, name);
        };
        let reaches = match scope {
            None => true,
            Some(scope) if path.is_none() => scope == (schema, name),
            Some(scope) => rules::resolve_path(&table, scope, path, lookup).is_ok(),
        };
        rules::check_columns(&table, columns).is_ok() && reaches
    };
    let mut grants: Vec<Grant> = rows::all(Seen::Now)?;
    grants.retain(|of| {
        let columns = of.columns.as_deref().unwrap_or_default();
        let path = of.using_path.as_deref();
        !stands(&of.table_schema, &of.table_name, columns, of.scope(), path)
            || lacks_columns(&of.table_schema, &of.table_name, &of.condition)
    });
    let mut assignments: Vec<Assignment> = rows::all(Seen::Now)?;
    assignments.retain(|of| {
        let columns: Vec<String> = [Some(&of.user_column), of.role_column.as_ref()]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        let path = of.using_path.as_deref();
        !stands(&of.table_schema, &of.table_name, &columns, of.scope(), path)
            || lacks_columns(&of.table_schema, &of.table_name, &of.condition)
    });
    Ok((grants, assignments))
}

fn is_unreadable(schema: &str, name: &str) -> bool {
    names::relation_of(schema, name)
        .is_some_and(|id| store::shapes::shape(id).is_err_and(|error| error.is_damage()))
}

/// Whether a condition over rows of the table names a column that is not there. It was analysed when it was granted, as
/// the role that granted it; nothing in it is looked up again by whoever changes the table.
fn lacks_columns(table: &Table, condition: &str) -> bool {
    condition::names(&table.name, condition)
        .iter()
        .any(|name| name != "*" && table.column(name).is_none())
}

/// A table was replaced under the policy that refuses nothing: what named something that went is taken back, with a
/// warning.
pub fn repair(changed: Option<&Table>) -> Result<(), Error> {
    let (grants, assignments) = broken(&lookup, changed)?;
    let mut tables: Vec<(String, String)> = grants
        .iter()
        .map(|of| (of.table_schema.clone(), of.table_name.clone()))
        .chain(
            assignments
                .iter()
                .map(|of| (of.table_schema.clone(), of.table_name.clone())),
        )
        .collect();
    tables.sort();
    tables.dedup();
    for (schema, name) in tables {
        let Some(table) = lookup(&schema, &name) else {
            forget(&schema, &name)?;
            continue;
        };
        let mut kept: Vec<Grant> = rows::of_table(&schema, &name, Seen::Now)?;
        let before = kept.len();
        kept.retain(|grant| !grants.contains(grant));
        let revoked = before - kept.len();
        if revoked > 0 {
            store_grants(&table, &kept, Change::Revoke(kept.clone()))?;
        }
        let mut kept: Vec<Assignment> = rows::of_table(&schema, &name, Seen::Now)?;
        let before = kept.len();
        kept.retain(|of| !assignments.contains(of));
        let unassigned = before - kept.len();
        if unassigned > 0 {
            store_assignments(&table, &kept, Change::Unassign(kept.clone()))?;
        }
        say_gone(&schema, &name, revoked, unassigned);
    }
    Ok(())
}

/// A table is no longer electrified: nothing is granted on it, and its rows give no roles.
pub fn forget(schema: &str, name: &str) -> Result<(), Error> {
    let grants = rows::of_table::<Grant>(schema, name, Seen::Now)?.len();
    let assignments = rows::of_table::<Assignment>(schema, name, Seen::Now)?.len();
    if grants + assignments > 0 {
        rows::replace::<Grant>(schema, name, &[])?;
        rows::replace::<Assignment>(schema, name, &[])?;
        say_gone(schema, name, grants, assignments);
    }
    Ok(())
}

fn say_gone(schema: &str, name: &str, grants: usize, assignments: usize) {
    warning(&format!(
        "table {} lost {grants} of its grants and {assignments} of its assignments",
        refusal::shown(schema, name)
    ));
}
