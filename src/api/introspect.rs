//! `electric.introspect`, `electric.schema_sql`, `electric.migrations_since`: the schema and its history, for those who
//! follow it.

use electric_schema::dialect::{postgres, sqlite};
use electric_schema::model::Table;
use serde_json::json;

use crate::error::{Error, SqlState};
use crate::history;
use crate::pg::entry::{Call, Datum};
use crate::pg::{heap, jsonb, locks};

/// `electric.introspect(version text)`: the electrified schema as jsonb, at that version or now.
pub fn introspect(call: &Call) -> Result<Datum, Error> {
    let moment = history::moment(call.arg::<String>(0).as_deref())?;
    let (version, migration_id) = match moment.migration.clone() {
        Some((version, id)) => (Some(version), Some(id)),
        None => (None, None),
    };
    let hash = Some(&moment.hash).filter(|hash| !hash.is_empty());
    // The shapes are JSON already: put together as text they are parsed once, by the server.
    let text = format!(
        r#"{{"version":{},"migration_id":{},"hash":{},"tables":[{}],"enums":{},"grants":{},"assignments":{}}}"#,
        json!(version),
        json!(migration_id),
        json!(hash),
        history::shapes(&moment)?.join(","),
        json!(history::enums(&moment)?),
        json!(history::grants(&moment)?),
        json!(history::assignments(&moment)?),
    );
    Ok(jsonb::from_text(&text))
}

/// `electric.schema_statements(dialect text, version text)`: what builds an empty replica, as text[];
/// `electric.schema_sql` in SQL makes it rows.
pub fn schema_statements(call: &Call) -> Result<Datum, Error> {
    let dialect = dialect(call.arg::<String>(0))?;
    let moment = history::moment(call.arg::<String>(1).as_deref())?;
    let tables: Vec<Table> = history::tables(&moment)?;
    let statements = match dialect {
        Dialect::Postgres => postgres::schema(&history::types(&moment)?, &tables),
        Dialect::Sqlite => {
            let mut statements = sqlite::schema(&tables);
            statements.extend(history::sqlite_statements(&moment)?);
            statements
        }
    };
    Ok(heap::texts(&statements))
}

/// `electric.diagram()`: the electrified tables as an entity-relationship diagram in Mermaid's words.
pub fn diagram(_call: &Call) -> Result<Datum, Error> {
    let tables = history::tables(&history::moment(None)?)?;
    Ok(heap::text(&electric_schema::diagram::mermaid(&tables)))
}

/// `electric.last_command(version text)`: the id of the version's last command, 0 for NULL;
/// `electric.migrations_since` in SQL begins after it.
///
/// Errors: 25001 where the rows of the history that the caller's SQL would see have gaps.
pub fn last_command(call: &Call) -> Result<Datum, Error> {
    if locks::migrates_over_old_snapshot() {
        return Err(Error::new(
            SqlState::of_code("25001"),
            "the history cannot be read in a transaction that is REPEATABLE READ and has migrated",
        )
        .detail("Its snapshot may be older than migrations that came before its own.")
        .hint("COMMIT first, or use READ COMMITTED."));
    }
    let id = match call.arg::<String>(0) {
        Some(version) => history::last_command(&version)?,
        None => 0,
    };
    Ok(id.into())
}

/// `electric.is_sqlite(dialect text)`: whether that is the dialect; an error for anything but the two.
pub fn is_sqlite(call: &Call) -> Result<Datum, Error> {
    Ok((dialect(call.arg(0))? == Dialect::Sqlite).into())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Postgres,
    Sqlite,
}

fn dialect(name: Option<String>) -> Result<Dialect, Error> {
    let name = name.ok_or_else(|| {
        Error::new(
            SqlState::NullValueNotAllowed,
            "the dialect must not be null",
        )
    })?;
    match name.to_ascii_lowercase().as_str() {
        "postgres" => Ok(Dialect::Postgres),
        "sqlite" => Ok(Dialect::Sqlite),
        _ => Err(Error::new(
            SqlState::InvalidParameterValue,
            format!("unknown SQL dialect \"{name}\""),
        )
        .hint("There are 'sqlite' and 'postgres'.")),
    }
}
