//! Postgres subscribers: `electric.subscribe`, and what comes after it by itself.

use electric_tests::cluster::{Cluster, Stop};
use electric_tests::database::{CommandRow, Database, run, text, wait_until};
use electric_tests::oracle::postgres::compare;

/// A publisher with the table `items`, two rows in it.
fn publisher<'a>() -> Database<'a> {
    let publisher = Cluster::shared().database();
    run(
        &mut publisher.client(),
        "CREATE TABLE items (id int PRIMARY KEY, value text); INSERT INTO items VALUES (1, 'one'), (2, 'two'); \
         SELECT electric.enable('items')",
    );
    publisher
}

/// Another database of the server that follows it. When it goes, so does its slot.
struct Subscriber<'a>(Database<'a>);

impl<'a> Subscriber<'a> {
    fn of(publisher: &Database<'a>) -> Subscriber<'a> {
        Subscriber::on(publisher.cluster(), publisher)
    }

    fn on(cluster: &'a Cluster, publisher: &Database<'_>) -> Subscriber<'a> {
        let database = cluster.database();
        subscribe(&database, publisher);
        Subscriber(database)
    }

    /// Waits until both have the same history, and the same rows of the table.
    #[track_caller]
    fn agrees(&self, publisher: &Database<'_>, tables: &[&str]) {
        let (mut there, mut here) = (publisher.client(), self.0.client());
        for query in [
            "SELECT coalesce(string_agg(c::text, E'\\n' ORDER BY id), '') FROM electric.ddl_commands AS c",
            "SELECT coalesce(string_agg(m::text, E'\\n' ORDER BY id), '') FROM electric.migrations AS m",
            "SELECT coalesce(string_agg(e.shape::text, E'\\n' ORDER BY e.shape ->> 'schema', e.shape ->> 'name'), '') \
             FROM electric.electrified AS e",
            "SELECT coalesce(string_agg(t.definition::text, E'\\n' ORDER BY t.definition::text), '') FROM electric.electrified_types AS t",
        ]
        .map(str::to_owned)
        .into_iter()
        .chain(tables.iter().map(|table| {
            format!("SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM {table} AS t")
        })) {
            let expected = text(&mut there, &query);
            let mut found = String::new();
            wait_until(&format!("{query} gives {expected}"), || {
                found = match here.query_one(&query, &[]) {
                    Ok(row) => row.get(0),
                    Err(error) => error.to_string(),
                };
                found == expected
            });
        }
        assert_eq!(
            text(&mut here, "SELECT count(*)::text FROM electric.drift()"),
            "0"
        );
        compare(publisher, &self.0).unwrap();
    }
}

impl Drop for Subscriber<'_> {
    fn drop(&mut self) {
        if let Ok(mut client) = self.0.cluster().connect(self.0.name(), "postgres") {
            let _ = client.batch_execute("CALL electric.unsubscribe()");
        }
    }
}

fn conninfo(publisher: &Database<'_>) -> String {
    let cluster = publisher.cluster();
    format!(
        "host={} port={} user=postgres dbname={}",
        cluster.socket_directory().display(),
        cluster.port(),
        publisher.name()
    )
}

#[track_caller]
fn subscribe(database: &Database<'_>, publisher: &Database<'_>) {
    let mut client = database.client();
    run(
        &mut client,
        &format!("CALL electric.subscribe('{}')", conninfo(publisher)),
    );
}

#[test]
fn existing_rows_and_rows_to_come() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    assert_eq!(
        text(
            &mut subscriber.0.client(),
            "SELECT string_agg(value, ' ' ORDER BY id) FROM items"
        ),
        "one two"
    );
    run(
        &mut publisher.client(),
        "INSERT INTO items VALUES (3, 'three'); UPDATE items SET value = 'zwei' WHERE id = 2; DELETE FROM items WHERE id = 1",
    );
    subscriber.agrees(&publisher, &["items"]);
}

