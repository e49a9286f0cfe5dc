//! An entity-relationship diagram in Mermaid's words, to be pasted into a README.
//!
//! The grammar is that of Mermaid's documentation, "Entity Relationship Diagrams", as of version 11.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use crate::model::{Column, ColumnType, ForeignKey, Table};

/// The diagram of these tables. Keys to tables that are not among them are left out.
pub fn mermaid(tables: &[Table]) -> String {
    let names = entity_names(tables);
    let mut diagram = String::from("erDiagram\n");
    for (table, name) in tables.iter().zip(&names) {
        put(&mut diagram, format_args!("    {name} {{\n"));
        for column in &table.columns {
            attribute(&mut diagram, column, table);
        }
        diagram.push_str("    }\n");
    }
    let by_table: HashMap<(&str, &str), &String> = tables
        .iter()
        .map(|table| (table.schema.as_str(), table.name.as_str()))
        .zip(&names)
        .collect();
    for (table, from) in tables.iter().zip(&names) {
        for key in &table.foreign_keys {
            let to = (
                key.references.schema.as_str(),
                key.references.table.as_str(),
            );
            if let Some(to) = by_table.get(&to) {
                let label = shown(&key.columns.join(", "));
                let (one, many) = cardinality(key, table);
                put(
                    &mut diagram,
                    format_args!("    {to} {one}--{many} {from} : \"{label}\"\n"),
                );
            }
        }
    }
    diagram
}

/// Writing into a string does not fail.
fn put(diagram: &mut String, line: std::fmt::Arguments<'_>) {
    let _ = diagram.write_fmt(line);
}

/// The tables' names in quotes: bare, many words mean something there. Names that look the same get a number.
fn entity_names(tables: &[Table]) -> Vec<String> {
    let mut taken = HashSet::new();
    tables
        .iter()
        .map(|table| {
            let name = shown(&table.sqlite_name);
            let mut entity = format!("\"{name}\"");
            let mut number = 2;
            while !taken.insert(entity.clone()) {
                entity = format!("\"{name} {number}\"");
                number += 1;
            }
            entity
        })
        .collect()
}

fn attribute(diagram: &mut String, column: &Column, table: &Table) {
    let has = |columns: &[String]| columns.contains(&column.name);
    let alone = |columns: &[String]| matches!(columns, [only] if *only == column.name);
    let keys: Vec<&str> = [
        ("PK", has(&table.primary_key)),
        ("FK", table.foreign_keys.iter().any(|key| has(&key.columns))),
        ("UK", table.unique.iter().any(|of| alone(&of.columns))),
    ]
    .into_iter()
    .filter_map(|(word, holds)| holds.then_some(word))
    .collect();
    let name = word(&column.name);
    put(
        diagram,
        format_args!("        {} {name}", type_word(&column.data_type)),
    );
    if !keys.is_empty() {
        put(diagram, format_args!(" {}", keys.join(", ")));
    }
    if name != column.name {
        put(diagram, format_args!(" \"{}\"", shown(&column.name)));
    }
    diagram.push('\n');
}

fn type_word(data_type: &ColumnType) -> String {
    let mut text = word(&data_type.name);
    // A comma is not part of a word there.
    if let [modifier] = data_type.modifiers[..] {
        put(&mut text, format_args!("({modifier})"));
    }
    text.push_str(&"[]".repeat(data_type.array_dims as usize));
    text
}

/// How many rows of the referenced table a row has, and the other way round.
fn cardinality(key: &ForeignKey, table: &Table) -> (&'static str, &'static str) {
    let optional = key
        .columns
        .iter()
        .filter_map(|name| table.column(name))
        .any(|column| column.nullable);
    let is_key = |columns: &[String]| {
        columns.len() == key.columns.len() && columns.iter().all(|name| key.columns.contains(name))
    };
    let once =
        is_key(&table.primary_key) || table.unique.iter().any(|unique| is_key(&unique.columns));
    (
        if optional { "|o" } else { "||" },
        if once { "o|" } else { "o{" },
    )
}

