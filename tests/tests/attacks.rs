//! What an ordinary role tries on a publisher: to write what is ours, to read what is not its own, to have code of its
//! own run by somebody with more rights. See also `security.rs`, `roles.rs`, `permissions.rs` and `subscriber/rights.rs`.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text};

/// A role that may make schemas and tables. Its function `grab()` writes down who runs it, and makes the role a
/// superuser if that one can.
struct Mallory<'a> {
    database: Database<'a>,
    role: String,
}

impl Mallory<'_> {
    fn begin() -> Mallory<'static> {
        let database = Cluster::shared().database().items();
        let role = database.role("mallory");
        run(
            &mut database.client(),
            &format!(
                "GRANT CREATE ON SCHEMA public TO {role}; GRANT CREATE ON DATABASE {} TO {role}; \
                 CREATE TABLE public.calls (who name); GRANT INSERT ON public.calls TO PUBLIC; \
                 INSERT INTO items VALUES (1, 'secret')",
                database.name()
            ),
        );
        let mallory = Mallory { database, role };
        mallory.does(&format!(
            "CREATE FUNCTION public.grab() RETURNS int LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO public.calls VALUES (current_user); \
             IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN \
             EXECUTE 'ALTER ROLE {} SUPERUSER'; END IF; RETURN 1; END $$; \
             CREATE FUNCTION public.trap() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN public.grab(); END'; \
             CREATE FUNCTION public.trap(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM public.grab(); RETURN $1; END'; \
             CREATE FUNCTION public.trapped(int, int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM public.grab(); RETURN true; END'",
            mallory.role
        ));
        mallory
    }

    /// Runs statements as the role, which must succeed.
    #[track_caller]
    fn does(&self, sql: &str) {
        run(&mut self.database.client_as(&self.role), sql);
    }

    /// Runs statements as superuser, which must succeed.
    #[track_caller]
    fn superuser(&self, sql: &str) {
        run(&mut self.database.client(), sql);
    }

    /// The role must not be let: with that SQLSTATE, and nothing left behind.
    #[track_caller]
    fn refused(&self, sql: &str, code: &str) {
        let mut client = self.database.client_as(&self.role);
        self.database.refused_by(&mut client, sql, code);
    }

    /// Nobody but the role itself ran `grab()`, and it is no superuser.
    #[track_caller]
    fn grabbed_nothing(&self) {
        let mut client = self.database.client();
        let others = format!(
            "SELECT string_agg(who, ' ') FROM public.calls WHERE who <> '{}'",
            self.role
        );
        assert_eq!(text(&mut client, &others), "", "grab() was run by others");
        let sql = format!(
            "SELECT rolsuper::text FROM pg_roles WHERE rolname = '{}'",
            self.role
        );
        assert_eq!(text(&mut client, &sql), "false");
    }
}

/// Our tables, with a row to insert.
fn our_tables(database: &Database<'_>) -> Vec<String> {
    let sql = "SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = 'electric'::regnamespace AND relkind = 'r'";
    let rows = database.client().query(sql, &[]).unwrap();
    let tables: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(tables.len() >= 8, "{tables:?}");
    tables
}

