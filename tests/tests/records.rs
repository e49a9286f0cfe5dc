//! S5: the records: order, numbers, versions, chain, append-only.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, commands, run, text, wait_until, words};
use electric_tests::errors::failure;
use electric_tests::replica::{Replica, ledger};

fn items() -> Database<'static> {
    Cluster::shared().database().items()
}

/// Ids gapless and rising, versions distinct, the chain whole.
#[track_caller]
fn history_is_sound(database: &Database<'_>) {
    let migrations: Vec<_> = database
        .migrations()
        .into_iter()
        .map(|m| (m.id, m.version))
        .collect();
    ledger::verify(&migrations, &database.commands()).unwrap();
}

#[test]
fn a_command_comes_before_rows_of_the_new_shape_and_after_those_of_the_old() {
    let database = items();
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut database.client(),
        "BEGIN; INSERT INTO items VALUES (1, 'old'); ALTER TABLE items ADD COLUMN a text; \
         INSERT INTO items VALUES (2, 'new', 'a'); UPDATE items SET a = 'b' WHERE id = 1; \
         ALTER TABLE items ADD COLUMN b int DEFAULT 7; INSERT INTO items (id) VALUES (3); COMMIT",
    );
    let applied = replica.must_agree();
    let outlines: Vec<_> = applied
        .iter()
        .map(|t| t.outline())
        .filter(|o| !o.is_empty())
        .collect();
    assert_eq!(
        outlines,
        [[
            "insert public.items",
            "add_column public.items",
            "insert public.items",
            "update public.items",
            "add_column public.items",
            "insert public.items"
        ]]
    );
}

#[test]
fn the_migration_is_known_before_its_commands() {
    let database = items();
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut database.client(),
        "BEGIN; ALTER TABLE items ADD COLUMN a text; SELECT electric.set_migration_version('named late'); COMMIT",
    );
    // The ledger refuses commands of unknown migrations.
    replica.must_agree();
    assert_eq!(replica.ledger().version(2), Some("named late"));
}

#[test]
fn two_changes_of_one_statement_are_two_rows_with_the_same_query() {
    let database = items();
    let new = database.recorded("ALTER TABLE items ADD COLUMN a text, ADD COLUMN b int DEFAULT 1");
    assert_eq!(words(&new), [("add_column", "public.items"); 2]);
    assert_eq!(
        new[0].query,
        "ALTER TABLE items ADD COLUMN a text, ADD COLUMN b int DEFAULT 1"
    );
    assert_eq!(new[0].query, new[1].query);
    assert_eq!(new[0].op["column"]["name"], "a");
    assert_eq!(new[1].op["column"]["name"], "b");
    // Each op has the table as it is after that change.
    assert_eq!(
        new[0].op["table"]["columns"].as_array().map(Vec::len),
        Some(3)
    );
    assert_eq!(
        new[1].op["table"]["columns"].as_array().map(Vec::len),
        Some(4)
    );
    history_is_sound(&database);
}

#[test]
fn one_transaction_is_one_migration() {
    let database = items();
    let mut client = database.client();
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN a text; CREATE INDEX by_a ON items (a)",
    );
    let xid = text(&mut client, "SELECT pg_current_xact_id()::text");
    run(&mut client, "COMMIT; ALTER TABLE items ADD COLUMN b text");
    let migrations: Vec<_> = database.commands().iter().map(|c| c.migration_id).collect();
    assert_eq!(migrations, [1, 2, 2, 3]);
    assert_eq!(database.migrations()[1].xid, xid);
    history_is_sound(&database);
}