/// A name as a word of Mermaid's: what is no letter, digit or underscore becomes an underscore, and what would be read
/// as something else gets an `x` before it.
fn word(name: &str) -> String {
    let mut word: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let is_key = matches!(word.to_ascii_uppercase().as_str(), "PK" | "FK" | "UK");
    if is_key || !word.starts_with(|c: char| c.is_ascii_alphabetic()) {
        word.insert(0, 'x');
    }
    word
}

/// A text as it may stand in quotes.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '"' => '\'',
            '%' | '\\' | '`' => '_',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Action, Constraint, References, SqliteType, TypeKind};

    fn column(name: &str, type_name: &str, nullable: bool) -> Column {
        Column {
            name: name.into(),
            data_type: ColumnType {
                name: type_name.into(),
                schema: "pg_catalog".into(),
                modifiers: Vec::new(),
                array_dims: 0,
                kind: TypeKind::Base,
                sql: type_name.into(),
                extension: None,
                of: None,
            },
            sqlite_type: SqliteType::Text,
            nullable,
            default: None,
            identity: None,
            collation: None,
            default_value: None,
            default_is_local: false,
            sequence: None,
            sqlite_default: None,
        }
    }

    fn table(name: &str, columns: Vec<Column>) -> Table {
        Table {
            schema: "public".into(),
            name: name.into(),
            sqlite_name: name.into(),
            columns,
            primary_key: vec!["id".into()],
            foreign_keys: Vec::new(),
            unique: Vec::new(),
            checks: Vec::new(),
            indexes: Vec::new(),
            exclusions: Vec::new(),
            primary_key_constraint: None,
            extensions: Vec::new(),
            collations: Vec::new(),
        }
    }

    fn key(columns: &[&str], to: &str) -> ForeignKey {
        ForeignKey {
            name: "key".into(),
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
            references: References {
                schema: "public".into(),
                table: to.into(),
                columns: vec!["id".into()],
            },
            on_delete: Action::NoAction,
            on_update: Action::NoAction,
            definition: String::new(),
            validated: true,
            sqlite: true,
        }
    }

    #[test]
    fn tables_columns_and_keys() {
        let mut owned = table(
            "items",
            vec![
                column("id", "uuid", false),
                column("owner", "uuid", true),
                column("label", "text", false),
            ],
        );
        owned.foreign_keys = vec![key(&["owner"], "users"), key(&["label"], "elsewhere")];
        owned.unique = vec![Constraint {
            name: "u".into(),
            columns: vec!["label".into()],
            definition: String::new(),
            validated: true,
            is_local: false,
        }];
        let users = table("users", vec![column("id", "uuid", false)]);
        assert_eq!(
            mermaid(&[owned, users]),
            r#"erDiagram
    "items" {
        uuid id PK
        uuid owner FK
        text label FK, UK
    }
    "users" {
        uuid id PK
    }
    "users" |o--o{ "items" : "owner"
"#
        );
    }

    #[test]
    fn a_key_that_is_the_primary_key_leads_from_one_to_at_most_one() {
        let mut profile = table("profile", vec![column("id", "uuid", false)]);
        profile.foreign_keys = vec![key(&["id"], "profile")];
        let diagram = mermaid(&[profile]);
        assert!(
            diagram.contains(r#""profile" ||--o| "profile" : "id""#),
            "{diagram}"
        );
    }

    #[test]
    fn names_that_mermaid_would_misread() {
        let mut numbers = column("1 \"größe\"", "numeric", false);
        numbers.data_type.modifiers = vec![10, 2];
        let mut words = column("PK", "varchar", false);
        words.data_type.modifiers = vec![10];
        words.data_type.array_dims = 1;
        let odd = table("a\"b\n%", vec![numbers, words]);
        let alike = table("a'b _", Vec::new());
        assert_eq!(
            mermaid(&[odd, alike]),
            r#"erDiagram
    "a'b _" {
        numeric x1__gr__e_ "1 'größe'"
        varchar(10)[] xPK "PK"
    }
    "a'b _ 2" {
    }
"#
        );
    }
}
