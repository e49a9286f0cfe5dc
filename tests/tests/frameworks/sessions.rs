//! Over transactions of one session, and over sessions.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text};

use super::{items, named};

const KNEX: &str = "CREATE TABLE knex_migrations (id serial PRIMARY KEY, name varchar(255), batch int, \
                    migration_time timestamptz)";
const PRISMA: &str = "CREATE TABLE _prisma_migrations (id varchar(36) PRIMARY KEY NOT NULL, checksum varchar(64) NOT NULL, \
                      finished_at timestamptz, migration_name varchar(255) NOT NULL, logs text, \
                      rolled_back_at timestamptz, started_at timestamptz NOT NULL DEFAULT now(), \
                      applied_steps_count int NOT NULL DEFAULT 0)";

#[test]
fn a_row_after_the_commit_says_which_framework_ran_it() {
    let database = items();
    run(&mut database.client(), KNEX);
    let mut client = database.client();
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN a text; ALTER TABLE items ADD COLUMN b text; COMMIT",
    );
    run(
        &mut client,
        "INSERT INTO knex_migrations (name, batch) VALUES ('1.js', 1)",
    );
    // Not wrapped in a transaction: each statement is a migration of its own.
    run(&mut client, "ALTER TABLE items ADD COLUMN c text");
    run(&mut client, "CREATE INDEX CONCURRENTLY by_c ON items (c)");
    run(
        &mut client,
        "INSERT INTO knex_migrations (name, batch) VALUES ('2.js', 1)",
    );
    run(
        &mut client,
        "INSERT INTO knex_migrations (name, batch) VALUES ('3.js', 1)",
    );
    run(&mut client, "ALTER TABLE items ADD COLUMN d text");
    assert_eq!(
        named(&database),
        [
            "auto knex 1.js auto",
            "auto knex 2.js auto",
            "auto knex 2.js auto",
            "auto - - auto"
        ]
    );
}

#[test]
fn rows_of_replicas_follow_what_is_filled_in_later() {
    use electric_tests::replica::Replica;
    let database = items();
    let mut client = database.client();
    run(&mut client, KNEX);
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(&mut client, "ALTER TABLE items ADD COLUMN a text");
    run(
        &mut client,
        "INSERT INTO knex_migrations (name, batch) VALUES ('1.js', 1)",
    );
    replica.must_agree();
    assert_eq!(named(&database), ["auto knex 1.js auto"]);
}

#[test]
fn a_row_of_another_session_says_nothing() {
    let database = items();
    run(&mut database.client(), KNEX);
    let (mut one, mut other) = (database.client(), database.client());
    run(&mut one, "ALTER TABLE items ADD COLUMN a text");
    run(
        &mut other,
        "INSERT INTO knex_migrations (name, batch) VALUES ('1.js', 1)",
    );
    run(&mut one, "BEGIN; ALTER TABLE items ADD COLUMN b text");
    run(
        &mut other,
        "INSERT INTO knex_migrations (name, batch) VALUES ('2.js', 1)",
    );
    run(&mut one, "COMMIT");
    assert_eq!(named(&database), ["auto - - auto", "auto - - auto"]);
}

#[test]
fn what_is_filled_in_may_be_rolled_back_and_done_again() {
    let database = items();
    let mut client = database.client();
    run(&mut client, KNEX);
    run(&mut client, "ALTER TABLE items ADD COLUMN a text");
    run(
        &mut client,
        "BEGIN; INSERT INTO knex_migrations (name, batch) VALUES ('1.js', 1); ROLLBACK",
    );
    assert_eq!(named(&database), ["auto - - auto"]);
    run(
        &mut client,
        "BEGIN; SAVEPOINT s; INSERT INTO knex_migrations (name, batch) VALUES ('1.js', 1); ROLLBACK TO s; \
         INSERT INTO knex_migrations (name, batch) VALUES ('2.js', 1); COMMIT",
    );
    assert_eq!(named(&database), ["auto knex 2.js auto"]);
}

#[test]
fn a_migration_of_the_same_transaction_is_named_and_earlier_ones_are_left() {
    let database = items();
    let mut client = database.client();
    run(&mut client, KNEX);
    run(&mut client, "ALTER TABLE items ADD COLUMN a text");
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN b text; INSERT INTO knex_migrations (name) VALUES ('1.js'); \
         INSERT INTO knex_migrations (name) VALUES ('2.js'); COMMIT; \
         INSERT INTO knex_migrations (name) VALUES ('3.js')",
    );
    assert_eq!(named(&database), ["auto - - auto", "knex knex 1.js 1.js"]);
}

