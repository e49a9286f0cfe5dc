//! S1: the extension with and without preload, beside other hooks, created, dropped, created again.

use electric_tests::cluster::{Cluster, Stop};
use electric_tests::database::{commands, run, text, words};
use electric_tests::errors::failure;
use electric_tests::replica::Replica;

#[test]
fn capture_works_without_preload_from_a_sessions_first_statement_on() {
    let cluster = Cluster::builder().start().unwrap();
    let database = cluster.database().items();
    // Nothing has loaded the library in these new sessions.
    run(
        &mut database.client(),
        "ALTER TABLE items ADD COLUMN first text",
    );
    let commands = database.commands();
    assert_eq!(
        words(&commands),
        [
            ("create_table", "public.items"),
            ("add_column", "public.items")
        ]
    );
    assert_eq!(commands[1].query, "ALTER TABLE items ADD COLUMN first text");
    let error = database.refused("ALTER TABLE items DROP COLUMN value", "0A000");
    error.message_names(&["cannot drop column \"value\" of electrified table \"public.items\""]);
}

#[test]
fn capture_works_with_preload_and_across_a_restart() {
    let cluster = Cluster::builder().preload(true).start().unwrap();
    let database = cluster.database().items();
    run(
        &mut database.client(),
        "ALTER TABLE items ADD COLUMN a text",
    );
    cluster.restart(Stop::Fast).unwrap();
    run(
        &mut database.client(),
        "ALTER TABLE items ADD COLUMN b text",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut database.client(),
        "ALTER TABLE items ADD COLUMN c text; INSERT INTO items (id, c) VALUES (1, 'x')",
    );
    replica.must_agree();
    assert_eq!(database.commands().len(), 4);
}

#[test]
fn a_preloaded_library_does_nothing_where_the_extension_is_not_created() {
    let cluster = Cluster::builder().preload(true).start().unwrap();
    let database = cluster.empty_database();
    let mut client = database.client();
    run(
        &mut client,
        "CREATE TABLE items (id int PRIMARY KEY, value text); ALTER TABLE items DROP COLUMN value; \
         ALTER TABLE items RENAME TO things; DROP TABLE things; CREATE SCHEMA electric; DROP SCHEMA electric",
    );
    run(&mut client, "VACUUM");
    run(
        &mut client,
        "DO 'BEGIN CREATE TABLE t (a int); DROP TABLE t; END'",
    );
    // Neither in an aborted transaction.
    failure(client.batch_execute("BEGIN; SELECT 1/0"), "22012");
    failure(client.batch_execute("CREATE TABLE t (a int)"), "25P02");
    run(&mut client, "ROLLBACK");
}

#[test]
fn a_preloaded_library_leaves_other_errors_as_they_are() {
    let cluster = Cluster::builder().preload(true).start().unwrap();
    let database = cluster.database();
    let mut client = database.client();
    let error = client
        .batch_execute("CREATE TABLE t (a int, b nosuchtype)")
        .unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "42704");
    assert!(
        error.position().is_some(),
        "the position is lost: {error:?}"
    );
    assert_eq!(error.detail(), None);
    run(
        &mut client,
        "CREATE TABLE t (a int); INSERT INTO t VALUES (NULL)",
    );
    let error = failure(
        client.batch_execute("ALTER TABLE t ALTER a SET NOT NULL"),
        "23502",
    );
    error.about_table("public", "t").about_column("a");
    run(&mut client, "UPDATE t SET a = 1; INSERT INTO t VALUES (1)");
    let error = failure(
        client.batch_execute("ALTER TABLE t ADD CONSTRAINT one UNIQUE (a)"),
        "23505",
    );
    error.about_constraint("one").detail_names(&["(a)=(1)"]);
}

