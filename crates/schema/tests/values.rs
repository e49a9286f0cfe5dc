//! Values from Postgres' text form to SQLite: the table of S6, arrays as JSON, and literals that SQLite reads back.

mod common;

use common::*;
use electric_schema::model::{ColumnType, TypeKind};
use electric_schema::value::SqliteValue::{self, Blob, Integer, Null, Real, Text};
use electric_schema::value::to_sqlite;

fn text(value: &str) -> SqliteValue {
    Text(value.into())
}

#[test]
fn scalars() {
    let cases: Vec<(ColumnType, &str, SqliteValue)> = vec![
        (base("bool"), "t", Integer(1)),
        (base("bool"), "f", Integer(0)),
        (base("bool"), "true", Integer(1)),
        (base("bool"), "false", Integer(0)),
        (domain(base("bool")), "t", Integer(1)),
        (base("int2"), "-32768", Integer(-32768)),
        (base("int4"), "0", Integer(0)),
        (base("int8"), "-9223372036854775808", Integer(i64::MIN)),
        (base("int8"), "9223372036854775807", Integer(i64::MAX)),
        (base("oid"), "4294967295", Integer(4294967295)),
        (base("float4"), "0.1", Real(0.1)),
        (base("float8"), "1e+20", Real(1e20)),
        (base("float8"), "5", Real(5.0)),
        (base("float8"), "Infinity", Real(f64::INFINITY)),
        (base("float8"), "-Infinity", Real(f64::NEG_INFINITY)),
        (base("float8"), "NaN", Null),
        (base("bytea"), "\\x", Blob(vec![])),
        (base("bytea"), "\\x00ff1A", Blob(vec![0, 255, 26])),
        (extension("citext"), "AbC", text("AbC")),
        (
            enumeration("status"),
            "it's \"open\"",
            text("it's \"open\""),
        ),
        (enumeration("bool"), "t", text("t")),
    ];
    for (data_type, value, expected) in cases {
        assert_eq!(
            to_sqlite(&data_type, Some(value)),
            Ok(expected),
            "{} {value}",
            data_type.sql
        );
        assert_eq!(to_sqlite(&data_type, None), Ok(Null));
    }
    for (name, value) in [
        ("numeric", "1.50"),
        ("numeric", "NaN"),
        ("money", "$1,000.00"),
        ("text", ""),
        ("text", "{a,b}"),
        ("varchar", "x\ny\\z"),
        ("bpchar", "ab   "),
        ("uuid", "00000000-0000-0000-0000-000000000001"),
        ("date", "infinity"),
        ("timestamptz", "2024-02-29 12:00:00.5+00"),
        ("interval", "1 mon -2 days"),
        ("jsonb", "{\"a\": [1, null]}"),
        ("bit", "0101"),
        ("tsvector", "'a':1 'b''c':2"),
        ("box", "(1,1),(0,0)"),
    ] {
        assert_eq!(to_sqlite(&base(name), Some(value)), Ok(text(value)));
    }
}

#[test]
fn minus_zero_is_what_sqlite_makes_of_it() {
    let sqlite = rusqlite::Connection::open_in_memory().unwrap();
    let sql = "CREATE TABLE t (x REAL) STRICT; INSERT INTO t VALUES (-0.0)";
    sqlite.execute_batch(sql).unwrap();
    let stored: f64 = sqlite
        .query_row("SELECT x FROM t", [], |row| row.get(0))
        .unwrap();
    assert!(stored.is_sign_positive());
    for name in ["float4", "float8"] {
        assert_eq!(to_sqlite(&base(name), Some("-0")).unwrap().literal(), "0.0");
    }
}

#[test]
fn what_is_no_value_of_its_type() {
    for (data_type, value) in [
        (base("bool"), "yes"),
        (base("int4"), ""),
        (base("int8"), "9223372036854775808"),
        (base("float8"), "one"),
        (base("bytea"), "abc"),
        (base("bytea"), "\\x0"),
        (base("bytea"), "\\x0g"),
        (base("bytea"), "\\xé"),
        (base("record"), "(1)"),
        (array(base("int4"), 1), ""),
        (array(base("int4"), 1), "1"),
        (array(base("int4"), 1), "{"),
        (array(base("int4"), 1), "{1"),
        (array(base("int4"), 1), "{1,}"),
        (array(base("int4"), 1), "{,1}"),
        (array(base("int4"), 1), "{1}}"),
        (array(base("int4"), 1), "{1}{2}"),
        (array(base("int4"), 1), "{{1}{2}}"),
        (array(base("int4"), 1), "{1{2}}"),
        (array(base("int4"), 1), "{a}"),
        (array(base("int4"), 1), "[1:2"),
        (array(base("bool"), 1), "{x}"),
        (array(base("text"), 1), "{\"a}"),
        (array(base("text"), 1), "{\"a\"b}"),
        (array(base("text"), 1), "{a\\"),
    ] {
        let error = to_sqlite(&data_type, Some(value)).expect_err(value);
        assert_eq!(
            (error.data_type, error.value),
            (data_type.sql, value.to_owned())
        );
    }
    assert!(
        to_sqlite(&array(base("int4"), 1), Some(&"{".repeat(100_000))).is_err(),
        "depth is bounded"
    );
}

