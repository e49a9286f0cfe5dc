//! Functions for events, frames of commands, and who writes the tables of the extension.

use std::sync::OnceLock;

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text, words};

/// Servers that load the library when they start, and in the first command of a session.
fn servers() -> [&'static Cluster; 2] {
    static SERVERS: OnceLock<[Cluster; 2]> = OnceLock::new();
    let [one, other] = SERVERS.get_or_init(|| {
        [false, true].map(|preload| Cluster::builder().preload(preload).start().unwrap())
    });
    [one, other]
}

/// A database with electrified tables, and a role that owns them.
fn owned(cluster: &'static Cluster) -> (Database<'static>, String) {
    let database = cluster.database();
    let role = database.role("owner");
    run(
        &mut database.client(),
        &format!("GRANT CREATE ON SCHEMA public TO {role}"),
    );
    let mut client = database.client_as(&role);
    run(&mut client, EVIL);
    run(
        &mut client,
        "CREATE TABLE items (id int PRIMARY KEY, value text); INSERT INTO items VALUES (1, 'x'); \
         CREATE TABLE parent (v int, w int); CREATE TABLE child (id int PRIMARY KEY) INHERITS (parent); \
         INSERT INTO child VALUES (1, 1, 1); \
         CREATE TABLE events (id int PRIMARY KEY) PARTITION BY RANGE (id); \
         CREATE TABLE ref (id int PRIMARY KEY); \
         CREATE TABLE events_low PARTITION OF events (FOREIGN KEY (id) REFERENCES ref) FOR VALUES FROM (0) TO (10); \
         INSERT INTO ref VALUES (1); INSERT INTO events VALUES (1); \
         SELECT electric.enable('items', 'child', 'events')",
    );
    (database, role)
}

