//! Transactions of every kind: big, streamed while they go on, undone in part, prepared.

use super::*;

/// A publisher that sends transactions while they go on, from the first kilobytes.
fn streaming() -> Database<'static> {
    let publisher = publisher();
    let name = publisher.name();
    run(
        &mut publisher.client(),
        &format!("ALTER DATABASE {name} SET logical_decoding_work_mem = '64kB'"),
    );
    publisher
}

/// Whether the publisher has sent a transaction that was not yet committed.
fn has_streamed(publisher: &Database<'_>) -> bool {
    let sql = "SELECT coalesce(sum(stream_txns), 0)::text FROM pg_stat_replication_slots s \
               JOIN pg_replication_slots r USING (slot_name) WHERE r.database = current_database()";
    text(&mut publisher.client(), sql) != "0"
}

#[test]
fn transactions_are_streamed_while_they_go_on() {
    streamed("on");
}

/// Applied as they come, by workers of their own, from 16 on.
#[test]
fn transactions_are_applied_while_they_go_on() {
    let mut client = Cluster::shared().database().client();
    let version: i32 = text(&mut client, "SHOW server_version_num")
        .parse()
        .unwrap();
    if version >= 160_000 {
        streamed("parallel");
    }
}

fn streamed(how: &str) {
    let publisher = streaming();
    let subscriber = Subscriber::of(&publisher);
    run(
        &mut subscriber.0.client(),
        &format!("ALTER SUBSCRIPTION electric SET (streaming = {how})"),
    );
    let rows = |from: i32, to: i32| {
        format!(
            "INSERT INTO items SELECT i, repeat('x', 500) FROM generate_series({from}, {to}) AS i"
        )
    };
    let mut client = publisher.client();
    run(&mut client, &format!("BEGIN; {}", rows(1000, 1999)));
    wait_until("the subscriber has heard of the open transaction", || {
        has_streamed(&publisher)
    });
    if how == "parallel" {
        wait_until("a worker of its own applies it", || {
            let sql = "SELECT count(leader_pid)::text FROM pg_stat_subscription";
            text(&mut subscriber.0.client(), sql) != "0"
        });
    }
    run(
        &mut client,
        &format!(
            "ALTER TABLE items ADD COLUMN color text NOT NULL DEFAULT 'red'; {}; SAVEPOINT s; \
             ALTER TABLE items ADD COLUMN never int; {}; ROLLBACK TO s; SAVEPOINT t; ALTER TABLE items ADD COLUMN size int; \
             {}; RELEASE t; UPDATE items SET size = id WHERE id % 7 = 0",
            rows(2000, 2999),
            rows(3000, 3999),
            rows(4000, 4999)
        ),
    );
    // Others go on meanwhile, and one that was streamed is undone as a whole.
    run(
        &mut publisher.client(),
        "CREATE TABLE others (id int PRIMARY KEY)",
    );
    run(&mut client, "COMMIT");
    run(
        &mut client,
        &format!(
            "BEGIN; ALTER TABLE items ADD COLUMN undone int; {}; ROLLBACK",
            rows(5000, 6999)
        ),
    );
    run(
        &mut client,
        &format!(
            "BEGIN; SELECT electric.enable('others'); INSERT INTO others SELECT generate_series(1, 5000); {}; COMMIT",
            rows(7000, 7999)
        ),
    );
    subscriber.agrees(&publisher, &["items", "others"]);
}

#[test]
fn a_big_transaction_with_many_commands() {
    let publisher = streaming();
    let subscriber = Subscriber::of(&publisher);
    let mut sql = "BEGIN;".to_owned();
    for n in 0..30 {
        sql.push_str(&format!(
            "ALTER TABLE items ADD COLUMN c{n} int DEFAULT {n}; CREATE INDEX ON items (c{n}); \
             CREATE TABLE t{n} (id int PRIMARY KEY, item int REFERENCES items); SELECT electric.enable('t{n}'); \
             INSERT INTO items (id, value) SELECT i, 'x' FROM generate_series({n} * 1000 + 10, {n} * 1000 + 500) AS i; \
             INSERT INTO t{n} SELECT i, {n} * 1000 + 10 FROM generate_series(1, 100) AS i;"
        ));
    }
    sql.push_str("COMMIT");
    run(&mut publisher.client(), &sql);
    subscriber.agrees(&publisher, &["items", "t0", "t15", "t29"]);
}

#[test]
fn a_prepared_transaction_comes_when_it_is_committed_and_not_at_all_when_it_is_not() {
    let other = Cluster::builder().start().unwrap();
    let publisher = other.database();
    run(
        &mut publisher.client(),
        "CREATE TABLE items (id int PRIMARY KEY, value text); INSERT INTO items VALUES (1, 'one'); SELECT electric.enable('items')",
    );
    let subscriber = Subscriber::on(Cluster::shared(), &publisher);
    let mut client = publisher.client();
    run(
        &mut client,
        "BEGIN; INSERT INTO items VALUES (2, 'old shape'); ALTER TABLE items ADD COLUMN color text DEFAULT 'red'; \
         INSERT INTO items VALUES (3, 'new shape', 'blue'); CREATE TABLE more (id int PRIMARY KEY); INSERT INTO more VALUES (1); \
         SELECT electric.enable('more'); SELECT electric.set_migration_version('prepared'); PREPARE TRANSACTION 'one'",
    );
    // It outlives a crash of the publisher, and so does the place of the subscriber.
    other.restart(Stop::Immediate).unwrap();
    let mut client = publisher.client();
    run(&mut client, "COMMIT PREPARED 'one'");
    run(&mut client, "INSERT INTO more VALUES (2)");
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN never int; INSERT INTO items VALUES (4, 'never'); PREPARE TRANSACTION 'two'",
    );
    run(&mut client, "ROLLBACK PREPARED 'two'");
    run(&mut client, "ALTER TABLE items ADD COLUMN after int");
    subscriber.agrees(&publisher, &["items", "more"]);
}
