//! Tables of the extension that are not any more what it made: an error that names them, never a crash, never garbage.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text};
use electric_tests::errors::ServerError;
use postgres::Client;

/// A server whose own catalogs a superuser may damage.
struct Damaged {
    database: Database<'static>,
    started: String,
}

/// The views of the extension are in the way of most changes of its tables.
const VIEWS: &str = "DO $$ DECLARE v regclass; BEGIN \
     FOR v IN SELECT oid FROM pg_class WHERE relnamespace = 'electric'::regnamespace AND relkind = 'v' LOOP \
     EXECUTE format('ALTER EXTENSION electric DROP VIEW %1$s; DROP VIEW %1$s CASCADE', v); END LOOP; END $$";
const STARTED: &str = "SELECT pg_postmaster_start_time()::text";

impl Damaged {
    /// A database with an electrified table in which a superuser, with the triggers of the extension aside, has done that.
    #[track_caller]
    fn by(damage: &str) -> Damaged {
        let database = Cluster::shared().database().items();
        let mut client = database.client();
        let started = text(&mut client, STARTED);
        run(
            &mut client,
            "ALTER TABLE items ADD COLUMN a int; CREATE TABLE plain (a int PRIMARY KEY); SELECT electric.grant('SELECT', 'items', 'r')",
        );
        // Sessions that know the tables, and ones that do not, are both of interest: this one does.
        let triggers = [
            "electric_command_start",
            "electric_command_end",
            "electric_table_rewrite",
        ];
        let set = |how: &str| {
            let all = triggers.map(|name| {
                format!("UPDATE pg_event_trigger SET evtenabled = '{how}' WHERE evtname = '{name}'")
            });
            format!(
                "SET allow_system_table_mods = on; {}; RESET allow_system_table_mods",
                all.join("; ")
            )
        };
        run(&mut client, &set("D"));
        run(
            &mut database.client(),
            &format!(
                "SET allow_system_table_mods = on; SET electric.policy = unrestricted; {VIEWS}; {damage}"
            ),
        );
        run(&mut client, &set("A"));
        Damaged { database, started }
    }

    /// A statement ends with XX001 and the table's name, in a session that is new.
    #[track_caller]
    fn says(&self, table: &str, sql: &str) {
        let mut client = self.database.client();
        run(&mut client, "LOAD 'electric'");
        self.says_to(&mut client, table, sql);
    }

    #[track_caller]
    fn says_to(&self, client: &mut Client, table: &str, sql: &str) {
        let Err(error) = client.batch_execute(sql) else {
            panic!("succeeded: {sql}");
        };
        let Some(error) = error.as_db_error() else {
            panic!(
                "the server is gone: {sql}: {error}\n{}",
                self.database.cluster().log()
            );
        };
        let error = ServerError::from(error);
        assert_eq!(error.code, "XX001", "{sql}: {error:#?}");
        error.message_names(&[&format!("electric.{table}")]);
        assert!(!error.detail.is_empty(), "{error:#?}");
    }

    /// The extension goes, whatever became of it; and the server has been there all the time.
    #[track_caller]
    fn ends(&self) {
        run(
            &mut self.database.client(),
            "DROP EXTENSION electric CASCADE",
        );
        run(
            &mut self.database.client(),
            "ALTER TABLE items ADD COLUMN later int; TRUNCATE items; REINDEX TABLE items; DROP TABLE items",
        );
        assert_eq!(text(&mut self.database.client(), STARTED), self.started);
    }
}

const MIGRATE: &str = "ALTER TABLE items ADD COLUMN b int";

