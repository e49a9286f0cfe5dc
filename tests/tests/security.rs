//! Whose code runs with whose rights, whose publication it is, and what of ours others can take away or bend.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text, words};
use electric_tests::errors::failure;
use electric_tests::replica::Replica;

fn database() -> Database<'static> {
    Cluster::shared().database()
}

/// A role that may make tables, and a function `grab()` of its own that writes down who runs it and makes the role a
/// superuser if that one can.
fn mallory(database: &Database<'_>) -> String {
    let role = database.role("mallory");
    run(
        &mut database.client(),
        &format!(
            "GRANT CREATE ON SCHEMA public TO {role}; CREATE TABLE public.calls (who name); \
             GRANT INSERT ON public.calls TO PUBLIC"
        ),
    );
    run(
        &mut database.client_as(&role),
        &format!(
            "CREATE FUNCTION public.grab() RETURNS void LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO public.calls VALUES (current_user); \
             IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN \
             EXECUTE 'ALTER ROLE {role} SUPERUSER'; END IF; END $$"
        ),
    );
    role
}

/// Nobody but the role itself ran `grab()`, and it is no superuser.
#[track_caller]
fn grabbed_nothing(database: &Database<'_>, role: &str) {
    let mut client = database.client();
    let others = format!("SELECT string_agg(who, ' ') FROM calls WHERE who <> '{role}'");
    assert_eq!(text(&mut client, &others), "", "grab() was run by others");
    let super_user = format!("SELECT rolsuper::text FROM pg_roles WHERE rolname = '{role}'");
    assert_eq!(text(&mut client, &super_user), "false");
}

/// What an administrator does to somebody's table without a thought of its defaults.
const ADMINISTRATION: &str = "GRANT SELECT ON m TO PUBLIC; COMMENT ON TABLE m IS 'seen'; ALTER TABLE m SET (fillfactor = 90); \
     CREATE INDEX by_id ON m (id); ALTER TABLE m ADD COLUMN more int; ANALYZE m";

#[test]
fn a_tables_default_is_not_run_by_a_superuser_who_touches_the_table() {
    for default in ["trap()", "1 + trap()", "0 === 1", "'(1)'::trapped"] {
        let database = database();
        let role = mallory(&database);
        // Called immutable, the function is one that reading a shape might want to evaluate.
        run(
            &mut database.client_as(&role),
            &format!(
                "CREATE FUNCTION trap() RETURNS int LANGUAGE plpgsql IMMUTABLE AS \
                 'BEGIN PERFORM public.grab(); RETURN 1; END'; \
                 CREATE FUNCTION trap(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT public.trap()'; \
                 CREATE OPERATOR === (FUNCTION = trap, LEFTARG = int, RIGHTARG = int); \
                 CREATE TYPE trapped AS (n int); \
                 CREATE FUNCTION trap(trapped) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT public.trap()'; \
                 CREATE CAST (trapped AS int) WITH FUNCTION trap(trapped) AS ASSIGNMENT; \
                 CREATE TABLE m (id int PRIMARY KEY, x int DEFAULT {default})"
            ),
        );
        run(&mut database.client(), "SELECT electric.enable('m')");
        grabbed_nothing(&database, &role);
        run(&mut database.client(), ADMINISTRATION);
        grabbed_nothing(&database, &role);
        assert_eq!(
            words(&database.commands()),
            [
                ("create_table", "public.m"),
                ("create_index", "public.m"),
                ("add_column", "public.m")
            ]
        );
    }
}

#[test]
fn a_tables_default_is_not_run_by_a_superuser_after_its_owner_enabled_it() {
    let database = database();
    let role = mallory(&database);
    run(
        &mut database.client_as(&role),
        "CREATE FUNCTION trap() RETURNS int LANGUAGE plpgsql IMMUTABLE AS \
         'BEGIN PERFORM public.grab(); RETURN 1; END'; \
         CREATE TABLE m (id int PRIMARY KEY, x int DEFAULT trap()); SELECT electric.enable('m'); \
         ALTER TABLE m ADD COLUMN y int; ALTER TABLE m ALTER y SET DEFAULT trap()",
    );
    run(&mut database.client(), ADMINISTRATION);
    grabbed_nothing(&database, &role);
}

#[test]
fn a_domains_check_is_not_run_by_a_superuser_who_touches_the_table() {
    for column in [
        "guarded DEFAULT 'abc'",
        "guarded_with_default",
        "guarded[] DEFAULT '{abc}'",
        "guarded[] DEFAULT ARRAY['abc'::guarded]",
    ] {
        let database = database();
        let role = mallory(&database);
        run(
            &mut database.client_as(&role),
            &format!(
                "CREATE FUNCTION trap(text) RETURNS bool LANGUAGE plpgsql AS \
                 'BEGIN PERFORM public.grab(); RETURN true; END'; \
                 CREATE DOMAIN guarded AS text CHECK (public.trap(VALUE)); \
                 CREATE DOMAIN guarded_with_default AS text DEFAULT 'abc' CHECK (public.trap(VALUE)); \
                 CREATE TABLE m (id int PRIMARY KEY, x {column})"
            ),
        );
        run(&mut database.client(), "SELECT electric.enable('m')");
        grabbed_nothing(&database, &role);
        run(&mut database.client(), ADMINISTRATION);
        run(
            &mut database.client(),
            "COMMENT ON DOMAIN guarded IS 'seen'; GRANT USAGE ON DOMAIN guarded TO PUBLIC",
        );
        grabbed_nothing(&database, &role);
    }
}

