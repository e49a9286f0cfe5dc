//! The failure catalogue, rows 1 to 23: cases that broke systems of this kind, by their number there.
//!
//! Rows 19 and 21 are about Postgres subscribers, which come with a later issue.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text, wait_until, words};
use electric_tests::errors::failure;
use electric_tests::replica::Replica;

fn items() -> Database<'static> {
    Cluster::shared().database().items()
}

/// One simple-protocol string: each command has its own text, not the whole string.
#[test]
fn failure_01_each_statement_of_a_string_has_its_own_text() {
    let database = items();
    let new = database.recorded(
        "  ALTER TABLE items ADD COLUMN a text  ; -- a comment; with a semicolon\n\
         SELECT 'ALTER TABLE; items'; /* é */ ALTER TABLE items ADD COLUMN b text DEFAULT ';';;CREATE INDEX i ON items (b)",
    );
    let queries: Vec<_> = new.iter().map(|c| c.query.as_str()).collect();
    assert_eq!(queries.len(), 3);
    assert_eq!(queries[0], "ALTER TABLE items ADD COLUMN a text");
    assert!(
        queries[1].ends_with("ALTER TABLE items ADD COLUMN b text DEFAULT ';'"),
        "{queries:?}"
    );
    assert!(!queries[1].contains("SELECT"), "{queries:?}");
    assert_eq!(queries[2], "CREATE INDEX i ON items (b)");
}

/// Nested code: the text is that of the statement in the code, not the block around it.
#[test]
fn failure_02_nested_code_records_the_statement_itself() {
    let database = items();
    let new = database.recorded(
        "DO $$ BEGIN ALTER TABLE items ADD COLUMN a text; EXECUTE 'ALTER TABLE items ADD COLUMN b text'; END $$; \
         CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ ALTER TABLE items ADD COLUMN c text; \
         ALTER TABLE items ADD COLUMN d text $$; SELECT f(); \
         CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN ALTER TABLE items ADD COLUMN e text; END $$; CALL p()",
    );
    let queries: Vec<_> = new.iter().map(|c| c.query.trim()).collect();
    let expected =
        ["a", "b", "c", "d", "e"].map(|name| format!("ALTER TABLE items ADD COLUMN {name} text"));
    assert_eq!(queries, expected);
}

/// The index of a UNIQUE column is part of the column's record and not one of its own.
#[test]
fn failure_03_the_index_of_a_unique_column_is_in_its_record() {
    let database = items();
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    let new = database.recorded("ALTER TABLE items ADD COLUMN u text UNIQUE");
    assert_eq!(words(&new), [("add_column", "public.items")]);
    assert_eq!(
        new[0].op["table"]["unique"][0]["columns"],
        serde_json::json!(["u"])
    );
    assert!(
        new[0].postgres.concat().contains("UNIQUE"),
        "{:?}",
        new[0].postgres
    );
    replica.must_agree();
}

/// A table that references an electrified one fires a second event for it; a schema with elements fires many.
#[test]
fn failure_04_references_and_schema_elements_are_not_changes_of_ours() {
    let database = items();
    database.unrecorded("CREATE TABLE k (id int PRIMARY KEY, item int REFERENCES items)");
    database.unrecorded("CREATE SCHEMA s CREATE TABLE t (id int PRIMARY KEY) CREATE VIEW v AS SELECT * FROM public.items");
    database.unrecorded("DROP TABLE k; DROP SCHEMA s CASCADE");
    // But an element may be one.
    let new = database.recorded("CREATE TABLE k (id int PRIMARY KEY, item int REFERENCES items); SELECT electric.enable('k')");
    assert_eq!(words(&new), [("create_table", "public.k")]);
}

/// DROP COLUMN fires two events, DROP TABLE one without rows: both are refused, once, and nothing remains.
#[test]
fn failure_05_drops_are_refused() {
    let database = items();
    database
        .refused("ALTER TABLE items DROP COLUMN value", "0A000")
        .about_column("value");
    database
        .refused(
            "ALTER TABLE items DROP COLUMN IF EXISTS value CASCADE",
            "0A000",
        )
        .about_column("value");
    let error = database.refused("DROP TABLE items", "0A000");
    error
        .about_table("public", "items")
        .message_names(&["cannot drop", "\"public.items\""]);
    database.refused("DROP TABLE IF EXISTS items CASCADE", "0A000");
    run(
        &mut database.client(),
        "DROP TABLE IF EXISTS nosuchtable; ALTER TABLE items DROP COLUMN IF EXISTS nosuchcolumn",
    );
}

