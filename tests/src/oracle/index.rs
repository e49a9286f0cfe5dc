//! Indexes: their keys, directions, predicates and methods.

use electric_schema::names::quote_ident;

use super::choices::Choices;
use super::names::literal;
use super::state::{Column, State};
use super::types::Class;

/// Makes an index.
pub fn create(
    place: usize,
    concurrently: bool,
    choices: &mut Choices<'_>,
    state: &mut State,
) -> Option<String> {
    let mut name = state.name(choices, "index");
    if choices.chance(15) {
        name = like_another(state).unwrap_or(name);
    }
    let table = state.tables.get(place)?.clone();
    let column = choices.pick(&table.columns)?;
    let quoted = quote_ident(&column.name);
    let of = &column.data_type;
    let mut unique = false;
    let mut end = String::new();
    let (method, keys) = match (of.class, of.ordered, choices.below(5)) {
        (Class::Array | Class::Document, _, 4) => ("gin", quoted),
        (Class::Range | Class::Shape, _, 3 | 4) | (Class::Shape, false, _) => ("gist", quoted),
        (Class::Integer, _, 4) => ("brin", quoted),
        (Class::Integer | Class::Text, _, 3) => ("hash", quoted),
        (_, true, _) => {
            let mut keys = vec![key(column, choices)];
            for _ in 0..choices.below(3) {
                let another = choices.pick(&table.columns)?;
                if another.data_type.ordered {
                    keys.push(key(another, choices));
                }
            }
            unique = !table.partitioned && choices.chance(15);
            if choices.chance(15) {
                let included = choices.pick(&table.columns)?;
                end.push_str(&format!(" INCLUDE ({})", quote_ident(&included.name)));
            }
            if unique && choices.chance(30) {
                end.push_str(" NULLS NOT DISTINCT");
            }
            ("btree", keys.join(", "))
        }
        // Something can be said of every value, if only whether it is there.
        _ => ("btree", format!("({quoted} IS NULL)")),
    };
    if matches!(method, "btree" | "hash") && choices.chance(10) {
        end.push_str(" WITH (fillfactor = 70)");
    }
    if choices.chance(40) {
        let about = choices.pick(&table.columns)?;
        end.push_str(&format!(" WHERE {}", predicate(about, choices, state)));
    }
    let words = format!(
        "CREATE{} INDEX{}",
        if unique { " UNIQUE" } else { "" },
        if concurrently { " CONCURRENTLY" } else { "" }
    );
    let statement = format!(
        "{words} {} ON {} USING {method} ({keys}){end}",
        quote_ident(&name),
        table.sql()
    );
    state.tables.get_mut(place)?.indexes.push(name);
    Some(statement)
}

/// The name of an index in capitals: another name to Postgres, the same to SQLite.
fn like_another(state: &State) -> Option<String> {
    let known: Vec<&String> = state
        .tables
        .iter()
        .flat_map(|table| &table.indexes)
        .collect();
    let name = known.last()?.to_uppercase();
    let is_new = name.len() <= 63 && !known.iter().any(|other| **other == name);
    is_new.then_some(name)
}

fn key(column: &Column, choices: &mut Choices<'_>) -> String {
    let quoted = quote_ident(&column.name);
    let mut key = match (column.data_type.class, choices.below(8)) {
        (Class::Text, 5) => format!("lower({quoted})"),
        (Class::Text, 6) => format!("(upper({quoted}) || 'x')"),
        (Class::Text, 7) if column.data_type.sql == "text" => {
            format!("{quoted} COLLATE \"C\" text_pattern_ops")
        }
        (Class::Integer, 5) => format!("({quoted} % 10)"),
        (Class::Integer, 6) => format!("COALESCE({quoted}, 0)"),
        (Class::Boolean, 5) => format!("(NOT {quoted})"),
        (_, 4) => format!("({quoted} IS NOT NULL)"),
        (Class::Text, 3) if column.data_type.sql == "text" => format!("app.local_check({quoted})"),
        _ => quoted,
    };
    key.push_str(choices.text(&["", "", " DESC", " DESC NULLS LAST", " NULLS FIRST", " ASC"]));
    key
}

fn predicate(column: &Column, choices: &mut Choices<'_>, state: &State) -> String {
    let quoted = quote_ident(&column.name);
    match (column.data_type.class, choices.below(6)) {
        (Class::Boolean, 1 | 2) => quoted,
        (Class::Boolean, _) => format!("NOT {quoted} OR {quoted} IS NULL"),
        (Class::Integer, 1) => format!("{quoted} > -5 AND {quoted} <= 2000"),
        (Class::Integer, 2) => format!("{quoted} IN (1, 2, -3)"),
        (Class::Integer, 3) => format!("{quoted} BETWEEN 1 AND 10 OR NOT {quoted} <> 20"),
        (Class::Text, 1) => format!("lower({quoted}) = {}", literal("a'b\\c")),
        (Class::Text, 2) => format!("{quoted} <> ''"),
        (Class::Text, 3) => format!("{quoted} LIKE 'a%' AND {quoted} > 'a'"),
        (_, 4) if column.data_type.of_enum.is_some() => {
            let of = column
                .data_type
                .of_enum
                .and_then(|place| state.enums.get(place));
            let label = of
                .and_then(|of| of.labels.first())
                .map(|label| literal(label));
            match label {
                Some(label) => format!("{quoted} = {label}"),
                None => format!("{quoted} IS NULL"),
            }
        }
        (_, 5) => format!("{quoted} IS NULL"),
        _ => format!("{quoted} IS NOT NULL"),
    }
}
