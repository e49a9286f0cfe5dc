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
    let here = "SELECT count(*)::text FROM electric.electrified FULL JOIN electric.places USING (relation) \
                WHERE (identity ->> 'place') IS DISTINCT FROM place OR place NOT LIKE \
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
    let tar = dump(&original, "tar", &["-Ft"]);
    let directory = dump(&original, "directory", &["-Fd", "-j", "4"]);
    for (file, options) in [
        (&custom, &[][..]),
        (&custom, &["--single-transaction"]),
        (&custom, &["-j", "4"]),
        (&tar, &[]),
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

/// Triggers of the extension stay as they are: the rows of a dump come through them.
#[test]
fn a_restore_that_disables_triggers() {
    let cluster = Cluster::shared();
    let original = everything(cluster);
    let commands = original.commands().len();
    let file = dump(&original, "custom", &["-Fc"]);
    let data = dump(
        &original,
        "triggers",
        &["--data-only", "--disable-triggers"],
    );
    for jobs in [Some("1"), Some("4"), None] {
        let restored = cluster.empty_database();
        restore(&restored, &file, &["--schema-only"]);
        let before = triggers(&restored);
        match jobs {
            Some(jobs) => restore(
                &restored,
                &file,
                &["--data-only", "--disable-triggers", "-j", jobs],
            ),
            None => load(&restored, &data),
        }
        assert_eq!(triggers(&restored), before);
        lives_on(&restored, &original, commands);
    }
}

/// Which triggers of the extension fire, and when.
fn triggers(database: &Database<'_>) -> String {
    text(
        &mut database.client(),
        "SELECT string_agg(format('%s %s %s', tgrelid::regclass, tgname, tgenabled), E'\n' ORDER BY tgrelid::regclass::text, tgname) \
         FROM pg_trigger JOIN pg_depend ON objid = tgrelid AND refclassid = 'pg_extension'::regclass AND deptype = 'e'",
    )
}

/// What a live database holds is not cleaned away: replicas follow it.
#[test]
fn a_restore_does_not_clean_an_electrified_database() {
    let cluster = Cluster::shared();
    let original = everything(cluster);
    let file = dump(&original, "custom", &["-Fc"]);
    let before = original.trace();
    let mut command = client(cluster, "pg_restore");
    command.args(["--single-transaction", "--clean", "--if-exists", "-d"]);
    let output = command.arg(original.name()).arg(file).output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("electrified table"), "{said}");
    assert_eq!(original.trace(), before);
    goes_on(&original);
}

/// A database made from an electrified one is electrified, and its own.
#[test]
fn a_copy_of_a_database() {
    let cluster = Cluster::shared();
    let original = everything(cluster);
    let commands = original.commands().len();
    let copy = cluster.database_like(original.name());
    lives_on(&copy, &original, commands);
    goes_on(&original);
}

/// A table that the restore left incomplete is not taken for what was recorded.
#[test]
fn a_restore_without_an_index() {
    let cluster = Cluster::shared();
    let original = everything(cluster);
    let file = dump(&original, "custom", &["-Fc"]);
    let restored = cluster.empty_database();
    for section in ["pre-data", "data"] {
        restore(&restored, &file, &["--section", section]);
    }
    let sql = "SELECT count(*)::text FROM electric.drift() WHERE relation = 'public.items'";
    assert_eq!(text(&mut restored.client(), sql), "1");
    restored.refused("ALTER TABLE items ADD COLUMN after text", "0A000");
    // The rest of it still comes.
    restore(&restored, &file, &["--section", "post-data"]);
    has_no_drift(&restored);
    goes_on(&restored);
}

/// Several workers load the lists in any order.
#[test]
fn a_restore_that_has_the_types_before_the_tables() {
    let cluster = Cluster::shared();
    let original = everything(cluster);
    let file = dump(&original, "custom", &["-Fc"]);
    let restored = cluster.empty_database();
    restore(&restored, &file, &["--section", "pre-data"]);
    let types = ["-n", "electric", "-t", "electrified_types"];
    restore(
        &restored,
        &file,
        &[&["--section", "data"], &types[..]].concat(),
    );
    let sql = "SELECT (count(*) > 0)::text FROM electric.electrified_types";
    assert_eq!(text(&mut restored.client(), sql), "true");
    restore(&restored, &file, &["--section", "post-data"]);
}

