//! A server that has the library loaded, and a database without the extension, in which somebody has made a schema
//! `electric`: everything there is as on a stock server.

use std::sync::OnceLock;

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text};
use postgres::Client;

/// A server that loads the library when it starts.
fn preloaded() -> &'static Cluster {
    static PRELOADED: OnceLock<Cluster> = OnceLock::new();
    PRELOADED.get_or_init(|| {
        let cluster = Cluster::builder().preload(true).start();
        cluster.unwrap_or_else(|e| panic!("no server to test against: {e:#}"))
    })
}

/// A database of an ordinary role, who may make schemas in it.
struct Foreign {
    database: Database<'static>,
    owner: String,
    started: String,
}

const STARTED: &str = "SELECT pg_postmaster_start_time()::text";

impl Foreign {
    fn new() -> Foreign {
        let database = preloaded().empty_database();
        let owner = database.role("owner");
        run(
            &mut database.client(),
            &format!(
                "ALTER DATABASE {} OWNER TO {owner}; GRANT CREATE ON SCHEMA public TO {owner}",
                database.name()
            ),
        );
        let started = text(&mut database.client(), STARTED);
        Foreign {
            database,
            owner,
            started,
        }
    }

    fn with(fakes: &str) -> Foreign {
        let foreign = Foreign::new();
        run(&mut foreign.client(), fakes);
        foreign
    }

    fn client(&self) -> Client {
        self.database.client_as(&self.owner)
    }

    /// Every way by which the library could come to look at tables of its own, as an ordinary role and as superuser:
    /// all is as on a stock server.
    #[track_caller]
    fn is_as_stock(&self) {
        let mut superuser = self.database.client();
        for client in [&mut self.client(), &mut superuser] {
            for sql in STATEMENTS {
                run(client, sql);
            }
            for (sql, code) in ERRORS {
                let Err(error) = client.batch_execute(sql) else {
                    panic!("succeeded: {sql}");
                };
                let state = error.code().map(|state| state.code().to_owned());
                assert_eq!(state.as_deref(), Some(*code), "{sql}: {error:?}");
            }
        }
        for sql in SUPERUSER {
            run(&mut superuser, sql);
        }
        self.never_crashed();
    }

    #[track_caller]
    fn never_crashed(&self) {
        let started = text(&mut self.database.client(), STARTED);
        assert_eq!(started, self.started, "the server started anew");
        let log = self.database.cluster().log();
        assert!(!log.contains("was terminated by signal"), "{log}");
    }
}

/// What the owner of the database may do.
const STATEMENTS: &[&str] = &[
    "CREATE TABLE stock (a int PRIMARY KEY, b text)",
    "INSERT INTO stock VALUES (1, 'x'), (2, 'y')",
    "TRUNCATE stock",
    "ALTER TABLE stock RESET (electric.enabled)",
    "REINDEX TABLE stock",
    "REINDEX INDEX stock_pkey",
    "ALTER TABLE stock ADD COLUMN c int DEFAULT 7, DROP COLUMN b",
    "CREATE INDEX stock_c ON stock (c)",
    "CREATE INDEX CONCURRENTLY stock_c2 ON stock (c)",
    "DROP INDEX CONCURRENTLY stock_c2",
    "ALTER TABLE stock RENAME COLUMN c TO d",
    "ALTER TABLE stock ALTER COLUMN d TYPE bigint USING d * 2",
    "BEGIN; CREATE TABLE more (LIKE stock); ALTER TABLE more ADD COLUMN e uuid; TRUNCATE more; DROP TABLE more; COMMIT",
    "CREATE TABLE parts (a int) PARTITION BY LIST (a)",
    "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1); INSERT INTO parts VALUES (1); TRUNCATE parts_1; DROP TABLE parts_1; DROP TABLE parts",
    // What migration frameworks do.
    "CREATE TABLE schema_migrations (version varchar(255) PRIMARY KEY)",
    "BEGIN; ALTER TABLE stock ADD COLUMN f int; INSERT INTO schema_migrations VALUES ('20240101000000'); COMMIT",
    "INSERT INTO schema_migrations VALUES ('20240102000000')",
    "DROP TABLE schema_migrations",
    "CREATE FUNCTION stock_function() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION stock_function()",
    "CREATE DOMAIN stock_domain AS int DEFAULT 1; ALTER DOMAIN stock_domain SET DEFAULT 2; DROP DOMAIN stock_domain",
    "BEGIN; SAVEPOINT s; TRUNCATE stock; ROLLBACK TO s; REINDEX TABLE stock; COMMIT",
    "DO $$ BEGIN TRUNCATE stock; REINDEX TABLE stock; END $$",
    "DROP TABLE stock",
];

