//! Issue 2, capture by effect: every route that DDL takes is recorded or refused.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text, wait_until, words};
use electric_tests::errors::failure;
use electric_tests::replica::Replica;

fn items() -> Database<'static> {
    Cluster::shared().database().items()
}

/// Runs the statements, expects these commands on `public.items`, and a replica that agrees before and after.
#[track_caller]
fn records(database: &Database<'_>, sql: &str, expected: &[&str]) {
    let (mut replica, _) = Replica::follow(database, None).unwrap();
    let new = database.recorded(sql);
    let found: Vec<_> = new.iter().map(|c| c.command.as_str()).collect();
    assert_eq!(found, expected, "{sql}");
    replica.must_agree();
}

#[test]
fn psql_with_several_statements_in_one_string() {
    let database = items();
    let sql = "ALTER TABLE items ADD COLUMN a text; INSERT INTO items (id, a) VALUES (1, 'x'); CREATE INDEX by_a ON items (a)";
    let output = database
        .cluster()
        .psql(database.name(), "postgres", &["-c", sql])
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let commands = database.commands_after(1);
    assert_eq!(
        words(&commands),
        [
            ("add_column", "public.items"),
            ("create_index", "public.items")
        ]
    );
    assert_eq!(commands[0].query, "ALTER TABLE items ADD COLUMN a text");
    assert_eq!(commands[1].query, "CREATE INDEX by_a ON items (a)");
    assert_eq!(commands[0].migration_id, commands[1].migration_id);
}

#[test]
fn a_do_block() {
    let database = items();
    records(
        &database,
        "DO $$ BEGIN FOR n IN 1..3 LOOP EXECUTE format('ALTER TABLE items ADD COLUMN c%s int', n); END LOOP; END $$",
        &["add_column"; 3],
    );
}

#[test]
fn a_function_and_an_sql_function() {
    let database = items();
    records(
        &database,
        "CREATE FUNCTION f(name text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN \
         EXECUTE format('ALTER TABLE items ADD COLUMN %I text', name); ALTER TABLE items ADD COLUMN fixed text; END $$; \
         SELECT f('Quoted \"Name\"'); \
         CREATE FUNCTION g() RETURNS void LANGUAGE sql AS 'CREATE INDEX by_fixed ON items (value)'; SELECT g()",
        &["add_column", "add_column", "create_index"],
    );
}

#[test]
fn a_procedure_that_commits_makes_two_migrations() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN ALTER TABLE items ADD COLUMN a text; COMMIT; \
         ALTER TABLE items ADD COLUMN b text; ROLLBACK; ALTER TABLE items ADD COLUMN c text; END $$",
    );
    records(&database, "CALL p()", &["add_column", "add_column"]);
    let migrations: Vec<_> = database.commands().iter().map(|c| c.migration_id).collect();
    assert_eq!(migrations, [1, 2, 3]);
}

#[test]
fn the_extended_protocol() {
    let database = items();
    let mut client = database.client();
    client
        .execute("ALTER TABLE items ADD COLUMN a text", &[])
        .unwrap();
    let statement = client
        .prepare("ALTER TABLE items ADD COLUMN IF NOT EXISTS b text")
        .unwrap();
    client.execute(&statement, &[]).unwrap();
    client.execute(&statement, &[]).unwrap();
    let statement = client
        .prepare("ALTER TABLE items DROP COLUMN IF EXISTS value")
        .unwrap();
    for _ in 0..2 {
        failure(client.execute(&statement, &[]), "0A000").about_column("value");
    }
    let mut transaction = client.transaction().unwrap();
    transaction
        .execute("ALTER TABLE items ADD COLUMN c text", &[])
        .unwrap();
    transaction
        .execute("INSERT INTO items (id, c) VALUES ($1, $2)", &[&1, &"x"])
        .unwrap();
    transaction.commit().unwrap();
    let commands = database.commands_after(1);
    assert_eq!(words(&commands), [("add_column", "public.items"); 3]);
    assert_eq!(commands[0].query, "ALTER TABLE items ADD COLUMN a text");
}

#[test]
fn a_trigger_that_runs_ddl() {
    let database = items();
    records(
        &database,
        "CREATE TABLE wishes (name text); CREATE FUNCTION fulfil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         EXECUTE format('ALTER TABLE items ADD COLUMN %I text', NEW.name); RETURN NEW; END $$; \
         CREATE TRIGGER fulfil AFTER INSERT ON wishes FOR EACH ROW EXECUTE FUNCTION fulfil(); \
         INSERT INTO wishes VALUES ('a'), ('b')",
        &["add_column", "add_column"],
    );
}

