//! Rows 31 to 36: what grows, what is missing on hosted servers, and rows that change unseen.

use electric_tests::cluster::{Cluster, Stop};
use electric_tests::database::{Database, run, text, words};
use electric_tests::errors::failure;
use electric_tests::replica::Replica;

use super::items;

/// However long the history, a command reads no more of it.
#[test]
fn failure_31_a_long_history_is_not_read() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE VIEW reads AS SELECT coalesce(sum(pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid)), 0) \
         AS rows FROM pg_class WHERE relnamespace = 'electric'::regnamespace",
    );
    let mut client = database.client();
    let mut rows_read_by = |number: usize| -> i64 {
        // What the last transaction counted is to be out of the way.
        run(&mut client, "SELECT pg_stat_force_next_flush()");
        run(
            &mut client,
            &format!("BEGIN; ALTER TABLE items ADD COLUMN c{number} int"),
        );
        let rows = text(&mut client, "SELECT rows::text FROM reads");
        run(&mut client, "COMMIT");
        rows.parse().unwrap()
    };
    // What the session reads once, and a page of history to start from.
    for number in 0..5 {
        rows_read_by(number);
    }
    let early = rows_read_by(5);
    assert!(early > 0, "what is read is not counted");
    let mut other = database.client();
    for number in 0..150 {
        run(
            &mut other,
            &format!("CREATE INDEX i{number} ON items (value); DROP INDEX i{number}"),
        );
    }
    // What the other session did to the table is read once.
    rows_read_by(6);
    let late = rows_read_by(7);
    assert!(late <= early, "{late} rows read, {early} at first");
}

/// Hosted servers: nothing preloaded, ordinary roles only; and what happens while event triggers are off is seen.
#[test]
fn failure_32_ordinary_roles_without_preload_and_triggers_that_were_off() {
    let cluster = Cluster::builder().start().unwrap();
    let database = cluster.database();
    let role = database.role("hosted");
    run(
        &mut database.client(),
        &format!("CREATE SCHEMA app AUTHORIZATION {role}"),
    );
    run(
        &mut database.client_as(&role),
        "CREATE TABLE app.items (id int PRIMARY KEY, value text); SELECT electric.enable('app.items')",
    );
    // A session whose first command this is.
    let mut client = database.client_as(&role);
    run(
        &mut client,
        "ALTER TABLE app.items ADD COLUMN a text; INSERT INTO app.items VALUES (1, 'x', 'y')",
    );
    failure(
        client.batch_execute("ALTER TABLE app.items DROP COLUMN value"),
        "0A000",
    );
    failure(
        client.batch_execute("CREATE EXTENSION IF NOT EXISTS pg_nosuch"),
        "0A000",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    replica.must_agree();

    let set = |state: &str| {
        run(
            &mut database.client(),
            &format!(
                "ALTER EVENT TRIGGER electric_command_start {state}; ALTER EVENT TRIGGER electric_command_end {state}"
            ),
        );
    };
    set("DISABLE");
    run(&mut client, "ALTER TABLE app.items DROP COLUMN value");
    set("ENABLE ALWAYS");
    let drift = "SELECT string_agg(relation || ': ' || problem, E'\\n') FROM electric.drift()";
    let drift = text(&mut client, drift);
    assert!(
        drift.starts_with("app.items: ") && drift.contains("drop column \"value\""),
        "{drift}"
    );
    // Nothing is recorded on top of what replicas do not have.
    failure(
        client.batch_execute("ALTER TABLE app.items ADD COLUMN b text"),
        "0A000",
    );
}

/// Errors of others pass as they are: LINE and caret, object fields, and no backtrace as DETAIL.
#[test]
fn failure_33_errors_of_others_pass_as_they_are() {
    const SCRIPT: &str = "CREATE TABLE t (a int, b nosuchtype);\n\
        CREATE TABLE u (a int CHECK (a > nosuchcolumn));\n\
        ALTER TABLE one ALTER a SET NOT NULL;\n\
        ALTER TABLE one ADD CONSTRAINT only_one UNIQUE (b);\n\
        ALTER TABLE one ADD CONSTRAINT positive CHECK (b > 1);\n\
        ALTER TABLE one ADD CONSTRAINT missing FOREIGN KEY (b) REFERENCES two;\n\
        CREATE INDEX ON one (nosuchfunction(b));\n\
        CREATE VIEW v AS SELECT nosuchcolumn FROM one;\n\
        DO $$ BEGIN PERFORM 1; CREATE TABLE w (a int, b nosuchtype); END $$;\n\
        DO $$ BEGIN EXECUTE 'ALTER TABLE one ALTER a SET NOT NULL'; END $$;\n\
        ALTER TYPE color ADD VALUE 'red';\n\
        DROP TABLE two, nosuchtable;\n\
        TRUNCATE two;\n\
        DROP TABLE two;\n\
        REINDEX INDEX nosuchindex;\n";
    let start = "CREATE TABLE two (id int PRIMARY KEY); CREATE TABLE three (id int REFERENCES two); \
                 CREATE TABLE one (a int, b int); INSERT INTO one VALUES (NULL, 1), (1, 1); CREATE TYPE color AS ENUM ('red')";
    let said = |cluster: &Cluster, database: &Database<'_>| {
        run(&mut database.client(), start);
        let arguments = [
            "-q",
            "-v",
            "ON_ERROR_STOP=0",
            "-v",
            "VERBOSITY=verbose",
            "-c",
        ];
        let mut lines = String::new();
        for statement in SCRIPT.split_inclusive(";\n") {
            let arguments: Vec<&str> = arguments.into_iter().chain([statement]).collect();
            let output = cluster
                .psql(database.name(), "postgres", &arguments)
                .unwrap();
            lines += &String::from_utf8_lossy(&output.stderr);
        }
        lines
    };
    let plain = Cluster::builder().start().unwrap();
    let expected = said(&plain, &plain.empty_database());
    assert!(
        expected.contains("LINE 1: ") && expected.contains("CONSTRAINT NAME:"),
        "{expected}"
    );
    assert_eq!(said(&plain, &plain.database().items()), expected);

    // As a server that was started from a shell of somebody who develops in Rust.
    let loaded = Cluster::builder().preload(true).start().unwrap();
    loaded.stop(Stop::Fast).unwrap();
    loaded.start_with("", &[("RUST_BACKTRACE", "1")]).unwrap();
    assert_eq!(said(&loaded, &loaded.empty_database()), expected);
    assert_eq!(said(&loaded, &loaded.database().items()), expected);
    let refused = loaded
        .database()
        .items()
        .refused("ALTER TABLE items DROP COLUMN value", "0A000");
    assert!(!refused.detail.contains("backtrace"), "{refused:#?}");
}

