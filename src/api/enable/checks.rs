//! What a table must be to be electrified. Each error lists all offenders, and says the way out.

use electric_schema::model::{Column, Table};
use electric_schema::names::{is_owned_by_sqlite, qualified, quote_ident_if_needed};
use electric_schema::{diff, refusal};
use pgrx::pg_sys;

use super::{Candidate, arguments};
use crate::catalog::Actual;
use crate::error::{Error, SqlState};
use crate::pg::{compat, names, relation, session};
use crate::{capture, store};

/// JSON, SQLite and the records are UTF-8.
pub fn encoding() -> Result<(), Error> {
    if names::database_is_utf8() {
        return Ok(());
    }
    Err(Error::new(
        SqlState::FeatureNotSupported,
        "tables can be electrified only in databases whose encoding is UTF8",
    )
    .detail("Records and replicas hold names and values as UTF-8.")
    .hint("Move the tables to a database made with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0."))
}

/// The caller does not own the table.
pub fn not_owner(schema: &str, name: &str) -> Error {
    Error::new(
        SqlState::InsufficientPrivilege,
        format!("must be owner of table {}", refusal::shown(schema, name)),
    )
    .detail("Only the owner of a table or a superuser decides whether it is electrified.")
    .hint(format!(
        "SET ROLE to the owner of {} first.",
        qualified(schema, name)
    ))
    .table(schema, name)
}

/// The caller may publish, as the server asks of CREATE PUBLICATION. Records and rows of a table go to every replica of the
/// database and stay there, so that its owner alone must not be who decides.
pub fn may_publish() -> Result<(), Error> {
    let user = session::user();
    if compat::may_create_in_database(user) {
        return Ok(());
    }
    let database = session::database_name();
    Err(Error::new(
        SqlState::InsufficientPrivilege,
        format!("permission denied for database {database}"),
    )
    .detail("Electrifying a table publishes it, which takes CREATE on the database besides ownership of the table.")
    .hint(format!(
        "GRANT CREATE ON DATABASE {} TO {};",
        quote_ident_if_needed(&database),
        quote_ident_if_needed(&names::role_name(user))
    )))
}

/// No relation has that id.
pub fn no_such_table(id: pg_sys::Oid) -> Error {
    Error::new(
        SqlState::UndefinedTable,
        format!("relation with OID {} does not exist", id.to_u32()),
    )
}

/// A table of the right kind, that the caller owns.
pub fn may_be_electrified(id: pg_sys::Oid) -> Result<(), Error> {
    let Some(class) = relation::class(id) else {
        return Err(no_such_table(id));
    };
    let (schema, name) = names::shown(id);
    let shown = refusal::shown(&schema, &name);
    let error = |state, message: String| Error::new(state, message).table(&schema, &name);
    let kind = match class.kind {
        b'r' | b'p' => None,
        b'v' => Some("a view"),
        b'm' => Some("a materialized view"),
        b'f' => Some("a foreign table"),
        b'S' => Some("a sequence"),
        b'i' | b'I' => Some("an index"),
        b'c' => Some("a composite type"),
        _ => Some("no table"),
    };
    if let Some(kind) = kind {
        return Err(error(
            SqlState::WrongObjectType,
            format!("cannot electrify {shown}"),
        )
        .detail(format!(
            "It is {kind}; only ordinary and partitioned tables have rows that replicate."
        ))
        .hint("Electrify the tables it is made of."));
    }
    if matches!(
        schema.as_str(),
        "pg_catalog" | "information_schema" | "electric" | "pg_toast"
    ) {
        return Err(error(
            SqlState::FeatureNotSupported,
            format!("cannot electrify table {shown}"),
        )
        .detail(format!("Schema \"{schema}\" belongs to the system."))
        .hint("Any other schema is fine."));
    }
    if !compat::owns(pg_sys::RelationRelationId, id, session::user()) {
        return Err(not_owner(&schema, &name));
    }
    if class.is_partition {
        return Err(error(
            SqlState::FeatureNotSupported,
            format!("cannot electrify table {shown}"),
        )
        .detail("It is a partition; its rows travel as rows of the partitioned table.")
        .hint("Electrify the partitioned table at the root."));
    }
    match class.persistence {
        b'p' => Ok(()),
        b't' => Err(error(
            SqlState::FeatureNotSupported,
            format!("cannot electrify table {shown}"),
        )
        .detail("It is temporary; only the rows of permanent tables replicate.")
        .hint("Create it without TEMPORARY.")),
        _ => Err(error(
            SqlState::FeatureNotSupported,
            format!("cannot electrify table {shown}"),
        )
        .detail("It is unlogged; only the rows of permanent tables replicate.")
        .hint(format!(
            "First: ALTER TABLE {} SET LOGGED;",
            qualified(&schema, &name)
        ))),
    }
}

/// Partitions whose rows replicate. Foreign tables are none of a table with a primary key, temporary ones none of a
/// permanent one.
pub fn partitions(id: pg_sys::Oid) -> Result<(), Error> {
    let is_unlogged =
        |id: &pg_sys::Oid| relation::class(*id).is_some_and(|class| class.persistence == b'u');
    let unlogged: Vec<String> = match relation::class(id) {
        Some(class) if class.kind == b'p' => relation::descendants(id)
            .into_iter()
            .filter(is_unlogged)
            .map(|partition| {
                let (schema, name) = names::shown(partition);
                qualified(&schema, &name)
            })
            .collect(),
        _ => Vec::new(),
    };
    if unlogged.is_empty() {
        return Ok(());
    }
    let (schema, name) = names::shown(id);
    Err(Error::new(
        SqlState::FeatureNotSupported,
        format!(
            "cannot electrify table {} because some of its partitions are unlogged",
            refusal::shown(&schema, &name)
        ),
    )
    .detail(unlogged.join("\n"))
    .hint(format!(
        "First: ALTER TABLE {} SET LOGGED;",
        unlogged.join(" SET LOGGED; ALTER TABLE ")
    ))
    .table(schema, name))
}

