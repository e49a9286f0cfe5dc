//! Functions that an ordinary role of the subscriber has made: a record that a publisher's superuser writes by hand can
//! name them, and they are not called.

use electric_tests::database::wait_until;
use serde_json::{Value, json};

use super::powerless::{column, forge, shape};
use super::*;

/// A role with functions in a schema of its name, which leave a trace that no rollback takes away.
fn mallory(database: &Database<'_>) -> String {
    let role = database.role("mallory");
    run(
        &mut database.client(),
        &format!(
            "CREATE SCHEMA {role} AUTHORIZATION {role}; SET ROLE {role}; GRANT USAGE ON SCHEMA {role} TO PUBLIC; \
             CREATE SEQUENCE {role}.calls; GRANT ALL ON SEQUENCE {role}.calls TO PUBLIC; \
             CREATE FUNCTION {role}.evil(text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM nextval(''{role}.calls''); RETURN true; END'; \
             CREATE FUNCTION {role}.number() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN nextval(''{role}.calls''); END'; \
             CREATE FUNCTION {role}.inlined() RETURNS bigint LANGUAGE sql AS 'SELECT nextval(''{role}.calls'')'; \
             CREATE FUNCTION {role}.with_setting() RETURNS int LANGUAGE plpgsql SET DateStyle = iso AS 'BEGIN RETURN nextval(''{role}.calls''); END'; \
             CREATE FUNCTION {role}.distance(int, int) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM nextval(''{role}.calls''); RETURN 1; END'; \
             CREATE FUNCTION {role}.same(int, int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM nextval(''{role}.calls''); RETURN true; END'; \
             CREATE OPERATOR {role}.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = {role}.same); \
             CREATE DOMAIN {role}.checked AS int CHECK ({role}.same(VALUE, 1)); \
             CREATE TYPE {role}.several AS (one {role}.checked); \
             CREATE TYPE {role}.span AS RANGE (subtype = int, subtype_diff = {role}.distance, multirange_type_name = {role}.spans)"
        ),
    );
    role
}

fn was_called(database: &Database<'_>, role: &str) -> bool {
    let sql = format!("SELECT is_called::text FROM {role}.calls");
    text(&mut database.client(), &sql) == "true"
}

/// The stream passes over what names them, says whose they are, and goes on.
#[track_caller]
fn is_passed_over(subscriber: &Subscriber<'_>, role: &str, blocked: &str, case: &str) {
    wait_until(&format!("{case} is passed over"), || {
        subscriber.blocked() == blocked
    });
    let reason = subscriber.ask(
        "SELECT string_agg(b ->> 'reason', ' ') FROM jsonb_array_elements(electric.status() #> '{subscriber,blocked}') AS b",
    );
    let belongs = format!(" belongs to role {role}, who is no superuser");
    assert!(reason.contains(&belongs), "{case}: {reason}");
    assert!(!was_called(&subscriber.0, role), "{case}");
}

/// The shape of `items` under another name.
fn table(publisher: &Database<'_>, name: &str) -> Value {
    let mut table = shape(publisher, "items");
    table["name"] = json!(name);
    table["sqlite_name"] = json!(name);
    table["primary_key_constraint"]["name"] = json!(format!("{name}_pkey"));
    table
}

#[test]
fn fault_05_no_column_calls_the_function_of_a_role_here() {
    for (default, data_type) in [
        ("MALLORY.number()", "integer"),
        ("", "integer DEFAULT MALLORY.number()"),
        ("", "bigint DEFAULT MALLORY.inlined()"),
        ("", "integer DEFAULT MALLORY.with_setting()"),
        ("", "boolean DEFAULT MALLORY.evil('x')"),
        ("", "boolean DEFAULT (1 OPERATOR(MALLORY.===) 1)"),
        ("", "MALLORY.checked DEFAULT 1"),
        ("", "MALLORY.checked"),
        ("", "MALLORY.checked[]"),
        ("", "MALLORY.several"),
        ("", "MALLORY.span"),
        ("", "MALLORY.spans"),
    ] {
        let publisher = publisher();
        let subscriber = Subscriber::of(&publisher);
        let role = mallory(&subscriber.0);
        let [default, data_type] = [default, data_type].map(|of| of.replace("MALLORY", &role));
        let op = column(&publisher, &default, &data_type);
        forge(&publisher, "add_column", "public.items", "", &op);
        is_passed_over(
            &subscriber,
            &role,
            "public.items",
            &format!("{default} {data_type}"),
        );
    }
}

