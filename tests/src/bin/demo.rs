//! The demo: a data model is electrified, then migrated by five routes, while a consumer of the publication feeds a
//! SQLite file; at the end both sides are compared.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use electric_tests::cluster::Cluster;
use electric_tests::database::Database;
use electric_tests::replica::{Comparison, Event, Replica, Row, Transaction};
use electric_tests::replication::{Lsn, parse_lsn};
use postgres::Client;

/// The data model, as the documentation of the earlier system had it; `memberships` gets the key it forgot.
const MODEL: &str = "
CREATE TABLE users (
    username text NOT NULL PRIMARY KEY,
    inserted_at timestamp without time zone NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp without time zone NOT NULL
);
CREATE TABLE projects (
    id uuid NOT NULL PRIMARY KEY,
    name text NOT NULL,
    owner_id text NOT NULL REFERENCES users(username) ON DELETE CASCADE ON UPDATE CASCADE,
    inserted_at timestamp without time zone NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp without time zone NOT NULL
);
CREATE TABLE memberships (
    project_id uuid NOT NULL REFERENCES projects(id) ON DELETE CASCADE ON UPDATE CASCADE,
    user_id text NOT NULL REFERENCES users(username) ON DELETE CASCADE ON UPDATE CASCADE,
    inserted_at timestamp without time zone NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (project_id, user_id)
);
CREATE TABLE issues (
    id uuid NOT NULL PRIMARY KEY,
    title text NOT NULL,
    description text,
    project_id uuid NOT NULL REFERENCES projects(id) ON DELETE CASCADE ON UPDATE CASCADE,
    inserted_at timestamp without time zone NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp without time zone NOT NULL
);
CREATE TABLE comments (
    id uuid NOT NULL PRIMARY KEY,
    content text NOT NULL,
    author_id text NOT NULL REFERENCES users(username) ON DELETE CASCADE ON UPDATE CASCADE,
    issue_id uuid NOT NULL REFERENCES issues(id) ON DELETE CASCADE ON UPDATE CASCADE,
    inserted_at timestamp without time zone NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp without time zone NOT NULL
);";

const ROWS: &str = "
INSERT INTO users (username, updated_at) VALUES ('ada', now()), ('grace', now()), ('linus', now());
INSERT INTO projects (id, name, owner_id, updated_at)
    VALUES ('00000000-0000-4000-8000-0000000000a1', 'Analytical Engine', 'ada', now());
INSERT INTO memberships (project_id, user_id)
    SELECT '00000000-0000-4000-8000-0000000000a1', username FROM users;
INSERT INTO issues (id, title, project_id, updated_at)
    SELECT ('00000000-0000-4000-8000-0000000000b' || n)::uuid, 'Issue ' || n,
           '00000000-0000-4000-8000-0000000000a1', now() FROM generate_series(1, 3) n;
INSERT INTO comments (id, content, author_id, issue_id, updated_at)
    SELECT gen_random_uuid(), username || ' says it''s fine', username, '00000000-0000-4000-8000-0000000000b1', now()
    FROM users;";

const ENABLE: &str =
    "SELECT electric.enable('users', 'projects', 'memberships', 'issues', 'comments')";

const PSQL: &str = "ALTER TABLE issues ADD COLUMN priority integer NOT NULL DEFAULT 3; \
CREATE INDEX issues_by_priority ON issues (priority DESC, lower(title)); \
INSERT INTO issues (id, title, project_id, priority, updated_at) VALUES ('00000000-0000-4000-8000-0000000000b4', \
'Carry the one', '00000000-0000-4000-8000-0000000000a1', 1, now())";

const DO_BLOCK: &str = "DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['projects', 'issues'] LOOP
        EXECUTE format('ALTER TABLE %I ADD COLUMN archived boolean NOT NULL DEFAULT false', name);
    END LOOP;
END $$";

const FUNCTION: &str =
    "CREATE FUNCTION track_reading(relation regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ADD COLUMN last_read timestamptz DEFAULT now()', relation);
END $$";

const EXTENDED: [&str; 2] = [
    "CREATE TYPE issue_state AS ENUM ('open', 'doing', 'it''s done')",
    "ALTER TABLE issues ADD COLUMN state issue_state NOT NULL DEFAULT 'open'",
];

const MIXED: [&str; 7] = [
    "BEGIN",
    "SELECT electric.set_migration_version('2024-due-dates')",
    "INSERT INTO users (username, updated_at) VALUES ('edsger', now())",
    "ALTER TABLE issues ADD COLUMN due date",
    "UPDATE issues SET due = '2024-12-31', state = 'doing' WHERE priority = 1",
    "ALTER TABLE users ADD COLUMN tags text[]",
    "UPDATE users SET tags = ARRAY['admin', 'early bird'] WHERE username = 'ada'",
];

const REFUSED: &str = "ALTER TABLE issues DROP COLUMN description";

