//! Functions that read run nothing of anybody's, and one damaged shape stops no other.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text, words};

/// All that only looks.
const READING: &[&str] = &[
    "SELECT count(*) FROM electric.drift()",
    "SELECT electric.status()",
    "SELECT electric.introspect()",
    "SELECT electric.diagram()",
    "SELECT count(*) FROM electric.schema_sql('sqlite')",
    "SELECT count(*) FROM electric.schema_sql('postgres')",
    "SELECT count(*) FROM electric.migrations_since()",
    "SELECT count(*) FROM electric.migrations_since(NULL, 'postgres')",
    "SELECT count(*) FROM electric.tables",
    "SELECT electric.introspect((SELECT version FROM electric.migrations ORDER BY id LIMIT 1))",
    "SELECT count(*) FROM electric.schema_sql('postgres', (SELECT version FROM electric.migrations ORDER BY id LIMIT 1))",
];

/// A database with a superuser's table `bait`, electrified, and functions that write down who runs them.
fn with_traps() -> (Database<'static>, String) {
    let database = Cluster::shared().database().items();
    let role = database.role("mallory");
    run(
        &mut database.client(),
        &format!(
            "GRANT CREATE ON SCHEMA public TO {role}; CREATE SCHEMA m AUTHORIZATION {role}; \
             CREATE TABLE calls (who name); GRANT INSERT ON calls TO PUBLIC; \
             CREATE FUNCTION h() RETURNS int LANGUAGE plpgsql VOLATILE AS \
                 'BEGIN INSERT INTO public.calls VALUES (current_user); RETURN 1; END'; \
             CREATE FUNCTION stable_h() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN h(); END'; \
             CREATE FUNCTION qualified_h() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN public.h(); END'; \
             CREATE FUNCTION fixed_h(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN h(); END'; \
             CREATE FUNCTION fixed_h(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN h()::text; END'; \
             CREATE TABLE bait (id int PRIMARY KEY, v varchar(9) CHECK (v <> 'x')); SELECT electric.enable('bait'); \
             GRANT REFERENCES, SELECT, TRIGGER ON bait TO {role}"
        ),
    );
    run(
        &mut database.client_as(&role),
        &format!(
            "CREATE FUNCTION m.h() RETURNS int LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO public.calls VALUES (current_user); \
             IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN \
             EXECUTE 'ALTER ROLE {role} SUPERUSER'; END IF; RETURN 1; END $$; GRANT USAGE ON SCHEMA m TO PUBLIC"
        ),
    );
    (database, role)
}

/// Changes the table while the extension does not look.
fn unseen(database: &Database<'_>, sql: &str) {
    // Each in a session of its own: one that has loaded the library does not let it be.
    let switch = |how: &str| {
        format!(
            "ALTER EVENT TRIGGER electric_command_start {how}; ALTER EVENT TRIGGER electric_command_end {how}"
        )
    };
    run(&mut database.client(), &switch("DISABLE"));
    run(&mut database.client(), sql);
    run(&mut database.client(), &switch("ENABLE ALWAYS"));
    run(&mut database.client(), "TRUNCATE calls");
}

#[track_caller]
fn nobody_called(database: &Database<'_>, role: &str, by: &str) {
    let calls = "SELECT coalesce(string_agg(who, ' '), '') FROM public.calls";
    assert_eq!(text(&mut database.client(), calls), "", "{by}");
    let sql = format!("SELECT rolsuper::text FROM pg_roles WHERE rolname = '{role}'");
    assert_eq!(text(&mut database.client(), &sql), "false", "{by}");
}

