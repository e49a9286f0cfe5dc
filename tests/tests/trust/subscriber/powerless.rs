//! Whatever a record says, nothing runs with more than the rights of `electric_replica`.

use electric_tests::database::wait_until;
use serde_json::{Value, json};

use super::*;

/// A record that electric did not make: the superuser of the publisher writes it by hand, with a hash that fits.
pub(super) fn forge(
    publisher: &Database<'_>,
    word: &str,
    relation: &str,
    postgres: &str,
    op: &Value,
) {
    let last = publisher.commands().pop().unwrap();
    let op = electric_schema::hash::canonical_json(op);
    let hash = electric_schema::hash::next(&last.hash, &op);
    publisher
        .client()
        .execute(
            "INSERT INTO electric.ddl_commands SELECT $1, migration_id, $2, $3, '', ARRAY[$4], '{}', $5::text::jsonb, $6 \
             FROM electric.ddl_commands ORDER BY id DESC LIMIT 1",
            &[&(last.id + 1), &word, &relation, &postgres, &op, &hash],
        )
        .unwrap();
}

/// The recorded shape of a table.
pub(super) fn shape(publisher: &Database<'_>, table: &str) -> Value {
    let sql = format!(
        "SELECT shape::text FROM electric.electrified WHERE relation = '{table}'::regclass"
    );
    serde_json::from_str(&text(&mut publisher.client(), &sql)).unwrap()
}

/// The record of a column of that type, with that default if there is one.
pub(super) fn column(publisher: &Database<'_>, default: &str, data_type: &str) -> Value {
    let mut table = shape(publisher, "items");
    let default = Some(default).filter(|default| !default.is_empty());
    let column = json!({
        "name": "evil", "nullable": true, "default": default, "identity": null, "sqlite_type": "INTEGER",
        "type": {"array_dims": 0, "kind": "base", "modifiers": [], "name": "int4", "schema": "pg_catalog", "sql": data_type},
    });
    table["columns"]
        .as_array_mut()
        .unwrap()
        .push(column.clone());
    json!({"op": "add_column", "format": 1, "column": column, "existing_value": null, "constraints": [], "foreign_keys": [], "table": table})
}

fn is_superuser(database: &Database<'_>, role: &str) -> bool {
    let sql = format!("SELECT rolsuper::text FROM pg_roles WHERE rolname = '{role}'");
    text(&mut database.client(), &sql) == "true"
}

fn log_says(subscriber: &Subscriber<'_>, what: &str) {
    wait_until(&format!("the log says {what}"), || {
        subscriber.0.cluster().log().contains(what)
    });
}

#[test]
fn fault_02_the_role_that_applies_may_do_nothing_and_nobody_is_it() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    subscriber.caught_up(&publisher);
    assert_eq!(
        subscriber.ask(
            "SELECT concat_ws(' ', rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolpassword IS NULL, \
             (SELECT count(*) FROM pg_auth_members WHERE member = a.oid OR roleid = a.oid)) FROM pg_authid AS a WHERE rolname = 'electric_replica'"
        ),
        "f f f f f t 0"
    );
    // Not even where every connection is trusted.
    let refused = subscriber
        .0
        .cluster()
        .connect(subscriber.0.name(), "electric_replica");
    assert!(refused.is_err());
    let workers = "SELECT string_agg(DISTINCT usename, ' ') FROM pg_stat_activity \
                   WHERE backend_type LIKE 'logical replication %worker' AND datname = current_database()";
    assert_eq!(subscriber.ask(workers), "electric_replica");
    assert_eq!(
        subscriber.ask(
            "SELECT concat_ws(' ', (SELECT relowner::regrole FROM pg_class WHERE oid = 'items'::regclass), subowner::regrole) \
             FROM pg_subscription JOIN pg_database AS d ON d.oid = subdbid WHERE datname = current_database()"
        ),
        "electric_replica electric_replica"
    );
}

#[test]
fn fault_02_the_text_of_a_record_is_not_run() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    let role = subscriber.0.role("mallory");
    let evil = format!("ALTER ROLE {role} SUPERUSER");
    forge(
        &publisher,
        "sqlite",
        "",
        &evil,
        &json!({"op": "sqlite", "format": 1, "statement": "SELECT 1"}),
    );
    forge(
        &publisher,
        "grant",
        "public.items",
        &evil,
        &json!({"op": "grant", "format": 1, "grants": [], "table": shape(&publisher, "items")}),
    );
    subscriber.caught_up(&publisher);
    assert!(!is_superuser(&subscriber.0, &role));
}

