//! Electrified tables that a command touched: their recorded shape, the catalog's, and what lies between.

use std::collections::BTreeMap;
use std::rc::Rc;

use electric_schema::change::Change;
use electric_schema::dialect::sqlite;
use electric_schema::diff::{self, Facts};
use electric_schema::identity::Ids;
use electric_schema::model::{Column, Index, Table};
use electric_schema::policy::Policy;
use electric_schema::refusal::{self, Refusal};
use pgrx::pg_sys;

use super::{record, replace, types};
use crate::catalog::{self, Actual};
use crate::error::Error;
use crate::permissions;
use crate::pg::touched::Reach;
use crate::pg::{locks, relation, size, xact};
use crate::settings;
use crate::store;
use crate::store::Recorded;
use crate::watch::Watch;

/// What is recorded of a table and what the catalog has, made comparable.
pub(super) struct Compared {
    pub(super) recorded: Table,
    identity: Rc<Ids>,
    pub(super) actual: Actual,
    successors: Option<BTreeMap<String, String>>,
}

/// Reads both; `None` if the table is not electrified any more. An error if it is gone.
fn compare(id: pg_sys::Oid) -> Result<Option<Compared>, Error> {
    let Some(Recorded { table, identity }) = store::shapes::get(id)? else {
        return Ok(None);
    };
    let Some(actual) = catalog::table(id) else {
        return Err(refusal::drop_table(&table).into());
    };
    let mut recorded = Rc::unwrap_or_clone(table);
    identity.refresh(&actual.identity, &mut recorded, &actual.table);
    let successors = identity.successors(&actual.identity);
    Ok(Some(Compared {
        recorded,
        identity,
        actual,
        successors,
    }))
}

impl Compared {
    fn has_no_changes(&self) -> bool {
        let changes = self.changes(&Facts::default(), Policy::Additive);
        changes.is_ok_and(|changes| changes.is_empty())
    }

    fn changes(&self, facts: &Facts, policy: Policy) -> Result<Vec<Change>, Refusal> {
        let Compared {
            recorded,
            identity,
            actual,
            successors,
        } = self;
        if actual.class.persistence != b'p' {
            return Err(refusal::set_unlogged(recorded));
        }
        if identity.changed_parents(&actual.identity) {
            return Err(refusal::change_parents(recorded));
        }
        diff::diff(recorded, &actual.table, facts, successors.as_ref(), policy)
    }
}

/// Records or refuses what happened to an electrified table that is within the command's reach.
pub fn touched(id: pg_sys::Oid, reach: &Reach, watch: &Watch) -> Result<(), Error> {
    // Before the lock another transaction may change the table, and record that after the catalog was read: a
    // difference is looked at again when nobody else migrates.
    if !locks::is_migrating() {
        if is_unchanged(id) {
            return Ok(());
        }
        match reach {
            Reach::Locked => locks::migrations()?,
            Reach::Tables(_) | Reach::Anything => locks::migrations_last(id)?,
        }
    }
    let (policy, unrestricted) = settings::effective_policy();
    let compared = match compare(id) {
        Ok(Some(compared)) => compared,
        Ok(None) => return Ok(()),
        Err(_) if unrestricted => return replace::dropped(id),
        Err(refused) => return Err(refused),
    };
    let facts = size::of_table(id, || facts(id, &compared));
    let changes = match compared.changes(&facts, policy) {
        Ok(changes) if changes.is_empty() => return Ok(()),
        Ok(changes) => changes,
        Err(_) if unrestricted => return replace::table(id, compared, watch),
        Err(refused) => return Err(refused.into()),
    };
    let Compared {
        recorded: mut table,
        actual,
        ..
    } = compared;
    for type_id in &actual.types {
        types::use_type(*type_id)?;
    }
    // The changes may need what the table did not need before.
    table.extensions.clone_from(&actual.table.extensions);
    table.collations.clone_from(&actual.table.collations);
    let mut text = None;
    for change in changes {
        let change = settle(change, id, &table, &actual, watch)?;
        diff::apply(&mut table, &change);
        if !unrestricted {
            permissions::keep::refuse_if_needed(&change, &table)?;
        }
        text = record::one(&change, &table.qualified_name(), Some(&table))?;
    }
    let table = Rc::new(table);
    store::shapes::update(id, table.clone(), text, Rc::new(actual.identity))?;
    xact::command_counter_increment();
    if unrestricted {
        permissions::keep::repair(Some(&table))?;
    }
    Ok(())
}

fn is_unchanged(id: pg_sys::Oid) -> bool {
    compare(id).is_ok_and(|compared| compared.is_none_or(|compared| compared.has_no_changes()))
}

/// How the catalog's table differs from the recorded one; `None` if it does not.
pub fn drift(id: pg_sys::Oid, policy: Policy) -> Result<Option<String>, Error> {
    let compared = match compare(id) {
        Ok(Some(compared)) => compared,
        Ok(None) => return Ok(None),
        Err(gone) => return Ok(Some(gone.message)),
    };
    let facts = facts(id, &compared);
    Ok(match compared.changes(&facts, policy) {
        Ok(changes) if changes.is_empty() => None,
        Ok(changes) => {
            let words: Vec<&str> = changes.iter().map(Change::command).collect();
            Some(format!("changed without a record: {}", words.join(", ")))
        }
        Err(refusal) => Some(format!(
            "changed without a record, what is refused: {}",
            refusal.message
        )),
    })
}

