//! S3: what `electric.enable` demands, accepts and does, and `electric.disable`.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text, words};
use electric_tests::errors::failure;
use electric_tests::replica::Replica;

fn database() -> Database<'static> {
    Cluster::shared().database()
}

#[test]
fn only_tables_can_be_enabled() {
    let database = database();
    run(
        &mut database.client(),
        "CREATE TABLE t (id int PRIMARY KEY); CREATE VIEW a_view AS SELECT * FROM t; \
         CREATE MATERIALIZED VIEW a_matview AS SELECT * FROM t; CREATE SEQUENCE a_sequence; \
         CREATE TYPE a_composite AS (a int); CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; \
         CREATE FOREIGN TABLE a_foreign (id int) SERVER s",
    );
    for relation in [
        "a_view",
        "a_matview",
        "a_sequence",
        "a_composite",
        "a_foreign",
        "t_pkey",
    ] {
        let error = database.refused(&format!("SELECT electric.enable('{relation}')"), "42809");
        error.message_names(&[relation]);
    }
    failure(
        database
            .client()
            .batch_execute("SELECT electric.enable('nosuchtable')"),
        "42P01",
    );
}

#[test]
fn temporary_and_unlogged_tables_and_leaves_of_partitioned_ones_are_refused() {
    let database = database();
    run(
        &mut database.client(),
        "CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY); CREATE TABLE root (id int PRIMARY KEY) PARTITION BY \
         RANGE (id); CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (10)",
    );
    let codes = ["42809", "0A000"];
    database
        .refused_with_one_of("SELECT electric.enable('unlogged')", &codes)
        .message_names(&["unlogged"]);
    database
        .refused_with_one_of("SELECT electric.enable('leaf')", &codes)
        .hinted();
    database.refused_with_one_of(
        "CREATE TEMPORARY TABLE temporary (id int PRIMARY KEY); SELECT electric.enable('temporary')",
        &codes,
    );
}

#[test]
fn system_tables_and_our_own_are_refused() {
    let database = database();
    for relation in [
        "pg_catalog.pg_class",
        "information_schema.sql_features",
        "electric.migrations",
    ] {
        database.refused_with_one_of(
            &format!("SELECT electric.enable('{relation}')"),
            &["42809", "0A000"],
        );
    }
}

#[test]
fn only_the_owner_may_enable_and_disable() {
    let database = database().items();
    run(
        &mut database.client(),
        "CREATE TABLE t (id int PRIMARY KEY)",
    );
    let role = database.role("stranger");
    run(
        &mut database.client(),
        &format!("GRANT ALL ON t, items TO {role}; GRANT ALL ON SCHEMA public TO {role}"),
    );
    let mut stranger = database.client_as(&role);
    database.refused_by(&mut stranger, "SELECT electric.enable('t')", "42501");
    database.refused_by(&mut stranger, "SELECT electric.disable('items')", "42501");
    run(
        &mut stranger,
        "CREATE TABLE own (id int PRIMARY KEY); SELECT electric.enable('own')",
    );
    run(&mut stranger, "SELECT electric.disable('own')");
}

#[test]
fn a_table_without_primary_key_is_refused() {
    let database = database();
    run(
        &mut database.client(),
        "CREATE TABLE t (id int UNIQUE NOT NULL)",
    );
    database
        .refused("SELECT electric.enable('t')", "42P16")
        .about_table("public", "t")
        .hinted();
}

#[test]
fn all_columns_of_unsupported_types_are_listed() {
    let database = database();
    run(
        &mut database.client(),
        "CREATE TYPE pair AS (a int, b int); CREATE DOMAIN pair_domain AS pair; CREATE TABLE t (id int PRIMARY KEY, \
         one pair, \"Two\" pair[], three pair_domain, four pg_lsn, fine text)",
    );
    let error = database.refused("SELECT electric.enable('t')", "0A000");
    error
        .about_table("public", "t")
        .hinted()
        .detail_names(&["one", "Two", "three", "four", "pg_lsn"]);
    assert!(!error.detail.contains("fine"), "{error:?}");
}

#[test]
fn all_generated_columns_are_listed() {
    let database = database();
    run(
        &mut database.client(),
        "CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED, \
         thrice int GENERATED ALWAYS AS (id * 3) STORED)",
    );
    let error = database.refused("SELECT electric.enable('t')", "0A000");
    error
        .about_table("public", "t")
        .hinted()
        .detail_names(&["twice", "thrice"]);
}

