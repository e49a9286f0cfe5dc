//! The types of the contract, with values worth a look.

use super::choices::Choices;
use super::names::literal;
use super::state::{Enum, State};
use electric_schema::names::qualified_quoted;

/// What can be done with values of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Boolean.
    Boolean,
    /// A whole number.
    Integer,
    /// Text that `lower` takes.
    Text,
    /// An array; GIN takes it.
    Array,
    /// `jsonb`, `tsvector`: GIN takes it.
    Document,
    /// A range; GiST takes it and knows `&&`.
    Range,
    /// A box, circle or polygon; GiST takes it.
    Shape,
    /// Anything else.
    Other,
}

/// A type.
#[derive(Debug, Clone)]
pub struct Type {
    /// As it is written, qualified.
    pub sql: String,
    /// What can be done with it.
    pub class: Class,
    /// Whether a B-tree takes it.
    pub ordered: bool,
    /// An expression that makes a value of each number `$n`, where the type can be a key.
    pub key: Option<String>,
    /// Values, as expressions.
    pub samples: Vec<String>,
    /// The enum whose labels are values too.
    pub of_enum: Option<usize>,
}

type Row = (
    &'static str,
    Class,
    bool,
    Option<&'static str>,
    &'static [&'static str],
);

/// Incompressible, so that Postgres keeps it outside the row.
const LONG: &str = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 150) i)";

use Class::{Array, Boolean, Document, Integer, Other, Range, Shape, Text};