#[test]
fn rolled_back_transactions_and_savepoints_leave_no_row_and_no_gap() {
    let database = items();
    run(
        &mut database.client(),
        "BEGIN; ALTER TABLE items ADD COLUMN a text; ROLLBACK; BEGIN; SAVEPOINT one; ALTER TABLE items ADD COLUMN b text; \
         ROLLBACK TO one; ALTER TABLE items ADD COLUMN c text; SAVEPOINT two; ALTER TABLE items ADD COLUMN d text; \
         RELEASE two; COMMIT; DO 'BEGIN BEGIN ALTER TABLE items ADD COLUMN e text; RAISE ''no''; EXCEPTION WHEN OTHERS \
         THEN ALTER TABLE items ADD COLUMN f text; END; END'",
    );
    let names: Vec<_> = database
        .commands_after(1)
        .iter()
        .map(|c| c.op["column"]["name"].clone())
        .collect();
    assert_eq!(names, ["c", "d", "f"]);
    assert_eq!(database.migrations().len(), 3);
    history_is_sound(&database);
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    replica.must_agree();
}

#[test]
fn a_savepoint_that_held_the_migrations_first_command_may_be_rolled_back() {
    let database = items();
    run(
        &mut database.client(),
        "BEGIN; SAVEPOINT s; ALTER TABLE items ADD COLUMN a text; ROLLBACK TO s; INSERT INTO items VALUES (1, 'x'); COMMIT",
    );
    assert_eq!(database.migrations().len(), 1);
    run(
        &mut database.client(),
        "ALTER TABLE items ADD COLUMN a text",
    );
    history_is_sound(&database);
}

#[test]
fn a_statement_without_effect_leaves_no_row() {
    let database = items();
    database.unrecorded("ALTER TABLE items ADD COLUMN IF NOT EXISTS value text");
    run(
        &mut database.client(),
        "CREATE INDEX by_value ON items (value)",
    );
    database.unrecorded("CREATE INDEX IF NOT EXISTS by_value ON items (value)");
    database.unrecorded("DROP INDEX IF EXISTS nosuchindex");
    database.unrecorded("ALTER TABLE items ALTER COLUMN value DROP DEFAULT");
    assert_eq!(database.migrations().len(), 2);
}

#[test]
fn concurrent_migrators_wait_for_each_other() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE TABLE other (id int PRIMARY KEY); CREATE TABLE third (id int PRIMARY KEY); \
         SELECT electric.enable('other', 'third')",
    );
    let first = database.client();
    std::thread::scope(|scope| {
        // Inside, so that a failure below ends its transaction and with it the other's wait.
        let mut first = first;
        run(&mut first, "BEGIN; ALTER TABLE items ADD COLUMN a text");
        let second = scope.spawn(|| {
            run(
                &mut database.client(),
                "ALTER TABLE other ADD COLUMN b text",
            )
        });
        wait_until("the second migrator waits", || database.waiting() == 1);
        // Rows, and DDL on ordinary tables, go on.
        run(
            &mut database.client(),
            "INSERT INTO third VALUES (1); CREATE TABLE ordinary (a int); DROP TABLE ordinary",
        );
        run(&mut first, "COMMIT");
        second.join().unwrap();
    });
    let commands = database.commands_after(3);
    assert_eq!(
        words(&commands),
        [
            ("add_column", "public.items"),
            ("add_column", "public.other")
        ]
    );
    history_is_sound(&database);
}

#[test]
fn lock_timeout_ends_the_wait() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE TABLE other (id int PRIMARY KEY); SELECT electric.enable('other')",
    );
    let mut first = database.client();
    run(&mut first, "BEGIN; ALTER TABLE items ADD COLUMN a text");
    let mut second = database.client();
    run(&mut second, "SET lock_timeout = '100ms'");
    failure(
        second.batch_execute("ALTER TABLE other ADD COLUMN b text"),
        "55P03",
    );
    run(&mut first, "ROLLBACK");
    run(&mut second, "ALTER TABLE other ADD COLUMN b text");
    history_is_sound(&database);
}

#[test]
fn ids_follow_the_order_of_commits_not_of_starts() {
    let database = items();
    let mut early = database.client();
    run(&mut early, "BEGIN; SELECT txid_current()");
    run(
        &mut database.client(),
        "ALTER TABLE items ADD COLUMN late_start text",
    );
    run(
        &mut early,
        "ALTER TABLE items ADD COLUMN early_start text; COMMIT",
    );
    let names: Vec<_> = database
        .commands_after(1)
        .iter()
        .map(|c| c.op["column"]["name"].clone())
        .collect();
    assert_eq!(names, ["late_start", "early_start"]);
    let migrations = database.migrations();
    // Versions are starts, which ran the other way: they are not what orders.
    assert!(
        migrations[1].version > migrations[2].version,
        "{migrations:?}"
    );
    history_is_sound(&database);
}

