//! What of a table goes over to replicas: what can do no more than compute, there as here.

use electric_tests::cluster::Cluster;
use electric_tests::database::{CommandRow, Database, run, text};

/// A database with a role that may make tables in `public`.
fn with_owner() -> (Database<'static>, String) {
    let database = Cluster::shared().database();
    let role = database.role("mallory");
    let grants = format!(
        "GRANT CREATE ON SCHEMA public TO {role}; GRANT CREATE ON DATABASE {} TO {role}",
        database.name()
    );
    run(&mut database.client(), &grants);
    (database, role)
}

/// What Postgres replicas are told.
fn said(commands: &[CommandRow]) -> String {
    let statements = commands.iter().flat_map(|command| &command.postgres);
    statements.cloned().collect::<Vec<_>>().join(";\n")
}

/// Runs statements as that role, and gives what they record.
#[track_caller]
fn recorded_by(database: &Database<'_>, role: &str, sql: &str) -> Vec<CommandRow> {
    let before = database.last_command();
    run(&mut database.client_as(role), sql);
    database.commands_after(before)
}

/// Expressions of a type that act, or tell of what is elsewhere, with the word by which each is known.
const ACTING: &[(&str, &str, &str)] = &[
    ("oid", "lo_from_bytea(424242, 'any bytes')", "lo_from_bytea"),
    ("int", "lo_export(424242, '/nowhere')", "lo_export"),
    ("bytea", "lo_get(424242)", "lo_get"),
    (
        "xml",
        "query_to_xml('SELECT 1', true, true, '')",
        "query_to_xml",
    ),
    (
        "text",
        "query_to_xml('SELECT 1', true, true, '')::text",
        "query_to_xml",
    ),
    (
        "xml",
        "table_to_xml('pg_catalog.pg_class', true, true, '')",
        "table_to_xml",
    ),
    (
        "xml",
        "schema_to_xml('public', true, true, '')",
        "schema_to_xml",
    ),
    (
        "text",
        "current_setting('primary_conninfo')",
        "current_setting",
    ),
    (
        "text",
        "lower(current_setting('electric.proxy_password', true))",
        "current_setting",
    ),
    ("text", "set_config('work_mem', '64', false)", "set_config"),
    ("text", "pg_read_file('PG_VERSION')", "pg_read_file"),
    (
        "text",
        "CASE WHEN true THEN pg_read_file('PG_VERSION') END",
        "pg_read_file",
    ),
    (
        "text[]",
        "ARRAY[pg_read_file('PG_VERSION')]",
        "pg_read_file",
    ),
    (
        "text",
        "COALESCE(NULL, pg_read_file('PG_VERSION'))",
        "pg_read_file",
    ),
    ("bool", "pg_try_advisory_lock(1)", "pg_try_advisory_lock"),
    ("bool", "pg_read_file('x') IN ('a', 'b')", "pg_read_file"),
    ("bool", "(pg_read_file('x'), 1) < ('a', 2)", "pg_read_file"),
    ("text", "GREATEST('a', pg_read_file('x'))", "pg_read_file"),
    ("text", "pg_sleep(0)::text", "pg_sleep"),
    (
        "bool",
        "has_table_privilege('pg_authid', 'SELECT')",
        "has_table_privilege",
    ),
    ("text", "to_regclass('anything')::text", "to_regclass"),
    ("text", "pg_get_viewdef('anything')", "pg_get_viewdef"),
    ("bigint", "lastval()", "lastval"),
    ("regclass", "'named'::text::regclass", "named"),
    ("text", "'PUBLIC_THING'::regnamespace::text", "public_thing"),
];

