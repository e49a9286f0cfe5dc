//! Databases that a released version wrote: updated, restored, and what is in them afterwards.
//!
//! `tests/fixtures/0.1.0.dump.sql` is what pg_dump made of a database of that version, after `written_by_0.1.0.sql`.

use std::fs;

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text, words};
use electric_tests::replica::Replica;

const DUMP: &str = include_str!("../fixtures/0.1.0.dump.sql");
const CREATE: &str = "CREATE EXTENSION IF NOT EXISTS electric WITH SCHEMA pg_catalog";

/// A database into which the dump was loaded; `as_it_was`: into the version that wrote it.
fn written_by_0_1_0(cluster: &Cluster, as_it_was: bool) -> Database<'_> {
    assert!(DUMP.contains(CREATE));
    let dump = match as_it_was {
        true => DUMP.replace(CREATE, &format!("{CREATE} VERSION '0.1.0'")),
        false => DUMP.to_owned(),
    };
    let database = cluster.empty_database();
    let file = cluster.directory().join(format!("{}.sql", database.name()));
    fs::write(&file, dump).unwrap();
    let file = file.to_string_lossy();
    let output = cluster
        .psql(database.name(), "postgres", &["-q", "-f", &file])
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    database
}

/// Every object of the extension, with all that a script says of it.
const OBJECTS: &str = r#"
SELECT string_agg(line, E'\n' ORDER BY line COLLATE pg_catalog."C") FROM (
    SELECT format('schema %s %s', nspname, nspacl) FROM pg_namespace WHERE nspname = 'electric'
    UNION ALL SELECT format('member %s %s %s', i.type, i.identity, pg_catalog.obj_description(d.objid, d.classid::regclass::name))
        FROM pg_depend d, pg_identify_object(d.classid, d.objid, d.objsubid) i
        WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
          AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'electric')
    UNION ALL SELECT format('relation %s %s %s %s %s %s am=%s', relname, relkind, relacl, reloptions, relreplident, relrowsecurity,
            (SELECT amname FROM pg_am WHERE pg_am.oid = relam))
        FROM pg_class WHERE relnamespace = 'electric'::regnamespace
    UNION ALL SELECT format('column %s %s %s %s %s %s %s %s %s', attrelid::regclass, attnum, attname, format_type(atttypid, atttypmod),
            attnotnull, attcollation::regcollation, pg_get_expr(adbin, adrelid), attacl, col_description(attrelid, attnum))
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attnum > 0 AND NOT attisdropped
          AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'electric'::regnamespace)
    UNION ALL SELECT format('view %s %s', oid::regclass, pg_get_viewdef(oid))
        FROM pg_class WHERE relnamespace = 'electric'::regnamespace AND relkind = 'v'
    UNION ALL SELECT format('index %s', pg_get_indexdef(oid))
        FROM pg_class WHERE relnamespace = 'electric'::regnamespace AND relkind = 'i'
    UNION ALL SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
        FROM pg_constraint WHERE connamespace = 'electric'::regnamespace
    UNION ALL SELECT format('trigger %s %s', pg_get_triggerdef(t.oid), tgenabled)
        FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid WHERE relnamespace = 'electric'::regnamespace AND NOT tgisinternal
    UNION ALL SELECT format('function %s %s', pg_get_functiondef(oid), proacl)
        FROM pg_proc WHERE pronamespace = 'electric'::regnamespace
    UNION ALL SELECT format('event trigger %s %s %s %s %s', evtname, evtevent, evtfoid::regproc, evtenabled, evttags) FROM pg_event_trigger
    UNION ALL SELECT format('dumped %s %s', c::regclass, extcondition[n])
        FROM pg_extension, unnest(extconfig) WITH ORDINALITY AS u (c, n) WHERE extname = 'electric'
    UNION ALL SELECT format('framework %s', f) FROM electric.frameworks f WHERE built_in
) AS o (line)"#;

#[test]
fn an_updated_database_has_what_a_new_one_has() {
    let cluster = Cluster::shared();
    let (new, updated) = (cluster.database(), written_by_0_1_0(cluster, true));
    run(&mut updated.client(), "ALTER EXTENSION electric UPDATE");
    let objects = |database: &Database<'_>| text(&mut database.client(), OBJECTS);
    let (wanted, found) = (objects(&new), objects(&updated));
    let missing: Vec<&str> = wanted
        .lines()
        .filter(|l| !found.lines().any(|f| f == *l))
        .collect();
    let besides: Vec<&str> = found
        .lines()
        .filter(|l| !wanted.lines().any(|w| w == *l))
        .collect();
    assert!(
        missing.is_empty() && besides.is_empty(),
        "missing after the update:\n{}\nbesides:\n{}",
        missing.join("\n"),
        besides.join("\n")
    );
    assert_eq!(wanted, found);
}