/// What a stock server refuses, and how.
const ERRORS: &[(&str, &str)] = &[
    (
        "CREATE TABLE IF NOT EXISTS for_options (a int); ALTER TABLE for_options SET (electric.enabled)",
        "22023",
    ),
    (
        "CREATE TABLE IF NOT EXISTS for_options (a int); ALTER TABLE for_options SET (electric.enabled = false)",
        "22023",
    ),
    (
        "CREATE TABLE for_options (a int) WITH (electric.enabled)",
        "22023",
    ),
    (
        "CREATE TABLE for_options WITH (electric.enabled) AS SELECT 1 AS a",
        "22023",
    ),
];

/// What takes a superuser.
const SUPERUSER: &[&str] = &[
    "CREATE FUNCTION noted() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
    "CREATE EVENT TRIGGER noted ON ddl_command_start EXECUTE FUNCTION noted()",
    "ALTER EVENT TRIGGER noted DISABLE",
    "ALTER EVENT TRIGGER noted RENAME TO noted_too",
    "ALTER EVENT TRIGGER noted_too OWNER TO CURRENT_USER",
    "DROP EVENT TRIGGER noted_too; DROP FUNCTION noted()",
    "REINDEX SCHEMA public",
];

/// The tables of the extension with one column each made into something else.
fn fake_tables(oid: &str, text: &str, json: &str, int8: &str) -> String {
    format!(
        "CREATE SCHEMA electric; \
         CREATE TABLE electric.places (relation {oid}, place {text}); \
         CREATE INDEX places_pkey ON electric.places (relation); \
         CREATE TABLE electric.electrified (relation {oid}, shape {json}, identity {json}); \
         CREATE INDEX electrified_pkey ON electric.electrified (relation); \
         CREATE TABLE electric.electrified_types (type {oid}, definition {json}, identity {text}); \
         CREATE INDEX electrified_types_pkey ON electric.electrified_types (type); \
         CREATE TABLE electric.migrations (id {int8}, version {text}, source {text}, framework {text}, \
             framework_version {text}, xid {int8}, created_at {int8}); \
         CREATE INDEX migrations_pkey ON electric.migrations (id); \
         CREATE INDEX migrations_version_key ON electric.migrations (version); \
         CREATE TABLE electric.ddl_commands (id {int8}, migration_id {int8}, command {text}, relation {text}, query {text}, \
             postgres {text}, sqlite {text}, op {text}, hash {text}); \
         CREATE INDEX ddl_commands_pkey ON electric.ddl_commands (id); \
         CREATE INDEX ddl_commands_relation_idx ON electric.ddl_commands (relation, id); \
         CREATE INDEX ddl_commands_command_idx ON electric.ddl_commands (command, relation, id); \
         CREATE TABLE electric.sqlite_names (name {text}, relation {oid}); \
         CREATE INDEX sqlite_names_pkey ON electric.sqlite_names (name); \
         CREATE TABLE electric.subscriptions (name {text}); \
         CREATE INDEX subscriptions_pkey ON electric.subscriptions (name); \
         CREATE TABLE electric.grants (table_schema {text}, table_name {text}); \
         CREATE INDEX grants_key ON electric.grants (table_schema, table_name); \
         CREATE TABLE electric.assignments (table_schema {text}, table_name {text}); \
         CREATE INDEX assignments_key ON electric.assignments (table_schema, table_name); \
         CREATE TABLE electric.frameworks (name {text}, table_name {text}, columns {text}, only_columns {int8}, \
             version {text}, running {text}, built_in {int8}); \
         CREATE INDEX frameworks_pkey ON electric.frameworks (name, table_name);"
    )
}

