//! Postgres subscribers: `electric.subscribe`, and what comes after it by itself.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text, wait_until};

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
        let database = publisher.cluster().database();
        subscribe(&database, publisher);
        Subscriber(database)
    }

    /// Waits until all that is committed on the publisher has come, tables that are copied included.
    #[track_caller]
    fn caught_up(&self, publisher: &Database<'_>) {
        let slot = format!(
            "SELECT pg_current_wal_lsn() <= confirmed_flush_lsn FROM pg_replication_slots \
             WHERE slot_name = (SELECT 'electric_' || system_identifier || '_' || (SELECT oid FROM pg_database WHERE datname = '{}') \
                 FROM pg_control_system())",
            self.0.name()
        );
        let _ = slot;
        let (mut there, mut here) = (publisher.client(), self.0.client());
        let position = text(&mut there, "SELECT pg_current_wal_insert_lsn()::text");
        let reached = format!(
            "SELECT (SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel) AND latest_end_lsn >= '{position}'::pg_lsn \
             FROM pg_stat_subscription WHERE relid IS NULL AND subname = 'electric' AND latest_end_lsn IS NOT NULL"
        );
        wait_until("the subscriber has caught up", || {
            here.query_opt(&reached, &[])
                .unwrap()
                .is_some_and(|row| row.get::<_, Option<bool>>(0) == Some(true))
        });
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