/// A table that is still as the restore left it frees no other from being watched.
#[test]
fn what_was_taken_on_is_watched_whoever_comes() {
    let cluster = Cluster::shared();
    let original = everything(cluster);
    let file = dump(&original, "custom", &["-Fc"]);
    let restored = cluster.empty_database();
    restore(&restored, &file, &[]);
    let mut loading = restored.client();
    run(
        &mut loading,
        "SELECT set_config('search_path', '', false); SET check_function_bodies = off; DROP INDEX public.before",
    );
    let sql = "SELECT string_agg(relation, ' ') FROM electric.drift()";
    restored.unrecorded("CREATE TABLE any_command (id int)");
    assert_eq!(text(&mut restored.client(), sql), "public.items");
    restored
        .refused_by(
            &mut loading,
            "ALTER TABLE public.users DROP COLUMN name",
            "0A000",
        )
        .about_column("name");
    run(
        &mut loading,
        "CREATE INDEX before ON public.items (value) WHERE value <> ''; DROP TABLE public.any_command",
    );
    has_no_drift(&restored);
    goes_on(&restored);
    restored.refused_by(&mut loading, "DROP TABLE public.items", "0A000");
}

/// Where the dump left the publication out, it is made anew.
#[test]
fn a_restore_without_the_publication() {
    let cluster = Cluster::shared();
    let original = everything(cluster);
    let commands = original.commands().len();
    let file = dump(&original, "custom", &["-Fc", "--no-publications"]);
    let restored = cluster.empty_database();
    restore(&restored, &file, &["-j", "4"]);
    assert_eq!(published(&restored), "");
    run(
        &mut restored.client(),
        "CREATE TABLE any_command (id int); DROP TABLE any_command",
    );
    lives_on(&restored, &original, commands);
}

/// What takes on the restored tables may be undone, and may be any writer of records.
#[test]
fn taking_on_is_undone_and_done_by_a_grant() {
    let cluster = Cluster::shared();
    let original = everything(cluster);
    let file = dump(&original, "custom", &["-Fc"]);
    let restored = cluster.empty_database();
    restore(&restored, &file, &[]);
    let mut client = restored.client();
    let before = restored.trace();
    run(
        &mut client,
        "BEGIN; SAVEPOINT s; ALTER TABLE items ADD COLUMN lost int; ROLLBACK TO s; \
         ALTER TABLE items ADD COLUMN lost int; ROLLBACK",
    );
    assert_eq!(restored.trace(), before);
    run(
        &mut client,
        "SET default_transaction_read_only = on; SELECT electric.status(); \
         SET default_transaction_read_only = off; SELECT electric.grant('DELETE', 'items', 'member')",
    );
    assert!(published(&restored).starts_with("electric.assignments"));
    goes_on(&restored);
}

/// A role that owns a table and nothing else may be the first to migrate.
#[test]
fn taking_on_takes_no_rights() {
    let cluster = Cluster::shared();
    let original = everything(cluster);
    let owner = original.role("owner");
    run(
        &mut original.client(),
        &format!("ALTER TABLE items OWNER TO {owner}"),
    );
    let file = dump(&original, "custom", &["-Fc"]);
    let restored = cluster.empty_database();
    restore(&restored, &file, &["-j", "4"]);
    run(
        &mut cluster.connect(restored.name(), &owner).unwrap(),
        "ALTER TABLE items ADD COLUMN theirs int",
    );
    assert_eq!(published(&restored), published(&original));
    assert_eq!(restored.commands().last().unwrap().relation, "public.items");
    goes_on(&restored);
}

/// Dropped with CASCADE and created again, the extension begins a history of its own: replicas begin anew.
#[test]
fn the_extension_dropped_and_created_again() {
    let database = everything(Cluster::shared());
    let mut client = database.client();
    let tables = "SELECT string_agg(format('%s %s %s', attrelid::regclass, attname, atttypid::regtype), ' ' \
                  ORDER BY attrelid, attnum) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid \
                  WHERE attnum > 0 AND relnamespace IN ('public'::regnamespace, '\"Über\"'::regnamespace)";
    let before = text(&mut client, tables);
    let old = database.commands().last().unwrap().hash.clone();
    run(&mut client, "DROP EXTENSION electric CASCADE");
    assert_eq!(text(&mut client, tables), before);
    let left = "SELECT concat((SELECT count(*) FROM pg_event_trigger), ' ', to_regnamespace('electric'), ' ', \
                (SELECT count(*) FROM pg_proc WHERE probin LIKE '%electric%'))";
    assert_eq!(text(&mut client, left), "0  0");
    // Nothing watches, in sessions that did as in new ones.
    run(
        &mut client,
        "ALTER TABLE items ADD COLUMN free int; ALTER TABLE items DROP COLUMN free",
    );
    run(
        &mut database.client(),
        "CREATE EXTENSION electric; SELECT electric.enable('users', '\"Über\".\"Posts\"', 'events', 'items'); \
         SELECT electric.assign('users', 'id', role => 'member')",
    );
    let commands = database.commands();
    assert_eq!((commands[0].id, commands[0].migration_id), (1, 1));
    assert!(commands.iter().all(|command| command.hash != old));
    has_no_drift(&database);
    goes_on(&database);
    database.refused_by(&mut client, "ALTER TABLE items DROP COLUMN value", "0A000");
}
