//! Expressions as `pg_get_expr` and `pg_get_indexdef` print them, said in SQLite, and each tried there.

mod common;

use common::*;
use electric_schema::dialect::sqlite;
use electric_schema::expression::{index_key, predicate};
use electric_schema::model::Table;

fn items() -> Table {
    let mut items = table(
        "items",
        vec![
            required("id", base("uuid")),
            column("a", base("int4")),
            column("big", base("int8")),
            column("active", base("bool")),
            column("score", base("float8")),
            column("single", base("float4")),
            column("price", base("numeric")),
            column("status", base("text")),
            column("email", base("varchar")),
            column("code", base("bpchar")),
            column("folded", extension("citext")),
            column("state", enumeration("state")),
            column("day", base("date")),
            column("at", base("timestamptz")),
            column("data", base("bytea")),
            column("doc", base("jsonb")),
            column("tags", array(base("text"), 1)),
            column("span", base("interval")),
            column("dom", domain(base("text"))),
            column("Value", base("int4")),
            column("quo\"te", base("text")),
            column("ünï", base("int4")),
            // Printed bare by Postgres, yet words to a parser.
            column("date", base("date")),
            column("key", base("int4")),
            column("text", base("text")),
            column("first", base("int4")),
            column("nulls", base("int4")),
            column("lower", base("text")),
            column("not_c", base("text")),
            column("name", base("name")),
            column("oid", base("oid")),
            column("end", base("int4")),
            column("level", base("text")),
            column("time", base("time")),
            column("timestamp", base("timestamp")),
            column("interval_", base("text")),
        ],
    );
    let odd = items
        .columns
        .iter_mut()
        .find(|column| column.name == "not_c")
        .expect("is there");
    odd.collation = Some("public.insensitive".into());
    items
}

