//! S2, security: who may read, who may not write, and whose rights capture runs with.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text};
use electric_tests::errors::failure;

fn items() -> Database<'static> {
    Cluster::shared().database().items()
}

#[test]
fn everybody_may_read_the_records_and_call_what_only_reads() {
    let database = items();
    let role = database.role("reader");
    let mut client = database.client_as(&role);
    for table in ["migrations", "grants", "assignments", "history", "tables"] {
        run(&mut client, &format!("SELECT * FROM electric.{table}"));
    }
    // All but what the statements were.
    run(
        &mut client,
        "SELECT id, migration_id, command, relation, postgres, sqlite, op, hash FROM electric.ddl_commands",
    );
    for sql in [
        "SELECT * FROM electric.ddl_commands",
        "SELECT query FROM electric.ddl_commands",
    ] {
        database.refused_by(&mut client, sql, "42501");
    }
    run(&mut client, "SELECT electric.status()");
}

#[test]
fn an_ordinary_role_cannot_write_any_row_of_ours() {
    let database = items();
    let role = database.role("writer");
    let mut client = database.client_as(&role);
    let sql = "SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = 'electric'::regnamespace AND relkind = 'r'";
    let tables: Vec<String> = database
        .client()
        .query(sql, &[])
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(tables.len() >= 4, "{tables:?}");
    for table in tables {
        for sql in [
            format!("INSERT INTO electric.{table} SELECT * FROM electric.{table} LIMIT 0"),
            format!("DELETE FROM electric.{table}"),
            format!("TRUNCATE electric.{table}"),
        ] {
            database.refused_by(&mut client, &sql, "42501");
        }
    }
    for sql in [
        "UPDATE electric.migrations SET version = 'x'",
        "UPDATE electric.ddl_commands SET query = 'x'",
        "CREATE TABLE electric.mine (a int)",
        "CREATE FUNCTION electric.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE electric.migrations ADD COLUMN mine text",
        "DROP TABLE electric.migrations",
        "DROP EXTENSION electric CASCADE",
        "ALTER PUBLICATION electric_publication DROP TABLE items",
    ] {
        let before = database.trace();
        assert!(client.batch_execute(sql).is_err(), "{sql}");
        assert_eq!(before, database.trace(), "{sql}");
    }
}

#[test]
fn no_function_of_ours_writes_rows_for_an_ordinary_role() {
    let database = items();
    let role = database.role("caller");
    let mut client = database.client_as(&role);
    let before = database.trace();
    // Every function and procedure that takes nothing, called as it stands; those of triggers cannot be called.
    let sql = "SELECT prokind::text, oid::regproc::text FROM pg_proc WHERE pronamespace = 'electric'::regnamespace \
               AND pronargs = pronargdefaults";
    for row in database.client().query(sql, &[]).unwrap() {
        let (kind, name): (String, String) = (row.get(0), row.get(1));
        let call = if kind == "p" { "CALL" } else { "SELECT" };
        let _ = client.batch_execute(&format!("{call} {name}()"));
    }
    failure(
        client.batch_execute("SELECT electric.enable('items')"),
        "42501",
    );
    failure(
        client.batch_execute("SELECT electric.disable('items')"),
        "42501",
    );
    failure(
        client.batch_execute("CALL electric.electrify('items')"),
        "42501",
    );
    assert_eq!(before, database.trace());
}

#[test]
fn enabling_another_ones_table_is_refused() {
    let database = items();
    run(
        &mut database.client(),
        "CREATE TABLE t (id int PRIMARY KEY)",
    );
    let role = database.role("stranger");
    let error = database.refused_by(
        &mut database.client_as(&role),
        "SELECT electric.enable('t')",
        "42501",
    );
    error.message_names(&["t"]);
}

#[test]
fn a_member_of_the_owning_role_may_enable() {
    let database = items();
    let (owner, member) = (database.role("owner"), database.role("member"));
    run(
        &mut database.client(),
        &format!(
            "CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE t OWNER TO {owner}; GRANT {owner} TO {member}"
        ),
    );
    let mut client = database.client_as(&member);
    run(
        &mut client,
        "SELECT electric.enable('t'); ALTER TABLE t ADD COLUMN a text",
    );
    assert_eq!(database.commands().len(), 3);
}

