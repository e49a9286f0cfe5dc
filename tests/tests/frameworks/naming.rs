//! In one transaction: what a row closes and names, and who wins.

use electric_tests::cluster::Cluster;
use electric_tests::database::{run, text};
use electric_tests::errors::failure;
use electric_tests::replica::Replica;

use super::{items, named};

const RAILS: &str = "CREATE TABLE schema_migrations (version varchar NOT NULL PRIMARY KEY)";
const ALEMBIC: &str = "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL, \
                       CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))";

#[test]
fn a_row_names_the_migration_of_its_transaction() {
    let database = items();
    let mut client = database.client();
    run(&mut client, RAILS);
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN a text; CREATE INDEX by_a ON items (a); \
         INSERT INTO schema_migrations VALUES ('20240101000000'); COMMIT",
    );
    assert_eq!(
        named(&database),
        ["rails rails 20240101000000 20240101000000"]
    );
    let ids: Vec<_> = database.commands().iter().map(|c| c.migration_id).collect();
    assert_eq!(ids, [1, 2, 2]);
}

#[test]
fn ddl_after_the_row_is_the_next_migration() {
    let database = items();
    let mut client = database.client();
    run(&mut client, ALEMBIC);
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN a text; INSERT INTO alembic_version VALUES ('0001') RETURNING version_num; \
         ALTER TABLE items ADD COLUMN b text; ALTER TABLE items ADD COLUMN c text; \
         UPDATE alembic_version SET version_num = '0002' WHERE version_num = '0001'; \
         CREATE TABLE plain (id int); \
         UPDATE alembic_version SET version_num = '0003' WHERE version_num = '0002'; \
         ALTER TABLE items ADD COLUMN d text; COMMIT",
    );
    // 0003 touched nothing that is electrified.
    assert_eq!(
        named(&database),
        [
            "alembic alembic 0001 0001",
            "alembic alembic 0002 0002",
            "auto - - auto"
        ]
    );
    let ids: Vec<_> = database.commands().iter().map(|c| c.migration_id).collect();
    assert_eq!(ids, [1, 2, 3, 3, 4]);
}

#[test]
fn the_names_reach_replicas() {
    let database = items();
    let mut client = database.client();
    run(&mut client, ALEMBIC);
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN a text; INSERT INTO alembic_version VALUES ('0001'); \
         INSERT INTO items VALUES (1, 'x', 'y'); ALTER TABLE items ADD COLUMN b text; \
         UPDATE alembic_version SET version_num = '0002'; COMMIT",
    );
    replica.must_agree();
    assert_eq!(replica.ledger().version(2), Some("0001"));
    assert_eq!(replica.ledger().version(3), Some("0002"));
}

#[test]
fn what_the_user_says_wins() {
    let database = items();
    let mut client = database.client();
    run(&mut client, RAILS);
    run(
        &mut client,
        "BEGIN; SELECT electric.set_migration_version('before'); ALTER TABLE items ADD COLUMN a text; \
         INSERT INTO schema_migrations VALUES ('1'); COMMIT; \
         BEGIN; ALTER TABLE items ADD COLUMN b text; SELECT electric.set_migration_version('between'); \
         INSERT INTO schema_migrations VALUES ('2'); COMMIT; \
         BEGIN; ALTER TABLE items ADD COLUMN c text; INSERT INTO schema_migrations VALUES ('3'); \
         SELECT electric.set_migration_version('after'); COMMIT",
    );
    assert_eq!(
        named(&database),
        [
            "user rails 1 before",
            "user rails 2 between",
            "user rails 3 after"
        ]
    );
}

#[test]
fn what_the_user_says_of_the_next_migration_is_for_that_one() {
    let database = items();
    let mut client = database.client();
    run(&mut client, ALEMBIC);
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN a text; INSERT INTO alembic_version VALUES ('0001'); \
         SELECT electric.set_migration_version('first try'); SELECT electric.set_migration_version('second'); \
         SAVEPOINT s; ALTER TABLE items ADD COLUMN z text; ROLLBACK TO s; \
         ALTER TABLE items ADD COLUMN b text; UPDATE alembic_version SET version_num = '0002'; \
         ALTER TABLE items ADD COLUMN c text; UPDATE alembic_version SET version_num = '0003'; COMMIT",
    );
    assert_eq!(
        named(&database),
        [
            "alembic alembic 0001 0001",
            "user alembic 0002 second",
            "alembic alembic 0003 0003"
        ]
    );
}

