//! Every function of the extension, called with hostile values by roles of all kinds, in a server that has little memory. What
//! is called is read from the catalog, so a new function is called too. All comes from a seed, so each run can be had again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use postgres::Client;

use crate::cluster::Cluster;
use crate::database::{Database, run};

/// Addresses that a process of the server may have, in KiB.
const ADDRESSES: u64 = 1_200_000;
/// Memory that a backend may have taken at its most, in KiB: an argument, the server's copies of it, and little else.
const MEMORY: u64 = 700_000;
/// Calls by one session, before the next begins.
const CALLS: usize = 40;

/// How long it goes on.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// So many calls.
    Calls(usize),
    /// So long.
    Time(Duration),
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many calls.
    pub calls: usize,
    /// How many of them failed, as most should.
    pub errors: usize,
    /// How many of those for want of memory, or beyond a limit.
    pub limited: usize,
    /// How many ended their session: memory ended where the statement alone could not.
    pub sessions: usize,
    /// The most memory that a backend took, in KiB.
    pub memory: u64,
    /// The call that took it.
    pub largest: String,
}

/// A sequence of numbers that the seed decides.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn size(&mut self) -> usize {
        [
            0, 1, 63, 64, 1024, 1025, 65_536, 1_048_576, 1_048_577, 5_000_000, 30_000_000,
        ][self.below(11)]
    }
}

/// A function or procedure.
struct Function {
    name: String,
    is_procedure: bool,
    arguments: Vec<String>,
    is_variadic: bool,
}

/// Makes a server, and calls. An error if the server, or more than a session of it, ended.
pub fn attack(seed: u64, until: Until) -> Result<Outcome> {
    let cluster = Cluster::builder().preload(true).make()?;
    cluster.start_limited(ADDRESSES)?;
    let database = cluster.database();
    let owner = prepare(&database);
    let nobody = database.role("hostile_nobody");
    let functions = functions(&mut database.client())?;
    ensure!(functions.len() > 20, "functions are missing");
    let postmaster = cluster.postmaster_pid()?;
    let (mut dice, mut outcome, begun) = (Dice(seed), Outcome::default(), Instant::now());
    let goes_on = |calls: usize| match until {
        Until::Calls(most) => calls < most,
        Until::Time(long) => begun.elapsed() < long,
    };
    while goes_on(outcome.calls) {
        let user = dice.one(&["postgres", &owner, &nobody]).to_owned();
        let mut client = database.client_as(&user);
        run(
            &mut client,
            "SET statement_timeout = '20s'; SET client_min_messages = error",
        );
        let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[])?.get(0);
        for _ in 0..CALLS {
            if !goes_on(outcome.calls) {
                break;
            }
            // All functions in turn, with chance in what they get.
            let function = &functions[outcome.calls % functions.len()];
            let sql = call(function, &mut dice);
            outcome.calls += 1;
            let said = client.batch_execute(&sql);
            let taken = memory(pid);
            if taken > outcome.memory {
                outcome.memory = taken;
                outcome.largest.clone_from(&sql);
            }
            let Err(error) = said else { continue };
            outcome.errors += 1;
            let code = error.code().map_or("", |code| code.code()).to_owned();
            outcome.limited += usize::from(code.starts_with("53") || code.starts_with("54"));
            if client.is_closed() {
                outcome.sessions += 1;
                sound(&cluster, postmaster).with_context(|| {
                    format!("seed {seed}, call {}, by {user}: {sql}", outcome.calls)
                })?;
                break;
            }
            client.batch_execute("ROLLBACK")?;
        }
        sound(&cluster, postmaster)
            .with_context(|| format!("seed {seed}, call {}", outcome.calls))?;
    }
    ensure!(
        outcome.memory < MEMORY,
        "seed {seed}: a backend took {} KiB: {outcome:?}",
        outcome.memory
    );
    Ok(outcome)
}

/// The server is the one that was started, and no process of it crashed.
fn sound(cluster: &Cluster, postmaster: i32) -> Result<()> {
    ensure!(
        cluster.postmaster_pid()? == postmaster,
        "the server is another one"
    );
    let log = cluster.log();
    for word in [
        "terminated by signal",
        "PANIC",
        "memory allocation of",
        "panicked at",
    ] {
        if let Some(line) = log.lines().find(|line| line.contains(word)) {
            bail!("{line}");
        }
    }
    Ok(())
}

/// The most memory that the process took so far, in KiB.
fn memory(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let words = line.and_then(|line| line.split_whitespace().next());
    words.and_then(|word| word.parse().ok()).unwrap_or(0)
}

