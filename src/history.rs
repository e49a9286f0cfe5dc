//! The electrified schema as it is and as it was: what the records say, at the version asked for.
//!
//! Each command carries the table that resulted, so a past state is the last command of each table by then. That takes
//! an index probe per table, however long the history is.

use std::collections::{BTreeMap, BTreeSet};

use electric_schema::model::{ColumnType, Table, TypeDefinition, TypeKind};
use electric_schema::permissions::{Assignment, Grant};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, SqlState};
use crate::pg::entry::warning;
use crate::pg::heap::Seen;
use crate::store::permissions::Stored;
use crate::store::{self, commands, migrations};

/// A moment of the history: right after its last command.
pub struct Moment {
    /// The migration's version and id; `None` before the first.
    pub migration: Option<(String, i64)>,
    /// The last command; 0 before the first.
    pub command: i64,
    /// The hash of that command.
    pub hash: String,
    /// What there was; `None` if nothing came after it: then the recorded shapes have it.
    past: Option<Past>,
}

/// A past state.
struct Past {
    /// The shapes of the tables, as JSON texts.
    shapes: BTreeMap<Name, String>,
    /// The command by which each table came under its name.
    came: BTreeMap<String, i64>,
}

/// The moment after the migration of that version; without one, now.
///
/// Errors: 42704 for a version that no migration has.
pub fn moment(version: Option<&str>) -> Result<Moment, Error> {
    let last = commands::seen_last()?;
    let Some(version) = version else {
        let migration = migrations::seen_last()?;
        return Ok(Moment {
            migration: migration.map(|migration| (migration.version, migration.id)),
            command: last.id,
            hash: last.hash,
            past: None,
        });
    };
    let migration =
        migrations::seen_with_version(version)?.ok_or_else(|| unknown_version(version))?;
    let command = last_command_of(migration.id, &last)?;
    Ok(Moment {
        migration: Some((migration.version, migration.id)),
        past: match command.id == last.id {
            true => None,
            false => Some(Past::at(command.id)?),
        },
        command: command.id,
        hash: command.hash,
    })
}

/// The id of the last command of the migration of that version. Errors as [`moment`].
pub fn last_command(version: &str) -> Result<i64, Error> {
    let migration =
        migrations::seen_with_version(version)?.ok_or_else(|| unknown_version(version))?;
    Ok(last_command_of(migration.id, &commands::seen_last()?)?.id)
}

fn unknown_version(version: &str) -> Error {
    Error::new(
        SqlState::UndefinedObject,
        format!("migration version \"{version}\" does not exist"),
    )
    .hint("The versions that there are: SELECT version FROM electric.migrations ORDER BY id;")
}

/// The last command of a migration. Ids of both are gapless and grow together, so halving finds it.
fn last_command_of(migration: i64, last: &commands::Place) -> Result<commands::Place, Error> {
    let gap = || Error::internal("the history of electric.ddl_commands has a gap");
    let (mut within, mut beyond) = (0, last.id + 1);
    while beyond - within > 1 {
        let middle = within + (beyond - within) / 2;
        if commands::seen_place(middle)?.ok_or_else(gap)?.migration > migration {
            beyond = middle;
        } else {
            within = middle;
        }
    }
    commands::seen_place(within)?.ok_or_else(gap)
}

/// The shapes of the electrified tables as JSON texts, by schema and name.
pub fn shapes(moment: &Moment) -> Result<Vec<String>, Error> {
    Ok(match &moment.past {
        None => store::shapes::seen()?.into_values().collect(),
        Some(past) => past.shapes.values().cloned().collect(),
    })
}

/// The shapes of the electrified tables, by schema and name.
pub fn tables(moment: &Moment) -> Result<Vec<Table>, Error> {
    let read = |shape: &String| match serde_json::from_str(shape) {
        Ok(table) => Some(table),
        Err(error) => {
            let remains = electric_schema::remains::of(shape, "", "");
            say_unreadable("table", &remains.schema, &remains.name, &error);
            None
        }
    };
    Ok(shapes(moment)?.iter().filter_map(read).collect())
}

/// One shape that cannot be read is left out, and keeps nobody from the others.
fn say_unreadable(what: &str, schema: &str, name: &str, error: &serde_json::Error) {
    warning(&format!(
        "what is recorded of {what} {} cannot be read: {error}",
        electric_schema::refusal::shown(schema, name)
    ));
}

/// A table's schema and name.
pub type Name = (String, String);

/// Keeps the last of what happened.
fn note(last: &mut BTreeMap<String, i64>, relation: String, id: i64) {
    let known = last.entry(relation).or_insert(id);
    *known = id.max(*known);
}

