//! Workloads of many short statements: servers take turns in chunks, round after round.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use electric_tests::errors::describe;
use postgres::Client;

use crate::clock::{self, Cost, Pinned};
use crate::subject::{Kind, Server, State, Subject, backend};

/// A workload.
pub struct Workload {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, for people.
    pub title: &'static str,
    /// What the ratio to a stock server is to be at most.
    pub bar: f64,
    /// The kinds of servers that run it, beside a stock one.
    pub kinds: &'static [Kind],
    /// Whether servers with much in them run it too.
    pub grows: bool,
    /// Makes what the statements of a round need.
    pub prepare: &'static [&'static str],
    /// Statement number n of a round.
    pub statement: fn(usize) -> String,
    /// How many statements a round has.
    pub statements: usize,
    /// How many of them a server runs before it is the next one's turn.
    pub chunk: usize,
    /// Counts what each of the kinds that log was to log.
    pub logged: Option<usize>,
}

/// What one statement costs a server, round by round.
pub type Rounds = BTreeMap<Subject, Vec<Cost>>;

/// Everything that is measured by statements.
pub const WORKLOADS: [Workload; 6] = [
    Workload {
        name: "select",
        title: "pgbench -S",
        bar: 1.02,
        kinds: &[Kind::Preloaded, Kind::Electric],
        grows: false,
        prepare: &[
            "CREATE TABLE app.accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))",
            "INSERT INTO app.accounts SELECT n, 1, 0, '' FROM generate_series(1, 10000) n",
            "VACUUM ANALYZE app.accounts",
        ],
        statement: |n| {
            format!(
                "SELECT abalance FROM app.accounts WHERE aid = {}",
                n * 7919 % 10000 + 1
            )
        },
        statements: 4000,
        chunk: 100,
        logged: None,
    },
    Workload {
        name: "utility",
        title: "non-DDL utility statements",
        bar: 1.02,
        kinds: &[Kind::Preloaded, Kind::Electric],
        grows: false,
        prepare: &[],
        statement: |n| {
            let statements = [
                "BEGIN",
                "SET LOCAL work_mem = '8MB'",
                "SHOW work_mem",
                "SAVEPOINT a",
                "RELEASE SAVEPOINT a",
                "DECLARE c CURSOR FOR SELECT 1",
                "FETCH c",
                "COMMIT",
            ];
            statements[n % statements.len()].to_owned()
        },
        statements: 4000,
        chunk: 80,
        logged: None,
    },
    Workload {
        name: "rows",
        title: "INSERT and UPDATE on an electrified table",
        bar: 1.02,
        kinds: &[Kind::Electric],
        grows: false,
        prepare: &[
            "CREATE TABLE app.t0 (id int PRIMARY KEY, a text, b int)",
            ENABLE,
            "ALTER TABLE app.t0 REPLICA IDENTITY FULL",
        ],
        statement: |n| {
            if n.is_multiple_of(2) {
                format!("INSERT INTO app.t0 VALUES ({n}, 'some text', 0)")
            } else {
                format!("UPDATE app.t0 SET b = b + 1 WHERE id = {}", n - 1)
            }
        },
        statements: 3000,
        chunk: 60,
        logged: None,
    },
    Workload {
        name: "uncaptured",
        title: "DDL on tables that are not electrified",
        bar: 1.05,
        kinds: &[
            Kind::Electric,
            Kind::PlPgSql,
            Kind::PgAudit,
            Kind::PglDdlDeploy,
        ],
        grows: true,
        prepare: &["CREATE SCHEMA other"],
        statement: |n| {
            let statements = [
                "CREATE TABLE other.t (id int PRIMARY KEY, a text, b int)",
                "ALTER TABLE other.t ADD COLUMN c int",
                "CREATE INDEX t_by_b ON other.t (b)",
                "COMMENT ON TABLE other.t IS 'a table'",
                "CREATE VIEW other.v AS SELECT id, c FROM other.t",
                "ALTER TABLE other.t ALTER a SET DEFAULT 'x'",
                "DROP VIEW other.v",
                "DROP TABLE other.t",
            ];
            statements[n % statements.len()].to_owned()
        },
        statements: 240,
        chunk: 8,
        logged: None,
    },
    Workload {
        name: "add-column",
        title: "captured ALTER TABLE ADD COLUMN",
        bar: 1.8,
        kinds: &[
            Kind::Electric,
            Kind::PlPgSql,
            Kind::PgAudit,
            Kind::PglDdlDeploy,
        ],
        grows: true,
        prepare: &[FORTY_TABLES, ENABLE],
        statement: |n| {
            format!(
                "ALTER TABLE app.t{} ADD COLUMN c{} int",
                n % TABLES,
                n / TABLES
            )
        },
        statements: 200,
        chunk: 10,
        logged: Some(200),
    },
    Workload {
        name: "create-index",
        title: "captured CREATE INDEX",
        bar: 1.8,
        // pgl_ddl_deploy does not deploy indexes.
        kinds: &[Kind::Electric, Kind::PlPgSql, Kind::PgAudit],
        grows: true,
        prepare: &[FORTY_TABLES, ENABLE],
        statement: |n| {
            format!(
                "CREATE INDEX t{}_{} ON app.t{0} (b, a)",
                n % TABLES,
                n / TABLES
            )
        },
        statements: 120,
        chunk: 10,
        logged: Some(120),
    },
];

