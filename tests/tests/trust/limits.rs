//! How large texts, records and shapes may be, and what happens when memory runs out.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text};
use electric_tests::errors::describe;
use electric_tests::hostile::{self, Until};
use electric_tests::replica::Replica;

/// Addresses that each process of the server may have, in KiB: enough for texts of some hundred MB, not for copies of them.
const LIMIT: u64 = 1_500_000;

/// A server whose processes run out of memory, with the library in it.
fn limited(kib: u64) -> Cluster {
    let cluster = Cluster::builder().preload(true).make().unwrap();
    cluster.start_limited(kib).unwrap();
    cluster
}

/// Runs what may fail, with one of these codes. The server must go on, with all its sessions.
fn must_survive(database: &Database, sql: &str, codes: &[&str]) {
    let mut other = database.client();
    let mut client = database.client();
    if let Err(error) = client.batch_execute(sql) {
        let code = error.code().map_or("", |code| code.code());
        assert!(codes.contains(&code), "{sql}: {}", describe(&error));
        run(&mut client, "SELECT electric.status()");
    } else {
        assert!(codes.is_empty(), "passed: {sql}");
    }
    run(&mut other, "SELECT 1");
}

#[test]
fn fault_12_long_texts_are_refused_before_they_are_copied() {
    let cluster = limited(LIMIT);
    let database = cluster.database().items();
    let postmaster = cluster.postmaster_pid().unwrap();
    for call in [
        "electric.introspect(repeat('x', 60000000))",
        "electric.ddlx(repeat('ELECTRIC ENABLE m;', 10000000))",
        "electric.ddlx(repeat('ELECTRIC ENABLE m;', 60000))",
        "electric.check(repeat('select 1;', 7000000))",
        "electric.check(repeat('(', 60000000))",
        "electric.schema_sql(repeat('x', 60000000))",
        "electric.schema_sql('sqlite', repeat('x', 60000000))",
        "electric.migrations_since(repeat('x', 60000000))",
        "electric.migrations_since(NULL, repeat('x', 60000000))",
        "electric.grant('SELECT', 'items', 'anyone', condition => repeat('(', 60000000))",
        "electric.grant('SELECT', 'items', 'anyone', condition => repeat('id > 0 AND ', 200000) || 'true')",
        "electric.grant(repeat('SELECT,', 9000000), 'items', 'anyone')",
        "electric.revoke(repeat('SELECT,', 9000000), 'items', 'anyone')",
        "electric.assign('items', repeat('x', 60000000), role => 'member')",
        "electric.assign('items', 'value', role => 'member', condition => repeat('x', 60000000))",
        "electric.unassign('items', 'value', role_column => repeat('x', 60000000))",
    ] {
        must_survive(
            &database,
            &format!("SELECT {call}"),
            &["54000", "53200", "22023", "42704", "42703"],
        );
    }
    for call in [
        "electric.electrify(repeat('x', 60000000))",
        "electric.electrify('public', repeat('x', 60000000))",
        "electric.migration_version(repeat('x', 60000000))",
        "electric.subscribe(repeat('x', 60000000))",
    ] {
        must_survive(
            &database,
            &format!("CALL {call}"),
            &[
                "54000", "53200", "22023", "42602", "42601", "42P01", "0A000",
            ],
        );
    }
    must_survive(
        &database,
        "SELECT electric.set_migration_version(repeat('x', 60000000))",
        &["54000", "22023"],
    );
    // One text more than a limit's worth, and the limit itself.
    database.refused("SELECT electric.check(repeat(' ', 1048577))", "54000");
    run(
        &mut database.client(),
        "SELECT electric.check(repeat(' ', 1048576))",
    );
    assert_eq!(cluster.postmaster_pid().unwrap(), postmaster);
    let log = cluster.log();
    assert!(
        !log.contains("terminated by signal") && !log.contains("PANIC"),
        "{log}"
    );
}

