//! S4 row by row: `pg_regress/matrix.tsv` says of each command what becomes of it under each policy, and
//! `pg_regress/expected/` what exactly the server then says and records.
//!
//! Every row runs under every policy, from the same start (`pg_regress/fixture.sql`), in a transaction that is rolled
//! back; a row that says `alone` cannot run in one and gets a database for itself. `ELECTRIC_BLESS=1` writes the
//! expected files anew. A row that says why it is `known` not to do as S4 demands must go on failing, until the word
//! is taken out; what it does then is not expected of it, only what it does right.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use electric_tests::cluster::Cluster;
use electric_tests::database::{Database, commands, run, text};
use electric_tests::errors::describe;
use postgres::Client;
use postgres::error::DbError;

const POLICIES: [&str; 3] = ["additive", "compatible", "unrestricted"];

/// A test per family, so that they run side by side and fail by name.
macro_rules! families {
    ($($family:ident)*) => {
        const FAMILIES: &[&str] = &[$(stringify!($family)),*];
        $(
            #[test]
            fn $family() {
                try_family(stringify!($family));
            }
        )*
    };
}

families! {
    columns types defaults not_null constraints primary_key identity indexes enums domains rename schema drop
    inheritance typed_tables partitions replica_identity publication own_objects no_effect not_electrified
}

/// A line of the table.
struct Row {
    family: String,
    /// The verdict under each of [`POLICIES`].
    verdicts: [String; 3],
    sql: String,
    alone: bool,
    /// The record follows with a later command.
    drifts: bool,
    /// The first and the last major version that has the command.
    versions: (u32, u32),
    known: Option<String>,
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/pg_regress")).join(name)
}