/// CASCADE reaches further than the statement says: what it takes of an electrified table is recorded or refused.
#[test]
fn failure_06_cascades_are_recorded_or_refused() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE VIEW v AS SELECT * FROM items; CREATE SEQUENCE s; CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT 1::text'; \
         CREATE FUNCTION is_fine(text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true'; \
         CREATE TABLE t (id int PRIMARY KEY DEFAULT nextval('s'), a text DEFAULT f(), b text CHECK (is_fine(b)), \
         item int REFERENCES items); SELECT electric.enable('t')",
    );
    let error = database.refused("DROP TABLE items CASCADE", "0A000");
    error.message_names(&["electrified table"]);
    database
        .refused("DROP FUNCTION is_fine(text) CASCADE", "0A000")
        .about_table("public", "t");
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    let new = database.recorded("DROP FUNCTION f() CASCADE");
    assert_eq!(words(&new), [("drop_default", "public.t")]);
    let new = database.recorded("DROP SEQUENCE s CASCADE");
    assert_eq!(words(&new), [("drop_default", "public.t")]);
    replica.must_agree();
    database.unrecorded("DROP VIEW v");
}

/// IF NOT EXISTS without effect is an event without a change.
#[test]
fn failure_07_no_effect_is_no_record() {
    let database = items();
    run(&mut database.client(), "CREATE INDEX i ON items (value)");
    database.unrecorded(
        "ALTER TABLE items ADD COLUMN IF NOT EXISTS value text, ADD COLUMN IF NOT EXISTS id int; \
         CREATE INDEX IF NOT EXISTS i ON items (id); CREATE TABLE IF NOT EXISTS items (other text)",
    );
    assert_eq!(database.migrations().len(), 2);
}

/// After a rename only the new name is visible: the table must not leave the set unseen.
#[test]
fn failure_08_rename_leaves_the_set() {
    let database = items();
    run(&mut database.client(), "CREATE SCHEMA s");
    for sql in [
        "ALTER TABLE items RENAME TO things",
        "ALTER TABLE items SET SCHEMA s",
        "ALTER SCHEMA public RENAME TO private",
        "ALTER VIEW items RENAME TO things",
        "ALTER INDEX items RENAME TO things",
        "ALTER TABLE items RENAME value TO worth",
        "DO 'BEGIN ALTER TABLE items RENAME TO things; ALTER TABLE things RENAME TO items2; END'",
    ] {
        // Some of these Postgres itself refuses, for its own reason.
        let before = database.trace();
        assert!(database.client().batch_execute(sql).is_err(), "{sql}");
        assert_eq!(before, database.trace(), "{sql}");
    }
    database.refused("ALTER TABLE items RENAME TO things", "0A000");
    database.refused("ALTER TABLE items SET SCHEMA s", "0A000");
    // There and back within one transaction changes nothing, but each statement is judged by itself.
    database.refused(
        "ALTER TABLE items RENAME TO things; ALTER TABLE things RENAME TO items",
        "0A000",
    );
    let new = database.recorded("ALTER TABLE items ADD COLUMN still_here text");
    assert_eq!(words(&new), [("add_column", "public.items")]);
}

/// Only the parent of a partitioned table is listed; attaching creates indexes on the child.
#[test]
fn failure_09_partitions_are_one_table() {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "CREATE TABLE root (id int PRIMARY KEY, value text) PARTITION BY RANGE (id); \
         CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (10); CREATE INDEX by_value ON root (value); \
         CREATE TABLE high (id int PRIMARY KEY, value text); SELECT electric.enable('root')",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    database.unrecorded("ALTER TABLE root ATTACH PARTITION high FOR VALUES FROM (10) TO (20)");
    let new = database.recorded(
        "ALTER TABLE root ADD COLUMN a text DEFAULT 'x'; INSERT INTO root (id) VALUES (1), (11)",
    );
    assert_eq!(words(&new), [("add_column", "public.root")]);
    assert_eq!(new[0].postgres.len(), 1);
    // An index of one partition alone is none of the table's.
    database.unrecorded("CREATE INDEX ON low (value); CREATE INDEX ON ONLY root (id, value)");
    replica.must_agree();
}

