//! The additive rule by effect: what changed between the recorded shape of a table and the one the catalog has now.
//!
//! Every difference is named or refused; nothing is passed over but what [`crate::model`] says is never compared.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::Change;
use crate::model::{Column, Constraint, ForeignKey, Index, Table};
use crate::policy::{Policy, widens};
use crate::refusal::{self, Refusal};
use crate::value::ValueError;

/// What the catalog knows of a column that is not in the recorded shape yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewColumn {
    /// It is GENERATED ALWAYS AS (…) STORED.
    pub is_generated: bool,
    /// No replica can hold its type.
    pub is_unsupported: bool,
    /// Its default gives each row a value of its own.
    pub has_volatile_default: bool,
    /// The value that rows made before it got, in text form; `None` for NULL.
    pub existing_value: Option<String>,
}

/// What the catalog knows beyond both shapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Of each column that is not in the recorded shape yet.
    pub new_columns: BTreeMap<String, NewColumn>,
    /// What the recorded definitions of constraints are with the types that their columns have now, by name: the server
    /// makes a CHECK anew, without a word of anybody's, when a column that it casts gets the type it was cast to.
    pub restated: BTreeMap<String, String>,
}

/// The changes that lead from `recorded` to `actual`, in an order in which they can be applied.
///
/// `facts` has an entry for each column of `actual` that `recorded` lacks. `successors` are the names that the recorded
/// columns have now, where [`crate::identity`] can tell.
pub fn diff(
    recorded: &Table,
    actual: &Table,
    facts: &Facts,
    successors: Option<&BTreeMap<String, String>>,
    policy: Policy,
) -> Result<Vec<Change>, Refusal> {
    if recorded.schema != actual.schema {
        return Err(refusal::move_table(recorded, &actual.schema));
    }
    if recorded.name != actual.name {
        return Err(refusal::rename_table(recorded, &actual.name));
    }
    let added = columns_kept(recorded, actual, successors)?;
    let mut defaults = Vec::new();
    for old in &recorded.columns {
        if let Some(new) = actual.column(&old.name) {
            defaults.extend(column_changes(recorded, old, new, policy)?);
        }
    }
    if recorded.primary_key != actual.primary_key
        || definition(&recorded.primary_key_constraint)
            != definition(&actual.primary_key_constraint)
    {
        return Err(refusal::change_primary_key(recorded));
    }

    let mut constraints = Constraints {
        table: recorded,
        added: &added,
        policy,
        restated: &facts.restated,
        reworded: Vec::new(),
        of_columns: BTreeMap::new(),
        validated: Vec::new(),
        dropped: Vec::new(),
    };
    constraints.compare(&recorded.unique, &actual.unique)?;
    constraints.compare(&recorded.checks, &actual.checks)?;
    constraints.compare(&recorded.exclusions, &actual.exclusions)?;
    let mut keys_of_columns = constraints.compare_keys(recorded, actual)?;
    let Constraints {
        mut of_columns,
        validated,
        dropped,
        reworded,
        ..
    } = constraints;
    for constraint in reworded {
        let concerned = |change: &&mut Change| match change {
            Change::WidenColumn { column, .. } => constraint.columns.contains(&column.name),
            _ => false,
        };
        // With the last of its columns it reads as it does now.
        match defaults.iter_mut().rfind(concerned) {
            Some(Change::WidenColumn { constraints, .. }) => constraints.push(constraint),
            _ => return Err(refusal::alter_constraint(recorded, &constraint.name)),
        }
    }

    let mut changes = Vec::new();
    for column in actual
        .columns
        .iter()
        .filter(|c| added.contains(c.name.as_str()))
    {
        let known = facts.new_columns.get(&column.name);
        let facts = known.cloned().unwrap_or_default();
        allow_column(recorded, actual, column, &facts)?;
        changes.push(Change::AddColumn {
            column: column.clone(),
            existing_value: facts.existing_value,
            constraints: of_columns.remove(column.name.as_str()).unwrap_or_default(),
            foreign_keys: keys_of_columns
                .remove(column.name.as_str())
                .unwrap_or_default(),
        });
    }
    changes.extend(defaults);
    changes.extend(dropped);
    changes.extend(validated.into_iter().map(Change::ValidateConstraint));
    changes.extend(indexes(recorded, actual));
    Ok(changes)
}

/// The constraint's name and definition, for a comparison that leaves out what is no part of the shape.
fn definition(constraint: &Option<Constraint>) -> Option<(&str, &str)> {
    constraint
        .as_ref()
        .map(|c| (c.name.as_str(), c.definition.as_str()))
}