/// What a session would follow as pointers, had it believed the names.
#[test]
fn fault_01_a_number_in_the_place_of_a_text_is_not_followed() {
    let foreign = Foreign::with(
        "CREATE SCHEMA electric; \
         CREATE TABLE electric.places (relation oid PRIMARY KEY, place int8); \
         CREATE TABLE electric.electrified (relation oid CONSTRAINT electrified_pkey PRIMARY KEY, shape json, identity json); \
         CREATE TABLE electric.electrified_types (type oid CONSTRAINT electrified_types_pkey PRIMARY KEY, definition json, identity text); \
         INSERT INTO electric.places VALUES (1, 81985529216486895)",
    );
    foreign.is_as_stock();
}

#[test]
fn fault_01_tables_of_our_names_with_any_types_are_left_alone() {
    for (oid, text, json, int8) in [
        ("oid", "int8", "int8", "int8"),
        ("oid", "int4", "uuid", "uuid"),
        ("uuid", "uuid", "text", "uuid"),
        ("int8", "bytea", "bytea", "int2"),
        ("oid", "text", "json", "uuid"),
        ("regclass", "name", "jsonb", "numeric"),
        ("int4", "float8", "float8", "float8"),
        ("oid", "\"char\"", "\"char\"", "bool"),
    ] {
        let foreign = Foreign::with(&fake_tables(oid, text, json, int8));
        for (table, row) in [
            ("places", format!("(NULL::{oid}, NULL::{text})")),
            (
                "migrations",
                format!(
                    "(NULL::{int8}, NULL::{text}, NULL::{text}, NULL::{text}, NULL::{text}, NULL::{int8}, NULL::{int8})"
                ),
            ),
        ] {
            run(
                &mut foreign.client(),
                &format!("INSERT INTO electric.{table} VALUES {row}"),
            );
        }
        foreign.is_as_stock();
    }
}

#[test]
fn fault_01_the_id_of_a_uuid_is_copied_from_nowhere() {
    let foreign = Foreign::with(&fake_tables("oid", "text", "json", "int8"));
    let mut client = foreign.client();
    run(
        &mut client,
        "DROP TABLE electric.ddl_commands; \
         CREATE TABLE electric.ddl_commands (id int8 CONSTRAINT ddl_commands_pkey PRIMARY KEY, migration_id uuid, \
             command text, relation text, query text, postgres text[], sqlite text[], op jsonb, hash text); \
         CREATE TABLE t (id int PRIMARY KEY); \
         INSERT INTO electric.places VALUES ('t'::regclass, '1/2/3'); \
         INSERT INTO electric.electrified VALUES ('t'::regclass, '{}', '{}'); \
         INSERT INTO electric.migrations VALUES (140000000, 'v', 'user', NULL, NULL, 1, 1)",
    );
    for sql in [
        "ALTER TABLE t SET (electric.enabled = false)",
        "ALTER TABLE t SET (electric.enabled)",
    ] {
        let error = client.batch_execute(sql).unwrap_err();
        assert_eq!(error.code().map(|state| state.code()), Some("22023"));
    }
    run(
        &mut client,
        "ALTER TABLE t ADD COLUMN a int; TRUNCATE t; DROP TABLE t",
    );
    let written = text(
        &mut client,
        "SELECT count(*)::text FROM electric.ddl_commands",
    );
    assert_eq!(written, "0");
    foreign.is_as_stock();
}

#[test]
fn fault_01_composites_domains_and_missing_columns_are_left_alone() {
    for fakes in [
        "CREATE SCHEMA electric; CREATE TYPE electric.pair AS (a int, b text); \
         CREATE TABLE electric.places (relation electric.pair, place electric.pair); \
         INSERT INTO electric.places VALUES (ROW(1, 'x'), ROW(2, 'y')); \
         CREATE TABLE electric.electrified (relation electric.pair, shape electric.pair[], identity int[])",
        "CREATE SCHEMA electric; CREATE DOMAIN electric.word AS text CHECK (length(VALUE) < 3); \
         CREATE TABLE electric.places (relation oid PRIMARY KEY, place electric.word); \
         INSERT INTO electric.places VALUES (1, 'x'); \
         CREATE TABLE electric.electrified_types (type oid PRIMARY KEY, definition electric.word, identity electric.word)",
        "CREATE SCHEMA electric; CREATE TABLE electric.places (relation oid PRIMARY KEY); \
         INSERT INTO electric.places VALUES (1259)",
        "CREATE SCHEMA electric; CREATE TABLE electric.places (); INSERT INTO electric.places DEFAULT VALUES",
        "CREATE SCHEMA electric; CREATE TABLE electric.places (a int, relation oid, place text); \
         ALTER TABLE electric.places DROP COLUMN a; INSERT INTO electric.places VALUES (1, 'x')",
    ] {
        Foreign::with(fakes).is_as_stock();
    }
}

