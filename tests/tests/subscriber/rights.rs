//! With whose rights a subscriber reads and applies, and what others cannot make it do.

use super::*;

fn conninfo_as(publisher: &Database<'_>, role: &str) -> String {
    conninfo(publisher).replace("user=postgres", &format!("user={role}"))
}

/// The value of a key of `electric.status() -> 'subscriber'`.
fn status(subscriber: &Database<'_>, key: &str) -> String {
    let sql = format!("SELECT electric.status() #>> '{{subscriber,{key}}}'");
    text(&mut subscriber.client(), &sql)
}

#[test]
fn a_role_that_replicates_and_reads_is_enough() {
    let publisher = publisher();
    let role = publisher.role("replicator");
    let database = publisher.cluster().database();
    let call = format!(
        "CALL electric.subscribe('{}')",
        conninfo_as(&publisher, &role)
    );
    database.refused(&call, "08006");
    run(
        &mut publisher.client(),
        &format!("ALTER ROLE {role} REPLICATION"),
    );
    // Without a right to read a table nothing is begun.
    database
        .refused(&call, "42501")
        .message_names(&["the publisher says", "items"]);
    run(
        &mut publisher.client(),
        &format!("GRANT SELECT ON items TO {role}; CREATE TABLE hidden (id int PRIMARY KEY)"),
    );
    run(&mut database.client(), &call);
    let subscriber = Subscriber(database);
    // A plain role migrates its own table.
    let owner = publisher.role("owner");
    run(
        &mut publisher.client(),
        &format!("ALTER TABLE items OWNER TO {owner}; INSERT INTO hidden VALUES (1)"),
    );
    run(
        &mut publisher.client_as(&owner),
        "ALTER TABLE items ADD COLUMN a int DEFAULT 1; INSERT INTO items VALUES (3, 'three')",
    );
    run(&mut publisher.client(), "SELECT electric.enable('hidden')");
    wait_until(
        "the rows of a table that may not be read are missed",
        || status(&subscriber.0, "errors") != "0",
    );
    assert_ne!(status(&subscriber.0, "tables,public.hidden"), "ready");
    assert_eq!(status(&subscriber.0, "tables,public.items"), "ready");
    run(
        &mut publisher.client(),
        &format!("GRANT SELECT ON hidden TO {role}"),
    );
    subscriber.agrees(&publisher, &["items", "hidden"]);
    wait_until("the copy is done", || {
        status(&subscriber.0, "tables,public.hidden") == "ready"
    });
    assert_eq!(status(&subscriber.0, "running"), "true");
}

#[test]
fn row_security_of_the_publisher_does_not_leave_rows_out_unheard() {
    let publisher = publisher();
    let role = publisher.role("replicator");
    run(
        &mut publisher.client(),
        &format!(
            "ALTER ROLE {role} REPLICATION; GRANT SELECT ON items TO {role}; ALTER TABLE items ENABLE ROW LEVEL SECURITY; \
             CREATE POLICY odd ON items USING (id % 2 = 1)"
        ),
    );
    let database = publisher.cluster().database();
    let call = format!(
        "CALL electric.subscribe('{}')",
        conninfo_as(&publisher, &role)
    );
    database.refused(&call, "42501");
    run(
        &mut publisher.client(),
        &format!("ALTER ROLE {role} BYPASSRLS"),
    );
    run(&mut database.client(), &call);
    Subscriber(database).agrees(&publisher, &["items"]);
}

#[test]
fn an_ordinary_role_neither_begins_nor_ends_nor_sees_the_password() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    let role = subscriber.0.role("nobody");
    let mut nobody = subscriber.0.client_as(&role);
    for sql in [
        "CALL electric.unsubscribe()",
        "CALL electric.subscribe('dbname=postgres')",
        "SELECT subconninfo FROM pg_subscription",
        "ALTER SUBSCRIPTION electric DISABLE",
        "INSERT INTO items VALUES (9, 'x')",
        "INSERT INTO electric.subscriptions VALUES ('x')",
    ] {
        subscriber.0.refused_by(&mut nobody, sql, "42501");
    }
    let status = text(&mut nobody, "SELECT electric.status()::text");
    assert!(!status.contains("host="), "{status}");
}

