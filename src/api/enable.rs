//! `electric.enable`, `electric.disable` and `CALL electric.electrify`.

use std::collections::{BTreeSet, HashMap, HashSet};

use electric_schema::change::Change;
use electric_schema::dialect::sqlite;
use electric_schema::model::Table;
use electric_schema::names::{qualified, qualified_quoted, quote_literal};
use electric_schema::{diff, order, refusal};
use pgrx::pg_sys;

use super::calling::{Argument, Calling};
use crate::catalog::{self, Actual};
use crate::error::{Error, SqlState};
use crate::pg::entry::{Call, Datum, notice, void};
use crate::pg::{compat, locks, names, relation, session, spi, xact};
use crate::settings::{REPLICA_IDENTITY, ReplicaIdentity};
use crate::{api, capture, permissions, publication, store, watch};

mod checks;

pub use checks::may_publish;

/// `electric.enable(VARIADIC relations regclass[])`: electrifies tables, together.
pub fn call_enable(call: &Call) -> Result<Datum, Error> {
    let relations = call
        .relations(0)?
        .ok_or_else(|| Error::internal("no relations"))?;
    let ids = relations
        .into_iter()
        .map(|id| {
            id.ok_or_else(|| {
                Error::new(
                    SqlState::NullValueNotAllowed,
                    "a table to electrify must not be null",
                )
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let call = Calling::function("enable", &[]);
    let call = ids.iter().fold(call, |call, id| call.with(Some(*id)));
    call.issues(|| enable(&ids))?;
    Ok(void())
}

/// `electric.disable(relation regclass)`: takes a table out of replication.
pub fn call_disable(call: &Call) -> Result<Datum, Error> {
    let id: pg_sys::Oid = call
        .relation(0)?
        .ok_or_else(|| Error::internal("no relation"))?;
    Calling::function("disable", &["relation"])
        .with(Some(id))
        .issues(|| disable_together(&[id]))?;
    Ok(void())
}

/// `CALL electric.electrify(name text)`: a name without a dot is taken as it is, one with a dot as SQL reads it.
pub fn electrify(call: &Call) -> Result<Datum, Error> {
    let name = call.text(0)?.ok_or_else(no_name)?;
    let quoted = if name.contains('.') {
        name.clone()
    } else {
        electric_schema::names::quote_ident(&name)
    };
    let id = names::resolve(&quoted)?;
    Calling::procedure("electrify", &["name"])
        .with(Argument::Named(Some(name), qualified_name(id)))
        .issues(|| enable(&[id]))?;
    Ok(void())
}

/// `CALL electric.electrify(schema text, name text)`: both names are taken as they are.
pub fn electrify_in_schema(call: &Call) -> Result<Datum, Error> {
    let name = call.text(1)?.ok_or_else(no_name)?;
    let schema = call.text(0)?;
    let quoted = match &schema {
        Some(schema) => qualified_quoted(schema, &name),
        None => electric_schema::names::quote_ident(&name),
    };
    let id = names::resolve(&quoted)?;
    let (in_schema, named) = names::shown(id);
    Calling::procedure("electrify", &["schema", "name"])
        .with(Argument::Named(schema, in_schema))
        .with(Argument::Named(Some(name), named))
        .issues(|| enable(&[id]))?;
    Ok(void())
}

fn qualified_name(id: pg_sys::Oid) -> String {
    let (schema, name) = names::shown(id);
    qualified(&schema, &name)
}

fn no_name() -> Error {
    Error::new(
        SqlState::NullValueNotAllowed,
        "the name of the table to electrify must not be null",
    )
}

/// A table on its way to being electrified.
struct Candidate {
    id: pg_sys::Oid,
    actual: Actual,
}

impl Candidate {
    fn table(&self) -> &Table {
        &self.actual.table
    }
}

/// Electrifies tables, together.
pub fn enable(ids: &[pg_sys::Oid]) -> Result<(), Error> {
    session::prevent_if_read_only(c"electric.enable()");
    let watch = watch::current()?;
    let mut wanted = Vec::new();
    let mut together = HashSet::new();
    for &id in ids {
        checks::may_be_electrified(id)?;
        // An event trigger of the user's that electrifies tables may be called because of what we do to one: then the list
        // does not have it yet.
        if watch.has(id) || store::shapes::shape(id)?.is_some() {
            let (schema, name) = names::shown(id);
            notice(&format!(
                "table {} is already electrified",
                refusal::shown(&schema, &name)
            ));
        } else if together.insert(id) {
            wanted.push(id);
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    checks::may_publish()?;
    checks::encoding()?;
    locks::migrations()?;
    capture::arrival::take_on()?;
    for &id in &wanted {
        match capture::tables::is_partitioned(id) {
            true => locks::tree(id),
            false => locks::table(id),
        }
    }
    for &id in &wanted {
        capture::types::hold_of(id)?;
    }
    for &id in &wanted {
        // It may have changed, or gone, while the lock was waited for.
        checks::may_be_electrified(id)?;
        checks::partitions(id)?;
    }
    let read = |&id: &pg_sys::Oid| match catalog::table(id) {
        Some(actual) => Ok(Candidate { id, actual }),
        None => Err(Error::internal("a table vanished while it was electrified")),
    };
    // Most tables have something to print, and each would change the settings for itself.
    let candidates = session::canonical(|| wanted.iter().map(read).collect::<Result<Vec<_>, _>>());
    let mut candidates = candidates?;
    for candidate in &candidates {
        checks::shape(&candidate.actual)?;
        checks::references(candidate, |id| together.contains(&id) || watch.has(id))?;
        checks::name(candidate)?;
    }
    api::working(publication::ensure)?;
    record(&mut candidates)?;
    let tables: Vec<(pg_sys::Oid, String)> = candidates
        .iter()
        .map(|candidate| {
            let table = candidate.table();
            (candidate.id, qualified_quoted(&table.schema, &table.name))
        })
        .collect();
    api::working(|| {
        for (candidate, (id, name)) in candidates.iter().zip(&tables) {
            let key = candidate.table().primary_key_constraint.as_ref();
            set_replica_identity(*id, name, key.map(|key| key.definition.as_str()))?;
        }
        publication::add(&tables)
    })?;
    watch::changed();
    Ok(())
}

/// Records the tables: types they use, then each with its keys, constraints, indexes and defaults.
fn record(candidates: &mut [Candidate]) -> Result<(), Error> {
    for candidate in candidates.iter() {
        for &id in &candidate.actual.types {
            capture::types::use_type(id)?;
        }
    }
    settle(candidates)?;
    let shapes: Vec<&Table> = candidates.iter().map(Candidate::table).collect();
    for (at, change) in order::creation(&shapes) {
        let (candidate, table) = (&candidates[at], shapes[at]);
        let relation = table.qualified_name();
        let again = store::commands::has_table(&relation)?;
        let text = capture::record::again(&change, &relation, Some(table), again)?;
        store::shapes::insert(candidate.id, table, text, &candidate.actual.identity)?;
        xact::command_counter_increment();
    }
    Ok(())
}

/// Settles what SQLite replicas fix for good: values of defaults, names, and which foreign keys they keep.
fn settle(candidates: &mut [Candidate]) -> Result<(), Error> {
    for candidate in candidates.iter_mut() {
        let table = &mut candidate.actual.table;
        diff::fix_table(table).map_err(capture::tables::unreadable)?;
        store::sqlite_names::take(&table.sqlite_name, candidate.id)?;
        xact::command_counter_increment();
    }
    let positions = candidates.iter().map(|candidate| candidate.id).zip(0..);
    let positions: HashMap<pg_sys::Oid, usize> = positions.collect();
    for at in 0..candidates.len() {
        let Candidate { id, actual } = &candidates[at];
        let mut indexes = actual.table.indexes.clone();
        for index in &mut indexes {
            capture::tables::name_index(index, *id, &actual.table)?;
        }
        let mut keys = actual.table.foreign_keys.clone();
        for key in &mut keys {
            let Some(&target) = actual.referenced.get(&key.name) else {
                continue;
            };
            let is_kept = |referenced: &Table| {
                let is_partitioned = capture::tables::is_partitioned(target);
                sqlite::keeps_foreign_key(key, &actual.table, referenced, is_partitioned)
            };
            key.sqlite = match positions.get(&target) {
                Some(&at) => is_kept(candidates[at].table()),
                None => store::shapes::shape(target)?.is_some_and(|shape| is_kept(&shape)),
            };
        }
        let table = &mut candidates[at].actual.table;
        (table.indexes, table.foreign_keys) = (indexes, keys);
    }
    Ok(())
}

/// Gives the table, and the partitions that hold its rows, the replica identity that the setting asks for.
///
/// A primary key that is DEFERRABLE cannot identify rows: such a table gets FULL all the same.
pub fn set_replica_identity(id: pg_sys::Oid, name: &str, key: Option<&str>) -> Result<(), Error> {
    let deferrable = key.is_some_and(|definition| definition.contains(" DEFERRABLE"));
    let (wanted, words) = match REPLICA_IDENTITY.get() {
        ReplicaIdentity::Default if !deferrable => (b'd', "DEFAULT"),
        _ => (b'f', "FULL"),
    };
    let mut tables = vec![(id, name.to_owned())];
    for partition in relation::descendants(id) {
        let (schema, name) = names::shown(partition);
        tables.push((partition, qualified_quoted(&schema, &name)));
    }
    for (id, name) in tables {
        if relation::class(id).is_some_and(|class| class.replica_identity != wanted) {
            spi::run(&format!("ALTER TABLE ONLY {name} REPLICA IDENTITY {words}"))?;
        }
    }
    Ok(())
}

/// Takes tables out of replication, which may reference each other.
pub fn disable_together(ids: &[pg_sys::Oid]) -> Result<(), Error> {
    ids.iter().try_for_each(|id| disable(*id, ids))
}

/// Takes a table out of replication, one of those that go `together`.
fn disable(id: pg_sys::Oid, together: &[pg_sys::Oid]) -> Result<(), Error> {
    session::prevent_if_read_only(c"electric.disable()");
    if relation::class(id).is_none() {
        return Err(checks::no_such_table(id));
    }
    let (schema, name) = names::shown(id);
    let shown = refusal::shown(&schema, &name);
    if !compat::owns(pg_sys::RelationRelationId, id, session::user()) {
        return Err(checks::not_owner(&schema, &name));
    }
    if !watch::current()?.has(id) {
        notice(&format!("table {shown} is not electrified"));
        return Ok(());
    }
    locks::migrations()?;
    capture::arrival::take_on()?;
    locks::table(id);
    let Some(recorded) = store::shapes::remains(id)? else {
        notice(&format!("table {shown} is not electrified"));
        return Ok(());
    };
    let watch = watch::current()?;
    let referencing: BTreeSet<String> = relation::referencing(id)
        .into_iter()
        .filter(|(other, _)| !together.contains(other) && watch.has(*other))
        .map(|(other, key)| {
            let (schema, name) = names::shown(other);
            format!(
                "Foreign key \"{key}\" of electrified table {}",
                refusal::shown(&schema, &name)
            )
        })
        .collect();
    if !referencing.is_empty() {
        return Err(Error::new(
            SqlState::FeatureNotSupported,
            format!("cannot disable electrified table {shown} because others reference it"),
        )
        .detail(format!(
            "{} references it.",
            Vec::from_iter(referencing).join(" references it.\n")
        ))
        .hint("Disable the referencing tables first.")
        .table(schema, name));
    }
    capture::record::one(
        &Change::DisableTable,
        &recorded.qualified_name(),
        Some(&recorded),
    )?;
    forget(id, &recorded)?;
    api::working(|| publication::remove(id, &qualified_quoted(&schema, &name)))?;
    watch::changed();
    Ok(())
}

/// Forgets all that is remembered of a table.
pub fn forget(id: pg_sys::Oid, recorded: &Table) -> Result<(), Error> {
    store::shapes::delete(id)?;
    store::sqlite_names::release_of(id)?;
    permissions::keep::forget(&recorded.schema, &recorded.name)?;
    release_types()
}

/// Forgets the types that no electrified table uses any more: they are the user's own again.
pub fn release_types() -> Result<(), Error> {
    watch::changed();
    let watch = watch::current()?;
    for id in store::types::ids()? {
        if watch.tables_with_type(id).is_empty() {
            store::types::delete(id)?;
        }
    }
    watch::changed();
    Ok(())
}

/// Checks a table that takes the place of a recorded one, and settles what SQLite replicas fix for good.
pub fn ready(id: pg_sys::Oid, actual: Actual, watch: &watch::Watch) -> Result<Actual, Error> {
    let mut candidates = [Candidate { id, actual }];
    checks::shape(&candidates[0].actual)?;
    checks::references(&candidates[0], |other| other == id || watch.has(other))?;
    checks::name(&candidates[0])?;
    settle(&mut candidates)?;
    let [Candidate { actual, .. }] = candidates;
    Ok(actual)
}

/// `'a', 'b'`: names as arguments of a call.
fn arguments<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names
        .into_iter()
        .map(quote_literal)
        .collect::<Vec<_>>()
        .join(", ")
}
