//! What functions take: arguments of the declared types, no larger than they are good for, before they are copied.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text};

#[track_caller]
fn fails(database: &Database<'_>, sql: &str, code: &str) -> electric_tests::errors::ServerError {
    let Err(error) = database.client().batch_execute(sql) else {
        panic!("succeeded: {sql}");
    };
    let error = error.as_db_error().expect("an error of the server");
    let error = electric_tests::errors::ServerError::from(error);
    assert_eq!(error.code, code, "{sql}: {error:#?}");
    error
}

#[test]
fn fault_12_texts_that_are_too_large_are_refused() {
    let database = Cluster::shared().database().items();
    for (call, name) in [
        (
            "electric.ddlx(repeat('ELECTRIC ENABLE items;', 100000))",
            "electric.ddlx",
        ),
        ("electric.ddlx(repeat('x', 400000000))", "electric.ddlx"),
        (
            "electric.check(repeat('select 1;', 200000))",
            "electric.check",
        ),
        (
            "electric.grant(repeat('SELECT,', 200000), 'items', 'r')",
            "electric.grant",
        ),
        (
            "electric.grant('SELECT', 'items', repeat('r', 2000000))",
            "electric.grant",
        ),
        (
            "electric.grant('SELECT', 'items', 'r', condition => repeat('true AND ', 200000) || 'true')",
            "electric.grant",
        ),
        (
            "electric.grant('SELECT', 'items', 'r', columns => array_fill('value'::text, ARRAY[1000000]))",
            "electric.grant",
        ),
        (
            "electric.assign('items', 'value', 'r', using_path => ARRAY[repeat('x', 300000000)])",
            "electric.assign",
        ),
        (
            "electric.schema_sql(repeat('x', 3000000))",
            "electric.schema_sql",
        ),
        (
            "electric.migrations_since(NULL, repeat('x', 3000000))",
            "electric.migrations_since",
        ),
        (
            "electric.enable(VARIADIC array_fill('items'::regclass, ARRAY[1000000]))",
            "electric.enable",
        ),
    ] {
        let error = fails(&database, &format!("SELECT {call}"), "54000");
        assert!(error.message.contains(name), "{error:#?}");
        assert!(error.detail.contains("1048576"), "{error:#?}");
        assert!(!error.hint.is_empty(), "{error:#?}");
    }
    for call in [
        "electric.electrify(repeat('x', 300000000))",
        "electric.electrify('public', repeat('x', 300000000))",
        "electric.electrify(repeat('x', 300000000), 'items')",
    ] {
        fails(&database, &format!("CALL {call}"), "54000");
    }
    // What was compressed, or moved out of line, is as large as it was before.
    run(
        &mut database.client(),
        "CREATE TABLE texts (t text); INSERT INTO texts VALUES (repeat('ELECTRIC ENABLE items;', 100000))",
    );
    fails(&database, "SELECT electric.ddlx(t) FROM texts", "54000");
    fails(
        &database,
        "DO $$ DECLARE a text[] := array_fill('x'::text, ARRAY[1000000]); BEGIN \
         PERFORM electric.grant('SELECT', 'items', 'r', columns => a); END $$",
        "54000",
    );
    database.history_is_sound();
}

#[test]
fn fault_12_versions_that_are_too_long_are_refused() {
    let database = Cluster::shared().database().items();
    for call in [
        "SELECT electric.introspect(repeat('x', 400000000))",
        "SELECT electric.introspect(repeat('x', 1025))",
        "SELECT electric.schema_sql('sqlite', repeat('x', 400000000))",
        "SELECT electric.migrations_since(repeat('x', 400000000))",
        "SELECT electric.set_migration_version(repeat('x', 400000000))",
        "CALL electric.migration_version(repeat('x', 1025))",
    ] {
        fails(&database, call, "22023");
    }
    fails(
        &database,
        "SELECT electric.introspect(repeat('x', 1024))",
        "42704",
    );
}

/// What is as large as it may be is taken.
#[test]
fn fault_12_texts_of_a_mebibyte_are_taken() {
    let database = Cluster::shared().database().items();
    let mut client = database.client();
    let most = "rpad('ELECTRIC ENABLE items;', 1048576)";
    assert_eq!(
        text(&mut client, &format!("SELECT electric.ddlx({most})")),
        "ELECTRIC ENABLE"
    );
    let sql = "SELECT verdict FROM electric.check(rpad('SELECT 1', 1048576))";
    assert_eq!(text(&mut client, sql), "allowed");
    fails(
        &database,
        "SELECT electric.ddlx(rpad('ELECTRIC ENABLE items;', 1048577))",
        "54000",
    );
}

