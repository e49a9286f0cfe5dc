//! S5: the records: order, numbers, versions, chain, append-only.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text, wait_until, words};
use electric_tests::errors::failure;
use electric_tests::replica::{Replica, ledger};

fn items() -> Database<'static> {
    Cluster::shared().database().items()
}

#[test]
fn a_command_comes_before_rows_of_the_new_shape_and_after_those_of_the_old() {
    let database = items();
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut database.client(),
        "BEGIN; INSERT INTO items VALUES (1, 'old'); ALTER TABLE items ADD COLUMN a text; \
         INSERT INTO items VALUES (2, 'new', 'a'); UPDATE items SET a = 'b' WHERE id = 1; \
         ALTER TABLE items ADD COLUMN b int DEFAULT 7; INSERT INTO items (id) VALUES (3); COMMIT",
    );
    let applied = replica.must_agree();
    let outlines: Vec<_> = applied
        .iter()
        .map(|t| t.outline())
        .filter(|o| !o.is_empty())
        .collect();
    assert_eq!(
        outlines,
        [[
            "insert public.items",
            "add_column public.items",
            "insert public.items",
            "update public.items",
            "add_column public.items",
            "insert public.items"
        ]]
    );
}

#[test]
fn the_migration_is_known_before_its_commands() {
    let database = items();
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut database.client(),
        "BEGIN; ALTER TABLE items ADD COLUMN a text; SELECT electric.set_migration_version('named late'); COMMIT",
    );
    // The ledger refuses commands of unknown migrations.
    replica.must_agree();
    assert_eq!(replica.ledger().version(2), Some("named late"));
}

#[test]
fn two_changes_of_one_statement_are_two_rows_with_the_same_query() {
    let database = items();
    let new = database.recorded("ALTER TABLE items ADD COLUMN a text, ADD COLUMN b int DEFAULT 1");
    assert_eq!(words(&new), [("add_column", "public.items"); 2]);
    assert_eq!(
        new[0].query,
        "ALTER TABLE items ADD COLUMN a text, ADD COLUMN b int DEFAULT 1"
    );
    assert_eq!(new[0].query, new[1].query);
    assert_eq!(new[0].op["column"]["name"], "a");
    assert_eq!(new[1].op["column"]["name"], "b");
    // Each op has the table as it is after that change.
    assert_eq!(
        new[0].op["table"]["columns"].as_array().map(Vec::len),
        Some(3)
    );
    assert_eq!(
        new[1].op["table"]["columns"].as_array().map(Vec::len),
        Some(4)
    );
    database.history_is_sound();
}

#[test]
fn one_transaction_is_one_migration() {
    let database = items();
    let mut client = database.client();
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN a text; CREATE INDEX by_a ON items (a)",
    );
    let xid = text(&mut client, "SELECT pg_current_xact_id()::text");
    run(&mut client, "COMMIT; ALTER TABLE items ADD COLUMN b text");
    let migrations: Vec<_> = database.commands().iter().map(|c| c.migration_id).collect();
    assert_eq!(migrations, [1, 2, 2, 3]);
    assert_eq!(database.migrations()[1].xid, xid);
    database.history_is_sound();
}

#[test]
fn rolled_back_transactions_and_savepoints_leave_no_row_and_no_gap() {
    let database = items();
    run(
        &mut database.client(),
        "BEGIN; ALTER TABLE items ADD COLUMN a text; ROLLBACK; BEGIN; SAVEPOINT one; ALTER TABLE items ADD COLUMN b text; \
         ROLLBACK TO one; ALTER TABLE items ADD COLUMN c text; SAVEPOINT two; ALTER TABLE items ADD COLUMN d text; \
         RELEASE two; COMMIT; DO 'BEGIN BEGIN ALTER TABLE items ADD COLUMN e text; RAISE ''no''; EXCEPTION WHEN OTHERS \
         THEN ALTER TABLE items ADD COLUMN f text; END; END'",
    );
    let names: Vec<_> = database
        .commands_after(1)
        .iter()
        .map(|c| c.op["column"]["name"].clone())
        .collect();
    assert_eq!(names, ["c", "d", "f"]);
    assert_eq!(database.migrations().len(), 3);
    database.history_is_sound();
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    replica.must_agree();
}