#[test]
fn many_migrators_at_once_leave_a_sound_history() {
    let database = items();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let database = &database;
            scope.spawn(move || {
                let mut client = database.client();
                for n in 0..5 {
                    let end = if n % 2 == 0 { "COMMIT" } else { "ROLLBACK" };
                    run(
                        &mut client,
                        &format!("BEGIN; ALTER TABLE items ADD COLUMN c_{worker}_{n} int; {end}"),
                    );
                }
            });
        }
    });
    assert_eq!(database.commands().len(), 13);
    history_is_sound(&database);
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    replica.must_agree();
}

#[test]
fn an_automatic_version_is_the_start_of_the_transaction_in_utc() {
    let database = items();
    let mut client = database.client();
    run(
        &mut client,
        "SET TimeZone = '<+05>-05'; SET DateStyle = 'German'; BEGIN",
    );
    let start = text(
        &mut client,
        "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSMS')",
    );
    run(
        &mut client,
        "SELECT pg_sleep(0.01); ALTER TABLE items ADD COLUMN a text; COMMIT",
    );
    let migration = database.migrations().pop().unwrap();
    assert_eq!(
        (migration.version, migration.source.as_str()),
        (start, "auto")
    );
    assert_eq!(
        (migration.framework, migration.framework_version),
        (None, None)
    );
}

#[test]
fn an_automatic_version_that_is_taken_gets_a_suffix() {
    let database = items();
    let mut client = database.client();
    run(&mut client, "BEGIN");
    let version = text(
        &mut client,
        "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSMS')",
    );
    for taken in [version.clone(), format!("{version}_2")] {
        run(
            &mut database.client(),
            &format!(
                "BEGIN; SELECT electric.set_migration_version('{taken}'); \
                      CREATE TABLE t{taken} (id int PRIMARY KEY); SELECT electric.enable('t{taken}'); COMMIT"
            ),
        );
    }
    run(&mut client, "ALTER TABLE items ADD COLUMN a text; COMMIT");
    assert_eq!(
        database.migrations().pop().unwrap().version,
        format!("{version}_3")
    );
    history_is_sound(&database);
}

#[test]
fn set_migration_version_names_this_transactions_migration() {
    let database = items();
    let mut client = database.client();
    let mut versions = Vec::new();
    for sql in [
        // After, before, twice, by the procedure of the earlier system.
        "BEGIN; ALTER TABLE items ADD COLUMN a text; SELECT electric.set_migration_version('after'); COMMIT",
        "BEGIN; SELECT electric.set_migration_version('before'); ALTER TABLE items ADD COLUMN b text; COMMIT",
        "BEGIN; SELECT electric.set_migration_version('x'); ALTER TABLE items ADD COLUMN c text; \
         SELECT electric.set_migration_version('y'); SELECT electric.set_migration_version('the last'); COMMIT",
        "BEGIN; CALL electric.migration_version('procedure'); ALTER TABLE items ADD COLUMN d text; COMMIT",
    ] {
        run(&mut client, sql);
        let migration = database.migrations().pop().unwrap();
        assert_eq!(migration.source, "user");
        versions.push(migration.version);
    }
    assert_eq!(versions, ["after", "before", "the last", "procedure"]);
    assert_eq!(database.migrations().len(), 5);
    history_is_sound(&database);
}

