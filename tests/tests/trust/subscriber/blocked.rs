//! What the stream did not make on a subscriber is never dropped, changed or written; everything else goes on.

use electric_tests::database::wait_until;

use super::*;

#[test]
fn fault_11_a_name_that_is_taken_stops_that_table_alone() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    subscriber.run(
        "CREATE TABLE a_table (id int, own text); INSERT INTO a_table VALUES (7, 'own'); \
         CREATE TABLE like_it (id int PRIMARY KEY, v text); INSERT INTO like_it VALUES (7, 'own'); \
         CREATE VIEW a_view AS SELECT 1 AS id; CREATE MATERIALIZED VIEW a_matview AS SELECT 1 AS id; \
         CREATE SEQUENCE a_sequence; CREATE INDEX an_index ON a_table (id); CREATE TYPE a_composite AS (id int); \
         CREATE DOMAIN a_domain AS int; CREATE TYPE an_enum AS ENUM ('x')",
    );
    let names = [
        "a_table",
        "like_it",
        "a_view",
        "a_matview",
        "a_sequence",
        "an_index",
        "a_composite",
        "a_domain",
        "an_enum",
    ];
    let mut client = publisher.client();
    for name in names {
        run(
            &mut client,
            &format!(
                "BEGIN; CREATE TABLE {name} (id int PRIMARY KEY, v text); SELECT electric.enable('{name}'); \
                 INSERT INTO {name} VALUES (1, 'first'); COMMIT; INSERT INTO {name} VALUES (2, 'second'); \
                 ALTER TABLE {name} ADD COLUMN w int; UPDATE {name} SET w = 3 WHERE id = 1; DELETE FROM {name} WHERE id = 2; \
                 TRUNCATE {name}; INSERT INTO {name} VALUES (4, 'fourth', 5)"
            ),
        );
    }
    run(
        &mut client,
        "CREATE TABLE refers (id int PRIMARY KEY, to_it int REFERENCES a_view); INSERT INTO refers VALUES (1, 4); \
         SELECT electric.enable('refers'); INSERT INTO refers VALUES (2, 4); \
         CREATE TABLE fine (id int PRIMARY KEY); SELECT electric.enable('fine'); INSERT INTO fine VALUES (9)",
    );
    subscriber.caught_up(&publisher);
    subscriber.rows_come("fine", "(9)");
    let mut blocked: Vec<&str> = names.to_vec();
    blocked.push("refers");
    blocked.sort_unstable();
    let shown = blocked.iter().map(|name| format!("public.{name}"));
    assert_eq!(subscriber.blocked(), shown.collect::<Vec<_>>().join(" "));
    // Nothing was touched.
    assert_eq!(
        subscriber.ask("SELECT string_agg(t::text, ' ') FROM a_table AS t"),
        "(7,own)"
    );
    assert_eq!(
        subscriber.ask("SELECT string_agg(t::text, ' ') FROM like_it AS t"),
        "(7,own)"
    );
    assert_eq!(subscriber.ask("SELECT id::text FROM a_view"), "1");
    assert_eq!(subscriber.ask("SELECT count(*)::text FROM a_matview"), "1");
    assert_eq!(subscriber.ask("SELECT 5::a_domain::text"), "5");
    let log = subscriber.0.cluster().log();
    assert!(
        log.contains("public.a_view of the publisher is blocked here"),
        "{log}"
    );

    for (call, sqlstate) in [
        ("CALL electric.unblock('public.a_view')", "55006"),
        ("CALL electric.unblock('public.items')", "42704"),
        ("CALL electric.unblock('nothing')", "42704"),
        ("CALL electric.unblock('public.refers')", "55000"),
        ("BEGIN; CALL electric.unblock('public.a_view')", "25001"),
    ] {
        subscriber.0.refused(call, sqlstate);
    }
    let nobody = subscriber.0.role("nobody");
    let mut client_of_nobody = subscriber.0.client_as(&nobody);
    subscriber.0.refused_by(
        &mut client_of_nobody,
        "CALL electric.unblock('public.a_view')",
        "42501",
    );

    subscriber.run(
        "DROP VIEW a_view; ALTER TABLE a_table RENAME TO own_table; DROP TYPE a_composite; ALTER TABLE like_it RENAME TO own_like_it",
    );
    subscriber
        .0
        .refused("CALL electric.unblock('like_it')", "55006");
    subscriber.run("ALTER INDEX like_it_pkey RENAME TO own_like_it_pkey");
    for name in ["public.a_view", "a_table", "public.a_composite", "like_it"] {
        subscriber.run(&format!("CALL electric.unblock('{name}')"));
    }
    for name in ["a_view", "a_table", "a_composite", "like_it"] {
        subscriber.rows_come(name, "(4,fourth,5)");
    }
    subscriber.rows_come("refers", "(1,4) (2,4)");
    run(
        &mut client,
        "INSERT INTO a_view VALUES (5, 'fifth', 6); INSERT INTO refers VALUES (3, 5); ALTER TABLE a_view ADD COLUMN x int DEFAULT 8",
    );
    subscriber.rows_come("a_view", "(4,fourth,5,8) (5,fifth,6,8)");
    subscriber.rows_come("refers", "(1,4) (2,4) (3,5)");
    assert_eq!(
        subscriber.ask("SELECT string_agg(t::text, ' ') FROM own_table AS t"),
        "(7,own)"
    );
    assert_eq!(
        subscriber.blocked(),
        "public.a_domain public.a_matview public.a_sequence public.an_enum public.an_index"
    );
}

