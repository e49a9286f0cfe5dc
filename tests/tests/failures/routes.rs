//! Rows 1 to 11: ways that DDL takes, and what it leaves for a trigger to see.

use electric_tests::cluster::Cluster;
use electric_tests::database::{run, words};
use electric_tests::replica::Replica;

use super::items;

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