#[test]
fn a_version_without_a_command_records_nothing_and_names_nothing_later() {
    let database = items();
    let before = database.trace();
    let mut client = database.client();
    run(
        &mut client,
        "BEGIN; SELECT electric.set_migration_version('unused'); INSERT INTO items VALUES (1, 'x'); COMMIT",
    );
    run(
        &mut client,
        "SELECT electric.set_migration_version('unused')",
    );
    run(
        &mut client,
        "BEGIN; SELECT electric.set_migration_version('unused'); ROLLBACK",
    );
    assert_eq!(before, database.trace());
    run(
        &mut client,
        "BEGIN; SAVEPOINT s; SELECT electric.set_migration_version('unused'); ROLLBACK TO s; \
         ALTER TABLE items ADD COLUMN a text; COMMIT",
    );
    let migration = database.migrations().pop().unwrap();
    assert_eq!(migration.source, "auto");
}

#[test]
fn a_version_rolled_back_to_a_savepoint_is_the_one_before() {
    let database = items();
    run(
        &mut database.client(),
        "BEGIN; SELECT electric.set_migration_version('kept'); SAVEPOINT s; \
         SELECT electric.set_migration_version('dropped'); ROLLBACK TO s; ALTER TABLE items ADD COLUMN a text; COMMIT",
    );
    assert_eq!(database.migrations().pop().unwrap().version, "kept");
}

#[test]
fn a_version_used_before_is_refused_with_the_migration_that_has_it() {
    let database = items();
    let name = "SELECT electric.set_migration_version('v1');";
    run(
        &mut database.client(),
        &format!("BEGIN; ALTER TABLE items ADD COLUMN a text; {name} COMMIT"),
    );
    for sql in [
        format!("BEGIN; ALTER TABLE items ADD COLUMN b text; {name} COMMIT"),
        format!("BEGIN; {name} ALTER TABLE items ADD COLUMN b text; COMMIT"),
    ] {
        let error = database.refused(&sql, "23505");
        let everything = format!("{} {}", error.message, error.detail);
        assert!(
            everything.contains("v1") && everything.contains('2'),
            "{error:?}"
        );
    }
    // To say the same twice in one transaction is no clash.
    run(
        &mut database.client(),
        "BEGIN; ALTER TABLE items ADD COLUMN c text; SELECT electric.set_migration_version('v2'); \
         SELECT electric.set_migration_version('v2'); COMMIT",
    );
    history_is_sound(&database);
}

#[test]
fn a_version_is_not_longer_than_an_index_can_hold() {
    let database = items();
    for too_long in ["repeat('x', 1025)", "repeat('é', 513)"] {
        for sql in [
            format!("SELECT electric.set_migration_version({too_long})"),
            format!(
                "BEGIN; ALTER TABLE items ADD COLUMN a text; SELECT electric.set_migration_version({too_long}); COMMIT"
            ),
        ] {
            database.refused(&sql, "22023").message_names(&["1024"]);
        }
    }
    // Of what cannot be compressed, too.
    run(
        &mut database.client(),
        "BEGIN; SELECT electric.set_migration_version((SELECT string_agg(md5(n::text), '') FROM generate_series(1, 32) n)); \
         ALTER TABLE items ADD COLUMN a text; COMMIT",
    );
    assert_eq!(database.migrations()[1].version.len(), 1024);
}

#[test]
fn history_is_append_only_even_for_superusers() {
    let database = items();
    for sql in [
        "UPDATE electric.migrations SET version = 'forged'",
        "UPDATE electric.ddl_commands SET query = 'forged'",
        "DELETE FROM electric.migrations",
        "DELETE FROM electric.ddl_commands WHERE id = 1",
        "TRUNCATE electric.migrations",
        "TRUNCATE electric.ddl_commands",
        "SET session_replication_role = replica; DELETE FROM electric.ddl_commands",
        "DO 'BEGIN UPDATE electric.ddl_commands SET hash = NULL; END'",
    ] {
        database.refused(sql, "0A000").hinted();
    }
}

#[test]
fn the_chain_is_over_the_ops_as_stored() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE TYPE mood AS ENUM ('a\\b', 'ü\"x', E'tab\\there'); ALTER TABLE items ADD COLUMN m mood DEFAULT 'ü\"x', \
         ADD COLUMN t text DEFAULT E'line\\nfeed \\\\ \\u2028 \\u0001 é'; CREATE INDEX i ON items (lower(value))",
    );
    let commands = database.commands();
    assert_eq!(commands[0].hash, ledger::link("", &commands[0].op));
    history_is_sound(&database);
    let last = commands.last().unwrap();
    let mut client = database.client();
    let status: serde_json::Value = client
        .query_one("SELECT electric.status()", &[])
        .unwrap()
        .get(0);
    assert_eq!(status["hash"], serde_json::json!(last.hash));
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    replica.must_agree();
}