#[test]
fn arrays_are_json() {
    let of = |name: &str| array(base(name), 1);
    let cases: Vec<(ColumnType, &str, &str)> = vec![
        (of("int4"), "{}", "[]"),
        (of("int4"), "{1,NULL,-3}", "[1,null,-3]"),
        (of("int8"), "{9223372036854775807}", "[9223372036854775807]"),
        (array(base("int4"), 2), "{{1,2},{3,4}}", "[[1,2],[3,4]]"),
        (of("int4"), "{{{1}},{{2}}}", "[[[1]],[[2]]]"),
        (of("int4"), "[2:4]={1,2,3}", "[1,2,3]"),
        (of("int4"), "[-1:0][2:3]={{1,2},{3,4}}", "[[1,2],[3,4]]"),
        (of("bool"), "{t,f,NULL}", "[true,false,null]"),
        (
            of("text"),
            "{a,\"b c\",NULL,\"NULL\",null}",
            r#"["a","b c",null,"NULL",null]"#,
        ),
        (
            of("text"),
            r#"{"",",","{}","\"","\\","a\\\"b"}"#,
            r#"["",",","{}","\"","\\","a\\\"b"]"#,
        ),
        (
            of("text"),
            "{\"a\nb\",\"ü🐘\",\"\t\u{1}\"}",
            "[\"a\\nb\",\"ü🐘\",\"\\t\\u0001\"]",
        ),
        (of("text"), "{\"[1:2]={x}\"}", r#"["[1:2]={x}"]"#),
        (of("varchar"), "{1,t}", r#"["1","t"]"#),
        (
            of("numeric"),
            "{1.50,NaN,-0.10,Infinity}",
            r#"[1.50,"NaN",-0.10,"Infinity"]"#,
        ),
        (
            of("numeric"),
            "{123456789012345678901234567890.123456789}",
            "[123456789012345678901234567890.123456789]",
        ),
        (
            of("float8"),
            "{0.1,1e+20,1e-07,-0,NaN,-Infinity}",
            r#"[0.1,1e+20,1e-07,-0,"NaN","-Infinity"]"#,
        ),
        (
            of("money"),
            "{$1.00,\"$1,000.00\"}",
            r#"["$1.00","$1,000.00"]"#,
        ),
        (
            of("jsonb"),
            r#"{"{\"a\": [1, \"x,y\"]}",1,NULL,"null","\"s\""}"#,
            r#"[{"a": [1, "x,y"]},1,null,null,"s"]"#,
        ),
        (of("bytea"), r#"{"\\x00ff","\\x"}"#, r#"["\\x00ff","\\x"]"#),
        (
            of("uuid"),
            "{00000000-0000-0000-0000-000000000001}",
            r#"["00000000-0000-0000-0000-000000000001"]"#,
        ),
        (
            of("timestamptz"),
            "{\"2024-02-29 12:00:00+00\"}",
            r#"["2024-02-29 12:00:00+00"]"#,
        ),
        (
            of("interval"),
            "{\"1 day\",01:00:00}",
            r#"["1 day","01:00:00"]"#,
        ),
        (
            of("box"),
            "{(1,1),(0,0);(2,2),(1,1)}",
            r#"["(1,1),(0,0)","(2,2),(1,1)"]"#,
        ),
        (of("point"), "{\"(1,2)\"}", r#"["(1,2)"]"#),
        (array(enumeration("box"), 1), "{a,b}", r#"["a","b"]"#),
        (array(enumeration("int4"), 1), "{a,1}", r#"["a","1"]"#),
        (array(domain(base("int4")), 1), "{1,2}", "[1,2]"),
        (domain(of("int4")), "{1,2}", "[1,2]"),
        (
            array(domain(of("int4")), 1),
            "{\"{1,2}\",\"{3}\"}",
            "[[1,2],[3]]",
        ),
        (
            array(domain(base("box")), 1),
            "{(1,1),(0,0);(2,2),(1,1)}",
            r#"["(1,1),(0,0)","(2,2),(1,1)"]"#,
        ),
        (
            array(made_of(TypeKind::Range, "r", base("int4")), 1),
            "{\"[1,3)\",empty}",
            r#"["[1,3)","empty"]"#,
        ),
    ];
    let db = replica();
    for (data_type, value, expected) in cases {
        assert_eq!(
            to_sqlite(&data_type, Some(value)),
            Ok(text(expected)),
            "{} {value}",
            data_type.sql
        );
        let valid: bool = db
            .query_row("SELECT json_valid(?)", [expected], |row| row.get(0))
            .expect("runs");
        assert!(valid, "{expected}");
    }
}

#[test]
fn literals_read_back() {
    let db = replica();
    let integers = [0, 1, -1, i64::MAX, i64::MIN, i64::MIN + 1].map(Integer);
    let texts = ["", "it's", "a\\n", "line\nbreak", "ü🐘", "\"", "--", "?1"].map(text);
    let reals = [
        0.0,
        -0.0,
        1.0,
        -1.5,
        0.1,
        1e20,
        1e-7,
        123456789.123,
        f64::MAX,
        f64::MIN_POSITIVE,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ]
    .map(Real);
    let blobs = [vec![], vec![0, 255, 16]].map(Blob);
    for value in integers
        .into_iter()
        .chain(texts)
        .chain(reals)
        .chain(blobs)
        .chain([Null])
    {
        let literal = value.literal();
        let read: SqliteValue = db
            .query_row(&format!("SELECT {literal}"), [], |row| {
                Ok(match row.get_ref(0)? {
                    rusqlite::types::ValueRef::Null => Null,
                    rusqlite::types::ValueRef::Integer(value) => Integer(value),
                    rusqlite::types::ValueRef::Real(value) => Real(value),
                    rusqlite::types::ValueRef::Text(value) => text(&String::from_utf8_lossy(value)),
                    rusqlite::types::ValueRef::Blob(value) => Blob(value.to_vec()),
                })
            })
            .unwrap_or_else(|error| panic!("{literal}: {error}"));
        assert_eq!(read, value, "{literal}");
    }
    assert_eq!(Real(f64::NAN).literal(), "NULL");
    assert_eq!(Real(5.0).literal(), "5.0");
    assert_eq!(Blob(vec![0, 255]).literal(), "X'00FF'");
}

/// The same through a DEFAULT, as the columns of tables have them and as columns added later have them.
#[test]
fn literals_as_defaults() {
    for (data_type, value, expected) in [
        (
            base("int8"),
            "-9223372036854775808",
            "-9223372036854775808|integer",
        ),
        (base("int8"), "-1", "-1|integer"),
        (base("bool"), "t", "1|integer"),
        (base("float8"), "Infinity", "Inf|real"),
        (base("float8"), "-Infinity", "-Inf|real"),
        (base("float8"), "5", "5.0|real"),
        (base("float8"), "-1e-07", "-1.0e-07|real"),
        (base("bytea"), "\\x00ff", "\u{0}�|blob"),
        (base("text"), "it's\n", "it's\n|text"),
        (array(base("text"), 1), "{a,NULL}", "[\"a\",null]|text"),
    ] {
        let db = replica();
        let added = with_default(column("b", data_type.clone()), value);
        let mut shape = table("t", vec![required("id", base("int4"))]);
        migrate(
            &db,
            &electric_schema::dialect::sqlite::statements(&create_table(), Some(&shape)),
        );
        db.execute("INSERT INTO t (id) VALUES (1)", [])
            .expect("inserts");
        shape.columns.push(added.clone());
        let change = electric_schema::change::Change::AddColumn {
            column: added,
            existing_value: Some(value.into()),
            constraints: vec![],
            foreign_keys: vec![],
        };
        migrate(
            &db,
            &electric_schema::dialect::sqlite::statements(&change, Some(&shape)),
        );
        db.execute("INSERT INTO t (id) VALUES (2)", [])
            .expect("inserts");
        for id in [1, 2] {
            let read: Vec<u8> = db
                .query_row(
                    "SELECT CAST(b || '|' || typeof(b) AS BLOB) FROM t WHERE id = ?",
                    [id],
                    |row| row.get(0),
                )
                .expect("reads");
            assert_eq!(
                String::from_utf8_lossy(&read),
                expected,
                "row {id} of {}",
                data_type.sql
            );
        }
    }
}