/// Values that depend on when, by whom and under which settings a default is evaluated: evaluated once, and recorded.
#[test]
fn failure_34_values_of_defaults_are_recorded_evaluated() {
    let database = items();
    let role = database.role("chooser");
    run(
        &mut database.client(),
        &format!(
            "INSERT INTO items VALUES (1, 'one'), (2, 'two'); ALTER TABLE items OWNER TO {role}"
        ),
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    let mut client = database.client_as(&role);
    run(
        &mut client,
        "SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German, DMY'; SET IntervalStyle = 'sql_standard'; \
         SET search_path = public, pg_catalog; SET extra_float_digits = -5; SET bytea_output = 'escape'",
    );
    let columns = [
        ("at", "timestamptz", "now()"),
        ("day", "date", "current_date"),
        ("local", "timestamp", "localtimestamp"),
        ("whose", "text", "current_user"),
        ("zone", "text", "current_setting('TimeZone')"),
        ("path", "text", "current_setting('search_path')"),
        ("shown", "text", "'2020-02-01'::date::text"),
        ("read", "date", "'01.02.2020'"),
        ("span", "interval", "'1-2 3 4:05:06'"),
        ("ratio", "float8", "1.0 / 3"),
        ("bytes", "bytea", "'\\x00ff'"),
    ];
    for (name, data_type, default) in columns {
        let before = database.last_command();
        run(
            &mut client,
            &format!("ALTER TABLE items ADD COLUMN {name} {data_type} NOT NULL DEFAULT {default}"),
        );
        assert_eq!(
            words(&database.commands_after(before)),
            [("add_column", "public.items")]
        );
    }
    // What rows before the command have is the same in SQLite, in this replica and in one that comes later,
    replica.must_agree();
    Replica::follow(&database, None).unwrap().0.must_agree();
    // and in another Postgres, whoever replays the statements there, and under whichever settings.
    let there = Cluster::shared().empty_database();
    let mut client = there.client();
    run(
        &mut client,
        "SET TimeZone = 'America/New_York'; SET DateStyle = 'SQL, MDY'; SET search_path = ''",
    );
    for command in database.commands() {
        run(&mut client, &command.postgres.join(";"));
        if command.command == "create_table" {
            run(
                &mut client,
                "INSERT INTO public.items VALUES (1, 'one'), (2, 'two')",
            );
        }
    }
    let rows = "SELECT string_agg(i::text, E'\\n' ORDER BY id) FROM public.items i";
    assert_eq!(
        text(&mut there.client(), rows),
        text(&mut database.client(), rows)
    );
}

/// A rewrite of all rows under the same shape: no replica would hear of the values.
#[test]
fn failure_35_rewrites_under_the_same_shape_are_refused() {
    let database = items();
    run(
        &mut database.client(),
        "INSERT INTO items VALUES (1, 'one'); CREATE FUNCTION up() RETURNS void LANGUAGE sql \
         AS 'ALTER TABLE items ALTER COLUMN value TYPE text USING upper(value)'",
    );
    for policy in ["additive", "compatible"] {
        for sql in [
            "ALTER TABLE items ALTER COLUMN value TYPE text USING upper(value)",
            "ALTER TABLE items ALTER COLUMN id TYPE int USING id + 1",
            "ALTER TABLE items ADD COLUMN a text, ALTER COLUMN value TYPE text USING upper(value)",
            "ALTER TABLE items ALTER COLUMN value TYPE varchar, ALTER COLUMN id TYPE int USING 7",
            "DO 'BEGIN ALTER TABLE items ALTER COLUMN value TYPE text USING reverse(value); END'",
            "SELECT up()",
        ] {
            database
                .refused(&format!("SET electric.policy = '{policy}'; {sql}"), "0A000")
                .about_table("public", "items");
        }
    }
    let rows = "SELECT string_agg(i::text, ',') FROM items i";
    assert_eq!(text(&mut database.client(), rows), "(1,one)");
    // The emergency exit tells replicas to fetch the rows anew.
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    let new = database.recorded("SET electric.policy = 'unrestricted'; SELECT up()");
    assert_eq!(words(&new), [("replace_table", "public.items")]);
    assert_eq!(text(&mut database.client(), rows), "(1,ONE)");
    replica.must_agree();
}

/// Rows that come or go with a partition are in no stream: full ones stay where they are, empty ones are free.
#[test]
fn failure_36_partitions_with_rows_stay() {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "CREATE TABLE root (id int PRIMARY KEY, value text) PARTITION BY RANGE (id); \
         CREATE TABLE full1 PARTITION OF root FOR VALUES FROM (0) TO (10); \
         CREATE TABLE empty1 PARTITION OF root FOR VALUES FROM (10) TO (20); \
         CREATE TABLE half PARTITION OF root FOR VALUES FROM (20) TO (40) PARTITION BY RANGE (id); \
         CREATE TABLE full2 PARTITION OF half FOR VALUES FROM (20) TO (30); \
         CREATE SCHEMA apart; CREATE TABLE apart.full3 PARTITION OF root FOR VALUES FROM (60) TO (70); \
         CREATE TABLE filled (id int PRIMARY KEY, value text); INSERT INTO filled VALUES (50, 'x'); \
         SELECT electric.enable('root'); INSERT INTO root VALUES (1, 'one'), (21, 'two'), (61, 'three')",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    // TRUNCATE fires no event trigger: it is seen where the library is loaded.
    let mut session = database.client();
    run(&mut session, "SELECT electric.status()");
    for sql in [
        "DROP TABLE full1",
        "DROP TABLE half",
        "DROP TABLE full2, empty1",
        "TRUNCATE full1",
        "TRUNCATE empty1, full2",
        "TRUNCATE half",
        "ALTER TABLE root DETACH PARTITION full1",
        "ALTER TABLE root DETACH PARTITION half",
        "ALTER TABLE half DETACH PARTITION full2",
        "ALTER TABLE root DETACH PARTITION full1 CONCURRENTLY",
        "ALTER TABLE root ATTACH PARTITION filled FOR VALUES FROM (50) TO (60)",
        "DO 'BEGIN TRUNCATE full1; END'",
        "DROP SCHEMA apart CASCADE",
    ] {
        database
            .refused_by(&mut session, sql, "0A000")
            .about_table("public", "root");
    }
    let rows = "SELECT count(*)::text FROM root";
    assert_eq!(text(&mut database.client(), rows), "3");
    for sql in [
        "TRUNCATE empty1",
        "ALTER TABLE root DETACH PARTITION empty1",
        "ALTER TABLE root ATTACH PARTITION empty1 FOR VALUES FROM (10) TO (20)",
        "DROP TABLE empty1",
        "TRUNCATE root",
        "DROP TABLE half",
    ] {
        database.unrecorded(sql);
    }
    replica.must_agree();
}