#[test]
fn fault_01_columns_of_other_types_are_an_error() {
    for (table, damage, statements) in [
        (
            "places",
            "ALTER TABLE electric.places ALTER place TYPE int8 USING 81985529216486895",
            &[
                MIGRATE,
                "TRUNCATE plain",
                "SELECT electric.status()",
                "SELECT electric.enable('plain')",
            ][..],
        ),
        (
            "electrified",
            "ALTER TABLE electric.electrified ALTER shape TYPE uuid USING gen_random_uuid()",
            &[
                MIGRATE,
                "SELECT electric.introspect()",
                "SELECT electric.disable('items')",
            ],
        ),
        (
            "migrations",
            "ALTER TABLE electric.migrations ALTER source TYPE int8 USING 81985529216486895",
            &[
                MIGRATE,
                "SELECT electric.status()",
                "SELECT electric.migrations_since()",
                "SELECT electric.introspect()",
            ],
        ),
        (
            "migrations",
            "ALTER TABLE electric.migrations ALTER id TYPE uuid USING gen_random_uuid()",
            &[
                MIGRATE,
                "SELECT electric.status()",
                "SELECT electric.enable('plain')",
            ],
        ),
        (
            "ddl_commands",
            "ALTER TABLE electric.ddl_commands ALTER op TYPE text",
            &[
                MIGRATE,
                "SELECT electric.status()",
                "SELECT electric.migrations_since()",
                "SELECT electric.schema_sql()",
            ],
        ),
        (
            "ddl_commands",
            "ALTER TABLE electric.ddl_commands ALTER hash TYPE bytea USING hash::bytea",
            &[MIGRATE, "SELECT electric.status()"],
        ),
        (
            "grants",
            "ALTER TABLE electric.grants ALTER columns TYPE int8[] USING ARRAY[81985529216486895]",
            &[
                "SELECT electric.introspect()",
                "SELECT electric.grant('SELECT', 'items', 's')",
            ],
        ),
        (
            "sqlite_names",
            "ALTER TABLE electric.sqlite_names ALTER relation TYPE text USING 'x'",
            &[
                "SELECT electric.disable('items')",
                "CREATE TABLE more (id int PRIMARY KEY); SELECT electric.enable('more')",
            ],
        ),
        (
            "frameworks",
            "ALTER TABLE electric.frameworks DROP CONSTRAINT frameworks_columns_check; \
             ALTER TABLE electric.frameworks ALTER columns TYPE int8 USING 81985529216486895",
            &[],
        ),
    ] {
        let damaged = Damaged::by(damage);
        for sql in statements {
            damaged.says(table, sql);
        }
        damaged.ends();
    }
}

/// What is wrong with the books of frameworks is told, and costs nobody a migration.
#[test]
fn fault_01_a_damaged_list_of_frameworks_is_a_warning() {
    let damaged = Damaged::by(
        "ALTER TABLE electric.frameworks DROP CONSTRAINT frameworks_columns_check; \
         ALTER TABLE electric.frameworks ALTER columns TYPE int8 USING 81985529216486895",
    );
    let (mut client, notices) = damaged.database.client_with_notices();
    run(
        &mut client,
        "CREATE TABLE schema_migrations (version varchar(255) PRIMARY KEY); \
         BEGIN; SELECT electric.set_migration_version('v'); ALTER TABLE items ADD COLUMN b int; INSERT INTO plain VALUES (1); COMMIT; \
         BEGIN; ALTER TABLE items ADD COLUMN c int; INSERT INTO schema_migrations VALUES ('1'); COMMIT",
    );
    assert!(notices.has(&["electric.frameworks"]), "{:?}", notices.all());
    damaged.ends();
}

#[test]
fn fault_01_what_the_catalog_says_of_a_column_is_compared_before_it_is_read() {
    for (table, column, data_type) in [
        ("places", "place", "int8"),
        ("electrified", "shape", "int8"),
        ("migrations", "version", "int8"),
        ("ddl_commands", "op", "int8"),
        ("electrified_types", "identity", "uuid"),
    ] {
        let damaged = Damaged::by(&format!(
            "UPDATE pg_attribute SET atttypid = '{data_type}'::regtype \
             WHERE attrelid = 'electric.{table}'::regclass AND attname = '{column}'"
        ));
        damaged.says(table, MIGRATE);
        assert_eq!(
            text(&mut damaged.database.client(), STARTED),
            damaged.started
        );
    }
}

#[test]
fn fault_01_missing_renamed_and_further_columns_are_an_error() {
    for (table, damage) in [
        (
            "ddl_commands",
            "ALTER TABLE electric.ddl_commands DROP COLUMN hash",
        ),
        (
            "migrations",
            "ALTER TABLE electric.migrations RENAME COLUMN xid TO source2",
        ),
        (
            "electrified",
            "ALTER TABLE electric.electrified ADD COLUMN more int NOT NULL DEFAULT 1",
        ),
        (
            "places",
            "ALTER TABLE electric.places DROP COLUMN place; ALTER TABLE electric.places ADD COLUMN place text",
        ),
    ] {
        let damaged = Damaged::by(damage);
        damaged.says(table, MIGRATE);
        damaged.ends();
    }
    // What came and went leaves nothing that could be mistaken.
    let damaged = Damaged::by(
        "ALTER TABLE electric.migrations ADD COLUMN more int; ALTER TABLE electric.migrations DROP COLUMN more",
    );
    assert_eq!(damaged.database.recorded(MIGRATE).len(), 1);
    damaged.database.history_is_sound();
}