#[test]
fn fault_02_a_fragment_stays_a_fragment() {
    for (default, data_type) in [
        ("1; ALTER TABLE public.items DROP COLUMN value", "integer"),
        ("1, DROP COLUMN value", "integer"),
        ("1 CHECK (pg_sleep(0) IS NULL)", "integer"),
        ("1", "integer, ADD COLUMN more int"),
        ("(1", "integer"),
    ] {
        let publisher = publisher();
        let subscriber = Subscriber::of(&publisher);
        forge(
            &publisher,
            "add_column",
            "public.items",
            "",
            &column(&publisher, default, data_type),
        );
        wait_until("the stream stops", || {
            subscriber.ask("SELECT electric.status() #>> '{subscriber,errors}'") != "0"
        });
        log_says(&subscriber, "what a command says is no change of its table");
        assert_eq!(
            subscriber.ask("SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'items'::regclass AND attnum > 0 AND NOT attisdropped"),
            "id value",
            "{default} {data_type}"
        );
    }
}

#[test]
fn fault_02_a_definition_that_is_none_is_not_run() {
    for definition in [
        "ALTER ROLE electric_replica SUPERUSER",
        "CREATE TABLE public.other (a int)",
        "CREATE DOMAIN public.other AS int",
        "CREATE DOMAIN public.d AS int; CREATE TABLE public.other (a int)",
    ] {
        let publisher = publisher();
        let subscriber = Subscriber::of(&publisher);
        forge(
            &publisher,
            "create_type",
            "public.d",
            "",
            &json!({"op": "create_type", "format": 1,
                "type": {"kind": "domain", "schema": "public", "name": "d", "definition": definition}}),
        );
        wait_until("the stream stops", || {
            subscriber.ask("SELECT electric.status() #>> '{subscriber,errors}'") != "0"
        });
        assert!(!subscriber.is_there("other"), "{definition}");
    }
}

#[test]
fn fault_02_a_default_that_acts_acts_as_nobody() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    let file = subscriber.0.cluster().directory().join("gotcha");
    let default = format!("lo_export(1, '{}')", file.display());
    forge(
        &publisher,
        "add_column",
        "public.items",
        "",
        &column(&publisher, &default, "integer"),
    );
    // It is passed over, or fails: nothing of it is done.
    run(
        &mut publisher.client(),
        "INSERT INTO items VALUES (100, 'more')",
    );
    wait_until("it was tried", || {
        subscriber.blocked() != ""
            || subscriber.ask("SELECT electric.status() #>> '{subscriber,errors}'") != "0"
    });
    assert!(!file.exists());
    assert!(!is_superuser(&subscriber.0, "electric_replica"));
}

#[test]
fn fault_05_an_extension_is_made_only_where_nobody_else_has_a_say() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    let owner = subscriber.0.role("owner");
    subscriber.run(&format!(
        "CREATE SCHEMA theirs AUTHORIZATION {owner}; GRANT ALL ON SCHEMA theirs TO electric_replica"
    ));
    let mut client = publisher.client();
    if client
        .batch_execute("CREATE SCHEMA theirs; CREATE EXTENSION citext SCHEMA theirs")
        .is_err()
    {
        eprintln!("not tried: this server has no citext");
        return;
    }
    run(
        &mut client,
        "CREATE TABLE t (id int PRIMARY KEY, v theirs.citext); SELECT electric.enable('t'); INSERT INTO t VALUES (1, 'X')",
    );
    subscriber.caught_up(&publisher);
    assert_eq!(subscriber.blocked(), "public.t");
    assert_eq!(
        subscriber.ask("SELECT count(*)::text FROM pg_extension WHERE extname = 'citext'"),
        "0"
    );
    subscriber.run("CREATE EXTENSION citext SCHEMA theirs");
    subscriber.run("CALL electric.unblock('t')");
    subscriber.rows_come("t", "(1,X)");
    // In a schema of the stream's own it makes a trusted one by itself.
    let another = Subscriber::of(&publisher);
    another.rows_come("t", "(1,X)");
}

/// Somebody who may make subscriptions, or takes this one, is not the publisher.
#[test]
fn fault_04_only_our_own_worker_applies() {
    let publisher = publisher();
    let cluster = Cluster::builder().start().unwrap();
    let subscriber = Subscriber::begin(cluster.database(), &publisher);
    subscriber.caught_up(&publisher);
    subscriber.run("ALTER SUBSCRIPTION electric OWNER TO postgres");
    run(
        &mut publisher.client(),
        "ALTER TABLE items ADD COLUMN a int",
    );
    log_says(
        &subscriber,
        "subscription \"electric\" belongs to role \"postgres\"",
    );
    assert_eq!(
        subscriber.ask("SELECT count(*)::text FROM pg_attribute WHERE attrelid = 'items'::regclass AND attname = 'a'"),
        "0"
    );
}