/// All recorded columns are there still, in their order; the names of those that came.
fn columns_kept<'a>(
    recorded: &Table,
    actual: &'a Table,
    successors: Option<&BTreeMap<String, String>>,
) -> Result<BTreeSet<&'a str>, Refusal> {
    for old in &recorded.columns {
        let now = match successors {
            Some(successors) => successors.get(&old.name),
            None => actual.column(&old.name).map(|column| &column.name),
        };
        match now {
            Some(name) if *name == old.name => {}
            Some(name) => {
                let type_sql = &old.data_type.sql;
                return Err(refusal::rename_column(recorded, &old.name, name, type_sql));
            }
            None => return Err(refusal::drop_column(recorded, &old.name)),
        }
    }
    let names = actual.columns.iter().map(|c| c.name.as_str());
    Ok(names
        .filter(|name| recorded.column(name).is_none())
        .collect())
}

/// What changed about a column that stayed.
fn column_changes(
    table: &Table,
    old: &Column,
    new: &Column,
    policy: Policy,
) -> Result<Vec<Change>, Refusal> {
    let mut changes = Vec::new();
    if old.data_type != new.data_type || old.collation != new.collation {
        let wider = old.collation == new.collation && widens(&old.data_type, &new.data_type);
        if policy != Policy::Compatible || !wider {
            return Err(refusal::change_type(table, &old.name, &new.data_type.sql));
        }
        changes.push(Change::WidenColumn {
            column: Column {
                nullable: old.nullable,
                default: old.default.clone(),
                ..carry(old, new)
            },
            from: old.data_type.clone(),
            constraints: Vec::new(),
        });
    }
    if old.nullable && !new.nullable {
        return Err(refusal::set_not_null(table, &old.name));
    }
    if !old.nullable && new.nullable {
        if policy != Policy::Compatible {
            return Err(refusal::drop_not_null(table, &old.name));
        }
        changes.push(Change::DropNotNull(Column {
            default: old.default.clone(),
            ..carry(old, new)
        }));
    }
    if old.identity != new.identity {
        return Err(refusal::change_identity(table, &old.name));
    }
    match (&old.default, &new.default) {
        (old, new) if old == new => {}
        (_, None) => changes.push(Change::DropDefault(carry(old, new))),
        _ => changes.push(Change::SetDefault(carry(old, new))),
    }
    Ok(changes)
}

/// The column as it is now, with what was fixed when it was made.
fn carry(old: &Column, new: &Column) -> Column {
    Column {
        sqlite_default: old.sqlite_default.clone(),
        ..new.clone()
    }
}

/// Whether a column may be added as it is.
fn allow_column(
    recorded: &Table,
    actual: &Table,
    column: &Column,
    facts: &NewColumn,
) -> Result<(), Refusal> {
    let (name, type_sql) = (column.name.as_str(), column.data_type.sql.as_str());
    if facts.is_generated {
        return Err(refusal::add_generated_column(recorded, name, type_sql));
    }
    if facts.is_unsupported {
        return Err(refusal::add_unsupported_column(recorded, name, type_sql));
    }
    if column.identity.is_some() || facts.has_volatile_default {
        return Err(refusal::add_volatile_column(recorded, name, type_sql));
    }
    if !column.nullable && facts.existing_value.is_none() {
        return Err(refusal::add_not_null_column(recorded, name, type_sql));
    }
    if let Some(other) = colliding_name(actual, name) {
        return Err(refusal::add_colliding_column(recorded, name, &other.name));
    }
    Ok(())
}

/// The comparison of UNIQUE, CHECK and EXCLUDE constraints, and what it found.
struct Constraints<'a> {
    table: &'a Table,
    added: &'a BTreeSet<&'a str>,
    policy: Policy,
    /// What constraints say of columns that get a wider type, by their names.
    restated: &'a BTreeMap<String, String>,
    reworded: Vec<Constraint>,
    of_columns: BTreeMap<String, Vec<Constraint>>,
    validated: Vec<String>,
    dropped: Vec<Change>,
}

impl Constraints<'_> {
    fn compare(&mut self, recorded: &[Constraint], actual: &[Constraint]) -> Result<(), Refusal> {
        for old in recorded {
            match actual.iter().find(|new| new.name == old.name) {
                None => {
                    let renamed = actual.iter().any(|new| {
                        without_not_valid(&new.definition) == without_not_valid(&old.definition)
                            && !recorded.iter().any(|other| other.name == new.name)
                    });
                    if renamed {
                        return Err(refusal::rename_constraint(self.table, &old.name));
                    }
                    if self.policy != Policy::Compatible {
                        return Err(refusal::drop_constraint(self.table, &old.name));
                    }
                    self.dropped.push(Change::DropConstraint {
                        name: old.name.clone(),
                        in_sqlite: false,
                        is_local: old.is_local,
                    });
                }
                Some(new) => {
                    let differs = |before: &str| {
                        changed(before, old.validated, &new.definition, new.validated)
                    };
                    if differs(&old.definition) {
                        let restated = self.restated.get(&old.name);
                        if restated.is_none_or(|text| differs(text)) {
                            return Err(refusal::alter_constraint(self.table, &old.name));
                        }
                        self.reworded.push(new.clone());
                    }
                    if !old.validated && new.validated {
                        self.validated.push(old.name.clone());
                    }
                }
            }
        }
        for new in actual
            .iter()
            .filter(|new| !recorded.iter().any(|old| old.name == new.name))
        {
            let column = only_new_column(&new.columns, self.added)
                .ok_or_else(|| refusal::add_constraint(self.table, &new.name))?;
            self.of_columns
                .entry(column.to_owned())
                .or_default()
                .push(new.clone());
        }
        Ok(())
    }
}