/// What a table may come to have behind our back, and whether its rows are then rewritten, so that no value is kept.
const DRIFT: &[(&str, bool)] = &[
    ("ALTER TABLE bait ADD c int DEFAULT stable_h()", true),
    ("ALTER TABLE bait ADD c int DEFAULT fixed_h(1)", true),
    (
        "ALTER TABLE bait ADD c int NOT NULL DEFAULT stable_h()",
        true,
    ),
    ("ALTER TABLE bait ADD c int DEFAULT h()", false),
    (
        "CREATE DOMAIN d AS int DEFAULT stable_h() CHECK (fixed_h(VALUE) > 0); ALTER TABLE bait ADD c d",
        true,
    ),
    (
        "CREATE DOMAIN d AS text CHECK (fixed_h(VALUE) <> ''); ALTER TABLE bait ADD c d DEFAULT 'x', ADD e d[] DEFAULT '{x}'",
        true,
    ),
    (
        "CREATE DOMAIN d AS varchar(20) CHECK (fixed_h(VALUE::text) <> ''); ALTER TABLE bait ALTER v TYPE d; \
     ALTER TABLE bait ADD CHECK (v <> 'y'::d)",
        false,
    ),
    (
        "ALTER TABLE bait ALTER v TYPE text; ALTER TABLE bait ADD CHECK (fixed_h(v) <> '')",
        false,
    ),
    (
        "CREATE INDEX ON bait (fixed_h(v::text)); CREATE INDEX ON bait (id) WHERE fixed_h(id) = 3; ANALYZE bait",
        false,
    ),
    ("ALTER TABLE bait ALTER v SET DEFAULT fixed_h('x')", false),
    (
        "CREATE TYPE pair AS (a int, b text); CREATE FUNCTION of_pair(pair) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN public.h(); END'; \
     CREATE CAST (pair AS int) WITH FUNCTION of_pair(pair) AS IMPLICIT; ALTER TABLE bait ADD c int DEFAULT '(1,x)'::pair; \
     ALTER TABLE bait ADD e pair DEFAULT '(1,x)'",
        true,
    ),
    (
        "CREATE TYPE kind AS ENUM ('a'); CREATE TYPE kinds AS RANGE (subtype = kind); \
     ALTER TABLE bait ADD c kind DEFAULT 'a', ADD e kinds DEFAULT '[a,a]'",
        true,
    ),
    ("DROP TABLE bait", false),
];

/// Each function that reads, by anybody with any search path, against each way in which a table may have drifted.
#[test]
fn fault_08_reading_runs_nothing_of_anybodys() {
    for (drift, rewritten) in DRIFT {
        let (database, role) = with_traps();
        run(&mut database.client(), "INSERT INTO bait VALUES (1, 'a')");
        unseen(&database, drift);
        if *rewritten {
            run(&mut database.client(), "VACUUM FULL bait");
        }
        run(&mut database.client(), "TRUNCATE calls");
        let mut mallory = database.client_as(&role);
        let shadows = "CREATE TEMP TABLE calls (who name); CREATE TEMP TABLE pg_class (oid oid); CREATE FUNCTION pg_temp.h() RETURNS int \
                       LANGUAGE sql AS 'SELECT m.h()'";
        for before in [
            "SET search_path = m, public".to_owned(),
            format!("{shadows}; SET search_path = pg_temp, m, public, pg_catalog"),
        ] {
            run(&mut mallory, &before);
            for sql in READING {
                run(&mut mallory, sql);
                nobody_called(&database, &role, &format!("{drift}: {sql}"));
            }
        }
        let mut superuser = database.client();
        run(&mut superuser, "SET search_path = m, public");
        for sql in READING {
            run(&mut superuser, sql);
            nobody_called(&database, &role, &format!("{drift}: {sql} as superuser"));
        }
        let shown = "SELECT count(*)::text FROM electric.drift()";
        assert_eq!(text(&mut superuser, shown), "1", "{drift}");
    }
}