#[test]
fn an_event_trigger_that_our_own_commands_fire_does_not_find_the_callers_objects() {
    let database = database();
    let role = mallory(&database);
    run(
        &mut database.client(),
        &format!(
            "CREATE TABLE public.audit (tag text, who name, path text); GRANT INSERT ON public.audit TO PUBLIC; \
             CREATE FUNCTION public.audit() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO public.audit VALUES (lower(tg_tag), current_user, current_setting('search_path')); END $$; \
             CREATE EVENT TRIGGER audit ON ddl_command_end EXECUTE FUNCTION public.audit(); \
             CREATE SCHEMA mal AUTHORIZATION {role}"
        ),
    );
    let mut client = database.client_as(&role);
    run(
        &mut client,
        "CREATE FUNCTION mal.lower(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM public.grab(); \
         RETURN pg_catalog.lower($1); END $$; CREATE TABLE m (id int PRIMARY KEY); \
         CREATE TABLE root (id int PRIMARY KEY) PARTITION BY RANGE (id); SET search_path = mal, public, pg_catalog; \
         SELECT electric.enable('m'); SELECT electric.enable('root'); \
         CREATE TABLE low PARTITION OF root FOR VALUES FROM (0) TO (10); SELECT electric.disable('m')",
    );
    grabbed_nothing(&database, &role);
    let elevated = "SELECT string_agg(DISTINCT tag || ': ' || path, '; ') FROM public.audit WHERE who = 'postgres' \
                    AND tag IN ('create publication', 'alter publication', 'alter table')";
    assert_eq!(
        text(&mut database.client(), elevated),
        "alter publication: pg_catalog, pg_temp; alter table: pg_catalog, pg_temp; \
         create publication: pg_catalog, pg_temp"
    );
    // The caller has the path that was set, and the trigger saw that too, with the caller's own rights.
    assert_eq!(
        text(&mut client, "SELECT current_setting('search_path')"),
        "mal, public, pg_catalog"
    );
    let own = format!("SELECT (count(*) > 0)::text FROM calls WHERE who = '{role}'");
    assert_eq!(text(&mut database.client(), &own), "true");
}

#[test]
fn a_publication_that_an_ordinary_role_made_before_is_not_used() {
    let database = database();
    let role = database.role("early");
    run(
        &mut database.client(),
        &format!(
            "GRANT CREATE ON DATABASE {} TO {role}; GRANT CREATE ON SCHEMA public TO {role}; \
             CREATE TABLE boss (id int PRIMARY KEY)",
            database.name()
        ),
    );
    let mut early = database.client_as(&role);
    run(
        &mut early,
        "CREATE PUBLICATION electric_publication; CREATE TABLE own (id int PRIMARY KEY)",
    );
    let enable_own = "SELECT electric.enable('own')";
    for error in [
        database.refused("SELECT electric.enable('boss')", "42501"),
        database.refused_by(&mut early, enable_own, "42501"),
    ] {
        error
            .message_names(&["\"electric_publication\"", &role])
            .hinted();
        assert!(!error.detail.is_empty(), "{error:?}");
    }
    run(
        &mut database.client(),
        "ALTER PUBLICATION electric_publication OWNER TO postgres",
    );
    run(&mut early, enable_own);
    run(&mut database.client(), "SELECT electric.enable('boss')");
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(&mut early, "INSERT INTO own VALUES (1)");
    replica.must_agree();
}

#[test]
fn a_publication_that_a_superuser_made_before_gets_every_kind_of_change() {
    let database = database();
    run(
        &mut database.client(),
        "CREATE PUBLICATION electric_publication WITH (publish = 'insert'); \
         CREATE TABLE items (id int PRIMARY KEY, value text); SELECT electric.enable('items')",
    );
    let kinds = "SELECT concat_ws(' ', pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot) FROM pg_publication";
    assert_eq!(text(&mut database.client(), kinds), "t t t t t");
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut database.client(),
        "INSERT INTO items VALUES (1, 'a'), (2, 'b'), (3, 'c'); UPDATE items SET value = 'x' WHERE id = 1; \
         DELETE FROM items WHERE id = 2",
    );
    replica.must_agree();
    run(
        &mut database.client(),
        "TRUNCATE items; INSERT INTO items VALUES (4, 'd')",
    );
    replica.must_agree();
}

