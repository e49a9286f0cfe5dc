//! Ecto, replayed: what ecto_sql 3.10.2 sends through postgrex 0.17.5, message by message, as it was recorded once.
//! The framework itself is in no package registry that tests can count on.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run};
use postgres::Client;

use super::named;

/// A statement by Parse, Bind and Execute, unnamed, without parameters: one statement each.
fn extended(client: &mut Client, sql: &str) {
    client
        .execute(sql, &[])
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

fn run_migration(holder: &mut Client, runner: &mut Client, version: i64, statements: &[&str]) {
    run(holder, "BEGIN");
    extended(
        holder,
        "LOCK TABLE \"schema_migrations\" IN SHARE UPDATE EXCLUSIVE MODE",
    );
    holder
        .query(
            "SELECT s0.\"version\"::bigint FROM \"schema_migrations\" AS s0",
            &[],
        )
        .unwrap();
    run(runner, "BEGIN");
    for statement in statements {
        extended(runner, statement);
    }
    note(runner, version);
    run(runner, "COMMIT");
    run(holder, "COMMIT");
}

/// The row, binary.
fn note(client: &mut Client, version: i64) {
    let insert =
        "INSERT INTO \"schema_migrations\" (\"version\",\"inserted_at\") VALUES ($1,now())";
    client.execute(insert, &[&version]).unwrap();
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS \"schema_migrations\" (\"version\" bigint, \"inserted_at\" timestamp(0), \
                     PRIMARY KEY (\"version\"))";

fn replay(database: &Database<'_>) {
    let (mut one, mut two) = (database.client(), database.client());
    for client in [&mut one, &mut two] {
        run(client, "SET lock_timeout = '5s'");
    }
    extended(&mut one, TABLE);
    run_migration(
        &mut one,
        &mut two,
        20240101000000,
        &[
            "CREATE EXTENSION IF NOT EXISTS electric",
            "CREATE TABLE \"items\" (\"id\" uuid, \"value\" text, PRIMARY KEY (\"id\"))",
            "SELECT electric.enable('items')",
        ],
    );
    // The roles of the connections swap.
    run_migration(
        &mut two,
        &mut one,
        20240102000000,
        &[
            "ALTER TABLE \"items\" ADD COLUMN \"extra\" text",
            "CREATE INDEX \"items_value_index\" ON \"items\" (\"value\")",
        ],
    );
    // @disable_ddl_transaction, @disable_migration_lock: the row is written by another connection.
    extended(
        &mut two,
        "CREATE INDEX CONCURRENTLY \"items_extra_index\" ON \"items\" (\"extra\")",
    );
    note(&mut one, 20240103000000);
    let migrations = database.migrations();
    assert_eq!(
        (
            migrations[0].source.as_str(),
            migrations[0].version.as_str()
        ),
        ("ecto", "20240101000000")
    );
    assert_eq!(
        named(database),
        ["ecto ecto 20240102000000 20240102000000", "auto - - auto"]
    );
    let words: Vec<_> = database
        .commands()
        .iter()
        .map(|c| format!("{}: {}", c.command, c.query))
        .collect();
    assert_eq!(
        words,
        [
            "create_table: SELECT electric.enable('items')",
            "add_column: ALTER TABLE \"items\" ADD COLUMN \"extra\" text",
            "create_index: CREATE INDEX \"items_value_index\" ON \"items\" (\"value\")",
            "create_index: CREATE INDEX CONCURRENTLY \"items_extra_index\" ON \"items\" (\"extra\")",
        ]
    );
}

#[test]
fn a_replay_of_ecto() {
    replay(&Cluster::shared().empty_database());
}

#[test]
fn a_replay_of_ecto_where_the_library_is_preloaded() {
    let cluster = Cluster::builder().preload(true).start().unwrap();
    replay(&cluster.empty_database());
}