#[test]
fn fault_02_defaults_that_act_stay_where_they_are_written() {
    let (database, role) = with_owner();
    run(
        &mut database.client_as(&role),
        "CREATE SCHEMA public_thing; CREATE TABLE set (id int PRIMARY KEY, v text, x xml); SELECT electric.enable('set')",
    );
    for (number, (of, expression, word)) in ACTING.iter().enumerate() {
        let expression = expression.replace("PUBLIC_THING", "public_thing");
        let of = if *of == "regclass" { "text" } else { of };
        let cast = if *word == "named" { "::text" } else { "" };
        let sql = format!(
            "CREATE TABLE t{number} (id int PRIMARY KEY, v {of} DEFAULT ({expression}){cast}); SELECT electric.enable('t{number}')"
        );
        let commands = recorded_by(&database, &role, &sql);
        assert!(!said(&commands).contains(word), "{}", said(&commands));
        let column = &commands[0].op["table"]["columns"][1];
        assert_eq!(column["default_is_local"], true, "{expression}: {column}");
        // What is known of it is told all the same.
        assert!(
            column["default"].as_str().unwrap().contains(word),
            "{column}"
        );
        // The same for new rows of a table that is there, and for a domain of any depth.
        let sql = format!(
            "ALTER TABLE t{number} ALTER v DROP DEFAULT; ALTER TABLE t{number} ALTER v SET DEFAULT ({expression}){cast}; \
             CREATE DOMAIN d{number} AS {of} DEFAULT ({expression}){cast}; CREATE DOMAIN dd{number} AS d{number}; \
             CREATE TABLE td{number} (id int PRIMARY KEY, v dd{number}, w d{number}[]); SELECT electric.enable('td{number}')"
        );
        let commands = recorded_by(&database, &role, &sql);
        assert!(!said(&commands).contains(word), "{}", said(&commands));
    }
}

#[test]
fn fault_02_defaults_that_ask_for_time_or_chance_go_over() {
    let (database, role) = with_owner();
    let harmless: &[(&str, &str, &str)] = &[
        ("timestamptz", "now()", "DEFAULT now()"),
        ("timestamptz", "CURRENT_TIMESTAMP", "CURRENT_TIMESTAMP"),
        (
            "timestamptz",
            "clock_timestamp() + interval '1 day'",
            "clock_timestamp()",
        ),
        ("timestamp", "now() AT TIME ZONE 'utc'", "AT TIME ZONE"),
        ("timestamp", "LOCALTIMESTAMP", "LOCALTIMESTAMP"),
        ("date", "CURRENT_DATE + 7", "CURRENT_DATE"),
        ("date", "now()", "DEFAULT now()"),
        ("date", "(now())::date", "now()"),
        ("text", "to_char(now(), 'YYYY')", "to_char("),
        ("int", "extract(year FROM now())", "EXTRACT("),
        ("uuid", "gen_random_uuid()", "gen_random_uuid()"),
        ("text", "md5(random()::text)", "random()"),
        ("text", "CURRENT_USER", "CURRENT_USER"),
        ("text", "current_database()", "current_database()"),
        (
            "jsonb",
            "jsonb_build_object('at', now())",
            "jsonb_build_object(",
        ),
        ("text", "'x' || upper('y')", "upper("),
        ("text[]", "'{}'", "'{}'"),
        ("bigint", "nextval('counter')", "nextval("),
        ("int", "nextval('counter') * 2", "nextval("),
    ];
    run(
        &mut database.client_as(&role),
        "CREATE SEQUENCE counter; CREATE TABLE t (id int PRIMARY KEY); SELECT electric.enable('t')",
    );
    for (number, (of, expression, word)) in harmless.iter().enumerate() {
        let sql = format!(
            "ALTER TABLE t ADD COLUMN c{number} {of}; ALTER TABLE t ALTER c{number} SET DEFAULT {expression}"
        );
        let commands = recorded_by(&database, &role, &sql);
        assert!(
            said(&commands).contains(word),
            "{expression}: {}",
            said(&commands)
        );
        // Of domains too, but that a domain brings no sequence along.
        if !expression.contains("nextval") {
            let sql = format!(
                "CREATE DOMAIN d{number} AS {of} DEFAULT ({expression}); CREATE TABLE t{number} (id int PRIMARY KEY, v d{number}); \
                 SELECT electric.enable('t{number}')"
            );
            let commands = recorded_by(&database, &role, &sql);
            assert!(
                said(&commands).contains(word),
                "{expression}: {}",
                said(&commands)
            );
        }
    }
}

