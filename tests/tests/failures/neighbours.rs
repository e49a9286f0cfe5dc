//! Rows 24 to 30: dumps, upgrades, other libraries, and commands that reach tables in other ways.

use std::process::Output;

use electric_tests::cluster::{Cluster, Stop};
use electric_tests::database::{commands, run, text, words};
use electric_tests::errors::failure;
use electric_tests::replica::Replica;
use postgres::Client;

use super::{history_is_sound, items};

#[track_caller]
fn succeeded(output: &Output) {
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Restored, a database has every record and trigger once, nothing is captured by the restore, and capture goes on.
#[test]
fn failure_24_a_dump_restores_the_records_once() {
    let database = items();
    run(
        &mut database.client(),
        "ALTER TABLE items ADD COLUMN \"Später\" text DEFAULT 'x'; CREATE INDEX i ON items (value); \
         INSERT INTO items VALUES (1, 'one')",
    );
    let cluster = database.cluster();
    let file = cluster.directory().join(format!("{}.sql", database.name()));
    let mut dump = cluster.command("pg_dump");
    dump.arg("-h").arg(cluster.directory());
    dump.args(["-p", &cluster.port().to_string(), "-U", "postgres", "-f"]);
    succeeded(&dump.arg(&file).arg(database.name()).output().unwrap());

    let restored = cluster.empty_database();
    let script = file.to_string_lossy().into_owned();
    succeeded(
        &cluster
            .psql(restored.name(), "postgres", &["-q", "-f", &script])
            .unwrap(),
    );
    assert_eq!(restored.commands(), database.commands());
    assert_eq!(restored.migrations(), database.migrations());
    let triggers = "SELECT string_agg(evtname, ',' ORDER BY evtname) FROM pg_event_trigger";
    let mut client = restored.client();
    assert_eq!(
        text(&mut client, triggers),
        text(&mut database.client(), triggers)
    );
    let owned = "SELECT count(*)::text FROM pg_event_trigger t WHERE NOT EXISTS (SELECT FROM pg_depend \
                 WHERE classid = 'pg_event_trigger'::regclass AND objid = t.oid AND deptype = 'e')";
    assert_eq!(text(&mut client, owned), "0");
    assert_eq!(
        text(&mut client, "SELECT count(*)::text FROM electric.drift()"),
        "0"
    );

    let new = restored.recorded("ALTER TABLE items ADD COLUMN after text");
    assert_eq!(words(&new), [("add_column", "public.items")]);
    restored
        .refused("ALTER TABLE items DROP COLUMN value", "0A000")
        .about_column("value");
    history_is_sound(&restored);
}

/// pg_upgrade recreates the catalog in binary mode: the library is to load there, and to stay out of it.
#[test]
fn failure_25_a_server_in_binary_upgrade_is_left_alone() {
    let cluster = Cluster::builder().preload(true).start().unwrap();
    let database = cluster.database().items();
    run(&mut database.client(), "LOAD 'electric'");
    run(&mut cluster.empty_database().client(), "LOAD 'electric'");
    cluster.stop(Stop::Fast).unwrap();
    cluster.start_with("-b", &[]).unwrap();
    let before = database.last_command();
    let mut client = database.client();
    run(
        &mut client,
        "ALTER TABLE items ADD COLUMN a text; ALTER TABLE items DROP COLUMN a; ALTER TABLE items ALTER value SET NOT NULL; \
         ALTER TABLE items ALTER value DROP NOT NULL",
    );
    assert_eq!(database.last_command(), before);
    drop(client);
    cluster.restart(Stop::Fast).unwrap();
    let new = database.recorded("ALTER TABLE items ADD COLUMN b text");
    assert_eq!(words(&new), [("add_column", "public.items")]);
    database
        .refused("ALTER TABLE items ALTER value SET NOT NULL", "0A000")
        .about_column("value");
}

/// Preloaded, but not created in this database; created and dropped while sessions are at work.
#[test]
fn failure_26_sessions_follow_the_extension_as_it_comes_and_goes() {
    let cluster = Cluster::builder().preload(true).start().unwrap();
    let database = cluster.empty_database();
    let (mut one, mut other) = (database.client(), database.client());
    let free = "CREATE TABLE items (id int PRIMARY KEY, value text); ALTER TABLE items DROP COLUMN value; DROP TABLE items";
    for _ in 0..2 {
        for session in [&mut one, &mut other] {
            run(session, free);
        }
        run(
            &mut one,
            "CREATE EXTENSION electric; CREATE TABLE items (id int PRIMARY KEY, value text); \
             SELECT electric.enable('items')",
        );
        for session in [&mut one, &mut other] {
            database
                .refused_by(session, "ALTER TABLE items DROP COLUMN value", "0A000")
                .about_column("value");
        }
        run(&mut other, "ALTER TABLE items ADD COLUMN a text");
        run(&mut one, "ALTER EXTENSION electric UPDATE");
        run(&mut one, "ALTER TABLE items ADD COLUMN b text");
        assert_eq!(commands(&mut other).len(), 3);
        history_is_sound(&database);
        // Undone, the drop leaves everything as it was.
        run(
            &mut other,
            "BEGIN; DROP EXTENSION electric CASCADE; ALTER TABLE items DROP COLUMN value; ROLLBACK",
        );
        for session in [&mut one, &mut other] {
            database.refused_by(session, "DROP TABLE items", "0A000");
        }
        run(
            &mut one,
            "DROP EXTENSION electric CASCADE; DROP TABLE items",
        );
        run(&mut one, "DROP PUBLICATION electric_publication");
    }
}

/// pgaudit keeps a stack of what runs: errors in nested code must not leave it out of step, before or after us.
#[test]
fn failure_27_pgaudits_stack_stays_in_step() {
    if !Cluster::shared().empty_database().offers("pgaudit") {
        eprintln!("not tried: this server has no pgaudit");
        return;
    }
    for order in ["pgaudit,electric", "electric,pgaudit"] {
        let cluster = Cluster::builder()
            .setting("shared_preload_libraries", order)
            .setting("pgaudit.log", "all")
            .start()
            .unwrap();
        let database = cluster.database();
        run(&mut database.client(), "CREATE EXTENSION pgaudit");
        let database = database.items();
        let mut client = database.client();
        let refused = "DO $$ BEGIN ALTER TABLE items ADD COLUMN lost text; ALTER TABLE items DROP COLUMN value; END $$";
        for n in 0..3 {
            failure(client.batch_execute(refused), "0A000");
            run(
                &mut client,
                &format!(
                    "DO $$ BEGIN BEGIN ALTER TABLE items DROP COLUMN value; EXCEPTION WHEN feature_not_supported THEN \
                     EXECUTE 'ALTER TABLE items ADD COLUMN c{n} text'; END; END $$"
                ),
            );
            run(
                &mut client,
                &format!(
                    "SELECT count(*) FROM electric.check('ALTER TABLE items ADD COLUMN d{n} int; DROP TABLE items')"
                ),
            );
        }
        assert_eq!(database.commands().len(), 4, "{order}");
        let log = cluster.log();
        assert!(log.contains("AUDIT: SESSION"), "{order}: {log}");
        assert!(!log.contains("stack"), "{order}: {log}");
    }
}

/// Where we have nothing to do, the hook that was there before still gets every statement.
#[test]
fn failure_28_hooks_before_ours_get_every_statement() {
    if !Cluster::shared()
        .empty_database()
        .offers("pg_stat_statements")
    {
        eprintln!("not tried: this server has no pg_stat_statements");
        return;
    }
    let cluster = Cluster::builder()
        .setting("shared_preload_libraries", "pg_stat_statements,electric")
        .start()
        .unwrap();
    let seen = |client: &mut Client, statement: &str| {
        let sql = format!(
            "SELECT coalesce(sum(calls), 0)::text FROM pg_stat_statements WHERE query = '{statement}'"
        );
        text(client, &sql)
    };
    // Not created; created, with nothing electrified; all of it set free.
    let (plain, idle, free) = (
        cluster.empty_database(),
        cluster.database(),
        cluster.database().items(),
    );
    for (n, database) in [plain, idle, free].iter().enumerate() {
        let mut client = database.client();
        run(&mut client, "CREATE EXTENSION pg_stat_statements");
        run(&mut client, "SET electric.policy = 'unrestricted'");
        for statement in [
            format!("CREATE TABLE t{n} (a int)"),
            format!("REINDEX TABLE t{n}"),
            format!("TRUNCATE t{n}"),
            format!("DROP TABLE t{n}"),
        ] {
            run(&mut client, &statement);
            assert_eq!(seen(&mut client, &statement), "1", "{statement}");
        }
    }
}

/// A tree that is kept, prepared or in the plan of a function, runs again and again as it was written.
#[test]
fn failure_29_kept_trees_run_again() {
    let database = items();
    let mut client = database.client();
    let create = client.prepare("CREATE INDEX i ON items (value)").unwrap();
    let drop = client.prepare("DROP INDEX i").unwrap();
    let refused = client
        .prepare("ALTER TABLE items DROP COLUMN value, ADD COLUMN lost text")
        .unwrap();
    for _ in 0..3 {
        let before = database.last_command();
        client.execute(&create, &[]).unwrap();
        client.execute(&drop, &[]).unwrap();
        failure(client.execute(&refused, &[]), "0A000").about_column("value");
        let new = database.commands_after(before);
        assert_eq!(
            words(&new),
            [
                ("create_index", "public.items"),
                ("drop_index", "public.items")
            ]
        );
        assert_eq!(new[0].query, "CREATE INDEX i ON items (value)");
        assert_eq!(new[1].query, "DROP INDEX i");
    }
    run(
        &mut client,
        "CREATE FUNCTION again() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE INDEX j ON items (value); \
         DROP INDEX j; BEGIN ALTER TABLE items DROP COLUMN value; EXCEPTION WHEN feature_not_supported THEN END; END $$",
    );
    for _ in 0..3 {
        let new = database.recorded("SELECT again()");
        assert_eq!(new.len(), 2);
        run(&mut client, "SELECT again()");
    }
    assert_eq!(database.commands().len(), 1 + 3 * 2 + 2 * 3 * 2);
    history_is_sound(&database);
    // Native syntax is taken out of a copy.
    run(
        &mut client,
        "LOAD 'electric'; CREATE TABLE other (id int PRIMARY KEY)",
    );
    let on = client
        .prepare("ALTER TABLE other SET (electric.enabled)")
        .unwrap();
    let off = client
        .prepare("ALTER TABLE other RESET (electric.enabled)")
        .unwrap();
    for _ in 0..3 {
        let before = database.last_command();
        client.execute(&on, &[]).unwrap();
        client.execute(&off, &[]).unwrap();
        assert_eq!(
            words(&database.commands_after(before)),
            [
                ("create_table", "public.other"),
                ("disable_table", "public.other")
            ]
        );
    }
}

/// Commands that reach tables without naming them, or under the name of something else.
#[test]
fn failure_30_commands_that_reach_tables_in_other_ways() {
    let database = items();
    let (owner, other) = (database.role("owner"), database.role("other"));
    let space = format!("space_{}", database.name());
    let mut client = database.client();
    run(&mut client, "SET allow_in_place_tablespaces = on");
    // Not in a transaction, so not in one string with the setting.
    run(
        &mut client,
        &format!("CREATE TABLESPACE {space} LOCATION ''"),
    );
    run(
        &mut database.client(),
        &format!(
            "ALTER TABLE items ADD COLUMN n int; INSERT INTO items VALUES (1, 'one', 1); CREATE SEQUENCE loose; \
             CREATE TABLE theirs (id serial PRIMARY KEY, value text); ALTER TABLE theirs OWNER TO {owner}; \
             SELECT electric.enable('theirs'); CREATE VIEW v AS SELECT * FROM items"
        ),
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    for sql in [
        "TRUNCATE items, theirs RESTART IDENTITY CASCADE",
        "INSERT INTO items VALUES (2, 'two', 2)",
        &format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {other}"),
        &format!("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {other}"),
        &format!(
            "ALTER TABLE ALL IN TABLESPACE pg_default OWNED BY {owner} SET TABLESPACE {space}"
        ),
        &format!(
            "ALTER INDEX ALL IN TABLESPACE pg_default OWNED BY {owner} SET TABLESPACE {space}"
        ),
        &format!("ALTER TABLE ALL IN TABLESPACE {space} SET TABLESPACE pg_default"),
        &format!("ALTER INDEX ALL IN TABLESPACE {space} SET TABLESPACE pg_default"),
        "ALTER SEQUENCE loose OWNED BY items.n",
        "ALTER SEQUENCE loose OWNED BY NONE",
        &format!("REASSIGN OWNED BY {owner} TO {other}"),
        &format!("REASSIGN OWNED BY {other} TO {owner}"),
        &format!("DROP OWNED BY {other}"),
        "ALTER TABLE v RENAME TO w",
        "ALTER TABLE loose RENAME TO tight",
    ] {
        database.unrecorded(sql);
    }
    let new = database.recorded("ALTER TABLE ONLY items ADD COLUMN o text");
    assert_eq!(words(&new), [("add_column", "public.items")]);
    let new = database.recorded("CREATE INDEX i ON items (n)");
    assert_eq!(words(&new), [("create_index", "public.items")]);
    let new = database.recorded("ALTER TABLE i RENAME TO j");
    assert_eq!(words(&new), [("rename_index", "public.items")]);
    for sql in [
        format!("DROP OWNED BY {owner}"),
        format!("DROP OWNED BY {owner} CASCADE"),
    ] {
        database
            .refused(&sql, "0A000")
            .about_table("public", "theirs");
    }
    for sql in [
        "ALTER TABLE ONLY items DROP COLUMN n",
        "ALTER VIEW items RENAME TO things",
        "ALTER SEQUENCE items RENAME TO things",
        "ALTER VIEW items RENAME COLUMN n TO m",
        "DROP SCHEMA public CASCADE",
    ] {
        database.refused_with_one_of(sql, &["0A000", "42809"]);
    }
    // The index of the primary key is part of a constraint, by whichever name the command calls it.
    database.refused("ALTER TABLE items_pkey RENAME TO key", "0A000");
    database.refused("ALTER INDEX items_pkey RENAME TO key", "0A000");
    replica.must_agree();
}
