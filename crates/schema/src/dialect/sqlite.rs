//! Canonical SQLite: the statements for every change, such that a replica accepts every row that Postgres accepted.
//!
//! The text of `CREATE TABLE` is made so that `ALTER TABLE … ADD COLUMN` turns the text that SQLite keeps in
//! `sqlite_schema` into exactly what `CREATE TABLE` would be for the resulting table: one line, `, ` between items,
//! everything about one column at the column, and nothing at the table that an added column could bring.

use crate::change::Change;
use crate::expression::{has_bytewise_equality, index_key, predicate};
use crate::model::{Action, Column, ForeignKey, Index, SqliteType, Table};
use crate::names::{quote_ident, sqlite_fold, sqlite_name};
use crate::value::{SqliteValue, ValueError, to_sqlite};

use super::types::equality_class;

/// The name of a table while it is rebuilt. No other has it: it is too long for a name of Postgres, and names that are
/// made of two have a point.
const REBUILT: &str = "electric table that is being rebuilt and takes its final name next";

/// The statements for a change. `table` is the table that results; changes of types and table-less ones have none.
pub fn statements(change: &Change, table: Option<&Table>) -> Vec<String> {
    if let Change::Sqlite(statement) = change {
        return vec![statement.clone()];
    }
    let Some(table) = table else {
        return Vec::new();
    };
    match change {
        Change::CreateTable { .. } => {
            let mut statements = vec![create_table(table, &table.sqlite_name)];
            statements.extend(
                table
                    .indexes
                    .iter()
                    .filter_map(|index| create_index(index, table)),
            );
            statements
        }
        Change::DisableTable => vec![format!("DROP TABLE {}", quote_ident(&table.sqlite_name))],
        Change::AddColumn { column, .. } => add_column(column, table),
        Change::CreateIndex(index) => create_index(index, table).into_iter().collect(),
        Change::DropIndex(index) => drop_index(index, table).into_iter().collect(),
        Change::RenameIndex { from, to } => drop_index(from, table)
            .into_iter()
            .chain(create_index(to, table))
            .collect(),
        // NOT NULL is not kept on REAL, so that there is nothing to drop.
        Change::DropNotNull(column) if column.sqlite_type != SqliteType::Real => {
            rebuild(table, &column_names(table))
        }
        Change::DropConstraint {
            in_sqlite: true, ..
        } => rebuild(table, &column_names(table)),
        Change::ReplaceTable { from, .. } => {
            let mut statements = vec![format!("DROP TABLE {}", quote_ident(&from.sqlite_name))];
            statements.extend(schema(std::slice::from_ref(table)));
            statements
        }
        Change::CreateType(_)
        | Change::AddEnumValue { .. }
        | Change::SetDefault(_)
        | Change::DropDefault(_)
        | Change::DropNotNull(_)
        | Change::DropConstraint { .. }
        | Change::WidenColumn { .. }
        | Change::Grant(_)
        | Change::Revoke(_)
        | Change::Assign(_)
        | Change::Unassign(_)
        | Change::Sqlite(_)
        | Change::ValidateConstraint(_) => Vec::new(),
    }
}

/// The statements that build an empty replica.
pub fn schema(tables: &[Table]) -> Vec<String> {
    let create = |table| {
        statements(
            &Change::CreateTable {
                later: Vec::new(),
                earlier: Vec::new(),
            },
            Some(table),
        )
    };
    tables.iter().flat_map(create).collect()
}

/// Settles the DEFAULT of a column's SQLite definition, once, when the column is made. `value` is, in Postgres' text
/// form, the constant default of a column of a new table, or the value that existing rows got from a column added.
pub fn fix_column(column: &mut Column, value: Option<&str>) -> Result<(), ValueError> {
    column.sqlite_default = match to_sqlite(&column.data_type, value)? {
        SqliteValue::Null => None,
        value => Some(value.literal()),
    };
    Ok(())
}

