//! Types that change while others begin to use them, differences that nobody present made, and versions without end.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text, wait_until, words};
use electric_tests::errors::failure;
use electric_tests::replica::Replica;

const DRIFT: &str =
    "SELECT coalesce(string_agg(relation || ': ' || problem, ';'), '') FROM electric.drift()";

/// Types of a role's own, an electrified table and one that is not, and the role.
fn types() -> (Database<'static>, String) {
    let database = Cluster::shared().database().items();
    let role = database.plain_role("mallory");
    let name = database.name();
    run(
        &mut database.client(),
        &format!(
            "CREATE SCHEMA mm AUTHORIZATION {role}; GRANT CREATE ON DATABASE {name} TO {role}"
        ),
    );
    run(
        &mut database.client_as(&role),
        "CREATE TYPE mm.en AS ENUM ('a', 'b'); \
         CREATE FUNCTION mm.ok(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0'; \
         CREATE DOMAIN mm.dom AS int DEFAULT 5 CONSTRAINT dom_check CHECK (VALUE < 100) CONSTRAINT dom_called CHECK (mm.ok(VALUE)); \
         CREATE DOMAIN mm.outer AS mm.dom; \
         CREATE TYPE mm.ran AS RANGE (subtype = mm.en); \
         CREATE SCHEMA mm2; \
         CREATE TABLE mm.t (id int PRIMARY KEY); SELECT electric.enable('mm.t'); \
         CREATE TABLE mm.with_en (id int PRIMARY KEY, c mm.en); \
         CREATE TABLE mm.with_dom (id int PRIMARY KEY, c mm.dom)",
    );
    (database, role)
}

/// Others go on with types of their own, and nothing differs from its record.
#[track_caller]
fn others_go_on(database: &Database<'_>, what: &str) {
    let mut client = database.client();
    let sql = "CREATE TYPE x2 AS ENUM ('a'); ALTER TYPE x2 ADD VALUE 'b'; ALTER TYPE x2 RENAME TO x3; \
         CREATE DOMAIN d2 AS int; DROP DOMAIN d2 CASCADE; DROP TYPE x3 CASCADE";
    if let Err(error) = client.batch_execute(sql) {
        panic!("{what}: {}", electric_tests::errors::describe(&error));
    }
    assert_eq!(text(&mut client, DRIFT), "", "{what}");
}

/// `change` by one session is under way when another begins to use the type, and commits in the end.
fn raced(change: &str, usage: &str, prepared: bool, recorded: &[&str], not: &[&str]) {
    let what = format!("{change} / {usage} / prepared: {prepared}");
    let (database, role) = types();
    let mut changing = database.client_as(&role);
    let prepare = format!("PREPARE TRANSACTION '{}'", database.name());
    run(&mut changing, &format!("BEGIN; {change}"));
    if prepared {
        run(&mut changing, &prepare);
    }
    let before = database.last_command();
    std::thread::scope(|scope| {
        let using = scope.spawn(|| run(&mut database.client_as(&role), usage));
        wait_until(&what, || database.waiting() == 1 || using.is_finished());
        assert!(!using.is_finished(), "did not wait: {what}");
        let commit = match prepared {
            true => format!("COMMIT PREPARED '{}'", database.name()),
            false => "COMMIT".to_owned(),
        };
        run(&mut changing, &commit);
        using.join().unwrap();
    });
    let said = database.commands_after(before);
    let made: Vec<String> = said
        .iter()
        .filter(|command| command.command == "create_type")
        .map(|command| command.postgres.concat())
        .collect();
    let made = made.join("; ");
    for word in recorded {
        assert!(made.contains(word), "{what}: {made}");
    }
    for word in not {
        assert!(!made.contains(word), "{what}: {made}");
    }
    others_go_on(&database, &what);
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut database.client_as(&role),
        "INSERT INTO mm.t (id) VALUES (1)",
    );
    replica.must_agree();
    database.history_is_sound();
}

const USES_ENUM: [&str; 4] = [
    "ALTER TABLE mm.t ADD COLUMN e mm.en",
    "ALTER TABLE mm.t ADD COLUMN e mm.en[]",
    "ALTER TABLE mm.t ADD COLUMN e mm.ran",
    "SELECT electric.enable('mm.with_en')",
];

