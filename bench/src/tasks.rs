//! Things that are done as a whole: what each takes, beside the plainest way to come to the same.

use std::cell::OnceCell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use electric_tests::errors::describe;
use postgres::Client;
use rusqlite::Connection;

use crate::clock;
use crate::gateways::Gateways;
use crate::subject::{Kind, Server, Sizes, Subject, backend, thousands};

/// What a task is to be at most.
#[derive(Debug, Clone, Copy)]
pub enum Bar {
    /// So many times what the first side takes.
    Ratio(f64),
    /// So much more than the first side takes.
    More(f64),
    /// At least so many times what the first side does.
    AtLeast(f64),
    /// Whatever it is: it is reported.
    None,
}

/// Something that is compared. The first side is what the others are compared with.
pub struct Task {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, for people.
    pub title: fn(Sizes) -> String,
    /// What it is measured in.
    pub unit: &'static str,
    /// Of each side but the first.
    pub bar: Bar,
    /// The sides.
    pub sides: &'static [&'static str],
    /// Measures each side once.
    pub round: fn(&Servers) -> Result<Vec<f64>>,
}

/// The servers that tasks are done on.
pub struct Servers {
    stock: Server,
    electric: Server,
    subscriber: Server,
    gateways: OnceCell<Gateways>,
    sizes: Sizes,
}

/// Everything that is measured as a whole.
pub const TASKS: [Task; 11] = [
    Task {
        name: "enable",
        title: |sizes| {
            format!(
                "electric.enable of {} tables in one call",
                thousands(sizes.some)
            )
        },
        unit: "ms of CPU",
        bar: Bar::Ratio(2.0),
        sides: &[
            "ALTER PUBLICATION … ADD TABLE, one by one",
            "electric.enable, one call",
            "a quarter of the tables, times four",
        ],
        round: |servers| {
            let count = servers.sizes.some;
            let plain = added_to_a_publication(&servers.stock, count)?;
            let whole = enabled(&servers.electric, count, true)?;
            let quarter = enabled(&servers.electric, count / 4, true)?;
            Ok(vec![plain, whole, quarter * 4.0])
        },
    },
    Task {
        name: "enable-each",
        title: |sizes| {
            format!(
                "electric.enable of {} tables one by one",
                thousands(sizes.some)
            )
        },
        unit: "ms of CPU",
        bar: Bar::None,
        sides: &[
            "ALTER PUBLICATION … ADD TABLE, one by one",
            "electric.enable, one by one",
            "a quarter of the tables, times four",
        ],
        round: |servers| {
            let count = servers.sizes.some;
            let plain = added_to_a_publication(&servers.stock, count)?;
            let whole = enabled(&servers.electric, count, false)?;
            let quarter = enabled(&servers.electric, count / 4, false)?;
            Ok(vec![plain, whole, quarter * 4.0])
        },
    },
    Task {
        name: "introspect",
        title: |sizes| {
            format!(
                "electric.introspect() of {} tables × 10 columns",
                thousands(sizes.some)
            )
        },
        unit: "ms of CPU",
        bar: Bar::Ratio(0.7),
        sides: &[
            "one jsonb_agg query over pg_catalog",
            "electric.introspect()",
        ],
        round: introspected,
    },
    Task {
        name: "fresh-backend",
        title: |_| "first DDL of a fresh backend".to_owned(),
        unit: "ms of CPU",
        bar: Bar::More(1.0),
        sides: &["stock", "electric, preloaded"],
        round: |servers| {
            Ok(vec![
                first_ddl(&servers.stock)?.0,
                first_ddl(&servers.electric)?.0,
            ])
        },
    },
    Task {
        name: "fresh-backend-many",
        title: |sizes| {
            format!(
                "first DDL of a fresh backend, {} tables",
                thousands(sizes.some)
            )
        },
        unit: "ms of CPU",
        bar: Bar::None,
        sides: &["stock", "electric, preloaded, all electrified"],
        round: |servers| {
            let (stock, electric) = (&servers.stock, &servers.electric);
            let count = servers.sizes.some;
            Ok(vec![
                with_tables(stock, count, || Ok(first_ddl(stock)?.0))?,
                with_tables(electric, count, || {
                    enable_all(electric, count)?;
                    Ok(first_ddl(electric)?.0)
                })?,
            ])
        },
    },
    Task {
        name: "memory",
        title: |_| "memory of its own of a backend after its first DDL".to_owned(),
        unit: "kB",
        bar: Bar::None,
        sides: &["stock", "electric, preloaded"],
        round: |servers| {
            Ok(vec![
                first_ddl(&servers.stock)?.1,
                first_ddl(&servers.electric)?.1,
            ])
        },
    },
    Task {
        name: "replay",
        title: |sizes| format!("replaying {} commands", thousands(sizes.replayed)),
        unit: "ms on the wall",
        bar: Bar::None,
        sides: &[
            "SQLite, from a file of SQL",
            "SQLite, from electric.migrations_since()",
            "Postgres, from a file of SQL by psql",
            "Postgres, as a subscriber",
        ],
        round: replayed,
    },
    Task {
        name: "proxy-simple-1",
        title: |_| "pgbench -S, simple, 1 client".to_owned(),
        unit: "transactions/s",
        bar: Bar::AtLeast(1.0),
        sides: &GATEWAYS,
        round: |servers| servers.gateways()?.rates("simple", 1),
    },
    Task {
        name: "proxy-simple-50",
        title: |_| "pgbench -S, simple, 50 clients".to_owned(),
        unit: "transactions/s",
        bar: Bar::AtLeast(0.9),
        sides: &GATEWAYS,
        round: |servers| servers.gateways()?.rates("simple", 50),
    },
    Task {
        name: "proxy-prepared-1",
        title: |_| "pgbench -S, prepared, 1 client".to_owned(),
        unit: "transactions/s",
        bar: Bar::AtLeast(1.0),
        sides: &GATEWAYS,
        round: |servers| servers.gateways()?.rates("prepared", 1),
    },
    Task {
        name: "proxy-prepared-50",
        title: |_| "pgbench -S, prepared, 50 clients".to_owned(),
        unit: "transactions/s",
        bar: Bar::AtLeast(0.9),
        sides: &GATEWAYS,
        round: |servers| servers.gateways()?.rates("prepared", 50),
    },
];

