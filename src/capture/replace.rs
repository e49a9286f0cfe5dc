//! The emergency exit, `electric.policy = unrestricted`: what replicas cannot follow is recorded so that they make the
//! table anew, or drop it.

use std::rc::Rc;

use electric_schema::change::Change;
use electric_schema::refusal;
use pgrx::pg_sys;

use super::tables::Compared;
use super::{record, tables, types};
use crate::api::enable;
use crate::error::Error;
use crate::pg::touched::Reach;
use crate::pg::{relation, xact};
use crate::watch::{self, Watch};
use crate::{catalog, permissions, store};

/// A table was dropped, or what is recorded of it cannot be read any more: then it is recorded anew.
pub fn lost(id: pg_sys::Oid, watch: &Watch) -> Result<(), Error> {
    let remains = store::shapes::remains(id)?;
    match (remains, catalog::table(id)) {
        (Some(recorded), Some(actual)) => {
            table(id, Compared::with_remains(recorded, actual), watch)
        }
        _ => dropped(id),
    }
}

/// A table was dropped.
pub fn dropped(id: pg_sys::Oid) -> Result<(), Error> {
    let Some(recorded) = store::shapes::remains(id)? else {
        return Ok(());
    };
    record::one(
        &Change::DisableTable,
        &recorded.qualified_name(),
        Some(&recorded),
    )?;
    enable::forget(id, &recorded)?;
    watch::changed();
    permissions::keep::repair(None)
}

/// A table changed in a way that only its whole new shape can say.
pub(super) fn table(id: pg_sys::Oid, compared: Compared, watch: &Watch) -> Result<(), Error> {
    let Compared {
        recorded, actual, ..
    } = compared;
    // No policy makes an unlogged table replicate.
    if actual.class.persistence != b'p' {
        return Err(refusal::set_unlogged(&recorded).into());
    }
    for type_id in &actual.types {
        types::use_type(*type_id)?;
    }
    store::sqlite_names::release_of(id)?;
    let actual = enable::ready(id, actual, watch)?;
    if (&recorded.schema, &recorded.name) != (&actual.table.schema, &actual.table.name) {
        permissions::keep::forget(&recorded.schema, &recorded.name)?;
    }
    let mut referencing = Vec::new();
    let others = relation::referencing(id);
    for (other, key) in others
        .iter()
        .filter(|(other, _)| *other != id && watch.has(*other))
    {
        if let Some(read) = catalog::look(*other) {
            let name = read.table.qualified_name();
            let keys = read
                .table
                .foreign_keys
                .into_iter()
                .filter(|k| k.name == *key);
            referencing.extend(keys.map(|key| (name.clone(), key)));
        }
    }
    let name = actual.table.qualified_name();
    let renamed = recorded.qualified_name() != name;
    // Replicas may have kept another table of its new name.
    let again = renamed && store::commands::has_table(&name)?;
    let change = Change::ReplaceTable {
        from: Box::new(recorded),
        referencing,
    };
    let text = record::again(&change, &name, Some(&actual.table), again)?;
    if renamed {
        // Postgres sends rows of partitions on under the name that their root had: it does not look there again.
        relation::descendants(id)
            .into_iter()
            .for_each(relation::invalidate);
    }
    let table = Rc::new(actual.table);
    store::shapes::update(id, table.clone(), text, Rc::new(actual.identity))?;
    xact::command_counter_increment();
    enable::release_types()?;
    // Keys of other tables say the name of this one, or of its columns.
    for (other, _) in others
        .into_iter()
        .filter(|(other, _)| *other != id && watch.has(*other))
    {
        tables::touched(other, &Reach::Locked, watch)?;
    }
    permissions::keep::repair(Some(&table))
}
