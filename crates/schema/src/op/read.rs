//! An `op` read back: what a replica that speaks SQL needs to say a command anew.
//!
//! An op leaves out what its reader has already: how other tables point to the one that changes, and what was there
//! before. [`Read::complete`] fills that in.

use serde::Deserialize;
use serde_json::Value;

use super::FORMAT;
use crate::change::{Change, LabelPosition};
use crate::model::{Column, ColumnType, Constraint, ForeignKey, Index, Table, TypeDefinition};
use crate::permissions::{Assignment, Grant};

/// Why an op cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It was written by a newer version, or by nobody who knows the format.
    #[error("its format is {0}, and this version reads {FORMAT}")]
    Format(Value),
    /// A word that the format does not have.
    #[error("it says {0:?}, which is no word of the format")]
    Word(String),
    /// Members are missing, are too many, or are not what they should be.
    #[error("{0}")]
    Malformed(String),
}

/// The names of a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its name on SQLite replicas.
    pub sqlite_name: String,
}

/// An op that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The change, without what only its reader knows.
    pub change: Change,
    /// The table that results; none for changes of types and what concerns no table.
    pub table: Option<Table>,
    /// Whether a table that is made held rows already.
    pub has_rows: bool,
    /// The names that a table had which is made anew.
    pub replaced: Option<Names>,
}

/// The members of an op, word by word. None beyond these is known.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
enum Members {
    CreateType {
        #[serde(rename = "type")]
        definition: TypeDefinition,
    },
    AddEnumValue {
        #[serde(rename = "type")]
        definition: TypeDefinition,
        value: String,
        before: Option<String>,
    },
    CreateTable {
        #[serde(default = "yes")]
        has_rows: bool,
        table: Table,
    },
    ReplaceTable {
        from: Names,
        #[serde(default = "yes")]
        has_rows: bool,
        table: Table,
    },
    DisableTable {
        table: Table,
    },
    AddColumn {
        column: Column,
        existing_value: Option<String>,
        constraints: Vec<Constraint>,
        foreign_keys: Vec<ForeignKey>,
        table: Table,
    },
    CreateIndex {
        index: Index,
        table: Table,
    },
    DropIndex {
        index: Index,
        table: Table,
    },
    RenameIndex {
        index: Index,
        from: String,
        table: Table,
    },
    SetDefault {
        column: Column,
        table: Table,
    },
    DropDefault {
        column: Column,
        table: Table,
    },
    DropNotNull {
        column: Column,
        table: Table,
    },
    ValidateConstraint {
        constraint: String,
        table: Table,
    },
    DropConstraint {
        constraint: String,
        table: Table,
    },
    WidenColumn {
        column: Column,
        from: ColumnType,
        #[serde(default)]
        constraints: Vec<Constraint>,
        table: Table,
    },
    Grant {
        grants: Vec<Grant>,
        table: Option<Table>,
    },
    Revoke {
        grants: Vec<Grant>,
        table: Option<Table>,
    },
    Assign {
        assignments: Vec<Assignment>,
        table: Option<Table>,
    },
    Unassign {
        assignments: Vec<Assignment>,
        table: Option<Table>,
    },
    Sqlite {
        statement: String,
    },
}

/// The words of the format.
const WORDS: [&str; 20] = [
    "create_type",
    "add_enum_value",
    "create_table",
    "replace_table",
    "disable_table",
    "add_column",
    "create_index",
    "drop_index",
    "rename_index",
    "set_default",
    "drop_default",
    "drop_not_null",
    "validate_constraint",
    "drop_constraint",
    "widen_column",
    "grant",
    "revoke",
    "assign",
    "unassign",
    "sqlite",
];

/// Records of before `has_rows` say nothing, and then there may be rows.
fn yes() -> bool {
    true
}

impl Read {
    /// Reads an op. What is not exactly as this version writes it is an error.
    pub fn of(op: &Value) -> Result<Read, Unreadable> {
        let malformed = |what: &str| Unreadable::Malformed(what.to_owned());
        let mut members = op
            .as_object()
            .cloned()
            .ok_or_else(|| malformed("it is no object"))?;
        let format = members.remove("format").unwrap_or_default();
        if format.as_u64() != Some(u64::from(FORMAT)) {
            return Err(Unreadable::Format(format));
        }
        let word = members.get("op").and_then(Value::as_str);
        let word = word.ok_or_else(|| malformed("it has no word"))?;
        if !WORDS.contains(&word) {
            return Err(Unreadable::Word(word.to_owned()));
        }
        serde_json::from_value::<Members>(Value::Object(members))
            .map(Read::from)
            .map_err(|error| Unreadable::Malformed(error.to_string()))
    }

