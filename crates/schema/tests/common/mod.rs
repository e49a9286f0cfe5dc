//! Builders of shapes for the tests, and a SQLite that runs as a replica does.
#![allow(dead_code)]

use electric_schema::change::Change;
use electric_schema::dialect::sqlite;
use electric_schema::dialect::types::sqlite_type;
use electric_schema::model::*;
use rusqlite::Connection;
use serde_json::json;

/// Names that break generators.
pub const HOSTILE: &[&str] = &[
    "select",
    "Order By",
    "quo\"te",
    "it's",
    "new\nline",
    "tab\t",
    "semi;colon -- comment",
    "ünïcödé 表 🐘",
    "sixty_three_bytes_sixty_three_bytes_sixty_three_bytes_sixty_thr",
    "a.b",
    "[brackets]",
    "`ticks`",
    "percent %s %w",
    "STRICT",
    "rowid",
    "true",
    ")",
    "back\\slash",
    "$1 ?1 :a @b",
    " ",
];

/// A scalar type of `pg_catalog`.
pub fn base(name: &str) -> ColumnType {
    ColumnType {
        name: name.into(),
        schema: "pg_catalog".into(),
        modifiers: vec![],
        array_dims: 0,
        kind: TypeKind::Base,
        sql: name.into(),
        extension: None,
        of: None,
    }
}

/// A type that is made from another, in schema `public`.
pub fn made_of(kind: TypeKind, name: &str, of: ColumnType) -> ColumnType {
    ColumnType {
        schema: "public".into(),
        kind,
        sql: format!("public.{name}"),
        of: Some(Box::new(of)),
        ..base(name)
    }
}

pub fn domain(of: ColumnType) -> ColumnType {
    made_of(TypeKind::Domain, "dom", of)
}

pub fn enumeration(name: &str) -> ColumnType {
    ColumnType {
        schema: "public".into(),
        kind: TypeKind::Enum,
        sql: format!("public.{name}"),
        ..base(name)
    }
}

pub fn extension(name: &str) -> ColumnType {
    ColumnType {
        schema: "public".into(),
        sql: format!("public.{name}"),
        extension: Some(name.into()),
        ..base(name)
    }
}

pub fn array(of: ColumnType, dims: u32) -> ColumnType {
    ColumnType {
        array_dims: dims,
        sql: format!("{}{}", of.sql, "[]".repeat(dims as usize)),
        ..of
    }
}

pub fn column(name: &str, data_type: ColumnType) -> Column {
    Column {
        name: name.into(),
        sqlite_type: sqlite_type(&data_type).expect("a type of S6"),
        data_type,
        nullable: true,
        default: None,
        identity: None,
        collation: None,
        default_value: None,
        default_is_local: false,
        sequence: None,
        sqlite_default: None,
    }
}

pub fn required(name: &str, data_type: ColumnType) -> Column {
    Column {
        nullable: false,
        ..column(name, data_type)
    }
}

/// A column whose default is the constant of that text.
pub fn with_default(mut column: Column, value: &str) -> Column {
    column.default = Some(format!(
        "{}::{}",
        electric_schema::names::quote_literal(value),
        column.data_type.sql
    ));
    column.default_value = Some(value.into());
    sqlite::fix_column(&mut column, Some(value)).expect("a value of the type");
    column
}

/// A table of `public` whose key is its first column.
pub fn table(name: &str, columns: Vec<Column>) -> Table {
    let key = columns[0].name.clone();
    Table {
        schema: "public".into(),
        name: name.into(),
        sqlite_name: name.into(),
        columns,
        primary_key_constraint: Some(constraint(
            &format!("{name}_pkey"),
            &format!(
                "PRIMARY KEY ({})",
                electric_schema::names::quote_ident_if_needed(&key)
            ),
        )),
        primary_key: vec![key],
        foreign_keys: vec![],
        unique: vec![],
        checks: vec![],
        indexes: vec![],
        exclusions: vec![],
        extensions: vec![],
        collations: vec![],
    }
}

pub fn constraint(name: &str, definition: &str) -> Constraint {
    Constraint {
        name: name.into(),
        columns: vec![],
        definition: definition.into(),
        validated: !definition.ends_with("NOT VALID"),
        is_local: false,
    }
}

pub fn foreign_key(column: &str, target: &str, target_column: &str) -> ForeignKey {
    let quoted = electric_schema::names::quote_ident_if_needed;
    ForeignKey {
        name: format!("{column}_fkey"),
        columns: vec![column.into()],
        references: References {
            schema: "public".into(),
            table: target.into(),
            columns: vec![target_column.into()],
        },
        on_delete: Action::NoAction,
        on_update: Action::NoAction,
        definition: format!(
            "FOREIGN KEY ({}) REFERENCES public.{}({})",
            quoted(column),
            quoted(target),
            quoted(target_column)
        ),
        validated: true,
        sqlite: true,
    }
}

pub fn index(name: &str, keys: &[&str], predicate: Option<&str>) -> Index {
    // From JSON, so that fields with a default need no mention.
    let index = json!({
        "name": name, "unique": false, "method": "btree", "keys": keys, "where": predicate,
        "definition": format!("CREATE INDEX {name} ON …"), "sqlite_name": name
    });
    serde_json::from_value(index).expect("an index")
}

pub fn create_table() -> Change {
    Change::CreateTable {
        later: vec![],
        earlier: vec![],
    }
}

/// An empty replica.
pub fn replica() -> Connection {
    Connection::open_in_memory().expect("SQLite opens")
}

/// Runs the statements of one migration as S6 says, in one transaction.
pub fn migrate(db: &Connection, statements: &[String]) {
    try_migrate(db, statements).unwrap_or_else(|error| panic!("{error}"));
}

pub fn try_migrate(db: &Connection, statements: &[String]) -> Result<(), String> {
    let run = |sql: &str| {
        db.execute_batch(sql)
            .map_err(|error| format!("{error}\n{sql}"))
    };
    run("PRAGMA foreign_keys = OFF; BEGIN")?;
    for statement in statements {
        // `execute` also refuses what is more than one statement.
        db.execute(statement, [])
            .map_err(|error| format!("{error}\n{statement}"))?;
    }
    let broken: i64 = db
        .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| {
            row.get(0)
        })
        .map_err(|error| format!("{error}\n{statements:?}"))?;
    run("COMMIT; PRAGMA foreign_keys = ON")?;
    if broken == 0 {
        Ok(())
    } else {
        Err(format!("{broken} rows break foreign keys"))
    }
}

/// What `sqlite_schema` holds, in an order of its own.
pub fn dump(db: &Connection) -> Vec<(String, String, Option<String>)> {
    db.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2")
        .and_then(|mut statement| {
            statement
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect()
        })
        .expect("the schema can be read")
}
