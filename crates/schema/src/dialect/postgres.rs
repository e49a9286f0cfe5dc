//! Canonical Postgres: the statements for every change, complete in themselves, whatever the session that runs them.

use crate::change::{Change, LabelPosition};
use crate::model::{
    Collation, Column, ColumnType, Constraint, Extension, ForeignKey, Identity, Index, Sequence,
    Table, TypeDefinition, TypeKind,
};
use crate::names::{qualified, qualified_quoted, quote_ident, quote_literal};

/// The statements for a change. `table` is the table that results; changes of types have none.
pub fn statements(change: &Change, table: Option<&Table>) -> Vec<String> {
    match (change, table) {
        (Change::CreateType(definition), _) => create_type(definition),
        (
            Change::AddEnumValue {
                enum_type,
                value,
                position,
            },
            _,
        ) => vec![add_enum_value(enum_type, value, position)],
        (Change::CreateTable { later, earlier }, Some(table)) => {
            create_table(table, later, earlier)
        }
        (
            Change::AddColumn {
                column,
                existing_value,
                constraints,
                foreign_keys,
            },
            Some(table),
        ) => collated(
            table,
            add_column(
                table,
                column,
                existing_value.as_deref(),
                constraints,
                foreign_keys,
            ),
        ),
        (Change::CreateIndex(index), Some(table)) => collated(table, create_index(index, table)),
        (Change::DropIndex(index), Some(table)) if !index.is_local => {
            vec![format!(
                "DROP INDEX {}",
                qualified_quoted(&table.schema, &index.name)
            )]
        }
        (Change::RenameIndex { from, to }, Some(table)) if !from.is_local => {
            let from = qualified_quoted(&table.schema, &from.name);
            vec![format!(
                "ALTER INDEX {from} RENAME TO {}",
                quote_ident(&to.name)
            )]
        }
        (Change::SetDefault(column), Some(table)) => collated(table, set_default(table, column)),
        (Change::DropDefault(column), Some(table)) => vec![alter_default(table, column, None)],
        (Change::ValidateConstraint(name), Some(table)) => validate_constraint(table, name),
        (Change::DropNotNull(column), Some(table)) => {
            vec![alter_column(table, column, "DROP NOT NULL")]
        }
        (
            Change::DropConstraint {
                name,
                is_local: false,
                ..
            },
            Some(table),
        ) => vec![format!(
            "ALTER TABLE {} DROP CONSTRAINT {}",
            qualified_quoted(&table.schema, &table.name),
            quote_ident(name)
        )],
        (Change::WidenColumn { column, .. }, Some(table)) => {
            let mut action = format!("TYPE {}", column.data_type.sql);
            if let Some(collation) = &column.collation {
                action.push_str(" COLLATE ");
                action.push_str(collation);
            }
            vec![alter_column(table, column, &action)]
        }
        (Change::ReplaceTable { from, referencing }, Some(table)) => {
            let mut statements = vec![format!(
                "DROP TABLE IF EXISTS {} CASCADE",
                qualified_quoted(&from.schema, &from.name)
            )];
            statements.extend(create_table(table, &[], &[]));
            let keys = referencing.iter();
            statements.extend(keys.flat_map(|(table, key)| add_key_over_rows(table, key)));
            statements
        }
        // On Postgres replicas the table stays, an ordinary one.
        (Change::DisableTable, _) => Vec::new(),
        // What the server alone has, and changes of a table without the table.
        _ => Vec::new(),
    }
}

/// The statements that build an empty replica: the types, in an order in which each can be made, then the tables.
pub fn schema(types: &[TypeDefinition], tables: &[Table]) -> Vec<String> {
    let tables: Vec<&Table> = tables.iter().collect();
    let creation = crate::order::creation(&tables);
    let tables = creation
        .iter()
        .flat_map(|(at, change)| statements(change, Some(tables[*at])));
    let mut seen = std::collections::HashSet::new();
    types
        .iter()
        .flat_map(create_type)
        .chain(tables)
        .filter(|statement| seen.insert(statement.clone()))
        .collect()
}

/// What must be there before a statement that names these things. Each at most once, in order of first need.
#[derive(Default)]
struct Prelude(Vec<String>);

