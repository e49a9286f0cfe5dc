//! Rows: inserted, changed and deleted, with values of every type.

use electric_schema::names::quote_ident;

use super::choices::Choices;
use super::state::{Column, State};

/// A new row.
pub fn insert(table: usize, choices: &mut Choices<'_>, state: &mut State) -> Option<String> {
    let known = state.tables.get(table)?.clone();
    let number = known.next_key;
    let mut names = Vec::new();
    let mut values = Vec::new();
    for column in known.columns.iter().filter(|column| !column.numbered) {
        let is_key = known.key.contains(&column.name);
        let given = match &column.data_type.key {
            Some(key) if is_key => Some(key.replace("$n", &number.to_string())),
            _ => value(column, choices, state),
        };
        if let Some(value) = given {
            names.push(quote_ident(&column.name));
            values.push(value);
        }
    }
    state.tables.get_mut(table)?.next_key += 1;
    if names.is_empty() {
        return Some(format!("INSERT INTO {} DEFAULT VALUES", known.sql()));
    }
    Some(format!(
        "INSERT INTO {} ({}) VALUES ({})",
        known.sql(),
        names.join(", "),
        values.join(", ")
    ))
}

/// A value for a column; none leaves it to the DEFAULT.
fn value(column: &Column, choices: &mut Choices<'_>, state: &State) -> Option<String> {
    if let Some((target, key)) = &column.reference {
        let target = state.tables.get(*target)?;
        let key = quote_ident(key);
        // Mostly there is such a row; if not, this is NULL.
        return match choices.below(5) {
            4 => None,
            n => Some(format!(
                "(SELECT {key} FROM {} ORDER BY {} OFFSET {n} LIMIT 1)",
                target.sql(),
                target.key_list()
            )),
        };
    }
    match choices.below(8) {
        6 => None,
        7 if !column.not_null => Some("NULL".to_owned()),
        _ => Some(column.data_type.value(choices, state)),
    }
}

/// Some rows change.
pub fn update(table: usize, choices: &mut Choices<'_>, state: &mut State) -> Option<String> {
    let known = state.tables.get(table)?.clone();
    let mut assignments: Vec<(String, String)> = Vec::new();
    for _ in 0..1 + choices.below(3) {
        let column = choices.pick(&known.columns)?;
        if known.key.contains(&column.name) || column.numbered {
            continue;
        }
        let value = value(column, choices, state).unwrap_or_else(|| "DEFAULT".to_owned());
        assignments.retain(|(name, _)| *name != column.name);
        assignments.push((column.name.clone(), value));
    }
    let mut limit = 3;
    let key = known.key.first().and_then(|name| known.column(name))?;
    if choices.chance(20)
        && !key.numbered
        && let Some(value) = &key.data_type.key
    {
        limit = 1;
        assignments.push((
            key.name.clone(),
            value.replace("$n", &known.next_key.to_string()),
        ));
        state.tables.get_mut(table)?.next_key += 1;
    }
    if assignments.is_empty() {
        return None;
    }
    let assignments: Vec<String> = assignments
        .into_iter()
        .map(|(name, value)| format!("{} = {value}", quote_ident(&name)))
        .collect();
    Some(format!(
        "UPDATE {} SET {} WHERE {}",
        known.sql(),
        assignments.join(", "),
        some(table, limit, choices, state)?
    ))
}

/// Some rows go.
pub fn delete(table: usize, choices: &mut Choices<'_>, state: &mut State) -> Option<String> {
    let known = state.tables.get(table)?;
    if choices.chance(15) {
        return Some(format!("TRUNCATE {} CASCADE", known.sql()));
    }
    Some(format!(
        "DELETE FROM {} WHERE {}",
        known.sql(),
        some(table, 2, choices, state)?
    ))
}

/// A condition that at most so many rows meet.
fn some(table: usize, limit: usize, choices: &mut Choices<'_>, state: &State) -> Option<String> {
    let table = state.tables.get(table)?;
    // Not by the key: its type may have an equality that only a search path finds.
    Some(format!(
        "(tableoid, ctid) IN (SELECT tableoid, ctid FROM {} ORDER BY {} OFFSET {} LIMIT {limit})",
        table.sql(),
        table.key_list(),
        choices.below(3)
    ))
}
