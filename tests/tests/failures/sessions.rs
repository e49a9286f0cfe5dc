//! Rows 12 to 23: what a session is in the middle of, and tables that are not ours.

use electric_tests::cluster::Cluster;
use electric_tests::database::{run, text, wait_until, words};
use electric_tests::errors::failure;
use electric_tests::replica::Replica;

use super::items;

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

/// Whoever replays the records needs no role of this server: they name none.
#[test]
fn failure_19_records_name_no_role() {
    let database = items();
    let (owner, reader) = (database.role("owner"), database.role("reader"));
    let there = database.role("there");
    run(
        &mut database.client(),
        &format!(
            "CREATE SCHEMA own AUTHORIZATION {owner}; CREATE TYPE own.mood AS ENUM ('sad'); \
             ALTER TYPE own.mood OWNER TO {owner}"
        ),
    );
    run(
        &mut database.client_as(&owner),
        &format!(
            "SET search_path = own; CREATE TABLE t (id serial PRIMARY KEY, m mood); GRANT SELECT ON t TO {reader}; \
             CREATE POLICY p ON t TO {reader} USING (true); SELECT electric.enable('t'); \
             ALTER TABLE t ADD COLUMN a text DEFAULT 'x'; CREATE INDEX ON t (a); ALTER TYPE mood ADD VALUE 'glad'; \
             GRANT UPDATE (a) ON t TO {reader}; ALTER TABLE t ADD COLUMN b int CHECK (b > 0)"
        ),
    );
    let empty = Cluster::shared().empty_database();
    run(
        &mut empty.client(),
        &format!(
            "GRANT CREATE ON DATABASE {} TO {there}; GRANT CREATE ON SCHEMA public TO {there}",
            empty.name()
        ),
    );
    let mut replayer = empty.client_as(&there);
    for command in database.commands() {
        for role in [&owner, &reader] {
            let statements = command.postgres.concat();
            assert!(!statements.contains(role.as_str()), "{statements}");
        }
        run(&mut replayer, &command.postgres.join(";"));
    }
    let sql = "SELECT string_agg(c.relname || ' ' || a.attname, ',' ORDER BY 1) FROM pg_attribute a JOIN pg_class c \
               ON c.oid = attrelid WHERE relnamespace = 'own'::regnamespace AND attnum > 0";
    assert_eq!(
        text(&mut empty.client(), sql),
        text(&mut database.client(), sql)
    );
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

/// What enabling and disabling run themselves is neither captured nor refused, not even under a session's settings.
#[test]
fn failure_21_our_own_commands_are_not_captured() {
    let database = items();
    let mut client = database.client();
    run(
        &mut client,
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); \
         CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)",
    );
    for role in ["origin", "replica", "local"] {
        let before = database.last_command();
        run(
            &mut client,
            &format!("SET session_replication_role = {role}; SELECT electric.enable('t', 'p')"),
        );
        // What the publication holds and how rows are identified changed meanwhile, by ALTERs of ours.
        run(&mut client, "ALTER TABLE t ADD COLUMN IF NOT EXISTS a text");
        run(
            &mut client,
            "SELECT electric.disable('t'); SELECT electric.disable('p')",
        );
        let new = database.commands_after(before);
        let mut expected = vec![("create_table", "public.t"), ("create_table", "public.p")];
        if role == "origin" {
            expected.push(("add_column", "public.t"));
        }
        expected.extend([("disable_table", "public.t"), ("disable_table", "public.p")]);
        assert_eq!(words(&new), expected, "{role}");
    }
    failure(
        client.batch_execute("ALTER PUBLICATION electric_publication DROP TABLE items"),
        "0A000",
    );
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