#[test]
fn fault_12_texts_at_the_limit_do_not_grow_without_bound() {
    let cluster = limited(LIMIT);
    let database = cluster.database().items();
    for sql in [
        "SELECT electric.ddlx(repeat('ELECTRIC ENABLE m;', 58000))",
        "SELECT electric.ddlx(repeat('/*', 500000))",
        "SELECT electric.ddlx('ELECTRIC GRANT SELECT (' || repeat('a, ', 340000) || 'a) ON items TO ANYONE')",
        "SELECT electric.ddlx('ELECTRIC ENABLE ' || repeat('a.b, ', 200000) || 'a')",
        "SELECT electric.grant('SELECT', 'items', 'anyone', condition => repeat('(', 500000) || 'true' || repeat(')', 500000))",
        "SELECT electric.grant('SELECT', 'items', 'anyone', condition => repeat('NOT ', 250000) || 'true')",
        "SELECT electric.grant('SELECT', 'items', 'anyone', columns => array_fill('value'::text, ARRAY[3000000]))",
        "SELECT electric.grant('SELECT', 'items', 'anyone', using_path => array_fill('value'::text, ARRAY[3000000]))",
        "SELECT electric.enable(VARIADIC array_fill(0::regclass, ARRAY[5000000]))",
        "DO $$ BEGIN RAISE EXCEPTION USING MESSAGE = repeat('x', 1000000), ERRCODE = '53200'; END $$",
    ] {
        must_survive(
            &database,
            sql,
            &[
                "54000", "54001", "53200", "42601", "42P01", "42703", "0A000", "22004", "42701",
            ],
        );
    }
    for sql in [
        "SELECT count(*) FROM electric.check(repeat('()', 500000))",
        "SELECT count(*) FROM electric.check(repeat(';', 1000000))",
        "SELECT count(*) FROM electric.check(repeat('SELECT 1;', 3000))",
    ] {
        must_survive(&database, sql, &[]);
    }
    let log = cluster.log();
    assert!(
        !log.contains("terminated by signal") && !log.contains("PANIC"),
        "{log}"
    );
}

/// Memory that is nearly gone when our code begins, or goes while it runs: whatever the server raises must come through.
#[test]
fn fault_12_the_end_of_memory_is_an_error_of_one_statement() {
    let cluster = limited(450_000);
    let database = cluster.database().items();
    run(
        &mut database.client(),
        "CREATE TABLE many (id int PRIMARY KEY);
         SELECT electric.enable('many');
         DO $$ BEGIN FOR i IN 1 .. 30 LOOP
           EXECUTE format('ALTER TABLE many ADD COLUMN c%s text DEFAULT repeat(''x'', 1000)', i); END LOOP; END $$",
    );
    // Takes all memory but for a few pieces of so many MB, and runs the statement then.
    run(
        &mut database.client(),
        "CREATE FUNCTION hold(piece int, smallest int, statement text) RETURNS void LANGUAGE plpgsql AS $$
         DECLARE held text; BEGIN
           BEGIN held := repeat(repeat('x', 1000), piece * 1000); EXCEPTION WHEN out_of_memory THEN held := NULL; END;
           IF held IS NOT NULL THEN PERFORM hold(piece, smallest, statement);
           ELSIF piece > smallest THEN PERFORM hold(greatest(piece / 2, smallest), smallest, statement);
           ELSE EXECUTE statement; END IF;
         END $$",
    );
    let mut ends = std::collections::BTreeSet::new();
    for call in [
        "SELECT electric.introspect()",
        "SELECT electric.schema_sql('postgres')",
        "SELECT electric.check('ALTER TABLE items ADD COLUMN a int; SELECT 1; CREATE TABLE t (a int PRIMARY KEY)')",
        "SELECT electric.ddlx('ELECTRIC GRANT SELECT ON items TO ANYONE')",
        "SELECT electric.drift()",
        "SELECT electric.diagram()",
        "ALTER TABLE many ADD COLUMN one_more text DEFAULT repeat('y', 1000)",
        "CREATE INDEX ON many (c1, c2)",
        "SELECT electric.disable('many')",
    ] {
        for least in [1, 4, 6, 8, 20] {
            let sql = format!(
                "DO $do$ BEGIN PERFORM hold(32, {least}, $${call}$$); RAISE EXCEPTION 'done' USING ERRCODE = 'P0099'; END $do$"
            );
            let error = failure_of(&database, &sql);
            assert!(
                ["53200", "53400", "P0099", "54000"].contains(&error.as_str()),
                "{call}, {least}: {error}"
            );
            ends.insert(error);
        }
    }
    assert!(ends.contains("53200") && ends.contains("P0099"), "{ends:?}");
    let log = cluster.log();
    assert!(
        !log.contains("terminated by signal") && !log.contains("PANIC"),
        "{log}"
    );
}

fn failure_of(database: &Database, sql: &str) -> String {
    let mut client = database.client();
    let error = client.batch_execute(sql).expect_err(sql);
    let code = error
        .code()
        .map_or_else(|| describe(&error), |code| code.code().to_owned());
    run(&mut client, "SELECT 1");
    code
}