/// A superuser's rights are not lent to the owner of a table on the publisher: what checks a row there is not run here,
/// if it can do more than compute. The function stands for all that a superuser's session could be made to do.
#[test]
fn checks_that_act_stay_on_the_publisher() {
    let publisher = publisher();
    let role = publisher.role("mallory");
    let (name, database) = (publisher.name(), publisher.cluster().database());
    run(
        &mut publisher.client(),
        &format!("GRANT CREATE ON SCHEMA public TO {role}"),
    );
    // Harmless in the publisher's database.
    let check = |column: &str, number: i32| {
        format!(
            "CHECK (CASE WHEN {column} IS NULL OR current_database() = '{name}' THEN true ELSE \
             query_to_xml('SELECT lo_from_bytea({number}, ''gotcha'')', true, true, '') IS NOT NULL END)"
        )
    };
    let mut mallory = publisher.client_as(&role);
    run(
        &mut mallory,
        &format!(
            "CREATE DOMAIN checked AS int {}; CREATE TABLE early (id int PRIMARY KEY, d checked, {}); \
             INSERT INTO early VALUES (1, 1); SELECT electric.enable('early')",
            check("VALUE", 4711),
            check("id", 4712)
        ),
    );
    subscribe(&database, &publisher);
    let subscriber = Subscriber(database);
    run(
        &mut mallory,
        &format!(
            "CREATE TABLE late (id int PRIMARY KEY, v int {}); INSERT INTO late VALUES (1, 1); SELECT electric.enable('late'); \
             ALTER TABLE late ADD COLUMN w int {}, ADD COLUMN d checked; \
             INSERT INTO late VALUES (2, 2, 2, 2); INSERT INTO early VALUES (2, 2)",
            check("v", 4713),
            check("w", 4714)
        ),
    );
    let mut here = subscriber.0.client();
    // A view that anybody may have made here says what is run when it is turned into XML.
    run(
        &mut here,
        "CREATE VIEW trap AS SELECT lo_from_bytea(4715, 'gotcha')",
    );
    run(
        &mut mallory,
        &format!(
            "CREATE VIEW trap AS SELECT 1; CREATE TABLE last (id int PRIMARY KEY, CHECK (CASE WHEN current_database() = '{name}' THEN true \
             ELSE table_to_xml('public.trap', true, true, '') IS NOT NULL END)); \
             SELECT electric.enable('last'); INSERT INTO last VALUES (1)"
        ),
    );
    for (table, rows) in [("early", "2"), ("late", "2"), ("last", "1")] {
        wait_until("the rows come", || {
            let there = format!("SELECT (to_regclass('{table}') IS NOT NULL)::text");
            let count = format!("SELECT count(*)::text FROM {table}");
            text(&mut here, &there) == "true" && text(&mut here, &count) == rows
        });
    }
    assert_eq!(
        text(
            &mut here,
            "SELECT count(*)::text FROM pg_largeobject_metadata"
        ),
        "0"
    );
    let local = publisher.commands().into_iter().filter(|c| {
        let statements = c.postgres.join(";");
        statements.contains("_to_xml")
    });
    assert_eq!(local.count(), 0);
}

/// Neither what a role has put on the search path nor what it has made of names that the publisher's statements use is
/// run when they are done here.
#[test]
fn objects_of_an_ordinary_role_are_not_run_when_commands_are_applied() {
    let publisher = publisher();
    run(
        &mut publisher.client(),
        "CREATE DOMAIN code AS varchar(9) CHECK (lower(VALUE) = VALUE OR length(VALUE) > 1); \
         CREATE TABLE shadowed (id int PRIMARY KEY, v varchar(20) DEFAULT upper('x'::varchar) CHECK (length(v) > 0 AND v <> 'y'), c code, \
             i int CHECK (i + 1 > 0)); \
         CREATE INDEX ON shadowed (lower(v)); CREATE INDEX ON shadowed ((i + 1)) WHERE v <> 'z'; \
         INSERT INTO shadowed VALUES (1, 'a', 'b', 1); SELECT electric.enable('shadowed')",
    );
    let database = publisher.cluster().database();
    let role = database.role("mallory");
    let mut sql = format!(
        "GRANT CREATE ON SCHEMA public TO {role}; CREATE TABLE calls (who name); GRANT INSERT ON calls TO PUBLIC; \
         SET ROLE {role}; CREATE FUNCTION grab() RETURNS void LANGUAGE plpgsql AS \
         'BEGIN INSERT INTO public.calls VALUES (current_user); END'; \
         CREATE FUNCTION trap(varchar, varchar) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM public.grab(); RETURN true; END'; \
         CREATE FUNCTION trap(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM public.grab(); RETURN 1; END';"
    );
    for (name, result) in [("lower", "text"), ("upper", "text"), ("length", "int")] {
        sql.push_str(&format!(
            "CREATE FUNCTION public.{name}(varchar) RETURNS {result} LANGUAGE plpgsql IMMUTABLE AS \
             'BEGIN PERFORM public.grab(); RETURN pg_catalog.{name}($1::text); END';"
        ));
    }
    for operator in ["=", "<>", ">"] {
        sql.push_str(&format!(
            "CREATE OPERATOR public.{operator} (FUNCTION = trap, LEFTARG = varchar, RIGHTARG = varchar);"
        ));
    }
    sql.push_str("CREATE OPERATOR public.+ (FUNCTION = trap, LEFTARG = int, RIGHTARG = int)");
    run(&mut database.client(), &sql);
    // The worst that a superuser's session could be set to.
    let mut caller = database.client();
    run(
        &mut caller,
        "SET search_path = public, pg_catalog; SET standard_conforming_strings = off; SET array_nulls = off; \
         SET transform_null_equals = on; SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'sql_standard'",
    );
    run(
        &mut caller,
        &format!("CALL electric.subscribe('{}')", conninfo(&publisher)),
    );
    let subscriber = Subscriber(database);
    run(
        &mut publisher.client(),
        "ALTER TABLE shadowed ADD COLUMN w varchar(5) DEFAULT 'w' CHECK (w <> 'v'); CREATE INDEX ON shadowed (upper(w)) WHERE w > 'a'; \
         ALTER TABLE shadowed ALTER w SET DEFAULT lower('W'::varchar); INSERT INTO shadowed VALUES (2, 'c', 'd', 2, 'e')",
    );
    let calls = "SELECT coalesce(string_agg(who, ' '), '') FROM public.calls";
    let rows = "SELECT count(*)::text FROM shadowed";
    wait_until("the row comes", || {
        text(&mut subscriber.0.client(), rows) == "2"
    });
    assert_eq!(text(&mut subscriber.0.client(), calls), "");
    run(&mut subscriber.0.client(), "DROP TABLE calls");
    subscriber.agrees(&publisher, &["items", "shadowed"]);
}