#[test]
fn capture_does_not_lend_its_rights_to_the_statement() {
    let database = items();
    let role = database.role("sneaky");
    run(
        &mut database.client(),
        &format!("GRANT CREATE ON SCHEMA public TO {role}"),
    );
    let mut client = database.client_as(&role);
    run(
        &mut client,
        "CREATE TABLE own (id int PRIMARY KEY); CREATE TABLE seen (who text, session text); \
         CREATE FUNCTION spy() RETURNS text LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO public.seen VALUES (current_user, session_user); RETURN current_user; END $$; \
         SELECT electric.enable('own'); INSERT INTO own VALUES (1); ALTER TABLE own ALTER id SET DEFAULT 1",
    );
    // A default, a check or an index expression of the user's must not be run with the rights of the extension.
    for sql in [
        "ALTER TABLE own ADD COLUMN a text DEFAULT spy()",
        "ALTER TABLE own ADD COLUMN b text; ALTER TABLE own ALTER b SET DEFAULT spy()",
        "ALTER FUNCTION spy() IMMUTABLE; ALTER TABLE own ADD COLUMN c text DEFAULT spy()",
        "ALTER FUNCTION spy() STABLE; ALTER TABLE own ADD COLUMN d text DEFAULT spy()",
        "CREATE FUNCTION is_fine(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.spy(); \
         RETURN true; END $$; CREATE INDEX i ON own (id) WHERE is_fine(id)",
    ] {
        let _ = client.batch_execute(sql);
    }
    let others = format!("SELECT count(*)::text FROM seen WHERE who <> '{role}'");
    assert_eq!(text(&mut database.client(), &others), "0");
}

#[test]
fn objects_in_the_callers_search_path_do_not_shadow_ours() {
    let database = items();
    let role = database.role("shadow");
    run(
        &mut database.client(),
        &format!("CREATE SCHEMA evil AUTHORIZATION {role}"),
    );
    run(
        &mut database.client_as(&role),
        "CREATE FUNCTION evil.quote_ident(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'shadowed'; END $$; \
         CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE 'shadowed'; END $$; \
         CREATE FUNCTION evil.to_jsonb(anyelement) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE 'shadowed'; END $$; \
         CREATE FUNCTION evil.equal(int8, int8) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'shadowed'; END $$; \
         CREATE OPERATOR evil.= (FUNCTION = evil.equal, LEFTARG = int8, RIGHTARG = int8); \
         CREATE TABLE evil.pg_class (relname name); CREATE TABLE evil.migrations (id int)",
    );
    let mut client = database.client();
    run(
        &mut client,
        "SET search_path = evil, pg_catalog, public; CREATE TABLE public.t (id int8 PRIMARY KEY); \
         SELECT electric.enable('public.t'); ALTER TABLE items ADD COLUMN a text; CREATE INDEX i ON items (a); \
         BEGIN; SELECT electric.set_migration_version('v'); ALTER TABLE items ADD COLUMN b text; COMMIT; \
         SELECT electric.status()",
    );
    assert_eq!(database.commands().len(), 5);
}

#[test]
fn row_level_security_and_other_peoples_settings_do_not_stop_capture() {
    let database = items();
    let role = database.role("guarded");
    run(
        &mut database.client(),
        &format!("ALTER TABLE items OWNER TO {role}; GRANT CREATE ON SCHEMA public TO {role}"),
    );
    let mut client = database.client_as(&role);
    run(
        &mut client,
        "SET row_security = off; SET default_transaction_read_only = off; ALTER TABLE items FORCE ROW LEVEL SECURITY; \
         ALTER TABLE items ENABLE ROW LEVEL SECURITY; ALTER TABLE items ADD COLUMN a text",
    );
    run(
        &mut database.client(),
        &format!("SET ROLE {role}; ALTER TABLE items ADD COLUMN b text; RESET ROLE"),
    );
    let current = format!(
        "SET SESSION AUTHORIZATION {role}; ALTER TABLE items ADD COLUMN c text; SELECT current_user"
    );
    let mut client = database.client();
    run(&mut client, &current);
    assert_eq!(
        text(&mut client, "SELECT current_user::text"),
        role,
        "the role was not given back"
    );
    assert_eq!(database.commands().len(), 4);
}
