//! What stands in the way of offline writes, when it is granted and when tables change later.

use electric_tests::cluster::Cluster;
use electric_tests::database::{run, text};

use super::{ddlx, model, refused};

#[test]
fn obstacles_to_offline_writes_are_all_named() {
    let database = model();
    run(
        &mut database.client(),
        "CREATE DOMAIN short AS text CHECK (length(value) < 5);
         CREATE TABLE items (id bigint PRIMARY KEY, code text UNIQUE, n int CHECK (n > 0), s short, free text, span int4range,
             EXCLUDE USING gist (span WITH &&));
         CREATE UNIQUE INDEX one_free ON items (lower(free));
         SELECT electric.enable('items')",
    );
    let error = refused(&database, "ELECTRIC GRANT ALL ON items TO ANYONE", "0A000");
    error
        .message_names(&["INSERT", "UPDATE", "items"])
        .detail_names(&[
            "id",
            "bigint",
            "items_code_key",
            "items_n_check",
            "items_span_excl",
            "one_free",
            "domain of column s",
        ])
        .about_table("public", "items")
        .hinted();
    assert!(
        !error.message.contains("DELETE") && !error.message.contains("SELECT"),
        "{error:#?}"
    );
    let error = refused(
        &database,
        "ELECTRIC GRANT UPDATE (n) ON items TO ANYONE",
        "0A000",
    );
    error.detail_names(&["items_n_check"]);
    assert!(!error.detail.contains("items_code_key"), "{error:#?}");
    // Reading and deleting violate nothing, nor does a column that nothing constrains.
    run(
        &mut database.client(),
        "CREATE TABLE other (id int PRIMARY KEY, code text UNIQUE, free text); SELECT electric.enable('other')",
    );
    ddlx(
        &database,
        "ELECTRIC GRANT SELECT, DELETE ON items TO ANYONE; ELECTRIC GRANT UPDATE (free) ON other TO ANYONE",
    );
    refused(
        &database,
        "ELECTRIC GRANT INSERT ON other TO ANYONE",
        "0A000",
    )
    .detail_names(&["id", "other_code_key"]);
}

#[test]
fn what_clients_may_write_cannot_be_constrained() {
    let database = model();
    run(
        &mut database.client(),
        "CREATE DOMAIN short AS text CHECK (length(value) < 5)",
    );
    ddlx(
        &database,
        "ELECTRIC GRANT WRITE ON issues TO 'projects:member'; ELECTRIC GRANT UPDATE (body) ON comments TO ANYONE",
    );
    for sql in [
        "ALTER TABLE issues ADD COLUMN slug text UNIQUE",
        "ALTER TABLE issues ADD COLUMN slug text CHECK (slug <> '')",
        "ALTER TABLE issues ADD COLUMN slug short",
        "CREATE UNIQUE INDEX ON issues (title)",
    ] {
        database
            .refused(sql, "0A000")
            .about_table("public", "issues")
            .hinted();
    }
    // Built concurrently it would be there before it could be refused.
    let error = database.refused(
        "CREATE UNIQUE INDEX CONCURRENTLY forbidden ON issues (title)",
        "0A000",
    );
    let way_out = "SELECT electric.ddlx('ELECTRIC REVOKE INSERT, UPDATE ON public.issues FROM …');";
    assert!(error.hint.contains(way_out), "{error:#?}");
    assert_eq!(
        text(
            &mut database.client(),
            "SELECT count(*)::text FROM pg_class WHERE relname = 'forbidden'"
        ),
        "0"
    );
    for sql in [
        "ALTER TABLE issues ADD COLUMN plain text",
        "CREATE INDEX ON issues (title)",
        "ALTER TABLE users ADD COLUMN slug text UNIQUE",
        "ALTER TABLE comments ADD COLUMN slug text UNIQUE",
    ] {
        assert_eq!(database.recorded(sql).len(), 1, "{sql}");
    }
    // The domain comes with it.
    let commands = database.recorded("ALTER TABLE comments ADD COLUMN tag short");
    assert_eq!(commands[1].command, "add_column");
    ddlx(
        &database,
        "ELECTRIC REVOKE ALL ON issues FROM 'projects:member'",
    );
    assert_eq!(
        database
            .recorded("CREATE UNIQUE INDEX ON issues (title)")
            .len(),
        1
    );
}

/// Found by a review.
#[test]
fn a_unique_index_is_refused_before_it_is_built() {
    let database = model();
    ddlx(
        &database,
        "ELECTRIC GRANT UPDATE (title) ON issues TO ANYONE",
    );
    for sql in [
        "CREATE UNIQUE INDEX CONCURRENTLY forbidden ON issues (title)",
        "CREATE UNIQUE INDEX CONCURRENTLY forbidden ON issues (id, title)",
        "CREATE UNIQUE INDEX CONCURRENTLY forbidden ON issues (lower(title))",
        "CREATE UNIQUE INDEX CONCURRENTLY forbidden ON issues (id) WHERE title > 'x'",
    ] {
        database.refused(sql, "0A000");
        let there = "SELECT count(*)::text FROM pg_class WHERE relname = 'forbidden'";
        assert_eq!(text(&mut database.client(), there), "0", "{sql}");
    }
    database.recorded("CREATE UNIQUE INDEX CONCURRENTLY fine ON issues (author, id)");
    let domain = "CREATE DOMAIN pos AS int CHECK (value > 0); ALTER TABLE issues ADD COLUMN n pos";
    database.recorded(domain);
    ddlx(&database, "ELECTRIC GRANT INSERT ON comments TO ANYONE");
    database
        .refused("ALTER TABLE comments ADD COLUMN n pos", "0A000")
        .about_column("n");
}

/// Found by a review.
#[test]
fn what_partitions_alone_demand_stands_in_the_way_too() {
    let database = Cluster::shared().database();
    run(
        &mut database.client(),
        "CREATE TABLE root (id uuid, part text, v text, n int, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
         CREATE TABLE one PARTITION OF root FOR VALUES IN ('1'); CREATE TABLE two PARTITION OF root FOR VALUES IN ('2');
         ALTER TABLE one ADD CONSTRAINT low CHECK (n < 9); CREATE UNIQUE INDEX alone ON two (v);
         SELECT electric.enable('root')",
    );
    let error = refused(&database, "ELECTRIC GRANT WRITE ON root TO ANYONE", "0A000");
    error.detail_names(&["low", "alone"]);
    assert!(!error.detail.contains("pkey"), "{error:#?}");
    run(
        &mut database.client(),
        "ALTER TABLE one DROP CONSTRAINT low; DROP INDEX alone",
    );
    ddlx(&database, "ELECTRIC GRANT WRITE ON root TO ANYONE");
}
