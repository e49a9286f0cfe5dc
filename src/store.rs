//! Our own tables: `electric.*` rows ↔ shapes, migrations and commands. What they look like is in [`tables`].
//!
//! What says `seen` reads what the calling statement sees, the rest what is there at the moment.

use std::collections::BTreeMap;
use std::rc::Rc;

use electric_schema::identity::Ids;
use electric_schema::model::{Table, TypeDefinition};
use electric_schema::remains::is_shallow;
use pgrx::pg_sys;

use crate::error::Error;
use crate::pg::entry::warning;
use crate::pg::heap::{self, Key, Seen, Version};
use crate::pg::own::{self, find};
use crate::pg::value::Value;
use crate::pg::{memory, names, touched};

pub mod commands;
pub mod frameworks;
pub mod migrations;
pub mod permissions;
pub mod stream;
pub mod tables;

pub use crate::pg::own::Indexed;
pub use migrations::Migration;

/// The table that lists what is electrified; the invalid id where the extension is not created.
pub fn list() -> Result<pg_sys::Oid, Error> {
    Ok(list_and_generation()?.0)
}

/// The table that lists what is electrified, and how often the list has changed as far as this backend knows.
pub fn list_and_generation() -> Result<(pg_sys::Oid, u64), Error> {
    touched::list(|| match own::schema()? {
        None => Ok(pg_sys::Oid::INVALID),
        Some(_) => match find(&tables::places::TABLE, tables::places::places_pkey) {
            Ok(found) => Ok(found.table),
            // It went while a lock on it was waited for.
            Err(_) if names::own_extension() == pg_sys::Oid::INVALID => Ok(pg_sys::Oid::INVALID),
            Err(error) => Err(error),
        },
    })
}

/// The tables that replicas follow, each with its columns.
pub fn records() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let records = tables::RECORDS.iter();
    records.map(|table| (table.shown(), table.column_names().collect()))
}

/// What is recorded of an electrified table.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its shape.
    pub table: Rc<Table>,
    /// Ids of its parts.
    pub identity: Rc<Ids>,
}

/// Recorded shapes.
pub mod shapes {
    use std::cell::RefCell;
    use std::collections::HashMap;

    use super::tables::{electrified as e, places as p};
    use super::*;

    /// So many tables are kept in mind: most sessions migrate few.
    const KEPT: usize = 100;

    thread_local! {
        /// By the table's id: the version of the row that was read, and what it says.
        static READ: RefCell<HashMap<u32, (Version, Recorded)>> = RefCell::default();
    }

    fn indexed() -> Result<Indexed, Error> {
        find(&e::TABLE, e::electrified_pkey)
    }

    fn places() -> Result<Indexed, Error> {
        find(&p::TABLE, p::places_pkey)
    }

    /// The electrified tables.
    pub fn ids() -> Result<Vec<pg_sys::Oid>, Error> {
        let none = pg_sys::Oid::INVALID;
        Ok(heap::scan(places()?.table, none, &[], |row| {
            row.read(p::relation)
        }))
    }

    /// The electrified tables, each with whether its ids were recorded in this place.
    pub fn here_or_elsewhere() -> Result<Vec<(pg_sys::Oid, bool)>, Error> {
        let none = pg_sys::Oid::INVALID;
        Ok(heap::scan(places()?.table, none, &[], |row| {
            let id = row.read(p::relation);
            (id, row.read(p::place) == names::place(id))
        }))
    }

    /// What is recorded of a table; `None` if it is not electrified.
    pub fn get(id: pg_sys::Oid) -> Result<Option<Recorded>, Error> {
        let Indexed { table, index } = indexed()?;
        if let Some(known) = known(id)
            .filter(|known| heap::is_there(table, known.0, |row| row.read(e::relation) == id))
        {
            return Ok(Some(known.1));
        }
        let found = heap::scan(table, index, &[Key::oid(e::relation.number(), id)], |row| {
            read(id, row)
        });
        found.into_iter().next().transpose()
    }

    fn known(id: pg_sys::Oid) -> Option<(Version, Recorded)> {
        READ.with_borrow(|read| read.get(&id.to_u32()).cloned())
    }

    fn read(id: pg_sys::Oid, row: &heap::Row) -> Result<Recorded, Error> {
        let unreadable = |error| unreadable(id, &error);
        let recorded = Recorded {
            table: Rc::new(serde_json::from_str(&row.read(e::shape)).map_err(unreadable)?),
            identity: Rc::new(serde_json::from_str(&row.read(e::identity)).map_err(unreadable)?),
        };
        keep(id, row.version(), recorded.clone());
        Ok(recorded)
    }

