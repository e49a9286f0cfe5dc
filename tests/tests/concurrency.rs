//! Sessions that migrate at the same time: they wait for each other, and see what the other left.

use std::time::Duration;

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text, wait_until, words};
use electric_tests::errors::{describe, failure};
use electric_tests::replica::{Replica, ledger};
use postgres::Client;

/// A database with that many electrified tables, `t0`, `t1` …
fn tables(count: usize) -> Database<'static> {
    let database = Cluster::shared().database();
    for n in 0..count {
        run(
            &mut database.client(),
            &format!(
                "CREATE TABLE t{n} (id int PRIMARY KEY, value text); SELECT electric.enable('t{n}')"
            ),
        );
    }
    database
}

#[test]
fn enabling_a_table_waits_for_a_label_that_is_being_added_to_its_enum() {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TABLE t (id int PRIMARY KEY, m mood)",
    );
    let adding = database.client();
    std::thread::scope(|scope| {
        // Inside, so that a failure below ends its transaction and with it the other's wait.
        let mut adding = adding;
        run(
            &mut adding,
            "BEGIN; ALTER TYPE mood ADD VALUE 'so so' BEFORE 'glad'",
        );
        let enabling = scope.spawn(|| run(&mut database.client(), "SELECT electric.enable('t')"));
        wait_until("the enabling session waits", || database.waiting() == 1);
        run(&mut adding, "COMMIT");
        enabling.join().unwrap();
    });
    let commands = database.commands();
    assert_eq!(
        words(&commands),
        [("create_type", "public.mood"), ("create_table", "public.t")]
    );
    let labels = commands[0].postgres.concat();
    assert!(labels.contains("'sad', 'so so', 'glad'"), "{labels}");
    // Nothing is left to be recorded, and replicas can hold the new label.
    database.unrecorded("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'so so'");
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(&mut database.client(), "INSERT INTO t VALUES (1, 'so so')");
    replica.must_agree();
}

#[test]
fn a_label_that_was_not_added_after_all_is_not_recorded() {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TABLE t (id int PRIMARY KEY, m mood)",
    );
    let adding = database.client();
    std::thread::scope(|scope| {
        let mut adding = adding;
        run(&mut adding, "BEGIN; ALTER TYPE mood ADD VALUE 'so so'");
        let enabling = scope.spawn(|| run(&mut database.client(), "SELECT electric.enable('t')"));
        wait_until("the enabling session waits", || database.waiting() == 1);
        run(&mut adding, "ROLLBACK");
        enabling.join().unwrap();
    });
    let labels = database.commands()[0].postgres.concat();
    assert!(!labels.contains("so so"), "{labels}");
    let new = database.recorded("ALTER TYPE mood ADD VALUE 'best'");
    assert_eq!(words(&new), [("add_enum_value", "public.mood")]);
}

#[test]
fn two_transactions_that_alter_two_tables_in_opposite_order_wait_and_do_not_deadlock() {
    for [first, second] in [
        [
            "ALTER TABLE t0 ADD COLUMN a text",
            "ALTER TABLE t1 ADD COLUMN a text",
        ],
        [
            "CREATE INDEX i0 ON t0 (value)",
            "CREATE INDEX i1 ON t1 (value)",
        ],
        [
            "ALTER TABLE t0 ALTER value SET DEFAULT 'x'",
            "ALTER TABLE t1 ALTER value SET DEFAULT 'x'",
        ],
    ] {
        let database = tables(2);
        let one = database.client();
        std::thread::scope(|scope| {
            let mut one = one;
            run(&mut one, &format!("BEGIN; {first}"));
            let other = scope.spawn(|| {
                let again = |sql: &str| {
                    sql.replace(" a ", " b ")
                        .replace("INDEX i", "INDEX j")
                        .replace("'x'", "'y'")
                };
                // A session's first command, and all in one transaction.
                run(
                    &mut database.client(),
                    &format!("BEGIN; {}; {}; COMMIT", again(second), again(first)),
                );
            });
            wait_until("the other transaction waits", || database.waiting() == 1);
            // It waits without a lock on the table that comes next here.
            run(&mut one, &format!("{second}; COMMIT"));
            other.join().unwrap();
        });
        let tables: Vec<_> = database
            .commands_after(2)
            .into_iter()
            .map(|c| c.relation)
            .collect();
        assert_eq!(tables, ["public.t0", "public.t1", "public.t1", "public.t0"]);
    }
}

/// Queries of the commands about a table, after those that enabled the tables.
fn queries_about(database: &Database<'_>, relation: &str) -> Vec<String> {
    let commands = database.commands().into_iter();
    let about = commands.filter(|c| c.relation == relation && c.command != "create_table");
    about.map(|c| c.query).collect()
}