#[test]
fn a_version_that_is_taken_never_fails_the_migration() {
    let database = items();
    let mut client = database.client();
    run(&mut client, ALEMBIC);
    run(
        &mut client,
        "BEGIN; SELECT electric.set_migration_version('0001'); ALTER TABLE items ADD COLUMN a text; COMMIT; \
         BEGIN; ALTER TABLE items ADD COLUMN b text; INSERT INTO alembic_version VALUES ('0001'); COMMIT; \
         BEGIN; ALTER TABLE items ADD COLUMN c text; DELETE FROM alembic_version; \
         INSERT INTO alembic_version VALUES ('0001'); COMMIT",
    );
    assert_eq!(
        named(&database),
        [
            "user - - 0001",
            "alembic alembic 0001 alembic:0001",
            "alembic alembic 0001 alembic:0001_2"
        ]
    );
    failure(
        client.batch_execute("SELECT electric.set_migration_version('alembic:0001')"),
        "23505",
    );
}

#[test]
fn a_version_too_long_or_empty_names_nothing_and_fails_nothing() {
    let database = items();
    let mut client = database.client();
    run(
        &mut client,
        "CREATE TABLE schema_migrations (version text); \
         BEGIN; ALTER TABLE items ADD COLUMN a text; INSERT INTO schema_migrations VALUES (repeat('x', 5000)); COMMIT; \
         BEGIN; ALTER TABLE items ADD COLUMN b text; INSERT INTO schema_migrations VALUES (''), (NULL); COMMIT",
    );
    let migrations = database.migrations();
    for migration in &migrations[1..] {
        assert_eq!(migration.source, "auto");
        assert_eq!(
            (&migration.framework, &migration.framework_version),
            (&None, &None)
        );
    }
}

#[test]
fn a_row_without_captured_ddl_records_nothing() {
    let database = items();
    let mut client = database.client();
    let before = database.trace();
    run(
        &mut client,
        "BEGIN; CREATE TABLE schema_migrations (version varchar PRIMARY KEY); \
         INSERT INTO schema_migrations VALUES ('1'); ALTER TABLE items ADD COLUMN a text; ROLLBACK; \
         BEGIN; CREATE TABLE schema_migrations (version varchar PRIMARY KEY); CREATE TABLE t (id int); \
         INSERT INTO schema_migrations VALUES ('1'); DROP TABLE t, schema_migrations; COMMIT",
    );
    assert_eq!(before, database.trace());
    run(&mut client, RAILS);
    run(
        &mut client,
        "INSERT INTO schema_migrations VALUES ('1'); ALTER TABLE items ADD COLUMN a text",
    );
    assert_eq!(named(&database), ["auto - - auto"]);
}

#[test]
fn what_is_rolled_back_names_nothing() {
    let database = items();
    let mut client = database.client();
    run(&mut client, RAILS);
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN a text; SAVEPOINT s; INSERT INTO schema_migrations VALUES ('1'); \
         ROLLBACK TO s; ALTER TABLE items ADD COLUMN b text; INSERT INTO schema_migrations VALUES ('2'); COMMIT; \
         BEGIN; SAVEPOINT s; ALTER TABLE items ADD COLUMN c text; INSERT INTO schema_migrations VALUES ('3'); RELEASE s; \
         SAVEPOINT t; ALTER TABLE items ADD COLUMN d text; INSERT INTO schema_migrations VALUES ('4'); ROLLBACK TO t; \
         ALTER TABLE items ADD COLUMN e text; INSERT INTO schema_migrations VALUES ('5'); COMMIT; \
         BEGIN; ALTER TABLE items ADD COLUMN f text; INSERT INTO schema_migrations VALUES ('6'); ROLLBACK; \
         DO $$ BEGIN BEGIN ALTER TABLE items ADD COLUMN g text; INSERT INTO schema_migrations VALUES ('7'); RAISE 'no'; \
         EXCEPTION WHEN OTHERS THEN ALTER TABLE items ADD COLUMN h text; END; INSERT INTO schema_migrations VALUES ('8'); \
         END $$",
    );
    assert_eq!(
        named(&database),
        [
            "rails rails 2 2",
            "rails rails 3 3",
            "rails rails 5 5",
            "rails rails 8 8"
        ]
    );
    let ids: Vec<_> = database.commands().iter().map(|c| c.migration_id).collect();
    assert_eq!(ids, [1, 2, 2, 3, 4, 5]);
}

