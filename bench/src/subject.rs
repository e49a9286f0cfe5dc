//! The servers that are compared: a stock one, ours, and what else there is for the same purpose.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use electric_tests::cluster::{Cluster, Stop};
use postgres::Client;

use crate::clock;

/// What a server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Nothing but Postgres.
    Stock,
    /// Our library, in a database without the extension.
    Preloaded,
    /// Ours.
    Electric,
    /// An event trigger in PL/pgSQL that writes one row per command.
    PlPgSql,
    /// pgaudit, which logs DDL to the server's log.
    PgAudit,
    /// pgl_ddl_deploy, which queues DDL for pglogical.
    PglDdlDeploy,
}

/// How much there is in a server before anything is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Ten tables.
    Small,
    /// Thousands of tables, electrified where there is the extension.
    ManyTables,
    /// A long history.
    LongHistory,
}

/// A kind of server in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// What it runs.
    pub kind: Kind,
    /// What is in it.
    pub state: State,
}

impl From<Kind> for Subject {
    fn from(kind: Kind) -> Subject {
        Subject {
            kind,
            state: State::Small,
        }
    }
}

impl Subject {
    /// The stock server that it is compared with.
    pub fn baseline(self) -> Subject {
        let state = match self.state {
            State::ManyTables => State::ManyTables,
            State::Small | State::LongHistory => State::Small,
        };
        Subject {
            kind: Kind::Stock,
            state,
        }
    }

    /// Its name in tables.
    pub fn name(self, sizes: Sizes) -> String {
        let kind = match self.kind {
            Kind::Stock => "stock",
            Kind::Preloaded => "electric, preloaded only",
            Kind::Electric => "electric",
            Kind::PlPgSql => "PL/pgSQL trigger, one row",
            Kind::PgAudit => "pgaudit",
            Kind::PglDdlDeploy => "pgl_ddl_deploy",
        };
        match self.state {
            State::Small => kind.to_owned(),
            State::ManyTables => format!("{kind}, {} tables", thousands(sizes.tables)),
            State::LongHistory => format!("{kind}, {} commands", thousands(sizes.commands)),
        }
    }
}

/// How large the large states are.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Tables of [`State::ManyTables`].
    pub tables: usize,
    /// Rows of history of [`State::LongHistory`].
    pub commands: usize,
    /// Tables of what is done as a whole.
    pub some: usize,
    /// Commands that are replayed.
    pub replayed: usize,
}

impl Sizes {
    /// Those that the bars are about.
    pub const WHOLE: Sizes = Sizes {
        tables: 10_000,
        commands: 100_000,
        some: 2_000,
        replayed: 10_000,
    };
    /// Smaller ones.
    pub const QUICK: Sizes = Sizes {
        tables: 1_000,
        commands: 10_000,
        some: 400,
        replayed: 1_000,
    };
}

/// `10000` as `10,000`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A server of a kind.
pub struct Server {
    /// What it is.
    pub subject: Subject,
    cluster: Cluster,
}

/// The database that everything happens in.
const DATABASE: &str = "bench";

impl Server {
    /// Whether the installation has what the kind takes.
    pub fn is_possible(kind: Kind, libraries: &Path) -> bool {
        let needs: &[&str] = match kind {
            Kind::Stock | Kind::PlPgSql => &[],
            Kind::Preloaded | Kind::Electric => &["electric"],
            Kind::PgAudit => &["pgaudit"],
            Kind::PglDdlDeploy => &["pglogical", "pgl_ddl_deploy"],
        };
        let is_there = |name: &&str| libraries.join(format!("{name}.so")).is_file();
        needs.iter().all(is_there)
    }

    /// Makes one, starts it and fills it.
    pub fn make(subject: Subject, sizes: Sizes) -> Result<Server> {
        let server = Server::empty(subject)?;
        server
            .fill(sizes)
            .with_context(|| format!("cannot set the server up: {}", subject.name(sizes)))?;
        Ok(server)
    }

    /// Makes one with the extension of its kind, if it has one, and nothing else in it.
    pub fn empty(subject: Subject) -> Result<Server> {
        let mut builder = Cluster::builder()
            .below(clock::directory())
            .setting("shared_buffers", "128MB")
            .setting("max_locks_per_transaction", "4096")
            .setting("track_activities", "off");
        let libraries = match subject.kind {
            Kind::Stock | Kind::PlPgSql => None,
            Kind::Preloaded | Kind::Electric => Some("electric"),
            Kind::PgAudit => Some("pgaudit"),
            Kind::PglDdlDeploy => Some("pglogical, pgl_ddl_deploy"),
        };
        if let Some(libraries) = libraries {
            builder = builder.setting("shared_preload_libraries", libraries);
        }
        if subject.kind == Kind::PgAudit {
            builder = builder.setting("pgaudit.log", "ddl");
        }
        let server = Server {
            subject,
            cluster: builder.start()?,
        };
        server.renew()?;
        Ok(server)
    }