#[test]
fn ddl_and_rows_in_their_order() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    run(
        &mut publisher.client(),
        "BEGIN; INSERT INTO items VALUES (3, 'old shape'); \
         ALTER TABLE items ADD COLUMN color text NOT NULL DEFAULT 'red', ADD COLUMN at timestamptz DEFAULT now(); \
         SAVEPOINT s; ALTER TABLE items ADD COLUMN never int; INSERT INTO items VALUES (5, 'never'); ROLLBACK TO s; \
         SELECT electric.set_migration_version('color'); \
         INSERT INTO items VALUES (4, 'new shape', 'blue'); COMMIT; \
         BEGIN; ALTER TABLE items ADD COLUMN never int; ROLLBACK; \
         CREATE INDEX items_color ON items (color); ALTER TABLE items ALTER COLUMN at DROP DEFAULT",
    );
    subscriber.agrees(&publisher, &["items"]);
}

#[test]
fn tables_types_and_what_happens_to_them() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    run(
        &mut publisher.client(),
        "CREATE TYPE mood AS ENUM ('low', 'high'); \
         CREATE SCHEMA app; \
         CREATE TABLE app.empty (id int PRIMARY KEY, m mood, item int REFERENCES items); \
         CREATE TABLE filled (id int PRIMARY KEY, v text); INSERT INTO filled SELECT i, 'x' || i FROM generate_series(1, 1000) AS i",
    );
    run(
        &mut publisher.client(),
        "BEGIN; SELECT electric.enable('app.empty', 'filled'); INSERT INTO app.empty VALUES (1, 'low', 1); \
         INSERT INTO filled VALUES (1001, 'same transaction'); COMMIT; \
         INSERT INTO app.empty VALUES (2, 'high', 2); INSERT INTO filled VALUES (1002, 'later')",
    );
    let has_rows = |relation: &str| {
        let commands = publisher.commands();
        let of = |c: &&CommandRow| c.relation == relation && c.command == "create_table";
        commands.iter().find(of).unwrap().op["has_rows"].clone()
    };
    assert_eq!(has_rows("app.empty"), false);
    assert_eq!(has_rows("public.filled"), true);
    run(
        &mut publisher.client(),
        "ALTER TYPE mood ADD VALUE 'middle' BEFORE 'high'",
    );
    run(
        &mut publisher.client(),
        "INSERT INTO app.empty VALUES (3, 'middle', NULL)",
    );
    subscriber.agrees(&publisher, &["items", "app.empty", "filled"]);
    run(
        &mut publisher.client(),
        "SELECT electric.disable('app.empty'); INSERT INTO items VALUES (3, 'after')",
    );
    subscriber.agrees(&publisher, &["items", "filled"]);
    run(
        &mut subscriber.0.client(),
        "INSERT INTO app.empty VALUES (4, 'low', NULL); ALTER TABLE app.empty DROP COLUMN m",
    );
    run(
        &mut publisher.client(),
        "SELECT electric.enable('app.empty')",
    );
    subscriber.agrees(&publisher, &["items", "app.empty", "filled"]);
}

#[test]
fn a_table_changes_while_it_is_copied() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    run(
        &mut publisher.client(),
        "CREATE TABLE filled (id int PRIMARY KEY, v text); CREATE TABLE leaves (id int PRIMARY KEY); \
         INSERT INTO filled VALUES (1, 'a'); INSERT INTO leaves VALUES (1)",
    );
    let mut writer = publisher.client();
    run(
        &mut publisher.client(),
        "SELECT electric.enable('filled', 'leaves')",
    );
    // The slot of a copy waits for transactions that write.
    run(&mut writer, "BEGIN; INSERT INTO filled VALUES (2, 'b')");
    wait_until("the copies begin", || {
        text(
            &mut subscriber.0.client(),
            "SELECT count(*)::text FROM pg_subscription_rel WHERE srsubstate <> 'r'",
        ) == "2"
    });
    run(
        &mut writer,
        "ALTER TABLE filled ADD COLUMN at timestamptz NOT NULL DEFAULT now(); SELECT electric.disable('leaves'); COMMIT; \
         INSERT INTO filled VALUES (3, 'c')",
    );
    subscriber.agrees(&publisher, &["items", "filled"]);
    let left = "SELECT count(*)::text FROM pg_replication_slots WHERE database = current_database() AND slot_name LIKE 'pg\\_%'";
    wait_until("no slot of a copy is left", || {
        text(&mut publisher.client(), left) == "0"
    });
}