#[test]
fn fault_01_relations_of_other_kinds_are_left_alone() {
    for fakes in [
        "CREATE SCHEMA electric; CREATE VIEW electric.places AS SELECT 1::oid AS relation, 'x'::text AS place; \
         CREATE VIEW electric.electrified_types AS SELECT 1 / 0 AS type",
        "CREATE SCHEMA electric; CREATE MATERIALIZED VIEW electric.places AS SELECT 1::oid AS relation, 'x'::text AS place; \
         CREATE UNIQUE INDEX places_pkey ON electric.places (relation)",
        "CREATE SCHEMA electric; CREATE TABLE electric.places (relation oid PRIMARY KEY, place text) PARTITION BY LIST (relation); \
         CREATE TABLE electric.electrified_types PARTITION OF electric.places DEFAULT; \
         INSERT INTO electric.places VALUES (1, 'x')",
        "CREATE SCHEMA electric; CREATE UNLOGGED TABLE electric.places (relation oid PRIMARY KEY, place text); \
         CREATE UNLOGGED TABLE electric.electrified_types (type oid PRIMARY KEY, definition json, identity text); \
         INSERT INTO electric.places VALUES (1, 'x')",
        "CREATE SCHEMA electric; CREATE SEQUENCE electric.places; CREATE TYPE electric.electrified AS (a int); \
         CREATE SEQUENCE electric.migrations",
        // An index where a table should be, and the other way round.
        "CREATE SCHEMA electric; CREATE TABLE electric.places_pkey (a int); \
         CREATE TABLE electric.t (relation oid, place text); CREATE INDEX places ON electric.t (relation); \
         CREATE INDEX electrified_types ON electric.t ((place || 'x')) WHERE place > 'y'",
        "CREATE SCHEMA electric; CREATE TABLE electric.places (relation oid, place text); \
         CREATE INDEX places_pkey ON electric.places USING hash (place); \
         CREATE TABLE electric.electrified_types (type oid, definition json, identity text); \
         CREATE INDEX electrified_types_pkey ON electric.electrified_types ((identity || 'x')) WHERE type > 0; \
         INSERT INTO electric.places VALUES (1, 'x')",
    ] {
        Foreign::with(fakes).is_as_stock();
    }
}

#[test]
fn fault_01_foreign_tables_are_left_alone() {
    let foreign = Foreign::new();
    run(
        &mut foreign.database.client(),
        "CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere; CREATE SCHEMA electric; \
         CREATE FOREIGN TABLE electric.places (relation oid, place text) SERVER nowhere; \
         CREATE FOREIGN TABLE electric.electrified_types (type oid, definition json, identity text) SERVER nowhere; \
         CREATE FOREIGN TABLE electric.frameworks (name text) SERVER nowhere",
    );
    foreign.is_as_stock();
}

