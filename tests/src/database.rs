//! A database of one test, and the records in it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use postgres::{Client, NoTls};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::errors::{ServerError, describe, failure};

/// A database that exists for one test.
pub struct Database<'a> {
    cluster: &'a Cluster,
    name: String,
}

/// A row of `electric.ddl_commands`.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandRow {
    /// Gapless number, in commit order.
    pub id: i64,
    /// The migration it belongs to.
    pub migration_id: i64,
    /// What happened: `add_column` …
    pub command: String,
    /// What it happened to.
    pub relation: String,
    /// The statement as issued.
    pub query: String,
    /// Canonical Postgres statements.
    pub postgres: Vec<String>,
    /// Canonical SQLite statements.
    pub sqlite: Vec<String>,
    /// The change, machine-readable.
    pub op: Value,
    /// Link of the chain.
    pub hash: String,
}

impl CommandRow {
    /// The name that a table had before it was replaced.
    pub fn replaced(&self) -> Option<String> {
        let from = self
            .op
            .get("from")
            .filter(|_| self.command == "replace_table")?;
        let name = |key: &str| from.get(key).and_then(Value::as_str);
        Some(electric_schema::names::qualified(
            name("schema")?,
            name("name")?,
        ))
    }
}

/// A row of `electric.migrations`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationRow {
    /// Gapless number, in commit order.
    pub id: i64,
    /// Its version.
    pub version: String,
    /// Where the version came from.
    pub source: String,
    /// The framework, where one is known.
    pub framework: Option<String>,
    /// The framework's version, where one is known.
    pub framework_version: Option<String>,
    /// The transaction.
    pub xid: String,
}

impl<'a> Database<'a> {
    pub(crate) fn existing(cluster: &'a Cluster, name: String) -> Self {
        Database { cluster, name }
    }

