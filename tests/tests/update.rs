//! ALTER EXTENSION electric UPDATE: versions that do not exist yet, made up in a private copy of the installation.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use electric_tests::cluster::{Cluster, Stop};
use electric_tests::database::{run, text, words};
use electric_tests::replica::Replica;

/// A copy of the server's installation whose extensions can be added to: the path of its `postgres`, and the directory
/// of the extensions. The server finds all else by where its program is.
fn installation(cluster: &Cluster) -> (PathBuf, PathBuf) {
    let [programs, shared, library] =
        ["bindir", "sharedir", "pkglibdir"].map(|which| cluster.installed(which).unwrap());
    let root = cluster.directory().join("installation");
    let copied = |path: &Path| root.join(path.strip_prefix("/").unwrap());
    let extensions = copied(&shared).join("extension");
    for directory in [&copied(&programs), &extensions] {
        fs::create_dir_all(directory).unwrap();
    }
    fs::create_dir_all(copied(&library).parent().unwrap()).unwrap();
    symlink(&library, copied(&library)).unwrap();
    for (from, to) in [
        (&shared, &copied(&shared)),
        (&shared.join("extension"), &extensions),
    ] {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let copy = to.join(entry.file_name());
            if !copy.exists() {
                symlink(entry.path(), copy).unwrap();
            }
        }
    }
    // Not a link: by a link the server would find where it came from.
    let postgres = copied(&programs).join("postgres");
    fs::copy(programs.join("postgres"), &postgres).unwrap();
    (postgres, extensions)
}

fn is_updated(preload: bool) {
    let cluster = Cluster::builder().preload(preload).start().unwrap();
    let database = cluster.database().items();
    run(
        &mut database.client(),
        "ALTER TABLE items ADD COLUMN a int; SELECT electric.grant('SELECT', 'items', 'member')",
    );
    let version = "SELECT extversion FROM pg_extension WHERE extname = 'electric'";
    let now = text(&mut database.client(), version);
    let (postgres, extensions) = installation(&cluster);
    let scripts = [
        (
            &*now,
            "999.1",
            "CREATE FUNCTION electric.made_up() RETURNS int LANGUAGE sql AS 'SELECT 1';
             CREATE OR REPLACE FUNCTION electric.on_command_end() RETURNS event_trigger
                 LANGUAGE c AS 'MODULE_PATHNAME', 'electric_on_command_end';
             ALTER TABLE electric.electrified ADD COLUMN made_up int;",
        ),
        (
            "999.1",
            "999.2",
            "CREATE OR REPLACE FUNCTION electric.made_up() RETURNS int LANGUAGE sql AS 'SELECT 2';
             ALTER TABLE electric.electrified DROP COLUMN made_up;
             CREATE TABLE electric.made_up (a int);
             SELECT pg_catalog.pg_extension_config_dump('electric.made_up', '');
             DROP EVENT TRIGGER electric_table_rewrite;
             CREATE EVENT TRIGGER electric_table_rewrite ON table_rewrite EXECUTE FUNCTION electric.on_table_rewrite();
             ALTER EVENT TRIGGER electric_table_rewrite ENABLE ALWAYS;",
        ),
    ];
    for (from, to, script) in &scripts {
        let file = extensions.join(format!("electric--{from}--{to}.sql"));
        fs::write(file, script).unwrap();
    }
    let control = extensions.join("electric.control");
    let text_of_control = fs::read_to_string(&control).unwrap();
    fs::remove_file(&control).unwrap();
    fs::write(&control, text_of_control.replace(&now, "999.2")).unwrap();
    cluster.stop(Stop::Fast).unwrap();
    cluster.start_from(&postgres).unwrap();

    let kept = || {
        let sql = "SELECT concat((SELECT string_agg(m::text, ' ' ORDER BY id) FROM electric.migrations m), \
                   (SELECT string_agg(g::text, ' ') FROM electric.grants g), \
                   (SELECT string_agg(e.relation || e.shape::text || e.identity || place, ' ') FROM electric.electrified e \
                    NATURAL JOIN electric.places), \
                   (SELECT string_agg(format('%s %s %s', evtname, evtevent, evtenabled), ' ' ORDER BY evtname) \
                    FROM pg_event_trigger), \
                   (SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_publication_tables))";
        (database.commands(), text(&mut database.client(), sql))
    };
    let before = kept();
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    let mut at_work = database.client();
    run(&mut at_work, "CREATE TABLE other (a int)");
    let mut client = database.client();
    // Undone, an update leaves the version that was.
    run(
        &mut client,
        "BEGIN; ALTER EXTENSION electric UPDATE; ROLLBACK",
    );
    assert_eq!(kept(), before);
    assert_eq!(text(&mut client, version), now);
    for (_, to, _) in &scripts {
        run(
            &mut client,
            &format!("ALTER EXTENSION electric UPDATE TO '{to}'"),
        );
        assert_eq!(text(&mut client, version), *to);
        assert_eq!(kept(), before);
        for session in [&mut client, &mut at_work] {
            database
                .refused_by(session, "ALTER TABLE items DROP COLUMN value", "0A000")
                .about_column("value");
            database.refused_by(
                session,
                "ALTER TABLE items ALTER id TYPE bigint USING id + 1",
                "0A000",
            );
        }
    }
    assert_eq!(text(&mut client, "SELECT electric.made_up()::text"), "2");
    run(&mut at_work, "ALTER TABLE items ADD COLUMN b text");
    let new = database.recorded("ALTER TABLE items ADD COLUMN c int");
    assert_eq!(words(&new), [("add_column", "public.items")]);
    run(
        &mut client,
        "INSERT INTO items VALUES (1, 'one', 1, 'b', 2)",
    );
    replica.must_agree();
    let drift = "SELECT count(*)::text FROM electric.drift()";
    assert_eq!(text(&mut client, drift), "0");
    // All the way at once, in a database of its own.
    let fresh = cluster.empty_database();
    run(
        &mut fresh.client(),
        &format!("CREATE EXTENSION electric VERSION '{now}'; ALTER EXTENSION electric UPDATE"),
    );
    assert_eq!(text(&mut fresh.client(), version), "999.2");
    assert_eq!(fresh.items().commands().len(), 1);
}

#[test]
fn an_update_keeps_everything() {
    is_updated(false);
}

#[test]
fn an_update_of_the_preloaded_library_keeps_everything() {
    is_updated(true);
}
