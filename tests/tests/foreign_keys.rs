//! Foreign keys to partitioned tables, and what partitions have of their root.

use electric_tests::cluster::Cluster;
use electric_tests::database::{CommandRow, Database, run, text, words};
use electric_tests::errors::failure;
use electric_tests::replica::Replica;

/// A database with the electrified partitioned table `root`, which has the partition `low`.
fn partitioned() -> Database<'static> {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "CREATE TABLE root (id int PRIMARY KEY, value text) PARTITION BY RANGE (id); \
         CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (10); SELECT electric.enable('root')",
    );
    database
}

/// `relreplident` of each relation named.
fn identities(database: &Database<'_>, relations: &str) -> String {
    let sql = format!(
        "SELECT string_agg(relreplident, '' ORDER BY oid) FROM pg_class WHERE relname IN ({relations})"
    );
    text(&mut database.client(), &sql)
}

#[test]
fn a_table_that_references_a_partitioned_one_can_be_enabled_and_migrated() {
    let database = partitioned();
    let new = database.recorded(
        "CREATE TABLE child (id int PRIMARY KEY, root int CONSTRAINT to_root REFERENCES root); \
         SELECT electric.enable('child')",
    );
    assert_eq!(words(&new), [("create_table", "public.child")]);
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    // Each partition has a part of the key, which comes and goes with it.
    database.unrecorded("CREATE TABLE middle PARTITION OF root FOR VALUES FROM (10) TO (20)");
    database.unrecorded(
        "CREATE TABLE high (id int PRIMARY KEY, value text); \
         ALTER TABLE root ATTACH PARTITION high FOR VALUES FROM (20) TO (30)",
    );
    database.unrecorded("ALTER TABLE root DETACH PARTITION middle; DROP TABLE middle");
    let new = database.recorded("ALTER TABLE child ADD COLUMN a text");
    assert_eq!(words(&new), [("add_column", "public.child")]);
    let keys = new[0].op["table"]["foreign_keys"]
        .as_array()
        .unwrap()
        .clone();
    let names: Vec<_> = keys.iter().map(|key| key["name"].clone()).collect();
    assert_eq!(names, ["to_root"]);
    run(
        &mut database.client(),
        "INSERT INTO root VALUES (1, 'low'), (21, 'high'); INSERT INTO child VALUES (1, 1), (2, 21), (3, NULL)",
    );
    replica.must_agree();
    database
        .refused("ALTER TABLE child DROP CONSTRAINT to_root", "0A000")
        .about_constraint("to_root");
}

