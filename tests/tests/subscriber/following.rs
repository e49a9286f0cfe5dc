//! What happens on the publisher happens on the subscriber, by itself.

use super::*;

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
    // What was there makes way, with what was done to it here.
    wait_until("the table is there once more", || {
        text(
            &mut subscriber.0.client(),
            "SELECT count(*)::text FROM pg_class WHERE relname IN ('empty', 'empty_old_1')",
        ) == "2"
    });
    assert_eq!(
        text(
            &mut subscriber.0.client(),
            "SELECT string_agg(e::text, ' ' ORDER BY id) FROM app.empty_old_1 AS e"
        ),
        "(1,1) (2,2) (3,) (4,)"
    );
    run(
        &mut subscriber.0.client(),
        "DROP TABLE app.empty_old_1; DROP TYPE mood_old_1",
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
