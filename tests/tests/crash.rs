//! A killed backend or server loses no committed record and keeps no half one.

use electric_tests::cluster::{Cluster, Stop};
use electric_tests::database::{Database, run, text, wait_until};
use electric_tests::replica::{Replica, ledger};

#[track_caller]
fn history_is_sound(database: &Database<'_>) {
    let migrations: Vec<_> = database
        .migrations()
        .into_iter()
        .map(|m| (m.id, m.version))
        .collect();
    ledger::verify(&migrations, &database.commands()).unwrap();
}

fn serves(database: &Database<'_>) -> bool {
    database
        .cluster()
        .connect(database.name(), "postgres")
        .is_ok()
}

#[test]
fn a_killed_backend_loses_nothing_that_was_committed() {
    let cluster = Cluster::builder().start().unwrap();
    let database = cluster.database().items();
    let mut client = database.client();
    run(&mut client, "ALTER TABLE items ADD COLUMN committed text");
    let before = database.trace();
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN lost text; INSERT INTO items VALUES (1)",
    );
    let pid = text(&mut client, "SELECT pg_backend_pid()::text")
        .parse()
        .unwrap();
    cluster.signal(pid, "KILL").unwrap();
    // The postmaster restarts the server by itself.
    wait_until("the server notices", || {
        cluster.log().contains("reinitializing")
    });
    assert!(client.batch_execute("SELECT 1").is_err());
    wait_until("the server is back", || serves(&database));
    assert_eq!(before, database.trace());
    run(
        &mut database.client(),
        "ALTER TABLE items ADD COLUMN after text",
    );
    assert_eq!(database.commands().len(), 3);
    history_is_sound(&database);
}

#[test]
fn an_immediate_stop_loses_nothing_that_was_committed_and_the_replica_goes_on() {
    let cluster = Cluster::builder()
        .preload(true)
        .setting("fsync", "on")
        .start()
        .unwrap();
    let database = cluster.database().items();
    let (mut replica, _) = Replica::follow_durably(&database).unwrap();
    run(
        &mut database.client(),
        "ALTER TABLE items ADD COLUMN a text; INSERT INTO items VALUES (1, 'x', 'y')",
    );
    replica.must_agree();
    run(
        &mut database.client(),
        "ALTER TABLE items ADD COLUMN b int DEFAULT 2; INSERT INTO items (id) VALUES (2)",
    );
    let mut open = database.client();
    run(
        &mut open,
        "BEGIN; ALTER TABLE items ADD COLUMN lost text; INSERT INTO items VALUES (3)",
    );
    let before = database.trace();
    cluster.restart(Stop::Immediate).unwrap();
    assert_eq!(before, database.trace());
    replica.resume().unwrap();
    replica.must_agree();
    run(
        &mut database.client(),
        "ALTER TABLE items ADD COLUMN c text; INSERT INTO items (id) VALUES (4)",
    );
    replica.must_agree();
    assert_eq!(database.commands().len(), 4);
    history_is_sound(&database);
}

#[test]
fn a_terminated_migrator_lets_the_next_one_in() {
    let database = Cluster::shared().database().items();
    let mut holder = database.client();
    run(&mut holder, "BEGIN; ALTER TABLE items ADD COLUMN lost text");
    let pid = text(&mut holder, "SELECT pg_backend_pid()::text");
    run(
        &mut database.client(),
        &format!("SELECT pg_terminate_backend({pid}, 10000)"),
    );
    run(
        &mut database.client(),
        "SET lock_timeout = '10s'; ALTER TABLE items ADD COLUMN a text",
    );
    assert_eq!(database.commands().len(), 2);
    history_is_sound(&database);
}

#[test]
fn a_prepared_transaction_survives_a_crash_with_its_record_or_is_refused() {
    let cluster = Cluster::builder().start().unwrap();
    let database = cluster.database().items();
    let before = database.trace();
    let prepared = database.client().batch_execute(
        "BEGIN; ALTER TABLE items ADD COLUMN a text; PREPARE TRANSACTION 'migration'",
    );
    assert_eq!(before, database.trace());
    if prepared.is_ok() {
        cluster.restart(Stop::Immediate).unwrap();
        run(&mut database.client(), "COMMIT PREPARED 'migration'");
        assert_eq!(database.commands().len(), 2);
    }
    run(
        &mut database.client(),
        "ALTER TABLE items ADD COLUMN b text",
    );
    history_is_sound(&database);
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    replica.must_agree();
}