#[test]
fn no_way_to_write_a_row_of_ours() {
    let mallory = Mallory::begin();
    for table in our_tables(&mallory.database) {
        let column = text(
            &mut mallory.database.client(),
            &format!(
                "SELECT attname FROM pg_attribute WHERE attrelid = 'electric.{table}'::regclass AND attnum = 1"
            ),
        );
        let view = format!("CREATE VIEW v AS SELECT * FROM electric.{table}");
        let rule = |event: &str, action: &str| {
            format!(
                "CREATE TABLE mine (a int); CREATE RULE r AS ON {event} TO mine DO INSTEAD {action}; \
                 INSERT INTO mine VALUES (1)"
            )
        };
        let trigger = |action: &str| {
            format!(
                "CREATE TABLE mine (a int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN {action}; RETURN NULL; END $$; CREATE TRIGGER t AFTER INSERT ON mine \
                 FOR EACH ROW EXECUTE FUNCTION f(); INSERT INTO mine VALUES (1)"
            )
        };
        let function = |action: &str| {
            format!(
                "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN {action}; END $$; SELECT f()"
            )
        };
        let insert = format!("INSERT INTO electric.{table} SELECT * FROM electric.{table}");
        let update = format!("UPDATE electric.{table} SET {column} = {column}");
        let delete = format!("DELETE FROM electric.{table}");
        let truncate = format!("TRUNCATE electric.{table}");
        for sql in [&insert, &update, &delete, &truncate] {
            mallory.refused(sql, "42501");
            mallory.refused(&trigger(sql), "42501");
            mallory.refused(&function(sql), "42501");
        }
        for sql in [&insert, &update, &delete] {
            mallory.refused(&rule("INSERT", sql), "42501");
        }
        for sql in [
            format!("{view}; INSERT INTO v SELECT * FROM v"),
            format!("{view}; UPDATE v SET {column} = {column}"),
            format!("{view}; DELETE FROM v"),
            format!(
                "MERGE INTO electric.{table} AS t USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE"
            ),
            format!("WITH gone AS (DELETE FROM electric.{table} RETURNING 1) SELECT * FROM gone"),
            format!("COPY electric.{table} FROM PROGRAM 'echo'"),
            format!("COPY electric.{table} FROM STDIN"),
            format!("SELECT * FROM electric.{table} FOR UPDATE"),
            format!("BEGIN; LOCK TABLE electric.{table} IN SHARE MODE"),
            format!("CREATE TABLE child () INHERITS (electric.{table})"),
            format!("CREATE RULE r AS ON INSERT TO electric.{table} DO INSTEAD NOTHING"),
            format!(
                "CREATE TRIGGER t BEFORE INSERT ON electric.{table} EXECUTE FUNCTION electric.list_changed()"
            ),
            format!("CREATE POLICY p ON electric.{table}"),
            format!("CREATE INDEX ON electric.{table} ({column})"),
            format!("ALTER TABLE electric.{table} DISABLE TRIGGER ALL"),
            format!("ALTER TABLE electric.{table} OWNER TO CURRENT_USER"),
            format!("GRANT INSERT ON electric.{table} TO CURRENT_USER"),
            format!("CREATE PUBLICATION p FOR TABLE electric.{table}"),
            format!("CREATE TABLE mine (a text REFERENCES electric.{table} ({column}))"),
        ] {
            let mut client = mallory.database.client_as(&mallory.role);
            let before = mallory.database.trace();
            let granted = sql.starts_with("GRANT");
            match client.batch_execute(&sql) {
                // Postgres warns that nothing was granted.
                Ok(()) if granted => {}
                Ok(()) => panic!("done: {sql}"),
                // No key to refer to is an error before that of the missing right.
                Err(error)
                    if sql.contains("REFERENCES")
                        && error.code().is_some_and(|c| c.code() == "42830") => {}
                Err(error) => assert_eq!(
                    error.code().map(|c| c.code()),
                    Some("42501"),
                    "{sql}: {error}"
                ),
            }
            assert_eq!(before, mallory.database.trace(), "{sql}");
        }
    }
}

#[test]
fn no_way_to_switch_capture_off() {
    let mallory = Mallory::begin();
    mallory.does("CREATE TABLE own (id int PRIMARY KEY, v text); SELECT electric.enable('own')");
    for (sql, code) in [
        ("SET session_replication_role = replica", "42501"),
        (
            "SET electric.policy = 'unrestricted'; ALTER TABLE own DROP COLUMN v",
            "0A000",
        ),
        (
            "SET electric.publication = 'mine'; ALTER PUBLICATION electric_publication DROP TABLE own",
            "42501",
        ),
        ("ALTER EVENT TRIGGER electric_command_end DISABLE", "42501"),
        ("DROP EVENT TRIGGER electric_command_end", "42501"),
        ("DROP EXTENSION electric", "42501"),
        (
            "ALTER EXTENSION electric DROP TABLE electric.migrations",
            "42501",
        ),
        ("ALTER EXTENSION electric UPDATE", "42501"),
        ("DROP SCHEMA electric CASCADE", "42501"),
        (
            "ALTER PUBLICATION electric_publication DROP TABLE own",
            "42501",
        ),
        ("DROP PUBLICATION electric_publication", "42501"),
        (
            "CREATE OR REPLACE FUNCTION electric.on_command_end() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
            "42501",
        ),
        (
            "CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION electric.on_command_end()",
            "42501",
        ),
        (
            "CREATE FUNCTION mine() RETURNS void LANGUAGE c AS '$libdir/electric', 'electric_enable'",
            "42501",
        ),
        (
            "SET search_path = ''; SET check_function_bodies = off; ALTER TABLE public.own DROP COLUMN v",
            "0A000",
        ),
        (
            "SET electric.policy = 'compatible'; ALTER TABLE own DROP COLUMN v",
            "0A000",
        ),
        ("SELECT electric.disable('items')", "42501"),
        (
            "SELECT electric.grant('SELECT', 'items', 'ANYONE')",
            "42501",
        ),
        (
            "SELECT electric.assign('items', 'value', role => 'x')",
            "42501",
        ),
        ("SELECT electric.ddlx('ELECTRIC DISABLE items')", "42501"),
        (
            "SELECT electric.ddlx('ELECTRIC SQLITE ''DROP TABLE items''')",
            "42501",
        ),
        ("CALL electric.subscribe('dbname=postgres')", "42501"),
        ("CALL electric.unsubscribe()", "42501"),
    ] {
        mallory.refused(sql, code);
    }
    // What a role sets for itself holds no more than what it says in a session.
    let own = format!(
        "ALTER ROLE {} SET electric.policy = 'unrestricted'",
        mallory.role
    );
    let set = mallory
        .database
        .client_as(&mallory.role)
        .batch_execute(&own);
    if set.is_ok() {
        mallory.refused("ALTER TABLE own DROP COLUMN v", "0A000");
    }
    mallory.refused("DROP TABLE own", "0A000");
}