#[test]
fn fault_13_a_record_that_could_not_be_sent_is_not_made() {
    let database = Cluster::shared().database().items();
    run(
        &mut database.client(),
        "INSERT INTO items VALUES (1, 'x'); CREATE TYPE mood AS ENUM ('a'); ALTER TABLE items ADD COLUMN m mood;
         CREATE DOMAIN dom AS text",
    );
    for (what, sql) in [
        (
            "control characters of a default",
            "EXECUTE 'ALTER TABLE items ALTER value SET DEFAULT ' || quote_literal(repeat(chr(1), 46000000))",
        ),
        (
            "fewer of them, as JSON six bytes each",
            "EXECUTE 'ALTER TABLE items ALTER value SET DEFAULT ' || quote_literal(repeat(chr(1), 2500000))",
        ),
        (
            "quotes, which are doubled",
            "EXECUTE 'ALTER TABLE items ALTER value SET DEFAULT ' || quote_literal(repeat('''', 9000000))",
        ),
        (
            "a value that is evaluated",
            "ALTER TABLE items ALTER value SET DEFAULT repeat('x', 9000000)",
        ),
        (
            "a large value that is evaluated",
            "ALTER TABLE items ALTER value SET DEFAULT repeat('x', 200000000)",
        ),
        (
            "a value of other functions",
            "CREATE TABLE large (id int PRIMARY KEY, a bytea DEFAULT decode(repeat('00', 10000000), 'hex')); \
             PERFORM electric.enable('large')",
        ),
        (
            "a check",
            "EXECUTE 'CREATE TABLE large (id int PRIMARY KEY, a text CHECK (a <> ' || quote_literal(repeat('x', 20000000)) || '))'; \
             PERFORM electric.enable('large')",
        ),
        (
            "a column with a check",
            "EXECUTE 'ALTER TABLE items ADD COLUMN a text CHECK (a <> ' || quote_literal(repeat('y', 6000000)) || ')'",
        ),
        (
            "a default of a domain",
            "EXECUTE 'ALTER DOMAIN dom SET DEFAULT ' || quote_literal(repeat(chr(2), 4000000)); \
             CREATE TABLE large (id int PRIMARY KEY, a dom); PERFORM electric.enable('large')",
        ),
        (
            "a table that is new",
            "EXECUTE 'CREATE TABLE large (id int PRIMARY KEY, a text DEFAULT ' || quote_literal(repeat(chr(1), 3000000)) || ')'; \
             PERFORM electric.enable('large')",
        ),
        (
            "a statement",
            "CREATE TEMPORARY TABLE warm (n int); EXECUTE 'ALTER TABLE items /* ' || repeat('x', 17000000) || ' */ ADD COLUMN a text'",
        ),
        (
            "a statement for SQLite",
            "SELECT electric.ddlx('ELECTRIC SQLITE $x$ ' || repeat('x', 17000000) || '$x$')",
        ),
    ] {
        let error = database.refused(&format!("DO $$ BEGIN {sql}; END $$"), "54000");
        assert!(
            !error.hint.is_empty() || what == "a statement for SQLite",
            "{what}: {error:?}"
        );
    }
    // Under every policy, and where a table would be made anew for it.
    database.refused(
        "SET electric.policy = unrestricted; DO $$ BEGIN EXECUTE 'ALTER TABLE items ALTER value TYPE varchar, \
         ALTER value SET DEFAULT ' || quote_literal(repeat(chr(1), 4000000)); END $$",
        "54000",
    );
    let error = database.refused(
        "ALTER TABLE items ALTER value SET DEFAULT repeat('x', 9000000)",
        "54000",
    );
    error.message_names(&["items"]).hinted();
    // What fits goes over.
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut database.client(),
        "ALTER TABLE items ALTER value SET DEFAULT repeat('x', 1000000)",
    );
    replica.must_agree();
    let mut client = database.client();
    run(&mut client, "SET client_min_messages = error");
    assert_eq!(
        text(
            &mut client,
            "SELECT (max(length(op::text)) < 17000000)::text FROM electric.ddl_commands"
        ),
        "true"
    );
}

#[test]
fn fault_13_wide_tables_and_many_labels_fit() {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "DO $$ BEGIN
           EXECUTE 'CREATE TABLE wide (id int PRIMARY KEY, '
             || (SELECT string_agg(format('column_%s text DEFAULT ''a default of this column''', n), ', ') FROM generate_series(1, 1590) n) || ')';
           EXECUTE 'CREATE TYPE labels AS ENUM ('
             || (SELECT string_agg(format('''a label that is as long as labels may be: number %s''', n), ', ') FROM generate_series(1, 5000) n) || ')';
         END $$;
         CREATE TABLE labelled (id int PRIMARY KEY, l labels);
         SELECT electric.enable('wide', 'labelled'); ALTER TABLE wide ADD COLUMN one_more int;
         ALTER TYPE labels ADD VALUE 'one more'",
    );
    run(
        &mut database.client(),
        "SELECT electric.introspect(), electric.diagram(); SELECT electric.schema_sql(); SELECT electric.drift()",
    );
}

