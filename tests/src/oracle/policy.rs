//! Changes that the other policies let through: what loosens a promise, and what makes replicas begin anew.

use electric_schema::names::quote_ident;

use super::choices::Choices;
use super::state::{Column, State, Table};

/// Types that can be widened, each with one that is wider.
const WIDER: &[(&str, &str)] = &[
    ("smallint", "integer"),
    ("smallint", "bigint"),
    ("integer", "bigint"),
    ("varchar", "text"),
    ("varchar(5)", "varchar"),
    ("varchar(5)", "text"),
    ("varbit(8)", "varbit"),
    ("time(3)", "time"),
    ("numeric(10,2)", "numeric"),
    ("timestamp(0)", "timestamp"),
    ("timestamptz(3)", "timestamptz"),
];

/// The statement under that policy, which goes back to what it was.
fn under(policy: &str, statement: String) -> Vec<String> {
    vec![
        format!("SET electric.policy = '{policy}'"),
        statement,
        "RESET electric.policy".to_owned(),
    ]
}

/// Columns whose type or name nothing else depends on.
fn free(table: &Table) -> Vec<Column> {
    let columns = table.columns.iter().filter(|column| {
        !table.key.contains(&column.name) && !column.numbered && column.reference.is_none()
    });
    columns.cloned().collect()
}

/// What `compatible` lets through.
pub fn loosen(table: usize, choices: &mut Choices<'_>, state: &mut State) -> Vec<String> {
    let built_in = state.built_in.clone();
    let Some(table) = state.tables.get_mut(table) else {
        return Vec::new();
    };
    let action = match choices.below(3) {
        0 => drop_not_null(table, choices),
        1 => drop_constraint(table, choices),
        _ => {
            let narrow: Vec<(String, &str)> = free(table)
                .into_iter()
                .filter(|column| !table.fixed.contains(&column.name))
                .flat_map(|column| {
                    let wider = WIDER
                        .iter()
                        .filter(move |(from, _)| *from == column.data_type.sql);
                    wider.map(move |(_, to)| (column.name.clone(), *to))
                })
                .collect();
            choices.pick(&narrow).and_then(|(name, to)| {
                let wider = built_in.into_iter().find(|known| known.sql == *to)?;
                let column = table.columns.iter_mut().find(|c| c.name == *name)?;
                column.data_type = wider;
                Some(format!("ALTER COLUMN {} TYPE {to}", quote_ident(name)))
            })
        }
    };
    match action {
        Some(action) => under(
            "compatible",
            format!("ALTER TABLE {} {action}", table.sql()),
        ),
        None => Vec::new(),
    }
}

fn drop_not_null(table: &mut Table, choices: &mut Choices<'_>) -> Option<String> {
    let firm: Vec<Column> = free(table).into_iter().filter(|c| c.not_null).collect();
    let name = choices.pick(&firm)?.name.clone();
    let column = table.columns.iter_mut().find(|c| c.name == name)?;
    column.not_null = false;
    Some(format!("ALTER COLUMN {} DROP NOT NULL", quote_ident(&name)))
}

fn drop_constraint(table: &mut Table, choices: &mut Choices<'_>) -> Option<String> {
    let all: Vec<String> = table
        .constraints
        .iter()
        .chain(&table.unvalidated)
        .cloned()
        .collect();
    let name = choices.pick(&all)?;
    table.constraints.retain(|other| other != name);
    table.unvalidated.retain(|other| other != name);
    Some(format!("DROP CONSTRAINT {}", quote_ident(name)))
}

/// What only `unrestricted` lets through.
pub fn replace(table: usize, choices: &mut Choices<'_>, state: &mut State) -> Vec<String> {
    let what = choices.below(7);
    let name = state.name(choices, "replaced");
    let schema = state.schema(choices);
    let Some(table) = state.tables.get_mut(table) else {
        return Vec::new();
    };
    let sql = table.sql();
    let columns = free(table);
    let column = choices.pick(&columns);
    let action = match (what, column) {
        (0, Some(column)) => {
            table.rename_column(&column.name, &name);
            let (from, to) = (quote_ident(&column.name), quote_ident(&name));
            Some(format!("RENAME COLUMN {from} TO {to}"))
        }
        (1, _) => {
            let to = quote_ident(&name);
            table.name = name;
            Some(format!("RENAME TO {to}"))
        }
        (2, Some(column)) => {
            let quoted = quote_ident(&column.name);
            if let Some(column) = table.columns.iter_mut().find(|c| c.name == column.name) {
                column.not_null = true;
            }
            Some(format!("ALTER COLUMN {quoted} SET NOT NULL"))
        }
        (3, Some(column)) if !table.fixed.contains(&column.name) => {
            let quoted = quote_ident(&column.name);
            let type_sql = &column.data_type.sql;
            let value = match type_sql.as_str() {
                "text" => format!("upper({quoted})"),
                "integer" => format!("{quoted} / 2"),
                _ => format!("({quoted})"),
            };
            Some(format!(
                "ALTER COLUMN {quoted} TYPE {type_sql} USING {value}"
            ))
        }
        (4, _) if schema != table.schema => {
            let to = quote_ident(&schema);
            table.schema = schema;
            Some(format!("SET SCHEMA {to}"))
        }
        (5, Some(column)) => {
            let (constraint, quoted) = (quote_ident(&name), quote_ident(&column.name));
            table.constraints.push(name);
            Some(format!(
                "ADD CONSTRAINT {constraint} CHECK (num_nulls({quoted}) < 2 OR {quoted} IS NULL)"
            ))
        }
        (6, Some(column)) => drop_column(table, &column.name),
        _ => None,
    };
    match action {
        Some(action) => under("unrestricted", format!("ALTER TABLE {sql} {action}")),
        None => Vec::new(),
    }
}

/// Only where no index or constraint is known, which would go with it.
fn drop_column(table: &mut Table, name: &str) -> Option<String> {
    let known = table.indexes.len() + table.constraints.len() + table.unvalidated.len();
    if known > 0 || table.fixed.iter().any(|fixed| fixed == name) {
        return None;
    }
    table.columns.retain(|column| column.name != name);
    Some(format!("DROP COLUMN {}", quote_ident(name)))
}