/// Whether SQLite replicas have this foreign key of `table`: where it references the primary key, equal values have
/// equal forms, and neither its rows nor its actions could make a replica refuse what Postgres accepted. Call it when
/// the key is made, after [`fix_column`] on the columns of `table`; the answer is remembered in [`ForeignKey::sqlite`].
///
/// `referenced` is the table that it points to (`table` itself for a key within it). `referenced_is_partitioned` tells
/// that this is a partitioned table: a row that moves between its partitions is replicated as DELETE and INSERT, and a
/// replica's own ON DELETE action would take the referencing rows away in between.
pub fn keeps_foreign_key(
    key: &ForeignKey,
    table: &Table,
    referenced: &Table,
    referenced_is_partitioned: bool,
) -> bool {
    let targets = &key.references.columns;
    let references_primary_key = targets.len() == referenced.primary_key.len()
        && referenced
            .primary_key
            .iter()
            .all(|column| targets.contains(column))
        && key_of(referenced) == Key::Primary;
    let forms_agree = key.columns.len() == targets.len()
        && key.columns.iter().zip(targets).all(|(from, to)| {
            match (table.column(from), referenced.column(to)) {
                (Some(from), Some(to)) => equal_values_have_equal_forms(from, to),
                _ => false,
            }
        });
    let actions_work = [key.on_delete, key.on_update]
        .into_iter()
        .all(|action| action_works(action, key, table));
    let deletes_more =
        referenced_is_partitioned && !matches!(key.on_delete, Action::NoAction | Action::Restrict);
    // Rows from before a NOT VALID key may violate it; `SET NULL (columns)` SQLite cannot say.
    let sayable = key.validated
        && !key.definition.contains(" SET NULL (")
        && !key.definition.contains(" SET DEFAULT (");
    references_primary_key && forms_agree && actions_work && !deletes_more && sayable
}

fn equal_values_have_equal_forms(from: &Column, to: &Column) -> bool {
    let class = equality_class(&from.data_type);
    class.is_some()
        && class == equality_class(&to.data_type)
        && has_bytewise_equality(from)
        && has_bytewise_equality(to)
}

/// SQLite may run the actions of several keys in another order than Postgres: one that would put NULL into a NOT NULL
/// column must not be there at all, even if in Postgres it never came to that.
fn action_works(action: Action, key: &ForeignKey, table: &Table) -> bool {
    let columns = || key.columns.iter().filter_map(|name| table.column(name));
    match action {
        Action::NoAction | Action::Restrict | Action::Cascade => true,
        Action::SetNull => columns().all(|column| column.nullable),
        Action::SetDefault => {
            columns().all(|column| column.nullable || column.sqlite_default.is_some())
        }
    }
}

/// How the primary key is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Primary,
    Unique,
    None,
}

/// The primary key is a PRIMARY KEY, but where that would refuse rows:
/// * with a float in it, it is UNIQUE, because NaN is stored as NULL, which a primary key of a STRICT table refuses;
/// * with an array in it, it is left out, because JSON does not tell arrays with other lower bounds apart;
/// * deferrable, it is left out, because rows may break it until the transaction ends.
fn key_of(table: &Table) -> Key {
    let columns = || {
        table
            .primary_key
            .iter()
            .filter_map(|name| table.column(name))
    };
    let deferrable = table.primary_key_constraint.as_ref().is_some_and(|key| {
        key.definition.contains(") DEFERRABLE") || key.definition.ends_with(" INITIALLY DEFERRED")
    });
    if table.primary_key.is_empty()
        || deferrable
        || columns().any(|column| column.data_type.base().array_dims > 0)
    {
        Key::None
    } else if columns().any(|column| column.sqlite_type == SqliteType::Real) {
        Key::Unique
    } else {
        Key::Primary
    }
}

fn create_table(table: &Table, name: &str) -> String {
    let columns = table
        .columns
        .iter()
        .map(|column| column_definition(column, table));
    let key = match key_of(table) {
        Key::Primary => Some(format!("PRIMARY KEY ({})", column_list(&table.primary_key))),
        Key::Unique => Some(format!("UNIQUE ({})", column_list(&table.primary_key))),
        Key::None => None,
    };
    let foreign_keys = table
        .foreign_keys
        .iter()
        .filter(|key| key.sqlite && key.columns.len() != 1)
        .map(|key| {
            format!(
                "FOREIGN KEY ({}) {}",
                column_list(&key.columns),
                references(key)
            )
        });
    let items: Vec<String> = columns.chain(key).chain(foreign_keys).collect();
    format!(
        "CREATE TABLE {} ({}) STRICT",
        quote_ident(name),
        items.join(", ")
    )
}

fn add_column(column: &Column, table: &Table) -> Vec<String> {
    // As the table has it: there its SQLite default is settled.
    let column = table.column(&column.name).unwrap_or(column);
    // SQLite takes these names in CREATE TABLE, but newer versions not in ADD COLUMN.
    if matches!(
        sqlite_fold(&column.name).as_str(),
        "rowid" | "oid" | "_rowid_"
    ) {
        let kept: Vec<String> = table
            .columns
            .iter()
            .filter(|other| other.name != column.name)
            .map(|other| other.name.clone())
            .collect();
        return rebuild(table, &kept);
    }
    let name = quote_ident(&table.sqlite_name);
    vec![format!(
        "ALTER TABLE {name} ADD COLUMN {}",
        column_definition(column, table)
    )]
}