/// Functions of ours that serve triggers serve none on tables of others, whoever makes them, and are not called.
#[test]
fn our_functions_on_tables_of_others() {
    let mallory = Mallory::begin();
    let before = mallory.database.commands().len();
    mallory.does(
        "CREATE TABLE migrations (id text); CREATE TABLE places (relation regclass, place text)",
    );
    for table in ["migrations", "places"] {
        for function in ["list_changed", "protect", "on_replicated_command"] {
            for when in [
                "BEFORE INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW",
                "AFTER INSERT ON {table} FOR EACH ROW",
                "AFTER INSERT OR UPDATE OR DELETE ON {table}",
            ] {
                let when = when.replace("{table}", table);
                let create =
                    format!("CREATE TRIGGER a {when} EXECUTE FUNCTION electric.{function}()");
                mallory.refused(&create, "42501");
                mallory.superuser(&create);
                let insert = format!("INSERT INTO {table} DEFAULT VALUES");
                mallory.refused(&insert, "0A000");
                mallory.database.refused(&insert, "0A000").hinted();
                mallory.superuser(&format!("DROP TRIGGER a ON {table}"));
            }
        }
    }
    for function in ["protect", "list_changed", "on_replicated_command"] {
        let call = format!("SELECT electric.{function}()");
        mallory.refused(&call, "42501");
        // The server's own error: these are triggers of rows.
        mallory.database.refused(&call, "0A000");
    }
    for function in ["on_command_end", "on_command_start", "on_table_rewrite"] {
        let call = format!("SELECT electric.{function}()");
        mallory.refused(&call, "42501");
        mallory.database.refused(&call, "0A000").hinted();
    }
    assert_eq!(mallory.database.commands().len(), before);
    mallory.grabbed_nothing();
}

/// Everything of a table that may hold an expression of its owner's.
const TRAPS: &str = "
    CREATE OPERATOR === (FUNCTION = trapped, LEFTARG = int, RIGHTARG = int);
    CREATE DOMAIN guarded AS int DEFAULT trap() CHECK (trap(VALUE) > 0);
    CREATE TYPE pair AS (n int);
    CREATE FUNCTION of_pair(pair) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN public.grab(); END';
    CREATE CAST (pair AS int) WITH FUNCTION of_pair(pair) AS IMPLICIT;
    CREATE TABLE bait (id int PRIMARY KEY, a int DEFAULT trap(), b guarded, c int CHECK (trap(c) > 0), d int DEFAULT '(1)'::pair,
        e int DEFAULT trap(1) + 1, CHECK (id === 1), EXCLUDE (a WITH =) WHERE (trap(a) = 0));
    CREATE INDEX ON bait (trap(a));
    CREATE UNIQUE INDEX ON bait (c) WHERE trap(c) = 1;
    CREATE STATISTICS stats ON (trap(a)), c FROM bait;
    CREATE TABLE root (id int PRIMARY KEY, v int DEFAULT trap()) PARTITION BY RANGE (id);
    CREATE TABLE root_low PARTITION OF root (CHECK (trap(v) > 0)) FOR VALUES FROM (0) TO (10);
    CREATE VIEW looks AS SELECT trap(a) AS a FROM bait;
    CREATE FUNCTION on_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM public.grab(); RETURN NEW; END';
    CREATE TRIGGER on_row BEFORE INSERT ON bait FOR EACH ROW EXECUTE FUNCTION on_row();
    CREATE POLICY p ON bait USING (trap(a) > 0);";