/// The one column a constraint concerns, if that column is new too.
fn only_new_column<'a>(columns: &'a [String], added: &BTreeSet<&str>) -> Option<&'a str> {
    match columns {
        [column] if added.contains(column.as_str()) => Some(column),
        _ => None,
    }
}

fn without_not_valid(definition: &str) -> &str {
    definition.strip_suffix(" NOT VALID").unwrap_or(definition)
}

fn changed(old: &str, old_validated: bool, new: &str, new_validated: bool) -> bool {
    without_not_valid(old) != without_not_valid(new) || (old_validated && !new_validated)
}

impl Constraints<'_> {
    /// The foreign keys of new columns; every other difference is refused, or a change of its own.
    fn compare_keys(
        &mut self,
        recorded: &Table,
        actual: &Table,
    ) -> Result<BTreeMap<String, Vec<ForeignKey>>, Refusal> {
        for old in &recorded.foreign_keys {
            let Some(new) = actual.foreign_keys.iter().find(|new| new.name == old.name) else {
                let renamed = actual.foreign_keys.iter().any(|new| {
                    without_not_valid(&new.definition) == without_not_valid(&old.definition)
                        && !recorded
                            .foreign_keys
                            .iter()
                            .any(|other| other.name == new.name)
                });
                if renamed {
                    return Err(refusal::rename_constraint(recorded, &old.name));
                }
                if self.policy != Policy::Compatible {
                    return Err(refusal::drop_constraint(recorded, &old.name));
                }
                self.dropped.push(Change::DropConstraint {
                    name: old.name.clone(),
                    in_sqlite: old.sqlite,
                    is_local: false,
                });
                continue;
            };
            if changed(
                &old.definition,
                old.validated,
                &new.definition,
                new.validated,
            ) {
                return Err(refusal::alter_constraint(recorded, &old.name));
            }
            if !old.validated && new.validated {
                self.validated.push(old.name.clone());
            }
        }
        let mut of_columns: BTreeMap<String, Vec<ForeignKey>> = BTreeMap::new();
        for new in &actual.foreign_keys {
            if recorded.foreign_keys.iter().any(|old| old.name == new.name) {
                continue;
            }
            let column = only_new_column(&new.columns, self.added)
                .ok_or_else(|| refusal::add_constraint(recorded, &new.name))?;
            of_columns
                .entry(column.to_owned())
                .or_default()
                .push(new.clone());
        }
        Ok(of_columns)
    }
}

/// Indexes that came, went or were renamed. All of it is allowed: an index holds no rows of its own.
///
/// Those that went come first, so that their names are free. A name that another index had is never the target of a
/// rename, so that renames need no order among themselves: such an index is dropped and made.
fn indexes(recorded: &Table, actual: &Table) -> Vec<Change> {
    let same_name = |a: &Index, b: &Index| {
        a.name == b.name && (a.definition == b.definition || comparable(a) == comparable(b))
    };
    let mut gone: Vec<&Index> = recorded
        .indexes
        .iter()
        .filter(|old| !actual.indexes.iter().any(|new| same_name(old, new)))
        .collect();
    let mut renamed = Vec::new();
    let mut came = Vec::new();
    for new in &actual.indexes {
        if recorded.indexes.iter().any(|old| same_name(old, new)) {
            continue;
        }
        let is_new_name = !recorded.indexes.iter().any(|old| old.name == new.name);
        let before = gone
            .iter()
            .position(|old| is_new_name && comparable(old) == comparable(new));
        match before {
            Some(position) => {
                let from = gone.remove(position).clone();
                // Replicas have it or not, as they did when it was made.
                let to = Index {
                    is_local: from.is_local,
                    ..new.clone()
                };
                renamed.push(Change::RenameIndex { from, to });
            }
            None => came.push(Change::CreateIndex(new.clone())),
        }
    }
    let mut changes: Vec<Change> = gone.into_iter().cloned().map(Change::DropIndex).collect();
    changes.extend(renamed);
    changes.extend(came);
    changes
}

