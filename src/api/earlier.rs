//! What the SQL functions of 0.1.0 are made of, where a database has not been updated yet.

use serde_json::{Value, json};

use super::{check, ddlx, introspect};
use crate::error::Error;
use crate::pg::entry::{self, Call, Datum};

/// `electric.check_report(sql text)`: what `check` gives, as `jsonb`.
pub fn check_report(call: &Call) -> Result<Datum, Error> {
    let lines = check::lines(call)?;
    let lines = lines.iter().zip(1..).map(|(line, seq)| {
        json!({"seq": seq, "statement": line.statement, "verdict": line.verdict, "reason": line.reason, "hint": line.hint})
    });
    Ok(entry::jsonb(&Value::Array(lines.collect()).to_string()))
}

/// `electric.drift_report()`: what `drift` gives, as `jsonb`.
pub fn drift_report(_call: &Call) -> Result<Datum, Error> {
    let mut report = Vec::new();
    for found in check::differences()? {
        // What is nested too deep to be read is left out.
        let read =
            |text: Option<&str>| text.and_then(|text| serde_json::from_str::<Value>(text).ok());
        report.push(json!({
            "relation": found.relation,
            "problem": found.problem,
            "recorded": read(found.recorded.as_deref()),
            "actual": read(found.actual.as_deref()),
        }));
    }
    Ok(entry::jsonb(&Value::Array(report).to_string()))
}

/// `electric.run_ddlx(statements text)`: what `ddlx` gives, as `text[]`.
pub fn run_ddlx(call: &Call) -> Result<Datum, Error> {
    let tags = ddlx::tags(call)?;
    let tags: Vec<String> = tags.into_iter().map(str::to_owned).collect();
    Ok(entry::texts(&tags))
}

/// `electric.schema_statements(dialect text, version text)`: what `schema_sql` gives, as `text[]`.
pub fn schema_statements(call: &Call) -> Result<Datum, Error> {
    Ok(entry::texts(&introspect::statements(call)?))
}

/// `electric.last_command(version text)`: the id of the version's last command, 0 for NULL.
pub fn last_command(call: &Call) -> Result<Datum, Error> {
    Ok(entry::number(introspect::after(call)?))
}

/// `electric.is_sqlite(dialect text)`: whether that is the dialect; an error for anything but the two.
pub fn is_sqlite(call: &Call) -> Result<Datum, Error> {
    let is_sqlite = introspect::dialect(call.text(0)?)? == introspect::Dialect::Sqlite;
    Ok(entry::truth(is_sqlite))
}
