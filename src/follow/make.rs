//! Tables as the stream has them: made, made anew, and their foreign keys.

use std::cell::RefCell;

use electric_schema::change::Change;
use electric_schema::model::{ForeignKey, Table, TypeDefinition};
use electric_schema::names::{qualified, qualified_quoted, quote_ident};
use pgrx::pg_sys;

use super::block::{self, Stop};
use super::say::{self, About};
use super::way;
use crate::error::{Error, SqlState};
use crate::pg::said::Name;
use crate::pg::{names, relation, spi, subtransaction, xact};
use crate::{api, store, watch};

/// A foreign key that waits for its target, which a later command of the same transaction makes.
#[derive(Clone)]
struct Waiting {
    table: Name,
    key: ForeignKey,
}

thread_local! {
    static WAITING: RefCell<Vec<Waiting>> = const { RefCell::new(Vec::new()) };
}

/// The tables whose keys wait for that one.
pub fn waiting_for(table: &Table) -> Vec<pg_sys::Oid> {
    WAITING.with_borrow(|all| {
        let of = all.iter().filter(|of| {
            let to = &of.key.references;
            (&to.schema, &to.table) == (&table.schema, &table.name)
        });
        of.filter_map(|of| names::relation_of(&of.table.schema, &of.table.name))
            .collect()
    })
}

/// The transaction ended, and with it what waited.
pub fn forget() {
    WAITING.take();
}

/// Makes a table. Keys to tables that come after it are made with those.
pub fn table(table: &Table) -> Result<(), Stop> {
    let own = Name::new(&table.schema, &table.name);
    if let Some(taken) = block::taken(&own)? {
        return Err(Stop::InTheWay(taken));
    }
    block::needed(table)?;
    make_way(&own)?;
    let watch = watch::current()?;
    let mut later = Vec::new();
    for key in &table.foreign_keys {
        let target = Name::new(&key.references.schema, &key.references.table);
        let is_there =
            names::relation_of(&target.schema, &target.name).is_some_and(|id| watch.has(id));
        if target != own && !is_there {
            later.push(key.name.clone());
            let waiting = Waiting {
                table: own.clone(),
                key: key.clone(),
            };
            WAITING.with_borrow_mut(|all| all.push(waiting));
        }
    }
    let waited = WAITING.with_borrow_mut(|all| {
        let (waited, rest) = all.drain(..).partition(|of: &Waiting| {
            let target = &of.key.references;
            of.table != own && (&target.schema, &target.table) == (&own.schema, &own.name)
        });
        *all = rest;
        waited
    });
    let waited: Vec<Waiting> = waited;
    let earlier = waited.into_iter().filter(|of| {
        let id = names::relation_of(&of.table.schema, &of.table.name);
        id.is_some_and(|id| watch.has(id))
    });
    create(table, later, earlier.map(|of| (of.table, of.key)).collect())
}

/// A table of that name that the stream made and left, or is about to, makes way.
fn make_way(name: &Name) -> Result<(), Error> {
    match names::relation_of(&name.schema, &name.name) {
        Some(id) if block::is_streams(id)? => {
            let shown = qualified(&name.schema, &name.name);
            // What stood in for a table that was blocked has nothing to keep.
            match block::all()?.contains(&shown) && !relation::has_rows(id) {
                true => remove(id),
                false => way::of_table(id),
            }
        }
        Some(_) => Ok(()),
        // A table is a type, too.
        None => match names::type_of(&name.schema, &name.name) {
            Some(id) if store::stream::has_type(id)? => {
                store::types::delete(id)?;
                way::of_type(&name.schema, &name.name)
            }
            _ => Ok(()),
        },
    }
}

/// Makes a type. One of that name that the stream made, and nobody uses who follows, makes way.
pub fn of_type(definition: &TypeDefinition) -> Result<(), Stop> {
    if let Some(id) = names::type_of(&definition.schema, &definition.name)
        && store::stream::has_type(id)?
    {
        store::types::delete(id)?;
        xact::command_counter_increment();
        way::of_type(&definition.schema, &definition.name)?;
    }
    let about = About {
        definition: Some(definition),
        ..About::default()
    };
    say::change(&Change::CreateType(definition.clone()), &about)
}

/// Makes tables that are made together, one of which this is.
pub fn created(tables: &[&Table], at: usize, change: Change) -> Result<(), Stop> {
    let Change::CreateTable { later, earlier } = change else {
        return Ok(());
    };
    let named = |(name, key): (String, ForeignKey)| {
        let of = tables.iter().find(|table| table.qualified_name() == name)?;
        Some((Name::new(&of.schema, &of.name), key))
    };
    create(
        tables[at],
        later,
        earlier.into_iter().filter_map(named).collect(),
    )
}

