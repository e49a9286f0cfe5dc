//! Capture by effect: what a command touched is compared with what is recorded; the difference is recorded or refused.

use std::collections::BTreeMap;

use electric_schema::change::{Change, LabelPosition};
use electric_schema::dialect::{postgres, sqlite};
use electric_schema::diff::{self, NewColumn};
use electric_schema::identity::Ids;
use electric_schema::model::{Index, Table, TypeDefinition, TypeKind};
use electric_schema::refusal::Refusal;
use electric_schema::{hash, op, refusal};
use pgrx::pg_sys;

use crate::catalog::{self, Actual};
use crate::error::Error;
use crate::pg::event::Event;
use crate::pg::touched::Touched;
use crate::pg::tree::Target;
use crate::pg::{hook, locks, names, relation, session, spi, touched, xact};
use crate::store::Recorded;
use crate::watch::{self, Watch};
use crate::{store, version};

/// A command begins. One that will migrate a table waits for other migrations now, before it locks the table: else
/// rows of the table would have to wait with it, and two that lock tables first could wait for each other.
pub fn command_starts(event: &Event) -> Result<(), Error> {
    let watch = watch::current()?;
    if !watch.is_empty()
        && event
            .migrated()
            .into_iter()
            .any(|target| watch.watches(target))
    {
        locks::migrations();
    }
    Ok(())
}

/// A command ended; `event` tells which, where an event trigger does.
pub fn command_ended(event: Option<Event>) -> Result<(), Error> {
    let (mut touched, ours) = touched::command_ended();
    if ours {
        return Ok(());
    }
    let watch = watch::current()?;
    if watch.is_empty() {
        return Ok(());
    }
    // Where the first command of a backend loads the library, nothing could be kept over the commits inside it.
    if let Some(Target::Relation(id)) = event.and_then(|event| event.indexed_concurrently()) {
        touched.relations.push(id);
    }
    changed(&touched, &watch)
}

fn changed(touched: &Touched, watch: &Watch) -> Result<(), Error> {
    for id in watch.touched_types(touched) {
        type_touched(id)?;
    }
    for id in watch.touched_tables(touched) {
        table_touched(id, watch)?;
    }
    for id in watch.touched_partitions(touched) {
        partition_touched(id)?;
    }
    Ok(())
}

/// The rows of a partition travel with its own replica identity: it gets that of the electrified root.
fn partition_touched(id: pg_sys::Oid) -> Result<(), Error> {
    let identity = |id| relation::class(id).map(|class| class.replica_identity);
    let root = relation::root_of_partition(id).and_then(identity);
    if root != Some(b'f') || identity(id) == root {
        return Ok(());
    }
    let (schema, name) = shown(id);
    let table = electric_schema::names::qualified_quoted(&schema, &name);
    let _elevated = session::elevate();
    crate::api::working(|| spi::run(&format!("ALTER TABLE ONLY {table} REPLICA IDENTITY FULL")))
}

/// What is recorded of a table and what the catalog has, made comparable.
struct Compared {
    recorded: Table,
    identity: Ids,
    actual: Actual,
    successors: Option<BTreeMap<String, String>>,
}

/// Reads both; `None` if the table is not electrified any more. An error if it is gone.
fn compare(id: pg_sys::Oid) -> Result<Option<Compared>, Error> {
    let Some(Recorded {
        table: mut recorded,
        identity,
    }) = store::shapes::get(id)?
    else {
        return Ok(None);
    };
    let Some(actual) = catalog::table(id) else {
        return Err(refusal::drop_table(&recorded).into());
    };
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
    fn changes(&self, new_columns: &BTreeMap<String, NewColumn>) -> Result<Vec<Change>, Refusal> {
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
        diff::diff(recorded, &actual.table, new_columns, successors.as_ref())
    }
}

