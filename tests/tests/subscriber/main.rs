//! Postgres subscribers: `electric.subscribe`, and what comes after it by itself.

mod crashes;
mod following;
mod leaving;
mod refusals;
mod rights;
mod transactions;
mod versions;

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