fn read(name: &str) -> String {
    let path = file(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn table() -> Vec<Row> {
    read("matrix.tsv").lines().skip(1).map(row).collect()
}

fn row(line: &str) -> Row {
    let cells: Vec<&str> = line.split('\t').map(str::trim).collect();
    let [family, additive, compatible, unrestricted, sql, ..] = cells[..] else {
        panic!("too few cells: {line}");
    };
    let (mut alone, mut drifts, mut versions) = (false, false, (0, u32::MAX));
    for word in cells.get(5).unwrap_or(&"").split(',').map(str::trim) {
        match word.split_once(' ') {
            Some(("from", version)) => versions.0 = version.parse().unwrap(),
            Some(("until", version)) => versions.1 = version.parse().unwrap(),
            None if word == "alone" => alone = true,
            None if word == "drifts" => drifts = true,
            None if word.is_empty() => {}
            _ => panic!("{word:?} says nothing about how to run: {line}"),
        }
    }
    Row {
        family: family.to_owned(),
        verdicts: [additive, compatible, unrestricted].map(str::to_owned),
        sql: sql.to_owned(),
        alone,
        drifts,
        versions,
        known: cells.get(6).map(|reason| (*reason).to_owned()),
    }
}

/// What became of a command.
struct Outcome {
    verdict: String,
    /// What the server said or recorded, to be read.
    said: String,
    /// What must never be, whatever the table says.
    problems: Vec<String>,
    /// The electrified tables that are not as recorded after it, and how.
    drift: Vec<(String, String)>,
}

fn try_family(family: &str) {
    let rows: Vec<Row> = table().into_iter().filter(|r| r.family == family).collect();
    let name = format!("expected/{family}.out");
    let bless = std::env::var("ELECTRIC_BLESS").is_ok_and(|v| v == "1");
    let expected = fs::read_to_string(file(&name)).unwrap_or_default();
    let expected: BTreeMap<&str, &str> = expected
        .split("\n\n")
        .filter_map(|entry| entry.trim_end().split_once('\n'))
        .collect();
    let database = fresh_database();
    let mut client = database.client();
    let version: u32 = text(&mut client, "SHOW server_version_num")
        .parse()
        .unwrap();
    let mut problems = Vec::new();
    let mut written =
        format!("-- {family}: what tests/tests/matrix.rs saw; ELECTRIC_BLESS=1 writes it anew.\n");
    for row in &rows {
        let wanted = expected.get(row.sql.as_str()).copied();
        let has_it = (row.versions.0..=row.versions.1).contains(&(version / 10000));
        let seen = if has_it {
            if client.is_closed() {
                client = database.client();
            }
            let (seen, found) = try_row(&mut client, row);
            match &row.known {
                None => problems.extend(found.iter().map(|p| format!("{}\n  {p}", row.sql))),
                Some(_) if !found.is_empty() => {}
                Some(reason) => {
                    problems.push(format!("{}\n  is as S4 says; not: {reason}", row.sql))
                }
            }
            Some(seen)
        } else {
            wanted.map(str::to_owned)
        };
        let Some(seen) = seen else {
            continue;
        };
        let _ = write!(written, "\n{}\n{seen}\n", row.sql);
        if !bless && wanted.is_none_or(|wanted| wanted != seen) {
            let wanted = wanted.unwrap_or("  nothing");
            problems.push(format!("{}\nexpected:\n{wanted}\nseen:\n{seen}", row.sql));
        }
    }
    if bless {
        fs::write(file(&name), &written).unwrap();
    } else {
        let listed: BTreeSet<&str> = rows.iter().map(|row| row.sql.as_str()).collect();
        let stray = expected.keys().filter(|sql| !listed.contains(*sql));
        problems.extend(stray.map(|sql| format!("{sql}\n  is expected, but no row of the table")));
    }
    assert!(
        problems.is_empty(),
        "{} in {family}:\n\n{}",
        problems.len(),
        problems.join("\n\n")
    );
}

/// Tries a row under all policies; what was seen, and what is not as it should be.
fn try_row(client: &mut Client, row: &Row) -> (String, Vec<String>) {
    let mut said: Vec<(Vec<&str>, String)> = Vec::new();
    let mut problems = Vec::new();
    let mut own: Option<Database> = None;
    for (policy, expected) in POLICIES.into_iter().zip(&row.verdicts) {
        let outcome = if row.alone {
            let place = own.take().unwrap_or_else(fresh_database);
            let outcome = try_alone(&place, row, policy);
            // Where nothing was done the next policy finds what this one found.
            own = Some(place).filter(|_| !is_done(&outcome));
            outcome
        } else {
            try_in_transaction(client, row, policy)
        };
        let Outcome {
            verdict,
            said: words,
            problems: mut found,
            drift,
        } = outcome;
        if verdict != *expected {
            found.push(format!("{verdict}, not {expected}: {words}"));
        }
        if drift.is_empty() == row.drifts {
            found.push(format!("drifted: {drift:?}"));
        }
        let words = match &row.known {
            Some(reason) if !found.is_empty() => format!("known: {reason}"),
            _ => words,
        };
        problems.extend(found.into_iter().map(|found| format!("{policy}: {found}")));
        match said.iter_mut().find(|(_, other)| *other == words) {
            Some((policies, _)) => policies.push(policy),
            None => said.push((vec![policy], words)),
        }
    }
    let said: Vec<String> = said
        .into_iter()
        .map(|(policies, words)| format!("  {}: {}", policies.join(", "), words.trim_end()))
        .collect();
    (said.join("\n"), problems)
}

fn is_done(outcome: &Outcome) -> bool {
    outcome.verdict != "refused" && outcome.verdict != "error"
}

fn try_in_transaction(client: &mut Client, row: &Row, policy: &str) -> Outcome {
    run(client, "BEGIN");
    run(client, &format!("SET LOCAL electric.policy = {policy}"));
    let before = records(client).unwrap_or_else(|e| panic!("{e}"));
    run(client, "SAVEPOINT before");
    let checked = check(client, &row.sql);
    let as_checked = records(client).map(|records| records.rows);
    run(client, "ROLLBACK TO before");
    let result = client.batch_execute(&row.sql);
    if result.is_err() && !client.is_closed() {
        run(client, "ROLLBACK TO before");
    }
    let mut outcome = judge(client, result, &before, &checked);
    if as_checked.as_ref() != Ok(&before.rows) {
        let left = format!("electric.check left something behind: {as_checked:?}");
        outcome.problems.push(left);
    }
    if !client.is_closed() {
        run(client, "ROLLBACK");
    }
    outcome
}

fn try_alone(database: &Database, row: &Row, policy: &str) -> Outcome {
    let mut client = database.client();
    run(&mut client, &format!("SET electric.policy = {policy}"));
    let before = records(&mut client).unwrap_or_else(|e| panic!("{e}"));
    let checked = check(&mut client, &row.sql);
    let result = client.batch_execute(&row.sql);
    judge(&mut client, result, &before, &checked)
}

/// The rows of `electric.*`, which nothing but a captured change may change, and the highest command id.
struct Records {
    rows: String,
    last: i64,
}

fn records(client: &mut Client) -> Result<Records, String> {
    let sql = "SELECT coalesce(max(id), 0), concat_ws(E'\\n', \
               (SELECT string_agg(m::text, E'\\n' ORDER BY m.id) FROM electric.migrations m), \
               string_agg(c::text, E'\\n' ORDER BY c.id), \
               (SELECT string_agg(e::text, E'\\n' ORDER BY e::text) FROM electric.electrified e), \
               (SELECT string_agg(p::text, E'\\n' ORDER BY p::text) FROM electric.places p), \
               (SELECT string_agg(t::text, E'\\n' ORDER BY t::text) FROM electric.electrified_types t), \
               (SELECT string_agg(n::text, E'\\n' ORDER BY n::text) FROM electric.sqlite_names n), \
               (SELECT string_agg(format('%s %s', r.prrelid::regclass, r.prattrs), ' ' ORDER BY r.prrelid::regclass) \
                FROM pg_publication_rel r)) FROM electric.ddl_commands c";
    let row = client.query_one(sql, &[]).map_err(|e| describe(&e))?;
    Ok(Records {
        rows: row.get(1),
        last: row.get(0),
    })
}

/// What `electric.check` says: its verdict in the table's words.
fn check(client: &mut Client, sql: &str) -> String {
    let rows = match client.query("SELECT verdict, reason FROM electric.check($1)", &[&sql]) {
        Ok(rows) => rows,
        Err(error) => return format!("fails: {}", describe(&error)),
    };
    let [row] = &rows[..] else {
        return format!("{} verdicts", rows.len());
    };
    let verdict: String = row.get(0);
    if verdict != "captured" {
        return verdict;
    }
    let reason: String = row.get(1);
    let words = reason.split_once(": ").map_or("", |(_, words)| words);
    verdict + ":" + &words.trim_end_matches('.').replace(", ", ",")
}

/// Says what a command did, and what is wrong about it whatever the table demands.
fn judge(
    client: &mut Client,
    result: Result<(), postgres::Error>,
    before: &Records,
    checked: &str,
) -> Outcome {
    let mut problems = Vec::new();
    let (verdict, said) = match result {
        Err(error) => {
            let Some(error) = error.as_db_error() else {
                return Outcome {
                    verdict: "crash".to_owned(),
                    said: error.to_string(),
                    problems,
                    drift: Vec::new(),
                };
            };
            let (verdict, said) = error_said(error);
            match records(client) {
                Ok(after) if after.rows == before.rows => {}
                Ok(after) => problems.push(format!(
                    "left in electric.*:\n{}\n-- before:\n{}",
                    after.rows, before.rows
                )),
                Err(error) => problems.push(error),
            }
            (verdict.to_owned(), said)
        }
        // Only what changes our own tables can keep them from being read.
        Ok(()) => match records(client) {
            Ok(after) => recorded(client, before, &after),
            Err(_) => (
                "allowed".to_owned(),
                "allowed, and the records cannot be read by their names any more".to_owned(),
            ),
        },
    };
    if checked != verdict {
        problems.push(format!("{verdict}, but electric.check says {checked}"));
    }
    let drift = client.query("SELECT relation, problem FROM electric.drift()", &[]);
    let drift = drift.unwrap_or_default();
    let drift = drift.iter().map(|row| (row.get(0), row.get(1)));
    Outcome {
        verdict,
        said,
        problems,
        drift: drift.collect(),
    }
}

/// What a command recorded.
fn recorded(client: &mut Client, before: &Records, after: &Records) -> (String, String) {
    if after.last <= before.last {
        return ("allowed".to_owned(), "allowed".to_owned());
    }
    let new = commands(client).into_iter().filter(|c| c.id > before.last);
    let (mut words, mut said) = (Vec::new(), "captured".to_owned());
    let now = text(
        client,
        "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
    );
    for command in new {
        let _ = write!(said, "\n    {} {}", command.command, command.relation);
        for (dialect, statements) in [("postgres", command.postgres), ("sqlite", command.sqlite)] {
            for statement in statements {
                let statement = indented(&without_times(&statement, &now));
                let _ = write!(said, "\n      {dialect:8}  {statement}");
            }
        }
        words.push(command.command);
    }
    (format!("captured:{}", words.join(",")), said)
}

/// What the server answered. Its own errors are its own affair, and differ between versions: their code must do.
fn error_said(error: &DbError) -> (&'static str, String) {
    let code = error.code().code();
    let is_ours = code == "0A000" && error.detail().is_some() && error.hint().is_some();
    if !is_ours {
        return ("error", format!("error {code}"));
    }
    let mut said = format!("refused\n    ERROR:  {}", indented(error.message()));
    for (field, value) in [
        ("DETAIL", error.detail()),
        ("HINT", error.hint()),
        ("SCHEMA NAME", error.schema()),
        ("TABLE NAME", error.table()),
        ("COLUMN NAME", error.column()),
        ("DATATYPE NAME", error.datatype()),
        ("CONSTRAINT NAME", error.constraint()),
    ] {
        if let Some(value) = value {
            let _ = write!(said, "\n    {field}:  {}", indented(value));
        }
    }
    ("refused", said)
}

/// Blank lines part the entries of an expected file.
fn indented(text: &str) -> String {
    text.replace('\n', "\n          ")
}

/// Times of today are those of the run.
fn without_times(text: &str, today: &str) -> String {
    let mut parts = text.split(today);
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_of_time = |c: char| c.is_ascii_digit() || " :.+-TZ".contains(c);
        result.push_str("<now>");
        result.push_str(part.trim_start_matches(is_of_time));
    }
    result
}

/// A database as every row finds it.
fn fresh_database() -> Database<'static> {
    static READY: OnceLock<()> = OnceLock::new();
    let cluster = Cluster::shared();
    READY.get_or_init(|| {
        let mut client = cluster.connect("postgres", "postgres").unwrap();
        run(
            &mut client,
            "CREATE ROLE matrix_owner; CREATE ROLE matrix_other",
        );
        run(&mut client, "SET allow_in_place_tablespaces = on");
        run(&mut client, "CREATE TABLESPACE matrix_spare LOCATION ''");
    });
    let database = cluster.empty_database();
    run(&mut database.client(), &read("fixture.sql"));
    database
}