const TABLES: usize = 40;
const FORTY_TABLES: &str = "DO $$ BEGIN FOR n IN 0..39 LOOP EXECUTE format(
    'CREATE TABLE app.%I (id int PRIMARY KEY, a text, b int)', 't' || n); END LOOP; END $$";

/// Electrifies what the round made, where there is the extension.
const ENABLE: &str = "SELECT electric.enable(VARIADIC array_agg(c.oid::regclass ORDER BY c.oid))
    FROM pg_class c WHERE c.relnamespace = 'app'::regnamespace AND c.relkind = 'r'";

/// The catalogs that statements of ours write to: what earlier rounds left in them is cleared away.
const VACUUM: [&str; 9] = [
    "pg_attribute",
    "pg_class",
    "pg_constraint",
    "pg_depend",
    "pg_description",
    "pg_index",
    "pg_publication_rel",
    "pg_rewrite",
    "pg_type",
];

impl Workload {
    /// The servers that run it.
    pub fn subjects(&self) -> Vec<Subject> {
        let kinds = std::iter::once(&Kind::Stock).chain(self.kinds);
        let mut subjects: Vec<Subject> = kinds.map(|kind| Subject::from(*kind)).collect();
        if self.grows {
            let many = State::ManyTables;
            subjects.extend(
                [
                    (Kind::Stock, many),
                    (Kind::Electric, many),
                    (Kind::Electric, State::LongHistory),
                ]
                .map(|(kind, state)| Subject { kind, state }),
            );
        }
        subjects
    }

    /// Runs one round on these servers, which have just started; adds what a statement cost each.
    pub fn round(&self, round: usize, servers: &[&Server], rounds: &mut Rounds) -> Result<()> {
        let before = self.each(servers, |server| self.begin(server))?;
        let pinned = Pinned::new()?;
        let mut runs = Vec::new();
        for &server in servers {
            let mut client = server.client()?;
            let pid = backend(&mut client)?;
            pinned.with(pid)?;
            // What the first statement of a backend costs is measured elsewhere.
            run(
                &mut client,
                "CREATE TABLE app.first (); DROP TABLE app.first",
            )?;
            runs.push((server, client, pid, Cost::default()));
        }
        let turns = self.statements / self.chunk;
        for turn in 0..turns {
            // Who is first has the caches cold: it is everybody's turn to be.
            for place in 0..runs.len() {
                let at = (place + turn + round) % runs.len();
                let (server, client, pid, sum) = &mut runs[at];
                let chunk: Vec<String> = (turn * self.chunk..(turn + 1) * self.chunk)
                    .map(self.statement)
                    .collect();
                *sum += clock::cost(*pid, || {
                    chunk.iter().try_for_each(|statement| {
                        client
                            .simple_query(statement)
                            .map(drop)
                            .map_err(|error| failed(statement, &error))
                    })
                })
                .with_context(|| format!("{} on {:?}", self.name, server.subject))?;
            }
        }
        drop(pinned);
        for (server, _, _, sum) in &runs {
            let count = u32::try_from(turns * self.chunk)?;
            rounds.entry(server.subject).or_default().push(Cost {
                cpu: sum.cpu / count,
                wall: sum.wall / count,
            });
        }
        drop(runs);
        for (server, before) in servers.iter().zip(before) {
            self.end(server, before)
                .with_context(|| format!("{} on {:?}", self.name, server.subject))?;
        }
        Ok(())
    }