/// CREATE EXTENSION fires an event for every command of its script.
#[test]
fn failure_10_scripts_of_extensions_are_not_ours() {
    let database = items();
    for extension in ["pg_trgm", "vector", "hstore"] {
        if database.offers(extension) {
            database.unrecorded(&format!("CREATE EXTENSION {extension}"));
        }
    }
    if database.offers("pg_trgm") {
        let new = database.recorded("CREATE INDEX i ON items USING gin (value gin_trgm_ops)");
        assert_eq!(words(&new), [("create_index", "public.items")]);
        assert!(new[0].sqlite.is_empty(), "{:?}", new[0].sqlite);
        let (mut replica, _) = Replica::follow(&database, None).unwrap();
        replica.must_agree();
    }
}

/// DROP EXTENSION of another one: `creating_extension` is not set, and CASCADE reaches our tables.
#[test]
fn failure_11_dropping_another_extension_is_judged_by_effect() {
    let database = items();
    if database.offers("pg_trgm") {
        run(
            &mut database.client(),
            "CREATE EXTENSION pg_trgm; CREATE INDEX i ON items USING gin (value gin_trgm_ops)",
        );
        let new = database.recorded("DROP EXTENSION pg_trgm CASCADE");
        assert_eq!(words(&new), [("drop_index", "public.items")]);
    }
    if database.offers("citext") {
        run(
            &mut database.client(),
            "CREATE EXTENSION citext; ALTER TABLE items ADD COLUMN c citext",
        );
        database
            .refused("DROP EXTENSION citext CASCADE", "0A000")
            .about_table("public", "items")
            .about_column("c");
    }
}

/// The search_path may be anything.
#[test]
fn failure_12_any_search_path_will_do() {
    for path in [
        "''",
        "' '",
        "'$user', public",
        "\"$user\"",
        "\"Mixed Case\", \"with \"\" quote\"",
        "nosuch, public",
        "pg_catalog",
        "public, electric",
    ] {
        let database = items();
        let mut client = database.client();
        run(
            &mut client,
            "CREATE SCHEMA \"Mixed Case\"; CREATE SCHEMA \"with \"\" quote\"",
        );
        run(
            &mut client,
            &format!(
                "SET search_path = {path}; ALTER TABLE public.items ADD COLUMN a text DEFAULT 'x'; \
                 CREATE INDEX i ON public.items (pg_catalog.lower(value)); CREATE TABLE public.t (id int PRIMARY KEY, item int \
                 REFERENCES public.items); SELECT electric.enable('public.t'); BEGIN; \
                 SELECT electric.set_migration_version('v'); ALTER TABLE public.t ADD COLUMN b text; COMMIT"
            ),
        );
        let commands = database.commands();
        let expected = [
            ("create_table", "public.items"),
            ("add_column", "public.items"),
            ("create_index", "public.items"),
            ("create_table", "public.t"),
            ("add_column", "public.t"),
        ];
        assert_eq!(words(&commands), expected, "search_path {path}");
        failure(
            client.batch_execute("ALTER TABLE public.items DROP COLUMN value"),
            "0A000",
        );
    }
}

/// An unqualified DROP means another table with another search_path.
#[test]
fn failure_13_unqualified_names_are_what_postgres_resolves_them_to() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE SCHEMA other; CREATE TABLE other.items (id int PRIMARY KEY, value text); CREATE INDEX i ON other.items (value); \
         CREATE INDEX i ON public.items (value)",
    );
    database.unrecorded(
        "SET search_path = other, public; ALTER TABLE items DROP COLUMN value; DROP TABLE items",
    );
    database
        .refused("SET search_path = other, public; DROP TABLE items", "0A000")
        .about_table("public", "items");
    let new = database.recorded("SET search_path = other, public; DROP INDEX i");
    assert_eq!(words(&new), [("drop_index", "public.items")]);
}

