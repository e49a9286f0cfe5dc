//! What belongs to the extension, and who is told what about it.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text, words};
use electric_tests::errors::failure;

fn database() -> Database<'static> {
    let database = Cluster::shared().database().items();
    run(
        &mut database.client(),
        "CREATE SCHEMA s; CREATE TYPE mood AS ENUM ('sad'); CREATE DOMAIN price AS numeric CHECK (VALUE > 0); \
         CREATE TABLE parent (id int PRIMARY KEY, mood mood, price price, n int, m int, span int4range) \
         PARTITION BY RANGE (id); \
         CREATE TABLE part PARTITION OF parent FOR VALUES FROM (0) TO (10); INSERT INTO parent VALUES (1); \
         CREATE INDEX by_value ON items (value); SELECT electric.enable('parent')",
    );
    database
}

/// Commands that are refused, whoever may issue them.
const REFUSED: &[&str] = &[
    "ALTER TABLE items DROP COLUMN value",
    "ALTER TABLE items ADD COLUMN a serial",
    "ALTER TABLE items RENAME TO others",
    "ALTER TABLE items RENAME COLUMN value TO other",
    "ALTER TABLE items RENAME CONSTRAINT items_pkey TO other",
    "ALTER TABLE items SET SCHEMA s",
    "ALTER TABLE items REPLICA IDENTITY NOTHING",
    "DROP TABLE items",
    "DROP TABLE part",
    "TRUNCATE part",
    "ALTER TABLE parent DETACH PARTITION part",
    "ALTER TYPE mood RENAME VALUE 'sad' TO 'happy'",
    "ALTER TYPE mood RENAME TO moods",
    "ALTER TYPE mood SET SCHEMA s",
    "ALTER DOMAIN price SET NOT NULL",
    "ALTER DOMAIN price ADD CHECK (VALUE < 10)",
    "ALTER PUBLICATION electric_publication DROP TABLE items",
    "ALTER PUBLICATION electric_publication OWNER TO CURRENT_USER",
    "ALTER PUBLICATION electric_publication RENAME TO other",
    "DROP PUBLICATION electric_publication",
    "ALTER TABLE electric.migrations ADD COLUMN a text",
    "ALTER TABLE electric.migrations OWNER TO CURRENT_USER",
    "CREATE INDEX ON electric.migrations (source)",
    "CREATE TRIGGER t BEFORE INSERT ON electric.migrations EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE POLICY p ON electric.migrations",
    "ALTER TRIGGER protect_rows ON electric.migrations RENAME TO t",
    "CREATE TABLE electric.t (id int)",
    "CREATE FUNCTION electric.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER FUNCTION electric.check(text) RENAME TO f",
    "ALTER PROCEDURE electric.migration_version STRICT",
    "ALTER SCHEMA electric RENAME TO s2",
    "ALTER EVENT TRIGGER electric_command_end DISABLE",
    "ALTER EVENT TRIGGER electric_command_end RENAME TO t",
    "ALTER EXTENSION electric DROP TABLE electric.migrations",
];

#[test]
fn who_may_not_do_it_is_told_so_by_postgres() {
    let database = database();
    let role = database.role("stranger");
    let (mut owner, mut stranger) = (database.client(), database.client_as(&role));
    for client in [&mut owner, &mut stranger] {
        // The hook stands in where no event trigger fires: before that the library is not there.
        run(client, "SELECT electric.status()");
    }
    for sql in REFUSED {
        database.refused_by(&mut owner, sql, "0A000").hinted();
        database.refused_by(&mut stranger, sql, "42501");
    }
}

#[test]
fn what_a_privilege_allows_is_refused_by_us() {
    let database = database();
    let role = database.role("helper");
    run(
        &mut database.client(),
        &format!(
            "GRANT TRIGGER ON electric.migrations TO {role}; GRANT CREATE ON SCHEMA electric TO {role}; \
             GRANT TRUNCATE ON part TO {role}; ALTER SCHEMA s OWNER TO {role}; \
             CREATE TABLE s.t (id int PRIMARY KEY); SELECT electric.enable('s.t')"
        ),
    );
    let mut helper = database.client_as(&role);
    run(&mut helper, "SELECT electric.status()");
    for sql in [
        "CREATE TRIGGER t BEFORE INSERT ON electric.migrations EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE TABLE electric.t (id int)",
        "TRUNCATE part",
        "DROP TABLE s.t",
    ] {
        database.refused_by(&mut helper, sql, "0A000").hinted();
    }
}

