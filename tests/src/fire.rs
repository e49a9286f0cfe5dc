//! Sessions that migrate, write, and undo part or all of it, all at once, while something else goes on: the server may
//! be killed under them. Each transaction leaves a mark, so that what became of it is known.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use postgres::Client;

use crate::database::{Database, run};
use crate::errors::{describe, is_disconnect};

/// Electrified tables that the sessions work on: `t0`, `t1` …
const TABLES: u64 = 4;

/// What became of the transactions, by their marks.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The server said that they were committed.
    pub committed: BTreeSet<String>,
    /// They were rolled back, or never got to their COMMIT.
    pub undone: BTreeSet<String>,
}

/// The sessions at work.
pub struct Fire {
    stop: AtomicBool,
    committed: AtomicUsize,
}

impl Fire {
    /// How many transactions were committed so far.
    pub fn committed(&self) -> usize {
        self.committed.load(Ordering::Relaxed)
    }
}

/// Stops the sessions, also when what they work for fails.
struct Stop<'a>(&'a Fire);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// Makes what the sessions work on.
#[track_caller]
pub fn prepare(database: &Database<'_>) {
    let mut client = database.client();
    run(
        &mut client,
        "CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE marks (id text PRIMARY KEY); SELECT electric.enable('marks')",
    );
    for n in 0..TABLES {
        run(
            &mut client,
            &format!(
                "CREATE TABLE t{n} (id bigint PRIMARY KEY, value text, mood mood); \
                 INSERT INTO t{n} SELECT i, 'before' FROM generate_series(1, 20) AS i; SELECT electric.enable('t{n}')"
            ),
        );
    }
}