    fn each<T>(&self, servers: &[&Server], of: impl Fn(&Server) -> Result<T>) -> Result<Vec<T>> {
        let of = |server: &&Server| {
            of(server).with_context(|| format!("{} on {:?}", self.name, server.subject))
        };
        servers.iter().map(of).collect()
    }

    /// Makes the tables of a round; gives how much was logged so far.
    fn begin(&self, server: &Server) -> Result<i64> {
        let mut client = server.client()?;
        for catalog in VACUUM {
            run(&mut client, &format!("VACUUM pg_catalog.{catalog}"))?;
        }
        if server.subject.kind == Kind::Electric {
            for table in ["electrified", "places", "sqlite_names", "migrations"] {
                run(&mut client, &format!("VACUUM electric.{table}"))?;
            }
        }
        run(&mut client, "CREATE SCHEMA app")?;
        for &statement in self.prepare {
            if statement != ENABLE || server.subject.kind == Kind::Electric {
                run(&mut client, statement)?;
            }
        }
        logged(server, &mut client)
    }

    /// Sees to it that everything was logged, and removes the tables of the round.
    fn end(&self, server: &Server, before: i64) -> Result<()> {
        let mut client = server.client()?;
        if let Some(expected) = self.logged {
            let rows = logged(server, &mut client)? - before;
            let is_logger = !matches!(server.subject.kind, Kind::Stock | Kind::PgAudit);
            ensure!(
                !is_logger || rows >= i64::try_from(expected)?,
                "it logged {rows} commands instead of {expected}"
            );
        }
        if server.subject.kind == Kind::Electric {
            run(
                &mut client,
                "SELECT electric.disable(relation) FROM electric.electrified e JOIN pg_class c ON c.oid = e.relation
                WHERE c.relnamespace = 'app'::regnamespace",
            )?;
        }
        run(
            &mut client,
            "DROP SCHEMA app CASCADE; DROP SCHEMA IF EXISTS other CASCADE",
        )
    }
}

/// How many commands a server has logged in a table.
fn logged(server: &Server, client: &mut Client) -> Result<i64> {
    let table = match server.subject.kind {
        Kind::Stock | Kind::Preloaded | Kind::PgAudit => return Ok(0),
        Kind::Electric => "electric.ddl_commands",
        Kind::PlPgSql => "public.ddl_log",
        Kind::PglDdlDeploy => "pglogical.queue",
    };
    Ok(client
        .query_one(&format!("SELECT count(*) FROM {table}"), &[])?
        .get(0))
}

fn run(client: &mut Client, sql: &str) -> Result<()> {
    client
        .batch_execute(sql)
        .map_err(|error| failed(sql, &error))
}

fn failed(statement: &str, error: &postgres::Error) -> anyhow::Error {
    anyhow::anyhow!("{}\n  in: {statement}", describe(error))
}

/// The ratio of each round to that of another server.
pub fn ratios(ours: &[Cost], theirs: &[Cost], of: fn(&Cost) -> Duration) -> Result<Vec<f64>> {
    if ours.len() != theirs.len() {
        bail!("servers ran different numbers of rounds");
    }
    let pairs = ours.iter().zip(theirs);
    Ok(pairs
        .map(|(ours, theirs)| of(ours).as_secs_f64() / of(theirs).as_secs_f64())
        .collect())
}
