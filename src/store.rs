//! Our own tables: `electric.*` rows ↔ shapes, migrations and commands. The columns are those of sql/tables.sql.
//!
//! What says `seen` reads what the calling statement sees, the rest what is there at the moment.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::rc::Rc;

use electric_schema::identity::Ids;
use electric_schema::model::{Table, TypeDefinition};
use pgrx::pg_sys;

use crate::error::{Error, SqlState};
use crate::pg::heap::{self, Key, Seen, Version};
use crate::pg::known::Known;
use crate::pg::{memory, names, touched};

pub mod commands;
pub mod frameworks;
pub mod permissions;
pub mod stream;

/// One of our tables and an index of it.
#[derive(Clone, Copy)]
struct Indexed {
    table: pg_sys::Oid,
    index: pg_sys::Oid,
}

/// Finds a table of ours and an index of it; an error where the extension is not as it was installed.
fn find(table: &'static CStr, index: &'static CStr) -> Result<Indexed, Error> {
    thread_local!(static FOUND: Known<&'static CStr, Indexed> = const { Known::new() });
    FOUND.with(|found| found.get(index, || look_up(table, index)))
}

fn look_up(table: &CStr, index: &CStr) -> Result<Indexed, Error> {
    let schema = installed()?.ok_or_else(not_created)?;
    let listened = |name| {
        let id = names::relation_id(name, schema);
        touched::listen(id);
        id
    };
    let found = Indexed {
        table: listened(table),
        index: listened(index),
    };
    if found.table == pg_sys::Oid::INVALID || found.index == pg_sys::Oid::INVALID {
        return Err(Error::internal(format!(
            "table electric.{} is damaged",
            table.to_string_lossy()
        ))
        .hint(
            "Drop the extension and create it again, or restore the electric schema from a backup.",
        ));
    }
    Ok(found)
}

/// The schema of the extension, if that is created in this database.
fn installed() -> Result<Option<pg_sys::Oid>, Error> {
    if names::own_extension() == pg_sys::Oid::INVALID {
        return Ok(None);
    }
    match names::own_schema() {
        pg_sys::Oid::INVALID => Err(damaged(
            "schema electric is damaged",
            "It is not a member of the extension \"electric\".",
        )),
        schema => Ok(Some(schema)),
    }
}

fn not_created() -> Error {
    Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        "extension \"electric\" is not created in this database",
    )
    .hint("CREATE EXTENSION electric;")
}

fn damaged(message: impl Into<String>, detail: impl Into<String>) -> Error {
    Error::new(SqlState::of_code("XX001"), message)
        .detail(detail)
        .hint("Undo what was done to it, restore the electric schema from a backup, or drop the extension and create it again.")
}

/// The table that lists what is electrified; the invalid id where the extension is not created.
pub fn list() -> Result<pg_sys::Oid, Error> {
    Ok(list_and_generation()?.0)
}