#[test]
fn fault_11_what_was_disabled_and_is_used_here_makes_way_with_all_that_hangs_on_it() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    let mut client = publisher.client();
    run(
        &mut client,
        "CREATE TYPE mood AS ENUM ('ok'); \
         CREATE TABLE accounts (id serial PRIMARY KEY, m mood, code text UNIQUE); CREATE INDEX by_code ON accounts (code); \
         SELECT electric.enable('accounts'); INSERT INTO accounts (m, code) VALUES ('ok', 'a'), ('ok', 'b'); \
         SELECT electric.disable('accounts'); DROP TABLE accounts; DROP TYPE mood",
    );
    subscriber.caught_up(&publisher);
    subscriber.rows_come("accounts", "(1,ok,a) (2,ok,b)");
    let owner = subscriber.0.role("owner");
    subscriber.run(&format!(
        "ALTER TABLE accounts OWNER TO {owner}; CREATE VIEW of_accounts AS SELECT id, code FROM accounts; \
         CREATE TABLE orders (id int PRIMARY KEY, account int REFERENCES accounts ON DELETE CASCADE); INSERT INTO orders VALUES (1, 1); \
         INSERT INTO accounts VALUES (3, 'ok', 'own')"
    ));
    // Somebody else makes a table of that name, twice.
    for round in 1..=2 {
        run(
            &mut client,
            "CREATE TYPE mood AS ENUM ('other'); CREATE TABLE accounts (id serial PRIMARY KEY, hacked mood, code text UNIQUE); \
             CREATE INDEX by_code ON accounts (code); SELECT electric.enable('accounts'); INSERT INTO accounts (hacked) VALUES ('other')",
        );
        subscriber.caught_up(&publisher);
        if round == 1 {
            // It belongs to somebody else now: it is not made to make way.
            assert_eq!(subscriber.blocked(), "public.accounts");
            assert_eq!(subscriber.ask("SELECT count(*)::text FROM accounts"), "3");
            subscriber.run("ALTER TABLE accounts OWNER TO electric_replica");
            subscriber.run("CALL electric.unblock('public.accounts')");
        }
        subscriber.rows_come("accounts", "(1,other,)");
        run(
            &mut client,
            "SELECT electric.disable('accounts'); DROP TABLE accounts; DROP TYPE mood",
        );
    }
    assert_eq!(
        subscriber.ask("SELECT string_agg(t::text, ' ' ORDER BY id) FROM of_accounts AS t"),
        "(1,a) (2,b) (3,own)"
    );
    assert_eq!(
        subscriber.ask("SELECT string_agg(t::text, ' ') FROM accounts_old_1 AS t"),
        "(1,ok,a) (2,ok,b) (3,ok,own)"
    );
    assert_eq!(
        subscriber.ask("SELECT string_agg(t::text, ' ') FROM accounts_old_2 AS t"),
        "(1,other,)"
    );
    assert_eq!(
        subscriber.ask("SELECT string_agg(confrelid::regclass::text, ' ') FROM pg_constraint WHERE conrelid = 'orders'::regclass AND contype = 'f'"),
        "accounts_old_1"
    );
    assert_eq!(subscriber.ask("SELECT count(*)::text FROM orders"), "1");
}