/// A superuser may declare any C function in any way: what is declared otherwise is an error, and reads no memory.
#[test]
fn fault_01_a_function_declared_with_other_types_is_an_error() {
    let database = Cluster::shared().database().items();
    let mut client = database.client();
    for (number, (arguments, result, symbol, call)) in [
        (
            "int8",
            "void",
            "electric_set_migration_version",
            "81985529216486895",
        ),
        ("int8", "jsonb", "electric_introspect", "81985529216486895"),
        ("", "jsonb", "electric_introspect", ""),
        ("", "void", "electric_enable", ""),
        ("int8", "void", "electric_enable", "81985529216486895"),
        ("text", "void", "electric_disable", "'items'"),
        ("", "int8", "electric_status", ""),
        ("", "SETOF jsonb", "electric_status", ""),
        ("text", "text", "electric_ddlx", "'ELECTRIC ENABLE items'"),
        (
            "text",
            "SETOF int8",
            "electric_ddlx",
            "'ELECTRIC ENABLE items'",
        ),
        ("int8", "SETOF text", "electric_ddlx", "81985529216486895"),
        ("text", "jsonb", "electric_check", "'SELECT 1'"),
        ("", "text", "electric_diagram", ""),
        ("", "text", "electric_protect_history", ""),
        ("", "text", "electric_list_changed", ""),
        ("", "text", "electric_on_replicated_command", ""),
        ("int8, int8", "void", "electric_subscribe", "1, 2"),
        ("int8", "bool", "electric_is_sqlite", "81985529216486895"),
    ]
    .into_iter()
    .enumerate()
    {
        let sql = format!(
            "CREATE FUNCTION public.f{number}({arguments}) RETURNS {result} LANGUAGE c AS '$libdir/electric', '{symbol}'; \
             SELECT public.f{number}({call})"
        );
        if (result, symbol) == ("text", "electric_diagram") {
            run(&mut client, &sql);
            continue;
        }
        let error = fails(&database, &sql, "42P13");
        assert!(
            error.message.contains(&format!("public.f{number}")),
            "{error:#?}"
        );
    }
    // Other columns than those that are given.
    fails(
        &database,
        "CREATE FUNCTION public.checked(text) RETURNS TABLE (a int8, b int8, c int8, d int8, e int8) LANGUAGE c \
         AS '$libdir/electric', 'electric_check'; SELECT * FROM public.checked('SELECT 1')",
        "XX000",
    );
    database.history_is_sound();
}

/// Functions that give rows, wherever a query can have them.
#[test]
fn rows_come_in_from_and_in_the_select_list() {
    let database = Cluster::shared().database().items();
    let mut client = database.client();
    run(&mut client, "ALTER TABLE items ADD COLUMN a int");
    for sql in [
        "SELECT count(*)::text FROM electric.migrations_since()",
        "SELECT count(*)::text FROM (SELECT electric.migrations_since()) s",
        "SELECT count(*)::text FROM (SELECT (electric.migrations_since()).*) s",
        "SELECT count(*)::text FROM ROWS FROM (electric.migrations_since()) WITH ORDINALITY",
        "SELECT count(*)::text FROM (VALUES ('sqlite')) v (d), LATERAL electric.migrations_since(NULL, v.d)",
        "WITH c AS (SELECT * FROM electric.migrations_since()) SELECT count(*)::text FROM c",
        "SELECT count(*)::text FROM (SELECT electric.ddlx('ELECTRIC ENABLE items; ELECTRIC ENABLE items')) s",
        "SELECT count(*)::text FROM electric.ddlx('ELECTRIC ENABLE items; ELECTRIC ENABLE items')",
        "SELECT count(*)::text FROM electric.check('SELECT 1; SELECT 2')",
    ] {
        assert_eq!(text(&mut client, sql), "2", "{sql}");
    }
    let shown = "SELECT string_agg(format('%s %s', command_id, statement), '; ' ORDER BY command_id) FROM electric.migrations_since(dialect => 'postgres')";
    assert!(
        text(&mut client, shown).contains("2 ALTER TABLE"),
        "{}",
        text(&mut client, shown)
    );
    assert_eq!(
        text(
            &mut client,
            "SELECT count(*)::text FROM electric.check(NULL)"
        ),
        "0"
    );
    run(
        &mut client,
        "BEGIN; DECLARE c CURSOR FOR SELECT electric.schema_sql(); FETCH ALL FROM c; COMMIT",
    );
    for sql in [
        "SELECT electric.ddlx(NULL)",
        "SELECT * FROM electric.migrations_since('nope')",
        "SELECT * FROM electric.migrations_since(NULL, 'mysql')",
        "SELECT 1 WHERE electric.schema_sql() = ''",
    ] {
        assert!(client.batch_execute(sql).is_err(), "{sql}");
    }
}

#[test]
fn fault_12_what_only_served_other_functions_is_gone() {
    let database = Cluster::shared().database();
    let sql = "SELECT string_agg(proname, ' ') FROM pg_proc WHERE pronamespace = 'electric'::regnamespace AND proname IN \
         ('check_report', 'drift_report', 'run_ddlx', 'schema_statements', 'last_command', 'is_sqlite')";
    assert_eq!(text(&mut database.client(), sql), "");
}