fn prepare(database: &Database) -> String {
    let owner = database.role("hostile_owner");
    run(
        &mut database.client(),
        &format!(
            "GRANT CREATE ON SCHEMA public TO {owner}; GRANT CREATE ON DATABASE {} TO {owner};
             CREATE TYPE mood AS ENUM ('a', 'b'); CREATE DOMAIN word AS text CHECK (value <> 'bad');
             CREATE TABLE items (id int PRIMARY KEY, value text, m mood, w word); INSERT INTO items VALUES (1, 'x');
             CREATE TABLE projects (id int PRIMARY KEY, owner_id text);
             CREATE TABLE parts (id int PRIMARY KEY, project_id int REFERENCES projects, value text DEFAULT 'x');
             CREATE TABLE plain (id int PRIMARY KEY, value text); CREATE TABLE keyless (a int);
             CREATE TABLE whole (id int PRIMARY KEY) PARTITION BY RANGE (id);
             CREATE TABLE part PARTITION OF whole FOR VALUES FROM (1) TO (10);
             CREATE VIEW looks AS SELECT * FROM items; CREATE SEQUENCE numbers;
             SELECT electric.enable('items', 'projects', 'parts');
             ALTER TABLE items OWNER TO {owner}; ALTER TABLE projects OWNER TO {owner}; ALTER TABLE parts OWNER TO {owner};
             ALTER TABLE plain OWNER TO {owner}; ALTER TABLE whole OWNER TO {owner}; ALTER TABLE keyless OWNER TO {owner}",
            database.name()
        ),
    );
    owner
}

/// All that the extension has, trigger functions too.
fn functions(client: &mut Client) -> Result<Vec<Function>> {
    let rows = client.query(
        "SELECT p.oid::regproc::text, p.prokind = 'p', p.provariadic <> 0,
                ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, n) ORDER BY n)
         FROM pg_proc AS p
         JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
         JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
         WHERE e.extname = 'electric' ORDER BY p.oid::regprocedure::text COLLATE \"C\"",
        &[],
    )?;
    let functions = rows.iter().map(|row| Function {
        name: row.get(0),
        is_procedure: row.get(1),
        is_variadic: row.get(2),
        arguments: row.get(3),
    });
    Ok(functions.collect())
}

/// A call of it, in a transaction of its own.
fn call(function: &Function, dice: &mut Dice) -> String {
    let last = function.arguments.len().saturating_sub(1);
    let arguments = function.arguments.iter().enumerate().map(|(at, of)| {
        let variadic = if function.is_variadic && at == last {
            "VARIADIC "
        } else {
            ""
        };
        format!("{variadic}{}", argument(of, dice))
    });
    let arguments: Vec<String> = arguments.collect();
    let call = format!("{}({})", function.name, arguments.join(", "));
    let call = match (function.is_procedure, dice.below(4)) {
        (true, _) => format!("CALL {call}"),
        (false, 0) => format!("SELECT count(*) FROM {call}"),
        (false, 1) => format!(
            "DO $do$ BEGIN PERFORM {call}; EXCEPTION WHEN division_by_zero THEN NULL; END $do$"
        ),
        (false, _) => format!("SELECT {call}"),
    };
    match dice.below(3) {
        0 => call,
        1 => format!("BEGIN; {call}; {call}; ROLLBACK"),
        _ => format!("BEGIN; SAVEPOINT s; {call}; ROLLBACK TO s; ROLLBACK"),
    }
}

const TABLES: &[&str] = &[
    "items",
    "projects",
    "parts",
    "plain",
    "keyless",
    "whole",
    "part",
    "looks",
    "numbers",
    "items_pkey",
    "pg_class",
    "pg_catalog.pg_proc",
    "electric.ddl_commands",
    "electric.electrified",
    "electric.history",
    "pg_toast.pg_toast_1255",
];

