//! What records tell, and to whom.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text};
use electric_tests::errors::failure;
use postgres::Client;

/// What must be in no record.
const SECRET: &str = "S3CRET";

/// A database with tables `t1` and `t2`, and functions that electrify what they are given, by many ways.
fn database() -> Database<'static> {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "CREATE TABLE t1 (id int PRIMARY KEY, v text); CREATE TABLE t2 (id int PRIMARY KEY, v text);
         CREATE FUNCTION by_if(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
           IF electric.enable('t1') IS NULL THEN RETURN 'null'; END IF; RETURN ''; END $$;
         CREATE FUNCTION by_value(text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE x text; BEGIN
           x := electric.enable('t1'); RETURN x; END $$;
         CREATE FUNCTION by_query(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
           PERFORM electric.enable(c.oid) FROM pg_class c WHERE c.relname = 't1' AND $1 <> ''; RETURN ''; END $$;
         CREATE FUNCTION by_sql(text) RETURNS void LANGUAGE sql AS $$ SELECT electric.enable('t1') $$;
         CREATE FUNCTION by_body(text) RETURNS void LANGUAGE sql BEGIN ATOMIC SELECT electric.enable('t1'); END;
         CREATE FUNCTION by_execute(text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
           EXECUTE 'SELECT ''S3CRET'', electric.enable($1)' USING 't1'::regclass; END $$;
         CREATE FUNCTION enable(text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM electric.enable('t1'); END $$;
         CREATE FUNCTION by_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           PERFORM electric.enable('t1'); RETURN NEW; END $$;
         CREATE TABLE keys (key text); CREATE TRIGGER t BEFORE INSERT ON keys FOR EACH ROW EXECUTE FUNCTION by_trigger();
         CREATE TABLE secrets (name regclass, key text); INSERT INTO secrets VALUES ('t1', 'S3CRET');
         CREATE VIEW looks AS SELECT key, electric.enable(name)::text AS done FROM secrets;
         CREATE PROCEDURE by_procedure(text) LANGUAGE plpgsql AS $$ BEGIN CALL electric.electrify('t1'); END $$",
    );
    database
}

/// The text of the last record.
fn last_query(client: &mut Client) -> String {
    text(
        client,
        "SELECT query FROM electric.ddl_commands ORDER BY id DESC LIMIT 1",
    )
}

fn tells(around: &str, expected: &str) {
    let database = database();
    for mut client in [database.client(), warm(&database)] {
        run(&mut client, around);
        assert_eq!(last_query(&mut client), expected, "{around}");
        run(&mut client, "SELECT electric.disable('t1')");
    }
    let told = text(
        &mut database.client(),
        "SELECT string_agg(query, ' | ') FROM electric.ddl_commands",
    );
    assert!(!told.contains(SECRET), "{around}: {told}");
}

/// A session that has loaded the library by a command of its own.
fn warm(database: &Database) -> Client {
    let mut client = database.client();
    run(&mut client, "CREATE TEMPORARY TABLE warm (n int)");
    client
}

#[test]
fn fault_15_code_around_a_call_is_not_told() {
    for around in [
        "DO $$ DECLARE x text; k text := 'S3CRET'; BEGIN x := electric.enable('t1'); END $$",
        "DO $$ BEGIN IF electric.enable('t1') IS NULL THEN RAISE NOTICE 'S3CRET'; END IF; END $$",
        "DO $$ BEGIN PERFORM 'S3CRET', electric.enable('t1'); END $$",
        "DO $$ BEGIN EXECUTE 'DO $i$ BEGIN PERFORM electric.enable(''t1''), ''S3CRET''; END $i$'; END $$",
        "SELECT by_if('S3CRET')",
        "SELECT by_value('S3CRET')",
        "SELECT by_query('S3CRET')",
        "SELECT by_sql('S3CRET')",
        "SELECT by_body('S3CRET')",
        "SELECT by_execute('S3CRET')",
        "SELECT public.enable('S3CRET')",
        "SELECT enable('S3CRET')",
        "INSERT INTO keys VALUES ('S3CRET')",
        "CREATE TEMPORARY TABLE made AS SELECT by_value('S3CRET'); DROP TABLE made",
    ] {
        tells(around, "SELECT electric.enable('public.t1')");
    }
    tells(
        "CALL by_procedure('S3CRET')",
        "CALL electric.electrify('public.t1')",
    );
}

#[test]
fn fault_15_a_statement_with_more_than_the_call_is_not_told() {
    for around in [
        "SELECT electric.enable(name), key FROM secrets WHERE key = 'S3CRET'",
        "SELECT electric.enable(name) FROM secrets WHERE key = 'S3CRET'",
        "SELECT 'S3CRET', electric.enable('t1')",
        "SELECT electric.enable('t1') WHERE 'S3CRET' <> ''",
        "SELECT * FROM electric.enable('t1'), (SELECT 'S3CRET') AS s",
        "WITH k AS (SELECT 'S3CRET') SELECT electric.enable('t1')",
        "SELECT done FROM looks WHERE key = 'S3CRET'",
        "SELECT electric.enable(split_part('t1/S3CRET', '/', 1)::regclass)",
        "SELECT electric.enable('t1') UNION ALL SELECT NULL WHERE 'S3CRET' = ''",
        "SELECT coalesce(electric.enable('t1')::text, 'S3CRET')",
        "CREATE TEMPORARY TABLE made ON COMMIT DROP AS SELECT electric.enable('t1')::text AS done, 'S3CRET' AS key",
        "EXPLAIN (ANALYZE, COSTS OFF) SELECT electric.enable('t1'), 'S3CRET'",
        "PREPARE p AS SELECT electric.enable($1::text::regclass), $2::text; EXECUTE p('t1', 'S3CRET'); DEALLOCATE p",
        "BEGIN; DECLARE c CURSOR FOR SELECT electric.enable('t1'), 'S3CRET'; FETCH c; COMMIT",
    ] {
        tells(around, "SELECT electric.enable('public.t1')");
    }
}

#[test]
fn fault_15_parameters_are_told_as_what_they_are() {
    let database = database();
    let mut client = database.client();
    client
        .execute("SELECT electric.enable($1::text::regclass)", &[&"t1"])
        .unwrap();
    assert_eq!(
        last_query(&mut client),
        "SELECT electric.enable('public.t1')"
    );
    client
        .execute(
            "SELECT electric.grant($1, $2::text::regclass, $3, condition => $4), 'S3CRET'",
            &[&"SELECT", &"t1", &"anyone", &"v = 'it''s'"],
        )
        .unwrap();
    assert_eq!(
        last_query(&mut client),
        "SELECT electric.grant('SELECT', 'public.t1', 'anyone', condition => 'v = ''it''''s''')"
    );
    client
        .execute("CALL electric.electrify($1)", &[&"t2"])
        .unwrap();
    assert_eq!(
        last_query(&mut client),
        "CALL electric.electrify('public.t2')"
    );
}

#[test]
fn fault_15_other_functions_are_told_alike() {
    let database = database();
    run(&mut database.client(), "SELECT electric.enable('t1', 't2')");
    for (call, expected) in [
        (
            "PERFORM electric.grant('SELECT', 't1', 'anyone', columns => ARRAY['id', 'v'])",
            "SELECT electric.grant('SELECT', 'public.t1', 'anyone', columns => ARRAY['id', 'v'])",
        ),
        (
            "PERFORM electric.revoke('SELECT', 't1', 'anyone', columns => ARRAY['id', 'v'])",
            "SELECT electric.revoke('SELECT', 'public.t1', 'anyone', columns => ARRAY['id', 'v'])",
        ),
        (
            "PERFORM electric.assign('t1', 'v', role => 'member')",
            "SELECT electric.assign('public.t1', 'v', role => 'member')",
        ),
        (
            "PERFORM electric.unassign('t1', 'v', role => 'member')",
            "SELECT electric.unassign('public.t1', 'v', role => 'member')",
        ),
        (
            "PERFORM electric.ddlx('ELECTRIC GRANT SELECT ON t2 TO ANYONE')",
            "ELECTRIC GRANT SELECT ON t2 TO ANYONE",
        ),
        (
            "PERFORM electric.disable('t1')",
            "SELECT electric.disable('public.t1')",
        ),
        (
            "CALL electric.electrify('public', 't1')",
            "CALL electric.electrify('public', 't1')",
        ),
        (
            "EXECUTE 'ALTER TABLE t1 ADD COLUMN n int'",
            "ALTER TABLE t1 ADD COLUMN n int",
        ),
    ] {
        for mut client in [warm(&database), database.client()] {
            run(
                &mut client,
                &format!("BEGIN; DO $$ DECLARE key text := 'S3CRET'; BEGIN {call}; END $$"),
            );
            assert_eq!(last_query(&mut client), expected, "{call}");
            run(&mut client, "ROLLBACK");
        }
        run(
            &mut database.client(),
            &format!("DO $$ BEGIN {call}; END $$"),
        );
    }
}

#[test]
fn fault_15_a_call_by_itself_keeps_its_own_words() {
    let database = database();
    let mut client = database.client();
    for sql in [
        "SELECT electric.enable('t1')",
        "SELECT electric.disable('t1')",
        "select electric.enable( 'public.t1'::regclass ) AS done",
        "SELECT electric.enable(VARIADIC ARRAY['t1', 't2']::regclass[])",
        "SELECT electric.grant('select', 't1', 'anyone', NULL, condition => 'id > 0')",
        "SELECT electric.disable(relation => 't1')",
        "CALL electric.electrify('t1')",
    ] {
        run(&mut client, sql);
        if sql.contains("VARIADIC") {
            run(&mut client, "SELECT electric.disable('t2')");
        } else {
            assert_eq!(last_query(&mut client), sql);
        }
    }
}

#[test]
fn fault_15_what_runs_because_of_ours_has_words_of_its_own() {
    let database = database();
    run(
        &mut database.client(),
        "CREATE FUNCTION more() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
           IF NOT EXISTS (SELECT FROM electric.electrified WHERE relation = 't2'::regclass) THEN
             PERFORM electric.enable('t2'); ALTER TABLE t2 ADD COLUMN w int; END IF; END $$;
         CREATE EVENT TRIGGER zz ON ddl_command_end WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION more()",
    );
    for sql in [
        "SELECT electric.enable('t1')",
        "SELECT electric.ddlx('ELECTRIC ENABLE t1')",
    ] {
        let mut client = database.client();
        run(&mut client, &format!("BEGIN; {sql}"));
        let told = text(
            &mut client,
            "SELECT string_agg(relation || ': ' || query, ' | ' ORDER BY id) FROM electric.ddl_commands",
        );
        assert!(
            told.contains("public.t2: SELECT electric.enable('public.t2')"),
            "{told}"
        );
        assert!(
            told.contains("public.t2: ALTER TABLE t2 ADD COLUMN w int"),
            "{told}"
        );
        run(&mut client, "ROLLBACK");
    }
}

#[test]
fn fault_15_ddl_of_a_session_that_loads_the_library_by_it_is_told_alone() {
    let database = database();
    run(&mut database.client(), "SELECT electric.enable('t1')");
    run(
        &mut database.client(),
        "CREATE FUNCTION adds(text) RETURNS void LANGUAGE sql AS $$ ALTER TABLE t1 ADD COLUMN a int $$;
         CREATE FUNCTION runs(text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE $1; END $$",
    );
    for (sql, expected) in [
        ("SELECT adds('S3CRET')", "ALTER TABLE public.t1"),
        (
            "DO $$ DECLARE key text := 'S3CRET'; BEGIN ALTER TABLE t1 ADD COLUMN \"b\"\"\n\" int; END $$",
            "ALTER TABLE t1 ADD COLUMN \"b\"\"\n\" int",
        ),
        (
            "SELECT runs('SELECT ''S3CRET''; ALTER TABLE t1 ADD COLUMN c int')",
            "ALTER TABLE t1 ADD COLUMN c int",
        ),
        (
            "DO $$ BEGIN EXECUTE 'DO $i$ BEGIN ALTER TABLE t1 ADD COLUMN d text DEFAULT ''\"''; RAISE NOTICE ''S3CRET''; END $i$'; END $$",
            "ALTER TABLE t1 ADD COLUMN d text DEFAULT '\"'",
        ),
        (
            "SELECT 'S3CRET'; ALTER TABLE t1 ADD COLUMN e int; SELECT 'S3CRET'",
            "ALTER TABLE t1 ADD COLUMN e int",
        ),
    ] {
        let mut client = database.client();
        run(&mut client, sql);
        assert_eq!(last_query(&mut client), expected, "{sql}");
    }
}

#[test]
fn fault_15_statements_are_for_owners_replicas_and_readers_of_all() {
    let database = database();
    let owner = database.role("told_owner");
    let (other, reader, replica) = (
        database.role("told_other"),
        database.role("told_reader"),
        database.role("told_replica"),
    );
    run(
        &mut database.client(),
        &format!(
            "GRANT pg_read_all_data TO {reader}; ALTER ROLE {replica} REPLICATION; ALTER TABLE t1 OWNER TO {owner};
             CREATE TYPE mood AS ENUM ('S3CRET'); ALTER TYPE mood OWNER TO {owner}; ALTER TABLE t1 ADD COLUMN m mood;
             SELECT electric.enable('t1', 't2'); ALTER TABLE t1 ADD COLUMN d text DEFAULT 'S3CRET'"
        ),
    );
    let all = "SELECT count(*)::text FROM electric.queries";
    for (role, seen) in [
        (&owner, "3"),
        (&other, "0"),
        (&reader, "4"),
        (&replica, "4"),
    ] {
        let mut client = database.client_as(role);
        assert_eq!(text(&mut client, all), seen, "{role}");
        // Everybody sees the rest.
        run(
            &mut client,
            "SELECT id, migration_id, command, relation, postgres, sqlite, op, hash FROM electric.ddl_commands;
             SELECT * FROM electric.history; SELECT count(*) FROM electric.ddl_commands; SELECT * FROM electric.tables;
             SELECT * FROM electric.migrations_since()",
        );
        let sql = "SELECT query FROM electric.ddl_commands";
        if *role == reader {
            run(&mut client, sql);
        } else {
            for sql in [
                sql,
                "SELECT * FROM electric.ddl_commands",
                "SELECT count(query) FROM electric.ddl_commands",
                "SELECT id FROM electric.ddl_commands ORDER BY query",
                "COPY electric.ddl_commands TO STDOUT",
            ] {
                failure(client.batch_execute(sql), "42501");
            }
        }
        failure(
            client.batch_execute("SELECT query FROM electric.history"),
            "42703",
        );
    }
    // What comes after by the same name is somebody else's.
    run(
        &mut database.client(),
        &format!(
            "SELECT electric.disable('t1'); DROP TABLE t1 CASCADE; CREATE TABLE t1 (id int PRIMARY KEY); ALTER TABLE t1 OWNER TO {other};
             SELECT electric.enable('t1')"
        ),
    );
    assert_eq!(
        text(
            &mut database.client_as(&other),
            "SELECT string_agg(query, ' ') FROM electric.queries"
        ),
        "SELECT electric.enable('t1')"
    );
    // A function that the caller makes sees no more rows than the view shows.
    run(
        &mut database.client(),
        &format!("GRANT CREATE ON SCHEMA public TO {other}"),
    );
    let mut client = database.client_as(&other);
    run(
        &mut client,
        "CREATE TABLE public.seen (query text); CREATE FUNCTION public.leak(text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN
           INSERT INTO public.seen VALUES ($1); RETURN true; END $$;
         SELECT id FROM electric.queries WHERE public.leak(query)",
    );
    assert_eq!(
        text(
            &mut client,
            "SELECT count(*)::text FROM public.seen WHERE query LIKE '%S3CRET%'"
        ),
        "0"
    );
}

#[test]
fn backtraces_reach_no_client() {
    for (name, value, preload) in [
        ("RUST_BACKTRACE", "1", true),
        ("RUST_BACKTRACE", "full", false),
        ("RUST_LIB_BACKTRACE", "1", true),
    ] {
        let cluster = Cluster::builder().preload(preload).make().unwrap();
        cluster.start_with("", &[(name, value)]).unwrap();
        let database = cluster.database().items();
        for (sql, code) in [
            // An error of the server's on its way through Rust, one of ours, and one that is damage.
            (
                "SELECT electric.grant('SELECT', 'items', 'anyone', condition => 'id > nothing')",
                "42703",
            ),
            ("SELECT electric.ddlx(E'ELECTRIC SQLITE \\'')", "42601"),
            ("ALTER TABLE items DROP COLUMN value", "0A000"),
            (
                "SELECT electric.schema_sql('sqlite', 'no such version')",
                "42704",
            ),
            (
                "SET electric.policy = unrestricted; UPDATE electric.electrified SET shape = '1'; \
                     SET electric.policy = additive; SELECT electric.grant('SELECT', 'items', 'anyone')",
                "XX000",
            ),
        ] {
            let error = match database.client().batch_execute(sql) {
                Err(error) => error,
                Ok(()) => panic!("passed: {sql}"),
            };
            let error = error.as_db_error().expect("an error of the server");
            if code != "XX000" {
                assert_eq!(error.code().code(), code, "{sql}");
            }
            let all = format!(
                "{:?}",
                (
                    error.message(),
                    error.detail(),
                    error.hint(),
                    error.where_()
                )
            );
            let all = all.to_lowercase();
            for word in ["backtrace", "stack", "pgrx", ".rs"] {
                assert!(!all.contains(word), "{name}={value}, {sql}: {all}");
            }
        }
    }
}