/// Whatever may be tried to have the end of a command pass before it has come.
const EVIL: &str = r#"
    CREATE FUNCTION evil(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
    DECLARE name text;
    BEGIN
        FOREACH name IN ARRAY ARRAY['on_command_end', 'on_command_start', 'on_table_rewrite', 'protect', 'list_changed',
            'on_replicated_command', 'protect_history'] LOOP
            BEGIN EXECUTE format('SELECT electric.%I()', name); EXCEPTION WHEN OTHERS THEN NULL; END;
        END LOOP;
        BEGIN EXECUTE 'CREATE TABLE in_between (a int)'; RAISE 'undone'; EXCEPTION WHEN OTHERS THEN NULL; END;
        BEGIN EXECUTE 'ALTER TABLE items DROP COLUMN value'; EXCEPTION WHEN OTHERS THEN NULL; END;
        BEGIN EXECUTE 'TRUNCATE items_of_nobody'; EXCEPTION WHEN OTHERS THEN NULL; END;
        BEGIN PERFORM 1 / 0; EXCEPTION WHEN OTHERS THEN NULL; END;
        RETURN 7;
    END $$;
    CREATE FUNCTION evil_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM evil(1); RETURN NULL; END';
"#;

/// Doors by which code of a table's owner runs inside of a command that is refused.
const REFUSED: &[&str] = &[
    "ALTER TABLE items ADD COLUMN z int NOT NULL DEFAULT evil(1), ADD CONSTRAINT c CHECK (value <> 'q'), ADD UNIQUE (value)",
    "ALTER TABLE items ADD COLUMN z int NOT NULL DEFAULT evil(1), DROP COLUMN value",
    "ALTER TABLE parent DROP COLUMN v, ADD CHECK (evil(w) = 7) NO INHERIT",
    "ALTER TABLE parent DROP COLUMN v, ADD CHECK (evil(w) = 7) NOT VALID, ADD COLUMN more int DEFAULT evil(2)",
    "ALTER TABLE parent ADD CHECK (evil(w) = 7)",
    "ALTER TABLE items ALTER value TYPE varchar(5) USING evil(1)::text",
    "CREATE DOMAIN d AS int CHECK (evil(VALUE) = 7); ALTER TABLE items ADD COLUMN z d NOT NULL DEFAULT 1, ADD CHECK (z > 0), DROP COLUMN value",
    "CREATE TRIGGER t BEFORE TRUNCATE ON events_low EXECUTE FUNCTION evil_trigger(); TRUNCATE ref CASCADE",
    "CREATE TRIGGER t AFTER TRUNCATE ON events_low EXECUTE FUNCTION evil_trigger(); TRUNCATE events_low",
    "CREATE TRIGGER t BEFORE TRUNCATE ON ref EXECUTE FUNCTION evil_trigger(); TRUNCATE ref, events_low",
];

#[test]
fn fault_03_no_code_inside_a_command_ends_it() {
    for cluster in servers() {
        let (database, role) = owned(cluster);
        for sql in REFUSED {
            // Over a new session, which loads the library in this command, and in one that has it.
            let mut client = database.client_as(&role);
            database.refused_by(&mut client, sql, "0A000");
            database.refused_by(&mut client, sql, "0A000");
            let block = format!("BEGIN; SAVEPOINT s; {sql}; COMMIT");
            database.refused_by(&mut client, &block, "0A000");
            run(&mut client, "ROLLBACK");
            let quoted = sql.replace('\'', "''").replace("; ", "'; EXECUTE '");
            let nested = format!("DO $o$ BEGIN EXECUTE '{quoted}'; END $o$");
            database.refused_by(&mut client, &nested, "0A000");
        }
        assert_eq!(
            text(
                &mut database.client(),
                "SELECT count(*)::text FROM electric.drift()"
            ),
            "0"
        );
    }
}

/// Where the same code runs inside of what is let through, that is recorded as without it.
#[test]
fn fault_03_what_is_let_through_is_recorded_once() {
    for cluster in servers() {
        let (database, role) = owned(cluster);
        for (sql, recorded) in [
            (
                "ALTER TABLE items ADD COLUMN a int NOT NULL DEFAULT evil(1)",
                "add_column",
            ),
            ("CREATE INDEX ON items (evil(id))", "create_index"),
            (
                "CREATE INDEX CONCURRENTLY ON items (id) WHERE evil(id) = 7",
                "create_index",
            ),
        ] {
            let before = database.last_command();
            run(&mut database.client_as(&role), sql);
            let new = database.commands_after(before);
            assert_eq!(words(&new), [(recorded, "public.items")], "{sql}");
        }
        for sql in [
            "REINDEX TABLE items",
            "CREATE TABLE copied AS SELECT evil(id) FROM items",
            "CREATE MATERIALIZED VIEW seen AS SELECT evil(id) FROM items",
            "REFRESH MATERIALIZED VIEW seen",
        ] {
            let before = database.last_command();
            run(&mut database.client_as(&role), sql);
            assert_eq!(database.last_command(), before, "{sql}");
        }
        assert_eq!(
            text(
                &mut database.client(),
                "SELECT count(*)::text FROM electric.drift()"
            ),
            "0"
        );
    }
}

#[test]
fn fault_03_event_functions_are_not_called() {
    for cluster in servers() {
        let (database, role) = owned(cluster);
        for name in [
            "on_command_start",
            "on_command_end",
            "on_table_rewrite",
            "protect",
            "list_changed",
            "on_replicated_command",
        ] {
            let call = format!("SELECT electric.{name}()");
            let mut client = database.client_as(&role);
            database.refused_by(&mut client, &call, "42501");
            // Those of rows the server refuses by itself.
            database.refused(&call, "0A000");
            let serves = if name.starts_with("on_") && name != "on_replicated_command" {
                format!(
                    "CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION electric.{name}()"
                )
            } else {
                format!(
                    "CREATE TRIGGER mine BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION electric.{name}()"
                )
            };
            database.refused_by(&mut client, &serves, "42501");
        }
    }
}

/// An event trigger of a superuser's that calls our functions is refused, when it is made and when it fires.
#[test]
fn fault_03_other_event_triggers_are_not_served() {
    for cluster in servers() {
        let (database, _) = owned(cluster);
        run(&mut database.client(), "CREATE TABLE free (v int, w int)");
        for (event, function) in [
            ("ddl_command_end", "electric.on_command_end()"),
            ("ddl_command_start", "electric.on_command_start()"),
            ("table_rewrite", "electric.on_table_rewrite()"),
            ("ddl_command_start", "electric.on_command_end()"),
            ("sql_drop", "electric.on_command_end()"),
        ] {
            let create =
                format!("CREATE EVENT TRIGGER mine ON {event} EXECUTE FUNCTION {function}");
            let loaded = format!("SELECT electric.status(); {create}");
            database.refused(&loaded, "0A000").hinted();
            // A session that has not loaded the library lets it be made.
            run(
                &mut database.client(),
                &format!("SET electric.policy = unrestricted; {create}"),
            );
            let alters = "ALTER TABLE free ALTER v TYPE text, DROP COLUMN w";
            let error = database.refused(alters, "0A000");
            error.message_names(&["mine"]).hinted();
            assert_eq!(error.hint, "DROP EVENT TRIGGER mine;");
            run(&mut database.client(), "ALTER EVENT TRIGGER mine DISABLE");
            database.unrecorded("CREATE TABLE between_times (a int); DROP TABLE between_times");
            run(&mut database.client(), "DROP EVENT TRIGGER mine");
        }
        let new = database.recorded("ALTER TABLE items ADD COLUMN after int");
        assert_eq!(words(&new), [("add_column", "public.items")]);
        // The same code under another name.
        run(
            &mut database.client(),
            "CREATE FUNCTION alias() RETURNS event_trigger LANGUAGE c AS '$libdir/electric', 'electric_on_command_end'; \
             CREATE EVENT TRIGGER a_mine ON ddl_command_end EXECUTE FUNCTION alias()",
        );
        database.refused("ALTER TABLE items ADD COLUMN another int", "0A000");
        run(&mut database.client(), "DROP EVENT TRIGGER a_mine");
        let new = database.recorded("ALTER TABLE items ADD COLUMN another int");
        assert_eq!(words(&new), [("add_column", "public.items")]);
    }
}

/// Commands of event triggers of others, before and after ours, have frames of their own.
#[test]
fn fault_03_commands_of_other_event_triggers_are_commands() {
    for cluster in servers() {
        let (database, role) = owned(cluster);
        run(
            &mut database.client(),
            "CREATE FUNCTION inner_command() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF tg_tag = 'ALTER TABLE' AND pg_trigger_depth() = 0 AND current_setting('my.depth', true) IS DISTINCT FROM 'in' THEN \
                     PERFORM set_config('my.depth', 'in', true); \
                     EXECUTE 'CREATE TABLE IF NOT EXISTS made (a int)'; \
                     BEGIN EXECUTE 'ALTER TABLE items DROP COLUMN value'; EXCEPTION WHEN OTHERS THEN NULL; END; \
                     BEGIN PERFORM electric.on_command_end(); EXCEPTION WHEN OTHERS THEN NULL; END; \
                     EXECUTE 'DROP TABLE made'; \
                     PERFORM set_config('my.depth', 'out', true); \
                 END IF; END $$; \
             CREATE EVENT TRIGGER a_before ON ddl_command_start EXECUTE FUNCTION inner_command(); \
             CREATE EVENT TRIGGER z_after ON ddl_command_start EXECUTE FUNCTION inner_command(); \
             CREATE EVENT TRIGGER b_before ON ddl_command_end EXECUTE FUNCTION inner_command(); \
             CREATE EVENT TRIGGER y_after ON ddl_command_end EXECUTE FUNCTION inner_command()",
        );
        let mut client = database.client_as(&role);
        for sql in [
            "ALTER TABLE items ADD COLUMN z int, ADD CHECK (z > 0), DROP COLUMN value",
            "ALTER TABLE parent DROP COLUMN v",
        ] {
            database.refused_by(&mut client, sql, "0A000");
        }
        let before = database.last_command();
        run(&mut client, "ALTER TABLE items ADD COLUMN z int");
        let new = database.commands_after(before);
        assert_eq!(words(&new), [("add_column", "public.items")]);
    }
}

/// A command whose beginning was not seen fails, rather than pass unseen.
#[test]
fn fault_03_a_beginning_that_was_not_seen_is_an_error() {
    for cluster in servers() {
        let (database, role) = owned(cluster);
        let admin = |sql: &str| {
            let sql = format!("SET electric.policy = unrestricted; {sql}");
            run(&mut database.client(), &sql);
        };
        admin("ALTER EVENT TRIGGER electric_command_start DISABLE");
        let mut client = database.client_as(&role);
        for sql in [
            "ALTER TABLE items ADD COLUMN z int",
            "CREATE TABLE innocent (a int)",
            "DROP TABLE items",
        ] {
            database.refused_by(&mut client, sql, "55000").hinted();
        }
        admin("ALTER EVENT TRIGGER electric_command_start ENABLE ALWAYS");
        let before = database.last_command();
        run(&mut client, "ALTER TABLE items ADD COLUMN z int");
        assert_eq!(
            words(&database.commands_after(before)),
            [("add_column", "public.items")]
        );
    }
}

/// Where the extension comes or goes in the midst of it, nothing is missed.
#[test]
fn fault_03_commands_that_make_or_remove_the_extension() {
    for cluster in servers() {
        let database = cluster.empty_database();
        run(
            &mut database.client(),
            "CREATE FUNCTION nothing() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; \
             CREATE EVENT TRIGGER of_user ON ddl_command_end EXECUTE FUNCTION nothing(); \
             CREATE EVENT TRIGGER of_user_too ON sql_drop EXECUTE FUNCTION nothing(); \
             CREATE FUNCTION makes() RETURNS int LANGUAGE plpgsql AS $$ BEGIN CREATE EXTENSION electric; \
             CREATE TABLE items (id int PRIMARY KEY, value text); PERFORM electric.enable('items'); RETURN 1; END $$",
        );
        run(
            &mut database.client(),
            "CREATE TABLE made AS SELECT makes()",
        );
        database.refused("ALTER TABLE items DROP COLUMN value", "0A000");
        run(
            &mut database.client(),
            "DROP EXTENSION electric; CREATE EXTENSION electric; ALTER EXTENSION electric UPDATE; \
             SELECT electric.enable('items'); ALTER TABLE items ADD COLUMN a int",
        );
        let mut client = database.client();
        run(&mut client, "BEGIN; DROP EXTENSION electric; ROLLBACK");
        run(&mut client, "ALTER TABLE items ADD COLUMN b int");
        assert_eq!(database.commands().len(), 3);
        database.history_is_sound();
    }
}

/// The tables of the extension, whatever there are.
const TABLES: &str = "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_depend d ON d.objid = c.oid \
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' \
    AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'electric') AND c.relkind = 'r' ORDER BY 1";

fn our_tables(database: &Database<'_>) -> Vec<String> {
    let rows = database.client().query(TABLES, &[]).unwrap();
    assert!(rows.len() >= 10);
    rows.iter().map(|row| row.get(0)).collect()
}

/// Ways to write a table, by the names of the table, one of its columns, and all of them.
const WRITES: &[&str] = &[
    "INSERT INTO {t} SELECT * FROM {t}",
    "INSERT INTO {t} DEFAULT VALUES",
    "UPDATE {t} SET {c} = {c}",
    "DELETE FROM {t}",
    "DELETE FROM {t} WHERE false",
    "TRUNCATE {t}",
    "TRUNCATE {t} CASCADE",
    "COPY {t} FROM PROGRAM 'true'",
    "MERGE INTO {t} USING (SELECT 1) AS s ON false WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
    "MERGE INTO {t} USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM {t} RETURNING 1) SELECT count(*) FROM gone",
    "INSERT INTO {t} SELECT * FROM {t} ON CONFLICT DO NOTHING",
    "PREPARE p AS DELETE FROM {t}; EXECUTE p",
    "DO $$ BEGIN DELETE FROM {t}; END $$",
    "SET session_replication_role = origin; DELETE FROM {t}",
    "CREATE TEMP VIEW seen AS SELECT * FROM {t}; DELETE FROM seen",
    "CREATE TEMP VIEW seen AS SELECT * FROM {t}; INSERT INTO seen SELECT * FROM {t}",
    "CREATE TEMP TABLE mine (a int); CREATE RULE r AS ON INSERT TO mine DO ALSO DELETE FROM {t}; INSERT INTO mine VALUES (1)",
    "CREATE FUNCTION pg_temp.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM {t}; RETURN NULL; END $$; \
     CREATE TEMP TABLE mine (a int); CREATE TRIGGER t AFTER INSERT ON mine EXECUTE FUNCTION pg_temp.f(); INSERT INTO mine VALUES (1)",
];

/// Nobody but a superuser writes the tables of the extension, whatever was granted.
#[test]
fn fault_04_who_may_write_all_data_does_not_write_ours() {
    let database = Cluster::shared().database().items();
    let roles: Vec<String> = [
        "etl",
        "owner_of_database",
        "granted",
        "server_program",
        "maintainer",
    ]
    .map(|name| database.role(name))
    .into();
    let [etl, owner, granted, program, maintainer] = &roles[..] else {
        panic!("five roles");
    };
    let name = database.name();
    run(
        &mut database.client(),
        &format!(
            "GRANT pg_write_all_data, pg_read_all_data TO {etl}; ALTER DATABASE {name} OWNER TO {owner}; \
             GRANT pg_write_all_data, pg_execute_server_program TO {owner}, {program}, {etl}, {granted}, {maintainer}; \
             GRANT pg_read_all_data TO {owner}, {program}, {granted}, {maintainer}; \
             DO $$ BEGIN EXECUTE (SELECT string_agg(format('GRANT ALL ON %s TO {granted} WITH GRANT OPTION', t), '; ') FROM ({TABLES}) AS of (t)); END $$; \
             GRANT SET ON PARAMETER session_replication_role TO {granted}"
        ),
    );
    let modern = text(
        &mut database.client(),
        "SELECT count(*)::text FROM pg_roles WHERE rolname = 'pg_maintain'",
    );
    if modern == "1" {
        run(
            &mut database.client(),
            &format!("GRANT pg_maintain TO {maintainer}"),
        );
    }
    for table in our_tables(&database) {
        let column = format!(
            "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum = 1"
        );
        let column = text(&mut database.client(), &column);
        let before = database.trace();
        for sql in WRITES {
            let sql = sql.replace("{t}", &table).replace("{c}", &column);
            // All of them over the role with most rights, and some over each.
            for role in roles.iter().filter(|role| {
                *role == granted
                    || sql.starts_with("DELETE")
                    || sql.starts_with("TRUNCATE")
                    || sql.starts_with("INSERT")
            }) {
                let mut client = database.client_as(role);
                match client.batch_execute(&sql) {
                    Ok(()) => panic!("written by {role}: {sql}"),
                    Err(error) => assert_eq!(
                        error.code().map(|c| c.code()),
                        Some("42501"),
                        "{role}: {sql}: {error}"
                    ),
                }
            }
        }
        let replica = format!("SET session_replication_role = replica; DELETE FROM {table}");
        let mut client = database.client_as(granted);
        database.refused_by(&mut client, &replica, "42501");
        assert_eq!(database.trace(), before, "{table}");
    }
    // Capture is as it was.
    database.refused("ALTER TABLE items DROP COLUMN value", "0A000");
}

/// The attack as it was reported: a record with statements of one's own, and a list without tables.
#[test]
fn fault_04_nobody_forges_a_record_or_switches_capture_off() {
    let database = Cluster::shared().database().items();
    let etl = database.role("etl");
    run(
        &mut database.client(),
        &format!("GRANT pg_write_all_data, pg_read_all_data TO {etl}"),
    );
    let mut client = database.client_as(&etl);
    for sql in [
        "INSERT INTO electric.ddl_commands SELECT id + 1, migration_id, 'sqlite', '', 'x', ARRAY['ALTER ROLE etl SUPERUSER'], '{}', \
         '{\"format\": 1, \"op\": \"sqlite\"}', hash FROM electric.ddl_commands ORDER BY id DESC LIMIT 1",
        "DELETE FROM electric.places",
        "UPDATE electric.electrified SET shape = '{}'",
        "INSERT INTO electric.subscriptions VALUES ('mine')",
        "INSERT INTO electric.migrations VALUES (99, 'v', 'user', NULL, NULL, '1', now())",
        "UPDATE electric.frameworks SET table_name = '%'",
        "INSERT INTO electric.grants (table_schema, table_name, privilege, grantee) VALUES ('public', 'items', 'SELECT', 'ANYONE')",
    ] {
        let error = database.refused_by(&mut client, sql, "42501");
        error.hinted();
        assert_eq!(error.schema, "electric");
    }
    // A superuser's view lends nothing.
    run(
        &mut database.client(),
        "CREATE VIEW lists AS SELECT * FROM electric.places; GRANT ALL ON lists TO PUBLIC",
    );
    database.refused_by(&mut client, "DELETE FROM lists", "42501");
    let new = database.recorded("ALTER TABLE items ADD COLUMN a int");
    assert_eq!(words(&new), [("add_column", "public.items")]);
    database.history_is_sound();
}

/// What a restore does, superusers may; the history they may not change either.
#[test]
fn fault_04_superusers_write_as_a_restore_does() {
    let database = Cluster::shared().database().items();
    let mut client = database.client();
    run(
        &mut client,
        "INSERT INTO electric.frameworks (name, table_name, columns, version) VALUES ('mine', 'books', '{v}', '{v}'); \
         DELETE FROM electric.frameworks WHERE name = 'mine'; UPDATE electric.frameworks SET built_in = built_in",
    );
    for sql in [
        "UPDATE electric.ddl_commands SET query = ''",
        "DELETE FROM electric.migrations",
        "TRUNCATE electric.ddl_commands",
        "SET session_replication_role = replica; DELETE FROM electric.ddl_commands",
        "ALTER TABLE electric.ddl_commands DISABLE TRIGGER ALL; DELETE FROM electric.ddl_commands",
    ] {
        database.refused(sql, "0A000").hinted();
    }
}

/// Only what loads a dump may say DISABLE TRIGGER ALL, and triggers of ours stay as they are all the same.
#[test]
fn fault_04_triggers_of_ours_stay_on() {
    let database = Cluster::shared().database().items();
    let state = "SELECT string_agg(DISTINCT tgenabled::text, '') FROM pg_trigger JOIN pg_depend ON objid = tgrelid \
                 AND refclassid = 'pg_extension'::regclass AND deptype = 'e'";
    let loading = "SELECT set_config('search_path', '', false); SET check_function_bodies = off";
    for table in our_tables(&database) {
        for what in ["DISABLE", "ENABLE"] {
            database.refused(&format!("ALTER TABLE {table} {what} TRIGGER ALL"), "0A000");
            database.refused(
                &format!("{loading}; ALTER TABLE {table} {what} TRIGGER USER"),
                "0A000",
            );
            database.refused(
                &format!("{loading}; ALTER TABLE {table} {what} TRIGGER protect_rows"),
                "0A000",
            );
            run(
                &mut database.client(),
                &format!("{loading}; ALTER TABLE {table} {what} TRIGGER ALL"),
            );
            assert_eq!(text(&mut database.client(), state), "A", "{what} {table}");
        }
        // In an emergency they go off, and come back as they were.
        let mut client = database.client();
        run(
            &mut client,
            &format!("SET electric.policy = unrestricted; ALTER TABLE {table} DISABLE TRIGGER ALL"),
        );
        assert_eq!(text(&mut client, state), "AD");
        run(
            &mut client,
            &format!("ALTER TABLE {table} ENABLE TRIGGER ALL"),
        );
        assert_eq!(text(&mut client, state), "A");
    }
}
