//! What an electrified table uses is renamed or moved: the table stays what it is, and goes on being migrated.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, words};
use electric_tests::replica::Replica;

/// A database with the electrified table `t`, made by the statements.
#[track_caller]
fn electrified(sql: &str) -> Database<'static> {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        &format!("{sql}; SELECT electric.enable('t')"),
    );
    database
}

/// Runs a rename, after which a migration of `t` must record itself and nothing more, and what has nothing to do with
/// `t` must go on.
#[track_caller]
fn goes_on_after(database: &Database<'_>, rename: &str) {
    let (mut replica, _) = Replica::follow(database, None).unwrap();
    database.unrecorded(rename);
    let new = database.recorded("ALTER TABLE t ADD COLUMN after_the_rename int DEFAULT 1");
    assert_eq!(words(&new), [("add_column", "public.t")], "{rename}");
    database.unrecorded(
        "GRANT SELECT ON t TO PUBLIC; CREATE TYPE elsewhere AS ENUM ('x'); CREATE SCHEMA elsewhere; \
         CREATE DOMAIN elsewhere.d AS int; CREATE TABLE elsewhere.t (id elsewhere.d, e elsewhere)",
    );
    let new = database.recorded("CREATE INDEX after_the_rename ON t (after_the_rename)");
    assert_eq!(words(&new), [("create_index", "public.t")], "{rename}");
    // And what is forbidden stays so.
    database
        .refused("ALTER TABLE t DROP COLUMN after_the_rename", "0A000")
        .about_table("public", "t")
        .about_column("after_the_rename");
    replica.must_agree();
}

#[test]
fn a_function_of_a_check_may_be_renamed_and_moved() {
    let database = electrified(
        "CREATE FUNCTION is_fine(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0'; CREATE SCHEMA s; \
         CREATE TABLE t (id int PRIMARY KEY, n int CONSTRAINT fine CHECK (is_fine(n)))",
    );
    goes_on_after(
        &database,
        "ALTER FUNCTION is_fine RENAME TO is_good; ALTER FUNCTION is_good SET SCHEMA s",
    );
    // Another CHECK under the same name is another CHECK.
    database
        .refused(
            "ALTER TABLE t DROP CONSTRAINT fine, ADD CONSTRAINT fine CHECK (s.is_good(n + 1))",
            "0A000",
        )
        .about_constraint("fine");
}

#[test]
fn a_function_of_an_index_may_be_renamed() {
    let database = electrified(
        "CREATE FUNCTION double(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2'; \
         CREATE TABLE t (id int PRIMARY KEY, n int); CREATE INDEX by_double ON t (double(n)); \
         CREATE UNIQUE INDEX one_double ON t (double(n)) WHERE double(n) > 0",
    );
    goes_on_after(&database, "ALTER FUNCTION double RENAME TO twice");
    let new = database.recorded("DROP INDEX by_double");
    assert_eq!(words(&new), [("drop_index", "public.t")]);
}

/// The records name it with its schema, and replicas have it there.
#[test]
fn an_extension_in_use_stays_in_its_schema() {
    let shared = Cluster::shared().empty_database();
    if !shared.offers("citext") || !shared.offers("pg_trgm") {
        eprintln!("not tried: this server has no citext, or no pg_trgm");
        return;
    }
    let database = electrified(
        "CREATE SCHEMA ext; CREATE SCHEMA \"Other\"; CREATE EXTENSION citext SCHEMA ext; \
         CREATE EXTENSION pg_trgm SCHEMA \"Other\"; CREATE EXTENSION hstore SCHEMA ext; \
         CREATE TABLE t (id int PRIMARY KEY, cs ext.citext[], a text); \
         CREATE INDEX i ON t USING gin (a \"Other\".gin_trgm_ops)",
    );
    for (sql, extension) in [
        ("ALTER EXTENSION citext SET SCHEMA public", "citext"),
        ("ALTER EXTENSION pg_trgm SET SCHEMA public", "pg_trgm"),
        ("ALTER SCHEMA ext RENAME TO extensions", "citext"),
        ("ALTER SCHEMA \"Other\" RENAME TO extensions", "pg_trgm"),
    ] {
        let error = database.refused(sql, "0A000");
        error.about_table("public", "t").hinted();
        let message = format!(
            "cannot change the schema of extension \"{extension}\", which electrified tables use"
        );
        assert_eq!(error.message, message, "{sql}");
    }
    database.unrecorded("ALTER EXTENSION hstore SET SCHEMA public");
    run(
        &mut database.client(),
        "CREATE DOMAIN word AS ext.citext; SELECT electric.disable('t'); \
         CREATE TABLE w (id int PRIMARY KEY, words word[]); SELECT electric.enable('w')",
    );
    database.unrecorded("ALTER EXTENSION pg_trgm SET SCHEMA public");
    database
        .refused("ALTER EXTENSION citext SET SCHEMA public", "0A000")
        .hinted();
}