/// The id of a table that is really there, so that all that could be found is found.
#[test]
fn fault_01_a_faithful_copy_of_our_tables_is_not_ours() {
    let original = preloaded().database();
    let columns = text(
        &mut original.client(),
        "SELECT string_agg(t, ' ') FROM (SELECT format('CREATE TABLE electric.%I (%s);', c.relname, \
         string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)) AS t \
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 \
         WHERE c.relnamespace = 'electric'::regnamespace AND c.relkind = 'r' GROUP BY c.relname) AS s",
    );
    let indexes = text(
        &mut original.client(),
        "SELECT string_agg(pg_get_indexdef(i.indexrelid) || ';', ' ') FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid \
         WHERE c.relnamespace = 'electric'::regnamespace",
    );
    let foreign = Foreign::with(&format!(
        "CREATE SCHEMA electric; {columns} {indexes} CREATE TABLE t (id int PRIMARY KEY); \
         INSERT INTO electric.places VALUES ('t'::regclass, 'elsewhere/1/1'); \
         INSERT INTO electric.electrified VALUES ('t'::regclass, '{{}}', '{{}}')"
    ));
    run(
        &mut foreign.client(),
        "ALTER TABLE t ADD COLUMN a int; TRUNCATE t; REINDEX TABLE t; ALTER TABLE t DROP COLUMN a; DROP TABLE t",
    );
    foreign.is_as_stock();
}

#[test]
fn fault_17_an_innocent_schema_of_that_name_changes_nothing() {
    for fakes in [
        "CREATE SCHEMA electric; CREATE TABLE electric.places (id int, name text); CREATE TABLE x (a int); TRUNCATE x",
        "CREATE SCHEMA electric; CREATE TABLE electric.places (id int, name text)",
        "CREATE SCHEMA electric; CREATE TABLE electric.places (id serial PRIMARY KEY, name text); \
         CREATE TABLE electric.migrations (id int, version text); CREATE TABLE electric.frameworks (name text); \
         INSERT INTO electric.places (name) VALUES ('station')",
        "CREATE SCHEMA electric",
    ] {
        let foreign = Foreign::with(fakes);
        foreign.is_as_stock();
        // The schema and what is in it are its owner's to change.
        run(
            &mut foreign.client(),
            "CREATE TABLE IF NOT EXISTS electric.places (id int); ALTER TABLE electric.places ADD COLUMN more int; \
             CREATE INDEX ON electric.places (more); TRUNCATE electric.places; REINDEX TABLE electric.places; \
             CREATE VIEW electric.history AS SELECT 1; ALTER TABLE electric.places RENAME TO electrified; \
             CREATE FUNCTION electric.enable(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT electric.enable(1); \
             ALTER SCHEMA electric RENAME TO gas; ALTER SCHEMA gas RENAME TO electric; DROP SCHEMA electric CASCADE",
        );
        foreign.is_as_stock();
    }
}

#[test]
fn fault_17_another_extension_in_a_schema_of_that_name_is_not_ours() {
    let foreign = Foreign::with(
        "CREATE SCHEMA electric; CREATE TABLE electric.places (relation oid PRIMARY KEY, place int8); \
         INSERT INTO electric.places VALUES (1, 81985529216486895)",
    );
    run(
        &mut foreign.database.client(),
        "ALTER EXTENSION plpgsql ADD SCHEMA electric; ALTER EXTENSION plpgsql ADD TABLE electric.places",
    );
    foreign.is_as_stock();
}

/// The same session, before and after: nothing that it remembers is of a schema that was there before.
#[test]
fn fault_17_the_extension_can_come_after_a_schema_of_that_name() {
    let foreign = Foreign::with(
        "CREATE SCHEMA electric; CREATE TABLE electric.places (id int, name text); CREATE TABLE x (a int); TRUNCATE x",
    );
    let mut session = foreign.client();
    run(&mut session, "TRUNCATE x");
    let error = foreign
        .database
        .client()
        .batch_execute("CREATE EXTENSION electric");
    assert_eq!(
        error.unwrap_err().code().map(|state| state.code()),
        Some("42P06")
    );
    run(
        &mut session,
        "TRUNCATE x; DROP SCHEMA electric CASCADE; TRUNCATE x",
    );
    run(
        &mut foreign.database.client(),
        "CREATE EXTENSION electric; CREATE TABLE items (id int PRIMARY KEY); SELECT electric.enable('items')",
    );
    run(&mut session, "TRUNCATE x");
    run(
        &mut foreign.database.client(),
        "ALTER TABLE items ADD COLUMN a int; DROP EXTENSION electric; DROP TABLE items",
    );
    run(
        &mut session,
        "TRUNCATE x; CREATE SCHEMA electric; CREATE TABLE electric.places (id int, name text); TRUNCATE x; REINDEX TABLE x",
    );
    foreign.is_as_stock();
}