#[test]
fn a_row_does_not_wait_for_migrations_of_others() {
    let database = items();
    let (mut one, mut other) = (database.client(), database.client());
    run(&mut one, KNEX);
    run(&mut one, "ALTER TABLE items ADD COLUMN a text");
    run(&mut other, "BEGIN; ALTER TABLE items ADD COLUMN b text");
    run(
        &mut one,
        "SET lock_timeout = '2s'; INSERT INTO knex_migrations (name, batch) VALUES ('1.js', 1)",
    );
    run(&mut other, "COMMIT");
    assert_eq!(named(&database), ["auto knex 1.js auto", "auto - - auto"]);
}

#[test]
fn resets_of_the_session_change_nothing() {
    let database = items();
    let mut client = database.client();
    run(&mut client, KNEX);
    for reset in [
        "DISCARD ALL",
        "RESET ALL",
        "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;",
        "SET SESSION AUTHORIZATION DEFAULT",
    ] {
        run(&mut client, "ALTER TABLE items ADD COLUMN a text");
        run(&mut client, reset);
        run(
            &mut client,
            "INSERT INTO knex_migrations (name, batch) VALUES ('1.js', 1)",
        );
        assert_eq!(named(&database).pop().unwrap(), "auto knex 1.js auto");
        run(
            &mut client,
            "SET electric.policy = unrestricted; ALTER TABLE items DROP COLUMN a; RESET electric.policy; \
             INSERT INTO knex_migrations (name, batch) VALUES ('undo', 1)",
        );
    }
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN b text; RESET ALL; INSERT INTO knex_migrations (name) VALUES ('2.js'); COMMIT",
    );
    assert_eq!(named(&database).pop().unwrap(), "knex knex 2.js 2.js");
}

#[test]
fn prepared_transactions_are_nobodys() {
    let database = items();
    let mut client = database.client();
    run(&mut client, KNEX);
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN a text; PREPARE TRANSACTION 'electric_frameworks'",
    );
    run(
        &mut client,
        "INSERT INTO knex_migrations (name) VALUES ('1.js')",
    );
    run(&mut client, "COMMIT PREPARED 'electric_frameworks'");
    assert_eq!(named(&database), ["auto - - auto"]);
}

/// What Prisma sends: a row, the script, two updates of the row, each committed by itself.
fn prisma(database: &Database<'_>) {
    let mut client = database.client();
    run(&mut client, "SELECT pg_advisory_lock(72707369)");
    for (name, script) in [
        (
            "20240101000000_more",
            "-- AlterTable\nALTER TABLE \"items\" ADD COLUMN \"a\" TEXT;\n\nCREATE INDEX \"by_a\" ON \"items\"(\"a\");\n",
        ),
        ("20240102000000_data", "INSERT INTO items VALUES (1, 'x');"),
        (
            "20240103000000_index",
            "CREATE INDEX CONCURRENTLY by_value ON items (value);",
        ),
    ] {
        let insert = "INSERT INTO \"public\".\"_prisma_migrations\" (\"id\", \"checksum\", \"migration_name\", \"started_at\") \
                      VALUES ($1, $2, $3, now())";
        client.execute(insert, &[&name, &"0", &name]).unwrap();
        run(&mut client, script);
        for set in [
            "\"applied_steps_count\" = \"applied_steps_count\" + 1",
            "\"finished_at\" = now()",
        ] {
            let update =
                format!("UPDATE \"public\".\"_prisma_migrations\" SET {set} WHERE \"id\" = $1");
            client.execute(&update, &[&name]).unwrap();
        }
    }
    run(&mut client, "ALTER TABLE items ADD COLUMN later text");
    assert_eq!(
        named(database),
        [
            "auto prisma 20240101000000_more auto",
            "auto prisma 20240103000000_index auto",
            "auto - - auto"
        ]
    );
}

#[test]
fn prisma_writes_its_row_first() {
    let database = items();
    run(&mut database.client(), PRISMA);
    prisma(&database);
}

#[test]
fn prismas_row_is_known_before_its_end_in_a_preloaded_session() {
    let cluster = Cluster::builder().preload(true).start().unwrap();
    let database = cluster.database().items();
    run(&mut database.client(), PRISMA);
    prisma(&database);
    let mut client = database.client();
    run(
        &mut client,
        "INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ('4', '0', 'fourth')",
    );
    run(&mut client, "ALTER TABLE items ADD COLUMN b text");
    assert_eq!(named(&database).pop().unwrap(), "auto prisma fourth auto");
    // A row that another session wrote is none of this one's.
    run(
        &mut database.client(),
        "ALTER TABLE items ADD COLUMN c text",
    );
    assert_eq!(named(&database).pop().unwrap(), "auto - - auto");
    run(
        &mut client,
        "UPDATE _prisma_migrations SET finished_at = now() WHERE id = '4'",
    );
    run(&mut client, "ALTER TABLE items ADD COLUMN d text");
    assert_eq!(named(&database).pop().unwrap(), "auto - - auto");
}

