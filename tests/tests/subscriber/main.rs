//! Postgres subscribers: `electric.subscribe`, and what comes after it by itself.

mod crashes;
mod following;
mod leaving;
mod refusals;
mod rights;
mod transactions;
mod versions;

use std::time::{Duration, Instant};

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
            let end = Instant::now() + Duration::from_secs(20);
            while found != expected {
                assert!(
                    Instant::now() < end,
                    "{query}\ngives there\n{expected}\nand here\n{found}\n{}",
                    self.report(publisher)
                );
                std::thread::sleep(Duration::from_millis(20));
                found = match here.query_one(&query, &[]) {
                    Ok(row) => row.get(0),
                    Err(error) => error.to_string(),
                };
            }
        }
        assert_eq!(
            text(&mut here, "SELECT count(*)::text FROM electric.drift()"),
            "0"
        );
        compare(publisher, &self.0).unwrap();
    }

    /// What the subscriber says of itself, and what the sessions of both servers are at.
    fn report(&self, publisher: &Database<'_>) -> String {
        const SESSIONS: &str = "SELECT string_agg(format('%s %s %s %s %s %s', pid, backend_type, wait_event_type, wait_event, \
            state, left(query, 200)), E'\n') FROM pg_stat_activity WHERE pid <> pg_backend_pid()";
        let status = text(&mut self.0.client(), "SELECT electric.status()::text");
        let (here, there) = (
            text(&mut self.0.client(), SESSIONS),
            text(&mut publisher.client(), SESSIONS),
        );
        let log = self.0.cluster().log();
        let lines: Vec<&str> = log.lines().collect();
        let log = lines[lines.len().saturating_sub(60)..].join("\n");
        format!("{status}\nhere:\n{here}\nthere:\n{there}\n{log}")
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
