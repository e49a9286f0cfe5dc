//! Dump and restore, DROP EXTENSION and re-creation, ALTER EXTENSION … UPDATE: what was recorded stays, once.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text, words};
use electric_tests::replica::Replica;

/// Something of everything that the records, shapes and grants can hold.
const EVERYTHING: &str = "
    CREATE TYPE mood AS ENUM ('low', 'high');
    CREATE DOMAIN short AS text CHECK (length(VALUE) < 10);
    CREATE SCHEMA \"Über\";
    CREATE FUNCTION positive(int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1 > 0';
    CREATE TABLE users (id int PRIMARY KEY, name short UNIQUE, mood mood DEFAULT 'low');
    CREATE TABLE \"Über\".\"Posts\" (id serial PRIMARY KEY, author int NOT NULL REFERENCES users, \"Text\" varchar(20),
        stars int CONSTRAINT stars CHECK (positive(stars)), parent int REFERENCES \"Über\".\"Posts\");
    CREATE TABLE events (id int, day date, what text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
    CREATE TABLE events_2020 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
    CREATE TABLE events_rest PARTITION OF events DEFAULT;
    CREATE TABLE items (id int PRIMARY KEY, value text);
    CREATE TABLE free (id int PRIMARY KEY, value text);
    CREATE INDEX before ON items (value) WHERE value <> '';
    SELECT electric.enable('users', '\"Über\".\"Posts\"', 'events', 'items');
    ALTER TYPE mood ADD VALUE 'mid' BEFORE 'high';
    ALTER TABLE users ADD COLUMN since timestamptz DEFAULT '2020-02-02 00:00Z';
    CREATE INDEX \"When\" ON events (day);
    CREATE UNIQUE INDEX one ON users (lower(name));
    ALTER TABLE users ALTER mood SET DEFAULT 'high';
    SELECT electric.assign('users', 'id', role => 'member');
    SELECT electric.grant('SELECT', 'items', 'member');
    INSERT INTO users (id, name) VALUES (1, 'ann'), (2, 'bob');
    INSERT INTO \"Über\".\"Posts\" (author, \"Text\", stars) VALUES (1, 'one', 1), (2, 'two', 2);
    INSERT INTO events VALUES (1, '2020-05-05', 'a'), (2, '2022-05-05', 'b');
    INSERT INTO items VALUES (1, 'x')";

#[track_caller]
fn succeeded(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A client program with the options that name the server.
fn client(cluster: &Cluster, program: &str) -> Command {
    let mut command = cluster.command(program);
    command.arg("-h").arg(cluster.directory());
    command.args(["-p", &cluster.port().to_string(), "-U", "postgres"]);
    command
}

/// Where a dump goes.
fn file(database: &Database<'_>, name: &str) -> PathBuf {
    let name = format!("{}-{name}", database.name());
    database.cluster().directory().join(name)
}

fn dump(database: &Database<'_>, name: &str, options: &[&str]) -> PathBuf {
    let file = file(database, name);
    let mut command = client(database.cluster(), "pg_dump");
    command
        .args(options)
        .arg("-f")
        .arg(&file)
        .arg(database.name());
    succeeded(&command.output().unwrap());
    file
}

fn restore(database: &Database<'_>, file: &Path, options: &[&str]) {
    let mut command = client(database.cluster(), "pg_restore");
    command
        .args(["--exit-on-error", "-d", database.name()])
        .args(options);
    assert_eq!(succeeded(&command.arg(file).output().unwrap()), "");
}

fn load(database: &Database<'_>, file: &Path) {
    let file = file.to_string_lossy();
    let cluster = database.cluster();
    succeeded(
        &cluster
            .psql(database.name(), "postgres", &["-q", "-f", &file])
            .unwrap(),
    );
}

/// All that the extension remembers, but for ids that hold in one database only.
fn remembered(database: &Database<'_>) -> Vec<String> {
    let mut client = database.client();
    [
        "SELECT string_agg(m::text, E'\n' ORDER BY id) FROM electric.migrations m",
        "SELECT string_agg(c::text, E'\n' ORDER BY id) FROM electric.ddl_commands c",
        "SELECT string_agg(g::text, E'\n' ORDER BY g::text) FROM electric.grants g",
        "SELECT string_agg(a::text, E'\n' ORDER BY a::text) FROM electric.assignments a",
        "SELECT string_agg(e.relation || e.shape::text, E'\n' ORDER BY e.relation::text) FROM electric.electrified e",
        "SELECT string_agg(t.type || t.definition::text, E'\n' ORDER BY t.type::text) FROM electric.electrified_types t",
        "SELECT string_agg(s::text, E'\n' ORDER BY name) FROM electric.sqlite_names s",
        "SELECT string_agg(format('%s %s', relreplident, relname), E'\n' ORDER BY relname) FROM pg_class
         WHERE relkind IN ('r', 'p') AND (relnamespace >= 16384 OR relnamespace = 'public'::regnamespace)",
        "SELECT string_agg(format('%s %s %s', evtname, evtevent, evtenabled), E'\n' ORDER BY evtname) FROM pg_event_trigger",
    ]
    .map(|sql| text(&mut client, sql))
    .into()
}

/// What is published.
fn published(database: &Database<'_>) -> String {
    text(
        &mut database.client(),
        "SELECT string_agg(schemaname || '.' || tablename, ' ' ORDER BY schemaname, tablename) FROM pg_publication_tables \
         WHERE pubname = 'electric_publication'",
    )
}

#[track_caller]
fn has_no_drift(database: &Database<'_>) {
    let sql = "SELECT string_agg(relation || ': ' || problem, E'\n') FROM electric.drift()";
    assert_eq!(text(&mut database.client(), sql), "");
}

/// A restored database is what it was, and electrified as before: nothing captured, nothing forgotten.
#[track_caller]
fn lives_on(restored: &Database<'_>, original: &Database<'_>, commands: usize) {
    assert_eq!(remembered(restored), remembered(original));
    assert_eq!(restored.commands().len(), commands);
    has_no_drift(restored);
    goes_on(restored);
    assert_eq!(published(restored), published(original));
}

/// Capture, refusal and replication go on with nothing done by hand.
#[track_caller]
fn goes_on(database: &Database<'_>) {
    // Followed from before anything could be repaired.
    let (mut replica, _) = Replica::follow(database, None).unwrap();
    database
        .refused("ALTER TABLE items DROP COLUMN value", "0A000")
        .about_column("value");
    let new = database.recorded("ALTER TABLE items ADD COLUMN after text DEFAULT 'new'");
    assert_eq!(words(&new), [("add_column", "public.items")]);
    let new = database.recorded("ALTER TYPE mood ADD VALUE 'after'");
    assert_eq!(words(&new), [("add_enum_value", "public.mood")]);
    run(
        &mut database.client(),
        "INSERT INTO items VALUES (100, 'y'); INSERT INTO events VALUES (3, '2020-06-06', 'c'); \
         UPDATE users SET mood = 'after' WHERE id = 1; SELECT electric.grant('UPDATE', 'items', 'member')",
    );
    replica.must_agree();
    // Found by its ids: the same text, and another column.
    database.refused(
        "DO $$ BEGIN EXECUTE 'ALTER TABLE users DROP COLUMN since, ADD COLUMN since timestamptz DEFAULT ''2020-02-02 00:00Z'''; END $$",
        "0A000",
    );
    let here = "SELECT count(*)::text FROM electric.electrified WHERE (identity ->> 'place') NOT LIKE \
                format('%%/%s/%s', (SELECT oid FROM pg_database WHERE datname = current_database()), relation::oid)";
    assert_eq!(text(&mut database.client(), here), "0");
    has_no_drift(database);
}

fn everything(cluster: &Cluster) -> Database<'_> {
    let database = cluster.database();
    run(&mut database.client(), EVERYTHING);
    database
}

#[test]
fn a_plain_dump() {
    let cluster = Cluster::shared();
    let original = everything(cluster);
    let commands = original.commands().len();
    let file = dump(&original, "plain", &[]);
    let restored = cluster.empty_database();
    load(&restored, &file);
    lives_on(&restored, &original, commands);
}

#[test]
fn a_dump_restored_by_one_and_by_many() {
    let cluster = Cluster::shared();
    let original = everything(cluster);
    let commands = original.commands().len();
    let custom = dump(&original, "custom", &["-Fc"]);
    let directory = dump(&original, "directory", &["-Fd", "-j", "4"]);
    for (file, options) in [
        (&custom, &[][..]),
        (&custom, &["--single-transaction"]),
        (&custom, &["-j", "4"]),
        (&directory, &["-j", "4"]),
        (&custom, &["--clean", "--if-exists"]),
    ] {
        let restored = cluster.empty_database();
        restore(&restored, file, options);
        lives_on(&restored, &original, commands);
    }
    // The extension is there already, and sessions with it.
    for options in [&["-j", "4"][..], &["--clean", "--if-exists"]] {
        let restored = cluster.database();
        let mut session = restored.client();
        run(
            &mut session,
            "CREATE TABLE before (a int); DROP TABLE before",
        );
        restore(&restored, &custom, options);
        restored.refused_by(&mut session, "DROP TABLE items", "0A000");
        lives_on(&restored, &original, commands);
    }
}

#[test]
fn the_schema_first_and_the_rows_later() {
    let cluster = Cluster::shared();
    let original = everything(cluster);
    let commands = original.commands().len();
    let custom = dump(&original, "sections", &["-Fc"]);
    let (schema, data) = (
        dump(&original, "schema", &["--schema-only"]),
        dump(&original, "data", &["--data-only", "-Fc"]),
    );
    let restored = cluster.empty_database();
    load(&restored, &schema);
    restore(&restored, &data, &[]);
    lives_on(&restored, &original, commands);
    let restored = cluster.empty_database();
    for section in ["pre-data", "data", "post-data"] {
        restore(&restored, &custom, &["--section", section]);
    }
    lives_on(&restored, &original, commands);
}