/// All that the version before recorded.
fn recorded(database: &Database<'_>) -> String {
    let rows = "SELECT concat((SELECT string_agg(m::text, ' ' ORDER BY id) FROM electric.migrations m), \
                (SELECT string_agg(g::text, ' ' ORDER BY g::text) FROM electric.grants g), \
                (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM electric.assignments a), \
                (SELECT string_agg(e.shape::text, ' ' ORDER BY e.shape::text) FROM electric.electrified e), \
                (SELECT string_agg(t.definition::text, ' ' ORDER BY t.definition::text) FROM electric.electrified_types t))";
    format!(
        "{:?} {}",
        database.commands(),
        text(&mut database.client(), rows)
    )
}

/// The database goes on as if it had been of this version from the start.
fn goes_on(database: &Database<'_>) {
    let before = database.last_command();
    let (mut replica, _) = Replica::follow(database, None).unwrap();
    let mut client = database.client();
    run(
        &mut client,
        "ALTER TABLE items ADD COLUMN later int DEFAULT 5; ALTER TYPE app.mood ADD VALUE 'glad'",
    );
    let new = database.commands_after(before);
    assert_eq!(
        words(&new),
        [
            ("add_column", "public.items"),
            ("add_enum_value", "app.mood")
        ]
    );
    for (sql, column) in [
        ("ALTER TABLE items DROP COLUMN value", "value"),
        ("ALTER TABLE app.issues DROP COLUMN title", "title"),
        ("ALTER TABLE kept RENAME COLUMN w TO v", "w"),
    ] {
        database
            .refused_by(&mut client, sql, "0A000")
            .about_column(column);
    }
    run(
        &mut client,
        "INSERT INTO items (value) VALUES ('three'); UPDATE app.issues SET mood = 'glad'; \
         INSERT INTO log (at, line) VALUES ('2026-06-06', 'another'); \
         SELECT electric.disable('kept'); SELECT electric.enable('kept')",
    );
    replica.must_agree();
    database.history_is_sound();
    assert_eq!(
        text(&mut client, "SELECT count(*)::text FROM electric.drift()"),
        "0"
    );
    for version in ["v2", "20260101000000"] {
        text(
            &mut client,
            &format!("SELECT electric.introspect('{version}')::text"),
        );
    }
}

#[test]
fn an_updated_database_goes_on() {
    let database = written_by_0_1_0(Cluster::shared(), true);
    let before = recorded(&database);
    run(&mut database.client(), "ALTER EXTENSION electric UPDATE");
    assert_eq!(recorded(&database), before);
    goes_on(&database);
}

#[test]
fn a_dump_of_the_version_before_is_restored_into_this_one() {
    let cluster = Cluster::shared();
    let (was, is) = (
        written_by_0_1_0(cluster, true),
        written_by_0_1_0(cluster, false),
    );
    assert_eq!(recorded(&was), recorded(&is));
    goes_on(&is);
}

/// The new library meets a database that nobody has updated yet: migrations go on, and so does everything that reads.
#[test]
fn before_the_update_migrations_go_on() {
    let database = written_by_0_1_0(Cluster::shared(), true);
    goes_on(&database);
    let mut client = database.client();
    for sql in [
        "SELECT * FROM electric.check('ALTER TABLE items DROP COLUMN value')",
        "SELECT * FROM electric.drift()",
        "SELECT electric.schema_sql('postgres', 'v2')",
        "SELECT * FROM electric.migrations_since('v2')",
        "SELECT electric.ddlx('ELECTRIC DISABLE kept; ELECTRIC ENABLE kept')",
        "SELECT electric.status(), electric.diagram(), electric.introspect()",
    ] {
        run(&mut client, sql);
    }
    run(&mut client, "ALTER EXTENSION electric UPDATE");
    run(&mut client, "ALTER TABLE items ADD COLUMN last int");
    assert_eq!(
        text(&mut client, "SELECT count(*)::text FROM electric.drift()"),
        "0"
    );
}