/// The statements that give an existing table the definition that `table` says, with its rows: what SQLite's page on
/// ALTER TABLE prescribes where ALTER TABLE cannot say it. `kept` names the columns whose values are carried over;
/// others get their DEFAULT. To be run as every migration is, in a transaction with `foreign_keys = OFF`.
pub fn rebuild(table: &Table, kept: &[String]) -> Vec<String> {
    let (name, columns) = (quote_ident(&table.sqlite_name), column_list(kept));
    let rebuilt = quote_ident(REBUILT);
    let mut statements = vec![
        create_table(table, REBUILT),
        format!("INSERT INTO {rebuilt} ({columns}) SELECT {columns} FROM {name}"),
        format!("DROP TABLE {name}"),
        format!("ALTER TABLE {rebuilt} RENAME TO {name}"),
    ];
    statements.extend(
        table
            .indexes
            .iter()
            .filter_map(|index| create_index(index, table)),
    );
    statements
}

fn column_names(table: &Table) -> Vec<String> {
    table
        .columns
        .iter()
        .map(|column| column.name.clone())
        .collect()
}

/// All that SQLite knows of a column, the same in `CREATE TABLE` and in `ADD COLUMN`.
fn column_definition(column: &Column, table: &Table) -> String {
    let storage = match column.sqlite_type {
        SqliteType::Integer => "INTEGER",
        SqliteType::Real => "REAL",
        SqliteType::Text => "TEXT",
        SqliteType::Blob => "BLOB",
    };
    let mut definition = format!("{} {storage}", quote_ident(&column.name));
    // NaN is stored as NULL.
    if !column.nullable && column.sqlite_type != SqliteType::Real {
        definition.push_str(" NOT NULL");
    }
    if let Some(default) = &column.sqlite_default {
        definition.push_str(" DEFAULT ");
        definition.push_str(default);
    }
    for key in &table.foreign_keys {
        if key.sqlite && key.columns.len() == 1 && key.columns.first() == Some(&column.name) {
            definition.push(' ');
            definition.push_str(&references(key));
        }
    }
    definition
}

fn references(key: &ForeignKey) -> String {
    let target = &key.references;
    let mut clause = format!(
        "REFERENCES {} ({})",
        quote_ident(&sqlite_name(&target.schema, &target.table)),
        column_list(&target.columns)
    );
    for (event, action) in [("DELETE", key.on_delete), ("UPDATE", key.on_update)] {
        let word = match action {
            // SQLite checks RESTRICT at once, deferred or not, and runs the actions of several keys in an order of its
            // own: it would refuse rows that leave in one statement of Postgres. As NO ACTION, the same is checked
            // when the transaction ends.
            Action::NoAction | Action::Restrict => continue,
            Action::Cascade => "CASCADE",
            Action::SetNull => "SET NULL",
            Action::SetDefault => "SET DEFAULT",
        };
        clause.push_str(&format!(" ON {event} {word}"));
    }
    clause.push_str(" DEFERRABLE INITIALLY DEFERRED");
    clause
}

fn column_list(columns: &[String]) -> String {
    columns
        .iter()
        .map(|column| quote_ident(column))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Whether the index can be said in SQLite, so that it should be given a [`Index::sqlite_name`].
pub fn can_say_index(index: &Index, table: &Table) -> bool {
    index_body(index, table).is_some()
}

/// Keys and predicate of an index. Other methods than these serve operators that SQLite does not have.
fn index_body(index: &Index, table: &Table) -> Option<String> {
    if !matches!(index.method.as_str(), "btree" | "hash") || index.keys.is_empty() {
        return None;
    }
    let keys: Vec<String> = index
        .keys
        .iter()
        .map(|key| index_key(key, table))
        .collect::<Option<_>>()?;
    let mut body = format!(
        "ON {} ({})",
        quote_ident(&table.sqlite_name),
        keys.join(", ")
    );
    if let Some(text) = &index.predicate {
        body.push_str(" WHERE ");
        body.push_str(&predicate(text, table)?);
    }
    Some(body)
}

fn create_index(index: &Index, table: &Table) -> Option<String> {
    let name = index.sqlite_name.as_deref()?;
    Some(format!(
        "CREATE INDEX {} {}",
        quote_ident(name),
        index_body(index, table)?
    ))
}

/// Nothing for an index that was never made.
fn drop_index(index: &Index, table: &Table) -> Option<String> {
    let name = index.sqlite_name.as_deref()?;
    index_body(index, table)?;
    Some(format!("DROP INDEX {}", quote_ident(name)))
}