const GATEWAYS: [&str; 3] = ["pgbouncer, session mode", "electric proxy", "direct"];

impl Servers {
    /// Makes them.
    pub fn make(sizes: Sizes) -> Result<Servers> {
        Ok(Servers {
            stock: Server::empty(Subject::from(Kind::Stock))?,
            electric: Server::empty(Subject::from(Kind::Electric))?,
            subscriber: Server::empty(Subject::from(Kind::Electric))?,
            gateways: OnceCell::new(),
            sizes,
        })
    }

    fn gateways(&self) -> Result<&Gateways> {
        if let Some(made) = self.gateways.get() {
            return Ok(made);
        }
        let made = Gateways::make()?;
        Ok(self.gateways.get_or_init(|| made))
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn run(client: &mut Client, sql: &str) -> Result<()> {
    client.batch_execute(sql).map_err(|error| {
        anyhow::anyhow!(
            "{}: {}",
            sql.lines().next().unwrap_or_default(),
            describe(&error)
        )
    })
}

/// Runs statements over a new connection, after the first statement, which warms it up; what they cost the backend.
fn cpu(server: &Server, statements: &[String]) -> Result<f64> {
    let mut client = server.client()?;
    run(&mut client, "CREATE TABLE warm (); DROP TABLE warm")?;
    let pid = backend(&mut client)?;
    let cost = clock::cost(pid, || {
        statements.iter().try_for_each(|sql| run(&mut client, sql))
    })?;
    Ok(milliseconds(cost.cpu))
}

/// Tables of ten columns in a schema of their own, for as long as `body` lasts.
fn with_tables<T>(server: &Server, count: usize, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let mut client = server.client()?;
    run(&mut client, "CREATE SCHEMA task")?;
    for from in (0..count).step_by(500) {
        let to = (from + 500).min(count) - 1;
        run(
            &mut client,
            &format!(
                "DO $$ BEGIN FOR n IN {from}..{to} LOOP EXECUTE format(
                    'CREATE TABLE task.%I (id uuid PRIMARY KEY, a text NOT NULL, b int DEFAULT 7, c timestamptz,
                        d numeric(10,2), e boolean, f jsonb, g date, h bigint, i varchar(20))', 't' || n); END LOOP; END $$"
            ),
        )?;
    }
    run(&mut client, "ANALYZE")?;
    let result = body()?;
    if server.subject.kind == Kind::Electric {
        run(
            &mut client,
            "SELECT electric.disable(relation) FROM electric.electrified AS e JOIN pg_class AS c ON c.oid = e.relation
            WHERE c.relnamespace = 'task'::regnamespace",
        )?;
    }
    // One statement for all would lock more than there is room for.
    for from in (0..count).step_by(500) {
        let to = (from + 500).min(count) - 1;
        run(
            &mut client,
            &format!(
                "DO $$ BEGIN FOR n IN {from}..{to} LOOP EXECUTE format('DROP TABLE task.%I', 't' || n); END LOOP; END $$"
            ),
        )?;
    }
    run(&mut client, "DROP SCHEMA task")?;
    run(&mut client, "VACUUM")?;
    Ok(result)
}

fn added_to_a_publication(server: &Server, count: usize) -> Result<f64> {
    with_tables(server, count, || {
        let statements: Vec<String> = std::iter::once("CREATE PUBLICATION task".to_owned())
            .chain((0..count).map(|n| format!("ALTER PUBLICATION task ADD TABLE task.t{n}")))
            .chain(["DROP PUBLICATION task".to_owned()])
            .collect();
        cpu(server, &statements)
    })
}

fn enabled(server: &Server, count: usize, at_once: bool) -> Result<f64> {
    with_tables(server, count, || {
        let statements: Vec<String> = if at_once {
            let names = "array_agg(format('task.%I', 't' || n)::regclass)";
            vec![format!(
                "SELECT electric.enable(VARIADIC {names}) FROM generate_series(0, {}) AS n",
                count - 1
            )]
        } else {
            (0..count)
                .map(|n| format!("SELECT electric.enable('task.t{n}')"))
                .collect()
        };
        cpu(server, &statements)
    })
}

/// What `electric.introspect()` says of tables, keys and indexes, as far as one query can tell.
const CATALOG: &str = "
SELECT jsonb_agg(jsonb_build_object(
    'schema', n.nspname, 'name', c.relname,
    'columns', (SELECT jsonb_agg(jsonb_build_object(
            'name', a.attname, 'nullable', NOT a.attnotnull, 'identity', a.attidentity,
            'default', pg_get_expr(d.adbin, d.adrelid),
            'type', jsonb_build_object('name', t.typname, 'schema', tn.nspname, 'kind', t.typtype,
                'sql', format_type(a.atttypid, a.atttypmod), 'array_dims', a.attndims)) ORDER BY a.attnum)
        FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid JOIN pg_namespace AS tn ON tn.oid = t.typnamespace
            LEFT JOIN pg_attrdef AS d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    'constraints', (SELECT jsonb_agg(jsonb_build_object('name', k.conname, 'type', k.contype,
            'definition', pg_get_constraintdef(k.oid)) ORDER BY k.conname)
        FROM pg_constraint AS k WHERE k.conrelid = c.oid),
    'indexes', (SELECT jsonb_agg(jsonb_build_object('name', i.relname, 'unique', x.indisunique,
            'definition', pg_get_indexdef(x.indexrelid)) ORDER BY i.relname)
        FROM pg_index AS x JOIN pg_class AS i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid)
    ) ORDER BY n.nspname, c.relname)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname = 'task'";

fn introspected(servers: &Servers) -> Result<Vec<f64>> {
    let server = &servers.electric;
    let count = servers.sizes.some;
    with_tables(server, count, || {
        enable_all(server, count)?;
        [CATALOG, "SELECT electric.introspect()"]
            .into_iter()
            .map(|query| {
                let mut client = server.client()?;
                // Once to warm up; the length alone comes back.
                let query = format!("SELECT length(({query})::text)");
                let bytes: i32 = client.query_one(&query, &[])?.get(0);
                ensure!(bytes > 1000, "{query} gives next to nothing");
                let pid = backend(&mut client)?;
                let cost = clock::cost(pid, || run(&mut client, &query))?;
                Ok(milliseconds(cost.cpu))
            })
            .collect()
    })
}

fn enable_all(server: &Server, count: usize) -> Result<()> {
    run(
        &mut server.client()?,
        &format!(
            "SELECT electric.enable(VARIADIC array_agg(format('task.%I', 't' || n)::regclass)) FROM generate_series(0, {}) AS n",
            count - 1
        ),
    )
}

/// What the first DDL of a backend costs it, in milliseconds, and what memory is its own after that, in kB. The median of
/// a few, as it is little.
fn first_ddl(server: &Server) -> Result<(f64, f64)> {
    let one = || -> Result<(f64, f64)> {
        let mut client = server.client()?;
        let pid = backend(&mut client)?;
        let cost = clock::cost(pid, || {
            run(
                &mut client,
                "CREATE TABLE first (id int PRIMARY KEY, a text)",
            )
        })?;
        let memory = private_memory(pid)?;
        run(&mut client, "DROP TABLE first")?;
        Ok((milliseconds(cost.cpu), memory))
    };
    let (mut costs, mut memory): (Vec<f64>, Vec<f64>) = (0..15)
        .map(|_| one())
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .unzip();
    costs.sort_by(f64::total_cmp);
    memory.sort_by(f64::total_cmp);
    Ok((costs[costs.len() / 2], memory[memory.len() / 2]))
}

/// The memory of a process that is no file's and no buffer's, in kB; what it shares with others counts in part.
fn private_memory(pid: i32) -> Result<f64> {
    let file = format!("/proc/{pid}/smaps_rollup");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss_Anon:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("{file} does not say"))
}

/// A history on one server, replayed into SQLite and by another server.
fn replayed(servers: &Servers) -> Result<Vec<f64>> {
    let (publisher, subscriber) = (&servers.electric, &servers.subscriber);
    let mut there = publisher.client()?;
    let mut here = subscriber.client()?;
    run(
        &mut there,
        "CREATE SCHEMA task; CREATE TABLE task.t (id int PRIMARY KEY); SELECT electric.enable('task.t')",
    )?;
    run(
        &mut here,
        &format!("CALL electric.subscribe('{}')", publisher.conninfo()),
    )?;
    run(&mut here, "ALTER SUBSCRIPTION electric DISABLE")?;
    let before: Option<String> = there
        .query_one("SELECT max(id)::text FROM electric.migrations", &[])?
        .get(0);
    let version: String = there
        .query_one(
            "SELECT version FROM electric.migrations ORDER BY id DESC LIMIT 1",
            &[],
        )?
        .get(0);
    ensure!(before.is_some(), "there is no history");
    // As migrations are: tables, columns and indexes, a transaction for every ten.
    run(
        &mut there,
        &format!(
            "DO $$ BEGIN FOR n IN 1..{} LOOP
                EXECUTE format('CREATE TABLE task.%I (id int PRIMARY KEY, a text)', 't' || n);
                PERFORM electric.enable(format('task.%I', 't' || n)::regclass);
                FOR m IN 1..7 LOOP EXECUTE format('ALTER TABLE task.%I ADD COLUMN %I int DEFAULT 0', 't' || n, 'c' || m); END LOOP;
                EXECUTE format('CREATE INDEX %I ON task.%I (a)', 'x' || n, 't' || n);
                EXECUTE format('CREATE INDEX %I ON task.%I (c1, c2)', 'y' || n, 't' || n);
                COMMIT;
            END LOOP; END $$",
            servers.sizes.replayed / 10
        ),
    )?;
    let since = format!("FROM electric.migrations_since('{version}', '{{}}')");
    let script = |client: &mut Client, dialect: &str| -> Result<String> {
        let query = format!(
            "SELECT string_agg(statement, E';\\n') || ';' {}",
            since.replace("{}", dialect)
        );
        Ok(client.query_one(&query, &[])?.get(0))
    };
    let (sqlite, postgres) = (
        script(&mut there, "sqlite")?,
        script(&mut there, "postgres")?,
    );

    let begin = Instant::now();
    let database = in_memory()?;
    database.execute_batch(&format!("BEGIN;{sqlite}COMMIT;"))?;
    let from_file = begin.elapsed();

    let begin = Instant::now();
    let database = in_memory()?;
    database.execute_batch("BEGIN")?;
    for row in there.query(
        &format!("SELECT statement {}", since.replace("{}", "sqlite")),
        &[],
    )? {
        database.execute_batch(row.get(0))?;
    }
    database.execute_batch("COMMIT")?;
    let from_history = begin.elapsed();

    let file = servers
        .stock
        .script(&format!("CREATE SCHEMA task;\n{postgres}"))?;
    let begin = Instant::now();
    servers.stock.psql(&file)?;
    let by_psql = begin.elapsed();

    let last: i64 = there
        .query_one("SELECT max(id) FROM electric.ddl_commands", &[])?
        .get(0);
    let begin = Instant::now();
    run(&mut here, "ALTER SUBSCRIPTION electric ENABLE")?;
    while here
        .query_one("SELECT max(id) FROM electric.ddl_commands", &[])?
        .get::<_, i64>(0)
        < last
    {
        ensure!(
            begin.elapsed() < Duration::from_secs(600),
            "the subscriber does not catch up"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let as_subscriber = begin.elapsed();

    run(&mut here, "CALL electric.unsubscribe()")?;
    for server in [subscriber, publisher, &servers.stock] {
        server.renew()?;
    }
    Ok([from_file, from_history, by_psql, as_subscriber]
        .into_iter()
        .map(milliseconds)
        .collect())
}

fn in_memory() -> Result<Connection> {
    let database = Connection::open_in_memory()?;
    database.execute_batch("PRAGMA foreign_keys = ON")?;
    Ok(database)
}