#[test]
fn predicates() {
    let items = items();
    let db = replica();
    migrate(&db, &sqlite::statements(&create_table(), Some(&items)));
    let cases = [
        ("(status = 'open'::text)", r#""status" = 'open'"#),
        (
            "(status <> 'it''s \\ \"x\"'::text)",
            r#""status" <> 'it''s \ "x"'"#,
        ),
        ("((email)::text = 'a'::text)", r#""email" = 'a'"#),
        ("((dom)::text = 'a'::text)", r#""dom" = 'a'"#),
        ("((folded)::text = 'a'::text)", r#""folded" = 'a'"#),
        ("(state = 'open'::public.state)", r#""state" = 'open'"#),
        ("active", r#""active""#),
        ("(NOT active)", r#"NOT "active""#),
        ("(active = true)", r#""active" = 1"#),
        (
            "(active AND (NOT (a > 0)))",
            r#""active" AND (NOT ("a" > 0))"#,
        ),
        (
            "((a > 0) AND (email IS NOT NULL))",
            r#"("a" > 0) AND ("email" IS NOT NULL)"#,
        ),
        (
            "((a > 0) AND (a < 9) AND (a <> 5))",
            r#"(("a" > 0) AND ("a" < 9)) AND ("a" <> 5)"#,
        ),
        (
            "((a <= 0) OR (big >= '-5'::integer) OR (a = key))",
            r#"(("a" <= 0) OR ("big" >= -5)) OR ("a" = "key")"#,
        ),
        (
            "(big = '9223372036854775807'::bigint)",
            r#""big" = 9223372036854775807"#,
        ),
        (
            "(big = '-9223372036854775808'::bigint)",
            r#""big" = -9223372036854775808"#,
        ),
        ("(big = (5)::bigint)", r#""big" = 5"#),
        ("(a > (- 5))", r#""a" > -5"#),
        ("(score > (0.5)::double precision)", r#""score" > 0.5"#),
        ("(score > (5)::double precision)", r#""score" > 5.0"#),
        (
            "(score < 'Infinity'::double precision)",
            r#""score" < 9e999"#,
        ),
        ("(single > '0.1'::real)", r#""single" > 0.1"#),
        (
            "(id = '00000000-0000-0000-0000-000000000001'::uuid)",
            r#""id" = '00000000-0000-0000-0000-000000000001'"#,
        ),
        ("(day = '2024-02-29'::date)", r#""day" = '2024-02-29'"#),
        ("(date = '2024-02-29'::date)", r#""date" = '2024-02-29'"#),
        (
            "(at = '2024-02-29 00:00:00+00'::timestamp with time zone)",
            r#""at" = '2024-02-29 00:00:00+00'"#,
        ),
        ("(data = '\\x00ff'::bytea)", r#""data" = X'00FF'"#),
        ("(doc IS NULL)", r#""doc" IS NULL"#),
        ("(tags IS NOT NULL)", r#""tags" IS NOT NULL"#),
        ("(\"Value\" > 0)", r#""Value" > 0"#),
        ("(\"quo\"\"te\" = 'x'::text)", r#""quo""te" = 'x'"#),
        ("(\"ünï\" = 1)", r#""ünï" = 1"#),
        ("(text = 'x'::text)", r#""text" = 'x'"#),
        (
            "(lower(email) = upper(text))",
            r#"lower("email") = upper("text")"#,
        ),
        (
            "(lower((email)::text) = 'a'::text)",
            r#"lower("email") = 'a'"#,
        ),
        ("(lower(lower) = 'a'::text)", r#"lower("lower") = 'a'"#),
        ("(first < nulls)", r#""first" < "nulls""#),
        ("(status = name)", r#""status" = "name""#),
        ("(name = 'x'::name)", r#""name" = 'x'"#),
        ("(oid = (5)::oid)", r#""oid" = 5"#),
        ("(\"end\" = 1)", r#""end" = 1"#),
        ("(level = 'x'::text)", r#""level" = 'x'"#),
        (
            "(\"time\" = '10:00:00'::time without time zone)",
            r#""time" = '10:00:00'"#,
        ),
        (
            "(\"timestamp\" = '2024-01-01 00:00:00'::timestamp without time zone)",
            r#""timestamp" = '2024-01-01 00:00:00'"#,
        ),
        (
            "(active AND ((a > 0) OR ((a < 5) AND (big = 3))))",
            r#""active" AND (("a" > 0) OR (("a" < 5) AND ("big" = 3)))"#,
        ),
        ("true", "1"),
    ];
    for (postgres, expected) in cases {
        let said = predicate(postgres, &items);
        assert_eq!(said.as_deref(), Some(expected), "{postgres}");
        db.execute_batch(&format!(
            "CREATE INDEX i ON items (id) WHERE {expected}; DROP INDEX i"
        ))
        .unwrap_or_else(|error| panic!("{expected}: {error}"));
    }
}

#[test]
fn what_cannot_be_said_as_a_predicate() {
    let items = items();
    for postgres in [
        // Not compared alike.
        "(status > 'a'::text)",
        "(price = 1.5)",
        "(price > (0)::numeric)",
        "((a)::numeric > 1.5)",
        "(code = 'ab'::bpchar)",
        "((code)::text = 'ab'::text)",
        "(folded = 'a'::public.citext)",
        "(folded OPERATOR(public.=) 'a'::public.citext)",
        "((email)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))",
        "(not_c = 'a'::text)",
        "(state > 'open'::public.state)",
        "(state = 'open'::public.other)",
        "(day > '2024-02-29'::date)",
        "(doc = '{}'::jsonb)",
        "(span = '1 day'::interval)",
        "(single > (0.1)::double precision)",
        "((single)::double precision > (0.1)::double precision)",
        "(tags = '{}'::text[])",
        "(at = day)",
        "(a = '99999999999999999999'::bigint)",
        "(a = 99999999999999999999)",
        "((email)::character varying(3) = 'abc'::character varying(3))",
        "(active > 0)",
        "(active = 1)",
        // Other words.
        "(a + 1) > 0",
        "(a % 2) = 0",
        "length(status) > 3",
        "(lower(status) ~~ 'a%'::text)",
        "public.lower(status) = 'a'::text",
        "\"Lower\"(status) = 'a'::text",
        "lower(span) = 'a'::text",
        "lower(status, 'x'::text) = 'a'::text",
        "lower() = 'a'::text",
        "lower(DISTINCT status) = 'a'::text",
        "((status)::text = ANY (ARRAY['a'::text, 'b'::text]))",
        "(status COLLATE \"C\" = 'a'::text)",
        "(a IS DISTINCT FROM 1)",
        "(active IS TRUE)",
        "CASE WHEN active THEN true ELSE false END",
        "(now() > at)",
        "((doc ->> 'a'::text) = 'b'::text)",
        "(items.a > 0)",
        "(ROW(a, big) = ROW(1, 2))",
        "(a BETWEEN 1 AND 2)",
        "(EXISTS (SELECT 1))",
        "(a = $1)",
        // Not true or false, or nothing at all.
        "a",
        "status",
        "(a AND active)",
        "(NOT a)",
        "'x'::text",
        "(missing IS NULL)",
        "(\"A\" > 0)",
        "NULL::boolean",
        "(a > 0) extra",
        "(a > 0); DROP TABLE items",
        "(a > 0",
        "'open",
        "",
    ] {
        assert_eq!(predicate(postgres, &items), None, "{postgres}");
    }
    let deep = format!("{}active{}", "(".repeat(4000), ")".repeat(4000));
    assert_eq!(predicate(&deep, &items), None);
    let long = vec!["(a > 0)"; 2000].join(" AND ");
    assert_eq!(predicate(&long, &items), None);
}

#[test]
fn keys() {
    let items = items();
    let db = replica();
    migrate(&db, &sqlite::statements(&create_table(), Some(&items)));
    for (postgres, expected) in [
        ("a", r#""a""#),
        ("\"Value\" DESC", r#""Value" DESC"#),
        ("\"quo\"\"te\"", r#""quo""te""#),
        ("\"ünï\" ASC", r#""ünï""#),
        ("a NULLS FIRST", r#""a""#),
        ("a DESC NULLS LAST", r#""a" DESC"#),
        ("first DESC NULLS FIRST", r#""first" DESC"#),
        ("status COLLATE \"C\" NULLS FIRST", r#""status""#),
        (
            "status COLLATE pg_catalog.\"C\" text_pattern_ops DESC",
            r#""status" DESC"#,
        ),
        ("status text_pattern_ops", r#""status""#),
        (
            "status public.gin_trgm_ops(siglen='32') DESC",
            r#""status" DESC"#,
        ),
        ("not_c", r#""not_c""#),
        ("price DESC", r#""price" DESC"#),
        ("tags", r#""tags""#),
        ("date", r#""date""#),
        ("key", r#""key""#),
        ("lower", r#""lower""#),
        ("lower(email)", r#"lower("email")"#),
        ("lower((email)::text) text_pattern_ops", r#"lower("email")"#),
        (
            "lower(status) COLLATE \"C\" DESC",
            r#"lower("status") DESC"#,
        ),
        ("(a = 1)", r#"("a" = 1)"#),
        ("((a IS NULL)) DESC", r#"("a" IS NULL) DESC"#),
        ("(NOT active)", r#"(NOT "active")"#),
    ] {
        assert_eq!(
            index_key(postgres, &items).as_deref(),
            Some(expected),
            "{postgres}"
        );
        db.execute_batch(&format!(
            "CREATE INDEX i ON items ({expected}); DROP INDEX i"
        ))
        .unwrap_or_else(|error| panic!("{expected}: {error}"));
    }
    for postgres in [
        "1",
        "'a'::text",
        "true",
        "lower('a'::text)",
        "(a + 1)",
        "missing",
        "length(status)",
        "(doc ->> 'a'::text)",
        "((price)::integer)",
        "a, big",
        "a)",
        "a DESC; DROP TABLE items",
        "a ops(siglen='32'",
        "",
    ] {
        assert_eq!(index_key(postgres, &items), None, "{postgres}");
    }
}

#[test]
fn columns_of_any_name() {
    let columns = HOSTILE.iter().map(|name| column(name, base("text")));
    let items = table(
        "items",
        [required("id", base("int4"))]
            .into_iter()
            .chain(columns)
            .collect(),
    );
    let db = replica();
    migrate(&db, &sqlite::statements(&create_table(), Some(&items)));
    for name in HOSTILE {
        let quoted = electric_schema::names::quote_ident(name);
        let printed = electric_schema::names::quote_ident_if_needed(name);
        let said = predicate(&format!("({printed} = 'x'::text)"), &items);
        assert_eq!(said, Some(format!("{quoted} = 'x'")), "{name}");
        let key = index_key(&format!("{printed} DESC"), &items);
        assert_eq!(key, Some(format!("{quoted} DESC")), "{name}");
        db.execute_batch(&format!(
            "CREATE INDEX i ON items ({quoted} DESC) WHERE {quoted} = 'x'; DROP INDEX i"
        ))
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// Texts put together at random: whatever is said, SQLite takes.
#[test]
fn nothing_that_sqlite_refuses() {
    const WORDS: &[&str] = &[
        "a",
        "big",
        "active",
        "status",
        "\"Value\"",
        "date",
        "lower",
        "(",
        ")",
        "(",
        ")",
        "=",
        "<>",
        "<",
        "AND",
        "OR",
        "NOT",
        "IS NULL",
        "IS NOT NULL",
        "1",
        "-",
        "0.5",
        "'x'",
        "''",
        "'1'",
        "::text",
        "::integer",
        "::bigint",
        "::date",
        "::double precision",
        "true",
        "false",
        "NULL",
        "lower(",
        "upper(",
        "COLLATE \"C\"",
        "DESC",
        "ASC",
        "NULLS FIRST",
        "text_ops",
        ",",
        ".",
        "score",
        "data",
        "::bytea",
        "::boolean",
        "missing",
        "[",
        "]",
        "+",
        ";",
        "--",
        "$1",
        "E'\\'",
    ];
    let items = items();
    let db = replica();
    migrate(&db, &sqlite::statements(&create_table(), Some(&items)));
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap_or(0) % below
    };
    let (mut predicates, mut keys) = (0, 0);
    for _ in 0..50_000 {
        let text: Vec<&str> = (0..=random(7))
            .map(|_| WORDS[random(WORDS.len())])
            .collect();
        let text = text.join(" ");
        if let Some(said) = predicate(&text, &items) {
            predicates += 1;
            db.execute_batch(&format!(
                "CREATE INDEX i ON items (id) WHERE {said}; DROP INDEX i"
            ))
            .unwrap_or_else(|error| panic!("{text}: {said}: {error}"));
        }
        if let Some(said) = index_key(&text, &items) {
            keys += 1;
            db.execute_batch(&format!("CREATE INDEX i ON items ({said}); DROP INDEX i"))
                .unwrap_or_else(|error| panic!("{text}: {said}: {error}"));
        }
    }
    assert!(
        predicates > 25 && keys > 25,
        "{predicates} predicates, {keys} keys"
    );
}
