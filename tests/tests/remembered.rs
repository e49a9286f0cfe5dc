//! What a session remembers of our own tables, and what others do to them meanwhile.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text};
use electric_tests::replica::Replica;

const TABLES: usize = 12;

/// Tables that were electrified in one transaction, with wide shapes, so that they fill some pages.
fn tables() -> Database<'static> {
    let database = Cluster::shared().database();
    let columns: Vec<String> = (0..12).map(|n| format!("c{n} text")).collect();
    let columns = columns.join(", ");
    let mut sql = String::new();
    for n in 0..TABLES {
        sql += &format!("CREATE TABLE t{n} (id int PRIMARY KEY, {columns});");
    }
    let names: Vec<String> = (0..TABLES).map(|n| format!("'t{n}'")).collect();
    sql += &format!("SELECT electric.enable({})", names.join(", "));
    run(&mut database.client(), &sql);
    database
}

/// No table differs from its record, the lists of both name the same, and a replica comes out the same.
#[track_caller]
fn is_sound(database: &Database<'_>, electrified: usize) {
    let mut client = database.client();
    assert_eq!(
        text(
            &mut client,
            "SELECT string_agg(d::text, ' ') FROM electric.drift() d"
        ),
        ""
    );
    let lists = "SELECT format('%s %s', count(e.relation), count(p.relation)) \
                 FROM electric.electrified e FULL JOIN electric.places p ON p.relation = e.relation \
                 AND p.place = e.identity ->> 'place'";
    assert_eq!(
        text(&mut client, lists),
        format!("{electrified} {electrified}")
    );
    Replica::follow(database, None).unwrap().0.must_agree();
}

/// Rows change their places under a session, and another comes to be where the one was that it read.
#[test]
fn rows_that_are_elsewhere_after_vacuum_full() {
    let database = tables();
    let mut session = database.client();
    let mut other = database.client();
    for round in 0..4 {
        for n in 0..TABLES {
            run(
                &mut session,
                &format!("ALTER TABLE t{n} ADD COLUMN s{round} int"),
            );
        }
        // Versions that are gone leave room, others move into it.
        run(
            &mut other,
            "BEGIN; ALTER TABLE t3 ADD COLUMN IF NOT EXISTS o1 int; ALTER TABLE t3 ADD COLUMN IF NOT EXISTS o2 int; COMMIT",
        );
        run(&mut other, "VACUUM (FULL) electric.electrified");
        run(&mut other, "VACUUM (FULL) electric.ddl_commands");
    }
    is_sound(&database, TABLES);
}

/// Pages at the end of a table go away, and with them the places that a session has in mind.
#[test]
fn rows_whose_page_is_gone_after_vacuum() {
    let database = tables();
    let mut session = database.client();
    // The last ones are moved to the end of the table, and read there.
    for _ in 0..6 {
        for n in 6..TABLES {
            run(
                &mut session,
                &format!("ALTER TABLE t{n} ALTER c1 SET DEFAULT 'a'"),
            );
            run(
                &mut session,
                &format!("ALTER TABLE t{n} ALTER c1 DROP DEFAULT"),
            );
        }
    }
    let mut other = database.client();
    for n in 6..TABLES {
        run(&mut other, &format!("SELECT electric.disable('t{n}')"));
    }
    let pages = "SELECT (pg_relation_size('electric.electrified') / 8192)::text";
    let before: i64 = text(&mut other, pages).parse().unwrap();
    run(&mut other, "VACUUM electric.electrified");
    let after: i64 = text(&mut other, pages).parse().unwrap();
    assert!(after < before, "{before} pages, {after} after VACUUM");
    let names: Vec<String> = (6..TABLES).map(|n| format!("'t{n}'")).collect();
    run(
        &mut other,
        &format!("SELECT electric.enable({})", names.join(", ")),
    );
    for n in 0..TABLES {
        run(
            &mut session,
            &format!("ALTER TABLE t{n} ADD COLUMN late int"),
        );
    }
    is_sound(&database, TABLES);
}

/// What was undone was never there, whatever a session made of it meanwhile.
#[test]
fn rows_that_are_undone_with_a_savepoint() {
    let database = tables();
    let mut session = database.client();
    run(&mut session, "ALTER TABLE t0 ADD COLUMN a int");
    run(
        &mut session,
        "BEGIN; SAVEPOINT s; ALTER TABLE t0 ADD COLUMN b int; ALTER TABLE t0 ADD COLUMN c int; ROLLBACK TO s; \
         ALTER TABLE t0 ADD COLUMN d int; COMMIT",
    );
    run(
        &mut session,
        "BEGIN; ALTER TABLE t0 ADD COLUMN e int; ROLLBACK",
    );
    run(&mut session, "ALTER TABLE t0 ADD COLUMN f int");
    is_sound(&database, TABLES);
}

/// The tables of ours are others, by their ids too.
#[test]
fn the_extension_made_again_beside_a_session() {
    let database = tables();
    let mut session = database.client();
    run(&mut session, "ALTER TABLE t0 ADD COLUMN a int");
    let mut other = database.client();
    run(
        &mut other,
        "DROP EXTENSION electric CASCADE; DROP PUBLICATION electric_publication; CREATE EXTENSION electric; \
         SELECT electric.enable('t0', 't1')",
    );
    run(
        &mut session,
        "ALTER TABLE t0 ADD COLUMN b int; ALTER TABLE t1 ADD COLUMN b int",
    );
    // In one transaction of the session itself.
    run(
        &mut session,
        "BEGIN; DROP EXTENSION electric CASCADE; DROP PUBLICATION electric_publication; CREATE EXTENSION electric; \
         SELECT electric.enable('t0'); ALTER TABLE t0 ADD COLUMN c int; ROLLBACK",
    );
    run(&mut session, "ALTER TABLE t1 ADD COLUMN c int");
    is_sound(&database, 2);
    // Its indexes, too, get other ids.
    run(
        &mut other,
        "REINDEX TABLE CONCURRENTLY electric.electrified",
    );
    run(
        &mut other,
        "REINDEX TABLE CONCURRENTLY electric.ddl_commands",
    );
    run(&mut session, "ALTER TABLE t1 ADD COLUMN d int");
    is_sound(&database, 2);
}
