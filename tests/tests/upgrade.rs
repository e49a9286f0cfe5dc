//! pg_upgrade from the older to the newer of two servers: what was recorded stays, and capture goes on.
//!
//! `ELECTRIC_PG_CONFIG` and `ELECTRIC_OTHER_PG_CONFIG` name the two; the extension must be installed in both.

use std::path::PathBuf;
use std::process::Command;

use electric_tests::cluster::{Cluster, Stop, pg_config};
use electric_tests::database::{Database, run, text, words};
use electric_tests::replica::Replica;

/// The older and the newer server, if there are two of different versions.
fn servers() -> Option<(PathBuf, PathBuf)> {
    let version = |path: &PathBuf| {
        let output = Command::new(path).arg("--version").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let digits = said.split_whitespace().nth(1)?;
        digits.split('.').next()?.parse::<u32>().ok()
    };
    let other = PathBuf::from(std::env::var_os("ELECTRIC_OTHER_PG_CONFIG")?);
    let mut servers = [pg_config().unwrap(), other].map(|path| (version(&path), path));
    servers.sort();
    let [(old, older), (new, newer)] = servers;
    (old < new).then_some((older, newer))
}

/// All that is remembered but for ids of this database.
fn remembered(database: &Database<'_>) -> String {
    let sql = "SELECT concat( \
        (SELECT string_agg(m::text, E'\\n' ORDER BY id) FROM electric.migrations m), \
        (SELECT string_agg(c::text, E'\\n' ORDER BY id) FROM electric.ddl_commands c), \
        (SELECT string_agg(g::text, E'\\n') FROM electric.grants g), \
        (SELECT string_agg(a::text, E'\\n') FROM electric.assignments a), \
        (SELECT string_agg(e.relation || e.shape::text, E'\\n' ORDER BY e.relation::text) FROM electric.electrified e), \
        (SELECT string_agg(t.type || t.definition::text, E'\\n' ORDER BY t.type::text) FROM electric.electrified_types t), \
        (SELECT string_agg(s::text, E'\\n' ORDER BY name) FROM electric.sqlite_names s), \
        (SELECT string_agg(format('%s %s', evtname, evtenabled), ' ' ORDER BY evtname) FROM pg_event_trigger))";
    text(&mut database.client(), sql)
}

fn published(database: &Database<'_>) -> String {
    let sql = "SELECT string_agg(schemaname || '.' || tablename, ' ' ORDER BY schemaname, tablename) \
               FROM pg_publication_tables";
    text(&mut database.client(), sql)
}

fn an_upgrade_keeps_everything(preload: bool) {
    let Some((older, newer)) = servers() else {
        eprintln!(
            "not tried: pg_upgrade needs ELECTRIC_OTHER_PG_CONFIG, of a server of another version"
        );
        return;
    };
    let make = |pg_config| Cluster::builder().preload(preload).pg_config(pg_config);
    let old = make(&older).start().unwrap();
    let before = old.database();
    run(
        &mut before.client(),
        "CREATE TYPE mood AS ENUM ('low', 'high'); \
         CREATE DOMAIN short AS text CHECK (length(VALUE) < 10); \
         CREATE TABLE users (id int PRIMARY KEY, gone int, name short, mood mood DEFAULT 'low'); \
         ALTER TABLE users DROP COLUMN gone; \
         CREATE TABLE posts (id serial PRIMARY KEY, author int REFERENCES users, stars int CHECK (stars BETWEEN 1 AND 5)); \
         CREATE TABLE events (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day); \
         CREATE TABLE events_rest PARTITION OF events DEFAULT; \
         SELECT electric.enable('users', 'posts', 'events'); \
         ALTER TABLE users ADD COLUMN since timestamptz DEFAULT '2020-02-02 00:00Z'; \
         CREATE UNIQUE INDEX one ON users (lower(name)) WHERE id > 0; \
         ALTER TYPE mood ADD VALUE 'mid' BEFORE 'high'; \
         SELECT electric.assign('users', 'id', role => 'member'); \
         SELECT electric.grant('SELECT', 'posts', 'member'); \
         INSERT INTO users (id, name) VALUES (1, 'ann'); INSERT INTO posts (author, stars) VALUES (1, 5); \
         INSERT INTO events VALUES (1, '2020-05-05')",
    );
    // Some minor versions mark each column with an option of their own, which others do not know when it is restored.
    run(
        &mut before.client(),
        "SET allow_system_table_mods = on; \
         UPDATE pg_attribute SET attoptions = (SELECT array_agg(o) FROM unnest(attoptions) o WHERE o NOT LIKE 'pg_attver=%') \
         WHERE attoptions::text LIKE '%pg_attver=%'",
    );
    let (kept, members) = (remembered(&before), published(&before));
    let count = before.commands().len();
    let name = before.name().to_owned();
    old.stop(Stop::Fast).unwrap();
    let new = make(&newer).make().unwrap();
    new.upgrade_from(&old).unwrap();
    new.start().unwrap();

    let after = new.existing_database(&name);
    assert_eq!(remembered(&after), kept);
    let drift = "SELECT string_agg(relation || ': ' || problem, E'\\n') FROM electric.drift()";
    assert_eq!(text(&mut after.client(), drift), "");
    let (mut replica, _) = Replica::follow(&after, None).unwrap();
    after
        .refused("ALTER TABLE users DROP COLUMN name", "0A000")
        .about_column("name");
    let recorded = after.recorded("ALTER TABLE posts ADD COLUMN body text DEFAULT 'x'");
    assert_eq!(words(&recorded), [("add_column", "public.posts")]);
    assert_eq!(recorded[0].id, count as i64 + 1);
    let recorded = after.recorded("ALTER TYPE mood ADD VALUE 'top'");
    assert_eq!(words(&recorded), [("add_enum_value", "public.mood")]);
    run(
        &mut after.client(),
        "INSERT INTO users (id, name, mood) VALUES (2, 'bob', 'top'); INSERT INTO posts (author, stars) VALUES (2, 1); \
         INSERT INTO events VALUES (2, '2021-01-01'); SELECT electric.grant('DELETE', 'posts', 'member')",
    );
    replica.must_agree();
    assert_eq!(published(&after), members);
    assert_eq!(text(&mut after.client(), drift), "");
}

#[test]
fn pg_upgrade_keeps_everything() {
    an_upgrade_keeps_everything(false);
}

#[test]
fn pg_upgrade_of_a_preloaded_server_keeps_everything() {
    an_upgrade_keeps_everything(true);
}
