//! Our own tables: `electric.*` rows ↔ shapes, migrations and commands. The columns are those of sql/tables.sql.

use electric_schema::identity::Ids;
use electric_schema::model::{Table, TypeDefinition};
use pgrx::pg_sys;

use crate::error::Error;
use crate::pg::heap::{self, Key};
use crate::pg::names;

/// One of our tables and an index of it.
#[derive(Clone, Copy)]
struct Indexed {
    table: pg_sys::Oid,
    index: pg_sys::Oid,
}

/// Finds a table of ours and an index of it; an error where the extension is not as it was installed.
fn find(table: &std::ffi::CStr, index: &std::ffi::CStr) -> Result<Indexed, Error> {
    let schema = names::schema_id(c"electric");
    let found = Indexed {
        table: names::relation_id(table, schema),
        index: names::relation_id(index, schema),
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

/// The table that lists what is electrified; the invalid id where the extension is not created.
pub fn list() -> pg_sys::Oid {
    let schema = names::schema_id(c"electric");
    if schema == pg_sys::Oid::INVALID {
        return schema;
    }
    names::relation_id(c"electrified", schema)
}

/// What is recorded of an electrified table.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its shape.
    pub table: Table,
    /// Ids of its parts.
    pub identity: Ids,
}

/// Recorded shapes.
pub mod shapes {
    use super::*;

    fn indexed() -> Result<Indexed, Error> {
        find(c"electrified", c"electrified_pkey")
    }

    /// The electrified tables.
    pub fn ids() -> Vec<pg_sys::Oid> {
        heap::scan(list(), pg_sys::Oid::INVALID, &[], |row| row.oid(1))
    }

    /// What is recorded of a table; `None` if it is not electrified.
    pub fn get(id: pg_sys::Oid) -> Result<Option<Recorded>, Error> {
        let Indexed { table, index } = indexed()?;
        let found = heap::scan(table, index, &[Key::oid(1, id)], |row| {
            Some((row.get::<pgrx::Json>(2)?, row.get::<pgrx::Json>(3)?))
        });
        let Some((shape, identity)) = found.into_iter().flatten().next() else {
            return Ok(None);
        };
        Ok(Some(Recorded {
            table: serde_json::from_value(shape.0)?,
            identity: serde_json::from_value(identity.0)?,
        }))
    }

    /// The recorded shape of a table; `None` if it is not electrified.
    pub fn shape(id: pg_sys::Oid) -> Result<Option<Table>, Error> {
        Ok(get(id)?.map(|recorded| recorded.table))
    }

    fn row(
        id: pg_sys::Oid,
        shape: &Table,
        identity: &Ids,
    ) -> Result<[Option<pg_sys::Datum>; 3], Error> {
        Ok([
            Some(id.into()),
            Some(heap::text(&serde_json::to_string(shape)?)),
            Some(heap::text(&serde_json::to_string(identity)?)),
        ])
    }

    /// Records the shape of a table that becomes electrified.
    pub fn insert(id: pg_sys::Oid, shape: &Table, identity: &Ids) -> Result<(), Error> {
        heap::insert(indexed()?.table, &row(id, shape, identity)?)
    }

    /// Records another shape of a table.
    pub fn update(id: pg_sys::Oid, shape: &Table, identity: &Ids) -> Result<(), Error> {
        let Indexed { table, index } = indexed()?;
        heap::update(table, index, &[Key::oid(1, id)], &row(id, shape, identity)?)
    }

    /// Forgets a table.
    pub fn delete(id: pg_sys::Oid) -> Result<(), Error> {
        let Indexed { table, index } = indexed()?;
        heap::delete(table, index, &[Key::oid(1, id)])
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
        )
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
        let Indexed { table, index } = indexed()?;
        Ok(heap::last(table, index, of_row))
    }

    /// The one with that version.
    pub fn with_version(version: &str) -> Result<Option<Migration>, Error> {
        let Indexed { table, index } = find(c"migrations", c"migrations_version_key")?;
        Ok(heap::scan(table, index, &[Key::text(2, version)], of_row).pop())
    }

    /// Adds one.
    pub fn insert(migration: &Migration) -> Result<(), Error> {
        heap::insert(indexed()?.table, &row(migration))
    }

    /// Replaces the one with that id.
    pub fn update(migration: &Migration) -> Result<(), Error> {
        let Indexed { table, index } = indexed()?;
        heap::update(table, index, &[Key::int8(1, migration.id)], &row(migration))
    }
}

/// A row of `electric.ddl_commands`.
pub struct Command<'a> {
    /// Gapless, in execution order.
    pub id: i64,
    /// Its migration.
    pub migration_id: i64,
    /// The word for the change.
    pub command: &'a str,
    /// The table or type.
    pub relation: &'a str,
    /// The statement as issued.
    pub query: &'a str,
    /// Canonical Postgres.
    pub postgres: &'a [String],
    /// Canonical SQLite.
    pub sqlite: &'a [String],
    /// The change as JSON.
    pub op: &'a str,
    /// The chain's hash.
    pub hash: &'a str,
}

/// DDL commands. Call these only under the migration lock.
pub mod commands {
    use super::*;

    fn indexed() -> Result<Indexed, Error> {
        find(c"ddl_commands", c"ddl_commands_pkey")
    }

    /// Id and hash of the newest; 0 and the empty hash before the first.
    pub fn last() -> Result<(i64, String), Error> {
        let Indexed { table, index } = indexed()?;
        Ok(heap::last(table, index, |row| {
            (row.get(1).unwrap_or(0), row.get(9).unwrap_or_default())
        })
        .unwrap_or_default())
    }

    /// The words of the commands after that one, in order.
    pub fn words_after(id: i64) -> Result<Vec<String>, Error> {
        let Indexed { table, index } = indexed()?;
        let (last, _) = last()?;
        Ok((id + 1..=last)
            .filter_map(|id| {
                heap::scan(table, index, &[Key::int8(1, id)], |row| {
                    row.get::<String>(3)
                })
                .pop()?
            })
            .collect())
    }

    /// Whether history already makes a table or type of that name, by one of these commands.
    pub fn has(relation: &str, commands: &[&str]) -> Result<bool, Error> {
        let Indexed { table, index } = find(c"ddl_commands", c"ddl_commands_relation_idx")?;
        Ok(heap::scan(table, index, &[Key::text(4, relation)], |row| {
            row.get::<String>(3)
        })
        .into_iter()
        .flatten()
        .any(|made| commands.contains(&made.as_str())))
    }

    /// Whether history already makes a table of that name, one that replicas may have kept when it was disabled.
    pub fn has_table(relation: &str) -> Result<bool, Error> {
        has(relation, &["create_table", "replace_table"])
    }

    /// Adds one.
    pub fn insert(command: &Command) -> Result<(), Error> {
        heap::insert(
            indexed()?.table,
            &[
                Some(command.id.into()),
                Some(command.migration_id.into()),
                Some(heap::text(command.command)),
                Some(heap::text(command.relation)),
                Some(heap::text(command.query)),
                Some(heap::texts(command.postgres)),
                Some(heap::texts(command.sqlite)),
                Some(heap::jsonb(command.op)),
                Some(heap::text(command.hash)),
            ],
        )
    }
}