#[test]
fn fault_13_grants_of_a_table_have_room_for_so_much() {
    let database = Cluster::shared().database().items();
    let grant = |from: i32, to: i32| {
        let roles: Vec<String> = (from..to).map(|n| format!("'role{n}'")).collect();
        format!(
            "SELECT electric.ddlx($$ELECTRIC GRANT SELECT ON items TO {} WHERE (value <> '$$ || repeat('x', 1000000) || $$')$$)",
            roles.join(", ")
        )
    };
    run(&mut database.client(), &grant(0, 4));
    let error = database.refused(&grant(4, 20), "54000");
    error.message_names(&["items"]).hinted();
    // Less is always possible.
    run(
        &mut database.client(),
        "SELECT electric.revoke('SELECT', 'items', 'role1')",
    );
    database.history_is_sound();
}

/// A short run of what `cargo run -p electric_tests --bin hostile` does for ten minutes.
#[test]
fn fault_12_hostile_values_end_no_server() {
    let outcome = hostile::attack(17, Until::Calls(250)).unwrap();
    assert!(outcome.errors > 50 && outcome.limited > 5, "{outcome:?}");
}

/// What looks at an expression goes down it without the server's walkers in between: their error would end the server.
#[test]
fn fault_12_expressions_that_exhaust_the_stack_are_an_error_of_one_statement() {
    let cluster = Cluster::builder().preload(true).start().unwrap();
    let database = cluster.database().items();
    let began = "SELECT pg_postmaster_start_time()::text";
    let before = text(&mut database.client(), began);
    for depth in [150, 500, 900, 2000, 5000] {
        let nested = format!("{}1{}", "(1 + ".repeat(depth), ")".repeat(depth));
        let calls = format!("{}1{}", "abs(".repeat(depth), ")".repeat(depth));
        for sql in [
            format!("ALTER TABLE items ADD COLUMN a int DEFAULT {nested}"),
            format!("ALTER TABLE items ADD COLUMN b int DEFAULT {calls}"),
            format!("ALTER TABLE items ALTER id SET DEFAULT {nested}"),
            format!("CREATE INDEX ON items ((id + {nested}))"),
            format!(
                "CREATE TABLE checked (id int PRIMARY KEY CHECK (id > {calls})); SELECT electric.enable('checked')"
            ),
            format!("ALTER TABLE items ADD CONSTRAINT c CHECK (id > {nested}) NOT VALID"),
            format!(
                "SELECT * FROM electric.check('ALTER TABLE items ADD COLUMN d int DEFAULT {nested}')"
            ),
            format!(
                "SELECT electric.grant('SELECT', 'items', 'reader', condition => 'id > {nested}')"
            ),
        ] {
            // Some are within what the server takes; none ends it.
            let _ = database.client().batch_execute(&sql);
        }
    }
    // Nobody's recursion brings a function of ours to the edge of the stack and the server down.
    run(
        &mut database.client(),
        "CREATE FUNCTION down(n int, sql text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN \
             IF n = 0 THEN EXECUTE sql; ELSE PERFORM down(n - 1, sql); END IF; END $$",
    );
    let mut client = database.client();
    let mut reaches = |depth: i32, sql: &str| {
        let call = format!("SELECT down({depth}, '{sql}')");
        client.batch_execute(&call).is_ok()
    };
    for sql in [
        "SELECT electric.drift()",
        "SELECT electric.introspect()",
        "ALTER TABLE items ADD COLUMN IF NOT EXISTS e int DEFAULT abs(1)",
        "SELECT electric.grant(''SELECT'', ''items'', ''x'', condition => ''id > abs(id)'')",
    ] {
        let (mut within, mut beyond) = (0, 20_000);
        while beyond - within > 1 {
            let middle = (within + beyond) / 2;
            if reaches(middle, sql) {
                within = middle;
            } else {
                beyond = middle;
            }
        }
        for depth in within.saturating_sub(12)..within + 3 {
            reaches(depth, sql);
        }
    }
    assert_eq!(text(&mut database.client(), began), before);
    assert!(!cluster.log().contains("terminated by signal"));
}