#[test]
fn a_savepoint_that_held_the_migrations_first_command_may_be_rolled_back() {
    let database = items();
    run(
        &mut database.client(),
        "BEGIN; SAVEPOINT s; ALTER TABLE items ADD COLUMN a text; ROLLBACK TO s; INSERT INTO items VALUES (1, 'x'); COMMIT",
    );
    assert_eq!(database.migrations().len(), 1);
    run(
        &mut database.client(),
        "ALTER TABLE items ADD COLUMN a text",
    );
    database.history_is_sound();
}

#[test]
fn a_statement_without_effect_leaves_no_row() {
    let database = items();
    database.unrecorded("ALTER TABLE items ADD COLUMN IF NOT EXISTS value text");
    run(
        &mut database.client(),
        "CREATE INDEX by_value ON items (value)",
    );
    database.unrecorded("CREATE INDEX IF NOT EXISTS by_value ON items (value)");
    database.unrecorded("DROP INDEX IF EXISTS nosuchindex");
    database.unrecorded("ALTER TABLE items ALTER COLUMN value DROP DEFAULT");
    assert_eq!(database.migrations().len(), 2);
}

#[test]
fn concurrent_migrators_wait_for_each_other() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE TABLE other (id int PRIMARY KEY); CREATE TABLE third (id int PRIMARY KEY); \
         SELECT electric.enable('other', 'third')",
    );
    let first = database.client();
    std::thread::scope(|scope| {
        // Inside, so that a failure below ends its transaction and with it the other's wait.
        let mut first = first;
        run(&mut first, "BEGIN; ALTER TABLE items ADD COLUMN a text");
        let second = scope.spawn(|| {
            run(
                &mut database.client(),
                "ALTER TABLE other ADD COLUMN b text",
            )
        });
        wait_until("the second migrator waits", || database.waiting() == 1);
        // Rows, and DDL on ordinary tables, go on.
        run(
            &mut database.client(),
            "INSERT INTO third VALUES (1); CREATE TABLE ordinary (a int); DROP TABLE ordinary",
        );
        run(&mut first, "COMMIT");
        second.join().unwrap();
    });
    let commands = database.commands_after(3);
    assert_eq!(
        words(&commands),
        [
            ("add_column", "public.items"),
            ("add_column", "public.other")
        ]
    );
    database.history_is_sound();
}

#[test]
fn lock_timeout_ends_the_wait() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE TABLE other (id int PRIMARY KEY); SELECT electric.enable('other')",
    );
    let mut first = database.client();
    run(&mut first, "BEGIN; ALTER TABLE items ADD COLUMN a text");
    let mut second = database.client();
    run(&mut second, "SET lock_timeout = '100ms'");
    failure(
        second.batch_execute("ALTER TABLE other ADD COLUMN b text"),
        "55P03",
    );
    run(&mut first, "ROLLBACK");
    run(&mut second, "ALTER TABLE other ADD COLUMN b text");
    database.history_is_sound();
}

#[test]
fn ids_follow_the_order_of_commits_not_of_starts() {
    let database = items();
    let mut early = database.client();
    run(&mut early, "BEGIN; SELECT txid_current()");
    run(
        &mut database.client(),
        "ALTER TABLE items ADD COLUMN late_start text",
    );
    run(
        &mut early,
        "ALTER TABLE items ADD COLUMN early_start text; COMMIT",
    );
    let names: Vec<_> = database
        .commands_after(1)
        .iter()
        .map(|c| c.op["column"]["name"].clone())
        .collect();
    assert_eq!(names, ["late_start", "early_start"]);
    let migrations = database.migrations();
    // Versions are starts, which ran the other way: they are not what orders.
    assert!(
        migrations[1].version > migrations[2].version,
        "{migrations:?}"
    );
    database.history_is_sound();
}

#[test]
fn many_migrators_at_once_leave_a_sound_history() {
    let database = items();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let database = &database;
            scope.spawn(move || {
                let mut client = database.client();
                for n in 0..5 {
                    let end = if n % 2 == 0 { "COMMIT" } else { "ROLLBACK" };
                    run(
                        &mut client,
                        &format!("BEGIN; ALTER TABLE items ADD COLUMN c_{worker}_{n} int; {end}"),
                    );
                }
            });
        }
    });
    assert_eq!(database.commands().len(), 13);
    database.history_is_sound();
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    replica.must_agree();
}