#[test]
fn a_member_of_the_publication_that_leaves_rows_or_columns_out_is_refused() {
    let database = database();
    run(
        &mut database.client(),
        "CREATE TABLE rows (id int PRIMARY KEY, value text); CREATE TABLE columns (id int PRIMARY KEY, value text); \
         CREATE PUBLICATION electric_publication FOR TABLE rows WHERE (id > 10), columns (id)",
    );
    for table in ["rows", "columns"] {
        let error = database.refused(&format!("SELECT electric.enable('{table}')"), "0A000");
        error.message_names(&[table, "electric_publication"]);
        assert!(
            error
                .hint
                .contains("ALTER PUBLICATION electric_publication DROP TABLE"),
            "{error:?}"
        );
    }
    run(
        &mut database.client(),
        "ALTER PUBLICATION electric_publication DROP TABLE rows, columns; SELECT electric.enable('rows', 'columns')",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut database.client(),
        "INSERT INTO rows VALUES (1, 'low'), (11, 'high'); INSERT INTO columns VALUES (1, 'all')",
    );
    replica.must_agree();
}

#[test]
fn the_owner_of_the_database_cannot_drop_the_extension_with_a_schema() {
    let database = database();
    let role = database.role("owner");
    run(
        &mut database.client(),
        &format!("ALTER DATABASE {} OWNER TO {role}", database.name()),
    );
    let schema =
        "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'electric'";
    assert_eq!(text(&mut database.client(), schema), "pg_catalog");
    let mut owner = database.client_as(&role);
    run(
        &mut owner,
        "CREATE TABLE items (id int PRIMARY KEY, value text); SELECT electric.enable('items')",
    );
    database
        .refused_by(&mut owner, "DROP SCHEMA public CASCADE", "0A000")
        .about_table("public", "items");
    assert_eq!(text(&mut database.client(), schema), "pg_catalog");
    let new = database.recorded("ALTER TABLE items ADD COLUMN a text");
    assert_eq!(words(&new), [("add_column", "public.items")]);
    // With nothing electrified in it the schema may go, and the extension stays.
    run(
        &mut owner,
        "SELECT electric.disable('items'); DROP SCHEMA public CASCADE",
    );
    assert_eq!(text(&mut database.client(), schema), "pg_catalog");
}

#[test]
fn the_extension_can_be_created_where_there_is_no_public_schema() {
    let database = Cluster::shared().empty_database();
    run(
        &mut database.client(),
        "DROP SCHEMA public; CREATE EXTENSION electric; CREATE SCHEMA s; \
         CREATE TABLE s.items (id int PRIMARY KEY); SELECT electric.enable('s.items')",
    );
    let new = database.recorded("ALTER TABLE s.items ADD COLUMN a text");
    assert_eq!(words(&new), [("add_column", "s.items")]);
}

/// Rows of ours are written without the executor: it must be noticed where the tables are not those we made.
#[test]
fn changed_tables_of_ours_are_an_error_and_no_crash() {
    // A server of its own: should it crash, no other test is hit.
    let cluster = Cluster::builder().start().unwrap();
    let database = cluster.database().items();
    let postmaster = cluster.postmaster_pid().unwrap();
    let mut client = database.client();
    // Only a superuser who asks for it gets this far.
    run(&mut client, "SET electric.policy = unrestricted");
    for (n, change) in [
        "CREATE INDEX mine ON electric.ddl_commands ((op ->> 'op'))",
        "CREATE INDEX mine ON electric.migrations (id) WHERE source = 'user'",
    ]
    .into_iter()
    .enumerate()
    {
        run(&mut client, change);
        let add = format!("ALTER TABLE items ADD COLUMN c{n} text");
        for error in [
            database.refused_by(&mut client, &add, "XX001"),
            database.refused(&add, "XX001"),
        ] {
            error.message_names(&["electric.", "is damaged"]).hinted();
            assert!(!error.detail.is_empty(), "{error:?}");
        }
        // The same session goes on, and so does the server; undone, it never was.
        run(&mut client, "DROP INDEX electric.mine");
        let new = database.recorded(&add);
        assert_eq!(words(&new), [("add_column", "public.items")], "{change}");
    }
    for table in ["ddl_commands", "migrations"] {
        run(
            &mut client,
            &format!(
                "BEGIN; ALTER TABLE electric.{table} ADD COLUMN mine text, ADD COLUMN more int[]; SAVEPOINT s"
            ),
        );
        let add = format!("ALTER TABLE items ADD COLUMN of_{table} text");
        failure(client.batch_execute(&add), "XX001").message_names(&[table, "is damaged"]);
        run(&mut client, "ROLLBACK TO s; SELECT 1; ROLLBACK");
        let new = database.recorded(&add);
        assert_eq!(words(&new), [("add_column", "public.items")]);
    }
    assert_eq!(cluster.postmaster_pid().unwrap(), postmaster);
    assert!(
        !cluster.log().contains("terminated by signal"),
        "{}",
        cluster.log()
    );
}