/// Somebody else's command that merely touches a drifted table leaves it as it is; its owner's next one records it.
#[test]
fn fault_08_others_leave_a_drifted_table_as_it_is() {
    for touching in [
        "CREATE TABLE own (id int PRIMARY KEY REFERENCES public.bait)",
        "CREATE TABLE own (id int PRIMARY KEY REFERENCES public.bait); CREATE INDEX ON own ((id + 1)); \
         ALTER TABLE own ADD COLUMN other int REFERENCES public.bait",
        "CREATE FUNCTION m.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
         CREATE TRIGGER mine AFTER INSERT ON public.bait FOR EACH ROW EXECUTE FUNCTION m.nothing()",
    ] {
        let (database, role) = with_traps();
        run(&mut database.client(), "INSERT INTO bait VALUES (1, 'a')");
        unseen(
            &database,
            "ALTER TABLE bait ADD c int DEFAULT qualified_h(), ADD e int DEFAULT length('abc')",
        );
        run(&mut database.client(), "VACUUM FULL bait");
        let before = database.last_command();
        let mut mallory = database.client_as(&role);
        run(&mut mallory, "SET search_path = m, public");
        run(&mut mallory, touching);
        nobody_called(&database, &role, touching);
        assert_eq!(database.last_command(), before, "{touching}");
        // A superuser finds it: nothing of another's is run with more rights than its owner has, and on no path of theirs.
        let mut superuser = database.client();
        run(&mut superuser, "SET search_path = m, public");
        run(
            &mut superuser,
            "COMMENT ON COLUMN public.bait.id IS 'seen'; CREATE INDEX ON public.bait (id)",
        );
        let new = database.commands_after(before);
        let said: Vec<&str> = words(&new).iter().map(|(word, _)| *word).collect();
        assert_eq!(
            said,
            ["add_column", "add_column", "create_index"],
            "{new:#?}"
        );
        assert_eq!(new[0].op["existing_value"], "1");
        assert_eq!(new[1].op["existing_value"], "3");
        assert_eq!(new[1].op["column"]["default_value"], "3");
        let evil = format!("SELECT rolsuper::text FROM pg_roles WHERE rolname = '{role}'");
        assert_eq!(text(&mut superuser, &evil), "false");
    }
}

/// A drifted table does not keep others from what they may do, though its owner is refused.
#[test]
fn fault_08_others_go_on_beside_a_table_that_lost_something() {
    let (database, role) = with_traps();
    unseen(&database, "ALTER TABLE bait DROP COLUMN v");
    let before = database.last_command();
    run(
        &mut database.client_as(&role),
        "CREATE TABLE own (id int PRIMARY KEY REFERENCES bait)",
    );
    assert_eq!(database.last_command(), before);
    database.refused("CREATE INDEX ON bait (id)", "0A000");
}

/// What somebody else's command does take away is refused, as ever.
#[test]
fn fault_08_what_others_take_away_is_refused() {
    let (database, role) = with_traps();
    run(
        &mut database.client_as(&role),
        "CREATE TYPE m.kind AS ENUM ('a'); CREATE FUNCTION m.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; \
         CREATE TABLE m.target (id int PRIMARY KEY)",
    );
    run(
        &mut database.client(),
        "SELECT electric.enable('m.target'); ALTER TABLE bait ADD k m.kind, ADD f int, ADD t int REFERENCES m.target; \
         ALTER TABLE bait ALTER f SET DEFAULT m.f()",
    );
    let mut mallory = database.client_as(&role);
    database.refused_by(&mut mallory, "DROP TYPE m.kind CASCADE", "0A000");
    database.refused_by(
        &mut mallory,
        "ALTER TABLE m.target DROP CONSTRAINT target_pkey CASCADE",
        "0A000",
    );
    let before = database.last_command();
    run(&mut mallory, "DROP FUNCTION m.f() CASCADE");
    let new = database.commands_after(before);
    assert_eq!(words(&new), [("drop_default", "public.bait")]);
}