    /// Gives it a new database with the extension of its kind, in place of the one it has.
    pub fn renew(&self) -> Result<()> {
        let mut client = self.cluster.connect("postgres", "postgres")?;
        client.batch_execute(&format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)"))?;
        client.batch_execute(&format!("CREATE DATABASE {DATABASE}"))?;
        let mut client = self.client()?;
        client.batch_execute(&match self.subject.kind {
            Kind::Stock | Kind::Preloaded => String::new(),
            Kind::PgAudit => "CREATE EXTENSION pgaudit".to_owned(),
            Kind::Electric => "CREATE EXTENSION electric".to_owned(),
            Kind::PlPgSql => PLPGSQL.to_owned(),
            Kind::PglDdlDeploy => PGL_DDL_DEPLOY.replace("{dsn}", &self.conninfo()),
        })?;
        Ok(())
    }

    /// Where its database is.
    pub fn conninfo(&self) -> String {
        format!(
            "host={} port={} dbname={DATABASE} user=postgres",
            self.cluster.directory().display(),
            self.cluster.port()
        )
    }

    /// Puts SQL into a file that psql can read.
    pub fn script(&self, sql: &str) -> Result<PathBuf> {
        let file = self.cluster.directory().join("script.sql");
        std::fs::write(&file, sql).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }

    /// Runs a file by psql.
    pub fn psql(&self, file: &Path) -> Result<()> {
        let file = file.to_str().context("a path that is no text")?;
        let arguments = ["-q", "-v", "ON_ERROR_STOP=1", "-f", file];
        let output = self.cluster.psql(DATABASE, "postgres", &arguments)?;
        ensure!(
            output.status.success(),
            "psql: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    fn fill(&self, sizes: Sizes) -> Result<()> {
        let mut client = self.client()?;
        let electric = self.subject.kind == Kind::Electric;
        let tables = match self.subject.state {
            State::Small | State::LongHistory => 10,
            State::ManyTables => sizes.tables,
        };
        client.batch_execute("CREATE SCHEMA base")?;
        for from in (0..tables).step_by(500) {
            let to = (from + 500).min(tables) - 1;
            client.batch_execute(&format!(
                "DO $$ BEGIN FOR n IN {from}..{to} LOOP EXECUTE format(
                    'CREATE TABLE base.%I (id int PRIMARY KEY, a text, b int)', 't' || n); END LOOP; END $$"
            ))?;
            if electric {
                client.batch_execute(&format!(
                    "SELECT electric.enable(VARIADIC array_agg(format('base.%I', 't' || n)::regclass))
                    FROM generate_series({from}, {to}) n"
                ))?;
            }
        }
        if self.subject.state == State::LongHistory {
            // One migration in ten commands; a table has ten columns to change, so that its shape stays as it is.
            client.batch_execute(&format!(
                "DO $$ BEGIN FOR n IN 1..{} LOOP
                    EXECUTE format('ALTER TABLE base.%I ALTER b SET DEFAULT %s', 't' || n % 10, n);
                    IF n % 10 = 0 THEN COMMIT; END IF;
                END LOOP; END $$",
                sizes.commands
            ))?;
        }
        client.batch_execute("VACUUM ANALYZE")?;
        client.batch_execute("CHECKPOINT")?;
        Ok(())
    }

    /// Stops and starts it.
    pub fn restart(&self) -> Result<()> {
        self.cluster.restart(Stop::Fast)
    }

    /// A connection as superuser.
    pub fn client(&self) -> Result<Client> {
        self.cluster.connect(DATABASE, "postgres")
    }

    /// What it is.
    pub fn version(&self) -> Result<String> {
        Ok(self.client()?.query_one("SHOW server_version", &[])?.get(0))
    }
}

/// The process of the server at the other end.
pub fn backend(client: &mut Client) -> Result<i32> {
    Ok(client.query_one("SELECT pg_backend_pid()", &[])?.get(0))
}

const PLPGSQL: &str = "
CREATE TABLE ddl_log (
    id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), tag text, object text, query text);
CREATE FUNCTION log_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO ddl_log (tag, object, query)
        SELECT command_tag, object_identity, current_query() FROM pg_event_trigger_ddl_commands();
END $$;
CREATE EVENT TRIGGER log_ddl ON ddl_command_end EXECUTE FUNCTION log_ddl()";

/// What is in schema `app` is deployed, which means: queued for whoever subscribes.
const PGL_DDL_DEPLOY: &str = "
CREATE EXTENSION pglogical;
CREATE EXTENSION pgl_ddl_deploy;
SELECT pglogical.create_node(node_name := 'provider', dsn := '{dsn}');
SELECT pglogical.create_replication_set('ddl');
INSERT INTO pgl_ddl_deploy.set_configs (set_name, include_schema_regex, lock_safe_deployment, allow_multi_statements)
    VALUES ('ddl', '^app$', false, true);
SELECT pgl_ddl_deploy.deploy('ddl')";
