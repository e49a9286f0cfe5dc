//! The changes that are recorded: one `Change` becomes one DDL command.

use crate::model::{Column, ColumnType, Constraint, ForeignKey, Index, Table, TypeDefinition};
use crate::permissions::{Assignment, Grant};

/// Where `ALTER TYPE … ADD VALUE` put a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelPosition {
    /// Before the label named.
    Before(String),
    /// After all others.
    Last,
}

/// One change of a shape, complete: with the table that results (see [`crate::op`]) it is all a replica must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A type that an electrified table uses became known.
    CreateType(TypeDefinition),
    /// A table was electrified.
    CreateTable {
        /// Foreign keys of this table that a later command makes, because their target comes after it.
        later: Vec<String>,
        /// Foreign keys that tables made earlier have to this one: the qualified table and its key.
        earlier: Vec<(String, ForeignKey)>,
    },
    /// A table left the electrified ones; on Postgres replicas it stays as an ordinary table.
    DisableTable,
    /// A column was added, with the constraints that came with it and concern it alone.
    AddColumn {
        /// The column.
        column: Column,
        /// The value that rows made before got from the DEFAULT, in text form; `None` for NULL.
        existing_value: Option<String>,
        /// CHECK and UNIQUE constraints on it.
        constraints: Vec<Constraint>,
        /// Its foreign keys.
        foreign_keys: Vec<ForeignKey>,
    },
    /// An index that backs no constraint was made (or became valid).
    CreateIndex(Index),
    /// An index was dropped.
    DropIndex(Index),
    /// An index was renamed.
    RenameIndex {
        /// The index under its old name.
        from: Index,
        /// The index under its new name.
        to: Index,
    },
    /// A label was added to an enum.
    AddEnumValue {
        /// The enum with the label.
        enum_type: TypeDefinition,
        /// The label.
        value: String,
        /// Its place.
        position: LabelPosition,
    },
    /// A column's DEFAULT for rows to come was set.
    SetDefault(Column),
    /// A column's DEFAULT was dropped.
    DropDefault(Column),
    /// A NOT VALID constraint was validated.
    ValidateConstraint(String),
    /// A column takes NULL from here on.
    DropNotNull(Column),
    /// A CHECK, UNIQUE, EXCLUDE or FOREIGN KEY constraint was dropped.
    DropConstraint {
        /// Its name.
        name: String,
        /// Whether SQLite replicas had it: a foreign key that they kept.
        in_sqlite: bool,
        /// Whether Postgres replicas had to do without it.
        is_local: bool,
    },
    /// A column's type became wider; no value changed its text.
    WidenColumn {
        /// The column with its new type.
        column: Column,
        /// The type it had.
        from: ColumnType,
        /// Constraints that read differently with the new type, as they read now.
        constraints: Vec<Constraint>,
    },
    /// Something happened to a table that replicas cannot follow: they make it anew and fetch its rows.
    ReplaceTable {
        /// The table as it was.
        from: Box<Table>,
        /// Foreign keys that other electrified tables have to this one: the qualified table and its key.
        referencing: Vec<(String, ForeignKey)>,
    },
    /// Clients may do more to a table, or the same under other conditions: all that they may do from here on.
    Grant(Vec<Grant>),
    /// Clients may do less to a table: all that they may do from here on.
    Revoke(Vec<Grant>),
    /// Rows of a table give more roles, or the same otherwise: all that they give from here on.
    Assign(Vec<Assignment>),
    /// Rows of a table give fewer roles: all that they give from here on.
    Unassign(Vec<Assignment>),
    /// A statement for SQLite replicas alone.
    Sqlite(String),
}

impl Change {
    /// The word in `electric.ddl_commands.command` and in `op`.
    pub fn command(&self) -> &'static str {
        match self {
            Change::CreateType(_) => "create_type",
            Change::CreateTable { .. } => "create_table",
            Change::DisableTable => "disable_table",
            Change::AddColumn { .. } => "add_column",
            Change::CreateIndex(_) => "create_index",
            Change::DropIndex(_) => "drop_index",
            Change::RenameIndex { .. } => "rename_index",
            Change::AddEnumValue { .. } => "add_enum_value",
            Change::SetDefault(_) => "set_default",
            Change::DropDefault(_) => "drop_default",
            Change::ValidateConstraint(_) => "validate_constraint",
            Change::DropNotNull(_) => "drop_not_null",
            Change::DropConstraint { .. } => "drop_constraint",
            Change::WidenColumn { .. } => "widen_column",
            Change::ReplaceTable { .. } => "replace_table",
            Change::Grant(_) => "grant",
            Change::Revoke(_) => "revoke",
            Change::Assign(_) => "assign",
            Change::Unassign(_) => "unassign",
            Change::Sqlite(_) => "sqlite",
        }
    }
}
