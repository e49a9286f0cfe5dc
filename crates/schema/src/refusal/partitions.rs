//! Refusals about partitions of electrified tables.

use super::{Refusal, shown};
use crate::model::Table;
use crate::names::qualified;

/// DROP, DETACH, TRUNCATE or ATTACH of a partition that holds rows.
pub fn partition_with_rows(table: &Table, schema: &str, name: &str, action: &str) -> Refusal {
    let partition = qualified(schema, name);
    let hint = if action == "attach" {
        format!(
            "Attach it empty, then insert the rows: INSERT INTO {} SELECT …;",
            table.qualified_name()
        )
    } else {
        format!("Delete the rows first, which replicas follow: DELETE FROM {partition};")
    };
    Refusal {
        message: format!(
            "cannot {action} partition {} of electrified table {} while it holds rows",
            shown(schema, name),
            shown(&table.schema, &table.name)
        ),
        detail: "Its rows would come or go without replicas hearing of it.".to_owned(),
        hint,
        schema: Some(table.schema.clone()),
        table: Some(table.name.clone()),
        column: None,
        datatype: None,
        constraint: None,
    }
}

/// REPLICA IDENTITY of a partition that says less than that of the table.
pub fn weaken_identity_of_partition(table: &Table, schema: &str, name: &str) -> Refusal {
    Refusal::of_table(
        table,
        &format!(
            "weaken the replica identity of partition {} of",
            shown(schema, name)
        ),
        "Rows of a partition travel with its own replica identity, and replicas find rows by the primary key.",
        format!(
            "DEFAULT and FULL both have the primary key: ALTER TABLE {} REPLICA IDENTITY DEFAULT;",
            qualified(schema, name)
        ),
    )
}

/// A partition that is unlogged when it joins the table, or becomes so.
pub fn unlogged_partition(table: &Table, schema: &str, name: &str, joins: bool) -> Refusal {
    let partition = shown(schema, name);
    let (action, hint) = if joins {
        (
            format!("add unlogged partition {partition} to"),
            format!(
                "Create it without UNLOGGED, or first: ALTER TABLE {} SET LOGGED;",
                qualified(schema, name)
            ),
        )
    } else {
        (
            format!("set UNLOGGED on partition {partition} of"),
            "Leave it LOGGED, or detach it while it is empty.".to_owned(),
        )
    };
    Refusal::of_table(
        table,
        &action,
        "Changes of rows in an unlogged partition are in no stream, so replicas would not hear of them.",
        hint,
    )
}
