//! The second oracle: all `sqlite[]`, run in order in SQLite, give the schema that a replica made now would have, at
//! every version; and the rows that Postgres took in between go in and are the same in the end.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use postgres::Client;
use rusqlite::Connection;

use crate::database::{Database, commands};
use crate::replica::Replica;

/// Runs the records, migration by migration, without rows.
pub fn check_versions(database: &Database<'_>) -> Result<()> {
    let mut client = database.cluster().connect(database.name(), "postgres")?;
    let history = commands(&mut client);
    let mut sqlite = Connection::open_in_memory()?;
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
        }
        transaction.commit()?;
        let id = migration.first().map_or(0, |command| command.migration_id);
        same_schema(&sqlite, &mut client, Some(id))
            .with_context(|| format!("after migration {id}"))?;
    }
    Ok(())
}

/// Whether SQLite has the schema that the server gives for a new replica, after that migration or now.
fn same_schema(sqlite: &Connection, client: &mut Client, migration: Option<i64>) -> Result<()> {
    let anew = Connection::open_in_memory()?;
    let statements = client.query(
        "SELECT electric.schema_sql('sqlite', (SELECT version FROM electric.migrations WHERE id = $1))",
        &[&migration],
    )?;
    for row in statements {
        let statement: String = row.get(0);
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
    let mut client = database.cluster().connect(database.name(), "postgres")?;
    agree(replica, &mut client).context("the replica that followed")?;
    let (mut late, _) = Replica::follow(database, None).context("a late replica cannot begin")?;
    late.catch_up().context("a late replica cannot follow")?;
    agree(&late, &mut client).context("a late replica")
}

fn agree(replica: &Replica<'_>, client: &mut Client) -> Result<()> {
    let comparison = replica.compare()?;
    ensure!(
        comparison.differences.is_empty(),
        "{:#?}",
        comparison.differences
    );
    same_schema(replica.sqlite(), client, None)
}
