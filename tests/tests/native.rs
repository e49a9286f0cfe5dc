//! S9: `electric.` options in the server's own syntax, on the ordinary port. They need the library in the session.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text, words};
use postgres::Client;

/// A session that has loaded the library, whether the server has preloaded it or not.
fn session(database: &Database<'_>) -> Client {
    let mut client = database.client();
    run(&mut client, "LOAD 'electric'");
    client
}

fn electrified(database: &Database<'_>) -> String {
    text(
        &mut database.client(),
        "SELECT coalesce(string_agg(relation::text, ' ' ORDER BY relation::text), '') FROM electric.tables",
    )
}

#[test]
fn a_table_is_switched_on_and_off() {
    let database = Cluster::shared().database();
    let mut client = session(&database);
    run(&mut client, "CREATE TABLE items (id int PRIMARY KEY)");
    for (sql, expected) in [
        ("ALTER TABLE items SET (electric.enabled)", "items"),
        ("ALTER TABLE items SET (electric.enabled = false)", ""),
        ("ALTER TABLE items SET (electric.enabled = on)", "items"),
        ("ALTER TABLE items RESET (electric.enabled)", ""),
        (
            "ALTER TABLE IF EXISTS items SET (ELECTRIC.Enabled = 'true')",
            "items",
        ),
        ("ALTER TABLE ONLY items SET (electric.enabled = 0)", ""),
        ("ALTER TABLE IF EXISTS missing SET (electric.enabled)", ""),
    ] {
        run(&mut client, sql);
        assert_eq!(electrified(&database), expected, "{sql}");
    }
    let commands = database.commands();
    assert_eq!(
        commands[0].query,
        "ALTER TABLE items SET (electric.enabled)"
    );
    assert_eq!(
        words(&commands)[..2],
        [
            ("create_table", "public.items"),
            ("disable_table", "public.items")
        ]
    );
}

#[test]
fn a_table_is_made_electrified() {
    let database = Cluster::shared().database();
    let mut client = session(&database);
    run(
        &mut client,
        "CREATE TABLE a (id int PRIMARY KEY) WITH (fillfactor = 70, electric.enabled, autovacuum_enabled = false);
         CREATE TABLE IF NOT EXISTS b (id int PRIMARY KEY) WITH (electric.enabled = true);
         CREATE SCHEMA s CREATE TABLE c (id int PRIMARY KEY) WITH (electric.enabled);
         CREATE TABLE d (id int PRIMARY KEY) PARTITION BY RANGE (id) WITH (electric.enabled);
         CREATE TABLE e (id int PRIMARY KEY) WITH (electric.enabled = false)",
    );
    assert_eq!(electrified(&database), "a b d s.c");
    // What the other options say holds, and nothing of ours stays with the table.
    assert_eq!(
        text(
            &mut client,
            "SELECT reloptions::text FROM pg_class WHERE relname = 'a'"
        ),
        "{fillfactor=70,autovacuum_enabled=false}"
    );
    assert_eq!(
        database.commands()[0].query,
        "CREATE TABLE a (id int PRIMARY KEY) WITH (fillfactor = 70, electric.enabled, autovacuum_enabled = false)"
    );
    // A table that is there already is left as it is.
    run(
        &mut client,
        "CREATE TABLE IF NOT EXISTS e (id int) WITH (electric.enabled)",
    );
    assert_eq!(electrified(&database), "a b d s.c");
}

#[test]
fn options_mix_with_other_actions() {
    let database = Cluster::shared().database();
    let mut client = session(&database);
    run(
        &mut client,
        "CREATE TABLE items (id int PRIMARY KEY, value text)",
    );
    run(
        &mut client,
        "ALTER TABLE items SET (electric.enabled, fillfactor = 50), ADD COLUMN extra int DEFAULT 3",
    );
    let columns =
        "SELECT jsonb_array_length(op #> '{table,columns}')::text FROM electric.ddl_commands";
    assert_eq!(text(&mut client, columns), "3");
    assert_eq!(
        text(
            &mut client,
            "SELECT reloptions::text FROM pg_class WHERE relname = 'items'"
        ),
        "{fillfactor=50}"
    );
    // Switched off, the rest of the statement is free.
    run(
        &mut client,
        "ALTER TABLE items DROP COLUMN value, RESET (electric.enabled, fillfactor)",
    );
    assert_eq!(electrified(&database), "");
    assert_eq!(database.commands().len(), 2);
}