#[test]
fn another_event_trigger_that_runs_ddl() {
    let database = items();
    for name in ["a_first", "z_last"] {
        run(
            &mut database.client(),
            &format!(
                "CREATE FUNCTION {name}() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
                 ALTER TABLE items ADD COLUMN {name} text; END $$; \
                 CREATE EVENT TRIGGER {name} ON ddl_command_end WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION {name}()"
            ),
        );
    }
    records(
        &database,
        "CREATE VIEW v AS SELECT 1 AS one",
        &["add_column", "add_column"],
    );
}

#[test]
fn an_extensions_script() {
    let database = items();
    let sql = "SELECT setting FROM pg_config WHERE name = 'SHAREDIR'";
    let directory = std::path::PathBuf::from(text(&mut database.client(), sql)).join("extension");
    let name = format!("electric_test_{}", std::process::id());
    let control = directory.join(format!("{name}.control"));
    let script = directory.join(format!("{name}--1.sql"));
    if std::fs::write(&control, "default_version = '1'\n").is_err() {
        eprintln!("not tried: {} is not ours to write", directory.display());
        return;
    }
    let body = "ALTER TABLE public.items ADD COLUMN from_script text; CREATE INDEX from_script ON public.items (value);";
    std::fs::write(&script, body).unwrap();
    let result = database
        .client()
        .batch_execute(&format!("CREATE EXTENSION {name}"));
    let refusal =
        std::fs::write(&script, "ALTER TABLE public.items DROP COLUMN value;").map(|()| {
            database
                .client()
                .batch_execute(&format!("DROP EXTENSION {name}; CREATE EXTENSION {name}"))
        });
    for file in [control, script] {
        std::fs::remove_file(file).unwrap();
    }
    result.unwrap();
    let commands = database.commands_after(1);
    assert_eq!(words(&commands)[0], ("add_column", "public.items"));
    assert_eq!(words(&commands)[1], ("create_index", "public.items"));
    failure(refusal.unwrap(), "0A000");
}

#[test]
fn indexes_concurrently() {
    let database = items();
    run(&mut database.client(), "INSERT INTO items VALUES (1, 'x')");
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    let new = database.recorded("CREATE INDEX CONCURRENTLY by_value ON items (value)");
    assert_eq!(words(&new), [("create_index", "public.items")]);
    replica.must_agree();
    database.unrecorded("REINDEX INDEX CONCURRENTLY by_value");
    database.unrecorded("REINDEX TABLE items");
    let new = database.recorded("DROP INDEX CONCURRENTLY by_value");
    assert_eq!(words(&new), [("drop_index", "public.items")]);
    replica.must_agree();
}

#[test]
fn an_index_left_invalid_does_not_count_until_it_is_valid() {
    let database = items();
    run(
        &mut database.client(),
        "INSERT INTO items VALUES (1, 'x'), (2, 'x')",
    );
    let failed = database
        .client()
        .batch_execute("CREATE UNIQUE INDEX CONCURRENTLY one ON items (value)");
    failure(failed, "23505");
    assert_eq!(database.commands().len(), 1);
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    replica.must_agree();
    run(&mut database.client(), "DELETE FROM items WHERE id = 2");
    // REINDEX fires no event trigger before 17: only a session that has the library loaded sees it.
    let mut client = database.client();
    run(&mut client, "SELECT electric.status()");
    run(&mut client, "REINDEX INDEX CONCURRENTLY one");
    let new = database.commands_after(1);
    assert_eq!(words(&new), [("create_index", "public.items")]);
    replica.must_agree();
}

#[test]
fn partitions() {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "CREATE TABLE root (id int PRIMARY KEY, value text) PARTITION BY RANGE (id); \
         CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (10); SELECT electric.enable('root')",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    let new = database
        .recorded("ALTER TABLE root ADD COLUMN a int DEFAULT 1; CREATE INDEX by_a ON root (a)");
    assert_eq!(
        words(&new),
        [
            ("add_column", "public.root"),
            ("create_index", "public.root")
        ]
    );
    database.unrecorded(
        "CREATE TABLE middle PARTITION OF root FOR VALUES FROM (10) TO (20); CREATE TABLE high (LIKE root INCLUDING ALL); \
         ALTER TABLE root ATTACH PARTITION high FOR VALUES FROM (20) TO (30); INSERT INTO root (id) VALUES (1), (11), (21)",
    );
    replica.must_agree();
    let error = database.refused("ALTER TABLE root DROP COLUMN value", "0A000");
    error.message_names(&["cannot drop column \"value\" of electrified table \"public.root\""]);
}

#[test]
fn a_column_that_comes_by_inheritance() {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "CREATE TABLE parent (id int, value text); CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent); \
         SELECT electric.enable('child')",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    let new = database.recorded("ALTER TABLE parent ADD COLUMN a text");
    assert_eq!(words(&new), [("add_column", "public.child")]);
    replica.must_agree();
    let error = database.refused("ALTER TABLE parent DROP COLUMN value", "0A000");
    error.about_table("public", "child").about_column("value");
    database.refused("ALTER TABLE parent RENAME COLUMN value TO other", "0A000");
}