#[test]
fn what_other_policies_allow() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    let mut client = publisher.client();
    run(
        &mut client,
        "SET electric.policy = 'compatible'; \
         CREATE TABLE sized (id int PRIMARY KEY, v varchar(10) NOT NULL CONSTRAINT short CHECK (length(v) < 9)); \
         SELECT electric.enable('sized'); INSERT INTO sized VALUES (1, 'a'); \
         ALTER TABLE sized DROP CONSTRAINT short; ALTER TABLE sized ALTER v TYPE text, ALTER v DROP NOT NULL; \
         INSERT INTO sized VALUES (2, NULL), (3, 'longer than ten')",
    );
    subscriber.agrees(&publisher, &["items", "sized"]);
    run(
        &mut client,
        "SET electric.policy = 'unrestricted'; ALTER TABLE sized DROP COLUMN v, ADD COLUMN w int DEFAULT 5; \
         INSERT INTO sized VALUES (4, 6); ALTER TABLE items RENAME TO things; INSERT INTO things VALUES (3, 'three'); \
         RESET electric.policy; ALTER TABLE things ADD COLUMN more text DEFAULT 'm'",
    );
    subscriber.agrees(&publisher, &["things", "sized"]);
}

#[test]
fn grants_and_assignments_follow() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    run(
        &mut publisher.client(),
        "SELECT electric.grant('SELECT', 'items', 'AUTHENTICATED')",
    );
    subscriber.agrees(&publisher, &["items", "electric.grants"]);
    run(
        &mut publisher.client(),
        "SELECT electric.revoke('SELECT', 'items', 'AUTHENTICATED')",
    );
    subscriber.agrees(&publisher, &["items", "electric.grants"]);
}

#[test]
fn migrations_of_its_own_are_refused() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    let here = &subscriber.0;
    here.refused("ALTER TABLE items ADD COLUMN a int", "0A000")
        .about_table("public", "items")
        .hinted();
    here.refused("CREATE INDEX ON items (value)", "0A000")
        .about_table("public", "items");
    run(
        &mut here.client(),
        "CREATE TABLE own (id int PRIMARY KEY); ALTER TABLE own ADD COLUMN free int",
    );
    here.refused("SELECT electric.enable('own')", "0A000")
        .about_table("public", "own");
    here.refused("SELECT electric.disable('items')", "0A000")
        .about_table("public", "items");
    here.refused(
        "SELECT electric.grant('SELECT', 'items', 'ANYONE')",
        "0A000",
    );
}

#[test]
fn a_command_that_fails_stops_what_comes_until_it_can_be_done() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    run(
        &mut subscriber.0.client(),
        "CREATE TABLE in_the_way (id int)",
    );
    run(
        &mut publisher.client(),
        "CREATE TABLE in_the_way (id int PRIMARY KEY); SELECT electric.enable('in_the_way'); \
         INSERT INTO in_the_way VALUES (1); INSERT INTO items VALUES (3, 'waits')",
    );
    wait_until("the subscriber says what is wrong", || {
        subscriber
            .0
            .cluster()
            .log()
            .contains("relation \"in_the_way\" already exists")
    });
    assert_eq!(
        text(
            &mut subscriber.0.client(),
            "SELECT count(*)::text FROM items"
        ),
        "2"
    );
    run(&mut subscriber.0.client(), "DROP TABLE in_the_way");
    subscriber.agrees(&publisher, &["items", "in_the_way"]);
}

