//! The lock of migrations is had by migrating alone.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text, wait_until};
use electric_tests::errors;
use postgres::Client;

/// A role that has what PUBLIC has, a schema of its own besides, and an open transaction in which it has run `sql`.
fn held_by_anybody(database: &Database<'_>, sql: &str) -> Client {
    let role = database.role("nobody");
    run(
        &mut database.client(),
        &format!("CREATE SCHEMA {role} AUTHORIZATION {role}"),
    );
    let mut client = database.client_as(&role);
    run(
        &mut client,
        &format!("SET search_path = {role}; BEGIN; {sql}"),
    );
    client
}

/// Migrations of all kinds pass, without a wait.
#[track_caller]
fn others_migrate(database: &Database<'_>) {
    for sql in [
        "ALTER TABLE items ADD COLUMN a int",
        "CREATE INDEX items_a ON items (a)",
        "CREATE TABLE more (id int PRIMARY KEY)",
        "SELECT electric.enable('more')",
        "SELECT electric.disable('more')",
        "ALTER TABLE more SET (electric.enabled)",
        "BEGIN; SELECT electric.set_migration_version('v1'); ALTER TABLE items ADD COLUMN b int; COMMIT",
        "SELECT electric.ddlx('ALTER TABLE more DISABLE ELECTRIC')",
    ] {
        run(
            &mut database.client(),
            &format!("LOAD 'electric'; SET lock_timeout = '5s'; {sql}"),
        );
    }
}

#[test]
fn fault_06_what_depends_on_the_extension_holds_no_migration() {
    for sql in [
        "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; \
         ALTER FUNCTION pg_temp.f() DEPENDS ON EXTENSION electric",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION f() DEPENDS ON EXTENSION electric; \
         ALTER FUNCTION f() NO DEPENDS ON EXTENSION electric",
        "CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'; ALTER PROCEDURE p() DEPENDS ON EXTENSION electric",
        "CREATE TABLE t (a int); CREATE INDEX i ON t (a); ALTER INDEX i DEPENDS ON EXTENSION electric",
        "CREATE TEMP TABLE t (a int); CREATE INDEX i ON t (a); ALTER INDEX i DEPENDS ON EXTENSION electric",
        "CREATE TABLE t (a int); CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
         CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION g(); \
         ALTER TRIGGER g ON t DEPENDS ON EXTENSION electric",
        "CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; ALTER MATERIALIZED VIEW m DEPENDS ON EXTENSION electric",
    ] {
        let database = Cluster::shared().database().items();
        let mut holder = held_by_anybody(&database, sql);
        others_migrate(&database);
        run(&mut holder, "COMMIT");
        database.history_is_sound();
    }
}

#[test]
fn fault_06_statements_about_the_extension_itself_hold_no_migration() {
    for sql in [
        "COMMENT ON EXTENSION electric IS 'somebody was here'",
        "SECURITY LABEL ON EXTENSION electric IS 'x'",
        "ALTER EXTENSION electric UPDATE",
    ] {
        let database = Cluster::shared().database().items();
        let mut holder = database.client();
        run(&mut holder, "BEGIN");
        // There may be no provider of labels: then the transaction has failed, and holds nothing.
        let _ = holder.batch_execute(sql);
        others_migrate(&database);
    }
}

#[test]
fn fault_06_no_advisory_lock_is_that_of_migrations() {
    let database = Cluster::shared().database().items();
    let mut holder = held_by_anybody(
        &database,
        "SELECT pg_advisory_lock(oid::bigint), pg_advisory_lock('pg_extension'::regclass::oid::int, oid::int), \
         pg_advisory_lock(oid::int, 1) FROM pg_extension WHERE extname = 'electric'",
    );
    others_migrate(&database);
    run(&mut holder, "COMMIT");
}

/// What waits for a migration in another session.
fn migrating(database: &Database<'_>) -> Client {
    let mut holder = database.client();
    run(&mut holder, "BEGIN; ALTER TABLE items ADD COLUMN held int");
    holder
}

#[test]
fn fault_06_lock_timeout_ends_the_wait_for_a_migration() {
    let database = Cluster::shared().database().items();
    run(
        &mut database.client(),
        "CREATE TABLE second (id int PRIMARY KEY); SELECT electric.enable('second')",
    );
    let mut holder = migrating(&database);
    for sql in [
        "ALTER TABLE second ADD COLUMN a int",
        "SELECT electric.disable('second')",
        "ALTER TABLE second SET (electric.enabled = false)",
    ] {
        let error = database
            .client()
            .batch_execute(&format!(
                "LOAD 'electric'; SET lock_timeout = '300ms'; {sql}"
            ))
            .unwrap_err();
        assert_eq!(
            error.code().map(|state| state.code()),
            Some("55P03"),
            "{sql}"
        );
    }
    run(&mut holder, "COMMIT");
    others_migrate(&database);
}

