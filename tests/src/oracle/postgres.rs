//! The first oracle: all `postgres[]`, run in order in an empty database, give the schema that the server has.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use postgres::Client;

use crate::database::{CommandRow, Database, commands};
use crate::errors::describe;

/// Settings that canonical statements must not mind.
const SETTINGS: &str = "SET search_path = ''; SET DateStyle = 'German, DMY'; SET IntervalStyle = 'iso_8601'; \
    SET TimeZone = 'America/St_Johns'; SET bytea_output = 'escape'; SET extra_float_digits = -10; \
    SET quote_all_identifiers = on; SET default_transaction_isolation = 'serializable'";

/// Kinds of entries of a dump that are part of a shape, or that a shape needs.
const KINDS: &[&str] = &[
    "TABLE",
    "TYPE",
    "DOMAIN",
    "SEQUENCE",
    "SEQUENCE OWNED BY",
    "DEFAULT",
    "CONSTRAINT",
    "CHECK CONSTRAINT",
    "FK CONSTRAINT",
    "INDEX",
];

/// Objects that every script begins with, whether it makes use of them or not.
const PERHAPS_UNUSED: &[&str] = &[
    "CREATE SEQUENCE app.\"Shared sequence\"",
    "CREATE TYPE public.span ",
];

/// Runs the records in an empty database, what builds a new replica in another, and compares what all have.
pub fn check(database: &Database<'_>) -> Result<()> {
    let mut client = database.cluster().connect(database.name(), "postgres")?;
    let history = commands(&mut client);
    let replica = database.cluster().empty_database();
    let outcome = replay(&replica, &history).and_then(|()| compare(database, &replica));
    replica.remove();
    outcome?;
    let anew = database.cluster().empty_database();
    let outcome = build(&anew, &mut client).and_then(|()| compare(database, &anew));
    anew.remove();
    outcome.context("a new replica")
}

/// Runs `electric.schema_sql('postgres')`.
fn build(replica: &Database<'_>, server: &mut Client) -> Result<()> {
    let mut client = replica.cluster().connect(replica.name(), "postgres")?;
    client.batch_execute(SETTINGS)?;
    for row in server.query("SELECT electric.schema_sql('postgres')", &[])? {
        let statement: String = row.get(0);
        if let Err(error) = client.batch_execute(&statement) {
            bail!("{statement}\n{}", describe(&error));
        }
    }
    identities(&mut client)
}

fn replay(replica: &Database<'_>, history: &[CommandRow]) -> Result<()> {
    let mut client = replica.cluster().connect(replica.name(), "postgres")?;
    client.batch_execute(SETTINGS)?;
    for migration in history.chunk_by(|a, b| a.migration_id == b.migration_id) {
        client.batch_execute("BEGIN")?;
        for command in migration {
            for statement in &command.postgres {
                if let Err(error) = client.batch_execute(statement) {
                    bail!(
                        "replaying command {} in Postgres: {statement}\n{}",
                        command.id,
                        describe(&error)
                    );
                }
            }
        }
        client.batch_execute("COMMIT")?;
    }
    identities(&mut client)
}

/// Replica identities are not recorded; on the server electrified tables have this one.
fn identities(client: &mut Client) -> Result<()> {
    let tables = client.query(
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND oid >= 16384 \
         AND relnamespace <> 'information_schema'::regnamespace",
        &[],
    )?;
    for row in tables {
        let table: String = row.get(0);
        client.batch_execute(&format!("ALTER TABLE {table} REPLICA IDENTITY FULL"))?;
    }
    Ok(())
}

/// Compares the schemas of a server's database and of a replica's, by what pg_dump says of them.
pub fn compare(database: &Database<'_>, replica: &Database<'_>) -> Result<()> {
    let (expected, found) = (entries(&dump(database)?), entries(&dump(replica)?));
    let unused = |entry: &&String| !PERHAPS_UNUSED.iter().any(|start| entry.starts_with(start));
    let missing: Vec<&String> = expected.difference(&found).filter(unused).collect();
    let surplus: Vec<&String> = found.difference(&expected).collect();
    ensure!(
        missing.is_empty() && surplus.is_empty(),
        "the dumps differ; only on the server: {missing:#?}\nonly in the replay: {surplus:#?}"
    );
    Ok(())
}

fn dump(database: &Database<'_>) -> Result<String> {
    let cluster = database.cluster();
    let output = cluster
        .command("pg_dump")
        .args([
            "--schema-only",
            "--no-owner",
            "--no-privileges",
            "--no-comments",
            "--no-publications",
        ])
        .args([
            "--exclude-schema=electric",
            "--exclude-schema=partitions",
            "--username=postgres",
        ])
        .arg("--host")
        .arg(cluster.socket_directory())
        .args(["--port", &cluster.port().to_string(), database.name()])
        .output()?;
    ensure!(
        output.status.success(),
        "pg_dump: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).context("pg_dump")
}

/// The entries of a dump that shapes have, normalised.
fn entries(dump: &str) -> BTreeSet<String> {
    let mut entries = BTreeSet::new();
    for part in dump.split("\n--\n-- Name: ").skip(1) {
        let Some((header, text)) = part.split_once("\n--\n") else {
            continue;
        };
        let kind = header
            .rsplit_once("; Type: ")
            .and_then(|(_, rest)| rest.split_once("; "));
        let kind = kind.map_or("", |(kind, _)| kind);
        if KINDS.contains(&kind) {
            entries.extend(normalise(kind, text));
        }
    }
    entries
}

/// What may differ is taken out; none if that is all of it.
fn normalise(kind: &str, text: &str) -> Option<String> {
    let text = text
        .split("\n--\n-- PostgreSQL database dump complete")
        .next()
        .unwrap_or(text);
    // What pg_dump sets before the first table comes at the end of some entry.
    let text = text.split("\n\nSET default_").next().unwrap_or(text);
    // A partitioned table is an ordinary one on replicas.
    let mut text = text
        .replace("ALTER TABLE ONLY ", "ALTER TABLE ")
        .replace(" ON ONLY ", " ON ");
    if let Some((before, after)) = text.split_once(")\nPARTITION BY ") {
        let after = after.split_once(";\n").map_or("", |(_, after)| after);
        text = format!("{before});\n{after}");
    }
    text = without_missing_values(&text);
    if !text.contains("app.local_") {
        return Some(text.trim().to_owned());
    }
    // What calls the server's own functions is not for replicas.
    if kind != "TABLE" {
        return None;
    }
    let (items, end) = text.split_once("\n);\n")?;
    let items: Vec<String> = items.split(",\n    ").filter_map(shared).collect();
    Some(
        format!("{}\n);\n{end}", items.join(",\n    "))
            .trim()
            .to_owned(),
    )
}

/// An item of CREATE TABLE as replicas have it.
fn shared(item: &str) -> Option<String> {
    if !item.contains("app.local_") {
        return Some(item.to_owned());
    }
    let (before, default) = item.split_once(" DEFAULT ")?;
    let end = if default.ends_with(" NOT NULL") {
        " NOT NULL"
    } else {
        ""
    };
    Some(format!("{before}{end}"))
}

/// Some versions mark columns with an option of their own, `pg_attver`.
fn without_missing_values(text: &str) -> String {
    let marks = |statement: &&str| {
        statement.contains(" SET (pg_attver=") && statement.trim_start().starts_with("ALTER TABLE ")
    };
    let kept: Vec<&str> = text
        .split(";\n")
        .filter(|statement| !marks(statement))
        .collect();
    kept.join(";\n")
}
