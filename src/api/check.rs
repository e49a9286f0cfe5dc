//! `electric.check` and `electric.drift`: what would happen, and what happened behind our back.

use electric_schema::policy::Policy;
use serde_json::{Value, json};

use crate::capture::tables;
use crate::error::{self, Error, SqlState};
use crate::pg::entry::{Call, Datum};
use crate::pg::heap;
use crate::pg::script::{self, Kind};
use crate::pg::subtransaction;
use crate::store;

/// `electric.check_report(sql text)`: a JSON array with an object for each statement; [`check`] in SQL makes it a table.
pub fn check_report(call: &Call) -> Result<Datum, Error> {
    let sql: String = call.arg(0).ok_or_else(|| {
        Error::new(
            SqlState::NullValueNotAllowed,
            "the script to check must not be null",
        )
    })?;
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
            Kind::OutsideTransaction => answer(
                "allowed",
                Some("It changes no shape; it cannot be tried inside a transaction.".to_owned()),
                None,
            ),
            Kind::Ordinary | Kind::Concurrent => {
                let (verdict, reason, hint) = try_statement(statement);
                answer(verdict, reason, hint)
            }
        });
    }
    report
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