/// A default that names sequences which replicas would not have, or could not make.
#[test]
fn fault_02_sequences_that_do_not_come_along() {
    let (database, role) = with_owner();
    for (number, columns) in [
        "a bigint DEFAULT nextval('one') + nextval('two')",
        "a bigint GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME own), b bigint DEFAULT nextval('own')",
        "a bigint DEFAULT nextval('one'::text)",
        "a bigint DEFAULT setval('one', 5)",
        "a text DEFAULT 'one'::regclass::text",
    ]
    .iter()
    .enumerate()
    {
        let sql = format!(
            "DROP SEQUENCE IF EXISTS one, two CASCADE; CREATE SEQUENCE one; CREATE SEQUENCE two; \
             CREATE TABLE t{number} (id int PRIMARY KEY); ALTER TABLE t{number} ADD {}; SELECT electric.enable('t{number}')",
            columns.replace(", b ", ", ADD b ")
        );
        let commands = recorded_by(&database, &role, &sql);
        let statements = said(&commands[commands.len() - 1..]);
        assert!(!statements.contains("nextval"), "{statements}");
        assert!(!statements.contains("setval"), "{statements}");
        assert!(!statements.contains("regclass"), "{statements}");
    }
}

/// Rows that are there get on replicas what they got here: NULL, not the default of the column's domain.
#[test]
fn fault_02_rows_that_are_there_do_not_take_a_domains_default() {
    let (database, role) = with_owner();
    run(
        &mut database.client_as(&role),
        "CREATE DOMAIN plain AS int DEFAULT 7; CREATE DOMAIN over_plain AS plain; \
         CREATE DOMAIN clock AS timestamptz DEFAULT clock_timestamp(); \
         CREATE DOMAIN acting AS oid DEFAULT lo_from_bytea(424242, 'any bytes'); \
         CREATE DOMAIN list AS int[] DEFAULT '{1}'; \
         CREATE FUNCTION nothing() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN NULL; END'; \
         CREATE DOMAIN nil AS int DEFAULT nothing(); \
         CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); SELECT electric.enable('t'); \
         ALTER TABLE t ADD a plain DEFAULT NULL, ADD b over_plain DEFAULT NULL, ADD c clock DEFAULT NULL; \
         ALTER TABLE t ADD d acting DEFAULT NULL; ALTER TABLE t ADD e list DEFAULT NULL, ADD f plain[] DEFAULT NULL; \
         ALTER TABLE t ADD g nil; ALTER TABLE t ADD h nil DEFAULT nothing(); ALTER TABLE t ADD i plain DEFAULT 3; ALTER TABLE t ADD j plain",
    );
    let commands = database.commands();
    let replica = Cluster::shared().database();
    let mut there = replica.client();
    for command in &commands {
        for statement in &command.postgres {
            run(&mut there, statement);
        }
        if command.command == "create_table" {
            run(&mut there, "INSERT INTO t VALUES (1)");
        }
    }
    let rows = "SELECT to_jsonb(t)::text FROM t";
    assert_eq!(text(&mut there, rows), text(&mut database.client(), rows));
    let objects = "SELECT count(*)::text FROM pg_largeobject_metadata";
    assert_eq!(text(&mut there, objects), "0");
    // And new rows get there what they get here, but for the domains' defaults that stayed here.
    let defaults = "SELECT string_agg(format('%s %s', attname, pg_get_expr(adbin, adrelid)), ', ' ORDER BY attnum) \
                    FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum \
                    WHERE attrelid = 't'::regclass AND attnum > 0 AND attname <> 'h'";
    assert_eq!(
        text(&mut there, defaults),
        text(&mut database.client(), defaults)
    );
    run(&mut there, "INSERT INTO t (id) VALUES (2)");
    run(&mut database.client(), "INSERT INTO t (id) VALUES (2)");
    let new = "SELECT (to_jsonb(t) - 'd')::text FROM t WHERE id = 2";
    assert_eq!(text(&mut there, new), text(&mut database.client(), new));
}