#[test]
fn fault_01_nulls_where_there_are_none_are_an_error() {
    for (table, damage, sql) in [
        (
            "migrations",
            "ALTER TABLE electric.migrations ALTER version DROP NOT NULL; SET session_replication_role = replica; \
             UPDATE electric.migrations SET version = NULL",
            "SELECT electric.status()",
        ),
        (
            "places",
            "ALTER TABLE electric.places ALTER place DROP NOT NULL; UPDATE electric.places SET place = NULL",
            MIGRATE,
        ),
        (
            "electrified",
            "ALTER TABLE electric.electrified ALTER shape DROP NOT NULL; UPDATE electric.electrified SET shape = NULL",
            "SELECT electric.introspect()",
        ),
    ] {
        let damaged = Damaged::by(damage);
        damaged.says(table, sql);
        damaged.ends();
    }
}

#[test]
fn fault_01_tables_that_are_no_members_are_an_error() {
    for (table, damage) in [
        (
            "places",
            "ALTER EXTENSION electric DROP TABLE electric.places",
        ),
        (
            "electrified",
            "ALTER EXTENSION electric DROP TABLE electric.electrified",
        ),
        (
            "migrations",
            "ALTER EXTENSION electric DROP TABLE electric.migrations; DROP TABLE electric.migrations; \
             CREATE TABLE electric.migrations (id int8, version int8, source int8, framework text, framework_version text, xid int8, created_at int8)",
        ),
        (
            "places",
            "ALTER TABLE electric.places RENAME TO places_before; CREATE VIEW electric.places AS SELECT 1::oid AS relation, 7::int8 AS place",
        ),
        (
            "electrified",
            "ALTER TABLE electric.electrified SET UNLOGGED",
        ),
    ] {
        let damaged = Damaged::by(damage);
        damaged.says(table, MIGRATE);
    }
    let damaged = Damaged::by("ALTER EXTENSION electric DROP SCHEMA electric");
    let error = damaged
        .database
        .client()
        .batch_execute(MIGRATE)
        .unwrap_err();
    assert_eq!(error.code().map(|state| state.code()), Some("XX001"));
}

/// With the triggers of the extension in their place nobody gets this far.
#[test]
fn fault_01_members_cannot_be_taken_away() {
    let database = Cluster::shared().database().items();
    for sql in [
        "ALTER EXTENSION electric DROP TABLE electric.places",
        "ALTER EXTENSION electric DROP SCHEMA electric",
    ] {
        database.refused(sql, "0A000");
        let error = database
            .client()
            .batch_execute(&format!("SET electric.policy = unrestricted; {sql}"))
            .unwrap_err();
        assert_eq!(
            error.code().map(|state| state.code()),
            Some("XX001"),
            "{sql}"
        );
    }
    assert_eq!(database.recorded(MIGRATE).len(), 1);
}

#[test]
fn fault_01_other_indexes_are_an_error() {
    for (table, damage) in [
        (
            "migrations",
            "ALTER TABLE electric.migrations DROP CONSTRAINT migrations_version_key; CREATE INDEX migrations_version_key ON electric.migrations USING hash (version)",
        ),
        (
            "migrations",
            "ALTER TABLE electric.migrations DROP CONSTRAINT migrations_pkey; CREATE UNIQUE INDEX migrations_pkey ON electric.migrations (id DESC)",
        ),
        (
            "electrified",
            "ALTER TABLE electric.electrified DROP CONSTRAINT electrified_pkey; CREATE INDEX electrified_pkey ON electric.places (relation)",
        ),
        (
            "ddl_commands",
            "DROP INDEX electric.ddl_commands_command_idx; CREATE INDEX ddl_commands_command_idx ON electric.ddl_commands (relation, command, id)",
        ),
        (
            "migrations",
            "CREATE INDEX mine ON electric.migrations ((id + 1))",
        ),
        (
            "migrations",
            "CREATE INDEX mine ON electric.migrations (id) WHERE id > 1",
        ),
        (
            "electrified",
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'electric.electrified_pkey'::regclass",
        ),
    ] {
        let damaged = Damaged::by(damage);
        let says = match damage.contains("_key ON") || damage.contains("_idx ON") {
            true => "SELECT electric.introspect(version) FROM electric.migrations",
            false => MIGRATE,
        };
        damaged.says(table, says);
        damaged.ends();
    }
}