#[test]
fn fault_11_a_table_that_is_made_anew_keeps_what_users_hung_on_the_old_one() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    let mut client = publisher.client();
    run(
        &mut client,
        "CREATE TABLE parent (id int PRIMARY KEY, v text); CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent); \
         SELECT electric.enable('parent', 'child'); INSERT INTO parent VALUES (1, 'a'); INSERT INTO child VALUES (1, 1)",
    );
    subscriber.caught_up(&publisher);
    subscriber.run(
        "CREATE VIEW of_parent AS SELECT * FROM parent; CREATE TABLE own (id int PRIMARY KEY, p int REFERENCES parent); INSERT INTO own VALUES (1, 1)",
    );
    run(
        &mut client,
        "SET electric.policy = 'unrestricted'; ALTER TABLE parent DROP COLUMN v; INSERT INTO parent VALUES (2); INSERT INTO child VALUES (2, 2)",
    );
    subscriber.rows_come("parent", "(1) (2)");
    subscriber.rows_come("child", "(1,1) (2,2)");
    assert_eq!(
        subscriber.ask("SELECT of_parent::text FROM of_parent"),
        "(1,a)"
    );
    assert_eq!(
        subscriber.ask("SELECT string_agg(conrelid::regclass || '>' || confrelid::regclass, ' ' ORDER BY conname) FROM pg_constraint WHERE contype = 'f'"),
        "child>parent own>parent_old_1"
    );
    assert_eq!(
        subscriber.ask("SELECT count(*)::text FROM electric.drift()"),
        "0"
    );
}

#[test]
fn fault_11_what_is_in_the_way_of_a_table_that_follows() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    let mut client = publisher.client();
    run(
        &mut client,
        "CREATE SCHEMA app; CREATE TYPE mood AS ENUM ('ok'); \
         CREATE TABLE one (id int PRIMARY KEY, v text); CREATE TABLE two (id int PRIMARY KEY, one int REFERENCES one); \
         CREATE TABLE three (id int PRIMARY KEY); CREATE TABLE four (id int PRIMARY KEY, m mood); \
         SELECT electric.enable('one', 'two', 'three', 'four'); \
         INSERT INTO one VALUES (1, 'a'); INSERT INTO two VALUES (1, 1); INSERT INTO three VALUES (1); INSERT INTO four VALUES (1, 'ok')",
    );
    subscriber.caught_up(&publisher);
    let owner = subscriber.0.role("owner");
    subscriber.run(&format!(
        "CREATE TABLE elsewhere (id int); CREATE INDEX wanted ON elsewhere (id); CREATE SCHEMA others AUTHORIZATION {owner}; \
         CREATE SEQUENCE taken_seq; CREATE COLLATION sorted (locale = 'C')"
    ));
    run(
        &mut client,
        "CREATE INDEX wanted ON one (v); INSERT INTO one VALUES (2, 'b'); INSERT INTO two VALUES (2, 2); \
         CREATE SEQUENCE taken_seq; ALTER TABLE three ADD COLUMN n int; ALTER TABLE three ALTER n SET DEFAULT nextval('taken_seq'); \
         INSERT INTO three (id) VALUES (2); INSERT INTO four VALUES (2, 'ok'); \
         CREATE SCHEMA others; CREATE TABLE others.t (id int PRIMARY KEY); SELECT electric.enable('others.t'); INSERT INTO others.t VALUES (1); \
         CREATE COLLATION sorted (locale = 'C'); CREATE TABLE five (id int PRIMARY KEY, v text COLLATE sorted); \
         SELECT electric.enable('five'); INSERT INTO five VALUES (1, 'x')",
    );
    subscriber.caught_up(&publisher);
    subscriber.rows_come("four", "(1,ok) (2,ok)");
    assert_eq!(
        subscriber.blocked(),
        "others.t public.five public.one public.three public.two"
    );
    // It stands as it was.
    assert_eq!(
        subscriber.ask("SELECT string_agg(t::text, ' ') FROM one AS t"),
        "(1,a)"
    );
    let reason = "SELECT b ->> 'reason' FROM jsonb_array_elements(electric.status() #> '{subscriber,blocked}') AS b WHERE b ->> 'name' = 'others.t'";
    let reason = subscriber.ask(reason);
    assert!(
        reason.contains("GRANT USAGE, CREATE ON SCHEMA others TO electric_replica"),
        "{reason}"
    );
    subscriber.run(
        "DROP TABLE elsewhere; DROP SEQUENCE taken_seq; DROP COLLATION sorted; GRANT USAGE, CREATE ON SCHEMA others TO electric_replica",
    );
    for name in ["one", "three", "others.t", "five"] {
        subscriber.run(&format!("CALL electric.unblock('{name}')"));
    }
    subscriber.rows_come("one", "(1,a) (2,b)");
    subscriber.rows_come("two", "(1,1) (2,2)");
    subscriber.rows_come("three", "(1,) (2,1)");
    subscriber.rows_come("others.t", "(1)");
    subscriber.rows_come("five", "(1,x)");
    assert_eq!(subscriber.blocked(), "");
    assert_eq!(
        subscriber.ask("SELECT count(*)::text FROM electric.drift()"),
        "0"
    );
}