/// Takes on a table that was recorded in another database, if it is as recorded: its parts get the ids of this one.
pub(super) fn take_on(id: pg_sys::Oid) -> Result<bool, Error> {
    let Ok(Some(compared)) = compare(id) else {
        return Ok(false);
    };
    let unchanged = compared.has_no_changes();
    if unchanged {
        let identity = Rc::new(compared.actual.identity);
        store::shapes::update(id, Rc::new(compared.recorded), None, identity)?;
    }
    Ok(unchanged)
}

/// Records a table as replaced, whatever its shape: something that no shape shows happened to it.
pub fn replaced(id: pg_sys::Oid, watch: &Watch) -> Result<(), Error> {
    locks::migrations()?;
    match compare(id) {
        Ok(Some(compared)) => replace::table(id, compared, watch),
        Ok(None) => Ok(()),
        Err(_gone) => replace::dropped(id),
    }
}

/// What the catalog knows of a table beyond its shape.
fn facts(id: pg_sys::Oid, compared: &Compared) -> Facts {
    let Compared {
        recorded, actual, ..
    } = compared;
    let new = |column: &&Column| recorded.column(&column.name).is_none();
    let new_columns = actual.table.columns.iter().filter(new);
    let new_columns =
        new_columns.map(|column| (column.name.clone(), catalog::new_column(id, actual, column)));
    let has_another_type = |name: &String| {
        let types = (recorded.column(name), actual.table.column(name));
        matches!(types, (Some(old), Some(new)) if old.data_type != new.data_type)
    };
    let restated = recorded
        .checks
        .iter()
        .filter(|check| check.columns.iter().any(has_another_type))
        .filter_map(|check| {
            let definition = catalog::check_as_now(id, &check.definition)?;
            Some((check.name.clone(), definition))
        });
    Facts {
        new_columns: new_columns.collect(),
        restated: restated.collect(),
    }
}

/// Fills in what SQLite replicas fix for good when something is made, and looks after names there.
fn settle(
    mut change: Change,
    id: pg_sys::Oid,
    table: &Table,
    actual: &Actual,
    watch: &Watch,
) -> Result<Change, Error> {
    match &mut change {
        Change::AddColumn {
            column,
            existing_value,
            foreign_keys,
            ..
        } => {
            sqlite::fix_column(column, existing_value.as_deref()).map_err(unreadable)?;
            if foreign_keys.is_empty() {
                return Ok(change);
            }
            let mut after = table.clone();
            after.columns.push(column.clone());
            for key in foreign_keys.iter_mut() {
                let target = actual.referenced.get(&key.name).copied().unwrap_or(id);
                if !watch.has(target) {
                    return Err(refusal::reference_to_unelectrified(
                        table,
                        &key.name,
                        &key.references.schema,
                        &key.references.table,
                    )
                    .into());
                }
                let referenced = if target == id {
                    Some(Rc::new(after.clone()))
                } else {
                    store::shapes::shape(target)?
                };
                key.sqlite = referenced.is_some_and(|referenced| {
                    sqlite::keeps_foreign_key(key, &after, &referenced, is_partitioned(target))
                });
            }
        }
        Change::CreateIndex(index) => name_index(index, id, table)?,
        Change::DropIndex(index) => {
            // The diff speaks of the index as recorded, with its name.
            if let Some(name) = &index.sqlite_name {
                store::sqlite_names::release(name)?;
            }
        }
        Change::RenameIndex { from, to } => {
            if let Some(name) = &from.sqlite_name {
                store::sqlite_names::release(name)?;
                xact::command_counter_increment();
            }
            name_index(to, id, table)?;
        }
        _ => {}
    }
    Ok(change)
}

/// Whether the table is a partitioned one.
pub fn is_partitioned(id: pg_sys::Oid) -> bool {
    relation::class(id).is_some_and(|class| class.kind == b'p')
}

/// A value in a form that its own type does not print.
pub fn unreadable(error: electric_schema::value::ValueError) -> Error {
    Error::internal(format!("a default has no form for SQLite: {error}"))
}

/// Gives an index its name in SQLite, if it can be said there: its own, or with a suffix where that is taken.
pub fn name_index(index: &mut Index, id: pg_sys::Oid, table: &Table) -> Result<(), Error> {
    index.sqlite_name = None;
    if !sqlite::can_say_index(index, table) {
        return Ok(());
    }
    let mut base = electric_schema::names::sqlite_name(&table.schema, &index.name);
    if electric_schema::names::is_owned_by_sqlite(&base) {
        base.insert(0, '_');
    }
    let mut name = base.clone();
    let mut suffix = 2;
    while store::sqlite_names::holder(&name)?.is_some() {
        name = format!("{base}_{suffix}");
        suffix += 1;
    }
    store::sqlite_names::take(&name, id)?;
    xact::command_counter_increment();
    index.sqlite_name = Some(name);
    Ok(())
}
