//! S6: every type, on its way from Postgres through the stream into SQLite.

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, run, text, words};
use electric_tests::replica::Replica;
use rusqlite::types::Value;

/// A type, its SQLite storage class, and values worth a look as SQL literals.
const TYPES: &[(&str, &str, &[&str])] = &[
    ("boolean", "INTEGER", &["true", "false"]),
    ("smallint", "INTEGER", &["-32768", "32767"]),
    ("integer", "INTEGER", &["-2147483648", "0"]),
    (
        "bigint",
        "INTEGER",
        &["-9223372036854775808", "9223372036854775807"],
    ),
    ("oid", "INTEGER", &["4294967295"]),
    (
        "real",
        "REAL",
        &["1.1", "'NaN'", "'-Infinity'", "3.4e38", "1e-40"],
    ),
    (
        "double precision",
        "REAL",
        &[
            "0.1",
            "'NaN'",
            "'Infinity'",
            "1",
            "-0.0",
            "1.7976931348623157e308",
            "5e-324",
        ],
    ),
    (
        "numeric",
        "TEXT",
        &[
            "123456789012345678901234567890.12345",
            "'NaN'",
            "'Infinity'",
            "1.10",
        ],
    ),
    ("numeric(10,2)", "TEXT", &["1.1", "-99999999.99"]),
    ("numeric(3,-2)", "TEXT", &["12345"]),
    ("money", "TEXT", &["'$1,234.56'", "-0.01"]),
    (
        "text",
        "TEXT",
        &[
            "''",
            "'it''s \\ \"é\" 💡'",
            "E'two\\nlines\\ttab'",
            "'NULL'",
            "repeat('long', 5000)",
            "'1e5'",
        ],
    ),
    ("varchar", "TEXT", &["' x '"]),
    ("varchar(5)", "TEXT", &["'12345'"]),
    ("char(5)", "TEXT", &["'ab'"]),
    ("name", "TEXT", &["'a name'"]),
    ("uuid", "TEXT", &["'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'"]),
    (
        "date",
        "TEXT",
        &["'2024-02-29'", "'infinity'", "'0044-03-15 BC'"],
    ),
    ("time", "TEXT", &["'23:59:59.999999'", "'24:00'"]),
    ("time(3)", "TEXT", &["'12:34:56.789123'"]),
    ("timetz", "TEXT", &["'12:34:56+05:30'"]),
    (
        "timestamp",
        "TEXT",
        &[
            "'2024-02-29 12:34:56.789'",
            "'-infinity'",
            "'0001-01-01 BC'",
        ],
    ),
    ("timestamp(0)", "TEXT", &["'2024-02-29 12:34:56.789'"]),
    (
        "timestamptz",
        "TEXT",
        &["'2024-02-29 12:34:56.789+02'", "'infinity'"],
    ),
    ("timestamptz(3)", "TEXT", &["'2024-02-29 12:34:56.7891+02'"]),
    (
        "interval",
        "TEXT",
        &["'1 year -2 days 03:04:05.6'", "'-1 mon'"],
    ),
    (
        "interval day to second(1)",
        "TEXT",
        &["'2 days 03:04:05.67'"],
    ),
    ("inet", "TEXT", &["'192.168.0.1/24'", "'10.0.0.1'", "'::1'"]),
    ("cidr", "TEXT", &["'10.0.0.0/8'"]),
    ("macaddr", "TEXT", &["'08:00:2b:01:02:03'"]),
    ("json", "TEXT", &["'{\"b\" : 1,  \"a\":[null]}'", "'null'"]),
    (
        "jsonb",
        "TEXT",
        &["'{\"b\" : 1, \"a\":[1.10, \"é\"]}'", "'\"x\"'"],
    ),
    ("bit(3)", "TEXT", &["B'101'"]),
    ("varbit", "TEXT", &["B'0101'", "B''"]),
    ("bytea", "BLOB", &["'\\x00ff5c27'", "''"]),
    ("int4range", "TEXT", &["'[1,5]'", "'empty'"]),
    ("numrange", "TEXT", &["'(1.5,)'"]),
    (
        "tstzrange",
        "TEXT",
        &["'[2024-01-01 00:00+05, 2024-01-02 00:00+05)'"],
    ),
    ("daterange", "TEXT", &["'[2024-01-01,2024-01-02]'"]),
    ("int8multirange", "TEXT", &["'{[1,2),[5,9)}'", "'{}'"]),
    ("tsvector", "TEXT", &["'a:1 fat:2,3A cat''s'::tsvector"]),
    ("point", "TEXT", &["'(1.5,-2)'"]),
    ("line", "TEXT", &["'{1,2,3}'"]),
    ("lseg", "TEXT", &["'[(0,0),(1,1)]'"]),
    ("box", "TEXT", &["'(2,2),(0,0)'"]),
    ("path", "TEXT", &["'[(0,0),(1,1)]'", "'((0,0),(1,1))'"]),
    ("polygon", "TEXT", &["'((0,0),(1,1),(1,0))'"]),
    ("circle", "TEXT", &["'<(0,0),1>'"]),
    (
        "integer[]",
        "TEXT",
        &["'{1,NULL,3}'", "'{}'", "'{{1,2},{3,4}}'", "'[2:3]={1,2}'"],
    ),
    ("bigint[]", "TEXT", &["'{9223372036854775807}'"]),
    ("boolean[]", "TEXT", &["'{t,f,NULL}'"]),
    (
        "text[][]",
        "TEXT",
        &["ARRAY[['a,b','\"q\"'],['\\x','NULL']]", "'{NULL,\"\"}'"],
    ),
    ("varchar(3)[]", "TEXT", &["'{abc,d}'"]),
    ("double precision[]", "TEXT", &["'{0.1,NaN,Infinity}'"]),
    ("numeric(10,2)[]", "TEXT", &["'{1.1,2}'"]),
    (
        "timestamptz[]",
        "TEXT",
        &["ARRAY['2024-01-01 00:00+05'::timestamptz]"],
    ),
    ("bytea[]", "TEXT", &["ARRAY['\\x00ff'::bytea]"]),
    ("jsonb[]", "TEXT", &["ARRAY['{\"a\": 1}'::jsonb, 'null']"]),
    ("box[]", "TEXT", &["'{(2,2),(0,0);(3,3),(1,1)}'"]),
    ("mood", "TEXT", &["'it''s'", "'1, \"2\"'"]),
    ("mood[]", "TEXT", &["'{sad,\"it''s\",NULL}'"]),
    ("positive", "INTEGER", &["7"]),
    ("stacked", "INTEGER", &["8"]),
    ("positive[]", "TEXT", &["'{1,2}'"]),
    ("few", "TEXT", &["'{a,b}'"]),
    ("words", "TEXT", &["'[a,b)'"]),
    ("wordsmulti", "TEXT", &["'{[a,b)}'"]),
];