#[test]
fn fault_06_cancel_and_terminate_end_the_wait_for_a_migration() {
    for function in ["pg_cancel_backend", "pg_terminate_backend"] {
        let database = Cluster::shared().database().items();
        run(
            &mut database.client(),
            "CREATE TABLE second (id int PRIMARY KEY); SELECT electric.enable('second')",
        );
        let mut holder = migrating(&database);
        let mut waiter = database.client();
        let pid = text(&mut waiter, "SELECT pg_backend_pid()::text");
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| waiter.batch_execute("ALTER TABLE second ADD COLUMN a int"));
            wait_until("it waits", || database.waiting() == 1);
            run(&mut database.client(), &format!("SELECT {function}({pid})"));
            let error = waits.join().unwrap().unwrap_err();
            let is_cancelled = error.code().is_some_and(|state| state.code() == "57014");
            assert!(is_cancelled || errors::is_disconnect(&error), "{error:?}");
        });
        run(&mut holder, "COMMIT");
        others_migrate(&database);
    }
}

#[test]
fn fault_06_a_deadlock_with_a_migration_is_found() {
    let database = Cluster::shared().database().items();
    run(&mut database.client(), "CREATE TABLE plain (a int)");
    let mut holder = migrating(&database);
    let mut other = database.client();
    run(&mut other, "BEGIN; LOCK TABLE plain");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            other.batch_execute(
                "CREATE TABLE more (id int PRIMARY KEY); SELECT electric.enable('more'); COMMIT",
            )
        });
        wait_until("it waits", || database.waiting() == 1);
        let first = holder.batch_execute("LOCK TABLE plain; COMMIT");
        let second = waits.join().unwrap();
        let codes: Vec<String> = [first, second]
            .into_iter()
            .filter_map(Result::err)
            .filter_map(|error| error.code().map(|state| state.code().to_owned()))
            .collect();
        assert_eq!(codes, ["40P01"]);
    });
}

#[test]
fn fault_06_the_extension_goes_only_when_nobody_migrates() {
    let database = Cluster::shared().database().items();
    let mut holder = migrating(&database);
    for sql in ["DROP EXTENSION electric", "DROP EXTENSION electric CASCADE"] {
        let error = database
            .client()
            .batch_execute(&format!(
                "LOAD 'electric'; SET lock_timeout = '300ms'; {sql}"
            ))
            .unwrap_err();
        assert_eq!(
            error.code().map(|state| state.code()),
            Some("55P03"),
            "{sql}"
        );
    }
    // Who does not own it is told so, and waits for nobody.
    let role = database.role("nobody");
    let error = database
        .client_as(&role)
        .batch_execute("SET lock_timeout = '300ms'; DROP EXTENSION electric")
        .unwrap_err();
    assert_eq!(error.code().map(|state| state.code()), Some("42501"));
    run(&mut holder, "COMMIT");
    run(&mut database.client(), "DROP EXTENSION electric");
}

#[test]
fn fault_06_a_migration_that_waited_while_the_extension_went_says_so() {
    for sql in [
        "SELECT electric.enable('more')",
        "ALTER TABLE items ADD COLUMN a int",
        "SELECT electric.disable('items')",
        "ALTER TABLE items SET (electric.enabled = false)",
    ] {
        let database = Cluster::shared().database().items();
        run(
            &mut database.client(),
            "CREATE TABLE more (id int PRIMARY KEY)",
        );
        let mut waiter = database.client();
        run(&mut waiter, "CREATE TABLE plain (); DROP TABLE plain");
        let mut holder = database.client();
        run(&mut holder, "BEGIN; DROP EXTENSION electric");
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| waiter.batch_execute(sql));
            wait_until("it waits", || database.waiting() == 1);
            run(&mut holder, "COMMIT");
            let error = waits.join().unwrap().unwrap_err();
            let error = error.as_db_error().expect("an error of the server");
            assert_eq!(error.code().code(), "55000", "{sql}: {error:?}");
            assert!(error.message().contains("was dropped"), "{sql}: {error:?}");
        });
        run(
            &mut waiter,
            "ALTER TABLE items ADD COLUMN a int; TRUNCATE items; DROP TABLE items",
        );
    }
}

/// A session that knows nothing of the extension yet goes on without it.
#[test]
fn fault_06_ordinary_ddl_that_waited_while_the_extension_went_is_done() {
    for sql in [
        "CREATE TABLE new (id int)",
        "ALTER TABLE items ADD COLUMN a int",
    ] {
        let database = Cluster::shared().database().items();
        let mut holder = database.client();
        run(&mut holder, "BEGIN; DROP EXTENSION electric");
        let mut waiter = database.client();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| waiter.batch_execute(sql));
            wait_until("it waits", || database.waiting() == 1);
            run(&mut holder, "COMMIT");
            waits.join().unwrap().unwrap();
        });
    }
}
