//! `electric.check` and `electric.drift`: what would happen, and what happened behind our back.

use electric_schema::policy::Policy;
use serde_json::{Value, json};

use crate::capture::tables;
use crate::error::{self, Error, SqlState};
use crate::pg::entry::{Call, Datum};
use crate::pg::script::{self, Kind};
use crate::pg::{heap, names, relation, session, subtransaction};
use crate::store;

/// `electric.check_report(sql text)`: a JSON array with an object for each statement; [`check`] in SQL makes it a table.
pub fn check_report(call: &Call) -> Result<Datum, Error> {
    let sql: String = call.arg(0).ok_or_else(|| {
        Error::new(
            SqlState::NullValueNotAllowed,
            "the script to check must not be null",
        )
    })?;
    // What is tried there has no transaction number, and fails with an internal error of the server.
    session::prevent_in_recovery(c"electric.check()");
    let tried = subtransaction::run_and_undo(std::panic::AssertUnwindSafe(|| try_script(&sql)));
    let report = match tried {
        Ok(report) => report,
        Err(error) if error.is_about_session() => error.rethrow(),
        // The script as a whole does not parse.
        Err(error) => vec![row(1, &sql, "error", Some(error.message()), error.hint())],
    };
    Ok(heap::jsonb(&Value::Array(report).to_string()))
}

fn try_script(sql: &str) -> Vec<Value> {
    let mut report = Vec::new();
    for (i, statement) in script::statements(sql).iter().enumerate() {
        let answer = |verdict, reason: Option<String>, hint| {
            row(i + 1, &statement.text, verdict, reason, hint)
        };
        report.push(match statement.kind {
            Kind::TransactionControl => answer(
                "allowed",
                Some(
                    "Transaction control; everything here is tried in one transaction.".to_owned(),
                ),
                None,
            ),
            Kind::ReindexMany if makes_indexes_valid(statement.schema().as_deref()) => answer(
                "captured",
                Some(
                    "Indexes that it makes valid are recorded: create_index. It cannot be tried inside a transaction."
                        .to_owned(),
                ),
                None,
            ),
            Kind::OutsideTransaction | Kind::ReindexMany => {
                answer("allowed", Some(OUTSIDE.to_owned()), None)
            }
            Kind::Ordinary | Kind::PerhapsOutside | Kind::Concurrent => {
                let (verdict, reason, hint) = try_statement(statement);
                answer(verdict, reason, hint)
            }
        });
    }
    report
}

const OUTSIDE: &str = "It changes no shape; it cannot be tried inside a transaction.";

/// Whether an electrified table of the schema, or of any, has an index that REINDEX would make valid.
fn makes_indexes_valid(schema: Option<&str>) -> bool {
    store::shapes::ids().into_iter().any(|id| {
        let is_meant =
            schema.is_none_or(|name| names::schema_of_relation(id).as_deref() == Some(name));
        let is_table = relation::class(id).is_some_and(|class| class.kind == b'r');
        is_meant && is_table && relation::has_invalid_index(id)
    })
}

fn try_statement(statement: &script::Statement) -> (&'static str, Option<String>, Option<String>) {
    let commands = || store::commands::last().map(|(id, _)| id).unwrap_or(0);
    let before = commands();
    error::forget_refusal();
    match subtransaction::run(std::panic::AssertUnwindSafe(|| statement.run())) {
        Ok(()) if commands() > before => {
            let count = commands() - before;
            let words = store::commands::words_after(before)
                .unwrap_or_default()
                .join(", ");
            (
                "captured",
                Some(format!("Recorded as {count} command(s): {words}.")),
                None,
            )
        }
        Ok(()) => ("allowed", Some("No effect on any shape.".to_owned()), None),
        Err(error) if error.is_about_session() => error.rethrow(),
        Err(error) if statement.kind == Kind::PerhapsOutside && error.is_about_transaction() => {
            ("allowed", Some(OUTSIDE.to_owned()), None)
        }
        Err(error) => {
            let refused = error::is_last_refusal(&error.message());
            let reason = match error.detail() {
                Some(detail) => format!("{}. {detail}", error.message()),
                None => error.message(),
            };
            (
                if refused { "refused" } else { "error" },
                Some(reason),
                error.hint(),
            )
        }
    }
}

fn row(
    seq: usize,
    statement: &str,
    verdict: &str,
    reason: Option<String>,
    hint: Option<String>,
) -> Value {
    json!({"seq": seq, "statement": statement, "verdict": verdict, "reason": reason, "hint": hint})
}

/// `electric.drift_report()`: a JSON array of electrified tables whose catalog is not what is recorded; `electric.drift`
/// in SQL makes it a table.
pub fn drift_report(_call: &Call) -> Result<Datum, Error> {
    let mut report = Vec::new();
    for id in store::shapes::ids() {
        let Some(recorded) = store::shapes::shape(id)? else {
            continue;
        };
        let Some(problem) = tables::drift(id, Policy::Additive)? else {
            continue;
        };
        let actual = crate::catalog::table(id).map(|actual| actual.table);
        report.push(json!({
            "relation": recorded.qualified_name(),
            "problem": problem,
            "recorded": recorded,
            "actual": actual,
        }));
    }
    Ok(heap::jsonb(&Value::Array(report).to_string()))
}
