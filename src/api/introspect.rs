//! `electric.introspect`, `electric.schema_sql`, `electric.migrations_since`: the schema and its history, for those who
//! follow it.

use electric_schema::dialect::{postgres, sqlite};
use electric_schema::model::Table;
use serde_json::json;

use crate::error::{Error, SqlState};
use crate::history;
use crate::pg::entry::{self, Call, Datum, void};
use crate::pg::locks;
use crate::pg::value::Value;
use crate::store::{Migration, commands, migrations};
use crate::version;

/// `electric.introspect(version text)`: the electrified schema as jsonb, at that version or now.
pub fn introspect(call: &Call) -> Result<Datum, Error> {
    let moment = history::moment(version::given(call, 0)?.as_deref())?;
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
    Ok(entry::jsonb(&text))
}

/// `electric.schema_sql(dialect text, version text)`: the statements that build an empty replica.
pub fn schema_sql(call: &Call) -> Result<Datum, Error> {
    let statements = statements(call)?;
    let rows = call.rows(false)?;
    for statement in &statements {
        rows.add(&[Value::Text(statement)])?;
    }
    Ok(void())
}

/// The statements that build an empty replica.
pub fn statements(call: &Call) -> Result<Vec<String>, Error> {
    let dialect = dialect(call.text(0)?)?;
    let moment = history::moment(version::given(call, 1)?.as_deref())?;
    let tables: Vec<Table> = history::tables(&moment)?;
    Ok(match dialect {
        Dialect::Postgres => postgres::schema(&history::types(&moment)?, &tables),
        Dialect::Sqlite => {
            let mut statements = sqlite::schema(&tables);
            statements.extend(history::sqlite_statements(&moment)?);
            statements
        }
    })
}

/// `electric.diagram()`: the electrified tables as an entity-relationship diagram in Mermaid's words.
pub fn diagram(_call: &Call) -> Result<Datum, Error> {
    let tables = history::tables(&history::moment(None)?)?;
    Ok(entry::text(&electric_schema::diagram::mermaid(&tables)))
}

/// `electric.migrations_since(version text, dialect text)`: the statements after that version, as the statement that calls
/// sees the history.
///
/// Errors: 25001 where the rows of the history that it sees have gaps.
pub fn migrations_since(call: &Call) -> Result<Datum, Error> {
    let dialect = dialect(call.text(1)?)?;
    let after = after(call)?;
    let rows = call.rows(true)?;
    let mut of: Option<Migration> = None;
    commands::seen_after(after, |command| {
        let id = command.migration();
        if of.as_ref().is_none_or(|of| of.id != id) {
            of = migrations::seen_with_id(id)?;
        }
        let Some(of) = &of else { return Ok(()) };
        let statements = match dialect {
            Dialect::Postgres => command.postgres(),
            Dialect::Sqlite => command.sqlite(),
        };
        for statement in &statements {
            rows.add(&[
                Value::Int8(id),
                Value::Text(&of.version),
                Value::Int8(command.id()),
                Value::Text(statement),
            ])?;
        }
        Ok(())
    })?;
    Ok(void())
}

/// The last command of the version that the first argument is; 0 for NULL.
pub fn after(call: &Call) -> Result<i64, Error> {
    if locks::migrates_over_old_snapshot() {
        return Err(Error::new(
            SqlState::of_code("25001"),
            "the history cannot be read in a transaction that is REPEATABLE READ and has migrated",
        )
        .detail("Its snapshot may be older than migrations that came before its own.")
        .hint("COMMIT first, or use READ COMMITTED."));
    }
    match version::given(call, 0)? {
        Some(version) => history::last_command(&version),
        None => Ok(0),
    }
}

/// A language that replicas speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Postgres' own.
    Postgres,
    /// SQLite's.
    Sqlite,
}

/// The dialect of that name.
pub fn dialect(name: Option<String>) -> Result<Dialect, Error> {
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