#[test]
fn an_automatic_version_is_the_start_of_the_transaction_in_utc() {
    let database = items();
    let mut client = database.client();
    run(
        &mut client,
        "SET TimeZone = '<+05>-05'; SET DateStyle = 'German'; BEGIN",
    );
    let start = text(
        &mut client,
        "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSMS')",
    );
    run(
        &mut client,
        "SELECT pg_sleep(0.01); ALTER TABLE items ADD COLUMN a text; COMMIT",
    );
    let migration = database.migrations().pop().unwrap();
    assert_eq!(
        (migration.version, migration.source.as_str()),
        (start, "auto")
    );
    assert_eq!(
        (migration.framework, migration.framework_version),
        (None, None)
    );
}

#[test]
fn an_automatic_version_that_is_taken_gets_a_suffix() {
    let database = items();
    let mut client = database.client();
    run(&mut client, "BEGIN");
    let version = text(
        &mut client,
        "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSMS')",
    );
    for taken in [version.clone(), format!("{version}_2")] {
        run(
            &mut database.client(),
            &format!(
                "BEGIN; SELECT electric.set_migration_version('{taken}'); \
                      CREATE TABLE t{taken} (id int PRIMARY KEY); SELECT electric.enable('t{taken}'); COMMIT"
            ),
        );
    }
    run(&mut client, "ALTER TABLE items ADD COLUMN a text; COMMIT");
    assert_eq!(
        database.migrations().pop().unwrap().version,
        format!("{version}_3")
    );
    database.history_is_sound();
}

#[test]
fn set_migration_version_names_this_transactions_migration() {
    let database = items();
    let mut client = database.client();
    let mut versions = Vec::new();
    for sql in [
        // After, before, twice, by the procedure of the earlier system.
        "BEGIN; ALTER TABLE items ADD COLUMN a text; SELECT electric.set_migration_version('after'); COMMIT",
        "BEGIN; SELECT electric.set_migration_version('before'); ALTER TABLE items ADD COLUMN b text; COMMIT",
        "BEGIN; SELECT electric.set_migration_version('x'); ALTER TABLE items ADD COLUMN c text; \
         SELECT electric.set_migration_version('y'); SELECT electric.set_migration_version('the last'); COMMIT",
        "BEGIN; CALL electric.migration_version('procedure'); ALTER TABLE items ADD COLUMN d text; COMMIT",
    ] {
        run(&mut client, sql);
        let migration = database.migrations().pop().unwrap();
        assert_eq!(migration.source, "user");
        versions.push(migration.version);
    }
    assert_eq!(versions, ["after", "before", "the last", "procedure"]);
    assert_eq!(database.migrations().len(), 5);
    database.history_is_sound();
}

#[test]
fn a_version_without_a_command_records_nothing_and_names_nothing_later() {
    let database = items();
    let before = database.trace();
    let mut client = database.client();
    run(
        &mut client,
        "BEGIN; SELECT electric.set_migration_version('unused'); INSERT INTO items VALUES (1, 'x'); COMMIT",
    );
    run(
        &mut client,
        "SELECT electric.set_migration_version('unused')",
    );
    run(
        &mut client,
        "BEGIN; SELECT electric.set_migration_version('unused'); ROLLBACK",
    );
    assert_eq!(before, database.trace());
    run(
        &mut client,
        "BEGIN; SAVEPOINT s; SELECT electric.set_migration_version('unused'); ROLLBACK TO s; \
         ALTER TABLE items ADD COLUMN a text; COMMIT",
    );
    let migration = database.migrations().pop().unwrap();
    assert_eq!(migration.source, "auto");
}

#[test]
fn a_version_rolled_back_to_a_savepoint_is_the_one_before() {
    let database = items();
    run(
        &mut database.client(),
        "BEGIN; SELECT electric.set_migration_version('kept'); SAVEPOINT s; \
         SELECT electric.set_migration_version('dropped'); ROLLBACK TO s; ALTER TABLE items ADD COLUMN a text; COMMIT",
    );
    assert_eq!(database.migrations().pop().unwrap().version, "kept");
}