/// The function that applies commands does so for the table of commands alone, and not for one that looks like it.
#[test]
fn rows_of_another_table_are_no_commands() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    let here = &subscriber.0;
    let role = here.role("mallory");
    let slot = format!("bait_{}", publisher.name());
    const BAIT: &str = "CREATE TABLE bait (id bigint PRIMARY KEY, migration_id bigint, command text, relation text, query text, \
                        postgres text[], sqlite text[], op jsonb, hash text)";
    run(
        &mut publisher.client(),
        &format!("{BAIT}; CREATE PUBLICATION bait FOR TABLE bait"),
    );
    run(
        &mut publisher.client(),
        &format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')"),
    );
    run(
        &mut here.client(),
        &format!(
            "{BAIT}; CREATE TRIGGER mine AFTER INSERT ON bait FOR EACH ROW EXECUTE FUNCTION electric.on_replicated_command(); \
             ALTER TABLE bait ENABLE ALWAYS TRIGGER mine; ALTER TABLE bait OWNER TO {role}"
        ),
    );
    run(
        &mut here.client(),
        &format!(
            "CREATE SUBSCRIPTION bait_{} CONNECTION '{}' PUBLICATION bait WITH (connect = false, slot_name = '{slot}')",
            here.name(),
            conninfo(&publisher)
        ),
    );
    let name = format!("bait_{}", here.name());
    run(
        &mut here.client(),
        &format!("ALTER SUBSCRIPTION {name} ENABLE"),
    );
    run(
        &mut here.client(),
        &format!("ALTER SUBSCRIPTION {name} REFRESH PUBLICATION WITH (copy_data = false)"),
    );
    let last = publisher.commands().pop().unwrap();
    let op = serde_json::json!({"op": "sqlite", "format": 1});
    let hash = electric_schema::hash::next(&last.hash, &op.to_string());
    run(
        &mut publisher.client(),
        &format!(
            "INSERT INTO bait VALUES ({}, 1, 'sqlite', 'x', '', '{{ALTER ROLE {role} SUPERUSER}}', '{{}}', '{op}', '{hash}')",
            last.id + 1
        ),
    );
    wait_until("the row is refused", || {
        let log = here.cluster().log();
        log.contains("function \"on_replicated_command\" cannot be called")
    });
    let super_user = format!("SELECT rolsuper::text FROM pg_roles WHERE rolname = '{role}'");
    assert_eq!(text(&mut here.client(), &super_user), "false");
    run(
        &mut here.client(),
        &format!("ALTER SUBSCRIPTION {name} DISABLE"),
    );
    run(
        &mut here.client(),
        &format!("ALTER SUBSCRIPTION {name} SET (slot_name = NONE)"),
    );
    run(&mut here.client(), &format!("DROP SUBSCRIPTION {name}"));
    let drop_slot = format!("SELECT pg_drop_replication_slot('{slot}')");
    wait_until("nobody uses the slot", || {
        publisher.client().batch_execute(&drop_slot).is_ok()
    });
    // The subscription that counts goes on.
    run(
        &mut publisher.client(),
        "DROP TABLE bait; ALTER TABLE items ADD COLUMN more int",
    );
    run(&mut here.client(), "DROP TABLE bait");
    subscriber.agrees(&publisher, &["items"]);
}
