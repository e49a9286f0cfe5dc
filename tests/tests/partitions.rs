//! Partitions: rows that come or go with them are refused or recorded, by whatever route, whoever else writes just then.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text, wait_until, words};
use electric_tests::errors::failure;
use electric_tests::replica::Replica;

/// A database with the electrified table `root`, its filled partition `low`, its empty partition `high`, and `middle`,
/// which has the filled partition `leaf`.
fn partitioned() -> Database<'static> {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "CREATE SCHEMA other; CREATE TABLE root (id int PRIMARY KEY, value text) PARTITION BY RANGE (id); \
         CREATE TABLE other.low PARTITION OF root FOR VALUES FROM (0) TO (10); \
         CREATE TABLE high PARTITION OF root FOR VALUES FROM (10) TO (20); \
         CREATE TABLE middle PARTITION OF root FOR VALUES FROM (20) TO (30) PARTITION BY RANGE (id); \
         CREATE TABLE leaf PARTITION OF middle FOR VALUES FROM (20) TO (30); \
         SELECT electric.enable('root'); INSERT INTO root VALUES (1, 'one'), (21, 'twenty-one')",
    );
    database
}

/// The message of a refusal, which leaves the records as they were.
#[track_caller]
fn refusal(database: &Database<'_>, sql: &str) -> String {
    let error = database.refused(sql, "0A000");
    error.about_table("public", "root").hinted();
    error.message
}

#[test]
fn partitions_that_go_with_something_else_keep_their_rows() {
    let database = partitioned();
    let role = database.role("owner");
    run(
        &mut database.client(),
        &format!(
            "ALTER TABLE leaf OWNER TO {role}; CREATE TABLE target (id int PRIMARY KEY); \
             ALTER TABLE leaf ADD FOREIGN KEY (id) REFERENCES target NOT VALID"
        ),
    );
    let drop = "cannot drop partition \"public.leaf\" of electrified table \"public.root\" while it holds rows";
    assert_eq!(
        refusal(&database, "DROP TABLE middle CASCADE"),
        drop.replace("leaf", "middle")
    );
    assert_eq!(refusal(&database, &format!("DROP OWNED BY {role}")), drop);
    assert_eq!(
        refusal(
            &database,
            "DO $$ BEGIN EXECUTE 'DROP TABLE ' || 'leaf'; END $$"
        ),
        drop
    );
    assert_eq!(
        refusal(&database, "DROP SCHEMA other CASCADE"),
        drop.replace("public.leaf", "other.low")
    );
    let truncate = drop.replace("drop", "truncate");
    assert_eq!(
        refusal(&database, "LOAD 'electric'; TRUNCATE target CASCADE"),
        truncate
    );
    assert_eq!(
        refusal(&database, "LOAD 'electric'; TRUNCATE middle"),
        truncate.replace("leaf", "middle")
    );
    // Whatever empties the whole table is no partition's affair.
    database
        .unrecorded("LOAD 'electric'; BEGIN; TRUNCATE root; ROLLBACK; BEGIN; TRUNCATE other.low, root; ROLLBACK");
    let error = database.refused("DROP SCHEMA other, public CASCADE", "0A000");
    assert_eq!(
        error.message,
        "cannot drop electrified table \"public.root\""
    );
}

#[test]
fn empty_partitions_go_with_something_else() {
    let database = partitioned();
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(&mut database.client(), "DELETE FROM root");
    database.unrecorded("DROP SCHEMA other CASCADE; DROP TABLE middle CASCADE; TRUNCATE high");
    run(&mut database.client(), "INSERT INTO root VALUES (11, 'x')");
    replica.must_agree();
}

/// What one session adds and commits while another waits for the partition.
fn with_a_row_added_meanwhile(database: &Database<'_>, row: &str, sql: &str) -> Result<(), String> {
    std::thread::scope(|scope| {
        // Inside, so that a failure below ends its transaction and with it the other's wait.
        let mut adding = database.client();
        run(&mut adding, &format!("BEGIN; {row}"));
        let waiting = scope.spawn(|| match database.client().batch_execute(sql) {
            Ok(()) => Ok(()),
            Err(error) => Err(failure::<()>(Err(error), "0A000").message),
        });
        wait_until("the other session waits", || database.waiting() == 1);
        run(&mut adding, "COMMIT");
        waiting.join().unwrap()
    })
}

