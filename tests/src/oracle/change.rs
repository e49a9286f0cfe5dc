//! Changes of electrified tables, most of them additive, and what happens around them.

use electric_schema::names::quote_ident;

use super::choices::Choices;
use super::create::{self, added_column};
use super::index;
use super::names::literal;
use super::policy;
use super::rows;
use super::state::State;
use super::types::constant;

/// What a step of a script does, the simplest first; one that is here twice comes twice as often.
const KINDS: &[Kind] = &[
    Kind::Insert,
    Kind::AddColumns,
    Kind::CreateIndex,
    Kind::Insert,
    Kind::SetDefault,
    Kind::AddEnumValue,
    Kind::Insert,
    Kind::Update,
    Kind::RenameIndex,
    Kind::AddColumns,
    Kind::DropIndex,
    Kind::Insert,
    Kind::Delete,
    Kind::ValidateConstraint,
    Kind::CreateTables,
    Kind::AddColumns,
    Kind::Update,
    Kind::Unrecorded,
    Kind::CreateIndexConcurrently,
    Kind::DisableAndEnable,
    Kind::Setting,
    Kind::AddEnumValue,
    Kind::Loosen,
    Kind::Replace,
];

/// A kind of step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Insert,
    AddColumns,
    CreateIndex,
    CreateIndexConcurrently,
    DropIndex,
    RenameIndex,
    AddEnumValue,
    SetDefault,
    ValidateConstraint,
    Update,
    Delete,
    DisableAndEnable,
    CreateTables,
    Unrecorded,
    Setting,
    Loosen,
    Replace,
}

/// Statements that belong together.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// In order.
    pub statements: Vec<String>,
    /// They cannot run in a transaction.
    pub alone: bool,
}

/// The next step; without statements where there is nothing to do it to.
pub fn step(choices: &mut Choices<'_>, state: &mut State) -> Step {
    let kind = choices.pick(KINDS).copied().unwrap_or(Kind::Insert);
    let table = choices.below(state.tables.len());
    let mut step = Step::default();
    let statements = &mut step.statements;
    match kind {
        Kind::Insert => {
            for _ in 0..1 + choices.below(3) {
                statements.extend(rows::insert(table, choices, state));
            }
        }
        Kind::Update => statements.extend(rows::update(table, choices, state)),
        Kind::Delete => statements.extend(rows::delete(table, choices, state)),
        Kind::AddColumns => add_columns(table, choices, state, statements),
        Kind::CreateIndex => statements.extend(index::create(table, false, choices, state)),
        Kind::CreateIndexConcurrently => {
            let partitioned = state
                .tables
                .get(table)
                .is_none_or(|table| table.partitioned);
            step.statements
                .extend(index::create(table, !partitioned, choices, state));
            step.alone = !partitioned;
        }
        Kind::DropIndex => statements.extend(drop_index(table, choices, state)),
        Kind::RenameIndex => statements.extend(rename_index(table, choices, state)),
        Kind::AddEnumValue => statements.extend(add_enum_value(choices, state)),
        Kind::SetDefault => statements.extend(set_default(table, choices, state)),
        Kind::ValidateConstraint => statements.extend(validate(table, choices, state)),
        Kind::CreateTables => {
            step.statements = create::tables(choices, state);
        }
        Kind::DisableAndEnable => disable_and_enable(table, choices, state, statements),
        Kind::Unrecorded => statements.extend(unrecorded(table, choices, state)),
        Kind::Setting => statements.push(setting(choices).to_owned()),
        Kind::Loosen => statements.extend(policy::loosen(table, choices, state)),
        Kind::Replace => statements.extend(policy::replace(table, choices, state)),
    }
    step
}

/// Several columns in one statement, or a statement each.
fn add_columns(
    table: usize,
    choices: &mut Choices<'_>,
    state: &mut State,
    statements: &mut Vec<String>,
) {
    let Some(sql) = state.tables.get(table).map(|table| table.sql()) else {
        return;
    };
    let mut actions = Vec::new();
    for _ in 0..1 + choices.below(3) {
        if let Some(column) = added_column(table, choices, state, statements) {
            let word = choices.text(&["ADD COLUMN", "ADD", "ADD COLUMN IF NOT EXISTS"]);
            actions.push(format!("{word} {column}"));
        }
    }
    if actions.is_empty() {
        return;
    }
    let separator = if choices.chance(30) {
        format!("; ALTER TABLE {sql} ")
    } else {
        ", ".to_owned()
    };
    statements.push(format!("ALTER TABLE {sql} {}", actions.join(&separator)));
}

fn drop_index(table: usize, choices: &mut Choices<'_>, state: &mut State) -> Option<String> {
    let table = state.tables.get_mut(table)?;
    let place = choices.below(table.indexes.len());
    if table.indexes.is_empty() {
        return None;
    }
    let name = table.indexes.remove(place);
    Some(format!("DROP INDEX {}", table.index(&name)))
}

fn rename_index(table: usize, choices: &mut Choices<'_>, state: &mut State) -> Option<String> {
    let place = choices.below(state.tables.get(table)?.indexes.len());
    let name = state.name(choices, "renamed");
    let table = state.tables.get_mut(table)?;
    let old = table.indexes.get(place)?.clone();
    let old = table.index(&old);
    table.indexes[place].clone_from(&name);
    Some(format!(
        "ALTER INDEX {old} RENAME TO {}",
        quote_ident(&name)
    ))
}