fn main() -> ExitCode {
    match demo() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("The demo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<bool> {
    let screen = Screen::new();
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("replica.db");

    screen.section("A Postgres server and a data model");
    let cluster = Cluster::builder().start()?;
    let database = cluster.empty_database();
    let mut client = cluster.connect(database.name(), "postgres")?;
    let version: String = client
        .query_one("SELECT current_setting('server_version')", &[])?
        .get(0);
    screen.note(&format!(
        "PostgreSQL {version}, made for this demo, removed at its end"
    ));
    screen.statement("CREATE EXTENSION electric");
    client.batch_execute("CREATE EXTENSION electric")?;
    client.batch_execute(MODEL)?;
    client.batch_execute(ROWS)?;
    screen.note("tables users, projects, memberships, issues, comments, with rows in them");

    screen.section("The tables are electrified, in one call");
    screen.statement(ENABLE);
    client.batch_execute(ENABLE)?;

    screen.section("A SQLite replica makes its first contact");
    let (mut replica, first) = Replica::follow(&database, Some(&file))?;
    screen.transaction(&first, &replica);
    let agreed = std::thread::scope(|scope| {
        let (questions, inbox) = channel();
        let (outbox, answers) = channel();
        let consumer = scope.spawn({
            let screen = screen.clone();
            move || -> Result<Comparison> {
                follow(&mut replica, &screen, &inbox, &outbox)?;
                replica.compare()
            }
        });
        let follower = Follower { questions, answers };
        let migrated = migrate(&screen, &database, &mut client, &follower);
        drop(follower);
        let comparison = consumer
            .join()
            .map_err(|_| anyhow::anyhow!("the consumer panicked"))??;
        migrated?;
        Ok::<_, anyhow::Error>(agreement(&screen, &comparison, &file))
    })?;
    Ok(agreed)
}

/// Five ways to migrate, and one that is refused.
fn migrate(
    screen: &Screen,
    database: &Database<'_>,
    client: &mut Client,
    follower: &Follower,
) -> Result<()> {
    let psql = |sql: &str| {
        database
            .cluster()
            .psql(database.name(), "postgres", &["-q", "-c", sql])
    };

    screen.section("Way 1: psql, three statements in one string");
    screen.statement(PSQL);
    let output = psql(PSQL)?;
    ensure!(
        output.status.success(),
        "psql: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    follower.wait(client)?;

    screen.section("Way 2: a DO block");
    screen.statement(DO_BLOCK);
    client.batch_execute(DO_BLOCK)?;
    follower.wait(client)?;

    screen.section("Way 3: a function; rows that exist get the evaluated default");
    client.batch_execute(FUNCTION)?;
    screen.statement(FUNCTION);
    screen.statement("SELECT track_reading('comments')");
    client.batch_execute("SELECT track_reading('comments')")?;
    follower.wait(client)?;

    screen.section(
        "Way 4: a driver's extended protocol (Parse, Bind, Execute); a new enum travels along",
    );
    for sql in EXTENDED {
        screen.statement(sql);
        let statement = client.prepare(sql)?;
        client.execute(&statement, &[])?;
    }
    follower.wait(client)?;

    screen.section("Way 5: a transaction that mixes rows and DDL, with a version of its own");
    for sql in MIXED.into_iter().chain(["COMMIT"]) {
        screen.statement(sql);
        client.batch_execute(sql)?;
    }
    follower.wait(client)?;

    screen.section("What is not additive is refused");
    screen.statement(REFUSED);
    let output = psql(REFUSED)?;
    let message = String::from_utf8_lossy(&output.stderr);
    for line in message.lines() {
        screen.refusal(line);
    }
    ensure!(!output.status.success(), "it was not refused");
    for part in ["ERROR:", "DETAIL:", "HINT:"] {
        ensure!(message.contains(part), "the refusal has no {part}");
    }
    follower.wait(client)
}

/// The main thread's end of the conversation with the consumer.
struct Follower {
    questions: Sender<Lsn>,
    answers: Receiver<()>,
}

impl Follower {
    /// Waits until the consumer has applied (and shown) everything that is committed.
    fn wait(&self, client: &mut Client) -> Result<()> {
        let row = client.query_one("SELECT pg_current_wal_flush_lsn()::text", &[])?;
        // A consumer that is gone says why when it is joined.
        if self.questions.send(parse_lsn(row.get(0))?).is_err() || self.answers.recv().is_err() {
            bail!("the consumer ended");
        }
        Ok(())
    }
}

/// The consumer: applies and shows whatever arrives, and says so when it is asked how far it is.
fn follow(
    replica: &mut Replica<'_>,
    screen: &Screen,
    inbox: &Receiver<Lsn>,
    outbox: &Sender<()>,
) -> Result<()> {
    loop {
        let applied = match inbox.try_recv() {
            Ok(target) => {
                let applied = replica.catch_up_to(target)?;
                screen.transactions(&applied, replica);
                outbox.send(()).context("nobody waits for the consumer")?;
                continue;
            }
            Err(TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Empty) => replica.poll(Duration::from_millis(10))?,
        };
        screen.transactions(&applied, replica);
    }
}

/// Shows the outcome; whether both sides are the same.
fn agreement(screen: &Screen, comparison: &Comparison, file: &Path) -> bool {
    screen.section("Both sides compared");
    let size = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    for (table, rows) in &comparison.rows {
        screen.line(&format!("  {table:<20} {:>8}", counted(*rows)));
    }
    screen.line(&format!(
        "  {} tables, {} columns, {} indexes, the hash chain; a SQLite file of {} kB",
        comparison.rows.len(),
        comparison.columns,
        comparison.indexes,
        size / 1024
    ));
    for difference in &comparison.differences {
        screen.refusal(&format!("different: {difference}"));
    }
    let same = comparison.differences.is_empty() && !comparison.rows.is_empty();
    let verdict = if same {
        "Rows and schema are the same."
    } else {
        "The two sides differ."
    };
    screen.line(&screen.bold(&format!("\n{verdict}")));
    same
}

/// Where the demo is shown; plain text unless it is a terminal.
#[derive(Clone)]
struct Screen {
    colours: bool,
    sections: std::sync::Arc<std::sync::atomic::AtomicU32>,
}

impl Screen {
    fn new() -> Screen {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Screen {
            colours,
            sections: Default::default(),
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn line(&self, text: &str) {
        // Who closed the pipe does not want to read on.
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    fn section(&self, title: &str) {
        let number = self
            .sections
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed)
            + 1;
        self.line(&self.bold(&format!("\n{number}. {title}")));
    }

    fn note(&self, text: &str) {
        self.line(&self.paint("2", &format!("  {text}")));
    }

    fn statement(&self, sql: &str) {
        for (i, line) in sql
            .trim()
            .split('\n')
            .flat_map(|line| line.split_inclusive("; "))
            .enumerate()
        {
            let prompt = if i == 0 { "=>" } else { "  " };
            self.line(&format!(
                "  {} {}",
                self.paint("36", prompt),
                line.trim_end()
            ));
        }
    }

    fn refusal(&self, text: &str) {
        self.line(&format!("     {}", self.paint("31", text)));
    }

    fn transactions(&self, transactions: &[Transaction], replica: &Replica<'_>) {
        for transaction in transactions {
            self.transaction(transaction, replica);
        }
    }

    /// A transaction as it arrived: migrations in the words of both sides, rows in short.
    fn transaction(&self, transaction: &Transaction, replica: &Replica<'_>) {
        for event in &transaction.events {
            match event {
                Event::Migration { id, .. } => {
                    let version = replica.ledger().version(*id).unwrap_or_default();
                    let title = format!("migration {id}, version {version}");
                    self.line(&format!(
                        "  {} {}",
                        self.paint("32", "->"),
                        self.bold(&title)
                    ));
                }
                Event::Command(command) => {
                    let title = format!("{} {}", command.command, command.relation);
                    self.line(&format!("     {}", self.paint("32", &title)));
                    self.words("postgres", &command.postgres);
                    self.words("sqlite", &command.sqlite);
                }
                Event::Row(row) => self.row(row),
                Event::Copied { table, rows } => {
                    self.note(&format!("   copied {} of {table}", counted(*rows)))
                }
                Event::Named { .. } => {}
            }
        }
    }

    fn words(&self, dialect: &str, statements: &[String]) {
        if statements.is_empty() {
            self.note(&format!("     {dialect:<9} (nothing to do)"));
        }
        for statement in statements {
            for (i, line) in wrapped(statement).iter().enumerate() {
                let label = if i == 0 { dialect } else { "" };
                self.line(&format!(
                    "       {} {line}",
                    self.paint("2", &format!("{label:<9}"))
                ));
            }
        }
    }

    fn row(&self, row: &Row) {
        const SHOWN: usize = 40;
        let mut values: Vec<String> = Vec::new();
        for (name, value) in row
            .columns
            .iter()
            .filter(|(name, _)| !name.ends_with("_at"))
        {
            if let Some(value) = value {
                let short: String = value.chars().take(SHOWN).collect();
                values.push(format!("{name}={short}"));
            }
        }
        self.note(&format!(
            "   {} {}: {}",
            row.action,
            row.table,
            values.join(", ")
        ));
    }
}

fn counted(rows: usize) -> String {
    if rows == 1 {
        "1 row".to_owned()
    } else {
        format!("{rows} rows")
    }
}

/// The lines of a statement, none much longer than a terminal is wide; those that go on are indented.
fn wrapped(statement: &str) -> Vec<String> {
    const WIDTH: usize = 100;
    let mut lines = Vec::new();
    for line in statement.lines() {
        let mut current = String::new();
        for word in line.split_inclusive(' ') {
            if !current.trim().is_empty()
                && current.chars().count() + word.trim_end().chars().count() > WIDTH
            {
                lines.push(current.trim_end().to_owned());
                current = "    ".to_owned();
            }
            current.push_str(word);
        }
        lines.push(current.trim_end().to_owned());
    }
    lines
}