/// The simplest first.
const BUILT_IN: &[Row] = &[
    (
        "integer",
        Integer,
        true,
        Some("$n"),
        &["0", "-2147483648", "7"],
    ),
    (
        "text",
        Text,
        true,
        Some("'key $n'"),
        &[
            "''",
            "'x'",
            "'it''s \"é\" 💡'",
            "E'a\\\\b\\n\\t'",
            "'NULL'",
            LONG,
        ],
    ),
    ("boolean", Boolean, true, None, &["true", "false"]),
    (
        "bigint",
        Integer,
        true,
        Some("$n"),
        &["9223372036854775807", "-9223372036854775808", "5"],
    ),
    ("smallint", Integer, true, Some("$n"), &["-32768", "32767"]),
    ("oid", Other, true, Some("$n"), &["4294967295", "1"]),
    (
        "real",
        Other,
        true,
        Some("$n.5"),
        &["1.1", "'NaN'", "'-Infinity'", "'-0'", "1e-40"],
    ),
    (
        "double precision",
        Other,
        true,
        Some("$n.25"),
        &["0.1", "'NaN'", "'Infinity'", "1e300", "-3"],
    ),
    (
        "numeric",
        Other,
        true,
        Some("$n.50"),
        &["1.10", "'NaN'", "'-Infinity'", "1e40", "0.000"],
    ),
    (
        "numeric(10,2)",
        Other,
        true,
        Some("$n"),
        &["1.1", "'NaN'", "12345678.99"],
    ),
    ("money", Other, true, Some("$n"), &["'$1,234.56'", "-0.01"]),
    ("varchar", Text, true, Some("'v$n'"), &["' x '", "'V'"]),
    ("varchar(5)", Text, true, Some("'$n'"), &["'12345'", "''"]),
    ("char(5)", Other, true, Some("'$n'"), &["'ab'", "''"]),
    ("name", Other, true, Some("'n$n'"), &["'a name'"]),
    (
        "uuid",
        Other,
        true,
        Some("lpad($n::text, 32, '0')::uuid"),
        &["'A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11'"],
    ),
    (
        "date",
        Other,
        true,
        Some("date '2020-01-01' + $n"),
        &["'2024-02-29'", "'infinity'", "'0044-03-15 BC'"],
    ),
    (
        "time",
        Other,
        true,
        Some("time '00:00' + $n * interval '1 s'"),
        &["'23:59:59.999999'", "'24:00'"],
    ),
    ("time(3)", Other, true, None, &["'12:34:56.789123'"]),
    (
        "timetz",
        Other,
        true,
        Some("timetz '00:00+02' + $n * interval '1 s'"),
        &["'12:34:56+05:30'"],
    ),
    (
        "timestamp",
        Other,
        true,
        Some("timestamp '2020-01-01' + $n * interval '1 day'"),
        &[
            "'2024-02-29 12:34:56.789'",
            "'-infinity'",
            "'0001-01-01 BC'",
        ],
    ),
    (
        "timestamp(0)",
        Other,
        true,
        None,
        &["'2024-02-29 12:34:56.789'"],
    ),
    (
        "timestamptz",
        Other,
        true,
        Some("timestamptz '2020-01-01 00:00+00' + $n * interval '1 day'"),
        &["'2024-02-29 12:34:56.789+02'", "'infinity'"],
    ),
    (
        "timestamptz(3)",
        Other,
        true,
        None,
        &["'2024-02-29 12:34:56.7891+02'"],
    ),
    (
        "interval",
        Other,
        true,
        Some("$n * interval '1 hour'"),
        &["'1 year -2 days 03:04:05.6'", "'-1 mon'"],
    ),
    (
        "interval day to second(1)",
        Other,
        true,
        None,
        &["'2 days 03:04:05.67'"],
    ),
    ("interval(3)", Other, true, None, &["'1.23456 s'"]),
    (
        "inet",
        Other,
        true,
        Some("inet '10.0.0.0' + $n"),
        &["'192.168.0.1/24'", "'::1'"],
    ),
    ("cidr", Other, true, None, &["'10.0.0.0/8'", "'::/0'"]),
    ("macaddr", Other, true, None, &["'08:00:2b:01:02:03'"]),
    (
        "json",
        Other,
        false,
        None,
        &["'{\"b\" : 1,  \"a\":[null]}'", "'null'"],
    ),
    (
        "jsonb",
        Document,
        true,
        Some("to_jsonb($n)"),
        &["'{\"b\" : 1, \"a\":[1.10, \"é\"]}'", "'\"x\"'", "'null'"],
    ),
    ("bit(3)", Other, true, None, &["B'101'", "B'000'"]),
    ("bit", Other, true, None, &["B'1'"]),
    ("varbit", Other, true, None, &["B'0101'", "B''"]),
    ("varbit(8)", Other, true, None, &["B'0101'"]),
    (
        "bytea",
        Other,
        true,
        Some("decode(lpad(to_hex($n), 8, '0'), 'hex')"),
        &["E'\\\\x00ff5c27'", "''"],
    ),
    (
        "int4range",
        Range,
        true,
        Some("int4range($n, $n + 1)"),
        &["'[1,5]'", "'empty'", "'(,)'"],
    ),
    ("numrange", Range, true, None, &["'(1.50,)'"]),
    (
        "tsrange",
        Range,
        true,
        None,
        &["'[2024-01-01 00:00, infinity)'"],
    ),
    (
        "tstzrange",
        Range,
        true,
        None,
        &["'[2024-01-01 00:00+05, 2024-01-02 00:00+05)'"],
    ),
    (
        "daterange",
        Range,
        true,
        None,
        &["'[2024-01-01,2024-01-02]'"],
    ),
    (
        "int8multirange",
        Range,
        true,
        None,
        &["'{[1,2),[5,9)}'", "'{}'"],
    ),
    (
        "tsvector",
        Document,
        true,
        None,
        &["'a:1 fat:2,3A cat''s'::tsvector"],
    ),
    ("point", Other, false, None, &["'(1.5,-2)'"]),
    ("line", Other, false, None, &["'{1,2,3}'"]),
    ("lseg", Other, false, None, &["'[(0,0),(1,1)]'"]),
    ("box", Shape, false, None, &["'(2,2),(0,0)'"]),
    (
        "path",
        Other,
        false,
        None,
        &["'[(0,0),(1,1)]'", "'((0,0),(1,1))'"],
    ),
    ("polygon", Shape, false, None, &["'((0,0),(1,1),(1,0))'"]),
    ("circle", Shape, false, None, &["'<(0,0),1>'"]),
    (
        "integer[]",
        Array,
        true,
        Some("ARRAY[$n, NULL]"),
        &["'{1,NULL,3}'", "'{}'", "'{{1,2},{3,4}}'", "'[2:3]={1,2}'"],
    ),
    (
        "text[][]",
        Array,
        true,
        None,
        &[
            "ARRAY[['a,b', '\"q\"'], [E'\\\\x', 'NULL']]",
            "'{NULL,\"\"}'",
        ],
    ),
    ("varchar(3)[]", Array, true, None, &["'{abc,d}'"]),
    ("boolean[2]", Array, true, None, &["'{t,f,NULL}'"]),
    (
        "double precision[]",
        Array,
        true,
        None,
        &["'{0.1,NaN,Infinity}'"],
    ),
    ("numeric(10,2)[]", Array, true, None, &["'{1.1,2}'"]),
    (
        "timestamptz[]",
        Array,
        true,
        None,
        &["ARRAY['2024-01-01 00:00+05'::timestamptz]"],
    ),
    (
        "bytea[]",
        Array,
        true,
        None,
        &["ARRAY[E'\\\\x00ff'::bytea]"],
    ),
    (
        "jsonb[]",
        Array,
        true,
        None,
        &["ARRAY['{\"a\": 1}'::jsonb, 'null']"],
    ),
    ("json[]", Other, false, None, &["ARRAY['[1]'::json]"]),
    (
        "box[]",
        Other,
        false,
        None,
        &["'{(2,2),(0,0);(3,3),(1,1)}'"],
    ),
    (
        "int4range[]",
        Array,
        true,
        None,
        &["ARRAY[int4range(1, 5), NULL]"],
    ),
    ("public.span", Range, true, None, &["'[a,b)'"]),
    ("public.spans", Range, true, None, &["'{[a,b)}'"]),
    ("xml", Other, false, None, &["'<a b=\"c\">d</a>'"]),
    (
        "ext.citext",
        Text,
        true,
        Some("'Key $n'"),
        &["'MiXed'", "''"],
    ),
    ("ext.ltree", Other, true, Some("'k$n'"), &["'Top.Science'"]),
    ("ext.hstore", Other, true, None, &["'a=>1, b=>NULL'"]),
    ("ext.citext[]", Other, true, None, &["'{A,b}'"]),
];