/// What checks rows calls immutable functions of the server's own and nothing else.
#[test]
fn fault_02_checks_that_are_not_immutable_stay_where_they_are_written() {
    let (database, role) = with_owner();
    run(
        &mut database.client_as(&role),
        "CREATE TYPE mood AS ENUM ('ok')",
    );
    let stay: &[(&str, &str)] = &[
        (
            "text",
            "current_setting('primary_conninfo', true) IS NULL OR VALUE <> ''",
        ),
        ("text", "VALUE <> current_user"),
        ("timestamptz", "VALUE < now()"),
        ("date", "VALUE < CURRENT_DATE"),
        ("timestamptz", "VALUE::date > '2020-01-01'"),
        ("int", "pg_sleep(0) IS NOT NULL OR VALUE > 0"),
        (
            "int",
            "table_to_xml('pg_class', true, true, '') IS NOT NULL OR VALUE > 0",
        ),
        ("int", "nextval('pg_catalog.pg_class'::regclass) > VALUE"),
        ("text", "VALUE::regclass IS NOT NULL"),
        ("oid", "VALUE::regclass::oid > 0"),
        ("oid", "pg_partition_root(VALUE::regclass) IS NULL"),
        ("int", "satisfies_hash_partition(1259, VALUE, 0, NULL::int)"),
        ("text", "to_tsvector(VALUE) IS NOT NULL"),
        ("mood", "VALUE::text <> ''"),
        ("text", "'public'::regnamespace::oid > 0 OR VALUE <> ''"),
        ("text", "set_config('a.b', VALUE, false) <> ''"),
        ("text", "xmlparse(CONTENT VALUE) IS NOT NULL"),
    ];
    let go: &[(&str, &str)] = &[
        ("text", "lower(VALUE) = VALUE AND length(VALUE) < 100"),
        ("text", "VALUE ~ '^[a-z]+$'"),
        ("varchar(9)", "VALUE IN ('a', 'b') OR VALUE LIKE 'c%'"),
        ("int", "VALUE BETWEEN 1 AND 9 AND VALUE % 2 = 1"),
        ("numeric", "round(VALUE, 2) = VALUE"),
        ("timestamptz", "VALUE > '2020-01-01'"),
        (
            "jsonb",
            "jsonb_typeof(VALUE -> 'a') = 'object' AND VALUE ? 'b'",
        ),
        (
            "int[]",
            "cardinality(VALUE) < 5 AND VALUE[1] > 0 AND 3 <> ALL (VALUE)",
        ),
        ("mood", "VALUE <> 'ok' OR VALUE IS NULL"),
        (
            "text",
            "to_tsvector('english', VALUE) @@ to_tsquery('pg_catalog.english', 'word')",
        ),
        (
            "int",
            "CASE WHEN VALUE > 3 THEN COALESCE(VALUE, 1) ELSE GREATEST(VALUE, 2) END > 0",
        ),
        (
            "text",
            "(VALUE, 'a') < ('b', 'c') AND VALUE IS DISTINCT FROM 'x' AND NULLIF(VALUE, 'y') COLLATE \"C\" > 'z'",
        ),
    ];
    for (is_local, list) in [(true, stay), (false, go)] {
        for (of, check) in list {
            let sql = format!(
                "CREATE TABLE t (id int PRIMARY KEY, v {of}, CONSTRAINT the_check CHECK ({}), w {of} CONSTRAINT of_w CHECK ({})); \
                 CREATE DOMAIN d AS {of} CONSTRAINT of_d CHECK ({check}); ALTER TABLE t ADD x d; SELECT electric.enable('t'); \
                 ALTER TABLE t ADD y {of} CONSTRAINT of_y CHECK ({}); SELECT electric.disable('t'); DROP TABLE t; DROP DOMAIN d",
                check.replace("VALUE", "v"),
                check.replace("VALUE", "w"),
                check.replace("VALUE", "y"),
            );
            let statements = said(&recorded_by(&database, &role, &sql));
            for name in ["the_check", "of_w", "of_d", "of_y"] {
                assert_eq!(
                    !statements.contains(name),
                    is_local,
                    "{name} {check}: {statements}"
                );
            }
        }
    }
}

/// Rows as a whole and the columns that the server adds are not the same elsewhere.
#[test]
fn fault_02_checks_of_whole_rows_and_system_columns_stay() {
    let (database, role) = with_owner();
    for (number, check) in [
        "tableoid > 0",
        "t IS NOT NULL",
        "(t).id > 0",
        "row_to_json(t)::text <> ''",
    ]
    .iter()
    .enumerate()
    {
        let check = check.replace("(t)", &format!("(t{number})"));
        let check = match check.strip_prefix("t ") {
            Some(rest) => format!("t{number} {rest}"),
            None => check,
        };
        let sql = format!(
            "CREATE TABLE t{number} (id int PRIMARY KEY, CONSTRAINT the_check CHECK ({check})); SELECT electric.enable('t{number}')"
        );
        let statements = said(&recorded_by(&database, &role, &sql));
        let plain = check == format!("(t{number}).id > 0");
        assert_eq!(statements.contains("the_check"), plain, "{statements}");
    }
}