    pub(crate) fn create(cluster: &'a Cluster, name: String, template: &str) -> Result<Self> {
        let mut client = cluster.connect("postgres", "postgres")?;
        client.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}"))?;
        Ok(Database { cluster, name })
    }

    /// Removes the database, where thousands would fill the disk. The replication slots of connections that were just
    /// closed take a moment to go; one that stays keeps the database, and the test from nothing.
    pub fn remove(&self) {
        let Ok(mut client) = self.cluster.connect("postgres", "postgres") else {
            return;
        };
        let sql = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        for _ in 0..50 {
            if client.batch_execute(&sql).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its server.
    pub fn cluster(&self) -> &'a Cluster {
        self.cluster
    }

    /// A connection as superuser.
    #[track_caller]
    pub fn client(&self) -> Client {
        self.client_as("postgres")
    }

    /// A connection as that role.
    #[track_caller]
    pub fn client_as(&self, role: &str) -> Client {
        match self.cluster.connect(&self.name, role) {
            Ok(client) => client,
            Err(error) => panic!("cannot connect to {} as {role}: {error:#}", self.name),
        }
    }

    /// A connection as superuser whose notices are kept.
    #[track_caller]
    pub fn client_with_notices(&self) -> (Client, Notices) {
        self.client_with_notices_as("postgres", "")
    }

    /// The same as that role, with options of the connection such as `-c electric.policy=compatible`.
    #[track_caller]
    pub fn client_with_notices_as(&self, role: &str, options: &str) -> (Client, Notices) {
        let notices = Notices::default();
        let sink = notices.0.clone();
        let mut config = self.cluster.config(&self.name, role);
        config.options(options);
        config.notice_callback(move |notice| {
            if let Ok(mut kept) = sink.lock() {
                kept.push((notice.severity().to_owned(), notice.message().to_owned()));
            }
        });
        match config.connect(NoTls) {
            Ok(client) => (client, notices),
            Err(error) => panic!("cannot connect: {error}"),
        }
    }

    /// Makes the table `items` and electrifies it: what most tests begin with.
    #[track_caller]
    pub fn items(self) -> Self {
        run(
            &mut self.client(),
            "CREATE TABLE items (id int PRIMARY KEY, value text); SELECT electric.enable('items')",
        );
        self
    }

    /// Ids are gapless and rise, versions are distinct, the chain is whole.
    #[track_caller]
    pub fn history_is_sound(&self) {
        let migrations = self.migrations().into_iter();
        let migrations: Vec<_> = migrations.map(|m| (m.id, m.version)).collect();
        crate::replica::ledger::verify(&migrations, &self.commands()).unwrap();
    }

    /// Makes a role that can log in and may electrify what it owns; roles belong to the whole server, so the name has the
    /// database's in it.
    #[track_caller]
    pub fn role(&self, name: &str) -> String {
        let role = self.plain_role(name);
        let grant = format!("GRANT CREATE ON DATABASE {} TO {role}", self.name);
        run(&mut self.client(), &grant);
        role
    }

    /// Makes a role that can log in, and may do no more than anybody.
    #[track_caller]
    pub fn plain_role(&self, name: &str) -> String {
        let role = format!("{name}_{}", self.name);
        run(&mut self.client(), &format!("CREATE ROLE {role} LOGIN"));
        role
    }

    /// All DDL commands, committed, in order.
    #[track_caller]
    pub fn commands(&self) -> Vec<CommandRow> {
        commands(&mut self.client())
    }

    /// The commands with a higher id than that.
    #[track_caller]
    pub fn commands_after(&self, id: i64) -> Vec<CommandRow> {
        self.commands().into_iter().filter(|c| c.id > id).collect()
    }

    /// The highest command id, 0 if there is none.
    #[track_caller]
    pub fn last_command(&self) -> i64 {
        self.commands().last().map_or(0, |c| c.id)
    }

    /// All migrations, committed, in order.
    #[track_caller]
    pub fn migrations(&self) -> Vec<MigrationRow> {
        migrations(&mut self.client())
    }

    /// Everything that a refused statement must leave as it was, as text to compare: all rows in the schema
    /// `electric`, the publications, and the columns, constraints and indexes of the users' relations.
    #[track_caller]
    pub fn trace(&self) -> String {
        let mut client = self.client();
        let mut parts = Vec::new();
        let tables = "SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = to_regnamespace('electric') \
                      AND relkind IN ('r', 'p') ORDER BY 1";
        let tables = client
            .query(tables, &[])
            .unwrap_or_else(|e| panic!("{}", describe(&e)));
        for table in tables {
            let table: String = table.get(0);
            let sql = format!(
                "SELECT string_agg(t::text, E'\\n' ORDER BY t::text) FROM electric.{table} t"
            );
            parts.push(format!("{table}: {}", text(&mut client, &sql)));
        }
        for sql in [
            "SELECT string_agg(format('%s %s %s', p.pubname, r.prrelid::regclass, r.prattrs), E'\\n' ORDER BY r.oid) \
             FROM pg_publication p LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid",
            "SELECT string_agg(format('%s.%s %s %s %s', attrelid::regclass, attname, atttypid::regtype, atttypmod, \
             attnotnull), E'\\n' ORDER BY attrelid, attnum) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid \
             WHERE attnum > 0 AND relnamespace >= 16384 OR relnamespace = 'public'::regnamespace AND attnum > 0",
            "SELECT string_agg(format('%s %s %s', oid::regclass, relreplident, relnamespace::regnamespace), E'\\n' \
             ORDER BY oid) FROM pg_class WHERE relnamespace >= 16384 OR relnamespace = 'public'::regnamespace",
            "SELECT string_agg(conname || pg_get_constraintdef(oid), E'\\n' ORDER BY oid) FROM pg_constraint \
             WHERE conrelid >= 16384 OR contypid >= 16384",
            "SELECT string_agg(enumtypid::regtype || ' ' || enumlabel, E'\\n' ORDER BY enumtypid, enumsortorder) \
             FROM pg_enum",
        ] {
            parts.push(text(&mut client, sql));
        }
        parts.join("\n---\n")
    }

    /// Runs the statements, which must fail with that SQLSTATE and leave nothing behind.
    #[track_caller]
    pub fn refused(&self, sql: &str, code: &str) -> ServerError {
        let mut client = self.client();
        self.refused_by(&mut client, sql, code)
    }

    /// The same over a connection of the caller's, outside a transaction.
    #[track_caller]
    pub fn refused_by(&self, client: &mut Client, sql: &str, code: &str) -> ServerError {
        let before = self.trace();
        let result = client.batch_execute(sql);
        if result.is_ok() {
            panic!("succeeded, expected SQLSTATE {code}: {sql}");
        }
        let error = failure(result, code);
        assert_eq!(
            before,
            self.trace(),
            "the refused statement left a trace: {sql}"
        );
        error
    }

    /// The same where the contract leaves open which of these SQLSTATEs it is.
    #[track_caller]
    pub fn refused_with_one_of(&self, sql: &str, codes: &[&str]) -> ServerError {
        let code = match self.client().batch_execute(sql) {
            Ok(()) => panic!("succeeded, expected one of {codes:?}: {sql}"),
            Err(error) => error
                .code()
                .map_or(String::new(), |state| state.code().to_owned()),
        };
        assert!(
            codes.contains(&code.as_str()),
            "{code:?} is none of {codes:?}: {sql}"
        );
        self.refused(sql, &code)
    }

    /// Runs the statements, which must succeed without a new record.
    #[track_caller]
    pub fn unrecorded(&self, sql: &str) {
        let before = self.last_command();
        run(&mut self.client(), sql);
        let new = self.commands_after(before);
        assert!(new.is_empty(), "recorded by {sql}: {new:#?}");
    }

    /// Runs the statements and returns what they recorded.
    #[track_caller]
    pub fn recorded(&self, sql: &str) -> Vec<CommandRow> {
        let before = self.last_command();
        run(&mut self.client(), sql);
        self.commands_after(before)
    }

    /// How many sessions of this database wait for a lock.
    #[track_caller]
    pub fn waiting(&self) -> i64 {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event_type = 'Lock'";
        match self.client().query_one(sql, &[]) {
            Ok(row) => row.get(0),
            Err(error) => panic!("{}", describe(&error)),
        }
    }

    /// Whether the server has that extension at hand.
    pub fn offers(&self, extension: &str) -> bool {
        let sql = format!(
            "SELECT count(*)::text FROM pg_available_extensions WHERE name = '{extension}'"
        );
        text(&mut self.client(), &sql) == "1"
    }
}