/// The definition without the index's name and storage options.
fn comparable(index: &Index) -> String {
    let named = [
        crate::names::quote_ident_if_needed(&index.name),
        crate::names::quote_ident(&index.name),
    ];
    let mut text = index.definition.clone();
    for name in named {
        text = text.replacen(&format!("INDEX {name} ON "), "INDEX ON ", 1);
    }
    if let Some(options) = &index.options {
        text = text.replacen(&format!(" WITH ({options})"), "", 1);
    }
    text
}

/// Makes `table` the table after the change. What SQLite replicas fix for good (a column's default, an index's name,
/// whether a foreign key is kept) must be settled in `change` before.
pub fn apply(table: &mut Table, change: &Change) {
    match change {
        Change::AddColumn {
            column,
            constraints,
            foreign_keys,
            ..
        } => {
            table.columns.push(column.clone());
            for constraint in constraints {
                let list = if constraint.definition.starts_with("CHECK") {
                    &mut table.checks
                } else if constraint.definition.starts_with("UNIQUE") {
                    &mut table.unique
                } else {
                    &mut table.exclusions
                };
                list.push(constraint.clone());
                list.sort_by(|a, b| a.name.cmp(&b.name));
            }
            table.foreign_keys.extend(foreign_keys.iter().cloned());
            table.foreign_keys.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Change::CreateIndex(index) => {
            table.indexes.push(index.clone());
            table.indexes.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Change::DropIndex(index) => table.indexes.retain(|other| other.name != index.name),
        Change::RenameIndex { from, to } => {
            table.indexes.retain(|other| other.name != from.name);
            table.indexes.push(to.clone());
            table.indexes.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Change::WidenColumn {
            column,
            constraints,
            ..
        } => {
            for constraint in table.checks.iter_mut().chain(&mut table.exclusions) {
                if let Some(now) = constraints.iter().find(|now| now.name == constraint.name) {
                    constraint.definition.clone_from(&now.definition);
                }
            }
            if let Some(old) = table.columns.iter_mut().find(|c| c.name == column.name) {
                *old = carry(old, column);
            }
        }
        Change::SetDefault(column) | Change::DropDefault(column) | Change::DropNotNull(column) => {
            if let Some(old) = table.columns.iter_mut().find(|c| c.name == column.name) {
                *old = carry(old, column);
            }
        }
        Change::ValidateConstraint(name) => {
            let lists = [&mut table.unique, &mut table.checks, &mut table.exclusions];
            for constraint in lists.into_iter().flatten().filter(|c| c.name == *name) {
                constraint.validated = true;
                constraint.definition = without_not_valid(&constraint.definition).to_owned();
            }
            for key in table
                .foreign_keys
                .iter_mut()
                .filter(|key| key.name == *name)
            {
                key.validated = true;
                key.definition = without_not_valid(&key.definition).to_owned();
            }
        }
        Change::DropConstraint { name, .. } => {
            for list in [&mut table.unique, &mut table.checks, &mut table.exclusions] {
                list.retain(|constraint| constraint.name != *name);
            }
            table.foreign_keys.retain(|key| key.name != *name);
        }
        // The table that results is read from the catalog, not made from the one before.
        Change::ReplaceTable { .. }
        | Change::CreateType(_)
        | Change::CreateTable { .. }
        | Change::DisableTable
        | Change::AddEnumValue { .. }
        | Change::Grant(_)
        | Change::Revoke(_)
        | Change::Assign(_)
        | Change::Unassign(_)
        | Change::Sqlite(_) => {}
    }
}

/// Fills in what SQLite replicas fix when a table is electrified.
pub fn fix_table(table: &mut Table) -> Result<(), ValueError> {
    for column in &mut table.columns {
        let value = column.default_value.clone();
        crate::dialect::sqlite::fix_column(column, value.as_deref())?;
    }
    Ok(())
}

/// The column of another name that SQLite could not tell from one of this name.
pub fn colliding_name<'a>(table: &'a Table, name: &str) -> Option<&'a Column> {
    let folded = crate::names::sqlite_fold(name);
    let collides =
        |other: &&Column| other.name != name && crate::names::sqlite_fold(&other.name) == folded;
    table.columns.iter().find(collides)
}

/// A column that SQLite could not tell from another of the same table, with that other one.
pub fn colliding_columns(table: &Table) -> Option<(&Column, &Column)> {
    let mut seen: BTreeMap<String, &Column> = BTreeMap::new();
    for column in &table.columns {
        if let Some(other) = seen.insert(crate::names::sqlite_fold(&column.name), column) {
            return Some((column, other));
        }
    }
    None
}
