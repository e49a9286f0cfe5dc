//! How large texts, records and shapes may be, and what happens when memory runs out.

use electric_tests::cluster::Cluster;
use electric_tests::database::{run, text};
use electric_tests::replica::Replica;

#[test]
fn fault_13_a_record_that_could_not_be_sent_is_not_made() {
    let database = Cluster::shared().database().items();
    run(
        &mut database.client(),
        "INSERT INTO items VALUES (1, 'x'); CREATE TYPE mood AS ENUM ('a'); ALTER TABLE items ADD COLUMN m mood;
         CREATE DOMAIN dom AS text",
    );
    for (what, sql) in [
        (
            "control characters of a default",
            "EXECUTE 'ALTER TABLE items ALTER value SET DEFAULT ' || quote_literal(repeat(chr(1), 46000000))",
        ),
        (
            "fewer of them, as JSON six bytes each",
            "EXECUTE 'ALTER TABLE items ALTER value SET DEFAULT ' || quote_literal(repeat(chr(1), 2500000))",
        ),
        (
            "quotes, which are doubled",
            "EXECUTE 'ALTER TABLE items ALTER value SET DEFAULT ' || quote_literal(repeat('''', 9000000))",
        ),
        (
            "a value that is evaluated",
            "ALTER TABLE items ALTER value SET DEFAULT repeat('x', 9000000)",
        ),
        (
            "a large value that is evaluated",
            "ALTER TABLE items ALTER value SET DEFAULT repeat('x', 200000000)",
        ),
        (
            "a value of other functions",
            "CREATE TABLE large (id int PRIMARY KEY, a bytea DEFAULT decode(repeat('00', 10000000), 'hex')); \
             PERFORM electric.enable('large')",
        ),
        (
            "a check",
            "EXECUTE 'CREATE TABLE large (id int PRIMARY KEY, a text CHECK (a <> ' || quote_literal(repeat('x', 20000000)) || '))'; \
             PERFORM electric.enable('large')",
        ),
        (
            "a column with a check",
            "EXECUTE 'ALTER TABLE items ADD COLUMN a text CHECK (a <> ' || quote_literal(repeat('y', 6000000)) || ')'",
        ),
        (
            "a default of a domain",
            "EXECUTE 'ALTER DOMAIN dom SET DEFAULT ' || quote_literal(repeat(chr(2), 4000000)); \
             CREATE TABLE large (id int PRIMARY KEY, a dom); PERFORM electric.enable('large')",
        ),
        (
            "a table that is new",
            "EXECUTE 'CREATE TABLE large (id int PRIMARY KEY, a text DEFAULT ' || quote_literal(repeat(chr(1), 3000000)) || ')'; \
             PERFORM electric.enable('large')",
        ),
        (
            "a statement",
            "CREATE TEMPORARY TABLE warm (n int); EXECUTE 'ALTER TABLE items /* ' || repeat('x', 17000000) || ' */ ADD COLUMN a text'",
        ),
        (
            "a statement for SQLite",
            "PERFORM electric.ddlx('ELECTRIC SQLITE $x$ ' || repeat('x', 17000000) || '$x$')",
        ),
    ] {
        let error = database.refused(&format!("DO $$ BEGIN {sql}; END $$"), "54000");
        assert!(
            !error.hint.is_empty() || what == "a statement for SQLite",
            "{what}: {error:?}"
        );
    }
    // Under every policy, and where a table would be made anew for it.
    database.refused(
        "SET electric.policy = unrestricted; DO $$ BEGIN EXECUTE 'ALTER TABLE items ALTER value TYPE varchar, \
         ALTER value SET DEFAULT ' || quote_literal(repeat(chr(1), 4000000)); END $$",
        "54000",
    );
    let error = database.refused(
        "ALTER TABLE items ALTER value SET DEFAULT repeat('x', 9000000)",
        "54000",
    );
    error.message_names(&["items"]).hinted();
    // What fits goes over.
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut database.client(),
        "ALTER TABLE items ALTER value SET DEFAULT repeat('x', 1000000)",
    );
    replica.must_agree();
    let mut client = database.client();
    run(&mut client, "SET client_min_messages = error");
    assert_eq!(
        text(
            &mut client,
            "SELECT (max(length(op::text)) < 17000000)::text FROM electric.ddl_commands"
        ),
        "true"
    );
}

#[test]
fn fault_13_wide_tables_and_many_labels_fit() {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "DO $$ BEGIN
           EXECUTE 'CREATE TABLE wide (id int PRIMARY KEY, '
             || (SELECT string_agg(format('column_%s text DEFAULT ''a default of this column''', n), ', ') FROM generate_series(1, 1590) n) || ')';
           EXECUTE 'CREATE TYPE labels AS ENUM ('
             || (SELECT string_agg(format('''a label that is as long as labels may be: number %s''', n), ', ') FROM generate_series(1, 5000) n) || ')';
         END $$;
         CREATE TABLE labelled (id int PRIMARY KEY, l labels);
         SELECT electric.enable('wide', 'labelled'); ALTER TABLE wide ADD COLUMN one_more int;
         ALTER TYPE labels ADD VALUE 'one more'",
    );
    run(
        &mut database.client(),
        "SELECT electric.introspect(), electric.diagram(); SELECT electric.schema_sql(); SELECT electric.drift()",
    );
}

#[test]
fn fault_13_grants_of_a_table_have_room_for_so_much() {
    let database = Cluster::shared().database().items();
    let grant = |from: i32, to: i32| {
        let roles: Vec<String> = (from..to).map(|n| format!("'role{n}'")).collect();
        format!(
            "SELECT electric.ddlx($$ELECTRIC GRANT SELECT ON items TO {} WHERE (value <> '$$ || repeat('x', 1000000) || $$')$$)",
            roles.join(", ")
        )
    };
    run(&mut database.client(), &grant(0, 4));
    let error = database.refused(&grant(4, 20), "54000");
    error.message_names(&["items"]).hinted();
    // Less is always possible.
    run(
        &mut database.client(),
        "SELECT electric.revoke('SELECT', 'items', 'role1')",
    );
    database.history_is_sound();
}
