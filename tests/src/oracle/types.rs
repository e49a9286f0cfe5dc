//! Types: those that need no making and those that scripts make, and values of them.

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
                "COALESCE(current_setting('app.local_word', true), 'z')",
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
        7 | 8 => custom(choices, state, statements),
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

/// Makes an enum, a domain, or an array of one.
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
        3 => make_domain(sql, choices, state, statements),
        _ => {
            let element = make_domain(sql, choices, state, statements);
            state.types.push(element.clone());
            let value = constant(&element, choices, state);
            Type {
                samples: vec![format!("ARRAY[({value})::{}]", element.sql), "'{}'".into()],
                sql: format!("{}[]", element.sql),
                class: Class::Other,
                ordered: false,
                key: None,
                of_enum: None,
            }
        }
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
            " CONSTRAINT {name} CHECK (num_nulls(VALUE) < 2 AND 'x' <> 'never \\ ''')"
        ));
    }
    statements.push(statement);
    // Its name does not tell that its values may not be long.
    let class = if base.class == Class::Text && base.sql.contains("char(") {
        Class::Other
    } else {
        base.class
    };
    Type { sql, class, ..base }
}

/// A value that needs no query, for a DEFAULT.
pub fn constant(of: &Type, choices: &mut Choices<'_>, state: &State) -> String {
    let value = of.value(choices, state);
    if value.starts_with("(SELECT ") {
        "'constant'".to_owned()
    } else {
        value
    }
}