    /// Fills in what the table was before, where the change speaks of that.
    pub fn complete(&mut self, previous: &Table) {
        match &mut self.change {
            Change::RenameIndex { from, .. } => {
                let mut indexes = previous.indexes.iter();
                if let Some(index) = indexes.find(|index| index.name == from.name) {
                    *from = index.clone();
                }
            }
            Change::DropConstraint {
                name,
                in_sqlite,
                is_local,
            } => {
                *is_local = previous
                    .checks
                    .iter()
                    .any(|c| c.name == *name && c.is_local);
                let mut keys = previous.foreign_keys.iter();
                *in_sqlite = keys.any(|key| key.name == *name && key.sqlite);
            }
            Change::ReplaceTable { from, .. } => **from = previous.clone(),
            _ => {}
        }
    }
}

impl From<Members> for Read {
    fn from(members: Members) -> Read {
        let whole = |change, table: Option<Table>| Read {
            change,
            table,
            has_rows: true,
            replaced: None,
        };
        match members {
            Members::CreateType { definition } => whole(Change::CreateType(definition), None),
            Members::AddEnumValue {
                definition,
                value,
                before,
            } => {
                let change = Change::AddEnumValue {
                    enum_type: definition,
                    value,
                    position: before.map_or(LabelPosition::Last, LabelPosition::Before),
                };
                whole(change, None)
            }
            Members::CreateTable { has_rows, table } => {
                let change = Change::CreateTable {
                    later: Vec::new(),
                    earlier: Vec::new(),
                };
                Read {
                    has_rows,
                    ..whole(change, Some(table))
                }
            }
            Members::ReplaceTable {
                from,
                has_rows,
                table,
            } => {
                let change = Change::ReplaceTable {
                    from: Box::new(Table {
                        schema: from.schema.clone(),
                        name: from.name.clone(),
                        sqlite_name: from.sqlite_name.clone(),
                        ..table.clone()
                    }),
                    referencing: Vec::new(),
                };
                Read {
                    has_rows,
                    replaced: Some(from),
                    ..whole(change, Some(table))
                }
            }
            Members::DisableTable { table } => whole(Change::DisableTable, Some(table)),
            Members::AddColumn {
                column,
                existing_value,
                constraints,
                foreign_keys,
                table,
            } => {
                let change = Change::AddColumn {
                    column,
                    existing_value,
                    constraints,
                    foreign_keys,
                };
                whole(change, Some(table))
            }
            Members::CreateIndex { index, table } => whole(Change::CreateIndex(index), Some(table)),
            Members::DropIndex { index, table } => whole(Change::DropIndex(index), Some(table)),
            Members::RenameIndex { index, from, table } => {
                let from = Index {
                    name: from,
                    ..index.clone()
                };
                whole(Change::RenameIndex { from, to: index }, Some(table))
            }
            Members::SetDefault { column, table } => whole(Change::SetDefault(column), Some(table)),
            Members::DropDefault { column, table } => {
                whole(Change::DropDefault(column), Some(table))
            }
            Members::DropNotNull { column, table } => {
                whole(Change::DropNotNull(column), Some(table))
            }
            Members::ValidateConstraint { constraint, table } => {
                whole(Change::ValidateConstraint(constraint), Some(table))
            }
            Members::DropConstraint { constraint, table } => {
                let change = Change::DropConstraint {
                    name: constraint,
                    in_sqlite: false,
                    is_local: false,
                };
                whole(change, Some(table))
            }
            Members::WidenColumn {
                column,
                from,
                constraints,
                table,
            } => {
                let change = Change::WidenColumn {
                    column,
                    from,
                    constraints,
                };
                whole(change, Some(table))
            }
            Members::Grant { grants, table } => whole(Change::Grant(grants), table),
            Members::Revoke { grants, table } => whole(Change::Revoke(grants), table),
            Members::Assign { assignments, table } => whole(Change::Assign(assignments), table),
            Members::Unassign { assignments, table } => whole(Change::Unassign(assignments), table),
            Members::Sqlite { statement } => whole(Change::Sqlite(statement), None),
        }
    }
}