#[test]
fn the_search_path_hides_nothing() {
    let database = database();
    let mut client = database.client();
    run(&mut client, "SET search_path = electric, public");
    for sql in [
        "CREATE TABLE t (id int)",
        "CREATE TYPE t AS ENUM ()",
        "SELECT 1 AS id INTO t",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER FUNCTION status() COST 5",
        "ALTER TABLE migrations SET (fillfactor = 50)",
        "DO 'BEGIN CREATE VIEW v AS SELECT 1 AS id; END'",
    ] {
        database.refused_by(&mut client, sql, "0A000").hinted();
    }
    run(
        &mut client,
        "CREATE TEMP TABLE t (id int); CREATE TABLE public.t (id int); SET search_path = public, electric; \
         CREATE TABLE t2 (id int); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; \
         ALTER FUNCTION f() COST 5",
    );
}

#[test]
fn the_publication_does_not_go_with_its_owner() {
    let database = database();
    let role = database.role("publisher");
    run(
        &mut database.client(),
        &format!(
            "ALTER ROLE {role} SUPERUSER; SET electric.policy = unrestricted; \
             ALTER PUBLICATION electric_publication OWNER TO {role}"
        ),
    );
    let error = database.refused(&format!("DROP OWNED BY {role}"), "0A000");
    error.message_names(&["drop publication \"electric_publication\""]);
    run(
        &mut database.client(),
        &format!("REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}"),
    );
}