#[test]
fn every_row_is_tried() {
    let rows = table();
    let mut seen = BTreeSet::new();
    for row in &rows {
        assert!(
            FAMILIES.contains(&row.family.as_str()),
            "no test for {}",
            row.family
        );
        assert!(seen.insert(&row.sql), "twice in the table: {}", row.sql);
        for verdict in &row.verdicts {
            let word = verdict.split(':').next().unwrap_or_default();
            assert!(
                ["captured", "allowed", "refused", "error"].contains(&word),
                "{verdict} is no verdict: {}",
                row.sql
            );
        }
    }
}

/// The subcommands that the grammar of ALTER TABLE knows (`AlterTableType`), and words by which a row has each.
const SUBCOMMANDS: &[(&str, &str)] = &[
    ("AT_AddColumn", " items ADD COLUMN "),
    ("AT_AddColumnToView", "CREATE OR REPLACE VIEW "),
    ("AT_ColumnDefault", " SET DEFAULT "),
    ("AT_ColumnDefault", " DROP DEFAULT"),
    ("AT_DropNotNull", " DROP NOT NULL"),
    ("AT_SetNotNull", " SET NOT NULL"),
    ("AT_DropExpression", " DROP EXPRESSION"),
    ("AT_SetStatistics", " SET STATISTICS "),
    ("AT_SetOptions", " SET (n_distinct"),
    ("AT_ResetOptions", " RESET (n_distinct"),
    ("AT_SetStorage", " SET STORAGE "),
    ("AT_SetCompression", " SET COMPRESSION "),
    ("AT_DropColumn", " DROP COLUMN "),
    ("AT_AddConstraint", " ADD CONSTRAINT "),
    ("AT_AddIndexConstraint", " USING INDEX "),
    ("AT_AlterConstraint", " ALTER CONSTRAINT "),
    ("AT_ValidateConstraint", " VALIDATE CONSTRAINT "),
    ("AT_DropConstraint", " DROP CONSTRAINT "),
    ("AT_AlterColumnType", " TYPE "),
    ("AT_AlterColumnGenericOptions", "COLUMN id OPTIONS "),
    ("AT_ChangeOwner", " items OWNER TO "),
    ("AT_ClusterOn", " CLUSTER ON "),
    ("AT_DropCluster", " SET WITHOUT CLUSTER"),
    ("AT_SetLogged", " SET LOGGED"),
    ("AT_SetUnLogged", " SET UNLOGGED"),
    ("AT_DropOids", " SET WITHOUT OIDS"),
    ("AT_SetAccessMethod", " SET ACCESS METHOD "),
    ("AT_SetTableSpace", " SET TABLESPACE "),
    ("AT_SetRelOptions", " SET (fillfactor"),
    ("AT_ResetRelOptions", " RESET (fillfactor"),
    ("AT_EnableTrig", " ENABLE TRIGGER touched"),
    ("AT_EnableAlwaysTrig", " ENABLE ALWAYS TRIGGER "),
    ("AT_EnableReplicaTrig", " ENABLE REPLICA TRIGGER "),
    ("AT_DisableTrig", " DISABLE TRIGGER touched"),
    ("AT_EnableTrigAll", " ENABLE TRIGGER ALL"),
    ("AT_DisableTrigAll", " DISABLE TRIGGER ALL"),
    ("AT_EnableTrigUser", " ENABLE TRIGGER USER"),
    ("AT_DisableTrigUser", " DISABLE TRIGGER USER"),
    ("AT_EnableRule", " ENABLE RULE "),
    ("AT_EnableAlwaysRule", " ENABLE ALWAYS RULE "),
    ("AT_EnableReplicaRule", " ENABLE REPLICA RULE "),
    ("AT_DisableRule", " DISABLE RULE "),
    ("AT_AddInherit", " INHERIT "),
    ("AT_DropInherit", " NO INHERIT "),
    ("AT_AddOf", " OF entry"),
    ("AT_DropOf", " NOT OF"),
    ("AT_ReplicaIdentity", " REPLICA IDENTITY "),
    ("AT_EnableRowSecurity", " ENABLE ROW LEVEL SECURITY"),
    ("AT_DisableRowSecurity", " DISABLE ROW LEVEL SECURITY"),
    ("AT_ForceRowSecurity", " FORCE ROW LEVEL SECURITY"),
    ("AT_NoForceRowSecurity", " NO FORCE ROW LEVEL SECURITY"),
    ("AT_GenericOptions", " far OPTIONS "),
    ("AT_AttachPartition", " ATTACH PARTITION "),
    ("AT_DetachPartition", " DETACH PARTITION "),
    ("AT_DetachPartitionFinalize", " FINALIZE"),
    ("AT_AddIdentity", " ADD GENERATED "),
    ("AT_SetIdentity", " SET GENERATED "),
    ("AT_DropIdentity", " DROP IDENTITY"),
];

#[test]
fn every_subcommand_has_a_row() {
    let rows = table();
    let missing: Vec<_> = SUBCOMMANDS
        .iter()
        .filter(|(_, words)| !rows.iter().any(|row| row.sql.contains(words)))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