#[test]
fn fault_02_an_enum_renamed_meanwhile_is_recorded_as_it_is_called() {
    for usage in USES_ENUM {
        raced(
            "ALTER TYPE mm.en RENAME TO en3",
            usage,
            false,
            &["\"en3\""],
            &["\"en\""],
        );
    }
    raced(
        "ALTER TYPE mm.en RENAME TO en3",
        USES_ENUM[0],
        true,
        &["\"en3\""],
        &["\"en\""],
    );
    raced(
        "ALTER TYPE mm.en RENAME TO en3",
        USES_ENUM[3],
        true,
        &["\"en3\""],
        &["\"en\""],
    );
    raced(
        "DO $$ BEGIN EXECUTE 'ALTER TYPE mm.en RENAME TO en3'; END $$",
        USES_ENUM[0],
        false,
        &["\"en3\""],
        &["\"en\""],
    );
}

#[test]
fn fault_02_an_enum_moved_or_relabelled_meanwhile_is_recorded_as_it_is() {
    raced(
        "ALTER TYPE mm.en SET SCHEMA mm2",
        USES_ENUM[0],
        false,
        &["\"mm2\".\"en\""],
        &["\"mm\".\"en\""],
    );
    raced(
        "ALTER TYPE mm.en SET SCHEMA mm2",
        USES_ENUM[3],
        true,
        &["\"mm2\".\"en\""],
        &["\"mm\".\"en\""],
    );
    raced(
        "ALTER TYPE mm.en RENAME VALUE 'b' TO 'c'",
        USES_ENUM[0],
        false,
        &["'c'"],
        &["'b'"],
    );
    raced(
        "ALTER TYPE mm.ran RENAME TO ran3",
        USES_ENUM[2],
        false,
        &["\"ran3\""],
        &["\"ran\""],
    );
}

const USES_DOMAIN: [&str; 4] = [
    "ALTER TABLE mm.t ADD COLUMN d mm.dom",
    "ALTER TABLE mm.t ADD COLUMN d mm.outer",
    "ALTER TABLE mm.t ADD COLUMN d mm.dom[]",
    "SELECT electric.enable('mm.with_dom')",
];

#[test]
fn fault_03_a_domain_changed_meanwhile_is_recorded_as_it_is() {
    for usage in USES_DOMAIN {
        raced(
            "ALTER DOMAIN mm.dom DROP CONSTRAINT dom_check",
            usage,
            false,
            &["\"dom\""],
            &["100"],
        );
    }
    raced(
        "ALTER DOMAIN mm.dom DROP CONSTRAINT dom_check",
        USES_DOMAIN[0],
        true,
        &["\"dom\""],
        &["100"],
    );
    raced(
        "ALTER DOMAIN mm.dom ADD CONSTRAINT more CHECK (VALUE <> 77)",
        USES_DOMAIN[0],
        false,
        &["77"],
        &[],
    );
    raced(
        "ALTER DOMAIN mm.dom SET DEFAULT 66",
        USES_DOMAIN[0],
        false,
        &["66"],
        &["DEFAULT 5"],
    );
    raced(
        "ALTER DOMAIN mm.dom DROP DEFAULT",
        USES_DOMAIN[0],
        false,
        &[],
        &["DEFAULT 5"],
    );
    raced(
        "ALTER DOMAIN mm.dom SET NOT NULL",
        USES_DOMAIN[3],
        false,
        &["NOT NULL"],
        &[],
    );
}

#[test]
fn fault_03_a_domain_renamed_or_robbed_of_a_check_meanwhile_is_recorded_as_it_is() {
    raced(
        "ALTER DOMAIN mm.dom RENAME TO dom3",
        USES_DOMAIN[1],
        false,
        &["\"dom3\""],
        &["\"dom\""],
    );
    raced(
        "ALTER DOMAIN mm.dom SET SCHEMA mm2",
        USES_DOMAIN[3],
        false,
        &["\"mm2\".\"dom\""],
        &["\"mm\".\"dom\""],
    );
    raced(
        "ALTER DOMAIN mm.dom RENAME CONSTRAINT dom_check TO other_check",
        USES_DOMAIN[0],
        false,
        &["other_check"],
        &["dom_check"],
    );
    raced(
        "DROP FUNCTION mm.ok CASCADE",
        USES_DOMAIN[0],
        false,
        &["\"dom\""],
        &["dom_called"],
    );
    raced(
        "DROP FUNCTION mm.ok CASCADE",
        USES_DOMAIN[3],
        true,
        &["\"dom\""],
        &["dom_called"],
    );
}