#[test]
fn a_version_used_before_is_refused_with_the_migration_that_has_it() {
    let database = items();
    let name = "SELECT electric.set_migration_version('v1');";
    run(
        &mut database.client(),
        &format!("BEGIN; ALTER TABLE items ADD COLUMN a text; {name} COMMIT"),
    );
    for sql in [
        format!("BEGIN; ALTER TABLE items ADD COLUMN b text; {name} COMMIT"),
        format!("BEGIN; {name} ALTER TABLE items ADD COLUMN b text; COMMIT"),
    ] {
        let error = database.refused(&sql, "23505");
        let everything = format!("{} {}", error.message, error.detail);
        assert!(
            everything.contains("v1") && everything.contains('2'),
            "{error:?}"
        );
    }
    // To say the same twice in one transaction is no clash.
    run(
        &mut database.client(),
        "BEGIN; ALTER TABLE items ADD COLUMN c text; SELECT electric.set_migration_version('v2'); \
         SELECT electric.set_migration_version('v2'); COMMIT",
    );
    database.history_is_sound();
}

#[test]
fn a_version_is_not_longer_than_an_index_can_hold() {
    let database = items();
    for too_long in ["repeat('x', 1025)", "repeat('é', 513)"] {
        for sql in [
            format!("SELECT electric.set_migration_version({too_long})"),
            format!(
                "BEGIN; ALTER TABLE items ADD COLUMN a text; SELECT electric.set_migration_version({too_long}); COMMIT"
            ),
        ] {
            database.refused(&sql, "22023").message_names(&["1024"]);
        }
    }
    // Of what cannot be compressed, too.
    run(
        &mut database.client(),
        "BEGIN; SELECT electric.set_migration_version((SELECT string_agg(md5(n::text), '') FROM generate_series(1, 32) n)); \
         ALTER TABLE items ADD COLUMN a text; COMMIT",
    );
    assert_eq!(database.migrations()[1].version.len(), 1024);
}

#[test]
fn history_is_append_only_even_for_superusers() {
    let database = items();
    for sql in [
        "UPDATE electric.migrations SET version = 'forged'",
        "UPDATE electric.ddl_commands SET query = 'forged'",
        "DELETE FROM electric.migrations",
        "DELETE FROM electric.ddl_commands WHERE id = 1",
        "TRUNCATE electric.migrations",
        "TRUNCATE electric.ddl_commands",
        "SET session_replication_role = replica; DELETE FROM electric.ddl_commands",
        "DO 'BEGIN UPDATE electric.ddl_commands SET hash = NULL; END'",
    ] {
        database.refused(sql, "0A000").hinted();
    }
}

#[test]
fn the_chain_is_over_the_ops_as_stored() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE TYPE mood AS ENUM ('a\\b', 'ü\"x', E'tab\\there'); ALTER TABLE items ADD COLUMN m mood DEFAULT 'ü\"x', \
         ADD COLUMN t text DEFAULT E'line\\nfeed \\\\ \\u2028 \\u0001 é'; CREATE INDEX i ON items (lower(value))",
    );
    let commands = database.commands();
    assert_eq!(commands[0].hash, ledger::link("", &commands[0].op));
    database.history_is_sound();
    let last = commands.last().unwrap();
    let mut client = database.client();
    let status: serde_json::Value = client
        .query_one("SELECT electric.status()", &[])
        .unwrap()
        .get(0);
    assert_eq!(status["hash"], serde_json::json!(last.hash));
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    replica.must_agree();
}

#[test]
fn an_old_snapshot_records_its_own_changes_only() {
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let database = items();
        let mut old = database.client();
        run(
            &mut old,
            &format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM pg_class"),
        );
        run(
            &mut database.client(),
            "ALTER TABLE items ADD COLUMN theirs text; INSERT INTO items VALUES (1, 'x', 'y')",
        );
        run(&mut old, "ALTER TABLE items ADD COLUMN mine text; COMMIT");
        let commands = database.commands_after(1);
        assert_eq!(words(&commands), [("add_column", "public.items"); 2]);
        assert_eq!(commands[1].op["column"]["name"], "mine");
        database.history_is_sound();
        let (mut replica, _) = Replica::follow(&database, None).unwrap();
        replica.must_agree();
    }
}
