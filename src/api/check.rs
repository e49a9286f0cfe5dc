//! `electric.check` and `electric.drift`: what would happen, and what happened behind our back.

use electric_ddlx::{Found, FoundKind};
use electric_schema::model::TypeDefinition;
use electric_schema::policy::Policy;

use crate::capture::{tables, types};
use crate::error::{self, Error, SqlState};
use crate::pg::entry::{Call, Datum, void};
use crate::pg::script::{self, Kind};
use crate::pg::value::Value;
use crate::pg::{names, relation, reserve, session, subtransaction};
use crate::store;

/// What would happen to a statement of a script.
pub struct Line {
    /// The statement alone.
    pub statement: String,
    /// `captured`, `allowed`, `refused` or `error`.
    pub verdict: &'static str,
    /// Why.
    pub reason: Option<String>,
    /// The way out.
    pub hint: Option<String>,
}

/// `electric.check(sql text)`: what would happen to each statement of a script.
pub fn check(call: &Call) -> Result<Datum, Error> {
    let report = lines(call)?;
    let rows = call.rows(true)?;
    for (line, number) in report.iter().zip(1..) {
        rows.add(&[
            Value::Int4(number),
            Value::Text(&line.statement),
            Value::Text(line.verdict),
            Value::text_or_null(line.reason.as_deref()),
            Value::text_or_null(line.hint.as_deref()),
        ])?;
    }
    Ok(void())
}

/// What would happen to each statement of the script.
pub fn lines(call: &Call) -> Result<Vec<Line>, Error> {
    let sql = call.text(0)?.ok_or_else(|| {
        Error::new(
            SqlState::NullValueNotAllowed,
            "the script to check must not be null",
        )
    })?;
    // What is tried there has no transaction number, and fails with an internal error of the server.
    session::prevent_in_recovery(c"electric.check()");
    let tried = subtransaction::run_and_undo(std::panic::AssertUnwindSafe(|| try_script(&sql)));
    Ok(match tried {
        Ok(report) => report,
        Err(error) if error.is_about_session() => error.rethrow(),
        // The script as a whole does not parse.
        Err(error) => vec![line(&sql, "error", Some(error.message()), error.hint())],
    })
}

fn try_script(sql: &str) -> Vec<Line> {
    let mut report = Vec::new();
    let parts = electric_ddlx::find(sql);
    if parts.is_empty() {
        try_sql(sql, &mut report);
    }
    for Found { range, kind } in parts {
        let text = &sql[range];
        match kind {
            FoundKind::Other => try_sql(text, &mut report),
            FoundKind::Ddlx(_) => {
                let (verdict, reason, hint) = tried(false, || run_ddlx(text));
                report.push(line(text, verdict, reason, hint));
            }
            FoundKind::Invalid(error) => {
                let hint = error.hint.map(str::to_owned);
                report.push(line(text, "error", Some(error.message), hint));
            }
        }
    }
    report
}

/// Runs DDLX as a user would, by the function.
fn run_ddlx(text: &str) {
    let literal = text.replace('\\', "\\\\").replace('\'', "''");
    script::run(&format!("SELECT electric.ddlx(E'{literal}')"));
}

fn try_sql(sql: &str, report: &mut Vec<Line>) {
    for statement in &script::statements(sql) {
        reserve::check();
        let answer =
            |verdict, reason: Option<String>, hint| line(&statement.text, verdict, reason, hint);
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
            Kind::Session => answer(
                "allowed",
                Some("It concerns the session alone.".to_owned()),
                None,
            ),
            Kind::CopyOfClient => answer(
                "allowed",
                Some("It copies rows and changes no shape; it cannot be tried without the client.".to_owned()),
                None,
            ),
            Kind::OutsideTransaction | Kind::ReindexMany => {
                answer("allowed", Some(OUTSIDE.to_owned()), None)
            }
            Kind::Ordinary | Kind::PerhapsOutside | Kind::Concurrent => {
                let may_be_outside = statement.kind == Kind::PerhapsOutside;
                let (verdict, reason, hint) = tried(may_be_outside, || statement.run());
                answer(verdict, reason, hint)
            }
        });
    }
}