/// What a superuser may do to such tables without running what is theirs in plain Postgres, and all that only looks.
const BYSTANDER: &[&str] = &[
    "COMMENT ON TABLE bait IS 'seen'; GRANT SELECT ON bait TO PUBLIC; ALTER TABLE bait SET (fillfactor = 90)",
    "ALTER TABLE bait ADD COLUMN more int; ALTER TABLE root ADD COLUMN more int DEFAULT 5",
    "CREATE INDEX plain ON bait (id); ALTER INDEX plain RENAME TO plainer; DROP INDEX plainer",
    "CREATE TABLE root_high PARTITION OF root FOR VALUES FROM (10) TO (20)",
    "ALTER TABLE bait ALTER more SET DEFAULT 3; ALTER TABLE bait ALTER more DROP DEFAULT",
    "SELECT * FROM electric.drift(); SELECT electric.introspect(); SELECT electric.status(); SELECT electric.diagram()",
    "SELECT electric.schema_sql('sqlite'); SELECT electric.schema_sql('postgres'); SELECT * FROM electric.migrations_since()",
    "SELECT * FROM electric.tables; SELECT * FROM electric.history",
    "SELECT * FROM electric.check('ALTER TABLE bait ADD COLUMN checked int; ALTER TABLE bait DROP COLUMN a; COMMENT ON TABLE bait IS ''x''')",
    "SELECT electric.assign('bait', 'id', role => 'r'); SELECT electric.grant('SELECT', 'bait', 'r'); SELECT electric.revoke('SELECT', 'bait', 'r')",
    "SELECT electric.disable('bait'); SELECT electric.enable('bait')",
    "SELECT electric.ddlx('ALTER TABLE root DISABLE ELECTRIC; ALTER TABLE root ENABLE ELECTRIC')",
];

#[test]
fn expressions_of_a_tables_owner_are_not_run_by_those_who_look_on() {
    for enabled_by_superuser in [false, true] {
        let mallory = Mallory::begin();
        mallory.does(TRAPS);
        let enable = "SELECT electric.enable('bait', 'root')";
        if enabled_by_superuser {
            mallory.superuser(enable);
        } else {
            mallory.does(enable);
        }
        mallory.grabbed_nothing();
        for sql in BYSTANDER {
            mallory.superuser(sql);
            mallory.grabbed_nothing();
        }
        mallory.does("ALTER TABLE bait ADD COLUMN own int DEFAULT trap(2)");
        mallory.superuser("SELECT * FROM electric.drift(); COMMENT ON TABLE bait IS 'again'");
        mallory.grabbed_nothing();
        // Else nothing was tried.
        let own = format!(
            "SELECT (count(*) > 0)::text FROM calls WHERE who = '{}'",
            mallory.role
        );
        assert_eq!(text(&mut mallory.database.client(), &own), "true");
    }
}

/// A column that came unseen, while event triggers were off, is no trap for who finds it.
#[test]
fn a_default_that_came_unseen_is_not_run_by_who_finds_it() {
    for sql in [
        "SELECT * FROM electric.drift()",
        "COMMENT ON TABLE bait IS 'seen'",
        "CREATE INDEX ON bait (id)",
        "SELECT * FROM electric.check('ALTER TABLE bait ADD COLUMN x int')",
    ] {
        let mallory = Mallory::begin();
        mallory.does("CREATE TABLE bait (id int PRIMARY KEY); SELECT electric.enable('bait')");
        mallory.superuser("ALTER EVENT TRIGGER electric_command_end DISABLE");
        mallory.does("ALTER TABLE bait ADD COLUMN late int DEFAULT trap(); ALTER TABLE bait ADD COLUMN later int DEFAULT trap(1)");
        mallory.superuser("ALTER EVENT TRIGGER electric_command_end ENABLE ALWAYS");
        // What is recorded by it, or refused, is not the matter here.
        let _ = mallory.database.client().batch_execute(sql);
        mallory.grabbed_nothing();
    }
}