#[test]
fn foreign_keys_to_ordinary_tables_are_refused_with_what_to_enable_first() {
    let database = database();
    run(
        &mut database.client(),
        "CREATE SCHEMA \"S\"; CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE \"S\".b (id int PRIMARY KEY); \
         CREATE TABLE t (id int PRIMARY KEY, a int REFERENCES a, b int REFERENCES \"S\".b, self int REFERENCES t)",
    );
    let error = database.refused("SELECT electric.enable('t')", "0A000");
    error.about_table("public", "t").hinted();
    let everything = format!("{} {} {}", error.message, error.detail, error.hint);
    assert!(
        everything.contains("public.a") && everything.contains("\"S\".b"),
        "{error:?}"
    );
    assert!(
        error.detail.contains("t_a_fkey") && error.detail.contains("t_b_fkey"),
        "{error:?}"
    );
    assert!(!error.detail.contains("t_self_fkey"), "{error:?}");
    run(
        &mut database.client(),
        "SELECT electric.enable('a'); SELECT electric.enable('t', '\"S\".b')",
    );
}

#[test]
fn names_that_collide_in_sqlite_are_refused() {
    let database = database().items();
    run(
        &mut database.client(),
        "CREATE TABLE \"Items\" (id int PRIMARY KEY); CREATE TABLE sqlite_things (id int PRIMARY KEY); \
         CREATE TABLE t (id int PRIMARY KEY, name text, \"Name\" text); CREATE TABLE fine (id int PRIMARY KEY)",
    );
    let error = database.refused("SELECT electric.enable('\"Items\"')", "0A000");
    assert!(
        format!("{} {}", error.message, error.detail).contains("items"),
        "{error:?}"
    );
    database.refused("SELECT electric.enable('sqlite_things')", "0A000");
    let error = database.refused("SELECT electric.enable('t')", "0A000");
    assert!(
        format!("{} {}", error.message, error.detail).contains("Name"),
        "{error:?}"
    );
    run(&mut database.client(), "SELECT electric.enable('fine')");
    database.refused("ALTER TABLE fine ADD COLUMN \"ID\" text", "0A000");
}

#[test]
fn one_bad_table_refuses_the_whole_call() {
    let database = database();
    run(
        &mut database.client(),
        "CREATE TABLE good (id int PRIMARY KEY); CREATE TABLE bad (id int)",
    );
    database
        .refused("SELECT electric.enable('good', 'bad')", "42P16")
        .about_table("public", "bad");
    assert!(database.commands().is_empty());
}

#[test]
fn what_the_earlier_system_refused_is_accepted() {
    let database = database();
    run(
        &mut database.client(),
        r#"
        CREATE SCHEMA "My Schema";
        CREATE DOMAIN positive AS int CHECK (VALUE > 0);
        CREATE TYPE "Mood" AS ENUM ('1circle', '_square', 'hello world', 'it''s');
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TABLE "My Schema"."Mixed Case" (
            "Id" serial PRIMARY KEY,
            number int GENERATED BY DEFAULT AS IDENTITY,
            always bigint GENERATED ALWAYS AS IDENTITY,
            "flag" boolean NOT NULL DEFAULT false,
            created timestamptz DEFAULT now(),
            token uuid DEFAULT gen_random_uuid(),
            short varchar(10) DEFAULT 'a''b',
            code char(3),
            amount numeric(10,2) CHECK (amount >= 0),
            "Email" text UNIQUE,
            quantity positive DEFAULT 1,
            mood "Mood" DEFAULT 'hello world',
            gone int,
            during tsrange,
            EXCLUDE USING gist (during WITH &&),
            CHECK ("Id" > 0 OR flag)
        );
        ALTER TABLE "My Schema"."Mixed Case" DROP COLUMN gone;
        CREATE INDEX "By Email" ON "My Schema"."Mixed Case" (lower("Email") DESC) WHERE flag;
        CREATE TRIGGER touched BEFORE UPDATE ON "My Schema"."Mixed Case" FOR EACH ROW EXECUTE FUNCTION touch();
        ALTER TABLE "My Schema"."Mixed Case" ENABLE ROW LEVEL SECURITY;
        CREATE POLICY everybody ON "My Schema"."Mixed Case" USING (true);
        SELECT electric.enable('"My Schema"."Mixed Case"');
        "#,
    );
    let commands = database.commands();
    let words = words(&commands);
    assert_eq!(
        words.last(),
        Some(&("create_table", "\"My Schema\".\"Mixed Case\"")),
        "{words:?}"
    );
    assert!(
        words.contains(&("create_type", "public.\"Mood\"")),
        "{words:?}"
    );
    assert!(
        words.contains(&("create_type", "public.positive")),
        "{words:?}"
    );
    assert_eq!(words.len(), 3);
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut database.client(),
        r#"INSERT INTO "My Schema"."Mixed Case" (flag, "Email", amount, code, during)
           SELECT n % 2 = 0, 'E' || n || '@x', n / 3.0, 'a', tsrange(now()::timestamp + n * interval '1 day', NULL)
           FROM generate_series(1, 1) n;
           UPDATE "My Schema"."Mixed Case" SET mood = 'it''s', short = NULL"#,
    );
    replica.must_agree();
    let name: String = replica
        .sqlite()
        .query_row(
            "SELECT \"Email\" FROM \"My Schema.Mixed Case\"",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(name, "E1@x");
}