impl Prelude {
    fn push(&mut self, statement: String) {
        if !self.0.contains(&statement) {
            self.0.push(statement);
        }
    }

    fn schema(&mut self, schema: &str) {
        if !matches!(schema, "public" | "pg_catalog") {
            self.push(format!(
                "CREATE SCHEMA IF NOT EXISTS {}",
                quote_ident(schema)
            ));
        }
    }

    /// Enums and the user's domains and ranges have commands of their own; the extension of a type is needed here.
    fn column_type(&mut self, data_type: &ColumnType) {
        if let Some(of) = &data_type.of {
            self.column_type(of);
        }
        if let Some(extension) = &data_type.extension {
            self.extension(extension, &data_type.schema);
        }
    }

    fn extension(&mut self, name: &str, schema: &str) {
        self.schema(schema);
        self.push(format!(
            "CREATE EXTENSION IF NOT EXISTS {} WITH SCHEMA {}",
            quote_ident(name),
            quote_ident(schema)
        ));
    }

    fn extensions(&mut self, extensions: &[Extension]) {
        for extension in extensions {
            self.extension(&extension.name, &extension.schema);
        }
    }

    fn collations<'a>(&mut self, collations: impl IntoIterator<Item = &'a Collation>) {
        for collation in collations {
            self.schema(&collation.schema);
            self.push(format!(
                "CREATE COLLATION IF NOT EXISTS {} ({})",
                qualified_quoted(&collation.schema, &collation.name),
                collation.options
            ));
        }
    }

    /// The sequence of a serial column, or one that a default names; an identity column brings its own.
    fn sequence(&mut self, column: &Column) {
        if let (Some(sequence), None) = (&column.sequence, column.identity) {
            self.schema(&sequence.schema);
            self.push(format!(
                "CREATE SEQUENCE IF NOT EXISTS {} AS {} {}",
                qualified_quoted(&sequence.schema, &sequence.name),
                sequence.data_type,
                sequence_options(sequence)
            ));
        }
    }
}

/// Statements about a table that was there, with the collations before that they name: the others are there.
fn collated(table: &Table, statements: Vec<String>) -> Vec<String> {
    let is_named = |collation: &&Collation| {
        let Collation { schema, name, .. } = collation;
        let names = [qualified(schema, name), qualified_quoted(schema, name)];
        names
            .iter()
            .any(|name| statements.iter().any(|text| text.contains(name)))
    };
    let mut prelude = Prelude::default();
    prelude.collations(table.collations.iter().filter(is_named));
    prelude.0.extend(statements);
    prelude.0
}

fn sequence_options(sequence: &Sequence) -> String {
    format!(
        "START WITH {} INCREMENT BY {} MINVALUE {} MAXVALUE {} CACHE {}{}",
        sequence.start,
        sequence.increment,
        sequence.min,
        sequence.max,
        sequence.cache,
        if sequence.cycle { " CYCLE" } else { "" }
    )
}

fn own_sequence(table: &Table, column: &Column) -> Option<String> {
    let sequence = column
        .sequence
        .as_ref()
        .filter(|sequence| sequence.owned && column.identity.is_none())?;
    Some(format!(
        "ALTER SEQUENCE {} OWNED BY {}.{}",
        qualified_quoted(&sequence.schema, &sequence.name),
        qualified_quoted(&table.schema, &table.name),
        quote_ident(&column.name)
    ))
}

fn create_type(definition: &TypeDefinition) -> Vec<String> {
    let mut prelude = Prelude::default();
    prelude.schema(&definition.schema);
    prelude.extensions(&definition.extensions);
    prelude.collations(&definition.collations);
    let mut statements = prelude.0;
    if definition.kind == TypeKind::Enum {
        let labels: Vec<String> = definition
            .labels
            .iter()
            .map(|label| quote_literal(label))
            .collect();
        let name = qualified_quoted(&definition.schema, &definition.name);
        statements.push(format!(
            "CREATE TYPE {name} AS ENUM ({})",
            labels.join(", ")
        ));
    } else {
        statements.extend(definition.definition.clone());
        statements.extend(definition.not_valid.iter().cloned());
    }
    statements
}