/// The other way about: who changes a type waits for who begins to use it, and is refused if that stays.
#[test]
fn fault_02_a_change_waits_for_who_begins_to_use_the_type() {
    for (usage, change) in [
        (USES_ENUM[0], "ALTER TYPE mm.en RENAME TO en3"),
        (USES_ENUM[3], "ALTER TYPE mm.en SET SCHEMA mm2"),
        (USES_ENUM[2], "ALTER TYPE mm.en RENAME VALUE 'a' TO 'z'"),
        (
            USES_DOMAIN[0],
            "ALTER DOMAIN mm.dom DROP CONSTRAINT dom_check",
        ),
        (USES_DOMAIN[1], "ALTER DOMAIN mm.dom SET DEFAULT 66"),
        (
            USES_DOMAIN[3],
            "ALTER DOMAIN mm.dom RENAME CONSTRAINT dom_check TO other",
        ),
        (USES_DOMAIN[0], "DROP FUNCTION mm.ok CASCADE"),
    ] {
        for stays in [true, false] {
            let what = format!("{usage} / {change} / stays: {stays}");
            let (database, role) = types();
            let mut using = database.client_as(&role);
            run(&mut using, &format!("BEGIN; {usage}"));
            std::thread::scope(|scope| {
                let changing = scope.spawn(|| database.client_as(&role).batch_execute(change));
                wait_until(&what, || database.waiting() == 1 || changing.is_finished());
                assert!(!changing.is_finished(), "did not wait: {what}");
                run(&mut using, if stays { "COMMIT" } else { "ROLLBACK" });
                let changed = changing.join().unwrap();
                match stays {
                    true => drop(failure(changed, "0A000")),
                    false => assert!(changed.is_ok(), "{what}"),
                }
            });
            others_go_on(&database, &what);
        }
    }
}

#[test]
fn fault_02_waiting_ends_by_lock_timeout_and_strangers_wait_for_nothing() {
    let (database, role) = types();
    let mut changing = database.client_as(&role);
    run(
        &mut changing,
        "BEGIN; ALTER TYPE mm.en RENAME TO en3; ALTER DOMAIN mm.dom SET DEFAULT 6",
    );
    for usage in [USES_ENUM[0], USES_ENUM[3], USES_DOMAIN[0]] {
        let mut client = database.client_as(&role);
        database.refused_by(
            &mut client,
            &format!("SET lock_timeout = 100; {usage}"),
            "55P03",
        );
    }
    // Types and migrations of others are not kept waiting.
    run(
        &mut database.client(),
        "SET lock_timeout = 1000; CREATE TYPE mine AS ENUM ('a'); ALTER TABLE items ADD COLUMN m mine; ALTER TYPE mine ADD VALUE 'b'",
    );
    run(&mut changing, "ROLLBACK");
    let mut using = database.client_as(&role);
    run(
        &mut using,
        &format!("BEGIN; {}; {}", USES_ENUM[0], USES_DOMAIN[0]),
    );
    let stranger = database.plain_role("stranger");
    for change in [
        "ALTER TYPE mm.en RENAME TO e",
        "ALTER DOMAIN mm.dom DROP DEFAULT",
    ] {
        let error = database
            .client_as(&stranger)
            .batch_execute(&format!("SET lock_timeout = 1000; {change}"));
        failure(error, "42501");
    }
    let error = database
        .client_as(&role)
        .batch_execute("SET lock_timeout = 100; ALTER TYPE mm.en RENAME TO e");
    failure(error, "55P03");
}