#[test]
fn an_index_made_or_dropped_concurrently_waits_for_a_migration_that_goes_on_to_its_table() {
    for (concurrent, word) in [
        ("CREATE INDEX CONCURRENTLY i1 ON t1 (value)", "create_index"),
        ("DROP INDEX CONCURRENTLY there", "drop_index"),
    ] {
        let database = tables(2);
        run(&mut database.client(), "CREATE INDEX there ON t1 (value)");
        let one = database.client();
        std::thread::scope(|scope| {
            let mut one = one;
            run(&mut one, "BEGIN; ALTER TABLE t0 ADD COLUMN a int");
            let other = scope.spawn(|| run(&mut database.client(), concurrent));
            wait_until("the index waits to be recorded", || database.waiting() == 1);
            run(&mut one, "ALTER TABLE t1 ADD COLUMN a int; COMMIT");
            other.join().unwrap();
        });
        // Commands 1 to 3 are of the tables as they were. An index that is on its way out is gone to whoever comes first.
        let made: Vec<_> = database.commands_after(3);
        let mut made = words(&made);
        made[1..].sort_unstable();
        assert_eq!(
            made,
            [
                ("add_column", "public.t0"),
                ("add_column", "public.t1"),
                (word, "public.t1")
            ]
        );
    }
}

#[test]
fn what_other_sessions_do_is_left_to_them_to_record() {
    let database = tables(2);
    run(&mut database.client(), "CREATE INDEX there ON t1 (value)");
    let drop = "DROP INDEX CONCURRENTLY there";
    let (mut holder, mut reader) = (database.client(), database.client());
    run(&mut holder, "BEGIN; SELECT FROM t0");
    run(&mut reader, "BEGIN; SELECT FROM t1");
    std::thread::scope(|scope| {
        let (mut holder, mut reader) = (holder, reader);
        let sql = "ALTER TABLE t0 ADD COLUMN a int";
        let altering = scope.spawn(|| run(&mut database.client(), sql));
        wait_until("the table is held", || database.waiting() == 1);
        let dropping = scope.spawn(|| run(&mut database.client(), drop));
        wait_until("the index is on its way out", || {
            let sql = "SELECT indisvalid::text FROM pg_index WHERE indexrelid = 'there'::regclass";
            text(&mut database.client(), sql) == "false" && database.waiting() == 2
        });
        // While it waited, the server told the session what has become of the other table.
        run(&mut holder, "COMMIT");
        altering.join().unwrap();
        assert_eq!(queries_about(&database, "public.t1").len(), 1);
        run(&mut reader, "COMMIT");
        dropping.join().unwrap();
    });
    assert_eq!(queries_about(&database, "public.t1")[1..], [drop]);
}

#[test]
fn wide_transactions_over_many_tables_in_any_order_all_commit() {
    const TABLES: usize = 6;
    let database = tables(TABLES);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let database = &database;
            scope.spawn(move || {
                for round in 0..3 {
                    // Every worker goes through the tables from another one on, half of them backwards.
                    let order = (0..TABLES).map(|n| {
                        let n = if worker % 2 == 0 { n } else { TABLES - 1 - n };
                        (n + worker + round) % TABLES
                    });
                    let all: Vec<_> = order
                        .map(|n| format!("ALTER TABLE t{n} ADD COLUMN c_{worker}_{round} int"))
                        .collect();
                    run(
                        &mut database.client(),
                        &format!("BEGIN; {}; COMMIT", all.join("; ")),
                    );
                }
            });
        }
    });
    let commands = database.commands();
    assert_eq!(commands.len(), TABLES + 4 * 3 * TABLES);
    let migrations: Vec<_> = database
        .migrations()
        .into_iter()
        .map(|m| (m.id, m.version))
        .collect();
    assert_eq!(migrations.len(), TABLES + 4 * 3);
    ledger::verify(&migrations, &commands).unwrap();
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    replica.must_agree();
}

#[test]
fn a_schema_is_not_renamed_while_a_table_in_it_is_enabled() {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY)",
    );
    std::thread::scope(|scope| {
        let mut enabling = database.client();
        run(&mut enabling, "BEGIN; SELECT electric.enable('app.t')");
        let renaming = scope.spawn(|| {
            let sql = "ALTER SCHEMA app RENAME TO other";
            failure(database.client().batch_execute(sql), "0A000").about_table("app", "t");
        });
        wait_until("the renaming session waits", || database.waiting() == 1);
        run(&mut enabling, "COMMIT");
        renaming.join().unwrap();
    });
}

#[test]
fn a_table_is_enabled_under_the_name_that_its_schema_is_getting() {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "CREATE SCHEMA app; CREATE TABLE app.t (id int PRIMARY KEY)",
    );
    std::thread::scope(|scope| {
        let mut renaming = database.client();
        run(&mut renaming, "BEGIN; ALTER SCHEMA app RENAME TO other");
        let enabling =
            scope.spawn(|| run(&mut database.client(), "SELECT electric.enable('app.t')"));
        wait_until("the enabling session waits", || database.waiting() == 1);
        run(&mut renaming, "COMMIT");
        enabling.join().unwrap();
    });
    assert_eq!(words(&database.commands()), [("create_table", "other.t")]);
}

/// Rounds of each session in the mixed run.
const ROUNDS: usize = 6;