#[test]
fn it_does_not_matter_how_the_row_is_written() {
    let database = items();
    let mut client = database.client();
    run(
        &mut client,
        "CREATE TABLE schema_migrations (version varchar PRIMARY KEY); \
         CREATE VIEW through AS SELECT * FROM schema_migrations; \
         CREATE FUNCTION note(v text) RETURNS void LANGUAGE plpgsql AS \
         'BEGIN INSERT INTO schema_migrations VALUES (v); END'; \
         CREATE FUNCTION note_sql(v text) RETURNS void LANGUAGE sql AS 'INSERT INTO schema_migrations VALUES (v)'; \
         PREPARE p AS INSERT INTO schema_migrations VALUES ($1)",
    );
    for (number, write) in [
        "WITH w AS (INSERT INTO schema_migrations VALUES ('0') RETURNING version) SELECT * FROM w",
        "INSERT INTO through VALUES ('1')",
        "SELECT note('2')",
        "SELECT note_sql('3')",
        "EXECUTE p('4')",
        "EXPLAIN (ANALYZE, COSTS off, TIMING off) INSERT INTO schema_migrations VALUES ('5')",
        "DO $$ BEGIN EXECUTE 'INSERT INTO schema_migrations VALUES (''6'')'; END $$",
        "INSERT INTO schema_migrations VALUES ('7') ON CONFLICT DO NOTHING",
        "INSERT INTO schema_migrations VALUES ('0') ON CONFLICT (version) DO UPDATE SET version = '8'",
        "MERGE INTO schema_migrations USING (VALUES ('9')) AS n (v) ON version = v \
         WHEN NOT MATCHED THEN INSERT VALUES (v)",
        "DECLARE c CURSOR FOR SELECT note('10'); FETCH c",
    ]
    .into_iter()
    .enumerate()
    {
        run(
            &mut client,
            &format!("BEGIN; ALTER TABLE items ADD COLUMN c{number} int; {write}; COMMIT"),
        );
        let last = named(&database).pop().unwrap_or_default();
        assert_eq!(last, format!("rails rails {number} {number}"), "{write}");
    }
    // In the extended protocol, with a parameter.
    let mut transaction = client.transaction().unwrap();
    transaction
        .execute("ALTER TABLE items ADD COLUMN last int", &[])
        .unwrap();
    transaction
        .execute("INSERT INTO schema_migrations VALUES ($1)", &[&"11"])
        .unwrap();
    transaction.commit().unwrap();
    assert_eq!(named(&database).pop().unwrap(), "rails rails 11 11");
}

#[test]
fn a_row_that_was_there_does_not_appear_again() {
    let database = items();
    let mut client = database.client();
    run(
        &mut client,
        "CREATE TABLE django_migrations (id int, app text, name text, applied timestamptz); \
         INSERT INTO django_migrations VALUES (1, 'shop', '0001', now()), (2, 'shop', '0002', now()); \
         BEGIN; ALTER TABLE items ADD COLUMN a text; UPDATE django_migrations SET applied = now(); \
         DELETE FROM django_migrations WHERE id = 2; COMMIT; \
         BEGIN; ALTER TABLE items ADD COLUMN b text; UPDATE django_migrations SET name = '0003'; COMMIT",
    );
    assert_eq!(
        named(&database),
        ["auto - - auto", "django django shop.0003 shop.0003"]
    );
}

#[test]
fn a_role_without_privileges_is_no_less_named() {
    let database = items();
    let role = database.role("migrator");
    run(
        &mut database.client(),
        &format!("ALTER TABLE items OWNER TO {role}; GRANT CREATE ON SCHEMA public TO {role}"),
    );
    let mut client = database.client_as(&role);
    run(&mut client, RAILS);
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN a text; INSERT INTO schema_migrations VALUES ('1'); COMMIT",
    );
    assert_eq!(named(&database), ["rails rails 1 1"]);
    // Row security hides rows from queries, and changes nothing here.
    run(
        &mut client,
        "ALTER TABLE schema_migrations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
         CREATE POLICY blind ON schema_migrations FOR INSERT WITH CHECK (true); \
         BEGIN; ALTER TABLE items ADD COLUMN b text; INSERT INTO schema_migrations VALUES ('2'); COMMIT",
    );
    assert_eq!(named(&database).pop().unwrap(), "rails rails 2 2");
}

#[test]
fn nothing_of_the_tables_owner_runs() {
    let database = items();
    let role = database.role("attacker");
    run(
        &mut database.client(),
        &format!("GRANT CREATE ON SCHEMA public TO {role}"),
    );
    // A domain with a CHECK runs it when a row is written, as ever, but not when the row is read.
    run(
        &mut database.client_as(&role),
        "CREATE TABLE ran (by name, how text); GRANT INSERT ON ran TO PUBLIC; \
         CREATE FUNCTION spy(v text) RETURNS boolean LANGUAGE plpgsql AS \
         $$ BEGIN INSERT INTO public.ran VALUES (current_user, v); RETURN true; END $$; \
         CREATE DOMAIN d AS text CHECK (spy(VALUE)); CREATE TABLE schema_migrations (version d); \
         GRANT INSERT, SELECT ON schema_migrations TO PUBLIC",
    );
    let mut client = database.client();
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN a text; INSERT INTO schema_migrations VALUES ('1'); COMMIT",
    );
    assert_eq!(named(&database), ["rails rails 1 1"]);
    assert_eq!(text(&mut client, "SELECT count(*)::text FROM ran"), "1");
}