/// What a script needs that makes use of the type `span`.
pub const PRELUDE: &str =
    "CREATE TYPE public.span AS RANGE (subtype = text, multirange_type_name = public.spans)";

/// The built-in types that a server has: `lacks` names those that it cannot make.
pub fn built_in(lacks: &[String]) -> Vec<Type> {
    let offered = |row: &&Row| !lacks.iter().any(|name| row.0.starts_with(name.as_str()));
    let built = BUILT_IN.iter().filter(offered).map(|row| Type {
        sql: row.0.to_owned(),
        class: row.1,
        ordered: row.2,
        key: row.3.map(str::to_owned),
        samples: row.4.iter().map(|text| (*text).to_owned()).collect(),
        of_enum: None,
    });
    built.collect()
}

impl Type {
    /// A value as an expression.
    pub fn value(&self, choices: &mut Choices<'_>, state: &State) -> String {
        if let Some(of) = self.of_enum.and_then(|place| state.enums.get(place)) {
            let labels = choices.below(of.labels.len());
            return literal(of.labels.get(labels).map_or("", String::as_str));
        }
        let place = choices.below(self.samples.len() + 2);
        match (self.class, self.samples.get(place)) {
            (_, Some(sample)) => sample.clone(),
            (Class::Integer, None) => choices.below(30_000).to_string(),
            (Class::Text, None) if !self.sql.contains("char") => {
                let text = choices.text(&["Ä", "1e5", "\u{1}", "a\u{301}", "{}", "'", "%", "~/x"]);
                literal(&text.repeat(choices.below(3)))
            }
            _ => self
                .samples
                .first()
                .cloned()
                .unwrap_or_else(|| "NULL".to_owned()),
        }
    }