#[test]
fn rows_that_come_while_a_partition_is_waited_for_are_seen() {
    let database = partitioned();
    run(
        &mut database.client(),
        "CREATE TABLE loose (id int PRIMARY KEY, value text)",
    );
    let into_high = "INSERT INTO root VALUES (11, 'eleven')";
    for (action, row, sql) in [
        ("drop", into_high, "DROP TABLE high"),
        ("truncate", into_high, "LOAD 'electric'; TRUNCATE high"),
        (
            "detach",
            into_high,
            "ALTER TABLE root DETACH PARTITION high",
        ),
        (
            "attach",
            "INSERT INTO loose VALUES (31, 'x')",
            "ALTER TABLE root ATTACH PARTITION loose FOR VALUES FROM (30) TO (40)",
        ),
    ] {
        let before = database.last_command();
        let message = with_a_row_added_meanwhile(&database, row, sql).expect_err(action);
        assert!(
            message.starts_with(&format!("cannot {action} partition ")),
            "{message}"
        );
        assert_eq!(database.last_command(), before);
        run(&mut database.client(), "DELETE FROM root WHERE id = 11");
    }
}

#[test]
fn two_sessions_that_drop_a_partition_wait_for_each_other_as_ever() {
    let database = partitioned();
    std::thread::scope(|scope| {
        let mut first = database.client();
        run(&mut first, "LOAD 'electric'; BEGIN; TRUNCATE high");
        let second = scope.spawn(|| {
            database
                .client()
                .batch_execute("LOAD 'electric'; TRUNCATE high; DROP TABLE high")
        });
        wait_until("the second session waits", || database.waiting() == 1);
        run(&mut first, "DROP TABLE high; ROLLBACK");
        second.join().unwrap().unwrap();
    });
}

/// What DETACH CONCURRENTLY committed before the row came cannot be refused any more.
#[test]
fn rows_that_come_while_a_partition_is_detached_concurrently_are_recorded() {
    let database = partitioned();
    let before = database.last_command();
    let sql = "ALTER TABLE root DETACH PARTITION high CONCURRENTLY";
    with_a_row_added_meanwhile(&database, "INSERT INTO root VALUES (11, 'eleven')", sql).unwrap();
    let new = database.commands_after(before);
    assert_eq!(words(&new), [("replace_table", "public.root")]);
    assert_eq!(new[0].query, sql);
    assert_eq!(
        text(&mut database.client(), "SELECT count(*)::text FROM root"),
        "2"
    );
}

#[test]
fn a_detach_that_was_interrupted_is_recorded_when_it_is_finished() {
    let database = partitioned();
    let before = database.last_command();
    let mut adding = database.client();
    run(&mut adding, "BEGIN; INSERT INTO root VALUES (11, 'eleven')");
    let mut detaching = database.client();
    run(&mut detaching, "SET lock_timeout = '100ms'");
    let result = detaching.batch_execute("ALTER TABLE root DETACH PARTITION high CONCURRENTLY");
    failure(result, "55P03");
    run(&mut adding, "COMMIT");
    assert_eq!(database.last_command(), before);
    let new = database.recorded("ALTER TABLE root DETACH PARTITION high FINALIZE");
    assert_eq!(words(&new), [("replace_table", "public.root")]);
}

#[test]
fn unlogged_partitions_are_refused_wherever_they_come_from() {
    let database = partitioned();
    run(
        &mut database.client(),
        "CREATE TABLE branch (id int PRIMARY KEY, value text) PARTITION BY RANGE (id); \
         CREATE UNLOGGED TABLE twig PARTITION OF branch FOR VALUES FROM (30) TO (35)",
    );
    for (sql, message) in [
        (
            "ALTER TABLE root ATTACH PARTITION branch FOR VALUES FROM (30) TO (40)",
            "cannot add unlogged partition \"public.twig\" to",
        ),
        (
            "CREATE UNLOGGED TABLE other.twig PARTITION OF middle FOR VALUES FROM (22) TO (23)",
            "cannot add unlogged partition \"other.twig\" to",
        ),
        (
            "CREATE SCHEMA made CREATE UNLOGGED TABLE twig PARTITION OF root FOR VALUES FROM (30) TO (31)",
            "cannot add unlogged partition \"made.twig\" to",
        ),
        (
            "ALTER TABLE leaf SET UNLOGGED",
            "cannot set UNLOGGED on partition \"public.leaf\" of",
        ),
    ] {
        let message = format!("{message} electrified table \"public.root\"");
        assert_eq!(refusal(&database, sql), message, "{sql}");
    }
    let error = database.refused("SELECT electric.enable('branch')", "0A000");
    error.about_table("public", "branch").hinted();
    error.detail_names(&["public.twig"]);
    run(
        &mut database.client(),
        "ALTER TABLE twig SET LOGGED; SELECT electric.enable('branch')",
    );
    // Only superusers get an unlogged one in; its rows come when it is LOGGED again.
    for (sql, recorded) in [
        ("ALTER TABLE high SET UNLOGGED", true),
        ("INSERT INTO high VALUES (11, 'unheard')", false),
        ("ALTER TABLE high SET LOGGED", true),
        ("ALTER TABLE high SET (fillfactor = 90)", false),
    ] {
        let new = database.recorded(&format!("SET electric.policy = unrestricted; {sql}"));
        let expected: &[(&str, &str)] = &[("replace_table", "public.root")];
        assert_eq!(words(&new), if recorded { expected } else { &[] }, "{sql}");
    }
}