#[test]
fn databases_are_apart() {
    let cluster = Cluster::shared();
    let (one, two) = (cluster.database().items(), cluster.empty_database());
    run(
        &mut two.client(),
        "CREATE TABLE items (id int PRIMARY KEY, value text); ALTER TABLE items DROP COLUMN value",
    );
    assert_eq!(one.commands().len(), 1);
}

#[test]
fn creating_the_extension_is_for_superusers_and_in_its_own_schema() {
    let database = Cluster::shared().empty_database();
    let role = database.role("ordinary");
    let mut client = database.client_as(&role);
    failure(client.batch_execute("CREATE EXTENSION electric"), "42501");
    run(&mut database.client(), "CREATE EXTENSION electric");
    let elsewhere = "SELECT string_agg(oid::regprocedure::text, ', ') FROM pg_proc \
                     WHERE probin = '$libdir/electric' AND pronamespace <> 'electric'::regnamespace";
    assert_eq!(text(&mut database.client(), elsewhere), "");
    failure(
        database.client().batch_execute("CREATE EXTENSION electric"),
        "42710",
    );
    assert!(
        database
            .client()
            .batch_execute("CREATE SCHEMA other; ALTER EXTENSION electric SET SCHEMA other")
            .is_err()
    );
}

#[test]
fn dropping_the_extension_leaves_the_tables_and_says_that_the_publication_stays() {
    let database = Cluster::shared().database().items();
    run(
        &mut database.client(),
        "INSERT INTO items VALUES (1, 'one')",
    );
    let (mut client, notices) = database.client_with_notices();
    run(&mut client, "DROP EXTENSION electric CASCADE");
    assert!(
        notices.has(&["electric_publication"]),
        "{:?}",
        notices.all()
    );

    let mut client = database.client();
    assert_eq!(
        text(&mut client, "SELECT string_agg(i::text, ',') FROM items i"),
        "(1,one)"
    );
    let left = "SELECT count(*)::text FROM pg_event_trigger";
    assert_eq!(text(&mut client, left), "0");
    let left = "SELECT count(*)::text FROM pg_namespace WHERE nspname = 'electric'";
    assert_eq!(text(&mut client, left), "0");
    let left = "SELECT string_agg(pubname, ',') FROM pg_publication";
    assert_eq!(text(&mut client, left), "electric_publication");
    // The tables are ordinary again, in this session and in that of the drop.
    run(
        &mut client,
        "ALTER TABLE items DROP COLUMN value, ADD COLUMN other text",
    );
}