    /// An expression that is no constant, the same for all rows of a statement.
    pub fn computed(&self, choices: &mut Choices<'_>) -> Option<&'static str> {
        let expressions: &[&'static str] = match self.sql.as_str() {
            "integer" | "bigint" => &["1 + 1", "length('four')", "extract(year from now())::int"],
            "text" | "varchar" => &[
                "upper('x')",
                "current_setting('TimeZone')",
                "'a' || E'\\\\'",
                "now()::text",
                "COALESCE(NULL, 'y')",
            ],
            "name" => &["current_user"],
            "boolean" => &["1 = 2"],
            "date" => &["current_date", "now()"],
            "timestamp" | "timestamp(0)" => &["localtimestamp", "now()"],
            "timestamptz" | "timestamptz(3)" => {
                &["now()", "now() - interval '1 day'", "current_timestamp(0)"]
            }
            "jsonb" => &["jsonb_build_object('at', now())"],
            "integer[]" => &["ARRAY[1 + 1]", "ARRAY[]::integer[]"],
            "real" | "double precision" => &["sqrt(2)", "1 / 3.0"],
            _ => &[],
        };
        choices.pick(expressions).copied()
    }
}

/// Some type. One that must be made first adds its statements.
pub fn any(choices: &mut Choices<'_>, state: &mut State, statements: &mut Vec<String>) -> Type {
    match choices.below(10) {
        8 => custom(choices, state, statements),
        9 => match choices.pick(&state.types) {
            Some(known) => known.clone(),
            None => custom(choices, state, statements),
        },
        _ => choices
            .pick(&state.built_in)
            .cloned()
            .unwrap_or_else(fallback),
    }
}

/// A type whose values can be told by number.
pub fn key(choices: &mut Choices<'_>, state: &State) -> Type {
    let keys: Vec<&Type> = state
        .built_in
        .iter()
        .chain(&state.types)
        .filter(|known| known.key.is_some())
        .collect();
    match choices.pick(&keys) {
        Some(found) => (*found).clone(),
        None => fallback(),
    }
}

fn fallback() -> Type {
    Type {
        sql: "integer".into(),
        class: Class::Integer,
        ordered: true,
        key: Some("$n".into()),
        samples: vec!["0".into()],
        of_enum: None,
    }
}

/// Makes an enum, an array of one, or a domain.
fn custom(choices: &mut Choices<'_>, state: &mut State, statements: &mut Vec<String>) -> Type {
    let schema = state.schema(choices);
    let name = state.name(choices, "type");
    let sql = qualified_quoted(&schema, &name);
    let made = match choices.below(5) {
        0 | 1 => make_enum(sql, choices, state, statements),
        2 => {
            let element = make_enum(sql, choices, state, statements);
            state.types.push(element.clone());
            Type {
                samples: vec![
                    format!("ARRAY[{}]::{}[]", element.samples.join(", "), element.sql),
                    "'{NULL}'".into(),
                ],
                sql: format!("{}[]", element.sql),
                class: Class::Array,
                of_enum: None,
                ..element
            }
        }
        _ => make_domain(sql, choices, state, statements),
    };
    state.types.push(made.clone());
    made
}

const LABELS: &[&str] = &[
    "sad",
    "it's",
    "1, \"2\"",
    "back\\slash",
    "Ünï💡",
    "line\nbreak",
    " ",
    "NULL",
];

fn make_enum(
    sql: String,
    choices: &mut Choices<'_>,
    state: &mut State,
    statements: &mut Vec<String>,
) -> Type {
    let count = 1 + choices.below(LABELS.len());
    let labels: Vec<String> = LABELS
        .iter()
        .take(count)
        .map(|label| (*label).to_owned())
        .collect();
    let samples: Vec<String> = labels.iter().map(|label| literal(label)).collect();
    statements.push(format!(
        "CREATE TYPE {sql} AS ENUM ({})",
        samples.join(", ")
    ));
    state.enums.push(Enum {
        sql: sql.clone(),
        labels,
        fresh: Vec::new(),
    });
    Type {
        sql,
        class: Class::Other,
        ordered: true,
        key: None,
        samples,
        of_enum: Some(state.enums.len() - 1),
    }
}

fn make_domain(
    sql: String,
    choices: &mut Choices<'_>,
    state: &mut State,
    statements: &mut Vec<String>,
) -> Type {
    let known: Vec<Type> = state.built_in.iter().chain(&state.types).cloned().collect();
    let base = choices.pick(&known).cloned().unwrap_or_else(fallback);
    let mut statement = format!("CREATE DOMAIN {sql} AS {}", base.sql);
    if base.class == Class::Text && choices.chance(30) {
        statement.push_str(" COLLATE \"C\"");
    }
    if choices.chance(30) {
        statement.push_str(&format!(" DEFAULT {}", constant(&base, choices, state)));
    }
    if choices.chance(10) {
        statement.push_str(" NOT NULL");
    }
    if choices.chance(40) {
        let name = state.name(choices, "check");
        let name = electric_schema::names::quote_ident(&name);
        statement.push_str(&format!(
            " CONSTRAINT {name} CHECK (VALUE::text <> 'never \\ ''')"
        ));
    }
    statements.push(statement);
    Type { sql, ..base }
}

/// A value that needs no query, for a DEFAULT.
pub fn constant(of: &Type, choices: &mut Choices<'_>, state: &State) -> String {
    let value = of.value(choices, state);
    if value.contains("SELECT") {
        "'constant'".to_owned()
    } else {
        value
    }
}