/// What cannot run in a transaction is captured or passes all the same.
#[test]
fn failure_14_concurrent_forms_are_captured() {
    let database = Cluster::shared().database().items();
    run(
        &mut database.client(),
        "CREATE TABLE root (id int PRIMARY KEY, value text) PARTITION BY RANGE (id); \
         CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (10); SELECT electric.enable('root')",
    );
    let new = database.recorded("CREATE INDEX CONCURRENTLY i ON items (value)");
    assert_eq!(words(&new), [("create_index", "public.items")]);
    assert!(
        !new[0]
            .postgres
            .concat()
            .to_uppercase()
            .contains("CONCURRENTLY"),
        "{:?}",
        new[0].postgres
    );
    for sql in [
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON items (value)",
        "REINDEX TABLE CONCURRENTLY items",
        "VACUUM items",
        "VACUUM FULL items",
        "ALTER TABLE root DETACH PARTITION low CONCURRENTLY",
    ] {
        database.unrecorded(sql);
    }
    let new = database.recorded("DROP INDEX CONCURRENTLY i");
    assert_eq!(words(&new), [("drop_index", "public.items")]);
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    replica.must_agree();
}

/// Commands outside a transaction reach the hook without transaction or snapshot.
#[test]
fn failure_15_commands_outside_a_transaction_pass() {
    let database = items();
    let name = database.name();
    for sql in [
        "CLUSTER".to_owned(),
        "VACUUM".to_owned(),
        format!("REINDEX DATABASE {name}"),
        "CHECKPOINT".to_owned(),
        format!("CREATE DATABASE {name}_other"),
        format!("ALTER DATABASE {name}_other SET TABLESPACE pg_default"),
        format!("DROP DATABASE {name}_other"),
        "DISCARD ALL".to_owned(),
    ] {
        database.unrecorded(&sql);
    }
    let new = database.recorded("ALTER TABLE items ADD COLUMN a text");
    assert_eq!(words(&new), [("add_column", "public.items")]);
}

/// In an aborted transaction no catalog may be looked at.
#[test]
fn failure_16_aborted_transactions_can_be_ended() {
    let database = items();
    let mut client = database.client();
    for end in [
        "ROLLBACK",
        "COMMIT",
        "ABORT",
        "ROLLBACK AND CHAIN; ROLLBACK",
    ] {
        failure(
            client.batch_execute("BEGIN; ALTER TABLE items ADD COLUMN a text; SELECT 1/0"),
            "22012",
        );
        failure(
            client.batch_execute("ALTER TABLE items ADD COLUMN b text"),
            "25P02",
        );
        failure(
            client.batch_execute("ALTER TABLE items DROP COLUMN value"),
            "25P02",
        );
        run(&mut client, end);
    }
    failure(
        client.batch_execute("BEGIN; SAVEPOINT s; ALTER TABLE items DROP COLUMN value"),
        "0A000",
    );
    run(
        &mut client,
        "ROLLBACK TO s; RELEASE s; ALTER TABLE items ADD COLUMN c text; COMMIT",
    );
    assert_eq!(
        words(&database.commands_after(1)),
        [("add_column", "public.items")]
    );
}

/// After an error, of the statement or of a subtransaction, nothing of it is remembered.
#[test]
fn failure_17_an_error_leaves_no_state_in_the_session() {
    let database = items();
    run(
        &mut database.client(),
        "INSERT INTO items VALUES (1, 'x'), (2, 'x')",
    );
    let mut client = database.client();
    for _ in 0..3 {
        failure(
            client.batch_execute("CREATE UNIQUE INDEX u ON items (value)"),
            "23505",
        );
        failure(
            client.batch_execute("ALTER TABLE items ADD COLUMN a text, ADD CHECK (id > 1)"),
            "23514",
        );
        failure(
            client
                .batch_execute("DO 'BEGIN ALTER TABLE items ADD COLUMN b text; PERFORM 1/0; END'"),
            "22012",
        );
        failure(client.batch_execute("BEGIN; SELECT electric.set_migration_version('lost'); ALTER TABLE items DROP COLUMN value"), "0A000");
        run(&mut client, "ROLLBACK");
    }
    run(
        &mut client,
        "BEGIN; SAVEPOINT s; ALTER TABLE items ADD COLUMN c text; ROLLBACK TO s; SAVEPOINT s2; ALTER TABLE items ADD COLUMN d text; \
         ROLLBACK TO s2; ALTER TABLE items ADD COLUMN e text; COMMIT",
    );
    let new = database.commands_after(1);
    assert_eq!(words(&new), [("add_column", "public.items")]);
    assert_eq!(new[0].query.trim(), "ALTER TABLE items ADD COLUMN e text");
    assert_eq!(
        new[0].op["table"]["columns"].as_array().map(Vec::len),
        Some(3)
    );
    assert_eq!(database.migrations()[1].source, "auto");
}