const OUTSIDE: &str = "It changes no shape; it cannot be tried inside a transaction.";

/// Whether an electrified table of the schema, or of any, has an index that REINDEX would make valid.
fn makes_indexes_valid(schema: Option<&str>) -> bool {
    let ids = store::shapes::ids().unwrap_or_default();
    ids.into_iter().any(|id| {
        let is_meant =
            schema.is_none_or(|name| names::schema_of_relation(id).as_deref() == Some(name));
        let is_table = relation::class(id).is_some_and(|class| class.kind == b'r');
        is_meant && is_table && relation::has_invalid_index(id)
    })
}

/// Verdict, reason and hint.
type Answer = (&'static str, Option<String>, Option<String>);

/// Runs a statement in a subtransaction; it stays only for those after it.
fn tried(may_be_outside: bool, run: impl FnOnce()) -> Answer {
    let commands = || store::commands::last().map_or(0, |last| last.id);
    let before = commands();
    error::forget_refusal();
    match subtransaction::run(std::panic::AssertUnwindSafe(run)) {
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
        Err(error) if may_be_outside && error.is_about_transaction() => {
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

fn line(
    statement: &str,
    verdict: &'static str,
    reason: Option<String>,
    hint: Option<String>,
) -> Line {
    Line {
        statement: statement.to_owned(),
        verdict,
        reason,
        hint,
    }
}

/// An electrified table whose catalog is not what is recorded; shapes as JSON texts.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Its name.
    pub relation: String,
    /// What is wrong.
    pub problem: String,
    /// What is recorded, where that can be read.
    pub recorded: Option<String>,
    /// What the catalog has, where there is anything.
    pub actual: Option<String>,
}

/// `electric.drift()`: the electrified tables whose catalog is not what is recorded.
pub fn drift(call: &Call) -> Result<Datum, Error> {
    let report = differences()?;
    let rows = call.rows(true)?;
    for found in &report {
        rows.add(&[
            Value::Text(&found.relation),
            Value::Text(&found.problem),
            found.recorded.as_deref().map_or(Value::Null, Value::Jsonb),
            found.actual.as_deref().map_or(Value::Null, Value::Jsonb),
        ])?;
    }
    Ok(void())
}

/// The electrified tables whose catalog is not what is recorded, by name.
pub fn differences() -> Result<Vec<Difference>, Error> {
    let mut report = Vec::new();
    for id in store::shapes::ids()? {
        let Some(found) = tables::drift(id, Policy::Additive)? else {
            continue;
        };
        let (schema, name) = names::shown(id);
        let json = |table: &electric_schema::model::Table| serde_json::to_string(table);
        let recorded = found.recorded.as_deref();
        report.push(Difference {
            relation: recorded.map_or_else(
                || electric_schema::names::qualified(&schema, &name),
                |table| table.qualified_name(),
            ),
            problem: found.problem,
            recorded: recorded.map(json).transpose()?,
            actual: found.actual.as_ref().map(json).transpose()?,
        });
    }
    for id in store::types::ids()? {
        let json = |definition: &TypeDefinition| serde_json::to_string(definition);
        match types::drift(id) {
            Ok(None) => {}
            Ok(Some((problem, recorded, actual))) => report.push(Difference {
                relation: recorded.qualified_name(),
                problem,
                recorded: Some(json(&recorded)?),
                actual: actual.as_ref().map(json).transpose()?,
            }),
            Err(damage) => {
                let (schema, name) = names::shown_type(id);
                report.push(Difference {
                    relation: electric_schema::names::qualified(&schema, &name),
                    problem: damage.message,
                    recorded: None,
                    actual: None,
                });
            }
        }
    }
    report.sort();
    Ok(report)
}
