//! What a subscriber does not do, and what stops it.

use super::*;

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
    // Nothing is in the way of the index but a row, which somebody wrote here.
    run(
        &mut subscriber.0.client(),
        "INSERT INTO items VALUES (9, 'one')",
    );
    run(
        &mut publisher.client(),
        "CREATE UNIQUE INDEX once ON items (value); INSERT INTO items VALUES (3, 'waits')",
    );
    wait_until("the subscriber says what is wrong", || {
        let log = subscriber.0.cluster().log();
        log.contains("could not create unique index \"once\"")
    });
    assert_eq!(
        text(
            &mut subscriber.0.client(),
            "SELECT count(*)::text FROM items WHERE id < 9"
        ),
        "2"
    );
    run(&mut subscriber.0.client(), "DELETE FROM items WHERE id = 9");
    subscriber.agrees(&publisher, &["items"]);
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
            "SELECT count(*)::text FROM pg_replication_slots WHERE slot_name LIKE 'electric\\_%\\_' || (SELECT oid FROM pg_database WHERE datname = current_database()) || '\\_%'"
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