    fn keep(id: pg_sys::Oid, version: Version, recorded: Recorded) {
        READ.with_borrow_mut(|read| {
            if read.len() >= KEPT {
                read.clear();
            }
            read.insert(id.to_u32(), (version, recorded));
        });
    }

    /// The recorded shape of a table; `None` if it is not electrified.
    pub fn shape(id: pg_sys::Oid) -> Result<Option<Rc<Table>>, Error> {
        Ok(get(id)?.map(|recorded| recorded.table))
    }

    /// The recorded shape of a table or, where that cannot be read any more, what can be told of it: at least its names.
    pub fn remains(id: pg_sys::Oid) -> Result<Option<Table>, Error> {
        match shape(id) {
            Err(error) if error.is_damage() => {}
            shape => return Ok(shape?.map(Rc::unwrap_or_clone)),
        }
        let Indexed { table, index } = indexed()?;
        let (schema, name) = names::shown(id);
        let found = heap::scan(table, index, &[Key::oid(e::relation.number(), id)], |row| {
            electric_schema::remains::of(&row.read(e::shape), &schema, &name)
        });
        Ok(found.into_iter().next())
    }

    fn unreadable(id: pg_sys::Oid, error: &serde_json::Error) -> Error {
        let (schema, name) = names::shown(id);
        own::damaged(
            format!(
                "what is recorded of table {} cannot be read",
                electric_schema::refusal::shown(&schema, &name)
            ),
            format!("Its row in electric.electrified is not as it was written: {error}."),
        )
        .hint(format!(
            "Its owner can take it out: SELECT electric.disable({}); a superuser can record it anew: SET electric.policy = 'unrestricted'; and any DDL command on it.",
            electric_schema::names::quote_literal(&electric_schema::names::qualified(&schema, &name))
        ))
        .table(schema, name)
    }

    /// The shapes that the calling statement sees, as JSON texts, by the schema and name in them; those that cannot be read
    /// are left out, with a warning.
    pub fn seen() -> Result<BTreeMap<(String, String), String>, Error> {
        /// The part of a shape that it is ordered by.
        #[derive(serde::Deserialize)]
        struct Name {
            schema: String,
            name: String,
        }
        let Indexed { table, index } = indexed()?;
        let texts = heap::seen_in_order(table, index, &[], Seen::ByStatement, |row| {
            (row.read(e::relation), row.read(e::shape))
        });
        let named = |(id, text): (pg_sys::Oid, String)| {
            let named = serde_json::from_str(&text).map_err(|error| unreadable(id, &error));
            match named {
                Ok(Name { schema, name }) if is_shallow(&text) => Some(((schema, name), text)),
                Ok(_) => {
                    let error = serde::de::Error::custom("it is nested too deep");
                    warning(&unreadable(id, &error).message);
                    None
                }
                Err(error) => {
                    warning(&error.message);
                    None
                }
            }
        };
        Ok(texts.into_iter().filter_map(named).collect())
    }

    /// Records the shape of a table that becomes electrified; `text` is its JSON, where that is at hand.
    pub fn insert(
        id: pg_sys::Oid,
        table: &Table,
        text: Option<String>,
        identity: &Ids,
    ) -> Result<(), Error> {
        let texts = texts(table, text, identity)?;
        let (places, electrified) = (places()?.table, indexed()?.table);
        memory::passing(|| {
            heap::insert(places, &[Value::Oid(id), Value::Text(&identity.place)]);
            heap::insert(electrified, &row(id, &texts));
        });
        Ok(())
    }

    /// Records another shape of a table, as [`insert`].
    pub fn update(
        id: pg_sys::Oid,
        table: Rc<Table>,
        text: Option<String>,
        identity: Rc<Ids>,
    ) -> Result<(), Error> {
        let texts = texts(&table, text, &identity)?;
        let Indexed {
            table: electrified,
            index,
        } = indexed()?;
        let (key, known) = ([Key::oid(e::relation.number(), id)], known(id));
        let written = memory::passing(|| {
            let row = row(id, &texts);
            if let Some((version, _)) = known
                && let Some(written) = heap::update_version(
                    electrified,
                    version,
                    |row| row.read(e::relation) == id,
                    &row,
                )
            {
                return Some(written);
            }
            heap::update(electrified, index, &key, &row)
        });
        if known.is_none_or(|(_, known)| known.identity.place != identity.place) {
            let Indexed { table, index } = places()?;
            let key = [Key::oid(p::relation.number(), id)];
            let place = [Value::Oid(id), Value::Text(&identity.place)];
            heap::update(table, index, &key, &place);
        }
        if let Some(version) = written {
            keep(id, version, Recorded { table, identity });
        }
        Ok(())
    }