#[test]
fn plans_that_are_kept_can_be_run_again() {
    let database = Cluster::shared().database();
    let mut client = session(&database);
    run(
        &mut client,
        "CREATE TABLE items (id int PRIMARY KEY);
         CREATE FUNCTION toggle() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
             ALTER TABLE items SET (electric.enabled); ALTER TABLE items SET (electric.enabled = false);
         END $$",
    );
    for _ in 0..3 {
        run(&mut client, "SELECT toggle()");
    }
    let on = client
        .prepare("ALTER TABLE items SET (electric.enabled)")
        .unwrap();
    let off = client
        .prepare("ALTER TABLE items RESET (electric.enabled)")
        .unwrap();
    for _ in 0..3 {
        client.execute(&on, &[]).unwrap();
        assert_eq!(electrified(&database), "items");
        client.execute(&off, &[]).unwrap();
    }
    assert_eq!(database.commands().len(), 12);
    assert_eq!(electrified(&database), "");
}

#[test]
fn what_is_rolled_back_was_not_switched() {
    let database = Cluster::shared().database();
    let mut client = session(&database);
    run(
        &mut client,
        "CREATE TABLE items (id int PRIMARY KEY);
         BEGIN; SAVEPOINT a; ALTER TABLE items SET (electric.enabled); ROLLBACK TO a; COMMIT",
    );
    assert_eq!(electrified(&database), "");
    run(&mut client, "ALTER TABLE items SET (electric.enabled)");
    assert_eq!(database.commands().len(), 1);
}

#[test]
fn errors_are_those_of_enable_and_of_options() {
    let database = Cluster::shared().database();
    let mut client = session(&database);
    run(
        &mut client,
        "CREATE TABLE items (id int PRIMARY KEY); CREATE TABLE keyless (id int)",
    );
    let mut refused = |sql: &str, code: &str| database.refused_by(&mut client, sql, code);
    refused("ALTER TABLE items SET (electric.nothing = 1)", "22023")
        .message_names(&["electric.nothing"])
        .hinted();
    refused(
        "CREATE TABLE x (id int PRIMARY KEY) WITH (electric.nothing)",
        "22023",
    );
    refused(
        "ALTER TABLE items SET (electric.enabled = perhaps)",
        "42601",
    );
    refused("ALTER TABLE items SET (elastic.enabled)", "22023");
    refused("ALTER INDEX items_pkey SET (electric.enabled)", "22023");
    refused("ALTER TABLE missing SET (electric.enabled)", "42P01");
    refused("ALTER TABLE keyless SET (electric.enabled)", "42P16");
    refused("CREATE TABLE x (id int) WITH (electric.enabled)", "42P16");
    refused(
        "CREATE TABLE x WITH (electric.enabled) AS SELECT 1 AS id",
        "42P16",
    );
    let stranger = database.role("stranger");
    let sql = format!("SET ROLE {stranger}; ALTER TABLE items SET (electric.enabled)");
    refused(&sql, "42501");
    run(
        &mut client,
        "RESET ROLE; ALTER TABLE items SET (electric.enabled)",
    );
    let sql = format!("SET ROLE {stranger}; ALTER TABLE items RESET (electric.enabled)");
    database.refused_by(&mut client, &sql, "42501");
}

#[test]
fn without_the_extension_the_server_knows_no_such_option() {
    let database = Cluster::shared().empty_database();
    let mut client = session(&database);
    run(&mut client, "CREATE TABLE items (id int PRIMARY KEY)");
    let error = client
        .batch_execute("ALTER TABLE items SET (electric.enabled)")
        .unwrap_err();
    assert_eq!(error.code().unwrap().code(), "22023");
}

/// Found by a review: CREATE looks into one schema only.
#[test]
fn a_table_of_another_schema_is_not_the_one_that_is_made() {
    let database = Cluster::shared().database();
    let mut client = session(&database);
    run(
        &mut client,
        "CREATE SCHEMA a; CREATE SCHEMA b; CREATE TABLE b.items (id int PRIMARY KEY); SET search_path = a, b;
         CREATE TABLE IF NOT EXISTS items (id int PRIMARY KEY) WITH (electric.enabled)",
    );
    assert_eq!(electrified(&database), "a.items");
}

/// Found by a review: readers waited behind a table that waited for a migration.
#[test]
fn a_table_is_switched_on_after_waiting_not_before() {
    let database = Cluster::shared().database();
    let mut migrating = session(&database);
    run(
        &mut migrating,
        "CREATE TABLE first (id int PRIMARY KEY); CREATE TABLE second (id int PRIMARY KEY);
         ALTER TABLE first SET (electric.enabled)",
    );
    run(&mut migrating, "BEGIN; ALTER TABLE first ADD COLUMN a int");
    std::thread::scope(|scope| {
        let enabling = scope.spawn(|| {
            run(
                &mut session(&database),
                "ALTER TABLE second SET (electric.enabled)",
            );
        });
        electric_tests::database::wait_until("the other session waits", || database.waiting() == 1);
        let mut reader = database.client();
        run(
            &mut reader,
            "SET lock_timeout = '5s'; SELECT count(*) FROM second",
        );
        run(&mut migrating, "COMMIT");
        enabling.join().unwrap();
    });
    assert_eq!(electrified(&database), "first second");
}