#[test]
fn rows_that_become_logged_are_refused() {
    let database = partitioned();
    run(
        &mut database.client(),
        "SET electric.policy = unrestricted; ALTER TABLE high SET UNLOGGED; INSERT INTO high VALUES (11, 'x')",
    );
    assert_eq!(
        refusal(&database, "ALTER TABLE high SET LOGGED"),
        "cannot set LOGGED on partition \"public.high\" of electrified table \"public.root\" while it holds rows"
    );
    database.unrecorded("DELETE FROM high; ALTER TABLE high SET LOGGED");
}

#[test]
fn under_unrestricted_each_root_is_replaced_once() {
    let database = partitioned();
    run(
        &mut database.client(),
        "CREATE TABLE twin (LIKE root INCLUDING ALL) PARTITION BY RANGE (id); \
         CREATE TABLE other.twin_low PARTITION OF twin FOR VALUES FROM (0) TO (10); \
         SELECT electric.enable('twin'); INSERT INTO twin VALUES (1, 'one')",
    );
    let new = database.recorded("SET electric.policy = unrestricted; DROP SCHEMA other CASCADE");
    let mut replaced = words(&new);
    replaced.sort();
    assert_eq!(
        replaced,
        [
            ("replace_table", "public.root"),
            ("replace_table", "public.twin")
        ]
    );
    // What was rolled back to a savepoint is not recorded, and nothing of it stays for later commands.
    database.unrecorded(
        "SET electric.policy = unrestricted; BEGIN; SAVEPOINT a; TRUNCATE leaf; ROLLBACK TO a; \
         ALTER TABLE leaf SET (fillfactor = 90); COMMIT",
    );
    let new = database.recorded("SET electric.policy = unrestricted; DROP TABLE root");
    assert_eq!(words(&new), [("disable_table", "public.root")]);
}

#[test]
fn a_partition_keeps_a_replica_identity_that_finds_its_rows() {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "SET electric.replica_identity = 'default'; \
         CREATE TABLE root (id int PRIMARY KEY, value text NOT NULL) PARTITION BY RANGE (id); \
         CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (10); SELECT electric.enable('root'); \
         CREATE UNIQUE INDEX by_value ON low (value); CREATE TABLE high (LIKE root INCLUDING ALL); \
         ALTER TABLE high REPLICA IDENTITY NOTHING",
    );
    for words in ["NOTHING", "USING INDEX by_value"] {
        assert_eq!(
            refusal(
                &database,
                &format!("ALTER TABLE low REPLICA IDENTITY {words}")
            ),
            "cannot weaken the replica identity of partition \"public.low\" of electrified table \"public.root\""
        );
    }
    database.unrecorded(
        "ALTER TABLE low REPLICA IDENTITY FULL; ALTER TABLE low REPLICA IDENTITY DEFAULT",
    );
    database.unrecorded("ALTER TABLE root ATTACH PARTITION high FOR VALUES FROM (10) TO (20)");
    let identities = "SELECT string_agg(relreplident::text, '' ORDER BY relname) FROM pg_class \
                      WHERE relname IN ('root', 'low', 'high')";
    assert_eq!(text(&mut database.client(), identities), "ddd");
}

/// What one partition alone demands of rows is between it and those who write: replicas take what came through.
#[test]
fn constraints_of_one_partition_are_its_own() {
    let database = partitioned();
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut database.client(),
        "CREATE TABLE target (id int PRIMARY KEY); INSERT INTO target VALUES (1), (2)",
    );
    database.unrecorded(
        "ALTER TABLE ONLY other.low ADD CONSTRAINT small CHECK (id < 9); ALTER TABLE other.low ALTER value SET NOT NULL, \
         ALTER value SET DEFAULT 'x', ADD FOREIGN KEY (id) REFERENCES target ON DELETE CASCADE ON UPDATE CASCADE; \
         CREATE UNIQUE INDEX ON other.low (value)",
    );
    run(
        &mut database.client(),
        "INSERT INTO other.low (id) VALUES (2); DELETE FROM target WHERE id = 1; UPDATE target SET id = 3",
    );
    replica.must_agree();
    database.unrecorded(
        "ALTER TABLE other.low ALTER value DROP NOT NULL, DROP CONSTRAINT small, ALTER value DROP DEFAULT",
    );
}