#[test]
fn an_old_snapshot_records_its_own_changes_only() {
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let database = items();
        let mut old = database.client();
        run(
            &mut old,
            &format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM pg_class"),
        );
        run(
            &mut database.client(),
            "ALTER TABLE items ADD COLUMN theirs text; INSERT INTO items VALUES (1, 'x', 'y')",
        );
        run(&mut old, "ALTER TABLE items ADD COLUMN mine text; COMMIT");
        let commands = database.commands_after(1);
        assert_eq!(words(&commands), [("add_column", "public.items"); 2]);
        assert_eq!(commands[1].op["column"]["name"], "mine");
        history_is_sound(&database);
        let (mut replica, _) = Replica::follow(&database, None).unwrap();
        replica.must_agree();
    }
}

#[test]
fn canonical_statements_are_qualified_and_independent_of_settings() {
    let plain = items();
    let odd = items();
    let sql = "CREATE TYPE public.mood AS ENUM ('x'); ALTER TABLE public.items ADD COLUMN a public.mood DEFAULT 'x', \
               ADD COLUMN b timestamptz DEFAULT '2024-02-03 04:05:06+00', ADD COLUMN c interval DEFAULT '1 day 02:03', \
               ADD COLUMN d float8 DEFAULT 0.1, ADD COLUMN e bytea DEFAULT '\\x00ff'; \
               CREATE INDEX i ON public.items (lower(value), b DESC)";
    run(&mut plain.client(), sql);
    run(
        &mut odd.client(),
        &format!(
            "SET search_path = public, pg_catalog; SET DateStyle = 'SQL, DMY'; SET TimeZone = '<+05>-05'; \
                  SET IntervalStyle = 'iso_8601'; SET extra_float_digits = -3; SET bytea_output = 'escape'; \
                  SET quote_all_identifiers = on; {sql}"
        ),
    );
    let (plain, odd) = (plain.commands(), odd.commands());
    for (plain, odd) in plain.iter().zip(&odd) {
        assert_eq!(
            (&plain.postgres, &plain.sqlite, &plain.op),
            (&odd.postgres, &odd.sqlite, &odd.op)
        );
    }
    assert_eq!(plain.len(), odd.len());
    assert_eq!(
        plain.last().map(|c| c.hash.clone()),
        odd.last().map(|c| c.hash.clone())
    );
}

#[test]
fn what_is_plain_reads_the_same_under_any_settings() {
    let database = items();
    let mut odd = database.client();
    run(
        &mut odd,
        "SET quote_all_identifiers = on; SET search_path = public, pg_catalog; ALTER TABLE items ADD COLUMN a int; \
         CREATE INDEX i ON items (a DESC, value)",
    );
    let commands = database.commands();
    assert_eq!(
        words(&commands[1..]),
        [
            ("add_column", "public.items"),
            ("create_index", "public.items")
        ]
    );
    assert_eq!(
        commands[2].op["index"]["definition"],
        "CREATE INDEX i ON public.items USING btree (a DESC, value)"
    );
    // Nothing is seen by a session that quotes as ever.
    run(&mut database.client(), "ALTER TABLE items ADD COLUMN b int");
    assert_eq!(database.commands().len(), 4);
}