#[test]
fn tables_that_reference_each_other_are_enabled_together() {
    let database = database();
    run(
        &mut database.client(),
        "CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a); \
         ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b DEFERRABLE INITIALLY DEFERRED; \
         INSERT INTO a VALUES (1, NULL); INSERT INTO b VALUES (1, 1); UPDATE a SET b = 1",
    );
    database.refused("SELECT electric.enable('a')", "0A000");
    database.refused("SELECT electric.enable('b')", "0A000");
    run(&mut database.client(), "SELECT electric.enable('a', 'b')");
    // Which of them is first is not laid down.
    let commands = database.commands();
    let mut words = words(&commands);
    words.sort();
    assert_eq!(
        words,
        [("create_table", "public.a"), ("create_table", "public.b")]
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut database.client(),
        "BEGIN; INSERT INTO a VALUES (2, 2); INSERT INTO b VALUES (2, 2); COMMIT",
    );
    replica.must_agree();
    for table in ["a", "b"] {
        assert_eq!(
            replica.shapes()[&format!("public.{table}")]
                .foreign_keys
                .len(),
            1
        );
    }
}

#[test]
fn a_partitioned_root_is_enabled_as_one_table() {
    let database = database();
    run(
        &mut database.client(),
        "CREATE TABLE root (id int, value text, PRIMARY KEY (id)) PARTITION BY RANGE (id); \
         CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (10); \
         CREATE TABLE high PARTITION OF root FOR VALUES FROM (10) TO (20) PARTITION BY LIST (id); \
         CREATE TABLE higher PARTITION OF high DEFAULT; INSERT INTO root VALUES (1, 'one'); \
         SELECT electric.enable('root')",
    );
    assert_eq!(
        words(&database.commands()),
        [("create_table", "public.root")]
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut database.client(),
        "INSERT INTO root VALUES (2, 'two'), (12, 'twelve'); UPDATE root SET id = 13 WHERE id = 2; \
         DELETE FROM root WHERE id = 1; INSERT INTO low VALUES (3, 'three')",
    );
    replica.must_agree();
    let count: i64 = replica
        .sqlite()
        .query_row("SELECT count(*) FROM root", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 3);
}

#[test]
fn enabling_twice_is_a_notice() {
    let database = database().items();
    let (mut client, notices) = database.client_with_notices();
    let before = database.trace();
    run(&mut client, "SELECT electric.enable('items')");
    assert!(notices.has(&["items", "already"]), "{:?}", notices.all());
    assert_eq!(before, database.trace());
    run(
        &mut client,
        "CREATE TABLE t (id int PRIMARY KEY); SELECT electric.enable('items', 't', 't')",
    );
    assert_eq!(
        words(&database.commands_after(1)),
        [("create_table", "public.t")]
    );
}

#[test]
fn a_table_may_be_in_the_publication_already() {
    let database = database();
    run(
        &mut database.client(),
        "CREATE TABLE items (id int PRIMARY KEY); CREATE PUBLICATION electric_publication FOR TABLE items; \
         SELECT electric.enable('items')",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut database.client(),
        "INSERT INTO items VALUES (1); ALTER TABLE items ADD COLUMN a text",
    );
    replica.must_agree();
}

#[test]
fn the_publication_holds_the_records_and_the_tables() {
    let database = database().items();
    let mut client = database.client();
    let sql = "SELECT string_agg(schemaname || '.' || tablename, ' ' ORDER BY 1) FROM \
               (SELECT * FROM pg_publication_tables ORDER BY schemaname, tablename) t WHERE pubname = 'electric_publication'";
    let expected = "electric.assignments electric.ddl_commands electric.grants electric.migrations public.items";
    let mut found: Vec<_> = text(&mut client, sql)
        .split(' ')
        .map(str::to_owned)
        .collect();
    found.sort();
    assert_eq!(found.join(" "), expected);
    assert_eq!(
        text(&mut client, "SELECT pubviaroot::text FROM pg_publication"),
        "true"
    );
}