#[test]
fn unsubscribed_it_is_on_its_own() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    let mut client = subscriber.0.client();
    assert_eq!(
        text(&mut client, "SELECT electric.status() ->> 'subscriber'"),
        r#"{"name": "electric", "enabled": true, "last_command": 1}"#
    );
    let nobody = subscriber.0.role("nobody");
    assert_eq!(
        text(
            &mut subscriber.0.client_as(&nobody),
            "SELECT electric.status() -> 'subscriber' ->> 'enabled'"
        ),
        "true"
    );
    run(&mut client, "CALL electric.unsubscribe()");
    assert_eq!(
        text(
            &mut client,
            "SELECT coalesce(electric.status() ->> 'subscriber', 'none')"
        ),
        "none"
    );
    assert_eq!(
        text(
            &mut client,
            "SELECT count(*)::text FROM pg_replication_slots WHERE slot_name LIKE '%\\_' || (SELECT oid FROM pg_database WHERE datname = current_database())"
        ),
        "0"
    );
    assert_eq!(subscriber.0.commands().len(), 0);
    subscriber
        .0
        .unrecorded("ALTER TABLE items DROP COLUMN value");
    assert_eq!(
        subscriber.0.recorded("SELECT electric.enable('items')")[0].id,
        1
    );
    run(&mut client, "SELECT electric.disable('items')");
    subscriber.0.refused(
        &format!("CALL electric.subscribe('{}')", conninfo(&publisher)),
        "55000",
    );
}

#[test]
fn a_subscriber_publishes_on() {
    let publisher = publisher();
    let first = Subscriber::of(&publisher);
    run(
        &mut publisher.client(),
        "ALTER TABLE items ADD COLUMN early int DEFAULT 7",
    );
    first.agrees(&publisher, &["items"]);
    let second = Subscriber::of(&first.0);
    second.agrees(&publisher, &["items"]);
    run(
        &mut publisher.client(),
        "ALTER TABLE items ADD COLUMN late timestamptz DEFAULT now(); INSERT INTO items VALUES (3, 'three'); \
         CREATE TABLE more (id int PRIMARY KEY); INSERT INTO more VALUES (1); SELECT electric.enable('more'); \
         INSERT INTO more VALUES (2)",
    );
    first.agrees(&publisher, &["items", "more"]);
    second.agrees(&publisher, &["items", "more"]);
    run(&mut second.0.client(), "CALL electric.unsubscribe()");
}

#[test]
fn what_cannot_be_followed_leaves_nothing() {
    let publisher = publisher();
    let database = publisher.cluster().database();
    let call = format!("CALL electric.subscribe('{}')", conninfo(&publisher));
    run(&mut database.client(), "CREATE TABLE items (id int)");
    database.refused(&call, "42P07");
    run(&mut database.client(), "DROP TABLE items");
    let nobody = database.role("nobody");
    database.refused_by(&mut database.client_as(&nobody), &call, "42501");
    database.refused(&format!("BEGIN; {call}"), "25001");
    database.refused(
        "CALL electric.subscribe('dbname=no_such_database')",
        "08006",
    );
    database.refused(
        &format!("CALL electric.subscribe('{}')", conninfo(&database)),
        "55000",
    );
    assert_eq!(
        text(
            &mut database.client(),
            "SELECT count(*)::text FROM pg_replication_slots WHERE slot_name LIKE '%\\_' || (SELECT oid FROM pg_database WHERE datname = current_database())"
        ),
        "0"
    );
    let subscriber = {
        subscribe(&database, &publisher);
        Subscriber(database)
    };
    subscriber.agrees(&publisher, &["items"]);
    subscriber.0.refused(&call, "55000").hinted();
}

#[test]
fn a_format_that_is_newer_stops_what_comes() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    run(
        &mut publisher.client(),
        "INSERT INTO electric.ddl_commands VALUES (2, 1, 'fly', 'public.items', '', '{}', '{}', '{\"op\": \"fly\", \"format\": 2}', '')",
    );
    wait_until("the subscriber says what is wrong", || {
        let log = subscriber.0.cluster().log();
        log.contains(
            "cannot follow the publisher: command 2 has a format that this version does not know",
        )
    });
    let another = publisher.cluster().database();
    another
        .refused(
            &format!("CALL electric.subscribe('{}')", conninfo(&publisher)),
            "0A000",
        )
        .hinted();
}

#[test]
fn a_record_out_of_the_chain_stops_what_comes() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    run(
        &mut publisher.client(),
        "INSERT INTO electric.ddl_commands VALUES (3, 1, 'fly', 'public.items', '', '{}', '{}', '{\"op\": \"fly\", \"format\": 1}', '')",
    );
    wait_until("the subscriber says what is wrong", || {
        let log = subscriber.0.cluster().log();
        log.contains("command 3 does not continue the history that is here")
    });
}