/// A trusted extension of one function, a domain and an operator, for the length of a test.
struct Trusted {
    name: String,
    files: Vec<std::path::PathBuf>,
}

impl Trusted {
    /// `None` where the server's files are not ours to write.
    fn install(database: &Database<'_>, number: u32) -> Option<Trusted> {
        let sql = "SELECT setting FROM pg_config WHERE name = 'SHAREDIR'";
        let directory =
            std::path::PathBuf::from(text(&mut database.client(), sql)).join("extension");
        let name = format!("electric_trusted_{}_{number}", std::process::id());
        let files = vec![
            directory.join(format!("{name}.control")),
            directory.join(format!("{name}--1.sql")),
        ];
        let script = "CREATE FUNCTION same(text) RETURNS text LANGUAGE internal IMMUTABLE STRICT AS 'textin'; \
                      CREATE OR REPLACE FUNCTION same(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'; \
                      CREATE FUNCTION alike(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2'; \
                      CREATE OPERATOR ==== (FUNCTION = alike, LEFTARG = text, RIGHTARG = text); \
                      CREATE DOMAIN word AS text CHECK (VALUE <> ''); CREATE TYPE hue AS ENUM ('red', 'green');";
        let control = "default_version = '1'\ntrusted = true\nrelocatable = true\n";
        if std::fs::write(&files[0], control).is_err() || std::fs::write(&files[1], script).is_err()
        {
            eprintln!("not tried: {} is not ours to write", directory.display());
            return None;
        }
        Some(Trusted { name, files })
    }
}