const TEXTS: &[&str] = &[
    "",
    " ",
    "items",
    "public.items",
    "\"items\"",
    "\"",
    "\"\"",
    "a.b.c.d",
    "value",
    "id",
    "project_id",
    "anyone",
    "authenticated",
    "member",
    "projects:member",
    ":",
    "nowhere:member",
    "SELECT",
    "ALL",
    "read, WRITE",
    ",",
    "sqlite",
    "postgres",
    "now",
    "-1",
    "99999999999999999999",
    "NULL",
    "{}",
    "[]",
    "\\",
    "'",
    "''",
    "$$",
    "$a$",
    "é",
    "\u{2028}",
    "id > 0",
    "value = 'it''s'",
    "auth.user_id = value",
    "new.value = old.value",
    "(",
    ")",
    "((((((((((",
    "NOT NOT NOT true",
    "value::mood",
    "w = 'bad'",
    "(SELECT 1)",
    "random() > 0",
    "ELECTRIC ENABLE plain",
    "ELECTRIC DISABLE items",
    "ELECTRIC GRANT ALL ON items TO ANYONE",
    "ELECTRIC GRANT SELECT ON parts TO (projects, 'member') USING project_id",
    "ELECTRIC ASSIGN (projects, 'member') TO projects.owner_id",
    "ELECTRIC SQLITE 'CREATE TABLE x (a)'",
    "ELECTRIC",
    "ALTER TABLE items ENABLE ELECTRIC",
    "ALTER TABLE items ADD COLUMN more text DEFAULT 'x'",
    "ALTER TABLE items DROP COLUMN value",
    "DROP TABLE items; CREATE TABLE items (id int)",
    "SELECT 1; SELECT 2",
    "BEGIN; COMMIT",
    "/* /* */",
    "-- ",
    "E'\\'",
    "U&'\\",
    "host=/nowhere",
    "host=127.0.0.1 port=1",
    "port=x",
    "postgresql://[",
    "dbname=postgres password=secret host=/nowhere",
    "DO $x$ BEGIN RAISE EXCEPTION 'x'; END $x$",
    "VACUUM",
    "COPY items TO STDOUT",
    "TRUNCATE items",
    "REINDEX TABLE items",
    "CREATE INDEX CONCURRENTLY ON items (value)",
    "SET electric.policy = unrestricted",
    "{\"a\":[[[[[[[[[[1]]]]]]]]]]}",
];

const REPEATED: &[&str] = &[
    "x",
    "é",
    "'",
    "\"",
    "(",
    "[",
    "{\"a\":",
    "/*",
    ";",
    "select 1;",
    "a.",
    "a,",
    "NOT ",
    "id > 0 AND ",
    "ELECTRIC ENABLE items;",
    "ELECTRIC GRANT SELECT ON items TO ANYONE;",
    "SELECT,",
    " ",
    "\n",
    "\\",
    "$a$",
    "-",
];

/// A value of that type, as SQL.
fn argument(of: &str, dice: &mut Dice) -> String {
    if dice.below(12) == 0 {
        return format!("NULL::{of}");
    }
    if let Some(element) = of.strip_suffix("[]") {
        return match dice.below(7) {
            0 => format!("'{{}}'::{of}"),
            1 => {
                let length = [1, 100, 100_000, 1_000_000][dice.below(4)];
                // What is to be seen is our memory, not how large an array the server itself can make.
                let filling = match (element, length) {
                    ("text", 1000..) => quoted(dice.one(TEXTS)),
                    _ => argument(element, dice),
                };
                format!("array_fill({filling}, ARRAY[{length}])")
            }
            2 => format!(
                "array_fill({}, ARRAY[2, 3], ARRAY[-5, 7])",
                argument(element, dice)
            ),
            3 => format!("ARRAY[NULL, NULL]::{of}"),
            _ => {
                let elements: Vec<String> = (0..=dice.below(4))
                    .map(|_| argument(element, dice))
                    .collect();
                format!("ARRAY[{}]::{of}", elements.join(", "))
            }
        };
    }
    match of {
        "text" => text(dice),
        "regclass" => match dice.below(4) {
            0 => format!(
                "{}::oid::regclass",
                dice.one(&[
                    "0",
                    "1",
                    "4294967295",
                    "2147483648",
                    "1259",
                    "16384",
                    "16400"
                ])
            ),
            _ => format!("'{}'::regclass", dice.one(TABLES)),
        },
        _ => format!(
            "'{}'::{of}",
            dice.one(&[
                "0",
                "1",
                "true",
                "-1",
                "9223372036854775807",
                "{}",
                "2000-01-01"
            ])
        ),
    }
}

fn text(dice: &mut Dice) -> String {
    match dice.below(8) {
        0 => {
            let piece = quoted(dice.one(REPEATED));
            let times = dice.size() / piece.len();
            format!("repeat({piece}, {times})")
        }
        1 => format!("repeat(chr({}), {})", 1 + dice.below(31), dice.size()),
        2 => format!(
            "{} || repeat({}, {})",
            quoted(dice.one(TEXTS)),
            quoted(dice.one(REPEATED)),
            dice.below(2000)
        ),
        3 => {
            let depth = dice.below(300_000);
            format!("repeat('(', {depth}) || 'true' || repeat(')', {depth})")
        }
        4 => {
            let characters = (0..dice.below(40)).map(|_| {
                char::from_u32(u32::try_from(dice.below(0x3000)).unwrap_or(32))
                    .filter(|c| *c != '\0')
            });
            quoted(&characters.flatten().collect::<String>())
        }
        _ => quoted(dice.one(TEXTS)),
    }
}

fn quoted(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