/// Runs the statements one after the other; what fails for want of time is begun again, anything else fails the test.
fn insist(client: &mut Client, statements: &[String]) {
    loop {
        let failed = statements
            .iter()
            .find_map(|sql| client.batch_execute(sql).err());
        match failed {
            None => return,
            Some(error) if error.code().is_some_and(|code| code.code() == "55P03") => {
                // Outside a transaction this is a warning.
                run(client, "ROLLBACK");
            }
            Some(error) => panic!("{statements:?}\n{}", describe(&error)),
        }
    }
}

/// Transactions that alter several tables, write to them, and undo some of it.
fn migrate(database: &Database<'_>, worker: usize, tables: usize) {
    let mut client = database.client();
    if worker % 2 == 1 {
        run(&mut client, "SET lock_timeout = '300ms'");
    }
    for round in 0..ROUNDS {
        let name = format!("{worker}_{round}");
        let (one, other) = (
            (worker + round) % tables,
            (worker * 3 + round * 2 + 1) % tables,
        );
        // What a transaction writes it writes after its first migration: before, it would hold what a migration that
        // is ahead of it may want.
        insist(
            &mut client,
            &[
                "BEGIN".to_owned(),
                format!("ALTER TABLE t{one} ADD COLUMN c_{name} int DEFAULT {round}"),
                format!("INSERT INTO t{one} (id, value) VALUES (1{worker}{round}000, 'x')"),
                "SAVEPOINT s".to_owned(),
                format!("ALTER TABLE t{other} ADD COLUMN lost_{name} text"),
                format!("CREATE INDEX lost_{name} ON t{other} (lost_{name})"),
                "ROLLBACK TO s".to_owned(),
                format!("CREATE INDEX i_{name} ON t{other} (value, id)"),
                "SAVEPOINT s".to_owned(),
                format!("ALTER TABLE t{other} ALTER value SET DEFAULT '{name}'"),
                "RELEASE s".to_owned(),
                format!("UPDATE t{one} SET c_{name} = 7 WHERE id % 3 = 0 AND id >= 10000"),
                if round % 3 == 2 { "ROLLBACK" } else { "COMMIT" }.to_owned(),
            ],
        );
        if round % 2 == 0 {
            insist(&mut client, &[format!("DROP INDEX IF EXISTS i_{name}")]);
        }
    }
}

/// Transactions that only write, each to one table and to rows of its own.
fn write(database: &Database<'_>, worker: usize, tables: usize) {
    let mut client = database.client();
    for round in 0..ROUNDS * 10 {
        let (table, id) = ((worker + round) % tables, worker * 1000 + round);
        run(
            &mut client,
            &format!(
                "BEGIN; INSERT INTO t{table} VALUES ({id}, 'a'); SAVEPOINT s; DELETE FROM t{table} WHERE id = {id}; \
                 ROLLBACK TO s; UPDATE t{table} SET value = 'b' WHERE id = {id}; {}",
                if round % 5 == 4 { "ROLLBACK" } else { "COMMIT" }
            ),
        );
    }
}

/// Indexes made and dropped concurrently, on a table that transactions above leave alone: of those that they alter,
/// Postgres itself would call it a deadlock.
fn index_concurrently(database: &Database<'_>, table: usize) {
    let mut client = database.client();
    for round in 0..ROUNDS {
        for sql in [
            format!("CREATE INDEX CONCURRENTLY later ON t{table} (value)"),
            format!("INSERT INTO t{table} VALUES ({round}, 'x')"),
            "DROP INDEX CONCURRENTLY later".to_owned(),
        ] {
            insist(&mut client, &[sql]);
        }
    }
}

#[test]
fn sessions_that_migrate_write_and_undo_at_once_leave_a_history_that_a_replica_follows() {
    const TABLES: usize = 4;
    let database = tables(TABLES + 1);
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    std::thread::scope(|scope| {
        let database = &database;
        let mut sessions = Vec::new();
        for worker in 0..8 {
            sessions.push(scope.spawn(move || migrate(database, worker, TABLES)));
        }
        for worker in 1..4 {
            sessions.push(scope.spawn(move || write(database, worker, TABLES)));
        }
        sessions.push(scope.spawn(move || index_concurrently(database, TABLES)));
        // Meanwhile the stream is decoded, record by record and row by row.
        while sessions.iter().any(|session| !session.is_finished()) {
            replica.poll(Duration::from_millis(50)).unwrap();
        }
        for session in sessions {
            session.join().unwrap();
        }
    });
    let (commands, migrations) = (database.commands(), database.migrations());
    let kept = commands.iter().filter(|c| c.command == "add_column");
    assert_eq!(kept.count(), 8 * ROUNDS * 2 / 3);
    assert!(commands.iter().all(|c| !c.query.contains("lost")));
    let concurrent = commands
        .iter()
        .filter(|c| c.query.contains("CONCURRENTLY"))
        .count();
    assert_eq!(concurrent, 2 * ROUNDS);
    let migrations: Vec<_> = migrations.into_iter().map(|m| (m.id, m.version)).collect();
    ledger::verify(&migrations, &commands).unwrap();
    // It refuses ids with a gap or in another order than that of the commits.
    replica.must_agree();
}