/// What differs from its record, and nobody present changed, is named by drift and stops nobody else.
#[test]
fn fault_02_a_type_that_differs_already_stops_no_other() {
    let (database, role) = types();
    run(
        &mut database.client_as(&role),
        "ALTER TABLE mm.t ADD COLUMN e mm.en; ALTER TABLE mm.t ADD COLUMN d mm.dom",
    );
    run(
        &mut database.client(),
        "UPDATE electric.electrified_types SET definition = replace(replace(definition::text, '\"en\"', '\"was\"'), '\"dom\"', '\"dom0\"')::json",
    );
    let said = text(&mut database.client(), DRIFT);
    assert!(
        said.contains("mm.was: ") && said.contains("mm.dom0: "),
        "{said}"
    );
    assert!(said.contains("rename type"), "{said}");
    let bob = database.plain_role("bob");
    let name = database.name();
    run(
        &mut database.client(),
        &format!("GRANT CREATE ON DATABASE {name} TO {bob}"),
    );
    for who in [bob.as_str(), "postgres"] {
        run(
            &mut database.client_as(who),
            "CREATE SCHEMA s; ALTER SCHEMA s RENAME TO r; CREATE TYPE r.x AS ENUM ('a'); ALTER TYPE r.x ADD VALUE 'b'; \
             ALTER TYPE r.x RENAME VALUE 'a' TO 'c'; CREATE DOMAIN r.d AS int CHECK (VALUE > 0); ALTER DOMAIN r.d SET DEFAULT 5; \
             CREATE TABLE r.t (id int PRIMARY KEY, x r.x, d r.d); SELECT electric.enable('r.t'); \
             ALTER TYPE r.x ADD VALUE 'd'; SELECT electric.disable('r.t'); DROP SCHEMA r CASCADE",
        );
    }
    // Its owner is answerable for it.
    let mut owner = database.client_as(&role);
    database.refused_by(&mut owner, "ALTER TYPE mm.en RENAME TO en4", "0A000");
    database.refused_by(
        &mut owner,
        "ALTER DOMAIN mm.dom DROP CONSTRAINT dom_check",
        "0A000",
    );
    database.refused_by(&mut owner, "DROP FUNCTION mm.ok CASCADE", "0A000");
    database.refused_by(&mut owner, "ALTER SCHEMA mm RENAME TO mm5", "0A000");
}

/// A framework's version is bounded like everybody's, and measured before it is copied.
#[test]
fn fault_07_a_version_of_a_framework_that_is_too_long_is_passed_over() {
    for (columns, values, kept) in [
        (
            "name text, \"timestamp\" text",
            "(repeat('\\', 60000000), '')",
            false,
        ),
        (
            "name text, \"timestamp\" text",
            "(repeat('x', 1025), '')",
            false,
        ),
        (
            "name text, \"timestamp\" text",
            "(repeat('\u{e9}', 513), '')",
            false,
        ),
        ("name numeric, \"timestamp\" text", "('1e5000', '')", false),
        (
            "name varchar, \"timestamp\" text",
            "(repeat('x', 1024), '')",
            true,
        ),
    ] {
        let database = Cluster::shared().database().items();
        let (mut client, notices) = database.client_with_notices();
        run(
            &mut client,
            &format!("CREATE TABLE kysely_migration ({columns})"),
        );
        run(
            &mut client,
            &format!(
                "BEGIN; ALTER TABLE items ADD COLUMN a int; INSERT INTO kysely_migration VALUES {values}; COMMIT"
            ),
        );
        let length =
            "SELECT coalesce(max(length(framework_version)), 0)::text FROM electric.migrations";
        let expected = if kept { "1024" } else { "0" };
        assert_eq!(text(&mut client, length), expected, "{columns} {values}");
        let warned = notices.has(&["cannot name the migration by kysely", "1024 bytes"]);
        assert_eq!(warned, !kept, "{:?}", notices.all());
        // What came to be of the table later names nothing either, and does not fail.
        run(
            &mut client,
            "UPDATE kysely_migration SET name = name; DELETE FROM kysely_migration",
        );
        database.history_is_sound();
    }
}

/// The same where several columns make the version, and where the row comes before the migration.
#[test]
fn fault_07_versions_made_of_several_columns_or_written_first_are_bounded() {
    let database = Cluster::shared().database().items();
    let (mut client, notices) = database.client_with_notices();
    run(
        &mut client,
        "CREATE TABLE django_migrations (id serial, app text, name text, applied timestamptz); \
         CREATE TABLE _prisma_migrations (checksum text, migration_name text, finished_at timestamptz)",
    );
    run(
        &mut client,
        "BEGIN; ALTER TABLE items ADD COLUMN a int; \
         INSERT INTO django_migrations (app, name) VALUES (repeat('a', 600), repeat('n', 600)); COMMIT",
    );
    assert!(notices.has(&["cannot name the migration by django"]));
    run(
        &mut client,
        "INSERT INTO _prisma_migrations (migration_name) VALUES (repeat('x', 5000000)); \
         ALTER TABLE items ADD COLUMN b int; UPDATE _prisma_migrations SET finished_at = now()",
    );
    assert!(notices.has(&["cannot name the migration by prisma"]));
    let framed = "SELECT count(*)::text FROM electric.migrations WHERE framework IS NOT NULL";
    assert_eq!(text(&mut client, framed), "0");
    let new = database.recorded("ALTER TABLE items ADD COLUMN c int");
    assert_eq!(words(&new), [("add_column", "public.items")]);
}