impl Drop for Trusted {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Everything that may call `evil(text)`, `evil_is(text, text)`, the operator `====!` over it or the domain `evil_word`.
const CALLERS: &str = "
    CREATE DOMAIN public.checked AS text CHECK (mallory.evil(VALUE) IS NOT NULL);
    CREATE DOMAIN public.given AS text DEFAULT mallory.evil('x');
    CREATE TABLE public.t (id int PRIMARY KEY, v text DEFAULT mallory.evil('x') CHECK (mallory.evil(v) IS NOT NULL),
        o text CHECK (o OPERATOR(mallory.===!) 'x'), c public.checked, g public.given,
        w text CHECK (w::mallory.evil_word IS NOT NULL), EXCLUDE (id WITH =) WHERE (mallory.evil(v) = 'x'));
    CREATE INDEX i ON public.t (mallory.evil(v));
    CREATE INDEX j ON public.t (id) WHERE v OPERATOR(mallory.===!) 'x';";

#[test]
fn fault_05_members_that_an_ordinary_role_added_stay() {
    let (database, role) = with_owner();
    let Some(trusted) = Trusted::install(&database, 1) else {
        return;
    };
    // The role owns the extension, as who created it.
    run(
        &mut database.client_as(&role),
        &format!(
            "CREATE SCHEMA mallory; CREATE EXTENSION {0}; \
             CREATE FUNCTION mallory.evil(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1'; \
             CREATE FUNCTION mallory.evil_is(text, text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true'; \
             CREATE OPERATOR mallory.===! (FUNCTION = mallory.evil_is, LEFTARG = text, RIGHTARG = text); \
             CREATE DOMAIN mallory.evil_word AS text CHECK (VALUE <> ''); \
             ALTER EXTENSION {0} ADD FUNCTION mallory.evil(text); ALTER EXTENSION {0} ADD FUNCTION mallory.evil_is(text, text); \
             ALTER EXTENSION {0} ADD OPERATOR mallory.===! (text, text); ALTER EXTENSION {0} ADD DOMAIN mallory.evil_word",
            trusted.name
        ),
    );
    let statements = said(&recorded_by(
        &database,
        &role,
        &format!("{CALLERS} SELECT electric.enable('public.t')"),
    ));
    assert!(!statements.contains("evil"), "{statements}");
    assert!(!statements.contains("===!"), "{statements}");
    assert!(!statements.contains(&trusted.name), "{statements}");
    // A column of such a domain: it is made there like any other of a user's.
    let statements = said(&recorded_by(
        &database,
        &role,
        "ALTER TABLE public.t ADD COLUMN e mallory.evil_word",
    ));
    assert!(
        statements.contains("CREATE DOMAIN \"mallory\".\"evil_word\" AS text"),
        "{statements}"
    );
    assert!(!statements.contains(&trusted.name), "{statements}");
}

/// A superuser's extension does not lend its name to what belongs to another role.
#[test]
fn fault_05_members_of_ordinary_roles_stay_in_a_superusers_extension_too() {
    let (database, role) = with_owner();
    let Some(trusted) = Trusted::install(&database, 2) else {
        return;
    };
    run(
        &mut database.client(),
        &format!(
            "CREATE SCHEMA ext; CREATE EXTENSION {} SCHEMA ext; GRANT USAGE ON SCHEMA ext TO PUBLIC",
            trusted.name
        ),
    );
    run(
        &mut database.client_as(&role),
        "CREATE SCHEMA mallory; \
         CREATE FUNCTION mallory.evil(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1'; \
         CREATE FUNCTION mallory.evil_is(text, text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true'; \
         CREATE OPERATOR mallory.===! (FUNCTION = mallory.evil_is, LEFTARG = text, RIGHTARG = text); \
         CREATE DOMAIN mallory.evil_word AS text CHECK (VALUE <> '')",
    );
    // An operator of a superuser's over a function that is not.
    run(
        &mut database.client(),
        &format!(
            "ALTER EXTENSION {0} ADD FUNCTION mallory.evil(text); ALTER EXTENSION {0} ADD FUNCTION mallory.evil_is(text, text); \
             ALTER OPERATOR mallory.===! (text, text) OWNER TO postgres; \
             ALTER EXTENSION {0} ADD OPERATOR mallory.===! (text, text); ALTER EXTENSION {0} ADD DOMAIN mallory.evil_word",
            trusted.name
        ),
    );
    let statements = said(&recorded_by(
        &database,
        &role,
        &format!("{CALLERS} SELECT electric.enable('public.t')"),
    ));
    assert!(!statements.contains("evil"), "{statements}");
    assert!(!statements.contains("===!"), "{statements}");
    // What the extension itself brings goes over, with the extension before it.
    let statements = said(&recorded_by(
        &database,
        &role,
        "CREATE TABLE public.u (id int PRIMARY KEY, v text CHECK (ext.same(v) OPERATOR(ext.====) 'x'), w ext.word, h ext.hue); \
         CREATE INDEX i2 ON public.u (ext.same(v)); SELECT electric.enable('public.u')",
    ));
    for words in [
        format!(
            "CREATE EXTENSION IF NOT EXISTS \"{}\" WITH SCHEMA \"ext\"",
            trusted.name
        ),
        "OPERATOR(ext.====)".to_owned(),
        "\"w\" ext.word".to_owned(),
        "\"h\" ext.hue".to_owned(),
        "(ext.same(v))".to_owned(),
    ] {
        assert!(statements.contains(&words), "{words}: {statements}");
    }
    assert!(
        !statements.contains("CREATE DOMAIN \"ext\""),
        "{statements}"
    );
}

/// An extension that an ordinary role created: its types go over with it, what is called does not.
#[test]
fn fault_05_an_ordinary_roles_extension_brings_its_types_alone() {
    let (database, role) = with_owner();
    let Some(trusted) = Trusted::install(&database, 3) else {
        return;
    };
    let statements = said(&recorded_by(
        &database,
        &role,
        &format!(
            "CREATE SCHEMA ext; CREATE EXTENSION {} SCHEMA ext; \
             CREATE TABLE public.u (id int PRIMARY KEY, v text CHECK (ext.same(v) = 'x'), w ext.word, h ext.hue UNIQUE, \
                 d text DEFAULT ext.same('x')); \
             CREATE INDEX i2 ON public.u (ext.same(v)); CREATE INDEX i3 ON public.u (h); SELECT electric.enable('public.u')",
            trusted.name
        ),
    ));
    assert!(!statements.contains("same("), "{statements}");
    for words in [
        "\"w\" ext.word",
        "\"h\" ext.hue",
        "UNIQUE (h)",
        "i3",
        &trusted.name,
    ] {
        assert!(statements.contains(words), "{words}: {statements}");
    }
}