#[test]
fn fault_04_a_role_that_was_made_more_does_not_apply() {
    let publisher = publisher();
    let cluster = Cluster::builder().start().unwrap();
    let database = cluster.database();
    let call = format!("CALL electric.subscribe('{}')", conninfo(&publisher));
    run(
        &mut database.client(),
        "CREATE ROLE electric_replica LOGIN PASSWORD 'x'",
    );
    database.refused(&call, "55000").hinted();
    run(
        &mut database.client(),
        "DROP ROLE electric_replica; CREATE ROLE electric_replica SUPERUSER",
    );
    database.refused(&call, "55000").hinted();
    run(
        &mut database.client(),
        "DROP ROLE electric_replica; CREATE ROLE electric_replica LOGIN CONNECTION LIMIT 0; GRANT pg_write_server_files TO electric_replica",
    );
    database.refused(&call, "55000").hinted();
    run(&mut database.client(), "DROP ROLE electric_replica");
    let subscriber = Subscriber::begin(database, &publisher);
    subscriber.caught_up(&publisher);
    subscriber.run("ALTER ROLE electric_replica SUPERUSER");
    run(
        &mut publisher.client(),
        "ALTER TABLE items ADD COLUMN a int",
    );
    log_says(
        &subscriber,
        "role \"electric_replica\" may do more than a subscriber needs",
    );
    subscriber.run("ALTER ROLE electric_replica NOSUPERUSER");
    subscriber.caught_up(&publisher);
}

/// One that 0.1.0 made applied as superuser.
#[test]
fn fault_02_an_update_takes_the_subscription_over() {
    let publisher = publisher();
    let cluster = publisher.cluster();
    let database = cluster.empty_database();
    let slot = format!("old_{}", database.name());
    run(
        &mut publisher.client(),
        &format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')"),
    );
    run(
        &mut database.client(),
        "CREATE EXTENSION electric VERSION '0.1.0'; CREATE TYPE unused AS ENUM ('x'); CREATE TABLE items (id int PRIMARY KEY, value text); \
         INSERT INTO items VALUES (1, 'one')",
    );
    for table in ["migrations", "ddl_commands", "electrified", "places"] {
        let rows = format!("SELECT coalesce(json_agg(t), '[]')::text FROM electric.{table} AS t");
        let rows = text(&mut publisher.client(), &rows);
        database
            .client()
            .execute(
                &format!("INSERT INTO electric.{table} SELECT * FROM json_populate_recordset(NULL::electric.{table}, $1::text::json)"),
                &[&rows],
            )
            .unwrap();
    }
    run(
        &mut database.client(),
        &format!(
            "CREATE SUBSCRIPTION electric CONNECTION '{}' PUBLICATION electric_publication WITH (connect = false, slot_name = '{slot}')",
            conninfo(&publisher)
        ),
    );
    run(
        &mut database.client(),
        "INSERT INTO electric.subscriptions VALUES ('electric'); ALTER SUBSCRIPTION electric ENABLE",
    );
    run(
        &mut database.client(),
        "ALTER SUBSCRIPTION electric REFRESH PUBLICATION WITH (copy_data = false)",
    );
    run(
        &mut publisher.client(),
        "ALTER TABLE items ADD COLUMN a int DEFAULT 5; INSERT INTO items VALUES (2, 'two')",
    );
    wait_until("it says what is to be done", || {
        cluster
            .log()
            .contains("subscription \"electric\" belongs to role \"postgres\"")
    });
    run(&mut database.client(), "ALTER EXTENSION electric UPDATE");
    let subscriber = Subscriber(database);
    subscriber.rows_come("items", "(1,one,5) (2,two,5)");
    assert_eq!(
        subscriber
            .ask("SELECT relowner::regrole::text FROM pg_class WHERE oid = 'items'::regclass"),
        "electric_replica"
    );
    assert_eq!(
        subscriber.ask("SELECT string_agg(proname, ' ') FROM pg_proc WHERE proname = 'take_over'"),
        ""
    );
    run(
        &mut publisher.client(),
        "CREATE TABLE more (id int PRIMARY KEY); INSERT INTO more VALUES (1); SELECT electric.enable('more')",
    );
    subscriber.caught_up(&publisher);
    subscriber.rows_come("more", "(1)");
    subscriber.run("CALL electric.unsubscribe()");
    let drop_slot = format!("SELECT pg_drop_replication_slot('{slot}')");
    wait_until("nobody uses the slot", || {
        publisher.client().batch_execute(&drop_slot).is_ok()
    });
}
