//! What the additive rule says no to: message, the rule, and the way to the same end.

use crate::model::Table;
use crate::names::{qualified, quote_ident_if_needed as quoted};

mod partitions;

pub use partitions::{partition_with_rows, unlogged_partition, weaken_identity_of_partition};

/// A change that is refused. Raised as SQLSTATE 0A000.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Names the object and the action.
    pub message: String,
    /// The rule.
    pub detail: String,
    /// The additive way to the same end.
    pub hint: String,
    /// Schema of the object.
    pub schema: Option<String>,
    /// Table of the object.
    pub table: Option<String>,
    /// Column of the object.
    pub column: Option<String>,
    /// Type, where one is concerned.
    pub datatype: Option<String>,
    /// Constraint, where one is concerned.
    pub constraint: Option<String>,
}

/// `"schema.name"`, the way messages name tables and types.
pub fn shown(schema: &str, name: &str) -> String {
    format!("\"{schema}.{name}\"")
}

impl Refusal {
    /// A refusal about a table: `cannot <action> electrified table "public.items"`.
    pub fn of_table(
        table: &Table,
        action: &str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Refusal {
        Refusal {
            message: format!(
                "cannot {action} electrified table {}",
                shown(&table.schema, &table.name)
            ),
            detail: detail.into(),
            hint: hint.into(),
            schema: Some(table.schema.clone()),
            table: Some(table.name.clone()),
            column: None,
            datatype: None,
            constraint: None,
        }
    }

    /// A refusal about a type that electrified tables use.
    pub fn of_type(
        schema: &str,
        name: &str,
        action: &str,
        detail: impl Into<String>,
        hint: impl Into<String>,
    ) -> Refusal {
        Refusal {
            message: format!(
                "cannot {action} type {}, which electrified tables use",
                shown(schema, name)
            ),
            detail: detail.into(),
            hint: hint.into(),
            schema: Some(schema.to_owned()),
            table: None,
            column: None,
            datatype: Some(name.to_owned()),
            constraint: None,
        }
    }

    /// About this column.
    pub fn column(mut self, column: &str) -> Refusal {
        self.column = Some(column.to_owned());
        self
    }

    /// About this constraint.
    pub fn constraint(mut self, constraint: &str) -> Refusal {
        self.constraint = Some(constraint.to_owned());
        self
    }
}

const KEPT: &str =
    "Replicas that are behind still use it; only changes that take nothing away reach them safely.";
const RESTRICTED: &str = "Rows that replicas hold, or write while they are offline, may not satisfy it; only changes that restrict nothing reach them safely.";
const UNHEARD: &str = "Existing rows would get values on this server that no replica hears of, because adding a column sends no rows.";

fn disable_first(table: &Table) -> String {
    format!(
        "To change the table all the same, take it out of replication first: SELECT electric.disable('{}');",
        qualified(&table.schema, &table.name).replace('\'', "''")
    )
}

fn alter(table: &Table, action: &str) -> String {
    format!(
        "ALTER TABLE {} {action};",
        qualified(&table.schema, &table.name)
    )
}

/// DROP TABLE, by any route.
pub fn drop_table(table: &Table) -> Refusal {
    Refusal::of_table(table, "drop", KEPT, disable_first(table))
}

/// RENAME TO.
pub fn rename_table(table: &Table, to: &str) -> Refusal {
    Refusal::of_table(
        table,
        "rename",
        KEPT,
        format!(
            "Leave the table as it is and give readers a view under the new name: CREATE VIEW {} AS SELECT * FROM {};",
            qualified(&table.schema, to),
            qualified(&table.schema, &table.name)
        ),
    )
}

/// SET SCHEMA, or a renamed schema.
pub fn move_table(table: &Table, to: &str) -> Refusal {
    Refusal::of_table(
        table,
        "change the schema of",
        KEPT,
        format!(
            "Leave the table where it is and give readers a view: CREATE VIEW {} AS SELECT * FROM {};",
            qualified(to, &table.name),
            qualified(&table.schema, &table.name)
        ),
    )
}

/// DROP COLUMN, by any route.
pub fn drop_column(table: &Table, column: &str) -> Refusal {
    Refusal::of_table(
        table,
        &format!("drop column {} of", shown_name(column)),
        KEPT,
        format!(
            "Stop using the column and leave it. New rows can do without it: {}",
            alter(
                table,
                &format!("ALTER COLUMN {} SET DEFAULT …", quoted(column))
            )
        ),
    )
    .column(column)
}

/// RENAME COLUMN.
pub fn rename_column(table: &Table, column: &str, to: &str, type_sql: &str) -> Refusal {
    Refusal::of_table(
        table,
        &format!("rename column {} of", shown_name(column)),
        KEPT,
        format!(
            "Add a column under the new name and mirror the old one into it with a trigger: {}",
            alter(table, &format!("ADD COLUMN {} {type_sql}", quoted(to)))
        ),
    )
    .column(column)
}

/// ALTER COLUMN TYPE.
pub fn change_type(table: &Table, column: &str, to: &str) -> Refusal {
    Refusal::of_table(
        table,
        &format!("change the type of column {} of", shown_name(column)),
        "Replicas that are behind hold and write values of the old type.",
        format!(
            "Add a column of the new type and mirror the old one into it with a trigger: {}",
            alter(
                table,
                &format!("ADD COLUMN {} {to}", quoted(&format!("{column}_new")))
            )
        ),
    )
    .column(column)
}

/// SET NOT NULL.
pub fn set_not_null(table: &Table, column: &str) -> Refusal {
    Refusal::of_table(
        table,
        &format!("set NOT NULL on column {} of", shown_name(column)),
        RESTRICTED,
        format!(
            "Give new rows a value instead: {} Or add a column that is NOT NULL from the start, with a DEFAULT.",
            alter(table, &format!("ALTER COLUMN {} SET DEFAULT …", quoted(column)))
        ),
    )
    .column(column)
}

/// DROP NOT NULL.
pub fn drop_not_null(table: &Table, column: &str) -> Refusal {
    Refusal::of_table(
        table,
        &format!("drop NOT NULL from column {} of", shown_name(column)),
        "Replicas that are behind have the column as NOT NULL and would refuse rows without a value.",
        format!(
            "Add a nullable column for the values that may be missing: {}",
            alter(
                table,
                &format!(
                    "ADD COLUMN {} {}",
                    quoted(&format!("{column}_new")),
                    table.column(column).map_or("text", |c| c.data_type.sql.as_str())
                )
            )
        ),
    )
    .column(column)
}

/// ADD GENERATED AS IDENTITY, DROP IDENTITY, SET GENERATED.
pub fn change_identity(table: &Table, column: &str) -> Refusal {
    Refusal::of_table(
        table,
        &format!("change the identity of column {} of", shown_name(column)),
        "Whether a column takes values from clients is part of what replicas rely on.",
        format!(
            "A default from a sequence serves new rows as well: {}",
            alter(
                table,
                &format!("ALTER COLUMN {} SET DEFAULT nextval('…')", quoted(column))
            )
        ),
    )
    .column(column)
}

/// ADD COLUMN … NOT NULL without a usable default.
pub fn add_not_null_column(table: &Table, column: &str, type_sql: &str) -> Refusal {
    add_column(
        table,
        column,
        "The column is NOT NULL, and rows that replicas hold or write without knowing it have no value for it.",
        format!(
            "Give it a constant DEFAULT, or leave out NOT NULL: {}",
            alter(table, &format!("ADD COLUMN {} {type_sql}", quoted(column)))
        ),
    )
}

/// ADD COLUMN with a volatile DEFAULT, identity or serial.
pub fn add_volatile_column(table: &Table, column: &str, type_sql: &str) -> Refusal {
    add_column(
        table,
        column,
        UNHEARD,
        format!(
            "Add the column without its DEFAULT, then set that for new rows: {} {}",
            alter(table, &format!("ADD COLUMN {} {type_sql}", quoted(column))),
            alter(
                table,
                &format!("ALTER COLUMN {} SET DEFAULT …", quoted(column))
            )
        ),
    )
}

/// ADD COLUMN … GENERATED.
pub fn add_generated_column(table: &Table, column: &str, type_sql: &str) -> Refusal {
    add_column(
        table,
        column,
        "Logical replication does not carry generated columns.",
        format!(
            "Compute the value in a view, or in an ordinary column that a trigger fills: {}",
            alter(table, &format!("ADD COLUMN {} {type_sql}", quoted(column)))
        ),
    )
}

/// ADD COLUMN of a type that replicas cannot hold.
pub fn add_unsupported_column(table: &Table, column: &str, type_sql: &str) -> Refusal {
    add_column(
        table,
        column,
        format!("Its type {type_sql} has no form that every replica can hold."),
        format!(
            "Keep the value as text or jsonb: {}",
            alter(table, &format!("ADD COLUMN {} jsonb", quoted(column)))
        ),
    )
}

/// ADD COLUMN whose name replicas cannot tell from another.
pub fn add_colliding_column(table: &Table, column: &str, other: &str) -> Refusal {
    add_column(
        table,
        column,
        format!(
            "SQLite ignores case in names: there the column would collide with {}.",
            shown_name(other)
        ),
        "Choose a name that differs in more than case.",
    )
}

fn add_column(
    table: &Table,
    column: &str,
    detail: impl Into<String>,
    hint: impl Into<String>,
) -> Refusal {
    Refusal::of_table(
        table,
        &format!("add column {} to", shown_name(column)),
        detail,
        hint,
    )
    .column(column)
}

/// ADD COLUMN … REFERENCES a table that replicas do not have.
pub fn reference_to_unelectrified(
    table: &Table,
    constraint: &str,
    schema: &str,
    name: &str,
) -> Refusal {
    Refusal::of_table(
        table,
        &format!("add foreign key {} to", shown_name(constraint)),
        format!(
            "It references table {}, which is not electrified.",
            shown(schema, name)
        ),
        format!(
            "Electrify the referenced table first: SELECT electric.enable('{}');",
            qualified(schema, name).replace('\'', "''")
        ),
    )
    .constraint(constraint)
}

/// ADD CONSTRAINT on existing columns, or one over several columns.
pub fn add_constraint(table: &Table, constraint: &str) -> Refusal {
    Refusal::of_table(
        table,
        &format!("add constraint {} to", shown_name(constraint)),
        RESTRICTED,
        "Add a new column that has the constraint from the start, and write to that one; or create a table that has it.",
    )
    .constraint(constraint)
}

/// DROP CONSTRAINT.
pub fn drop_constraint(table: &Table, constraint: &str) -> Refusal {
    Refusal::of_table(
        table,
        &format!("drop constraint {} of", shown_name(constraint)),
        "Clients rely on what the constraint promises about the rows.",
        disable_first(table),
    )
    .constraint(constraint)
}

/// RENAME CONSTRAINT.
pub fn rename_constraint(table: &Table, constraint: &str) -> Refusal {
    Refusal::of_table(
        table,
        &format!("rename constraint {} of", shown_name(constraint)),
        "Replicas know the constraint by its name.",
        "Leave the name as it is; COMMENT ON CONSTRAINT can say what it is for.",
    )
    .constraint(constraint)
}

/// ALTER CONSTRAINT, or another definition under the same name.
pub fn alter_constraint(table: &Table, constraint: &str) -> Refusal {
    Refusal::of_table(
        table,
        &format!("alter constraint {} of", shown_name(constraint)),
        "Clients rely on what the constraint promises about the rows.",
        disable_first(table),
    )
    .constraint(constraint)
}

/// ADD, ALTER or DROP PRIMARY KEY.
pub fn change_primary_key(table: &Table) -> Refusal {
    Refusal::of_table(
        table,
        "change the primary key of",
        "Replicas find rows by their primary key.",
        "Create a table with the new key, electrify it, and mirror the rows into it with a trigger.",
    )
}

/// INHERIT, NO INHERIT, or becoming a partition.
pub fn change_parents(table: &Table) -> Refusal {
    Refusal::of_table(
        table,
        "change the parents of",
        "Rows of a table that inherits, or is a partition, count as rows of another table, which replicas do not know.",
        disable_first(table),
    )
}

/// REPLICA IDENTITY that says less than is asked for.
pub fn weaken_replica_identity(table: &Table) -> Refusal {
    Refusal::of_table(
        table,
        "weaken the replica identity of",
        "Consumers need of old rows what electric.replica_identity says.",
        "With SET electric.replica_identity = 'default' the primary key is enough.",
    )
}

/// SET UNLOGGED.
pub fn set_unlogged(table: &Table) -> Refusal {
    Refusal::of_table(
        table,
        "set UNLOGGED on",
        "Changes to unlogged tables are not replicated.",
        disable_first(table),
    )
}

/// ALTER COLUMN TYPE … USING, or anything else that writes all rows anew.
pub fn rewrite(table: &Table) -> Refusal {
    Refusal::of_table(
        table,
        "rewrite the rows of",
        "Replicas would keep the rows as they were, because a rewrite sends none.",
        format!(
            "Change the values with UPDATE, which replicas follow: UPDATE {} SET …;",
            qualified(&table.schema, &table.name)
        ),
    )
}

/// ALTER, RENAME or DROP of the publication while tables are electrified.
pub fn change_publication(name: &str, action: &str) -> Refusal {
    Refusal {
        message: format!("cannot {action} publication \"{name}\", which carries electrified tables"),
        detail: "Replicas follow it; what leaves it is gone for them without a word.".to_owned(),
        hint: "electric.enable and electric.disable add and remove tables; another publication can be made for other ends."
            .to_owned(),
        schema: None,
        table: None,
        column: None,
        datatype: None,
        constraint: None,
    }
}

/// A change of a table of the extension.
pub fn change_own_object(name: &str) -> Refusal {
    Refusal {
        message: format!("cannot change \"electric.{name}\""),
        detail: "The tables of the extension are written by the extension alone, and replicas rely on their shape.".to_owned(),
        hint: "A view over them can have any shape: CREATE VIEW … AS SELECT … FROM electric.…;".to_owned(),
        schema: Some("electric".to_owned()),
        table: Some(name.to_owned()),
        column: None,
        datatype: None,
        constraint: None,
    }
}

/// A change of something else that is the extension's: a function, an event trigger, its schema.
pub fn change_own(kind: &str, name: &str) -> Refusal {
    of_extension(
        format!("cannot change {kind} \"{name}\""),
        "It belongs to the extension electric: without it as it is, changes would go unrecorded.",
        "ALTER EXTENSION electric UPDATE; brings another version of it, and DROP EXTENSION electric; removes it.",
    )
}

/// An event trigger of the user's that would call a function of the extension's.
pub fn serve_event_trigger(function: &str) -> Refusal {
    of_extension(
        format!("cannot call \"electric.{function}\" by another event trigger"),
        "The event triggers of the extension call it already, once for each command.",
        "Have the event trigger call a function of your own.",
    )
}

/// ALTER EXTENSION electric ADD or DROP.
pub fn change_own_members() -> Refusal {
    of_extension(
        "cannot change the members of extension \"electric\"".to_owned(),
        "What belongs to the extension is dumped, upgraded and dropped as a whole.",
        "ALTER EXTENSION electric UPDATE; brings the members of another version.",
    )
}

/// Something new in the schema of the extension, or in the place of something there.
pub fn create_among_own(name: Option<&str>) -> Refusal {
    of_extension(
        match name {
            Some(name) => format!("cannot create \"electric.{name}\""),
            None => "cannot bring objects into schema \"electric\"".to_owned(),
        },
        "The schema is the extension's own: what is in it comes and goes with the extension.",
        "Use a schema of your own: CREATE SCHEMA …;",
    )
}

fn of_extension(message: String, detail: &str, hint: &str) -> Refusal {
    Refusal {
        message,
        detail: detail.to_owned(),
        hint: hint.to_owned(),
        schema: Some("electric".to_owned()),
        table: None,
        column: None,
        datatype: None,
        constraint: None,
    }
}

/// Whatever else changes a shape.
pub fn unnamed(table: &Table, what: &str) -> Refusal {
    Refusal::of_table(
        table,
        &format!("change {what} of"),
        "What is not known to be safe for replicas that are behind is refused.",
        disable_first(table),
    )
}

/// ALTER EXTENSION … SET SCHEMA, or RENAME of its schema.
pub fn move_extension(name: &str) -> Refusal {
    Refusal {
        message: format!("cannot change the schema of extension {}, which electrified tables use", shown_name(name)),
        detail: "Replicas have it in the schema in which it was, and later changes would name it in the new one.".to_owned(),
        hint: "Leave it; a search_path that has its schema finds it without one.".to_owned(),
        schema: None,
        table: None,
        column: None,
        datatype: None,
        constraint: None,
    }
}

/// DROP TYPE, RENAME, SET SCHEMA, RENAME VALUE and changes of domains.
pub fn change_type_in_use(schema: &str, name: &str, action: &str) -> Refusal {
    Refusal::of_type(
        schema,
        name,
        action,
        "Replicas that are behind hold and write values of the type as it was.",
        "Create another type, add a column of it, and mirror the old column into it with a trigger.",
    )
}

fn shown_name(name: &str) -> String {
    format!("\"{name}\"")
}