/// Has that many sessions migrate and as many only write, until `body` has returned. `ELECTRIC_FIRE_SEED` has them do
/// something else.
pub fn under_fire<T>(
    database: &Database<'_>,
    sessions: u64,
    body: impl FnOnce(&Fire) -> T,
) -> (T, Outcome) {
    let seed = std::env::var("ELECTRIC_FIRE_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse::<u64>().ok()).unwrap_or(1);
    let fire = &Fire {
        stop: AtomicBool::new(false),
        committed: AtomicUsize::new(0),
    };
    std::thread::scope(|scope| {
        let stop = Stop(fire);
        let mut at_work = Vec::new();
        for number in 0..2 * sessions {
            at_work.push(scope.spawn(move || {
                let mut session = Session {
                    database,
                    number,
                    migrates: number < sessions,
                    dice: Dice(seed.wrapping_mul(1_000_003).wrapping_add(number + 1)),
                    round: 0,
                    outcome: Outcome::default(),
                };
                session.work(fire);
                session.outcome
            }));
        }
        let result = body(fire);
        drop(stop);
        let mut outcome = Outcome::default();
        for session in at_work {
            match session.join() {
                Ok(of_session) => {
                    outcome.committed.extend(of_session.committed);
                    outcome.undone.extend(of_session.undone);
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        (result, outcome)
    })
}

impl Outcome {
    /// Every transaction that was said to be committed is there, and none that was undone.
    #[track_caller]
    pub fn check(&self, database: &Database<'_>) {
        let rows = database.client().query("SELECT id FROM marks", &[]);
        let rows = rows.unwrap_or_else(|error| panic!("{}", describe(&error)));
        let found: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        let lost: Vec<_> = self.committed.difference(&found).collect();
        let risen: Vec<_> = self.undone.intersection(&found).collect();
        assert!(
            lost.is_empty() && risen.is_empty(),
            "lost: {lost:?}; undone and yet there: {risen:?}"
        );
    }
}

/// Numbers that look random, the same for the same seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }
}

struct Session<'a> {
    database: &'a Database<'a>,
    number: u64,
    migrates: bool,
    dice: Dice,
    round: u64,
    outcome: Outcome,
}

impl Session<'_> {
    fn work(&mut self, fire: &Fire) {
        let mut client = None;
        while !fire.stop.load(Ordering::Relaxed) {
            let Some(connected) = client.take().or_else(|| self.connect()) else {
                std::thread::sleep(Duration::from_millis(50));
                continue;
            };
            client = self.transaction(connected, fire);
            self.round += 1;
        }
    }

    /// A connection, if the server takes any.
    fn connect(&self) -> Option<Client> {
        let cluster = self.database.cluster();
        let mut client = cluster.connect(self.database.name(), "postgres").ok()?;
        let settings = "SET lock_timeout = '2s'; SET deadlock_timeout = '100ms'";
        client.batch_execute(settings).ok()?;
        Some(client)
    }

    /// Runs a transaction; gives the connection back unless it is gone.
    fn transaction(&mut self, mut client: Client, fire: &Fire) -> Option<Client> {
        let mark = format!("{}_{}", self.number, self.round);
        let mut statements = self.statements();
        statements.push(format!("INSERT INTO marks VALUES ('{mark}')"));
        for sql in &statements {
            if let Err(error) = client.batch_execute(sql) {
                self.outcome.undone.insert(mark);
                if is_disconnect(&error) {
                    return None;
                }
                // Others are in the way: waited for too long, or for each other.
                let code = error.code().map_or("", |code| code.code());
                assert!(
                    matches!(code, "55P03" | "40P01"),
                    "{statements:?}\n{sql}\n{}",
                    describe(&error)
                );
                return client.batch_execute("ROLLBACK").ok().map(|()| client);
            }
        }
        if self.dice.below(4) == 0 {
            self.outcome.undone.insert(mark);
            return client.batch_execute("ROLLBACK").ok().map(|()| client);
        }
        match client.batch_execute("COMMIT") {
            Ok(()) => {
                self.outcome.committed.insert(mark);
                fire.committed.fetch_add(1, Ordering::Relaxed);
                Some(client)
            }
            // Whether it was committed nobody knows.
            Err(error) if is_disconnect(&error) => None,
            Err(error) => panic!("{statements:?}\n{}", describe(&error)),
        }
    }

    /// The statements of a transaction, but for its end.
    fn statements(&mut self) -> Vec<String> {
        let mut sql = vec!["BEGIN".to_owned()];
        let mut savepoints = 0;
        for step in 0..2 + self.dice.below(5) {
            let name = format!("{}_{}_{step}", self.number, self.round);
            let table = self.dice.below(TABLES);
            let remainder = self.dice.below(7);
            let id = (self.number + 1) * 1_000_000 + self.round * 100 + step * 10;
            let choices = if self.migrates { 14 } else { 7 };
            match self.dice.below(choices) {
                0 | 1 => sql.push(format!(
                    "INSERT INTO t{table} (id, value) SELECT {id} + i, '{name}' FROM generate_series(0, 4) AS i"
                )),
                2 => sql.push(format!(
                    "UPDATE t{table} SET value = '{name}' WHERE id % 7 = {remainder} AND id / 1000000 IN (0, {})",
                    self.number + 1
                )),
                3 => sql.push(format!("DELETE FROM t{table} WHERE id % 7 = {remainder} AND id / 1000000 = {}", self.number + 1)),
                4 => {
                    savepoints += 1;
                    sql.push(format!("SAVEPOINT s{savepoints}"));
                }
                5 if savepoints > 0 => {
                    sql.push(format!("ROLLBACK TO s{savepoints}"));
                    savepoints -= 1;
                }
                6 if savepoints > 0 => {
                    sql.push(format!("RELEASE s{savepoints}"));
                    savepoints -= 1;
                }
                7 | 8 => {
                    let of = ["int DEFAULT 7", "timestamptz DEFAULT now()", "text", "mood", "bool NOT NULL DEFAULT true"];
                    let of = of[self.dice.below(5) as usize];
                    sql.push(format!("ALTER TABLE t{table} ADD COLUMN c_{name} {of}"));
                    sql.push(format!("INSERT INTO t{table} (id, value, c_{name}) VALUES ({id}, 'new', DEFAULT)"));
                }
                9 => sql.push(format!("CREATE INDEX i_{name} ON t{table} (value, id)")),
                10 => sql.push(format!("ALTER TABLE t{table} ALTER value SET DEFAULT '{name}'")),
                // Undone inside of one statement.
                11 => sql.push(format!(
                    "DO $$ BEGIN ALTER TABLE t{table} ADD COLUMN lost_{name} int; INSERT INTO t{table} (id) VALUES ({id}); \
                     RAISE EXCEPTION 'lost'; EXCEPTION WHEN raise_exception THEN NULL; END $$"
                )),
                12 => sql.push(format!("ALTER TYPE mood ADD VALUE 'm_{name}'")),
                13 if remainder < 3 => sql.push(format!(
                    "CREATE TABLE n_{name} (id bigint PRIMARY KEY, value text); INSERT INTO n_{name} VALUES (1, 'before'); \
                     SELECT electric.enable('n_{name}'); INSERT INTO n_{name} VALUES (2, 'after')"
                )),
                _ => {}
            }
        }
        sql
    }
}
