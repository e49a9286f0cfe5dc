//! The records themselves: one DDL command per change, in the user's transaction.

use std::cell::RefCell;

use electric_schema::bounded::Fault;
use electric_schema::change::Change;
use electric_schema::dialect::{postgres, sqlite};
use electric_schema::hash;
use electric_schema::model::{Table, TypeDefinition, TypeKind};
use electric_schema::op::Op;

use crate::error::Error;
use crate::limits;
use crate::pg::{hook, locks, names, relation, reserve, text, xact};
use crate::{follow, store, version};

/// What was asked for by a call of a function of ours, and how deep statements were nested then: what runs inside it, such as
/// a user's event trigger, has statements of its own.
struct Issued {
    text: String,
    depth: usize,
}

thread_local! {
    static ISSUED: RefCell<Option<Issued>> = const { RefCell::new(None) };
}

/// Runs `body` as what that statement does: its text is the `query` of what is recorded.
pub fn issued<T>(text: &str, body: impl FnOnce() -> T) -> T {
    /// Puts back what was there, also when an error passes.
    struct Before(Option<Issued>);
    impl Drop for Before {
        fn drop(&mut self) {
            ISSUED.set(self.0.take());
        }
    }
    let _before = Before(ISSUED.replace(Some(Issued {
        text: text.to_owned(),
        depth: hook::depth(),
    })));
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
    let too_large = || limits::record(change.command(), relation);
    let mut op = Op::of(change, table, limits::RECORD).map_err(|fault| match fault {
        Fault::TooLong => too_large(),
        Fault::Json(error) => error.into(),
    })?;
    if let (Change::CreateTable { .. } | Change::ReplaceTable { .. }, Some(table)) = (change, table)
    {
        let id = names::relation_of(&table.schema, &table.name);
        op.has_rows(id.is_some_and(relation::has_rows));
    }
    let table_text = op.table().map(str::to_owned);
    let op = op.text();
    reserve::expect(COPIES * op.len());
    let query = query(relation)?;
    let mut postgres = postgres::statements(change, table);
    if again {
        postgres.insert(0, drop_what_was_kept(change, table));
    }
    let sqlite = sqlite::statements(change, table);
    let statements = postgres.iter().chain(&sqlite).map(String::len);
    if op.len() + query.len() + statements.sum::<usize>() > limits::RECORD {
        return Err(too_large());
    }
    let last = store::commands::last()?;
    let migration_id = version::migration(last.migration)?;
    store::commands::insert(&store::commands::Command {
        id: last.id + 1,
        migration_id,
        command: change.command(),
        relation,
        query: &query,
        postgres: &postgres,
        sqlite: &sqlite,
        hash: &hash::next(&last.hash, &op),
        op: &op,
    })?;
    xact::command_counter_increment();
    Ok(table_text)
}

/// As often as what an op says is there while it is written: in two dialects, with quotes doubled, as text and as `jsonb`.
const COPIES: usize = 10;

/// The statement that made the change: a call of a function of ours, DDLX, or the utility statement that runs.
fn query(relation: &str) -> Result<String, Error> {
    let here = hook::depth();
    let text = ISSUED.with_borrow(|issued| {
        let issued = issued.as_ref().filter(|issued| issued.depth == here);
        issued.map(|issued| issued.text.clone())
    });
    match text {
        Some(text) => Ok(text),
        None => text::statement(relation),
    }
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