#[test]
fn the_extension_can_be_created_again_after_a_drop() {
    let database = Cluster::shared().database().items();
    let mut client = database.client();
    run(&mut client, "DROP EXTENSION electric CASCADE");
    run(&mut client, "CREATE EXTENSION electric");
    assert!(commands(&mut client).is_empty());
    run(&mut client, "SELECT electric.enable('items')");
    run(&mut client, "ALTER TABLE items ADD COLUMN again text");
    assert_eq!(
        words(&commands(&mut client)),
        [
            ("create_table", "public.items"),
            ("add_column", "public.items")
        ]
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(&mut client, "INSERT INTO items VALUES (1, 'one', 'two')");
    replica.must_agree();
}

#[test]
fn creating_the_extension_can_be_rolled_back() {
    let database = Cluster::shared().empty_database();
    let mut client = database.client();
    run(
        &mut client,
        "BEGIN; CREATE EXTENSION electric; CREATE TABLE items (id int PRIMARY KEY); SELECT electric.enable('items'); \
         ALTER TABLE items ADD COLUMN a text; ROLLBACK; CREATE TABLE items (id int PRIMARY KEY, value text); \
         ALTER TABLE items DROP COLUMN value; CREATE EXTENSION electric",
    );
    assert!(commands(&mut client).is_empty());
}

#[test]
fn a_typo_in_a_setting_is_an_error() {
    let database = Cluster::shared().database();
    let mut client = database.client();
    run(&mut client, "SELECT electric.status()");
    assert!(
        client
            .batch_execute("SET electric.polcy = 'additive'")
            .is_err()
    );
    assert!(
        client
            .batch_execute("SET electric.policy = 'additiv'")
            .is_err()
    );
    run(&mut client, "SET electric.policy = 'additive'");
}

#[test]
fn status_tells_counts_version_and_settings() {
    let database = Cluster::shared().database().items();
    let mut client = database.client();
    let status: serde_json::Value = client
        .query_one("SELECT electric.status()", &[])
        .unwrap()
        .get(0);
    let (migrations, commands) = (database.migrations(), database.commands());
    assert_eq!(status["version"], serde_json::json!(migrations[0].version));
    assert_eq!(status["migration_id"], 1);
    assert_eq!(status["hash"], serde_json::json!(commands[0].hash));
    assert_eq!(status["tables"], 1);
    assert_eq!(status["commands"], 1);
    let installed = text(
        &mut client,
        "SELECT extversion FROM pg_extension WHERE extname = 'electric'",
    );
    assert_eq!(status["extension_version"], serde_json::json!(installed));
    assert!(
        status["publication"]
            .to_string()
            .contains("\"electric_publication\"")
    );
    assert_eq!(status["policy"], "additive");
    for key in ["proxy", "subscriber"] {
        assert!(status.get(key).is_some(), "no {key} in {status}");
    }
}

#[test]
fn every_function_has_a_comment() {
    let database = Cluster::shared().database();
    let sql = "SELECT string_agg(oid::regprocedure::text, ', ') FROM pg_proc \
               WHERE pronamespace = 'electric'::regnamespace AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype) \
               AND obj_description(oid, 'pg_proc') IS NULL";
    assert_eq!(text(&mut database.client(), sql), "");
}

/// Other owners of the utility hook, loaded before and after.
fn beside(other: &str) {
    for order in [format!("{other},electric"), format!("electric,{other}")] {
        let cluster = Cluster::builder()
            .setting("shared_preload_libraries", &order)
            .setting("pgaudit.log", "ddl")
            .start()
            .unwrap();
        let database = cluster.database();
        let mut client = database.client();
        run(&mut client, &format!("CREATE EXTENSION {other}"));
        let database = database.items();
        run(
            &mut client,
            "ALTER TABLE items ADD COLUMN a text; DO 'BEGIN ALTER TABLE items ADD COLUMN b text; END'; \
             CREATE INDEX by_a ON items (a)",
        );
        database.refused("ALTER TABLE items DROP COLUMN a", "0A000");
        failure(
            client.batch_execute("BEGIN; SAVEPOINT s; ALTER TABLE items DROP COLUMN a"),
            "0A000",
        );
        run(
            &mut client,
            "ROLLBACK TO s; ALTER TABLE items ADD COLUMN c text; COMMIT",
        );
        assert_eq!(database.commands().len(), 5, "{order}");
        let (mut replica, _) = Replica::follow(&database, None).unwrap();
        replica.must_agree();
        if other == "pg_stat_statements" {
            let sql = "SELECT sum(calls)::text FROM pg_stat_statements WHERE query = 'CREATE INDEX by_a ON items (a)'";
            assert_eq!(text(&mut client, sql), "1", "{order}");
        }
        if other == "pgaudit" {
            assert!(
                cluster.log().contains("AUDIT: SESSION"),
                "{order}: {}",
                cluster.log()
            );
        }
    }
}

#[test]
fn works_beside_pg_stat_statements() {
    if Cluster::shared()
        .empty_database()
        .offers("pg_stat_statements")
    {
        beside("pg_stat_statements");
    } else {
        eprintln!("not tried: this server has no pg_stat_statements");
    }
}

#[test]
fn works_beside_pgaudit() {
    if Cluster::shared().empty_database().offers("pgaudit") {
        beside("pgaudit");
    } else {
        eprintln!("not tried: this server has no pgaudit");
    }
}