fn add_enum_value(enum_type: &TypeDefinition, value: &str, position: &LabelPosition) -> String {
    let name = qualified_quoted(&enum_type.schema, &enum_type.name);
    let place = match position {
        LabelPosition::Before(label) => format!(" BEFORE {}", quote_literal(label)),
        LabelPosition::Last => String::new(),
    };
    format!(
        "ALTER TYPE {name} ADD VALUE {}{place}",
        quote_literal(value)
    )
}

fn create_table(table: &Table, later: &[String], earlier: &[(String, ForeignKey)]) -> Vec<String> {
    let name = qualified_quoted(&table.schema, &table.name);
    let mut prelude = Prelude::default();
    prelude.schema(&table.schema);
    prelude.extensions(&table.extensions);
    prelude.collations(&table.collations);
    for column in &table.columns {
        prelude.column_type(&column.data_type);
        prelude.sequence(column);
    }

    let mut items: Vec<String> = table
        .columns
        .iter()
        .map(|column| column_definition(column, shared_default(column)))
        .collect();
    // A constraint inside CREATE TABLE would count as validated, so one that is not comes after.
    let mut after = Vec::new();
    let constraints = table
        .primary_key_constraint
        .iter()
        .chain(&table.unique)
        .chain(&table.exclusions)
        .chain(&table.checks)
        .filter(|constraint| !constraint.is_local)
        .map(|constraint| (&constraint.name, &constraint.definition));
    let foreign_keys = table
        .foreign_keys
        .iter()
        .filter(|key| !later.contains(&key.name))
        .map(|key| (&key.name, &key.definition));
    for (constraint, definition) in constraints.chain(foreign_keys) {
        if definition.ends_with(" NOT VALID") {
            after.push(add_constraint(&name, constraint, definition));
        } else {
            items.push(format!(
                "CONSTRAINT {} {definition}",
                quote_ident(constraint)
            ));
        }
    }
    if table.primary_key_constraint.is_none() && !table.primary_key.is_empty() {
        let columns: Vec<String> = table
            .primary_key
            .iter()
            .map(|column| quote_ident(column))
            .collect();
        items.push(format!("PRIMARY KEY ({})", columns.join(", ")));
    }

    let mut statements = prelude.0;
    statements.push(format!("CREATE TABLE {name} ({})", items.join(", ")));
    statements.extend(
        table
            .columns
            .iter()
            .filter_map(|column| own_sequence(table, column)),
    );
    statements.extend(after);
    statements.extend(
        table
            .indexes
            .iter()
            .filter(|index| !index.is_local)
            .map(|index| index.definition.clone()),
    );
    statements.extend(
        earlier
            .iter()
            .map(|(table, key)| add_constraint(table, &key.name, &key.definition)),
    );
    statements
}

fn add_constraint(table: &str, name: &str, definition: &str) -> String {
    format!(
        "ALTER TABLE {table} ADD CONSTRAINT {} {definition}",
        quote_ident(name)
    )
}

/// A foreign key of a table whose rows may point to some that are not there yet: it holds for new ones, and for all if
/// it can.
fn add_key_over_rows(table: &str, key: &ForeignKey) -> Vec<String> {
    if !key.validated {
        return vec![add_constraint(table, &key.name, &key.definition)];
    }
    let name = quote_ident(&key.name);
    let validate = format!(
        "BEGIN ALTER TABLE {table} VALIDATE CONSTRAINT {name}; EXCEPTION WHEN foreign_key_violation THEN NULL; END"
    );
    vec![
        add_constraint(table, &key.name, &format!("{} NOT VALID", key.definition)),
        format!("DO LANGUAGE plpgsql {}", quote_literal(&validate)),
    ]
}

/// The default that other servers can have too.
fn shared_default(column: &Column) -> Option<&str> {
    column
        .default
        .as_deref()
        .filter(|_| !column.default_is_local)
}

fn column_definition(column: &Column, default: Option<&str>) -> String {
    let mut definition = format!("{} {}", quote_ident(&column.name), column.data_type.sql);
    if let Some(collation) = &column.collation {
        definition.push_str(" COLLATE ");
        definition.push_str(collation);
    }
    if let Some(default) = default {
        definition.push_str(" DEFAULT ");
        definition.push_str(default);
    }
    if !column.nullable {
        definition.push_str(" NOT NULL");
    }
    if let Some(identity) = column.identity {
        definition.push_str(match identity {
            Identity::Always => " GENERATED ALWAYS AS IDENTITY",
            Identity::ByDefault => " GENERATED BY DEFAULT AS IDENTITY",
        });
        if let Some(sequence) = &column.sequence {
            let name = qualified_quoted(&sequence.schema, &sequence.name);
            definition.push_str(&format!(
                " (SEQUENCE NAME {name} {})",
                sequence_options(sequence)
            ));
        }
    }
    definition
}