#[test]
fn a_column_that_references_a_partitioned_table_is_recorded_once() {
    let database = partitioned().items();
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    let new = database.recorded("ALTER TABLE items ADD COLUMN root int REFERENCES root");
    assert_eq!(words(&new), [("add_column", "public.items")]);
    let keys = new[0].op["table"]["foreign_keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert_eq!(keys[0]["references"]["table"], "root");
    database.unrecorded("CREATE TABLE middle PARTITION OF root FOR VALUES FROM (10) TO (20)");
    let new = database.recorded("ALTER TABLE items ADD COLUMN after_the_partition text");
    assert_eq!(words(&new), [("add_column", "public.items")]);
    run(
        &mut database.client(),
        "INSERT INTO root VALUES (11, 'x'); INSERT INTO items VALUES (1, 'y', 11)",
    );
    replica.must_agree();
}

#[test]
fn a_key_to_a_partitioned_table_without_partitions_stays_when_it_gets_some() {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "CREATE TABLE root (id int PRIMARY KEY) PARTITION BY RANGE (id); \
         CREATE TABLE child (id int PRIMARY KEY, root int REFERENCES root); SELECT electric.enable('root', 'child')",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    database.unrecorded("CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (10)");
    let new = database.recorded("ALTER TABLE child ADD COLUMN a text");
    assert_eq!(words(&new), [("add_column", "public.child")]);
    run(
        &mut database.client(),
        "INSERT INTO root VALUES (1); INSERT INTO child VALUES (1, 1)",
    );
    replica.must_agree();
}

#[test]
fn partitioned_tables_that_reference_each_other_are_followed() {
    let database = partitioned();
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    let new = database.recorded(
        "CREATE TABLE branch (id int PRIMARY KEY, root int REFERENCES root) PARTITION BY RANGE (id); \
         CREATE TABLE branch_low PARTITION OF branch FOR VALUES FROM (0) TO (10); SELECT electric.enable('branch')",
    );
    assert_eq!(words(&new), [("create_table", "public.branch")]);
    database.unrecorded(
        "CREATE TABLE branch_high PARTITION OF branch FOR VALUES FROM (10) TO (20); \
         CREATE TABLE high PARTITION OF root FOR VALUES FROM (10) TO (20)",
    );
    let new = database
        .recorded("ALTER TABLE branch ADD COLUMN a text; ALTER TABLE root ADD COLUMN a text");
    assert_eq!(
        words(&new),
        [
            ("add_column", "public.branch"),
            ("add_column", "public.root")
        ]
    );
    run(
        &mut database.client(),
        "INSERT INTO root VALUES (11, 'x'); INSERT INTO branch VALUES (12, 11)",
    );
    replica.must_agree();
}

#[test]
fn the_value_that_rows_of_partitions_got_from_a_default_is_the_one_recorded() {
    let database = partitioned();
    run(
        &mut database.client(),
        "INSERT INTO root VALUES (1, 'x'), (2, 'y'); CREATE FUNCTION tick() RETURNS text LANGUAGE sql STABLE AS \
         'SELECT clock_timestamp()::text'",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    // Evaluated again it would be another.
    let new = database.recorded("ALTER TABLE root ADD COLUMN a text DEFAULT tick()");
    assert_eq!(words(&new), [("add_column", "public.root")]);
    let value = text(&mut database.client(), "SELECT DISTINCT a FROM root");
    assert_eq!(new[0].op["existing_value"], value.as_str());
    replica.must_agree();
    run(
        &mut database.client(),
        "CREATE TABLE high PARTITION OF root FOR VALUES FROM (10) TO (20); INSERT INTO root VALUES (11, 'z')",
    );
    run(
        &mut database.client(),
        "ALTER TABLE root ADD COLUMN b timestamptz NOT NULL DEFAULT now(), ADD COLUMN c int DEFAULT 7; \
         INSERT INTO root VALUES (3)",
    );
    replica.must_agree();
}

#[test]
fn a_deferrable_primary_key_does_not_identify_rows() {
    let database = Cluster::shared().database();
    let mut client = database.client();
    run(
        &mut client,
        "SET electric.replica_identity = 'default'; \
         CREATE TABLE t (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, value text); \
         CREATE TABLE u (id int PRIMARY KEY, value text); SELECT electric.enable('t', 'u')",
    );
    assert_eq!(identities(&database, "'t', 'u'"), "fd");
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut client,
        "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'); UPDATE t SET value = 'x' WHERE id = 1; \
         UPDATE t SET id = 4 WHERE id = 2; DELETE FROM t WHERE id = 3",
    );
    replica.must_agree();
}

#[test]
fn new_partitions_get_the_replica_identity_of_their_root() {
    let database = Cluster::shared().database();
    let role = database.role("owner");
    run(
        &mut database.client(),
        &format!("GRANT CREATE ON SCHEMA public TO {role}"),
    );
    let mut client = database.client_as(&role);
    run(
        &mut client,
        "CREATE TABLE root (id int PRIMARY KEY, value text) PARTITION BY RANGE (id); \
         CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (10); SELECT electric.enable('root')",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    // A partition made, one attached, and partitions of partitions.
    run(
        &mut client,
        "CREATE TABLE middle PARTITION OF root FOR VALUES FROM (10) TO (20); \
         CREATE TABLE high (id int PRIMARY KEY, value text); \
         ALTER TABLE root ATTACH PARTITION high FOR VALUES FROM (20) TO (30); \
         CREATE TABLE higher PARTITION OF root FOR VALUES FROM (30) TO (40) PARTITION BY RANGE (id); \
         CREATE TABLE leaf PARTITION OF higher FOR VALUES FROM (30) TO (40)",
    );
    assert_eq!(
        identities(&database, "'root', 'low', 'middle', 'high', 'leaf'"),
        "fffff"
    );
    assert_eq!(database.commands().len(), 1);
    run(
        &mut client,
        "INSERT INTO root SELECT n, 'x' FROM generate_series(0, 35, 5) n; UPDATE root SET value = 'y'; \
         UPDATE root SET id = id + 1; DELETE FROM root WHERE id % 2 = 0",
    );
    replica.must_agree();
}

#[test]
fn leaves_that_are_attached_with_their_parent_get_the_replica_identity_of_the_root() {
    let database = partitioned();
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut database.client(),
        "CREATE TABLE high (id int PRIMARY KEY, value text) PARTITION BY RANGE (id); \
         CREATE TABLE leaf PARTITION OF high FOR VALUES FROM (10) TO (15)",
    );
    database.unrecorded("ALTER TABLE root ATTACH PARTITION high FOR VALUES FROM (10) TO (20)");
    assert_eq!(identities(&database, "'root', 'low', 'leaf'"), "fff");
    run(
        &mut database.client(),
        "INSERT INTO root VALUES (11, 'x'), (12, 'y'); UPDATE root SET value = 'z' WHERE id = 11; \
         DELETE FROM root WHERE id = 12",
    );
    replica.must_agree();
}

/// The rows of a replaced table come later; those that reference it are there already.
#[test]
fn a_postgres_replica_with_rows_can_replace_a_table_that_others_reference() {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "CREATE TABLE parent (id int PRIMARY KEY, a text); \
         CREATE TABLE child (id int PRIMARY KEY, p int CONSTRAINT known REFERENCES parent); \
         SELECT electric.enable('parent', 'child')",
    );
    let replica = Cluster::shared().empty_database();
    let mut client = replica.client();
    let replay = |client: &mut postgres::Client, commands: &[CommandRow]| {
        for statement in commands.iter().flat_map(|command| &command.postgres) {
            run(client, statement);
        }
    };
    replay(&mut client, &database.commands());
    run(
        &mut client,
        "INSERT INTO parent VALUES (1, 'x'); INSERT INTO child VALUES (1, 1)",
    );
    let new =
        database.recorded("SET electric.policy = unrestricted; ALTER TABLE parent DROP COLUMN a");
    assert_eq!(words(&new), [("replace_table", "public.parent")]);
    replay(&mut client, &new);
    let validated = "SELECT convalidated::text FROM pg_constraint WHERE conname = 'known'";
    assert_eq!(text(&mut client, validated), "false");
    failure(
        client.batch_execute("INSERT INTO child VALUES (2, 2)"),
        "23503",
    );
    run(
        &mut client,
        "INSERT INTO parent VALUES (1); ALTER TABLE child VALIDATE CONSTRAINT known",
    );
}