/// The value that rows have is recorded, whatever becomes of the default in the same command.
#[test]
fn fault_08_what_rows_got_is_read_where_it_is_kept() {
    let (database, _) = with_traps();
    run(&mut database.client(), "INSERT INTO bait VALUES (1, 'a')");
    unseen(
        &database,
        "ALTER TABLE bait ADD a int DEFAULT 5, ADD b date DEFAULT '2020-01-02'::text::date; \
         ALTER TABLE bait ALTER a DROP DEFAULT, ALTER b SET DEFAULT clock_timestamp()",
    );
    let new = database.recorded("CREATE INDEX ON bait (id)");
    assert_eq!(words(&new).len(), 3, "{new:#?}");
    assert_eq!(new[0].op["existing_value"], "5");
    assert!(
        new[0].postgres[0].contains("DEFAULT '5'"),
        "{:?}",
        new[0].postgres
    );
    assert_eq!(new[1].op["existing_value"], "2020-01-02");
}

/// `CREATE DOMAIN`s of one another, so many; the last is `d<n>`.
fn chain(levels: usize) -> String {
    let mut sql = "CREATE DOMAIN d1 AS int;".to_owned();
    for level in 2..=levels {
        sql.push_str(&format!("CREATE DOMAIN d{level} AS d{};", level - 1));
    }
    sql
}

#[test]
fn fault_07_types_nest_a_hundred_levels_deep_and_no_more() {
    let database = Cluster::shared().database().items();
    run(&mut database.client(), &chain(130));
    run(
        &mut database.client(),
        "CREATE TABLE fine (id int PRIMARY KEY, a d100, b d99[]); SELECT electric.enable('fine'); ALTER TABLE fine ADD c d100",
    );
    for of in ["d101", "d101[]", "d120", "d121", "d130", "d130[]"] {
        database
            .refused(
                &format!(
                    "CREATE TABLE t (id int PRIMARY KEY, x {of}); SELECT electric.enable('t')"
                ),
                "54001",
            )
            .about_table("public", "t")
            .about_column("x")
            .detail_names(&[of])
            .hinted();
        database
            .refused(&format!("ALTER TABLE fine ADD COLUMN x {of}"), "54001")
            .about_table("public", "fine")
            .about_column("x")
            .hinted();
        database.refused(
            &format!("ALTER TABLE fine ALTER c TYPE {of} USING NULL"),
            "0A000",
        );
        database.refused(
            &format!("SET electric.policy = 'unrestricted'; ALTER TABLE fine ALTER c TYPE {of} USING NULL"),
            "54001",
        );
    }
    for sql in READING {
        run(&mut database.client(), sql);
    }
}

/// Arrays, domains and ranges in turn.
#[test]
fn fault_07_whatever_the_levels_are_made_of() {
    let database = Cluster::shared().database().items();
    let mut sql = "CREATE DOMAIN l0 AS int;".to_owned();
    for level in 1..=110 {
        let below = level - 1;
        sql.push_str(&match level % 3 {
            0 => format!("CREATE DOMAIN l{level} AS l{below}[];"),
            1 => format!("CREATE TYPE l{level} AS RANGE (subtype = l{below}, multirange_type_name = m{level});"),
            _ => format!("CREATE DOMAIN l{level} AS m{below};"),
        });
    }
    run(&mut database.client(), &sql);
    run(
        &mut database.client(),
        "CREATE TABLE fine (id int PRIMARY KEY, a l99, b l98[]); SELECT electric.enable('fine')",
    );
    database.refused("ALTER TABLE fine ADD x l110", "54001");
    database.refused("ALTER TABLE fine ADD x m109", "54001");
    database.refused(
        "CREATE TABLE t (id int PRIMARY KEY, x l110[]); SELECT electric.enable('t')",
        "54001",
    );
}

