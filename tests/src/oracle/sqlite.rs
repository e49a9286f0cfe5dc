//! The second oracle: all `sqlite[]`, run in order in SQLite, give the schema that a replica made now would have, at
//! every version; and the rows that Postgres took in between go in and are the same in the end.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use electric_schema::dialect::sqlite::schema;
use electric_schema::model::Table;
use rusqlite::Connection;

use crate::database::{CommandRow, Database, commands};
use crate::replica::Replica;

/// Runs the records, migration by migration, without rows.
pub fn check_versions(database: &Database<'_>) -> Result<()> {
    let history = commands(&mut database.cluster().connect(database.name(), "postgres")?);
    let mut sqlite = Connection::open_in_memory()?;
    let mut tables = BTreeMap::new();
    for migration in history.chunk_by(|a, b| a.migration_id == b.migration_id) {
        sqlite.pragma_update(None, "foreign_keys", false)?;
        let transaction = sqlite.transaction()?;
        for command in migration {
            for statement in &command.sqlite {
                let run = transaction.execute(statement, []);
                run.with_context(|| {
                    format!("replaying command {} in SQLite: {statement}", command.id)
                })?;
            }
            note(&mut tables, command)?;
        }
        transaction.commit()?;
        same_schema(&sqlite, tables.values()).with_context(|| {
            format!(
                "after migration {}",
                migration.first().map_or(0, |c| c.migration_id)
            )
        })?;
    }
    Ok(())
}

/// The tables after a command.
fn note(tables: &mut BTreeMap<String, Table>, command: &CommandRow) -> Result<()> {
    if command.command == "disable_table" {
        tables.remove(&command.relation);
    } else if let Some(table) = command.op.get("table").filter(|table| !table.is_null()) {
        let table: Table = serde_json::from_value(table.clone())?;
        if let Some(before) = command.replaced() {
            tables.remove(&before);
        }
        tables.insert(table.qualified_name(), table);
    }
    Ok(())
}

/// Whether SQLite has the schema that these tables would be given now.
fn same_schema<'t>(sqlite: &Connection, tables: impl Iterator<Item = &'t Table>) -> Result<()> {
    let tables: Vec<Table> = tables.cloned().collect();
    let anew = Connection::open_in_memory()?;
    for statement in schema(&tables) {
        anew.execute(&statement, [])
            .with_context(|| format!("a new replica: {statement}"))?;
    }
    let (expected, found) = (texts(&anew)?, texts(sqlite)?);
    let missing: Vec<_> = expected.difference(&found).collect();
    let surplus: Vec<_> = found.difference(&expected).collect();
    ensure!(
        missing.is_empty() && surplus.is_empty(),
        "SQLite schemas differ; only in a new replica: {missing:#?}\nonly in the replay: {surplus:#?}"
    );
    Ok(())
}

/// The schema as SQLite keeps it: type, name, table and statement of all that is there.
fn texts(sqlite: &Connection) -> Result<BTreeSet<[String; 4]>> {
    let mut statement =
        sqlite.prepare("SELECT type, name, tbl_name, COALESCE(sql, '') FROM sqlite_schema")?;
    let rows = statement.query_map([], |row| {
        Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The replica that followed, and one that comes now, have what Postgres has.
pub fn check_replica(database: &Database<'_>, replica: &mut Replica<'_>) -> Result<()> {
    replica.catch_up().context("the replica cannot follow")?;
    agree(replica).context("the replica that followed")?;
    let (mut late, _) = Replica::follow(database, None).context("a late replica cannot begin")?;
    late.catch_up().context("a late replica cannot follow")?;
    agree(&late).context("a late replica")
}

fn agree(replica: &Replica<'_>) -> Result<()> {
    let comparison = replica.compare()?;
    ensure!(
        comparison.differences.is_empty(),
        "{:#?}",
        comparison.differences
    );
    same_schema(replica.sqlite(), replica.shapes().values())
}