    fn texts(
        table: &Table,
        text: Option<String>,
        identity: &Ids,
    ) -> Result<(String, String), Error> {
        let text = match text {
            Some(text) => text,
            None => serde_json::to_string(table)?,
        };
        debug_assert!(serde_json::from_str::<Table>(&text).is_ok_and(|read| read == *table));
        Ok((text, serde_json::to_string(identity)?))
    }

    fn row(id: pg_sys::Oid, texts: &(String, String)) -> [Value<'_>; 3] {
        [Value::Oid(id), Value::Json(&texts.0), Value::Json(&texts.1)]
    }

    /// Forgets a table.
    pub fn delete(id: pg_sys::Oid) -> Result<(), Error> {
        let (places, electrified) = (places()?, indexed()?);
        heap::delete(
            places.table,
            places.index,
            &[Key::oid(p::relation.number(), id)],
        );
        let key = [Key::oid(e::relation.number(), id)];
        heap::delete(electrified.table, electrified.index, &key);
        Ok(())
    }
}

/// Recorded enums, domains and ranges.
pub mod types {
    use super::tables::electrified_types as t;
    use super::*;

    fn indexed() -> Result<Indexed, Error> {
        find(&t::TABLE, t::electrified_types_pkey)
    }

    /// The types that electrified tables use.
    pub fn ids() -> Result<Vec<pg_sys::Oid>, Error> {
        Ok(heap::scan(
            indexed()?.table,
            pg_sys::Oid::INVALID,
            &[],
            |row| row.read(t::r#type),
        ))
    }

    /// The recorded definition of a type, and what told it apart.
    pub fn get(id: pg_sys::Oid) -> Result<Option<(TypeDefinition, String)>, Error> {
        let Indexed { table, index } = indexed()?;
        let found = heap::scan(table, index, &[Key::oid(t::r#type.number(), id)], |row| {
            (row.read(t::definition), row.read(t::identity))
        });
        match found.into_iter().next() {
            Some((text, identity)) => {
                let definition = serde_json::from_str(&text);
                Ok(Some((
                    definition.map_err(|error| unreadable(id, &error))?,
                    identity,
                )))
            }
            None => Ok(None),
        }
    }

    /// Whether a type is recorded, be it readable or not.
    pub fn has(id: pg_sys::Oid) -> Result<bool, Error> {
        let Indexed { table, index } = indexed()?;
        let key = Key::oid(t::r#type.number(), id);
        Ok(!heap::scan(table, index, &[key], |_| ()).is_empty())
    }

    fn unreadable(id: pg_sys::Oid, error: &serde_json::Error) -> Error {
        let (schema, name) = names::shown_type(id);
        own::damaged(
            format!(
                "what is recorded of type {} cannot be read",
                electric_schema::refusal::shown(&schema, &name)
            ),
            format!("Its row in electric.electrified_types is not as it was written: {error}."),
        )
        .hint("A superuser can record it anew: SET electric.policy = 'unrestricted'; and any DDL command on it. It goes with the last table that uses it, too.")
    }

    /// The definitions that the calling statement sees, in no particular order; those that cannot be read are left out,
    /// with a warning.
    pub fn seen() -> Result<Vec<TypeDefinition>, Error> {
        let Indexed { table, index } = indexed()?;
        let texts = heap::seen_in_order(table, index, &[], Seen::ByStatement, |row| {
            (row.read(t::r#type), row.read(t::definition))
        });
        let readable = |(id, text): (pg_sys::Oid, String)| match serde_json::from_str(&text) {
            Ok(definition) => Some(definition),
            Err(error) => {
                warning(&unreadable(id, &error).message);
                None
            }
        };
        Ok(texts.into_iter().filter_map(readable).collect())
    }

    /// Records a type.
    pub fn insert(
        id: pg_sys::Oid,
        definition: &TypeDefinition,
        identity: &str,
    ) -> Result<(), Error> {
        let definition = serde_json::to_string(definition)?;
        heap::insert(indexed()?.table, &row(id, &definition, identity));
        Ok(())
    }

    fn row<'a>(id: pg_sys::Oid, definition: &'a str, identity: &'a str) -> [Value<'a>; 3] {
        [
            Value::Oid(id),
            Value::Json(definition),
            Value::Text(identity),
        ]
    }

    /// Records another definition of a type.
    pub fn update(
        id: pg_sys::Oid,
        definition: &TypeDefinition,
        identity: &str,
    ) -> Result<(), Error> {
        let Indexed { table, index } = indexed()?;
        let definition = serde_json::to_string(definition)?;
        let key = [Key::oid(t::r#type.number(), id)];
        heap::update(table, index, &key, &row(id, &definition, identity));
        Ok(())
    }

    /// Forgets a type.
    pub fn delete(id: pg_sys::Oid) -> Result<(), Error> {
        let Indexed { table, index } = indexed()?;
        heap::delete(table, index, &[Key::oid(t::r#type.number(), id)]);
        Ok(())
    }
}

/// Names in SQLite, which tables and indexes share and where case does not tell names apart.
pub mod sqlite_names {
    use super::tables::sqlite_names as n;
    use super::*;

    fn indexed() -> Result<Indexed, Error> {
        find(&n::TABLE, n::sqlite_names_pkey)
    }

    /// The electrified table that has the name, for itself or for an index.
    pub fn holder(name: &str) -> Result<Option<pg_sys::Oid>, Error> {
        let Indexed { table, index } = indexed()?;
        let name = electric_schema::names::sqlite_fold(name);
        let key = [Key::text(n::name.number(), &name)];
        Ok(heap::scan(table, index, &key, |row| row.read(n::relation)).pop())
    }

    /// Takes the name for a table or an index of it.
    pub fn take(name: &str, id: pg_sys::Oid) -> Result<(), Error> {
        let name = electric_schema::names::sqlite_fold(name);
        heap::insert(indexed()?.table, &[Value::Text(&name), Value::Oid(id)]);
        Ok(())
    }

    /// Gives back all names of a table and its indexes.
    pub fn release_of(id: pg_sys::Oid) -> Result<(), Error> {
        let none = pg_sys::Oid::INVALID;
        let held = |row: &heap::Row| (row.read(n::relation) == id).then(|| row.read(n::name));
        let names = heap::scan(indexed()?.table, none, &[], held);
        names.iter().flatten().try_for_each(|name| release(name))?;
        crate::pg::xact::command_counter_increment();
        Ok(())
    }

    /// Gives the name back.
    pub fn release(name: &str) -> Result<(), Error> {
        let Indexed { table, index } = indexed()?;
        let name = electric_schema::names::sqlite_fold(name);
        heap::delete(table, index, &[Key::text(n::name.number(), &name)]);
        Ok(())
    }
}

/// The subscription that this database follows another by.
pub mod subscriptions {
    use super::tables::subscriptions as s;
    use super::*;

    fn indexed() -> Result<Indexed, Error> {
        find(&s::TABLE, s::subscriptions_pkey)
    }

    /// Its name; `None` if this database follows no other.
    pub fn name() -> Result<Option<String>, Error> {
        let none = pg_sys::Oid::INVALID;
        let found = heap::scan(indexed()?.table, none, &[], |row| row.read(s::name));
        Ok(found.into_iter().next())
    }

    /// This database begins to follow another.
    pub fn insert(name: &str) -> Result<(), Error> {
        heap::insert(indexed()?.table, &[Value::Text(name)]);
        Ok(())
    }

    /// This database follows no other any more: what is remembered of that one's history goes.
    pub fn forget() -> Result<(), Error> {
        use super::tables::*;
        let tables = [
            (&subscriptions::TABLE, subscriptions::subscriptions_pkey),
            (&places::TABLE, places::places_pkey),
            (&electrified::TABLE, electrified::electrified_pkey),
            (
                &electrified_types::TABLE,
                electrified_types::electrified_types_pkey,
            ),
            (&sqlite_names::TABLE, sqlite_names::sqlite_names_pkey),
            (&stream_objects::TABLE, stream_objects::stream_objects_pkey),
            (&blocked::TABLE, blocked::blocked_pkey),
            (&grants::TABLE, grants::grants_key),
            (&assignments::TABLE, assignments::assignments_key),
            (&ddl_commands::TABLE, ddl_commands::ddl_commands_pkey),
            (&migrations::TABLE, migrations::migrations_pkey),
        ];
        for (table, index) in tables {
            let Indexed { table, index } = find(table, index)?;
            heap::delete(table, index, &[]);
        }
        Ok(())
    }
}