#[test]
fn an_unnamed_constraint_is_called_what_postgres_will_call_it() {
    let database = database();
    let mut client = database.client();
    let longest = "a".repeat(60);
    run(
        &mut client,
        &format!(
            "CREATE TABLE \"{longest}\" (id int PRIMARY KEY, \"{longest}\" int, n int CHECK (n > 0)); \
             SELECT electric.enable('{longest}')"
        ),
    );
    let mut problems = Vec::new();
    for (table, constraint) in [
        ("parent", "CHECK (n > 0)".to_owned()),
        (
            "items",
            "CHECK (value > 'a' AND items.value < 'z' OR value IS NULL)".to_owned(),
        ),
        ("parent", "CHECK (n > m)".to_owned()),
        ("parent", "CHECK (coalesce(n, m) > 0)".to_owned()),
        ("parent", "CHECK (true)".to_owned()),
        (
            "parent",
            "CHECK (CASE WHEN n > 0 THEN n ELSE 1 END > 0)".to_owned(),
        ),
        ("parent", "UNIQUE (id, n)".to_owned()),
        ("parent", "FOREIGN KEY (n) REFERENCES items".to_owned()),
        ("items", "EXCLUDE (value WITH =)".to_owned()),
        (
            "items",
            "EXCLUDE USING btree ((value || 'x') WITH =)".to_owned(),
        ),
        (
            "items",
            "EXCLUDE USING btree (lower(value) WITH =, id WITH =)".to_owned(),
        ),
        ("items", "UNIQUE (value, id)".to_owned()),
        (&longest, "CHECK (n > 5)".to_owned()),
        (&longest, format!("CHECK ({longest} > 5)")),
        (&longest, format!("UNIQUE (n, {longest})")),
        (
            &longest,
            format!("FOREIGN KEY ({longest}) REFERENCES items"),
        ),
    ] {
        let sql = format!("ALTER TABLE \"{table}\" ADD {constraint}");
        let refusal = database.refused(&sql, "0A000");
        run(
            &mut client,
            &format!("BEGIN; SET LOCAL electric.policy = unrestricted; {sql}"),
        );
        let chosen = text(
            &mut client,
            "SELECT conname FROM pg_constraint WHERE conparentid = 0 ORDER BY oid DESC LIMIT 1",
        );
        run(&mut client, "ROLLBACK");
        if refusal.constraint != chosen {
            problems.push(format!("{sql}: {}, not {chosen}", refusal.constraint));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn a_validated_constraint_of_a_domain_is_no_change() {
    let database = database();
    run(
        &mut database.client(),
        "CREATE DOMAIN code AS text; ALTER DOMAIN code ADD CONSTRAINT c CHECK (VALUE <> '') NOT VALID; \
         CREATE TABLE t (id int PRIMARY KEY, code code); SELECT electric.enable('t')",
    );
    // What a replica is told must be what Postgres takes: CREATE DOMAIN knows no NOT VALID.
    let command = database.commands();
    let create = command
        .iter()
        .find(|c| c.relation == "public.code")
        .unwrap();
    run(
        &mut database.client(),
        &format!(
            "BEGIN; SET LOCAL electric.policy = unrestricted; DROP TABLE t; DROP DOMAIN code; {}; ROLLBACK",
            create.postgres.join("; ")
        ),
    );
    database.unrecorded("ALTER DOMAIN code VALIDATE CONSTRAINT c");
    assert_eq!(
        text(
            &mut database.client(),
            "SELECT count(*)::text FROM electric.drift()"
        ),
        "0"
    );
}

#[test]
fn a_check_of_a_domain_does_not_go_with_a_function() {
    let database = database();
    run(
        &mut database.client(),
        "CREATE FUNCTION is_fine(text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true'; \
         CREATE DOMAIN code AS text CHECK (is_fine(VALUE)); \
         CREATE TABLE t (id int PRIMARY KEY, code code); SELECT electric.enable('t')",
    );
    let drop = "DROP FUNCTION is_fine CASCADE";
    let error = database.refused(drop, "0A000");
    error.hinted().message_names(&["type \"public.code\""]);
    let mut client = database.client();
    run(&mut client, "SET electric.policy = unrestricted");
    let before = database.last_command();
    run(&mut client, drop);
    let new = database.commands_after(before);
    assert_eq!(
        words(&new),
        [
            ("create_type", "public.code"),
            ("replace_table", "public.t")
        ]
    );
}

/// Verdicts of a script's statements.
fn verdicts(database: &Database<'_>, sql: &str) -> Vec<String> {
    let mut client = database.client();
    let rows = client
        .query("SELECT verdict FROM electric.check($1)", &[&sql])
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn check_calls_every_refusal_one() {
    let database = database();
    run(
        &mut database.client(),
        "CREATE TABLE odd (id int PRIMARY KEY, a pg_lsn); CREATE TABLE keyless (id int)",
    );
    for (sql, verdict) in [
        ("SELECT electric.enable('odd')", "refused"),
        ("SELECT electric.enable('keyless')", "error"),
        ("SELECT electric.enable('pg_class')", "refused"),
        ("DELETE FROM electric.migrations", "refused"),
        (
            "ALTER EVENT TRIGGER electric_command_end DISABLE",
            "refused",
        ),
        (
            "DO 'BEGIN DROP TABLE items; EXCEPTION WHEN OTHERS THEN RAISE ''other''; END'",
            "error",
        ),
        (
            "DO 'BEGIN DROP TABLE items; EXCEPTION WHEN OTHERS THEN NULL; END'",
            "allowed",
        ),
    ] {
        assert_eq!(verdicts(&database, sql), [verdict], "{sql}");
    }
}

#[test]
fn check_judges_what_cannot_run_in_a_transaction() {
    let database = database();
    run(
        &mut database.client(),
        "INSERT INTO items VALUES (1, 'x'), (2, 'x'); \
         CREATE TABLE parent_2 PARTITION OF parent FOR VALUES FROM (10) TO (20)",
    );
    for sql in [
        "CLUSTER",
        "DISCARD ALL",
        "REINDEX TABLE parent",
        "REINDEX SCHEMA s",
        "REINDEX SCHEMA CONCURRENTLY public",
        "REINDEX (CONCURRENTLY false) TABLE items",
        "ALTER TABLE parent DETACH PARTITION parent_2 CONCURRENTLY",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    ] {
        assert_eq!(verdicts(&database, sql), ["allowed"], "{sql}");
    }
    assert_eq!(
        verdicts(
            &database,
            "ALTER TABLE parent DETACH PARTITION part CONCURRENTLY"
        ),
        ["refused"]
    );
    // Nobody can run these from inside a function.
    assert_eq!(
        verdicts(&database, "DO 'BEGIN EXECUTE ''VACUUM''; END'"),
        ["error"]
    );
}

#[test]
fn check_knows_that_reindex_makes_an_index_valid() {
    let database = database();
    run(
        &mut database.client(),
        "INSERT INTO items VALUES (1, 'x'), (2, 'x')",
    );
    let create = "CREATE UNIQUE INDEX CONCURRENTLY one ON items (value)";
    failure(database.client().batch_execute(create), "23505");
    run(&mut database.client(), "DELETE FROM items WHERE id = 2");
    for (sql, verdict) in [
        ("REINDEX INDEX one", "captured"),
        ("REINDEX INDEX CONCURRENTLY one", "captured"),
        ("REINDEX TABLE items", "captured"),
        // It passes over indexes that are not valid.
        ("REINDEX TABLE CONCURRENTLY items", "allowed"),
        ("REINDEX SCHEMA public", "captured"),
        ("REINDEX SCHEMA s", "allowed"),
        ("REINDEX INDEX by_value", "allowed"),
    ] {
        assert_eq!(verdicts(&database, sql), [verdict], "{sql}");
    }
    let before = database.last_command();
    let mut client = database.client();
    run(&mut client, "SELECT electric.status()");
    client
        .batch_execute("REINDEX TABLE CONCURRENTLY items")
        .unwrap();
    assert_eq!(database.last_command(), before);
    client.batch_execute("REINDEX SCHEMA public").unwrap();
    assert_eq!(database.commands_after(before)[0].command, "create_index");
}