impl Past {
    /// The state right after that command.
    fn at(command: i64) -> Result<Past, Error> {
        let mut came = BTreeMap::new();
        let mut went = BTreeMap::new();
        for (id, relation) in
            commands::seen_of_kind("create_table", command, |row| (row.id(), row.relation()))?
        {
            note(&mut came, relation, id);
        }
        // A table that was replaced under another name left its old one behind, and no other record says so.
        for (id, relation, op) in commands::seen_of_kind("replace_table", command, |row| {
            (row.id(), row.relation(), row.op())
        })? {
            let name = |key: &str| op["from"][key].as_str().unwrap_or_default().to_owned();
            let old = electric_schema::names::qualified(&name("schema"), &name("name"));
            if old != relation {
                note(&mut went, old, id);
                note(&mut came, relation, id);
            }
        }
        let mut shapes = BTreeMap::new();
        for relation in came.keys() {
            let last = commands::seen_last_of(relation, command, |row| {
                (row.id(), row.command(), row.op())
            })?;
            let Some((id, word, mut op)) = last else {
                continue;
            };
            if word == "disable_table" || went.get(relation).is_some_and(|&when| when > id) {
                continue;
            }
            let table = op["table"].take();
            let name = |key: &str| table[key].as_str().unwrap_or_default().to_owned();
            if table.is_object() {
                shapes.insert((name("schema"), name("name")), table.to_string());
            } else {
                warning(&format!(
                    "what is recorded of table {relation} cannot be read"
                ));
            }
        }
        Ok(Past { shapes, came })
    }
}

/// The enums, domains and ranges that were ever recorded, as they were, in the order in which they were made.
pub fn types(moment: &Moment) -> Result<Vec<TypeDefinition>, Error> {
    let mut made: BTreeMap<String, i64> = BTreeMap::new();
    for (relation, id) in commands::seen_of_kind("create_type", moment.command, |row| {
        (row.relation(), row.id())
    })? {
        note(&mut made, relation, id);
    }
    let mut order: Vec<(i64, String)> = made.into_iter().map(|(name, id)| (id, name)).collect();
    order.sort_unstable();
    let mut found = Vec::with_capacity(order.len());
    for (made, relation) in order {
        let grown =
            commands::seen_last_of_kind("add_enum_value", &relation, moment.command, |row| {
                (row.id(), row.op())
            })?
            .filter(|(id, _)| *id > made);
        let op = match grown {
            Some((_, op)) => Some(op),
            None => commands::seen_last_of_kind("create_type", &relation, moment.command, |row| {
                row.op()
            })?,
        };
        if let Some(mut op) = op {
            match serde_json::from_value(op["type"].take()) {
                Ok(definition) => found.push(definition),
                Err(error) => say_unreadable("type", "", &relation, &error),
            }
        }
    }
    Ok(found)
}

/// The enums that the tables use, as JSON objects, by schema and name.
pub fn enums(moment: &Moment) -> Result<Vec<Value>, Error> {
    let mut found: Vec<TypeDefinition> = if moment.past.is_none() {
        store::types::seen()?
    } else {
        let mut used = BTreeSet::new();
        for table in tables(moment)? {
            for column in &table.columns {
                uses(&column.data_type, &mut used);
            }
        }
        types(moment)?
            .into_iter()
            .filter(|of| used.contains(&(of.schema.clone(), of.name.clone())))
            .collect()
    };
    found.retain(|of| of.kind == TypeKind::Enum);
    found.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    found
        .iter()
        .map(|of| {
            Ok(serde_json::json!({"schema": of.schema, "name": of.name, "labels": of.labels}))
        })
        .collect()
}

fn uses(data_type: &ColumnType, used: &mut BTreeSet<Name>) {
    used.insert((data_type.schema.clone(), data_type.name.clone()));
    if let Some(of) = &data_type.of {
        uses(of, used);
    }
}

/// The grants on the electrified tables, or the assignments of their rows, as JSON objects: rows of `electric.grants` or
/// `electric.assignments`, in the order of their fields.
fn permissions<T: Stored + Ord + Serialize + DeserializeOwned>(
    moment: &Moment,
    (more, less): (&str, &str),
    key: &str,
) -> Result<Vec<Value>, Error> {
    let mut found: Vec<T> = if let Some(past) = &moment.past {
        let mut found = Vec::new();
        for (schema, name) in past.shapes.keys() {
            let relation = electric_schema::names::qualified(schema, name);
            let last = |command: &str| {
                commands::seen_last_of_kind(command, &relation, moment.command, |row| {
                    (row.id(), row.op())
                })
            };
            let last = [last(more)?, last(less)?];
            // What was granted on another table of that name went with it.
            let came = past.came.get(&relation).copied().unwrap_or(0);
            let newest = last.into_iter().flatten().max_by_key(|(id, _)| *id);
            if let Some((_, mut op)) = newest.filter(|(id, _)| *id > came) {
                let rows: Vec<T> = serde_json::from_value(op[key].take())?;
                found.extend(rows);
            }
        }
        found
    } else {
        store::permissions::all(Seen::ByStatement)?
    };
    found.sort();
    Ok(found
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<_, _>>()?)
}

/// The grants, as [`permissions`].
pub fn grants(moment: &Moment) -> Result<Vec<Value>, Error> {
    permissions::<Grant>(moment, ("grant", "revoke"), "grants")
}

/// The assignments, as [`permissions`].
pub fn assignments(moment: &Moment) -> Result<Vec<Value>, Error> {
    permissions::<Assignment>(moment, ("assign", "unassign"), "assignments")
}

/// The statements that `ELECTRIC SQLITE` sent to SQLite replicas, in order.
pub fn sqlite_statements(moment: &Moment) -> Result<Vec<String>, Error> {
    let found = commands::seen_of_kind("sqlite", moment.command, |row| (row.id(), row.sqlite()))?;
    let in_order: BTreeMap<i64, Vec<String>> = found.into_iter().collect();
    Ok(in_order.into_values().flatten().collect())
}