/// Records or refuses what happened to an electrified table.
fn table_touched(id: pg_sys::Oid, watch: &Watch) -> Result<(), Error> {
    let unchanged = compare(id).is_ok_and(|compared| {
        compared.is_none_or(|compared| {
            compared
                .changes(&BTreeMap::new())
                .is_ok_and(|c| c.is_empty())
        })
    });
    if unchanged {
        return Ok(());
    }
    // Another transaction may have changed the table and recorded that after the catalog was read: with the lock,
    // what is read belongs together.
    locks::migrations();
    let Some(compared) = compare(id)? else {
        return Ok(());
    };
    let changes = compared.changes(&new_columns(id, &compared.recorded, &compared.actual))?;
    if changes.is_empty() {
        return Ok(());
    }
    let Compared {
        recorded: mut table,
        actual,
        ..
    } = compared;
    for type_id in &actual.types {
        use_type(*type_id)?;
    }
    for change in changes {
        let change = settle(change, id, &table, &actual, watch)?;
        diff::apply(&mut table, &change);
        record(&change, &table.qualified_name(), Some(&table))?;
    }
    store::shapes::update(id, &table, &actual.identity)?;
    xact::command_counter_increment();
    Ok(())
}

fn new_columns(id: pg_sys::Oid, recorded: &Table, actual: &Actual) -> BTreeMap<String, NewColumn> {
    actual
        .table
        .columns
        .iter()
        .filter(|column| recorded.column(&column.name).is_none())
        .map(|column| (column.name.clone(), catalog::new_column(id, actual, column)))
        .collect()
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
                    Some(after.clone())
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

/// Records a type that electrified tables begin to use; nothing if it is known.
pub fn use_type(id: pg_sys::Oid) -> Result<(), Error> {
    if store::types::get(id)?.is_some() {
        return Ok(());
    }
    // A label that another transaction is adding is waited for.
    locks::type_labels(id);
    let Some(definition) = catalog::type_definition(id) else {
        return Ok(());
    };
    let relation = definition.qualified_name();
    let again = store::commands::has(&relation, "create_type")?;
    let change = Change::CreateType(definition.clone());
    record_again(&change, &relation, None, again)?;
    store::types::insert(id, &definition, &catalog::type_identity(id))?;
    watch::changed();
    Ok(())
}

/// Records or refuses what happened to a type that electrified tables use.
fn type_touched(id: pg_sys::Oid) -> Result<(), Error> {
    if type_is_as_recorded(id)? {
        return Ok(());
    }
    locks::migrations();
    if type_is_as_recorded(id)? {
        return Ok(());
    }
    let Some((recorded, _)) = store::types::get(id)? else {
        return Ok(());
    };
    let refused = |action| -> Result<(), Error> {
        Err(refusal::change_type_in_use(&recorded.schema, &recorded.name, action).into())
    };
    let Some(actual) = catalog::type_definition(id) else {
        return refused("drop");
    };
    if actual.schema != recorded.schema {
        return refused("change the schema of");
    }
    if actual.name != recorded.name {
        return refused("rename");
    }
    if actual.kind != TypeKind::Enum {
        return refused("alter");
    }
    let Some(added) = labels_added(&recorded.labels, &actual.labels) else {
        return refused("rename a value of");
    };
    let mut enum_type = recorded.clone();
    for (value, position) in added {
        let place = match &position {
            LabelPosition::Before(next) => enum_type.labels.iter().position(|l| l == next),
            LabelPosition::Last => None,
        };
        enum_type
            .labels
            .insert(place.unwrap_or(enum_type.labels.len()), value.clone());
        let change = Change::AddEnumValue {
            enum_type: enum_type.clone(),
            value,
            position,
        };
        record(&change, &enum_type.qualified_name(), None)?;
    }
    store::types::update(id, &enum_type, &catalog::type_identity(id))?;
    xact::command_counter_increment();
    Ok(())
}

/// Whether a type is what it was; one that is not recorded is nobody's business. Of domains and ranges the ids decide,
/// as long as they are of this database: their text changes when something they use is renamed.
fn type_is_as_recorded(id: pg_sys::Oid) -> Result<bool, Error> {
    let Some((recorded, identity)) = store::types::get(id)? else {
        return Ok(true);
    };
    let Some(actual) = catalog::type_definition(id) else {
        return Ok(false);
    };
    let named = actual.schema == recorded.schema && actual.name == recorded.name;
    let same_place = identity.starts_with(&format!("{} ", names::place(id)));
    Ok(named
        && actual.labels == recorded.labels
        && if same_place && recorded.kind != TypeKind::Enum {
            identity == catalog::type_identity(id)
        } else {
            actual.definition == recorded.definition
        })
}

/// The labels that came, each with its place among those that are there by then; `None` if any went or moved.
fn labels_added(recorded: &[String], actual: &[String]) -> Option<Vec<(String, LabelPosition)>> {
    let mut kept = recorded.iter().peekable();
    let mut added = Vec::new();
    for label in actual {
        if kept.peek() == Some(&label) {
            kept.next();
        } else if recorded.contains(label) {
            return None;
        } else {
            let position = match kept.peek() {
                Some(next) => LabelPosition::Before((*next).clone()),
                None => LabelPosition::Last,
            };
            added.push((label.clone(), position));
        }
    }
    kept.peek().is_none().then_some(added)
}

/// Writes one DDL command. Call it under the migration lock; `table` is the table that results.
pub fn record(change: &Change, relation: &str, table: Option<&Table>) -> Result<(), Error> {
    record_again(change, relation, table, false)
}

/// Writes one DDL command that may make something `again` which replicas have kept from an earlier time.
pub fn record_again(
    change: &Change,
    relation: &str,
    table: Option<&Table>,
    again: bool,
) -> Result<(), Error> {
    locks::migrations();
    let op = op::op(change, table)?;
    let mut postgres = postgres::statements(change, table);
    if again {
        postgres.insert(0, drop_what_was_kept(change, table));
    }
    let migration_id = version::migration()?;
    let (last, previous) = store::commands::last()?;
    store::commands::insert(&store::Command {
        id: last + 1,
        migration_id,
        command: change.command(),
        relation,
        query: &query(change).unwrap_or_default(),
        postgres: &postgres,
        sqlite: &sqlite::statements(change, table),
        op: &hash::canonical_json(&op),
        hash: &hash::next(&previous, &op),
    })?;
    xact::command_counter_increment();
    Ok(())
}

/// The statement that made the change: a call of a function of ours, or the utility statement that runs.
fn query(change: &Change) -> Option<String> {
    match change {
        Change::CreateTable { .. } | Change::DisableTable => hook::calling_text(),
        _ => hook::statement_text(),
    }
}

/// A table that was disabled stays on Postgres replicas as it was then. Enabled again it comes with all its rows, so
/// the old one must make way.
fn drop_what_was_kept(change: &Change, table: Option<&Table>) -> String {
    use electric_schema::names::qualified_quoted;
    match (change, table) {
        (
            Change::CreateType(TypeDefinition {
                schema, name, kind, ..
            }),
            _,
        ) => {
            let what = if *kind == TypeKind::Domain {
                "DOMAIN"
            } else {
                "TYPE"
            };
            format!(
                "DROP {what} IF EXISTS {} CASCADE",
                qualified_quoted(schema, name)
            )
        }
        (_, Some(table)) => {
            format!(
                "DROP TABLE IF EXISTS {} CASCADE",
                qualified_quoted(&table.schema, &table.name)
            )
        }
        _ => String::new(),
    }
}

/// The name of a relation as messages show it, whatever became of it.
pub fn shown(id: pg_sys::Oid) -> (String, String) {
    (
        names::schema_of_relation(id).unwrap_or_default(),
        names::relation_name(id).unwrap_or_else(|| id.to_u32().to_string()),
    )
}