/// A primary key, types that replicas can hold, names they can tell apart.
pub fn shape(actual: &Actual) -> Result<(), Error> {
    let table = &actual.table;
    if !actual.too_deep.is_empty() {
        let is_deep = |column: &&Column| actual.too_deep.contains(&column.name);
        let deep: Vec<Column> = table.columns.iter().filter(is_deep).cloned().collect();
        return Err(capture::tables::nested_too_deep(table, "electrify", &deep));
    }
    if table.primary_key.is_empty() {
        return Err(about(
            table,
            SqlState::InvalidTableDefinition,
            "it has no primary key",
        )
        .detail("Replicas find rows by their primary key.")
        .hint(format!(
            "First: ALTER TABLE {} ADD PRIMARY KEY (…);",
            qualified(&table.schema, &table.name)
        )));
    }
    let offenders = |wanted: &dyn Fn(&str) -> bool| -> Vec<(String, String)> {
        table
            .columns
            .iter()
            .filter(|column| wanted(&column.name))
            .map(|column| (column.name.clone(), column.data_type.sql.clone()))
            .collect()
    };
    let unsupported = offenders(&|name| actual.unsupported.contains(name));
    if !unsupported.is_empty() {
        return Err(about_columns(
            table,
            "some of its columns have types that not every replica can hold",
            &unsupported,
        )
        .hint("Keep such values as text or jsonb, or in a table of their own that is not electrified."));
    }
    let generated = offenders(&|name| actual.generated.contains(name));
    if !generated.is_empty() {
        return Err(about_columns(
            table,
            "some of its columns are generated, which logical replication does not carry",
            &generated,
        )
        .hint("Compute the values in a view, or in ordinary columns that a trigger fills."));
    }
    if let Some((column, other)) = diff::colliding_columns(table) {
        return Err(about_columns(
            table,
            "SQLite could not tell some of its columns apart",
            &[
                (other.name.clone(), other.data_type.sql.clone()),
                (column.name.clone(), column.data_type.sql.clone()),
            ],
        )
        .hint("SQLite ignores case in names: rename one of the columns first."));
    }
    Ok(())
}

/// Foreign keys point to tables that replicas have.
pub fn references(
    candidate: &Candidate,
    electrified: impl Fn(pg_sys::Oid) -> bool,
) -> Result<(), Error> {
    let table = candidate.table();
    let dangling: Vec<_> = table
        .foreign_keys
        .iter()
        .filter(|key| {
            candidate
                .actual
                .referenced
                .get(&key.name)
                .is_some_and(|id| !electrified(*id))
        })
        .collect();
    if dangling.is_empty() {
        return Ok(());
    }
    let mut first: Vec<String> = dangling
        .iter()
        .map(|key| qualified(&key.references.schema, &key.references.table))
        .collect();
    first.sort();
    first.dedup();
    let lines: Vec<String> = dangling
        .iter()
        .map(|key| {
            format!(
                "Foreign key \"{}\" references {}.",
                key.name,
                refusal::shown(&key.references.schema, &key.references.table)
            )
        })
        .collect();
    let own = table.qualified_name();
    let mut error =
        about(table, SqlState::FeatureNotSupported, "it references tables that are not electrified")
            .detail(lines.join("\n"))
            .hint(format!(
                "Electrify them first: SELECT electric.enable({}); or all in one call: SELECT electric.enable({});",
                arguments(first.iter().map(String::as_str)),
                arguments(first.iter().map(String::as_str).chain([own.as_str()]))
            ));
    if let [only] = dangling.as_slice() {
        error = error.constraint(&only.name);
    }
    Err(error)
}

/// The table's name in SQLite is not taken.
pub fn name(candidate: &Candidate) -> Result<(), Error> {
    let table = candidate.table();
    if is_owned_by_sqlite(&table.sqlite_name) {
        return Err(about(
            table,
            SqlState::FeatureNotSupported,
            "its name is reserved in SQLite",
        )
        .detail("SQLite keeps names that begin with \"sqlite_\" for itself.")
        .hint("Rename the table first."));
    }
    if let Some(holder) = store::sqlite_names::holder(&table.sqlite_name)? {
        let (schema, name) = names::shown(holder);
        let holder = refusal::shown(&schema, &name);
        return Err(about(table, SqlState::FeatureNotSupported, "its name would collide in SQLite")
            .detail(format!(
                "There it would be \"{}\", a name that electrified table {holder} or an index of it has; SQLite ignores case.",
                table.sqlite_name
            ))
            .hint("Rename the table first."));
    }
    Ok(())
}

fn about(table: &Table, state: SqlState, because: &str) -> Error {
    Error::new(
        state,
        format!(
            "cannot electrify table {} because {because}",
            refusal::shown(&table.schema, &table.name)
        ),
    )
    .table(&table.schema, &table.name)
}

fn about_columns(table: &Table, because: &str, columns: &[(String, String)]) -> Error {
    let lines: Vec<String> = columns
        .iter()
        .map(|(name, type_sql)| format!("{} {type_sql}", quote_ident_if_needed(name)))
        .collect();
    let error = about(table, SqlState::FeatureNotSupported, because).detail(lines.join("\n"));
    match columns {
        [(only, _)] => error.column(only),
        _ => error,
    }
}