#[test]
fn fault_11_a_type_that_is_taken_or_was_replaced_is_not_the_streams() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    let mut client = publisher.client();
    subscriber.run("CREATE TYPE taken AS ENUM ('own'); CREATE DOMAIN also AS text");
    run(
        &mut client,
        "CREATE TYPE taken AS ENUM ('ok'); CREATE DOMAIN also AS int; CREATE TABLE t (id int PRIMARY KEY, a taken[]); \
         CREATE TABLE u (id int PRIMARY KEY, a also); SELECT electric.enable('t', 'u'); \
         INSERT INTO t VALUES (1, '{ok}'); ALTER TYPE taken ADD VALUE 'more'; INSERT INTO u VALUES (1, 2)",
    );
    subscriber.caught_up(&publisher);
    assert_eq!(
        subscriber.blocked(),
        "public.also public.t public.taken public.u"
    );
    assert_eq!(
        subscriber.ask("SELECT enum_range(NULL::taken)::text"),
        "{own}"
    );
    subscriber
        .0
        .refused("CALL electric.unblock('public.t')", "55000")
        .hinted();
    subscriber.run("DROP TYPE taken; DROP DOMAIN also");
    subscriber.run("CALL electric.unblock('public.taken')");
    subscriber.run("CALL electric.unblock('public.also')");
    subscriber.rows_come("t", "(1,{ok})");
    subscriber.rows_come("u", "(1,2)");
    assert_eq!(
        subscriber.ask("SELECT enum_range(NULL::taken)::text"),
        "{ok,more}"
    );
    assert!(!subscriber.is_there("t_old_1"));
}

#[test]
fn fault_11_a_server_that_cannot_pass_a_table_over_after_a_restart_is_told_so() {
    let publisher = publisher();
    for preload in [false, true] {
        let cluster = Cluster::builder().preload(preload).start().unwrap();
        let database = cluster.database();
        let (mut client, notices) = database.client_with_notices();
        let call = format!("CALL electric.subscribe('{}')", conninfo(&publisher));
        run(&mut client, &call);
        let _subscriber = Subscriber(database);
        assert_eq!(
            notices.has(&["not preloaded", "shared_preload_libraries"]),
            !preload,
            "{:?}",
            notices.all()
        );
    }
}

/// Whoever may use a schema can make a type of a table's rows, or a view of its columns.
#[test]
fn fault_11_what_hangs_on_a_table_here_stops_that_table_alone() {
    for (local, change) in [
        (
            "CREATE TABLE other.x (x wanted)",
            "ALTER TABLE wanted ADD COLUMN more int DEFAULT 3",
        ),
        (
            "CREATE VIEW other.x AS SELECT n FROM wanted",
            "SET electric.policy = 'compatible'; ALTER TABLE wanted ALTER n TYPE bigint",
        ),
        (
            "CREATE TABLE other.x (n int REFERENCES wanted (n))",
            "SET electric.policy = 'compatible'; ALTER TABLE wanted DROP CONSTRAINT wanted_n_key",
        ),
    ] {
        let publisher = publisher();
        run(
            &mut publisher.client(),
            "CREATE TABLE wanted (id int PRIMARY KEY, n int UNIQUE); INSERT INTO wanted VALUES (1, 1); SELECT electric.enable('wanted')",
        );
        let subscriber = Subscriber::of(&publisher);
        let role = subscriber.0.role("other");
        subscriber.run(&format!(
            "CREATE SCHEMA other AUTHORIZATION {role}; GRANT ALL ON wanted TO {role}; SET ROLE {role}; {local}"
        ));
        run(&mut publisher.client(), change);
        subscriber.caught_up(&publisher);
        assert_eq!(subscriber.blocked(), "public.wanted", "{local}");
        run(
            &mut publisher.client(),
            "INSERT INTO wanted VALUES (2, 2); UPDATE wanted SET n = n + 10",
        );
        subscriber.caught_up(&publisher);
        subscriber.run("DROP SCHEMA other CASCADE");
        subscriber.run("CALL electric.unblock('wanted')");
        let rows = text(
            &mut publisher.client(),
            "SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM wanted AS t",
        );
        subscriber.rows_come("wanted", &rows);
    }
}

