//! What the extension makes is as its scripts say, whatever is set for what others make.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text};

/// Every privilege on members of the extension that its owner does not have as such.
const PRIVILEGES: &str = "SELECT string_agg(p, E'\\n' ORDER BY p) FROM ( \
     SELECT format('%s %s %s %s', o, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, x.privilege_type, x.is_grantable) AS p \
     FROM (SELECT 'schema ' || nspname, nspacl, nspowner FROM pg_namespace WHERE nspname = 'electric' \
      UNION ALL SELECT 'table ' || relname, relacl, relowner FROM pg_class WHERE relnamespace = 'electric'::regnamespace \
      UNION ALL SELECT format('column %s.%s', c.relname, a.attname), a.attacl, relowner FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid \
       WHERE relnamespace = 'electric'::regnamespace AND attacl IS NOT NULL \
      UNION ALL SELECT 'function ' || oid::regprocedure, coalesce(proacl, acldefault('f', proowner)), proowner FROM pg_proc WHERE pronamespace = 'electric'::regnamespace \
      UNION ALL SELECT 'type ' || typname, typacl, typowner FROM pg_type WHERE typnamespace = 'electric'::regnamespace) AS s (o, acl, owner), \
     aclexplode(acl) AS x WHERE x.grantee <> owner) AS s";

fn defaults(database: &Database<'_>, role: &str) {
    run(
        &mut database.client(),
        &format!(
            "ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO {role}, PUBLIC; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {role}, PUBLIC; \
             ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO {role}, PUBLIC; ALTER DEFAULT PRIVILEGES GRANT ALL ON ROUTINES TO {role} WITH GRANT OPTION; \
             ALTER DEFAULT PRIVILEGES GRANT ALL ON TYPES TO {role}; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO pg_monitor"
        ),
    );
}

#[test]
fn default_privileges_give_nothing_of_ours() {
    let plain = Cluster::shared().database();
    let expected = text(&mut plain.client(), PRIVILEGES);
    assert!(
        expected.contains("table migrations PUBLIC SELECT"),
        "{expected}"
    );
    let database = Cluster::shared().empty_database();
    let role = database.role("given");
    defaults(&database, &role);
    run(&mut database.client(), "CREATE EXTENSION electric");
    assert_eq!(text(&mut database.client(), PRIVILEGES), expected);
    for sql in [
        "INSERT INTO electric.places VALUES (1, 'x')",
        "UPDATE electric.frameworks SET version = 'x'",
        "TRUNCATE electric.migrations",
        "CREATE TABLE electric.mine (a int)",
    ] {
        let error = database.client_as(&role).batch_execute(sql).unwrap_err();
        assert_eq!(
            error.code().map(|state| state.code()),
            Some("42501"),
            "{sql}"
        );
    }
    // And all works as ever.
    let database = database.items();
    assert_eq!(
        database
            .recorded("ALTER TABLE items ADD COLUMN a int")
            .len(),
        1
    );
}

#[test]
fn an_update_takes_back_what_default_privileges_gave() {
    let plain = Cluster::shared().database();
    let expected = text(&mut plain.client(), PRIVILEGES);
    let database = Cluster::shared().empty_database();
    let role = database.role("given");
    defaults(&database, &role);
    run(
        &mut database.client(),
        "CREATE EXTENSION electric VERSION '0.1.0'",
    );
    let given = text(&mut database.client(), PRIVILEGES);
    assert!(given.contains(&role), "{given}");
    run(&mut database.client(), "ALTER EXTENSION electric UPDATE");
    let left = text(&mut database.client(), PRIVILEGES);
    // Who may call what users call is for whoever runs the database to say.
    let ours = |all: &str| -> Vec<String> {
        let lines = all
            .lines()
            .filter(|line| !(line.starts_with("function ") && line.contains(&role)));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(ours(&left), ours(&expected));
}

#[test]
fn tables_of_ours_are_heaps_whatever_is_the_default() {
    let database = Cluster::shared().empty_database();
    run(
        &mut database.client(),
        &format!(
            "CREATE ACCESS METHOD another TYPE TABLE HANDLER heap_tableam_handler; \
             ALTER DATABASE {} SET default_table_access_method = another",
            database.name()
        ),
    );
    let mut client = database.client();
    run(
        &mut client,
        "CREATE EXTENSION electric; CREATE TABLE theirs (a int)",
    );
    let methods = "SELECT string_agg(DISTINCT a.amname, ' ') FROM pg_class c JOIN pg_am a ON a.oid = c.relam \
         WHERE c.relkind = 'r' AND c.relnamespace = 'electric'::regnamespace";
    assert_eq!(text(&mut client, methods), "heap");
    run(
        &mut client,
        "SET default_table_access_method = heap; CREATE TABLE items (id int PRIMARY KEY); SELECT electric.enable('items')",
    );
    assert_eq!(
        database
            .recorded("ALTER TABLE items ADD COLUMN a int")
            .len(),
        1
    );
    // Somebody changes that.
    for table in ["places", "migrations"] {
        let error = client
            .batch_execute(&format!(
                "BEGIN; SET LOCAL electric.policy = unrestricted; \
                 ALTER TABLE electric.{table} SET ACCESS METHOD another; ALTER TABLE items ADD COLUMN b int"
            ))
            .unwrap_err();
        assert_eq!(error.code().map(|state| state.code()), Some("XX001"));
        run(&mut client, "ROLLBACK");
    }
    assert_eq!(
        database
            .recorded("ALTER TABLE items ADD COLUMN b int")
            .len(),
        1
    );
}