#[test]
fn a_table_of_a_frameworks_name_but_other_columns_is_none() {
    let database = items();
    let mut client = database.client();
    run(
        &mut client,
        "CREATE TABLE schema_migrations (id int, note text); CREATE TABLE migrations (id int, name text); \
         CREATE TABLE alembic_version (version int); CREATE SCHEMA other; \
         CREATE TABLE other.schema_migrations (version text, note text); CREATE VIEW knex_migrations AS \
         SELECT 1 AS id, 'x' AS name, 1 AS batch, now() AS migration_time; \
         BEGIN; ALTER TABLE items ADD COLUMN a text; INSERT INTO schema_migrations VALUES (1, '1'); \
         INSERT INTO migrations VALUES (1, '1'); INSERT INTO alembic_version VALUES (1); \
         INSERT INTO other.schema_migrations VALUES ('1', '1'); COMMIT",
    );
    assert_eq!(named(&database), ["auto - - auto"]);
}

#[test]
fn a_frameworks_table_is_one_from_when_it_has_the_columns() {
    let database = items();
    let mut client = database.client();
    run(
        &mut client,
        "CREATE TABLE migrations (id serial, name text); \
         BEGIN; ALTER TABLE items ADD COLUMN a text; INSERT INTO migrations (name) VALUES ('one'); COMMIT; \
         ALTER TABLE migrations ADD COLUMN timestamp bigint; \
         BEGIN; ALTER TABLE items ADD COLUMN b text; INSERT INTO migrations (name) VALUES ('two'); COMMIT; \
         ALTER TABLE migrations RENAME COLUMN timestamp TO run_on; \
         BEGIN; ALTER TABLE items ADD COLUMN c text; INSERT INTO migrations (name) VALUES ('three'); COMMIT; \
         ALTER TABLE migrations RENAME TO others; \
         BEGIN; ALTER TABLE items ADD COLUMN d text; INSERT INTO others (name) VALUES ('four'); COMMIT",
    );
    assert_eq!(
        named(&database),
        [
            "auto - - auto",
            "typeorm typeorm two two",
            "db-migrate db-migrate three three",
            "auto - - auto"
        ]
    );
}

#[test]
fn books_that_are_there_before_the_extension_are_read() {
    let database = Cluster::shared().empty_database();
    let mut client = database.client();
    run(&mut client, RAILS);
    run(
        &mut client,
        "INSERT INTO schema_migrations VALUES ('1'); CREATE EXTENSION electric; \
         CREATE TABLE items (id int PRIMARY KEY); SELECT electric.enable('items')",
    );
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN a text; INSERT INTO schema_migrations VALUES ('2'); COMMIT",
    );
    assert_eq!(named(&database), ["rails rails 2 2"]);
}

#[test]
fn electrifying_is_a_migration_like_any_other() {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "CREATE TABLE schema_migrations (version varchar PRIMARY KEY); \
         BEGIN; CREATE TABLE items (id int PRIMARY KEY); SELECT electric.enable('items'); \
         INSERT INTO schema_migrations VALUES ('1'); COMMIT",
    );
    let migrations = database.migrations();
    assert_eq!(migrations.len(), 1);
    assert_eq!(
        (
            migrations[0].version.as_str(),
            migrations[0].source.as_str()
        ),
        ("1", "rails")
    );
}

/// A large table that only looks like books is not read as a whole after each write; its last rows are.
#[test]
fn of_a_large_table_the_end_is_read() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE TABLE migrations (id serial PRIMARY KEY, name text, run_on timestamp, filler text); \
         ALTER TABLE migrations ALTER filler SET STORAGE PLAIN; \
         INSERT INTO migrations (name, filler) SELECT n, repeat('x', 7000) FROM generate_series(1, 2000) n",
    );
    // What this session has read by itself.
    let mut client = database.client();
    run(&mut client, "BEGIN; ALTER TABLE items ADD COLUMN a text");
    for n in 0..3 {
        run(
            &mut client,
            &format!("INSERT INTO migrations (name, run_on) VALUES ('large-{n}', now())"),
        );
        run(
            &mut client,
            &format!("ALTER TABLE items ADD COLUMN a{n} text"),
        );
    }
    let read = "SELECT pg_stat_get_xact_blocks_fetched('migrations'::regclass)::text";
    let read: i64 = text(&mut client, read).parse().unwrap();
    run(&mut client, "COMMIT");
    assert!((1..2000).contains(&read), "{read} pages");
    assert_eq!(
        named(&database)[..3],
        [0, 1, 2].map(|n| format!("db-migrate db-migrate large-{n} large-{n}"))
    );
}
