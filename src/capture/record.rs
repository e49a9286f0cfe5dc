//! The records themselves: one DDL command per change, in the user's transaction.

use std::cell::RefCell;

use electric_schema::change::Change;
use electric_schema::dialect::{postgres, sqlite};
use electric_schema::hash;
use electric_schema::model::{Table, TypeDefinition, TypeKind};
use electric_schema::op::Op;

use crate::error::Error;
use crate::pg::{hook, locks, names, relation, xact};
use crate::{follow, store, version};

thread_local! {
    /// The DDLX statement that runs.
    static DDLX: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `body` as what a DDLX statement does: its text is the `query` of what is recorded.
pub fn issued<T>(text: &str, body: impl FnOnce() -> T) -> T {
    /// Puts back what was there, also when an error passes.
    struct Before(Option<String>);
    impl Drop for Before {
        fn drop(&mut self) {
            DDLX.set(self.0.take());
        }
    }
    let _before = Before(DDLX.replace(Some(text.to_owned())));
    body()
}

/// Writes one DDL command. Call it under the migration lock; `table` is the table that results. Gives that as JSON.
pub fn one(
    change: &Change,
    relation: &str,
    table: Option<&Table>,
) -> Result<Option<String>, Error> {
    again(change, relation, table, false)
}

/// Writes one DDL command that may make something `again` which replicas have kept from an earlier time.
pub fn again(
    change: &Change,
    relation: &str,
    table: Option<&Table>,
    again: bool,
) -> Result<Option<String>, Error> {
    locks::migrations()?;
    follow::refuse_own(change.command(), relation, table)?;
    let mut op = Op::of(change, table)?;
    if let (Change::CreateTable { .. } | Change::ReplaceTable { .. }, Some(table)) = (change, table)
    {
        let id = names::relation_of(&table.schema, &table.name);
        op.has_rows(id.is_some_and(relation::has_rows));
    }
    let mut postgres = postgres::statements(change, table);
    if again {
        postgres.insert(0, drop_what_was_kept(change, table));
    }
    let table_text = op.table().map(str::to_owned);
    let op = op.text();
    let last = store::commands::last()?;
    let migration_id = version::migration(last.migration)?;
    store::commands::insert(&store::commands::Command {
        id: last.id + 1,
        migration_id,
        command: change.command(),
        relation,
        query: &query(change).unwrap_or_default(),
        postgres: &postgres,
        sqlite: &sqlite::statements(change, table),
        hash: &hash::next(&last.hash, &op),
        op: &op,
    })?;
    xact::command_counter_increment();
    Ok(table_text)
}

/// The statement that made the change: DDLX, a call of a function of ours, or the utility statement that runs.
fn query(change: &Change) -> Option<String> {
    let ddlx = DDLX.with_borrow(Clone::clone);
    ddlx.or_else(|| match change {
        Change::CreateTable { .. }
        | Change::DisableTable
        | Change::Grant(_)
        | Change::Revoke(_)
        | Change::Assign(_)
        | Change::Unassign(_) => hook::calling_text(),
        _ => hook::statement_text(),
    })
}

/// A table that was disabled stays on Postgres replicas as it was then. Enabled again it comes with all its rows, so
/// the old one must make way.
fn drop_what_was_kept(change: &Change, table: Option<&Table>) -> String {
    use electric_schema::names::qualified_quoted;
    match (change, table) {
        (
            Change::CreateType(TypeDefinition {
                schema, name, kind, ..
            }),
            _,
        ) => {
            let what = if *kind == TypeKind::Domain {
                "DOMAIN"
            } else {
                "TYPE"
            };
            format!(
                "DROP {what} IF EXISTS {} CASCADE",
                qualified_quoted(schema, name)
            )
        }
        (_, Some(table)) => {
            format!(
                "DROP TABLE IF EXISTS {} CASCADE",
                qualified_quoted(&table.schema, &table.name)
            )
        }
        _ => String::new(),
    }
}
