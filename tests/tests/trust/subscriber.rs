//! Subscribers apply without superuser: nothing of a user's runs there with more than a powerless role's rights.

mod blocked;
mod powerless;
mod secrets;
mod strangers;

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text};

/// A publisher with the table `items`, one row in it.
fn publisher<'a>() -> Database<'a> {
    let publisher = Cluster::shared().database();
    run(
        &mut publisher.client(),
        "CREATE TABLE items (id int PRIMARY KEY, value text); INSERT INTO items VALUES (1, 'one'); SELECT electric.enable('items')",
    );
    publisher
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

/// A database that follows a publisher. When it goes, so does its slot.
struct Subscriber<'a>(Database<'a>);

impl<'a> Subscriber<'a> {
    fn of(publisher: &Database<'a>) -> Subscriber<'a> {
        Subscriber::begin(publisher.cluster().database(), publisher)
    }

    #[track_caller]
    fn begin(database: Database<'a>, publisher: &Database<'_>) -> Subscriber<'a> {
        let call = format!("CALL electric.subscribe('{}')", conninfo(publisher));
        run(&mut database.client(), &call);
        Subscriber(database)
    }

    fn ask(&self, sql: &str) -> String {
        text(&mut self.0.client(), sql)
    }

    fn run(&self, sql: &str) {
        run(&mut self.0.client(), sql);
    }

    /// Waits until all commands of the publisher were applied, and a row that is written now has come.
    #[track_caller]
    fn caught_up(&self, publisher: &Database<'_>) {
        let sql = "INSERT INTO items SELECT max(id) + 1, 'next' FROM items RETURNING id::text";
        let id = text(&mut publisher.client(), sql);
        let there = format!("SELECT count(*)::text FROM items WHERE id = {id}");
        let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while self.ask(&there) != "1" {
            assert!(
                std::time::Instant::now() < end,
                "the subscriber does not go on: {}\n{}",
                self.ask("SELECT electric.status()::text"),
                self.0
                    .cluster()
                    .log()
                    .lines()
                    .rev()
                    .take(40)
                    .collect::<Vec<_>>()
                    .join("\n")
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// The names that are passed over.
    fn blocked(&self) -> String {
        self.ask(
            "SELECT coalesce(string_agg(b ->> 'name', ' ' ORDER BY b ->> 'name'), '') \
             FROM jsonb_array_elements(electric.status() #> '{subscriber,blocked}') AS b",
        )
    }

    #[track_caller]
    fn rows_come(&self, table: &str, rows: &str) {
        let sql = format!(
            "SELECT coalesce(string_agg(t::text, ' ' ORDER BY t::text), '') FROM {table} AS t"
        );
        let mut found = String::new();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while found != rows {
            assert!(
                std::time::Instant::now() < end,
                "{table} has {found}, not {rows}: {}\n{}",
                self.ask("SELECT electric.status()::text"),
                self.0
                    .cluster()
                    .log()
                    .lines()
                    .rev()
                    .take(40)
                    .collect::<Vec<_>>()
                    .join("\n")
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
            found = match self.0.client().query_one(&sql, &[]) {
                Ok(row) => row.get(0),
                Err(error) => error.to_string(),
            };
        }
    }

    fn is_there(&self, name: &str) -> bool {
        self.ask(&format!("SELECT (to_regclass('{name}') IS NOT NULL)::text")) == "true"
    }
}

impl Drop for Subscriber<'_> {
    fn drop(&mut self) {
        if let Ok(mut client) = self.0.cluster().connect(self.0.name(), "postgres") {
            let _ = client.batch_execute("CALL electric.unsubscribe()");
        }
    }
}