fn add_enum_value(choices: &mut Choices<'_>, state: &mut State) -> Option<String> {
    let place = choices.below(state.enums.len());
    let number = state.number();
    let name = super::names::name(choices, "label", number);
    let of = state.enums.get_mut(place)?;
    let mut statement = format!("ALTER TYPE {} ADD VALUE {}", of.sql, literal(&name));
    let neighbours: Vec<&String> = of.labels.iter().chain(&of.fresh).collect();
    match choices.below(4) {
        n @ (1 | 2) => {
            let word = if n == 1 { "BEFORE" } else { "AFTER" };
            let neighbour = choices.pick(&neighbours)?;
            statement.push_str(&format!(" {word} {}", literal(neighbour)));
        }
        3 => statement = statement.replacen("ADD VALUE", "ADD VALUE IF NOT EXISTS", 1),
        _ => {}
    }
    of.fresh.push(name);
    Some(statement)
}

fn set_default(table: usize, choices: &mut Choices<'_>, state: &State) -> Option<String> {
    let known = state.tables.get(table)?;
    let column = choices.pick(&known.columns)?;
    if column.numbered || column.reference.is_some() || known.key.contains(&column.name) {
        return None;
    }
    let of = &column.data_type;
    let action = match choices.below(6) {
        0 => "DROP DEFAULT".to_owned(),
        4 => format!("SET DEFAULT {}", of.computed(choices)?),
        5 if of.sql == "text" => "SET DEFAULT random()::text || app.local_text()".to_owned(),
        5 if of.sql == "integer" => "SET DEFAULT nextval('app.\"Shared sequence\"')".to_owned(),
        _ => format!("SET DEFAULT {}", constant(of, choices, state)),
    };
    Some(format!(
        "ALTER TABLE {} ALTER COLUMN {} {action}",
        known.sql(),
        quote_ident(&column.name)
    ))
}

fn validate(table: usize, choices: &mut Choices<'_>, state: &mut State) -> Option<String> {
    let known = state.tables.get_mut(table)?;
    let place = choices.below(known.unvalidated.len());
    if known.unvalidated.is_empty() {
        return None;
    }
    let name = known.unvalidated.remove(place);
    let statement = format!(
        "ALTER TABLE {} VALIDATE CONSTRAINT {}",
        known.sql(),
        quote_ident(&name)
    );
    known.constraints.push(name);
    Some(statement)
}

/// A table leaves, changes as it likes, and comes back.
fn disable_and_enable(
    table: usize,
    choices: &mut Choices<'_>,
    state: &mut State,
    statements: &mut Vec<String>,
) {
    if state.is_referenced(table) {
        return;
    }
    let Some(sql) = state.tables.get(table).map(|table| table.sql()) else {
        return;
    };
    statements.push(format!("SELECT electric.disable({})", literal(&sql)));
    if choices.chance(40) {
        statements.extend(rows::insert(table, choices, state));
    }
    if choices.chance(40) {
        let renamed = state.name(choices, "column");
        if let Some(made) = state.tables.get_mut(table)
            && let Some(name) = made
                .columns
                .iter()
                .rev()
                .map(|column| column.name.clone())
                .find(|name| !made.key.contains(name))
        {
            statements.push(format!(
                "ALTER TABLE {sql} RENAME COLUMN {} TO {}",
                quote_ident(&name),
                quote_ident(&renamed)
            ));
            made.rename_column(&name, &renamed);
        }
    }
    if choices.chance(20) {
        add_columns(table, choices, state, statements);
    }
    create::enable(&[table], state, statements);
}

/// What replicas need not hear of.
fn unrecorded(table: usize, choices: &mut Choices<'_>, state: &mut State) -> Option<String> {
    let number = state.number();
    let known = state.tables.get_mut(table)?;
    let sql = known.sql();
    let column = choices.pick(&known.columns)?.name.clone();
    let quoted = quote_ident(&column);
    let what = choices.below(6);
    if what == 5 {
        known.fixed.push(column);
    }
    Some(match what {
        0 => format!("COMMENT ON TABLE {sql} IS 'it''s a comment'"),
        1 => format!("GRANT SELECT ON {sql} TO PUBLIC"),
        2 => format!("ALTER TABLE {sql} ENABLE ROW LEVEL SECURITY"),
        3 => format!("ALTER TABLE {sql} ADD COLUMN IF NOT EXISTS {quoted} int"),
        4 => format!("COMMENT ON COLUMN {sql}.{quoted} IS 'x'; ANALYZE {sql}"),
        _ => format!(
            "CREATE RULE r{} AS ON INSERT TO {sql} DO ALSO SELECT 1; CREATE VIEW app.view_{} AS SELECT {quoted} FROM {sql}",
            choices.number(),
            number
        ),
    })
}

/// A setting that changes how values are read and written, but not what is recorded.
fn setting(choices: &mut Choices<'_>) -> &'static str {
    choices.text(&[
        "SET DateStyle = 'German, DMY'",
        "SET DateStyle = 'SQL, MDY'",
        "SET IntervalStyle = 'sql_standard'",
        "SET IntervalStyle = 'iso_8601'",
        "SET TimeZone = 'America/St_Johns'",
        "SET bytea_output = 'escape'",
        "SET extra_float_digits = -10",
        "SET search_path = app, pg_temp",
        "SET search_path = ''",
        "SET quote_all_identifiers = on",
        "SET standard_conforming_strings = off; SET escape_string_warning = off",
        "SET default_transaction_isolation = 'serializable'",
        "SET default_transaction_isolation = 'repeatable read'",
        "SET xmloption = 'document'",
        "RESET ALL",
    ])
}