#[test]
fn nothing_is_lost_when_the_subscriber_crashes() {
    let publisher = publisher();
    let other = Cluster::builder().start().unwrap();
    let mut client = publisher.client();
    let subscriber = other.database();
    // Transactions in progress are streamed from the first kilobytes on.
    let name = publisher.name();
    run(
        &mut client,
        &format!("ALTER DATABASE {name} SET logical_decoding_work_mem = '64kB'"),
    );
    subscribe(&subscriber, &publisher);
    run(
        &mut subscriber.client(),
        "ALTER SUBSCRIPTION electric SET (streaming = on)",
    );
    for round in 0..4 {
        run(
            &mut client,
            &format!(
                "BEGIN; INSERT INTO items SELECT i, repeat('x', 1000) FROM generate_series({from}, {from} + 999) AS i; \
                 ALTER TABLE items ADD COLUMN c{round} timestamptz NOT NULL DEFAULT now(); \
                 INSERT INTO items SELECT i, repeat('y', 1000) FROM generate_series({from} + 1000, {from} + 1999) AS i; COMMIT; \
                 CREATE TABLE t{round} (id int PRIMARY KEY); INSERT INTO t{round} SELECT generate_series(1, 100); \
                 SELECT electric.enable('t{round}'); INSERT INTO t{round} VALUES (0)",
                from = 10 + round * 2000
            ),
        );
        other.restart(Stop::Immediate).unwrap();
    }
    let subscriber = Subscriber(subscriber);
    subscriber.agrees(&publisher, &["items", "t0", "t1", "t2", "t3"]);
}

#[test]
fn a_publisher_that_is_gone_can_be_left() {
    let other = Cluster::builder().start().unwrap();
    let publisher = other.database().items();
    let subscriber = Cluster::shared().database();
    subscribe(&subscriber, &publisher);
    other.stop(Stop::Immediate).unwrap();
    let (mut client, notices) = subscriber.client_with_notices();
    run(&mut client, "CALL electric.unsubscribe()");
    assert!(
        notices.has(&["is left on the publisher", "pg_drop_replication_slot"]),
        "{:?}",
        notices.all()
    );
    subscriber.unrecorded("ALTER TABLE items ADD COLUMN own int");
}

#[test]
fn servers_of_different_versions_follow_each_other() {
    let Some(other) = std::env::var_os("ELECTRIC_OTHER_PG_CONFIG") else {
        eprintln!("not tried: ELECTRIC_OTHER_PG_CONFIG names no server of another version");
        return;
    };
    let other = Cluster::builder()
        .pg_config(other.as_ref())
        .start()
        .unwrap();
    for (from, to) in [(Cluster::shared(), &other), (&other, Cluster::shared())] {
        let publisher = from.database();
        run(
            &mut publisher.client(),
            "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
             CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name short, mood mood DEFAULT 'ok');
             CREATE TABLE items (id serial PRIMARY KEY, owner uuid REFERENCES users, price numeric(10,2) CHECK (price > 0));
             INSERT INTO users (name) VALUES ('one'), ('two'); INSERT INTO items (price) VALUES (1.50);
             SELECT electric.enable('users', 'items')",
        );
        let subscriber = Subscriber::on(to, &publisher);
        run(
            &mut publisher.client(),
            "BEGIN; INSERT INTO users (name) VALUES ('three'); ALTER TABLE users ADD COLUMN since timestamptz DEFAULT now();
             INSERT INTO users (name) VALUES ('four'); CREATE INDEX ON users (lower(name)); COMMIT",
        );
        run(&mut publisher.client(), "ALTER TYPE mood ADD VALUE 'happy'");
        run(
            &mut publisher.client(),
            "UPDATE users SET mood = 'happy' WHERE name = 'one'; CREATE TABLE late (id int PRIMARY KEY, tags text[]);
             INSERT INTO late VALUES (1, '{a,b}'); SELECT electric.enable('late'); INSERT INTO late VALUES (2, NULL);
             ALTER TABLE items ALTER COLUMN price SET DEFAULT 3",
        );
        subscriber.agrees(&publisher, &["users", "items", "late"]);
    }
}
