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
use crate::error::{Error, SqlState};
use crate::permissions;
use crate::pg::touched::Reach;
use crate::pg::{locks, relation, session, size, xact};
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

impl Compared {
    /// A table whose record cannot be read any more.
    pub(super) fn with_remains(recorded: Table, actual: Actual) -> Compared {
        Compared {
            recorded,
            identity: Rc::default(),
            actual,
            successors: None,
        }
    }
}

/// For whom a table is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// Somebody who acts as its owner: what its definition computes is found out.
    Owner,
    /// Somebody else, for whom nothing is evaluated.
    Other,
}

impl Caller {
    fn of(id: pg_sys::Oid) -> Caller {
        match session::acts_as_owner(id) {
            true => Caller::Owner,
            false => Caller::Other,
        }
    }
}

/// Reads both; `None` if the table is not electrified any more. An error if it is gone.
fn compare(id: pg_sys::Oid, caller: Caller) -> Result<Option<Compared>, Error> {
    let Some(Recorded { table, identity }) = store::shapes::get(id)? else {
        return Ok(None);
    };
    let actual = match caller {
        Caller::Owner => catalog::table(id),
        Caller::Other => catalog::look(id).map(|actual| with_known_values(actual, &table)),
    };
    let Some(actual) = actual else {
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

/// The table with the values of those of its defaults that are as recorded.
fn with_known_values(mut actual: Actual, recorded: &Table) -> Actual {
    for column in &mut actual.table.columns {
        let known = recorded.column(&column.name).filter(|known| {
            (&known.default, &known.data_type, &known.collation)
                == (&column.default, &column.data_type, &column.collation)
        });
        if let (None, Some(known)) = (&column.default_value, known) {
            column.default_value.clone_from(&known.default_value);
        }
    }
    actual
}

impl Compared {
    fn has_no_changes(&self) -> bool {
        let changes = self.changes(&Facts::default(), Policy::Additive);
        changes.is_ok_and(|changes| changes.is_empty())
    }

    /// The refusal of columns that came and whose types are nested deeper than replicas can be sure to read.
    fn nested_too_deep(&self) -> Option<Error> {
        let Compared {
            recorded, actual, ..
        } = self;
        let is_as_recorded = |name: &str| {
            let types = (recorded.column(name), actual.table.column(name));
            matches!(types, (Some(old), Some(new)) if old.data_type == new.data_type)
        };
        let mut deep = actual.too_deep.iter();
        let name = deep.find(|name| !is_as_recorded(name))?;
        let column = actual.table.column(name)?;
        Some(nested_too_deep(
            recorded,
            &format!(r#"add column "{name}" to electrified"#),
            std::slice::from_ref(column),
        ))
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

/// Refuses columns whose types are made of one another in more levels than everybody can read.
pub fn nested_too_deep(table: &Table, cannot: &str, columns: &[Column]) -> Error {
    let lines: Vec<String> = columns
        .iter()
        .map(|column| {
            let name = electric_schema::names::quote_ident_if_needed(&column.name);
            format!("{name} {}", column.data_type.sql)
        })
        .collect();
    let error = Error::new(
        SqlState::of_code("54001"),
        format!(
            "cannot {cannot} table {} because types are nested too deep",
            refusal::shown(&table.schema, &table.name)
        ),
    )
    .detail(lines.join("\n"))
    .hint(format!(
        "Domains and ranges may be made of one another in {} levels: base the type on one with fewer below it.",
        catalog::DEPTH
    ))
    .table(&table.schema, &table.name);
    match columns {
        [only] => error.column(&only.name),
        _ => error,
    }
}

/// Records or refuses what happened to an electrified table that is within the command's reach.
pub fn touched(id: pg_sys::Oid, reach: &Reach, watch: &Watch) -> Result<(), Error> {
    let caller = Caller::of(id);
    // Before the lock another transaction may change the table, and record that after the catalog was read: a
    // difference is looked at again when nobody else migrates.
    if !locks::is_migrating() {
        if is_unchanged(id, caller) {
            return Ok(());
        }
        match reach {
            Reach::Locked => locks::migrations()?,
            Reach::Tables(_) | Reach::Anything => locks::migrations_last(id)?,
        }
    }
    types::hold_of(id)?;
    let (policy, unrestricted) = settings::effective_policy();
    let compared = match compare(id, caller) {
        Ok(Some(compared)) => compared,
        Ok(None) => return Ok(()),
        Err(_) if unrestricted => return replace::lost(id, watch),
        Err(refused) => return Err(refused),
    };
    if let Some(refused) = compared.nested_too_deep() {
        return Err(refused);
    }
    let facts = size::of_table(id, || facts(id, &compared, caller));
    let changes = match compared.changes(&facts, policy) {
        Ok(changes) if changes.is_empty() => return Ok(()),
        Ok(changes) => changes,
        Err(_) if unrestricted => return replace::table(id, compared, watch),
        Err(refused) => return Err(refused.into()),
    };
    // What came while nobody looked is found out about by who may: only those who act as the owner add columns.
    let adds = |change: &Change| matches!(change, Change::AddColumn { .. });
    if caller == Caller::Other && changes.iter().any(adds) {
        return Ok(());
    }
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

fn is_unchanged(id: pg_sys::Oid, caller: Caller) -> bool {
    compare(id, caller)
        .is_ok_and(|compared| compared.is_none_or(|compared| compared.has_no_changes()))
}

/// How a table that is electrified is not as recorded.
pub struct Drift {
    /// In words.
    pub problem: String,
    /// What is recorded, where that can be read.
    pub recorded: Option<Rc<Table>>,
    /// What the catalog has, where there is anything.
    pub actual: Option<Table>,
}

/// How the catalog's table differs from the recorded one; `None` if it does not. Nothing is evaluated.
pub fn drift(id: pg_sys::Oid, policy: Policy) -> Result<Option<Drift>, Error> {
    let recorded = match store::shapes::shape(id) {
        Ok(Some(recorded)) => Some(recorded),
        Ok(None) => return Ok(None),
        Err(error) if error.is_damage() => None,
        Err(error) => return Err(error),
    };
    let (problem, actual) = match compare(id, Caller::Other) {
        Ok(Some(compared)) => {
            let facts = facts(id, &compared, Caller::Other);
            (
                difference(compared.changes(&facts, policy)),
                Some(compared.actual.table),
            )
        }
        Ok(None) => return Ok(None),
        Err(gone) => (
            Some(gone.message),
            catalog::look(id).map(|actual| actual.table),
        ),
    };
    Ok(problem.map(|problem| Drift {
        problem,
        recorded,
        actual,
    }))
}

fn difference(changes: Result<Vec<Change>, Refusal>) -> Option<String> {
    match changes {
        Ok(changes) if changes.is_empty() => None,
        Ok(changes) => {
            let words: Vec<&str> = changes.iter().map(Change::command).collect();
            Some(format!("changed without a record: {}", words.join(", ")))
        }
        Err(refusal) => Some(format!(
            "changed without a record, what is refused: {}",
            refusal.message
        )),
    }
}

/// Takes on a table that was recorded in another database, if it is as recorded: its parts get the ids of this one.
pub(super) fn take_on(id: pg_sys::Oid) -> Result<bool, Error> {
    let Ok(Some(compared)) = compare(id, Caller::of(id)) else {
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
    types::hold_of(id)?;
    match compare(id, Caller::of(id)) {
        Ok(Some(compared)) => replace::table(id, compared, watch),
        Ok(None) => Ok(()),
        Err(_lost) => replace::lost(id, watch),
    }
}

/// What the catalog knows of a table beyond its shape.
fn facts(id: pg_sys::Oid, compared: &Compared, caller: Caller) -> Facts {
    let Compared {
        recorded, actual, ..
    } = compared;
    let new = |column: &&Column| recorded.column(&column.name).is_none();
    let new_columns = actual.table.columns.iter().filter(new);
    let new_column = match caller {
        Caller::Owner => catalog::new_column,
        Caller::Other => catalog::new_column_unevaluated,
    };
    let new_columns =
        new_columns.map(|column| (column.name.clone(), new_column(id, actual, column)));
    let has_another_type = |name: &String| {
        let types = (recorded.column(name), actual.table.column(name));
        matches!(types, (Some(old), Some(new)) if old.data_type != new.data_type)
    };
    let restated = recorded
        .checks
        .iter()
        .filter(|check| caller == Caller::Owner && check.columns.iter().any(has_another_type))
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