/// A role without any right on our schema runs DDL on its own tables.
#[test]
fn failure_18_unprivileged_ddl_works() {
    let database = items();
    let role = database.role("unprivileged");
    run(
        &mut database.client(),
        &format!(
            "CREATE SCHEMA own AUTHORIZATION {role}; REVOKE ALL ON SCHEMA electric FROM PUBLIC"
        ),
    );
    let mut client = database.client_as(&role);
    run(
        &mut client,
        "SET search_path = own; CREATE TABLE t (id int PRIMARY KEY, a text); ALTER TABLE t DROP COLUMN a, ADD COLUMN b serial; \
         CREATE INDEX i ON t (b); DROP INDEX i; CREATE TYPE e AS ENUM ('x'); ALTER TYPE e ADD VALUE 'y'; \
         CREATE TEMPORARY TABLE tt (a int); ALTER TABLE t RENAME TO t2; DROP TABLE t2; DROP TYPE e",
    );
    assert_eq!(text(&mut client, "SELECT current_user::text"), role);
}

/// Two sessions: records are in commit order, whoever began first.
#[test]
fn failure_20_concurrent_ddl_is_recorded_in_commit_order() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE TABLE other (id int PRIMARY KEY); SELECT electric.enable('other')",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    let mut first = database.client();
    let second = database.client();
    run(&mut first, "BEGIN; SELECT pg_current_xact_id()");
    std::thread::scope(|scope| {
        // Inside, so that a failure below ends its transaction and with it the other's wait.
        let mut second = second;
        run(
            &mut second,
            "BEGIN; ALTER TABLE other ADD COLUMN second text",
        );
        let thread = scope.spawn(|| {
            run(
                &mut first,
                "ALTER TABLE items ADD COLUMN first text; COMMIT",
            )
        });
        wait_until("the first one waits", || database.waiting() == 1);
        run(&mut second, "COMMIT");
        thread.join().unwrap();
    });
    assert_eq!(
        words(&database.commands_after(2)),
        [
            ("add_column", "public.other"),
            ("add_column", "public.items")
        ]
    );
    // The replica's ledger refuses any other order in the stream.
    replica.must_agree();
}

/// Temporary and other tables that only look like ours.
#[test]
fn failure_22_temporary_and_derived_tables_are_not_ours() {
    let database = items();
    database.unrecorded(
        "CREATE TEMPORARY TABLE items (LIKE public.items INCLUDING ALL); ALTER TABLE items DROP COLUMN value, ADD COLUMN x serial; \
         CREATE INDEX ON items (x); DROP TABLE items",
    );
    database.unrecorded(
        "CREATE UNLOGGED TABLE u (LIKE items); DROP TABLE u; CREATE TABLE c AS SELECT * FROM items; ALTER TABLE c DROP COLUMN value; \
         SELECT * INTO s FROM items; DROP TABLE c, s; CREATE TABLE l (LIKE items INCLUDING ALL); DROP TABLE l",
    );
    database.unrecorded("BEGIN; CREATE TEMPORARY TABLE gone (a int) ON COMMIT DROP; COMMIT");
}

/// REFRESH MATERIALIZED VIEW CONCURRENTLY runs DDL on a temporary table of its own.
#[test]
fn failure_23_refreshing_a_materialized_view_is_not_a_change() {
    let database = items();
    database.unrecorded(
        "CREATE MATERIALIZED VIEW m AS SELECT * FROM items; CREATE UNIQUE INDEX ON m (id); INSERT INTO items VALUES (1, 'x')",
    );
    database.unrecorded("REFRESH MATERIALIZED VIEW CONCURRENTLY m");
    database.unrecorded("REFRESH MATERIALIZED VIEW m");
    database.unrecorded("DROP MATERIALIZED VIEW m");
}