/// The table that lists what is electrified, and how often the list has changed as far as this backend knows.
pub fn list_and_generation() -> Result<(pg_sys::Oid, u64), Error> {
    touched::list(|| match installed()? {
        None => Ok(pg_sys::Oid::INVALID),
        Some(_) => Ok(find(c"places", c"places_pkey")?.table),
    })
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

    use super::*;

    /// So many tables are kept in mind: most sessions migrate few.
    const KEPT: usize = 100;

    thread_local! {
        /// By the table's id: the version of the row that was read, and what it says.
        static READ: RefCell<HashMap<u32, (Version, Recorded)>> = RefCell::default();
    }

    fn indexed() -> Result<Indexed, Error> {
        find(c"electrified", c"electrified_pkey")
    }

    fn places() -> Result<Indexed, Error> {
        find(c"places", c"places_pkey")
    }

    /// The electrified tables.
    pub fn ids() -> Result<Vec<pg_sys::Oid>, Error> {
        let none = pg_sys::Oid::INVALID;
        Ok(heap::scan(places()?.table, none, &[], |row| row.oid(1)))
    }

    /// The electrified tables, each with whether its ids were recorded in this place.
    pub fn here_or_elsewhere() -> Result<Vec<(pg_sys::Oid, bool)>, Error> {
        let none = pg_sys::Oid::INVALID;
        Ok(heap::scan(places()?.table, none, &[], |row| {
            let id = row.oid(1);
            (id, row.get::<&str>(2) == Some(names::place(id).as_str()))
        }))
    }

    /// What is recorded of a table; `None` if it is not electrified.
    pub fn get(id: pg_sys::Oid) -> Result<Option<Recorded>, Error> {
        let Indexed { table, index } = indexed()?;
        if let Some(known) =
            known(id).filter(|known| heap::is_there(table, known.0, |row| row.oid(1) == id))
        {
            return Ok(Some(known.1));
        }
        let found = heap::scan(table, index, &[Key::oid(1, id)], |row| read(id, row));
        found.into_iter().next().transpose()
    }

    fn known(id: pg_sys::Oid) -> Option<(Version, Recorded)> {
        READ.with_borrow(|read| read.get(&id.to_u32()).cloned())
    }

    fn read(id: pg_sys::Oid, row: &heap::Row) -> Result<Recorded, Error> {
        let text = |column| row.get::<String>(column).unwrap_or_default();
        let recorded = Recorded {
            table: Rc::new(serde_json::from_str(&text(2))?),
            identity: Rc::new(serde_json::from_str(&text(3))?),
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

    /// The shapes that the calling statement sees, as JSON texts, by the schema and name in them.
    pub fn seen() -> Result<BTreeMap<(String, String), String>, Error> {
        /// The part of a shape that it is ordered by.
        #[derive(serde::Deserialize)]
        struct Name {
            schema: String,
            name: String,
        }
        let Indexed { table, index } = indexed()?;
        let texts = heap::seen_in_order(table, index, &[], Seen::ByStatement, |row| {
            row.get::<String>(2).unwrap_or_default()
        });
        texts
            .into_iter()
            .map(|text| {
                let Name { schema, name } = serde_json::from_str(&text)?;
                Ok(((schema, name), text))
            })
            .collect()
    }

    /// Records the shape of a table that becomes electrified; `text` is its JSON, where that is at hand.
    pub fn insert(
        id: pg_sys::Oid,
        table: &Table,
        text: Option<String>,
        identity: &Ids,
    ) -> Result<(), Error> {
        let texts = texts(table, text, identity)?;
        let electrified = indexed()?.table;
        memory::passing(|| {
            let place = heap::text(&identity.place);
            heap::insert(places()?.table, &[Some(id.into()), Some(place)])?;
            heap::insert(electrified, &row(id, &texts))
        })
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
        let (key, known) = ([Key::oid(1, id)], known(id));
        let written = memory::passing(|| {
            let row = row(id, &texts);
            if let Some((version, _)) = known
                && let Some(written) =
                    heap::update_version(electrified, version, |row| row.oid(1) == id, &row)?
            {
                return Ok(Some(written));
            }
            heap::update(electrified, index, &key, &row)
        })?;
        if known.is_none_or(|(_, known)| known.identity.place != identity.place) {
            let Indexed { table, index } = places()?;
            let place = heap::text(&identity.place);
            heap::update(table, index, &key, &[Some(id.into()), Some(place)])?;
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

    fn row(id: pg_sys::Oid, texts: &(String, String)) -> [Option<pg_sys::Datum>; 3] {
        [
            Some(id.into()),
            Some(heap::text(&texts.0)),
            Some(heap::text(&texts.1)),
        ]
    }

    /// Forgets a table.
    pub fn delete(id: pg_sys::Oid) -> Result<(), Error> {
        for Indexed { table, index } in [places()?, indexed()?] {
            heap::delete(table, index, &[Key::oid(1, id)])?;
        }
        Ok(())
    }
}

/// Recorded enums, domains and ranges.
pub mod types {
    use super::*;

    fn indexed() -> Result<Indexed, Error> {
        find(c"electrified_types", c"electrified_types_pkey")
    }

    /// The types that electrified tables use.
    pub fn ids() -> Result<Vec<pg_sys::Oid>, Error> {
        Ok(heap::scan(
            indexed()?.table,
            pg_sys::Oid::INVALID,
            &[],
            |row| row.oid(1),
        ))
    }

    /// The recorded definition of a type, and what told it apart.
    pub fn get(id: pg_sys::Oid) -> Result<Option<(TypeDefinition, String)>, Error> {
        let Indexed { table, index } = indexed()?;
        let found = heap::scan(table, index, &[Key::oid(1, id)], |row| {
            Some((row.get::<pgrx::Json>(2)?, row.get::<String>(3)?))
        });
        match found.into_iter().flatten().next() {
            Some((json, identity)) => Ok(Some((serde_json::from_value(json.0)?, identity))),
            None => Ok(None),
        }
    }

    /// The definitions that the calling statement sees, in no particular order.
    pub fn seen() -> Result<Vec<TypeDefinition>, Error> {
        let Indexed { table, index } = indexed()?;
        heap::seen_in_order(table, index, &[], Seen::ByStatement, |row| {
            row.get::<String>(2).unwrap_or_default()
        })
        .iter()
        .map(|text| Ok(serde_json::from_str(text)?))
        .collect()
    }

    fn row(
        id: pg_sys::Oid,
        definition: &TypeDefinition,
        identity: &str,
    ) -> Result<[Option<pg_sys::Datum>; 3], Error> {
        Ok([
            Some(id.into()),
            Some(heap::text(&serde_json::to_string(definition)?)),
            Some(heap::text(identity)),
        ])
    }

    /// Records a type.
    pub fn insert(
        id: pg_sys::Oid,
        definition: &TypeDefinition,
        identity: &str,
    ) -> Result<(), Error> {
        heap::insert(indexed()?.table, &row(id, definition, identity)?)
    }

    /// Records another definition of a type.
    pub fn update(
        id: pg_sys::Oid,
        definition: &TypeDefinition,
        identity: &str,
    ) -> Result<(), Error> {
        let Indexed { table, index } = indexed()?;
        heap::update(
            table,
            index,
            &[Key::oid(1, id)],
            &row(id, definition, identity)?,
        )?;
        Ok(())
    }

    /// Forgets a type.
    pub fn delete(id: pg_sys::Oid) -> Result<(), Error> {
        let Indexed { table, index } = indexed()?;
        heap::delete(table, index, &[Key::oid(1, id)])
    }
}

/// Names in SQLite, which tables and indexes share and where case does not tell names apart.
pub mod sqlite_names {
    use super::*;

    fn indexed() -> Result<Indexed, Error> {
        find(c"sqlite_names", c"sqlite_names_pkey")
    }

    /// The electrified table that has the name, for itself or for an index.
    pub fn holder(name: &str) -> Result<Option<pg_sys::Oid>, Error> {
        let Indexed { table, index } = indexed()?;
        let name = electric_schema::names::sqlite_fold(name);
        Ok(heap::scan(table, index, &[Key::text(1, &name)], |row| row.oid(2)).pop())
    }

    /// Takes the name for a table or an index of it.
    pub fn take(name: &str, id: pg_sys::Oid) -> Result<(), Error> {
        let name = electric_schema::names::sqlite_fold(name);
        heap::insert(
            indexed()?.table,
            &[Some(heap::text(&name)), Some(id.into())],
        )
    }

    /// Gives the name back.
    pub fn release(name: &str) -> Result<(), Error> {
        let Indexed { table, index } = indexed()?;
        let name = electric_schema::names::sqlite_fold(name);
        heap::delete(table, index, &[Key::text(1, &name)])
    }
}

/// The subscription that this database follows another by.
pub mod subscriptions {
    use super::*;

    fn indexed() -> Result<Indexed, Error> {
        find(c"subscriptions", c"subscriptions_pkey")
    }

    /// Its name; `None` if this database follows no other.
    pub fn name() -> Result<Option<String>, Error> {
        let none = pg_sys::Oid::INVALID;
        let found = heap::scan(indexed()?.table, none, &[], |row| row.get::<String>(1));
        Ok(found.into_iter().flatten().next())
    }

    /// This database begins to follow another.
    pub fn insert(name: &str) -> Result<(), Error> {
        heap::insert(indexed()?.table, &[Some(heap::text(name))])
    }

    /// This database follows no other any more: what is remembered of that one's history goes.
    pub fn forget() -> Result<(), Error> {
        let tables = [
            (c"subscriptions", c"subscriptions_pkey"),
            (c"places", c"places_pkey"),
            (c"electrified", c"electrified_pkey"),
            (c"electrified_types", c"electrified_types_pkey"),
            (c"sqlite_names", c"sqlite_names_pkey"),
            (c"stream_objects", c"stream_objects_pkey"),
            (c"blocked", c"blocked_pkey"),
            (c"grants", c"grants_key"),
            (c"assignments", c"assignments_key"),
            (c"ddl_commands", c"ddl_commands_pkey"),
            (c"migrations", c"migrations_pkey"),
        ];
        for (table, index) in tables {
            let Indexed { table, index } = find(table, index)?;
            heap::delete(table, index, &[])?;
        }
        Ok(())
    }
}

/// A row of `electric.migrations`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Gapless, in commit order.
    pub id: i64,
    /// Unique.
    pub version: String,
    /// `auto`, `user` or a framework's name.
    pub source: String,
    /// The framework, where known.
    pub framework: Option<String>,
    /// The framework's own version, where known.
    pub framework_version: Option<String>,
    /// The transaction, with its epoch.
    pub xid: u64,
    /// When the transaction began, in microseconds since 2000-01-01 UTC.
    pub created_at: i64,
}

/// Migrations. Call what writes only under the migration lock.
pub mod migrations {
    use super::*;

    fn indexed() -> Result<Indexed, Error> {
        find(c"migrations", c"migrations_pkey")
    }

    fn of_row(row: &heap::Row) -> Migration {
        let row = row.whole();
        Migration {
            id: row.get(1).unwrap_or(0),
            version: row.get(2).unwrap_or_default(),
            source: row.get(3).unwrap_or_default(),
            framework: row.get(4),
            framework_version: row.get(5),
            xid: row.datum(6).map_or(0, |datum| datum.value() as u64),
            created_at: row.datum(7).map_or(0, |datum| datum.value() as i64),
        }
    }

    fn row(migration: &Migration) -> [Option<pg_sys::Datum>; 7] {
        [
            Some(migration.id.into()),
            Some(heap::text(&migration.version)),
            Some(heap::text(&migration.source)),
            migration.framework.as_deref().map(heap::text),
            migration.framework_version.as_deref().map(heap::text),
            Some(pg_sys::Datum::from(migration.xid)),
            Some(pg_sys::Datum::from(migration.created_at)),
        ]
    }

    /// The newest.
    pub fn last() -> Result<Option<Migration>, Error> {
        thread_local!(static KNOWN: Cell<i64> = const { Cell::new(0) });
        let Indexed { table, index } = indexed()?;
        Ok(KNOWN.with(|known| heap::last(table, index, known, of_row)))
    }

    /// The one with that id.
    pub fn with_id(id: i64) -> Result<Option<Migration>, Error> {
        let Indexed { table, index } = indexed()?;
        Ok(heap::scan(table, index, &[Key::int8(1, id)], of_row).pop())
    }

    /// The one with that id, if the calling statement sees it.
    pub fn seen_with_id(id: i64) -> Result<Option<Migration>, Error> {
        let Indexed { table, index } = indexed()?;
        let key = [Key::int8(1, id)];
        Ok(heap::last_of(table, index, &key, Seen::ByStatement, of_row))
    }

    /// The one with that version.
    pub fn with_version(version: &str) -> Result<Option<Migration>, Error> {
        let Indexed { table, index } = find(c"migrations", c"migrations_version_key")?;
        Ok(heap::scan(table, index, &[Key::text(2, version)], of_row).pop())
    }

    /// The newest that the calling statement sees.
    pub fn seen_last() -> Result<Option<Migration>, Error> {
        let Indexed { table, index } = indexed()?;
        Ok(heap::last_of(table, index, &[], Seen::ByStatement, of_row))
    }

    /// The one with that version, if the calling statement sees it.
    pub fn seen_with_version(version: &str) -> Result<Option<Migration>, Error> {
        let Indexed { table, index } = find(c"migrations", c"migrations_version_key")?;
        let key = Key::text(2, version);
        Ok(heap::last_of(
            table,
            index,
            &[key],
            Seen::ByStatement,
            of_row,
        ))
    }

    /// Adds one.
    pub fn insert(migration: &Migration) -> Result<(), Error> {
        heap::insert(indexed()?.table, &row(migration))
    }

    /// Replaces the one with that id.
    pub fn update(migration: &Migration) -> Result<(), Error> {
        let Indexed { table, index } = indexed()?;
        heap::update(table, index, &[Key::int8(1, migration.id)], &row(migration))?;
        Ok(())
    }
}