/// The notices a connection received: severity and message.
#[derive(Debug, Clone, Default)]
pub struct Notices(Arc<Mutex<Vec<(String, String)>>>);

impl Notices {
    /// Whether a notice (or warning) has all the words.
    pub fn has(&self, words: &[&str]) -> bool {
        self.all()
            .iter()
            .any(|(_, message)| words.iter().all(|word| message.contains(word)))
    }

    /// All of them.
    pub fn all(&self) -> Vec<(String, String)> {
        self.0.lock().map(|kept| kept.clone()).unwrap_or_default()
    }
}

/// Runs statements that must succeed, in the simple protocol, as one string.
#[track_caller]
pub fn run(client: &mut Client, sql: &str) {
    if let Err(error) = client.batch_execute(sql) {
        panic!("{sql}\n{}", describe(&error));
    }
}

/// The one text value of a query, empty for NULL.
#[track_caller]
pub fn text(client: &mut Client, sql: &str) -> String {
    let row = match client.query_one(sql, &[]) {
        Ok(row) => row,
        Err(error) => panic!("{sql}\n{}", describe(&error)),
    };
    row.get::<_, Option<String>>(0).unwrap_or_default()
}

/// All DDL commands that the connection sees.
#[track_caller]
pub fn commands(client: &mut Client) -> Vec<CommandRow> {
    let sql = "SELECT id, migration_id, command, relation, query, postgres, sqlite, op, hash \
               FROM electric.ddl_commands ORDER BY id";
    let rows = client
        .query(sql, &[])
        .unwrap_or_else(|e| panic!("{}", describe(&e)));
    rows.iter()
        .map(|row| CommandRow {
            id: row.get(0),
            migration_id: row.get(1),
            command: row.get(2),
            relation: row.get(3),
            query: row.get(4),
            postgres: row.get(5),
            sqlite: row.get(6),
            op: row.get(7),
            hash: row.get(8),
        })
        .collect()
}

/// All migrations that the connection sees.
#[track_caller]
pub fn migrations(client: &mut Client) -> Vec<MigrationRow> {
    let sql = "SELECT id, version, source, framework, framework_version, xid::text \
               FROM electric.migrations ORDER BY id";
    let rows = client
        .query(sql, &[])
        .unwrap_or_else(|e| panic!("{}", describe(&e)));
    rows.iter()
        .map(|row| MigrationRow {
            id: row.get(0),
            version: row.get(1),
            source: row.get(2),
            framework: row.get(3),
            framework_version: row.get(4),
            xid: row.get(5),
        })
        .collect()
}

/// The pairs of command and relation, to compare with what was expected.
pub fn words(commands: &[CommandRow]) -> Vec<(&str, &str)> {
    commands
        .iter()
        .map(|c| (c.command.as_str(), c.relation.as_str()))
        .collect()
}

/// Waits until the condition holds; fails after twenty seconds.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