#[test]
fn prismas_row_in_one_transaction_with_its_script() {
    let database = items();
    let mut client = database.client();
    run(&mut client, PRISMA);
    run(
        &mut client,
        "BEGIN; INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ('1', '0', 'first'); \
         ALTER TABLE items ADD COLUMN a text; UPDATE _prisma_migrations SET finished_at = now(); COMMIT; \
         BEGIN; ALTER TABLE items ADD COLUMN b text; \
         INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ('2', '0', 'second'); COMMIT",
    );
    assert_eq!(
        named(&database),
        ["prisma prisma first first", "prisma prisma second second"]
    );
}

#[test]
fn a_tool_that_says_that_it_runs_is_believed() {
    let database = items();
    let mut client = database.client();
    run(
        &mut client,
        "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL)",
    );
    // golang-migrate: TRUNCATE and INSERT before and after each, in transactions of their own.
    for (version, sql) in [
        (1, "ALTER TABLE items ADD COLUMN a text"),
        (2, "ALTER TABLE items ADD COLUMN b text"),
    ] {
        for dirty in [true, false] {
            run(
                &mut client,
                &format!(
                    "BEGIN; TRUNCATE schema_migrations; INSERT INTO schema_migrations VALUES ({version}, {dirty}); COMMIT"
                ),
            );
            if dirty {
                run(&mut client, sql);
            }
        }
    }
    assert_eq!(
        named(&database),
        ["auto golang-migrate 1 auto", "auto golang-migrate 2 auto"]
    );
}

#[test]
fn locks_on_the_books_are_not_waited_for() {
    let database = items();
    let (mut keeper, mut client) = (database.client(), database.client());
    run(&mut keeper, PRISMA);
    run(
        &mut client,
        "SET lock_timeout = '2s'; SELECT electric.status(); \
         INSERT INTO _prisma_migrations (id, checksum, migration_name) VALUES ('1', '0', 'first')",
    );
    run(
        &mut keeper,
        "BEGIN; LOCK TABLE _prisma_migrations IN ACCESS EXCLUSIVE MODE",
    );
    run(&mut client, "ALTER TABLE items ADD COLUMN a text");
    run(&mut keeper, "COMMIT");
    run(
        &mut client,
        "UPDATE _prisma_migrations SET finished_at = now()",
    );
    assert_eq!(named(&database), ["auto prisma first auto"]);
}

#[test]
fn the_extension_comes_while_the_books_are_locked() {
    let database = Cluster::shared().empty_database();
    let (mut keeper, mut client) = (database.client(), database.client());
    run(
        &mut keeper,
        "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, inserted_at timestamp(0))",
    );
    run(
        &mut keeper,
        "BEGIN; LOCK TABLE schema_migrations IN SHARE UPDATE EXCLUSIVE MODE",
    );
    run(
        &mut client,
        "SET lock_timeout = '2s'; CREATE EXTENSION electric; CREATE TABLE items (id int PRIMARY KEY); \
         SELECT electric.enable('items')",
    );
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN a text; INSERT INTO schema_migrations VALUES (1, now()); COMMIT",
    );
    run(&mut keeper, "COMMIT");
    assert_eq!(named(&database), ["ecto ecto 1 1"]);
}

#[test]
fn the_tables_of_frameworks_are_not_altered() {
    let database = items();
    let mut client = database.client();
    run(&mut client, KNEX);
    let facts = "SELECT relhastriggers || ' ' || relhasrules || ' ' || relacl::text IS NULL || ' ' || relnatts \
                 FROM pg_class WHERE oid = 'knex_migrations'::regclass";
    let before = text(&mut client, facts);
    run(&mut client, "ALTER TABLE items ADD COLUMN a text");
    run(
        &mut client,
        "INSERT INTO knex_migrations (name, batch) VALUES ('1.js', 1)",
    );
    assert_eq!(text(&mut client, facts), before);
}

#[test]
fn what_a_dump_loads_names_nothing() {
    let database = items();
    let mut client = database.client();
    run(&mut client, KNEX);
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN a text; COPY knex_migrations (name, batch) FROM PROGRAM 'printf \"1.js\\\\t1\\\\n\"'; \
         SET session_replication_role = replica; COMMIT",
    );
    assert_eq!(named(&database), ["auto - - auto"]);
}
