//! Commands inside commands: what is touched belongs to the command that touched it, and each text to its statement.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, words};
use electric_tests::errors::failure;
use electric_tests::replica::Replica;
use postgres::Client;

fn items() -> Database<'static> {
    Cluster::shared().database().items()
}

/// Two sessions: one whose next command is its first, where nothing has loaded the library yet (unless the server
/// did), and one that has it loaded.
fn fresh_and_warm(database: &Database<'_>) -> [Client; 2] {
    [database.client(), warm(database)]
}

/// A session that has the library loaded.
fn warm(database: &Database<'_>) -> Client {
    let mut client = database.client();
    run(&mut client, "SELECT electric.status()");
    client
}

#[test]
fn a_drop_is_refused_though_a_trigger_before_ours_enables_another_table() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE TABLE other (id int PRIMARY KEY); \
         CREATE FUNCTION aaa() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF NOT EXISTS (SELECT FROM electric.electrified WHERE relation = 'other'::regclass) THEN \
         PERFORM electric.enable('other'); END IF; END $$",
    );
    // Triggers fire in the order of their names: this one while what the command touched is still unread.
    run(
        &mut database.client(),
        "CREATE EVENT TRIGGER aaa ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION aaa()",
    );
    let mut session = warm(&database);
    database
        .refused_by(&mut session, "ALTER TABLE items DROP COLUMN value", "0A000")
        .about_table("public", "items")
        .about_column("value");
    // An addition is recorded, and so is what the trigger did.
    let before = database.last_command();
    run(&mut session, "ALTER TABLE items ADD COLUMN a text");
    let new = database.commands_after(before);
    let mut words = words(&new);
    words.sort();
    assert_eq!(
        words,
        [
            ("add_column", "public.items"),
            ("create_table", "public.other")
        ]
    );
}

#[test]
fn ddl_on_an_electrified_table_by_a_trigger_that_our_own_commands_fire_is_judged() {
    let database = items();
    // By its name it fires before ours, while our command is not over yet.
    run(
        &mut database.client(),
        "CREATE TABLE other (id int PRIMARY KEY); \
         CREATE FUNCTION a_nosy() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
         ALTER TABLE public.items ADD COLUMN nosy int; END $$; \
         CREATE EVENT TRIGGER a_nosy ON ddl_command_end WHEN TAG IN ('ALTER PUBLICATION') EXECUTE FUNCTION a_nosy()",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    let new = database.recorded("SELECT electric.enable('other')");
    let mut words = words(&new);
    words.sort();
    assert_eq!(
        words,
        [
            ("add_column", "public.items"),
            ("create_table", "public.other")
        ]
    );
    replica.must_agree();
    run(
        &mut database.client(),
        "CREATE TABLE third (id int PRIMARY KEY); CREATE OR REPLACE FUNCTION a_nosy() RETURNS event_trigger \
         LANGUAGE plpgsql AS $$ BEGIN ALTER TABLE public.items DROP COLUMN nosy; END $$",
    );
    database
        .refused("SELECT electric.enable('third')", "0A000")
        .message_names(&["drop column \"nosy\"", "\"public.items\""]);
}

#[test]
fn an_index_made_concurrently_is_recorded_after_start_triggers_that_run_ddl() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE FUNCTION busy() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
         CREATE TEMPORARY TABLE IF NOT EXISTS busy (n int); END $$; \
         CREATE EVENT TRIGGER a_busy ON ddl_command_start WHEN TAG IN ('CREATE INDEX') \
         EXECUTE FUNCTION busy(); \
         CREATE EVENT TRIGGER zz_busy ON ddl_command_start WHEN TAG IN ('CREATE INDEX') \
         EXECUTE FUNCTION busy()",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    for (n, session) in fresh_and_warm(&database).into_iter().enumerate() {
        let mut session = session;
        let before = database.last_command();
        let sql = format!("CREATE INDEX CONCURRENTLY i{n} ON items (value)");
        run(&mut session, &sql);
        let new = database.commands_after(before);
        assert_eq!(words(&new), [("create_index", "public.items")]);
        assert_eq!(new[0].query, sql);
    }
    replica.must_agree();
}

#[test]
fn an_index_dropped_concurrently_is_recorded_by_a_sessions_first_command() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE INDEX one ON items (value); CREATE INDEX two ON items (value)",
    );
    for (name, mut session) in ["one", "two"].iter().zip(fresh_and_warm(&database)) {
        let before = database.last_command();
        let sql = format!("DROP INDEX CONCURRENTLY {name}");
        run(&mut session, &sql);
        let new = database.commands_after(before);
        assert_eq!(words(&new), [("drop_index", "public.items")]);
        assert_eq!(new[0].query, sql);
    }
}

#[test]
fn the_text_is_that_of_the_command_and_not_of_ddl_that_runs_inside_it() {
    let database = items();
    run(
        &mut database.client(),
        "INSERT INTO items VALUES (1, 'x'); CREATE FUNCTION is_fine(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN \
         CREATE TEMPORARY TABLE IF NOT EXISTS scratch (n int); DROP TABLE scratch; RETURN true; END $$",
    );
    let mut session = warm(&database);
    for name in ["a", "b"] {
        let before = database.last_command();
        let sql = format!("ALTER TABLE items ADD COLUMN {name} int CHECK (is_fine({name}))");
        run(&mut session, &sql);
        let new = database.commands_after(before);
        assert_eq!(words(&new), [("add_column", "public.items")]);
        assert_eq!(new[0].query, sql);
    }
}

