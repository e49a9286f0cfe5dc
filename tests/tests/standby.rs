//! A physical standby: what may be read there, what may not be done, and what becomes of it when it is promoted.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text, wait_until, words};
use electric_tests::replica::Replica;

/// Calls that only read, each made to give one text.
const READING: [&str; 9] = [
    "SELECT electric.introspect()::text",
    "SELECT string_agg(s, ';') FROM electric.schema_sql('sqlite') s",
    "SELECT string_agg(s, ';') FROM electric.schema_sql('postgres') s",
    "SELECT electric.status()::text",
    "SELECT string_agg(m::text, ';') FROM electric.migrations_since() m",
    "SELECT string_agg(d::text, ';') FROM electric.drift() d",
    "SELECT string_agg(h::text, ';') FROM electric.history h",
    "SELECT string_agg(t::text, ';') FROM electric.tables t",
    "SELECT electric.diagram()",
];

/// Waits until the standby has applied all that the server has written.
fn catch_up(primary: &Database<'_>, standby: &Database<'_>) {
    let written = text(
        &mut primary.client(),
        "SELECT pg_current_wal_flush_lsn()::text",
    );
    let sql = format!("SELECT (pg_last_wal_replay_lsn() >= '{written}')::text");
    let mut client = standby.client();
    wait_until("the standby applies the log", || {
        text(&mut client, &sql) == "true"
    });
}

fn a_standby_reads_and_is_promoted(preload: bool) {
    let primary = Cluster::builder().preload(preload).start().unwrap();
    let database = primary.database().items();
    run(
        &mut database.client(),
        "ALTER TABLE items ADD COLUMN a int; INSERT INTO items VALUES (1, 'one', 1)",
    );
    let cluster = primary.standby().unwrap();
    let standby = cluster.existing_database(database.name());
    // Also what was recorded after the backup.
    run(
        &mut database.client(),
        "CREATE INDEX i ON items (a); SELECT electric.grant('SELECT', 'items', 'member')",
    );
    catch_up(&database, &standby);
    let mut client = standby.client();
    for sql in READING {
        assert_eq!(
            text(&mut client, sql),
            text(&mut database.client(), sql),
            "{sql}"
        );
    }
    let before = standby.trace();
    for sql in [
        "SELECT electric.enable('items')",
        "SELECT electric.disable('items')",
        "SELECT electric.grant('UPDATE', 'items', 'member')",
        "SELECT electric.assign('items', 'value', role => 'member')",
        "SELECT electric.set_migration_version('one')",
        "SELECT electric.ddlx('ALTER TABLE items DISABLE ELECTRIC')",
        "CALL electric.electrify('items')",
        "CALL electric.migration_version('one')",
        "SELECT * FROM electric.check('ALTER TABLE items ADD COLUMN b int')",
        "ALTER TABLE items ADD COLUMN b int",
        "ALTER TABLE items DROP COLUMN value",
        "ALTER TABLE items SET (electric.enabled = false)",
        "TRUNCATE items",
        "CREATE TABLE others (id int PRIMARY KEY)",
        "DROP EXTENSION electric CASCADE",
    ] {
        standby.refused_by(&mut client, sql, "25006");
    }
    assert_eq!(standby.trace(), before);

    let history = database.commands();
    drop(database);
    drop(primary);
    let mut client = standby.client();
    assert_eq!(
        text(&mut client, "SELECT pg_promote(true, 60)::text"),
        "true"
    );
    assert_eq!(standby.commands(), history);
    // The session that read while it was a standby migrates now, and others as well.
    let (mut replica, _) = Replica::follow(&standby, None).unwrap();
    run(
        &mut client,
        "ALTER TABLE items ADD COLUMN b text DEFAULT 'b'",
    );
    let new = standby.recorded("ALTER TABLE items ADD COLUMN c int");
    assert_eq!(words(&new), [("add_column", "public.items")]);
    assert_eq!(new[0].id, history.len() as i64 + 2);
    standby
        .refused_by(&mut client, "ALTER TABLE items DROP COLUMN value", "0A000")
        .about_column("value");
    run(
        &mut client,
        "INSERT INTO items VALUES (2, 'two', 2, 'c', 3); CREATE TABLE others (id int PRIMARY KEY); \
         SELECT electric.enable('others'); INSERT INTO others VALUES (1)",
    );
    replica.must_agree();
    let drift = "SELECT count(*)::text FROM electric.drift()";
    assert_eq!(text(&mut client, drift), "0");
}

#[test]
fn a_standby_reads_and_lives_on_promoted() {
    a_standby_reads_and_is_promoted(false);
}

#[test]
fn a_preloaded_standby_reads_and_lives_on_promoted() {
    a_standby_reads_and_is_promoted(true);
}