#[test]
fn enum_labels() {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TABLE t (id int PRIMARY KEY, m mood, ms mood[]); \
         SELECT electric.enable('t')",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    for sql in [
        "ALTER TYPE mood ADD VALUE 'so so' BEFORE 'glad'",
        "ALTER TYPE mood ADD VALUE 'best'",
    ] {
        let new = database.recorded(sql);
        assert_eq!(words(&new), [("add_enum_value", "public.mood")]);
        assert!(new[0].sqlite.is_empty());
    }
    database.unrecorded("ALTER TYPE mood ADD VALUE IF NOT EXISTS 'best'");
    run(
        &mut database.client(),
        "INSERT INTO t VALUES (1, 'so so', '{best,NULL}')",
    );
    replica.must_agree();
    database.refused("ALTER TYPE mood RENAME VALUE 'sad' TO 'bad'", "0A000");
    database.refused("ALTER TYPE mood RENAME TO feeling", "0A000");
    database.unrecorded(
        "CREATE TYPE free AS ENUM ('x'); ALTER TYPE free ADD VALUE 'y'; DROP TYPE free",
    );
}

#[test]
fn defaults() {
    let database = items();
    run(&mut database.client(), "INSERT INTO items VALUES (1, 'x')");
    records(
        &database,
        "ALTER TABLE items ALTER value SET DEFAULT 'new'; INSERT INTO items VALUES (2)",
        &["set_default"],
    );
    records(
        &database,
        "ALTER TABLE items ALTER value DROP DEFAULT; INSERT INTO items VALUES (3)",
        &["drop_default"],
    );
    records(
        &database,
        "ALTER TABLE items ALTER value SET DEFAULT random()::text",
        &["set_default"],
    );
    database.unrecorded("ALTER TABLE items ALTER value SET DEFAULT random()::text");
}

#[test]
fn additions_that_concern_one_column_alone() {
    let database = items();
    run(&mut database.client(), "INSERT INTO items VALUES (1, 'x')");
    records(
        &database,
        "ALTER TABLE items ADD COLUMN a int DEFAULT 5 CHECK (a > 0), ADD COLUMN b text UNIQUE, \
         ADD COLUMN c int REFERENCES items, ADD COLUMN d text NOT NULL DEFAULT 'd'",
        &["add_column"; 4],
    );
    let commands = database.commands();
    let table = &commands.last().unwrap().op["table"];
    for (key, count) in [("checks", 1), ("unique", 1), ("foreign_keys", 1)] {
        assert_eq!(
            table[key].as_array().map(Vec::len),
            Some(count),
            "{key} in {table}"
        );
    }
}

#[test]
fn an_ordinary_role_migrates_what_it_owns() {
    let database = Cluster::shared().database();
    let role = database.role("migrator");
    run(
        &mut database.client(),
        &format!(
            "GRANT CREATE ON SCHEMA public TO {role}; GRANT CREATE ON DATABASE {} TO {role}",
            database.name()
        ),
    );
    let mut client = database.client_as(&role);
    run(
        &mut client,
        "CREATE TABLE own (id int PRIMARY KEY); SELECT electric.enable('own')",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut client,
        "BEGIN; SELECT electric.set_migration_version('mine'); ALTER TABLE own ADD COLUMN a text DEFAULT current_user; \
         CREATE INDEX by_a ON own (a); INSERT INTO own (id) VALUES (1); COMMIT",
    );
    assert_eq!(
        words(&database.commands_after(1)),
        [("add_column", "public.own"), ("create_index", "public.own")]
    );
    assert_eq!(database.migrations().pop().unwrap().version, "mine");
    failure(
        client.batch_execute("ALTER TABLE own DROP COLUMN a"),
        "0A000",
    );
    replica.must_agree();
}

#[test]
fn a_cancelled_statement_leaves_nothing() {
    let database = items();
    let before = database.trace();
    let holder = database.client();
    std::thread::scope(|scope| {
        // Inside, so that a failure below ends its transaction and with it the other's wait.
        let mut holder = holder;
        run(&mut holder, "BEGIN; LOCK TABLE items IN ACCESS SHARE MODE");
        let mut waiter = database.client();
        let cancel = waiter.cancel_token();
        let thread = scope.spawn(move || {
            failure(
                waiter.batch_execute("ALTER TABLE items ADD COLUMN a text"),
                "57014",
            );
            run(&mut waiter, "SELECT 1");
        });
        wait_until("the statement waits", || database.waiting() == 1);
        cancel.cancel_query(postgres::NoTls).unwrap();
        thread.join().unwrap();
    });
    assert_eq!(before, database.trace());
}