#[test]
fn the_replica_identity_is_what_the_setting_says() {
    let database = database().items();
    let identity = "SELECT relreplident::text FROM pg_class WHERE oid = 'items'::regclass";
    assert_eq!(text(&mut database.client(), identity), "f");
    let mut client = database.client();
    run(
        &mut client,
        "SET electric.replica_identity = 'default'; CREATE TABLE t (id int PRIMARY KEY, value text); \
         SELECT electric.enable('t')",
    );
    let identity = "SELECT relreplident::text FROM pg_class WHERE oid = 't'::regclass";
    assert_eq!(text(&mut client, identity), "d");
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut client,
        "INSERT INTO t VALUES (1, 'a'), (2, 'b'); UPDATE t SET id = 3 WHERE id = 1; DELETE FROM t WHERE id = 2",
    );
    replica.must_agree();
}

#[test]
fn existing_rows_reach_a_replica_that_was_there_before() {
    let database = database().items();
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut database.client(),
        "CREATE TABLE late (id int PRIMARY KEY, item int REFERENCES items); INSERT INTO items VALUES (1, 'x'); \
         INSERT INTO late VALUES (1, 1), (2, NULL); SELECT electric.enable('late')",
    );
    run(
        &mut database.client(),
        "INSERT INTO late VALUES (3, 1); DELETE FROM late WHERE id = 2",
    );
    replica.must_agree();
}

#[test]
fn a_rolled_back_enable_leaves_nothing() {
    let database = database();
    run(
        &mut database.client(),
        "CREATE TABLE t (id int PRIMARY KEY, value text)",
    );
    let before = database.trace();
    run(
        &mut database.client(),
        "BEGIN; SELECT electric.enable('t'); ALTER TABLE t ADD COLUMN a int; ROLLBACK",
    );
    assert_eq!(before, database.trace());
    run(&mut database.client(), "ALTER TABLE t DROP COLUMN value");
}

#[test]
fn the_procedures_of_the_earlier_system_enable() {
    let database = database();
    let mut client = database.client();
    run(
        &mut client,
        "CREATE TABLE a (id int PRIMARY KEY); CREATE SCHEMA s; CREATE TABLE s.b (id int PRIMARY KEY); \
         CALL electric.electrify('a'); CALL electric.electrify('s', 'b')",
    );
    assert_eq!(
        words(&database.commands()),
        [("create_table", "public.a"), ("create_table", "s.b")]
    );
    failure(
        client.batch_execute("CALL electric.electrify('nosuch')"),
        "42P01",
    );
}

#[test]
fn disable_is_recorded_and_ends_capture() {
    let database = database().items();
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    let new =
        database.recorded("INSERT INTO items VALUES (1, 'x'); SELECT electric.disable('items')");
    assert_eq!(words(&new), [("disable_table", "public.items")]);
    assert_eq!(new[0].sqlite.len(), 1);
    assert!(
        new[0].postgres.is_empty(),
        "the table stays on Postgres replicas: {:?}",
        new[0].postgres
    );
    database.unrecorded("ALTER TABLE items DROP COLUMN value; INSERT INTO items VALUES (2)");
    replica.must_agree();
    assert!(replica.shapes().is_empty());
    // And it may come back, in its new shape.
    let new = database.recorded("SELECT electric.enable('items')");
    assert_eq!(words(&new), [("create_table", "public.items")]);
    replica.must_agree();
}

#[test]
fn disabling_what_is_not_there_is_an_error_and_what_is_not_electrified_a_notice() {
    let database = database();
    database.refused(
        "SELECT electric.disable(4000000000::oid::regclass)",
        "42P01",
    );
    let (mut client, notices) = database.client_with_notices();
    run(
        &mut client,
        "CREATE TABLE t (id int PRIMARY KEY); SELECT electric.disable('t')",
    );
    assert!(
        notices.has(&["t", "not electrified"]),
        "{:?}",
        notices.all()
    );
    assert!(database.commands().is_empty());
}

#[test]
fn disabling_a_referenced_table_is_refused_with_the_names() {
    let database = database().items();
    run(
        &mut database.client(),
        "CREATE TABLE t (id int PRIMARY KEY, item int REFERENCES items); SELECT electric.enable('t')",
    );
    let error = database.refused("SELECT electric.disable('items')", "0A000");
    assert!(
        format!("{} {}", error.message, error.detail).contains("public.t"),
        "{error:?}"
    );
    run(
        &mut database.client(),
        "SELECT electric.disable('t'); SELECT electric.disable('items')",
    );
    assert_eq!(database.commands().len(), 4);
}