/// Conditions in parentheses, by what they say, and by both; long ones are fine.
#[test]
fn fault_07_conditions_nest_a_hundred_levels_deep_and_no_more() {
    let database = Cluster::shared().database().items();
    let grant = |condition: &str| {
        format!(
            "SELECT electric.grant('SELECT', 'items', 'ANYONE', condition => $c$ {condition} $c$)"
        )
    };
    let nested = |levels: usize, before: &str, after: &str| {
        format!(
            "{}value = 'x'{}",
            before.repeat(levels),
            after.repeat(levels)
        )
    };
    for (before, after) in [
        ("(", ")"),
        ("NOT ", ""),
        ("NOT (", ")"),
        ("coalesce(", ")"),
        ("true = ALL (ARRAY[", "])"),
    ] {
        run(&mut database.client(), &grant(&nested(40, before, after)));
        for levels in [110, 3000] {
            database
                .refused(&grant(&nested(levels, before, after)), "54001")
                .hinted();
        }
    }
    run(
        &mut database.client(),
        &grant(&vec!["(value <> '((((' AND id > 3)"; 500].join(" OR ")),
    );
}

/// Rows that a superuser has damaged, or that an earlier version wrote deeper than can be read.
fn damages() -> Vec<String> {
    let deep = format!("{}{}", "{\"of\":".repeat(140), "1") + &"}".repeat(140);
    let deeper = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    vec![
        format!("shape = jsonb_set(shape::jsonb, '{{columns,0,type}}', '{deep}')::json"),
        format!("shape = '{deeper}'"),
        format!("shape = '{{\"columns\": {deeper}, \"name\": \"bad\", \"schema\": \"public\"}}'"),
        "shape = '5'".to_owned(),
        "shape = '{}'".to_owned(),
        "shape = '{\"name\": \"bad\", \"schema\": \"public\", \"columns\": 5}'".to_owned(),
        "identity = '[]'".to_owned(),
    ]
}

#[test]
fn fault_07_one_damaged_shape_stops_no_other() {
    for damage in damages() {
        let database = Cluster::shared().database().items();
        run(
            &mut database.client(),
            "CREATE TABLE bad (id int PRIMARY KEY, v text); CREATE INDEX of_bad ON bad (v); \
             SELECT electric.enable('bad'); ALTER TABLE bad ADD w int",
        );
        run(
            &mut database.client(),
            &format!("UPDATE electric.electrified SET {damage} WHERE relation = 'bad'::regclass"),
        );
        let mut client = database.client();
        for sql in READING {
            run(&mut client, sql);
        }
        let named = "SELECT string_agg(relation || ': ' || problem, ';') FROM electric.drift()";
        let said = text(&mut client, named);
        assert!(
            said.starts_with("public.bad: what is recorded"),
            "{damage}: {said}"
        );
        assert!(text(&mut client, "SELECT electric.introspect()::text").contains("\"items\""));
        assert!(text(&mut client, "SELECT electric.diagram()").contains("items"));
        // The others go on.
        let new = database.recorded(
            "ALTER TABLE items ADD COLUMN a int; CREATE SCHEMA s; ALTER SCHEMA s RENAME TO r; DROP SCHEMA r CASCADE; \
             CREATE TABLE another (id int PRIMARY KEY REFERENCES items); SELECT electric.enable('another'); \
             SELECT electric.disable('another'); DROP TABLE another CASCADE",
        );
        assert_eq!(
            words(&new),
            [
                ("add_column", "public.items"),
                ("create_table", "public.another"),
                ("disable_table", "public.another")
            ]
        );
        // The table itself is named.
        database
            .refused("ALTER TABLE bad ADD COLUMN x int", "XX001")
            .about_table("public", "bad")
            .hinted();
    }
}