#[test]
fn the_text_of_an_enable_inside_code_is_the_call_alone() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE TABLE one (id int PRIMARY KEY); CREATE TABLE two (id int PRIMARY KEY)",
    );
    for (name, mut session) in ["one", "two"].iter().zip(fresh_and_warm(&database)) {
        let before = database.last_command();
        run(
            &mut session,
            &format!(
                "DO $$ BEGIN CREATE TEMPORARY TABLE scratch (n int); PERFORM electric.enable('{name}'); END $$"
            ),
        );
        let new = database.commands_after(before);
        assert_eq!(
            new[0].query.trim(),
            format!("SELECT electric.enable('public.{name}')")
        );
        let before = database.last_command();
        run(
            &mut session,
            &format!("DO $$ BEGIN PERFORM electric.disable('{name}'); END $$"),
        );
        let new = database.commands_after(before);
        assert_eq!(
            new[0].query.trim(),
            format!("SELECT electric.disable('public.{name}')")
        );
    }
}

#[test]
fn comments_before_a_statement_are_no_part_of_its_text() {
    let database = items();
    let new = database.recorded(
        "-- first; of all\n/* a /* nested */ ; comment */ ALTER TABLE items ADD COLUMN a text -- kept\n; \
         SELECT 1; -- between\n\n  -- and again\n/**/ALTER TABLE items ADD /* inside */ COLUMN b text;\n-- the end",
    );
    let queries: Vec<_> = new.iter().map(|c| c.query.as_str()).collect();
    assert_eq!(queries.len(), 2, "{queries:?}");
    assert!(
        queries[0].starts_with("ALTER TABLE items ADD COLUMN a text"),
        "{queries:?}"
    );
    assert_eq!(
        queries[1],
        "ALTER TABLE items ADD /* inside */ COLUMN b text"
    );
}

#[test]
fn dynamic_statements_keep_their_quoted_names_and_newlines() {
    let database = items();
    for (n, mut session) in fresh_and_warm(&database).into_iter().enumerate() {
        let before = database.last_command();
        let sql = format!(
            "ALTER TABLE \"items\"\n  ADD COLUMN \"a \"\"quoted\"\"\n name {n}\"\n  text DEFAULT 'it is \"so\"\n'"
        );
        run(
            &mut session,
            &format!("DO $$ BEGIN EXECUTE $e${sql}$e$; END $$"),
        );
        let new = database.commands_after(before);
        assert_eq!(words(&new), [("add_column", "public.items")]);
        assert_eq!(new[0].query, sql);
    }
}

#[test]
fn a_session_that_could_not_read_what_is_electrified_reads_it_with_its_next_command() {
    let database = items();
    let mut holder = database.client();
    run(
        &mut holder,
        "BEGIN; LOCK TABLE electric.places IN ACCESS EXCLUSIVE MODE",
    );
    let mut session = database.client();
    run(&mut session, "SET lock_timeout = '100ms'");
    failure(
        session.batch_execute("CREATE TABLE ordinary (id int)"),
        "55P03",
    );
    failure(
        session.batch_execute("ALTER TABLE items DROP COLUMN value"),
        "55P03",
    );
    run(&mut holder, "ROLLBACK");
    database
        .refused_by(&mut session, "ALTER TABLE items DROP COLUMN value", "0A000")
        .about_column("value");
    let before = database.last_command();
    run(&mut session, "ALTER TABLE items ADD COLUMN a text");
    assert_eq!(
        words(&database.commands_after(before)),
        [("add_column", "public.items")]
    );
}

#[test]
fn a_session_learns_of_tables_that_another_one_enables() {
    let database = items();
    let mut session = database.client();
    run(
        &mut session,
        "CREATE TABLE late (id int PRIMARY KEY, value text); ALTER TABLE late ADD COLUMN free text; \
         ALTER TABLE late DROP COLUMN free",
    );
    run(&mut database.client(), "SELECT electric.enable('late')");
    database
        .refused_by(&mut session, "ALTER TABLE late DROP COLUMN value", "0A000")
        .about_table("public", "late");
    run(&mut database.client(), "SELECT electric.disable('late')");
    run(&mut session, "ALTER TABLE late DROP COLUMN value");
}

/// What enables every table that comes is called again because of what `electric.enable` itself does to it.
#[test]
fn an_event_trigger_that_enables_whatever_it_hears_of_enables_once() {
    let database = Cluster::shared().database();
    let mut client = database.client();
    run(
        &mut client,
        "CREATE FUNCTION enables() RETURNS event_trigger LANGUAGE plpgsql AS $$ DECLARE o record; BEGIN \
             FOR o IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE object_type = 'table' AND schema_name = 'public' LOOP \
                 PERFORM electric.enable(o.objid::regclass); END LOOP; END $$; \
         CREATE EVENT TRIGGER enables ON ddl_command_end EXECUTE FUNCTION enables()",
    );
    run(
        &mut client,
        "CREATE TABLE one (id int PRIMARY KEY); ALTER TABLE one ADD COLUMN a int; \
         CREATE TABLE two (id int PRIMARY KEY, one int REFERENCES one)",
    );
    assert_eq!(
        words(&database.commands()),
        [
            ("create_table", "public.one"),
            ("add_column", "public.one"),
            ("create_table", "public.two")
        ]
    );
    database.history_is_sound();
}
