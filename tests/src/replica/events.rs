//! What a replica applied, for those who look on.

use crate::database::CommandRow;

/// A transaction as it was applied.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    /// Its id; 0 for first contact and for copies of rows.
    pub xid: u32,
    /// What it did, in order.
    pub events: Vec<Event>,
}

/// One step of a transaction.
#[derive(Debug, Clone)]
pub enum Event {
    /// A migration began.
    Migration {
        /// Its id.
        id: i64,
        /// Its version so far.
        version: String,
    },
    /// A migration's record changed: it has its version now.
    Named {
        /// Its id.
        id: i64,
        /// Its version.
        version: String,
    },
    /// A DDL command was run.
    Command(CommandRow),
    /// A row was written.
    Row(Row),
    /// Rows that were there before the table was enabled, or at first contact.
    Copied {
        /// The table, qualified.
        table: String,
        /// How many.
        rows: usize,
    },
}

/// A written row.
#[derive(Debug, Clone)]
pub struct Row {
    /// `insert`, `update`, `delete` or `truncate`.
    pub action: &'static str,
    /// The table, qualified.
    pub table: String,
    /// Names and texts of the new row's columns.
    pub columns: Vec<(String, Option<String>)>,
}

impl Transaction {
    /// Its commands.
    pub fn commands(&self) -> impl Iterator<Item = &CommandRow> {
        self.events.iter().filter_map(|event| match event {
            Event::Command(command) => Some(command),
            _ => None,
        })
    }

    /// What happened in short, in order: `add_column public.t`, `insert public.t`.
    pub fn outline(&self) -> Vec<String> {
        let line = |event: &Event| match event {
            Event::Command(command) => Some(format!("{} {}", command.command, command.relation)),
            Event::Row(row) => Some(format!("{} {}", row.action, row.table)),
            Event::Copied { table, rows } => Some(format!("copy {table} {rows}")),
            Event::Migration { .. } | Event::Named { .. } => None,
        };
        self.events.iter().filter_map(line).collect()
    }
}