/// Rows made before must get here what they got there. A default that is not a plain constant might give another value
/// (`now()`), so it comes only after the column was added with that value.
fn add_column(
    table: &Table,
    column: &Column,
    existing_value: Option<&str>,
    constraints: &[Constraint],
    foreign_keys: &[ForeignKey],
) -> Vec<String> {
    let name = qualified_quoted(&table.schema, &table.name);
    let mut prelude = Prelude::default();
    prelude.column_type(&column.data_type);
    let default = shared_default(column);
    // The model names the extensions of the whole table; a plain column needs none of them.
    let is_plain = (default.is_none() || column.default_value.is_some()) && constraints.is_empty();
    if !is_plain {
        prelude.extensions(&table.extensions);
    }
    prelude.sequence(column);
    let mut statements = prelude.0;

    let existing =
        existing_value.map(|value| format!("{}::{}", quote_literal(value), column.data_type.sql));
    let is_constant = default.is_some()
        && existing_value.is_some()
        && column.default_value.as_deref() == existing_value;
    let first = if is_constant {
        default
    } else if existing.is_none() && takes_default_of_type(column) {
        Some("NULL")
    } else {
        existing.as_deref()
    };
    statements.push(format!(
        "ALTER TABLE {name} ADD COLUMN {}",
        column_definition(column, first)
    ));
    if first != default {
        statements.push(alter_default(table, column, default));
    }
    statements.extend(own_sequence(table, column));
    let constraints = constraints
        .iter()
        .filter(|constraint| !constraint.is_local)
        .map(|constraint| (&constraint.name, &constraint.definition));
    let foreign_keys = foreign_keys.iter().map(|key| (&key.name, &key.definition));
    statements.extend(
        constraints
            .chain(foreign_keys)
            .map(|(constraint, definition)| add_constraint(&name, constraint, definition)),
    );
    statements
}

/// Whether the column has a default where none is said: that of its domain, which may act, and which rows that are there
/// did not get unless their value says so.
fn takes_default_of_type(column: &Column) -> bool {
    column.data_type.kind == TypeKind::Domain && column.data_type.array_dims == 0
}

fn set_default(table: &Table, column: &Column) -> Vec<String> {
    let default = shared_default(column);
    let mut prelude = Prelude::default();
    if default.is_some() {
        if column.default_value.is_none() {
            prelude.extensions(&table.extensions);
        }
        prelude.sequence(column);
    }
    let mut statements = prelude.0;
    statements.push(alter_default(table, column, default));
    statements.extend(default.and_then(|_| own_sequence(table, column)));
    statements
}

fn alter_default(table: &Table, column: &Column, default: Option<&str>) -> String {
    match default {
        Some(default) => alter_column(table, column, &format!("SET DEFAULT {default}")),
        None => alter_column(table, column, "DROP DEFAULT"),
    }
}

fn alter_column(table: &Table, column: &Column, action: &str) -> String {
    let name = qualified_quoted(&table.schema, &table.name);
    format!(
        "ALTER TABLE {name} ALTER COLUMN {} {action}",
        quote_ident(&column.name)
    )
}

fn create_index(index: &Index, table: &Table) -> Vec<String> {
    if index.is_local {
        return Vec::new();
    }
    let mut prelude = Prelude::default();
    prelude.extensions(&table.extensions);
    let mut statements = prelude.0;
    statements.push(index.definition.clone());
    statements
}

fn validate_constraint(table: &Table, name: &str) -> Vec<String> {
    let is_local = table
        .checks
        .iter()
        .any(|check| check.name == name && check.is_local);
    if is_local {
        return Vec::new();
    }
    let table = qualified_quoted(&table.schema, &table.name);
    vec![format!(
        "ALTER TABLE {table} VALIDATE CONSTRAINT {}",
        quote_ident(name)
    )]
}