/// Types of contrib extensions, where the server has them.
const EXTENSIONS: &[(&str, &str, &[&str])] = &[
    ("citext", "citext", &["'MiXed'"]),
    ("ltree", "ltree", &["'Top.Science'"]),
    ("hstore", "hstore", &["'a=>1, b=>NULL'"]),
];

const DEFINITIONS: &str = "CREATE TYPE mood AS ENUM ('sad', 'it''s', '1, \"2\"'); \
    CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN stacked AS positive CHECK (VALUE < 100); \
    CREATE DOMAIN few AS text[] CHECK (cardinality(VALUE) < 9); \
    CREATE TYPE words AS RANGE (subtype = text, multirange_type_name = wordsmulti);";

fn database() -> Database<'static> {
    let database = Cluster::shared().database();
    run(&mut database.client(), DEFINITIONS);
    database
}

/// All types, with those of extensions that this server has, which are created.
fn types(database: &Database<'_>) -> Vec<(&'static str, &'static str, &'static [&'static str])> {
    let mut types = TYPES.to_vec();
    let with_xml =
        "SELECT count(*)::text FROM pg_config WHERE name = 'CONFIGURE' AND setting ~ 'with-libxml'";
    if text(&mut database.client(), with_xml) == "1" {
        types.push(("xml", "TEXT", &["'<a b=\"c\">d</a>'"]));
    }
    for (extension, name, values) in EXTENSIONS {
        if database.offers(extension) {
            run(
                &mut database.client(),
                &format!("CREATE EXTENSION {extension}"),
            );
            types.push((name, "TEXT", values));
        }
    }
    types
}

#[test]
fn rows_of_every_type_reach_sqlite() {
    let database = database();
    let types = types(&database);
    let columns: Vec<_> = types
        .iter()
        .enumerate()
        .map(|(i, t)| format!("c{i} {}", t.0))
        .collect();
    run(
        &mut database.client(),
        &format!(
            "CREATE TABLE t (id serial PRIMARY KEY, {}); INSERT INTO t DEFAULT VALUES; SELECT electric.enable('t')",
            columns.join(", ")
        ),
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    for (i, (_, _, values)) in types.iter().enumerate() {
        for value in *values {
            run(
                &mut database.client(),
                &format!("INSERT INTO t (c{i}) VALUES ({value})"),
            );
            run(
                &mut database.client(),
                &format!("UPDATE t SET c{i} = {value} WHERE id = 1"),
            );
        }
    }
    run(&mut database.client(), "UPDATE t SET c0 = NOT c0");
    replica.must_agree();
    for (i, (name, class, _)) in types.iter().enumerate() {
        let sql = format!("SELECT type FROM pragma_table_info('t') WHERE name = 'c{i}'");
        let found: String = replica
            .sqlite()
            .query_row(&sql, [], |row| row.get(0))
            .unwrap();
        assert_eq!(found, *class, "{name}");
    }
}

#[test]
fn columns_of_every_type_can_be_added_with_and_without_a_default() {
    let database = database();
    let types = types(&database);
    run(
        &mut database.client(),
        "CREATE TABLE t (id serial PRIMARY KEY); INSERT INTO t DEFAULT VALUES; SELECT electric.enable('t')",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    for (i, (name, _, values)) in types.iter().enumerate() {
        let last = values[values.len() - 1];
        run(
            &mut database.client(),
            &format!("ALTER TABLE t ADD COLUMN plain_{i} {name}"),
        );
        run(
            &mut database.client(),
            &format!("ALTER TABLE t ADD COLUMN filled_{i} {name} DEFAULT {last}"),
        );
        run(
            &mut database.client(),
            &format!(
                "ALTER TABLE t ADD COLUMN required_{i} {name} NOT NULL DEFAULT {}",
                values[0]
            ),
        );
    }
    // The row that was there has the values in SQLite, without having been sent.
    replica.must_agree();
    run(&mut database.client(), "INSERT INTO t DEFAULT VALUES");
    replica.must_agree();
}

#[test]
fn tables_of_every_type_can_have_defaults_when_they_are_enabled() {
    let database = database();
    let types = types(&database);
    let columns: Vec<_> = types
        .iter()
        .enumerate()
        .map(|(i, t)| format!("c{i} {} NOT NULL DEFAULT {}", t.0, t.2[0]))
        .collect();
    run(
        &mut database.client(),
        &format!(
            "CREATE TABLE t (id serial PRIMARY KEY, {}); INSERT INTO t DEFAULT VALUES; SELECT electric.enable('t')",
            columns.join(", ")
        ),
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(&mut database.client(), "INSERT INTO t DEFAULT VALUES");
    replica.must_agree();
}

#[test]
fn every_usable_type_can_be_a_key() {
    let database = database();
    for (i, (name, _, values)) in types(&database).into_iter().enumerate() {
        let usable = format!(
            "CREATE TABLE k{i} (id {name} PRIMARY KEY, n int DEFAULT 0); INSERT INTO k{i} VALUES ({}); \
             SELECT FROM k{i} WHERE id >= (SELECT id FROM k{i})",
            values[0]
        );
        // What cannot be compared is no key in Postgres either. NaN is no key of SQLite.
        if values[0] == "'NaN'" || database.client().batch_execute(&usable).is_err() {
            continue;
        }
        run(
            &mut database.client(),
            &format!("SELECT electric.enable('k{i}')"),
        );
    }
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    let tables: Vec<String> = replica.shapes().keys().cloned().collect();
    assert!(tables.len() > 40, "{tables:?}");
    for table in tables {
        run(&mut database.client(), &format!("UPDATE {table} SET n = 1"));
        run(
            &mut database.client(),
            &format!(
                "CREATE TEMPORARY TABLE kept AS SELECT * FROM {table}; DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept"
            ),
        );
    }
    replica.must_agree();
}

#[test]
fn the_forms_in_sqlite_are_the_contracts() {
    let database = database();
    run(
        &mut database.client(),
        "CREATE TABLE t (id int PRIMARY KEY, b boolean, bytes bytea, nan float8, a int[], at timestamptz, t text[], \
         big numeric, h interval); SELECT electric.enable('t')",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    run(
        &mut database.client(),
        "INSERT INTO t VALUES (1, true, '\\x00ff', 'NaN', '{{1,2},{NULL,4}}', '2024-02-29 12:00:00+02', \
         ARRAY['a\"b', NULL], 1e30, '1 day')",
    );
    replica.must_agree();
    let values: Vec<Value> = replica
        .sqlite()
        .query_row("SELECT * FROM t", [], |row| {
            (0..9).map(|i| row.get(i)).collect()
        })
        .unwrap();
    let expected = [
        Value::Integer(1),
        Value::Integer(1),
        Value::Blob(vec![0, 255]),
        Value::Null,
        Value::Text("[[1,2],[null,4]]".into()),
        Value::Text("2024-02-29 10:00:00+00".into()),
        Value::Text("[\"a\\\"b\",null]".into()),
        Value::Text(format!("1{}", "0".repeat(30))),
        Value::Text("1 day".into()),
    ];
    assert_eq!(values, expected);
}

#[test]
fn a_default_that_is_evaluated_is_recorded_evaluated() {
    let database = database().items();
    run(
        &mut database.client(),
        "INSERT INTO items VALUES (1, 'x'), (2, 'y')",
    );
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    let mut client = database.client();
    run(
        &mut client,
        "SET TimeZone = '<+05>-05'; SET DateStyle = 'German'; ALTER TABLE items ADD COLUMN created timestamptz DEFAULT now(), \
         ADD COLUMN local timestamp NOT NULL DEFAULT now(), ADD COLUMN day date DEFAULT current_date, \
         ADD COLUMN who name DEFAULT current_user, ADD COLUMN sum int DEFAULT 1 + 1, \
         ADD COLUMN upper text DEFAULT upper('x'), ADD COLUMN zone text DEFAULT current_setting('TimeZone')",
    );
    run(
        &mut client,
        "SELECT pg_sleep(0.01); INSERT INTO items (id) VALUES (3)",
    );
    replica.must_agree();
    let command = database
        .commands()
        .into_iter()
        .find(|c| c.op["column"]["name"] == "created")
        .unwrap();
    let utc = "SELECT to_char(created AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') FROM items WHERE id = 1";
    assert!(
        command.sqlite.concat().contains(&text(&mut client, utc)),
        "{:?}",
        command.sqlite
    );
}

#[test]
fn a_user_defined_function_in_a_default_stays_on_the_server() {
    let database = database().items();
    run(&mut database.client(), "INSERT INTO items VALUES (1, 'x')");
    let (mut replica, _) = Replica::follow(&database, None).unwrap();
    let new = database.recorded(
        "CREATE FUNCTION answer() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 42'; \
         ALTER TABLE items ADD COLUMN a int DEFAULT answer(); INSERT INTO items (id) VALUES (2)",
    );
    assert_eq!(words(&new), [("add_column", "public.items")]);
    assert!(
        !new[0].postgres.concat().contains("answer"),
        "{:?}",
        new[0].postgres
    );
    replica.must_agree();
}

#[test]
fn enums_domains_and_ranges_are_announced_before_the_table() {
    let database = database();
    let new = database.recorded(
        "CREATE TABLE t (id int PRIMARY KEY, m mood, ms mood[], s stacked, w words); SELECT electric.enable('t'); \
         CREATE TABLE again (id int PRIMARY KEY, m mood); SELECT electric.enable('again')",
    );
    let words = words(&new);
    assert_eq!(
        words.iter().filter(|w| w.0 == "create_type").count(),
        4,
        "{words:?}"
    );
    let place = |word| {
        words
            .iter()
            .position(|w| *w == word)
            .unwrap_or_else(|| panic!("no {word:?} in {words:?}"))
    };
    for name in [
        "public.mood",
        "public.positive",
        "public.stacked",
        "public.words",
    ] {
        assert!(
            place(("create_type", name)) < place(("create_table", "public.t")),
            "{words:?}"
        );
    }
    assert!(place(("create_type", "public.positive")) < place(("create_type", "public.stacked")));
    assert_eq!(words.last(), Some(&("create_table", "public.again")));
    let new = database.recorded("CREATE TYPE late AS ENUM ('x'); ALTER TABLE t ADD COLUMN l late");
    assert_eq!(
        self::words(&new),
        [("create_type", "public.late"), ("add_column", "public.t")]
    );
}

#[test]
fn types_outside_the_contract_are_refused() {
    let database = database().items();
    run(
        &mut database.client(),
        "CREATE TYPE pair AS (a int, b text); CREATE DOMAIN paired AS pair",
    );
    for name in [
        "pair",
        "pair[]",
        "paired",
        "pg_lsn",
        "tsquery",
        "xid8",
        "regclass",
        "pg_snapshot",
        "\"char\"",
    ] {
        let error = database.refused(&format!("ALTER TABLE items ADD COLUMN x {name}"), "0A000");
        error
            .about_table("public", "items")
            .about_column("x")
            .hinted();
        let sql =
            format!("CREATE TABLE t (id int PRIMARY KEY, x {name}); SELECT electric.enable('t')");
        database.refused(&sql, "0A000").detail_names(&["x"]);
    }
}