#[test]
fn fault_05_no_table_calls_the_function_of_a_role_here() {
    for (part, value) in [
        (
            "checks",
            json!([{"columns": ["value"], "definition": "CHECK (MALLORY.evil(value))", "name": "c", "validated": true}]),
        ),
        (
            "indexes",
            json!([{"definition": "CREATE INDEX i ON public.evil USING btree (MALLORY.evil(value))", "keys": ["MALLORY.evil(value)"],
                "method": "btree", "name": "i", "unique": false, "where": null}]),
        ),
        (
            "indexes",
            json!([{"definition": "CREATE INDEX i ON public.evil USING btree (id) WHERE (id OPERATOR(MALLORY.===) 1)", "keys": ["id"],
                "method": "btree", "name": "i", "unique": false, "where": "id OPERATOR(MALLORY.===) 1"}]),
        ),
    ] {
        let publisher = publisher();
        let subscriber = Subscriber::of(&publisher);
        let role = mallory(&subscriber.0);
        let mut table = table(&publisher, "evil");
        let value = value.to_string().replace("MALLORY", &role);
        table[part] = serde_json::from_str(&value).unwrap();
        forge(
            &publisher,
            "create_table",
            "public.evil",
            "",
            &json!({"op": "create_table", "format": 1, "has_rows": true, "table": table}),
        );
        run(
            &mut publisher.client(),
            "CREATE TABLE evil (id int PRIMARY KEY, value text); INSERT INTO evil VALUES (1, 'x'); SET electric.policy = 'unrestricted'; \
             ALTER PUBLICATION electric_publication ADD TABLE evil; INSERT INTO evil VALUES (2, 'y')",
        );
        is_passed_over(&subscriber, &role, "public.evil", &value);
        subscriber.caught_up(&publisher);
        assert!(!was_called(&subscriber.0, &role), "{value}");
    }
}

#[test]
fn fault_05_no_type_calls_the_function_of_a_role_here() {
    for (kind, definition) in [
        (
            "domain",
            "CREATE DOMAIN public.d AS integer CHECK (MALLORY.same(VALUE, 1))",
        ),
        (
            "domain",
            "CREATE DOMAIN public.d AS integer DEFAULT MALLORY.number()",
        ),
        ("domain", "CREATE DOMAIN public.d AS MALLORY.checked"),
        (
            "range",
            "CREATE TYPE public.d AS RANGE (subtype = integer, subtype_diff = MALLORY.distance)",
        ),
    ] {
        let publisher = publisher();
        let subscriber = Subscriber::of(&publisher);
        let role = mallory(&subscriber.0);
        let definition = definition.replace("MALLORY", &role);
        forge(
            &publisher,
            "create_type",
            "public.d",
            "",
            &json!({"op": "create_type", "format": 1,
                "type": {"kind": kind, "schema": "public", "name": "d", "definition": definition}}),
        );
        is_passed_over(&subscriber, &role, "public.d", &definition);
        subscriber.caught_up(&publisher);
    }
}

#[test]
fn fault_05_the_first_copy_calls_no_function_of_a_role_here() {
    let publisher = publisher();
    let database = publisher.cluster().database();
    let role = mallory(&database);
    run(
        &mut publisher.client(),
        &format!(
            "UPDATE electric.electrified SET shape = jsonb_set(shape::jsonb, '{{checks}}', \
             '[{{\"columns\": [\"value\"], \"definition\": \"CHECK ({role}.evil(value))\", \"name\": \"c\", \"validated\": true}}]')::json"
        ),
    );
    let call = format!("CALL electric.subscribe('{}')", conninfo(&publisher));
    let refused = database.refused(&call, "55000");
    let belongs = format!(
        "function {role}.evil(pg_catalog.text) belongs to role {role}, who is no superuser"
    );
    assert!(refused.message.contains(&belongs), "{}", refused.message);
    assert!(!was_called(&database, &role));
}

/// A function of the server's own that runs SQL which a text has, now or when rows come.
#[test]
fn fault_05_no_text_is_run_that_a_default_has() {
    for (default, data_type) in [
        (
            "(pg_catalog.query_to_xml('SELECT MALLORY.number()', true, false, ''))::text",
            "text",
        ),
        (
            "",
            "text DEFAULT (pg_catalog.ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, ''b''::tsquery FROM (SELECT MALLORY.number() OFFSET 0) AS z'))::text",
        ),
        ("pg_catalog.lo_creat(-1)", "oid"),
        ("pg_catalog.pg_read_file('PG_VERSION')", "text"),
        ("(SELECT 1)", "integer"),
        ("public.seven()", "integer"),
        ("pg_catalog.nextval('MALLORY.calls')", "bigint"),
    ] {
        let publisher = publisher();
        let subscriber = Subscriber::of(&publisher);
        let role = mallory(&subscriber.0);
        subscriber.run("CREATE FUNCTION seven() RETURNS int LANGUAGE sql AS 'SELECT 7'");
        let case = format!("{default} {data_type}").replace("MALLORY", &role);
        let [default, data_type] = [default, data_type].map(|of| of.replace("MALLORY", &role));
        let op = column(&publisher, &default, &data_type);
        forge(&publisher, "add_column", "public.items", "", &op);
        run(
            &mut publisher.client(),
            "INSERT INTO items VALUES (2, 'two')",
        );
        wait_until(&format!("{case} is passed over"), || {
            subscriber.blocked() == "public.items"
        });
        assert!(!was_called(&subscriber.0, &role), "{case}");
    }
}