/// Makes tables that are made together, one of which this is, where something may have stood in for it.
pub fn again(tables: &[&Table], at: usize, change: Change) -> Result<(), Stop> {
    let own = Name::new(&tables[at].schema, &tables[at].name);
    if let Some(taken) = block::taken(&own)? {
        return Err(Stop::InTheWay(taken));
    }
    make_way(&own)?;
    created(tables, at, change)
}

/// Makes a table, without those keys of its own and with those of others.
fn create(table: &Table, later: Vec<String>, earlier: Vec<(Name, ForeignKey)>) -> Result<(), Stop> {
    let about = About {
        table: Some(table),
        keys: earlier
            .iter()
            .map(|(table, key)| (table.clone(), key.name.clone()))
            .collect(),
        ..About::default()
    };
    let earlier = earlier
        .into_iter()
        .map(|(table, key)| (qualified_quoted(&table.schema, &table.name), key))
        .collect();
    say::change(&Change::CreateTable { later, earlier }, &about)
}

/// A key of another table that pointed to one which is made anew.
pub struct Pointing {
    table: Name,
    key: ForeignKey,
}

/// Takes the keys off a table by which others that follow point to it.
pub fn detach(id: pg_sys::Oid) -> Result<Vec<Pointing>, Error> {
    let watch = watch::current()?;
    let mut pointing = Vec::new();
    for (other, key) in relation::referencing(id) {
        if other == id || !watch.has(other) {
            continue;
        }
        let (schema, name) = names::shown(other);
        let recorded = store::shapes::shape(other)?;
        let mut keys = recorded.iter().flat_map(|table| &table.foreign_keys);
        // One that is not recorded is a user's, and keeps the old table.
        let Some(key) = keys.find(|of| of.name == key) else {
            continue;
        };
        api::working(|| {
            spi::run(&format!(
                "ALTER TABLE {} DROP CONSTRAINT {}",
                qualified_quoted(&schema, &name),
                quote_ident(&key.name)
            ))
        })?;
        pointing.push(Pointing {
            table: Name::new(schema, name),
            key: key.clone(),
        });
    }
    xact::command_counter_increment();
    Ok(pointing)
}

/// Removes a table that the stream made, or renames it if something of a user's hangs on it.
pub fn remove(id: pg_sys::Oid) -> Result<(), Error> {
    let (schema, name) = names::shown(id);
    let sql = format!("DROP TABLE {}", qualified_quoted(&schema, &name));
    let dropped = subtransaction::run(std::panic::AssertUnwindSafe(|| {
        api::working(|| spi::run(&sql))
    }));
    match dropped {
        Ok(done) => done?,
        Err(error) if error.sqlstate() == SqlState::of_code("2BP01").code() => way::of_table(id)?,
        Err(error) => error.rethrow(),
    }
    xact::command_counter_increment();
    if relation::class(id).is_none() {
        store::stream::remove_relation(id)?;
    }
    Ok(())
}

/// Has keys point to a table that was made anew. Its rows are yet to come, so they are not checked; on the publisher
/// they hold.
pub fn attach(pointing: Vec<Pointing>, from: &Name, table: &Table) -> Result<(), Stop> {
    let keys: Vec<(Name, ForeignKey)> = pointing
        .into_iter()
        .filter_map(|of| Some((of.table, pointed(of.key, from, table)?)))
        .collect();
    let about = About {
        keys: keys
            .iter()
            .map(|(table, key)| (table.clone(), key.name.clone()))
            .collect(),
        ..About::default()
    };
    let statements: Vec<String> = keys
        .iter()
        .map(|(table, key)| {
            let not_valid = if key.definition.ends_with(" NOT VALID") {
                ""
            } else {
                " NOT VALID"
            };
            format!(
                "ALTER TABLE {} ADD CONSTRAINT {} {}{not_valid}",
                qualified_quoted(&table.schema, &table.name),
                quote_ident(&key.name),
                key.definition
            )
        })
        .collect();
    say::run(&statements, &about)
}

/// The key, pointing to the table in its new shape; `None` where that cannot be pointed to so, and a command of the
/// other table says what became of the key.
fn pointed(key: ForeignKey, from: &Name, table: &Table) -> Option<ForeignKey> {
    let columns: std::collections::BTreeSet<&String> = key.references.columns.iter().collect();
    let is_unique = table
        .primary_key_constraint
        .iter()
        .map(|key| &key.columns)
        .chain([&table.primary_key])
        .chain(table.unique.iter().map(|unique| &unique.columns))
        .any(|unique| unique.iter().collect::<std::collections::BTreeSet<_>>() == columns);
    let before = format!(" REFERENCES {}(", qualified(&from.schema, &from.name));
    let after = format!(" REFERENCES {}(", table.qualified_name());
    let names_it = key.definition.matches(&before).count() == 1;
    (is_unique && names_it).then(|| ForeignKey {
        definition: key.definition.replace(&before, &after),
        ..key
    })
}