#[test]
fn a_collation_may_be_renamed() {
    let database = electrified(
        "CREATE COLLATION plain (provider = libc, locale = 'C'); \
         CREATE TABLE t (id int PRIMARY KEY, a text COLLATE plain, b text CHECK ('a' < b COLLATE plain)); \
         CREATE INDEX by_b ON t (b COLLATE plain)",
    );
    goes_on_after(&database, "ALTER COLLATION plain RENAME TO simple");
    // Another collation is another type of the column.
    database
        .refused(
            "CREATE COLLATION plain (provider = libc, locale = 'POSIX'); ALTER TABLE t ALTER a TYPE text COLLATE plain",
            "0A000",
        )
        .about_column("a");
}

#[test]
fn the_sequence_of_a_domains_default_may_be_renamed() {
    let database = electrified(
        "CREATE SEQUENCE numbers; CREATE DOMAIN numbered AS int DEFAULT nextval('numbers'); \
         CREATE TABLE t (id int PRIMARY KEY, n numbered)",
    );
    goes_on_after(&database, "ALTER SEQUENCE numbers RENAME TO figures");
    database.unrecorded(
        "ALTER DOMAIN numbered OWNER TO CURRENT_USER; COMMENT ON DOMAIN numbered IS 'x'",
    );
}

#[test]
fn a_function_of_a_domains_check_may_be_renamed() {
    let database = electrified(
        "CREATE FUNCTION is_fine(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0'; \
         CREATE DOMAIN fine AS int CHECK (is_fine(VALUE)); CREATE TABLE t (id int PRIMARY KEY, n fine)",
    );
    goes_on_after(&database, "ALTER FUNCTION is_fine RENAME TO is_good");
    database.unrecorded("COMMENT ON DOMAIN fine IS 'x'; GRANT USAGE ON DOMAIN fine TO PUBLIC");
}

#[test]
fn a_domain_in_use_gets_no_constraint_whatever_that_calls() {
    let database = electrified(
        "CREATE FUNCTION is_fine(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0'; \
         CREATE DOMAIN fine AS int CONSTRAINT old CHECK (is_fine(VALUE)); CREATE TABLE t (id int PRIMARY KEY, n fine)",
    );
    for change in [
        "ADD CONSTRAINT new CHECK (is_fine(VALUE))",
        "ADD CONSTRAINT new CHECK (is_fine(VALUE)) NOT VALID",
        "ADD CONSTRAINT new CHECK (VALUE < 100)",
        "SET NOT NULL",
    ] {
        let error = database.refused(&format!("ALTER DOMAIN fine {change}"), "0A000");
        error.message_names(&["\"public.fine\""]).hinted();
    }
    // On a domain that no electrified table uses, all of it is free.
    database.unrecorded(
        "CREATE DOMAIN free AS int; ALTER DOMAIN free ADD CONSTRAINT new CHECK (is_fine(VALUE)); \
         ALTER DOMAIN free RENAME CONSTRAINT new TO newer; ALTER DOMAIN free SET NOT NULL",
    );
}