#[test]
fn fault_07_a_damaged_shape_can_be_taken_out() {
    let ways: &[(&str, &str)] = &[
        ("SELECT electric.disable('bad')", "disable_table"),
        (
            "SET electric.policy = 'unrestricted'; SELECT electric.disable('bad'); DROP TABLE bad",
            "disable_table",
        ),
        (
            "SET electric.policy = 'unrestricted'; DROP TABLE bad",
            "disable_table",
        ),
        (
            "SET electric.policy = 'unrestricted'; DROP TABLE bad CASCADE",
            "disable_table",
        ),
        (
            "SET electric.policy = 'unrestricted'; ALTER TABLE bad ADD COLUMN x int",
            "replace_table",
        ),
        (
            "SET electric.policy = 'unrestricted'; COMMENT ON TABLE bad IS 'x'; CREATE INDEX ON bad (id)",
            "replace_table",
        ),
    ];
    for damage in damages() {
        for (way, word) in ways {
            let database = Cluster::shared().database().items();
            run(
                &mut database.client(),
                "CREATE TABLE bad (id int PRIMARY KEY, v text); CREATE INDEX of_bad ON bad (v); SELECT electric.enable('bad')",
            );
            run(
                &mut database.client(),
                &format!(
                    "UPDATE electric.electrified SET {damage} WHERE relation = 'bad'::regclass"
                ),
            );
            let new = database.recorded(way);
            assert_eq!(new.len(), 1, "{damage} {way}: {new:#?}");
            assert_eq!(new[0].command, *word);
            // A table that is gone with its name unreadable is told by its number.
            if !way.contains("DROP")
                || damage.contains("bad")
                || damage.contains("jsonb_set")
                || damage.contains("identity")
            {
                assert_eq!(new[0].relation, "public.bad", "{damage} {way}");
            }
            let mut client = database.client();
            let drifted = "SELECT count(*)::text FROM electric.drift()";
            assert_eq!(text(&mut client, drifted), "0", "{damage} {way}");
            // Its names are free, and the history is whole.
            if *word == "disable_table" {
                run(
                    &mut client,
                    "DROP TABLE IF EXISTS bad; CREATE TABLE bad (id int PRIMARY KEY, v text); \
                     CREATE INDEX of_bad ON bad (v); SELECT electric.enable('bad')",
                );
                let name = "SELECT electric.introspect() #>> '{tables,0,indexes,0,sqlite_name}'";
                assert_eq!(text(&mut client, name), "of_bad");
            }
            database.history_is_sound();
        }
    }
}

#[test]
fn fault_07_one_damaged_type_stops_no_other() {
    let deeper = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    for damage in [deeper.as_str(), "5", "{}", "{\"kind\": \"nothing\"}"] {
        let database = Cluster::shared().database().items();
        run(
            &mut database.client(),
            "CREATE DOMAIN bad AS int; CREATE TYPE kind AS ENUM ('a'); \
             CREATE TABLE t (id int PRIMARY KEY, b bad, k kind); SELECT electric.enable('t')",
        );
        run(
            &mut database.client(),
            &format!("UPDATE electric.electrified_types SET definition = '{damage}'"),
        );
        let mut client = database.client();
        for sql in READING {
            run(&mut client, sql);
        }
        let named = "SELECT string_agg(relation || ': ' || problem, ';' ORDER BY relation) FROM electric.drift()";
        let said = text(&mut client, named);
        assert!(said.starts_with("public.bad: what is recorded"), "{said}");
        assert!(said.contains(";public.kind: what is recorded"), "{said}");
        let new = database.recorded(
            "ALTER TABLE items ADD COLUMN a int; ALTER TABLE t ADD COLUMN c int; CREATE SCHEMA s; ALTER SCHEMA s RENAME TO r; \
             CREATE TABLE r.x (id int); DROP SCHEMA r CASCADE; CREATE DOMAIN other AS int; DROP DOMAIN other CASCADE",
        );
        assert_eq!(
            words(&new),
            [("add_column", "public.items"), ("add_column", "public.t")]
        );
        database.refused("ALTER TYPE kind ADD VALUE 'b'", "XX001");
        database.refused("ALTER DOMAIN bad SET NOT NULL", "XX001");
        let new = database
            .recorded("SET electric.policy = 'unrestricted'; ALTER TYPE kind ADD VALUE 'b'");
        assert_eq!(
            words(&new),
            [
                ("create_type", "public.kind"),
                ("replace_table", "public.t")
            ]
        );
        run(
            &mut client,
            "SELECT electric.disable('t'); DROP TABLE t; DROP DOMAIN bad",
        );
        assert_eq!(
            text(&mut client, "SELECT count(*)::text FROM electric.drift()"),
            "0"
        );
    }
}