#[test]
fn an_index_is_recorded_as_the_server_prints_it() {
    let database = items();
    let mut client = database.client();
    run(
        &mut client,
        r#"ALTER TABLE items ADD COLUMN "order" int, ADD COLUMN "Odd ""Name" text COLLATE "C", ADD COLUMN v varchar(9),
           ADD COLUMN j jsonb, ADD COLUMN n numeric(5, 2), ADD COLUMN l text[];
           CREATE DOMAIN whole AS int; ALTER TABLE items ADD COLUMN w whole"#,
    );
    let forms = [
        "(value)",
        "(value, \"order\" DESC)",
        "(\"order\" NULLS FIRST, v DESC NULLS LAST)",
        "(\"Odd \"\"Name\")",
        "(\"Odd \"\"Name\" COLLATE \"POSIX\")",
        "(value COLLATE \"C\")",
        "(value text_pattern_ops)",
        "(v varchar_pattern_ops, n)",
        "(w, l)",
        "(value) INCLUDE (\"order\", j)",
        "(n) WITH (fillfactor = 70, deduplicate_items = off)",
        "USING hash (v)",
        "USING gin (j jsonb_path_ops)",
        "USING brin (\"order\")",
        "(lower(value), (\"order\" + 1))",
        "(value) WHERE \"order\" > 0",
    ];
    for (n, form) in forms.iter().enumerate() {
        let on = match form.starts_with("USING") {
            true => (*form).to_owned(),
            false => format!("USING btree {form}"),
        };
        run(
            &mut client,
            &format!("CREATE INDEX \"Index {n}\" ON items {on}"),
        );
    }
    run(
        &mut client,
        "CREATE UNIQUE INDEX one ON items (v) NULLS NOT DISTINCT",
    );
    let printed = "SELECT string_agg(pg_get_indexdef(i.indexrelid), E'\n' ORDER BY c.id) \
        FROM electric.ddl_commands c JOIN pg_class r ON r.relname = c.op->'index'->>'name' JOIN pg_index i ON i.indexrelid = r.oid";
    let recorded = "SELECT string_agg(op->'index'->>'definition', E'\n' ORDER BY id) FROM electric.ddl_commands \
        WHERE command = 'create_index'";
    let (printed, recorded) = (text(&mut client, printed), text(&mut client, recorded));
    assert_eq!(recorded, printed);
    assert_eq!(recorded.lines().count(), forms.len() + 1);
}

#[test]
fn the_postgres_statements_build_the_same_table_elsewhere() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE SCHEMA s; CREATE TYPE s.mood AS ENUM ('a', 'c'); CREATE TABLE s.t (id serial PRIMARY KEY, m s.mood \
         DEFAULT 'a', item int REFERENCES items ON DELETE CASCADE, amount numeric(10,2) CHECK (amount > 0), \
         email text UNIQUE); CREATE INDEX by_m ON s.t (m DESC); SELECT electric.enable('s.t'); \
         ALTER TYPE s.mood ADD VALUE 'b' BEFORE 'c'",
    );
    run(
        &mut database.client(),
        "ALTER TABLE s.t ADD COLUMN flag boolean NOT NULL DEFAULT true; ALTER TABLE s.t ALTER m SET DEFAULT 'b'; \
         DROP INDEX s.by_m",
    );
    let copy = Cluster::shared().empty_database();
    for statement in database.commands().iter().flat_map(|c| &c.postgres) {
        run(&mut copy.client(), statement);
    }
    let columns = "SELECT string_agg(concat_ws(' ', c.table_schema, c.table_name, c.column_name, c.data_type, c.udt_name, \
                   c.is_nullable, c.column_default, c.numeric_precision), E'\\n' ORDER BY c.table_name, c.ordinal_position) \
                   FROM information_schema.columns c WHERE table_schema IN ('s', 'public')";
    let constraints = "SELECT string_agg(conrelid::regclass || conname || pg_get_constraintdef(oid), E'\\n' ORDER BY conname) \
                       FROM pg_constraint WHERE conrelid >= 16384 AND connamespace::regnamespace::text IN ('s', 'public')";
    let labels = "SELECT string_agg(enumlabel, ' ' ORDER BY enumsortorder) FROM pg_enum";
    for sql in [columns, constraints, labels] {
        assert_eq!(
            text(&mut database.client(), sql),
            text(&mut copy.client(), sql)
        );
    }
    // Nothing was captured there, and here all is in order.
    assert!(commands(&mut database.client()).len() >= 6);
    history_is_sound(&database);
}