/// Objects that take the place of those which our functions and views name.
#[test]
fn what_lies_on_the_search_path_is_not_run_by_our_functions() {
    let mallory = Mallory::begin();
    let mut evil = "CREATE SCHEMA evil;".to_owned();
    for (name, arguments, result) in [
        ("format", "text, text, text", "text"),
        ("count", "text", "bigint"),
        ("unnest", "text[]", "text"),
        ("lower", "varchar", "text"),
        ("now", "", "timestamptz"),
        ("jsonb_to_recordset", "jsonb", "text"),
        ("json_array_length", "json", "int"),
        ("current_database", "", "name"),
        ("to_jsonb", "anyelement", "jsonb"),
        ("quote_ident", "text", "text"),
    ] {
        evil.push_str(&format!(
            "CREATE FUNCTION evil.{name}({arguments}) RETURNS {result} LANGUAGE plpgsql AS 'BEGIN PERFORM public.grab(); RETURN NULL; END';"
        ));
    }
    for (operator, left, right, result) in [
        ("=", "text", "text", "bool"),
        ("=", "name", "name", "bool"),
        ("=", "bigint", "bigint", "bool"),
        ("=", "oid", "oid", "bool"),
        (">", "bigint", "bigint", "bool"),
        ("->>", "json", "text", "text"),
        ("->>", "jsonb", "jsonb", "text"),
        ("->", "json", "text", "json"),
        ("<", "text", "text", "bool"),
    ] {
        let function = format!("evil.of_{left}_{right}_{}", evil.len());
        evil.push_str(&format!(
            "CREATE FUNCTION {function}({left}, {right}) RETURNS {result} LANGUAGE plpgsql AS 'BEGIN PERFORM public.grab(); RETURN NULL; END'; \
             CREATE OPERATOR evil.{operator} (FUNCTION = {function}, LEFTARG = {left}, RIGHTARG = {right});"
        ));
    }
    evil.push_str("CREATE TABLE evil.pg_class (relname name); CREATE TABLE evil.migrations (id int); CREATE TABLE evil.pg_subscription (oid oid)");
    mallory.does(&evil);
    mallory.does(TRAPS);
    mallory.superuser("SELECT electric.enable('bait', 'root')");
    for sql in BYSTANDER {
        mallory.superuser(&format!(
            "SET search_path = evil, public, pg_catalog; {sql}"
        ));
        mallory.grabbed_nothing();
    }
    // The owner's own temporary objects come first where no path is set.
    let mut client = mallory.database.client_as(&mallory.role);
    run(
        &mut client,
        "CREATE TEMP TABLE pg_class (relname name); CREATE TEMP TABLE electrified (relation regclass); \
         CREATE TABLE another (id int PRIMARY KEY); SELECT electric.enable('another'); ALTER TABLE another ADD COLUMN a int; \
         SELECT electric.disable('another')",
    );
    mallory.grabbed_nothing();
}

#[test]
fn rows_of_others_are_not_read_through_us() {
    let mallory = Mallory::begin();
    for sql in [
        "SELECT * FROM items",
        "SELECT electric.enable('items')",
        "SELECT electric.grant('SELECT', 'items', 'ANYONE', condition => 'value = ''secret''')",
        "COPY items TO STDOUT",
    ] {
        mallory.refused(sql, "42501");
    }
    // Neither a condition nor a trial runs anything as somebody else.
    let mut client = mallory.database.client_as(&mallory.role);
    let verdicts = "SELECT string_agg(verdict || ': ' || coalesce(reason, ''), '; ') FROM \
        electric.check('SELECT * FROM items; DO $$ BEGIN PERFORM 1 FROM items; END $$; COPY items TO STDOUT')";
    let said = text(&mut client, verdicts);
    assert_eq!(
        said.matches("permission denied for table items").count(),
        2,
        "{said}"
    );
    assert!(
        said.contains("cannot be tried without the client"),
        "{said}"
    );
    assert!(!said.contains("secret"), "{said}");
    mallory.does("CREATE TABLE own (id int PRIMARY KEY, v text); SELECT electric.enable('own')");
    mallory.refused(
        "SELECT electric.grant('SELECT', 'own', 'ANYONE', condition => 'EXISTS (SELECT FROM items)')",
        "0A000",
    );
    for sql in [
        "SELECT electric.introspect()::text",
        "SELECT string_agg(s, ';') FROM electric.schema_sql() s",
        "SELECT string_agg(concat(id, command, relation, postgres, sqlite, op, hash), ';') FROM electric.ddl_commands",
        "SELECT string_agg(q::text, ';') FROM electric.queries q",
        "SELECT string_agg(e::text, ';') FROM electric.electrified e",
    ] {
        assert!(!text(&mut client, sql).contains("secret"), "{sql}");
    }
}