/// An operator class is a superuser's, and what it consists of need not be.
#[test]
fn fault_05_no_operator_class_calls_the_function_of_a_role_here() {
    for (part, value) in [
        (
            "indexes",
            json!([{"definition": "CREATE INDEX i ON public.evil USING btree (id g.ops)", "keys": ["id"],
                "method": "btree", "name": "i", "unique": false, "where": null}]),
        ),
        (
            "exclusions",
            json!([{"columns": ["id"], "definition": "EXCLUDE USING btree (id g.ops WITH =)", "name": "e", "validated": true}]),
        ),
    ] {
        let publisher = publisher();
        let subscriber = Subscriber::of(&publisher);
        let role = mallory(&subscriber.0);
        subscriber.run(&format!(
            "CREATE SCHEMA g; GRANT USAGE ON SCHEMA g TO PUBLIC; \
             CREATE FUNCTION {role}.compare(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM nextval(''{role}.calls''); RETURN btint4cmp($1, $2); END'; \
             ALTER FUNCTION {role}.compare OWNER TO {role}; \
             CREATE OPERATOR CLASS g.ops FOR TYPE int USING btree AS \
             OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 {role}.compare(int, int)"
        ));
        let mut table = table(&publisher, "evil");
        table[part] = value.clone();
        forge(
            &publisher,
            "create_table",
            "public.evil",
            "",
            &json!({"op": "create_table", "format": 1, "has_rows": true, "table": table}),
        );
        run(
            &mut publisher.client(),
            "CREATE TABLE evil (id int PRIMARY KEY, value text); INSERT INTO evil VALUES (1, 'x'), (2, 'y'); SET electric.policy = 'unrestricted'; \
             ALTER PUBLICATION electric_publication ADD TABLE evil; INSERT INTO evil VALUES (3, 'z')",
        );
        is_passed_over(&subscriber, &role, "public.evil", &value.to_string());
        subscriber.caught_up(&publisher);
        assert!(!was_called(&subscriber.0, &role), "{value}");
    }
}

/// A foreign key that says one table and means another would keep its rows from being deleted.
#[test]
fn fault_11_no_foreign_key_ties_a_table_that_is_not_the_streams() {
    for rule in ["", " ON DELETE CASCADE"] {
        let publisher = publisher();
        let subscriber = Subscriber::of(&publisher);
        let role = mallory(&subscriber.0);
        subscriber.run(&format!(
            "CREATE TABLE {role}.own (id int PRIMARY KEY); INSERT INTO {role}.own VALUES (1); GRANT ALL ON {role}.own TO PUBLIC"
        ));
        let mut table = table(&publisher, "evil");
        let definition = format!("FOREIGN KEY (id) REFERENCES {role}.own(id){rule}");
        table["foreign_keys"] = json!([{"name": "evil_fkey", "columns": ["id"], "on_delete": "NO ACTION", "on_update": "NO ACTION",
            "sqlite": true, "validated": true, "definition": definition,
            "references": {"schema": "public", "table": "items", "columns": ["id"]}}]);
        forge(
            &publisher,
            "create_table",
            "public.evil",
            "",
            &json!({"op": "create_table", "format": 1, "has_rows": false, "table": table}),
        );
        wait_until("it is passed over", || {
            subscriber.blocked() == "public.evil"
        });
        subscriber.caught_up(&publisher);
        subscriber.run(&format!(
            "DELETE FROM {role}.own; TRUNCATE {role}.own; DROP TABLE {role}.own"
        ));
    }
}

/// What a superuser of the subscriber put there, or gave away later, is theirs to decide.
#[test]
fn fault_05_what_was_there_before_is_in_nobodys_way() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    let role = mallory(&subscriber.0);
    subscriber.run(&format!(
        "ALTER FUNCTION pg_catalog.btint4cmp(int, int) OWNER TO {role}; \
         CREATE FUNCTION {role}.told() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM {role}.number(); RETURN NEW; END'; \
         ALTER FUNCTION {role}.told() OWNER TO {role}; \
         CREATE TRIGGER told AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION {role}.told(); ALTER TABLE items ENABLE ALWAYS TRIGGER told"
    ));
    run(
        &mut publisher.client(),
        "ALTER TABLE items ADD COLUMN a int DEFAULT 5; INSERT INTO items VALUES (2, 'two')",
    );
    subscriber.rows_come("items", "(1,one,5) (2,two,5)");
    assert_eq!(subscriber.blocked(), "");
    assert!(was_called(&subscriber.0, &role));
}
