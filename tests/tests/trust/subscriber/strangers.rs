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
        let mut op = column(&publisher, &default, &data_type);
        if default.is_empty() {
            op["column"]["default"] = Value::Null;
            let columns = op["table"]["columns"].as_array_mut().unwrap();
            columns.last_mut().unwrap()["default"] = Value::Null;
        }
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

/// What a superuser of the subscriber put there, or gave away later, is theirs to decide.
#[test]
fn fault_05_what_was_there_before_is_in_nobodys_way() {
    let publisher = publisher();
    let subscriber = Subscriber::of(&publisher);
    let role = mallory(&subscriber.0);
    subscriber.run(&format!(
        "CREATE FUNCTION seven() RETURNS int LANGUAGE sql AS 'SELECT 7'; \
         CREATE FUNCTION {role}.told() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM {role}.number(); RETURN NEW; END'; \
         ALTER FUNCTION {role}.told() OWNER TO {role}; \
         CREATE TRIGGER told AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION {role}.told(); ALTER TABLE items ENABLE ALWAYS TRIGGER told"
    ));
    let op = column(&publisher, "public.seven()", "integer");
    forge(&publisher, "add_column", "public.items", "", &op);
    subscriber.rows_come("items", "(1,one,)");
    subscriber.run(&format!("ALTER FUNCTION seven() OWNER TO {role}"));
    run(
        &mut publisher.client(),
        "ALTER TABLE items ADD COLUMN a int DEFAULT 5; INSERT INTO items VALUES (2, 'two')",
    );
    subscriber.rows_come("items", "(1,one,,5) (2,two,7,5)");
    assert_eq!(subscriber.blocked(), "");
    assert!(was_called(&subscriber.0, &role));
}