#[test]
fn fault_11_a_schema_that_is_not_there_yet_is_not_in_the_way_of_passing_a_table_over() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    subscriber.run("CREATE TYPE kind AS ENUM ('mine')");
    run(
        &mut publisher.client(),
        "CREATE TYPE kind AS ENUM ('q'); CREATE SCHEMA \"New\"; CREATE TABLE \"New\".t (id int PRIMARY KEY, k kind); \
         SELECT electric.enable('\"New\".t'); INSERT INTO \"New\".t VALUES (1, 'q')",
    );
    subscriber.caught_up(&publisher);
    assert_eq!(subscriber.blocked(), "\"New\".t public.kind");
    subscriber.run("DROP TYPE kind");
    subscriber.run("CALL electric.unblock('kind')");
    subscriber.rows_come("\"New\".t", "(1,q)");
}

#[test]
fn fault_11_a_database_that_is_read_only_by_default_follows() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    subscriber.run(&format!(
        "ALTER DATABASE {} SET default_transaction_read_only = on",
        subscriber.0.name()
    ));
    let end = "SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'logical replication worker'";
    wait_until("the worker begins anew", || subscriber.ask(end) == "1");
    run(
        &mut publisher.client(),
        "ALTER TABLE items ADD COLUMN n int DEFAULT 3; CREATE TABLE more (id int PRIMARY KEY); INSERT INTO more VALUES (1); \
         SELECT electric.enable('more'); SET electric.policy = 'unrestricted'; ALTER TABLE items DROP COLUMN value",
    );
    subscriber.rows_come("items", "(1,3)");
    subscriber.rows_come("more", "(1)");
    subscriber.run(&format!(
        "SET default_transaction_read_only = off; BEGIN READ WRITE; ALTER DATABASE {} RESET default_transaction_read_only; COMMIT",
        subscriber.0.name()
    ));
}

/// Whoever owns a table on the publisher may have rows under a CHECK that is NOT VALID, and none of them stops a copy.
#[test]
fn fault_11_rows_under_checks_that_are_not_valid_are_copied() {
    let publisher = publisher();
    let mut client = publisher.client();
    run(
        &mut client,
        "CREATE DOMAIN word AS text; CREATE TABLE before (id int PRIMARY KEY, b int, w word); INSERT INTO before VALUES (1, -1, ''); \
         ALTER TABLE before ADD CONSTRAINT positive CHECK (b > 0) NOT VALID, ADD CONSTRAINT small CHECK (b < 0) NOT VALID; \
         ALTER DOMAIN word ADD CONSTRAINT filled CHECK (VALUE <> '') NOT VALID; SELECT electric.enable('before')",
    );
    let subscriber = Subscriber::of(&publisher);
    subscriber.rows_come("before", "(1,-1,\"\")");
    run(
        &mut client,
        "CREATE TABLE after (id int PRIMARY KEY, b int); INSERT INTO after VALUES (1, -1); \
         ALTER TABLE after ADD CONSTRAINT positive CHECK (b > 0) NOT VALID; SELECT electric.enable('after'); INSERT INTO after VALUES (2, 2)",
    );
    subscriber.rows_come("after", "(1,-1) (2,2)");
    run(
        &mut client,
        "SET electric.policy = 'compatible'; ALTER TABLE before DROP CONSTRAINT small; \
         UPDATE before SET b = 1 WHERE b < 0; UPDATE after SET b = 1 WHERE b < 0; ALTER TABLE before VALIDATE CONSTRAINT positive; \
         ALTER TABLE after VALIDATE CONSTRAINT positive; ALTER TABLE after DROP CONSTRAINT positive; INSERT INTO after VALUES (3, 3)",
    );
    subscriber.rows_come("before", "(1,1,\"\")");
    subscriber.rows_come("after", "(1,1) (2,2) (3,3)");
    let checks = "SELECT string_agg(conname || ' ' || convalidated, ' ') FROM pg_constraint WHERE contype = 'c' AND conrelid IN ('before'::regclass, 'after'::regclass)";
    assert_eq!(subscriber.ask(checks), "positive true");
    assert_eq!(
        subscriber.ask("SELECT count(*)::text FROM electric.drift()"),
        "0"
    );
    assert_eq!(subscriber.blocked(), "");
}
