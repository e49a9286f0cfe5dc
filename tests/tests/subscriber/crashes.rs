//! Servers that crash in the middle: nothing is lost, nothing doubled.

use electric_tests::fire::{self, under_fire};

use super::*;

/// Work on the publisher that leaves something of everything: rows around a migration in one big transaction, a table
/// that held rows before, a label.
fn work(round: usize) -> Vec<String> {
    let from = 10 + round * 2000;
    vec![
        format!(
            "BEGIN; INSERT INTO items SELECT i, repeat('x', 1000) FROM generate_series({from}, {from} + 999) AS i; \
             ALTER TABLE items ADD COLUMN c{round} timestamptz NOT NULL DEFAULT now(); \
             INSERT INTO items SELECT i, repeat('y', 1000) FROM generate_series({from} + 1000, {from} + 1999) AS i; COMMIT"
        ),
        format!(
            "CREATE TABLE t{round} (id int PRIMARY KEY, mood mood); INSERT INTO t{round} SELECT generate_series(1, 100), 'ok'; \
             SELECT electric.enable('t{round}'); INSERT INTO t{round} VALUES (0, 'ok')"
        ),
        format!("ALTER TYPE mood ADD VALUE 'm{round}'"),
        format!("INSERT INTO t{round} VALUES (-1, 'm{round}')"),
    ]
}

/// A publisher on that cluster whose transactions are streamed while they go on.
fn at_work(cluster: &Cluster) -> Database<'_> {
    let publisher = cluster.database();
    let name = publisher.name();
    run(
        &mut publisher.client(),
        &format!(
            "CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE items (id int PRIMARY KEY, value text); INSERT INTO items VALUES (1, 'one'); \
             SELECT electric.enable('items'); ALTER DATABASE {name} SET logical_decoding_work_mem = '64kB'"
        ),
    );
    publisher
}

fn follows_by_streaming<'a>(cluster: &'a Cluster, publisher: &Database<'_>) -> Subscriber<'a> {
    let subscriber = Subscriber::on(cluster, publisher);
    run(
        &mut subscriber.0.client(),
        "ALTER SUBSCRIPTION electric SET (streaming = on)",
    );
    subscriber
}

const TABLES: [&str; 5] = ["items", "t0", "t1", "t2", "t3"];

#[test]
fn nothing_is_lost_when_the_subscriber_crashes() {
    let publisher = at_work(Cluster::shared());
    let other = Cluster::builder().start().unwrap();
    let subscriber = follows_by_streaming(&other, &publisher);
    for round in 0..4 {
        for sql in work(round) {
            run(&mut publisher.client(), &sql);
        }
        other.restart(Stop::Immediate).unwrap();
    }
    subscriber.agrees(&publisher, &TABLES);
}

#[test]
fn nothing_is_lost_when_the_publisher_crashes() {
    let other = Cluster::builder().start().unwrap();
    let publisher = at_work(&other);
    let subscriber = follows_by_streaming(Cluster::shared(), &publisher);
    for round in 0..4 {
        for sql in work(round) {
            run(&mut publisher.client(), &sql);
        }
        // What is not committed goes with the server.
        let mut open = publisher.client();
        run(
            &mut open,
            "BEGIN; ALTER TABLE items ADD COLUMN lost int; INSERT INTO items SELECT i, repeat('z', 1000) FROM generate_series(-2000, -1) AS i",
        );
        other.restart(Stop::Immediate).unwrap();
    }
    subscriber.agrees(&publisher, &TABLES);
}

/// The worker that applies is killed, and so every session of its server, while it is at it.
#[test]
fn nothing_is_lost_when_a_worker_is_killed() {
    let publisher = at_work(Cluster::shared());
    let other = Cluster::builder().start().unwrap();
    let subscriber = follows_by_streaming(&other, &publisher);
    for round in 0..4 {
        for sql in work(round) {
            run(&mut publisher.client(), &sql);
        }
        let workers = "SELECT coalesce(max(pid), 0)::text FROM pg_stat_activity WHERE backend_type = 'logical replication worker'";
        let pid = |cluster: &Cluster| {
            let client = cluster.connect("postgres", "postgres");
            client.map_or(0, |mut client| {
                text(&mut client, workers).parse().unwrap_or(0)
            })
        };
        let mut found = 0;
        wait_until("a worker is at work", || {
            found = pid(&other);
            found != 0
        });
        let signal = if round % 2 == 0 { "KILL" } else { "TERM" };
        // It may have ended by itself: a copy is done soon.
        let _ = other.signal(found, signal);
    }
    wait_until("the server is back", || {
        other.connect(subscriber.0.name(), "postgres").is_ok()
    });
    subscriber.agrees(&publisher, &TABLES);
}

/// Sessions migrate, write and undo all at once, while now the one server and now the other is killed.
#[test]
fn nothing_is_lost_when_both_are_killed_again_and_again() {
    let (one, other) = (
        Cluster::builder().start().unwrap(),
        Cluster::builder().preload(true).start().unwrap(),
    );
    let publisher = one.database();
    fire::prepare(&publisher);
    let subscriber = follows_by_streaming(&other, &publisher);
    let ((), outcome) = under_fire(&publisher, 3, |fire| {
        for kill in 0..6 {
            let (goal, end) = (
                fire.committed() + 15,
                Instant::now() + Duration::from_secs(120),
            );
            while fire.committed() < goal {
                assert!(Instant::now() < end, "the sessions do not get ahead");
                std::thread::sleep(Duration::from_millis(20));
            }
            let killed = if kill % 2 == 0 { &one } else { &other };
            killed.restart(Stop::Immediate).unwrap();
        }
    });
    outcome.check(&publisher);
    let tables = text(
        &mut publisher.client(),
        "SELECT string_agg(relation::text, ' ') FROM electric.tables",
    );
    let tables: Vec<&str> = tables.split(' ').collect();
    subscriber.agrees(&publisher, &tables);
    outcome.check(&subscriber.0);
}
